package flow

import (
	"context"
	"maps"
	"slices"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/translate"
	"tandem/spec"
)

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
	t, err := f.readAgain(ctx, j, t)
	if err == nil && !t.Archived {
		m.see(j, t)
	}
	return t, err
}

// readAgain reads the source once more. A record that was there a moment ago and is
// not any more is looked at again: its deletion's own event says what it means.
func (f *Flow) readAgain(ctx context.Context, j *journey, t *Transformed) (*Transformed, error) {
	rec, err := f.read(ctx, j.from, j.source, j.object(j.source), orElse(t.ID, j.ID), j.forward, j.pair)
	if CodeOf(err) == RecordMissing {
		return nil, Errorf(LeaseHeld, "the record was there and is not found any more: it is looked at again")
	}
	if err != nil {
		return nil, err
	}
	return f.translated(ctx, j, rec, false)
}

// newer reads the source once more where a newer state of it has been compared.
func (f *Flow) newer(ctx context.Context, j *journey, p *ledger.Pair, t *Transformed) (*Transformed, error) {
	t, err := f.readAgain(ctx, j, t)
	if err == nil && older(p, j.source, t.Version, time.UnixMilli(t.ReadAt)) {
		err = Errorf(IndexLag, "the %s answers with an older state than it did before", j.source)
	}
	return t, err
}

// recent is how old a read may be on which a create is decided.
const recent = 2 * time.Second

// stillThere reads the source again where it was read some time ago, as when a
// search index had to settle first: it may have been deleted since, or merged.
func (f *Flow) stillThere(ctx context.Context, j *journey, t *Transformed) (*Transformed, error) {
	if f.Now().Sub(time.UnixMilli(t.ReadAt)) < recent {
		return t, nil
	}
	return f.readAgain(ctx, j, t)
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
		source: side{system: j.source, sent: sent[j.source], met: j.met(p)}, target: side{system: j.target, sent: sent[j.target]},
		blind: true, print: j.print, sentAs: j.sentAs, skew: f.skew(), seen: p.Seen, waits: len(p.Waits) > 0, owing: j.owing(p),
		lacks: map[record.System]map[string]*Lack{}, was: map[record.System]map[string][]string{},
	}
	m.recall = func(sd *side) {
		old := p.Landed(sd.system, sd.updated)
		for _, told := range j.Told { // set when nothing of ours could land any more
			if old[told.Field] != nil && sd.system == j.source && time.UnixMilli(orElse(told.At, j.At)).After(p.GhostsUntil) {
				old = maps.Clone(old)
				delete(old, told.Field)
			}
		}
		sd.sent = ledger.Sent(old, sd.sent)
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
	m.source.moved = movedOn(t.Version, t.ETag, m.seen[j.source])
	m.lacks[j.source], m.was[j.source] = map[string]*Lack{}, t.Was
	for name, lack := range t.Lacks {
		m.lacks[j.source][name] = &lack
	}
	if m.source.updated = t.updatedAt(); m.source.updated.IsZero() {
		m.source.updated = time.UnixMilli(j.At)
	}
	m.source.updated = believed(m.source.updated.Add(-time.Duration(t.Ahead)*time.Millisecond), time.UnixMilli(t.ReadAt), m.skew)
	m.recall(&m.source)
}

// ahead is by how much a system's clock is ahead of ours, as its answer showed;
// zero where it tells no time or is out by no more than the bound. Answers tell
// whole seconds and are a moment old.
func (f *Flow) ahead(rec record.Record) time.Duration {
	d := rec.Clock.Sub(rec.ReadAt)
	if rec.Clock.IsZero() || d.Abs() <= f.skew()+time.Second {
		return 0
	}
	return d
}

// believed is when a system says that a record was changed, or the zero time when
// it tells of what is still to come: its clock is out by more than the bound, and
// nobody knows by how much.
func believed(updated, readAt time.Time, skew time.Duration) time.Time {
	if updated.After(readAt.Add(skew)) {
		return time.Time{}
	}
	return updated
}

// quiet reports whether the source stands at the base in every field, and nothing
// waited when it was compared last: neither a reference nor an edit of the other side,
// for a value of the source that had no translation. A blank of ours, made to give room, is one to
// whoever made it: the blank's own event, which comes first, is not made to wait, too.
func (m *merge) quiet() bool {
	if m.waits || m.seen[m.source.system].Stuck {
		return false
	}
	for _, field := range m.pair.Fields {
		c := m.cell(m.source, field.Name)
		base, agreed := m.base[field.Name]
		_, parked := m.parked[field.Name]
		owed := m.owing && base.Owes(c.system)
		if c.known && !parked && (c.changed || c.ours || c.met || !agreed || owed || m.turned(c)) {
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
	if older(p, j.target, rec.Version, rec.ReadAt) {
		return rec, Errorf(IndexLag, "the %s answered with an older state than it did before", j.target)
	}
	return rec, f.look(ctx, j, m, rec)
}

// replicas is how long after a state was stamped a read may still show an older one.
const replicas = time.Minute

// older reports whether a read shows a state from before the one that was compared
// last. A system that shows an older one long after that was put back, as to a
// backup, or has given the id to a new record: what it holds now counts.
func older(p *ledger.Pair, sys record.System, version string, readAt time.Time) bool {
	return version != "" && record.CompareVersions(version, p.Seen[sys].Version) < 0 && readAt.Before(p.StampedAt.Add(replicas))
}

// look puts the target's values into the decision.
func (f *Flow) look(ctx context.Context, j *journey, m *merge, rec record.Record) error {
	m.blind, m.target.own, m.target.updated = false, j.back.Canonical(rec.Fields), rec.UpdatedAt
	if !m.target.updated.IsZero() {
		m.target.updated = believed(m.target.updated.Add(-f.ahead(rec)), rec.ReadAt, m.skew)
	}
	m.recall(&m.target)
	m.target.moved = movedOn(rec.Version, rec.ETag, m.seen[j.target])
	m.back = map[string]string{}
	m.lacks[j.target], m.was[j.target] = map[string]*Lack{}, map[string][]string{}
	// A value of the target that does not translate stays where it is: its own
	// execution reports it.
	possible := j.back.Possible(rec.Fields)
	m.stuck = slices.ContainsFunc(m.pair.Fields, func(field spec.Field) bool { return m.target.untranslated(field, possible) })
	for _, v := range possible {
		to, err := f.resolve(ctx, v, j.target)
		switch {
		case err != nil:
			return err
		case to.lack != nil:
			m.lacks[j.target][v.Field] = to.lack
		default:
			m.back[v.Field], m.was[j.target][v.Field] = to.text, to.was
		}
	}
	return nil
}

// untranslated: the side holds a value of the field that is to travel and is not among
// those that have a translation.
func (sd side) untranslated(field spec.Field, possible []translate.Translated) bool {
	_, told := sd.own[field.Name]
	has := func(v translate.Translated) bool { return v.Field == field.Name }
	return told && field.Travels(spec.From(sd.system)) && !slices.ContainsFunc(possible, has)
}

// complete reports whether every field that would be written has a base that is
// believed: no write of ours is unconfirmed on the source, and no event told of
// another who has set what ours has written. Nor may a reference depend on what the
// target's refers to: one that is gone may only be hidden. Nor is a side at the base
// whose part of that is empty.
func (m *merge) complete() bool {
	if m.waits || len(m.lacks[m.source.system]) > 0 {
		return false
	}
	for _, field := range m.pair.Fields {
		c := m.cell(m.source, field.Name)
		base, agreed := m.base[field.Name]
		hidden := c.changed && c.text == "" && field.HubSpot.Type == record.Reference
		if c.known && (!agreed || c.ours || c.met || hidden || m.turned(c)) || agreed && (base.HubSpot == "" || base.Destination == "") {
			return false
		}
	}
	return true
}
