package destination

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// Create implements flow.Remote. It upserts only where the system would not
// refuse a second record of the same external id: an upsert that is carried out
// late overwrites what somebody has edited since.
func (c *Client) Create(ctx context.Context, name string, fields record.Fields, externalID, key string) (record.Record, error) {
	o, err := c.object(name)
	if err != nil {
		return record.Record{}, err
	}
	r := request{args: args{}, key: key, sent: fields}
	if externalID != "" && o.calls["upsert"] != nil && !o.once {
		r.call, r.args = o.calls["upsert"], args{"field": externalID, "value": fields[externalID]}
		if fields[externalID] == "" {
			return record.Record{}, flow.Errorf(flow.BadValue, "an upsert of %s needs a value of %s", name, externalID)
		}
	} else if r.call, err = o.call("create"); err != nil {
		return record.Record{}, err
	}
	if err := c.refer(ctx, o, fields); err != nil {
		return record.Record{}, err
	}
	if r.body, err = o.body(r.call, fields, r.call.name == "create"); err != nil {
		return record.Record{}, err
	}
	a, err := c.do(ctx, o, r)
	if err != nil {
		return record.Record{}, err
	}
	return o.made(r, a)
}

// made reads a create's answer: the record itself, or its id in the answer or in
// Location.
func (o *object) made(r request, a *answer) (record.Record, error) {
	id := identifier(a.body, o.ID)
	if id == "" {
		id = located(a.header)
	}
	if id == "" {
		return record.Record{}, &flow.Error{Code: flow.InDoubt, Maybe: true, Message: a.what + ": done, but the answer holds no id; check destination.objects." + o.name + ".id and result"}
	}
	o.noteID(a.body)
	return o.told(r, a, id), nil
}

// told is what the answer to a write shows of the record. Some show no more than
// that it was done, or its id or version: the fields are absent then, as what was
// stored is not known.
func (o *object) told(r request, a *answer, id string) record.Record {
	if whole, err := o.record(a, a.body, o.observed(r.sent)); err == nil && o.tells(a.body, r.sent) {
		o.noteID(a.body)
		return whole
	}
	bare := record.Record{ID: id, Fields: record.Fields{}, Version: text(a.body, o.Version), ReadAt: a.sent}
	if o.Conditional != "" {
		bare.ETag = etag(a.etag, bare.Version)
	}
	return bare
}

// tells reports whether an answer to a write shows the record and not only that
// it was done: at least one of the sent fields is in it.
func (o *object) tells(v any, sent record.Fields) bool {
	fields, ok := at(v, o.Fields)
	if !ok || len(sent) == 0 {
		return ok
	}
	for name := range sent {
		if _, ok := at(fields, name); ok {
			return true
		}
	}
	return false
}

// located is the id at the end of a Location header (RFC 9110, 15.3.2). An escaped
// slash is part of the id.
func located(h http.Header) string {
	u, err := url.Parse(h.Get("Location"))
	if err != nil || u.Path == "" {
		return ""
	}
	if id, err := url.PathUnescape(path.Base(u.EscapedPath())); err == nil && strings.Trim(id, "./") != "" {
		return id
	}
	return ""
}

// Update implements flow.Remote. Nothing is read back here: whether what is read
// later is our write or an edit after it, only the flow can judge.
func (c *Client) Update(ctx context.Context, name, id string, fields record.Fields, etag string) (record.Record, error) {
	o, err := c.object(name)
	if err == nil {
		err = checkID(id)
	}
	if err != nil {
		return record.Record{}, err
	}
	k, err := o.call("update")
	if err != nil {
		return record.Record{}, err
	}
	if err := c.meet(ctx, o, id, fields); err != nil {
		return record.Record{}, err
	}
	if err := c.refer(ctx, o, fields); err != nil {
		return record.Record{}, err
	}
	r := request{call: k, args: args{"id": id}, etag: etag, sent: fields}
	if r.body, err = o.body(k, fields, false); err != nil {
		return record.Record{}, err
	}
	a, err := c.overwrite(ctx, o, r)
	if err != nil {
		return record.Record{}, err
	}
	return o.told(r, a, id), nil
}

// overwrite sends a write of an existing record. Where the system refuses one
// that names no entity tag and the caller has set no condition, the record's own
// is read first.
func (c *Client) overwrite(ctx context.Context, o *object, r request) (*answer, error) {
	if o.Conditional == "required" && r.etag == "" {
		now, err := c.Read(ctx, o.name, r.args["id"], nil)
		if err != nil {
			return nil, err
		}
		r.etag = now.ETag
	}
	return c.do(ctx, o, r)
}

// meet reads the record once where the spelling of a set that is to be written
// was not seen yet by this client: some systems keep arrays, others text.
func (c *Client) meet(ctx context.Context, o *object, id string, fields record.Fields) error {
	for name, value := range fields {
		if o.types[name] == record.Set && value != "" && !o.shapes.get(name).known {
			_, err := c.Read(ctx, o.name, id, []string{name})
			return err
		}
	}
	return nil
}

// refer reads what a reference names, once for an object, where this client has met
// neither the reference nor an id of that object: some systems refuse a text where
// they keep a number. A process that only writes reads little else.
func (c *Client) refer(ctx context.Context, o *object, fields record.Fields) error {
	for name, id := range fields {
		s, target := o.shapes.get(name), o.targets[name]
		if _, whole := integer(id); !whole || target == nil || s.number || s.text || target.shapes.get(ownID).known {
			continue
		}
		_, err := c.Read(ctx, target.name, id, nil)
		if err != nil && passes(err) && !target.shapes.get(ownID).known {
			return err
		}
	}
	return nil
}

// passes reports whether a read that has failed may succeed later. What is refused
// for good leaves a write as it is: whatever else a read's code says is not of the
// record that is to be written.
func passes(err error) bool {
	switch flow.CodeOf(err) {
	case flow.RecordMissing, flow.RemoteRefused, flow.AlreadyExists, flow.PreconditionFailed, flow.TooLarge, flow.BadEnvelope:
		return false
	}
	return true
}

// Archive implements flow.Remote: an absent record is no error.
func (c *Client) Archive(ctx context.Context, name, id, etag string) error {
	o, err := c.object(name)
	if err == nil {
		err = checkID(id)
	}
	if err != nil {
		return err
	}
	k, err := o.call("delete")
	if err != nil {
		return err
	}
	if _, err = c.overwrite(ctx, o, request{call: k, args: args{"id": id}, etag: etag}); flow.CodeOf(err) == flow.RecordMissing {
		return nil
	}
	return err
}

// maxSearched bounds how many pages of one search are read.
const maxSearched = 20

// Find implements flow.Remote. What the system answers is checked against the
// value, since some search loosely and some ignore a parameter they do not know;
// letter case may differ. A loose search may hold the exact hit on a later page.
// Two hits are enough: nobody tells one of several from the others; but what an
// index shows may be gone. A blank value finds nothing.
func (c *Client) Find(ctx context.Context, name, property, value string, properties []string) ([]record.Record, bool, error) {
	o, err := c.object(name)
	if err != nil {
		return nil, false, err
	}
	k, err := o.call("find")
	if err != nil || value == "" {
		return nil, true, err
	}
	r := request{call: k, args: args{"field": property, "value": value}, sent: record.Fields{property: value}}
	consistent := c.spec.SearchLag.Duration == 0
	var found []record.Record
	for n, page := 0, ""; n == 0 || page != ""; n++ {
		if len(found) > 1 && (consistent || n == maxSearched) {
			break
		}
		if n == maxSearched {
			return nil, false, flow.Errorf(flow.RemoteRefused, "find %s: %d pages do not tell whether a record has the value; make destination.objects.%s.find narrower", name, n, name)
		}
		var a *answer
		a, page, err = c.searched(ctx, o, r, page)
		if a != nil && a.status == http.StatusNotFound && k.path.has("value") {
			break // a lookup by path: nobody is there
		}
		if err != nil {
			return nil, false, err
		}
		if found, err = c.hits(ctx, o, a, found, property, value, properties); err != nil {
			return nil, false, err
		}
	}
	return found, consistent, nil
}

// searched asks for one page of a search, and names the next where it has pages.
func (c *Client) searched(ctx context.Context, o *object, r request, page string) (a *answer, next string, err error) {
	if o.list.pages(r.call) {
		return c.paged(ctx, o, r, page)
	}
	a, err = c.do(ctx, o, r)
	return a, "", err
}

// hits adds to found what one page holds of records that have the value. One that
// moves to the next page meanwhile comes twice.
func (c *Client) hits(ctx context.Context, o *object, a *answer, found []record.Record, property, value string, properties []string) ([]record.Record, error) {
	before := found
	for _, item := range list(a.body) {
		o.noteID(item)
		rec, equal, err := c.equal(ctx, o, a, item, property, value, properties)
		if err != nil {
			return nil, err
		}
		if equal && !rec.Archived && !slices.ContainsFunc(before, func(r record.Record) bool { return r.ID == rec.ID }) {
			found = append(found, rec)
		}
	}
	return found, nil
}

// equal reads one found item and compares its property with value. A summary that
// leaves out the property, or of an equal one any other, is completed by reading
// the record.
func (c *Client) equal(ctx context.Context, o *object, a *answer, item any, property, value string, properties []string) (record.Record, bool, error) {
	a.etag = "" // the list's, not the record's
	rec, err := o.record(a, item, properties)
	if err != nil {
		return rec, false, err
	}
	fields, _ := at(item, o.Fields)
	got, told := o.read(fields, property)
	same := func() bool { return strings.EqualFold(strings.TrimSpace(got), strings.TrimSpace(value)) }
	if !told || same() && !rec.Archived && len(rec.Fields) < len(properties) {
		whole, err := c.Read(ctx, o.name, rec.ID, append([]string{property}, properties...))
		if flow.CodeOf(err) == flow.RecordMissing {
			return rec, false, nil
		}
		if err != nil {
			return rec, false, err
		}
		rec, got = whole, whole.Fields[property]
	}
	return rec, same(), nil
}
