package spec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tandem/internal/formula"
	"tandem/internal/logic"
	"tandem/internal/record"
)

// Logic is the Name of a Formula that is a hand-written function.
const Logic = "logic"

// Kind is the formula's name in the closed set, or Logic. A nil Formula is null.
func (f *Formula) Kind() string {
	switch {
	case f == nil:
		return "null"
	case f.Name != "":
		return f.Name
	case f.EnumMap != nil:
		return "enumMap"
	case f.Concat != nil:
		return "concat"
	case f.Logic != "":
		return Logic
	}
	return "null"
}

// plainNames are the formulas without arguments, written as a text.
func plainNames() (names []string) {
	for _, f := range formula.All() {
		if f.Effect != formula.Tabulates && f.Effect != formula.Joins {
			names = append(names, f.Name)
		}
	}
	return names
}

// allowedFormulas says what may stand where a formula is expected.
func allowedFormulas() string {
	return `null, "` + strings.Join(plainNames(), `", "`) + `", {"enumMap": {...}}, {"concat": [...]} or {"logic": "` +
		strings.Join(logic.Names(), `" or "`) + `"}`
}

// UnmarshalJSON reads a formula as documented on the type. Unknown names are
// refused with the list of those there are.
func (f *Formula) UnmarshalJSON(b []byte) error {
	name := "null" // what JSON's null leaves
	if err := json.Unmarshal(b, &name); err == nil {
		if !slices.Contains(plainNames(), name) {
			return fmt.Errorf("there is no formula %q; allowed are %s", name, allowedFormulas())
		}
		*f = Formula{Name: name}
		return nil
	}
	type object Formula // without this method
	var o object
	var keys map[string]json.RawMessage
	if json.Unmarshal(b, &keys) != nil || json.Unmarshal(b, &o) != nil || len(keys) != 1 {
		return fmt.Errorf("not a formula; allowed are %s", allowedFormulas())
	}
	*f = Formula(o)
	f.Name = (*Formula)(&o).Kind()
	return f.known()
}

// known refuses an object that is none of enumMap, concat and logic.
func (f *Formula) known() error {
	if f.Name == "null" {
		return fmt.Errorf("not a formula; allowed are %s", allowedFormulas())
	}
	if _, ok := logic.ByName(f.Logic); f.Name == Logic && !ok {
		return fmt.Errorf("there is no logic %q; registered are %s", f.Logic, strings.Join(logic.Names(), ", "))
	}
	return nil
}

// MarshalJSON writes the form that UnmarshalJSON reads.
func (f Formula) MarshalJSON() ([]byte, error) {
	switch kind := f.Kind(); kind {
	case "enumMap":
		return json.Marshal(map[string]any{kind: f.EnumMap})
	case "concat":
		return json.Marshal(map[string]any{kind: f.Concat})
	case Logic:
		return json.Marshal(map[string]any{kind: f.Logic})
	default:
		return json.Marshal(kind)
	}
}

// args are what the formula is made ready with between two types.
func (f *Formula) args(from, to record.Type) formula.Args {
	a := formula.Args{From: from, To: to}
	if f != nil {
		a.Table, a.Parts = f.EnumMap, f.Concat
	}
	return a
}

// reversed derives the way back of a formula that goes from from to to.
func (f *Formula) reversed(from, to record.Type) (*Formula, error) {
	if f.Kind() == Logic {
		fn, ok := logic.ByName(f.Logic)
		if ok && fn.Reverse == nil {
			return nil, fmt.Errorf("logic %s has no way back", f.Logic)
		}
		return f, nil // the rule takes the function's Reverse
	}
	known, ok := formula.ByName(f.Kind())
	if !ok {
		return nil, fmt.Errorf("there is no formula %q; allowed are %s", f.Kind(), allowedFormulas())
	}
	if known.Reverse == nil {
		return nil, fmt.Errorf("%s has no way back", known.Name)
	}
	a, err := known.Reverse(f.args(from, to))
	if err != nil {
		return nil, err
	}
	return &Formula{Name: known.Name, EnumMap: a.Table, Concat: a.Parts}, nil
}
