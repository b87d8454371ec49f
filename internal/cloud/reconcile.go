package cloud

import (
	"cmp"
	"context"
	"strings"
	"time"

	"tandem/internal/cloud/names"
	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/limit"
	"tandem/internal/record"
	"tandem/spec"
)

// reconciled is the mark of events that a comparison found.
const reconciled = "reconcile/"

// A side that delivers webhooks is asked once an hour what has changed, because
// deliveries are lost: an outage longer than the sender repeats, a subscription
// switched off. The first comparison looks a day back; one of everything is a
// decision for people.
const (
	reconcileEvery = time.Hour
	reconcileFirst = 24 * time.Hour
)

// Reconcile is the Lambda handler of the comparison: a poll of a pair whose
// source delivers webhooks. What it lists and the mapping has already seen is
// dropped by its version; anything else is an event like any other. It takes no
// request from the share of the budget that is kept for live traffic. HubSpot's
// search shows no deletions: those that no webhook told of are not found.
func (h *Host) Reconcile(ctx context.Context, t Tick) (int, error) {
	first := destination.ChangedSince
	if h.Direction.Source() == record.HubSpot {
		first = hubspot.ChangedSince
	}
	from := beginning{h.changes(), first(time.Now().Add(-reconcileFirst))}
	return h.sweep(limit.Backfill(ctx), t, names.MetricCompared, from, reconciled)
}

// beginning are changes whose first cursor is given.
type beginning struct {
	flow.Changes
	first string
}

// Changed implements flow.Changes.
func (b beginning) Changed(ctx context.Context, object, cursor string) ([]flow.ChangedRecord, string, bool, error) {
	return b.Changes.Changed(ctx, object, cmp.Or(cursor, b.first))
}

// Reconciled lists the pairs that are compared in direction d: their source
// delivers webhooks, and can list what changed.
func Reconciled(s *spec.Spec, d spec.Direction) []spec.Pair {
	var all []spec.Pair
	for _, p := range s.Pairs {
		side := p.Side(d.Source())
		lists := d.Source() == record.HubSpot || s.Destination.Objects[side.Object].List != nil
		if side.Trigger != "poll" && lists {
			all = append(all, p)
		}
	}
	return all
}

// ReconcileEvery is how often a side with webhooks is compared.
func ReconcileEvery(side spec.Side) time.Duration { return cmp.Or(side.Every.Duration, reconcileEvery) }

// grace is how long a delivery may be under way before it counts as lost.
const grace = 5 * time.Minute

// drifted reports whether only a comparison told of what s has written, long
// after it happened: the deliveries that should have are lost.
func drifted(s flow.State) bool {
	if s.Lookup == nil || s.Lookup.Act != flow.ActWrite || since(s) < grace {
		return false
	}
	for _, id := range s.Event.Events {
		if !strings.HasPrefix(id, reconciled) {
			return false
		}
	}
	return len(s.Event.Events) > 0
}
