package cost

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// headBytes is what a request to a remote system takes besides its body: request
// line, headers, its share of TLS.
const headBytes = 500

// remote is a system in memory that can do what the spec's own can. It exists to
// be asked: its answers are as large as real ones, and every request is counted.
type remote struct {
	world     *world
	system    record.System
	abilities func(object string) flow.Abilities
	rows      map[string]record.Record // by object/id
	made      int
	refuse    bool // every write, as a permanent 4xx
	down      bool // it answers nothing
}

// Abilities implements flow.Remote.
func (r *remote) Abilities(object string) flow.Abilities { return r.abilities(object) }

// Read implements flow.Remote.
func (r *remote) Read(ctx context.Context, object, id string, _ []string) (record.Record, error) {
	if err := r.world.ask(ctx, r.system, 0); err != nil {
		return record.Record{}, err
	}
	rec, ok := r.rows[object+"/"+id]
	if !ok {
		return rec, flow.Errorf(flow.RecordMissing, "no %s %s", object, id)
	}
	rec.Fields = maps.Clone(rec.Fields)
	return rec, nil
}

// Create implements flow.Remote.
func (r *remote) Create(ctx context.Context, object string, fields record.Fields, _, _ string) (record.Record, error) {
	if err := r.world.ask(ctx, r.system, bodyOf(fields)); err != nil {
		return record.Record{}, err
	}
	return r.put(object, r.next(), fields), nil
}

// Update implements flow.Remote.
func (r *remote) Update(ctx context.Context, object, id string, fields record.Fields, _ string) (record.Record, error) {
	if err := r.world.ask(ctx, r.system, bodyOf(fields)); err != nil {
		return record.Record{}, err
	}
	if r.refuse {
		return record.Record{}, flow.Errorf(flow.RemoteRefused, "PATCH %s/%s: 422 the field status does not take this value", object, id)
	}
	return r.put(object, id, fields), nil
}

// Find implements flow.Remote.
func (r *remote) Find(ctx context.Context, object, property, value string, _ []string) (found []record.Record, consistent bool, err error) {
	for key, rec := range r.rows {
		if key == object+"/"+rec.ID && rec.Fields[property] == value {
			found = append(found, rec)
		}
	}
	return found, r.abilities(object).SearchLag == 0, r.world.ask(ctx, r.system, bodyOf(record.Fields{property: value}))
}

// Archive implements flow.Remote.
func (r *remote) Archive(ctx context.Context, object, id, _ string) error {
	delete(r.rows, object+"/"+id)
	return r.world.ask(ctx, r.system, 0)
}

// next is an id as long as the system's usual ones.
func (r *remote) next() string {
	r.made++
	if r.system == record.HubSpot {
		return strconv.Itoa(508369434000 + r.made)
	}
	return fmt.Sprintf("c_%d", 10000+r.made)
}

// put stores fields as a person or our own write does, with a new version.
func (r *remote) put(object, id string, fields record.Fields) record.Record {
	r.world.now = r.world.now.Add(time.Millisecond)
	rec := r.rows[object+"/"+id]
	before, _ := strconv.Atoi(rec.Version)
	rec.ID, rec.UpdatedAt = id, r.world.now
	rec.Fields = maps.Clone(rec.Fields)
	if rec.Fields == nil {
		rec.Fields = record.Fields{}
	}
	maps.Copy(rec.Fields, fields)
	a := r.abilities(object)
	switch {
	case r.system == record.HubSpot:
		rec.Version = r.world.now.UTC().Format("2006-01-02T15:04:05.000Z")
	case a.Versioned || a.ConditionalWrite:
		rec.Version = strconv.Itoa(before + 1)
	}
	if a.ConditionalWrite {
		rec.ETag = strconv.Quote(rec.Version)
	}
	r.rows[object+"/"+id] = rec
	return rec
}

func bodyOf(fields record.Fields) int {
	b, _ := json.Marshal(fields) // text always marshals
	return len(b)
}
