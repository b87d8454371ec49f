package limit

import (
	"context"
	"sync/atomic"
	"time"

	"tandem/internal/table"
)

// A permit is taken before its request can be sent, and what happens between is in
// nobody's hand: a core is busy, a connection has to be made, the request turns out
// not to be needed. So the row counts a permit for the last instant at which it may
// be used, and whoever comes later takes a new one. With its next request to the table
// a worker has the row tell what became of its permits instead: one that was used
// counts from when its request was written, one that lapsed no longer counts.

// permit is leave to send one request, good from an instant until another.
type permit struct {
	of          *Limiter
	from, until time.Time
	counted     int64        // the slot in which the row counts it, 0 for none
	state       atomic.Int64 // one of those below, or when its request was written, in Unix ns
}

const (
	open int64 = iota
	claimed
	lapsed
)

// claim takes the permit for a request that is sent now; false when it is too late.
func (p *permit) claim(now time.Time) bool {
	return !now.After(p.until) && p.state.CompareAndSwap(open, claimed)
}

// wrote notes when the request of a claimed permit was written. Of a request that
// is written again the last time counts.
func (p *permit) wrote(now time.Time) {
	p.state.Store(now.UnixNano())
	p.of.sent(now)
}

// sent notes when the last request was sent.
func (l *Limiter) sent(now time.Time) {
	for was := l.last.Load(); was < now.UnixNano() && !l.last.CompareAndSwap(was, now.UnixNano()); {
		was = l.last.Load()
	}
}

// returned notes the end of a request that nobody has seen being written.
func (p *permit) returned(now time.Time) {
	if p.state.Load() == claimed {
		p.wrote(now)
	}
}

// outcome is the slot that the permit is to be counted in, 0 for none, and whether
// that is final. One that is too old to be used lapses.
func (p *permit) outcome(w window, now time.Time) (slot int64, final bool) {
	if now.After(p.until) {
		p.state.CompareAndSwap(open, lapsed)
	}
	switch s := p.state.Load(); s {
	case open, claimed:
		return w.slotAt(p.until), false
	case lapsed:
		return 0, true
	default:
		return w.slotAt(time.Unix(0, s)), true
	}
}

// told is what a row is told of a permit.
type told struct {
	p     *permit
	slot  int64
	final bool
}

// used is what the row says, with what it is to say of this worker's permits instead.
func (l *Limiter) used(now time.Time) (use, []told) {
	u := l.window.current(parseUse(l.row.Attrs["used"]), now, furthest)
	var all []told
	for _, p := range l.open {
		slot, final := p.outcome(l.window, now)
		if slot != p.counted {
			u = u.change(p.counted, -1).change(slot, 1)
		}
		all = append(all, told{p, slot, final})
	}
	return u, all
}

// know notes that the row was told. Where it is not known whether it was written it
// is told nothing again: what it counts then counts until it expires.
func (l *Limiter) know(all []told, err error) {
	l.open = nil
	for _, t := range all {
		if t.p.counted = t.slot; !t.final && err == nil {
			l.open = append(l.open, t.p)
		}
	}
}

// late has the row tell at once of a request that was written when its permit was no
// longer good, as after a connection that took its time: others count on that.
func (l *Limiter) late(ctx context.Context, p *permit) {
	if p.state.Load() <= p.until.UnixNano() {
		return
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return
	}
	for range tries {
		used, all := l.used(l.Now())
		err := l.update(ctx, map[string]string{"used": used.String()})
		if _, moved := table.Moved(err); !moved {
			l.know(all, err)
			return
		}
	}
}
