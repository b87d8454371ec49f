package simulation

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// remove deletes a record on one side, now and then.
func (r *run) remove(p spec.Pair, s record.System) {
	if ids := r.known[s][p.Side(s).Object]; len(ids) > 0 {
		r.delete(p, s, ids[r.rng.IntN(len(ids))])
	}
}

// delete removes one record and says whether it was there. Some think better of it
// at once.
func (r *run) delete(p spec.Pair, s record.System, id string) bool {
	now := r.now1(p, s, id)
	if now == nil {
		return false
	}
	r.gone(p, record.Ref{System: s, Object: p.Side(s).Object, ID: id}, now, false)
	r.note("somebody deletes %s/%s %s", s, p.Side(s).Object, id)
	if s == record.HubSpot {
		_ = r.hub.Archive(portal.Person, p.HubSpot.Object, id)
	} else {
		_ = r.erp.Delete(p.Destination.Object, id, 0)
	}
	if d := r.removed[len(r.removed)-1]; r.rng.IntN(3) == 0 {
		r.after(r.between(0, 8*time.Second), func() {
			if r.bringBack(d) {
				r.counts["restored at once"]++
			}
			r.deliver()
		})
	}
	return true
}

// lastMoment lets somebody, at times, edit a record just before we delete it.
func (r *run) lastMoment(s record.System) func(*http.Request) {
	return func(req *http.Request) {
		r.edited(r.target(s, req), 0.5, "edited just before we delete it")
	}
}

// edited lets somebody edit a record that is there, at times.
func (r *run) edited(ref record.Ref, p float64, when string) {
	if pair, ok := r.pairWith(ref); ok && r.now1(pair, ref.System, ref.ID) != nil && r.chance(p, when) {
		r.edit(pair, ref.System, ref.ID, 2)
	}
}

// pairWith is the spec's pair of a record's object.
func (r *run) pairWith(ref record.Ref) (spec.Pair, bool) {
	i := slices.IndexFunc(r.spec.Pairs, func(p spec.Pair) bool { return p.Side(ref.System).Object == ref.Object })
	if i < 0 {
		return spec.Pair{}, false
	}
	return r.spec.Pairs[i], true
}

// restore brings a deleted record back, with an edit of it at times.
func (r *run) restore(spec.Pair, record.System) {
	if len(r.removed) > 0 && r.bringBack(r.removed[r.rng.IntN(len(r.removed))]) {
		r.counts["restore"]++
	}
}

func (r *run) bringBack(d removal) bool {
	p, _ := r.spec.PairByName(d.pair)
	s := d.ref.System
	if d.erased || r.now1(p, s, d.ref.ID) != nil || s == record.HubSpot && r.mergedAway(d.ref) { // it is not in the bin
		return false
	}
	var err error
	if s == record.HubSpot {
		err = r.hub.Restore(portal.Person, d.ref.Object, d.ref.ID)
	} else {
		_, err = r.erp.Restore(d.ref.Object, d.ref.ID)
	}
	if err != nil {
		return false
	}
	r.note("somebody restores %s", d.ref)
	r.foreign[d.ref], r.restored[d.ref] = true, r.now
	r.wanted[keyOf{p.Name, d.key}] = r.now
	r.observe(s, false)
	r.after(r.between(0, 20*time.Second), func() { r.edit(p, s, d.ref.ID, 2); r.deliver() })
	return true
}

// erase deletes a contact for good, on a privacy request.
func (r *run) erase(spec.Pair, record.System) {
	p, _ := r.spec.PairByName("contacts")
	ids := r.known[record.HubSpot][p.HubSpot.Object]
	if len(ids) == 0 {
		return
	}
	id := ids[r.rng.IntN(len(ids))]
	now := r.now1(p, record.HubSpot, id)
	if now == nil || r.hub.Purge(portal.Person, p.HubSpot.Object, id, "") != nil {
		return
	}
	r.counts["erasure"]++
	r.note("somebody erases hubspot/%s %s", p.HubSpot.Object, id)
	r.gone(p, record.Ref{System: record.HubSpot, Object: p.HubSpot.Object, ID: id}, now, true)
}

// rekey gives a record another match key, unless somebody can see it is taken.
func (r *run) rekey(p spec.Pair, s record.System) {
	ids := r.known[s][p.Side(s).Object]
	if len(ids) == 0 {
		return
	}
	id, k := ids[r.rng.IntN(len(ids))], key(p, 3+r.rng.IntN(3))
	if r.now1(p, s, id) == nil || r.seen(p, s, k) || r.seen(p, s.Other(), k) {
		return
	}
	r.counts["key changed"]++
	r.put(p, s, id, map[string]string{p.Match[0].Field: k})
}

// removal is a record that somebody deleted.
type removal struct {
	at     time.Time
	ref    record.Ref
	pair   string
	key    string
	erased bool
}

// keyOf is a match key of a pair.
type keyOf struct{ pair, key string }

func (r *run) gone(p spec.Pair, ref record.Ref, now map[string]string, erased bool) {
	r.removed = append(r.removed, removal{r.now, ref, p.Name, strings.ToLower(now[p.Match[0].Field]), erased})
}

// combine merges two HubSpot records of one type; deals are merged by nobody.
func (r *run) combine(spec.Pair, record.System) {
	for _, i := range r.rng.Perm(len(r.spec.Pairs)) {
		p := r.spec.Pairs[i]
		ids := slices.DeleteFunc(slices.Clone(r.known[record.HubSpot][p.HubSpot.Object]), func(id string) bool { return r.now1(p, record.HubSpot, id) == nil })
		if p.HubSpot.Object != "deals" && len(ids) > 1 {
			r.merge(p, ids)
			return
		}
	}
}

// merge makes one record of two. What was done to either just before, to the record
// or to its partner, is heard of under the old id, before the merge or after it.
func (r *run) merge(p spec.Pair, ids []string) {
	r.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	a, b := ids[0], ids[1]
	r.before(p, ids[r.rng.IntN(2)])
	rec, err := r.hub.Merge(portal.Person, p.HubSpot.Object, a, b)
	if err != nil {
		return
	}
	for name, so := range map[string]bool{"merge": true, "merge told as deletions, too": r.deletes, "merge of a record that does not tell it": r.untold} {
		if so {
			r.counts[name]++
		}
	}
	for _, old := range []string{a, b} {
		key := p.HubSpot.Object + "/" + rec.ID
		r.merged[key] = append(append(r.merged[key], old), r.merged[p.HubSpot.Object+"/"+old]...)
	}
	r.foreign[record.Ref{System: record.HubSpot, Object: p.HubSpot.Object, ID: rec.ID}] = true
	r.note("somebody merges %s and %s into %s", a, b, rec.ID)
	r.meet(record.HubSpot, p.HubSpot.Object, rec.ID)
	r.observe(record.HubSpot, false)
	if r.chance(0.3, "merge heard of late") {
		r.late(r.between(2*time.Second, 40*time.Second))
	}
	if r.rng.IntN(4) == 0 {
		r.after(r.between(0, 6*time.Second), func() {
			if r.delete(p, record.HubSpot, rec.ID) {
				r.counts["merged record deleted"]++
			}
			r.deliver()
		})
	}
}

// before edits a record that is about to be merged, or its partner, now and then.
func (r *run) before(p spec.Pair, id string) {
	partner := r.pairOf(p, record.Ref{System: record.HubSpot, Object: p.HubSpot.Object, ID: id}).IDs[record.Destination]
	edits := len(r.edits)
	switch r.rng.IntN(3) {
	case 0:
		if r.edit(p, record.HubSpot, id, 2); len(r.edits) > edits {
			r.counts["edit just before a merge"]++
		}
	case 1:
		if r.edit(p, record.Destination, partner, 2); len(r.edits) > edits {
			r.counts["partner edited just before a merge"]++
		}
	}
}
