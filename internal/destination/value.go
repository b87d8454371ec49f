package destination

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// shape is how a system spells one property in JSON, as far as it was seen.
type shape struct{ known, array, number, text, emptyText bool }

// ownID is where an object's shapes keep the spelling of its own ids.
const ownID = ""

// shapes remembers spellings that types alone do not tell: a set as an array or
// as text, an id as a number, a blank as "".
type shapes struct {
	mu   sync.RWMutex
	seen map[string]shape
}

func (s *shapes) get(property string) shape {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.seen[property]
}

// note remembers how property was spelt this time.
func (s *shapes) note(property string, v any) {
	was := s.get(property)
	is := was
	switch v := v.(type) {
	case nil:
	case []any:
		is.known, is.array = true, true
	case string:
		is.known, is.array = true, false
		if v == "" { // which does not tell how others are spelt
			is.emptyText = true
		} else {
			is.number, is.text = false, true
		}
	case json.Number:
		is.known, is.number, is.text = true, true, false
	}
	if is == was {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]shape{}
	}
	s.seen[property] = is
}

// read takes one property's canonical text out of a record's JSON. A text that
// its type cannot hold is returned as it came: the translation, which knows
// whether the field travels, refuses it by name. A set that cannot be read is unknown:
// any text is a set.
func (o *object) read(fields any, property string) (string, bool) {
	v, ok := at(fields, property)
	if !ok {
		return "", false
	}
	t := o.types[property]
	if t == "" {
		t = record.String
	}
	if t != record.String {
		o.shapes.note(property, v)
	} else if v == "" {
		o.shapes.note(property, "")
	}
	if o.splits(property, v) {
		return "", false
	}
	raw := scalar(v)
	if canonical, err := record.Canonical(t, milliseconds(t, raw)); err == nil {
		return canonical, true
	}
	return raw, true
}

// encode is the JSON value of a property's canonical text.
func (o *object) encode(property, canonical string) (any, error) {
	s := o.shapes.get(property)
	if canonical == "" {
		if s.emptyText || o.Blank == "empty" {
			return "", nil
		}
		return nil, nil
	}
	switch o.types[property] {
	case record.Number:
		n, err := record.Canonical(record.Number, canonical)
		if err != nil {
			return nil, flow.Errorf(flow.BadValue, "%s.%s must be a number", o.name, property)
		}
		return json.Number(n), nil
	case record.Bool:
		b, err := record.Canonical(record.Bool, canonical)
		if err != nil {
			return nil, flow.Errorf(flow.BadValue, "%s.%s must be true or false", o.name, property)
		}
		return b == "true", nil
	case record.Set:
		if s.known && !s.array {
			return canonical, nil
		}
		return strings.Split(canonical, ";"), nil
	case record.Reference:
		if n, whole := integer(canonical); whole && o.numeric(property) {
			return n, nil
		}
	}
	return canonical, nil
}

// integer reads an id that can be a JSON number: "007" cannot.
func integer(id string) (int64, bool) {
	n, err := strconv.ParseInt(id, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == id
}

// numeric reports whether a reference is written as a number: as it was read, or
// else as the ids of the object are that it refers to.
func (o *object) numeric(property string) bool {
	if s := o.shapes.get(property); s.number || s.text {
		return s.number
	}
	target := o.targets[property]
	return target != nil && target.shapes.get(ownID).number
}

// noteID remembers how a record of the object spells its id.
func (o *object) noteID(v any) {
	if identifier(v, o.ID) != "" {
		id, _ := at(v, o.ID)
		o.shapes.note(ownID, id)
	}
}

// body makes a request's JSON. Blanks are left out of a plain create, where
// absent and blank are the same.
func (o *object) body(k *call, fields record.Fields, skipBlank bool) (any, error) {
	out := map[string]any{}
	for _, name := range fields.Names() {
		if skipBlank && fields[name] == "" {
			continue
		}
		v, err := o.encode(name, fields[name])
		if err != nil {
			return nil, err
		}
		put(out, name, v)
	}
	return under(k.Wrap, under(o.Fields, out)), nil
}
