package simulation

import (
	"strings"
	"testing"

	"tandem/internal/table"
)

// budget is within how many seeds a broken protocol must be found out. Without claims
// most doubles are still seen coming by the search before a create: they are asked for
// in a world where there is nothing to search by (Variant.Crowded).
const budget = 4000

func TestBrokenProtocolsAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: the broken protocols take a minute; run without -short")
	}
	for _, v := range Broken {
		t.Run(strings.ReplaceAll(v.Name, " ", "-"), func(t *testing.T) {
			tried, found := 0, ""
			sweep(t, v, 1, budget, false, func(rep Report) bool {
				tried++
				if len(rep.Violations) > 0 {
					found = rep.Violations[0]
				}
				return found == ""
			})
			if found == "" {
				t.Fatalf("%d seeds found nothing wrong with %q", tried, v.Name)
			}
			t.Logf("caught after %d seeds: %s", tried, found)
		})
	}
}

// few is how many seeds the other halves play: under the race detector they are slow.
func few() int {
	if testing.Short() {
		return 20
	}
	return 100
}

// TestCrowd is the other half of "claim on the source only": with claims nothing
// goes wrong where only they can tell what was made for which.
func TestCrowd(t *testing.T) {
	sweep(t, Variant{Name: "crowd", Crowded: true}, 1, few(), false, func(rep Report) bool {
		if len(rep.Violations) > 0 {
			t.Errorf("seed %d: %s", rep.Seed, strings.Join(rep.Violations, "; "))
		}
		return true
	})
}

// TestShortLeasesAreSafe is the other half of "no fencing": a lease may lapse
// under a live worker at any time, and nothing goes wrong while stamps are fenced.
func TestShortLeasesAreSafe(t *testing.T) {
	v := Variant{Name: "short leases", Table: func(in table.Table) table.Table { return &hasty{in} }}
	sweep(t, v, 1, few(), false, func(rep Report) bool {
		if len(rep.Violations) > 0 {
			t.Errorf("seed %d: %s", rep.Seed, strings.Join(rep.Violations, "; "))
		}
		return true
	})
}
