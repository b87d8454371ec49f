// Package asl reads, checks and runs the part of the Amazon States Language
// that the files in statemachines/ use: JSONPath machines of Task, Choice,
// Wait, Pass, Succeed and Fail states, with Retry, Catch, payload templates and
// timeouts.
//
// # What it promises
//
// Parse refuses every field, operator, path and intrinsic it does not know, and
// names the state and the field: a definition is either run as the States
// Language says (https://states-language.net/spec.html) or not at all. Run
// starts no goroutine and asks its caller for the time, for waiting and for
// chance, so a simulation can schedule it. Limits are those of an EXPRESS
// machine: five minutes, 262,144 bytes for a state's input or output.
//
// # What it is not for
//
// Map, Parallel, JSONata, variables, heartbeats, activities, task tokens and
// distributed runs are not here. It knows nothing of records or of Tandem: the
// names of errors come in by Rules, the work by an Invoker.
package asl

import (
	"context"
	"encoding/json"
	"time"
)

// Limits of an EXPRESS execution
// (https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html).
const (
	// MaxDuration is how long an execution may run.
	MaxDuration = 5 * time.Minute
	// MaxData is the size in bytes of the largest input or output of a state.
	MaxData = 256 << 10

	maxErrorName = 256    // characters of an error name
	maxCause     = 32_768 // characters of a cause
	// maxSteps ends a loop in which no time passes. AWS has no such limit for
	// EXPRESS; a Standard execution ends at 25,000 history events.
	maxSteps = 10_000
)

// Machine is a parsed definition. It is immutable and may be run by many
// goroutines at once.
type Machine struct {
	// Comment is the definition's own description.
	Comment string

	timeout time.Duration // 0 when the definition has none
	start   *state
	states  []*state // in the order of the file
}

// Execution is one run of a machine.
type Execution struct {
	// Name and ID are $$.Execution.Name and $$.Execution.Id.
	Name, ID string
	// Input is a JSON text, $ of the first state.
	Input json.RawMessage
}

// Env is what a run needs from outside.
type Env struct {
	// Clock tells the time and waits. RealClock when nil.
	Clock Clock
	// Tasks does the work of Task states. Required where a machine has one.
	Tasks Invoker
	// Rand returns a number in [0,1) for JitterStrategy FULL. Nil means that
	// every wait has its full length.
	Rand func() float64
	// Observe is called at each turn of the run, on the same goroutine. It may be nil.
	Observe func(Event)
}

// Clock is time as a run sees it.
type Clock interface {
	// Now is the present time.
	Now() time.Time
	// Sleep waits for d, or returns the context's error when that ends first.
	Sleep(ctx context.Context, d time.Duration) error
	// WithTimeout returns a context that ends with context.DeadlineExceeded after d.
	WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
}

// Invoker does what a Task's Resource names. The input is the Task's effective
// input; the answer is its result. A failing task returns an error; its name,
// which Retry and Catch match, is that of the first error in its chain with the
// method ErrorName() string (a *Failure has it), otherwise Lambda.Unknown.
// An invocation that outlives its context is reported as States.Timeout.
type Invoker interface {
	Invoke(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error)
}

// Failure is an error with the name and the cause that the States Language
// gives it.
type Failure struct {
	Name  string
	Cause string
}

// Error implements error.
func (f *Failure) Error() string { return f.Name + ": " + f.Cause }

// ErrorName returns the name that ErrorEquals is compared with.
func (f *Failure) ErrorName() string { return f.Name }

// Status is how an execution ended.
type Status string

// The ends of an execution, as AWS names them.
const (
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
	// TimedOut is the end by the machine's own TimeoutSeconds or by MaxDuration,
	// which no Catch sees.
	TimedOut Status = "TIMED_OUT"
	// Aborted is the end by the caller's context.
	Aborted Status = "ABORTED"
)

// Result is what became of an execution.
type Result struct {
	Status Status          `json:"status"`
	Output json.RawMessage `json:"output,omitempty"` // of a succeeded execution
	Error  string          `json:"error,omitempty"`
	Cause  string          `json:"cause,omitempty"`
	// Path is the names of the states entered, in order.
	Path []string `json:"path"`
	// Steps tell each of them in full, in the same order.
	Steps []Step    `json:"steps"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Step is one visit of a state, as a trace shows it.
type Step struct {
	State string `json:"state"`
	Type  string `json:"type"`
	// Input is the state's raw input, Result what its task returned (before
	// ResultSelector and ResultPath), Output what the next state gets.
	Input    json.RawMessage `json:"input"`
	Result   json.RawMessage `json:"result,omitempty"`
	Output   json.RawMessage `json:"output,omitempty"`
	Attempts []Attempt       `json:"attempts,omitempty"` // of a Task
	// Next is the following state, empty at the end.
	Next string `json:"next,omitempty"`
	// Error and Cause are those the state ended with, also when they were caught.
	Error string    `json:"error,omitempty"`
	Cause string    `json:"cause,omitempty"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Attempt is one invocation of a Task.
type Attempt struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Error string    `json:"error,omitempty"`
	Cause string    `json:"cause,omitempty"`
	// Wait is how long the run waited before the next attempt, in nanoseconds.
	Wait time.Duration `json:"wait,omitempty"`
}

// Kind says what an Event tells.
type Kind string

// The kinds of event.
const (
	StateEntered   Kind = "StateEntered"
	AttemptFailed  Kind = "AttemptFailed" // Step.Attempts ends with the attempt
	StateExited    Kind = "StateExited"   // Step is complete
	ExecutionEnded Kind = "ExecutionEnded"
)

// Event is one turn of a run. Step points into the run's own record: it is to
// be read during the call only.
type Event struct {
	At    time.Time
	Kind  Kind
	Name  string // the execution's
	State string
	Step  *Step
	// Result is set when the execution has ended.
	Result *Result
}
