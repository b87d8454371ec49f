package limit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tandem/internal/flow"
	"tandem/internal/limit"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

func seconds(n float64) spec.Duration {
	return spec.Duration{Duration: time.Duration(n * float64(time.Second))}
}

// distant is a table that takes time to answer, as one over a network does.
type distant struct {
	table.Table
	delay func() time.Duration
}

func (d distant) Update(ctx context.Context, u ...table.Update) ([]int64, error) {
	time.Sleep(d.delay())
	defer func() { time.Sleep(d.delay()) }()
	return d.Table.Update(ctx, u...)
}

// open opens an embedded table on the (simulated) clock of the test.
func open(t *testing.T) table.Table {
	t.Helper()
	tab, err := embedded.Open(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tab.Close(); err != nil {
			t.Error(err)
		}
	})
	return tab
}

// always is how long something takes each time.
func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

func limiter(t *testing.T, tab table.Table, b spec.RateLimit) *limit.Limiter {
	t.Helper()
	l, err := limit.New(limit.Options{Table: tab, System: record.HubSpot, Budget: b})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// strict is a system that refuses more than limit requests in any rolling window.
type strict struct {
	mu       sync.Mutex
	limit    int
	per      time.Duration
	accepted []time.Time
	refused  int
	began    time.Time
}

func (s *strict) call() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.began.IsZero() {
		s.began = now
	}
	recent := 0
	for i := len(s.accepted) - 1; i >= 0 && now.Sub(s.accepted[i]) < s.per; i-- {
		recent++
	}
	if recent >= s.limit {
		s.refused++
		return false
	}
	s.accepted = append(s.accepted, now)
	return true
}

// TestBurst sends 10,000 requests through eight workers with four callers each
// at a system with HubSpot's limit: at least 95 % of it is used, less than 0.1 % of
// the answers are 429, and no worker asks the table for each request.
func TestBurst(t *testing.T) {
	for name, c := range map[string]struct {
		budget           spec.RateLimit
		workers, callers int
	}{
		"190 in 10 s":              {spec.RateLimit{Requests: 190, Per: seconds(10)}, 8, 4},
		"190 in 10 s, single file": {spec.RateLimit{Requests: 190, Per: seconds(10)}, 8, 1},
		"100 in 1 s":               {spec.RateLimit{Requests: 100, Per: seconds(1)}, 8, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { burst(t, c.budget, c.workers, c.callers) })
		})
	}
}

func burst(t *testing.T, b spec.RateLimit, workers, callers int) {
	const jobs = 10000
	tab := distant{open(t), always(2 * time.Millisecond)}
	remote := &strict{limit: b.Requests, per: b.Per.Duration}
	var left atomic.Int64
	left.Store(jobs)
	var limiters []*limit.Limiter
	var wg sync.WaitGroup
	for range workers {
		l := limiter(t, tab, b)
		for range callers {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					one(t, l, remote)
				}
			})
		}
		limiters = append(limiters, l)
	}
	wg.Wait()
	took := time.Since(remote.began)
	allowed := float64(b.Requests) * (1 + float64(took)/float64(b.Per.Duration))
	used, refused := float64(jobs)/allowed, float64(remote.refused)/jobs
	requests := int64(0)
	for _, l := range limiters {
		requests += l.TableRequests()
	}
	t.Logf("%.1f %% of the allowed rate, %.3f %% refused, %v, %.2f table requests each", 100*used, 100*refused, took, float64(requests)/jobs)
	if used < 0.95 || refused >= 0.001 || requests > jobs || len(remote.accepted) != jobs {
		t.Errorf("used %.3f of the rate (want 0.95), %.4f refused (want below 0.001), %d table requests, %d of %d done", used, refused, requests, len(remote.accepted), jobs)
	}
}

// one does one job as a machine would: wait, try, again after what it was told.
func one(t *testing.T, l *limit.Limiter, remote *strict) {
	for {
		err := l.Wait(t.Context())
		var e *flow.Error
		switch {
		case errors.As(err, &e):
			time.Sleep(e.RetryAfter)
			continue
		case err != nil:
			t.Error(err)
			return
		}
		time.Sleep(30 * time.Millisecond) // the way there
		if remote.call() {
			return
		}
	}
}

// TestTableRequests counts what the limiters ask of the table: of three workers with
// sparse traffic, as functions that ask one system are, and of one with dense traffic.
func TestTableRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := spec.RateLimit{Requests: 190, Per: seconds(10)}
		shared, dense := open(t), limiter(t, open(t), b)
		sparse := []*limit.Limiter{limiter(t, shared, b), limiter(t, shared, b), limiter(t, shared, b)}
		for range 100 {
			time.Sleep(time.Minute)
			for _, l := range sparse {
				if err := l.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 90 {
			time.Sleep(20 * time.Millisecond)
			if err := dense.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		few := int64(0)
		for _, l := range sparse {
			few += l.TableRequests()
		}
		t.Logf("3 x 100 requests, one a minute: %d table requests; 90 requests, 20 ms apart: %d", few, dense.TableRequests())
		if few > 20 {
			t.Errorf("sparse traffic cost %d table requests for 3 x 100, want a few an hour for each", few)
		}
		if n := dense.TableRequests(); n > 30 {
			t.Errorf("dense traffic cost %d table requests for 90, want at most 30", n)
		}
	})
}

// TestLiveShare keeps backfill out of the part that is reserved.
func TestLiveShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, open(t), spec.RateLimit{Requests: 40, Per: seconds(10), LiveShare: 60})
		count := func(ctx context.Context) (n int) {
			for l.Wait(ctx) == nil {
				n++
			}
			return n
		}
		if n := count(limit.Backfill(t.Context())); n != 16 {
			t.Errorf("backfill got %d of 40, want 16", n)
		}
		if n := count(t.Context()); n != 24 {
			t.Errorf("live traffic then got %d, want the remaining 24", n)
		}
	})
}

// TestThrottled shares a remote's pause with a worker that did not see it.
func TestThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := open(t)
		b := spec.RateLimit{Requests: 20, Per: seconds(10)}
		one, other := limiter(t, tab, b), limiter(t, tab, b)
		for _, c := range []struct {
			asked time.Duration
			want  flow.Code
		}{
			{7 * time.Second, flow.RateLimited},
			{time.Hour, flow.QuotaExhausted},
		} {
			if err := one.Throttled(t.Context(), c.asked); err != nil {
				t.Fatal(err)
			}
			var e *flow.Error
			if err := other.Wait(t.Context()); !errors.As(err, &e) || e.Code != c.want || e.RetryAfter > c.asked || e.RetryAfter < c.asked-time.Second {
				t.Errorf("the other worker got %v, want %s for %v", err, c.want, c.asked)
			}
			time.Sleep(c.asked)
			if err := other.Wait(t.Context()); err != nil {
				t.Errorf("after the pause: %v", err)
			}
		}
	})
}

// TestDeadline never sleeps beyond the context's end.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, open(t), spec.RateLimit{Requests: 1, Per: seconds(0.9)})
		if err := l.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := l.Wait(ctx); flow.CodeOf(err) != flow.RateLimited || time.Since(began) != 0 {
			t.Errorf("got %v after %v, want RateLimited at once", err, time.Since(began))
		}
		if err := l.Wait(t.Context()); err != nil || time.Since(began) < 800*time.Millisecond {
			t.Errorf("got %v after %v, want a permit after a wait in place", err, time.Since(began))
		}
	})
}

// TestBurstBound spreads requests where the spec bounds how many come at once.
func TestBurstBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, open(t), spec.RateLimit{Requests: 40, Per: seconds(10), Burst: 4})
		n := 0
		for ; l.Wait(short(t)) == nil; n++ {
		}
		if n != 4 {
			t.Errorf("%d came at once, want 4", n)
		}
	})
}

// short is a context in which no wait fits.
func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestBudgets(t *testing.T) {
	for _, b := range []spec.RateLimit{{Requests: -1}, {Requests: 1, Per: seconds(0.01)}, {Requests: 1, LiveShare: 100}, {Requests: 1, Burst: -1}} {
		if _, err := limit.New(limit.Options{Table: distant{}, Budget: b}); err == nil {
			t.Errorf("budget %+v was accepted", b)
		}
	}
}

type respond func(*http.Request) *http.Response

func (f respond) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// TestTransport holds back single HTTP requests, with a budget of our own and
// without: what the remote asks for counts either way, and its body stays whole.
func TestTransport(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for name, b := range map[string]spec.RateLimit{"budget": {Requests: 100, Per: seconds(10)}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				busy := respond(func(r *http.Request) *http.Response {
					sent++
					return &http.Response{StatusCode: 429, Body: io.NopCloser(strings.NewReader(long)), Request: r}
				})
				pause := func(status int, _ http.Header, body []byte) (time.Duration, bool) {
					return 9 * time.Second, status == 429 && strings.HasPrefix(string(body), "xxx")
				}
				c := http.Client{Transport: limit.Transport(busy, limiter(t, open(t), b), pause)}
				resp, err := c.Get("http://remote.test/")
				if err != nil || resp.StatusCode != 429 {
					t.Fatal(resp, err)
				}
				if body, err := io.ReadAll(resp.Body); err != nil || string(body) != long {
					t.Errorf("%d bytes of the answer are left, want %d", len(body), len(long))
				}
				_, err = c.Post("http://remote.test/", "text/plain", strings.NewReader("x"))
				var e *flow.Error
				if !errors.As(err, &e) || e.Code != flow.RateLimited || e.RetryAfter < 8*time.Second || sent != 1 {
					t.Errorf("got %v after %d requests, want RateLimited for 9 s after one", err, sent)
				}
				if time.Sleep(9 * time.Second); second(c.Get("http://remote.test/")) != nil || sent != 2 {
					t.Error("nothing is sent after the pause")
				}
			})
		})
	}
}

func second[T any](_ T, err error) error { return err }
