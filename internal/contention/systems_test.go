package contention

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// World is both systems in memory, safe for concurrent use; net/rpc serves it
// to workers in other processes.
type World struct {
	clock  *clock
	mu     sync.Mutex
	rows   map[record.Ref]record.Record
	next   int
	latest time.Time
	writes int // of the flow, not of people
	met    map[string]int
}

// Report takes in what a process of workers met.
func (w *World) Report(met map[string]int, _ *struct{}) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for what, n := range met {
		w.met[what] += n
	}
	return nil
}

// Call is one request to a system. Edit is a person's change of the record whose
// key property holds Value; Add is the same and makes the record where there is none.
type Call struct {
	Op               string
	Ref              record.Ref
	Fields           record.Fields
	External, ETag   string
	Property, Value  string
	AddWhereNotFound bool
}

// Answer is what came of a Call; Code is empty when it was carried out.
type Answer struct {
	Record   record.Record
	Found    []record.Record
	Code     flow.Code
	Existing string
}

func newWorld(c *clock) *World {
	return &World{clock: c, rows: map[record.Ref]record.Record{}, met: map[string]int{}}
}

// keys are the properties by which records of an object are recognised.
var keys = map[string]string{"contacts": "email", "customers": "email", "companies": "domain", "accounts": "domain"}

// unique reports whether the system itself enforces an object's keys; as in
// HubSpot, nothing is enforced for companies.
func unique(object string) bool { return object == "contacts" || object == "customers" }

// Do answers one call. The waits on both sides of it let calls overtake each other.
func (w *World) Do(c Call, a *Answer) error {
	time.Sleep(rand.N(2 * time.Millisecond))
	defer func() { time.Sleep(rand.N(2 * time.Millisecond)) }()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch c.Op {
	case "read":
		*a = w.read(c)
	case "find":
		a.Found = w.find(c.Ref, c.Property, c.Value)
	case "create":
		*a = w.create(c)
	case "update":
		*a = w.update(c)
	case "person":
		*a = w.person(c)
	case "pick":
		*a = w.pick(c)
	}
	return nil
}

func (w *World) read(c Call) Answer {
	rec, ok := w.rows[c.Ref]
	if !ok {
		return Answer{Code: flow.RecordMissing}
	}
	return Answer{Record: rec}
}

func (w *World) find(ref record.Ref, property, value string) (found []record.Record) {
	for at, rec := range w.rows {
		if at.System == ref.System && at.Object == ref.Object && strings.EqualFold(rec.Fields[property], value) {
			found = append(found, rec)
		}
	}
	slices.SortFunc(found, func(a, b record.Record) int { return strings.Compare(a.ID, b.ID) })
	return found
}

// create refuses a taken external id or key where the system does that.
func (w *World) create(c Call) Answer {
	w.writes++
	for _, key := range []string{c.External, keys[c.Ref.Object]} {
		same := w.find(c.Ref, key, c.Fields[key])
		if unique(c.Ref.Object) && key != "" && len(same) > 0 {
			return Answer{Code: flow.AlreadyExists, Existing: same[0].ID}
		}
	}
	return Answer{Record: w.add(c.Ref, c.Fields)}
}

func (w *World) add(ref record.Ref, fields record.Fields) record.Record {
	w.next++
	ref.ID = strconv.Itoa(1000 + w.next)
	return w.put(ref, fields)
}

func (w *World) update(c Call) Answer {
	w.writes++
	rec, ok := w.rows[c.Ref]
	switch {
	case !ok:
		return Answer{Code: flow.RecordMissing}
	case c.ETag != "" && c.ETag != rec.ETag:
		return Answer{Code: flow.PreconditionFailed}
	}
	return Answer{Record: w.put(c.Ref, c.Fields)}
}

func (w *World) person(c Call) Answer {
	key := keys[c.Ref.Object]
	if same := w.find(c.Ref, key, c.Value); len(same) > 0 {
		c.Ref.ID = same[0].ID
		return Answer{Record: w.put(c.Ref, c.Fields)}
	}
	if !c.AddWhereNotFound {
		return Answer{Code: flow.RecordMissing}
	}
	rec := w.add(c.Ref, c.Fields)
	return Answer{Record: w.put(record.Ref{System: c.Ref.System, Object: c.Ref.Object, ID: rec.ID}, record.Fields{key: c.Value})}
}

func (w *World) pick(c Call) Answer {
	for ref, rec := range w.rows {
		if ref.System == c.Ref.System && ref.Object == c.Ref.Object {
			return Answer{Record: rec}
		}
	}
	return Answer{Code: flow.RecordMissing}
}

// put stores fields under a version that no other change of either system has.
func (w *World) put(ref record.Ref, fields record.Fields) record.Record {
	now := w.clock.Now().Truncate(time.Millisecond)
	if !now.After(w.latest) {
		now = w.latest.Add(time.Millisecond)
	}
	w.latest = now
	rec := w.rows[ref]
	rec.ID, rec.UpdatedAt, rec.Version = ref.ID, now, now.UTC().Format("2006-01-02T15:04:05.000Z")
	rec.Fields = maps.Clone(rec.Fields)
	if rec.Fields == nil {
		rec.Fields = record.Fields{}
	}
	maps.Copy(rec.Fields, fields)
	if ref.System == record.Destination {
		rec.ETag = strconv.Quote(rec.Version)
	}
	w.rows[ref] = rec
	return rec
}

// remote is one system of a World as the flow uses it, near or far.
type remote struct {
	system record.System
	do     func(Call, *Answer) error
}

func (r remote) call(op, object, id string, c Call) (Answer, error) {
	c.Op, c.Ref = op, record.Ref{System: r.system, Object: object, ID: id}
	var a Answer
	if err := r.do(c, &a); err != nil {
		return a, &flow.Error{Code: flow.RemoteBusy, Message: "the systems are gone", Maybe: true, Err: err}
	}
	if a.Code != "" {
		return a, &flow.Error{Code: a.Code, Message: op + " " + object + " " + id, ExistingID: a.Existing}
	}
	return a, nil
}

// shown is a record with just the properties asked for, blank where it has none.
func shown(rec record.Record, properties []string) record.Record {
	fields := record.Fields{}
	for _, p := range properties {
		fields[p] = rec.Fields[p]
	}
	rec.Fields = fields
	return rec
}

func (r remote) Read(_ context.Context, object, id string, properties []string) (record.Record, error) {
	a, err := r.call("read", object, id, Call{})
	return shown(a.Record, properties), err
}

func (r remote) Create(_ context.Context, object string, fields record.Fields, externalID, _ string) (record.Record, error) {
	a, err := r.call("create", object, "", Call{Fields: fields, External: externalID})
	return a.Record, err
}

func (r remote) Update(_ context.Context, object, id string, fields record.Fields, etag string) (record.Record, error) {
	a, err := r.call("update", object, id, Call{Fields: fields, ETag: etag})
	return a.Record, err
}

func (r remote) Find(_ context.Context, object, property, value string, properties []string) ([]record.Record, bool, error) {
	a, err := r.call("find", object, "", Call{Property: property, Value: value})
	for i, rec := range a.Found {
		a.Found[i] = shown(rec, properties)
	}
	return a.Found, true, err
}

// Archive is never reached: nobody deletes anything here.
func (r remote) Archive(_ context.Context, object, id, _ string) error {
	return flow.Errorf(flow.RemoteRefused, "%s %s %s must not be deleted", r.system, object, id)
}

// Abilities are those of HubSpot, without its index's lag, and of a destination
// with conditional writes.
func (r remote) Abilities(object string) flow.Abilities {
	return flow.Abilities{
		Versioned: true, ConditionalWrite: r.system == record.Destination,
		Unique: unique(object), Once: unique(object),
	}
}
