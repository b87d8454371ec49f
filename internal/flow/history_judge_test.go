package flow_test

import (
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// pairOf is what is known of a record, or of the one that stands for it.
func (h *history) pairOf(sys record.System, id string) *ledger.Pair {
	p, err := h.flow.Ledger.Find(h.t.Context(), h.flow.Spec.Pairs[0], record.Ref{System: sys, Object: h.at[sys].object, ID: id}, "")
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// is the record that is there under an id, and whether there is one.
func (h *history) is(sys record.System, id string) (record.Record, bool) {
	row, there := h.at[sys].rows[h.at[sys].key(id)]
	return row, there && !row.Archived
}

// judge asks a quiet history what must hold.
func (h *history) judge() {
	for _, w := range h.dead {
		if s := decoded(w); !h.hopeless(w) {
			h.fail("a dead letter is left of %s %s: %s", w.sys, s.Event.ID, w.name)
		}
	}
	for _, sys := range both {
		for _, wrong := range h.at[sys].wrongs {
			h.fail("%s: %s", sys, wrong)
		}
		for _, id := range slices.Sorted(maps.Keys(h.at[sys].emails)) {
			if h.at[sys].lives(id) == id {
				h.settled(sys, id, h.pairOf(sys, id))
			}
		}
	}
	h.single()
	h.kept()
}

// settled: a live record is linked, to one that is there and agrees, or at rest for a
// reason that has happened, as one that is gone is.
func (h *history) settled(sys record.System, id string, p *ledger.Pair) {
	row, live := h.is(sys, id)
	h.say("%s %s %v %v: %s %s %v", sys, id, live, row.Fields, p.State, p.Reason, p.IDs)
	switch {
	case h.hasLetter(p):
	case p.Held(h.now), p.Intent != nil && p.State == ledger.Linked, p.State == ledger.Claimed:
		h.fail("%s %s is not let go of: %s, lease until %s, intent %v", sys, id, p.State, p.LeaseUntil, p.Intent)
	case p.State == ledger.Linked:
		h.linked(sys, id, p)
	case p.State == "" && live:
		h.fail("%s %s is not known", sys, id)
	case !live && p.State == ledger.Gone && p.IDs[sys.Other()] == "": // a restore has parted it from its partner, for which we deleted it
	case p.State == ledger.Parked && strings.HasPrefix(p.Reason, "deleted in") && h.bothGone(p):
		h.fail("%s %s and its partner are gone, and a person is still asked: %q", sys, id, p.Reason)
	case p.State != "" && !h.happened(sys, id, p):
		h.fail("%s %s is %s, for no reason: %q", sys, id, p.State, p.Reason)
	}
}

// bothGone: people have deleted both records of a pair.
func (h *history) bothGone(p *ledger.Pair) bool {
	return !slices.ContainsFunc(both, func(sys record.System) bool {
		_, there := h.is(sys, p.IDs[sys])
		return there || !h.at[sys].gone[p.IDs[sys]]
	})
}

// linked: both records of a pair are there, know each other and agree in every field.
func (h *history) linked(sys record.System, id string, p *ledger.Pair) {
	other := sys.Other()
	row, live := h.is(sys, id)
	partner, there := h.is(other, p.IDs[other])
	back := h.pairOf(other, p.IDs[other])
	if !live || !there || p.IDs[sys] != id || back.State != ledger.Linked || back.IDs[sys] != id {
		h.fail("%s %s, there: %v, is linked to %s, there: %v, and %s with %s", sys, id, live, p.IDs[other], there, back.State, back.IDs[sys])
		return
	}
	hub, dest := row.Fields, partner.Fields
	if sys == record.Destination {
		hub, dest = dest, hub
	}
	for _, field := range [][2]string{{"email", hub["email"]}, {"first_name", hub["firstname"]}, {"last_name", hub["lastname"]}, {"name", hub["firstname"] + " " + hub["lastname"]}} {
		if dest[field[0]] != field[1] && p.Drifted[field[0]] == "" { // a late write of ours may look like a person's on the wrong side
			h.fail("%s %s: %s is %q and not %q", sys, id, field[0], dest[field[0]], field[1])
		}
	}
}

// happened asks the history for what a row says of a record that is there.
func (h *history) happened(sys record.System, id string, p *ledger.Pair) bool {
	into, merged := strings.CutPrefix(p.Reason, "its HubSpot record was merged into ")
	away := func(s record.System) bool { // somebody deleted that one, and it is away
		_, there := h.is(s, p.IDs[s])
		return !there && (p.IDs[s] == "" || h.at[s].gone[p.IDs[s]])
	}
	said := func(s string) bool { return strings.HasPrefix(p.Reason, s) }
	switch {
	case merged:
		return slices.Contains(slices.Collect(maps.Values(h.at[record.HubSpot].into)), into)
	case said("deleted in both"):
		return away(record.HubSpot) || away(record.Destination)
	case said("deleted in hubspot"):
		return away(record.HubSpot)
	case said("deleted in destination"):
		return away(record.Destination)
	case said("it was made for"):
		return h.happenings["lost answer"]+h.happenings["late write"]+h.happenings["dead execution"]+h.happenings["slow execution"] > 0
	case said("two or more records of "), said("the matching record of "):
		return h.akin(sys, id)
	case said("erased"):
		return h.happenings["erasure"] > 0
	}
	return false
}

// akin: a record of the other side has had an e-mail that this one has had, or this one
// names it as what it was made for.
func (h *history) akin(sys record.System, id string) bool {
	row := h.at[sys].seen[h.at[sys].key(id)]
	if h.at[sys.Other()].emails[row.Fields["hubspot_id"]+row.Fields["erp_id"]] != nil {
		return true
	}
	for _, emails := range h.at[sys.Other()].emails {
		for email := range h.at[sys].emails[id] {
			if email != "" && emails[email] {
				return true
			}
		}
	}
	return false
}

// single: of one person no two records of a side are live and synced.
func (h *history) single() {
	for _, sys := range both {
		linked := map[string]string{}
		for _, id := range h.live(sys) {
			p := h.pairOf(sys, id)
			partner := p.IDs[sys.Other()]
			switch {
			case p.State != ledger.Linked:
			case linked[partner] != "":
				h.fail("%s %s and %s are both linked to %s", sys, linked[partner], id, partner)
			default:
				linked[partner] = id
			}
		}
	}
}

// hasLetter: either record of a pair has a dead letter left.
func (h *history) hasLetter(p *ledger.Pair) bool {
	return slices.ContainsFunc(h.dead, func(w work) bool {
		id := h.at[w.sys].lives(decoded(w).Event.ID)
		return p.IDs[w.sys] == id
	})
}

// hopeless: the e-mail that one of the pair's records is to get belongs to another, which
// keeps it; only a person can end that.
func (h *history) hopeless(w work) bool {
	id := h.at[w.sys].lives(decoded(w).Event.ID)
	if _, there := h.is(w.sys, id); !there {
		return strings.Contains(w.cause, string(flow.RecordMissing))
	}
	p := h.pairOf(w.sys, id)
	return slices.ContainsFunc(both, func(to record.System) bool {
		from := []string{p.IDs[to.Other()]}
		if p.State != ledger.Linked {
			from = h.live(to.Other()) // the one that it is to be linked to has no name yet
		}
		return slices.ContainsFunc(from, func(id string) bool {
			row, _ := h.is(to.Other(), id)
			holder := h.at[to].holder(row.Fields["email"])
			return holder != "" && holder != p.IDs[to] && h.stays(to, holder)
		})
	})
}

// stays: a record keeps its e-mail, since it is at rest or stuck itself, or holds it
// on both sides or as an additional one.
func (h *history) stays(sys record.System, id string) bool {
	p := h.pairOf(sys, id)
	own, _ := h.is(sys, id)
	partner, _ := h.is(sys.Other(), p.IDs[sys.Other()])
	beside := slices.Contains(slices.Collect(maps.Values(h.at[sys].beside)), id)
	return p.State != ledger.Linked || h.hasLetter(p) || strings.EqualFold(own.Fields["email"], partner.Fields["email"]) || beside
}

// kept: what a person has set is there, or has come to the other side, or is recorded;
// or the same person took it away, or can see it in a dead letter.
func (h *history) kept() {
	last := map[string]edit{}
	for _, e := range h.edits {
		last[string(e.sys)+e.id] = e
	}
	lost := h.lost()
	for _, key := range slices.Sorted(maps.Keys(last)) {
		e := last[key]
		row := h.at[e.sys].rows[h.at[e.sys].key(e.id)]
		p := h.pairOf(e.sys, e.id)
		_, there := h.is(e.sys, e.id)
		erased := !there && h.happenings["erasure"] > 0 // it may have gone with somebody, and all that was known of it
		if e.left || erased || row.Fields[lastName[e.sys]] == e.text || h.at[e.sys.Other()].shown[e.text] || h.hasLetter(p) || h.recorded(lost, e) {
			continue
		}
		h.fail("%s %s was set to %q at %s, which is neither there nor recorded: it is %s %s", e.sys, e.id, e.text, e.at.Format("15:04:05"), p.State, p.Reason)
	}
}

// lost are all values that are recorded as lost.
func (h *history) lost() (lost []ledger.Conflict) {
	for _, pk := range slices.Sorted(maps.Keys(h.rows.partitions)) {
		parts := strings.Split(pk, "#")
		if parts[0] != "LOST" {
			continue
		}
		some, err := h.flow.Ledger.Conflicts(h.t.Context(), record.Ref{System: record.System(parts[1]), Object: parts[2], ID: parts[3]})
		if err != nil {
			h.t.Fatal(err)
		}
		lost = append(lost, some...)
	}
	for _, c := range h.forgotten {
		if !slices.Contains(lost, c) {
			lost = append(lost, c)
		}
	}
	return lost
}

func (h *history) recorded(lost []ledger.Conflict, e edit) bool {
	print := ledger.Fingerprint("acme/contacts", "lastName", e.sys, e.text)
	return slices.ContainsFunc(lost, func(c ledger.Conflict) bool {
		unread := c.Policy == "overwritten" && c.Loser == "" && c.LoserPrint == "" && e.at.Sub(c.At).Abs() < time.Millisecond
		return c.Field == "lastName" && (c.Loser == e.text || c.LoserPrint == print || unread)
	})
}

// replay tells of everything again, in any order: nothing is written, unless a dead
// letter has left something undone.
func (h *history) replay() {
	before := h.wrote()
	h.say("everything is told again")
	h.now = h.now.Add(2 * time.Hour)
	again := slices.Clone(h.heard)
	h.rng.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
	left := h.dead
	h.queue = append(h.queue, again...)
	if h.drain(); h.wrote() != before && len(left) == 0 {
		h.fail("telling everything again wrote %v %v", h.hub.writes, h.dest.writes)
	}
	h.dead = left
	if len(h.violations) == 0 {
		h.judge()
	}
}

// remember keeps what is recorded as lost where an erasure may take it along.
func (h *history) remember() {
	if h.happenings["erasure"] > 0 {
		h.forgotten = h.lost()
	}
}

// erase takes a contact out of HubSpot for good.
func (h *history) erase(id string) {
	o := h.at[record.HubSpot]
	delete(o.rows, o.key(id))
	delete(o.seen, o.key(id))
	o.gone[id] = true
	h.leave(record.HubSpot, id)
	h.say("somebody erases hubspot %s", id)
	h.tell(record.HubSpot, flow.Notification{Object: o.object, Record: id, Kind: flow.Deleted, At: h.now})
	h.tell(record.HubSpot, flow.Notification{Object: o.object, Record: id, Kind: flow.Purged, At: h.now})
}

// eraseAll erases every contact, also those in the recycle bin and those that are made for
// customers who had none yet: nothing is known of anybody any more, and where the policy
// is to archive no partner is left.
func (h *history) eraseAll() {
	for n := 0; n < 3 && (n == 0 || len(h.live(record.HubSpot)) > 0); n++ {
		h.dead = nil
		partners := h.partners()
		h.now = h.now.Add(2 * time.Hour)
		for _, key := range slices.Sorted(maps.Keys(h.at[record.HubSpot].seen)) {
			h.erase(lastPart(key))
		}
		h.settle()
		for _, id := range partners {
			if _, there := h.is(record.Destination, id); there && h.flow.Spec.Pairs[0].Deletes.HubSpot == "archive" {
				h.fail("all are erased, and destination %s is there", id)
			}
		}
	}
	h.forgot()
}

// partners are the customers who are linked.
func (h *history) partners() (ids []string) {
	for _, id := range h.live(record.HubSpot) {
		if p := h.pairOf(record.HubSpot, id); p.State == ledger.Linked {
			ids = append(ids, p.IDs[record.Destination])
		}
	}
	return ids
}

// forgot: no row keeps a fingerprint or a lost value, but of a customer who was nobody's
// partner: what that one has lost is its own.
func (h *history) forgot() {
	rows := h.dump(h.rows)
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		if !strings.Contains(rows[key], `"f:`) && !strings.Contains(rows[key], `"w:`) && !strings.Contains(rows[key], `\"loser`) {
			continue
		}
		of := strings.Split(strings.Fields(key)[0], "#")
		if sys := record.System(of[1]); sys == record.HubSpot || h.met[of[3]] {
			h.fail("%s still knows the erased: %.300s", key, rows[key])
		}
	}
}
