package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tandem/internal/asl"
	"tandem/internal/flow"
	"tandem/spec"
)

// Start implements flow.Starter: an accepted execution is never forgotten, but
// it may begin late, twice, or again from its beginning.
func (r *run) Start(ctx context.Context, d spec.Direction, name string, input json.RawMessage) error {
	if err := sleep(ctx, r.between(0, 10*time.Millisecond)); err != nil {
		return err
	}
	if r.chance(0.004, "start failed") {
		return errors.New("StartExecution: throttled")
	}
	r.execute(d, name, input)
	if r.chance(0.004, "execution started twice") {
		r.execute(d, name, input)
	}
	if r.chance(0.004, "start done, answer lost") {
		return errors.New("StartExecution: connection reset")
	}
	return nil
}

// execute runs one execution as a task; a crash begins it again.
func (r *run) execute(d spec.Direction, name string, input json.RawMessage) {
	r.inFlight++
	r.executions++
	if strings.Contains(string(input), flow.MarkLinked) {
		r.counts["reference travels at last"]++
	}
	r.note("starts %s", input)
	var begin func()
	begin = func() {
		r.start(r.between(0, 30*time.Millisecond), true, func(ctx context.Context) {
			result := r.machines[d].Run(ctx, asl.Execution{Name: name, ID: name, Input: input}, asl.Env{
				Clock: clock{r.world}, Tasks: r, Rand: r.rng.Float64, Observe: func(e asl.Event) { r.stall(ctx, e) },
			})
			r.end(name, input, result)
		}, func() { r.note("%s dies and begins again", name); begin() })
	}
	begin()
}

// stall lets time pass between two states, longer than a lease now and then.
func (r *run) stall(ctx context.Context, e asl.Event) {
	if e.Kind == asl.StateEntered && r.chance(0.004, "execution stalled") {
		_ = sleep(ctx, r.between(5*time.Second, 60*time.Second))
	}
}

func (r *run) end(name string, input json.RawMessage, result asl.Result) {
	r.inFlight--
	last := result.Path[len(result.Path)-1]
	r.ended[last]++
	var s flow.Sections
	_ = json.Unmarshal(result.Output, &s)
	reason := result.Error + " " + result.Cause
	if s.Lookup != nil && last == "Dropped" {
		reason = s.Lookup.Reason
	}
	r.note("%s ends in %s: %s", name, last, reason)
	fmt.Fprintln(&r.said, name, reason)
	if result.Status != asl.Succeeded && last != "Failed" {
		// What no Catch saw is found by the alarm, and started again by a person.
		r.counts["execution ended past the dead letter"]++
		r.letter(input, result.Error, result.Cause)
	}
}

func (r *run) letter(input json.RawMessage, code, cause string) {
	var s flow.State
	_ = json.Unmarshal(input, &s)
	r.letters = append(r.letters, letter{input, s, code, cause})
}

// Invoke implements asl.Invoker: a lambda, or the dead-letter queue.
func (r *run) Invoke(ctx context.Context, resource string, input json.RawMessage) (out json.RawMessage, err error) {
	ctx = context.WithValue(ctx, lambdaKey{}, true)
	defer func() {
		if p := recover(); p != nil {
			if _, crash := p.(diedLambda); !crash {
				panic(p)
			}
			out, err = nil, &asl.Failure{Name: "Lambda.Unknown", Cause: "the runtime exited"}
		}
	}()
	if err := sleep(ctx, r.between(0, 5*time.Millisecond)); err != nil {
		return nil, err
	}
	if strings.HasSuffix(resource, ":sqs:sendMessage") {
		return r.send(input)
	}
	if r.chance(0.003, "lambda throttled") {
		return nil, &asl.Failure{Name: "Lambda.TooManyRequestsException", Cause: "Rate Exceeded."}
	}
	var s flow.State
	if err := json.Unmarshal(input, &s); err != nil {
		return nil, err
	}
	section, err := r.step(ctx, strings.TrimSuffix(strings.TrimPrefix(resource, "${"), "Arn}"), s)
	if err != nil {
		return nil, &asl.Failure{Name: string(flow.CodeOf(err)), Cause: err.Error()}
	}
	return json.Marshal(section)
}

func (r *run) step(ctx context.Context, step string, s flow.State) (any, error) {
	if r.variant.Step != nil {
		return r.variant.Step(r.flow, ctx, step, s)
	}
	return r.flow.Handle(ctx, step, s)
}

// send takes a message for one of the two queues.
func (r *run) send(input json.RawMessage) (json.RawMessage, error) {
	var m struct {
		QueueUrl     string
		DelaySeconds int
		MessageBody  flow.Postponed
	}
	if err := json.Unmarshal(input, &m); err != nil {
		return nil, err
	}
	if m.QueueUrl == "${LaterUrl}" {
		return json.RawMessage(`{}`), r.postpone(m.MessageBody, time.Duration(m.DelaySeconds)*time.Second)
	}
	return r.deadLetter(input)
}

// postpone starts the event again when its time has come; the queue forgets nothing.
func (r *run) postpone(p flow.Postponed, delay time.Duration) error {
	name, input, err := p.Next()
	if err != nil {
		return err
	}
	r.inFlight++
	r.after(delay, func() { r.inFlight--; r.execute(p.Machine, name, input) })
	return nil
}

func (r *run) deadLetter(input json.RawMessage) (json.RawMessage, error) {
	var m struct {
		MessageBody struct {
			Event json.RawMessage `json:"event"`
			Error struct{ Error, Cause string }
		}
	}
	if err := json.Unmarshal(input, &m); err != nil {
		return nil, err
	}
	r.letter(json.RawMessage(fmt.Sprintf(`{"event":%s}`, m.MessageBody.Event)), m.MessageBody.Error.Error, m.MessageBody.Error.Cause)
	return json.RawMessage(`{}`), nil
}
