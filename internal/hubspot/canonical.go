package hubspot

import (
	"errors"
	"slices"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

// versionLayout makes updatedAt a version that compares as text.
const versionLayout = "2006-01-02T15:04:05.000Z"

// PropertyTypes lists the types that a spec gives HubSpot's properties, by
// object type and property.
func PropertyTypes(s *spec.Spec) map[string]map[string]record.Type {
	types := map[string]map[string]record.Type{}
	for _, p := range s.Pairs {
		object := p.HubSpot.Object
		if types[object] == nil {
			types[object] = map[string]record.Type{}
		}
		for _, f := range p.Fields {
			if f.HubSpot.Property != "" {
				types[object][f.HubSpot.Property] = f.HubSpot.Type
			}
		}
		if p.HubSpot.ExternalID != "" {
			types[object][p.HubSpot.ExternalID] = record.String
		}
	}
	return types
}

// UniqueProperties lists the external-id properties that a spec names, which
// must have been made with hasUniqueValue.
func UniqueProperties(s *spec.Spec) map[string][]string {
	unique := map[string][]string{}
	for _, p := range s.Pairs {
		if id := p.HubSpot.ExternalID; id != "" && !slices.Contains(unique[p.HubSpot.Object], id) {
			unique[p.HubSpot.Object] = append(unique[p.HubSpot.Object], id)
		}
	}
	return unique
}

// canonical rewrites one property's text; HubSpot's null is blank.
func (c *Client) canonical(object, property string, text *string) (string, error) {
	if text == nil {
		return "", nil
	}
	t := c.options.Types[object][property]
	if t == "" {
		t = record.String
	}
	out, err := record.Canonical(t, *text)
	if err != nil {
		return "", flow.Errorf(flow.BadValue, "%s property %s: %v; HubSpot's property is of another type than the spec says", object, property, err)
	}
	return out, nil
}

// record turns an answer into a record that holds the properties asked for. A
// property that HubSpot leaves out of a read has no value.
func (c *Client) record(object string, a answered, properties []string, at time.Time) (record.Record, error) {
	rec := stamped(a, at)
	for _, name := range properties {
		if to, ok := strings.CutPrefix(name, linkPrefix); ok {
			rec.Fields[name] = a.Associations[to].value(object, to)
			continue
		}
		text, err := c.canonical(object, name, a.Properties[name])
		if err != nil {
			return record.Record{}, err
		}
		rec.Fields[name] = text
	}
	return rec, nil
}

// written turns the answer to a write into a record that holds what HubSpot
// stored of the fields sent, and the associations observed. What a warning says was stored goes before what
// the answer repeats.
func (c *Client) written(object string, a answered, sent, observed record.Fields, at time.Time) (record.Record, error) {
	for _, w := range a.Warnings {
		if len(w.Context.PropertyName) == 1 && len(w.Context.NormalizedValue) == 1 && a.Properties != nil {
			a.Properties[w.Context.PropertyName[0]] = &w.Context.NormalizedValue[0]
		}
	}
	rec := stamped(a, at)
	for to, id := range observed {
		rec.Fields[linkPrefix+to] = id
	}
	for name := range sent {
		if strings.HasPrefix(name, linkPrefix) {
			continue
		}
		stored, told := a.Properties[name]
		if !told {
			continue
		}
		text, err := c.canonical(object, name, stored)
		if err != nil {
			return record.Record{}, err
		}
		rec.Fields[name] = text
	}
	return rec, nil
}

func stamped(a answered, at time.Time) record.Record {
	rec := record.Record{ID: a.ID, Fields: record.Fields{}, Archived: a.Archived, ReadAt: at, UpdatedAt: a.changed()}
	if !rec.UpdatedAt.IsZero() {
		rec.Version = rec.UpdatedAt.Format(versionLayout)
	}
	return rec
}

// changed is when the record last changed, from updatedAt or, where an answer
// lacks it, from the property that search sorts by.
func (a answered) changed() time.Time {
	if !a.UpdatedAt.IsZero() {
		return a.UpdatedAt.UTC()
	}
	for _, name := range []string{"hs_lastmodifieddate", "lastmodifieddate"} {
		if text := a.Properties[name]; text != nil {
			if t, err := time.Parse(time.RFC3339Nano, *text); err == nil {
				return t.UTC()
			}
		}
	}
	return time.Time{}
}

func asError(err error) *flow.Error {
	var e *flow.Error
	errors.As(err, &e)
	return e
}
