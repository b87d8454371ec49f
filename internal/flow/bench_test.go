package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/internal/asl"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table/embedded"
	"tandem/spec"
	"tandem/statemachines"
)

// shelf is a remote system in memory: the smallest thing that is a flow.Remote.
type shelf struct {
	bench     *bench
	prefix    string
	abilities flow.Abilities
	rows      map[string]record.Record // key object/id
	born      map[string]time.Time     // when, where a test says it
	next      int
	idle      bool // a value that is there already is no change
	bin       bool // what is deleted is still shown, as archived
	reads     int
	writes    []string
	fail      func(op string) error // before the call
	after     func(op string) error // after it was carried out
	refuse    func(id string, fields record.Fields) error
	beside    map[string]string                 // values that a record is found by, too, and its id
	answer    func(record.Record) record.Record // what the answer to a write shows
}

func (s *shelf) Abilities(string) flow.Abilities { return s.abilities }

// told is a write's answer.
func (s *shelf) told(row record.Record) record.Record {
	if s.answer != nil {
		return s.answer(row)
	}
	return row
}

func (s *shelf) gate(op string) error {
	if s.fail != nil {
		return s.fail(op)
	}
	return nil
}

func (s *shelf) done(op string) error {
	if s.after != nil {
		return s.after(op)
	}
	return nil
}

func (s *shelf) Read(_ context.Context, object, id string, properties []string) (record.Record, error) {
	s.reads++
	if err := s.gate("read"); err != nil {
		return record.Record{}, err
	}
	row, ok := s.rows[object+"/"+id]
	if !ok {
		return record.Record{}, flow.Errorf(flow.RecordMissing, "no %s %s", object, id)
	}
	return s.shown(row, properties), nil
}

func (s *shelf) shown(row record.Record, properties []string) record.Record {
	out := row
	out.Fields = record.Fields{}
	for _, p := range properties {
		out.Fields[p] = row.Fields[p]
	}
	return out
}

func (s *shelf) Create(_ context.Context, object string, fields record.Fields, externalID, _ string) (record.Record, error) {
	if err := s.gate("create"); err != nil {
		return record.Record{}, err
	}
	for _, row := range s.rows {
		if s.abilities.Once && !row.Archived && externalID != "" && row.Fields[externalID] == fields[externalID] {
			return record.Record{}, flow.Errorf(flow.AlreadyExists, "%s is taken", externalID)
		}
	}
	s.next++
	id := s.prefix + strconv.Itoa(s.next)
	s.writes = append(s.writes, "create "+object+"/"+id)
	return s.told(s.put(object+"/"+id, fields)), s.done("create")
}

func (s *shelf) Update(_ context.Context, object, id string, fields record.Fields, etag string) (record.Record, error) {
	if err := s.gate("update"); err != nil {
		return record.Record{}, err
	}
	row, ok := s.rows[object+"/"+id]
	switch {
	case !ok:
		return record.Record{}, flow.Errorf(flow.RecordMissing, "no %s %s", object, id)
	case etag != "" && etag != row.ETag:
		return record.Record{}, flow.Errorf(flow.PreconditionFailed, "it is at %s", row.ETag)
	}
	if s.refuse != nil {
		if err := s.refuse(id, fields); err != nil {
			return record.Record{}, err
		}
	}
	s.writes = append(s.writes, fmt.Sprint("update ", object, "/", id, " ", fields.Names()))
	if s.idle && maps.Equal(s.shown(row, fields.Names()).Fields, fields) {
		return row, s.done("update")
	}
	now := s.told(s.put(object+"/"+id, fields))
	now.Replaced = maps.Clone(row.Fields)
	maps.DeleteFunc(now.Replaced, func(name, _ string) bool { return fields[name] == "" || name[0] != '@' })
	return now, s.done("update")
}

func (s *shelf) Find(_ context.Context, object, property, value string, properties []string) ([]record.Record, bool, error) {
	var found []record.Record
	for _, key := range slices.Sorted(maps.Keys(s.rows)) {
		row := s.rows[key]
		if key == object+"/"+row.ID && (row.Fields[property] == value || s.beside[value] == row.ID) && !row.Archived {
			found = append(found, s.shown(row, properties))
		}
	}
	return found, s.abilities.SearchLag == 0, nil
}

func (s *shelf) Archive(_ context.Context, object, id, etag string) error {
	if err := s.gate("archive"); err != nil {
		return err
	}
	if row, ok := s.rows[object+"/"+id]; ok && etag != "" && etag != row.ETag {
		return flow.Errorf(flow.PreconditionFailed, "it is at %s", row.ETag)
	}
	s.writes = append(s.writes, "archive "+object+"/"+id)
	if row, ok := s.rows[object+"/"+id]; ok && s.bin {
		row.Archived = true
		s.rows[object+"/"+id] = row
	} else {
		delete(s.rows, object+"/"+id)
	}
	return s.done("archive")
}

// put changes a row as a person or a program would, with a new version.
func (s *shelf) put(key string, fields record.Fields) record.Record {
	s.bench.now = s.bench.now.Add(time.Second)
	row := s.rows[key]
	row.ID = key[len(key)-len(lastPart(key)):]
	row.Fields = maps.Clone(row.Fields)
	if row.Fields == nil {
		row.Fields = record.Fields{}
	}
	maps.Copy(row.Fields, fields)
	row.Version = s.bench.now.UTC().Format("2006-01-02T15:04:05.000Z")
	row.UpdatedAt = s.bench.now
	if s.abilities.ConditionalWrite {
		row.ETag = strconv.Quote(row.Version)
	}
	s.rows[key] = row
	return row
}

func lastPart(key string) string {
	for i := len(key) - 1; i >= 0; i-- {
		if key[i] == '/' {
			return key[i+1:]
		}
	}
	return key
}

// bench is one client's integration over two shelves, run by the shipped machines.
type bench struct {
	t           *testing.T
	now         time.Time
	hub, dest   *shelf
	flow        *flow.Flow
	table       *embedded.Table
	machines    map[spec.Direction]*asl.Machine
	deadLetters []json.RawMessage
	last        asl.Result
}

// Now, Sleep and WithTimeout are the bench's clock: waiting takes no time.
func (b *bench) Now() time.Time { return b.now }

func (b *bench) Sleep(_ context.Context, d time.Duration) error { b.now = b.now.Add(d); return nil }

func (b *bench) WithTimeout(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), machines: map[spec.Direction]*asl.Machine{}}
	b.hub = &shelf{bench: b, prefix: "1", rows: map[string]record.Record{}, abilities: flow.Abilities{Versioned: true, Unique: true, Once: true}}
	b.dest = &shelf{bench: b, prefix: "c_", rows: map[string]record.Record{}, born: map[string]time.Time{}, abilities: flow.Abilities{Versioned: true, ConditionalWrite: true, Once: true, Unique: true}}
	s, err := spec.Load("../../spec/acme/integration-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	if b.table, err = embedded.Open("", b.Now); err != nil {
		t.Fatal(err)
	}
	b.flow, err = flow.New(flow.Options{
		Spec: s, Now: b.Now, Remotes: map[record.System]flow.Remote{record.HubSpot: b.hub, record.Destination: b.dest},
		Ledger: &ledger.Ledger{Table: b.table, Client: s.Client, Now: b.Now},
		Seals:  &flow.Sealer{Secrets: func(record.System) ([]string, error) { return []string{"secret"}, nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []spec.Direction{spec.ToDestination, spec.ToHubSpot} {
		if b.machines[d], err = asl.Parse(statemachines.Definition(string(d))); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// Invoke implements asl.Invoker.
func (b *bench) Invoke(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error) {
	if resource == "arn:aws:states:::sqs:sendMessage" {
		if strings.Contains(string(input), "${DeadLetterUrl}") {
			b.deadLetters = append(b.deadLetters, input)
		}
		return json.RawMessage(`{"MessageId":"1"}`), nil
	}
	var s flow.State
	if err := json.Unmarshal(input, &s); err != nil {
		return nil, err
	}
	section, err := b.flow.Handle(ctx, resource[2:len(resource)-len("Arn}")], s)
	if err != nil {
		return nil, &asl.Failure{Name: string(flow.CodeOf(err)), Cause: err.Error()}
	}
	return json.Marshal(section)
}

// event runs one execution for a record, as a delivery would, and returns the path's end.
func (b *bench) event(sys record.System, pair, id string, kind flow.Kind, merged ...string) string {
	b.t.Helper()
	return b.tell(nil, sys, pair, id, kind, merged...)
}

// later runs the execution of an event that was postponed so many times.
func (b *bench) later(sys record.System, pair, id string, times int) string {
	b.t.Helper()
	return b.tell(&flow.Later{Times: times, Delay: 30 * times}, sys, pair, id, flow.Changed)
}

func (b *bench) tell(l *flow.Later, sys record.System, pair, id string, kind flow.Kind, merged ...string) string {
	b.t.Helper()
	b.now = b.now.Add(3 * time.Second)
	d, name := spec.From(sys), "acme-"+pair+"-"+id
	e, err := b.flow.Seals.Seal(flow.Envelope{Client: "acme", Direction: d, Pair: pair, ID: id, Kind: kind, Name: name, At: b.now.UnixMilli(), Merged: merged})
	if err != nil {
		b.t.Fatal(err)
	}
	input, _ := json.Marshal(flow.State{Event: e, Later: l})
	return b.executed(d, name, input)
}

// executed runs one execution and returns the path's end.
func (b *bench) executed(d spec.Direction, name string, input json.RawMessage) string {
	b.last = b.machines[d].Run(context.Background(), asl.Execution{Name: name, ID: name, Input: input}, asl.Env{Clock: b, Tasks: b})
	return b.last.Path[len(b.last.Path)-1]
}

// reason is why the last execution dropped its event.
func (b *bench) reason() string {
	var s flow.Sections
	_ = json.Unmarshal(b.last.Output, &s)
	if s.Lookup == nil {
		return b.last.Error + " " + b.last.Cause
	}
	return s.Lookup.Reason
}
