package erp

import (
	"slices"
	"strings"
)

// index finds records by the value of a field, letter case aside, as a system's
// own indexes do: a search must not become slower with every record.
type index map[string]map[string]bool // field and value: ids

func entry(field, value string) string { return field + "\x00" + strings.ToLower(value) }

// put and drop keep the index in step with one field of one record.
func (x index) put(r *Record, field string) {
	value := Show(r.Fields[field])
	if value == "" {
		return
	}
	key := entry(field, value)
	if x[key] == nil {
		x[key] = map[string]bool{}
	}
	x[key][r.ID] = true
}

func (x index) drop(r *Record, field string) {
	key := entry(field, Show(r.Fields[field]))
	delete(x[key], r.ID)
	if len(x[key]) == 0 {
		delete(x, key)
	}
}

// with lists the live records whose field has the value, in the order of their ids.
func (s *store) with(field, value string) []*Record {
	if value == "" {
		return nil
	}
	var out []*Record
	for id := range s.index[entry(field, value)] {
		if r := s.records[id]; !r.Deleted {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *Record) int { return byID(*a, *b) })
	return out
}
