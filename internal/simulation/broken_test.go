package simulation

import (
	"strings"
	"testing"
)

// budget is within how many seeds a broken protocol must be found out.
const budget = 1500

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
