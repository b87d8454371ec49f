package asl

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rules are what Check holds a machine against beyond its own text.
type Rules struct {
	// Codes are the names of the errors that the machine's tasks report; the
	// value tells whether a Retry may name it.
	Codes map[string]bool
	// LastResort is the state that records a failure. Every other Task's
	// catch-all must lead to it.
	LastResort string
}

// Finding is something in a definition that can be run but should not be.
type Finding struct {
	State   string // empty for the machine itself
	Problem string
}

// Error implements error.
func (f Finding) Error() string {
	if f.State == "" {
		return "machine: " + f.Problem
	}
	return fmt.Sprintf("state %q: %s", f.State, f.Problem)
}

// transient are the errors by which Lambda reports its own trouble, not the
// function's (https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html;
// Sandbox.Timedout is how newer runtimes report a function's timeout).
var transient = []string{
	"Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException",
	"Lambda.ClientExecutionTimeoutException", "Lambda.TooManyRequestsException", lambdaUnknown,
	"Sandbox.Timedout", timeoutError,
}

// serviceARN begins the Resource of a Task that calls another service. Such a
// Task may retry whatever happens: the errors are that service's own.
const serviceARN = "arn:aws:states:::"

// checker collects findings.
type checker struct {
	m        *Machine
	rules    Rules
	findings []Finding
}

func (c *checker) add(s *state, format string, args ...any) {
	f := Finding{Problem: fmt.Sprintf(format, args...)}
	if s != nil {
		f.State = s.name
	}
	c.findings = append(c.findings, f)
}

// Check returns what the house rules forbid: unreachable states and dead ends;
// a Task without TimeoutSeconds, Retry or Catch; a Retry that names an error
// which is not transient; States.ALL beside other names or before the last
// entry; unknown error names; a catch-all that does not end in Fail by way of
// the last resort; a machine that could run longer than EXPRESS allows, or
// whose retries alone could use its time up.
func (m *Machine) Check(rules Rules) []Finding {
	c := &checker{m: m, rules: rules}
	c.graph()
	c.times()
	for _, s := range m.states {
		if s.comment == "" {
			c.add(s, "has no Comment")
		}
		if t, ok := s.body.(*task); ok {
			c.task(s, t)
		}
	}
	return c.findings
}

// graph finds states that nothing leads to, and states that lead to no end.
func (c *checker) graph() {
	reached := reach(c.m.start)
	for _, s := range c.m.states {
		if !reached[s] {
			c.add(s, "cannot be reached from StartAt")
		}
		if !slices.ContainsFunc(c.m.states, func(t *state) bool { return ends(t) && reach(s)[t] }) {
			c.add(s, "leads to no end")
		}
	}
}

// times compares the machine's timeout with its limits and its retries.
func (c *checker) times() {
	switch worst := c.m.WorstWait(); {
	case c.m.timeout == 0 || c.m.timeout >= MaxDuration:
		c.add(nil, "TimeoutSeconds must be there and below %v, the life of an EXPRESS execution", MaxDuration)
	case worst >= c.m.timeout:
		c.add(nil, "its waits and retries can take %v, its TimeoutSeconds is %v", worst, c.m.timeout)
	}
}

// task checks one Task.
func (c *checker) task(s *state, t *task) {
	if t.timeout == 0 {
		c.add(s, "a Task needs TimeoutSeconds")
	}
	if c.m.timeout > 0 && t.timeout >= c.m.timeout {
		c.add(s, "TimeoutSeconds is not below the machine's")
	}
	if len(t.retry) == 0 {
		c.add(s, "a Task needs a Retry for transient errors")
	}
	for _, r := range t.retry {
		c.names(s, r.errors)
		for _, e := range r.errors {
			if !strings.HasPrefix(t.resource, serviceARN) && !c.rules.Codes[e] && !slices.Contains(transient, e) && c.known(e) {
				c.add(s, "Retry names %s, which is not transient", e)
			}
		}
	}
	c.catches(s, t)
}

// catches checks a Task's Catch.
func (c *checker) catches(s *state, t *task) {
	for i, k := range t.catch {
		c.names(s, k.errors)
		last := i == len(t.catch)-1
		if all := slices.Contains(k.errors, allErrors); all && (len(k.errors) > 1 || !last) {
			c.add(s, "States.ALL must stand alone and last")
		}
	}
	if len(t.catch) == 0 || !slices.Equal(t.catch[len(t.catch)-1].errors, []string{allErrors}) {
		c.add(s, "a Task needs a Catch whose last entry is States.ALL")
		return
	}
	target := t.catch[len(t.catch)-1].next
	reached := reach(target)
	for _, after := range c.m.states {
		if _, isFail := after.body.(*fail); reached[after] && ends(after) && !isFail {
			c.add(s, "its catch-all can end in success, by %s", after.name)
		}
	}
	if s.name != c.rules.LastResort && target.name != c.rules.LastResort {
		c.add(s, "its catch-all leads to %s and not to %s", target.name, c.rules.LastResort)
	}
}

// names finds error names that nothing reports.
func (c *checker) names(s *state, list []string) {
	for _, e := range list {
		if !c.known(e) {
			c.add(s, "%q is the name of no error that its tasks report", e)
		}
	}
}

// known tells whether an error name can occur where a Retry or Catch sees it.
func (c *checker) known(name string) bool {
	if _, ours := c.rules.Codes[name]; ours || slices.Contains(transient, name) {
		return true
	}
	return slices.Contains([]string{allErrors, taskFailed, timeoutError, dataLimitExceeded,
		resultPathFailure, intrinsicFailure}, name)
}

// WorstWait is the longest that an execution can spend in waits and between
// attempts: every retrier of every state on a way used up, each way taken once.
// The time of the tasks themselves and of ways back is not in it; the machine's
// TimeoutSeconds bounds those.
func (m *Machine) WorstWait() time.Duration { return worst(m.start, map[*state]time.Duration{}) }

// worst adds up a way's waits. A state that is being added up counts as 0 when
// it is met again: that is a way back.
func worst(s *state, known map[*state]time.Duration) time.Duration {
	if d, ok := known[s]; ok {
		return d
	}
	known[s] = 0
	longest := time.Duration(0)
	for _, e := range edges(s) {
		longest = max(longest, worst(e.to, known))
	}
	known[s] = min(longest+ownWait(s), 24*time.Hour)
	return known[s]
}

// ownWait is the longest that one visit of a state waits.
func ownWait(s *state) (sum time.Duration) {
	switch b := s.body.(type) {
	case *wait:
		return b.length
	case *task:
		for _, r := range b.retry {
			sum += r.total(time.Hour)
		}
	}
	return sum
}

// Resources lists the distinct Resources of the Tasks, in the order of the file.
func (m *Machine) Resources() []string {
	var out []string
	for _, s := range m.states {
		if t, ok := s.body.(*task); ok && !slices.Contains(out, t.resource) {
			out = append(out, t.resource)
		}
	}
	return out
}
