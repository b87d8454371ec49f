package asl

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Parse reads a definition. Its error names the state and the field, and says
// what is wrong there: text that is no JSON, a field that is unknown, missing
// or of another type, and a Next that leads nowhere.
func Parse(data []byte) (*Machine, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	top, err := objectOf(data, "machine", "Comment", "StartAt", "States", "TimeoutSeconds")
	if err != nil {
		return nil, err
	}
	m := &Machine{Comment: top.text("Comment"), timeout: top.seconds("TimeoutSeconds")}
	startAt := top.required("StartAt").text("StartAt")
	states := top.required("States").members("States")
	if top.err != nil {
		return nil, top.err
	}
	if err := m.parseStates(states); err != nil {
		return nil, err
	}
	if m.start = m.state(startAt); m.start == nil {
		return nil, fmt.Errorf("machine: StartAt names %q, which is no state", startAt)
	}
	return m, nil
}

// unquotedPlaceholder finds ${Name} where a value should begin.
var unquotedPlaceholder = regexp.MustCompile(`[:\[,]\s*\$\{(\w+)\}`)

// checkText refuses what is no JSON. A placeholder outside quotes is the usual
// reason, so it is named.
func checkText(data []byte) error {
	var v any
	err := json.Unmarshal(data, &v)
	if err == nil {
		return nil
	}
	if p := unquotedPlaceholder.FindSubmatch(data); p != nil {
		return fmt.Errorf("machine: placeholder ${%s} stands outside quotes: write \"${%[1]s}\", so that the file is JSON as it stands", p[1])
	}
	return fmt.Errorf("machine: not JSON: %w", err)
}

// parseStates makes all states first, so that bodies can point at them.
func (m *Machine) parseStates(defs []member) error {
	for i, d := range defs {
		if m.state(d.name) != nil {
			return fmt.Errorf("state %q is there twice", d.name)
		}
		m.states = append(m.states, &state{name: d.name, at: i})
	}
	for i, d := range defs {
		if err := m.parseState(m.states[i], d.value); err != nil {
			return err
		}
	}
	return nil
}

// state finds a state by its name.
func (m *Machine) state(name string) *state {
	i := slices.IndexFunc(m.states, func(s *state) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return m.states[i]
}

// stateFields lists the fields of each type besides Type and Comment.
var stateFields = map[string][]string{
	"Task": {"Resource", "Parameters", "ResultSelector", "InputPath", "OutputPath", "ResultPath",
		"TimeoutSeconds", "Retry", "Catch", "Next", "End"},
	"Choice":  {"Choices", "Default", "InputPath", "OutputPath"},
	"Wait":    {"Seconds", "InputPath", "OutputPath", "Next", "End"},
	"Pass":    {"Result", "Parameters", "InputPath", "OutputPath", "ResultPath", "Next", "End"},
	"Succeed": {"InputPath", "OutputPath"},
	"Fail":    {"Error", "Cause", "ErrorPath", "CausePath"},
}

// parseState fills one state in.
func (m *Machine) parseState(s *state, raw json.RawMessage) error {
	where := fmt.Sprintf("state %q", s.name)
	if n := len([]rune(s.name)); n == 0 || n > 80 {
		return fmt.Errorf("%s: a state's name has 1 to 80 characters", where)
	}
	var head struct{ Type string }
	if err := json.Unmarshal(raw, &head); err != nil {
		return fmt.Errorf("%s: it must be an object with a Type: %w", where, err)
	}
	allowed, ok := stateFields[head.Type]
	if !ok {
		return fmt.Errorf("%s: Type %q is not supported", where, head.Type)
	}
	o, err := objectOf(raw, where, append([]string{"Type", "Comment"}, allowed...)...)
	if err != nil {
		return err
	}
	s.kind, s.comment = head.Type, o.text("Comment")
	s.body = m.parseBody(o, head.Type)
	return o.err
}

// parseBody reads what is particular to a type.
func (m *Machine) parseBody(o *object, kind string) body {
	switch kind {
	case "Task":
		return m.parseTask(o)
	case "Choice":
		return m.parseChoice(o)
	case "Wait":
		return &wait{dataFlow: o.dataFlow(), length: o.required("Seconds").seconds("Seconds"), next: m.next(o)}
	case "Pass":
		return &pass{dataFlow: o.dataFlow(), result: o.json("Result"), next: m.next(o)}
	case "Succeed":
		return &succeed{o.dataFlow()}
	}
	o.exclusive("Error", "ErrorPath")
	o.exclusive("Cause", "CausePath")
	return &fail{o.text("Error"), o.text("Cause"), o.path("ErrorPath"), o.path("CausePath")}
}

// next reads Next or End.
func (m *Machine) next(o *object) *state {
	o.exclusive("Next", "End")
	if o.has("End") {
		if !o.flag("End") {
			o.fail("End", "must be true; leave it out where there is a Next")
		}
		return nil
	}
	return m.target(o.required("Next"), "Next")
}

// target reads a field that names a state.
func (m *Machine) target(o *object, field string) *state {
	name := o.text(field)
	s := m.state(name)
	if s == nil && o.err == nil {
		o.fail(field, fmt.Sprintf("names %q, which is no state", name))
	}
	return s
}

func (m *Machine) parseTask(o *object) body {
	t := &task{dataFlow: o.dataFlow(), timeout: o.seconds("TimeoutSeconds"), next: m.next(o)}
	if t.resource = o.required("Resource").text("Resource"); strings.Contains(t.resource, ".waitForTaskToken") || strings.Contains(t.resource, ".sync") {
		o.fail("Resource", "an EXPRESS machine cannot wait for a task token or a job")
	}
	for _, r := range o.list("Retry", "ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy", "Comment") {
		t.retry = append(t.retry, parseRetrier(r))
		o.adopt(r)
	}
	for _, c := range o.list("Catch", "ErrorEquals", "ResultPath", "Next", "Comment") {
		var k catcher
		k.errors = c.required("ErrorEquals").names("ErrorEquals")
		k.put, k.keep = c.place("ResultPath")
		k.next = m.target(c.required("Next"), "Next")
		t.catch = append(t.catch, k)
		o.adopt(c)
	}
	return t
}

// parseRetrier reads one entry of Retry; the defaults are the States Language's.
func parseRetrier(o *object) retrier {
	r := retrier{errors: o.required("ErrorEquals").names("ErrorEquals"), interval: time.Second, max: 3, rate: 2}
	if o.has("IntervalSeconds") {
		r.interval = o.seconds("IntervalSeconds")
	}
	if o.has("MaxAttempts") {
		r.max = int(o.number("MaxAttempts", 0, 99_999_999, true))
	}
	if o.has("BackoffRate") {
		r.rate = o.number("BackoffRate", 1, 1e6, false)
	}
	if o.has("MaxDelaySeconds") {
		if r.longest = o.seconds("MaxDelaySeconds"); r.longest <= r.interval {
			o.fail("MaxDelaySeconds", "must be greater than IntervalSeconds")
		}
	}
	switch s := o.text("JitterStrategy"); s {
	case "", "NONE":
	case "FULL":
		r.jitter = true
	default:
		o.fail("JitterStrategy", fmt.Sprintf("is %q; allowed are FULL and NONE", s))
	}
	return r
}

func (m *Machine) parseChoice(o *object) body {
	flow := o.dataFlow()
	c := &choice{input: flow.input, output: flow.output}
	if o.has("Default") {
		c.fallback = m.target(o, "Default")
	}
	for _, r := range o.required("Choices").list("Choices") {
		fields := slices.DeleteFunc(slices.Clone(r.fields), func(f member) bool { return f.name == "Next" || f.name == "Comment" })
		t, err := parseTest(fields)
		if err != nil {
			r.fail("", err.Error())
		}
		c.rules = append(c.rules, choiceRule{t, m.target(r.required("Next"), "Next")})
		o.adopt(r)
	}
	if len(c.rules) == 0 {
		o.fail("Choices", "needs at least one rule")
	}
	return c
}
