package simulation

import (
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/spec"
)

// swap exchanges the match values of two records of one side, by way of a third value,
// since most systems keep them unique. Each step is seen and synced in any order.
func (r *run) swap(p spec.Pair, s record.System) {
	field := p.Match[0].Field
	var ids, keys []string
	for _, i := range r.rng.Perm(len(r.known[s][p.Side(s).Object])) {
		id := r.known[s][p.Side(s).Object][i]
		if k := r.now1(p, s, id)[field]; k != "" && len(ids) < 2 && (len(keys) == 0 || !strings.EqualFold(keys[0], k)) {
			ids, keys = append(ids, id), append(keys, k)
		}
	}
	third := key(p, 100+len(r.edits))
	if len(ids) < 2 || !r.rename(p, s, ids[0], keys[0], third) {
		return
	}
	r.after(r.between(0, 3*time.Second), func() {
		if !r.rename(p, s, ids[1], keys[1], keys[0]) {
			return
		}
		r.after(r.between(0, 3*time.Second), func() {
			if r.rename(p, s, ids[0], third, keys[1]) {
				r.counts["values swapped"]++
			}
		})
	})
}

// rename gives a record that still has one match value another, unless it is seen to
// be taken on its side.
func (r *run) rename(p spec.Pair, s record.System, id, from, to string) bool {
	if r.now1(p, s, id)[p.Match[0].Field] != from || r.seen(p, s, to) {
		return false
	}
	ok := r.put(p, s, id, map[string]string{p.Match[0].Field: to}) != ""
	r.deliver()
	return ok
}

// seen: a record of that match value is there for all to see.
func (r *run) seen(p spec.Pair, s record.System, k string) bool {
	for _, id := range r.known[s][p.Side(s).Object] {
		if r.now1(p, s, id)[p.Match[0].Field] == k {
			return true
		}
	}
	return false
}
