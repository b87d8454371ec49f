package beat

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/spec"
)

const secret = "a secret of enough bytes"

// fake is a Centre that answers with statuses in turn, then 204.
type fake struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int
	beats    []Beat
}

func newFake(t *testing.T, statuses ...int) *fake {
	f := &fake{statuses: statuses}
	key, _ := Key(secret, "acme")
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var b Beat
		if err := errors.Join(Verify(r.Header, key, time.Now(), body), json.Unmarshal(body, &b), b.Validate()); err != nil {
			t.Errorf("the reporter sent a beat that is refused: %v", err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.beats = append(f.beats, b)
		status := http.StatusNoContent
		if len(f.statuses) > 0 {
			status, f.statuses = f.statuses[0], f.statuses[1:]
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(f.Close)
	return f
}

func reporter(t *testing.T, url string, every time.Duration) *Reporter {
	r, err := New(Options{Client: "acme", Handler: "stamp", Direction: spec.ToHubSpot, Every: every, URL: url, Secret: secret,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCountsArriveOnce(t *testing.T) {
	f := newFake(t)
	r := reporter(t, f.URL, time.Hour)
	r.o.Prices = Prices{spec.ToHubSpot: {Stamped: 18_000, Dropped: 600, Dead: 1_200}}
	for range 10 {
		r.Event(spec.ToHubSpot)
	}
	r.Outcome(spec.ToHubSpot, Dropped, Echo, time.Millisecond)
	r.Outcome(spec.ToHubSpot, Dead, Cause(flow.UnknownEnum), time.Millisecond)
	r.Outcome(spec.ToHubSpot, Dead, "jane@example.com", time.Millisecond)
	r.Error("jane@example.com")
	r.Signal(FieldParked)
	r.Signal("jane@example.com")
	r.Budget(10, 100)
	for range 2 {
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.beats) != 2 {
		t.Fatalf("%d beats for two flushes", len(f.beats))
	}
	w := f.beats[0].Ways[spec.ToHubSpot]
	if w.Events != 10 || w.Causes[Dropped][Echo] != 1 || w.Causes[Dead][Cause(flow.UnknownEnum)] != 1 || w.Latency.Count() != 3 {
		t.Errorf("first beat: %+v", w)
	}
	if w.Causes[Dead][Other] != 1 || f.beats[0].Errors[flow.Code(Other)] != 1 || len(f.beats[0].Signals) != 1 {
		t.Errorf("words outside the sets: %+v %+v", w.Causes, f.beats[0])
	}
	if got := f.beats[0].CostMicros; got != 3 { // 0.6 + 1.2 + 1.2
		t.Errorf("the first beat tells of %d millionths", got)
	}
	if f.beats[1].Ways != nil || f.beats[1].CostMicros != 0 || f.beats[1].Seq != 2 {
		t.Errorf("second beat repeats counts: %+v", f.beats[1])
	}
}

func TestUnansweredBeatIsSentAgainUnderItsNonce(t *testing.T) {
	f := newFake(t, 500, 409)
	r := reporter(t, f.URL, time.Hour)
	r.Event(spec.ToHubSpot)
	if r.Flush(t.Context()) == nil {
		t.Fatal("a 500 is no error")
	}
	r.Event(spec.ToHubSpot)
	for range 2 {
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b := f.beats
	if len(b) != 3 || b[0].Nonce != b[1].Nonce || b[1].Nonce == b[2].Nonce {
		t.Fatalf("want the first beat twice and then another, got %d beats", len(b))
	}
	if b[1].Ways[spec.ToHubSpot].Events != 1 || b[2].Ways[spec.ToHubSpot].Events != 1 {
		t.Error("an event was lost or moved between beats")
	}
}

func TestAbandonedBeatJoinsTheNext(t *testing.T) {
	now := time.Now()
	f := newFake(t, 500)
	r := reporter(t, f.URL, time.Hour)
	r.o.Now = func() time.Time { return now }
	r.Event(spec.ToHubSpot)
	r.o.Prices = Prices{spec.ToHubSpot: {Stamped: 1_000}}
	r.Outcome(spec.ToHubSpot, Stamped, "", 0)
	_ = r.Flush(t.Context())
	now = now.Add(resendFor) // the fake's window is 5 minutes: sign with the real clock
	r.Event(spec.ToDestination)
	b := r.seal()
	if b.Nonce == f.beats[0].Nonce || b.Ways[spec.ToHubSpot].Events != 1 || b.Ways[spec.ToDestination].Events != 1 || b.CostMicros != 1 {
		t.Errorf("merged to %+v", b)
	}
}

// A Centre that accepts connections and never answers must not be noticed by
// the work: the calls return while the one background send still hangs.
func TestHangingCentreDelaysNothing(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{}, 100)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	}))
	defer s.Close()
	defer close(release)
	r, err := New(Options{Client: "acme", Handler: "stamp", Every: time.Nanosecond, URL: s.URL, Secret: secret,
		Timeout: time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r.Event(spec.ToHubSpot)
	<-asked // the send hangs for an hour from here on
	for range 10_000 {
		r.Event(spec.ToHubSpot)
		r.Outcome(spec.ToHubSpot, Stamped, "", time.Millisecond)
	}
	if len(asked) != 0 {
		t.Errorf("%d more requests while one hangs", len(asked))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Flush waits for the hanging send: %v", err)
	}
}

func TestTimeoutEndsASend(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	r, _ := New(Options{Client: "acme", Handler: "stamp", URL: s.URL, Secret: secret, Timeout: time.Millisecond})
	if err := r.Flush(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

func TestRunBeatsWithoutWorkAndAtTheEnd(t *testing.T) {
	f := newFake(t)
	r := reporter(t, f.URL, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	cancel()
	<-done
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.beats) == 0 {
		t.Error("no beat when a process ends")
	}
}

func TestNewRefusesWhatItCannotReport(t *testing.T) {
	for name, o := range map[string]Options{
		"client":  {Client: "Acme Ltd", Handler: "stamp"},
		"handler": {Client: "acme", Handler: "mailer"},
		"secret":  {Client: "acme", Handler: "stamp", URL: "http://127.0.0.1:1", Secret: "short"},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "Acme Ltd") {
			t.Errorf("%s: %v", name, err)
		}
	}
	var none *Reporter
	none.Event(spec.ToHubSpot)
	none.Run(t.Context())
	if err := none.Flush(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSelfCheckNamesWhatFailed(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	got := SelfCheck(t.Context(), 20*time.Millisecond,
		Probe{"table", func(context.Context) error { return nil }},
		Probe{"hubspot", func(context.Context) error { return flow.Errorf(flow.Unauthorized, "401") }},
		Probe{"destination", func(context.Context) error { <-release; return nil }})
	if !got[0].OK || got[1].OK || got[1].Code != flow.Unauthorized || got[2].OK || got[2].Code != flow.Code(Other) {
		t.Errorf("got %+v", got)
	}
}

func BenchmarkOutcome(b *testing.B) {
	r, _ := New(Options{Client: "acme", Handler: "stamp"})
	b.ReportAllocs()
	for b.Loop() {
		r.Outcome(spec.ToHubSpot, Stamped, "", time.Millisecond)
	}
}
