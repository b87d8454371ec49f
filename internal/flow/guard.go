package flow

import (
	"context"
	"time"

	"tandem/internal/ledger"
	"tandem/spec"
)

// Defaults of spec.Guards.
const (
	defaultDeletes      = 20
	defaultClears       = 200
	defaultAlternations = 4
	defaultWindow       = 15 * time.Minute
	defaultSkew         = 2 * time.Second
)

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (f *Flow) skew() time.Duration { return orElse(f.Spec.Guards.ClockSkew.Duration, defaultSkew) }

// brake is the loop breaker, the last defence: it counts how often a field was
// written in alternating directions within the window, and takes the field out
// past the budget while the others go on. Termination follows from the counter.
func (f *Flow) brake(j *journey, p *ledger.Pair, v *verdict) (map[string]ledger.Swing, map[string]string) {
	swings, parked := map[string]ledger.Swing{}, map[string]string{}
	count := func(fields map[string]string, d spec.Direction) {
		for name := range fields {
			s := f.swing(p.Swings[name], string(d))
			if swings[name] = s; s.Count >= orElse(f.Spec.Guards.Alternations, defaultAlternations) {
				parked[name] = "alternated " + string(d) + " past its budget; tandem resync frees it"
				delete(fields, name)
				delete(v.base, name)
			}
		}
	}
	count(v.toTarget, j.Direction)
	count(v.toSource, reverse(j.Direction))
	return swings, parked
}

func (f *Flow) swing(was ledger.Swing, direction string) ledger.Swing {
	now := f.Now()
	s := ledger.Swing{Direction: direction, At: now}
	if now.Sub(was.At) > orElse(f.Spec.Guards.Window.Duration, defaultWindow) {
		return s
	}
	if s.Count = was.Count; was.Direction != "" && was.Direction != direction {
		s.Count++
	}
	return s
}

// allow asks the mass-change guard about fields that would be cleared.
func (f *Flow) allow(ctx context.Context, j *journey, p *ledger.Pair, v verdict) (bool, error) {
	var clears []string
	for side, fields := range map[string]map[string]string{"target": v.toTarget, "source": v.toSource} {
		for name, text := range fields {
			if text == "" {
				clears = append(clears, side+"/"+name)
			}
		}
	}
	if len(clears) == 0 {
		return true, nil
	}
	return f.Ledger.Admit(ctx, "clears#"+string(j.Direction), orElse(f.Spec.Guards.Clears, defaultClears), p, clears...)
}

// allowDelete asks the mass-change guard about one more deletion.
func (f *Flow) allowDelete(ctx context.Context, j *journey, p *ledger.Pair) (bool, error) {
	return f.Ledger.Admit(ctx, "deletes#"+string(j.Direction), orElse(f.Spec.Guards.Deletes, defaultDeletes), p, "deletion")
}
