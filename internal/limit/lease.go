package limit

import (
	"context"
	"strconv"
	"time"

	"tandem/internal/flow"
	"tandem/internal/table"
)

// take hands out one permit. One that is too far ahead to wait for in place is not
// taken, but an error.
func (l *Limiter) take(ctx context.Context) (*permit, error) {
	l.queued.Add(1)
	defer l.queued.Add(-1)
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, wait(l.System, inPlace)
	}
	c, now := classOf(ctx), l.Now()
	if l.unlimited() {
		at := later(now, l.hold())
		return &permit{of: l, from: at, until: at.Add(standingFor)}, l.near(ctx, at, now)
	}
	p := l.spend(ctx, c, now)
	if p == nil {
		var err error
		if p, err = l.lease(ctx, c); err != nil {
			return nil, err
		}
	}
	l.sent(now)
	return p, nil
}

// near refuses an instant that lies too far ahead to wait for.
func (l *Limiter) near(ctx context.Context, at, now time.Time) error {
	if pause := at.Sub(now); pause > min(patience(ctx), furthest/2) || pause > 0 && beyond(ctx, pause) {
		return wait(l.System, pause)
	}
	return nil
}

// spend finds a permit at hand.
func (l *Limiter) spend(ctx context.Context, c class, now time.Time) *permit {
	if l.hold().After(now) {
		return nil
	}
	if h := &l.held[c]; len(h.left) > 0 && now.Before(h.until) && l.near(ctx, h.from, now) == nil {
		return h.pop()
	}
	if c == live && now.Before(l.stands) && l.silent(now) {
		return l.stand(now)
	}
	return nil
}

// hold is until when the remote asked to be left alone, as far as known here.
func (l *Limiter) hold() time.Time { return millis(l.row.Attrs["hold"]) }

// holding is what the row says of that: whole milliseconds, rather one more.
func holding(until time.Time) map[string]string {
	return map[string]string{"hold": strconv.FormatInt(until.Add(time.Millisecond-1).UnixMilli(), 10)}
}

func millis(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n)
}

// lease takes a batch from the row and returns its first permit. Where the budget
// is used up the batch is of the near future, so that nobody has to ask again.
func (l *Limiter) lease(ctx context.Context, c class) (*permit, error) {
	size := l.next(&l.held[c])
	for range tries {
		now := l.Now()
		b := l.plan(c, size, now)
		if err := l.near(ctx, b.from, now); err != nil {
			return nil, err
		}
		err := l.update(ctx, b.row)
		if _, moved := table.Moved(err); moved {
			if b.scarce { // many ask: ask less often
				size = min(2*size, l.window.batch)
			}
			continue
		}
		l.know(b.told, err)
		l.stands = time.Time{} // given up, also when it is not known whether the row was written
		if err != nil {
			return nil, err
		}
		return l.receive(c, b, now), nil
	}
	return nil, &flow.Error{Code: flow.StoreBusy, Message: "the rate limit's row changed too often"}
}

// batch is what is to be taken, and what the row is to say.
type batch struct {
	grant
	stands time.Time // until when a standing permit is good, taken instead
	told   []told
	row    map[string]string
}

// plan works out a batch from the row as it was last seen.
func (l *Limiter) plan(c class, size int, now time.Time) (b batch) {
	w := l.window
	used, told := l.used(now)
	b.told = told
	standing, stood := w.current(parseUse(l.row.Attrs["standing"]), now, standingFor), now.Before(l.stands)
	if stood {
		standing = standing.change(w.slotAt(l.stands), -1)
	}
	b.grant = w.grant(used, later(now, l.hold()), standing.total(), size, c)
	if c == live && size == 1 && !stood && !b.scarce && !b.from.After(now) && l.silent(now) && standing.total() < w.mayStand() {
		b.stands = now.Add(standingFor)
		standing = standing.change(w.slotAt(b.stands), 1)
	} else {
		used = used.change(w.slotAt(b.until), b.count)
	}
	b.row = map[string]string{"used": used.String(), "standing": standing.String()}
	return b
}

// receive makes permits of a batch that the row now counts, and returns the first.
func (l *Limiter) receive(c class, b batch, now time.Time) *permit {
	h := &l.held[c]
	*h = lease{grant: b.grant}
	if l.stands = b.stands; now.Before(b.stands) {
		return l.stand(now)
	}
	for range b.count {
		h.left = append(h.left, &permit{of: l, from: b.from, until: b.until, counted: l.window.slotAt(b.until)})
	}
	l.open = append(l.open, h.left...)
	return h.pop()
}

// pop takes the first of the permits that are left.
func (h *lease) pop() *permit {
	p := h.left[0]
	h.left = h.left[1:]
	return p
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
	size := max(1, h.count-len(h.left))
	now, quarter := l.Now(), h.until.Sub(h.from)/4
	soon := 2 * quarter
	if h.scarce {
		soon = quarter
	}
	switch {
	case len(h.left) == 0 && now.Before(h.from.Add(soon)):
		size *= 2
	case h.scarce:
		size = waiting
	case now.After(h.until.Add(2 * quarter)):
		size = max(1, size/2)
	}
	return min(max(size, waiting), l.window.batch)
}
