package centre

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/beat"
	"tandem/internal/flow"
	"tandem/spec"
)

func TestForgedReplayedAndBadBeatsAreRefused(t *testing.T) {
	r := newRig(t)
	good := secrets["/acme/beat-secret"]
	was := r.beat()
	r.send(was)
	unsigned := signed(r.beat(), good, r.now)
	unsigned.Header.Del(beat.HeaderSignature)
	altered := signed(r.beat(), good, r.now)
	altered.Body = http.NoBody
	otherBody := r.beat()
	otherBody.Client = "globex"
	body := func(b *beat.Beat, raw string) *http.Request { // signed rightly by acme over any body
		key, _ := beat.Key(good, "acme")
		req := httptest.NewRequest(http.MethodPost, "/beat", strings.NewReader(raw))
		beat.Sign(req.Header, key, "acme", b.Nonce, r.now, []byte(raw))
		return req
	}
	named := func(name string) *http.Request {
		b := r.beat()
		b.Client = name
		return signed(b, secrets["/centre/beat-secret"], r.now)
	}
	badWord := r.beat()
	badWord.Handler = "<script>alert(1)</script>"
	for name, c := range map[string]struct {
		req  *http.Request
		want int
	}{
		"replayed at once":       {signed(was, good, r.now), 409},
		"wrong secret":           {signed(r.beat(), "globex secret of enough bytes", r.now), 401},
		"unsigned":               {unsigned, 401},
		"altered":                {altered, 401},
		"too old":                {signed(r.beat(), good, r.now.Add(-beat.Window-time.Second)), 401},
		"from the future":        {signed(r.beat(), good, r.now.Add(beat.Window+2*time.Second)), 401},
		"unknown client":         {named("initech"), 401},
		"the Centre's own name":  {named("centre"), 401},
		"a name that is no name": {named("../acme"), 401},
		"another client's body":  {body(r.beat(), `{"client":"globex"}`), 400},
		"no JSON":                {body(r.beat(), `{`), 400},
		"word outside the sets":  {signed(badWord, good, r.now), 400},
		"too large":              {body(r.beat(), strings.Repeat(" ", maxBeat+1)), 413},
		"a GET":                  {httptest.NewRequest(http.MethodGet, "/beat", nil), 405},
	} {
		if got := r.post(c.req); got != c.want {
			t.Errorf("%s: answered %d, want %d", name, got, c.want)
		}
	}
	states, err := r.states(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range states {
		names = append(names, s.Client+"/"+s.Handler)
	}
	if fmt.Sprint(names) != "[acme/webhook centre/ingest]" {
		t.Errorf("states of %v", names)
	}
	if strings.Contains(r.logs.String(), "script") || strings.Contains(r.logs.String(), good) {
		t.Errorf("the log repeats what was sent: %s", r.logs)
	}
	r.after(0, 1)
	if s := r.slack.last(); !strings.Contains(s, "heartbeats refused") {
		t.Errorf("told %q", s)
	}
}

func TestOldNonceIsUselessAfterItIsForgotten(t *testing.T) {
	r := newRig(t)
	b := r.beat()
	req := signed(b, secrets["/acme/beat-secret"], r.now)
	header := req.Header.Clone()
	r.send(b)
	r.now = r.now.Add(nonceLife + time.Minute)
	req = signed(b, secrets["/acme/beat-secret"], r.now)
	req.Header = header
	if got := r.post(req); got != http.StatusUnauthorized {
		t.Errorf("a recorded beat was answered %d after its nonce expired", got)
	}
}

func TestFloodIsBounded(t *testing.T) {
	r := newRig(t)
	answers := map[int]int{}
	for range 400 {
		answers[r.post(signed(r.beat(), secrets["/acme/beat-secret"], r.now))]++
	}
	if answers[204] != 200 || answers[429] != 200 {
		t.Errorf("a burst of 400 was answered %v, want 200 of each", answers)
	}
	if got := r.post(signed(&beat.Beat{Client: "globex", Handler: "webhook", Instance: strings.Repeat("c", 32), Nonce: strings.Repeat("c", 32), Seq: 1},
		secrets["/globex/beat-secret"], r.now)); got != 204 {
		t.Errorf("another client was answered %d during the flood", got)
	}
	before := r.revision()
	for range 500 {
		r.post(signed(r.beat(), "the wrong secret entirely", r.now))
	}
	if n := r.revision() - before; n > 1 {
		t.Errorf("500 forged beats made %d writes, want at most 1", n)
	}
	r.now = r.now.Add(noteEvery)
	r.post(signed(r.beat(), "the wrong secret entirely", r.now))
	states, _ := r.states(t.Context())
	if n := states[1].Heard[topic("signal", "", string(beat.BeatRefused))]; n != 501 {
		t.Errorf("%d refusals are counted, want all 501", n)
	}
}

// revision counts the writes to the Centre's own row.
func (r *rig) revision() int64 {
	items, err := r.table.Get(r.t.Context(), stateKey(self, "ingest"))
	if err != nil {
		r.t.Fatal(err)
	}
	return items[0].Rev
}

func TestConcurrentBeatsAreAllCounted(t *testing.T) {
	r := newRig(t)
	var wg sync.WaitGroup
	var reqs []*http.Request
	for range 32 {
		b := r.beat()
		b.Ways = map[spec.Direction]*beat.Way{spec.ToHubSpot: {Events: 3}}
		reqs = append(reqs, signed(b, secrets["/acme/beat-secret"], r.now))
	}
	var mu sync.Mutex
	accepted := 0
	for _, req := range reqs {
		wg.Go(func() {
			code := r.post(req)
			mu.Lock()
			defer mu.Unlock()
			switch code {
			case 204:
				accepted++
			case 503: // too many at once on one row: the sender keeps its counts
			default:
				t.Errorf("answered %d", code)
			}
		})
	}
	wg.Wait()
	states, _ := r.states(t.Context())
	if got := states[0].Ways[spec.ToHubSpot].Events; accepted == 0 || got != 3*accepted {
		t.Errorf("%d events for %d accepted beats of 3", got, accepted)
	}
}

// The two ends together: what a handler reports is what the page counts, also
// when an answer was lost and the beat came twice.
func TestReporterAndCentreAgree(t *testing.T) {
	r := newRig(t)
	r.now = time.Now() // the reporter below signs with the real clock
	lost := true
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.Ingest().ServeHTTP(w, req)
		if lost {
			lost = false
			panic(http.ErrAbortHandler) // counted, but the answer never arrives
		}
	}))
	defer s.Close()
	p, err := beat.New(beat.Options{Client: "acme", Handler: "stamp", Direction: spec.ToHubSpot, Every: time.Hour, URL: s.URL,
		Secret: secrets["/acme/beat-secret"], Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p.Event(spec.ToHubSpot)
	p.Outcome(spec.ToHubSpot, beat.Stamped, "", 30*time.Millisecond)
	if p.Flush(t.Context()) == nil {
		t.Fatal("the lost answer was not noticed: the test proves nothing")
	}
	p.Outcome(spec.ToHubSpot, beat.Dead, beat.Cause(flow.BadValue), time.Second)
	for range 2 {
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f, err := r.fleet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := f.Integrations[0]
	if in.Events != 1 || in.Count("stamped") != 1 || in.Count("dead") != 1 || in.Latency.Count() != 2 || in.State != isAttention {
		t.Errorf("the page counts %d events, %v, state %s", in.Events, in.Outcomes, in.State)
	}
}

func TestStateTurnsWithTheDayAndTheMonth(t *testing.T) {
	var s State
	at := time.Date(2026, 11, 30, 23, 59, 0, 0, time.UTC)
	b := &beat.Beat{Client: "acme", Handler: "webhook", CostMicros: 5, Errors: map[flow.Code]int{flow.RemoteBusy: 1},
		Ways: map[spec.Direction]*beat.Way{spec.ToHubSpot: {Events: 1, LastEvent: at.Add(time.Hour),
			Causes: map[beat.Kind]map[beat.Cause]int{beat.Dead: {beat.Other: 1}}}}}
	s.apply(b, at)
	if !s.Last[spec.ToHubSpot].Equal(at) {
		t.Error("an event from the future was believed")
	}
	b.Ways[spec.ToHubSpot].LastEvent = at
	s.apply(b, at.Add(2*time.Minute))
	if s.Ways[spec.ToHubSpot].Events != 1 || s.Errors[flow.RemoteBusy] != 1 || s.Cost != 5 {
		t.Errorf("yesterday's counts are in today's: %+v", s)
	}
	if s.Heard["dead/destination-to-hubspot/other"] != 2 || len(s.Ring) != 2 {
		t.Errorf("what must go on over midnight does not: %v %v", s.Heard, s.Ring)
	}
	s.apply(b, at.Add(3*time.Hour))
	if len(s.Ring) != 1 {
		t.Errorf("old minutes stay in the ring: %v", s.Ring)
	}
}

func FuzzIngest(f *testing.F) {
	f.Add([]byte(`{"client":"acme","handler":"webhook","ways":{"hubspot-to-destination":null}}`))
	f.Add([]byte(`{"checks":[{}],"errors":{"x":1}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		nonce := strings.Repeat("0", 32)
		if b, err := parse("acme", nonce, bytes.Clone(body)); err == nil {
			(&State{}).apply(b, start) // must not panic on what was accepted
		}
	})
}
