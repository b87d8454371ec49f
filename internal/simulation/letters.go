package simulation

import (
	"context"
	"slices"
	"strings"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
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

// hopeless: a unique value of the record is another's, or the record is not there.
func (r *run) hopeless(l letter) bool {
	e := l.state.Event
	p, _ := r.spec.PairByName(e.Pair)
	source, target := e.Direction.Source(), e.Direction.Target()
	switch flow.Code(l.code) {
	case flow.RecordMissing:
		_, err := r.calm[source].Read(context.Background(), p.Side(source).Object, e.ID, nil)
		return flow.CodeOf(err) == flow.RecordMissing
	case flow.RemoteRefused:
		ids := r.pairOf(p, r.survivor(record.Ref{System: source, Object: p.Side(source).Object, ID: e.ID})).IDs
		return r.taken(p, source, ids) || r.taken(p, target, ids)
	}
	return false
}

// taken: the match value that one record of a pair is to bring to the other side is
// held there by a record of another pair.
func (r *run) taken(p spec.Pair, to record.System, ids map[record.System]string) bool {
	own := r.now1(p, to.Other(), ids[to.Other()])
	key := strings.ToLower(own[p.Match[0].Field])
	return key != "" && slices.ContainsFunc(r.known[to][p.Side(to).Object], func(id string) bool {
		return id != ids[to] && strings.ToLower(r.now1(p, to, id)[p.Match[0].Field]) == key
	})
}

// dead reports whether either record of a pair has a dead letter left.
func (r *run) dead(p spec.Pair, pair *ledger.Pair) bool {
	return slices.ContainsFunc(r.letters, func(l letter) bool {
		e := l.state.Event
		return e.Pair == p.Name && pair.IDs[e.Direction.Source()] == e.ID
	})
}

// leftUndone: the record that was written to is of a pair that has a dead letter left;
// one that was made, of an object type that has.
func (r *run) leftUndone(ref record.Ref) bool {
	return slices.ContainsFunc(r.letters, func(l letter) bool {
		p, _ := r.spec.PairByName(l.state.Event.Pair)
		if p.Side(ref.System).Object != ref.Object {
			return false
		}
		return !slices.Contains(r.known[ref.System][ref.Object], ref.ID) || r.dead(p, r.pairOf(p, ref))
	})
}
