package formula

import (
	"strings"
	"unicode"

	"tandem/internal/record"
)

// stripSpaces removes white space everywhere, not only at the ends.
var stripSpaces = Formula{
	Name: "stripSpaces",
	Doc: "Removes every character with Unicode's White_Space property, wherever it stands: tab, line feed, vertical tab, " +
		"form feed, carriage return, space, U+0085, U+00A0 (no-break space), U+1680, U+2000 to U+200A, U+2028, U+2029, " +
		"U+202F, U+205F and U+3000. Zero-width characters (U+200B, U+FEFF) are not white space and stay. " +
		"Both ways it is a canonical form: the side that is written to never gets spaces.",
	Effect: Canonicalises,
	From:   text,
	Examples: []Example{
		{Text: "inside and at the ends", In: record.Fields{"zip": " SW1A 1AA "}, Want: "SW1A1AA"},
		{Text: "no-break, thin and ideographic spaces", In: record.Fields{"zip": "20\u00a000\u2009\u30001"}, Want: "20001"},
		{Text: "tabs and line ends", In: record.Fields{"zip": "a\tb\nc"}, Want: "abc"},
		{Text: "a zero-width space stays", In: record.Fields{"zip": "a\u200bb"}, Want: "a\u200bb"},
		{Text: "nothing to do", In: record.Fields{"zip": "2000"}, Want: "2000"},
		{Text: "a blank field is blanked", In: record.Fields{"zip": ""}, Want: ""},
		{Text: "a missing field is left alone", In: record.Fields{}, Missing: true},
		{Text: "an option's name", Args: Args{From: record.Enum}, In: record.Fields{"zip": "A 1"}, Want: "A1"},
	},
	New: func(a Args) (Func, error) {
		return func(in []string) (string, error) { return strip(in[0]), nil }, ready("stripSpaces", text, a)
	},
	Reverse: sameWayBack,
}

func strip(s string) string {
	if strings.IndexFunc(s, unicode.IsSpace) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}
