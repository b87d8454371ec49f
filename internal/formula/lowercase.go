package formula

import (
	"strings"

	"tandem/internal/record"
)

// lowercase maps each character to its lower case.
var lowercase = Formula{
	Name: "lowercase",
	Doc: "Maps every letter to Unicode lower case, character by character and the same in every language. " +
		"Both ways it is a canonical form: the side that is written to never gets capitals.",
	Effect: Canonicalises,
	From:   text,
	Examples: []Example{
		{Text: "an address", In: record.Fields{"email": "Anna.Lind@Example.COM"}, Want: "anna.lind@example.com"},
		{Text: "letters beyond ASCII", In: record.Fields{"email": "ÅÄÖ ΑΒΓ ЖЗИ"}, Want: "åäö αβγ жзи"},
		{Text: "a letter without a lower case", In: record.Fields{"email": "ß 東 1"}, Want: "ß 東 1"},
		{Text: "nothing to do", In: record.Fields{"email": "anna"}, Want: "anna"},
		{Text: "a blank field is blanked", In: record.Fields{"email": ""}, Want: ""},
		{Text: "a missing field is left alone", In: record.Fields{}, Missing: true},
		{Text: "an option's name", Args: Args{From: record.Enum}, In: record.Fields{"email": "OPEN"}, Want: "open"},
	},
	New: func(a Args) (Func, error) {
		return func(in []string) (string, error) { return strings.ToLower(in[0]), nil }, ready("lowercase", text, a)
	},
	Reverse: sameWayBack,
}
