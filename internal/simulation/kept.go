package simulation

import (
	"context"
	"slices"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// kept: no edit from outside is lost in silence. The last edit of each field on
// each side is what the record holds now, or had reached the other side, or is
// recorded as a conflict's loser; or the record waits for a person or is gone.
func (r *run) kept(p spec.Pair, pairs map[record.Ref]*ledger.Pair, fail func(string, ...any)) {
	last := map[place]edit{}
	for _, e := range r.edits {
		if e.pair == p.Name {
			last[place{e.ref, e.field}] = e
		}
	}
	for at, e := range last {
		pair := pairs[e.ref]
		now := r.now1(p, e.ref.System, e.ref.ID)
		rests := pair.State == ledger.Gone || pair.State == ledger.Parked
		switch {
		case now == nil:
			r.buried(p, pair, e, fail)
			continue
		case rests && r.buriedAs(pair, e.ref.System) && r.back(e.ref, e.at) && !r.hasLetter(p, e.ref):
			fail("no silent loss: %s was restored, edited at %s and is at rest: %s", e.ref, e.at.Sub(epoch), pair.Reason)
			continue
		case strings.HasPrefix(pair.Reason, "erased") || r.erasedWith(p, pair, e):
			continue // nothing may be known of it
		case pair.State != ledger.Linked && !rests && !r.dead(p, pair):
			fail("no silent loss: %s was edited and is %q, not linked", e.ref, pair.State)
			continue
		}
		if _, parked := pair.ParkedFields[e.field]; parked || now[e.field] == e.text || r.standsFor(p, e, now[e.field]) {
			continue
		}
		if len(r.noTranslation(p, e.ref)) > 0 && r.hasLetter(p, e.ref) {
			continue // what a write replaced unseen is recorded when its event, a dead letter, is redriven
		}
		if rests && e.ref.System == record.Destination && r.spec.Destination.Objects[e.ref.Object].Conditional == "" {
			continue // what a write has replaced unseen is remembered by a linked row only: a person is asked anyway
		}
		if e.text == "" && (rests || e.at.Before(pair.LinkedAt) || r.young(p, e) || e.first) {
			continue // at first contact, of which a row at rest says nothing, a blank side is filled
		}
		if now[e.field] == strings.TrimSpace(e.text) && e.at.After(pair.LinkedAt) && !r.chosen(p, pair, e) && !r.recorded(p, pair, e) {
			fail("no silent loss: %s field %s was set to %q and was rewritten in the other side's form", at.ref, at.field, e.text)
			continue
		}
		newest := !rests && r.newest(p, pair, e)
		if (newest || !r.reached(p, pair, e)) && !r.recorded(p, pair, e) && !r.undone(p, pair, e) && !r.atOnce(e) && !r.neverTold(e) {
			if newest && r.reached(p, pair, e) {
				fail("newest: %s field %s was set to %q at %s, later than anybody has set it on either side, and is %q", at.ref, at.field, e.text, e.at.Sub(epoch), now[e.field])
				continue
			}
			fail("no silent loss: %s field %s was set to %q at %s and is %q (linked at %s)", at.ref, at.field, e.text, e.at.Sub(epoch), now[e.field], pair.LinkedAt.Sub(epoch))
		}
	}
}

// newest: nobody has set the field on either side after that edit, so that it is what
// both have to hold, wherever it has been seen meanwhile. Of records that were merged,
// deleted or restored the systems themselves set values.
func (r *run) newest(p spec.Pair, pair *ledger.Pair, e edit) bool {
	f := p.Fields[slices.IndexFunc(p.Fields, func(f spec.Field) bool { return f.Name == e.field })]
	if f.Direction != "" || f.HubSpot.Type == record.Reference || !e.at.After(pair.LinkedAt) || r.young(p, e) || len(pair.Was) > 0 || r.onePortal {
		return false
	}
	own := func(ref record.Ref) bool {
		return ref.Object == p.Side(ref.System).Object && ref.ID == pair.IDs[ref.System]
	}
	later := func(o edit) bool { return o.pair == p.Name && own(o.ref) && o.field == e.field && o.at.After(e.at) }
	for _, s := range []record.System{record.HubSpot, record.Destination} {
		ref := record.Ref{System: s, Object: p.Side(s).Object, ID: pair.IDs[s]}
		_, back := r.restored[ref]
		if back || len(r.merged[ref.Object+"/"+ref.ID]) > 0 {
			return false
		}
	}
	return !slices.ContainsFunc(r.edits, later)
}

// atOnce: a write of ours, without a condition, replaced the edit in the very instant
// that the system tells for both, so that nothing tells the one from the other
// (docs/destinations.md, the question for conditional writes). It is counted.
func (r *run) atOnce(e edit) bool {
	if e.ref.System != record.Destination || r.spec.Destination.Objects[e.ref.Object].Conditional != "" {
		return false
	}
	same := slices.ContainsFunc(r.past[place{e.ref, e.field}], func(m moment) bool {
		return m.ours && !m.at.Before(e.at) && m.at.Truncate(r.tick).Equal(e.at.Truncate(r.tick))
	})
	if same {
		r.counts["left at last: edited in the instant of our write"]++
	}
	return same
}

// buriedAs: the pair is at rest for the reason that the record of that system is gone.
func (r *run) buriedAs(pair *ledger.Pair, s record.System) bool {
	if pair.State == ledger.Parked {
		return strings.HasPrefix(pair.Reason, "deleted in "+string(s))
	}
	return !strings.HasPrefix(pair.Reason, "erased") && !strings.HasSuffix(pair.Reason, "kept in "+string(s))
}

// erasedWith: the edit came before an erasure of the record that the pair's HubSpot
// record was merged into, with which all goes that is known of those merged into it.
func (r *run) erasedWith(p spec.Pair, pair *ledger.Pair, e edit) bool {
	into := pair.MergedInto()
	if into == "" {
		return false
	}
	survivor := r.pairOf(p, record.Ref{System: record.HubSpot, Object: p.HubSpot.Object, ID: into})
	return strings.HasPrefix(survivor.Reason, "erased") && e.at.Before(survivor.StampedAt)
}

// hearing is for how long the event of an edit may be under way.
const hearing = 2 * time.Minute

// buried: what we have deleted takes no edit with it that the other side does not know.
func (r *run) buried(p spec.Pair, pair *ledger.Pair, e edit, fail func(string, ...any)) {
	gone, ours := r.archived[e.ref]
	switch {
	case e.text == "" && (e.at.Before(pair.LinkedAt) || pair.LinkedAt.IsZero() && r.refilled(e) || e.first): // at first contact a blank side is filled
	case r.oneWay(p, e), r.young(p, e) && gone.Before(r.deployed): // drift is reported and keeps nothing from being deleted
	case slices.ContainsFunc(r.removed, func(d removal) bool {
		unheard := e.at.Before(d.at) && d.at.Sub(e.at) < hearing
		return d.erased && d.pair == p.Name && (d.at.Before(gone) || unheard) && r.akin(p, d.ref, e.ref)
	}):
		// an erasure took it along, with all that is known of it
	case !ours, gone.Before(e.at): // it came back, and somebody else has deleted it since
	case r.mergedAway(e.ref), strings.HasPrefix(pair.Reason, "erased"), r.reached(p, pair, e), r.recorded(p, pair, e), r.undone(p, pair, e), r.neverTold(e), gone.Sub(e.at) < underWay && r.missed(e), r.atOnce(e):
	default:
		fail("no silent loss: %s field %s was set to %q at %s, and we have deleted the record %s later", e.ref, e.field, e.text, e.at.Sub(epoch), gone.Sub(e.at))
	}
}

// refilled: what came after the edit was ours. A restore forgets when the two were linked.
func (r *run) refilled(e edit) bool {
	moments := r.past[place{e.ref, e.field}]
	i := slices.IndexFunc(moments, func(m moment) bool { return m.at.After(e.at) })
	return i >= 0 && moments[i].ours
}

// oneWay: the field does not travel from where it was edited.
func (r *run) oneWay(p spec.Pair, e edit) bool {
	return slices.ContainsFunc(p.Fields, func(f spec.Field) bool { return f.Name == e.field && !f.Travels(spec.From(e.ref.System)) })
}

// standsFor: what an edit referred to has been merged into what the field refers to.
func (r *run) standsFor(p spec.Pair, e edit, now string) bool {
	f := p.Fields[slices.IndexFunc(p.Fields, func(f spec.Field) bool { return f.Name == e.field })]
	parent, refers := r.spec.PairByName(f.HubSpot.Pair)
	return refers && e.ref.System == record.HubSpot && slices.Contains(r.merged[parent.HubSpot.Object+"/"+now], e.text)
}

// back: somebody deleted the record and restored it well before that time.
func (r *run) back(ref record.Ref, at time.Time) bool {
	back, ok := r.restored[ref]
	return ok && at.After(back) && !slices.ContainsFunc(r.removed, func(d removal) bool { return d.ref == ref && d.at.After(back) })
}

// chosen reports whether somebody outside set the trimmed form on the other side.
func (r *run) chosen(p spec.Pair, pair *ledger.Pair, e edit) bool {
	other := e.ref.System.Other()
	ids := r.was(p, other, pair)
	return slices.ContainsFunc(r.edits, func(o edit) bool {
		return o.pair == p.Name && o.ref.System == other && slices.Contains(ids, o.ref.ID) && o.field == e.field && o.text == strings.TrimSpace(e.text)
	})
}

// undone reports whether the edit set back what the field had held when both
// sides last agreed, before what stood there in between had travelled or come from the
// other side: then nothing has changed. Of records that were merged what came to one is
// no agreement of the other's pair.
func (r *run) undone(p spec.Pair, pair *ledger.Pair, e edit) bool {
	moments, met := r.history(e.ref, e.field), len(r.merged[e.ref.Object+"/"+e.ref.ID]) > 0
	for i := len(moments) - 1; i >= 0; i-- {
		m := moments[i]
		switch {
		case !m.at.Before(e.at):
		case m.text == e.text:
			return true
		case m.ours && !met, r.carried(p, pair, edit{at: m.at, ref: e.ref, pair: e.pair, field: e.field, text: m.text}, true):
			return false
		}
	}
	return e.text == "" && r.wrongSide(p, e)
}

// history is what a field has held: before a merge, in the records that were merged,
// since a pair and what its sides agreed on outlive that.
func (r *run) history(ref record.Ref, field string) []moment {
	moments := slices.Clone(r.past[place{ref, field}])
	if ref.System == record.HubSpot {
		for _, id := range r.merged[ref.Object+"/"+ref.ID] {
			moments = append(moments, r.past[place{record.Ref{System: ref.System, Object: ref.Object, ID: id}, field}]...)
		}
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return a.at.Compare(b.at) })
	return moments
}

// reached reports whether the other side held the edit's translation after it.
func (r *run) reached(p spec.Pair, pair *ledger.Pair, e edit) bool {
	return r.carried(p, pair, e, false)
}

// carried is reached, only by a write of ours if so asked: that both sides
// happened to hold the same for a while is no agreement anybody has seen.
func (r *run) carried(p spec.Pair, pair *ledger.Pair, e edit, byUs bool) bool {
	other := e.ref.System.Other()
	f := p.Fields[slices.IndexFunc(p.Fields, func(f spec.Field) bool { return f.Name == e.field })]
	forward, back := compile(p)
	if e.ref.System == record.Destination {
		forward, back = back, forward
	}
	ids := r.was(p, other, pair)
	if byUs {
		ids = []string{pair.IDs[other]}
	}
	return slices.ContainsFunc(ids, func(id string) bool {
		moments := r.past[place{record.Ref{System: other, Object: p.Side(other).Object, ID: id}, e.field}]
		for i, m := range moments {
			if i+1 < len(moments) && moments[i+1].at.Before(e.at) || byUs && !m.ours {
				continue
			}
			there, ok := r.translated(forward, p, f, e.ref.System, map[string]string{e.field: e.text})
			here, ok2 := r.translated(back, p, f, other, map[string]string{e.field: m.text})
			// A system may trim what it is sent; nobody but a person adds a blank.
			stored := ok && (there == m.text || strings.TrimSpace(there) == m.text) || ok2 && here == e.text
			like := ok && strings.TrimSpace(there) == strings.TrimSpace(m.text) || ok2 && strings.TrimSpace(here) == strings.TrimSpace(e.text)
			if stored || like && !byUs {
				return true
			}
		}
		return false
	})
}

// was lists a pair's id on one side and those that were merged into it; where records
// were deleted or restored it may have had another partner before, and for an extra one
// that we have deleted it is noted below the partner of the one that stayed: those that
// ever had its match value.
func (r *run) was(p spec.Pair, s record.System, pair *ledger.Pair) []string {
	own := record.Ref{System: s.Other(), Object: p.Side(s.Other()).Object, ID: pair.IDs[s.Other()]}
	ids := append([]string{pair.IDs[s]}, r.merged[p.Side(s).Object+"/"+pair.IDs[s]]...)
	_, back := r.restored[own]
	_, extra := r.archived[own]
	if back || extra || slices.ContainsFunc(r.removed, func(d removal) bool { return d.pair == p.Name && d.ref.System == s }) {
		for _, id := range r.known[s][p.Side(s).Object] {
			if r.akin(p, own, record.Ref{System: s, Object: p.Side(s).Object, ID: id}) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// recorded reports whether a conflict row holds the edit, or held it until the person
// was erased, which may be carried out late: that takes along what the person's former
// partners have lost.
func (r *run) recorded(p spec.Pair, pair *ledger.Pair, e edit) bool {
	look := &ledger.Ledger{Table: r.table, Client: r.spec.Client, Now: func() time.Time { return r.now }}
	if slices.ContainsFunc(r.removed, func(d removal) bool {
		return d.erased && d.pair == p.Name && r.pairOf(p, d.ref).StampedAt.After(e.at) && r.akin(p, d.ref, e.ref)
	}) {
		look.Table = r.lost
	}
	lost, _ := look.Losses(context.Background(), p, pair)
	for _, id := range r.was(p, record.Destination, pair) {
		more, _ := look.Conflicts(context.Background(), record.Ref{System: record.Destination, Object: p.Destination.Object, ID: id})
		lost = append(lost, more...)
	}
	print := ledger.Fingerprint(r.spec.Client+"/"+p.Name, e.field, e.ref.System, e.text)
	return slices.ContainsFunc(lost, func(c ledger.Conflict) bool {
		unknown := c.Policy == "overwritten" && c.Loser == "" && c.LoserPrint == "" && e.at.Add(r.skew).Truncate(r.tick).Sub(c.At).Abs() < time.Millisecond
		return c.Field == e.field && (c.Loser == e.text || c.LoserPrint == print || unknown)
	})
}
