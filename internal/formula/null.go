package formula

import "tandem/internal/record"

// null copies the value; only the types of the two ends may change its spelling.
var null = Formula{
	Name:   "null",
	Doc:    "Copies the value unchanged. Written as null, or left out.",
	Effect: Copies,
	Examples: []Example{
		{Text: "text", In: record.Fields{"city": "New  York"}, Want: "New  York"},
		{Text: "a blank field is blanked", In: record.Fields{"city": ""}, Want: ""},
		{Text: "a missing field is left alone", In: record.Fields{}, Missing: true},
		{Text: "a number", Args: Args{From: record.Number}, In: record.Fields{"city": "12.5"}, Want: "12.5"},
		{Text: "several values", Args: Args{From: record.Set}, In: record.Fields{"city": "a;b"}, Want: "a;b"},
	},
	New:     func(Args) (Func, error) { return func(in []string) (string, error) { return in[0], nil }, nil },
	Reverse: sameWayBack,
}

// sameWayBack is the way back of a formula that is its own.
func sameWayBack(a Args) (Args, error) {
	a.From, a.To = a.To, a.From
	return a, nil
}
