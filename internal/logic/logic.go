// Package logic holds hand-written translations, for what the closed set of
// formulas cannot say. A spec names one as {"logic": "name"}.
//
// A function lives in a file of its own, registers itself with documentation
// and examples, and carries a review record in reviews.json: its author, a
// second reviewer and the SHA-256 of the file as it was reviewed. A test fails
// when the file has changed since. Functions are pure: no clock, no network, no
// state. They are never asked about a missing or a blank value, and their
// errors say what is wrong without repeating the value.
package logic

import (
	"maps"
	"slices"

	"tandem/internal/record"
)

// Function is one hand-written translation on canonical text.
type Function struct {
	// Name is the spec's word for it, Doc what it does, in a sentence or two.
	Name, Doc string
	// Forward is the way that the field's formula goes. Reverse leads back; nil
	// makes the function one-way.
	Forward, Reverse func(text string) (string, error)
	// From and To are the types it translates between; text and options when empty.
	From, To []record.Type
	// Examples are its documentation and its tests, and what the checker of
	// specs tries the way there and back on.
	Examples []Example
}

// Example is one application of Forward; Fails when the value is refused.
type Example struct {
	Text, In, Want string
	Fails          bool
}

// Takes reports whether the function leads from values of type from to values of type to.
func (f Function) Takes(from, to record.Type) bool {
	return listed(f.From, from) && listed(f.To, to)
}

func listed(types []record.Type, t record.Type) bool {
	if len(types) == 0 {
		types = []record.Type{"", record.String, record.Enum}
	}
	return slices.Contains(types, t)
}

// Error says that a function refused a value. It names the function and what is
// wrong, never the value.
type Error struct {
	Function string
	Err      error
}

// Error implements error.
func (e *Error) Error() string { return "logic " + e.Function + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// functions is the registry, filled by each file's init.
var functions = map[string]Function{}

// register adds f; a name taken twice is a fault of the program.
func register(f Function) {
	if _, taken := functions[f.Name]; taken || f.Name == "" || f.Forward == nil {
		panic("logic: " + f.Name + " is registered twice or without a function")
	}
	functions[f.Name] = f
}

// ByName finds a function.
func ByName(name string) (Function, bool) {
	f, ok := functions[name]
	return f, ok
}

// Names lists the registered functions in order.
func Names() []string { return slices.Sorted(maps.Keys(functions)) }
