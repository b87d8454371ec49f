package local

import (
	"context"

	"tandem/internal/beat"
	"tandem/internal/canary"
	"tandem/internal/flow"
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
