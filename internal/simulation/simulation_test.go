package simulation

import (
	"flag"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"tandem/spec"
)

var (
	seeds = flag.Int("seeds", 2000, "how many seeds to simulate; a twentieth with -short")
	first = flag.Uint64("seed", 1, "the first seed; with -seeds=1 -v its event log is printed")
)

// actions is how many things people do in one seed's world.
const actions = 25

func load(t testing.TB) *spec.Spec {
	t.Helper()
	s, err := spec.Load("../../spec/acme/integration-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sweep runs seeds on every processor and hands each report to one goroutine.
func sweep(t *testing.T, v Variant, first uint64, n int, keep bool, each func(Report) bool) {
	t.Helper()
	s, reports, next := load(t), make(chan Report), make(chan uint64)
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for seed := range next {
				rep, err := Run(s, seed, actions, v, keep)
				if err != nil {
					rep.Violations = append(rep.Violations, err.Error())
				}
				reports <- rep
			}
		})
	}
	stop := make(chan struct{})
	go func() {
		defer func() { close(next); wg.Wait(); close(reports) }()
		for seed := first; seed < first+uint64(n); seed++ {
			select {
			case next <- seed:
			case <-stop:
				return
			}
		}
	}()
	more := true
	for rep := range reports {
		if more && !each(rep) {
			more = false
			close(stop)
		}
	}
}

// TestMain lets garbage pile up: a world is thrown away whole, and collecting it while
// it lives takes a third of the time.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(800)
	}
	m.Run()
}

// TestSeeds is the proof. A failing seed is printed and replays exactly:
// go test ./internal/simulation -run TestSeeds -seeds=1 -seed=N -v
func TestSeeds(t *testing.T) {
	if testing.Short() {
		*seeds = min(*seeds, 100)
	}
	faults, ends := map[string]int{}, map[string]int{}
	executions, edits, bad := 0, 0, 0
	sweep(t, Variant{}, *first, *seeds, *seeds == 1, func(rep Report) bool {
		add(faults, rep.Faults)
		add(ends, rep.Ends)
		executions, edits = executions+rep.Executions, edits+rep.Edits
		if len(rep.Violations) > 0 {
			if bad++; bad <= 20 {
				t.Errorf("seed %d:\n  %s", rep.Seed, strings.Join(rep.Violations, "\n  "))
			}
		}
		if *seeds == 1 {
			t.Log(strings.Join(rep.Log, "\n"))
		}
		return true
	})
	t.Logf("%d seeds from %d: %d with violations, %d executions, %d edits from outside", *seeds, *first, bad, executions, edits)
	for _, count := range []map[string]int{faults, ends} {
		for _, name := range slices.Sorted(maps.Keys(count)) {
			t.Logf("  %8d %s", count[name], name)
		}
	}
	if *seeds >= 500 {
		for _, name := range Faults {
			if faults[name] == 0 {
				t.Errorf("the fault %q never happened: the seeds prove nothing about it", name)
			}
		}
	}
}

func add(to, from map[string]int) {
	for k, n := range from {
		to[k] += n
	}
}

// TestSameSeedSameWorld: a seed that cannot be replayed is worth nothing.
func TestSameSeedSameWorld(t *testing.T) {
	s := load(t)
	for seed := range uint64(3) {
		a, err := Run(s, seed, actions, Variant{}, true)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Run(s, seed, actions, Variant{}, true)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a.Log, b.Log) {
			for i := range a.Log {
				if i >= len(b.Log) || a.Log[i] != b.Log[i] {
					t.Fatalf("seed %d differs at line %d:\n%s\n%s", seed, i, a.Log[i], b.Log[min(i, len(b.Log)-1)])
				}
			}
		}
	}
}
