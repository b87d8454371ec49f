package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"tandem/internal/asl"
	"tandem/internal/flow"
	"tandem/spec"
)

// idle is an engine that begins nothing: the test plays the worker.
func idle(t *testing.T, dir string) *Engine {
	t.Helper()
	e := open(t, dir)
	e.cancel()
	<-e.stopped
	return e
}

// stuck runs a job whose reads are refused by a limit, up to what ends an execution.
func stuck(t *testing.T, e *Engine, name string, input json.RawMessage) (*run, *asl.Result) {
	t.Helper()
	j, err := e.store.accept(t.Context(), spec.ToDestination, name, input)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{engine: e, job: j, since: time.Now()}
	if err := r.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	res := e.machines[spec.ToDestination].Run(t.Context(), asl.Execution{Name: name, ID: name, Input: r.input},
		asl.Env{Clock: still{}, Tasks: limited{r}})
	return r, &res
}

// limited answers Transform with RateLimited for ever; the queues are the engine's.
type limited struct{ *run }

func (l limited) Invoke(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error) {
	switch resource {
	case "${VerifyArn}":
		return json.RawMessage(`{"ok":true}`), nil
	case "${TransformArn}":
		return nil, &asl.Failure{Name: string(flow.RateLimited), Cause: "the budget is spent"}
	}
	return l.run.Invoke(ctx, resource, input)
}

func counts(t *testing.T, e *Engine) (outcomes, letters, executions int) {
	t.Helper()
	o, err := e.Outcomes(0, 10)
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.DeadLetters(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	return len(o), len(l), len(e.Executions(Filter{}))
}

// An event that a limit holds up longer than an execution may wait has no outcome
// yet. It survives a restart and goes on, counted, when it is due.
func TestPostponedEventGoesOn(t *testing.T) {
	dir := t.TempDir()
	e := idle(t, dir)
	var told []flow.Code
	e.o.Postponed = func(c flow.Code) { told = append(told, c) }
	r, res := stuck(t, e, "n", unsealed)
	if last := res.Path[len(res.Path)-1]; last != deferred || res.Status != asl.Succeeded {
		t.Fatalf("ends in %s, %s, want Deferred", last, res.Status)
	}
	if err := e.finish(r, res); err != nil {
		t.Fatal(err)
	}
	if o, l, x := counts(t, e); o != 0 || l != 0 || x != 1 {
		t.Errorf("%d outcomes, %d dead letters, %d executions, want only the execution", o, l, x)
	}
	if due := e.Executions(Filter{Status: "deferred"}); len(due) != 1 || time.Until(due[0].Due) < 20*time.Second ||
		due[0].Code != "RateLimited" || due[0].Cause != "the budget is spent" || fmt.Sprint(told) != "[RateLimited]" {
		t.Errorf("deferred executions: %+v", due)
	}
	if s := e.Status(); s.Deferred != 1 {
		t.Errorf("%d events are counted as deferred, want 1", s.Deferred)
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}

	again := open(t, dir)
	if s := again.Status(); s.Deferred != 1 || s.InFlight+s.Queued != 0 {
		t.Fatalf("after a restart: %+v", s)
	}
	waiting, err := again.store.postponed(t.Context(), nil)
	if err != nil || len(waiting) != 1 {
		t.Fatalf("%d wait, %v", len(waiting), err)
	}
	again.resume(waiting[0]) // its time has come
	settle(again)
	if s := again.Status(); s.Deferred != 0 {
		t.Errorf("%d events are still deferred", s.Deferred)
	}
	var s flow.State
	runs := again.Executions(Filter{Text: "n-later-1"})
	if len(runs) != 1 {
		t.Fatalf("%d executions went on, want 1", len(runs))
	}
	trace, err := again.Trace(runs[0].Name)
	if err != nil || json.Unmarshal(trace.Input, &s) != nil || s.Later == nil || *s.Later != (flow.Later{Times: 1, Delay: 30}) {
		t.Errorf("it went on with %s, %v", trace.Input, err)
	}
	// The envelope of this test is not sealed, so that it ends, once.
	if o, l, _ := counts(t, again); o != 1 || l != 1 {
		t.Errorf("%d outcomes, %d dead letters, want one of each", o, l)
	}
}

// What has been postponed for a day is a dead letter, not postponed once more.
func TestPostponedForADay(t *testing.T) {
	e := idle(t, t.TempDir())
	var s map[string]any
	if err := json.Unmarshal(unsealed, &s); err != nil {
		t.Fatal(err)
	}
	s["later"] = flow.Later{Times: 303, Delay: 300, Waited: 90030}
	input, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	r, res := stuck(t, e, "n-later-303", input)
	if err := e.finish(r, res); err != nil {
		t.Fatal(err)
	}
	if o, l, _ := counts(t, e); o != 1 || l != 1 || e.Status().Deferred != 0 {
		t.Errorf("%d outcomes, %d dead letters, want one of each", o, l)
	}
	outcomes, _ := e.Outcomes(0, 1)
	letters, _ := e.DeadLetters(t.Context(), 0, 1)
	if want := "tried 304 times in 25 h: the budget is spent"; letters[0].Cause != want || outcomes[0].Reason != want {
		t.Errorf("the dead letter says %q, the outcome %q, want %q", letters[0].Cause, outcomes[0].Reason, want)
	}
}

// A crash between any two of the writes by which a postponed execution ends
// leaves the event with one execution to come.
func TestCrashWhilePostponing(t *testing.T) {
	for name, crash := range map[string]func(e *Engine, r *run, res *asl.Result) error{
		"after the queue took it": func(*Engine, *run, *asl.Result) error { return nil },
		"after the trace": func(e *Engine, r *run, res *asl.Result) error {
			line, err := encode(r.summary(res, nil), r, res)
			if err == nil {
				_, err = e.traces.Append(line)
			}
			return err
		},
		"after the end": func(e *Engine, r *run, res *asl.Result) error { return e.finish(r, res) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := idle(t, dir)
			r, res := stuck(t, e, "n", unsealed)
			if err := crash(e, r, res); err != nil {
				t.Fatal(err)
			}
			if err := e.close(); err != nil {
				t.Fatal(err)
			}
			again := open(t, dir)
			settle(again)
			rows, err := again.store.table.Query(t.Context(), later, "", 10)
			if err != nil {
				t.Fatal(err)
			}
			left, err := again.store.table.Query(t.Context(), accepted, "", 10)
			if err != nil {
				t.Fatal(err)
			}
			outcomes, _, _ := counts(t, again)
			// Where it ran again from the start, this test's envelope ended it.
			if len(rows)+outcomes != 1 || len(left) != 0 || again.Status().Deferred != len(rows) {
				t.Errorf("%d rows wait, %d outcomes, %d accepted, want one to come or one outcome", len(rows), outcomes, len(left))
			}
		})
	}
}
