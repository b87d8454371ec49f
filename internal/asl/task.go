package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// task is a Task state.
type task struct {
	dataFlow
	resource string
	timeout  time.Duration // 0 when there is none
	retry    []retrier
	catch    []catcher
	next     *state // nil at the end
}

// run tries until it succeeds or no retrier helps any more, and then hands the
// error to Catch.
func (t *task) run(ctx context.Context, v *visit) (*value, *state, *Failure) {
	used := make(counters, len(t.retry))
	for {
		out, f := t.attempt(ctx, v)
		if f == nil {
			return out, t.next, nil
		}
		// The machine's own time is over: neither Retry nor Catch sees that.
		if ctx.Err() != nil {
			return nil, nil, f
		}
		wait, again := used.next(t.retry, f.Name, v.Rand)
		note(v, wait)
		if !again {
			return t.handle(v, f)
		}
		if v.Clock.Sleep(ctx, wait) != nil {
			return nil, nil, f
		}
	}
}

// note records the wait after a failed attempt and tells of both.
func note(v *visit, wait time.Duration) {
	a := &v.step.Attempts[len(v.step.Attempts)-1]
	a.Wait = wait
	v.tell(Event{At: a.End, Kind: AttemptFailed, State: v.st.name, Step: v.step})
}

// attempt does the work once, data flow included.
func (t *task) attempt(ctx context.Context, v *visit) (out *value, f *Failure) {
	v.step.Attempts = append(v.step.Attempts, Attempt{Start: v.Clock.Now()})
	defer func() {
		a := &v.step.Attempts[len(v.step.Attempts)-1]
		if a.End = v.Clock.Now(); f != nil {
			a.Error, a.Cause = f.Name, f.Cause
		}
	}()
	args, f := t.arguments(v)
	if f != nil {
		return nil, f
	}
	result, f := t.invoke(ctx, v, args)
	if f != nil {
		return nil, f
	}
	v.step.Result = result
	return t.conclude(v, result)
}

// invoke calls the resource within the state's time.
func (t *task) invoke(ctx context.Context, v *visit, args json.RawMessage) (json.RawMessage, *Failure) {
	if t.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = v.Clock.WithTimeout(ctx, t.timeout)
		defer cancel()
	}
	result, err := v.Tasks.Invoke(ctx, t.resource, args)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, &Failure{timeoutError, fmt.Sprintf("the task did not answer within %v", t.timeout)}
	case err != nil:
		return nil, failureOf(err)
	}
	return result, check(result, "the result of the task")
}

// handle finds the catcher for an error.
func (t *task) handle(v *visit, f *Failure) (*value, *state, *Failure) {
	for _, c := range t.catch {
		if !matches(c.errors, f.Name) {
			continue
		}
		v.step.Error, v.step.Cause = f.Name, f.Cause
		if c.keep {
			return v.in, c.next, nil
		}
		report := &value{object: true, members: []member{{"Error", quote(f.Name)}, {"Cause", quote(f.Cause)}}}
		out, ok := v.in.with(c.put, report.text())
		if !ok {
			return nil, nil, &Failure{runtimeError, "the ResultPath of Catch does not fit the state's input"}
		}
		return out, c.next, nil
	}
	return nil, nil, f
}

// failureOf names an error as Step Functions would, within its lengths.
func failureOf(err error) *Failure {
	f := &Failure{lambdaUnknown, err.Error()}
	var own *Failure
	var named interface{ ErrorName() string }
	if errors.As(err, &own) {
		*f = *own
	} else if errors.As(err, &named) {
		f.Name = named.ErrorName()
	}
	if f.Name == "" {
		f.Name = lambdaUnknown
	}
	f.Name, f.Cause = cut(f.Name, maxErrorName), cut(f.Cause, maxCause)
	return f
}

// cut shortens a text to so many characters.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	if r := []rune(s); len(r) > limit {
		return string(r[:limit])
	}
	return s
}
