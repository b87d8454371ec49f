package asl

import (
	"encoding/json"
	"slices"
)

// value is a state's data. An object is kept as its top-level members, so that
// adding one section copies pointers and not text; the whole text is joined
// only when somebody needs it, once. Values are never changed after use.
type value struct {
	raw     json.RawMessage // nil until joined
	object  bool
	members []member
}

// newValue takes valid JSON text.
func newValue(raw json.RawMessage) *value {
	v := &value{raw: raw, object: kindOf(raw) == '{'}
	if v.object {
		v.members = make([]member, 0, 8)
		each(raw, func(m member) bool {
			v.set(m)
			return true
		})
	}
	return v
}

// set adds a member or replaces the one of the same name.
func (v *value) set(m member) {
	for i := range v.members {
		if v.members[i].name == m.name {
			v.members[i] = m
			return
		}
	}
	v.members = append(v.members, m)
}

// size is about how long the text is.
func (v *value) size() int {
	if v.raw != nil {
		return len(v.raw)
	}
	n := 2
	for _, m := range v.members {
		n += len(m.name) + len(m.value) + 4
	}
	return n
}

// text returns the JSON text.
func (v *value) text() json.RawMessage {
	if v.raw != nil {
		return v.raw
	}
	b := append(make([]byte, 0, v.size()), '{')
	for i, m := range v.members {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, m.name)
		b = append(append(b, ':'), m.value...)
	}
	v.raw = append(b, '}')
	return v.raw
}

// appendQuoted appends a JSON string; names are mostly plain.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f || s[i] == '"' || s[i] == '\\' {
			return append(b, quote(s)...)
		}
	}
	b = append(append(b, '"'), s...)
	return append(b, '"')
}

// member returns the named member's text.
func (v *value) member(name string) (json.RawMessage, bool) {
	for i := range v.members {
		if v.members[i].name == name {
			return v.members[i].value, true
		}
	}
	return nil, false
}

// with returns the value with raw put at the place that names tell, making
// objects on the way. It reports false when something that is no object is in
// the way.
func (v *value) with(names []string, raw json.RawMessage) (*value, bool) {
	if len(names) == 0 {
		return newValue(raw), true
	}
	if !v.object {
		return nil, false
	}
	if len(names) > 1 {
		inner := &value{object: true}
		if old, ok := v.member(names[0]); ok {
			inner = newValue(old)
		}
		inner, ok := inner.with(names[1:], raw)
		if !ok {
			return nil, false
		}
		raw = inner.text()
	}
	out := &value{object: true, members: slices.Clone(v.members)}
	out.set(member{names[0], raw})
	return out, true
}
