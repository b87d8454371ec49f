package formula

import (
	"fmt"
	"slices"
	"strings"

	"tandem/internal/record"
)

// concat joins properties and literal text.
var concat = Formula{
	Name: "concat",
	Doc: "Joins its parts: {name} is the value of a property, anything else stands for itself. White space at both " +
		"ends of the result is removed, so that a blank part leaves no gap there. One way only: a joined text cannot " +
		"be taken apart again. While one of the properties is missing there is no result.",
	Effect: Joins,
	Examples: []Example{
		{Text: "a full name", Args: fullName, In: record.Fields{"first": "Anna", "last": "Lind"}, Want: "Anna Lind"},
		{Text: "a blank part", Args: fullName, In: record.Fields{"first": "", "last": "Lind"}, Want: "Lind"},
		{Text: "all parts blank", Args: fullName, In: record.Fields{"first": "", "last": ""}, Want: ""},
		{Text: "a missing part: nothing is written", Args: fullName, In: record.Fields{"last": "Lind"}, Missing: true},
		{Text: "numbers are joined as text", Args: Args{Parts: []string{"{floor}", "/", "{room}"}},
			In: record.Fields{"floor": "2", "room": "12.5"}, Want: "2/12.5"},
		{Text: "a property used twice", Args: Args{Parts: []string{"{a}", "-", "{a}"}}, In: record.Fields{"a": "x"}, Want: "x-x"},
	},
	New: newConcat,
}

var fullName = Args{Parts: []string{"{first}", " ", "{last}"}}

// Placeholder returns the property that a part of concat names in braces.
func Placeholder(part string) (property string, ok bool) {
	if len(part) > 2 && part[0] == '{' && part[len(part)-1] == '}' {
		return part[1 : len(part)-1], true
	}
	return "", false
}

// Placeholders lists the properties that parts name, each once, in order.
func Placeholders(parts []string) (properties []string) {
	for _, part := range parts {
		if p, ok := Placeholder(part); ok && !slices.Contains(properties, p) {
			properties = append(properties, p)
		}
	}
	return properties
}

func newConcat(a Args) (Func, error) {
	inputs := Placeholders(a.Parts)
	if len(inputs) == 0 {
		return nil, fmt.Errorf(`concat names no property; write one in braces, such as "{firstname}"`)
	}
	from := make([]int, len(a.Parts)) // index into the inputs, -1 for literal text
	for i, part := range a.Parts {
		p, _ := Placeholder(part)
		from[i] = slices.Index(inputs, p)
	}
	return func(in []string) (string, error) {
		part := func(i int) string {
			if from[i] >= 0 {
				return in[from[i]]
			}
			return a.Parts[i]
		}
		size := 0
		for i := range from {
			size += len(part(i))
		}
		var b strings.Builder
		b.Grow(size)
		for i := range from {
			b.WriteString(part(i))
		}
		return strings.TrimSpace(b.String()), nil
	}, nil
}
