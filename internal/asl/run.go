package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// state is one state of a machine. What differs between the types is its body.
type state struct {
	name, kind, comment string
	body                body
	at                  int // position in the file, for graphs
}

// body does what a type of state does: it returns the output and the next
// state, nil at the end, or fails.
type body interface {
	run(ctx context.Context, v *visit) (*value, *state, *Failure)
}

// run is one execution under way.
type run struct {
	Env
	Execution
	start time.Time
	input *value
	res   Result
}

// visit is one state being run.
type visit struct {
	*run
	st      *state
	in      *value
	entered time.Time
	step    *Step
}

// Run executes the machine to its end. It starts no goroutine; a panic of the
// Invoker passes through. It returns once a task has noticed that its context
// has ended, so an Invoker that ignores its context delays a timeout.
func (m *Machine) Run(ctx context.Context, e Execution, env Env) Result {
	if env.Clock == nil {
		env.Clock = RealClock{}
	}
	r := &run{Env: env, Execution: e, start: env.Clock.Now()}
	r.res.Start = r.start
	r.res.Steps, r.res.Path = make([]Step, 0, 8), make([]string, 0, 8)
	limit := MaxDuration
	if m.timeout > 0 {
		limit = min(limit, m.timeout)
	}
	ctx, cancel := env.Clock.WithTimeout(ctx, limit)
	defer cancel()
	if f := check(e.Input, "the execution's input"); f != nil {
		r.fail(f)
	} else {
		r.input = newValue(e.Input)
		r.loop(ctx, m.start, r.input)
	}
	r.finish()
	return r.res
}

// loop goes from state to state until there is no next one.
func (r *run) loop(ctx context.Context, st *state, data *value) {
	for st != nil {
		if len(r.res.Steps) == maxSteps {
			r.fail(&Failure{runtimeError, fmt.Sprintf("more than %d states entered", maxSteps)})
			return
		}
		if r.stopped(ctx) {
			return
		}
		out, next, f := r.enter(ctx, st, data)
		if f != nil {
			if !r.stopped(ctx) {
				r.fail(f)
			}
			return
		}
		st, data = next, out
	}
	r.res.Status, r.res.Output = Succeeded, data.text()
}

// enter runs one state and records it.
func (r *run) enter(ctx context.Context, st *state, in *value) (*value, *state, *Failure) {
	now := r.Clock.Now()
	r.res.Path = append(r.res.Path, st.name)
	r.res.Steps = append(r.res.Steps, Step{State: st.name, Type: st.kind, Input: in.text(), Start: now})
	v := &visit{run: r, st: st, in: in, entered: now, step: &r.res.Steps[len(r.res.Steps)-1]}
	r.tell(Event{At: now, Kind: StateEntered, State: st.name, Step: v.step})
	out, next, f := st.body.run(ctx, v)
	if f == nil && len(out.text()) > MaxData {
		f = &Failure{dataLimitExceeded, fmt.Sprintf("the output of state %s has more than %d bytes", st.name, MaxData)}
	}
	v.step.End = r.Clock.Now()
	if f != nil {
		v.step.Error, v.step.Cause = f.Name, f.Cause
		next = nil
	} else {
		v.step.Output = out.text()
	}
	if next != nil {
		v.step.Next = next.name
	}
	r.tell(Event{At: v.step.End, Kind: StateExited, State: st.name, Step: v.step})
	return out, next, f
}

// stopped tells whether time or the caller has ended the execution, and records which.
func (r *run) stopped(ctx context.Context) bool {
	err := ctx.Err()
	if err == nil {
		return false
	}
	r.res.Status, r.res.Error, r.res.Cause = Aborted, "", err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		r.res.Status, r.res.Error, r.res.Cause = TimedOut, timeoutError, "the execution's time is over"
	}
	return true
}

// fail ends the execution with an error.
func (r *run) fail(f *Failure) {
	r.res.Status, r.res.Error, r.res.Cause = Failed, f.Name, f.Cause
}

// finish records the end.
func (r *run) finish() {
	r.res.End = r.Clock.Now()
	r.tell(Event{At: r.res.End, Kind: ExecutionEnded, Result: &r.res})
}

// tell passes an event on.
func (r *run) tell(e Event) {
	if r.Observe != nil {
		e.Name = r.Execution.Name
		r.Observe(e)
	}
}

// check refuses data that is no JSON or too long.
func check(raw json.RawMessage, what string) *Failure {
	if len(raw) > MaxData {
		return &Failure{dataLimitExceeded, fmt.Sprintf("%s has more than %d bytes", what, MaxData)}
	}
	if !json.Valid(raw) {
		return &Failure{runtimeError, what + " is not JSON"}
	}
	return nil
}

// scope returns what paths see in this state.
func (v *visit) scope(data *value) scope { return scope{data, v} }

// inContext looks a path up in $$. The execution's input, which is most of it and
// asked for most, is not copied for that.
func (v *visit) inContext(p *path) (json.RawMessage, bool) {
	if s := p.steps; len(s) > 1 && s[0].name == "Execution" && s[1].name == "Input" {
		return follow(s[2:], v.input)
	}
	return p.in(v.context())
}

// context returns $$, the part of the context object that is supported
// (https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html).
func (v *visit) context() *value {
	execution := &value{object: true, members: []member{
		{"Id", quote(v.ID)},
		{"Name", quote(v.Execution.Name)},
		{"StartTime", instant(v.run.start)},
		{"Input", v.Execution.Input},
	}}
	state := &value{object: true, members: []member{
		{"Name", quote(v.st.name)},
		{"EnteredTime", instant(v.entered)},
	}}
	return &value{object: true, members: []member{
		{"Execution", execution.text()},
		{"State", state.text()},
	}}
}

// instant writes a time as AWS does.
func instant(t time.Time) json.RawMessage {
	return quote(t.UTC().Format("2006-01-02T15:04:05.000Z"))
}
