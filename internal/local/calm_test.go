package local

import (
	"testing"
	"testing/synctest"
	"time"
)

// A comparison waits for what is queued, but not for ever.
func TestCalm(t *testing.T) {
	for _, c := range []struct {
		queue int
		want  time.Duration
	}{{0, 0}, {7, 7 * time.Second}, {10_000, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			calm(t.Context(), time.Minute, func() int { c.queue--; return c.queue + 1 })
			if took := time.Since(began); took != c.want {
				t.Errorf("with %d queued and one begun each second the comparison began after %v, want %v", c.queue, took, c.want)
			}
		})
	}
}
