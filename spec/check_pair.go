package spec

import (
	"fmt"
	"slices"
	"strings"

	"tandem/internal/record"
)

// writes reports whether a field of the pair travels in d.
func (c *pairChecker) writes(d Direction) bool {
	return slices.ContainsFunc(c.pair.Fields, func(f Field) bool { return f.Travels(d) })
}

// sides checks triggers and external ids.
func (c *pairChecker) sides() {
	side, path := c.pair.Destination, at(c.path, "destination")
	if side.Trigger == "poll" && c.hasObject && c.object.List == nil && c.rest() {
		c.refuse("poll-no-list", at(path, "trigger"), "the object is polled, but has no call that lists changes",
			"Add "+at(at("destination.objects", side.Object), "list"))
	}
	if side.Trigger == "poll" && c.hasObject && !c.object.tellsDeleted() && c.pair.Deletes.Destination == "archive" {
		c.warn("poll-no-deletes", at(path, "trigger"), "a poll does not see deletions unless the list marks deleted records, or is compared with what it held before",
			"Add archived to the object, if it has such a mark, or deletesEvery to its list")
	}
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		s, path := c.pair.Side(sys), at(c.path, string(sys))
		if s.Trigger == "poll" && s.Every.Duration <= 0 {
			c.refuse("poll-no-interval", at(path, "every"), "a poll needs an interval", `Add "every": "1m"`)
		}
		if s.ExternalID == "" && c.writes(From(sys.Other())) && (sys == record.HubSpot || !c.object.TellsCreated()) {
			c.warn("no-external-id", at(path, "externalId"), "after a create whose answer is lost, the search index must settle before it can be decided whether to repeat it",
				"Name a unique property that holds the other side's id")
		}
	}
	if c.hasObject && c.pair.Destination.ExternalID != "" && c.object.Upsert == nil && !slices.Contains(c.object.Unique, c.pair.Destination.ExternalID) {
		c.warn("external-id-not-unique", at(path, "externalId"), "the destination neither upserts by it nor keeps it unique, so it settles no doubt",
			"Add upsert to the object, or list the field in its unique")
	}
}

// deletes checks that a deletion that is to travel can.
func (c *pairChecker) deletes() {
	if c.pair.Deletes.HubSpot == "archive" && c.hasObject && c.object.Delete == nil && c.rest() {
		c.refuse("delete-missing", at(c.path, "deletes.hubspot"), "a deletion in HubSpot is to delete here, but the object has no delete call",
			"Add "+at(at("destination.objects", c.pair.Destination.Object), "delete")+", or choose ask or ignore")
	}
}

// duplicates: a property has one writer, a name one field, a property one type.
func (c *pairChecker) duplicates() {
	names, writers, types := map[string]string{}, map[string]string{}, map[string]record.Type{}
	for i, f := range c.pair.Fields {
		path := at(c.path, index("fields", i))
		if names[f.Name] != "" {
			c.refuse("duplicate-field", at(path, "name"), fmt.Sprintf("the name %s is taken by %s", f.Name, names[f.Name]), "Give each field its own name")
		}
		names[f.Name] = path
		for _, d := range []Direction{ToDestination, ToHubSpot} {
			c.oneWriter(f, d, path, writers)
		}
		for _, sys := range []record.System{record.HubSpot, record.Destination} {
			p := f.Side(sys)
			key := string(sys) + " " + p.Property
			if t, seen := types[key]; seen && t != typeOf(p) {
				c.refuse("type-conflict", at(path, string(sys)+".type"), fmt.Sprintf("%s is %s here and %s elsewhere in the pair", p.Property, typeOf(p), t), "Give it one type")
			}
			types[key] = typeOf(p)
		}
	}
}

// oneWriter refuses a second field that writes the same property, and one that
// writes the property that holds the other side's id.
func (c *pairChecker) oneWriter(f Field, d Direction, path string, writers map[string]string) {
	if !f.Travels(d) {
		return
	}
	sys := d.Target()
	property := f.Side(sys).Property
	key := string(sys) + " " + property
	if writers[key] != "" {
		c.refuse("duplicate-target", at(path, string(sys)+".property"), fmt.Sprintf("%s is written by %s too", property, writers[key]),
			"The two would overwrite each other for ever: keep one, or join them with concat")
	}
	writers[key] = path
	if property == c.pair.Side(sys).ExternalID {
		c.refuse("external-id-mapped", at(path, string(sys)+".property"), property+" holds the other side's id and is written by Tandem itself", "Remove the field")
	}
}

// references checks fields that hold ids of another pair's records, once all
// pairs are known.
func (c *checker) references() {
	for i, p := range c.spec.Pairs {
		for j, f := range p.Fields {
			c.reference(f, at(index("pairs", i), index("fields", j)))
		}
	}
	c.referenceCycles()
}

func (c *checker) reference(f Field, path string) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		p := f.Side(sys)
		if strings.HasPrefix(p.Property, "@") && (p.Type != record.Reference || sys != record.HubSpot) {
			c.refuse("association-type", at(path, string(sys)), "a property beginning with @ is a HubSpot association and of type ref", `Add "type": "ref" and the pair`)
		}
	}
	h, d := f.HubSpot, f.Destination
	if h.Type != record.Reference && d.Type != record.Reference {
		return
	}
	pair, known := c.spec.PairByName(h.Pair)
	switch {
	case h.Type != d.Type || h.Pair != d.Pair:
		c.refuse("ref-pair", path, "a reference is of type ref and of the same pair on both sides", "Give both sides the same type and pair")
	case !known:
		c.refuse("ref-pair", at(path, "hubspot.pair"), fmt.Sprintf("there is no pair %q", h.Pair), "Name one of the pairs of this spec")
	case f.Formula.Kind() != "null" || f.Reverse.Kind() != "null":
		c.refuse("ref-formula", at(path, "formula"), "a reference is resolved, not translated", "Remove the formula")
	case strings.HasPrefix(h.Property, "@") && h.Property != "@"+pair.HubSpot.Object:
		c.refuse("ref-object", at(path, "hubspot.property"), fmt.Sprintf("the pair %s is of HubSpot's %s", pair.Name, pair.HubSpot.Object), "Use @"+pair.HubSpot.Object)
	}
}

// referenceCycles warns of pairs that refer to each other: each new record waits
// for the other.
func (c *checker) referenceCycles() {
	refers := map[string][]string{}
	for _, p := range c.spec.Pairs {
		for _, f := range p.Fields {
			if f.HubSpot.Type == record.Reference {
				refers[p.Name] = append(refers[p.Name], f.HubSpot.Pair)
			}
		}
	}
	for i, p := range c.spec.Pairs {
		if reaches(refers, p.Name, p.Name, map[string]bool{}) {
			c.warn("ref-cycle", index("pairs", i), "the pair refers, perhaps through others, to itself: new records that refer to each other wait for each other",
				"Let one of the references travel one way only")
		}
	}
}

func reaches(refers map[string][]string, from, to string, seen map[string]bool) bool {
	for _, next := range refers[from] {
		if next == to {
			return true
		}
		if !seen[next] {
			seen[next] = true
			if reaches(refers, next, to, seen) {
				return true
			}
		}
	}
	return false
}
