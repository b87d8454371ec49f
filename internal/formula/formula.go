// Package formula is the closed set of formulas that a spec may name: null,
// enumMap, stripSpaces, lowercase and concat, one file each.
//
// A formula is a pure function on canonical text (package record). Because the
// set is closed and each formula says what it does to information (Effect), the
// checker in package spec can decide whether a two-way field may lose data or
// loop. Anything beyond the set is hand-written Go in package logic.
//
// Two rules hold for every formula. A missing input is not a blank one: where
// an input is absent from the record, the result is absent, so nothing is ever
// cleared by not being told. And blank is blank: when every input is blank the
// result is blank and the formula is not asked.
//
// The package knows no spec, no type of a system and no record of one; it is
// not a place for clean-up functions that only one client needs.
package formula

import (
	"fmt"
	"slices"
	"strings"

	"tandem/internal/record"
)

// Effect says what a formula does to information, which decides whether a
// field that uses it may travel both ways.
type Effect string

// The effects.
const (
	// Copies: nothing is lost.
	Copies Effect = "copies"
	// Canonicalises: several spellings become one, and that one stays as it is
	// (applying the formula twice is applying it once).
	Canonicalises Effect = "canonicalises"
	// Tabulates: a finite table decides; injective or not, it can be enumerated.
	Tabulates Effect = "tabulates"
	// Joins: several inputs become one text, which cannot be taken apart again.
	Joins Effect = "joins"
)

// Args are what a spec writes beside a formula's name.
type Args struct {
	// Table is enumMap's.
	Table map[string]string
	// Parts are concat's: literal text, or a property's name in braces.
	Parts []string
	// From and To are the types of the two ends; both are string when empty.
	From, To record.Type
}

// Func is a formula made ready for one field. It is given the canonical text of
// its inputs in the order of Formula.Inputs (a single one but for concat).
type Func func(in []string) (string, error)

// Run applies f under the rule that blank is blank.
func (f Func) Run(in []string) (string, error) {
	for _, text := range in {
		if text != "" {
			return f(in)
		}
	}
	return "", nil
}

// Formula is one member of the closed set.
type Formula struct {
	// Name is the spec's word for it.
	Name string
	// Doc says in a sentence or two what it does, for the generated documents.
	Doc string
	// Effect is what it does to information.
	Effect Effect
	// From lists the types of input it takes; all when empty.
	From []record.Type
	// Examples are its documentation and its tests.
	Examples []Example
	// New makes it ready for one field; an error says what its Args lack.
	New func(Args) (Func, error)
	// Reverse gives the Args with which the same formula leads back; nil when
	// there is no way back. An error says why these Args have none.
	Reverse func(Args) (Args, error)
}

// Example is one application of a formula: input by property name, result.
type Example struct {
	Text string // what it shows
	Args Args
	In   record.Fields
	Want string
	// Missing: there is no result, since an input is missing. Fails: the value is refused.
	Missing, Fails bool
}

// set is the registry, in the order documentation prints it.
var set = []Formula{null, enumMap, stripSpaces, lowercase, concat}

// All returns the closed set in the order documentation prints it.
func All() []Formula { return slices.Clone(set) }

// Names lists the names of the closed set.
func Names() []string {
	names := make([]string, len(set))
	for i, f := range set {
		names[i] = f.Name
	}
	return names
}

// ByName finds a formula of the closed set.
func ByName(name string) (Formula, bool) {
	i := slices.IndexFunc(set, func(f Formula) bool { return f.Name == name })
	if i < 0 {
		return Formula{}, false
	}
	return set[i], true
}

// Inputs returns the property names that f reads, in the order its Func takes
// them: those in concat's parts, otherwise property alone.
func (f Formula) Inputs(a Args, property string) []string {
	if f.Effect == Joins {
		return Placeholders(a.Parts)
	}
	return []string{property}
}

// Takes reports whether f is defined on type t.
func (f Formula) Takes(t record.Type) bool {
	return len(f.From) == 0 || t == "" || slices.Contains(f.From, t)
}

// ready refuses a type that f is not defined on, naming those it is.
func ready(name string, from []record.Type, a Args) error {
	if (Formula{From: from}).Takes(a.From) {
		return nil
	}
	return fmt.Errorf("%s is defined on %s, not on %s", name, typeList(from), a.From)
}

func typeList(types []record.Type) string {
	words := make([]string, len(types))
	for i, t := range types {
		words[i] = string(t)
	}
	return strings.Join(words, " and ")
}

// text lists the types whose canonical form is free text.
var text = []record.Type{record.String, record.Enum}
