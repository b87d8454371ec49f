package cloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/limit"
	"tandem/internal/record"
	"tandem/spec"
)

// Poll is the Lambda handler of the poller.
func (h *Host) Poll(ctx context.Context, t names.Tick) (names.Swept, error) {
	return h.sweep(ctx, t, names.MetricPolled, h.changes(), "")
}

// changes lists what changed in this direction's source.
func (h *Host) changes() flow.Changes {
	if h.Direction.Source() == record.HubSpot {
		return h.hubspot
	}
	return h.destination
}

// sweep starts an execution for each record that from lists; metric counts the
// sweeps that go through, mark is put on their events.
func (h *Host) sweep(ctx context.Context, t names.Tick, metric string, from flow.Changes, mark string) (out names.Swept, err error) {
	pair, ok := h.Spec.PairByName(t.Pair)
	if !ok {
		return out, fmt.Errorf("the schedule names pair %q, which the spec does not have: deploy again", t.Pair)
	}
	work, cancel := shortened(ctx)
	defer cancel()
	out, err = h.swept(work, t, pair, from, mark)
	if err != nil && work.Err() != nil {
		err = fmt.Errorf("the time of this function was over: %w", err)
	}
	if errors.Is(err, flow.ErrCensus) {
		h.Metrics.Count(names.MetricCensus, h.Direction, 1)
	}
	for range out.Started {
		h.beats().Event(h.Direction)
	}
	if err != nil {
		h.beats().Error(flow.CodeOf(err))
	}
	// The process is frozen after its answer, so the promised beat goes out now.
	if lost := h.beats().Flush(ctx); lost != nil {
		h.Log.Warn("the beat was not delivered", "error", lost)
	}
	if err != nil {
		return out, Failure(fmt.Errorf("pair %s: %w", pair.Name, err))
	}
	if !t.All && t.Linked == "" && t.Record == "" {
		h.Metrics.CountOf(metric, h.Direction, pair.Name, 1)
	}
	return out, nil
}

// swept is what a sweep does to the records.
func (h *Host) swept(ctx context.Context, t names.Tick, pair spec.Pair, from flow.Changes, mark string) (out names.Swept, err error) {
	source := h.Direction.Source()
	in := &flow.Ingress{Flow: h.Flow, Starter: h.starter, Mark: mark, Arrived: h.arrived}
	object := pair.Side(source).Object
	switch {
	case t.Record != "":
		if out.Freed, err = in.Resync(ctx, record.Ref{System: source, Object: object, ID: t.Record}); err == nil {
			out.Started = 1
		}
	case t.Linked != "":
		out.Started, err = in.Reunite(ctx, source, object)
	case t.All:
		var a flow.Answer
		in.Mark = flow.MarkBackfill
		out.Cursor, out.More, a, err = in.Page(limit.Backfill(ctx), source, object, h.changes(), t.Cursor)
		out.Started, out.Dropped = a.Started, a.Dropped
	default:
		out.Started, err = in.Poll(ctx, source, object, from)
	}
	return out, err
}

// reportWithin is what is left of a function's time to say how a sweep has ended: one
// that the platform ends says nothing, and the beat does not go out.
const reportWithin = 5 * time.Second

// shortened is ctx without that.
func shortened(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-reportWithin))
}

// CensusEvery is how often, at the least, a poll of direction d lists everything to
// find what was deleted; 0 where none does.
func CensusEvery(s *spec.Spec, d spec.Direction) (every time.Duration) {
	for _, p := range s.Pairs {
		side := p.Side(d.Source())
		if o := s.Destination.Objects[side.Object]; d.Source() == record.Destination && side.Trigger == "poll" && o.List != nil {
			every = max(every, o.List.DeletesEvery.Duration)
		}
	}
	return every
}

// LinkedEvery is how often references that wait are looked at where no poll does.
const LinkedEvery = 5 * time.Minute

// Flexible is by how much a poll may be later than its interval, so that the
// clients of an agency do not all poll in the same second.
const Flexible = 2 * time.Minute

// Promise is how often the function called name beats at least, 0 for one that
// only runs when there is work: the self-check as it is scheduled, a poller and
// a comparison as often as their most frequent schedule, in whole minutes and
// with its window.
func Promise(s *spec.Spec, name string, d spec.Direction) time.Duration {
	var every []time.Duration
	switch name {
	case "selfcheck":
		return CheckEvery
	case "poll":
		for _, p := range s.Pairs {
			if side := p.Side(d.Source()); side.Trigger == "poll" {
				every = append(every, max(side.Every.Truncate(time.Minute), time.Minute))
			}
		}
	case "reconcile":
		for _, p := range flow.Reconciled(s, d) {
			every = append(every, max(flow.ReconcileEvery(p.Side(d.Source())).Truncate(time.Minute), time.Minute))
		}
	}
	if len(every) == 0 {
		return 0
	}
	shortest := slices.Min(every)
	if shortest > Flexible {
		shortest += Flexible
	}
	return shortest
}
