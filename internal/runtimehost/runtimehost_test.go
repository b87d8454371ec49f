package runtimehost_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/engines"
	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/runtimehost"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// sealed is the event of a changed contact, as the webhook function makes it.
func (r *rig) sealed(t *testing.T, id string) flow.State {
	t.Helper()
	s := &flow.Sealer{Secrets: sealSecrets}
	e, err := s.Seal(flow.Envelope{
		Client: "acme", Direction: spec.ToDestination, Pair: "contacts", ID: id, Kind: flow.Changed,
		Name: "acme-contacts-" + id, At: time.Now().UnixMilli(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return flow.State{Event: e}
}

// step runs one function on the machine's state and adds its section.
func step[T any](t *testing.T, r *rig, name string, s flow.State, section **T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	*section = new(T)
	if err := r.hosts[name].Invoke(ctx, s, *section); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// journey takes a contact through all states.
func (r *rig) journey(t *testing.T, id string) flow.State {
	t.Helper()
	s := r.sealed(t, id)
	step(t, r, "verify", s, &s.Verify)
	step(t, r, "transform", s, &s.Transform)
	step(t, r, "lookup", s, &s.Lookup)
	if s.Lookup.Act == flow.ActWrite {
		step(t, r, "write", s, &s.Write)
	}
	if s.Lookup.Act != flow.ActDrop {
		step(t, r, "stamp", s, &s.Stamp)
	}
	return s
}

// The bytes that ship, for arm64, run each through its cases.
func TestBootstraps(t *testing.T) {
	r := newRig(t)
	ada, err := r.portal.Create(portal.Person, "contacts", map[string]string{"email": "ada@example.com", "firstname": "Ada", "lastname": "Lovelace"})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a create", func(t *testing.T) {
		s := r.journey(t, ada.ID)
		found, err := r.company.Find("customers", "email", "ada@example.com")
		if err != nil || len(found) != 1 || found[0].Fields["name"] != "Ada Lovelace" || s.Stamp == nil {
			t.Errorf("customers %v, %v after %+v", found, err, s.Lookup)
		}
	})
	t.Run("an echo", func(t *testing.T) {
		if s := r.journey(t, ada.ID); s.Lookup.Act != flow.ActDrop {
			t.Errorf("a second look at the same record decides %s", s.Lookup.Act)
		}
	})
	t.Run("an update", func(t *testing.T) {
		if _, err := r.portal.Update(portal.Person, "contacts", ada.ID, "", map[string]string{"lastname": "King"}); err != nil {
			t.Fatal(err)
		}
		r.journey(t, ada.ID)
		if found, err := r.company.Find("customers", "email", "ada@example.com"); err != nil || len(found) != 1 || found[0].Fields["last_name"] != "King" {
			t.Errorf("customers %v, %v", found, err)
		}
	})
	t.Run("an echo at the webhook", func(t *testing.T) {
		var answer struct {
			StatusCode int    `json:"statusCode"`
			Body       string `json:"body"`
		}
		if err := r.hosts["webhook"].Invoke(t.Context(), r.delivery(), &answer); err != nil {
			t.Fatal(err)
		}
		var said flow.Answer
		if err := json.Unmarshal([]byte(answer.Body), &said); err != nil || answer.StatusCode != http.StatusOK || said.Dropped != 1 || said.Started != 0 {
			t.Errorf("%+v, %v", answer, err)
		}
	})
	t.Run("a broken seal", func(t *testing.T) {
		s := r.sealed(t, ada.ID)
		s.Event.ID = "2"
		r.fails(t, "verify", s, flow.BadSeal)
	})
	t.Run("a missing record", func(t *testing.T) { r.fails(t, "transform", r.sealed(t, "999999"), flow.RecordMissing) })
	t.Run("grants", func(t *testing.T) { r.granted(t) })
}

// delivery is what was told of the contact's e-mail, in one signed delivery, as
// Lambda hands a Function URL's request to its function.
func (r *rig) delivery() map[string]any {
	events := slices.DeleteFunc(r.portal.Events(), func(e portal.Event) bool { return e.PropertyName != "email" })
	d := r.portal.Delivery(secret, "https://webhook.example/hubspot", events, 0)
	return map[string]any{
		"version": "2.0", "rawPath": "/hubspot", "headers": d.Header, "body": string(d.Body),
		"requestContext": map[string]any{"domainName": "webhook.example", "http": map[string]any{"method": d.Method, "sourceIp": "192.0.2.1"}},
	}
}

// fails wants an error that Step Functions sees by its code.
func (r *rig) fails(t *testing.T, name string, s flow.State, want flow.Code) {
	t.Helper()
	var e *runtimehost.Error
	if err := r.hosts[name].Invoke(t.Context(), s, &struct{}{}); !errors.As(err, &e) || e.Type != string(want) {
		t.Errorf("%s: %v, want %s", name, err, want)
	}
}

// granted holds the requests that were seen against what the stack allows, as
// its reviewed inventory lists it (cdk/testdata/client.golden).
func (r *rig) granted(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(engines.Root(t), "cdk/testdata/client.golden"))
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range []string{"webhook", "lookup", "stamp"} {
		if len(r.ops[name]) == 0 {
			t.Errorf("%s sent nothing to the table: this test sees nothing", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.ops)) {
		_, section, ok := strings.Cut(string(raw), "# function sample-hubspot-to-destination-"+name+",")
		section, _, _ = strings.Cut(section, "\n\n")
		if !ok {
			t.Errorf("the inventory has no function %s", name)
		}
		for action := range r.ops[name] {
			if !strings.Contains(section, "\n"+action+" on Table\n") {
				t.Errorf("%s sends %s, which it is not granted", name, action)
			}
		}
		t.Logf("%s used %v", name, slices.Sorted(maps.Keys(r.ops[name])))
	}
}

func sealSecrets(record.System) ([]string, error) { return []string{secret}, nil }
