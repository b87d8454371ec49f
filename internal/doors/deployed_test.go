package doors_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/beat"
	"tandem/internal/cloud/names"
	"tandem/internal/engines"
	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/runtimehost"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// sweep calls poll or reconcile as a schedule does; what it has started is left.
func (d *deployed) sweep(name string, way spec.Direction, pair string, want int) {
	d.r.t.Helper()
	var out names.Swept
	if err := d.fleet.invoke(d.r.t.Context(), way, name, names.Tick{Pair: pair}, &out); err != nil || out.Started != want {
		d.r.t.Fatalf("%s of %s started %d, %v; want %d", name, pair, out.Started, err, want)
	}
}

// executed runs what was started, each to an outcome that is wanted.
func (d *deployed) executed(want string) {
	d.r.t.Helper()
	for _, s := range d.fleet.taken() {
		d.execute(s)
	}
	for _, j := range d.journeys() {
		if j.outcome != want {
			d.r.t.Fatalf("%s ended %s, want %s", j.record, j.outcome, want)
		}
	}
}

// scheduled: what nobody has told of is found, by a poll or by a comparison.
func (f *fleet) scheduled(t *testing.T) {
	r := newRig(t)
	d := f.open(r).(*deployed)

	if _, err := r.company.Create("orders", map[string]any{"number": "A-1", "title": "Engine", "stage": "quote"}); err != nil {
		t.Fatal(err)
	}
	d.sweep("poll", spec.ToHubSpot, "deals", 1)
	d.executed("stamped")
	if found, err := r.portal.Search("deals", portal.Query{Text: "Engine"}); err != nil || len(found.Results) != 1 {
		t.Fatalf("the order is %d deals, %v", len(found.Results), err)
	}
	d.sweep("poll", spec.ToHubSpot, "deals", 0)

	ada, err := r.portal.Create(portal.Person, "contacts", map[string]string{"email": "ada@example.com", "lastname": "Lovelace"})
	if err != nil {
		t.Fatal(err)
	}
	d.sweep("reconcile", spec.ToDestination, "contacts", 1)
	d.executed("stamped")
	d.sweep("reconcile", spec.ToDestination, "contacts", 0)
	d.executed("dropped: unchanged: no field differs from what both sides agreed on") // by the comparison itself
	time.Sleep(2 * time.Millisecond)                                                  // HubSpot's versions are milliseconds
	if _, err := r.portal.Update(portal.Person, "contacts", ada.ID, "", map[string]string{"lastname": "King"}); err != nil {
		t.Fatal(err)
	}
	d.sweep("reconcile", spec.ToDestination, "contacts", 1)
	d.executed("stamped")
	if found, err := r.company.Find("customers", "email", "ada@example.com"); err != nil || len(found) != 1 || found[0].Fields["last_name"] != "King" {
		t.Errorf("customers %v, %v", found, err)
	}

	var asked names.Swept
	err = f.invoke(t.Context(), spec.ToDestination, "reconcile", names.Tick{Pair: "contacts", Record: ada.ID}, &asked)
	if err != nil || asked.Started != 1 {
		t.Fatalf("asked for one record it started %d, %v", asked.Started, err)
	}
	d.executed("dropped: " + flow.ReasonUnchanged)
}

// refusals: a function's failure has the name that Retry and Catch know.
func (f *fleet) refusals(t *testing.T) {
	f.open(newRig(t))
	sealer := &flow.Sealer{Secrets: func(s record.System) ([]string, error) { return secrets[string(s)+"-client-secret"], nil }}
	e, err := sealer.Seal(flow.Envelope{Client: "acme", Direction: spec.ToDestination, Pair: "contacts", ID: "999999", Kind: flow.Changed, Name: "acme-contacts-999999"})
	if err != nil {
		t.Fatal(err)
	}
	altered := e
	altered.ID = "1"
	for _, c := range []struct {
		function string
		event    flow.Envelope
		want     flow.Code
	}{{"verify", altered, flow.BadSeal}, {"transform", e, flow.RecordMissing}} {
		var failed *runtimehost.Error
		if err := f.invoke(t.Context(), spec.ToDestination, c.function, flow.State{Event: c.event}, &struct{}{}); !errors.As(err, &failed) || failed.Type != string(c.want) {
			t.Errorf("%s: %v, want %s", c.function, err, c.want)
		}
	}
}

// watched: the self-check passes, and the Centre's functions answer.
func (f *fleet) watched(t *testing.T) {
	d := f.open(newRig(t)).(*deployed)
	ada, err := d.r.portal.Create(portal.Person, "contacts", map[string]string{"email": "ada@example.com", "lastname": "Lovelace"})
	if err != nil {
		t.Fatal(err)
	}
	d.sweep("reconcile", spec.ToDestination, "contacts", 1)
	d.executed("stamped")
	f.letter = `{"execution":"acme-contacts-7","machine":"hubspot-to-destination","event":{"direction":"hubspot-to-destination","pair":"contacts","id":"7","name":"acme-contacts-7"},"error":{"Error":"States.Timeout"}}`
	var checks []beat.Check
	if err := f.invoke(t.Context(), "", "selfcheck", struct{}{}, &checks); err != nil || len(checks) != 4 || beat.Failed(checks) != "" {
		t.Errorf("the self-check finds %+v, %v", checks, err)
	}
	request := func(method, path string) map[string]any {
		return map[string]any{"version": "2.0", "rawPath": path, "requestContext": map[string]any{
			"domainName": "centre.example", "http": map[string]any{"method": method, "sourceIp": "192.0.2.1"},
		}}
	}
	alarm := `{"AlarmName":"acme-dead-letters","NewStateValue":"ALARM","OldStateValue":"OK","StateChangeTime":"` + time.Now().UTC().Format("2006-01-02T15:04:05.000-0700") + `"}`
	for _, c := range []struct {
		function string
		event    any
		status   int
	}{
		{"dashboard", request(http.MethodGet, "/login"), http.StatusOK},
		{"beat", request(http.MethodPost, "/"), http.StatusUnauthorized},
		{"watch", struct{}{}, 0},
		{"alarm", map[string]any{"Records": []any{map[string]any{"Sns": map[string]string{"Message": alarm}}}}, 0},
	} {
		var answer json.RawMessage
		if err := f.invoke(t.Context(), "", c.function, c.event, &answer); err != nil {
			t.Errorf("%s: %v", c.function, err)
		}
		var page struct{ StatusCode int }
		_ = json.Unmarshal(answer, &page) // an answer without a status has none
		if page.StatusCode != c.status {
			t.Errorf("%s answers %s, want status %d", c.function, answer, c.status)
		}
	}
	f.drilled(t, request, ada.ID)
}

var csrf = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// drilled goes down from a direction to one record, on the deployed dashboard.
func (f *fleet) drilled(t *testing.T, request func(method, path string) map[string]any, id string) {
	var cookies []string
	ask := func(method, path, query, form string) string {
		event := request(method, path)
		event["cookies"], event["rawQueryString"], event["body"] = cookies, query, form
		event["headers"] = map[string]string{"content-type": "application/x-www-form-urlencoded"}
		var answer struct {
			Body    []byte
			Cookies []string
		}
		if err := f.invoke(t.Context(), "", "dashboard", event, &answer); err != nil {
			t.Fatal(err)
		}
		for _, c := range answer.Cookies {
			pair, _, _ := strings.Cut(c, ";")
			cookies = append(cookies, pair)
		}
		return string(answer.Body)
	}
	token := csrf.FindStringSubmatch(ask(http.MethodGet, "/login", "", ""))
	if token == nil {
		t.Fatal("the login form carries no token")
	}
	ask(http.MethodPost, "/login", "", url.Values{"csrf": {token[1]}, "secret": {parameter(names.CentrePrefix + names.Login)}}.Encode())
	link := "/c/acme/r/hubspot/contacts/" + id
	for _, c := range []struct{ path, query, want string }{
		{"/c/acme/hubspot-to-destination", "", link}, {"/c/acme/hubspot-to-destination", "q=" + id, link},
		{"/c/acme/hubspot-to-destination", "kind=dead", "States.Timeout"}, {link, "", "fingerprint"},
	} {
		if said := ask(http.MethodGet, c.path, c.query, ""); !strings.Contains(said, c.want) || strings.Contains(said, "Lovelace") {
			t.Errorf("%s?%s lacks %q or shows a value:\n%s", c.path, c.query, c.want, said)
		}
	}
}

// note remembers which permission a request needs. A transaction needs those of
// its parts (Amazon DynamoDB developer guide, "IAM and transactions").
func (f *fleet) note(function, target string, body []byte) {
	service, operation, _ := strings.Cut(target, ".")
	prefix := map[string]string{"AmazonSQS": "sqs:", "DynamoDB_20120810": "dynamodb:", "AmazonSSM": "ssm:", "AWSStepFunctions": "states:"}[service]
	actions := []string{strings.TrimSuffix(operation, "Batch")} // a batch needs what its parts need
	if operation == "TransactWriteItems" {
		var in struct{ TransactItems []map[string]json.RawMessage }
		_ = json.Unmarshal(body, &in) // DynamoDB refuses what cannot be read
		actions = nil
		for _, item := range in.TransactItems {
			for part := range item {
				actions = append(actions, map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}[part])
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.used[function] == nil {
		f.used[function], f.keys[function] = map[string]bool{}, map[string]bool{}
	}
	if strings.HasPrefix(function, names.CentreName) && bytes.Contains(body, []byte(`"acme"`)) && prefix == "dynamodb:" {
		for _, key := range leading.FindAllSubmatch(body, -1) {
			f.keys[function][operation+" "+string(key[1])] = true
		}
		return
	}
	for _, a := range actions {
		f.used[function][prefix+a] = true
	}
}

// leading finds the partition keys that a request names.
var leading = regexp.MustCompile(`":?pk":\{"S":"([^"]*)"`)

// keyed holds what was read of the client's table against what the inventory says
// that may be: actions, and beginnings of keys.
func (f *fleet) keyed(t *testing.T, function, section string) {
	for read := range f.keys[function] {
		action, key, _ := strings.Cut(read, " ")
		_, line, _ := strings.Cut(section, "\ndynamodb:"+action+" on ")
		line, _, _ = strings.Cut(line, "\n")
		_, keys, _ := strings.Cut(line, "table sample keys [")
		keys, _, _ = strings.Cut(keys, "]")
		if !slices.ContainsFunc(strings.Fields(keys), func(pattern string) bool {
			begins, any := strings.CutSuffix(pattern, "*")
			return key == begins || any && strings.HasPrefix(key, begins)
		}) {
			t.Errorf("%s sends %s to the client's table, and may read [%s]", function, read, keys)
		}
	}
	if len(f.keys[function]) > 0 {
		t.Logf("%s read %v of the client's table", function, slices.Sorted(maps.Keys(f.keys[function])))
	}
}

// granted holds all requests that were seen against what the stack allows, as its
// reviewed inventory lists it.
func (f *fleet) granted(t *testing.T) {
	var raw []byte
	for _, file := range []string{"client.golden", "centre.golden"} {
		text, err := os.ReadFile(filepath.Join(engines.Root(t), "cdk/testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, text...)
	}
	for _, function := range slices.Sorted(maps.Keys(f.used)) {
		_, section, ok := strings.Cut(string(raw), "# function "+function+",")
		section, _, _ = strings.Cut(section, "\n\n")
		if !ok {
			t.Errorf("the inventory has no function %s", function)
		}
		f.keyed(t, function, section)
		for action := range f.used[function] {
			if !strings.Contains(section, "\n"+action+" on ") {
				t.Errorf("%s sends %s, which it is not granted", function, action)
			}
		}
		t.Logf("%s used %v", function, slices.Sorted(maps.Keys(f.used[function])))
	}
	if len(f.keys[names.CentreName+"-dashboard"]) < 4 {
		t.Error("the dashboard has read nothing of the client's table: this test sees nothing of that")
	}
	if used := f.used["sample-destination-to-hubspot-lookup"]; !used["dynamodb:BatchGetItem"] || !used["ssm:GetParameters"] {
		t.Error("the functions sent nothing: this test sees nothing")
	}
}
