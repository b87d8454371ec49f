package why

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

// What a conflict has lost is found from either side of the pair, a sensitive
// value as its fingerprint.
func TestConflictsAreFound(t *testing.T) {
	rows, err := embedded.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	pair := spec.Pair{Name: "contacts", HubSpot: spec.Side{Object: "contacts"}, Destination: spec.Side{Object: "customers"},
		Fields: []spec.Field{{Name: "phone"}, {Name: "birthday", Sensitive: true}}}
	l := &ledger.Ledger{Table: rows, Client: "acme", Now: time.Now}
	lost := []ledger.Conflict{
		{At: time.Now(), Field: "phone", Winner: record.HubSpot, Loser: "+61"}, {At: time.Now(), Field: "birthday", Winner: record.HubSpot, Loser: "1987"},
	}
	if err := l.Lose(t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: "c_1"}, lost...); err != nil {
		t.Fatal(err)
	}
	a := &Asker{Flow: &flow.Flow{Options: flow.Options{Spec: &spec.Spec{Client: "acme"}, Ledger: l}}}
	p := &ledger.Pair{IDs: map[record.System]string{record.HubSpot: "1", record.Destination: "c_1"}}
	var r Report
	if err := a.conflicts(t.Context(), &r, pair, p); err != nil || len(r.Conflicts) != 2 {
		t.Fatalf("%d conflicts, %v; want 2", len(r.Conflicts), err)
	}
	for _, c := range r.Conflicts {
		if shown := c.Loser != ""; shown == (c.Field == "birthday") || c.Loser == "" && c.LoserPrint == "" {
			t.Errorf("shown as %+v", c)
		}
	}
}

// A reference that waits is told of like a parked field.
func TestWaitingReferenceIsTold(t *testing.T) {
	parent := record.Ref{System: record.HubSpot, Object: "companies", ID: "9"}
	p := &ledger.Pair{
		ParkedFields: map[string]string{"phone": "alternated"},
		Waits:        []ledger.Wait{{Field: "company", Parent: parent, Why: "not linked yet"}},
	}
	for field, want := range map[string]string{"company": "waits for hubspot/companies/9, which is not linked yet", "phone": "alternated", "name": ""} {
		if got := parked(p, field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
}

// What a conflict has lost is told apart: a value, a blank, what only a fingerprint is
// known of, and what nobody has read.
func TestLossIsTold(t *testing.T) {
	r := Report{Conflicts: []ledger.Conflict{
		{Field: "phone", Loser: "+61"}, {Field: "status"}, {Field: "birthday", LoserPrint: "abc"}, {Field: "name", Policy: "overwritten"},
	}}
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{"phone": `"+61"`, "status": `""`, "birthday": "fingerprint abc", "name": "a value that nobody has read"} {
		if line := regexp.MustCompile("(?m)^.*  " + field + ": .*$").FindString(b.String()); !strings.HasSuffix(line, "; lost: "+want) {
			t.Errorf("%s: %q, want %s", field, line, want)
		}
	}
}
