package cloud

import (
	"context"
	"fmt"

	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/record"
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
		return 0, fmt.Errorf("pair %s polls HubSpot, which is not offered: set its trigger to webhook", pair.Name)
	}
	in := &flow.Ingress{Flow: h.Flow, Starter: h.starter}
	started, err := in.Poll(ctx, source, pair.Side(source).Object, from)
	for range started {
		h.Beats.Event(h.Direction)
	}
	if err != nil {
		h.Beats.Error(flow.CodeOf(err))
		return started, Failure(err)
	}
	h.Metrics.Count(names.MetricPolled, h.Direction, 1)
	return started, nil
}
