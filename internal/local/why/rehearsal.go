package why

import (
	"context"
	"maps"
	"sync"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/table"
)

// readOnly is a system that can be read and not written.
type readOnly struct{ flow.Remote }

var errReadOnly = flow.Errorf(flow.Unexpected, "a rehearsal writes nothing")

// Create implements flow.Remote.
func (readOnly) Create(context.Context, string, record.Fields, string, string) (record.Record, error) {
	return record.Record{}, errReadOnly
}

// Update implements flow.Remote.
func (readOnly) Update(context.Context, string, string, record.Fields, string) (record.Record, error) {
	return record.Record{}, errReadOnly
}

// Archive implements flow.Remote.
func (readOnly) Archive(context.Context, string, string, string) error { return errReadOnly }

// overlay is a table that shows another one's rows and keeps changes to itself.
type overlay struct {
	table.Table
	mu   sync.Mutex
	rows map[table.Key]table.Item
}

func newOverlay(t table.Table) *overlay { return &overlay{Table: t, rows: map[table.Key]table.Item{}} }

// Get implements table.Table.
func (o *overlay) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	items, err := o.Table.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, k := range keys {
		if it, changed := o.rows[k]; changed {
			items[i] = it
		}
	}
	return items, nil
}

// Update implements table.Table. Rows of Query do not show it: a rehearsal that
// has just written a row does not list it.
func (o *overlay) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	keys := make([]table.Key, len(updates))
	for i, u := range updates {
		keys[i] = u.Key
	}
	items, err := o.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for i, u := range updates {
		if !u.If.Unconditional() && u.If.Rev() != items[i].Rev {
			return nil, &table.ConditionError{Current: items[i]}
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	revs := make([]int64, len(updates))
	for i, u := range updates {
		it := items[i]
		it.Attrs = maps.Clone(it.Attrs)
		if it.Attrs == nil {
			it.Attrs = map[string]string{}
		}
		maps.Copy(it.Attrs, u.Set)
		for _, name := range u.Remove {
			delete(it.Attrs, name)
		}
		it.Rev++
		if u.Delete {
			it = table.Item{Key: u.Key}
		}
		o.rows[u.Key], revs[i] = it, it.Rev
	}
	return revs, nil
}
