package embedded

import (
	"context"
	"testing"
	"time"

	"tandem/internal/table"
)

// reopening is a table that exists only while it is called.
type reopening struct {
	t   *testing.T
	dir string
	now func() time.Time
}

func (r *reopening) with(f func(*Table) error) error {
	tb, err := Open(r.dir, r.now)
	if err != nil {
		r.t.Fatal(err)
	}
	defer tb.Close()
	return f(tb)
}

func (r *reopening) Get(ctx context.Context, keys ...table.Key) (items []table.Item, err error) {
	err = r.with(func(t *Table) (err error) { items, err = t.Get(ctx, keys...); return err })
	return items, err
}

func (r *reopening) Update(ctx context.Context, updates ...table.Update) (revs []int64, err error) {
	err = r.with(func(t *Table) (err error) { revs, err = t.Update(ctx, updates...); return err })
	return revs, err
}

func (r *reopening) Query(ctx context.Context, pk, after string, limit int) (items []table.Item, err error) {
	err = r.with(func(t *Table) (err error) { items, err = t.Query(ctx, pk, after, limit); return err })
	return items, err
}
