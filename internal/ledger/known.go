package ledger

import (
	"context"
	"slices"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
)

// Known is a record that a poll has listed, of a system that tells of deletions
// only by what it lists no more.
type Known struct {
	ID string
	// Listed is when it was listed last, Missed when a census first missed it since.
	Listed, Missed time.Time
	rev            int64
}

func knownKey(sys record.System, object, id string) table.Key {
	return table.Key{PK: "KNOWN#" + string(sys) + "#" + object, SK: id}
}

// know is how many rows are written or read at once.
const know = 100

// Know notes records that were listed at an instant, but for those that can never be
// linked, since their ids are too long: nobody asks what becomes of them.
func (l *Ledger) Know(ctx context.Context, sys record.System, object string, ids []string, at time.Time) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return len(id) > MaxID })
	var updates []table.Update
	for i, id := range ids {
		updates = append(updates, table.Update{
			Key: knownKey(sys, object, id), If: table.Always, Set: map[string]string{"listed": ms(at)}, Remove: []string{"missed"},
		})
		if len(updates) == know || i == len(ids)-1 {
			if _, err := l.Table.Update(ctx, updates...); err != nil {
				return err
			}
			updates = nil
		}
	}
	return nil
}

// Known lists the known records in the order of their ids, after one; none at the end.
func (l *Ledger) Known(ctx context.Context, sys record.System, object, after string) ([]Known, error) {
	items, err := l.Table.Query(ctx, knownKey(sys, object, "").PK, after, know)
	out := make([]Known, len(items))
	for i, it := range items {
		out[i] = Known{ID: it.SK, Listed: millis(it.Attrs["listed"]), Missed: millis(it.Attrs["missed"]), rev: it.Rev}
	}
	return out, err
}

// restorable is how long a record that is listed no more may still come back: for as
// long as recycle bins keep what is in them.
const restorable = 90 * 24 * time.Hour

// Miss notes that a census has missed a record, and forgets it when censuses have for so
// long that nobody brings it back. A record that was listed meanwhile is left as it is.
func (l *Ledger) Miss(ctx context.Context, sys record.System, object string, k Known, at time.Time) error {
	u := table.Update{Key: knownKey(sys, object, k.ID), If: table.AtRev(k.rev)}
	switch {
	case k.Missed.IsZero():
		u.Set = map[string]string{"missed": ms(at)}
	case at.Before(k.Missed.Add(restorable)):
		return nil
	default:
		u.Delete = true
	}
	_, err := l.Table.Update(ctx, u)
	if _, moved := table.Moved(err); moved {
		return nil
	}
	return err
}
