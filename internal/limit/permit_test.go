package limit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tandem/internal/limit"
	"tandem/spec"
)

// wire takes requests to a system: some time passes until a request is written, and
// some more, at most the hundredth of a window that the limiter allows for, on its way.
type wire struct {
	remote      *strict
	write, away func() time.Duration
}

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(w.write())
	httptrace.ContextClientTrace(r.Context()).WroteRequest(httptrace.WroteRequestInfo{})
	time.Sleep(w.away())
	w.remote.call()
	time.Sleep(w.away())
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

// upTo draws a time.
func upTo(d time.Duration) func() time.Duration {
	return func() time.Duration { return time.Duration(rand.Int64N(int64(d))) }
}

// paced sends requests by way of a limiter; errors come only from it.
func paced(w wire, l *limit.Limiter) func(context.Context) error {
	rt := limit.Transport(w, l, func(int, http.Header, []byte) (time.Duration, bool) { return 0, false })
	return func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://remote.test/", nil)
		if err == nil {
			_, err = rt.RoundTrip(r)
		}
		return err
	}
}

// TestLate sends long after permission was asked for: what was admitted in a quiet
// moment begins seconds later, and connections take their time. Even so the system
// never sees more than its limit in any window.
func TestLate(t *testing.T) {
	for _, requests := range []int{5, 20, 190} {
		for round := range 5 {
			t.Run(fmt.Sprintf("%d in 10 s, round %d", requests, round), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { late(t, requests) })
			})
		}
	}
}

func late(t *testing.T, requests int) {
	b := spec.RateLimit{Requests: requests, Per: seconds(10)}
	tab := distant{open(t), always(5 * time.Millisecond)}
	remote := &strict{limit: b.Requests, per: b.Per.Duration}
	begin, gap := upTo(4*time.Second), upTo(200*time.Millisecond)
	var wg sync.WaitGroup
	for range 4 {
		l := limiter(t, tab, b)
		send := paced(wire{remote, upTo(3 * time.Second), upTo(100 * time.Millisecond)}, l)
		wg.Go(func() {
			for range requests {
				time.Sleep(gap())
				ctx, err := l.Admit(t.Context())
				if err != nil {
					t.Error(err)
				}
				wg.Go(func() {
					time.Sleep(begin())
					for send(ctx) != nil {
						time.Sleep(time.Second)
					}
				})
			}
		})
	}
	wg.Wait()
	if remote.refused > 0 {
		t.Errorf("%d of %d were refused", remote.refused, 4*requests)
	}
}

// TestUnused gives back what was taken and not used, with the next request to the table.
func TestUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, open(t), spec.RateLimit{Requests: 4, Per: seconds(10)})
		for range 4 {
			if _, err := l.Admit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Wait(short(t)); err == nil {
			t.Fatal("a fifth permit of four")
		}
		time.Sleep(3 * time.Second) // nobody comes
		n := 0
		for l.Wait(short(t)) == nil {
			n++
		}
		if n != 4 {
			t.Errorf("%d permits after four had lapsed, want 4", n)
		}
	})
}
