package flow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/translate"
	"tandem/spec"
)

// Lack is a reference to a record that has no partner now. Such a field is left
// alone on both sides, and its base stays, until the record is linked: the rest of
// the record does not wait for it.
type Lack struct {
	// Parent is the record that has to be linked: in HubSpot where it is known
	// there, since a destination record may be made anew.
	Parent record.Ref   `json:"parent"`
	State  ledger.State `json:"state,omitempty"`
	Reason string       `json:"reason,omitempty"`
	// Hidden: what stood for it in HubSpot has been erased there.
	Hidden bool `json:"hidden,omitempty"`
}

// parentPatience is how often an event is put off for a parent that may be on its
// way: some two and a half minutes with the retries.
const parentPatience = 2

// resolved is a translated value: a referenced record's is its partner, or what is
// lacking for that.
type resolved struct {
	text string
	lack *Lack
	// was are the destination records that the referenced record, or one merged into
	// it, was linked to before: of the destination's itself, it alone.
	was []string
}

// resolve turns the id of a referenced record into its partner's, or says what is
// lacking.
func (f *Flow) resolve(ctx context.Context, v translate.Translated, source record.System) (resolved, error) {
	if v.Ref == "" || v.Target == "" {
		return resolved{text: v.Target}, nil
	}
	parent, ok := f.Spec.PairByName(v.Ref)
	if !ok {
		return resolved{}, Errorf(BadEnvelope, "the spec has no pair %q to refer to", v.Ref)
	}
	ref := record.Ref{System: source, Object: parent.Side(source).Object, ID: v.Target}
	p, err := f.Ledger.Find(ctx, parent, ref, "")
	switch {
	case err != nil:
		return resolved{}, store(err)
	case p.State == ledger.Linked:
		was := slices.DeleteFunc(slices.Clone(p.Was), func(id string) bool {
			return (id == p.IDs[record.Destination]) != (source == record.Destination)
		})
		return resolved{text: p.IDs[source.Other()], was: was}, nil
	}
	id, merged, hidden := p.IDs[record.HubSpot], p.MergedInto(), false
	if merged != "" {
		into := record.Ref{System: record.HubSpot, Object: parent.HubSpot.Object, ID: merged}
		survivor, err := f.Ledger.Find(ctx, parent, into, "")
		if err != nil {
			return resolved{}, store(err)
		}
		fate := Lack{State: survivor.State, Reason: survivor.Reason}
		switch id = ""; {
		case fate.erased(): // the record itself is still there, and waits for people
			hidden = true
		case survivor.State != ledger.Linked:
			p, id = survivor, merged // what became of it says why HubSpot may hide it
		}
	}
	if id != "" {
		ref = record.Ref{System: record.HubSpot, Object: parent.HubSpot.Object, ID: id}
	}
	return resolved{lack: &Lack{Parent: ref, State: p.State, Reason: p.Reason, Hidden: hidden}}, nil
}

// late is ParentMissing where the parent's own execution may be under way, and the
// reference is new to us: neither agreed on nor waited for already.
func (f *Flow) late(ctx context.Context, j *journey, v translate.Translated, lack *Lack) error {
	if lack.State != "" && lack.State != ledger.Claimed {
		return nil
	}
	p, err := f.Ledger.Find(ctx, j.pair, j.ref, "")
	if err != nil {
		return store(err)
	}
	known := j.print(v.Field, j.source, v.Target) == p.Base[v.Field].Side(j.source)
	if known || slices.ContainsFunc(p.Waits, lack.wait(j, v.Field, j.source, j.ID).Same) {
		return nil
	}
	return Errorf(ParentMissing, "%s: %s, to which it refers, is %s", v.Property, lack.Parent, lack.why())
}

// refer notes what a field has been resolved to.
func (t *Transformed) refer(field string, to resolved) {
	switch {
	case to.lack == nil:
		t.Fields[field] = to.text
	case t.Lacks == nil:
		t.Lacks = map[string]Lack{field: *to.lack}
	default:
		t.Lacks[field] = *to.lack
	}
	if len(to.was) > 0 && t.Was == nil {
		t.Was = map[string][]string{}
	}
	if len(to.was) > 0 {
		t.Was[field] = to.was
	}
}

// wait is the row of a lack, of the record with that id.
func (l *Lack) wait(j *journey, field string, sys record.System, id string) ledger.Wait {
	return ledger.Wait{Field: field, Of: record.Ref{System: sys, Object: j.object(sys), ID: id}, Parent: l.Parent, Why: l.why()}
}

// why says in words what keeps the parent from being linked.
func (l *Lack) why() string {
	switch l.State {
	case ledger.Parked:
		return "parked (" + l.Reason + ")"
	case ledger.Gone:
		return "at rest (" + l.Reason + ")"
	}
	return "not linked yet"
}

// erased: nothing will ever link the parent again.
func (l *Lack) erased() bool { return strings.HasPrefix(l.Reason, erased) }

// goneIn: the parent was deleted in sys, so that sys may show no reference to it any
// more although nobody has taken that away.
func (l *Lack) goneIn(sys record.System) bool {
	return l.Hidden && sys == record.HubSpot || strings.HasPrefix(l.Reason, deletedIn+string(sys)) || l.Reason == deletedIn+string(sys.Other()) || l.Reason == deletedInBoth || l.erased()
}

// reference decides a field of which one side or both refer to a record that has no
// partner now. Nothing is done about such a value: it waits. But a newer value of
// the other side, which translates, is taken as the field's policy says.
func (m *merge) reference(field spec.Field, s, t cell, v *verdict) {
	here, there := m.lack(s), m.lack(t)
	_, agreed := m.base[field.Name]
	open := !agreed || s.changed || t.changed || s.ours || t.ours
	switch {
	case !open && here != nil && there != nil, !open && !t.known:
		// Both stand where they agreed.
	case !t.known, here != nil && there != nil,
		here != nil && t.text == "" && here.goneIn(t.system), there != nil && s.text == "" && there.goneIn(s.system):
		m.wait(field, s, here, v)
		m.wait(field, t, there, v)
	case here != nil:
		m.oneLacks(field, s, t, here, v)
	default:
		m.oneLacks(field, t, s, there, v)
	}
}

// oneLacks: only one side's value has no translation.
func (m *merge) oneLacks(field spec.Field, lacking, other cell, lack *Lack, v *verdict) {
	_, agreed := m.base[field.Name]
	doubt := lacking.ours || other.ours
	takes := false
	switch {
	case !agreed && other.text == "", agreed && doubt && !other.changed:
	case !agreed, lacking.changed && other.changed:
		takes = m.winner(field) == other.system
	case agreed && !lacking.changed && !other.changed:
		takes = other.text != "" // the parent was made anew for one side only
	default:
		takes = other.changed
	}
	if !takes || !m.bring(field, other, v) {
		m.landed(field, other, v)
		if !agreed || doubt || lacking.changed || other.changed {
			m.wait(field, lacking, lack, v)
		}
		return
	}
	if lacking.changed || !agreed {
		v.conflicts = append(v.conflicts, ledger.Conflict{Field: field.Name, Policy: policy(field), Winner: other.system, Loser: lacking.text})
		return
	}
	m.take(field, lacking, v)
}

// bring writes one side's value to the other, where the field travels that way.
func (m *merge) bring(field spec.Field, from cell, v *verdict) bool {
	_, back := m.back[field.Name]
	switch {
	case !field.Travels(spec.From(from.system)):
		return false
	case from.system == m.source.system:
		m.send(field, from, v)
		return true
	}
	return back && m.fetch(field, from, v)
}

// turned: both sides agreed on a record that has another partner now, after a merge
// or since one of the two was made anew. The other side refers to the former one still,
// or to none, if its system takes that away with the record: nobody has edited it.
func (m *merge) turned(c cell) bool {
	base, agreed := m.base[c.field]
	was := m.was[c.system][c.field]
	if !agreed || !c.known || len(was) == 0 {
		return false
	}
	if c.system == record.HubSpot {
		return slices.ContainsFunc(was, func(id string) bool { return m.print(c.field, record.Destination, id) == base.Destination })
	}
	now, ok := m.forward[c.field]
	if c.system == m.target.system {
		now, ok = m.back[c.field]
	}
	return ok && c.print == base.Destination && m.print(c.field, record.HubSpot, now) != base.HubSpot
}

// emptied records that a reference is filled again which the destination's system has
// taken away with the record, or somebody has: HubSpot is known to hide them.
func (m *merge) emptied(field spec.Field, c cell, v *verdict) {
	if c.system == record.Destination {
		m.lost(field, c, v)
	}
}

// sameRecord: the source refers to another record than both sides agreed on, which a
// merge has given the same partner.
func (m *merge) sameRecord(field spec.Field, s, t cell) bool {
	return field.HubSpot.Type == record.Reference && len(m.was[s.system][field.Name]) > 0 &&
		m.print(field.Name, t.system, m.forward[field.Name]) == m.base[field.Name].Side(t.system)
}

// lack is what keeps a cell's value from being translated.
func (m *merge) lack(c cell) *Lack { return m.lacks[c.system][c.field] }

func (m *merge) wait(field spec.Field, c cell, lack *Lack, v *verdict) {
	if lack != nil && !lack.erased() && field.Travels(spec.From(c.system)) {
		v.waits = append(v.waits, lacking{field.Name, c.system, lack})
	}
}

// lacking is one field of a verdict that waits.
type lacking struct {
	field  string
	system record.System
	lack   *Lack
}

// waiting lists what waits after a verdict.
func (v *verdict) waiting(j *journey, ids map[record.System]string) (waits []ledger.Wait) {
	for _, w := range v.waits {
		waits = append(waits, w.lack.wait(j, w.field, w.system, ids[w.system]))
	}
	return waits
}

// compareWaits keeps of the waits those that the pair has not told of yet, and lists what
// it has told of and waits no longer.
func compareWaits(p *ledger.Pair, waits []ledger.Wait) (fresh, ended []ledger.Wait) {
	fresh = slices.DeleteFunc(slices.Clone(waits), func(w ledger.Wait) bool { return slices.ContainsFunc(p.Waits, w.Same) })
	ended = slices.DeleteFunc(slices.Clone(p.Waits), func(w ledger.Wait) bool {
		return slices.ContainsFunc(waits, func(o ledger.Wait) bool { return o.Field == w.Field && o.Of.System == w.Of.System })
	})
	return fresh, ended
}

// waitsFor is the reason of an outcome of which references are left out.
func waitsFor(waits []ledger.Wait) string {
	text := make([]string, len(waits))
	for i, w := range waits {
		text[i] = w.String()
	}
	return fmt.Sprintf("%s: %s", ParentMissing, strings.Join(text, "; "))
}

func waitingFields(waits []ledger.Wait) (names []string) {
	for _, w := range waits {
		names = append(names, w.Field)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
