package simulation

import (
	"slices"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// unique: nothing is made by us while a record of that match key is there. Two of a key
// that meet later, or at the same time, are people's doing: then a person is asked.
func (r *run) unique(p spec.Pair, fail func(string, ...any)) {
	for _, s := range []record.System{record.HubSpot, record.Destination} {
		byKey := map[string][]record.Ref{}
		for _, id := range r.known[s][p.Side(s).Object] {
			if now := r.now1(p, s, id); now != nil && now[p.Match[0].Field] != "" {
				k := strings.ToLower(now[p.Match[0].Field])
				byKey[k] = append(byKey[k], record.Ref{System: s, Object: p.Side(s).Object, ID: id})
			}
		}
		for k, refs := range byKey {
			for _, ours := range refs {
				for _, other := range refs {
					if ours != other && !r.foreign[ours] {
						r.double(p, k, ours, other, fail)
					}
				}
			}
		}
	}
}

// double asks of a record that we have made whether another one of its key was there.
func (r *run) double(p spec.Pair, k string, ours, other record.Ref, fail func(string, ...any)) {
	made, held := r.made(p, ours, k), r.holds(p, other, k)
	switch {
	case made.IsZero(): // it got the key later
	case held.Before(made.Add(-unseen)):
		fail("no duplicate: %s was made at %s with the key of %s, which had it from %s", ours, made.Sub(epoch), other, held.Sub(epoch))
	case r.combined(other): // a merge gave it the key of one that may have been parked for it
	case r.born(p, other, k): // not by another key's change, which nobody asks about
		if !r.asked(p, ours) && !r.asked(p, other) && !r.dissolved(p, ours, k) {
			fail("no duplicate: %s was made at %s with the key of %s, which had it from %s, and nobody is asked", ours, made.Sub(epoch), other, held.Sub(epoch))
		}
	}
}

// unseen is for how long a record may be there before one of ours is made without
// regard to it: a search index's lag, then a create that is under way.
const unseen = 10*time.Second + underWay

// dissolved: what a person was to be asked is settled, since the record that ours was
// made for has been deleted, merged or given another key since.
func (r *run) dissolved(p spec.Pair, ours record.Ref, k string) bool {
	pair, side := r.pairOf(p, ours), ours.System.Other()
	partner := record.Ref{System: side, Object: p.Side(side).Object, ID: pair.IDs[side]}
	hub := record.Ref{System: record.HubSpot, Object: p.HubSpot.Object, ID: pair.IDs[record.HubSpot]}
	deleted := slices.ContainsFunc(r.removed, func(d removal) bool { return d.pair == p.Name && d.key == k && d.ref.System == side })
	return deleted || r.combined(hub) || !r.born(p, partner, k)
}

// asked: the record is known to be at rest, or its failure is.
func (r *run) asked(p spec.Pair, ref record.Ref) bool {
	pair := r.pairOf(p, ref)
	return pair.State == ledger.Parked || pair.State == ledger.Gone || r.dead(p, pair)
}

// made is when a record began with that key; zero when it began with another.
func (r *run) made(p spec.Pair, ref record.Ref, k string) time.Time {
	keys := r.past[place{ref, p.Match[0].Field}]
	if len(keys) == 0 || strings.ToLower(keys[0].text) != k {
		return time.Time{}
	}
	return keys[0].at
}

// born: the record has held that key for all its life and was never away.
func (r *run) born(p spec.Pair, ref record.Ref, k string) bool {
	return r.holds(p, ref, k).Equal(r.made(p, ref, k))
}

// combined: the record is what a merge has made.
func (r *run) combined(ref record.Ref) bool {
	return ref.System == record.HubSpot && len(r.merged[ref.Object+"/"+ref.ID]) > 0
}

// holds is since when a record that is there has had its key, without a break.
func (r *run) holds(p spec.Pair, ref record.Ref, k string) (since time.Time) {
	for _, m := range slices.Backward(r.past[place{ref, p.Match[0].Field}]) {
		if strings.ToLower(m.text) != k {
			break
		}
		since = m.at
	}
	if back := r.restored[ref]; back.After(since) {
		return back
	}
	return since
}
