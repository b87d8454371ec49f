package simulation

import (
	"flag"
	"strings"
	"testing"

	"tandem/spec"
)

var (
	seeds = flag.Int("seeds", 200, "how many seeds to simulate")
	first = flag.Uint64("seed", 1, "the first seed")
)

func load(t testing.TB) *spec.Spec {
	t.Helper()
	s, err := spec.Load("../../spec/acme/integration-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSeeds(t *testing.T) {
	s := load(t)
	faults := map[string]int{}
	bad := 0
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		rep, err := Run(s, seed, 25, Variant{}, *seeds == 1)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range rep.Faults {
			faults[k] += v
		}
		if len(rep.Violations) > 0 {
			bad++
			if bad <= 5 {
				t.Errorf("seed %d:\n  %s", seed, strings.Join(rep.Violations, "\n  "))
			}
		}
		if *seeds == 1 {
			t.Log(strings.Join(rep.Log, "\n"))
			t.Log(rep.Ends)
		}
	}
	t.Logf("%d seeds, %d bad, faults %v", *seeds, bad, faults)
}
