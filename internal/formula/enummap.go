package formula

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tandem/internal/record"
)

// enumMap translates through a table that must know the value.
var enumMap = Formula{
	Name: "enumMap",
	Doc: "Looks the value up in a table, exactly as it is written there; a set is translated member by member. " +
		"A value that the table does not know is refused, never passed on. Blank stays blank and cannot be an entry. " +
		"Back it is the same table read from right to left, so both ways each right side may stand once, " +
		"or the reverse is written out.",
	Effect: Tabulates,
	Examples: []Example{
		{Text: "an entry", Args: stages, In: record.Fields{"stage": "lead"}, Want: "LEAD"},
		{Text: "a value without an entry is refused", Args: stages, In: record.Fields{"stage": "evangelist"}, Fails: true},
		{Text: "letters' case counts", Args: stages, In: record.Fields{"stage": "Lead"}, Fails: true},
		{Text: "a blank field is blanked", Args: stages, In: record.Fields{"stage": ""}, Want: ""},
		{Text: "a missing field is left alone", Args: stages, In: record.Fields{}, Missing: true},
		{Text: "a set, member by member", Args: Args{Table: stages.Table, From: record.Set, To: record.Set},
			In: record.Fields{"stage": "customer;lead"}, Want: "CUSTOMER;LEAD"},
		{Text: "a set with a member without an entry", Args: Args{Table: stages.Table, From: record.Set, To: record.Set},
			In: record.Fields{"stage": "customer;evangelist"}, Fails: true},
		{Text: "from a bool", Args: Args{Table: map[string]string{"Yes": "in", "No": "out"}, From: record.Bool, To: record.Enum},
			In: record.Fields{"stage": "true"}, Want: "in"},
	},
	New:     newEnumMap,
	Reverse: reverseTable,
}

var stages = Args{Table: map[string]string{"lead": "LEAD", "customer": "CUSTOMER"}}

// UnknownValueError says that an enumMap has no entry for a value, which it
// does not repeat, since it may be personal.
type UnknownValueError struct {
	// Allowed are the values the table knows, in order.
	Allowed []string
}

// Error implements error.
func (e *UnknownValueError) Error() string {
	return "enumMap has no entry for the value; it knows " + strings.Join(e.Allowed, ", ")
}

func newEnumMap(a Args) (Func, error) {
	table, err := CanonicalTable(a)
	if err != nil {
		return nil, err
	}
	one := func(text string) (string, error) {
		if to, ok := table[text]; ok {
			return to, nil
		}
		return "", &UnknownValueError{Allowed: slices.Sorted(maps.Keys(table))}
	}
	if a.From == record.Set {
		return eachMember(one), nil
	}
	return func(in []string) (string, error) { return one(in[0]) }, nil
}

func eachMember(one func(string) (string, error)) Func {
	return func(in []string) (string, error) {
		members := strings.Split(in[0], ";")
		for i, m := range members {
			to, err := one(m)
			if err != nil {
				return "", err
			}
			members[i] = to
		}
		return strings.Join(members, ";"), nil
	}
}

// CanonicalTable returns enumMap's table with both columns in the canonical
// spelling of their types. Entries that are blank, that a type cannot hold or
// that become one another are errors.
func CanonicalTable(a Args) (map[string]string, error) {
	if len(a.Table) == 0 {
		return nil, fmt.Errorf("enumMap needs a table with at least one entry")
	}
	table := make(map[string]string, len(a.Table))
	for _, from := range slices.Sorted(maps.Keys(a.Table)) {
		k, err := entry(a.From, from)
		if err != nil {
			return nil, err
		}
		v, err := entry(a.To, a.Table[from])
		if err != nil {
			return nil, err
		}
		if old, twice := table[k]; twice && old != v {
			return nil, fmt.Errorf("enumMap has two entries for %q, which as %s are one", from, member(a.From))
		}
		table[k] = v
	}
	return table, nil
}

// entry canonicalises one cell of the table.
func entry(t record.Type, cell string) (string, error) {
	c, err := record.Canonical(member(t), cell)
	switch {
	case err != nil:
		return "", fmt.Errorf("enumMap's entry %q: %w", cell, err)
	case c == "":
		return "", fmt.Errorf("enumMap has a blank entry; blank always stays blank")
	case t == record.Set && strings.Contains(c, ";"):
		return "", fmt.Errorf("enumMap's entry %q holds a semicolon; a set is translated member by member", cell)
	}
	return c, nil
}

// member is the type of one cell: a set's members are options.
func member(t record.Type) record.Type {
	switch t {
	case "":
		return record.String
	case record.Set:
		return record.Enum
	}
	return t
}

// AmbiguousError says that an enumMap cannot be read from right to left, since
// First and Second both become To.
type AmbiguousError struct{ First, Second, To string }

// Error implements error.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("enumMap cannot be reversed: %s and %s both become %s", e.First, e.Second, e.To)
}

func reverseTable(a Args) (Args, error) {
	table, err := CanonicalTable(a)
	if err != nil {
		return Args{}, err
	}
	back := Args{Table: make(map[string]string, len(table)), From: a.To, To: a.From}
	for _, from := range slices.Sorted(maps.Keys(table)) {
		to := table[from]
		if first, twice := back.Table[to]; twice {
			return Args{}, &AmbiguousError{First: first, Second: from, To: to}
		}
		back.Table[to] = from
	}
	return back, nil
}
