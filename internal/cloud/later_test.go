package cloud

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/spec"
)

// started is one call of StartExecution.
type started struct{ StateMachineArn, Name, Input string }

// machinesOf answers StartExecution, and refuses executions whose name holds "refused".
func machinesOf(t *testing.T) (*starter, func() []started) {
	t.Helper()
	var all []started
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in started
		if raw, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(raw, &in) != nil {
			t.Errorf("not a request: %v", err)
		}
		if strings.Contains(in.Name, "refused") {
			http.Error(w, `{"__type":"StateMachineDoesNotExist"}`, http.StatusBadRequest)
			return
		}
		all = append(all, in)
		_, _ = io.WriteString(w, `{"executionArn":"arn","startDate":0}`)
	}))
	t.Cleanup(server.Close)
	env := map[string]string{"AWS_REGION": "r", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": server.URL}
	c, err := awsjson.FromEnv(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	machines := map[spec.Direction]string{spec.ToDestination: "there", spec.ToHubSpot: "back"}
	return newStarter(c, machines), func() []started { return all }
}

// What was put off starts again at its own machine, sealed as it was; each
// failure is told by itself.
func TestLater(t *testing.T) {
	api, all := machinesOf(t)
	var metrics bytes.Buffer
	h := &Host{starter: api, Metrics: NewMetrics(&metrics, "acme", time.Now), Log: slog.New(slog.DiscardHandler)}
	const event = `{"client":"acme","direction":"hubspot-to-destination","pair":"contacts","id":"1001","kind":"changed",` +
		`"name":"acme-contacts-1001-1700000000000-0011aabb","at":1700000000000,"events":["7"],"told":["svlIitWnbrM postcode"],"seal":"x"}`
	message := func(machine, event, more string) string {
		return `{"execution":"e","machine":"` + machine + `","event":` + event + more + `,"error":{"Error":"RateLimited","Cause":"c"}}`
	}
	batch := events.SQSEvent{Records: []events.SQSMessage{
		{MessageId: "a", Body: message("hubspot-to-destination", event, `,"later":{"times":2,"delay":60,"waited":30}`)},
		{MessageId: "b", Body: message("destination-to-hubspot", event, `,"later":{"times":1,"delay":30}`)},
		{MessageId: "elsewhere", Body: message("elsewhere", event, `,"later":{"times":1,"delay":30}`)},
		{MessageId: "no JSON", Body: `no JSON`},
		{MessageId: "refused", Body: message("hubspot-to-destination", `{"name":"refused"}`, `,"later":{"times":1,"delay":30}`)},
		{MessageId: "no name", Body: message("hubspot-to-destination", `{}`, `,"later":{"times":1,"delay":30}`)},
		{MessageId: "no count", Body: message("hubspot-to-destination", event, "")},
	}}
	answer, err := h.Later(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, f := range answer.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	if want := []string{"elsewhere", "no JSON", "refused", "no name", "no count"}; !slices.Equal(failed, want) {
		t.Errorf("failures %v, want %v", failed, want)
	}
	want := []started{
		{"there", "acme-contacts-1001-1700000000000-0011aabb-later-2", `{"event":` + event + `,"later":{"times":2,"delay":60,"waited":30}}`},
		{"back", "acme-contacts-1001-1700000000000-0011aabb-later-1", `{"event":` + event + `,"later":{"times":1,"delay":30,"waited":0}}`},
	}
	if got := all(); !slices.Equal(got, want) {
		t.Errorf("started %+v, want %+v", got, want)
	}
	if n := strings.Count(metrics.String(), `"`+names.MetricLater+`":1`); n != 2 {
		t.Errorf("metrics\n%s", metrics.String())
	}
}

// A function of one direction may start its own machine, one of both both.
func TestMachines(t *testing.T) {
	one, other := names.Machine(spec.ToDestination), names.Machine(spec.ToHubSpot)
	for _, c := range []struct {
		own  spec.Direction
		env  map[string]string
		want map[spec.Direction]string
	}{
		{spec.ToDestination, map[string]string{names.MachineARN: "x"}, map[spec.Direction]string{spec.ToDestination: "x"}},
		{spec.ToHubSpot, map[string]string{names.MachineARN: "y"}, map[spec.Direction]string{spec.ToHubSpot: "y"}},
		{"", map[string]string{one: "x", other: "y"}, map[spec.Direction]string{spec.ToDestination: "x", spec.ToHubSpot: "y"}},
		{"", nil, map[spec.Direction]string{}},
	} {
		if got := machines(func(name string) string { return c.env[name] }, c.own); !maps.Equal(got, c.want) {
			t.Errorf("with %v: %v, want %v", c.env, got, c.want)
		}
	}
}
