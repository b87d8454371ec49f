package flow

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// Marks stand before the ids of events that no sender told of: what a comparison
// found that deliveries should have told, and what a person asked for.
const (
	MarkReconcile = "reconcile/"
	MarkBackfill  = "backfill/"
	MarkLinked    = "linked/" // what the record refers to is linked by now
)

// Bulk reports whether a backfill started the execution: it leaves the share of
// the rate limits alone that is kept for live traffic.
func (e Envelope) Bulk() bool { return e.marked(MarkBackfill) }

// respelt: what was done to the pair last was decided by another spec, under which a field
// may have been no part of it: that a version has been seen says nothing about that field.
func (f *Flow) respelt(p *ledger.Pair) bool { return p.Spec != f.edition() }

// Compared reports whether only a comparison told of the change.
func (e Envelope) Compared() bool { return e.marked(MarkReconcile) }

func (e Envelope) marked(mark string) bool {
	return len(e.Events) > 0 && !slices.ContainsFunc(e.Events, func(id string) bool { return !strings.HasPrefix(id, mark) })
}

// reconcileEvery is the default of ReconcileEvery.
const reconcileEvery = time.Hour

// ReconcileEvery is how often a side with webhooks is asked what has changed all
// the same, because deliveries are lost: an outage longer than the sender
// repeats, a subscription switched off.
func ReconcileEvery(side spec.Side) time.Duration { return cmp.Or(side.Every.Duration, reconcileEvery) }

// Reconciled lists the pairs that are compared in direction d: their source
// delivers webhooks, and can list what changed. HubSpot's search shows no
// deletions: those that no webhook told of are not found.
func Reconciled(s *spec.Spec, d spec.Direction) []spec.Pair {
	return slices.DeleteFunc(slices.Clone(s.Pairs), func(p spec.Pair) bool {
		return p.Side(d.Source()).Trigger == "poll" || !Lists(s, p, d.Source())
	})
}

// Woken lists the pairs of direction d whose references that wait no poll looks after.
func Woken(s *spec.Spec, d spec.Direction) []spec.Pair {
	return slices.DeleteFunc(slices.Clone(s.Pairs), func(p spec.Pair) bool {
		return p.Side(d.Source()).Trigger == "poll" || !p.Refers()
	})
}

// Lists reports whether a system can be asked which records of a pair changed.
func Lists(s *spec.Spec, p spec.Pair, sys record.System) bool {
	return sys == record.HubSpot || s.Destination.Objects[p.Destination.Object].List != nil
}

// BackfillStep is one side of one pair, whose records a backfill goes through.
type BackfillStep struct {
	Pair   string        `json:"pair"`
	System record.System `json:"system"`
}

// BackfillSteps lists what a backfill goes through, parents first, and HubSpot
// before the destination; sides that cannot be listed are left out.
func BackfillSteps(s *spec.Spec) (out []BackfillStep) {
	for _, p := range s.ParentsFirst() {
		for _, sys := range []record.System{record.HubSpot, record.Destination} {
			if Lists(s, p, sys) {
				out = append(out, BackfillStep{p.Name, sys})
			}
		}
	}
	return out
}

// Beginning are changes whose first cursor is given.
type Beginning struct {
	Changes
	First string
}

// Changed implements Changes.
func (b Beginning) Changed(ctx context.Context, object, cursor string) ([]ChangedRecord, string, bool, error) {
	return b.Changes.Changed(ctx, object, cmp.Or(cursor, b.First))
}
