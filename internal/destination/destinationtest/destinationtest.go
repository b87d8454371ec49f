// Package destinationtest is the suite that every destination passes: what the
// flow relies on, asked of a real system or a simulated one through its adapter.
// A new destination calls Run from its own test.
package destinationtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// Remote is what is tested: a system that may also list its changes.
type Remote = flow.Remote

// Fixture is one destination with nothing of interest in it.
type Fixture struct {
	Remote Remote
	// Object is the kind of record the suite works with, and Fields two of its
	// mapped text fields that are kept as they are sent; the second may be empty.
	Object string
	Fields [2]string
	// Key is a text field that Find is asked for. Where KeyUnique is set the
	// system refuses a second record with the same value. KeyValue makes the
	// n-th value of it, such as an address.
	Key       string
	KeyUnique bool
	KeyValue  func(n int) string
	// ExternalID is the property that holds the other side's id, empty when the
	// system neither keeps it unique nor upserts by it.
	ExternalID string
	// Absent is an id of the system's form that no record has.
	Absent string
	// Changes lists changes, nil when the system is not polled.
	Changes flow.Changes
	// Settle waits until what was written is found and listed; nil when at once.
	Settle func()
	// Secret is what must not be in any error.
	Secret string
	// TellsDeletes is set when lists show deleted records.
	TellsDeletes bool
	// Delete removes a record the way a person of that system does; Archive of
	// the Remote when nil.
	Delete func(t *testing.T, id string)
}

// suite is a fixture in use.
type suite struct {
	Fixture
	t *testing.T
	n int
}

// Run asks everything of a destination, a new fixture for each part.
func Run(t *testing.T, fixture func(t *testing.T) Fixture) {
	for name, part := range map[string]func(*suite){
		"create and read": (*suite).createRead, "update": (*suite).update, "blank": (*suite).blank,
		"find": (*suite).find, "archive": (*suite).archive, "absent": (*suite).absent,
		"conditional update": (*suite).conditional, "unique": (*suite).unique, "once": (*suite).once,
		"changes": (*suite).changes, "cancelled": (*suite).cancelled, "quoted values": (*suite).quoted,
	} {
		t.Run(name, func(t *testing.T) {
			f := fixture(t)
			if f.Settle == nil {
				f.Settle = func() {}
			}
			part(&suite{Fixture: f, t: t})
		})
	}
}

// fresh makes a record with values that no other has.
func (s *suite) fresh() record.Record {
	s.t.Helper()
	s.n++
	fields := record.Fields{s.Key: s.KeyValue(s.n), s.Fields[0]: "Ann"}
	if s.Fields[1] != "" {
		fields[s.Fields[1]] = "Lee"
	}
	r, err := s.Remote.Create(s.t.Context(), s.Object, fields, "", "create-"+s.KeyValue(s.n))
	s.must(err)
	s.Settle()
	return s.shown(r)
}

// shown completes the answer of a system that tells no more than an id.
func (s *suite) shown(r record.Record) record.Record {
	s.t.Helper()
	if len(r.Fields) > 0 {
		return r
	}
	return s.read(r.ID)
}

func (s *suite) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// code demands a failure with one of the codes, and that it tells no value.
func (s *suite) code(err error, want ...flow.Code) *flow.Error {
	s.t.Helper()
	var e *flow.Error
	if !errors.As(err, &e) {
		s.t.Fatalf("error is %v, want a *flow.Error with code %v", err, want)
	}
	for _, secret := range []string{s.Secret, s.KeyValue(1), s.KeyValue(2), "Ann", "Lee"} {
		if secret != "" && strings.Contains(e.Error(), secret) {
			s.t.Errorf("the error holds a value or a secret: %q", e.Error())
		}
	}
	for _, c := range want {
		if e.Code == c {
			return e
		}
	}
	s.t.Fatalf("error is %v, want code %v", err, want)
	return nil
}

// read reads the suite's fields.
func (s *suite) read(id string) record.Record {
	s.t.Helper()
	properties := []string{s.Key, s.Fields[0]}
	if s.Fields[1] != "" {
		properties = append(properties, s.Fields[1])
	}
	r, err := s.Remote.Read(s.t.Context(), s.Object, id, properties)
	s.must(err)
	return r
}

func (s *suite) want(r record.Record, field, value string) {
	s.t.Helper()
	if got, ok := r.Fields[field]; !ok || got != value {
		s.t.Errorf("field %s is %q (told: %v), want %q", field, got, ok, value)
	}
}

func (s *suite) createRead() {
	made := s.fresh()
	if made.ID == "" || made.ReadAt.IsZero() {
		s.t.Errorf("a created record needs an id and the time it was asked for: %+v", made)
	}
	for _, r := range []record.Record{made, s.read(made.ID)} {
		s.want(r, s.Fields[0], "Ann")
		s.want(r, s.Key, s.KeyValue(1))
		if r.ID != made.ID || r.Archived {
			s.t.Errorf("record %+v, want the live record %s", r, made.ID)
		}
	}
}

func (s *suite) update() {
	made := s.fresh()
	after, err := s.Remote.Update(s.t.Context(), s.Object, made.ID, record.Fields{s.Fields[0]: "Zoë O'Neil"}, "")
	s.must(err)
	after = s.shown(after)
	for _, r := range []record.Record{after, s.read(made.ID)} {
		s.want(r, s.Fields[0], "Zoë O'Neil")
		if s.Fields[1] != "" {
			s.want(r, s.Fields[1], "Lee") // not named, so not touched
		}
	}
	if s.Remote.Abilities(s.Object).Versioned && record.CompareVersions(made.Version, after.Version) >= 0 {
		s.t.Errorf("version %q after %q: it must grow", after.Version, made.Version)
	}
}

func (s *suite) blank() {
	made := s.fresh()
	_, err := s.Remote.Update(s.t.Context(), s.Object, made.ID, record.Fields{s.Fields[0]: ""}, "")
	s.must(err)
	s.want(s.read(made.ID), s.Fields[0], "")
}

func (s *suite) find() {
	one := s.fresh()
	s.fresh()
	found, _, err := s.Remote.Find(s.t.Context(), s.Object, s.Key, s.KeyValue(1), []string{s.Key, s.Fields[0]})
	s.must(err)
	if len(found) != 1 || found[0].ID != one.ID {
		s.t.Fatalf("found %d records, want the one with that %s", len(found), s.Key)
	}
	s.want(found[0], s.Fields[0], "Ann")
	for _, nobody := range []string{s.KeyValue(77), ""} {
		if found, _, err := s.Remote.Find(s.t.Context(), s.Object, s.Key, nobody, nil); err != nil || len(found) != 0 {
			s.t.Errorf("found %d (%v) for a value that no record has", len(found), err)
		}
	}
}

// quoted asks for values that could mean something to a query language.
func (s *suite) quoted() {
	s.fresh()
	for _, hostile := range []string{`' || 1=1 || '`, `" || "" = "`, `*`, `%`, `a&` + s.Key + `=b`, `\`} {
		found, _, err := s.Remote.Find(s.t.Context(), s.Object, s.Key, hostile, nil)
		if err != nil {
			s.code(err, flow.BadValue, flow.RemoteRefused)
		}
		if len(found) != 0 {
			s.t.Errorf("a hostile value found %d records", len(found))
		}
	}
}

func (s *suite) archive() {
	made := s.fresh()
	s.must(s.Remote.Archive(s.t.Context(), s.Object, made.ID, ""))
	s.must(s.Remote.Archive(s.t.Context(), s.Object, made.ID, "")) // again: no error
	s.Settle()
	r, err := s.Remote.Read(s.t.Context(), s.Object, made.ID, []string{s.Key})
	if err == nil && !r.Archived {
		s.t.Error("an archived record reads as a live one")
	}
	if err != nil {
		s.code(err, flow.RecordMissing)
	}
	found, _, err := s.Remote.Find(s.t.Context(), s.Object, s.Key, s.KeyValue(1), nil)
	if err != nil || len(found) != 0 {
		s.t.Errorf("an archived record is found (%d, %v)", len(found), err)
	}
}

func (s *suite) absent() {
	_, err := s.Remote.Read(s.t.Context(), s.Object, s.Absent, []string{s.Key})
	s.code(err, flow.RecordMissing)
	_, err = s.Remote.Update(s.t.Context(), s.Object, s.Absent, record.Fields{s.Fields[0]: "Ann"}, "")
	s.code(err, flow.RecordMissing)
	s.must(s.Remote.Archive(s.t.Context(), s.Object, s.Absent, ""))
	for _, id := range []string{"", ".", ".."} {
		_, err = s.Remote.Read(s.t.Context(), s.Object, id, nil)
		s.code(err, flow.BadEnvelope, flow.RecordMissing)
	}
}

func (s *suite) conditional() {
	if !s.Remote.Abilities(s.Object).ConditionalWrite {
		return // the system offers no conditional write
	}
	made := s.fresh()
	if made.ETag == "" {
		s.t.Fatal("a system with conditional writes must tell an entity tag")
	}
	_, err := s.Remote.Update(s.t.Context(), s.Object, made.ID, record.Fields{s.Fields[0]: "Bob"}, made.ETag)
	s.must(err)
	_, err = s.Remote.Update(s.t.Context(), s.Object, made.ID, record.Fields{s.Fields[0]: "Eve"}, made.ETag)
	s.code(err, flow.PreconditionFailed)
	s.want(s.read(made.ID), s.Fields[0], "Bob")
}

func (s *suite) unique() {
	if !s.KeyUnique {
		return // the system keeps no field unique
	}
	made := s.fresh()
	_, err := s.Remote.Create(s.t.Context(), s.Object, record.Fields{s.Key: s.KeyValue(1), s.Fields[0]: "Ann"}, "", "another")
	if e := s.code(err, flow.AlreadyExists); e.ExistingID != "" && e.ExistingID != made.ID {
		s.t.Errorf("the existing record is %q, want %q", e.ExistingID, made.ID)
	}
}

// once: a second create with the same external id makes no second record, and
// where the system refuses it, as it says, changes none.
func (s *suite) once() {
	if s.ExternalID == "" {
		return // the system keeps no external id
	}
	fields := record.Fields{s.ExternalID: "4711", s.Key: s.KeyValue(1), s.Fields[0]: "Ann"}
	one, err := s.Remote.Create(s.t.Context(), s.Object, fields, s.ExternalID, "k")
	s.must(err)
	s.Settle()
	fields[s.Fields[0]] = "Late"
	two, err := s.Remote.Create(s.t.Context(), s.Object, fields, s.ExternalID, "k")
	if !s.Remote.Abilities(s.Object).Once {
		if s.must(err); one.ID != two.ID {
			s.t.Errorf("the same create twice made %s and %s", one.ID, two.ID)
		}
		return
	}
	s.code(err, flow.AlreadyExists)
	now, err := s.Remote.Read(s.t.Context(), s.Object, one.ID, []string{s.Fields[0]})
	if s.must(err); now.Fields[s.Fields[0]] != "Ann" {
		s.t.Errorf("a create that was refused changed the record to %q", now.Fields[s.Fields[0]])
	}
}

// sweep reads changes from a cursor to the end.
func (s *suite) sweep(cursor string) (ids map[string]flow.ChangedRecord, next string) {
	s.t.Helper()
	ids = map[string]flow.ChangedRecord{}
	for range 1000 {
		refs, after, more, err := s.Changes.Changed(s.t.Context(), s.Object, cursor)
		s.must(err)
		for _, r := range refs {
			ids[r.ID] = r
		}
		if cursor = after; !more {
			return ids, cursor
		}
	}
	s.t.Fatal("a sweep of 1,000 pages has no end")
	return nil, ""
}

func (s *suite) changes() {
	if s.Changes == nil {
		return // not a promise of a system that is not polled
	}
	var made []record.Record
	for range 5 {
		made = append(made, s.fresh())
	}
	all, cursor := s.sweep("")
	for _, r := range made {
		if _, ok := all[r.ID]; !ok {
			s.t.Errorf("the first sweep misses a record")
		}
	}
	if again, _ := s.sweep(cursor); len(again) != 0 {
		s.t.Errorf("a sweep after nothing happened lists %d records", len(again))
	}
	_, err := s.Remote.Update(s.t.Context(), s.Object, made[2].ID, record.Fields{s.Fields[0]: "Cho"}, "")
	s.must(err)
	s.Settle()
	changed, cursor := s.sweep(cursor)
	if _, ok := changed[made[2].ID]; !ok || len(changed) != 1 {
		s.t.Errorf("after one update the sweep lists %d records, want that one", len(changed))
	}
	s.deletes(made[3].ID, cursor)
}

// deletes demands that a deletion is listed where the system can.
func (s *suite) deletes(id, cursor string) {
	if !s.TellsDeletes {
		return
	}
	if s.Delete != nil {
		s.Delete(s.t, id)
	} else {
		s.must(s.Remote.Archive(s.t.Context(), s.Object, id, ""))
	}
	s.Settle()
	if gone, _ := s.sweep(cursor); !gone[id].Deleted {
		s.t.Error("the sweep does not list the deleted record as deleted")
	}
}

func (s *suite) cancelled() {
	ctx, cancel := context.WithDeadline(s.t.Context(), time.Unix(0, 0))
	defer cancel()
	_, err := s.Remote.Read(ctx, s.Object, s.Absent, nil)
	s.code(err, flow.RemoteBusy, flow.RateLimited)
	_, err = s.Remote.Update(ctx, s.Object, s.Absent, record.Fields{s.Fields[0]: "Ann"}, "")
	s.code(err, flow.RemoteBusy, flow.RateLimited)
}
