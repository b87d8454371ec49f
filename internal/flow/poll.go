package flow

import (
	"context"
	"fmt"

	"tandem/internal/record"
)

// maxPages bounds one run of a poll; the next run goes on where it ended.
const maxPages = 50

// Poll asks a system without webhooks what changed since its cursor, and starts
// an execution per record. The cursor moves page by page, only after every start
// of the page has succeeded, and only if no other poll has moved it meanwhile.
// It returns how many executions were started.
func (in *Ingress) Poll(ctx context.Context, sys record.System, object string, from Changes) (started int, err error) {
	for range maxPages {
		cursor, rev, err := in.Flow.Ledger.Cursor(ctx, sys, object)
		if err != nil {
			return started, store(err)
		}
		next, more, answer, err := in.Page(ctx, sys, object, from, cursor)
		if started += answer.Started; err != nil {
			return started, err
		}
		if next != cursor {
			if err := in.Flow.Ledger.MoveCursor(ctx, sys, object, next, rev); isMoved(err) {
				return started, nil // another poll is ahead of this one
			} else if err != nil {
				return started, store(err)
			}
		}
		if !more {
			deleted, err := in.census(ctx, sys, object, from)
			if err != nil {
				return started + deleted, err
			}
			met, err := in.Reunite(ctx, sys, object)
			return started + deleted + met, err
		}
	}
	return started, nil
}

// Page starts an execution for each record of one page of changes, except for
// those that the mapping has seen at that version. The next page begins at next.
func (in *Ingress) Page(ctx context.Context, sys record.System, object string, from Changes, cursor string) (next string, more bool, a Answer, err error) {
	lines, next, more, err := from.Changed(ctx, object, cursor)
	if err != nil {
		return cursor, true, a, err
	}
	if err := in.know(ctx, sys, object, from, lines); err != nil {
		return cursor, true, a, err
	}
	if a = in.accept(ctx, sys, in.notifications(object, lines)); a.Problem != "" {
		return cursor, true, a, fmt.Errorf("polling %s: %s", object, a.Problem)
	}
	return next, more, a, nil
}

func (in *Ingress) notifications(object string, lines []ChangedRecord) []Notification {
	out := make([]Notification, len(lines))
	for i, line := range lines {
		out[i] = Notification{ID: in.Mark + line.Version, Version: line.Version, Object: object, Record: line.ID, Kind: Changed, At: line.At}
		if line.Deleted {
			out[i].Kind = Deleted
		}
	}
	return out
}
