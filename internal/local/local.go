// Package local is the integration server of `tandem run`: the webhook
// listener, the poller, the state machines, a JSON API and a console, in one
// process, for one client, over the same spec, machines and handlers that are
// deployed.
//
// It wires the parts; what runs executions is package engine, what shows them
// package console. It is not for the open internet: it listens on loopback
// unless told otherwise and has no login.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/limit"
	"tandem/internal/local/console"
	"tandem/internal/local/engine"
	"tandem/internal/local/why"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

// Options are what a Server is built from. Spec, Secrets and Data are required.
type Options struct {
	Spec    *spec.Spec
	Secrets Secrets
	// HubSpotURL and DestinationURL replace the spec's base URLs when not empty.
	HubSpotURL, DestinationURL string
	// Data is the directory that keeps executions, and the table unless Table is set.
	Data  string
	Table table.Table
	// Listen is a TCP address, 127.0.0.1:0 when empty.
	Listen string
	// PublicURL is the origin that senders post to and sign, without
	// /webhooks/...; derived from the address when empty.
	PublicURL string
	// Concurrency is how many executions work at once, engine.DefaultConcurrency when zero.
	Concurrency int
	// Wait is engine.Options.Wait.
	Wait func(time.Duration) time.Duration
	// Ended, when set, hears of every outcome.
	Ended func(engine.Outcome)
	// Postponed, when set, hears of every execution that put its event off, and why.
	Postponed func(flow.Code)
	// Refused, when set, hears of every delivery whose signature was refused.
	Refused func()
	// Links are shown on the console's first page.
	Links []console.Link
	Log   *slog.Logger
}

// Server is one running integration.
type Server struct {
	o         Options
	log       *slog.Logger
	listener  net.Listener
	public    string
	table     table.Table
	closers   []func() error
	engine    *engine.Engine
	ingress   *flow.Ingress
	asker     *why.Asker
	budget    *hubspot.Budget
	pollers   []*poller
	comparers []*poller
	limits    map[record.System]*limit.Limiter
	receiving atomic.Int64
	polling   atomic.Int64
}

// Open listens and wires everything; nothing is served before Run. The error
// says what to correct.
func Open(o Options) (*Server, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	s := newServer(o)
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func newServer(o Options) *Server {
	return &Server{o: o, log: o.Log, table: o.Table}
}

func (s *Server) open() (err error) {
	o := s.o
	if s.listener, err = net.Listen("tcp", cmp.Or(o.Listen, "127.0.0.1:0")); err != nil {
		return fmt.Errorf("listening on %s: %w; choose another --listen", o.Listen, err)
	}
	s.closers = append(s.closers, func() error { s.listener.Close(); return nil })
	if s.public, err = publicURL(o.PublicURL, s.listener.Addr().String()); err != nil {
		return err
	}
	if s.table == nil {
		t, err := embedded.Open(filepath.Join(o.Data, "table"), nil)
		if err != nil {
			return err
		}
		s.table, s.closers = t, append(s.closers, t.Close)
	}
	return s.wire()
}

func publicURL(given, address string) (string, error) {
	if given == "" {
		return "http://" + address, nil
	}
	u, err := url.Parse(given)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Path != "" && u.Path != "/" {
		return "", fmt.Errorf("the public URL must be an origin such as https://hooks.example.com; /webhooks/hubspot is added to it")
	}
	return u.Scheme + "://" + u.Host, nil
}

// URL is where the server answers, without a path.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// WebhookURL is the address that system sys posts to and signs.
func (s *Server) WebhookURL(sys record.System) string { return s.public + "/webhooks/" + string(sys) }

// Engine runs the server's executions.
func (s *Server) Engine() *engine.Engine { return s.engine }

// Bounds of the shutdown and of the HTTP server.
const (
	grace         = 3 * time.Second
	headerTimeout = 5 * time.Second
	bodyTimeout   = 15 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
)

// Run serves until ctx ends, then lets executions under way finish for a few
// seconds. What is not finished by then is finished after the next start.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, IdleTimeout: idleTimeout,
		WriteTimeout: time.Minute, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	var pollers sync.WaitGroup
	polling, stop := context.WithCancel(ctx)
	for _, p := range slices.Concat(s.pollers, s.comparers) {
		pollers.Go(func() { p.run(polling) })
	}
	pollers.Go(func() { s.reunite(polling) })
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	stop()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if e := server.Shutdown(end); e != nil {
		server.Close()
	}
	pollers.Wait()
	if e := s.engine.Close(end); e != nil {
		err = errors.Join(err, e)
	}
	return errors.Join(err, s.close())
}

// close frees what Open took, in reverse.
func (s *Server) close() error {
	var errs []error
	if s.engine != nil {
		end, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		errs = append(errs, s.engine.Close(end))
	}
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}
