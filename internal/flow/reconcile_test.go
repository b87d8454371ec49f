package flow_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/spec"
)

// Compared is what delivers webhooks and can list what changed; HubSpot always can.
func TestReconciled(t *testing.T) {
	s := &spec.Spec{
		Destination: spec.Destination{Objects: map[string]spec.Object{"listed": {List: &spec.List{}}, "plain": {}}},
		Pairs: []spec.Pair{
			{Name: "a", HubSpot: spec.Side{Object: "contacts"}, Destination: spec.Side{Object: "listed", Trigger: "webhook"}},
			{Name: "b", HubSpot: spec.Side{Object: "deals", Trigger: "webhook"}, Destination: spec.Side{Object: "plain"}},
			{Name: "c", HubSpot: spec.Side{Object: "companies", Trigger: "poll"}, Destination: spec.Side{Object: "listed", Trigger: "poll"}},
		},
	}
	for d, want := range map[spec.Direction][]string{spec.ToDestination: {"a", "b"}, spec.ToHubSpot: {"a"}} {
		var got []string
		for _, p := range flow.Reconciled(s, d) {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s compares %v, want %v", d, got, want)
		}
	}
	if got := flow.ReconcileEvery(spec.Side{Every: spec.Duration{Duration: time.Minute}}); got != time.Minute {
		t.Errorf("an interval of the spec becomes %s", got)
	}
}

type cursors struct{ seen []string }

func (c *cursors) Changed(_ context.Context, _, cursor string) ([]flow.ChangedRecord, string, bool, error) {
	c.seen = append(c.seen, cursor)
	return nil, cursor, false, nil
}

// The first comparison begins where it is told, the others where they stopped.
func TestBeginning(t *testing.T) {
	c := &cursors{}
	b := flow.Beginning{Changes: c, First: "first"}
	for _, cursor := range []string{"", "later"} {
		if _, _, _, err := b.Changed(t.Context(), "contacts", cursor); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"first", "later"}; !slices.Equal(c.seen, want) {
		t.Errorf("cursors %v, want %v", c.seen, want)
	}
}
