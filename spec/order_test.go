package spec_test

import (
	"slices"
	"strings"
	"testing"

	"tandem/spec"
)

func TestParentsFirst(t *testing.T) {
	pair := func(name string, refers ...string) spec.Pair {
		p := spec.Pair{Name: name, Fields: []spec.Field{{Name: "plain"}}}
		for _, to := range refers {
			p.Fields = append(p.Fields, spec.Field{Name: to, HubSpot: spec.Prop{Pair: to}})
		}
		return p
	}
	for want, pairs := range map[string][]spec.Pair{
		"a b c": {pair("a"), pair("b"), pair("c")},
		"b c a": {pair("a", "b", "c"), pair("b"), pair("c", "b")},
		"a b":   {pair("a", "b"), pair("b", "a")}, // a ring
		"a":     {pair("a", "a")},
	} {
		var got []string
		for _, p := range (&spec.Spec{Pairs: pairs}).ParentsFirst() {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("order %v, want %s", got, want)
		}
	}
}
