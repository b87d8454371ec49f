package flow

import (
	"context"
	"slices"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
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
	budget := orElse(f.Spec.Guards.Alternations, defaultAlternations)
	count := func(fields map[string]string, d spec.Direction) {
		for name := range fields {
			s := f.swing(p.Swings[name], string(d))
			if swings[name] = s; s.Count >= budget {
				v.park(parked, fields, name, d, "its budget")
			}
		}
		if len(fields) == 0 || f.isCanary(j, p) || unconfirmed(p) {
			return
		}
		was := orElse(swings[allFields], p.Swings[allFields])
		s := f.swingOfAll(was, string(d))
		if s.Count >= budget*budgetOfAll {
			s.Count = 0 // what is taken out moves no more; the rest has a budget of its own
			for name := range fields {
				v.park(parked, fields, name, d, "the budget of the whole record")
			}
		}
		if s != was {
			swings[allFields] = s
		}
	}
	count(v.toTarget, j.Direction)
	count(v.toSource, reverse(j.Direction))
	return swings, parked
}

// park takes a field out of what is to be written in direction d.
func (v *verdict) park(parked, fields map[string]string, name string, d spec.Direction, budget string) {
	parked[name] = "alternated " + string(d) + " past " + budget + "; tandem resync frees it"
	delete(fields, name)
	delete(v.base, name)
}

// unconfirmed: what was to be written last has not been stamped since. That an attempt
// which is refused is made again is no turn of anybody's.
func unconfirmed(p *ledger.Pair) bool {
	var tried time.Time
	for name, s := range p.Swings {
		if name != allFields {
			tried = later(tried, s.At)
		}
	}
	return lastStamped(p).Before(tried)
}

func lastStamped(p *ledger.Pair) (last time.Time) {
	for _, o := range p.Outcomes {
		last = later(last, o.At)
	}
	return last
}

// isCanary: both sides of that pair are written by turns, for ever, on purpose.
func (f *Flow) isCanary(j *journey, p *ledger.Pair) bool {
	c := f.Spec.Canary
	return c != nil && c.Pair == j.pair.Name && c.Record == p.IDs[record.HubSpot]
}

func (f *Flow) window() time.Duration { return orElse(f.Spec.Guards.Window.Duration, defaultWindow) }

func (f *Flow) swing(was ledger.Swing, direction string) ledger.Swing {
	now := f.Now()
	s := ledger.Swing{Direction: direction, At: now}
	if now.Sub(was.At) > f.window() {
		return s
	}
	if s.Count = was.Count; was.Direction != "" && was.Direction != direction {
		s.Count++
	}
	return s
}

// allFields names the swing of all fields of a pair together. Two automations may drive
// each other through two fields, each of which travels in one direction only.
const allFields = ""

// The budget and the window of all fields together, times those of one field. People, and
// a system that computes something of what they set, write a record by turns, too.
const (
	budgetOfAll = 16
	windowOfAll = 4
)

// swingOfAll counts from a first write on, so that a record which is busy all day is
// told from a loop by its pace.
func (f *Flow) swingOfAll(was ledger.Swing, direction string) ledger.Swing {
	if was.Direction == "" || f.Now().Sub(was.At) > windowOfAll*f.window() {
		return ledger.Swing{Direction: direction, At: f.Now()}
	}
	if was.Direction != direction {
		was.Direction, was.Count = direction, was.Count+1
	}
	return was
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
	if len(clears) == 0 || j.Approved && j.Kind == Changed {
		return true, nil
	}
	return f.Ledger.Admit(ctx, "clears#"+string(j.Direction), orElse(f.Spec.Guards.Clears, defaultClears), p, clears...)
}

// allowDelete asks the mass-change guard about one more deletion. Of a record that was
// there when a person let its cleared fields through nobody has asked.
func (f *Flow) allowDelete(ctx context.Context, j *journey, p *ledger.Pair) (bool, error) {
	if j.Approved && j.Kind == Deleted {
		return true, nil
	}
	return f.Ledger.Admit(ctx, "deletes#"+string(j.Direction), orElse(f.Spec.Guards.Deletes, defaultDeletes), p, "deletion")
}

// What the reasons say of all that the mass-change guard has stopped.
const (
	deletionStopped = ", but the mass-change guard stopped deletions from there"
	clearsStopped   = "the guard on cleared fields stopped this direction"
)

// stopped: the record was deleted, which the guard keeps from its partner.
func stopped(p *ledger.Pair, ref record.Ref) bool {
	return p.State == ledger.Parked && p.IDs[ref.System] == ref.ID && strings.HasPrefix(p.Reason, deletedIn+string(ref.System)+deletionStopped)
}

// approved follows a deletion that the guard has stopped, as a person wants. The pair is
// linked again first, so that whatever else becomes of it meanwhile is what it always is.
func (f *Flow) approved(ctx context.Context, j *journey, p *ledger.Pair) (*Plan, error) {
	if err := f.Ledger.Revive(ctx, j.pair, p); err != nil {
		return nil, err
	}
	return f.deleted(ctx, j, p)
}

// clearing: the guard has stopped cleared fields of the record since anything was last
// written of its pair.
func (f *Flow) clearing(ctx context.Context, p *ledger.Pair, ref record.Ref) (bool, error) {
	last := lastStamped(p)
	all, err := f.Ledger.Outcomes(ctx, ref)
	return slices.ContainsFunc(all, func(o ledger.Outcome) bool {
		return o.Kind == ledger.ParkedKind && o.At.After(last) && strings.HasPrefix(o.Reason, clearsStopped)
	}), store(err)
}
