package limit

import (
	"slices"
	"time"
)

// Sparse traffic would cost the table a request for each one sent. So a worker that
// asks after a whole window of silence may get a standing permit: one request in any
// window without asking, until it expires. The row counts it against everybody's
// budget all that time, used or not, so any number of workers may wake at once. With
// its next batch the worker gives it up, and what was sent on it is recorded instead:
// a burst has the whole budget.

const (
	// standingFor is how long a standing permit is good.
	standingFor = time.Hour
	// standingMost is how many may be given: to the functions that ask one system in
	// sparse traffic, Transform, Lookup and Write, and one more. It is what workers
	// that are gone with theirs cost the others, so it is one in standingShare of the
	// budget at most.
	standingMost, standingShare = 4, 25
)

// mayStand is how many standing permits the budget allows.
func (w window) mayStand() int { return min(w.burst/standingShare, standingMost) }

// stand uses the standing permit for one request.
func (l *Limiter) stand(now time.Time) *permit {
	l.open = slices.DeleteFunc(l.open, func(p *permit) bool {
		slot, final := p.outcome(l.window, now)
		return final && !l.window.expires(slot, l.window.per).After(now)
	})
	p := &permit{of: l, from: now, until: now.Add(l.window.validity(false))}
	l.open = append(l.open, p)
	return p
}

// silent reports whether this worker's last request has left every window.
func (l *Limiter) silent(now time.Time) bool {
	return now.Sub(time.Unix(0, l.last.Load())) >= l.window.per+l.window.guard
}

// total adds everything up.
func (u use) total() (n int) {
	for _, g := range u {
		n += g.count
	}
	return n
}

// change adds n to the count of a slot, in order, but takes nothing from one that
// has left; slot 0 is none.
func (u use) change(slot int64, n int) use {
	if slot == 0 {
		return u
	}
	i := 0
	for i < len(u) && u[i].slot < slot {
		i++
	}
	if i == len(u) || u[i].slot > slot {
		u = slices.Insert(u, i, given{slot: slot})
	}
	if u[i].count += n; u[i].count <= 0 {
		return slices.Delete(u, i, i+1)
	}
	return u
}
