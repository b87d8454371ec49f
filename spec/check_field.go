package spec

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"tandem/internal/formula"
	"tandem/internal/record"
)

// field checks one field: its way there and back, its types and lengths, and
// what HubSpot does with the property.
func (c *pairChecker) field(f Field, path string) {
	c.hubSpotRules(f, path)
	j := c.pair.Judge(f)
	switch j.Verdict {
	case Refused:
		c.refuse(j.Code, at(path, "formula"), j.Message, fixes[j.Code]).Example = j.Example()
		return
	case Lossy:
		c.warn("enum-merges", at(path, "reverse"), "different values come back as one when the "+string(j.From.Other())+" side is edited",
			"If that is meant, accept it").Example = j.Example()
	case Canonicalising:
		c.add(Note, "canonicalises", at(path, "formula"), "the other side holds the canonical spelling; the side where a value was typed keeps its own until the other side is edited", "").
			Example = j.Example()
	}
	if f.Formula.Kind() == Logic || f.Reverse.Kind() == Logic {
		c.add(Note, "hand-written", at(path, "formula"), "hand-written logic is tried on its own examples only; its review record answers for the rest", "")
	}
	for _, d := range []Direction{ToDestination, ToHubSpot} {
		if f.Travels(d) {
			c.way(f, d, j.Verdict, path)
		}
	}
}

// fixes say what to do about a refused field.
var fixes = map[string]string{
	"formula":         "Correct the formula",
	"one-way-formula": `Let the field travel one way ("direction": "toDestination", or "toHubSpot" with the formula as reverse)`,
	"enum-ambiguous":  `Give each value its own, write the reverse table out ("reverse": {"enumMap": ...}), or let the field travel one way`,
	"enum-reverse":    "Let the reverse table hold every value that the table gives, and lead to a value that gives it again",
	"destructive":     "Use the same formula both ways (leave reverse out), or let the field travel one way",
	"type-mismatch":   "Give both sides the same type, or let the field travel one way",
}

// way checks one direction in which the field travels.
func (c *pairChecker) way(f Field, d Direction, v Verdict, path string) {
	r, err := c.pair.Rule(f, d)
	if err != nil {
		c.refuse("formula", at(path, "formula"), err.Error(), "Correct the formula, or write the reverse out")
		return
	}
	source := f.Side(d.Source())
	if r.Formula.Kind() == "concat" && !slices.ContainsFunc(r.Inputs, func(p Prop) bool { return p.Property == source.Property }) {
		c.refuse("concat-source", at(path, string(d.Source())+".property"), fmt.Sprintf("%s is not among the properties that concat joins", source.Property),
			"Name one of "+strings.Join(formula.Placeholders(r.Formula.Concat), ", "))
	}
	c.secrecy(f, r, path)
	if v == OneWay {
		c.conversion(r, path)
	} else if typeOf(source) != typeOf(r.Target) && r.Formula.Kind() != "enumMap" && d == ToDestination {
		c.warn("type-loose", path, fmt.Sprintf("%s and %s differ: text that is none of the options is refused by the system", typeOf(source), typeOf(r.Target)),
			"Use an enumMap, or accept it")
	}
	c.length(r, path)
}

// secrecy warns of a text that shows what another field hides.
func (c *pairChecker) secrecy(f Field, r *Rule, path string) {
	for _, in := range r.Inputs {
		for _, other := range c.pair.Fields {
			if !f.Sensitive && other.Sensitive && (other.HubSpot == in || other.Destination == in) {
				c.warn("sensitive-shown", at(path, "sensitive"), fmt.Sprintf("it holds %s, which the field %s hides", in.Property, other.Name), `Add "sensitive": true`)
			}
		}
	}
}

// conversion checks the change of type of a field that travels one way.
func (c *pairChecker) conversion(r *Rule, path string) {
	from, to := typeOf(r.Inputs[0]), typeOf(r.Target)
	switch r.Formula.Kind() {
	case "enumMap", Logic:
		return // the table's cells are of the right types; logic answers for itself
	case "concat":
		from = record.String
	}
	switch convert(from, to) {
	case never:
		c.refuse("type-mismatch", path, fmt.Sprintf("no value of type %s is one of type %s", from, to), "Give both sides the same type, or use an enumMap")
	case some:
		c.warn("type-loose", path, fmt.Sprintf("only some values of type %s are of type %s; records with others go to the dead letter", from, to),
			"Give both sides the same type, or accept it")
	case less:
		c.warn("lossy", path, fmt.Sprintf("a %s does not hold all of a %s", to, from), "If that is meant, accept it")
	}
}

// conversionKind says how well values of one type are values of another.
type conversionKind int

const (
	never conversionKind = iota
	some                 // some values are, others are refused
	less                 // all are, but less is left of them
	all
)

// convert compares two types for a field that is copied one way.
func convert(from, to record.Type) conversionKind {
	text := func(t record.Type) bool { return t == record.String || t == record.Enum }
	switch {
	case from == to:
		return all
	case from == record.Reference || to == record.Reference:
		return never
	case to == record.String:
		return all
	case text(from):
		return some
	case to == record.Enum:
		return some
	case from == record.Date && to == record.DateTime:
		return all
	case from == record.DateTime && to == record.Date:
		return less
	}
	return never
}

// length compares what may be written with what the target keeps.
func (c *pairChecker) length(r *Rule, path string) {
	limit := r.Target.MaxLength
	if limit == 0 || !slices.Contains([]record.Type{record.String, record.Enum, record.Set}, typeOf(r.Target)) {
		return
	}
	if r.Formula.Kind() == "enumMap" && typeOf(r.Target) != record.Set {
		for _, cell := range r.Formula.EnumMap {
			if utf8.RuneCountInString(cell) > limit {
				c.refuse("max-length", path, fmt.Sprintf("an entry of the table is longer than the %d characters that %s keeps", limit, r.Target.Property),
					"Shorten the entry").Example = show(cell)
			}
		}
		return
	}
	source := r.Inputs[0].MaxLength
	if len(r.Inputs) > 1 || source == 0 || source > limit || r.Formula.Kind() == Logic {
		c.warn("max-length", path, fmt.Sprintf("%s keeps %d characters; a record with more goes to the dead letter, since nothing is ever cut", r.Target.Property, limit),
			"Limit the source as well, or accept it")
	}
}

// readOnly are properties that HubSpot sets itself and refuses to be told
// (properties guide: modificationMetadata.readOnlyValue); one of them in a write
// fails the whole record.
var readOnly = []string{
	"hs_object_id", "createdate", "lastmodifieddate", "hs_lastmodifieddate", "hs_createdate", "hs_merged_object_ids",
	"hs_additional_emails", "hs_object_source", "hs_object_source_id", "hs_object_source_label", "hs_updated_by_user_id", "hs_created_by_user_id",
	"hs_unique_creation_key", "num_associated_contacts", "num_associated_deals", "notes_last_updated", "notes_last_contacted",
}

// hubSpotRules are what HubSpot does with certain properties.
func (c *pairChecker) hubSpotRules(f Field, path string) {
	property := f.HubSpot.Property
	if !f.Travels(ToHubSpot) {
		return
	}
	if slices.Contains(readOnly, property) || strings.HasPrefix(property, "hs_calculated_") {
		c.refuse("read-only", at(path, "hubspot.property"), "HubSpot sets "+property+" itself and refuses the whole record when it is written",
			`Use "direction": "toDestination"`)
	}
	if property == "lifecyclestage" {
		c.warn("lifecycle-forward", at(path, "hubspot.property"), "HubSpot moves lifecyclestage forward only: a step back from the destination stays without effect, and HubSpot's own rules move it too",
			`Use "direction": "toDestination", or accept it`)
	}
}

// matches checks the keys by which records of both sides are recognised.
func (c *pairChecker) matches() {
	if len(c.pair.Match) == 0 {
		c.warn("no-match", at(c.path, "match"), "records that exist on both sides already are not recognised and get doubles", "Match on a field that both systems keep unique")
	}
	for i, m := range c.pair.Match {
		path := at(at(c.path, index("match", i)), "field")
		k := slices.IndexFunc(c.pair.Fields, func(f Field) bool { return f.Name == m.Field })
		if k < 0 {
			c.refuse("match-unknown", path, fmt.Sprintf("the pair has no field %q", m.Field), "Name one of the pair's fields")
			continue
		}
		c.match(c.pair.Fields[k], path)
	}
}

func (c *pairChecker) match(f Field, path string) {
	if f.Sensitive {
		c.refuse("match-sensitive", path, "a sensitive value would be sent in lookups", "Match on a field that is not sensitive")
	}
	if f.HubSpot.Type == record.Reference || f.Destination.Type == record.Reference {
		c.refuse("match-ref", path, "a reference names another record, so many records share it", "Match on a field of the record itself")
	}
	if example, lossy := c.lossyKey(f); lossy {
		c.refuse("match-lossy", path, "different values become one, so different records would be taken for the same", "Match on a field that is copied").Example = example
	}
	for _, d := range []Direction{ToDestination, ToHubSpot} {
		if c.writes(d) && !f.Travels(d) {
			c.refuse("match-one-way", path, "the field does not travel "+string(d)+", so a record from "+string(d.Source())+" could not be looked up", "Match on a field that travels both ways")
		}
	}
	c.unique(f, path)
}

// lossyKey reports whether different values of f become one, either there and
// back or, where it travels one way, on that way.
func (c *pairChecker) lossyKey(f Field) (example string, lossy bool) {
	j := c.pair.Judge(f)
	if j.Verdict != OneWay {
		return j.Example(), j.Verdict == Lossy
	}
	d := ToDestination
	if f.Travels(ToHubSpot) {
		d = ToHubSpot
	}
	r, err := c.pair.Rule(f, d)
	if err != nil {
		return "", false // refused already
	}
	from, to := typeOf(r.Inputs[0]), typeOf(r.Target)
	switch r.Formula.Kind() {
	case "concat":
		return "", true
	case "enumMap":
		if _, err := r.Formula.reversed(from, to); err != nil {
			return noWayBack(err).Example(), true
		}
	}
	return "", convert(from, to) == less
}

// unique warns where a system does not keep the key unique, and refuses a key
// that neither does.
func (c *pairChecker) unique(f Field, path string) {
	inHubSpot := c.pair.HubSpot.Object == "contacts" && f.HubSpot.Property == "email" || f.HubSpot.Property == c.pair.HubSpot.ExternalID
	inDestination := slices.Contains(c.object.Unique, f.Destination.Property)
	switch {
	case inHubSpot && inDestination || !c.hasObject:
	case inHubSpot || inDestination:
		side := record.HubSpot
		if inHubSpot {
			side = record.Destination
		}
		c.warn("match-one-side", path, fmt.Sprintf("%s does not keep %s unique: records that share it are parked for a person", side, f.Side(side).Property), "Accept it, or match on a field that both keep unique")
	default:
		c.refuse("match-not-unique", path, "neither system keeps the key unique, so it cannot tell records apart",
			"Match on another field, or list it under the destination object's unique if the system keeps it so")
	}
}
