package centre

import (
	"cmp"
	"maps"
	"slices"

	"tandem/internal/beat"
)

// share is one line of a breakdown.
type share struct {
	Name     string
	N, Total int
}

func addCauses(to map[string]int, causes map[beat.Cause]int) {
	for c, n := range causes {
		to[string(c)] += n
	}
}

// shares sorts a breakdown, largest first.
func shares(counts map[string]int) []share {
	var total int
	var out []share
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		total += counts[name]
		out = append(out, share{Name: name, N: counts[name]})
	}
	slices.SortStableFunc(out, func(a, b share) int { return cmp.Compare(b.N, a.N) })
	for i := range out {
		out[i].Total = total
	}
	return out
}
