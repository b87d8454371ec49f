// Package lookout runs the Notification Centre (package centre) beside the
// integration of `tandem run`, in the same process: the server's counters reach
// it as signed beats over loopback, a watcher calls the server down when they
// stop, and its pages answer on an address of their own.
//
// It is in no record's way: what the server tells is counted in memory, and
// sent in the background. It is not what a deployment runs, where the Centre is
// a stack of its own that outlives what it watches.
package lookout

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/internal/beat"
	"tandem/internal/centre"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/local"
	"tandem/internal/local/engine"
	"tandem/internal/table/embedded"
)

// Every is how often the server promises a beat, unless told otherwise; the
// watcher looks half as long apart.
const Every = 10 * time.Second

// Bounds of the self-check and of the pages' server.
const (
	checkEvery    = time.Minute // both systems are asked, which costs a request each
	checkWithin   = 10 * time.Second
	headerTimeout = 5 * time.Second
	grace         = 2 * time.Second
)

// Options say what a Lookout works with. Client and Dir are required.
type Options struct {
	Client string
	// Dir keeps the Centre's table and the login secret.
	Dir string
	// Listen is a TCP address; when empty a free port of 127.0.0.1, the same one as
	// before in this Dir.
	Listen string
	// SlackURL is an incoming webhook, a secret. When empty, messages are shown
	// on the dashboard only.
	SlackURL string
	// ReportURL is where another Centre takes beats, such as the agency's, which
	// hears the same; ReportSecret is the client's beat secret there.
	ReportURL, ReportSecret string
	// Prices is what the same events would cost on AWS; nil to show no cost.
	Prices beat.Prices
	// Every is the interval of beats in whole seconds, Every when zero.
	Every time.Duration
	Now   func() time.Time
	Log   *slog.Logger
}

// Lookout is a Centre and the reporters that beat to it and to another one.
type Lookout struct {
	o         Options
	listener  net.Listener
	table     *embedded.Table
	centre    *centre.Centre
	reporters []*beat.Reporter
	login     string
	server    atomic.Pointer[local.Server]
}

// Open listens and opens the Centre's table. Nothing is served before Run.
func Open(o Options) (*Lookout, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Every = cmp.Or(o.Every, Every)
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Lookout{o: o}
	if err := l.open(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// listen leaves the address in the directory, beside the login secret, for
// `tandem status`.
func (l *Lookout) listen() (net.Listener, error) {
	if err := os.MkdirAll(l.o.Dir, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(l.o.Dir, "address")
	if l.o.Listen == "" {
		return local.ListenAgain(file)
	}
	listener, err := net.Listen("tcp", l.o.Listen)
	if err != nil {
		return nil, err
	}
	return listener, os.WriteFile(file, []byte(listener.Addr().String()+"\n"), 0o600)
}

func (l *Lookout) open() (err error) {
	if l.listener, err = l.listen(); err != nil {
		return fmt.Errorf("the Notification Centre cannot listen on %s: %w; choose another --centre-listen, or off", l.o.Listen, err)
	}
	if l.table, err = embedded.Open(filepath.Join(l.o.Dir, "table"), l.o.Now); err != nil {
		return fmt.Errorf("the Notification Centre's table: %w", err)
	}
	if l.login, err = loginSecret(filepath.Join(l.o.Dir, "login")); err != nil {
		return fmt.Errorf("the Notification Centre's login secret: %w", err)
	}
	key := rand.Text() // both ends of a beat are in this process
	co := centre.Options{
		Table: l.table, Secrets: l.secrets(key), Now: l.o.Now, URL: l.URL(), Outcomes: outcomes{l}, Plain: true, Log: l.o.Log,
		Console: func(_, _ string) string { return l.console() + "/executions" },
	}
	if l.o.SlackURL == "" {
		co.Slack = onPage{}
	}
	if l.centre, err = centre.New(co); err != nil {
		return err
	}
	if err := l.report(l.URL()+"/beat", key, l.o.Now); err != nil || l.o.ReportURL == "" {
		return err
	}
	if err := l.report(l.o.ReportURL, l.o.ReportSecret, nil); err != nil {
		return fmt.Errorf("the other Notification Centre: %w", err)
	}
	return nil
}

// report adds a Centre that beats are sent to.
func (l *Lookout) report(url, secret string, now func() time.Time) error {
	r, err := beat.New(beat.Options{
		Client: l.o.Client, Handler: "run", Interval: l.o.Every, URL: url, Secret: secret, Prices: l.o.Prices, Now: now, Log: l.o.Log,
	})
	if err == nil {
		l.reporters = append(l.reporters, r)
	}
	return err
}

// tell counts something for every Centre.
func (l *Lookout) tell(what func(r *beat.Reporter)) {
	for _, r := range l.reporters {
		what(r)
	}
}

// onPage takes the messages of a Centre without a channel: the page of messages
// shows what was told.
type onPage struct{}

// Send implements centre.Messenger.
func (onPage) Send(context.Context, centre.Message) error { return nil }

func (l *Lookout) secrets(key string) centre.Secrets {
	known := map[string]string{
		fmt.Sprintf(centre.BeatSecret, l.o.Client): key, centre.LoginSecret: l.login, centre.SlackSecret: l.o.SlackURL,
	}
	return func(_ context.Context, name string) (string, error) {
		if s := known[name]; s != "" {
			return s, nil
		}
		return "", fmt.Errorf("there is no secret %s", name)
	}
}

// loginSecret reads the secret from a file, or makes both: whoever may read the
// directory may log in, and stays logged in over a restart.
func loginSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if s := strings.TrimSpace(string(text)); err == nil && s != "" {
		return s, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	s := rand.Text()
	return s, os.WriteFile(path, []byte(s+"\n"), 0o600)
}

// URL is where the dashboard answers.
func (l *Lookout) URL() string { return "http://" + l.listener.Addr().String() }

// Login is the secret that opens the dashboard.
func (l *Lookout) Login() string { return l.login }

// LoginFile is the file that keeps the login secret.
func (l *Lookout) LoginFile() string { return filepath.Join(l.o.Dir, "login") }

// Attach names the server whose outcomes and records the pages show.
func (l *Lookout) Attach(s *local.Server) { l.server.Store(s) }

func (l *Lookout) console() string {
	if s := l.server.Load(); s != nil {
		return s.URL()
	}
	return ""
}

// Ended counts an outcome; it is for local.Options.Ended.
func (l *Lookout) Ended(o engine.Outcome) {
	var took time.Duration
	if !o.Start.IsZero() {
		took = o.At.Sub(o.Start)
	}
	cause := beat.CauseOf(o.Reason)
	if o.Kind == ledger.Dead {
		cause = beat.Cause(o.Code)
	}
	if o.Kind == ledger.Dead {
		l.waiting()
	}
	l.tell(func(r *beat.Reporter) {
		if o.Kind == ledger.Dead {
			r.Error(flow.Code(o.Code))
		}
		if flow.Code(o.Code) == flow.BadSeal {
			r.Signal(beat.SealRefused)
		}
		if len(o.Parked) > 0 {
			r.Signal(beat.FieldParked)
		}
		r.Event(o.Direction)
		r.Outcome(o.Direction, beat.Kind(o.Kind), cause, max(0, took))
	})
}

// Postponed counts a failure that outlasted an execution: of an outage there is no
// dead letter for a day. It is for local.Options.Postponed.
func (l *Lookout) Postponed(code flow.Code) {
	l.tell(func(r *beat.Reporter) { r.Error(code) })
}

// Refused counts a delivery whose signature was refused; it is for
// local.Options.Refused.
func (l *Lookout) Refused() { l.signal(beat.SignatureRefused) }

// SecondWriter says that another deployment writes to the same portal.
func (l *Lookout) SecondWriter() { l.signal(beat.SecondWriter) }

func (l *Lookout) signal(s beat.Signal) { l.tell(func(r *beat.Reporter) { r.Signal(s) }) }

// Run serves the pages, beats and watches until ctx ends, then closes.
func (l *Lookout) Run(ctx context.Context) error {
	var work sync.WaitGroup
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var err error
	work.Go(func() { err = l.Serve(serving) })
	var both sync.WaitGroup
	both.Go(func() { l.Beat(ctx) })
	both.Go(func() { l.WatchEvery(ctx) })
	both.Wait() // the last beat is sent while the Centre still listens
	stop()
	work.Wait()
	return errors.Join(err, l.Close())
}

// Serve serves the pages and takes beats until ctx ends.
func (l *Lookout) Serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("POST /beat", l.centre.Ingest())
	mux.Handle("/", l.centre.Dashboard())
	// Idle connections are kept for longer than the time between two beats: one
	// that is closed just as a beat is sent on it would lose that beat's turn.
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, ReadTimeout: checkWithin, IdleTimeout: 10 * l.o.Every,
		ErrorLog: slog.NewLogLogger(l.o.Log.Handler(), slog.LevelDebug)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l.listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if server.Shutdown(end) != nil {
		return server.Close()
	}
	return nil
}

// Beat sends beats until ctx ends, each minute with the answers of a self-check.
func (l *Lookout) Beat(ctx context.Context) {
	var work sync.WaitGroup
	for _, r := range l.reporters {
		work.Go(func() { r.Run(ctx) })
	}
	work.Go(func() { repeat(ctx, checkEvery, l.check) })
	work.Go(func() { repeat(ctx, l.o.Every, func(context.Context) { l.waiting() }) })
	work.Wait()
}

// waiting tells how many dead letters wait now; a redrive ends no event.
func (l *Lookout) waiting() {
	if s := l.server.Load(); s != nil {
		n := s.Status().DeadLetters
		l.tell(func(r *beat.Reporter) { r.Waiting(n) })
	}
}

// check asks the server's own questions and stores the answers for the next beat.
func (l *Lookout) check(ctx context.Context) {
	s := l.server.Load()
	if s == nil {
		return
	}
	checks := beat.SelfCheck(ctx, checkWithin, s.Probes()...)
	if deployment, err := s.Deployment(ctx); err == nil {
		l.tell(func(r *beat.Reporter) { r.Writes(s.Spec().HubSpot.PortalID, deployment) })
		report := s.Canary(ctx, deployment)
		checks = append(checks, report.Checks...)
		if report.SecondWriter {
			l.SecondWriter()
		}
	}
	if ctx.Err() != nil {
		return
	}
	used, limit := s.Budget()
	l.tell(func(r *beat.Reporter) {
		r.Checked(checks)
		if limit > 0 {
			r.Budget(used, limit)
		}
	})
}

// WatchEvery watches until ctx ends. The first beat comes before the first
// watch, since a restart is no outage.
func (l *Lookout) WatchEvery(ctx context.Context) {
	repeat(ctx, l.o.Every/2, func(ctx context.Context) {
		if err := l.Watch(ctx); err != nil && ctx.Err() == nil {
			l.o.Log.Warn("the Notification Centre could not tell all", "error", err.Error())
		}
	})
}

// Watch looks once at what has changed and tells it.
func (l *Lookout) Watch(ctx context.Context) error { return l.centre.Watch(ctx) }

// repeat calls do every d until ctx ends, the first time after a quarter of it,
// at most a second.
func repeat(ctx context.Context, d time.Duration, do func(context.Context)) {
	t := time.NewTimer(min(d/4, time.Second))
	defer t.Stop()
	for {
		select {
		case <-t.C:
			do(ctx)
			t.Reset(d)
		case <-ctx.Done():
			return
		}
	}
}

// Close frees what Open took. Run has called it already.
func (l *Lookout) Close() error {
	var errs []error
	if l.listener != nil {
		if err := l.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if l.table != nil {
		errs = append(errs, l.table.Close())
		l.table = nil
	}
	return errors.Join(errs...)
}
