package flow

import (
	"slices"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// side is one system's view of the record in a decision.
type side struct {
	system record.System
	// own is the canonical text by field; a field that is absent is unknown.
	own map[string]string
	// sent are fingerprints our own unconfirmed writes may have put there, and
	// moved whether the record may have changed at all since it was last compared.
	sent  map[string][]string
	moved bool
	// met are fields that somebody is told to have set to what a write of ours brought.
	met     map[string]bool
	updated time.Time
}

// merge is everything a decision rests on. It is pure: no clock, no store.
type merge struct {
	pair           spec.Pair
	direction      spec.Direction
	base           map[string]ledger.Base
	seen           map[record.System]ledger.Seen
	parked, drift  map[string]string
	source, target side
	// blind is true when the target was not read: it is believed to stand at the
	// base, and the write is conditional on that.
	blind bool
	// stuck: the target holds a value that is to travel and has no translation.
	stuck bool
	// waits: the pair has references that waited when it was compared last.
	waits bool
	// owing: this execution has made room, and brings what a blank stands for.
	owing bool
	// lacks are the references of each side that have no translation now.
	lacks map[record.System]map[string]*Lack
	// was are what the records that each side refers to were linked to before.
	was map[record.System]map[string][]string
	// forward and back are the translations of each side for the other.
	forward, back map[string]string
	print         func(field string, s record.System, text string) string
	// sentAs: the value is one of those, or a form of it that the system may have made.
	sentAs func(sent []string, field string, s record.System, text string) bool
	skew   time.Duration
	// recall adds to what may have been sent to a side what may have landed there unseen.
	recall func(*side)
}

// verdict is what a merge decided.
type verdict struct {
	// toTarget and toSource are the values to write, by field.
	toTarget, toSource map[string]string
	// base are the fields' fingerprints to store: complete for fields that agree,
	// with only the other side's print for fields about to be written.
	base      map[string]ledger.Base
	conflicts []ledger.Conflict
	drift     map[string]string
	// stuck are fields of which the target holds a new value that has no translation;
	// loose: a field does not stand where the base says, and stays so.
	stuck []string
	loose bool
	// waits are references that are left alone until what they refer to is linked.
	waits []lacking
}

// movedOn reports whether a record may have changed since it was compared as seen. One
// that tells neither version nor entity tag may always have.
func movedOn(version, etag string, seen ledger.Seen) bool {
	if version == "" {
		return etag == "" || etag != seen.ETag
	}
	return version != seen.Version
}

// cell is one field on one side.
type cell struct {
	system      record.System
	field       string
	text, print string
	known       bool // the side was asked and told
	changed     bool // differs from the base by an outside edit
	ours        bool // differs from the base by a write of ours that was never confirmed, or that made room
	// reverted: stands at the base although an unconfirmed write of ours, to this
	// side or from it, shows that it stood elsewhere, and the record has moved:
	// somebody may have set the old value again.
	reverted bool
	// met: stands at the base, but not only by a write of ours: somebody had set the
	// value before it.
	met bool
	// mine: holds what a write of ours that was never confirmed put there; asked
	// where there is no base yet.
	mine bool
}

func (m *merge) cell(sd side, name string) cell {
	text, ok := sd.own[name]
	c := cell{system: sd.system, field: name, text: text, known: ok, print: m.print(name, sd.system, text)}
	c.mine = m.sentAs(sd.sent[name], name, sd.system, text)
	if base, agreed := m.base[name]; agreed && ok && c.print != base.Side(sd.system) {
		c.ours = c.mine || text == "" && base.Owes(sd.system)
		c.changed = !c.ours
	} else if agreed && ok {
		c.met = sd.met[name]
		room := text == "" && base.Owes(sd.system) // nobody sets what is so already
		c.reverted = !room && sd.moved && len(m.source.sent[name])+len(m.target.sent[name]) > 0
	}
	return c
}

func (m *merge) decide() verdict {
	v := verdict{toTarget: map[string]string{}, toSource: map[string]string{}, base: map[string]ledger.Base{}, drift: map[string]string{}}
	for _, field := range m.pair.Fields {
		if _, parked := m.parked[field.Name]; parked {
			continue
		}
		if s := m.cell(m.source, field.Name); s.known {
			m.field(field, s, m.cell(m.target, field.Name), &v)
		}
	}
	return v
}

// unchanged is why nothing is done where nothing that travels differs.
func (m *merge) unchanged() string {
	var held []string
	for name := range m.parked {
		if m.cell(m.source, name).changed {
			held = append(held, name)
		}
	}
	if len(held) == 0 {
		return ReasonUnchanged
	}
	slices.Sort(held)
	return "left alone: parked, since it kept alternating: " + names(held)
}

// field decides one field of which the source is known.
func (m *merge) field(field spec.Field, s, t cell, v *verdict) {
	_, agreed := m.base[field.Name]
	switch {
	case m.lack(s) != nil || m.lack(t) != nil:
		m.reference(field, s, t, v)
	case !field.Travels(m.direction):
		m.wrongWay(field, s, t, agreed, v)
	case !m.blind && !t.known && !agreed && m.forward[field.Name] == "":
		m.agree(field.Name, s, t, v) // missing is never cleared: should it hold something, it will tell
	case (m.blind || !t.known) && s.changed && m.sameRecord(field, s, t):
		v.base[field.Name] = m.base[field.Name].With(s.system, s.print)
	case m.blind || !t.known:
		if s.changed || !agreed || m.turned(s) {
			m.send(field, s, v)
		}
	case m.equal(field.Name, s, t):
		m.agree(field.Name, s, t, v)
	case !agreed:
		m.firstContact(field, s, t, v)
	case t.text == "" && m.turned(s):
		m.emptied(field, t, v)
		m.send(field, s, v)
	case s.text == "" && m.turned(t) && m.fetch(field, t, v):
		m.emptied(field, s, v)
	case s.changed && t.changed && m.reshaped(field.Name, m.target, m.forward):
		m.lost(field, t, v)
		m.send(field, s, v)
	case s.changed && t.changed && m.reshaped(field.Name, m.source, m.back) && m.fetch(field, t, v):
		m.lost(field, s, v)
	case s.changed && t.changed:
		m.conflict(field, s, t, v)
	case s.changed:
		m.take(field, t, v)
		m.send(field, s, v)
	case t.changed && m.fetch(field, t, v):
		m.take(field, s, v)
	case t.changed:
		m.landed(field, s, v)
	case t.ours:
		m.take(field, t, v)
		m.send(field, s, v)
	case s.ours && m.fetch(field, t, v):
		m.take(field, s, v)
	}
}

// take records a value that is overwritten because it looks like a write of ours,
// or like the base before it: should it have been somebody's after all, or is it
// told to have been (met), it is not lost in silence.
func (m *merge) take(field spec.Field, c cell, v *verdict) {
	if c.ours || c.reverted || c.met || c.mine && c.text != "" {
		m.lost(field, c, v)
	}
}

// landed agrees on what a write of ours that was never confirmed has brought, where
// the other side holds by now what is left alone: once nobody expects that write any
// more it would be taken for an edit, and overwrite what is newer.
func (m *merge) landed(field spec.Field, c cell, v *verdict) {
	there, ok := m.forward[field.Name]
	if c.system == m.target.system {
		there, ok = m.back[field.Name]
	}
	if !c.ours || !c.mine || !ok {
		return
	}
	m.take(field, c, v)
	other := c.system.Other()
	v.base[field.Name] = ledger.Base{}.With(c.system, c.print).With(other, m.print(field.Name, other, there))
}

func (m *merge) lost(field spec.Field, c cell, v *verdict) {
	v.conflicts = append(v.conflicts, ledger.Conflict{Field: field.Name, Policy: "unconfirmed", Winner: c.system.Other(), Loser: c.text})
}

// reshaped: an unconfirmed write of ours has sent this side just what the other
// side holds, so what stands here is most likely that value in this system's form.
func (m *merge) reshaped(name string, here side, translated map[string]string) bool {
	text, ok := translated[name]
	return ok && slices.Contains(here.sent[name], m.print(name, here.system, text))
}

// equal: each side's value is the translation of the other's. One direction is
// enough, since a canonicalising formula only agrees in one.
func (m *merge) equal(name string, s, t cell) bool {
	back, ok := m.back[name]
	return m.forward[name] == t.text || ok && back == s.text
}

// wrongWay handles a field that travels only against this execution's direction.
func (m *merge) wrongWay(field spec.Field, s, t cell, agreed bool, v *verdict) {
	back, ok := m.back[field.Name]
	switch {
	case t.known && ok && back == s.text:
		m.agree(field.Name, s, t, v)
	case t.known && (t.changed || s.ours || !agreed && t.text != ""): // s.ours: a late write of ours
		switch fetched := m.fetch(field, t, v); {
		case !fetched:
		case s.changed, !agreed && !s.mine && s.text != "":
			v.conflicts = append(v.conflicts, ledger.Conflict{Field: field.Name, Policy: policy(field), Winner: t.system, Loser: s.text})
		default:
			m.take(field, s, v)
		}
	case t.known && !agreed && !s.mine && s.text != "":
		m.foreign(field, t, s, v)
	case s.changed:
		m.drifted(field, s, v)
	}
}

// firstContact: two records meet that have never agreed. A value that only an
// unconfirmed create or patch of ours put there is no rival. A blank side is
// filled, never a filled side blanked.
func (m *merge) firstContact(field spec.Field, s, t cell, v *verdict) {
	switch {
	case t.mine && !s.mine:
		m.take(field, t, v)
		m.send(field, s, v)
	case s.mine && !t.mine && m.fetch(field, t, v):
		m.take(field, s, v)
	case t.text == "":
		m.send(field, s, v)
	case s.text != "":
		m.conflict(field, s, t, v)
	case !m.fetch(field, t, v) && !field.Travels(spec.From(m.target.system)):
		// What does not translate now, such as a reference to a record that is not
		// linked yet, is agreed on by nobody: its own execution brings it.
		m.foreign(field, s, t, v)
	}
}

// foreign: a one-way field held something on its wrong side before the two met. That has
// drifted from the blank that they are taken to have agreed on, so that it is recorded
// when something takes its place, and travels should the field ever do so both ways.
func (m *merge) foreign(field spec.Field, right, wrong cell, v *verdict) {
	m.drifted(field, wrong, v)
	v.base[field.Name] = ledger.Base{}.With(right.system, right.print).With(wrong.system, m.print(field.Name, wrong.system, ""))
}

func (m *merge) agree(name string, s, t cell, v *verdict) {
	now := ledger.Base{}.With(m.source.system, s.print).With(m.target.system, t.print)
	if m.base[name] != now {
		v.base[name] = now
	}
}

func (m *merge) send(field spec.Field, s cell, v *verdict) {
	v.toTarget[field.Name] = m.forward[field.Name]
	v.base[field.Name] = ledger.Base{}.With(m.source.system, s.print)
}

// unbound takes from what was compared the entity tags that let the next write
// believe, unread, that the other side stands where both agreed. A field that is stuck
// or has drifted does not, and what overwrites it has to see it.
func (v *verdict) unbound(seen map[record.System]ledger.Seen) {
	for sys, s := range seen {
		if s.Stuck || v.loose {
			s.ETag = ""
		}
		seen[sys] = s
	}
}

// fetch writes the target's value back to the source. A one-way field cannot:
// an edit on its wrong side is reported once as drift. Nor can a value that has no
// translation, which its own execution reports.
func (m *merge) fetch(field spec.Field, t cell, v *verdict) bool {
	back, ok := m.back[field.Name]
	if !ok {
		switch {
		case !t.changed:
		case field.Travels(spec.From(t.system)):
			v.stuck, v.loose = append(v.stuck, field.Name), true
		default:
			m.drifted(field, t, v)
		}
		return false
	}
	v.toSource[field.Name] = back
	v.base[field.Name] = ledger.Base{}.With(m.target.system, t.print)
	return true
}

// drifted reports once that a one-way field was edited on its wrong side.
func (m *merge) drifted(field spec.Field, c cell, v *verdict) {
	if v.loose = true; m.drift[field.Name] != c.print {
		v.drift[field.Name] = c.print
	}
}

// conflict: both sides hold different values and neither is known to be older.
func (m *merge) conflict(field spec.Field, s, t cell, v *verdict) {
	winner, loser := m.winner(field), t.text
	switch _, translates := m.back[field.Name]; {
	case winner == m.target.system && !translates && field.Travels(spec.From(winner)):
		v.stuck, v.loose = append(v.stuck, field.Name), true // nothing else takes its place meanwhile
		return
	case winner == m.target.system && m.fetch(field, t, v):
		loser = s.text
	default:
		winner = m.source.system
		m.send(field, s, v)
	}
	v.conflicts = append(v.conflicts, ledger.Conflict{Field: field.Name, Policy: policy(field), Winner: winner, Loser: loser})
}

func policy(f spec.Field) string {
	if f.Policy == "" {
		return spec.PolicyNewest
	}
	return f.Policy
}

// winner applies the field's policy. Clocks of two systems are compared only
// beyond the bound on their skew; within it HubSpot wins, on both sides alike.
func (m *merge) winner(field spec.Field) record.System {
	switch policy(field) {
	case spec.PolicyHubSpot:
		return record.HubSpot
	case spec.PolicyDestination:
		return record.Destination
	}
	lead := m.source.updated.Sub(m.target.updated)
	switch {
	case m.source.updated.IsZero() || m.target.updated.IsZero() || lead.Abs() <= m.skew:
		return record.HubSpot
	case lead > 0:
		return m.source.system
	}
	return m.target.system
}
