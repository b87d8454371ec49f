package local_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"tandem/internal/local"
	"tandem/internal/record"
)

// changed is the example's spec after an edit of its text, twice where old comes twice.
func changed(t *testing.T, edits ...string) json.RawMessage {
	t.Helper()
	text, err := os.ReadFile("../../spec/acme/integration-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.NewReplacer(edits...).Replace(string(text))
	if edited == string(text) && len(edits) > 0 {
		t.Fatalf("the spec holds nothing of %v", edits)
	}
	return json.RawMessage(edited)
}

// simulate asks the server and decodes its answer into out.
func (r *rig) simulate(spec json.RawMessage, out any, refs ...record.Ref) int {
	r.t.Helper()
	body, err := json.Marshal(map[string]any{"spec": spec, "records": refs})
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.Post(r.server.URL()+"/api/simulate", "application/json", bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode
}

// A change of spec is tried on a record: what would differ is told, and nothing
// is written, neither into a system nor into the table.
func TestSimulateAChangeOfSpec(t *testing.T) {
	r := newRig(t)
	contact := r.contact(map[string]string{"email": "ada@example.com", "firstname": "Ada", "lastname": "Byron", "birthday": "1815-12-10"})
	r.quiet()
	ref := record.Ref{System: record.HubSpot, Object: "contacts", ID: contact.ID}
	for _, c := range []struct {
		name   string
		spec   json.RawMessage
		fields string // that differ
		writes []record.System
		same   bool
	}{
		{"nothing changed", changed(t), "", nil, true},
		{"a name in reverse", changed(t, `["{firstname}", " ", "{lastname}"]`, `["{lastname}", " ", "{firstname}"]`), "name: Ada Byron, Byron Ada", []record.System{record.Destination}, false},
		{"a new way for a birthday", changed(t, `"destination": {"property": "birthday", "type": "date"}`, `"destination": {"property": "born", "type": "date"}`), "", nil, true},
		{"a field more", changed(t, `"formula": {"logic": "phoneAU"},`, `"formula": {"logic": "phoneAU"}},
			{"name": "spelt", "hubspot": {"property": "lastname"}, "destination": {"property": "city"}, "direction": "toDestination", `+"\n"),
			"spelt: <nil>, Byron", []record.System{record.Destination}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			writes := r.writes()
			var s local.Simulation
			if status := r.simulate(c.spec, &s, ref); status != 200 || len(s.Records) != 1 {
				t.Fatalf("answered %d: %+v", status, s)
			}
			got := s.Records[0]
			var told []string
			for _, d := range got.Fields {
				told = append(told, d.Field+": "+text(d.Before)+", "+text(d.After))
			}
			if strings.Join(told, "; ") != c.fields || !slices.Equal(got.Writes, c.writes) || got.Same() != c.same {
				t.Errorf("differs in %q, writes %v; want %q, %v\n%+v", told, got.Writes, c.fields, c.writes, got)
			}
			if n := r.writes() - writes; n != 0 {
				t.Errorf("%d writes", n)
			}
		})
	}
	if outcomes := len(r.outcomes(0)); outcomes != int(r.server.Status().Outcomes) || r.server.Status().DeadLetters != 0 {
		t.Error("a simulation left an outcome")
	}
}

func text(v *string) string {
	if v == nil {
		return "<nil>"
	}
	return *v
}

// Sensitive values are fingerprints here too.
func TestSimulateHidesSensitiveValues(t *testing.T) {
	r := newRig(t)
	contact := r.contact(map[string]string{"email": "ada@example.com", "birthday": "1815-12-10"})
	r.quiet()
	var s json.RawMessage
	status := r.simulate(changed(t, `{"property": "birthday", "type": "date"},
          "policy"`, `{"property": "birthday", "type": "date"}, "direction": "toHubSpot",
          "policy"`), &s, record.Ref{System: record.HubSpot, Object: "contacts", ID: contact.ID})
	if status != 200 || !bytes.Contains(s, []byte(`"before":"fingerprint `)) || bytes.Contains(s, []byte("1815")) {
		t.Errorf("answered %d: %s", status, s)
	}
}

func TestSimulateRefuses(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		spec json.RawMessage
		says string
		do   string
	}{
		"a lossy spec":   {changed(t, `"OPEN": "lead"`, `"OPEN": "prospect"`), "could lose data", "tandem check"},
		"no spec":        {json.RawMessage(`5`), "must be an object", "tandem check"},
		"another client": {changed(t, `"client": "acme"`, `"client": "other"`), "two clients", "of client acme"},
		"a new secret":   {changed(t, `"secret": "destination-token"`, `"secret": "erp-token"`), "erp-token", "secrets file"},
	} {
		var refused struct{ Error, Do string }
		if status := r.simulate(c.spec, &refused); status != 400 || !strings.Contains(refused.Error, c.says) || !strings.Contains(refused.Do, c.do) {
			t.Errorf("%s: answered %d, %+v", name, status, refused)
		}
	}
}
