package destination

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

const (
	defaultOverlap = 2 * time.Minute
	// maxSeen bounds a cursor to about 60 KB. What is forgotten is listed again,
	// which costs an execution that finds nothing to do.
	maxSeen = 2000
)

// lister is a spec.List ready for use.
type lister struct {
	spec.List
	call *call
}

// compileList parses an object's list call, nil when it has none.
func compileList(l *spec.List) (*lister, error) {
	if l == nil {
		return nil, nil
	}
	out := &lister{List: *l}
	var err error
	if out.call, err = compileCall("list", "GET", l.Call); err != nil {
		return nil, err
	}
	if out.Since != "" {
		key, value, _ := strings.Cut(out.Since, "=")
		if err := out.call.add(key, cmp.Or(value, "{since}")); err != nil {
			return nil, fmt.Errorf("list.since: %w", err)
		}
	}
	out.Paging = cmp.Or(out.Paging, "cursor")
	if !slices.Contains([]string{"cursor", "page", "offset", "link"}, out.Paging) {
		return nil, fmt.Errorf("list.paging is %q; allowed are cursor, page, offset and link", out.Paging)
	}
	if out.Paging == "cursor" && out.Next == "" && out.call.mentions("cursor") {
		return nil, errors.New("list.next is missing; it is the JSON path of the next cursor")
	}
	out.Overlap.Duration = cmp.Or(out.Overlap.Duration, defaultOverlap)
	return out, nil
}

// pages reports whether a search has pages: where it has a place for {cursor}, or
// where links lead on, they follow one another as those of the list do.
func (l *lister) pages(find *call) bool {
	return l != nil && (l.Paging == "link" || find.mentions("cursor"))
}

// unpaged tells why the pages that find names cannot be read; "" when they can.
func (l *lister) unpaged(find *call) string {
	switch {
	case find == nil || !find.mentions("cursor"):
	case l == nil:
		return "find has {cursor}, but there is no list, which tells how pages follow one another"
	case l.Paging == "cursor" && l.Next == "":
		return "list.next is missing; it is the JSON path of the next cursor, in what find answers, too"
	}
	return ""
}

// mentions reports whether a placeholder stands anywhere in the call.
func (k *call) mentions(name string) bool {
	return k.path.has(name) || slices.ContainsFunc(k.query, func(p parameter) bool { return p.value.has(name) || p.key.has(name) })
}

// format writes an instant as the list call wants it, rounded down.
func (l *lister) format(t time.Time) string {
	switch l.SinceFormat {
	case "", "rfc3339":
		return t.UTC().Format("2006-01-02T15:04:05.000Z")
	case "unix":
		return strconv.FormatInt(t.Unix(), 10)
	case "unixms":
		return strconv.FormatInt(t.UnixMilli(), 10)
	}
	return t.UTC().Format(l.SinceFormat)
}

// CensusEvery implements flow.Census.
func (c *Client) CensusEvery(name string) time.Duration {
	if o := c.objects[name]; o != nil && o.list != nil {
		return o.list.DeletesEvery.Duration
	}
	return 0
}

// cursor is where a poll stands. A sweep asks for everything since Since, page
// by page; the next one begins at the latest change seen, less the overlap, so
// that a change which was committed late, or in the same instant as the last
// one, is still found. What the overlap shows again is told apart by Seen.
type cursor struct {
	Since time.Time `json:"since,omitzero"`
	// Page is the remote's cursor, page number, offset or link within a sweep,
	// after a number or offset perhaps the mark of the page before.
	Page string `json:"page,omitempty"`
	// Started is when the sweep began, in our clock: no change time beyond it
	// moves Since, or one record dated in the future would hide all others.
	Started time.Time `json:"started,omitzero"`
	// High is the latest change seen.
	High time.Time `json:"high,omitzero"`
	// Seen holds a fingerprint of id and version of each record of the overlap
	// with its change time in milliseconds.
	Seen map[string]int64 `json:"seen,omitempty"`
}

// ChangedSince is the cursor of a poll that begins with what changed at or after t.
func ChangedSince(t time.Time) string {
	text, _ := json.Marshal(cursor{Since: t}) // a year of four digits always marshals
	return string(text)
}

// Changed implements flow.Changes. The cursor's time is the remote's own, never
// this machine's clock.
func (c *Client) Changed(ctx context.Context, name, text string) ([]flow.ChangedRecord, string, bool, error) {
	o, err := c.object(name)
	if err != nil {
		return nil, "", false, err
	}
	if o.list == nil {
		return nil, "", false, flow.Errorf(flow.RemoteRefused, "the spec has no list call for %s; add destination.objects.%s.list", name, name)
	}
	cur := cursor{Since: time.Unix(0, 0).UTC()}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &cur); err != nil {
			return nil, "", false, flow.Errorf(flow.BadEnvelope, "the poll cursor of %s is not one of ours; remove it to list everything again", name)
		}
	}
	if cur.Page == "" {
		cur.Started = c.now()
	}
	a, next, err := c.page(ctx, o, cur.Since, cur.Page)
	if err != nil {
		return nil, "", false, err
	}
	refs, err := cur.take(o, a, list(a.body))
	if err != nil {
		return nil, "", false, err
	}
	cur.Page = next
	more := cur.Page != ""
	if !more {
		cur.finish(o.list.Overlap.Duration)
	}
	encoded, err := json.Marshal(cur)
	return refs, string(encoded), more, err
}

// page lists one page of what changed since an instant, and names the next.
func (c *Client) page(ctx context.Context, o *object, since time.Time, page string) (a *answer, next string, err error) {
	return c.paged(ctx, o, request{call: o.list.call, args: args{"since": o.list.format(since)}}, page)
}

// paged asks for one page of a list or of a search, and names the next.
func (c *Client) paged(ctx context.Context, o *object, r request, page string) (a *answer, next string, err error) {
	r.args["cursor"] = o.list.first(page)
	if o.list.Paging == "link" && page != "" {
		if r.url, err = c.sameOrigin(page); err != nil {
			return nil, "", err
		}
	}
	if a, err = c.do(ctx, o, r); err != nil {
		return a, "", err
	}
	if next = o.list.next(r.call, a, page, len(list(a.body))); next != "" && next == page {
		return nil, "", flow.Errorf(flow.RemoteRefused, "%s: the answer names the same page again as the next one", a.what)
	}
	if next != "" && o.list.numbered() && o.list.Size == 0 {
		next, err = o.marked(a, page, next)
	}
	return a, next, err
}

// marked adds to the next page's number a mark of this page: where nothing but an
// empty page ends a sweep, a system that repeats its last one would never end it.
func (o *object) marked(a *answer, page, next string) (string, error) {
	h := fnv.New64a()
	for _, item := range list(a.body) {
		fmt.Fprintf(h, "%s|", identifier(item, o.ID))
	}
	mark := " " + strconv.FormatUint(h.Sum64(), 36)
	if strings.HasSuffix(page, mark) {
		return "", flow.Errorf(flow.RemoteRefused, "%s: a page holds what the one before it held; if the system repeats its last page, set destination.objects.%s.list.size to how many it answers at a time, else correct where {cursor} stands", a.what, o.name)
	}
	return next + mark, nil
}

// numbered reports whether pages have numbers or offsets.
func (l *lister) numbered() bool { return l.Paging == "page" || l.Paging == "offset" }

// first is the {cursor} of a page: page numbers begin at 1, offsets at 0.
func (l *lister) first(page string) string {
	if !l.numbered() {
		return page
	}
	number, _, _ := strings.Cut(page, " ")
	if number == "" && l.Paging == "page" {
		return "1"
	}
	return cmp.Or(number, "0")
}

// next is the page after this one, "" at the end. Without a size a short page may
// be as long as the system's pages are, and only an empty one is the last.
func (l *lister) next(k *call, a *answer, page string, items int) string {
	switch {
	case l.Paging == "link":
		return linked(a)
	case !k.mentions("cursor"):
		return ""
	case l.Paging == "cursor":
		return text(a.whole, l.Next)
	case items < max(l.Size, 1):
		return ""
	}
	n, _ := strconv.Atoi(l.first(page))
	if l.Paging == "page" {
		return strconv.Itoa(n + 1)
	}
	return strconv.Itoa(n + items)
}

// linked is the target of the Link header with rel=next (RFC 8288).
func linked(a *answer) string {
	for _, header := range a.header.Values("Link") {
		for part := range strings.SplitSeq(header, ",") {
			target, parameters, ok := strings.Cut(part, ";")
			target = strings.TrimSpace(target)
			rel := strings.ReplaceAll(strings.ToLower(parameters), " ", "")
			if ok && (strings.Contains(rel, `rel="next"`) || strings.Contains(rel+";", "rel=next;")) {
				return strings.Trim(target, "<>")
			}
		}
	}
	return ""
}

// sameOrigin resolves a link and refuses one to another host, which would get
// our credentials.
func (c *Client) sameOrigin(link string) (string, error) {
	u, err := c.base.Parse(link)
	if err != nil || u.Scheme != c.base.Scheme || u.Host != c.base.Host {
		return "", flow.Errorf(flow.RemoteRefused, "the Link header points to another host than destination.baseUrl")
	}
	return u.String(), nil
}

// take turns a page's items into references, without those seen before.
func (cur *cursor) take(o *object, a *answer, items []any) ([]flow.ChangedRecord, error) {
	if cur.Seen == nil {
		cur.Seen = map[string]int64{}
	}
	var refs []flow.ChangedRecord
	for _, item := range items {
		o.noteID(item)
		r, err := o.record(a, item, nil)
		if err != nil {
			return nil, err
		}
		mark := fingerprint(r.ID, r.Version, r.UpdatedAt, r.Archived)
		_, seen := cur.Seen[mark]
		if !mayRecur(r) {
			cur.Seen[mark] = r.UpdatedAt.UnixMilli()
		}
		if r.UpdatedAt.After(cur.High) {
			cur.High = r.UpdatedAt
		}
		if !seen {
			refs = append(refs, flow.ChangedRecord{ID: r.ID, Version: r.Version, At: r.UpdatedAt, Deleted: r.Archived})
		}
	}
	cur.forget(time.Time{})
	return refs, nil
}

// settled is when a change told in whole seconds cannot be followed by another of
// the same time: a second for that one, one for how the Date header is rounded.
const settled = 2 * time.Second

// mayRecur reports whether the next change of a record could look like this one:
// nothing but a time in whole seconds tells them apart, and that second is hardly
// over by the system's clock. Such a record is listed once more by the next sweep.
func mayRecur(r record.Record) bool {
	clock := r.Clock
	if clock.IsZero() {
		clock = r.ReadAt
	}
	return r.Version == "" && !r.UpdatedAt.IsZero() && r.UpdatedAt.Nanosecond() == 0 && clock.Before(r.UpdatedAt.Add(settled))
}

// finish ends a sweep and places the next one.
func (cur *cursor) finish(overlap time.Duration) {
	high := cur.High
	if high.After(cur.Started) {
		high = cur.Started
	}
	if since := high.Add(-overlap); since.After(cur.Since) {
		cur.Since = since
	}
	cur.Page, cur.Started = "", time.Time{}
	cur.forget(cur.Since)
}

// forget drops what was seen before since, and the oldest beyond maxSeen.
func (cur *cursor) forget(since time.Time) {
	floor := since.UnixMilli()
	if over := len(cur.Seen) - maxSeen; over > 0 {
		times := make([]int64, 0, len(cur.Seen))
		for _, at := range cur.Seen {
			times = append(times, at)
		}
		slices.Sort(times)
		floor = max(floor, times[over])
	}
	maps.DeleteFunc(cur.Seen, func(_ string, at int64) bool { return at < floor })
	if over := len(cur.Seen) - maxSeen; over > 0 { // all of one instant, as after an import
		for _, mark := range slices.Sorted(maps.Keys(cur.Seen))[:over] {
			delete(cur.Seen, mark)
		}
	}
}

// fingerprint stands for one version of one record in a cursor.
func fingerprint(id, version string, updated time.Time, archived bool) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s|%s|%d|%t", id, version, updated.UnixNano(), archived)
	return strconv.FormatUint(h.Sum64(), 36)
}
