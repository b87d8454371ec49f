package limit

import (
	"context"
	"errors"
	"time"

	"tandem/internal/flow"
)

// Whoever is under way goes before whoever has not begun, and whoever has waited
// before goes first: permits are given in the order of time, and how far ahead of
// now one may be taken is what differs. Admit takes one of the next half second, so
// that it is at hand when its time comes, a request one of the next second, and a
// request with Patience one further ahead.

// ahead is how far ahead of now work that has not begun may take a permit.
const ahead = inPlace / 2

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

type permitKey struct{}

// Admit waits, for as long as ctx lasts, until a request may be sent at once, and
// returns a context whose first request needs no other permit: work that cannot
// go on is better not begun. A permit that is not used soon lapses, and is exchanged
// for another when its request comes.
func (l *Limiter) Admit(ctx context.Context) (context.Context, error) {
	for {
		p, err := l.take(Patience(ctx, ahead))
		var e *flow.Error
		switch {
		case err == nil:
			if err := l.Sleep(ctx, p.from.Sub(l.Now())); err != nil {
				return nil, err
			}
			return context.WithValue(ctx, permitKey{}, p), nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case !errors.As(err, &e) || e.Code == flow.StoreBusy:
			return nil, err
		}
		// Not longer than a second at once, since the clocks of workers differ.
		if err := l.Sleep(ctx, min(max(e.RetryAfter-ahead, time.Millisecond), inPlace)); err != nil {
			return nil, err
		}
	}
}

// Room waits, for as long as ctx lasts, until a request could be sent, and takes no
// permit: for whoever begins work that asks elsewhere. One row is read each time.
func (l *Limiter) Room(ctx context.Context) error {
	for !l.unlimited() {
		rows, err := l.Table.Get(ctx, l.key)
		if err != nil {
			return &flow.Error{Code: flow.StoreBusy, Message: "the rate limit's row could not be read", Err: err}
		}
		pause := l.window.pause(rows[0].Attrs, l.Now())
		if pause <= 0 {
			break
		}
		if err := l.Sleep(ctx, min(pause, inPlace)); err != nil {
			return wait(l.System, pause)
		}
	}
	return nil
}

// pause is how long it is until one more request has room.
func (w window) pause(row map[string]string, now time.Time) time.Duration {
	apart := w.current(parseUse(row["standing"]), now, standingFor).total()
	g := w.grant(w.current(parseUse(row["used"]), now, furthest), later(now, millis(row["hold"])), apart, 1, live)
	return g.from.Sub(now)
}
