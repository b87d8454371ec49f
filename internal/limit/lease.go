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

// spend uses a permit at hand.
func (l *Limiter) spend(c class, now time.Time) (time.Time, bool) {
	if l.hold().After(now) {
		return now, false
	}
	if h := &l.held[c]; h.left > 0 && now.Before(h.until) {
		h.left--
		return h.from, true
	}
	return now, c == live && now.Before(l.stands) && l.silent(now)
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
	size := l.next(&l.held[c])
	for range tries {
		now := l.Now()
		b := l.plan(c, size, now)
		if err := l.near(ctx, b.from, now); err != nil {
			return b.from, err
		}
		err := l.update(ctx, b.row)
		if _, moved := table.Moved(err); moved {
			continue
		}
		l.stands = time.Time{} // given up, also when it is not known whether the row was written
		if err != nil {
			return b.from, err
		}
		b.until = later(b.from, l.Now()).Add(l.window.validity(b.scarce))
		l.held[c], l.stands = b.lease, b.stands
		return b.from, nil
	}
	return time.Time{}, &flow.Error{Code: flow.StoreBusy, Message: "the rate limit's row changed too often"}
}

// batch is what is to be taken: the permits, of which one is used at once, or a
// standing one, and what the row is to say.
type batch struct {
	lease
	stands time.Time
	row    map[string]string
}

// plan works out a batch from the row as it was last seen.
func (l *Limiter) plan(c class, size int, now time.Time) batch {
	w, used := l.window, parseUse(l.row.Attrs["used"])
	standing, owed := w.standing(parseUse(l.row.Attrs["standing"]), now), 0
	if now.Before(l.stands) {
		standing, owed = standing.change(w.slotAt(l.stands), -1), 1
	}
	n, at := w.grant(used, later(now, l.hold()), owed+standing.total(), size, c)
	b := batch{lease: lease{left: n - 1, size: n, from: at, scarce: w.busy(used, at)}}
	if c == live && size == 1 && owed == 0 && !b.scarce && !at.After(now) && l.silent(now) && standing.total() < w.mayStand() {
		b.stands = now.Add(standingFor)
		standing, n = standing.change(w.slotAt(b.stands), 1), 0
	}
	b.row = map[string]string{"used": w.add(used, now, at, n+owed).String(), "standing": standing.String()}
	return b
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
// While the budget is scarce it is just as much as they are, unless the last one was
// gone in a quarter of its time: what is wasted then is missing elsewhere.
func (l *Limiter) next(h *lease) int {
	waiting := int(l.queued.Load())
	size := max(1, h.size-h.left)
	now, quarter := l.Now(), h.until.Sub(h.from)/4
	soon := 2 * quarter
	if h.scarce {
		soon = quarter
	}
	switch {
	case h.left == 0 && now.Before(h.from.Add(soon)):
		size *= 2
	case h.scarce:
		size = waiting
	case now.After(h.until.Add(2 * quarter)):
		size = max(1, size/2)
	}
	return min(max(size, waiting), l.window.batch)
}
