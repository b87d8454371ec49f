package local

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/ledger"
	"tandem/internal/limit"
	"tandem/internal/local/engine"
	"tandem/internal/local/why"
	"tandem/internal/record"
	"tandem/spec"
)

// wire builds the flow, what feeds it and what runs it.
func (s *Server) wire() error {
	f, err := s.flow()
	if err != nil {
		return err
	}
	c := f.Spec
	receivers, err := s.receivers(c)
	if err != nil {
		return err
	}
	if s.engine, err = engine.Open(engine.Options{Flow: f, Dir: s.o.Data, Concurrency: s.o.Concurrency, Wait: s.o.Wait, Log: s.log, Ended: s.o.Ended, Postponed: s.o.Postponed, Admit: s.admit, Waited: waited}); err != nil {
		return err
	}
	s.ingress = &flow.Ingress{Flow: f, Receivers: receivers, Starter: s.engine, Dropped: s.engine.Dropped}
	s.asker = &why.Asker{Flow: f}
	s.comparers = s.compared(c, f.Remotes)
	s.pollers, err = s.polled(c, f.Remotes)
	return err
}

// flow builds the handlers over both systems and the table.
func (s *Server) flow() (*flow.Flow, error) {
	c := *s.o.Spec
	c.HubSpot.BaseURL = cmp.Or(s.o.HubSpotURL, c.HubSpot.BaseURL)
	c.Destination.BaseURL = cmp.Or(s.o.DestinationURL, c.Destination.BaseURL)
	if err := s.o.Secrets.Complete(&c, record.HubSpot, record.Destination); err != nil {
		return nil, err
	}
	remotes, err := s.remotes(&c)
	if err != nil {
		return nil, err
	}
	return flow.New(flow.Options{
		Spec: &c, Remotes: remotes, Log: s.log,
		Ledger: &ledger.Ledger{Table: s.table, Client: c.Client, Now: time.Now},
		Seals:  &flow.Sealer{Secrets: func(sys record.System) ([]string, error) { return s.o.Secrets.client(&c, sys), nil }},
	})
}

// admit lets an execution begin once its source can be read.
func (s *Server) admit(ctx context.Context, d spec.Direction) (context.Context, error) {
	return s.limits[d.Source()].Admit(ctx)
}

// longest is how long an execution that was told to wait for the rate limit waits in
// place at its next attempts, within the timeout of a state: it goes before those
// who come later.
const longest = 8 * time.Second

func waited(ctx context.Context) context.Context { return limit.Patience(ctx, longest) }

// NewAsker answers questions about records from the table and both systems
// alone, without a server. Options.Table is required.
func NewAsker(o Options) (*why.Asker, error) {
	a, _, err := newAsker(o)
	return a, err
}

// remoteTimeout is longer than a state's timeout, which ends a call first.
const remoteTimeout = 40 * time.Second

// pool is a transport that keeps a connection for every execution.
func (s *Server) pool() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = cmp.Or(s.o.Concurrency, engine.DefaultConcurrency) * 2
	t.MaxIdleConns = 0
	s.closers = append(s.closers, func() error { t.CloseIdleConnections(); return nil })
	return t
}

// remotes builds both systems' clients, each within its budget.
func (s *Server) remotes(c *spec.Spec) (map[record.System]flow.Remote, error) {
	hubWeb, hubLimit, err := hubspot.Paced(s.pool(), s.table, c.HubSpot.RateLimit)
	if err != nil {
		return nil, err
	}
	destWeb, destLimit, err := destination.Paced(s.pool(), s.table, c.Destination)
	if err != nil {
		return nil, err
	}
	s.limits = map[record.System]*limit.Limiter{record.HubSpot: hubLimit, record.Destination: destLimit}
	s.budget = &hubspot.Budget{Base: hubWeb}
	ho := hubspot.OptionsFor(c)
	ho.HTTP = &http.Client{Transport: s.budget, Timeout: remoteTimeout}
	token := s.o.Secrets.token(c, record.HubSpot)
	ho.Token = func(context.Context) (string, error) { return token, nil }
	hub, err := hubspot.New(ho)
	if err != nil {
		return nil, err
	}
	dest, err := destination.New(c, destination.Options{Secrets: s.o.Secrets.value, HTTP: &http.Client{Transport: destWeb, Timeout: remoteTimeout}, Table: s.table})
	if err != nil {
		return nil, err
	}
	return map[record.System]flow.Remote{record.HubSpot: hub, record.Destination: dest}, nil
}

// receivers builds what authenticates deliveries, per system that sends any.
func (s *Server) receivers(c *spec.Spec) (map[record.System]flow.Receiver, error) {
	secrets := s.o.Secrets.client(c, record.HubSpot)
	hub, err := hubspot.NewReceiver(func() []string { return secrets }, c.HubSpot.PortalID, hubspot.PropertyTypes(c), nil)
	if err != nil {
		return nil, err
	}
	out := map[record.System]flow.Receiver{record.HubSpot: hub}
	if c.Destination.Webhook != nil {
		if out[record.Destination], err = destination.NewReceiver(c, s.o.Secrets.client(c, record.Destination)...); err != nil {
			return nil, err
		}
	}
	return out, nil
}
