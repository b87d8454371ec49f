package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"tandem/internal/asl"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/limit"
	"tandem/internal/record"
	"tandem/spec"
)

// run is one execution under way. It is its machine's clock and invoker.
type run struct {
	engine *Engine
	job    job
	input  json.RawMessage
	event  flow.Envelope // under mu until it is loaded
	since  time.Time
	ctx    context.Context // of the whole execution

	// What the handlers returned last, and what may be shown of each section.
	plan     *flow.Plan
	stamped  *flow.Stamped
	waits    *postponed // the event, if it was postponed
	sections []section
	lettered bool
	reason   string // of the dead letter
	// What of its end has been stored.
	traced, told bool

	mu      sync.Mutex
	path    []string // states entered, for those who look at it meanwhile
	waited  bool     // a step was told to wait for the rate limit
	limited bool     // the last one was
}

// section is what a handler returned: as the machine got it, and with sensitive
// values replaced.
type section struct{ raw, shown json.RawMessage }

// load reads the accepted input. An input that is no envelope is left to Verify.
func (r *run) load(ctx context.Context) (err error) {
	if r.input, err = r.engine.store.input(ctx, r.job); err != nil {
		return err
	}
	var s flow.State
	if json.Unmarshal(r.input, &s) == nil {
		r.mu.Lock()
		r.event = s.Event
		r.mu.Unlock()
	}
	return nil
}

// Now, Sleep and WithTimeout are the real clock, except that an execution gives
// its slot to another while it sleeps.
func (r *run) Now() time.Time { return time.Now() }

// Sleep implements asl.Clock.
func (r *run) Sleep(ctx context.Context, d time.Duration) error {
	<-r.engine.slots
	if limited, _ := r.pressed(); limited {
		r.engine.count(1)
		defer r.engine.count(-1)
	}
	err := asl.RealClock{}.Sleep(ctx, r.engine.o.Wait(d))
	r.engine.slots <- struct{}{}
	return err
}

// press notes whether a step was told to wait for the rate limit.
func (r *run) press(limited bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limited, r.waited = limited, r.waited || limited
}

// pressed tells whether the last step was, and whether any was.
func (r *run) pressed() (last, any bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limited, r.waited
}

// count notes that an execution begins or ends to wait for the rate limit.
func (e *Engine) count(n int) {
	e.mu.Lock()
	e.limited += n
	e.mu.Unlock()
	e.rouse()
}

// WithTimeout implements asl.Clock.
func (r *run) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

func (r *run) observe(e asl.Event) {
	if e.Kind == asl.StateEntered {
		r.mu.Lock()
		r.path = append(r.path, e.State)
		r.mu.Unlock()
	}
}

// sendMessage is the resource of the states DeadLetter and Later.
const sendMessage = "arn:aws:states:::sqs:sendMessage"

// Invoke implements asl.Invoker: the handler that a placeholder such as
// "${WriteArn}" stands for, or one of the queues.
func (r *run) Invoke(ctx context.Context, resource string, input json.RawMessage) (out json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.engine.o.Log.Error("a handler panicked", "execution", r.job.name, "resource", resource, "stack", string(debug.Stack()))
			out, err = nil, &asl.Failure{Name: "Lambda.Unknown", Cause: "the handler panicked; the log has its stack"}
		}
	}()
	switch {
	case resource == sendMessage && isLater(input):
		return r.postpone(ctx, input)
	case resource == sendMessage:
		return r.deadLetter(ctx, input)
	}
	var s flow.State
	if err := json.Unmarshal(input, &s); err != nil {
		return nil, &asl.Failure{Name: string(flow.BadEnvelope), Cause: "the state is not what the handlers take"}
	}
	if s.Event.Bulk() {
		ctx = limit.Backfill(ctx)
	}
	step := strings.TrimSuffix(strings.TrimPrefix(resource, "${"), "Arn}")
	if _, waited := r.pressed(); waited && r.engine.o.Waited != nil {
		ctx = r.engine.o.Waited(ctx)
	}
	result, err := r.engine.o.Flow.Handle(ctx, step, s)
	r.press(flow.CodeOf(err) == flow.RateLimited)
	if err != nil {
		return nil, failure(err)
	}
	if out, err = json.Marshal(result); err != nil {
		return nil, &asl.Failure{Name: string(flow.Unexpected), Cause: "the section of " + step + " cannot be written as JSON"}
	}
	return out, r.keep(result, out)
}

// failure names an error as the lambdas do.
func failure(err error) error {
	return &asl.Failure{Name: string(flow.CodeOf(err)), Cause: strings.TrimPrefix(err.Error(), string(flow.CodeOf(err))+": ")}
}

// keep notes a section for the outcome and the trace.
func (r *run) keep(result any, raw json.RawMessage) (err error) {
	s := section{raw: raw, shown: raw}
	switch v := result.(type) {
	case *flow.Transformed:
		s.shown, err = r.shown(raw, v)
	case *flow.Plan:
		r.plan = v
		s.shown, err = r.shown(raw, v)
	case *flow.Stamped:
		r.stamped = v
	}
	r.sections = append(r.sections, s)
	return err
}

// deadLetter keeps what the machine would send to the dead-letter queue.
func (r *run) deadLetter(ctx context.Context, input json.RawMessage) (json.RawMessage, error) {
	var m struct {
		MessageBody struct {
			Error flow.Cause `json:"error"`
		}
	}
	if err := json.Unmarshal(input, &m); err != nil {
		return nil, fmt.Errorf("the dead letter is not the JSON that the machine writes: %w", err)
	}
	id, err := r.bury(ctx, m.MessageBody.Error.Error, m.MessageBody.Error.Text())
	if err != nil {
		return nil, err
	}
	out, err := json.Marshal(map[string]string{"MessageId": id})
	return out, err
}

func (r *run) bury(ctx context.Context, code, cause string) (string, error) {
	id, err := r.engine.store.bury(ctx, r.job, DeadLetter{
		At: time.Now().UTC(), Execution: r.job.name, Machine: r.job.direction, Object: r.engine.ref(r.event).Object,
		Event: r.event, Code: code, Cause: cause, Redriveable: flow.Redriveable(flow.Code(code)) || strings.HasPrefix(code, "States."),
	})
	r.lettered, r.reason = r.lettered || err == nil, cause
	return id, err
}

// letter keeps a failure that no Catch of the machine has seen.
func (e *Engine) letter(ctx context.Context, r *run, res *asl.Result) error {
	_, err := r.bury(ctx, res.Error, res.Cause)
	return err
}

// Outcome is how one event ended. Every event ends in exactly one.
type Outcome struct {
	// Cursor numbers the outcomes of one directory; a list of executions leaves it out.
	Cursor    uint64         `json:"cursor,omitempty"`
	Execution string         `json:"execution"`
	Direction spec.Direction `json:"direction"`
	Pair      string         `json:"pair"`
	// Ref is the source record.
	record.Ref
	Kind ledger.Kind `json:"kind"`
	// Reason says why; of a dead letter it is the cause, and Code its code.
	Reason string `json:"reason,omitempty"`
	Code   string `json:"code,omitempty"`
	// Fields are the names of the fields written, Parked of those that the loop
	// breaker took out.
	Fields []string  `json:"fields,omitempty"`
	Parked []string  `json:"parkedFields,omitempty"`
	At     time.Time `json:"at"`
	Events []string  `json:"events,omitempty"`
	// Start is when the execution began, for who hears of the outcome as it happens.
	Start time.Time `json:"-"`
}

// deferred is the state in which a machine ends that has postponed its event.
const deferred = "Deferred"

// outcome derives the outcome from what the handlers said; nil when the event has
// none yet.
func (r *run) outcome(res *asl.Result) *Outcome {
	if len(res.Path) > 0 && res.Path[len(res.Path)-1] == deferred {
		return nil
	}
	o := &Outcome{
		Execution: r.job.name, Direction: r.job.direction, Pair: r.event.Pair, Ref: r.engine.ref(r.event),
		At: res.End.UTC(), Events: r.event.Events,
	}
	if res.Status != asl.Succeeded || r.plan == nil {
		o.Kind, o.Code, o.Reason = ledger.Dead, res.Error, cmp.Or(r.reason, res.Cause)
		return o
	}
	o.Kind, o.Reason = r.plan.Outcome()
	o.Parked = r.plan.Parked
	if r.stamped != nil && o.Kind == ledger.Stamped {
		o.Fields = r.stamped.Fields
	}
	return o
}
