package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// Census is implemented by Changes of a system that does not tell of deletions:
// now and then everything is listed, and what is listed no more was deleted.
type Census interface {
	// CensusEvery is how often that is done for an object, 0 for never.
	CensusEvery(object string) time.Duration
}

// ErrCensus is in the error of a poll that has brought what changed, but whose list of
// everything came to nothing. The next one is due as if it had been one.
var ErrCensus = errors.New("deletions are not found")

const (
	// maxCensus bounds the pages of one listing of everything.
	maxCensus = 2000
	// A census that misses more than a quarter of what is known, and more than a few,
	// has not seen deletions but a listing that fails.
	maxMissing, fewMissing = 4, 20
)

// census lists everything if it is time, and starts an execution for each known
// record that is missing, or is back. Each of them reads its record: only a 404 confirms
// a deletion, so a record that the pages have skipped comes to no harm.
func (in *Ingress) census(ctx context.Context, sys record.System, object string, from Changes) (started int, err error) {
	c, ok := from.(Census)
	if !ok || c.CensusEvery(object) == 0 {
		return 0, nil
	}
	began, due, err := in.takeCensus(ctx, sys, object, c.CensusEvery(object))
	if err != nil || !due {
		return 0, err
	}
	if started, err = in.compare(ctx, sys, object, from, began); err != nil {
		err = fmt.Errorf("%w: %w", ErrCensus, err)
	}
	return started, err
}

// compare lists everything, and starts what differs from what was listed before.
func (in *Ingress) compare(ctx context.Context, sys record.System, object string, from Changes, began time.Time) (started int, err error) {
	listed, err := everything(ctx, object, from)
	if err != nil {
		return 0, fmt.Errorf("listing all %s to find deletions: %w", object, err)
	}
	missing, back, err := in.missing(ctx, sys, object, listed, began)
	if err != nil {
		return 0, err
	}
	var lines []ChangedRecord
	for _, id := range back {
		lines = append(lines, ChangedRecord{ID: id}) // without a time: nobody has edited it
	}
	for _, k := range missing {
		if k.Missed.IsZero() {
			lines = append(lines, ChangedRecord{ID: k.ID, At: began, Deleted: true})
		}
	}
	answer := in.accept(ctx, sys, in.notifications(object, lines))
	if answer.Problem != "" {
		return answer.Started, fmt.Errorf("deletions of %s: %s", object, answer.Problem)
	}
	if err := in.Flow.Ledger.Know(ctx, sys, object, back, began); err != nil {
		return answer.Started, store(err)
	}
	for _, k := range missing {
		if err := in.Flow.Ledger.Miss(ctx, sys, object, k, began); err != nil {
			return answer.Started, store(err)
		}
	}
	return answer.Started, nil
}

// takeCensus makes this process the one that does the census that is due.
func (in *Ingress) takeCensus(ctx context.Context, sys record.System, object string, every time.Duration) (began time.Time, due bool, err error) {
	key := object + "#census"
	last, rev, err := in.Flow.Ledger.Cursor(ctx, sys, key)
	if err != nil {
		return began, false, store(err)
	}
	began = in.Flow.Now()
	if at, err := time.Parse(time.RFC3339, last); err == nil && began.Before(at.Add(every)) {
		return began, false, nil
	}
	err = in.Flow.Ledger.MoveCursor(ctx, sys, key, began.UTC().Format(time.RFC3339), rev)
	if isMoved(err) {
		return began, false, nil
	}
	return began, err == nil, store(err)
}

// everything lists the ids of all live records.
func everything(ctx context.Context, object string, from Changes) (map[string]bool, error) {
	ids, cursor := map[string]bool{}, ""
	for range maxCensus {
		lines, next, more, err := from.Changed(ctx, object, cursor)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			if !line.Deleted {
				ids[line.ID] = true
			}
		}
		if cursor = next; !more {
			return ids, nil
		}
	}
	return nil, Errorf(RemoteRefused, "there are more than %d pages; list larger pages, or turn list.deletesEvery off", maxCensus)
}

// missing lists the known records that a listing lacks, and those that censuses
// missed and this one does not. What a poll has listed since it began is younger than it.
func (in *Ingress) missing(ctx context.Context, sys record.System, object string, listed map[string]bool, began time.Time) (out []ledger.Known, back []string, err error) {
	known, fresh, after := 0, 0, ""
	for {
		page, err := in.Flow.Ledger.Known(ctx, sys, object, after)
		if err != nil {
			return nil, nil, store(err)
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].ID
		for _, k := range page {
			if k.Missed.IsZero() {
				known++
			}
			switch {
			case listed[k.ID] && !k.Missed.IsZero():
				back = append(back, k.ID)
			case !listed[k.ID] && k.Listed.Before(began):
				if out = append(out, k); k.Missed.IsZero() {
					fresh++
				}
			}
		}
	}
	if fresh > fewMissing && fresh > known/maxMissing {
		return nil, nil, Errorf(RemoteRefused, "%d of %d known %s are not listed any more: taken for a listing that fails, not for deletions; delete in smaller numbers, or look at the list call", fresh, known, object)
	}
	return out, back, nil
}

// know notes what a page has listed, where a census will ask for it.
func (in *Ingress) know(ctx context.Context, sys record.System, object string, from Changes, lines []ChangedRecord) error {
	c, ok := from.(Census)
	if !ok || c.CensusEvery(object) == 0 {
		return nil
	}
	var ids []string
	seen := map[string]bool{}
	for _, line := range lines {
		if !line.Deleted && !seen[line.ID] {
			seen[line.ID] = true
			ids = append(ids, line.ID)
		}
	}
	return store(in.Flow.Ledger.Know(ctx, sys, object, ids, in.Flow.Now()))
}
