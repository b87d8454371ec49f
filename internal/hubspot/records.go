package hubspot

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// The client is one of the two systems of a flow.
var (
	_ flow.Remote    = (*Client)(nil)
	_ flow.Relations = (*Client)(nil)
)

// Contacts is the object type whose e-mail HubSpot itself keeps unique.
const (
	Contacts      = "contacts"
	emailProperty = "email"
)

// mergedProperty lists the ids that were merged into a record, separated by ";".
const mergedProperty = "hs_merged_object_ids"

// answered is one record as the API answers it. A property may be null.
type answered struct {
	ID           string        `json:"id"`
	Properties   propertyTexts `json:"properties"`
	Associations associations  `json:"associations"`
	UpdatedAt    time.Time     `json:"updatedAt"`
	Archived     bool          `json:"archived"`
	Warnings     []warning     `json:"warnings"`
}

// warning says that a value was stored otherwise than it was sent: 2026-09
// accepts some odd dates, normalises them, and says so only here.
type warning struct {
	Category string `json:"category"`
	Context  struct {
		PropertyName    texts `json:"propertyName"`
		NormalizedValue texts `json:"normalizedValue"`
	} `json:"context"`
}

// propertyTexts are a record's values. HubSpot answers texts and null; a number
// or a bool, as servers of its shape may answer, is read as its own text.
type propertyTexts map[string]*string

// UnmarshalJSON implements json.Unmarshaler.
func (p *propertyTexts) UnmarshalJSON(b []byte) error {
	var mistyped *json.UnmarshalTypeError
	err := json.Unmarshal(b, (*map[string]*string)(p))
	if !errors.As(err, &mistyped) {
		return err
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	for name, v := range raw {
		if c := v[0]; c == '[' || c == '{' {
			return err
		} else if c != '"' && c != 'n' {
			text := string(v)
			(*p)[name] = &text
		}
	}
	return nil
}

// Read fetches the named properties. Names that begin with @ are associations:
// "@companies" is the id of the associated company (the primary one, where
// there is such a thing). HubSpot answers a merged record under its new id, and
// tells which ids it stands for.
func (c *Client) Read(ctx context.Context, object, id string, properties []string) (record.Record, error) {
	properties = append(slices.Clone(properties), mergedProperty)
	rec, err := c.get(ctx, object, id, "", properties, false)
	if flow.CodeOf(err) != flow.RecordMissing {
		return merged(rec), err
	}
	if archived, archivedErr := c.get(ctx, object, id, "", properties, true); archivedErr == nil {
		archived.Archived = true
		return merged(archived), nil
	} else if flow.CodeOf(archivedErr) != flow.RecordMissing {
		return record.Record{}, archivedErr
	}
	return record.Record{}, err
}

// merged takes the ids that a record stands for out of its fields.
func merged(rec record.Record) record.Record {
	rec.Merged = strings.FieldsFunc(rec.Fields[mergedProperty], func(c rune) bool { return c == ';' })
	delete(rec.Fields, mergedProperty)
	return rec
}

// get is one read by id or by a unique property. Where the names of the
// properties would not fit into a URL the batch read fetches their values, which
// in turn knows neither associations nor the id that a merge has left behind.
func (c *Client) get(ctx context.Context, object, id, idProperty string, properties []string, archived bool) (record.Record, error) {
	if !addressable(id) {
		return record.Record{}, flow.Errorf(flow.RecordMissing, "reading %s: the id is empty or only dots, which no record has", object)
	}
	at := c.options.Now()
	plain, _ := split(properties)
	inURL := len(strings.Join(plain, ",")) <= longestList
	r := getCall(object, id, idProperty, properties, archived, inURL)
	var a answered
	err := c.do(ctx, r, &a)
	if err == nil && !inURL {
		a, err = c.values(ctx, object, a, plain, archived)
	}
	if err != nil {
		return record.Record{}, err
	}
	return c.record(object, a, properties, at)
}

// longestList is how many characters of property names a URL takes, commas and
// all; servers commonly refuse a request line of more than 8 KiB with 414.
const longestList = 4096

func getCall(object, id, idProperty string, properties []string, archived, inURL bool) call {
	plain, links := split(properties)
	query := url.Values{}
	for name, v := range map[string]string{"properties": strings.Join(plain, ","), "associations": strings.Join(links, ","), "idProperty": idProperty} {
		if v != "" && (inURL || name != "properties") {
			query.Set(name, v)
		}
	}
	if archived {
		query.Set("archived", "true")
	}
	return call{method: http.MethodGet, path: objects(object, id), query: query}
}

// values reads the properties of a record that has just been read without them.
// Both answers must show it at the same instant, or it is read again later.
func (c *Client) values(ctx context.Context, object string, read answered, properties []string, archived bool) (answered, error) {
	body := map[string]any{"properties": properties, "inputs": []map[string]string{{"id": read.ID}}}
	r := call{method: http.MethodPost, path: objects(object, "batch", "read"), body: body, repeatable: true}
	if archived {
		r.query = url.Values{"archived": {"true"}}
	}
	var s searchAnswer
	if err := c.do(ctx, r, &s); err != nil {
		return read, err
	}
	if len(s.Results) != 1 || !s.Results[0].UpdatedAt.Equal(read.UpdatedAt) {
		return read, flow.Errorf(flow.RemoteBusy, "HubSpot's %s record changed while it was read", object)
	}
	read.Properties = s.Results[0].Properties
	return read, nil
}

// Create makes a record by POST. Where a unique property holds the other side's
// id HubSpot refuses a second one; without, only contacts are deduplicated, by
// e-mail. An upsert would spare the refusal, but carried out late it overwrites
// what somebody has edited since. When the record was made but an association
// was refused, the error's ExistingID names the record.
func (c *Client) Create(ctx context.Context, object string, fields record.Fields, externalID, _ string) (record.Record, error) {
	if externalID != "" && fields[externalID] == "" {
		return record.Record{}, flow.Errorf(flow.BadValue, "creating %s: the external id property %s has no value", object, externalID)
	}
	plain, links := partition(fields)
	inline, later := inlineLinks(object, links)
	body := map[string]any{"properties": plain}
	if len(inline) > 0 {
		body["associations"] = inline
	}
	var a answered
	at := c.options.Now()
	err := c.do(ctx, call{method: http.MethodPost, path: objects(object), body: body, sent: fields}, &a)
	if err != nil {
		return record.Record{}, c.createFailed(ctx, object, fields, externalID, err)
	}
	if err := c.link(ctx, object, a.ID, later); err != nil {
		return record.Record{}, half(err, a.ID)
	}
	return c.written(object, a, fields, links, at)
}

// createFailed completes a refusal: 404 means here that the object type is unknown, or
// a record that the new one is to refer to, and a conflict without an id is looked up
// by the contact's e-mail, unless it may be the external id that is taken.
func (c *Client) createFailed(ctx context.Context, object string, fields record.Fields, externalID string, err error) error {
	e := asError(err)
	switch {
	case e == nil:
	case e.Code == flow.RecordMissing:
		e.Code = flow.RemoteRefused
		if refers := references(fields); refers != "" {
			e.Message += "; it is to refer to " + refers + ", which HubSpot does not have any more: settle that record's own events and dead letters, then redrive"
		}
	case e.Code == flow.AlreadyExists && e.ExistingID == "" && externalID == "" && object == Contacts && fields[emailProperty] != "":
		if rec, findErr := c.get(ctx, object, fields[emailProperty], emailProperty, nil, false); findErr == nil {
			e.ExistingID = rec.ID
		}
	}
	return err
}

// references names the records that fields refer to.
func references(fields record.Fields) string {
	var named []string
	_, links := partition(fields)
	for _, to := range links.Names() {
		if links[to] != "" {
			named = append(named, to+" "+links[to])
		}
	}
	return strings.Join(named, " or ")
}

// half marks a write that has begun, as a create has that made its record, and could
// not be finished.
func half(err error, id string) error {
	if e := asError(err); e != nil {
		e.Maybe, e.ExistingID = true, id
	}
	return err
}

// Update patches the named properties; HubSpot has no conditional write, so the
// etag is ignored and the last write wins. Properties that HubSpot's answer
// leaves out are absent from the record: what was stored is not known.
func (c *Client) Update(ctx context.Context, object, id string, fields record.Fields, _ string) (record.Record, error) {
	if !addressable(id) {
		return record.Record{}, flow.Errorf(flow.RecordMissing, "updating %s: the id is empty or only dots, which no record has", object)
	}
	plain, links := partition(fields)
	a := answered{ID: id}
	at := c.options.Now()
	if len(plain) > 0 || len(links) == 0 {
		r := call{method: http.MethodPatch, path: objects(object, id), sent: fields, body: map[string]any{"properties": plain}}
		if err := c.do(ctx, r, &a); err != nil {
			return record.Record{}, err
		}
	}
	// The answer's id: after a merge it is another than the one asked for.
	observed, was, err := c.relink(ctx, object, a.ID, links)
	if err != nil && len(plain) > 0 {
		err = half(err, "")
	}
	if err != nil {
		return record.Record{}, err
	}
	rec, err := c.written(object, a, fields, observed, at)
	rec.Replaced = was
	return rec, err
}

// Find lists live records whose property equals value. A unique property is
// read directly, which is consistent; any other is searched for, which lags. A
// blank value matches nothing.
func (c *Client) Find(ctx context.Context, object, property, value string, properties []string) ([]record.Record, bool, error) {
	if value == "" {
		return nil, true, nil
	}
	if !c.unique(object, property) {
		found, err := c.search(ctx, object, property, value, properties)
		return found, false, err
	}
	rec, err := c.get(ctx, object, value, property, append(slices.Clone(properties), mergedProperty), false)
	if flow.CodeOf(err) == flow.RecordMissing {
		return nil, true, nil
	}
	if err != nil {
		return nil, true, err
	}
	return []record.Record{merged(rec)}, true, nil
}

func (c *Client) unique(object, property string) bool {
	return object == Contacts && property == emailProperty || slices.Contains(c.options.Unique[object], property)
}

// Archive puts a record in the recycle bin, where it stays for 90 days. HubSpot has
// no conditional deletion either: the etag is ignored.
func (c *Client) Archive(ctx context.Context, object, id, _ string) error {
	if !addressable(id) {
		return nil
	}
	err := c.do(ctx, call{method: http.MethodDelete, path: objects(object, id)}, nil)
	if flow.CodeOf(err) == flow.RecordMissing {
		return nil
	}
	return err
}

// Abilities tells what HubSpot can do: no conditional write, a last-modified
// instant as the version, creates only once where a unique property is configured.
func (c *Client) Abilities(object string) flow.Abilities {
	return flow.Abilities{
		Versioned: true,
		Once:      len(c.options.Unique[object]) > 0,
		Unique:    object == Contacts,
		SearchLag: c.options.SearchLag,
	}
}
