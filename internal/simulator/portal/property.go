package portal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/hubspot"
	"tandem/internal/record"
	"tandem/spec"
)

// Property defines one property of an object type.
type Property struct {
	Name string      `json:"name"`
	Type record.Type `json:"type"`
	// Options are the internal values of an enumeration; any value when empty.
	Options []string `json:"options,omitempty"`
	// Unique properties refuse a value that another live record holds.
	Unique bool `json:"hasUniqueValue,omitempty"`
	// ReadOnly properties are calculated: a write to one fails the whole record.
	ReadOnly bool `json:"readOnly,omitempty"`
	// Required properties must have a value when a record is made.
	Required bool `json:"required,omitempty"`
	// Sensitive values are kept out of events.
	Sensitive bool `json:"sensitive,omitempty"`
	// Reformat rewrites what is stored: email, domain, phone, or nothing.
	Reformat string `json:"reformat,omitempty"`
}

// maxText is HubSpot's limit for a text property.
const maxText = 65_536

var readOnly = []string{"hs_object_id", "createdate", "hs_object_source", "hs_object_source_id", "hs_additional_emails", "hs_merged_object_ids"}

// modified names the property that search sorts by; contacts have their own.
func modified(object string) string {
	if object == hubspot.Contacts {
		return "lastmodifieddate"
	}
	return "hs_lastmodifieddate"
}

func texts(names ...string) []Property {
	var out []Property
	for _, n := range names {
		out = append(out, Property{Name: n, Type: record.String})
	}
	return out
}

// standard holds the standard objects with a few of their properties.
var standard = map[string][]Property{
	"contacts": append(texts("firstname", "lastname", "phone", "company", "jobtitle", "city", "country", "hubspot_owner_id"),
		Property{Name: "email", Type: record.String, Unique: true, Reformat: "email"},
		Property{Name: "lifecyclestage", Type: record.Enum, Options: []string{"subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist", "other"}}),
	"companies": append(texts("name", "phone", "city", "country", "hubspot_owner_id"),
		Property{Name: "domain", Type: record.String, Reformat: "domain"},
		Property{Name: "numberofemployees", Type: record.Number}),
	"deals": append(texts("dealname", "hubspot_owner_id"), Property{Name: "amount", Type: record.Number},
		Property{Name: "closedate", Type: record.DateTime}, Property{Name: "pipeline", Type: record.Enum}, Property{Name: "dealstage", Type: record.Enum}),
	"tickets":    append(texts("subject", "content"), Property{Name: "hs_pipeline", Type: record.Enum}, Property{Name: "hs_pipeline_stage", Type: record.Enum}),
	"products":   append(texts("name", "description"), Property{Name: "price", Type: record.Number}),
	"line_items": append(texts("name"), Property{Name: "quantity", Type: record.Number}, Property{Name: "price", Type: record.Number}),
}

// Define adds properties to an object type, which is made when there is none.
// A property defined before is replaced.
func (p *Portal) Define(object string, properties ...Property) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.objects[object]
	if s == nil {
		s = newStore(object)
		p.objects[object] = s
		for _, name := range append(slices.Clone(readOnly), modified(object)) {
			s.defs[name] = Property{Name: name, Type: calculatedType(name), ReadOnly: true}
		}
	}
	for _, d := range properties {
		s.defs[d.Name] = d
		if d.Unique && s.taken[d.Name] == nil {
			s.taken[d.Name] = map[string]string{}
			for _, id := range s.order {
				if v := fold(s.records[id].Props[d.Name]); v != "" && s.records[id].Archived == 0 {
					s.taken[d.Name][v] = id
				}
			}
		}
	}
}

func calculatedType(name string) record.Type {
	if strings.HasSuffix(name, "date") {
		return record.DateTime
	}
	return record.String
}

// DefineFor defines every property that a spec names, beside the standard ones,
// which keep their habits. External-id properties are unique.
func (p *Portal) DefineFor(s *spec.Spec) {
	unique := hubspot.UniqueProperties(s)
	types := hubspot.PropertyTypes(s)
	for object, properties := range types {
		p.Define(object)
		for name, t := range properties {
			if _, known := p.objects[object].defs[name]; known || strings.HasPrefix(name, "@") {
				continue
			}
			p.Define(object, Property{Name: name, Type: t, Unique: slices.Contains(unique[object], name)})
		}
	}
}

// Warning tells that a value was stored otherwise than it was sent.
type Warning struct {
	Category string            `json:"category"`
	Context  map[string]string `json:"context"`
	Message  string            `json:"message"`
}

// accept checks one value and returns what is stored. The second result is
// HubSpot's notation of a value that a warning must tell, else empty.
func (d Property) accept(value, stored string) (string, string, *Detail) {
	switch {
	case d.ReadOnly:
		return "", "", d.refuse("READ_ONLY_VALUE", fmt.Sprintf("%q is a read only property; its value cannot be set.", d.Name))
	case value == "":
		return "", "", nil
	case len([]rune(value)) > maxText:
		return "", "", d.refuse("PROPERTY_VALUE_TOO_LONG", fmt.Sprintf("%s is longer than %d characters", d.Name, maxText))
	case d.Type == record.Set && strings.HasPrefix(value, ";"):
		value = stored + value // A leading semicolon appends.
	}
	switch d.Type {
	case record.Date, record.DateTime:
		return d.acceptTime(value)
	case record.Number, record.Bool, record.Set, record.Enum:
		return d.acceptPlain(value)
	}
	return d.acceptText(value)
}

func (d Property) refuse(code, message string) *Detail {
	return &Detail{Message: message, Code: code, Context: map[string][]string{"propertyName": {d.Name}}}
}

func (d Property) acceptPlain(value string) (string, string, *Detail) {
	out, err := record.Canonical(d.Type, value)
	if err != nil {
		return "", "", d.refuse("INVALID_"+strings.ToUpper(string(d.Type)), fmt.Sprintf("%q was not a valid %s", value, d.Type))
	}
	if len(d.Options) == 0 {
		return out, "", nil
	}
	for member := range strings.SplitSeq(out, ";") {
		if !slices.Contains(d.Options, member) {
			return "", "", d.refuse("INVALID_OPTION", fmt.Sprintf("%q was not one of the allowed options: [%s]", value, strings.Join(d.Options, ", ")))
		}
	}
	return out, "", nil
}

// acceptTime takes what 2026-09 takes: the documented forms as they are, and
// odd ones (seconds, instants in a date) normalised with a warning.
func (d Property) acceptTime(value string) (string, string, *Detail) {
	seconds := false
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && len(value) == 10 {
		value, seconds = strconv.FormatInt(n*1000, 10), true
	}
	out, err := record.Canonical(d.Type, value)
	if err != nil {
		return "", "", d.refuse("INVALID_"+strings.ToUpper(string(d.Type)), fmt.Sprintf("%q was not a valid %s", value, d.Type))
	}
	ms := milliseconds(d.Type, out)
	documented := value == out || value == ms || d.Type == record.DateTime
	if documented && !seconds {
		ms = ""
	}
	return out, ms, nil
}

// milliseconds spells a canonical date or instant as webhooks do.
func milliseconds(t record.Type, canonical string) string {
	layout := time.RFC3339Nano
	if t == record.Date {
		layout = time.DateOnly
	}
	at, err := time.Parse(layout, canonical)
	if err != nil {
		return canonical
	}
	return strconv.FormatInt(at.UnixMilli(), 10)
}

func (d Property) acceptText(value string) (string, string, *Detail) {
	out := value
	switch d.Reformat {
	case "email":
		out = strings.ToLower(strings.TrimSpace(value))
		if at := strings.IndexByte(out, '@'); at < 1 || at == len(out)-1 || strings.ContainsAny(out, " ;,") {
			return "", "", d.refuse("INVALID_EMAIL", fmt.Sprintf("Email address %s is invalid", value))
		}
	case "domain":
		out = strings.ToLower(strings.TrimSpace(value))
		out = strings.TrimPrefix(strings.TrimPrefix(out, "https://"), "http://")
		out, _, _ = strings.Cut(strings.TrimPrefix(out, "www."), "/")
	case "phone":
		out = strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r == '+' {
				return r
			}
			return -1
		}, value)
	}
	if out != value {
		return out, out, nil
	}
	return out, "", nil
}
