package portal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Record is one record as the API answers it.
type Record struct {
	ID           string                `json:"id"`
	Properties   map[string]*string    `json:"properties"`
	CreatedAt    string                `json:"createdAt"`
	UpdatedAt    string                `json:"updatedAt"`
	Archived     bool                  `json:"archived"`
	ArchivedAt   string                `json:"archivedAt,omitempty"`
	Associations map[string]LinkedList `json:"associations,omitempty"`
	Warnings     []Warning             `json:"warnings,omitempty"`
	New          *bool                 `json:"new,omitempty"`
	TraceID      string                `json:"objectWriteTraceId,omitempty"`
	// Last is who changed the record last; the API does not tell it.
	Last By `json:"-"`
}

// Text is a property's value, "" when it has none.
func (r Record) Text(property string) string {
	if v := r.Properties[property]; v != nil {
		return *v
	}
	return ""
}

// ReadOptions say what a read answers.
type ReadOptions struct {
	// IDProperty is the unique property that the id is a value of.
	IDProperty string
	// Properties are named; the object's defaults when empty. Associations name
	// object types.
	Properties, Associations []string
	Archived                 bool
}

// Create makes a record, with associations to records that exist.
func (p *Portal) Create(by By, object string, values map[string]string, links ...NewLink) (Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.create(by, object, values, links)
}

func (p *Portal) create(by By, object string, values map[string]string, links []NewLink) (Record, error) {
	s, err := p.object(object)
	if err != nil {
		return Record{}, err
	}
	e := &entry{Props: map[string]string{}, Created: p.nowMs(), Origin: by}
	props, warnings, err := s.checked(e, values)
	if err != nil {
		return Record{}, err
	}
	if err := s.complete(props); err != nil {
		return Record{}, err
	}
	if err := p.linkable(object, links); err != nil {
		return Record{}, err
	}
	e.ID = strconv.FormatInt(s.next, 10)
	s.next++
	s.records[e.ID], s.order = e, append(s.order, e.ID)
	s.hold(e, props)
	p.touch(e, by)
	p.index(e)
	action := []Event{p.lifecycle(s, e.ID, "creation", by)}
	action = append(action, p.propertyEvents(s, e.ID, nil, props, by)...)
	for _, l := range links {
		action = append(action, p.linkOne(by, linkKey{object, e.ID, l.Object}, l.ID, l.Primary)...)
	}
	p.emit(action)
	return p.answer(s, e, slices.Collect(maps.Keys(values)), nil, warnings), nil
}

// complete enforces what admins require when a record is made.
func (s *store) complete(props map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(s.defs)) {
		if s.defs[name].Required && props[name] == "" {
			d := s.defs[name].refuse("MISSING_REQUIRED_PROPERTY", "A value for "+name+" must be provided")
			return invalid("The property values provided are invalid", *d)
		}
	}
	return nil
}

// Read answers one record, by id or by a unique property.
func (p *Portal) Read(object, id string, o ReadOptions) (Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, e, err := p.find(object, id, o.IDProperty)
	if err != nil {
		return Record{}, err
	}
	if (e.Archived != 0) != o.Archived {
		return Record{}, missing(id)
	}
	return p.answer(s, e, cmpOr(o.Properties, defaults(object)), o.Associations, nil), nil
}

func cmpOr(a, b []string) []string {
	if len(a) > 0 {
		return a
	}
	return b
}

func (p *Portal) object(object string) (*store, error) {
	if s := p.objects[object]; s != nil {
		return s, nil
	}
	return nil, &Error{HTTP: 400, Category: "VALIDATION_ERROR", Message: "Unable to infer object type from: " + object}
}

func (p *Portal) find(object, id, idProperty string) (*store, *entry, error) {
	s, err := p.object(object)
	if err != nil {
		return nil, nil, err
	}
	if idProperty != "" && idProperty != "hs_object_id" {
		taken := s.taken[idProperty]
		if taken == nil {
			return nil, nil, invalid(fmt.Sprintf("%s is not a unique property of %s", idProperty, object))
		}
		id = cmp.Or(taken[fold(id)], "-")
	}
	e := s.resolve(id)
	if e == nil {
		return nil, nil, missing(id)
	}
	return s, e, nil
}

// Update patches properties; blank clears. A value that is there already is no
// change: it moves no instant and sends no event.
func (p *Portal) Update(by By, object, id, idProperty string, values map[string]string) (Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.update(by, object, id, idProperty, values)
}

func (p *Portal) update(by By, object, id, idProperty string, values map[string]string) (Record, error) {
	s, e, err := p.find(object, id, idProperty)
	if err != nil {
		return Record{}, err
	}
	if e.Archived != 0 {
		return Record{}, missing(id)
	}
	props, warnings, err := s.checked(e, values)
	if err != nil {
		return Record{}, err
	}
	events := p.propertyEvents(s, e.ID, e.Props, props, by)
	if altered(e.Props, props) {
		s.hold(e, props)
		p.touch(e, by)
		p.index(e)
		p.emit(events)
	}
	return p.answer(s, e, slices.Collect(maps.Keys(values)), nil, warnings), nil
}

// altered: a property has another value; a blank one and one never set are the same.
func altered(before, after map[string]string) bool {
	for name, v := range after {
		if before[name] != v {
			return true
		}
	}
	return false
}

// answer renders a record. Properties that were asked for and never set are null.
func (p *Portal) answer(s *store, e *entry, properties, associations []string, warnings []Warning) Record {
	r := Record{
		ID: e.ID, Properties: make(map[string]*string, len(properties)+3), Warnings: warnings, Last: e.Last,
		CreatedAt: iso(e.Created), UpdatedAt: iso(e.Updated), Archived: e.Archived != 0,
	}
	if r.Archived {
		r.ArchivedAt = iso(e.Archived)
	}
	for _, name := range append(properties, "hs_object_id", "createdate", modified(s.name)) {
		if _, known := s.defs[name]; known && !(p.o.MergeUntold && name == "hs_merged_object_ids") {
			r.Properties[name] = s.value(e, name)
		}
	}
	for _, to := range associations {
		to = plural(to)
		if list := p.linked(s.name, e.ID, to); len(list.Results) > 0 {
			if r.Associations == nil {
				r.Associations = map[string]LinkedList{}
			}
			r.Associations[to] = list
		}
	}
	return r
}

// value is one property, the calculated ones included; nil when never set.
func (s *store) value(e *entry, name string) *string {
	var v string
	switch name {
	case "hs_object_id":
		v = e.ID
	case "createdate":
		v = iso(e.Created)
	case modified(s.name):
		v = iso(e.Updated)
	case "hs_object_source":
		v = e.Origin.Source
	case "hs_object_source_id":
		v = e.Origin.ID
	default:
		set := false
		if v, set = e.Props[name]; !set {
			return nil
		}
	}
	return &v
}

func iso(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

var defaultProperties = map[string][]string{
	"contacts": {"email", "firstname", "lastname"}, "companies": {"name", "domain"},
	"deals":   {"dealname", "amount", "closedate", "pipeline", "dealstage"},
	"tickets": {"content", "hs_pipeline", "hs_pipeline_stage", "subject"},
}

func defaults(object string) []string { return slices.Clone(defaultProperties[object]) }

// plural accepts contact and contacts alike, as the API does in queries.
func plural(object string) string {
	switch object {
	case "company":
		return "companies"
	case "contact", "deal", "ticket", "product", "line_item":
		return object + "s"
	}
	return object
}

func singular(object string) string {
	if object == "companies" {
		return "company"
	}
	return strings.TrimSuffix(object, "s")
}
