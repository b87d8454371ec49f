package limit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tandem/internal/flow"
	"tandem/internal/limit"
	"tandem/spec"
)

// TestAdmittedBurst sends 10,000 requests as servers do: one dispatcher each, which
// begins work that is admitted, of one call or of three, on cores and a table that now
// and then are late. At least 95 % of the rate is used, hardly anything is refused, and
// hardly a call was told to wait more often than a state machine retries.
func TestAdmittedBurst(t *testing.T) {
	for _, calls := range []int{1, 3} {
		for _, late := range []time.Duration{time.Millisecond, 10 * time.Millisecond} {
			t.Run(fmt.Sprint(calls, " calls each, late by ", late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { admitted(t, calls, late) })
			})
		}
	}
}

// lateness draws how late a core is: by mean on average, now and then by far more.
func lateness(mean time.Duration) func() time.Duration {
	return func() time.Duration {
		d := rand.ExpFloat64() * float64(mean)
		if rand.IntN(50) == 0 {
			d *= 25
		}
		return time.Duration(d)
	}
}

func admitted(t *testing.T, calls int, mean time.Duration) {
	const requests, workers, retries = 10_000, 8, 5
	b, core := spec.RateLimit{Requests: 190, Per: seconds(10)}, lateness(mean)
	tab := distant{open(t), core}
	remote := &strict{limit: b.Requests, per: b.Per.Duration}
	var left, over, asked atomic.Int64
	left.Store(int64(requests / calls))
	var wg sync.WaitGroup
	work := func(ctx context.Context, send func(context.Context) error, limited *atomic.Int64) {
		waited := 0
		for range calls {
			for try := range 100 {
				if waited > 0 {
					ctx = limit.Patience(ctx, 8*time.Second)
				}
				err := send(ctx)
				if err == nil {
					break
				}
				if waited++; flow.CodeOf(err) != flow.RateLimited {
					t.Error(err)
				}
				if try == retries {
					over.Add(1)
				}
				limited.Add(1)
				time.Sleep(time.Duration(rand.Int64N(int64(time.Second) << try))) // as the machines do
				limited.Add(-1)
			}
		}
	}
	for range workers {
		l := limiter(t, tab, b)
		send := paced(wire{remote, core, core}, l)
		wg.Go(func() {
			defer func() { asked.Add(l.TableRequests()) }()
			var limited atomic.Int64
			for left.Add(-1) >= 0 {
				for limited.Load() >= 8 { // as the engine does
					time.Sleep(10 * time.Millisecond)
				}
				ctx, err := l.Admit(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				wg.Go(func() {
					time.Sleep(core())
					work(ctx, send, &limited)
				})
			}
		})
	}
	wg.Wait()
	// The end belongs to the few that have waited by chance for longest.
	most := len(remote.accepted) * 99 / 100
	took := remote.accepted[most-1].Sub(remote.began)
	used := float64(most) / (float64(b.Requests) * (1 + float64(took)/float64(b.Per.Duration)))
	t.Logf("%.1f %% of the allowed rate, %d refused, %v, %d postponed, %.2f table requests each",
		100*used, remote.refused, took, over.Load(), float64(asked.Load())/requests)
	if used < 0.95 || remote.refused > requests/500 || over.Load() > requests/500 || asked.Load() > requests {
		t.Errorf("used %.3f of the rate, %d refused, %d postponed, %d table requests", used, remote.refused, over.Load(), asked.Load())
	}
}

// TestAdmit begins work only when its first request can be sent, which then needs
// no other permit, and leaves the next second to work that has begun.
func TestAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, b := open(t), spec.RateLimit{Requests: 4, Per: seconds(10)}
		l, other := limiter(t, tab, b), limiter(t, tab, b)
		began := time.Now()
		for i := range 6 {
			ctx, err := l.Admit(t.Context())
			if waited := time.Since(began); err != nil || (waited > 9*time.Second) != (i >= 4) {
				t.Fatalf("admission %d after %v: %v", i, waited, err)
			}
			// The permit is good for this limiter's next request, and for one only.
			if err := l.Wait(ctx); err != nil {
				t.Errorf("the admitted request: %v", err)
			}
			if i == 3 {
				for name, err := range map[string]error{"a second request": l.Wait(ctx), "another system's": other.Wait(ctx)} {
					if flow.CodeOf(err) != flow.RateLimited {
						t.Errorf("%s: %v, want RateLimited", name, err)
					}
				}
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for l.Wait(t.Context()) == nil {
		}
		if _, err := l.Admit(ctx); err == nil {
			t.Error("admitted beyond the budget")
		}
	})
}

// TestRoom waits until a request could be sent, whoever has taken the permits and
// whatever the remote has asked for, and takes none itself.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, b := open(t), spec.RateLimit{Requests: 2, Per: seconds(10)}
		l, other := limiter(t, tab, b), limiter(t, tab, b)
		for range 2 {
			if err := errors.Join(l.Room(t.Context()), other.Wait(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Room(short(t)); flow.CodeOf(err) != flow.RateLimited {
			t.Errorf("got %v while there is no room, want RateLimited", err)
		}
		began := time.Now()
		if err := l.Room(t.Context()); err != nil || time.Since(began) < 10*time.Second {
			t.Errorf("got %v after %v, want room after 10 s", err, time.Since(began))
		}
		if err := other.Throttled(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		if err := l.Room(t.Context()); err != nil || time.Since(began) < time.Minute {
			t.Errorf("got %v after %v, want room after the pause", err, time.Since(began))
		}
	})
}

// TestAdmittedLate does not use a permit that was taken long ago, but exchanges it.
func TestAdmittedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, open(t), spec.RateLimit{Requests: 1, Per: seconds(10)})
		ctx, err := l.Admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if err := l.Wait(ctx); err != nil || l.TableRequests() != 2 {
			t.Errorf("got %v after %d table requests, want a new permit by the second", err, l.TableRequests())
		}
		if err := l.Wait(ctx); flow.CodeOf(err) != flow.RateLimited {
			t.Errorf("a second request: %v, want RateLimited", err)
		}
	})
}

// TestPatience waits in place for longer where the caller can.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, open(t), spec.RateLimit{Requests: 1, Per: seconds(5)})
		patient := limit.Patience(t.Context(), 6*time.Second)
		began := time.Now()
		if err := l.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.Wait(t.Context()); flow.CodeOf(err) != flow.RateLimited {
			t.Errorf("without patience: %v", err)
		}
		if err := l.Wait(patient); err != nil || time.Since(began) < 5*time.Second {
			t.Errorf("with patience: %v after %v", err, time.Since(began))
		}
	})
}
