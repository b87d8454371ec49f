package simulation

import (
	"context"
	"slices"
	"strings"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// left: a dead letter that six redrives without any fault have not ended is one that
// only a person can end, and says why.
func (r *run) left(fail func(string, ...any)) {
	for _, l := range r.letters {
		r.counts["left at last: "+l.code]++
		if e := l.state.Event; !r.hopeless(l) {
			fail("terminate: a dead letter is left of %s %s %s: %s %s", e.Direction.Source(), e.Pair, e.ID, l.code, l.cause)
		}
	}
}

// hopeless: a unique value of the record is another's, which is to keep it or waits for
// a person itself; or the record is not there, or refers to one that waits for a person.
func (r *run) hopeless(l letter) bool {
	e := l.state.Event
	p, _ := r.spec.PairByName(e.Pair)
	source, target := e.Direction.Source(), e.Direction.Target()
	switch flow.Code(l.code) {
	case flow.RecordMissing:
		_, err := r.calm[source].Read(context.Background(), p.Side(source).Object, e.ID, nil)
		return flow.CodeOf(err) == flow.RecordMissing
	case flow.UnknownEnum, flow.BadValue, flow.LogicFailed:
		return len(r.noTranslation(p, r.survivor(record.Ref{System: source, Object: p.Side(source).Object, ID: e.ID}))) > 0
	case flow.RemoteRefused, flow.AlreadyExists:
		pair := r.pairOf(p, r.survivor(record.Ref{System: source, Object: p.Side(source).Object, ID: e.ID}))
		return r.taken(p, source, pair) || r.taken(p, target, pair) || r.beside(p, pair, l.cause) || r.ofDead(p, source, e.ID, l.cause)
	}
	return false
}

// taken: the match value that one record of a pair is to bring to the other side is
// held there by a record of another pair, which has a dead letter or is at rest or holds
// it on both sides. Of a record that is still being linked, any such value will do: the
// one that it was to be linked to has no name yet.
func (r *run) taken(p spec.Pair, to record.System, pair *ledger.Pair) bool {
	key := func(s record.System, id string) string { return strings.ToLower(r.now1(p, s, id)[p.Match[0].Field]) }
	from := r.known[to.Other()][p.Side(to.Other()).Object]
	if pair.State == ledger.Linked {
		from = []string{pair.IDs[to.Other()]}
	}
	return slices.ContainsFunc(r.known[to][p.Side(to).Object], func(id string) bool {
		holder := r.pairOf(p, record.Ref{System: to, Object: p.Side(to).Object, ID: id})
		partner := holder.IDs[to.Other()]
		stays := holder.State != ledger.Linked || r.dead(p, holder) || key(to.Other(), partner) == key(to, id)
		return stays && slices.ContainsFunc(from, func(own string) bool {
			other := own != partner || holder.State != ledger.Linked // a merge's loser names the survivor
			return other && key(to, id) != "" && key(to.Other(), own) == key(to, id)
		})
	})
}

// beside: the match value that a contact is to get is an additional one of another
// contact that lives, as a merge leaves it, and the dead letter says so and of which.
func (r *run) beside(p spec.Pair, pair *ledger.Pair, cause string) bool {
	wanted := r.now1(p, record.Destination, pair.IDs[record.Destination])[p.Match[0].Field]
	object := p.HubSpot.Object
	return pair.State == ledger.Linked && wanted != "" && slices.ContainsFunc(r.known[record.HubSpot][object], func(id string) bool {
		rec, err := r.hub.Read(object, id, portal.ReadOptions{Properties: []string{"hs_additional_emails"}})
		return err == nil && rec.ID == id && id != pair.IDs[record.HubSpot] &&
			slices.Contains(strings.Split(rec.Text("hs_additional_emails"), ";"), strings.ToLower(wanted)) &&
			strings.Contains(cause, object+" "+id+" holds the value that "+p.Match[0].Field+" is to get as an additional e-mail address")
	})
}

// ofDead: the record is to be made on the other side, the dead letter says that a record
// to which it refers is not there, and what that stands for has a dead letter itself.
func (r *run) ofDead(p spec.Pair, source record.System, id, cause string) bool {
	now := r.now1(p, source, id)
	return strings.Contains(cause, "which HubSpot does not have any more") && slices.ContainsFunc(p.Fields, func(f spec.Field) bool {
		parent, refers := r.spec.PairByName(f.HubSpot.Pair)
		ref := record.Ref{System: source, Object: parent.Side(source).Object, ID: now[f.Name]}
		return refers && ref.ID != "" && r.dead(parent, r.pairOf(parent, ref))
	})
}

// dead reports whether either record of a pair has a dead letter left, be it under the
// id of one that was merged into it.
func (r *run) dead(p spec.Pair, pair *ledger.Pair) bool {
	return slices.ContainsFunc(r.letters, func(l letter) bool {
		s, id := l.state.Event.Direction.Source(), l.state.Event.ID
		of := r.survivor(record.Ref{System: s, Object: p.Side(s).Object, ID: id})
		return l.state.Event.Pair == p.Name && (pair.IDs[s] == id || pair.IDs[s] == of.ID)
	})
}

// leftUndone: the record that was written to is of a pair that has a dead letter left;
// one that was made, of an object type that has; or it refers to one that has.
func (r *run) leftUndone(ref record.Ref) bool {
	own, _ := r.pairWith(ref)
	return slices.ContainsFunc(r.letters, func(l letter) bool {
		p, _ := r.spec.PairByName(l.state.Event.Pair)
		if p.Side(ref.System).Object != ref.Object {
			return slices.ContainsFunc(own.Fields, func(f spec.Field) bool { return f.HubSpot.Pair == p.Name })
		}
		return !slices.Contains(r.known[ref.System][ref.Object], ref.ID) || r.dead(p, r.pairOf(p, ref))
	})
}
