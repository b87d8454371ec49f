package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"tandem/internal/beat"
	"tandem/internal/canary"
	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/local/why"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// Probes are the questions of a self-check: do the table and both systems
// answer, with the credentials they were given.
func (s *Server) Probes() []beat.Probe {
	return []beat.Probe{
		{Name: "table", Ask: func(ctx context.Context) error {
			_, err := s.table.Get(ctx, table.Key{PK: "PROBE", SK: "PROBE"})
			return err
		}},
		{Name: "hubspot", Ask: func(ctx context.Context) error { return s.ask(ctx, record.HubSpot) }},
		{Name: "destination", Ask: func(ctx context.Context) error { return s.ask(ctx, record.Destination) }},
	}
}

// ask reads a record that no system has: "there is none" proves that the system
// answers and takes the credentials, and changes nothing.
func (s *Server) ask(ctx context.Context, sys record.System) error {
	f := s.ingress.Flow
	_, err := f.Remotes[sys].Read(ctx, f.Spec.Pairs[0].Side(sys).Object, "0", nil)
	if flow.CodeOf(err) == flow.RecordMissing {
		return nil
	}
	return err
}

// Deployment is the id of whoever works on the server's table.
func (s *Server) Deployment(ctx context.Context) (string, error) {
	return s.ingress.Flow.Ledger.Deployment(ctx)
}

// Canary judges the spec's canary and lets it fly again.
func (s *Server) Canary(ctx context.Context, deployment string) canary.Report {
	c := canary.Canary{Flow: s.ingress.Flow, Deployment: deployment}
	return c.Beat(ctx)
}

// Budget is how much of HubSpot's daily budget is used, by its last answer; the
// limit is 0 when it has told none.
func (s *Server) Budget() (used, limit int) { return s.budget.Reading() }

// Spec is the spec in force.
func (s *Server) Spec() *spec.Spec { return s.ingress.Flow.Spec }

// Asker answers questions about records.
func (s *Server) Asker() *why.Asker { return s.asker }

// Probe asks whether both systems answer and take their credentials, and says
// which do not.
func (s *Server) Probe(ctx context.Context) (problems []string) {
	f := s.ingress.Flow
	for sys, base := range map[record.System]string{
		record.HubSpot: cmp.Or(f.Spec.HubSpot.BaseURL, hubspot.DefaultBaseURL), record.Destination: f.Spec.Destination.BaseURL,
	} {
		if err := answers(ctx, base); err != nil {
			problems = append(problems, fmt.Sprintf("%s does not answer at %s (%v): start it or correct --%s-url; until then its events are postponed, by up to 15 minutes each time, for a day", sys, base, err, sys))
		} else if err := s.ask(ctx, sys); flow.CodeOf(err) == flow.Unauthorized {
			problems = append(problems, fmt.Sprintf("%s refuses its credentials (%v): correct %s in the secrets file and start again; until then its executions become dead letters", sys, err, names.TokenSecret(f.Spec, sys)))
		}
	}
	return problems
}

func answers(ctx context.Context, base string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	u, err := url.Parse(base)
	if err != nil {
		return err
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return errors.Unwrap(err)
	}
	return conn.Close()
}
