package portal

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tandem/internal/hubspot"
)

// checked validates values against the definitions and the unique values, and
// returns the record's properties as they would be. One bad property refuses all.
func (s *store) checked(e *entry, values map[string]string) (map[string]string, []Warning, error) {
	props := maps.Clone(e.Props)
	var warnings []Warning
	var details []Detail
	for _, name := range slices.Sorted(maps.Keys(values)) {
		d, known := s.defs[name]
		if !known {
			details = append(details, Detail{Message: fmt.Sprintf("Property %q does not exist", name), Code: "PROPERTY_DOESNT_EXIST", Context: map[string][]string{"propertyName": {name}}})
			continue
		}
		stored, told, refusal := d.accept(values[name], e.Props[name])
		if refusal != nil {
			details = append(details, *refusal)
			continue
		}
		if told != "" {
			warnings = append(warnings, Warning{"PROPERTY_VALUE_NORMALIZED", map[string]string{"propertyName": name, "rawValue": values[name], "normalizedValue": told}, name + " was normalized"})
		}
		props[name] = stored
	}
	if len(details) > 0 {
		return nil, nil, invalid("Property values were not valid: "+nestedJSON(details), details...)
	}
	return props, warnings, s.free(e, props)
}

// free refuses a unique value that another live record holds.
func (s *store) free(e *entry, props map[string]string) error {
	for _, b := range s.bookings(props) {
		if holder := s.taken[b.property][b.value]; holder != "" && holder != e.ID {
			return conflict(s.name, b.property, holder)
		}
	}
	return nil
}

// booking is one unique value of a record, folded.
type booking struct{ property, value string }

// bookings lists a record's unique values in order; a contact's additional
// e-mails count as e-mails.
func (s *store) bookings(props map[string]string) []booking {
	var out []booking
	for _, name := range slices.Sorted(maps.Keys(s.taken)) {
		if v := fold(props[name]); v != "" {
			out = append(out, booking{name, v})
		}
	}
	if more := props["hs_additional_emails"]; more != "" && s.taken["email"] != nil {
		for v := range strings.SplitSeq(more, ";") {
			out = append(out, booking{"email", fold(v)})
		}
	}
	return out
}

func fold(value string) string { return strings.ToLower(strings.TrimSpace(value)) }

// hold stores properties and books their unique values.
func (s *store) hold(e *entry, props map[string]string) {
	s.release(e)
	e.Props = props
	for _, b := range s.bookings(props) {
		s.taken[b.property][b.value] = e.ID
	}
}

func (s *store) release(e *entry) {
	for _, b := range s.bookings(e.Props) {
		if s.taken[b.property][b.value] == e.ID {
			delete(s.taken[b.property], b.value)
		}
	}
}

// conflict is the refusal of a taken unique value: for a contact's e-mail a 409
// with the existing id in its text, for a custom property a 400 without one.
func conflict(object, property, holder string) *Error {
	if object == hubspot.Contacts && property == "email" {
		return &Error{HTTP: 409, Category: "CONFLICT", Message: "Contact already exists. Existing ID: " + holder, existing: holder}
	}
	d := Detail{Message: fmt.Sprintf("Cannot set %s: %s already has that value.", property, holder), Code: "CONFLICTING_UNIQUE_VALUE", Context: map[string][]string{"propertyName": {property}}}
	e := invalid("Property values were not valid: "+nestedJSON([]Detail{d}), d)
	e.existing = holder
	return e
}
