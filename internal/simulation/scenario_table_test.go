package simulation

import (
	"context"
	"errors"
	"time"

	"tandem/internal/table"
	"tandem/internal/table/embedded"
)

// diary is a table that knows which rows were ever written, so that it can be copied.
type diary struct {
	table.Table
	keys []table.Key
}

// Update implements table.Table.
func (d *diary) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	for _, u := range updates {
		d.keys = append(d.keys, u.Key)
	}
	return d.Table.Update(ctx, updates...)
}

// fate is what becomes of the table while nothing is under way: it is backed up
// (keep), put back to that (back), or lost; then the integration is deployed anew.
func (st *stage) fate(ctx context.Context, w []string) (err error) {
	d, ok := st.table.(*diary)
	switch {
	case len(w) != 2 || !ok:
		return errUsage
	case w[1] == "keep":
		st.backup, err = d.copy(ctx)
		return err
	case w[1] == "back" && st.backup != nil:
		return st.deployOn(ctx, st.backup)
	case w[1] == "lost":
		return st.deployOn(ctx, nil)
	}
	return errors.New("a table is kept, lost, or put back to what was kept")
}

// deployOn deploys the integration on a table that holds some rows.
func (st *stage) deployOn(ctx context.Context, rows []table.Update) error {
	inner, err := embedded.Open("", func() time.Time { return st.now })
	if err != nil {
		return err
	}
	fresh := &diary{Table: inner}
	for _, u := range rows {
		if _, err := fresh.Update(ctx, u); err != nil {
			return err
		}
	}
	st.table = fresh
	return st.adopt(st.spec)
}

// copy reads every row.
func (d *diary) copy(ctx context.Context) (rows []table.Update, err error) {
	done := map[table.Key]bool{}
	for _, k := range d.keys {
		if done[k] {
			continue
		}
		done[k] = true
		items, err := d.Get(ctx, k)
		if err != nil {
			return nil, err
		}
		if items[0].Rev > 0 {
			rows = append(rows, table.Update{Key: k, If: table.Always, Set: items[0].Attrs, Expires: items[0].Expires})
		}
	}
	return rows, nil
}
