package flow

import (
	"context"
	"maps"
	"slices"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// Stamped is the Stamp step's section.
type Stamped struct {
	// IDs is what is linked now. The plan and the write tell of it already, and a log
	// of all three pays by the byte.
	IDs    map[record.System]string `json:"-"`
	Fields []string                 `json:"fields,omitempty"`
}

// Stamp stores what was observed after the write and releases the lease, all
// conditional on the fence: a lease that was lost stamps nothing, and the
// machine decides again.
func (f *Flow) Stamp(ctx context.Context, s State) (*Stamped, error) {
	j, err := f.journey(s.Event)
	if err != nil {
		return nil, err
	}
	plan, w := s.Lookup, s.Write
	if plan == nil || plan.Fence == nil || (w == nil && plan.Act == ActWrite) {
		return nil, Errorf(BadEnvelope, "the state has no write to stamp")
	}
	if w == nil || plan.Act == ActStamp {
		w = &Written{}
	}
	fence := plan.Fence
	if w.Fence != nil {
		fence = w.Fence
	}
	if err := f.store(ctx, j, plan, w, *fence); isMoved(err) {
		return nil, Errorf(LeaseLost, "the lease was taken over before the stamp; nothing was stored")
	} else if err != nil {
		return nil, store(err)
	}
	if len(plan.Aside) > 0 {
		return nil, Errorf(LeaseLost, "given up after %s was blanked in favour of a record that waits for its value: what it is to hold itself is written in the next round", names(plan.Aside))
	}
	return &Stamped{IDs: ids(j, plan, w), Fields: written(plan)}, nil
}

// store picks the kind of stamp the plan asked for.
func (f *Flow) store(ctx context.Context, j *journey, plan *Plan, w *Written, fence ledger.Fence) error {
	st := f.stamp(j, plan, w)
	switch {
	case plan.Archive != "":
		return f.Ledger.Bury(ctx, fence, deletedIn+string(j.source), st)
	case plan.Link:
		c := ledger.Claimant{Pair: j.pair.Name, Ref: j.ref, MatchKey: plan.MatchKey, Until: time.UnixMilli(plan.Until)}
		made := w.Sides[j.target] != nil && w.Sides[j.target].Created != ""
		c.Doubt = len(plan.Ghosts[j.target]) > 0 && !made
		return f.Ledger.Link(ctx, fence, j.pair, c, ids(j, plan, w), plan.Other, st)
	}
	return f.Ledger.Stamp(ctx, fence, st)
}

func ids(j *journey, plan *Plan, w *Written) map[record.System]string {
	out := plan.ids(j)
	for sys, c := range w.Sides {
		if c.Created != "" {
			out[sys] = c.Created
		}
	}
	return out
}

func written(plan *Plan) []string {
	names := map[string]bool{}
	for _, patch := range plan.Patch {
		for name := range patch {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// stamp assembles the observation: the base with what each side answered, and
// how far each side has been fully compared.
func (f *Flow) stamp(j *journey, plan *Plan, w *Written) ledger.Stamp {
	st := ledger.Stamp{
		Base: maps.Clone(plan.Base), Seen: map[record.System]ledger.Seen{}, Slot: plan.Fence.Slot,
		Outcome: f.outcome(j, ledger.Stamped, plan.Reason),
	}
	st.Outcome.Fields, st.Outcome.Parked = written(plan), plan.Parked
	for sys, c := range w.Sides {
		for name, print := range c.Prints {
			st.Base[name] = st.Base[name].With(sys, print)
		}
	}
	for _, sys := range []record.System{j.source, j.target} {
		seen := f.seen(j, plan, w, sys)
		if seen.Stuck = plan.Stuck && sys == j.target; plan.Loose {
			seen.ETag = ""
		}
		if seen.Version != "" || seen.Stuck || plan.ETag[sys] == "" { // without version it was stuck, perhaps
			st.Seen[sys] = seen
		}
	}
	st.Windows, st.Left, st.Ghosts, st.Waits = windows(j, plan, w), plan.Left, plan.Ghosts, plan.Waits
	return st
}

// seen is how far a side has been fully compared: to the answer of a write that was
// conditional or made the record and whose version is known, else only to what was
// read before.
func (f *Flow) seen(j *journey, plan *Plan, w *Written, sys record.System) ledger.Seen {
	c := w.Sides[sys]
	switch {
	case c != nil && c.Version != "" && (plan.ETag[sys] != "" || c.Created != "" && f.Remotes[sys].Abilities(j.object(sys)).ConditionalWrite):
		return ledger.Seen{Version: c.Version, ETag: c.ETag}
	case c != nil && c.Created != "":
		return ledger.Seen{Version: c.Version}
	case c == nil && plan.ETag[sys] != "":
		return ledger.Seen{Version: plan.Before[sys], ETag: plan.ETag[sys]}
	}
	return ledger.Seen{Version: plan.Before[sys]}
}

// windows notes the spans in which a system without conditional writes, as
// HubSpot is one, may have been edited between our read and our write.
func windows(j *journey, plan *Plan, w *Written) (out []ledger.Window) {
	if c := w.Sides[record.Destination]; plan.Archive == record.Destination && c != nil && c.Open != "" {
		return []ledger.Window{deleted(j.pair, plan.Open, c.Open)}
	}
	for sys, from := range map[record.System]string{record.HubSpot: plan.Before[record.HubSpot], record.Destination: plan.Open} {
		c := w.Sides[sys]
		if c == nil || c.Created != "" || len(c.Prints) == 0 || from == "" {
			continue
		}
		prior, win := plan.prior(), ledger.Window{From: from, To: c.Version, Prints: map[string][2]string{}}
		if sys == record.Destination {
			win.Side, win.To = sys, c.Open
		}
		for name, print := range c.Prints {
			win.Prints[name] = [2]string{prior[name], print}
		}
		if win.To != "" { // else, as of an association alone, no event's time can tell
			out = append(out, win)
		}
	}
	return out
}
