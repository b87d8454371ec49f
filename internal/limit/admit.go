package limit

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"tandem/internal/flow"
)

// Whoever is under way goes before whoever has not begun, and whoever has waited
// before goes first: permits are given in the order of time, and how far ahead of
// now one may be taken is what differs. Admit takes none that is not good at once,
// a request one of the next second, a request with Patience one further ahead.

type patienceKey struct{}

// Patience lets the calls of a context wait in place for up to d instead of a
// second, though never beyond its deadline.
func Patience(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, d)
}

func patience(ctx context.Context) time.Duration {
	if d, ok := ctx.Value(patienceKey{}).(time.Duration); ok {
		return d
	}
	return inPlace
}

// permit is one that was taken before the call that it is for.
type permit struct {
	of    *Limiter
	until time.Time
	used  atomic.Bool
}

type permitKey struct{}

// Admit waits, for as long as ctx lasts, until a request may be sent at once, and
// returns a context whose first request needs no other permit: work that cannot
// go on is better not begun. The permit lapses when it is not used soon.
func (l *Limiter) Admit(ctx context.Context) (context.Context, error) {
	for {
		_, err := l.take(Patience(ctx, 0))
		var e *flow.Error
		switch {
		case err == nil:
			p := &permit{of: l, until: l.Now().Add(l.window.validity(true))}
			return context.WithValue(ctx, permitKey{}, p), nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case !errors.As(err, &e) || e.Code == flow.StoreBusy:
			return nil, err
		}
		// Not longer than a second at once: the pause may be shortened by nobody, but
		// its end is told by the clock of another worker.
		if err := l.Sleep(ctx, min(max(e.RetryAfter, time.Millisecond), inPlace)); err != nil {
			return nil, err
		}
	}
}

// admitted uses the permit that the context brings along, if it is still good.
func (l *Limiter) admitted(ctx context.Context) bool {
	p, ok := ctx.Value(permitKey{}).(*permit)
	return ok && p.of == l && !l.Now().After(p.until) && p.used.CompareAndSwap(false, true)
}
