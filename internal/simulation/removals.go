package simulation

import (
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// remove deletes a record on one side, now and then.
func (r *run) remove(p spec.Pair, s record.System) {
	ids := r.known[s][p.Side(s).Object]
	if len(ids) == 0 {
		return
	}
	id := ids[r.rng.IntN(len(ids))]
	now := r.now1(p, s, id)
	if now == nil {
		return
	}
	r.gone(p, record.Ref{System: s, Object: p.Side(s).Object, ID: id}, now, false)
	r.note("somebody deletes %s/%s %s", s, p.Side(s).Object, id)
	if s == record.HubSpot {
		_ = r.hub.Archive(portal.Person, p.HubSpot.Object, id)
		return
	}
	_ = r.erp.Delete(p.Destination.Object, id)
}

// restore brings a deleted record back, with an edit of it at times.
func (r *run) restore() {
	if len(r.removed) == 0 {
		return
	}
	d := r.removed[r.rng.IntN(len(r.removed))]
	p, _ := r.spec.PairByName(d.pair)
	s := d.ref.System
	if d.erased || r.now1(p, s, d.ref.ID) != nil {
		return
	}
	var err error
	if s == record.HubSpot {
		err = r.hub.Restore(portal.Person, d.ref.Object, d.ref.ID)
	} else {
		_, err = r.erp.Restore(d.ref.Object, d.ref.ID)
	}
	if err != nil {
		return
	}
	r.counts["restore"]++
	r.note("somebody restores %s", d.ref)
	r.foreign[d.ref], r.restored[d.ref] = true, r.now
	r.wanted[keyOf{p.Name, d.key}] = r.now
	r.observe(s, false)
	r.after(r.between(0, 20*time.Second), func() { r.edit(p, s, d.ref.ID, 2); r.deliver() })
}

// erase deletes a contact for good, on a privacy request.
func (r *run) erase(p spec.Pair) {
	ids := r.known[record.HubSpot][p.HubSpot.Object]
	if p.HubSpot.Object != "contacts" || len(ids) == 0 {
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
	if r.now1(p, s, id) == nil {
		return
	}
	for _, sys := range []record.System{s, s.Other()} {
		for _, other := range r.known[sys][p.Side(sys).Object] {
			if r.now1(p, sys, other)[p.Match[0].Field] == k {
				return
			}
		}
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

// combine merges two HubSpot records of one type.
func (r *run) combine(p spec.Pair) {
	ids := r.known[record.HubSpot][p.HubSpot.Object]
	if len(ids) < 2 || p.HubSpot.Object == "deals" {
		return
	}
	a, b := ids[r.rng.IntN(len(ids))], ids[r.rng.IntN(len(ids))]
	if a == b || r.now1(p, record.HubSpot, a) == nil || r.now1(p, record.HubSpot, b) == nil {
		return
	}
	rec, err := r.hub.Merge(portal.Person, p.HubSpot.Object, a, b)
	if err != nil {
		return
	}
	r.counts["merge"]++
	for _, old := range []string{a, b} {
		key := p.HubSpot.Object + "/" + rec.ID
		r.merged[key] = append(append(r.merged[key], old), r.merged[p.HubSpot.Object+"/"+old]...)
	}
	r.foreign[record.Ref{System: record.HubSpot, Object: p.HubSpot.Object, ID: rec.ID}] = true
	r.note("somebody merges %s and %s into %s", a, b, rec.ID)
	r.meet(record.HubSpot, p.HubSpot.Object, rec.ID)
	r.observe(record.HubSpot, false)
}
