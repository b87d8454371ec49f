package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"tandem/internal/asl"
	"tandem/internal/record"
	"tandem/spec"
)

// Running is the status of an execution that has not ended.
const Running asl.Status = "RUNNING"

// Summary is one execution in a list.
type Summary struct {
	Name      string         `json:"name"`
	Direction spec.Direction `json:"direction"`
	Pair      string         `json:"pair"`
	Record    record.Ref     `json:"record"`
	// Event is the kind of event, Events the ids the sender gave.
	Event   string     `json:"event"`
	Events  []string   `json:"events,omitempty"`
	Status  asl.Status `json:"status"`
	Outcome *Outcome   `json:"outcome,omitempty"`
	// State is the last state entered.
	State string `json:"state,omitempty"`
	// Due is when the event goes on in another execution, if this one ended in Deferred.
	Due time.Time `json:"due,omitzero"`
	// Code and Cause say what it waits for until then.
	Code  string    `json:"code,omitempty"`
	Cause string    `json:"cause,omitempty"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"`
	// Job numbers the executions accepted in this directory.
	Job uint64 `json:"job"`
}

// Duration is how long the execution took, or has taken until now.
func (s Summary) Duration() time.Duration {
	if s.End.IsZero() {
		return time.Since(s.Start)
	}
	return s.End.Sub(s.Start)
}

// Trace is one execution in full.
type Trace struct {
	Summary
	Input json.RawMessage `json:"input,omitempty"`
	Error string          `json:"error,omitempty"`
	Cause string          `json:"cause,omitempty"`
	Steps []Step          `json:"steps"`
}

// Step is one visit of a state.
type Step struct {
	State string `json:"state"`
	Type  string `json:"type"`
	// Input and Output are the machine's state before and after; Output is
	// absent where the step failed.
	Input    json.RawMessage `json:"input,omitempty"`
	Output   json.RawMessage `json:"output,omitempty"`
	Attempts []asl.Attempt   `json:"attempts,omitempty"`
	Next     string          `json:"next,omitempty"`
	Error    string          `json:"error,omitempty"`
	Cause    string          `json:"cause,omitempty"`
	Start    time.Time       `json:"start"`
	End      time.Time       `json:"end"`
}

// stored is how a step is kept: instead of the whole state before and after,
// only the members it set and the names of those it left out, since each section
// would else be stored half a dozen times.
type stored struct {
	Step
	Set map[string]json.RawMessage `json:"set,omitempty"`
	Cut []string                   `json:"cut,omitempty"`
}

type storedTrace struct {
	Input json.RawMessage `json:"input"`
	Error string          `json:"error,omitempty"`
	Cause string          `json:"cause,omitempty"`
	Steps []stored        `json:"steps"`
}

// encode writes a journal line: the summary, a tab, the rest.
func encode(s Summary, r *run, res *asl.Result) ([]byte, error) {
	t := storedTrace{Input: r.input, Error: res.Error, Cause: res.Cause, Steps: make([]stored, len(res.Steps))}
	for i, st := range res.Steps {
		t.Steps[i].Step = Step{
			State: st.State, Type: st.Type, Attempts: st.Attempts, Next: st.Next,
			Error: st.Error, Cause: st.Cause, Start: st.Start, End: st.End,
		}
		t.Steps[i].Set, t.Steps[i].Cut = r.changed(&st)
	}
	head, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(t)
	return slices.Concat(head, []byte{'\t'}, body), err
}

// changed lists the members of the state that a step set, as they may be shown,
// and the names of those that it left out.
func (r *run) changed(st *asl.Step) (set map[string]json.RawMessage, cut []string) {
	if len(st.Output) == 0 || bytes.Equal(st.Input, st.Output) {
		return nil, nil
	}
	before := map[string]json.RawMessage{}
	asl.Members(st.Input, func(name string, value json.RawMessage) bool {
		before[name] = value
		return true
	})
	set = map[string]json.RawMessage{}
	asl.Members(st.Output, func(name string, value json.RawMessage) bool {
		if !bytes.Equal(value, before[name]) {
			set[name] = r.visible(value)
		}
		delete(before, name)
		return true
	})
	return set, slices.Sorted(maps.Keys(before))
}

// visible is what may be shown of a section.
func (r *run) visible(raw json.RawMessage) json.RawMessage {
	for _, s := range r.sections {
		if bytes.Equal(s.raw, raw) {
			return s.shown
		}
	}
	return raw
}

var errLine = errors.New("a line of the traces is damaged")

func decodeSummary(line []byte) (s Summary, err error) {
	head, _, ok := bytes.Cut(line, []byte{'\t'})
	if !ok {
		return s, errLine
	}
	return s, json.Unmarshal(head, &s)
}

// decode reads a journal line and puts the states back together.
func decode(line []byte) (*Trace, error) {
	s, err := decodeSummary(line)
	if err != nil {
		return nil, err
	}
	var t storedTrace
	_, body, _ := bytes.Cut(line, []byte{'\t'})
	if err := json.Unmarshal(body, &t); err != nil {
		return nil, errLine
	}
	out := &Trace{Summary: s, Input: t.Input, Error: t.Error, Cause: t.Cause, Steps: make([]Step, len(t.Steps))}
	state := newMembers(t.Input)
	for i, st := range t.Steps {
		out.Steps[i] = st.Step
		out.Steps[i].Input = state.text()
		state.set(st.Set)
		state.cut(st.Cut)
		if st.Type != "Fail" && (st.Next != "" || st.Error == "") {
			out.Steps[i].Output = state.text()
		}
	}
	return out, nil
}

// members is a JSON object whose members keep the order they were set in.
type members struct {
	names  []string
	values map[string]json.RawMessage
	other  json.RawMessage // an input that is no object
}

func newMembers(raw json.RawMessage) *members {
	m := &members{values: map[string]json.RawMessage{}}
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		m.other = raw
		return m
	}
	m.set(all)
	return m
}

func (m *members) set(all map[string]json.RawMessage) {
	var fresh []string
	for name, raw := range all {
		if _, known := m.values[name]; !known {
			fresh = append(fresh, name)
		}
		m.values[name] = raw
	}
	slices.Sort(fresh)
	m.names = append(m.names, fresh...)
}

func (m *members) cut(names []string) {
	for _, name := range names {
		delete(m.values, name)
	}
	m.names = slices.DeleteFunc(m.names, func(name string) bool { return slices.Contains(names, name) })
}

func (m *members) text() json.RawMessage {
	if m.other != nil {
		return m.other
	}
	b := []byte{'{'}
	for i, name := range m.names {
		if i > 0 {
			b = append(b, ',')
		}
		key, _ := json.Marshal(name) // a string always marshals
		b = append(append(append(b, key...), ':'), m.values[name]...)
	}
	return append(b, '}')
}
