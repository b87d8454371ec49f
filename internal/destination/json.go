package destination

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// at follows a dotted path into decoded JSON. A member whose name is the whole
// rest of the path is preferred to a nested one; the empty path is v itself.
func at(v any, path string) (any, bool) {
	if path == "" {
		return v, true
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	if found, ok := m[path]; ok {
		return found, true
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if inner, ok := m[path[:i]]; ok {
			if found, ok := at(inner, path[i+1:]); ok {
				return found, true
			}
		}
	}
	return nil, false
}

// put sets a dotted path in m, making the objects on the way.
func put(m map[string]any, path string, v any) {
	for {
		name, rest, nested := strings.Cut(path, ".")
		if !nested {
			m[name] = v
			return
		}
		inner, ok := m[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			m[name] = inner
		}
		m, path = inner, rest
	}
}

// under wraps v below a dotted path; the empty path is v itself.
func under(path string, v any) any {
	if path == "" {
		return v
	}
	m := map[string]any{}
	put(m, path, v)
	return m
}

// scalar is the text of a JSON value that is not an object: arrays are joined by
// ";", null is blank. Objects are their JSON.
func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case []any:
		members := make([]string, len(v))
		for i := range v {
			members[i] = scalar(v[i])
		}
		return strings.Join(members, ";")
	}
	b, _ := json.Marshal(v) // decoded JSON always encodes
	return string(b)
}

// splits reports whether a set's array has a member that holds the separator: it
// would be read as two, and written so over the one.
func (o *object) splits(property string, v any) bool {
	members, _ := v.([]any)
	return o.types[property] == record.Set && slices.ContainsFunc(members, func(m any) bool { return strings.Contains(scalar(m), ";") })
}

// readable refuses a record of which a set cannot be read. What is listed or found
// only lacks the field, since it may be another record than is looked for.
func (o *object) readable(a *answer, properties []string) error {
	fields, _ := at(a.body, o.Fields)
	for _, p := range properties {
		if v, _ := at(fields, p); o.splits(p, v) {
			return flow.Errorf(flow.BadValue, "%s: a member of %s.%s holds a semicolon, which Tandem puts between members; rename it there", a.what, o.name, p)
		}
	}
	return nil
}

// text is scalar at a path, "" when absent.
func text(v any, path string) string {
	if path == "" {
		return ""
	}
	found, _ := at(v, path)
	return scalar(found)
}

// identifier is the text of an id: a string or a number, "" for anything else.
func identifier(v any, path string) string {
	switch found, _ := at(v, path); found.(type) {
	case string, json.Number:
		return scalar(found)
	}
	return ""
}

// instant reads a time as text or as a number of seconds or milliseconds; zero
// when it is neither.
func instant(v any) time.Time {
	s := scalar(v)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if len(s) > 11 {
			return time.UnixMilli(n).UTC()
		}
		return time.Unix(n, 0).UTC()
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// milliseconds rewrites a date or time that is told as seconds: HubSpot, to which
// the canonical form is fitted, tells none. Ten digits of milliseconds would be a
// day of early 1970. Eight digits may be a date, unless they are negative.
func milliseconds(t record.Type, s string) string {
	digits, negative := strings.CutPrefix(strings.TrimSpace(s), "-")
	if t != record.Date && t != record.DateTime || len(digits) > 10 || len(digits) < 8 || len(digits) == 8 && !negative {
		return s
	}
	if _, err := strconv.ParseUint(digits, 10, 64); err != nil {
		return s
	}
	return strings.TrimSpace(s) + "000"
}

// off are the words for a mark that is not set, in lower case.
var off = []string{"", "n", "no", "false", "f", "off", "null", "none"}

// noDates begin the dates that systems keep where there is none: MySQL's, .NET's
// and Go's, and the second zero of Unix.
var noDates = []string{"0000-", "0001-01-01", "1970-01-01"}

// set reports whether a marker such as archived or deletedAt is on. A record that
// is wrongly taken for deleted takes its partner along, so no spelling of "no" may
// count as set.
func set(v any) bool {
	s := strings.ToLower(strings.TrimSpace(scalar(v)))
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return n != 0
	}
	return !slices.Contains(off, s) && !slices.ContainsFunc(noDates, func(d string) bool { return strings.HasPrefix(s, d) })
}

// record reads a record out of an answer.
func (o *object) record(a *answer, v any, properties []string) (record.Record, error) {
	id := identifier(v, o.ID)
	if id == "" {
		return record.Record{}, flow.Errorf(flow.RemoteRefused, "%s: the answer holds no id at %q; check destination.objects.%s.id and result", a.what, o.ID, o.name)
	}
	r := record.Record{ID: id, Fields: make(record.Fields, len(properties)), Version: text(v, o.Version), ReadAt: a.sent}
	var err error
	if r.UpdatedAt, err = o.time(a, v, "updatedAt", o.UpdatedAt); err != nil {
		return r, err
	}
	if date, err := http.ParseTime(a.header.Get("Date")); err == nil {
		r.Clock = date
	}
	if o.Archived != "" {
		mark, _ := at(v, o.Archived)
		r.Archived = set(mark)
	}
	if o.Conditional != "" {
		r.ETag = etag(a.etag, r.Version)
	}
	fields, _ := at(v, o.Fields)
	for _, p := range properties {
		if t, ok := o.read(fields, p); ok {
			r.Fields[p] = t
		} else if _, told := at(fields, p); !told && o.Absent == "blank" {
			r.Fields[p] = ""
		}
	}
	return r, nil
}

// time reads one of a record's times, zero where it tells none. One that cannot
// be read is refused: a poll whose times are all zero would list everything again
// each time, and say nothing.
func (o *object) time(a *answer, v any, name, path string) (time.Time, error) {
	if path == "" {
		return time.Time{}, nil
	}
	found, _ := at(v, path)
	t := instant(found)
	if o.TimeFormat != "" {
		t, _ = time.Parse(o.TimeFormat, scalar(found))
	}
	if s := scalar(found); t.IsZero() && s != "" && s != "false" && s != "0" {
		return t, flow.Errorf(flow.RemoteRefused, "%s: the time at %q cannot be read; say how it is written in destination.objects.%s.timeFormat, or correct %s", a.what, path, o.name, name)
	}
	return t.UTC(), nil
}

// etag prefers the header; a version stands in as a quoted entity tag.
func etag(header, version string) string {
	if header != "" || version == "" || strings.HasPrefix(version, `"`) || strings.HasPrefix(version, `W/"`) {
		if header == "" {
			return version
		}
		return header
	}
	return `"` + version + `"`
}

// list reads the items of an answer; a single record counts as a list of one.
func list(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case map[string]any:
		if len(v) > 0 {
			return []any{v}
		}
	}
	return nil
}

// observed names the properties to read from the answer to a write: the mapped
// ones and those that were sent.
func (o *object) observed(sent record.Fields) []string {
	out := slices.Clone(o.names)
	for name := range sent {
		if !slices.Contains(o.names, name) {
			out = append(out, name)
		}
	}
	return out
}
