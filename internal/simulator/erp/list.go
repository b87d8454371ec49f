package erp

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Changed lists records, deleted ones too, changed at or after since, in the
// order of change time and id, after the cursor; next is "" at the end.
func (c *Company) Changed(kind string, since time.Time, cursor string, limit int) (page []Record, next string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.kinds[kind]
	if s == nil {
		return nil, "", ErrNotFound
	}
	now := c.now()
	for _, r := range s.records {
		if !r.Updated.Before(since) && !r.Listed.After(now) && (cursor == "" || r.position() > cursor) {
			page = append(page, *r)
		}
	}
	slices.SortFunc(page, func(a, b Record) int { return strings.Compare(a.position(), b.position()) })
	if len(page) > limit {
		page = page[:limit]
		next = page[limit-1].position()
	}
	for i := range page {
		page[i] = page[i].copy()
	}
	return page, next, nil
}

// position orders records by change time and id.
func (r *Record) position() string { return fmt.Sprintf("%015d-%s", r.Updated.UnixMilli(), r.ID) }
