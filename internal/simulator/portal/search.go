package portal

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tandem/internal/record"
)

// Query is a search request.
type Query struct {
	FilterGroups []struct {
		Filters []Filter `json:"filters"`
	} `json:"filterGroups"`
	Sorts      []Sort   `json:"sorts"`
	Properties []string `json:"properties"`
	Limit      int      `json:"limit"`
	After      string   `json:"after"`
	Text       string   `json:"query"`
}

// Filter is one condition of a search.
type Filter struct {
	PropertyName string   `json:"propertyName"`
	Operator     string   `json:"operator"`
	Value        string   `json:"value"`
	Values       []string `json:"values"`
}

// Sort orders a search's results.
type Sort struct {
	PropertyName string `json:"propertyName"`
	Direction    string `json:"direction"`
}

// Results is a page of records.
type Results struct {
	Total   int      `json:"total"`
	Results []Record `json:"results"`
	Paging  *Paging  `json:"paging,omitempty"`
}

// Paging tells where the next page starts.
type Paging struct {
	Next struct {
		After string `json:"after"`
	} `json:"next"`
}

const (
	maxResults = 10_000
	maxPage    = 200
	maxGroups  = 5
	maxFilters = 18
)

// Search answers from the index: what changed within the search lag is not
// seen yet, archived records never.
func (p *Portal) Search(object string, q Query) (Results, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.object(object)
	if err != nil {
		return Results{}, err
	}
	offset, err := s.check(&q)
	if err != nil {
		return Results{}, err
	}
	var hits []entry
	for _, id := range s.order {
		e, indexed := p.indexed(s.records[id])
		if indexed && e.Archived == 0 && s.matches(&e, q) {
			hits = append(hits, e)
		}
	}
	if len(q.Sorts) == 1 {
		slices.SortStableFunc(hits, s.sorted(q.Sorts[0]))
	}
	out := Results{Total: len(hits), Results: []Record{}}
	for _, e := range hits[min(offset, len(hits)):min(offset+q.Limit, len(hits))] {
		out.Results = append(out.Results, p.answer(s, &e, cmpOr(slices.Clone(q.Properties), defaults(object)), nil, nil))
	}
	if end := offset + q.Limit; end < len(hits) {
		out.Paging = &Paging{}
		out.Paging.Next.After = strconv.Itoa(end)
	}
	return out, nil
}

// check applies the limits that HubSpot documents for search.
func (s *store) check(q *Query) (offset int, err error) {
	filters := 0
	for _, g := range q.FilterGroups {
		filters += len(g.Filters)
		for _, f := range g.Filters {
			if _, known := s.defs[f.PropertyName]; !known {
				return 0, invalid(fmt.Sprintf("There was a problem with the request: property %q does not exist", f.PropertyName))
			}
		}
	}
	q.Limit = cmp.Or(q.Limit, 10)
	if q.After != "" {
		if offset, err = strconv.Atoi(q.After); err != nil || offset < 0 {
			return 0, invalid("after must be an integer")
		}
	}
	switch {
	case len(q.FilterGroups) > maxGroups || filters > maxFilters || len(q.Sorts) > 1:
		return 0, invalid("too many filters or sorts")
	case q.Limit < 0 || q.Limit > maxPage:
		return 0, invalid("limit must be at most 200")
	case offset+q.Limit > maxResults:
		return 0, invalid("paging past 10000 results is not supported")
	}
	return offset, nil
}

func (s *store) sorted(by Sort) func(a, b entry) int {
	d := s.defs[by.PropertyName]
	return func(a, b entry) int {
		c := d.compare(s.text(&a, by.PropertyName), s.text(&b, by.PropertyName))
		if strings.HasPrefix(by.Direction, "DESC") {
			return -c
		}
		return c
	}
}

func (s *store) text(e *entry, name string) string {
	if v := s.value(e, name); v != nil {
		return *v
	}
	return ""
}

func (s *store) matches(e *entry, q Query) bool {
	if q.Text != "" && !containsText(e.Props, q.Text) {
		return false
	}
	for _, g := range q.FilterGroups {
		if !slices.ContainsFunc(g.Filters, func(f Filter) bool { return !s.defs[f.PropertyName].matches(f, s.text(e, f.PropertyName)) }) {
			return true
		}
	}
	return len(q.FilterGroups) == 0
}

func containsText(props map[string]string, text string) bool {
	for _, v := range props {
		if strings.Contains(strings.ToLower(v), strings.ToLower(text)) {
			return true
		}
	}
	return false
}

func (d Property) matches(f Filter, value string) bool {
	switch f.Operator {
	case "HAS_PROPERTY":
		return value != ""
	case "NOT_HAS_PROPERTY":
		return value == ""
	case "IN":
		return slices.ContainsFunc(f.Values, func(v string) bool { return value != "" && d.compare(value, v) == 0 })
	case "NOT_IN":
		return !slices.ContainsFunc(f.Values, func(v string) bool { return d.compare(value, v) == 0 })
	case "NEQ":
		return d.compare(value, f.Value) != 0
	case "CONTAINS_TOKEN":
		return strings.Contains(strings.ToLower(value), strings.ToLower(strings.Trim(f.Value, "*")))
	}
	if value == "" {
		return false
	}
	c := d.compare(value, f.Value)
	switch f.Operator {
	case "EQ":
		return c == 0
	case "GT":
		return c > 0
	case "GTE":
		return c >= 0
	case "LT":
		return c < 0
	case "LTE":
		return c <= 0
	}
	return false
}

// compare orders two values of the property: numbers and instants by size,
// enumerations as they are, other text without regard to case.
func (d Property) compare(a, b string) int {
	switch d.Type {
	case record.Number:
		x, errX := strconv.ParseFloat(a, 64)
		y, errY := strconv.ParseFloat(b, 64)
		if errX == nil && errY == nil {
			return cmp.Compare(x, y)
		}
	case record.Date, record.DateTime:
		x, errX := record.Canonical(d.Type, a)
		y, errY := record.Canonical(d.Type, b)
		if errX == nil && errY == nil {
			return cmp.Compare(x, y)
		}
	case record.Enum, record.Set:
		return cmp.Compare(a, b)
	}
	if d.Name == "hs_object_id" {
		return record.CompareVersions(a, b)
	}
	return cmp.Compare(strings.ToLower(a), strings.ToLower(b))
}

// List answers records in order of creation.
func (p *Portal) List(object string, limit int, after string, archived bool, properties, associations []string) (Results, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.object(object)
	if err != nil {
		return Results{}, err
	}
	out := Results{Results: []Record{}}
	limit = cmp.Or(limit, 10)
	for _, id := range s.order {
		e := s.records[id]
		if (e.Archived != 0) != archived || after != "" && number(id) < number(after) {
			continue
		}
		out.Total++
		if len(out.Results) == limit {
			out.Paging = &Paging{}
			out.Paging.Next.After = id
			break
		}
		out.Results = append(out.Results, p.answer(s, e, cmpOr(slices.Clone(properties), defaults(object)), associations, nil))
	}
	return out, nil
}
