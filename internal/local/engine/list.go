package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tandem/internal/asl"
	"tandem/internal/flow"
	"tandem/internal/table"
	"tandem/spec"
)

// finished is a summary and the number of its line in the journal.
type finished struct {
	Summary
	line uint64
}

// remember adds a finished execution to the list. The caller holds the lock, or
// is alone.
func (e *Engine) remember(line uint64, s Summary) {
	e.finished = append(e.finished, finished{s, line})
	e.byName[s.Name] = line
	if len(e.finished) <= maxFinished+maxFinished/8 {
		return
	}
	old := len(e.finished) - maxFinished
	for _, f := range e.finished[:old] {
		if e.byName[f.Name] == f.line {
			delete(e.byName, f.Name)
		}
	}
	e.finished = slices.Clone(e.finished[old:])
}

func (r *run) summary(res *asl.Result, o *Outcome) Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Summary{
		Name: r.job.name, Direction: r.job.direction, Pair: r.event.Pair, Record: r.engine.ref(r.event),
		Event: string(r.event.Kind), Events: r.event.Events, Status: Running, Start: r.since.UTC(), Job: r.job.seq,
	}
	if res != nil {
		s.Status, s.Outcome, s.Start, s.End = res.Status, o, res.Start.UTC(), res.End.UTC()
		if o == nil && r.waits != nil {
			s.Due, s.Code, s.Cause = r.waits.due.UTC(), r.waits.why.Error, r.waits.why.Text()
		}
		if len(res.Path) > 0 {
			s.State = res.Path[len(res.Path)-1]
		}
		return s
	}
	if len(r.path) > 0 {
		s.State = r.path[len(r.path)-1]
	}
	return s
}

// Statuses are what Filter.Status may be: how an execution stands, or how its event ended.
var Statuses = []string{"RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "Deferred", "stamped", "dropped", "parked", "dead"}

// Filter chooses executions. Zero fields choose all.
type Filter struct {
	// Text is a part of the execution's name, a record id or an event id.
	Text string
	// Status is RUNNING, SUCCEEDED, FAILED or TIMED_OUT, the state it ended in, or a kind of outcome.
	Status string
	// Record is object/id or a record id alone.
	Record string
	// Limit is 100 when zero.
	Limit int
}

func (f Filter) chooses(s *Summary) bool {
	if f.Status != "" && !strings.EqualFold(f.Status, string(s.Status)) && !strings.EqualFold(f.Status, s.State) && (s.Outcome == nil || !strings.EqualFold(f.Status, string(s.Outcome.Kind))) {
		return false
	}
	if f.Record != "" && f.Record != s.Record.ID && f.Record != s.Record.Object+"/"+s.Record.ID {
		return false
	}
	return f.Text == "" || strings.Contains(s.Name, f.Text) || s.Record.ID == f.Text || slices.Contains(s.Events, f.Text)
}

// Executions lists those under way and those finished lately, newest first.
func (e *Engine) Executions(f Filter) []Summary {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	out := []Summary{}
	add := func(s Summary) {
		if len(out) < f.Limit && f.chooses(&s) {
			out = append(out, s)
		}
	}
	for _, r := range e.running {
		add(r.summary(nil, nil))
	}
	slices.SortFunc(out, func(a, b Summary) int { return b.Start.Compare(a.Start) })
	for i := len(e.finished) - 1; i >= 0 && len(out) < f.Limit; i-- {
		add(e.finished[i].Summary)
	}
	return out
}

// ErrUnknown says that there is no such execution or dead letter (any more).
var ErrUnknown = errors.New("not known here, or no longer kept")

// Trace returns one execution in full; of one under way, the states it has entered.
func (e *Engine) Trace(name string) (*Trace, error) {
	e.mu.Lock()
	for _, r := range e.running {
		if r.job.name == name {
			t := r.partial()
			e.mu.Unlock()
			return t, nil
		}
	}
	line, ok := e.byName[name]
	e.mu.Unlock()
	if !ok {
		return nil, ErrUnknown
	}
	text, err := e.traces.Read(line)
	if err != nil {
		return nil, ErrUnknown
	}
	return decode(text)
}

// partial tells of an execution under way what other goroutines may read.
func (r *run) partial() *Trace {
	t := &Trace{Summary: r.summary(nil, nil), Steps: []Step{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, state := range r.path {
		t.Steps = append(t.Steps, Step{State: state})
	}
	return t
}

// Outcomes lists outcomes after a cursor, oldest first, at most limit.
func (e *Engine) Outcomes(since uint64, limit int) ([]Outcome, error) {
	out := []Outcome{}
	err := e.outcomes.Scan(since, func(n uint64, line []byte) bool {
		var o Outcome
		if json.Unmarshal(line, &o) == nil {
			o.Cursor = n
			out = append(out, o)
		}
		return len(out) < limit
	})
	return out, err
}

// DeadLetters lists dead letters after a cursor, oldest first, at most limit.
func (e *Engine) DeadLetters(ctx context.Context, since uint64, limit int) ([]DeadLetter, error) {
	out := []DeadLetter{}
	items, err := e.store.table.Query(ctx, dead, sortable(since), limit)
	for _, it := range items {
		var l DeadLetter
		if err := json.Unmarshal([]byte(it.Attrs["letter"]), &l); err != nil {
			return nil, fmt.Errorf("dead letter %s: %w", it.SK, err)
		}
		out = append(out, l)
	}
	return out, err
}

// Redrive starts a dead letter's event again, under a new name, and forgets the
// letter. It returns the new execution's name.
func (e *Engine) Redrive(ctx context.Context, cursor uint64) (string, error) {
	items, err := e.store.table.Get(ctx, table.Key{PK: dead, SK: sortable(cursor)})
	if err != nil {
		return "", err
	}
	if items[0].Rev == 0 {
		return "", ErrUnknown
	}
	var l DeadLetter
	if err := json.Unmarshal([]byte(items[0].Attrs["letter"]), &l); err != nil {
		return "", err
	}
	name, input, err := flow.Redriven(l.Event, l.ID)
	if err != nil {
		return "", err
	}
	if err := e.Start(ctx, l.Machine, name, input); err != nil {
		return "", err
	}
	return name, e.store.remove(ctx, items[0].SK)
}

// Remove forgets a dead letter.
func (e *Engine) Remove(ctx context.Context, cursor uint64) error {
	items, err := e.store.table.Get(ctx, table.Key{PK: dead, SK: sortable(cursor)})
	if err != nil {
		return err
	}
	if items[0].Rev == 0 {
		return ErrUnknown
	}
	return e.store.remove(ctx, items[0].SK)
}

// Machine is the definition that executions of a direction run.
func (e *Engine) Machine(d spec.Direction) *asl.Machine { return e.machines[d] }
