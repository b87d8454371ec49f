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

// Plan is the Lookup step's section: what will be done, under which lease.
type Plan struct {
	Act    string                   `json:"act"`
	Reason string                   `json:"reason,omitempty"`
	IDs    map[record.System]string `json:"ids,omitempty"`
	Fence  *ledger.Fence            `json:"fence,omitempty"`
	// Until is when the lease ends, in milliseconds.
	Until int64 `json:"until,omitempty"`
	Slot  int   `json:"slot,omitempty"`
	// Patch is what is written, by system and field name, in that system's terms.
	Patch map[record.System]map[string]string `json:"patch,omitempty"`
	// ETag makes a system's write conditional; Before is the version that was
	// read before an unconditional one.
	ETag   map[record.System]string `json:"etag,omitempty"`
	Before map[record.System]string `json:"before,omitempty"`
	// Base are fingerprints to stamp; a written side is filled in by Stamp.
	Base map[string]ledger.Base `json:"base,omitempty"`
	// Prior are HubSpot's fingerprints that a write, never conditional there, replaces.
	Prior map[string]string `json:"prior,omitempty"`
	// Left is the window of an earlier write that was never stamped.
	Left *ledger.Window `json:"left,omitempty"`
	// Link joins the two records when stamped; Create makes the partner first.
	Link     bool          `json:"link,omitempty"`
	Create   record.System `json:"create,omitempty"`
	MatchKey string        `json:"matchKey,omitempty"`
	// Other is the partner's own claim, if it has one, that linking ends.
	Other *ledger.Fence `json:"other,omitempty"`
	// Archive deletes the record on that side, and the pair rests afterwards.
	Archive record.System `json:"archive,omitempty"`
	// Parked are fields that the loop breaker took out.
	Parked []string `json:"parkedFields,omitempty"`
}

// Lookup takes the pair's lease, compares with the base and decides.
func (f *Flow) Lookup(ctx context.Context, s State) (*Plan, error) {
	j, err := f.journey(s.Event)
	if err != nil {
		return nil, err
	}
	if s.Transform == nil {
		return nil, Errorf(BadEnvelope, "the state has no transform section")
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
		err = f.conclude(ctx, j, plan)
	}
	return plan, err
}

// tidy looks after a record that this very execution created before it lost its
// lease. Where another worker's record was linked meanwhile, ours is the extra
// one: it is seconds old and known to nobody, so it goes. Else it is adopted.
func (f *Flow) tidy(ctx context.Context, j *journey, s State, p *ledger.Pair) error {
	if s.Write == nil || s.Write.Sides[j.target] == nil || !s.Write.Sides[j.target].Created {
		return nil
	}
	made := s.Write.Sides[j.target].ID
	switch {
	case p.State == ledger.Linked && p.IDs[j.target] != made:
		f.Log.Warn("an extra record made by a worker that lost its lease is removed", "execution", j.execution, "system", j.target)
		return j.to.Archive(ctx, j.object(j.target), made)
	case p.State != ledger.Linked:
		p.Adopt = made
	}
	return nil
}

// plan finds the room in which this record is decided.
func (f *Flow) plan(ctx context.Context, j *journey, s State, p *ledger.Pair) (*Plan, error) {
	t := s.Transform
	switch {
	case j.Kind == Purged:
		return f.purge(ctx, j, p)
	case j.source == record.HubSpot && (j.Kind == Merged || t.ID != j.ID):
		return f.merged(ctx, j, s, p)
	case p.State == ledger.Gone && j.Kind == Restored && !t.Missing && !t.Archived:
		return f.restored(ctx, j, s, p)
	case p.State == ledger.Gone:
		return drop("the record or its partner was deleted: " + p.Reason), nil
	case p.State == ledger.Parked:
		return park(p.Reason), nil
	case p.Held(f.Now()) && !(p.LeaseBy == j.execution && s.Lookup != nil):
		return f.held(p)
	case t.Missing || t.Archived:
		return f.deleted(ctx, j, p)
	case p.State == ledger.Linked:
		return f.linked(ctx, j, s, p)
	}
	return f.unlinked(ctx, j, s, p)
}

// held: another execution works on the pair; the machine tries again. An
// execution that comes round once more takes its own lease back at once: the
// worker that had it is gone, and fenced should it not be.
func (f *Flow) held(p *ledger.Pair) (*Plan, error) {
	return nil, Errorf(LeaseHeld, "execution %s works on the pair until %s", p.LeaseBy, p.LeaseUntil.Format(time.TimeOnly))
}

func drop(reason string) *Plan { return &Plan{Act: ActDrop, Reason: reason} }

// parkPrefix marks a drop whose outcome is "parked", for a person to decide.
const parkPrefix = "parked: "

func park(reason string) *Plan { return &Plan{Act: ActDrop, Reason: parkPrefix + reason} }

func names(list []string) string { return strings.Join(list, ", ") }

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
	if seen := p.Seen[j.source].Version; t.Version != "" && record.CompareVersions(t.Version, seen) < 0 {
		return unless(lost, ReasonStale), nil
	}
	m := f.merge(j, p, t)
	if m.quiet() && !p.InDoubt(f.Now()) {
		return unless(lost, ReasonUnchanged), nil
	}
	if t, err = f.fresh(ctx, j, p, t, m); err != nil {
		return nil, err
	}
	if t.Missing || t.Archived {
		return f.deleted(ctx, j, p)
	}
	target, err := f.target(ctx, j, p, m, s.Lookup != nil)
	if err != nil {
		return f.partnerMissing(ctx, j, err)
	}
	if t, err = f.stillSo(ctx, j, t, m); err != nil {
		return nil, err
	}
	if t.Missing || t.Archived {
		return f.deleted(ctx, j, p)
	}
	return f.settle(ctx, j, p, m, t, target, lost)
}

// unless is a drop, or a parked outcome when the event told of a lost edit.
func unless(lost bool, reason string) *Plan {
	if lost {
		return park("an edit was overwritten before it could be read; its fingerprint is recorded")
	}
	return drop(reason)
}

// skewOfWorkers bounds how far the clocks of two workers differ.
const skewOfWorkers = 2 * time.Second

// fresh reads the source again when the pair was stamped about or after the time
// it was read: what was read may be older than what the stamp observed. Whoever
// then takes the lease at the revision found holds values no older than the row.
func (f *Flow) fresh(ctx context.Context, j *journey, p *ledger.Pair, t *Transformed, m *merge) (*Transformed, error) {
	if p.StampedAt.Add(skewOfWorkers).Before(time.UnixMilli(t.ReadAt)) {
		return t, nil
	}
	return f.again(ctx, j, t, m)
}

// again reads the source once more and puts it into the decision.
func (f *Flow) again(ctx context.Context, j *journey, t *Transformed, m *merge) (*Transformed, error) {
	rec, err := f.read(ctx, j.from, j.source, j.object(j.source), t.ID, j.forward, j.pair)
	if err != nil {
		return nil, err
	}
	if t, err = f.translated(ctx, j, rec); err == nil && !t.Archived {
		m.see(j, t)
	}
	return t, err
}

// stillSo reads the source again where it seems that both sides were changed to
// the same value: only if it still holds it now, after the target was read, have
// the two really met.
func (f *Flow) stillSo(ctx context.Context, j *journey, t *Transformed, m *merge) (*Transformed, error) {
	for _, field := range m.pair.Fields {
		s, o := m.cell(m.source, field.Name), m.cell(m.target, field.Name)
		if !m.blind && s.changed && o.changed {
			return f.again(ctx, j, t, m)
		}
	}
	return t, nil
}

// merge prepares the decision with the source's side only.
func (f *Flow) merge(j *journey, p *ledger.Pair, t *Transformed) *merge {
	sent := p.MaybeSent(f.Now())
	m := &merge{
		pair: j.pair, direction: j.Direction, base: p.Base, parked: p.ParkedFields, drift: p.Drifted,
		source: side{system: j.source, sent: sent[j.source]}, target: side{system: j.target, sent: sent[j.target]},
		blind: true, print: j.print, skew: f.skew(), seen: p.Seen,
	}
	m.see(j, t)
	return m
}

// see puts the source's values into the decision.
func (m *merge) see(j *journey, t *Transformed) {
	m.forward, m.source.own = t.Fields, map[string]string{}
	for _, field := range j.pair.Fields {
		if own, ok := t.own(field.Name); ok {
			m.source.own[field.Name] = own
		}
	}
	m.source.moved = t.Version != m.seen[j.source].Version
	if m.source.updated = time.UnixMilli(t.Updated); t.Updated == 0 {
		m.source.updated = time.UnixMilli(j.At)
	}
	m.source.updated = believed(m.source.updated, time.UnixMilli(t.ReadAt), m.skew)
}

// believed is when a system says that a record was changed, or the zero time when
// its clock is out by more than the bound: it tells of what is still to come.
func believed(updated, readAt time.Time, skew time.Duration) time.Time {
	if updated.After(readAt.Add(skew)) {
		return time.Time{}
	}
	return updated
}

// quiet reports whether the source stands at the base in every field.
func (m *merge) quiet() bool {
	for _, field := range m.pair.Fields {
		c := m.cell(m.source, field.Name)
		_, agreed := m.base[field.Name]
		_, parked := m.parked[field.Name]
		if c.known && !parked && (c.changed || c.ours || !agreed) {
			return false
		}
	}
	return true
}

// target looks at the other side, unless the write can be made conditional on
// its standing exactly where the base says: then 412 tells, and nothing is read.
// HubSpot has no conditional write, so it is read before it is overwritten, and
// so is any target that has just refused a condition (again).
func (f *Flow) target(ctx context.Context, j *journey, p *ledger.Pair, m *merge, again bool) (record.Record, error) {
	if etag := p.Seen[j.target].ETag; j.to.Abilities(j.object(j.target)).ConditionalWrite && etag != "" &&
		!again && !p.InDoubt(f.Now()) && m.complete() {
		return record.Record{ID: p.IDs[j.target], Version: p.Seen[j.target].Version, ETag: etag}, nil
	}
	rec, err := f.read(ctx, j.to, j.target, j.object(j.target), p.IDs[j.target], j.back, j.pair)
	if err != nil {
		return rec, err
	}
	if rec.Archived {
		return rec, Errorf(RecordMissing, "the partner is in the recycle bin")
	}
	if record.CompareVersions(rec.Version, p.Seen[j.target].Version) < 0 {
		return rec, Errorf(IndexLag, "the %s answered with an older state than it did before", j.target)
	}
	return rec, f.look(ctx, j, m, rec)
}

// look puts the target's values into the decision.
func (f *Flow) look(ctx context.Context, j *journey, m *merge, rec record.Record) error {
	m.blind, m.target.own, m.target.updated = false, j.back.Canonical(rec.Fields), rec.UpdatedAt
	m.target.updated = believed(m.target.updated, rec.ReadAt, m.skew)
	m.target.moved = rec.Version != m.seen[j.target].Version
	m.back = map[string]string{}
	// A value of the target that does not translate stays where it is: its own
	// execution reports it.
	out, err := j.back.Apply(rec.Fields)
	if err != nil {
		return nil
	}
	for name, v := range out {
		if text, err := f.resolve(ctx, v, j.target); err == nil {
			m.back[name] = text
		}
	}
	return nil
}

// complete reports whether every field that would be written has a base and no
// write of ours is unconfirmed on the source.
func (m *merge) complete() bool {
	for _, field := range m.pair.Fields {
		c := m.cell(m.source, field.Name)
		if _, agreed := m.base[field.Name]; c.known && (!agreed || c.ours) {
			return false
		}
	}
	return true
}

// overwritten asks whether the event tells of an edit that a write of ours
// overwrote before anybody had read it, and records it if so: told values that
// fall into a window in which we wrote the field without having seen them.
func (f *Flow) overwritten(ctx context.Context, j *journey, p *ledger.Pair) (bool, error) {
	var lost []ledger.Conflict
	for _, told := range j.Told {
		at := time.UnixMilli(told.At).UTC()
		version := at.Format("2006-01-02T15:04:05.000Z")
		if j.source != record.HubSpot || told.Print == p.Base[told.Field].HubSpot {
			continue
		}
		if slices.ContainsFunc(p.Windows, func(w ledger.Window) bool { return w.Hides(told.Field, told.Print, version) }) {
			lost = append(lost, ledger.Conflict{
				At: at, Execution: j.execution, Pair: j.pair.Name, Field: told.Field,
				Policy: "overwritten", Winner: record.Destination, LoserPrint: told.Print,
			})
		}
	}
	return len(lost) > 0, f.Ledger.Lose(ctx, j.destination(p.IDs), lost...)
}

// destination is the side whose id outlives merges.
func (j *journey) destination(ids map[record.System]string) record.Ref {
	return record.Ref{System: record.Destination, Object: j.object(record.Destination), ID: ids[record.Destination]}
}

// settle turns the verdict into a plan under the lease.
func (f *Flow) settle(ctx context.Context, j *journey, p *ledger.Pair, m *merge, t *Transformed, target record.Record, lost bool) (*Plan, error) {
	v := m.decide()
	swings, parked := f.brake(j, p, &v)
	change := ledger.Change{Swings: swings, Parked: parked, Drifted: v.drift, Window: p.Intent.Left(hubVersion(j, t, target))}
	if len(v.toTarget)+len(v.toSource) == 0 {
		return f.settled(ctx, j, p, v, change, lost)
	}
	if ok, err := f.allow(ctx, j, v); err != nil || !ok {
		return park("the guard on cleared fields stopped this direction"), err
	}
	plan := f.write(j, p.IDs, m, v, t, target)
	plan.Parked = slices.Sorted(maps.Keys(parked))
	if err := f.Ledger.Take(ctx, p, f.intent(j, plan), change); err != nil {
		return nil, err
	}
	plan.Fence, plan.Until, plan.Slot = &ledger.Fence{Key: p.Key, Rev: p.Rev}, p.LeaseUntil.UnixMilli(), p.Slot
	return plan, f.lose(ctx, j, p.IDs, v.conflicts)
}

// settled: nothing is to be written; what was learnt is noted.
func (f *Flow) settled(ctx context.Context, j *journey, p *ledger.Pair, v verdict, change ledger.Change, lost bool) (*Plan, error) {
	if change.Base = v.base; len(v.base)+len(change.Parked)+len(v.drift) > 0 || p.InDoubt(f.Now()) {
		if err := f.Ledger.Note(ctx, p, change); err != nil {
			return nil, err
		}
	}
	switch {
	case len(change.Parked) > 0:
		return park("fields kept alternating: " + names(slices.Sorted(maps.Keys(change.Parked)))), nil
	case len(v.drift) > 0:
		return drop("drift: edited on the side it does not travel from: " + names(slices.Sorted(maps.Keys(v.drift)))), nil
	case len(v.base) > 0:
		return drop(ReasonAgreed), nil
	}
	return unless(lost, ReasonUnchanged), nil
}

// hubVersion is HubSpot's version among the two records that were read.
func hubVersion(j *journey, t *Transformed, target record.Record) string {
	if j.source == record.HubSpot {
		return t.Version
	}
	return target.Version
}

// prior lists what HubSpot's fields held that are about to be overwritten.
func (m *merge) prior(v verdict) map[string]string {
	fields, hub := v.toTarget, m.target
	if m.source.system == record.HubSpot {
		fields, hub = v.toSource, m.source
	}
	out := map[string]string{}
	for name := range fields {
		out[name] = m.cell(hub, name).print
	}
	return out
}

// write drafts the plan of a verdict.
func (f *Flow) write(j *journey, ids map[record.System]string, m *merge, v verdict, t *Transformed, target record.Record) *Plan {
	plan := &Plan{
		Act: ActWrite, IDs: maps.Clone(ids), Base: v.base, Prior: m.prior(v),
		Patch: map[record.System]map[string]string{},
		ETag:  map[record.System]string{}, Before: map[record.System]string{},
	}
	if len(v.toTarget) > 0 {
		plan.Patch[j.target] = v.toTarget
	}
	if len(v.toSource) > 0 {
		plan.Patch[j.source] = v.toSource
	}
	plan.condition(j.target, j.to.Abilities(j.object(j.target)), target.ETag, target.Version)
	plan.condition(j.source, j.from.Abilities(j.object(j.source)), t.ETag, t.Version)
	return plan
}

func (p *Plan) condition(s record.System, a Abilities, etag, version string) {
	if a.ConditionalWrite && etag != "" {
		p.ETag[s] = etag
	}
	if version != "" {
		p.Before[s] = version
	}
}

// intent records what the plan may leave behind if it is never stamped.
func (f *Flow) intent(j *journey, plan *Plan) ledger.Intent {
	in := ledger.Intent{
		Execution: j.execution, At: f.Now(), Create: plan.Create, Sent: map[record.System]map[string][]string{},
		Before: plan.Before[record.HubSpot], Prior: plan.Prior,
	}
	for sys, fields := range plan.Patch {
		in.Sent[sys] = map[string][]string{}
		for name, text := range fields {
			in.Sent[sys][name] = []string{j.print(name, sys, text)}
		}
	}
	return in
}

// lose records the values that lost a conflict, before they are overwritten.
func (f *Flow) lose(ctx context.Context, j *journey, ids map[record.System]string, conflicts []ledger.Conflict) error {
	for i := range conflicts {
		conflicts[i].At, conflicts[i].Execution, conflicts[i].Pair = f.Now(), j.execution, j.pair.Name
	}
	return f.Ledger.Lose(ctx, j.destination(ids), conflicts...)
}

// conclude records the outcome of an event that stamps nothing.
func (f *Flow) conclude(ctx context.Context, j *journey, plan *Plan) error {
	kind, reason := plan.Outcome()
	return store(f.Ledger.Record(ctx, j.ref, f.outcome(j, kind, reason)))
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

func (f *Flow) outcome(j *journey, kind ledger.Kind, reason string) ledger.Outcome {
	return ledger.Outcome{
		At: f.Now(), Execution: j.execution, Direction: string(j.Direction), Kind: kind, Reason: reason,
		Events: j.Events, Spec: f.Spec.Hash,
	}
}
