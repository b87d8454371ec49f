package centre

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/beat"
	"tandem/internal/centre/slacktest"
	"tandem/internal/table/embedded"
)

var start = time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)

// rig is a Centre over a table in memory, with a clock that a test turns.
type rig struct {
	*Centre
	t     *testing.T
	now   time.Time
	table *embedded.Table
	slack *fakeSlack
	logs  *bytes.Buffer
	seq   int64
}

var secrets = map[string]string{
	"/acme/beat-secret": "acme secret of enough bytes", "/globex/beat-secret": "globex secret of enough bytes",
	"/centre/beat-secret": "a client may not be called this", LoginSecret: "correct horse battery",
}

func newRig(t testing.TB) *rig {
	tt, _ := t.(*testing.T)
	r := &rig{t: tt, now: start, logs: &bytes.Buffer{}}
	clock := func() time.Time { return r.now }
	var err error
	if r.table, err = embedded.Open("", clock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.table.Close() })
	r.slack = newFakeSlack(t)
	r.Centre, err = New(r.options(clock))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) options(clock func() time.Time) Options {
	return Options{Table: r.table, Now: clock, URL: "https://centre.example", Slack: r.slack.client(),
		Console:  func(_, d string) string { return "https://console.aws.amazon.com/states/home#/" + d },
		Outcomes: DemoOutcomes{r.now}, Log: slog.New(slog.NewTextHandler(r.logs, nil)),
		Secrets: func(_ context.Context, name string) (string, error) {
			if s, ok := secrets[name]; ok {
				return s, nil
			}
			return "", errors.New("no such parameter")
		}}
}

// beat is a valid beat of acme's webhook.
func (r *rig) beat() *beat.Beat {
	r.seq++
	return &beat.Beat{Client: "acme", Handler: "webhook", Interval: 60, Instance: strings.Repeat("a", 32), Seq: r.seq,
		Nonce: fmt.Sprintf("%032x", r.seq), SentAt: r.now}
}

func signed(b *beat.Beat, secret string, at time.Time) *http.Request {
	body, _ := json.Marshal(b)
	key, _ := beat.Key(secret, b.Client)
	req := httptest.NewRequest(http.MethodPost, "/beat", bytes.NewReader(body))
	beat.Sign(req.Header, key, b.Client, b.Nonce, at, body)
	return req
}

func (r *rig) post(req *http.Request) int {
	w := httptest.NewRecorder()
	r.Ingest().ServeHTTP(w, req)
	return w.Code
}

func (r *rig) send(b *beat.Beat) {
	r.t.Helper()
	if code := r.post(signed(b, secrets["/"+b.Client+"/beat-secret"], r.now)); code != http.StatusNoContent {
		r.t.Fatalf("a valid beat was answered %d: %s", code, r.logs)
	}
}

func (r *rig) watch() {
	r.t.Helper()
	if err := r.Watch(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// after turns the clock, watches, and checks how many messages that made.
func (r *rig) after(d time.Duration, messages int) {
	r.t.Helper()
	before := len(r.slack.texts())
	r.now = r.now.Add(d)
	r.watch()
	if got := r.slack.texts()[before:]; len(got) != messages {
		r.t.Fatalf("at %v: %d messages, want %d: %q", r.now.Sub(start), len(got), messages, got)
	}
}

// fakeSlack is an incoming webhook that refuses what Slack would refuse.
type fakeSlack struct {
	*httptest.Server
	mu       sync.Mutex
	answers  []int // statuses to give in turn before accepting
	messages []Message
	waits    []time.Duration
}

func newFakeSlack(t testing.TB) *fakeSlack {
	f := &fakeSlack{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.answers) > 0 {
			status := f.answers[0]
			f.answers = f.answers[1:]
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			return
		}
		var m Message
		body, err := slacktest.Check(r)
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err != nil {
			t.Errorf("Slack would refuse this message: %v", err)
			http.Error(w, "invalid_blocks", http.StatusBadRequest)
			return
		}
		f.messages = append(f.messages, m)
		_, _ = w.Write([]byte("ok"))
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeSlack) client() *Slack {
	return &Slack{URL: func(context.Context) (string, error) { return f.URL + "/services/T0/B0/secret", nil }, HTTP: f.Client(),
		Sleep: func(_ context.Context, d time.Duration) error { f.waits = append(f.waits, d); return nil }}
}

func (f *fakeSlack) texts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, m := range f.messages {
		raw, _ := json.Marshal(m)
		out = append(out, string(raw))
	}
	return out
}

// last is the newest message's sections in one text.
func (f *fakeSlack) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for _, bl := range f.messages[len(f.messages)-1].Blocks {
		if bl.Text != nil {
			b.WriteString(bl.Text.Text + "\n")
		}
	}
	return b.String()
}
