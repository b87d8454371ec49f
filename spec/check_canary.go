package spec

import (
	"fmt"

	"tandem/internal/record"
)

// CanaryLength is how many characters a canary's text has at most.
const CanaryLength = 48

// canary checks that the text a canary writes can arrive as it was written.
func (c *checker) canary() {
	can := c.spec.Canary
	if can == nil {
		return
	}
	pair, ok := c.spec.PairByName(can.Pair)
	if !ok {
		c.refuse("canary", "canary.pair", fmt.Sprintf("there is no pair %s", can.Pair), "Name the pair of the canary's record")
		return
	}
	switch can.ToDestination {
	case "":
		if can.ToHubSpot == "" {
			c.refuse("canary", "canary", "no field is named, so nothing is tried", "Add toDestination, toHubSpot or both")
		}
	case can.ToHubSpot:
		c.refuse("canary", "canary.toHubSpot", "one field written on both sides in turn is what the loop breaker parks", "Name another field than toDestination does")
	}
	c.canaryField(pair, can.ToDestination, ToDestination, "canary.toDestination")
	c.canaryField(pair, can.ToHubSpot, ToHubSpot, "canary.toHubSpot")
}

func (c *checker) canaryField(pair Pair, name string, d Direction, path string) {
	if name == "" {
		return
	}
	f, ok := pair.FieldByName(name)
	switch {
	case !ok:
		c.refuse("canary", path, fmt.Sprintf("pair %s has no field %s", pair.Name, name), "Name one of its fields")
	case !f.Travels(d):
		c.refuse("canary", path, fmt.Sprintf("the field does not travel %s", d), "Name one that does")
	case !carries(f, pair, d):
		c.refuse("canary", path, fmt.Sprintf("its text could not arrive as it was written: the field must be a text of at least %d characters under null, lowercase or stripSpaces", CanaryLength),
			"Name another field")
	case matches(pair, name):
		c.refuse("canary", path, "records are recognised by this field, so the canary would lose its partner", "Name another field")
	}
}

// carries reports whether a canary's text, which is lower case and without
// spaces, goes through the field unchanged.
func carries(f Field, pair Pair, d Direction) bool {
	for _, side := range []Prop{f.HubSpot, f.Destination} {
		if side.Type != "" && side.Type != record.String || side.MaxLength > 0 && side.MaxLength < CanaryLength {
			return false
		}
	}
	r, err := pair.Rule(f, d)
	if err != nil {
		return false
	}
	switch r.Formula.Kind() {
	case "null", "lowercase", "stripSpaces":
		return true
	}
	return false
}

func matches(pair Pair, field string) bool {
	for _, m := range pair.Match {
		if m.Field == field {
			return true
		}
	}
	return false
}
