package simulation

import (
	"slices"
	"strings"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// rightly: what is at rest is so for a reason that has happened.
func (r *run) rightly(fail func(string, ...any)) {
	for _, p := range r.spec.Pairs {
		for s, objects := range r.known {
			for _, id := range objects[p.Side(s).Object] {
				ref := record.Ref{System: s, Object: p.Side(s).Object, ID: id}
				pair := r.pairOf(p, ref)
				if (pair.State == ledger.Parked || pair.State == ledger.Gone) && !r.happened(p, ref, pair.Reason) {
					fail("at rest: %s is %s, for no reason: %q", ref, pair.State, pair.Reason)
				}
			}
		}
	}
}

// happened asks the history of the world for what a row says of a record.
func (r *run) happened(p spec.Pair, ref record.Ref, reason string) bool {
	said := func(s string) bool { return strings.HasPrefix(reason, s) }
	into, merged := strings.CutPrefix(reason, "its HubSpot record was merged into ")
	switch {
	case merged, said("merged into "):
		return r.mergedAway(ref) || len(r.merged[p.HubSpot.Object+"/"+into]) > 0
	case said("deleted in both"):
		return r.wasRemoved(p, ref, record.HubSpot) || r.wasRemoved(p, ref, record.Destination)
	case said("deleted in hubspot"):
		return r.wasRemoved(p, ref, record.HubSpot)
	case said("deleted in destination"):
		return r.wasRemoved(p, ref, record.Destination)
	case said("it was made for"):
		return true // an adoption in doubt looks like a create in doubt, to the row of its key
	case said("two or more records of "), said("the matching record of "):
		other := ref.System.Other()
		return slices.ContainsFunc(r.known[other][p.Side(other).Object], func(id string) bool {
			return r.akin(p, ref, record.Ref{System: other, Object: p.Side(other).Object, ID: id})
		})
	case said("erased"):
		return r.counts["erasure"] > 0
	}
	return false
}

// wasRemoved: on that side the record, its partner or one of their kin was deleted.
func (r *run) wasRemoved(p spec.Pair, ref record.Ref, s record.System) bool {
	pair := r.pairOf(p, ref)
	concerns := func(at record.Ref) bool {
		return at.System == s && at.Object == p.Side(s).Object && (at == r.survivor(ref) || at.ID == pair.IDs[s] || slices.Contains(pair.Was, at.ID) || r.akin(p, at, r.survivor(ref)))
	}
	for ref := range r.archived {
		if concerns(ref) {
			return true
		}
	}
	return slices.ContainsFunc(r.removed, func(d removal) bool { return concerns(d.ref) || concerns(r.survivor(d.ref)) })
}

// akin: two records have held one match value at any time, or one stands for the other
// by a merge. Nobody else can have been each other's partner.
func (r *run) akin(p spec.Pair, a, b record.Ref) bool {
	keys := map[string]bool{}
	for _, m := range r.history(r.survivor(a), p.Match[0].Field) {
		keys[strings.ToLower(m.text)] = true
	}
	return slices.ContainsFunc(r.history(r.survivor(b), p.Match[0].Field), func(m moment) bool { return keys[strings.ToLower(m.text)] })
}
