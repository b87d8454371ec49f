package limit_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tandem/internal/limit"
	"tandem/spec"
)

// TestIdleWorkersWake lets many workers, new ones and ones that have been idle, send
// at once whatever they may: even so the system never sees more than its limit in any
// window. What they send without asking the table has to have been asked for before.
func TestIdleWorkersWake(t *testing.T) {
	for _, workers := range []int{1, 8, 32, 100} {
		for _, requests := range []int{20, 100, 190} {
			t.Run(fmt.Sprintf("%d workers, %d in 10 s", workers, requests), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { wake(t, workers, requests) })
			})
		}
	}
}

func wake(t *testing.T, workers, requests int) {
	b := spec.RateLimit{Requests: requests, Per: seconds(10)}
	tab := distant{open(t), always(2 * time.Millisecond)}
	remote := &strict{limit: b.Requests, per: b.Per.Duration}
	var all []*limit.Limiter
	for range workers {
		all = append(all, limiter(t, tab, b))
	}
	for _, quiet := range []time.Duration{0, 11 * time.Second, time.Minute, 59 * time.Minute, 3 * time.Hour} {
		time.Sleep(quiet)
		var sent atomic.Int64
		var wg sync.WaitGroup
		for _, l := range all {
			for range 4 {
				wg.Go(func() {
					for sent.Add(1) <= int64(3*requests) {
						one(t, l, remote)
					}
				})
			}
		}
		wg.Wait()
		if remote.refused > 0 {
			t.Fatalf("%d of %d refused after %v of quiet", remote.refused, 3*requests, quiet)
		}
	}
}
