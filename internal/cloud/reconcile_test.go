package cloud

import (
	"testing"
	"time"

	"tandem/internal/flow"
)

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
