package limit

import (
	"context"
	"strconv"
	"time"

	"tandem/internal/flow"
	"tandem/internal/table"
)

// take uses one permit and tells from when on it is good. A permit that is too
// far ahead to wait for in place is not taken, but an error.
func (l *Limiter) take(ctx context.Context) (time.Time, error) {
	l.queued.Add(1)
	defer l.queued.Add(-1)
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return time.Time{}, wait(l.System, inPlace)
	}
	c, now := classOf(ctx), l.Now()
	if l.unlimited() {
		at := later(now, l.hold())
		return at, l.near(ctx, at, now)
	}
	at, ok := l.spend(c, now)
	if !ok {
		var err error
		if at, err = l.lease(ctx, c); err != nil {
			return at, err
		}
	}
	l.last = now
	return at, nil
}

// near refuses an instant that lies too far ahead to wait for.
func (l *Limiter) near(ctx context.Context, at, now time.Time) error {
	if pause := at.Sub(now); pause > patience(ctx) || pause > 0 && beyond(ctx, pause) {
		return wait(l.System, pause)
	}
	return nil
}

// spend uses a permit at hand. A worker that was idle for a whole window may
// send one request without asking: it is recorded with the next batch, if that
// comes while it still counts, so that sparse traffic costs the table nothing.
func (l *Limiter) spend(c class, now time.Time) (time.Time, bool) {
	if l.hold().After(now) {
		return now, false
	}
	if h := &l.held[c]; h.left > 0 && now.Before(h.until) {
		h.left--
		return h.from, true
	}
	if c == live && now.Sub(l.last) >= l.window.per+l.window.guard && l.window.generous() {
		l.debt = 1 // an earlier one has left the window
		return now, true
	}
	return now, false
}

// hold is until when the remote asked to be left alone, as far as known here.
func (l *Limiter) hold() time.Time { return millis(l.row.Attrs["hold"]) }

func millis(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n)
}

// lease takes a batch from the row and uses its first permit. Where the budget
// is used up the batch is of the near future, so that nobody has to ask again.
func (l *Limiter) lease(ctx context.Context, c class) (time.Time, error) {
	h := &l.held[c]
	size := l.next(h)
	for range tries {
		now := l.Now()
		used := parseUse(l.row.Attrs["used"])
		n, at := l.window.grant(used, later(now, l.hold()), l.debt, size, c)
		if err := l.near(ctx, at, now); err != nil {
			return at, err
		}
		err := l.update(ctx, map[string]string{"used": l.window.add(used, now, at, n+l.debt).String()})
		if err == nil {
			scarce := l.window.busy(used, at)
			*h = lease{left: n - 1, size: n, from: at, until: later(at, l.Now()).Add(l.window.validity(scarce)), scarce: scarce}
			l.debt = 0
			return at, nil
		}
		if _, moved := table.Moved(err); !moved {
			return at, err
		}
	}
	return time.Time{}, &flow.Error{Code: flow.StoreBusy, Message: "the rate limit's row changed too often"}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// next sizes a batch by how the last one went: twice as large when it was used
// up in half its time, half when that time is long over, as much as was used
// when some of it was wasted, and never less than the callers who are waiting.
// When some was wasted while the budget is scarce it is just as much as they are.
func (l *Limiter) next(h *lease) int {
	waiting := int(l.queued.Load())
	size := max(1, h.size-h.left)
	now, half := l.Now(), h.until.Sub(h.from)/2
	switch {
	case h.scarce && h.left > 0:
		size = waiting
	case h.left == 0 && now.Before(h.until.Add(-half)):
		size *= 2
	case now.After(h.until.Add(half)):
		size = max(1, size/2)
	}
	return min(max(size, waiting), l.window.batch)
}
