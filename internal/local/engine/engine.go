// Package engine runs the shipped state machines in one process: what AWS Step
// Functions, Lambda and SQS do for a deployment, `tandem run` does with this.
//
// # What it promises
//
// Start returns after the execution's input is with the operating system; an
// execution that a crash or a shutdown left unfinished is started again when the
// directory is opened next. Executions may therefore run twice, as EXPRESS
// machines may: the flow is level-triggered and idempotent. Every execution ends
// in one outcome, and one that fails leaves a dead letter, also where no Catch
// of the machine saw the failure. An execution that a machine ends in Deferred
// has none yet: its event goes on in another one when it is due.
//
// The handlers get and return the JSON that the lambdas would, and the machines
// are the files that are deployed. The values of fields that the spec marks as
// sensitive are replaced by fingerprints before anything is kept for people.
//
// It is not for more than one process in one directory.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"tandem/internal/asl"
	"tandem/internal/flow"
	"tandem/internal/local/journal"
	"tandem/internal/record"
	"tandem/spec"
	"tandem/statemachines"
)

// Bounds of one engine.
const (
	// DefaultConcurrency is how many executions work at the same time. One that
	// waits, for a retry or in a Wait state, does not count.
	DefaultConcurrency = 32
	maxStarted         = 4096    // executions begun and not ended, waiting ones included
	maxQueued          = 100_000 // executions accepted and not begun
	maxFinished        = 20_000  // finished executions that can be listed
)

// ErrFull says that more executions wait than may; ErrClosed that the engine has ended.
var (
	ErrFull   = errors.New("too many executions wait; send again later")
	ErrClosed = errors.New("the engine is shutting down")
)

// Options are what an Engine is built from. Flow and Dir are required.
type Options struct {
	Flow *flow.Flow
	// Dir holds the accepted executions, traces, outcomes and dead letters.
	Dir string
	// Concurrency is DefaultConcurrency when zero.
	Concurrency int
	Log         *slog.Logger
	// Wait, when set, says how long it is really waited where so much was asked for:
	// between attempts, in Wait states and until a postponed event is due.
	Wait func(time.Duration) time.Duration
	// Ended, when set, hears of every outcome.
	Ended func(Outcome)
	// Postponed, when set, hears of every execution that put its event off, and why.
	Postponed func(flow.Code)
	// Admit, when set, is asked before an execution begins, one after the other; it
	// returns when the execution can get on, and the context that it runs under. An
	// error lets it begin all the same.
	Admit func(context.Context, spec.Direction) (context.Context, error)
	// Waited, when set, makes the context of a step of an execution that was told
	// to wait for the rate limit before.
	Waited func(ctx context.Context) context.Context
}

// Engine implements flow.Starter. It is safe for concurrent use.
type Engine struct {
	o        Options
	machines map[spec.Direction]*asl.Machine
	store    *store
	traces   *journal.Journal
	outcomes *journal.Journal

	ctx     context.Context // ends when executions are cut short
	cancel  context.CancelFunc
	slots   chan struct{} // held while an execution works
	started chan struct{} // held from an execution's begin to its end
	wake    chan struct{} // tells the dispatcher of new work
	stopped chan struct{} // the dispatcher has ended
	runs    sync.WaitGroup
	// resuming are postponed events on their way into the queue.
	resuming sync.WaitGroup

	mu       sync.Mutex
	queue    []job
	deferred int // events postponed and not yet due
	limited  int // executions that wait for the rate limit between two attempts
	running  map[uint64]*run
	finished []finished // oldest first
	byName   map[string]uint64
	closing  bool
}

// Open opens the directory, queues what was left unfinished in it, and runs what
// is queued until Close.
func Open(o Options) (*Engine, error) {
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Wait == nil {
		o.Wait = func(asked time.Duration) time.Duration { return asked }
	}
	e := &Engine{
		o: o, machines: map[spec.Direction]*asl.Machine{}, running: map[uint64]*run{}, byName: map[string]uint64{},
		slots: make(chan struct{}, o.Concurrency), started: make(chan struct{}, maxStarted),
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	for _, name := range statemachines.Names() {
		m, err := asl.Parse(statemachines.Definition(name))
		if err != nil {
			return nil, fmt.Errorf("state machine %s: %w", name, err)
		}
		e.machines[spec.Direction(name)] = m
	}
	if err := e.open(); err != nil {
		return nil, errors.Join(err, e.close())
	}
	go e.dispatch()
	return e, nil
}

// Start accepts one execution. The name need not be unique.
func (e *Engine) Start(ctx context.Context, d spec.Direction, name string, input json.RawMessage) error {
	if e.machines[d] == nil {
		return fmt.Errorf("there is no machine %q", d)
	}
	e.mu.Lock()
	full, closing := len(e.queue) >= maxQueued, e.closing
	e.mu.Unlock()
	switch {
	case closing:
		return ErrClosed
	case full:
		return ErrFull
	}
	j, err := e.store.accept(ctx, d, name, input)
	if err != nil {
		return err
	}
	e.enqueue(j)
	return nil
}

func (e *Engine) enqueue(j job) {
	e.mu.Lock()
	e.queue = append(e.queue, j)
	e.mu.Unlock()
	e.rouse()
}

// rouse tells the dispatcher that there may be work.
func (e *Engine) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// dispatch begins queued executions in order, as slots come free.
func (e *Engine) dispatch() {
	defer close(e.stopped)
	for {
		for _, tokens := range []chan struct{}{e.started, e.slots} {
			select {
			case tokens <- struct{}{}:
			case <-e.ctx.Done():
				return
			}
		}
		r, ok := e.take()
		if !ok {
			return
		}
		e.admit(r)
		e.runs.Go(func() {
			defer func() { <-e.slots; <-e.started }()
			e.run(r)
		})
	}
}

// maxLimited is how many executions may wait for the rate limit before no other
// is begun: it would only wait beside them, and outlast its retries.
const maxLimited = 8

// admit lets an execution wait for its turn before it begins.
func (e *Engine) admit(r *run) {
	r.ctx = e.ctx
	if e.o.Admit == nil {
		return
	}
	ctx, err := e.o.Admit(e.ctx, r.job.direction)
	switch {
	case err == nil:
		r.ctx = ctx
	case e.ctx.Err() == nil:
		e.o.Log.Warn("an execution begins without a permit of the rate limit", "execution", r.job.name, "error", err)
	}
}

// take removes the first queued execution, waiting for one.
func (e *Engine) take() (*run, bool) {
	for {
		e.mu.Lock()
		if e.closing {
			e.mu.Unlock()
			return nil, false
		}
		if len(e.queue) > 0 && e.limited < maxLimited {
			r := &run{engine: e, job: e.queue[0], since: time.Now()}
			e.queue = e.queue[1:]
			e.running[r.job.seq] = r
			e.mu.Unlock()
			return r, true
		}
		e.mu.Unlock()
		select {
		case <-e.wake:
		case <-e.ctx.Done():
			return nil, false
		}
	}
}

// run executes one job to its end, unless the engine is closed under it: then
// the job stays accepted and is run again.
func (e *Engine) run(r *run) {
	defer func() {
		e.mu.Lock()
		delete(e.running, r.job.seq)
		e.mu.Unlock()
	}()
	if err := r.load(e.ctx); err != nil {
		e.o.Log.Error("an accepted execution cannot be read; it is tried again at the next start", "execution", r.job.name, "error", err)
		return
	}
	res := e.machines[r.job.direction].Run(r.ctx, asl.Execution{Name: r.job.name, ID: r.job.id(), Input: r.input},
		asl.Env{Clock: r, Tasks: r, Rand: rand.Float64, Observe: r.observe})
	if res.Status == asl.Aborted {
		return
	}
	e.end(r, &res)
}

// Pauses between attempts to store an execution's end, doubling from the first.
const (
	firstEndPause = time.Second
	lastEndPause  = time.Minute
)

// ref is the record an envelope is about.
func (e *Engine) ref(env flow.Envelope) record.Ref {
	sys := env.Direction.Source()
	pair, _ := e.o.Flow.Spec.PairByName(env.Pair)
	return record.Ref{System: sys, Object: pair.Side(sys).Object, ID: env.ID}
}

// Status is what the engine is doing.
type Status struct {
	InFlight int `json:"inFlight"` // begun and not ended, waiting ones included
	Queued   int `json:"queued"`
	// Deferred counts events that wait, by minutes, for their next execution.
	Deferred int `json:"deferred"`
	// Accepted counts executions ever accepted in this directory, Outcomes is
	// the newest outcome's cursor.
	Accepted    uint64 `json:"accepted"`
	Outcomes    uint64 `json:"outcomes"`
	DeadLetters int    `json:"deadLetters"`
}

// Status reports the present state.
func (e *Engine) Status() Status {
	e.mu.Lock()
	s := Status{InFlight: len(e.running), Queued: len(e.queue), Deferred: e.deferred}
	e.mu.Unlock()
	s.Accepted, s.DeadLetters = e.store.counts()
	s.Outcomes = e.outcomes.Last()
	return s
}

// Close accepts and begins nothing more, waits until ctx ends for executions
// under way, and cuts the rest short; they run again after the next Open.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	if e.closing {
		e.mu.Unlock()
		return nil
	}
	e.closing = true
	e.mu.Unlock()
	idle := make(chan struct{})
	go func() { e.runs.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	e.cancel()
	<-e.stopped
	e.runs.Wait()
	e.resuming.Wait()
	return e.close()
}

func (e *Engine) close() error {
	e.cancel()
	var errs []error
	if e.store != nil {
		errs = append(errs, e.store.table.Close())
	}
	for _, j := range []*journal.Journal{e.traces, e.outcomes} {
		if j != nil {
			errs = append(errs, j.Close())
		}
	}
	return errors.Join(errs...)
}
