package spec

import "tandem/internal/record"

// Pair wires one HubSpot object type to one destination object.
type Pair struct {
	Name        string  `json:"name"`
	HubSpot     Side    `json:"hubspot"`
	Destination Side    `json:"destination"`
	Match       []Match `json:"match"`
	Fields      []Field `json:"fields"`
	Deletes     Deletes `json:"deletes,omitzero"`
}

// Side is one side of a pair.
type Side struct {
	Object string `json:"object"`
	// Trigger is webhook or poll; Every is the poll's interval, and with webhooks
	// that of the comparison which makes lost deliveries good (1h when zero).
	Trigger string   `json:"trigger,omitempty"`
	Every   Duration `json:"every,omitzero"`
	// ExternalID names a unique property of this side that holds the other side's
	// id: the system refuses a second record with it, and after a lost answer the
	// record is looked up by it.
	ExternalID string `json:"externalId,omitempty"`
}

// Match is a field by whose equal, non-blank value records of both sides are
// recognised as the same thing. It names a Field of the pair.
type Match struct {
	Field string `json:"field"`
}

// Conflict policies: what happens when both sides changed a field since they agreed.
const (
	PolicyHubSpot     = "hubspot"
	PolicyDestination = "destination"
	PolicyNewest      = "newest"
)

// Field directions.
const (
	Both            = "both"
	OnlyDestination = "toDestination"
	OnlyHubSpot     = "toHubSpot"
)

// Field maps one HubSpot property to one destination field. Formula translates
// towards the destination; Reverse back, derived from Formula when absent.
type Field struct {
	Name        string   `json:"name"`
	HubSpot     Prop     `json:"hubspot"`
	Destination Prop     `json:"destination"`
	Direction   string   `json:"direction,omitempty"`
	Formula     *Formula `json:"formula,omitempty"`
	Reverse     *Formula `json:"reverse,omitempty"`
	Policy      string   `json:"policy,omitempty"`
	// Sensitive fields are shown as fingerprints everywhere a person looks.
	Sensitive bool `json:"sensitive,omitempty"`
	// Accept names the checker's findings that a person has read and accepts.
	Accept []string `json:"accept,omitempty"`
}

// newestWins reports whether the newer of two edits is kept: the default where
// both sides can be edited.
func (f Field) newestWins() bool {
	return f.Travels(ToDestination) && f.Travels(ToHubSpot) && (f.Policy == "" || f.Policy == PolicyNewest)
}

// Prop is one property of one side. Pair is set for type ref: the pair whose
// ids the value holds.
type Prop struct {
	Property string      `json:"property"`
	Type     record.Type `json:"type,omitempty"`
	Pair     string      `json:"pair,omitempty"`
	// MaxLength is how many characters the system keeps, 0 when not limited.
	MaxLength int `json:"maxLength,omitempty"`
}

// Side returns the property of system s.
func (f Field) Side(s record.System) Prop {
	if s == record.HubSpot {
		return f.HubSpot
	}
	return f.Destination
}

// Travels reports whether the field is written in direction d.
func (f Field) Travels(d Direction) bool {
	switch f.Direction {
	case OnlyDestination:
		return d == ToDestination
	case OnlyHubSpot:
		return d == ToHubSpot
	}
	return true
}

// Formula names one formula of the closed set, or a hand-written function. In
// JSON it is null, "stripSpaces", "lowercase", {"enumMap": {...}},
// {"concat": ["a", " ", "b"]} (names in braces are properties: "{firstname}")
// or {"logic": "name"}.
type Formula struct {
	Name    string            `json:"-"`
	EnumMap map[string]string `json:"enumMap,omitempty"`
	Concat  []string          `json:"concat,omitempty"`
	Logic   string            `json:"logic,omitempty"`
}

// Deletes says what a deletion on one side means for the other: archive, ignore
// or ask (park for a person; the default).
type Deletes struct {
	HubSpot     string `json:"hubspot,omitempty"`     // a deletion seen in HubSpot
	Destination string `json:"destination,omitempty"` // a deletion seen in the destination
}

// Side returns the side of the pair that system s is.
func (p Pair) Side(s record.System) Side {
	if s == record.HubSpot {
		return p.HubSpot
	}
	return p.Destination
}

// FieldByName finds a field of the pair.
func (p Pair) FieldByName(name string) (Field, bool) {
	for _, f := range p.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}
