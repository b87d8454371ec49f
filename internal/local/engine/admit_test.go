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

// TestWaited gives more time to the steps of an execution that the rate limit has
// held up, and counts it while it waits.
func TestWaited(t *testing.T) {
	e := open(t, t.TempDir())
	patient := 0
	e.o.Waited = func(ctx context.Context) context.Context { patient++; return ctx }
	r := &run{engine: e}
	step := func(want int) {
		t.Helper()
		if _, err := r.Invoke(t.Context(), "${VerifyArn}", unsealed); err == nil || patient != want {
			t.Errorf("%d steps were given time, want %d (%v)", patient, want, err)
		}
	}
	step(0)
	r.press(true)
	step(1)
	step(2) // also when the last step was not held up
	e.slots <- struct{}{}
	for _, limited := range []bool{true, false} {
		r.press(limited)
		if err := r.Sleep(&looking{Context: t.Context(), look: func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if held := e.limited == 1; held != limited {
				t.Errorf("held up: %v, counted: %v", limited, held)
			}
		}}, time.Millisecond); err != nil {
			t.Error(err)
		}
	}
	<-e.slots
}

// looking is a context that looks around when somebody waits for its end.
type looking struct {
	context.Context
	look func()
}

func (l *looking) Done() <-chan struct{} { l.look(); return l.Context.Done() }
