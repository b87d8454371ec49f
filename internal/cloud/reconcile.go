package cloud

import (
	"context"
	"time"

	"tandem/internal/cloud/names"
	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/limit"
	"tandem/internal/record"
)

// reconcileFirst is how far back the first comparison looks; one of everything is
// a decision for people.
const reconcileFirst = 24 * time.Hour

// Reconcile is the Lambda handler of the comparison: a poll of a pair whose
// source delivers webhooks. What it lists and the mapping has already seen is
// dropped by its version; anything else is an event like any other. It takes no
// request from the share of the budget that is kept for live traffic.
func (h *Host) Reconcile(ctx context.Context, t names.Tick) (names.Swept, error) {
	first := destination.ChangedSince
	if h.Direction.Source() == record.HubSpot {
		first = hubspot.ChangedSince
	}
	from := flow.Beginning{Changes: h.changes(), First: first(time.Now().Add(-reconcileFirst))}
	return h.sweep(limit.Backfill(ctx), t, names.MetricCompared, from, flow.MarkReconcile)
}

// grace is how long a delivery may be under way before it counts as lost.
const grace = 5 * time.Minute

// drifted reports whether only a comparison told of what s has written, long
// after it happened: the deliveries that should have are lost.
func drifted(s flow.State) bool {
	return s.Lookup != nil && s.Lookup.Act == flow.ActWrite && since(s) >= grace && s.Event.Compared()
}
