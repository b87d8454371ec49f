package engine

import (
	"context"
	"testing"
	"time"

	"tandem/spec"
)

// TestAdmission: an execution begins when it is admitted, and none begins while
// as many wait for the rate limit as may.
func TestAdmission(t *testing.T) {
	asked, gate := make(chan spec.Direction, 9), make(chan struct{})
	e, err := Open(Options{Flow: testFlow(t), Dir: t.TempDir(), Admit: func(ctx context.Context, d spec.Direction) (context.Context, error) {
		asked <- d
		<-gate
		return ctx, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(t.Context()) })
	start := func() {
		t.Helper()
		if err := e.Start(t.Context(), spec.ToDestination, "n", unsealed); err != nil {
			t.Fatal(err)
		}
	}
	start()
	start()
	if d := <-asked; d != spec.ToDestination {
		t.Errorf("asked for %s", d)
	}
	if s := e.Status(); s.Outcomes != 0 || s.InFlight != 1 || s.Queued != 1 {
		t.Errorf("before it is admitted: %+v", s)
	}
	close(gate)
	settle(e)
	if s := e.Status(); s.Outcomes != 2 {
		t.Errorf("after: %+v", s)
	}
	<-asked

	for range maxLimited {
		e.count(1)
	}
	start()
	select {
	case <-asked:
		t.Error("an execution began beside all that wait")
	case <-time.After(50 * time.Millisecond):
	}
	e.count(-1)
	<-asked
	settle(e)
}
