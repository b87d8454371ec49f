// Package record holds the nouns both systems share: a record, its fields as
// canonical text, and a reference to it.
//
// A field's value is always text in the canonical form of its Type, so that
// equal things compare equal whichever side, API or webhook they came from. A
// name that is absent from Fields is unknown ("not asked for, not told"); the
// empty string is a value: the field is blank. Missing is never cleared.
package record

import (
	"maps"
	"slices"
	"time"
)

// System names one of the two sides of an integration.
type System string

// The two sides. Every key, direction and policy is spelt with these words.
const (
	HubSpot     System = "hubspot"
	Destination System = "destination"
)

// Other returns the opposite side.
func (s System) Other() System {
	if s == HubSpot {
		return Destination
	}
	return HubSpot
}

// Ref points at one record. IDs are text and unique per object type only
// (HubSpot's contact 512 and deal 512 may both exist).
type Ref struct {
	System System `json:"system"`
	Object string `json:"object"`
	ID     string `json:"id"`
}

// String spells the reference as system/object/id.
func (r Ref) String() string { return string(r.System) + "/" + r.Object + "/" + r.ID }

// Fields maps a property or field name to its canonical text.
type Fields map[string]string

// Names lists the field names in order.
func (f Fields) Names() []string { return slices.Sorted(maps.Keys(f)) }

// Record is what a system answered when it was asked for one record.
type Record struct {
	// ID is the id the system answered with. After a HubSpot merge it differs
	// from the id that was asked for.
	ID     string `json:"id"`
	Fields Fields `json:"fields"`
	// Replaced is what a write has found in the place of fields that it looks at once
	// more before it changes them, as HubSpot's associations; absent for all others.
	Replaced Fields `json:"-"`
	// Merged are the ids that were merged into this record, where the system tells
	// them; in no order that means anything.
	Merged []string `json:"merged,omitempty"`
	// Version grows with every change (see CompareVersions); empty where the
	// source has none. ETag is what a conditional write must quote, empty where
	// the system offers no conditional write.
	Version string `json:"version,omitempty"`
	ETag    string `json:"etag,omitempty"`
	// ReadAt is when the request that fetched the record was sent.
	ReadAt time.Time `json:"readAt,omitzero"`
	// UpdatedAt is when the source says the record last changed, in its clock.
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
	// Clock is what the source's clock showed when it answered, zero when not told.
	Clock    time.Time `json:"-"`
	Archived bool      `json:"archived,omitempty"`
}

// CompareVersions orders two versions of one record as -1, 0 or 1. Versions of
// digits only compare as numbers of any length; others compare as text, which
// is right for RFC 3339 instants of one precision in UTC. An empty version is
// older than every other.
func CompareVersions(a, b string) int {
	if digits(a) && digits(b) && len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func digits(s string) bool {
	return s != "" && !slices.ContainsFunc([]byte(s), func(b byte) bool { return b < '0' || b > '9' })
}

func sign(n int) int {
	if n < 0 {
		return -1
	}
	return 1
}
