package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"tandem/internal/flow"
	"tandem/internal/table"
	"tandem/spec"
)

// job is one accepted execution. Its input stays in the store until it begins.
type job struct {
	seq       uint64
	direction spec.Direction
	name      string
}

// id is unlike every other execution's, also where names are equal.
func (j job) id() string { return string(j.direction) + ":" + strconv.FormatUint(j.seq, 10) }

// store keeps what must not be forgotten: accepted executions that have not
// ended, events that wait for their next execution, and dead letters.
type store struct {
	table interface {
		table.Table
		Close() error
	}

	mu      sync.Mutex
	last    uint64 // job accepted last
	letter  uint64 // dead letter written last
	letters int    // dead letters kept
}

const (
	accepted = "ACCEPTED"
	dead     = "DEAD"
	counter  = "COUNTER"
)

// sortable writes a number so that texts sort as numbers do.
func sortable(n uint64) string { return fmt.Sprintf("%020d", n) }

func (s *store) accept(ctx context.Context, d spec.Direction, name string, input json.RawMessage) (job, error) {
	s.mu.Lock()
	s.last++
	j := job{seq: s.last, direction: d, name: name}
	s.mu.Unlock()
	_, err := s.table.Update(ctx, acceptance(j, input))
	return j, err
}

func acceptance(j job, input json.RawMessage) table.Update {
	return table.Update{
		Key: table.Key{PK: accepted, SK: sortable(j.seq)}, If: table.Always,
		Set: map[string]string{"direction": string(j.direction), "name": j.name, "input": string(input)},
	}
}

func (s *store) input(ctx context.Context, j job) (json.RawMessage, error) {
	items, err := s.table.Get(ctx, table.Key{PK: accepted, SK: sortable(j.seq)})
	if err != nil {
		return nil, err
	}
	return json.RawMessage(items[0].Attrs["input"]), nil
}

func (s *store) done(ctx context.Context, j job) error {
	_, err := s.table.Update(ctx, table.Update{Key: table.Key{PK: accepted, SK: sortable(j.seq)}, If: table.Always, Delete: true})
	return err
}

// recover lists the accepted executions without an end, in order, those whose
// trace was stored but perhaps not their outcome, and the events that wait. What
// an unfinished one had put into the dead letters or postponed is taken out
// again, since it is run again.
func (s *store) recover(ctx context.Context, traced map[uint64]bool) (jobs, half []job, waiting []postponed, err error) {
	unfinished := map[string]bool{}
	err = s.each(ctx, accepted, "", func(it table.Item) error {
		seq, _ := strconv.ParseUint(it.SK, 10, 64)
		s.last = max(s.last, seq)
		j := job{seq: seq, direction: spec.Direction(it.Attrs["direction"]), name: it.Attrs["name"]}
		if traced[seq] {
			half = append(half, j)
			return nil
		}
		jobs = append(jobs, j)
		unfinished[it.SK] = true
		return nil
	})
	if err == nil {
		waiting, err = s.postponed(ctx, unfinished)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	items, err := s.table.Get(ctx, table.Key{PK: counter, SK: counter})
	if err != nil {
		return nil, nil, nil, err
	}
	s.letter, _ = strconv.ParseUint(items[0].Attrs["letters"], 10, 64)
	return jobs, half, waiting, s.each(ctx, dead, "", func(it table.Item) error {
		if s.letters++; unfinished[it.Attrs["job"]] {
			return s.remove(ctx, it.SK)
		}
		return nil
	})
}

// each visits a partition's rows after a sort key, in order.
func (s *store) each(ctx context.Context, pk, after string, visit func(table.Item) error) error {
	for {
		items, err := s.table.Query(ctx, pk, after, 200)
		if err != nil || len(items) == 0 {
			return err
		}
		for _, it := range items {
			if err := visit(it); err != nil {
				return err
			}
			after = it.SK
		}
	}
}

func (s *store) counts() (accepted uint64, letters int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.letters
}

// DeadLetter is one event that ended badly, as it is kept until it is redriven
// or removed.
type DeadLetter struct {
	// Cursor grows with every dead letter; ID is its text.
	Cursor    uint64         `json:"cursor"`
	ID        string         `json:"id"`
	At        time.Time      `json:"at"`
	Execution string         `json:"execution"`
	Machine   spec.Direction `json:"machine"`
	Object    string         `json:"object"`
	Event     flow.Envelope  `json:"event"`
	// Code is a flow.Code or a name of the States Language, Cause its message.
	Code  string `json:"code"`
	Cause string `json:"cause"`
	// Redriveable: the cause may pass without a change of spec or data.
	Redriveable bool `json:"redriveable"`
}

// bury stores a dead letter and returns its id.
func (s *store) bury(ctx context.Context, j job, l DeadLetter) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.Cursor = s.letter + 1
	l.ID = strconv.FormatUint(l.Cursor, 10)
	body, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	_, err = s.table.Update(ctx,
		table.Update{Key: table.Key{PK: dead, SK: sortable(l.Cursor)}, If: table.Always, Set: map[string]string{"letter": string(body), "job": sortable(j.seq)}},
		table.Update{Key: table.Key{PK: counter, SK: counter}, If: table.Always, Set: map[string]string{"letters": l.ID}})
	if err == nil {
		s.letter = l.Cursor
		s.letters++
	}
	return l.ID, err
}

func (s *store) remove(ctx context.Context, sk string) error {
	_, err := s.table.Update(ctx, table.Update{Key: table.Key{PK: dead, SK: sk}, If: table.Always, Delete: true})
	if err == nil {
		s.mu.Lock()
		s.letters--
		s.mu.Unlock()
	}
	return err
}
