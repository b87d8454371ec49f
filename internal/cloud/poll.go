package cloud

import (
	"context"
	"fmt"
	"time"

	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

// Poll is the Lambda handler of the poller: its schedule names the pair.
func (h *Host) Poll(ctx context.Context, tick struct {
	Pair string `json:"pair"`
}) (int, error) {
	pair, ok := h.Spec.PairByName(tick.Pair)
	if !ok {
		return 0, fmt.Errorf("the schedule names pair %q, which the spec does not have: deploy again", tick.Pair)
	}
	source := h.Direction.Source()
	var from flow.Changes = h.destination
	if source == record.HubSpot {
		from = h.hubspot
	}
	in := &flow.Ingress{Flow: h.Flow, Starter: h.starter}
	started, err := in.Poll(ctx, source, pair.Side(source).Object, from)
	for range started {
		h.Beats.Event(h.Direction)
	}
	if err != nil {
		h.Beats.Error(flow.CodeOf(err))
	}
	// The process is frozen after its answer, so the promised beat goes out now.
	if lost := h.Beats.Flush(ctx); lost != nil {
		h.Log.Warn("the beat was not delivered", "error", lost)
	}
	if err != nil {
		return started, Failure(err)
	}
	h.Metrics.Count(names.MetricPolled, h.Direction, 1)
	return started, nil
}

// Flexible is by how much a poll may be later than its interval, so that the
// clients of an agency do not all poll in the same second.
const Flexible = 2 * time.Minute

// Promise is how often the function called name beats at least, 0 for one that
// only runs when there is work: the self-check as it is scheduled, a poller as
// often as its most frequent schedule, in whole minutes and with its window.
func Promise(s *spec.Spec, name string, d spec.Direction) time.Duration {
	switch name {
	case "selfcheck":
		return CheckEvery
	case "poll":
		var shortest time.Duration
		for _, p := range s.Pairs {
			side := p.Side(d.Source())
			every := max(side.Every.Truncate(time.Minute), time.Minute)
			if side.Trigger == "poll" && (shortest == 0 || every < shortest) {
				shortest = every
			}
		}
		if shortest > Flexible {
			shortest += Flexible
		}
		return shortest
	}
	return 0
}
