package asl

import (
	"math"
	"slices"
	"time"
)

// Error names that the States Language defines (its appendix A, and the
// developer guide's page on error handling for the two that States.ALL leaves out).
const (
	allErrors         = "States.ALL"
	taskFailed        = "States.TaskFailed"
	timeoutError      = "States.Timeout"
	runtimeError      = "States.Runtime"
	dataLimitExceeded = "States.DataLimitExceeded"
	resultPathFailure = "States.ResultPathMatchFailure"
	intrinsicFailure  = "States.IntrinsicFailure"
	noChoiceMatched   = "States.NoChoiceMatched"
	// lambdaUnknown is what an unhandled end of a function is called.
	lambdaUnknown = "Lambda.Unknown"
)

// matches tells whether an ErrorEquals list names an error. States.Runtime is
// never handled, States.DataLimitExceeded only by its own name.
func matches(list []string, name string) bool {
	if name == runtimeError {
		return false
	}
	return slices.ContainsFunc(list, func(e string) bool {
		switch e {
		case allErrors:
			return name != dataLimitExceeded
		case taskFailed:
			return name != dataLimitExceeded && name != timeoutError
		}
		return e == name
	})
}

// retrier is one entry of a Task's Retry.
type retrier struct {
	errors   []string
	interval time.Duration
	max      int
	rate     float64
	longest  time.Duration // MaxDelaySeconds, 0 when there is none
	jitter   bool          // JitterStrategy FULL
}

// delay returns the longest wait before retry n, counted from 0.
func (r *retrier) delay(n int) time.Duration {
	d := float64(r.interval) * math.Pow(r.rate, float64(n))
	if r.longest > 0 {
		d = min(d, float64(r.longest))
	}
	// Beyond an execution's life one delay is as good as another.
	return time.Duration(min(d, float64(24*time.Hour)))
}

// total returns the sum of all waits, or at least limit when that is reached sooner.
func (r *retrier) total(limit time.Duration) (sum time.Duration) {
	for n := 0; n < r.max && sum < limit; n++ {
		d := r.delay(n)
		if sum += d; d == 0 {
			break
		}
	}
	return sum
}

// counters are the retries used, one number for each retrier, in one visit of a state.
type counters []int

// next finds the first retrier that names the error and tells how long to wait,
// or false when its attempts are spent or there is none.
func (c counters) next(rs []retrier, name string, rand func() float64) (time.Duration, bool) {
	i := slices.IndexFunc(rs, func(r retrier) bool { return matches(r.errors, name) })
	if i < 0 || c[i] >= rs[i].max {
		return 0, false
	}
	d := rs[i].delay(c[i])
	c[i]++
	if rs[i].jitter && rand != nil {
		d = time.Duration(rand() * float64(d))
	}
	return d, true
}

// catcher is one entry of a Task's Catch.
type catcher struct {
	errors []string
	put    []string // ResultPath: nil replaces the data
	keep   bool     // ResultPath null: the error is left out
	next   *state
}
