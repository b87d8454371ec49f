package asl

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// path is a Reference Path (States Language, "Reference Paths"): it names one
// place, by members and indexes only. Filters, slices and wildcards are refused.
type path struct {
	text    string
	context bool // begins with $$
	steps   []step
}

// step is a member's name, or an index when name is empty and index is set.
type step struct {
	name  string
	index int // -1 for a member
}

// parsePath reads $, $.a.b, $['a b'], $.a[0] and the same behind $$.
func parsePath(s string) (*path, error) {
	p := &path{text: s}
	rest, ok := strings.CutPrefix(s, "$")
	if !ok {
		return nil, fmt.Errorf("path %q does not begin with $", s)
	}
	if after, ok := strings.CutPrefix(rest, "$"); ok {
		p.context, rest = true, after
	}
	for rest != "" {
		st, after, ok := cutStep(rest)
		if !ok {
			return nil, fmt.Errorf("path %q: %q is not supported; a path is made of .name, ['name'] and [index]", s, rest)
		}
		p.steps, rest = append(p.steps, st), after
	}
	return p, nil
}

// cutStep reads the first step of what is left of a path.
func cutStep(s string) (st step, rest string, ok bool) {
	if after, dot := strings.CutPrefix(s, "."); dot {
		n := 0
		for n < len(after) && plain(after[n]) {
			n++
		}
		return step{after[:n], -1}, after[n:], n > 0
	}
	if after, quoted := strings.CutPrefix(s, "['"); quoted {
		name, rest, ok := strings.Cut(after, "']")
		return step{name, -1}, rest, ok && name != "" && !strings.ContainsAny(name, `'"\[]`)
	}
	inner, rest, ok := strings.Cut(strings.TrimPrefix(s, "["), "]")
	n, err := strconv.ParseUint(inner, 10, 31)
	return step{"", int(n)}, rest, ok && s[0] == '[' && err == nil
}

// plain tells the characters of a name that needs no brackets.
func plain(c byte) bool {
	return c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// in looks the path up; it reports false when there is nothing.
func (p *path) in(v *value) (json.RawMessage, bool) { return follow(p.steps, v) }

// follow goes so many steps into a value.
func follow(steps []step, v *value) (json.RawMessage, bool) {
	if len(steps) == 0 {
		return v.text(), true
	}
	raw, ok := json.RawMessage(nil), false
	if v.object {
		if steps[0].index < 0 {
			raw, ok = v.member(steps[0].name)
		}
		steps = steps[1:]
	} else {
		raw, ok = v.text(), true
	}
	for _, s := range steps {
		if !ok {
			return nil, false
		}
		raw, ok = s.in(raw)
	}
	return raw, ok
}

// in finds the member or element of one JSON text. Of a name that is there
// twice the last counts, as in encoding/json.
func (s step) in(raw json.RawMessage) (found json.RawMessage, ok bool) {
	switch kindOf(raw) {
	case '{':
		each(raw, func(m member) bool {
			if s.index < 0 && m.name == s.name {
				found, ok = m.value, true
			}
			return true
		})
	case '[':
		i := 0
		each(raw, func(m member) bool {
			if i == s.index {
				found, ok = m.value, true
			}
			i++
			return !ok
		})
	}
	return found, ok
}

// parseNames reads a path that something is put at: members only, in $.
func parseNames(s string) ([]string, error) {
	p, err := parsePath(s)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, st := range p.steps {
		if st.index >= 0 {
			return nil, fmt.Errorf("path %q: an index is not supported where something is put", s)
		}
		names = append(names, st.name)
	}
	if p.context {
		return nil, fmt.Errorf("path %q: the context object cannot be written", s)
	}
	return names, nil
}
