package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/limit"
	"tandem/internal/record"
	"tandem/spec"
)

// defaultEvery is the pause between polls where the spec names none.
const defaultEvery = time.Minute

// poller asks one system about one object.
type poller struct {
	server *Server
	system record.System
	object string
	every  time.Duration
	from   flow.Changes
	// A comparison puts mark on its events and, the very first time, only notes
	// first as where to begin.
	mark, first string

	mu sync.Mutex // one poll at a time
}

// polled lists the objects whose spec says that they are polled.
func (s *Server) polled(c *spec.Spec, remotes map[record.System]flow.Remote) (out []*poller, err error) {
	for _, pair := range c.Pairs {
		for _, sys := range []record.System{record.HubSpot, record.Destination} {
			side := pair.Side(sys)
			if side.Trigger != "poll" {
				continue
			}
			from, ok := remotes[sys].(flow.Changes)
			if !ok {
				return nil, fmt.Errorf("pair %s: %s %s cannot be polled, since the client for %s does not list changes; set its trigger to webhook", pair.Name, sys, side.Object, sys)
			}
			out = append(out, &poller{server: s, system: sys, object: side.Object, every: cmp.Or(side.Every.Duration, defaultEvery), from: from})
		}
	}
	return out, nil
}

// missedAfter is how long after the start a comparison asks what was missed:
// until then senders may still repeat what nobody took.
const missedAfter = 5 * time.Minute

// run polls at once and then at its interval, give or take a tenth, so that
// several objects do not fall into step.
func (p *poller) run(ctx context.Context) {
	if p.mark != "" {
		if _, err := p.begin(ctx); err != nil && ctx.Err() == nil {
			p.server.log.Warn("comparison not begun; it is tried again", "system", p.system, "object", p.object, "error", err)
		}
		p.wait(ctx, min(missedAfter, p.every))
	}
	told := ""
	for ctx.Err() == nil {
		if p.mark != "" {
			calm(ctx, p.every, func() int { return p.server.engine.Status().Queued })
		}
		if _, err := p.poll(ctx); ctx.Err() == nil {
			told = p.tell(told, err)
		}
		p.wait(ctx, p.every)
	}
}

// tell logs how a poll failed, once while it fails alike, and that it works again. It
// answers what to call it with next.
func (p *poller) tell(told string, err error) string {
	log := p.server.log.With("system", p.system, "object", p.object)
	switch {
	case err == nil && told != "":
		log.Warn("poll works again")
	case err != nil && err.Error() != told:
		log.Warn("poll failed; it is repeated at its interval", "every", p.every, "error", err)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// calm waits until nothing is queued, though not longer than within: what has been
// told of and has not begun yet a comparison would find missing, and have read twice.
func calm(ctx context.Context, within time.Duration, queued func() int) {
	for end := time.Now().Add(within); queued() > 0 && time.Now().Before(end); {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

func (p *poller) wait(ctx context.Context, d time.Duration) {
	wait := time.NewTimer(time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}

func (p *poller) poll(ctx context.Context) (int, error) {
	p.server.polling.Add(1)
	defer p.server.polling.Add(-1)
	p.mu.Lock()
	defer p.mu.Unlock()
	in := *p.server.ingress
	if in.Mark = p.mark; p.mark != "" {
		if begun, err := p.begin(ctx); !begun {
			return 0, err
		}
		ctx = limit.Backfill(ctx) // live traffic goes first
	}
	return in.Poll(ctx, p.system, p.object, p.from)
}

// begin reports whether the object was compared before, and notes where to begin
// if it was not.
func (p *poller) begin(ctx context.Context) (bool, error) {
	cursor, rev, err := p.server.ingress.Flow.Ledger.Cursor(ctx, p.system, p.object)
	if err != nil || cursor != "" {
		return err == nil, err
	}
	err = p.server.ingress.Flow.Ledger.MoveCursor(ctx, p.system, p.object, p.first, rev)
	if errors.Is(err, ledger.ErrMoved) {
		err = nil // another process was first
	}
	return false, err
}

// linkedEvery is the pause between two looks at the references that wait; the table
// is in this process, as a rule.
const linkedEvery = 10 * time.Second

// reunite starts what waited for a record that is linked by now.
func (s *Server) reunite(ctx context.Context) {
	wait := time.NewTicker(linkedEvery)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		for _, p := range s.ingress.Flow.Spec.Pairs {
			for _, sys := range []record.System{record.HubSpot, record.Destination} {
				if _, err := s.ingress.Reunite(ctx, sys, p.Side(sys).Object); err != nil && ctx.Err() == nil {
					s.log.Warn("references that wait were not looked at; they are again soon", "system", sys, "pair", p.Name, "error", err)
				}
			}
		}
	}
}

// Poll asks every polled object now and returns how many executions it started.
func (s *Server) Poll(ctx context.Context) (started int, err error) { return sweep(ctx, s.pollers) }

// Reconcile asks the objects that deliver webhooks what has changed since it was
// last asked, and returns how many executions it started.
func (s *Server) Reconcile(ctx context.Context) (started int, err error) {
	return sweep(ctx, s.comparers)
}

func sweep(ctx context.Context, pollers []*poller) (started int, err error) {
	var errs []error
	for _, p := range pollers {
		n, err := p.poll(ctx)
		if started += n; err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", p.system, p.object, err))
		}
	}
	return started, errors.Join(errs...)
}
