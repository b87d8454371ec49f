package cloud

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
		for _, p := range Reconciled(s, d) {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s compares %v, want %v", d, got, want)
		}
	}
	if got := ReconcileEvery(spec.Side{Every: spec.Duration{Duration: time.Minute}}); got != time.Minute {
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
	b := beginning{c, "first"}
	for _, cursor := range []string{"", "later"} {
		if _, _, _, err := b.Changed(t.Context(), "contacts", cursor); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"first", "later"}; !slices.Equal(c.seen, want) {
		t.Errorf("cursors %v, want %v", c.seen, want)
	}
}

// Drift is a write of which no delivery has told in time, not an echo, nor what a
// delivery told as well.
func TestDrifted(t *testing.T) {
	at := func(ago time.Duration, act string, ids ...string) flow.State {
		return flow.State{Event: flow.Envelope{At: time.Now().Add(-ago).UnixMilli(), Events: ids}, Sections: flow.Sections{Lookup: &flow.Plan{Act: act}}}
	}
	for what, c := range map[string]struct {
		state flow.State
		want  bool
	}{
		"lost":               {at(time.Hour, flow.ActWrite, "reconcile/7", "reconcile/8"), true},
		"under way":          {at(grace/2, flow.ActWrite, "reconcile/7"), false},
		"told as well":       {at(time.Hour, flow.ActWrite, "reconcile/7", "11"), false},
		"told by a delivery": {at(time.Hour, flow.ActWrite, "11"), false},
		"both sides agree":   {at(time.Hour, flow.ActStamp, "reconcile/7"), false},
		"without ids":        {at(time.Hour, flow.ActWrite), false},
		"without a plan":     {flow.State{}, false},
	} {
		if got := drifted(c.state); got != c.want {
			t.Errorf("%s: %t, want %t", what, got, c.want)
		}
	}
}
