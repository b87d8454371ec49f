// Package erp simulates a destination: a small company's records behind a REST
// API, with the habits of real systems. It answers throttled, busy, slow or not
// at all, after the write if need be; it reformats values, cuts them, keeps some
// unique, commits late, deletes softly; it signs its webhooks, repeats and
// shuffles them, and sends none for orders, which must be polled.
//
// Company is the core: deterministic, without goroutines, on the clock and the
// randomness it is given. Handler and Deliverer are thin shells that put it on
// a network, Transport one that keeps it inside the process. It is a test rig
// and the other side of a demonstration, not a place for real data.
package erp

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Record is one record. Fields hold decoded JSON with numbers as json.Number.
type Record struct {
	ID      string         `json:"id"`
	Version int64          `json:"version"`
	Updated time.Time      `json:"updated"`
	Created time.Time      `json:"created"`
	Deleted bool           `json:"deleted,omitempty"`
	Fields  map[string]any `json:"fields"`
	// Listed is from when on a list shows this version: a late commit.
	Listed time.Time `json:"listed"`
}

// Company holds all records. It is safe for concurrent use; under equal calls,
// clock and randomness it does equal things.
type Company struct {
	mu      sync.Mutex
	now     func() time.Time
	rand    *rand.Rand
	habits  Habits
	kinds   map[string]*store
	seq     int
	queue   queue
	faults  []Fault
	window  window
	counts  Counters
	wake    chan struct{}
	changed bool
}

// store keeps one kind's records.
type store struct {
	Kind
	records map[string]*Record
	index   index
}

// Counters count what came in through the API.
type Counters struct{ Requests, Writes, Throttled int }

// New makes an empty company. A nil clock is time.Now; nil randomness has a fixed seed.
func New(h Habits, now func() time.Time, r *rand.Rand) *Company {
	if now == nil {
		now = time.Now
	}
	if r == nil {
		r = rand.New(rand.NewPCG(1, 1))
	}
	c := &Company{now: now, rand: r, habits: h, kinds: map[string]*store{}, wake: make(chan struct{}, 1)}
	for _, k := range Kinds {
		c.kinds[k.Name] = &store{Kind: k, records: map[string]*Record{}, index: index{}}
	}
	return c
}

// SetHabits changes the company's ways from now on.
func (c *Company) SetHabits(change func(*Habits)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.habits)
}

func (c *Company) answers() Habits {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.habits
}

// Clock is what the company's clock shows.
func (c *Company) Clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now().Add(c.habits.Skew)
}

// Counts returns the counters so far.
func (c *Company) Counts() Counters {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// The failures of the core's operations; Duplicate is one more.
var (
	ErrNotFound = errors.New("not found")
	ErrVersion  = errors.New("the record has another version")
)

// Duplicate says that another live record holds a unique value.
type Duplicate struct{ Field, ExistingID string }

// Error names the field only.
func (d *Duplicate) Error() string { return "duplicate " + d.Field }

// Create makes a record.
func (c *Company) Create(kind string, fields map[string]any) (Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.kinds[kind]
	if s == nil {
		return Record{}, ErrNotFound
	}
	fields = c.normalise(fields)
	if err := c.taken(s, "", fields); err != nil {
		return Record{}, err
	}
	c.seq++
	r := &Record{ID: s.prefix + strconv.Itoa(c.seq), Fields: map[string]any{}, Created: c.now()}
	s.records[r.ID] = r
	c.apply(s, r, fields, "created")
	return r.copy(), nil
}

// Update changes the named fields. A version other than 0 must be the record's.
func (c *Company) Update(kind, id string, fields map[string]any, version int64) (Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, r, err := c.live(kind, id)
	if err != nil {
		return Record{}, err
	}
	if version != 0 && r.Version != version {
		return Record{}, ErrVersion
	}
	fields = c.normalise(fields)
	if err := c.taken(s, id, fields); err != nil {
		return Record{}, err
	}
	c.apply(s, r, fields, "updated")
	return r.copy(), nil
}

// Upsert updates the live record whose field has the value, or makes one.
func (c *Company) Upsert(kind, field, value string, fields map[string]any) (Record, bool, error) {
	fields = maps.Clone(fields)
	fields[field] = value
	if found, _ := c.lookup(kind, field, value); len(found) > 0 {
		r, err := c.Update(kind, found[0].ID, fields, 0)
		return r, false, err
	}
	r, err := c.Create(kind, fields)
	var dup *Duplicate
	if errors.As(err, &dup) && dup.Field == field { // made by another in the meantime
		r, err = c.Update(kind, dup.ExistingID, fields, 0)
		return r, false, err
	}
	return r, err == nil, err
}

// Delete hides a record from everything but lists. A version other than 0 must be
// the record's.
func (c *Company) Delete(kind, id string, version int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, r, err := c.live(kind, id)
	if err != nil {
		return err
	}
	if version != 0 && r.Version != version {
		return ErrVersion
	}
	r.Deleted = true
	c.apply(s, r, nil, "deleted")
	return nil
}

// Restore brings a deleted record back.
func (c *Company) Restore(kind, id string) (Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.kinds[kind]
	if s == nil || s.records[id] == nil {
		return Record{}, ErrNotFound
	}
	r := s.records[id]
	if err := c.taken(s, id, r.Fields); err != nil {
		return Record{}, err
	}
	r.Deleted = false
	c.apply(s, r, nil, "updated")
	return r.copy(), nil
}

// Get returns a live record.
func (c *Company) Get(kind, id string) (Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, r, err := c.live(kind, id)
	if err != nil {
		return Record{}, err
	}
	return r.copy(), nil
}

// Find lists live records whose field has the value, in the order of their ids.
func (c *Company) Find(kind, field, value string) ([]Record, error) {
	found, err := c.lookup(kind, field, value)
	return slices.DeleteFunc(found, func(r Record) bool {
		return r.Created.Add(c.findLag()).After(c.now())
	}), err
}

func (c *Company) findLag() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.habits.FindLag
}

// lookup is Find without its lag.
func (c *Company) lookup(kind, field, value string) ([]Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.kinds[kind]
	if s == nil {
		return nil, ErrNotFound
	}
	var out []Record
	for _, r := range s.with(field, strings.TrimSpace(value)) {
		out = append(out, r.copy())
	}
	return out, nil
}

// Records returns all records of a kind, deleted ones too, in the order of their ids.
func (c *Company) Records(kind string) []Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Record
	if s := c.kinds[kind]; s != nil {
		for _, r := range s.records {
			out = append(out, r.copy())
		}
	}
	slices.SortFunc(out, byID)
	return out
}

func byID(a, b Record) int {
	if n := len(a.ID) - len(b.ID); n != 0 {
		return n
	}
	return strings.Compare(a.ID, b.ID)
}

func (r *Record) copy() Record {
	out := *r
	out.Fields = maps.Clone(r.Fields)
	return out
}

// live finds a record that is not deleted.
func (c *Company) live(kind, id string) (*store, *Record, error) {
	s := c.kinds[kind]
	if s == nil || s.records[id] == nil || s.records[id].Deleted {
		return nil, nil, ErrNotFound
	}
	return s, s.records[id], nil
}

// taken refuses a unique value that another live record holds.
func (c *Company) taken(s *store, id string, fields map[string]any) error {
	for _, field := range c.habits.Unique[s.Name] {
		for _, r := range s.with(field, Show(fields[field])) {
			if r.ID != id {
				return &Duplicate{Field: field, ExistingID: r.ID}
			}
		}
	}
	return nil
}

// apply stores normalised fields as a new version and tells of it.
func (c *Company) apply(s *store, r *Record, fields map[string]any, action string) {
	for name, v := range fields {
		s.index.drop(r, name)
		if v == nil {
			delete(r.Fields, name)
		} else {
			r.Fields[name] = v
		}
		s.index.put(r, name)
	}
	r.Version++
	r.Updated = c.now().Add(c.habits.Skew).UTC().Truncate(c.habits.tick())
	r.Listed = c.now()
	if lag := c.habits.CommitLag; lag > 0 {
		r.Listed = r.Listed.Add(time.Duration(c.rand.Int64N(int64(lag))))
	}
	c.changed = true
	if !slices.Contains(c.habits.Silent, s.Name) {
		c.tell(Event{Object: s.Word, Record: r.ID, Action: action, At: r.Updated})
	}
}
