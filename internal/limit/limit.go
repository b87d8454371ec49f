// Package limit keeps every worker, and both directions, within one budget of
// requests per system.
//
// The budget is a rolling window kept in one row of the table: never more than
// Requests are let through in any interval of Per, which is what systems count
// (HubSpot: "ten_secondly_rolling"). A token bucket or GCRA would let through
// nearly twice that after a quiet moment. A worker takes permits in small
// batches by one conditional update, up to a second ahead where the present is
// used up, and decides everything else from the row it saw last: others hardly
// take from it, so a "no" needs no asking. Nothing is sent that the row does not
// count, and no earlier than it is sent (see permit); what sparse traffic sends
// without asking, it counts ahead.
//
// A wait of up to a second is slept in place, a longer one where the caller has
// Patience or waits to be admitted (see Admit); else it is the machine's, as
// flow.RateLimited with RetryAfter; one that no execution can wait out is
// flow.QuotaExhausted. What a remote asks for with 429 holds all workers back.
package limit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

const (
	// inPlace is the longest wait that is slept here.
	inPlace = time.Second
	// hopeless is the shortest wait that a five-minute execution cannot retry
	// through, with room for its own work.
	hopeless = 2 * time.Minute
	// furthest is further ahead than any permit is good, and half of it than any is
	// taken.
	furthest = 30 * time.Second
	// tries bounds how often one call competes for the row.
	tries = 50
)

// Options are what a Limiter is built from.
type Options struct {
	Table  table.Table
	System record.System
	// Part names a kind of request that is counted apart; the system's when empty.
	Part   string
	Budget spec.RateLimit
	// Now is the clock, time.Now when nil; Sleep waits and ends early with the
	// context's error, a timer when nil.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Limiter hands out permits of one system's budget. It is safe for concurrent
// use; all workers that share the table share the budget.
type Limiter struct {
	Options
	window window
	key    table.Key
	turn   chan struct{} // taken by whoever looks at the fields below
	row    table.Item    // as it was last seen
	held   [2]lease      // permits taken and not used yet, per class
	open   []*permit     // of which the row does not tell yet what became
	last   atomic.Int64  // when the last request was sent, in Unix ns
	stands time.Time     // until when a standing permit is held
	queued atomic.Int32  // callers waiting for their turn
	asked  atomic.Int64  // requests to the table
}

// lease is a batch of permits, good from an instant until another.
type lease struct {
	grant
	left []*permit
}

// New makes a limiter. A budget without Requests lets everything through but
// what the remote asks for, which each worker then hears for itself.
func New(o Options) (*Limiter, error) {
	var w window
	if o.Budget.Requests != 0 {
		var err error
		if w, err = newWindow(o.Budget); err != nil {
			return nil, fmt.Errorf("rate limit of %s: %w", o.System, err)
		}
	}
	if o.Table == nil {
		return nil, errors.New("rate limit: no table; set Options.Table")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	return &Limiter{
		Options: o, window: w, turn: make(chan struct{}, 1),
		key: table.Key{PK: "LIMIT#" + string(o.System), SK: cmp.Or(o.Part, "window")},
	}, nil
}

// unlimited reports whether the budget sets no limit of its own.
func (l *Limiter) unlimited() bool { return l.window.requests == 0 }

// TableRequests counts the requests made to the table so far.
func (l *Limiter) TableRequests() int64 { return l.asked.Load() }

// sleep waits on the machine's clock; for no time it makes no timer.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// class tells live traffic from backfill.
type class int

const (
	live class = iota
	backfill
)

type classKey struct{}

// Backfill marks calls that must leave the live share of the budget alone.
func Backfill(ctx context.Context) context.Context {
	return context.WithValue(ctx, classKey{}, backfill)
}

func classOf(ctx context.Context) class {
	c, _ := ctx.Value(classKey{}).(class)
	return c
}

// Wait returns nil when a request may be sent, which is to be done at once. It sleeps
// for at most a second, unless the context has more Patience, and never beyond the
// context's deadline; what it returns else is RateLimited, QuotaExhausted or StoreBusy.
func (l *Limiter) Wait(ctx context.Context) error {
	p, err := l.permit(ctx)
	if err == nil {
		p.wrote(l.Now())
	}
	return err
}

// permit returns one for a request that is sent now.
func (l *Limiter) permit(ctx context.Context) (*permit, error) {
	if p, ok := ctx.Value(permitKey{}).(*permit); ok && p.of == l && p.claim(l.Now()) {
		return p, nil
	}
	for { // until one has not lapsed by the time that this process is awake
		p, err := l.take(ctx)
		if err != nil {
			return nil, err
		}
		if pause := p.from.Sub(l.Now()); pause > 0 {
			if err := l.Sleep(ctx, pause); err != nil {
				return nil, wait(l.System, pause)
			}
		}
		if p.claim(l.Now()) {
			return p, nil
		}
	}
}

// beyond reports whether the context ends before a pause does. Deadlines are in
// the machine's time whatever clock the limiter runs on.
func beyond(ctx context.Context, pause time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) <= pause
}

// wait is the error for a wait that belongs to the machine.
func wait(s record.System, pause time.Duration) error {
	code, what := flow.RateLimited, "the shared budget is used up"
	if pause >= hopeless {
		code, what = flow.QuotaExhausted, "the remote asked to be left alone for long"
	}
	return &flow.Error{Code: code, Message: fmt.Sprintf("%s: %s", s, what), RetryAfter: pause}
}

// update changes the row if it still is as it was seen; whatever it is instead
// is remembered.
func (l *Limiter) update(ctx context.Context, set map[string]string) error {
	l.asked.Add(1)
	revs, err := l.Table.Update(ctx, table.Update{Key: l.key, If: table.AtRev(l.row.Rev), Set: set})
	if current, ok := table.Moved(err); ok {
		l.row = current
		return err
	}
	if err != nil {
		return &flow.Error{Code: flow.StoreBusy, Message: "the rate limit's row could not be written", Err: err}
	}
	attrs := maps.Clone(l.row.Attrs)
	if attrs == nil {
		attrs = map[string]string{}
	}
	maps.Copy(attrs, set)
	l.row = table.Item{Key: l.key, Rev: revs[0], Attrs: attrs}
	return nil
}

// Throttled tells all workers that the remote asked for a pause of d; a tenth of
// the window where it did not say. The longest pause asked for wins.
func (l *Limiter) Throttled(ctx context.Context, d time.Duration) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	until := l.Now().Add(cmp.Or(d, l.window.per/10, time.Second))
	l.held = [2]lease{}
	if l.unlimited() {
		l.row.Attrs = holding(later(until, l.hold()))
		return nil
	}
	for range tries {
		if !l.hold().Before(until) {
			return nil
		}
		err := l.update(ctx, holding(until))
		if _, moved := table.Moved(err); !moved {
			return err // also nil
		}
	}
	return &flow.Error{Code: flow.StoreBusy, Message: "the rate limit's row changed too often"}
}
