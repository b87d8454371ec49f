package browsertest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"tandem/internal/centre/slacktest"
	"tandem/internal/local"
	"tandem/internal/local/console"
	"tandem/internal/local/engine"
	"tandem/internal/local/lookout"
	"tandem/internal/local/sandbox"
	"tandem/spec"
)

const interval = 10 * time.Second

// rig is everything that `tandem run` runs, with a clock of the Centre's that
// can be turned, beats that can be stopped, and a fake Slack.
type rig struct {
	t       *testing.T
	box     *sandbox.Sandbox
	server  *local.Server
	lookout *lookout.Lookout
	slack   *slack
	turned  atomic.Int64
	still   func() // stops the beats
}

func newRig(t *testing.T) *rig {
	s, err := spec.Load("../../spec/acme/integration-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	s = sandbox.Adapt(s)
	r := &rig{t: t, slack: newSlack(t)}
	dir := t.TempDir()
	r.lookout = must(lookout.Open(lookout.Options{Client: s.Client, Dir: dir + "/centre", SlackURL: r.slack.URL, Every: interval, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Now: func() time.Time { return time.Now().Add(time.Duration(r.turned.Load())) }}))(t)
	r.box = must(sandbox.Open(s, dir+"/simulators", sandbox.Sample, nil))(t)
	r.server = must(local.Open(local.Options{Spec: s, Secrets: r.box.Secrets, HubSpotURL: r.box.HubSpotURL(), DestinationURL: r.box.DestinationURL(),
		Data: dir, Ended: r.lookout.Ended, Refused: r.lookout.Refused,
		Links: []console.Link{{Name: "HubSpot (simulated)", URL: r.box.HubSpotURL()}, {Name: "Notification Centre", URL: r.lookout.URL()}}}))(t)
	r.lookout.Attach(r.server)
	r.run()
	return r
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (r *rig) run() {
	ctx, stop := context.WithCancel(context.Background())
	outer, end := context.WithCancel(context.Background()) // the simulators and the Centre outlive the server
	var inner, all sync.WaitGroup
	inner.Go(func() { r.check(r.server.Run(ctx)) })
	all.Go(func() { r.check(r.box.Run(outer, r.server.WebhookURL)) })
	all.Go(func() { r.check(r.lookout.Serve(outer)) })
	r.beat()
	r.t.Cleanup(func() {
		stop()
		inner.Wait()
		r.still()
		end()
		all.Wait()
		r.check(r.lookout.Close())
	})
}

// beat starts the beats.
func (r *rig) beat() {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { r.lookout.Beat(ctx) })
	r.still = func() { cancel(); work.Wait() }
}

func (r *rig) check(err error) {
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		r.t.Errorf("ended with %v", err)
	}
}

// watch turns the Centre's clock by d and watches once.
func (r *rig) watch(d time.Duration) {
	r.t.Helper()
	r.turned.Add(int64(d))
	if err := r.lookout.Watch(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// until waits for something that happens in the background.
func (r *rig) until(what string, is func() bool) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			dead, _ := r.server.Engine().DeadLetters(context.Background(), 0, 10)
			r.t.Fatalf("waited a minute for %s: %+v, dead letters %+v", what, r.server.Status(), dead)
		}
	}
}

// stamped is a contact that has been synced, once everything is quiet.
func (r *rig) stamped() (found engine.Summary) {
	r.t.Helper()
	r.until("a contact in step", func() bool {
		if !r.server.Status().Quiet {
			return false
		}
		for _, e := range r.server.Engine().Executions(engine.Filter{Status: "stamped"}) {
			if e.Record.Object == "contacts" {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// slack is an incoming webhook that refuses what Slack would refuse.
type slack struct {
	*httptest.Server
	mu    sync.Mutex
	texts []string
}

func newSlack(t *testing.T) *slack {
	s := &slack{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := slacktest.Check(r)
		if err != nil {
			t.Errorf("Slack would refuse this message: %v", err)
			http.Error(w, "invalid_blocks", http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.texts = append(s.texts, string(body))
		s.mu.Unlock()
		_, _ = w.Write([]byte("ok"))
	}))
	t.Cleanup(s.Close)
	return s
}

// all are the messages in the order in which they came.
func (s *slack) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.texts)
}

// browser starts Debian's Chromium over a profile of its own. Where there is
// none the test is skipped, which CI=true makes a failure.
func browser(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("a short run starts no browser")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is not installed: apt-get install chromium")
		}
		t.Skip("SKIPPED: chromium is not installed (apt-get install chromium)")
	}
	opts := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.DisableGPU}
	for _, f := range []string{"disable-background-networking", "disable-component-update", "disable-sync"} {
		opts = append(opts, chromedp.Flag(f, true))
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	ctx, done := context.WithTimeout(ctx, 3*time.Minute)
	if err := chromedp.Run(ctx); err != nil { // the browser ends with the context that starts it
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil { // waits until the browser is gone
			t.Logf("closing chromium: %v", err)
		}
		done()
		cancel()
		stop()
	})
	return ctx
}
