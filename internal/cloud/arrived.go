package cloud

import (
	"context"
	"time"

	"tandem/internal/ledger"
	"tandem/spec"
)

// noteWithin bounds what a sender waits for the row of arrivals.
const noteWithin = 500 * time.Millisecond

// arrived notes what a delivery or a page has told of, for the Centre's page of
// outcomes. The events are on their way already: a failure costs that page some
// lines and nothing else. A delivery whose time was spent on starting them is noted
// all the same: nobody delivers it again.
func (h *Host) arrived(ctx context.Context, d spec.Direction, all []ledger.Arrival) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	if err := h.Flow.Ledger.Arrived(ctx, d, all); err != nil {
		h.Log.Warn("the Centre will not list these events", "events", len(all), "error", err)
	}
}
