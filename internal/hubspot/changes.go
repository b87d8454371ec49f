package hubspot

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"tandem/internal/flow"
)

var _ flow.Changes = (*Client)(nil)

const (
	// page is the most that search answers at once.
	page = 200
	// overlap is how far a finished poll steps back beyond the search lag, since
	// records reach the index in another order than they changed.
	overlap = 30 * time.Second
	// clocks is by how much ours may be ahead of HubSpot's: what is older than that,
	// too, is in the index, and is repeated no more.
	clocks = 2 * time.Minute
)

// cursor is where a poll stands: at the records that changed at Since with ids
// beyond After, and at everything that changed later. More than 10,000 records
// may share one millisecond, so the instant alone would not do.
type cursor struct {
	Since int64  `json:"since"` // milliseconds
	After string `json:"after,omitempty"`
	// High is the newest instant seen in this round, Start when the round began:
	// what changed after that may be missing from its first pages.
	High  int64 `json:"high,omitempty"`
	Start int64 `json:"start,omitempty"`
	// From is where the round began to list.
	From int64 `json:"from,omitempty"`
}

// ChangedSince is the cursor of a poll that begins with what changed at or after t.
func ChangedSince(t time.Time) string { return fmt.Sprintf(`{"since":%d}`, t.UnixMilli()) }

// Changed lists what changed since the cursor, oldest first, a page at a time.
// The last page's cursor steps back by the search lag and some more: the next
// round repeats those records rather than miss one. Deletions never appear in
// search; webhooks and the archived list tell those.
func (c *Client) Changed(ctx context.Context, object, from string) ([]flow.ChangedRecord, string, bool, error) {
	var at cursor
	if from != "" && json.Unmarshal([]byte(from), &at) != nil {
		return nil, "", false, flow.Errorf(flow.BadEnvelope, "polling %s: the stored cursor is not one of HubSpot's; delete it to start from the beginning", object)
	}
	if at.Start == 0 {
		at.Start, at.From = c.options.Now().UnixMilli(), at.Since
	}
	found, err := c.changedPage(ctx, object, at)
	if err != nil {
		return nil, "", false, err
	}
	refs := make([]flow.ChangedRecord, 0, len(found))
	for _, a := range found {
		changed := a.changed()
		refs = append(refs, flow.ChangedRecord{ID: a.ID, Version: changed.Format(versionLayout), At: changed})
		at.High = max(at.High, changed.UnixMilli())
	}
	more := len(found) == page || at.After != ""
	next := at.next(found, c.options.SearchLag)
	text, err := json.Marshal(next)
	return refs, string(text), more, err
}

// next moves on. After a full page every record of its last millisecond is
// listed by id, since the page may have cut through it in any order; then the
// next millisecond follows. A page that is not full ends the round.
func (at cursor) next(found []answered, lag time.Duration) cursor {
	next, full, last := at, len(found) == page, len(found)-1
	switch {
	case full && at.After == "":
		next.Since, next.After = found[last].changed().UnixMilli(), "0"
	case full:
		next.After = found[last].ID
	case at.After != "":
		next.Since, next.After = at.Since+1, ""
	default: // back, but no further than may be missing, nor to before where this round began
		late := (lag + overlap).Milliseconds()
		settled := min(at.High+1, at.Start-late-clocks.Milliseconds())
		next = cursor{Since: max(min(at.High, at.Start)-late, settled, at.From)}
	}
	return next
}

func (c *Client) changedPage(ctx context.Context, object string, at cursor) ([]answered, error) {
	modified := modifiedProperty(object)
	since := strconv.FormatInt(at.Since, 10)
	body := searchRequest{
		FilterGroups: []filterGroup{{[]filter{{modified, "GTE", since}}}},
		Sorts:        []sorting{{modified, "ASCENDING"}}, Properties: []string{modified}, Limit: page,
	}
	if at.After != "" {
		body.FilterGroups = []filterGroup{{[]filter{{modified, "EQ", since}, {"hs_object_id", "GT", at.After}}}}
		body.Sorts = []sorting{{"hs_object_id", "ASCENDING"}}
	}
	var s searchAnswer
	err := c.do(ctx, call{method: http.MethodPost, path: objects(object, "search"), body: body, repeatable: true}, &s)
	return s.Results, err
}

// modifiedProperty is what search sorts by; contacts have one of their own.
func modifiedProperty(object string) string {
	if object == Contacts {
		return "lastmodifieddate"
	}
	return "hs_lastmodifieddate"
}
