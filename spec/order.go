package spec

import (
	"slices"

	"tandem/internal/record"
)

// ParentsFirst lists the pairs so that one which others refer to comes before
// them: the order in which a backfill has to wait for nobody. Pairs that refer
// to each other in a ring keep the order of the file.
func (s *Spec) ParentsFirst() []Pair {
	var out []Pair
	placed := map[string]bool{}
	for len(out) < len(s.Pairs) {
		free := slices.IndexFunc(s.Pairs, func(p Pair) bool { return !placed[p.Name] && !waits(p, placed) })
		if free < 0 {
			free = slices.IndexFunc(s.Pairs, func(p Pair) bool { return !placed[p.Name] })
		}
		out = append(out, s.Pairs[free])
		placed[s.Pairs[free].Name] = true
	}
	return out
}

// waits reports whether p refers to another pair that has no place yet.
func waits(p Pair, placed map[string]bool) bool {
	return slices.ContainsFunc(p.Fields, func(f Field) bool {
		for _, to := range []string{f.HubSpot.Pair, f.Destination.Pair} {
			if to != "" && to != p.Name && !placed[to] {
				return true
			}
		}
		return false
	})
}

// Refers reports whether a field of the pair holds a reference.
func (p Pair) Refers() bool {
	return slices.ContainsFunc(p.Fields, func(f Field) bool { return f.HubSpot.Type == record.Reference })
}
