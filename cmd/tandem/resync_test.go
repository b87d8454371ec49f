package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tandem/internal/cloud/names"
)

// A record that no delivery told of is brought over when somebody asks for it.
func TestResync(t *testing.T) {
	w := newWorld(t)
	p := w.start(t.TempDir(), freeAddress(t))
	settled(t, p)
	id := w.person("asked@example.com", "Ann")
	if said := tell(t, p, "resync", "acme", "contacts", id); !strings.Contains(said, "started") {
		t.Errorf("it says %q", said)
	}
	settled(t, p)
	w.invariants(p, map[string]string{"asked@example.com": "Ann"})
	if said := tell(t, p, "redrive", "--code", "RemoteBusy"); said != "there are no such dead letters\n" {
		t.Errorf("of no dead letter it says %q", said)
	}
	for _, c := range [][3]string{{"acme", "999999", "RecordMissing"}, {"other", id, "client acme, not other"}} {
		var out, errs bytes.Buffer
		args := []string{"resync", c[0], "contacts", c[1], "--addr", strings.TrimSuffix(p.api, "/api")}
		if code := run(t.Context(), args, nil, &out, &errs); code != exitFailed || !strings.Contains(errs.String(), c[2]) {
			t.Errorf("of client %s, record %s it says, with %d: %s", c[0], c[1], code, errs.String())
		}
	}
}

// On AWS the function is asked that polls or compares the object, and says which fields
// were parked.
func TestResyncOnAWS(t *testing.T) {
	var asked []string
	lambda := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var tick names.Tick
		if err := json.NewDecoder(r.Body).Decode(&tick); err != nil {
			t.Error(err)
		}
		asked = append(asked, strings.Split(r.URL.Path, "/")[3]+" "+tick.Pair+" "+tick.Record)
		_ = json.NewEncoder(w).Encode(names.Swept{Started: 1, Freed: []string{"lastName"}})
	}))
	defer lambda.Close()
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": lambda.URL, "AWS_REGION": "ap-southeast-2", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"} {
		t.Setenv(name, value)
	}
	for _, c := range []struct{ object, id, want string }{
		{"contacts", "7", "acme-hubspot-to-destination-reconcile contacts 7"},
		{"orders", "o_1", "acme-destination-to-hubspot-poll deals o_1"},
	} {
		var out, errs bytes.Buffer
		args := []string{"resync", "--aws", "acme", c.object, c.id, "--spec", "../../spec/acme/integration-spec.json"}
		if code := run(t.Context(), args, nil, &out, &errs); code != exitOK || !strings.Contains(out.String(), "travel again: lastName") {
			t.Errorf("%s: it says, with %d: %s%s", c.object, code, out.String(), errs.String())
		}
		if got := asked[len(asked)-1]; got != c.want {
			t.Errorf("asked %q, want %q", got, c.want)
		}
	}
}
