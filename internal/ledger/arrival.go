package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// Arrival is an event that was accepted: an execution of that name was started,
// or the event was dropped at the door. Which of both, and how it ended, is told
// by the record's own rows.
type Arrival struct {
	At        time.Time
	Ref       record.Ref
	Execution string
}

// arrivalLife is how long arrivals are kept: as long as a trace by default.
const arrivalLife = 14 * 24 * time.Hour

// MaxArrivals is how many events one row tells of: about 30 KB.
const MaxArrivals = 400

func arrivalPK(d spec.Direction) string { return "ARRIVED#" + string(d) }

// newestFirst makes rows of a partition come newest first, since a table is
// read in ascending order.
func newestFirst(at time.Time) string { return fmt.Sprintf("%013d", endOfTime-at.UnixMilli()) }

// endOfTime is the greatest instant of 13 digits, in milliseconds.
const endOfTime = 9_999_999_999_999

// Arrived notes the events of one delivery or one page of a poll, in one row: a
// row for each would cost as much as a stamp does. It is for people who look at
// what has happened lately; nothing is decided by it.
func (l *Ledger) Arrived(ctx context.Context, d spec.Direction, all []Arrival) error {
	now := l.Now()
	var updates []table.Update
	for len(all) > 0 {
		part := all[:min(len(all), MaxArrivals)]
		all = all[len(part):]
		of := make([][3]string, len(part))
		for i, a := range part {
			of[i] = [3]string{a.Ref.Object, a.Ref.ID, a.Execution}
		}
		updates = append(updates, table.Update{
			Key: table.Key{PK: arrivalPK(d), SK: newestFirst(now) + "#" + part[0].Execution},
			If:  table.Always, Set: map[string]string{"of": toJSON(of)}, Expires: now.Add(arrivalLife),
		})
	}
	if len(updates) == 0 {
		return nil
	}
	_, err := l.Table.Update(ctx, updates...)
	return err
}

// ArrivedBefore is the place from which Arrivals lists what came until at: what
// comes meanwhile moves no page.
func ArrivedBefore(at time.Time) string { return newestFirst(at) }

// Arrivals lists events newest first, from at most rows rows after a place; next
// is the place to go on from, "" at the end.
func (l *Ledger) Arrivals(ctx context.Context, d spec.Direction, after string, rows int) (all []Arrival, next string, err error) {
	items, err := l.Table.Query(ctx, arrivalPK(d), after, rows)
	for _, it := range items {
		var of [][3]string
		if err := json.Unmarshal([]byte(it.Attrs["of"]), &of); err != nil {
			return nil, "", fmt.Errorf("row %s/%s is not what this version writes: %w", it.PK, it.SK, err)
		}
		left, _, _ := strings.Cut(it.SK, "#")
		before, err := strconv.ParseInt(left, 10, 64)
		if err != nil {
			return nil, "", fmt.Errorf("row %s/%s: the key tells no time", it.PK, it.SK)
		}
		for _, a := range of {
			all = append(all, Arrival{At: time.UnixMilli(endOfTime - before).UTC(), Ref: record.Ref{System: d.Source(), Object: a[0], ID: a[1]}, Execution: a[2]})
		}
	}
	if len(items) == rows {
		next = items[rows-1].SK
	}
	return all, next, err
}
