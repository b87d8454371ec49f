package asl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/asl"
)

// clock is a time that only Sleep and work move.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time { return c.now }

// Sleep moves the time, but not past the context's deadline.
func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	if end, ok := ctx.Deadline(); ok && c.now.Add(d).After(end) {
		c.now = end
	} else {
		c.now = c.now.Add(d)
	}
	return ctx.Err()
}

func (c *clock) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	end := c.now.Add(d)
	if outer, ok := ctx.Deadline(); ok && outer.Before(end) {
		end = outer
	}
	return deadline{ctx, c, end}, func() {}
}

// deadline is a context on a clock.
type deadline struct {
	context.Context
	c   *clock
	end time.Time
}

func (d deadline) Deadline() (time.Time, bool) { return d.end, true }

func (d deadline) Err() error {
	if !d.c.now.Before(d.end) {
		return context.DeadlineExceeded
	}
	return d.Context.Err()
}

// work is an Invoker made of a function.
type work func(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error)

func (w work) Invoke(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error) {
	return w(ctx, resource, input)
}

func mustParse(tb testing.TB, definition string) *asl.Machine {
	tb.Helper()
	m, err := asl.Parse([]byte(definition))
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// one wraps the fields of a single state T into a machine; DEAD is what Catch leads to.
func one(fields string) string {
	return `{"StartAt":"T","States":{"T":{` + fields + `},"Dead":{"Type":"Fail","Error":"Dead","Cause":"caught"}}}`
}

func failing(names ...string) (work, *int) {
	n := 0
	return func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
		n++
		if n <= len(names) && names[n-1] != "" {
			return nil, &asl.Failure{Name: names[n-1], Cause: "because"}
		}
		return json.RawMessage(`{"ok":true}`), nil
	}, &n
}

// Each retrier has its own counter, a delay never exceeds MaxDelaySeconds, and
// an error that no retrier names goes to Catch.
func TestRetryWaits(t *testing.T) {
	m := mustParse(t, one(`"Type":"Task","Resource":"r","End":true,"Retry":[
		{"ErrorEquals":["A"],"IntervalSeconds":1,"MaxAttempts":4,"BackoffRate":2,"MaxDelaySeconds":5},
		{"ErrorEquals":["B"],"IntervalSeconds":3,"MaxAttempts":1}],
		"Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.error","Next":"Dead"}]`))
	for _, c := range []struct {
		errors []string
		waits  []time.Duration
		status asl.Status
	}{
		{[]string{"A", "A", "A", "A"}, []time.Duration{1, 2, 4, 5, 0}, asl.Succeeded},
		{[]string{"A", "A", "A", "A", "A"}, []time.Duration{1, 2, 4, 5, 0}, asl.Failed},
		{[]string{"A", "B", "A"}, []time.Duration{1, 3, 2, 0}, asl.Succeeded},
		{[]string{"B", "B"}, []time.Duration{3, 0}, asl.Failed},
		{[]string{"C"}, []time.Duration{0}, asl.Failed},
	} {
		tasks, _ := failing(c.errors...)
		res := m.Run(t.Context(), asl.Execution{Input: json.RawMessage(`{}`)}, asl.Env{Clock: newClock(), Tasks: tasks})
		var waits []time.Duration
		for _, a := range res.Steps[0].Attempts {
			waits = append(waits, a.Wait/time.Second)
		}
		if !slices.Equal(waits, c.waits) || res.Status != c.status {
			t.Errorf("%v: waited %v and %s, want %v and %s", c.errors, waits, res.Status, c.waits, c.status)
		}
	}
}

// JitterStrategy FULL waits a share of the delay, and the whole of it without Rand.
func TestJitter(t *testing.T) {
	m := mustParse(t, one(`"Type":"Task","Resource":"r","End":true,"Retry":[
		{"ErrorEquals":["A"],"IntervalSeconds":8,"MaxAttempts":1,"JitterStrategy":"FULL"}]`))
	for _, c := range []struct {
		rand func() float64
		want time.Duration
	}{{nil, 8 * time.Second}, {func() float64 { return 0.25 }, 2 * time.Second}} {
		tasks, _ := failing("A")
		res := m.Run(t.Context(), asl.Execution{Input: json.RawMessage(`{}`)}, asl.Env{Clock: newClock(), Tasks: tasks, Rand: c.rand})
		if got := res.End.Sub(res.Start); got != c.want {
			t.Errorf("took %v, want %v", got, c.want)
		}
	}
}

// How an error of the Invoker is named.
func TestErrorNames(t *testing.T) {
	m := mustParse(t, one(`"Type":"Task","Resource":"r","End":true,"TimeoutSeconds":5`))
	for want, err := range map[string]error{
		"RateLimited":    fmt.Errorf("wrapped: %w", &asl.Failure{Name: "RateLimited", Cause: "slow down"}),
		"Named":          named{},
		"Lambda.Unknown": errors.New("plain"),
		// An error with an empty name would match States.ALL only, and nobody could say what it was.
		"Lambda.Unknown ": &asl.Failure{Cause: "no name"},
	} {
		want = strings.TrimSpace(want)
		res := m.Run(t.Context(), asl.Execution{Input: json.RawMessage(`{}`)}, asl.Env{Clock: newClock(),
			Tasks: work(func(context.Context, string, json.RawMessage) (json.RawMessage, error) { return nil, err })})
		if res.Status != asl.Failed || res.Error != want {
			t.Errorf("%v: %s %s, want %s", err, res.Status, res.Error, want)
		}
	}
}

type named struct{}

func (named) Error() string     { return "a named error" }
func (named) ErrorName() string { return "Named" }

// A task past its own time is States.Timeout, which Catch sees; the machine's
// time is an end that no Catch sees.
func TestTimeouts(t *testing.T) {
	c := newClock()
	slow := work(func(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(`1`), c.Sleep(ctx, time.Hour)
	})
	catch := `"Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.error","Next":"Dead"}]`
	m := mustParse(t, one(`"Type":"Task","Resource":"r","End":true,"TimeoutSeconds":5,`+catch))
	res := m.Run(t.Context(), asl.Execution{Input: json.RawMessage(`{}`)}, asl.Env{Clock: c, Tasks: slow})
	if res.Status != asl.Failed || res.Steps[0].Error != "States.Timeout" || res.End.Sub(res.Start) != 5*time.Second {
		t.Errorf("state: %+v", res)
	}
	m = mustParse(t, one(`"Type":"Task","Resource":"r","End":true,`+catch))
	res = m.Run(t.Context(), asl.Execution{Input: json.RawMessage(`{}`)}, asl.Env{Clock: c, Tasks: slow})
	if res.Status != asl.TimedOut || len(res.Path) != 1 || res.End.Sub(res.Start) != asl.MaxDuration {
		t.Errorf("machine: %+v", res)
	}
}

// The caller's context ends a run at once, whatever is being waited for.
func TestAborted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := mustParse(t, one(`"Type":"Task","Resource":"r","End":true,"Retry":[{"ErrorEquals":["A"],"IntervalSeconds":100}]`))
	res := m.Run(ctx, asl.Execution{Input: json.RawMessage(`{}`)}, asl.Env{
		Tasks: work(func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
			cancel()
			return nil, &asl.Failure{Name: "A"}
		})})
	if res.Status != asl.Aborted {
		t.Errorf("ended %s, want ABORTED", res.Status)
	}
}

// Data beyond 256 KiB ends the execution past every Catch.
func TestDataLimit(t *testing.T) {
	m := mustParse(t, one(`"Type":"Task","Resource":"r","End":true,"ResultPath":"$.r",
		"Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.error","Next":"Dead"}]`))
	big := json.RawMessage(`"` + strings.Repeat("x", asl.MaxData-2) + `"`)
	res := m.Run(t.Context(), asl.Execution{Input: json.RawMessage(`{}`)}, asl.Env{Clock: newClock(),
		Tasks: work(func(context.Context, string, json.RawMessage) (json.RawMessage, error) { return big, nil })})
	if res.Status != asl.Failed || res.Error != "States.DataLimitExceeded" || len(res.Path) != 1 {
		t.Errorf("a result that fits, in an output that does not: %s %s %v", res.Status, res.Error, res.Path)
	}
	res = m.Run(t.Context(), asl.Execution{Input: append(json.RawMessage(" "), big...)}, asl.Env{Clock: newClock()})
	if res.Error != "States.DataLimitExceeded" || len(res.Path) != 0 {
		t.Errorf("input: %s %v", res.Error, res.Path)
	}
}

// A machine that goes round without time passing is stopped.
func TestEndlessLoop(t *testing.T) {
	m := mustParse(t, `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","Next":"A"}}}`)
	res := m.Run(t.Context(), asl.Execution{Input: json.RawMessage(`1`)}, asl.Env{Clock: newClock()})
	if res.Status != asl.Failed || res.Error != "States.Runtime" {
		t.Errorf("ended %s %s", res.Status, res.Error)
	}
}

// What the observer hears, in order.
func TestObserve(t *testing.T) {
	tasks, _ := failing("A")
	m := mustParse(t, one(`"Type":"Task","Resource":"r","End":true,"Retry":[{"ErrorEquals":["A"]}]`))
	var got []string
	m.Run(t.Context(), asl.Execution{Name: "x", Input: json.RawMessage(`{}`)}, asl.Env{Clock: newClock(), Tasks: tasks,
		Observe: func(e asl.Event) { got = append(got, fmt.Sprint(e.Name, " ", e.Kind, " ", e.State)) }})
	want := []string{"x StateEntered T", "x AttemptFailed T", "x StateExited T", "x ExecutionEnded "}
	if !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// Parse refuses what it would otherwise have to guess, and says where it is.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ definition, want string }{
		{`{`, "not JSON"},
		{`[]`, "machine: must be an object"},
		{`{"TimeoutSeconds": ${Total}, "StartAt":"T"}`, "placeholder ${Total} stands outside quotes"},
		{`{"StartAt":"T"}`, "machine: States is missing"},
		{`{"StartAt":"U","States":{"U":{"Type":"Succeed"}},"QueryLanguage":"JSONata"}`, `field "QueryLanguage" is not supported`},
		{`{"StartAt":"U","States":{"T":{"Type":"Succeed"}}}`, `StartAt names "U"`},
		{`{"StartAt":"T","States":{"T":{"Type":"Succeed"},"T":{"Type":"Succeed"}}}`, `"T" is there twice`},
		{one(`"Type":"Task","Resource":"r","End":true,"Timeout":5`), `state "T": field "Timeout" is not supported here`},
		{one(`"Type":"Task","Resource":"r","End":true,"resultPath":"$"`), `field "resultPath" is not supported here`},
		{one(`"Type":"Task","Resource":"r","Next":"Nowhere"`), `state "T": Next names "Nowhere", which is no state`},
		{one(`"Type":"Task","Resource":"r"`), `state "T": Next is missing`},
		{one(`"Type":"Task","Resource":"r","Next":"Dead","End":true`), "exclude each other"},
		{one(`"Type":"Task","End":true`), "Resource is missing"},
		{one(`"Type":"Task","Resource":"r.waitForTaskToken","End":true`), "cannot wait for a task token"},
		{one(`"Type":"Task","Resource":"r","End":true,"Assign":{"a":1}`), `field "Assign" is not supported`},
		{one(`"Type":"Task","Resource":"r","End":true,"TimeoutSeconds":1.5`), "TimeoutSeconds must be a whole number"},
		{one(`"Type":"Task","Resource":"r","End":true,"Retry":[{"ErrorEquals":["A"],"MaxAttempts":"x"}]`), `T": Retry[0]: MaxAttempts must be a whole number`},
		{one(`"Type":"Task","Resource":"r","End":true,"Retry":[{"ErrorEquals":["A"],"Interval":1}]`), `Retry[0]: field "Interval" is not supported`},
		{one(`"Type":"Task","Resource":"r","End":true,"Retry":[{"ErrorEquals":["A"],"MaxDelaySeconds":1}]`), "must be greater than IntervalSeconds"},
		{one(`"Type":"Task","Resource":"r","End":true,"Retry":[{"ErrorEquals":["A"],"JitterStrategy":"HALF"}]`), `JitterStrategy is "HALF"`},
		{one(`"Type":"Task","Resource":"r","End":true,"Catch":[{"ErrorEquals":["A"]}]`), "Catch[0]: Next is missing"},
		{one(`"Type":"Task","Resource":"r","End":true,"Catch":[{"ErrorEquals":[],"Next":"Dead"}]`), "must be a list of error names"},
		{one(`"Type":"Pass","End":true,"Parameters":{"a.$":"$..b"}`), `path "$..b"`},
		{one(`"Type":"Pass","End":true,"Parameters":{"a.$":"States.UUID()"}`), "neither a path nor States.MathAdd"},
		{one(`"Type":"Pass","End":true,"Parameters":{"a.$":"$.b","a":1}`), `"a" is there twice`},
		{one(`"Type":"Pass","End":true,"ResultPath":"$.a[0]"`), "an index is not supported"},
		{one(`"Type":"Choice","Choices":[{"Variable":"$.a","StringMatches":"b*","Next":"Dead"}]`), `Choices[0]: operator "StringMatches" is not supported`},
		{one(`"Type":"Choice","Choices":[{"Variable":"$.a","StringEquals":1,"Next":"Dead"}]`), "StringEquals needs a string"},
		{one(`"Type":"Choice","Choices":[]`), "at least one rule"},
		{one(`"Type":"Map","End":true`), `Type "Map" is not supported`},
		{one(`"Type":"Fail","Error":"a","ErrorPath":"$.b"`), "exclude each other"},
	} {
		if _, err := asl.Parse([]byte(c.definition)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n\tgives %v\n\twant  %s", c.definition, err, c.want)
		}
	}
}
