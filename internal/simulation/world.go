// Package simulation is the proof: the real flow code, the real machine
// definitions, the real adapters and the real ledger, run against two simulated
// systems on a simulated clock, in an order that a seed decides.
//
// # How it works
//
// Everything that would wait (a request on its way, a store call, a retry, a
// redelivery) is a task: a coroutine that gives control back with the time it
// wants to go on at. One task runs at a time; ties and delays are drawn from
// the seed, so a seed replays exactly. Between any two steps a lambda may die,
// an execution may start again, or the whole process may lose power; requests
// are lost, answered late, answered with 429 or 504 after they were carried
// out, delivered twice or out of order. In some worlds deliveries never come, people
// enter what has no translation, or the spec is changed in the middle of it all.
//
// # What it shows
//
// When everything is quiet, dead letters are tried again without faults, and
// the invariants of check.go are asked. Broken variants of the protocol
// (broken.go) show that they can fail.
package simulation

import (
	"container/heap"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// epoch is when every simulated world begins.
var epoch = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// world is the clock, the chance and the queue of what happens next.
type world struct {
	rng    *rand.Rand
	now    time.Time
	queue  agenda
	serial int
	// power counts power cuts; a task that was born before the last one is dead.
	power  int
	faults bool // off while the world settles
	slow   bool // every answer takes seconds
	bad    bool // the network loses and delays ten times as much
	counts map[string]int
	log    []string
	keep   bool // whether log is kept
}

func newWorld(seed uint64, keep bool) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 0x7a6e)), now: epoch, counts: map[string]int{}, keep: keep, faults: true}
}

// note writes one line of the readable event log of a run.
func (w *world) note(format string, args ...any) {
	if w.keep {
		w.log = append(w.log, w.now.Sub(epoch).Round(time.Millisecond).String()+"  "+fmt.Sprintf(format, args...))
	}
}

// chance is true with probability p while faults are on, and counts the fault by name.
func (w *world) chance(p float64, fault string) bool {
	if !w.faults || w.rng.Float64() >= p {
		return false
	}
	w.counts[fault]++
	return true
}

// often is chance for what the network does.
func (w *world) often(p float64, fault string) bool {
	if w.bad {
		p *= 5
	}
	return w.chance(p, fault)
}

// between draws a duration.
func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rng.Int64N(int64(high-low)+1))
}

// entry is something that happens at a time.
type entry struct {
	at     time.Time
	serial int
	run    func()
}

type agenda []entry

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if a[i].at.Equal(a[j].at) {
		return a[i].serial < a[j].serial
	}
	return a[i].at.Before(a[j].at)
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push implements heap.Interface.
func (a *agenda) Push(x any) { *a = append(*a, x.(entry)) }

// Pop implements heap.Interface.
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// after puts something on the agenda.
func (w *world) after(d time.Duration, run func()) {
	w.serial++
	heap.Push(&w.queue, entry{at: w.now.Add(d), serial: w.serial, run: run})
}

// run works the agenda off until it is empty or the world is limit old.
func (w *world) run(limit time.Duration) bool {
	for len(w.queue) > 0 {
		next := heap.Pop(&w.queue).(entry)
		if next.at.Sub(epoch) > limit {
			return false
		}
		w.now = next.at
		next.run()
	}
	return true
}

// task is one coroutine.
type task struct {
	w     *world
	pause func(time.Duration) bool
	power int
	// fragile tasks may crash at any step.
	fragile bool
}

// died is the panic by which a crash leaves a task's code.
type died struct{ what string }

type taskKey struct{}
type deadlineKey struct{}
type lambdaKey struct{} // inside one invocation

// start runs fn as a task after d. When it dies, rebirth is called (may be nil).
func (w *world) start(d time.Duration, fragile bool, fn func(ctx context.Context), rebirth func()) {
	w.after(d, func() {
		t := &task{w: w, power: w.power, fragile: fragile}
		next, stop := iter.Pull(func(yield func(time.Duration) bool) {
			t.pause = yield
			defer func() {
				if r := recover(); r != nil {
					if _, crash := r.(died); !crash {
						panic(r)
					}
					if rebirth != nil {
						rebirth()
					}
				}
			}()
			fn(context.WithValue(context.Background(), taskKey{}, t))
		})
		var turn func()
		turn = func() {
			if wait, more := next(); more {
				w.after(wait, turn)
			} else {
				stop()
			}
		}
		turn()
	})
}

// Faults lists every fault by the name it is counted under. A sweep in which one
// of them never happened is no proof against it.
var Faults = []string{
	"429", "503", "423", "request lost", "request carried out late, client gone", "slow answer",
	"answer lost after it was carried out", "504 after it was carried out", "table read failed", "table write failed",
	"table write done, answer lost", "start failed", "start done, answer lost", "execution started twice",
	"execution restarted", "execution stalled", "lambda died", "lambda throttled", "power cut", "delivery late", "delivery repeated", "merge",
	"restore", "erasure", "key changed", "outage of minutes", "outage of hours", "outage of more than a day",
	unreachable, answering, hanging, readOnly,
	"merge heard of late", "merge told as deletions, too", "merge of a record that does not tell it", "edit just before a merge",
	"partner edited just before a merge", "merged record deleted", "restored at once", "blank fields left out",
	"edited just before we delete it", "edited just after we wrote it",
	"bad network", "reference waits", "reference travels at last", "values swapped", wrongSide, oddValue, oddMended, unheardOf, comparing, revision,
}

// Crash probabilities per step.
const (
	crashLambda    = 0.002
	crashExecution = 0.0007
)

// diedLambda ends one invocation; the machine sees Lambda.Unknown.
type diedLambda struct{}

// sleep gives control back for d, or until the context's simulated deadline.
func sleep(ctx context.Context, d time.Duration) error {
	t := ctx.Value(taskKey{}).(*task)
	late := false
	if deadline, ok := ctx.Value(deadlineKey{}).(time.Time); ok && t.w.now.Add(d).After(deadline) {
		d, late = max(0, deadline.Sub(t.w.now)), true
	}
	t.pause(d)
	switch {
	case t.power != t.w.power && t.fragile:
		panic(died{"power"})
	case t.fragile && t.w.chance(crashExecution, "execution restarted"):
		panic(died{"execution"})
	case ctx.Value(lambdaKey{}) != nil && t.w.chance(crashLambda, "lambda died"):
		panic(diedLambda{})
	case late:
		return context.DeadlineExceeded
	}
	return nil
}

// clock is the world's time for the interpreter.
type clock struct{ w *world }

// Now implements asl.Clock.
func (c clock) Now() time.Time { return c.w.now }

// Sleep implements asl.Clock.
func (c clock) Sleep(ctx context.Context, d time.Duration) error { return sleep(ctx, d) }

// WithTimeout implements asl.Clock by a deadline that sleep obeys.
func (c clock) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	deadline := c.w.now.Add(d)
	if outer, ok := ctx.Value(deadlineKey{}).(time.Time); ok && outer.Before(deadline) {
		deadline = outer
	}
	return context.WithValue(ctx, deadlineKey{}, deadline), func() {}
}
