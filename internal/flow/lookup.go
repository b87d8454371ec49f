package flow

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// What a plan tells the machine's Decide state.
const (
	ActWrite = "write" // go on to Write, then Stamp
	ActStamp = "stamp" // nothing to write remotely, but an agreement to store
	ActDrop  = "drop"  // the event's outcome is recorded; the execution ends well
)

// Lookup takes the pair's lease, compares with the base and decides.
func (f *Flow) Lookup(ctx context.Context, s State) (*Plan, error) {
	j, err := f.journey(s.Event)
	if err != nil {
		return nil, err
	}
	if s.Transform == nil {
		return nil, Errorf(BadEnvelope, "the state has no transform section")
	}
	if s.Lookup != nil {
		j.round = s.Lookup.Round + 1
	}
	p, err := f.Ledger.Find(ctx, j.pair, j.ref, s.Transform.Partner)
	if err != nil {
		return nil, store(err)
	}
	if err := f.tidy(ctx, j, s, p); err != nil {
		return nil, err
	}
	plan, err := f.plan(ctx, j, s, p)
	if err != nil {
		return nil, store(err)
	}
	if plan.Act == ActDrop {
		return plan, f.conclude(ctx, j, plan)
	}
	if err := carried(plan.Patch[j.target], plan.Patch[j.source]); err != nil {
		return nil, f.giveBack(ctx, j, plan, &Written{Fence: plan.Fence}, err)
	}
	plan.shorten(j)
	plan.Made, plan.Round = s.made(j.target), j.round
	return plan, nil
}

// plan finds the room in which this record is decided.
func (f *Flow) plan(ctx context.Context, j *journey, s State, p *ledger.Pair) (*Plan, error) {
	t := s.Transform
	if t.Fields != nil && t.Spec != f.edition() {
		// Translated by another spec: what is new in this one would be taken for blank.
		var err error
		if t, err = f.readAgain(ctx, j, t); err != nil {
			return nil, err
		}
		s.Transform = t
	}
	if j.Kind != Purged && j.source == record.HubSpot && t.ID == "" && !t.Missing && p.Exists() && p.IDs[j.source] != j.ID {
		// Merged since it was read: its row is an alias by now.
		var err error
		if t, err = f.readAgain(ctx, j, t); err != nil {
			return nil, err
		}
		s.Transform = t
	}
	switch {
	case j.Kind == Purged && len(j.Merged) == 0: // else one delivery has told of both
		return f.purge(ctx, j, p)
	case j.source == record.HubSpot && (j.Kind == Merged || len(j.Merged) > 0 || t.ID != "" || len(t.Merged) > 0 && p.State != ledger.Linked):
		return f.merged(ctx, j, s, p)
	case !t.Missing && !t.Archived && j.cameBack(p):
		return f.back(ctx, j, s, p)
	case owesErasure(p) && (t.Missing || t.Archived):
		return f.deleted(ctx, j, p)
	case p.State == ledger.Gone && kept(p, j.source) && (t.Missing || t.Archived):
		return f.answered(ctx, j, p)
	case p.State == ledger.Gone:
		return f.atRest(ctx, j, p)
	case p.State == ledger.Parked && p.IDs[j.target] == "" && (t.Missing || t.Archived):
		return f.deleted(ctx, j, p) // which settles what a person was asked
	case j.Approved && stopped(p, j.ref) && (t.Missing || t.Archived):
		return f.approved(ctx, j, p)
	case p.State == ledger.Parked && (t.Missing || t.Archived):
		return f.answered(ctx, j, p)
	case p.State == ledger.Parked && !j.touched(p, t):
		return f.stillParked(ctx, j, p, t)
	case p.Held(f.Now()) && p.LeaseBy != j.execution:
		return f.held(p)
	case t.Missing || t.Archived:
		return f.deleted(ctx, j, p)
	case p.State == ledger.Linked:
		return f.linked(ctx, j, s, p)
	}
	return f.unlinked(ctx, j, s, p)
}

// held: another execution works on the pair; the machine tries again. An
// execution that comes round once more, or begins again after a crash, takes its
// own lease back at once: the worker that had it is gone, and fenced should it not be.
func (f *Flow) held(p *ledger.Pair) (*Plan, error) {
	return nil, Errorf(LeaseHeld, "execution %s works on the pair until %s", p.LeaseBy, p.LeaseUntil.Format(time.TimeOnly))
}

// Reasons of drops that are counted by name.
const (
	ReasonUnchanged = "unchanged: no field differs from what both sides agreed on"
	ReasonStale     = "stale: a newer state of the record was already handled"
	ReasonAgreed    = "agreed: both sides already hold the same values"
)

// linked compares a pair's current values with its base.
func (f *Flow) linked(ctx context.Context, j *journey, s State, p *ledger.Pair) (*Plan, error) {
	t := s.Transform
	lost, err := f.overwritten(ctx, j, p)
	if err != nil {
		return nil, err
	}
	if older(p, j.source, t.Version, time.UnixMilli(t.ReadAt)) {
		if len(j.met(p)) == 0 && !j.owing(p) {
			return unless(lost, ReasonStale), nil
		}
		if t, err = f.newer(ctx, j, p, t); err != nil {
			return nil, err
		}
	}
	m := f.merge(j, p, t)
	if m.quiet() && !p.InDoubt(f.Now()) {
		return unless(lost, m.unchanged()), f.noteSeen(ctx, j, p, t)
	}
	if t, err = f.fresh(ctx, j, p, t, m); err != nil {
		return nil, err
	}
	if t.Missing || t.Archived {
		return f.deleted(ctx, j, p)
	}
	target, err := f.target(ctx, j, p, m, s.Lookup != nil)
	if err != nil {
		return f.partnerMissing(ctx, j, s, p, err)
	}
	if until := p.Intent.Vanishes(); f.Now().Before(until) {
		return nil, Errorf(LeaseHeld, "a deletion of ours may be carried out until %s", until.Format(time.TimeOnly))
	}
	if j.target == record.HubSpot && target.ID != p.IDs[j.target] {
		return f.partnerMerged(ctx, j, target, p)
	}
	if t, err = f.stillSo(ctx, j, t, m); err != nil {
		return nil, err
	}
	if t.Missing || t.Archived {
		return f.deleted(ctx, j, p)
	}
	return f.settle(ctx, j, p, m, t, target, lost)
}

// noteSeen remembers that a newer state of the source was compared and changed
// nothing, so that an execution that has read an older one cannot write it any more.
func (f *Flow) noteSeen(ctx context.Context, j *journey, p *ledger.Pair, t *Transformed) error {
	seen := ledger.Seen{Version: t.Version, ETag: t.ETag}
	// A restore, told of with its deletion perhaps, need not change the version, nor does
	// an association in HubSpot.
	tells := j.Kind == Changed && (j.source != record.HubSpot || !j.pair.Refers())
	if t.Version != "" && seen == p.Seen[j.source] && tells {
		return nil
	}
	return f.Ledger.Note(ctx, p, ledger.Change{Seen: map[record.System]ledger.Seen{j.source: seen}})
}

// overwritten asks whether the event tells of an edit that a write of ours
// overwrote before anybody had read it, and records it if so: told values that
// fall into a window in which we wrote the field without having seen them.
func (f *Flow) overwritten(ctx context.Context, j *journey, p *ledger.Pair) (bool, error) {
	var lost []ledger.Conflict
	for _, told := range j.Told {
		at := time.UnixMilli(orElse(told.At, j.At)).UTC()
		if told.Field == "" {
			lost = append(lost, f.unseen(j, p, at)...)
			continue
		}
		if j.source != record.HubSpot || told.Print == p.Base[told.Field].HubSpot {
			continue
		}
		if slices.ContainsFunc(p.Windows, func(w ledger.Window) bool {
			return w.Hides(told.Field, told.Print, at) || told.Other && w.Meets(told.Field, told.Print, at)
		}) {
			lost = append(lost, ledger.Conflict{
				At: at, Execution: j.execution, Pair: j.pair.Name, Field: told.Field,
				Policy: "overwritten", Winner: record.Destination, LoserPrint: told.Print,
			})
		}
	}
	return len(lost) > 0, f.keep(ctx, j, p.State, p.IDs, lost)
}

// met lists the fields that another than this app has set, as the event tells, to the
// very value that a write of ours was bringing: HubSpot made no version of ours, so
// both sides look agreed, and the other side's value, should it have been set back
// meanwhile, would overwrite an edit in silence. Who it was decides nothing here but
// that the agreement is not believed before both sides have been looked at, and that
// what is then overwritten is recorded (take). HubSpot documents neither field for
// its events: where they are missing or wrong, a row more or less is recorded and
// what is written stays the same.
func (e *Envelope) met(p *ledger.Pair) map[string]bool {
	fields := map[string]bool{}
	for _, told := range e.Told {
		at := time.UnixMilli(orElse(told.At, e.At))
		if told.Other && told.Print == p.Base[told.Field].HubSpot &&
			slices.ContainsFunc(p.Windows, func(w ledger.Window) bool { return w.Meets(told.Field, told.Print, at) }) {
			fields[told.Field] = true
		}
	}
	return fields
}

// overwrittenNow asks the same of the windows that are only being noted, of an
// intent that was never stamped: what the record holds now is not overwritten.
func (f *Flow) overwrittenNow(ctx context.Context, j *journey, m *merge, s ledger.State, ids map[record.System]string, left []ledger.Window) (bool, error) {
	if len(left) == 0 {
		return false, nil
	}
	now := map[string]ledger.Base{}
	for _, field := range j.pair.Fields {
		now[field.Name] = ledger.Base{}.With(j.source, m.cell(m.source, field.Name).print)
	}
	return f.overwritten(ctx, j, &ledger.Pair{State: s, IDs: ids, Base: now, Windows: left})
}

// covered: an event whose values were not told, of an edit that was overwritten. That a
// newer state has been handled since says nothing about it.
func (e *Envelope) covered(p *ledger.Pair) bool {
	return slices.ContainsFunc(e.Told, func(told Told) bool {
		at := time.UnixMilli(orElse(told.At, e.At))
		return told.Field == "" && slices.ContainsFunc(p.Windows, func(w ledger.Window) bool { return w.Covers(record.Destination, at) })
	})
}

// unseen is overwritten where the event does not tell the value, as of a
// destination that has no conditional write: what that field held is not known.
func (f *Flow) unseen(j *journey, p *ledger.Pair, at time.Time) (lost []ledger.Conflict) {
	for _, w := range p.Windows {
		for field := range w.Prints {
			if w.Covers(j.source, at) {
				lost = append(lost, ledger.Conflict{At: at, Execution: j.execution, Pair: j.pair.Name, Field: field, Policy: "overwritten", Winner: j.target})
			}
		}
	}
	return lost
}

// settle turns the verdict into a plan under the lease.
func (f *Flow) settle(ctx context.Context, j *journey, p *ledger.Pair, m *merge, t *Transformed, target record.Record, lost bool) (*Plan, error) {
	v := m.decide()
	swings, parked := f.brake(j, p, &v)
	waits := v.waiting(j, p.IDs)
	fresh, ended := compareWaits(p, waits)
	change := ledger.Change{Swings: swings, Parked: parked, Drifted: v.drift, Left: p.Intent.Left(f.shown(j, t, target)), Waits: waits, Ended: ended}
	late, err := f.overwrittenNow(ctx, j, m, p.State, p.IDs, change.Left)
	if lost = lost || late; err != nil {
		return nil, err
	}
	if len(v.toTarget)+len(v.toSource) == 0 {
		change.Seen = map[record.System]ledger.Seen{j.source: {Version: t.Version, ETag: t.ETag}}
		if !m.blind {
			change.Seen[j.target] = ledger.Seen{Version: target.Version, ETag: target.ETag, Stuck: m.stuck}
			v.unbound(change.Seen)
		}
		return f.settled(ctx, j, p, m, v, change, lost, len(fresh) > 0)
	}
	if ok, err := f.allow(ctx, j, p, v); err != nil || !ok {
		return park(clearsStopped + ": tandem resync lets this record through"), err
	}
	plan := f.write(j, p, p.IDs, m, v, t, target)
	plan.Parked = append(slices.Sorted(maps.Keys(parked)), waitingFields(fresh)...)
	if len(waits) > 0 {
		plan.Reason = waitsFor(waits)
	}
	if change.Base = f.makeRoom(ctx, j, p, m, plan); len(plan.Aside) > 0 {
		change.Room = j.execution
	}
	if err := f.Ledger.Take(ctx, p, f.intent(j, plan), change); err != nil {
		return nil, err
	}
	plan.take(p)
	return plan, f.lose(ctx, j, p.State, p.IDs, v.conflicts)
}

// settled: nothing is to be written; what was learnt is noted.
func (f *Flow) settled(ctx context.Context, j *journey, p *ledger.Pair, m *merge, v verdict, change ledger.Change, lost, fresh bool) (*Plan, error) {
	change.Base = v.base
	// What is taken for a write of ours (landed) may have been an edit: once noted as
	// agreed it would be overwritten in silence.
	err := f.lose(ctx, j, p.State, p.IDs, v.conflicts)
	if err == nil {
		err = f.Ledger.Note(ctx, p, change)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case len(change.Parked) > 0:
		return park("fields kept alternating: " + names(slices.Sorted(maps.Keys(change.Parked)))), nil
	case fresh:
		return park(waitsFor(change.Waits)), nil
	case len(change.Waits) > 0:
		return unless(lost, waitsFor(change.Waits)), nil
	case len(v.drift) > 0:
		return drop("drift: edited on the side it does not travel from: " + names(slices.Sorted(maps.Keys(v.drift)))), nil
	case len(v.stuck) > 0:
		return unless(lost, "left alone: the other side holds a value that has no translation: "+names(v.stuck)), nil
	case len(v.base) > 0:
		return drop(ReasonAgreed), nil
	}
	return unless(lost, m.unchanged()), nil
}

// lose records the values that lost a conflict, before they are overwritten.
func (f *Flow) lose(ctx context.Context, j *journey, s ledger.State, ids map[record.System]string, conflicts []ledger.Conflict) error {
	for i := range conflicts {
		conflicts[i].At, conflicts[i].Execution, conflicts[i].Pair = f.Now(), j.execution, j.pair.Name
	}
	return f.keep(ctx, j, s, ids, conflicts)
}

// keep stores what was lost below the pair's destination record, whose id outlives
// merges. Two records that only meet may never be linked, though one of them has been
// written to: until they are, it is kept below the one that held it.
func (f *Flow) keep(ctx context.Context, j *journey, s ledger.State, ids map[record.System]string, lost []ledger.Conflict) error {
	of := map[record.System][]ledger.Conflict{}
	for _, c := range lost {
		holder := record.Destination
		if s != ledger.Linked {
			holder = c.Winner.Other()
		}
		of[holder] = append(of[holder], c)
	}
	for holder, some := range of {
		if err := f.Ledger.Lose(ctx, record.Ref{System: holder, Object: j.object(holder), ID: ids[holder]}, some...); err != nil {
			return err
		}
	}
	return nil
}

// Outcome is how an execution with this plan ends once it has succeeded.
func (p *Plan) Outcome() (kind ledger.Kind, reason string) {
	if p.Act != ActDrop {
		return ledger.Stamped, p.Reason
	}
	if rest, parked := strings.CutPrefix(p.Reason, parkPrefix); parked {
		return ledger.ParkedKind, rest
	}
	return ledger.Dropped, p.Reason
}
