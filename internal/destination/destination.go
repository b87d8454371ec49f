// Package destination is the other system at the edge: a REST adapter that is
// wired by the spec alone, for any system that keeps records behind JSON.
//
// The Client implements flow.Remote and flow.Changes. It decides once, here,
// what a status means, so that nothing above it knows HTTP. It retries nothing
// but credentials that were refused (once), since order and retries belong to
// the state machines, and it keeps no budget: see package limit. What a sender
// signs is checked by the Receiver, with the schemes of package signature.
//
// No error of this package holds a field's value, an id of a person or a
// secret: messages are made of the spec's own words, statuses and those words
// of the remote's message that cannot be data (see explain).
package destination

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

const (
	defaultTimeout = 15 * time.Second
	// maxAnswer bounds what is read of one answer; a page of 100 records of
	// 80 KB each fits.
	maxAnswer = 8 << 20
	// idleConnections is how many connections are kept for the next calls.
	idleConnections = 64
	// maxRedirects bounds how far a read follows.
	maxRedirects = 5
)

// Options are what a Client needs beside the spec.
type Options struct {
	// Secrets returns the value of a secret by its parameter's last name. It is
	// asked before requests, so it should cache; after credentials were refused
	// it is asked once more, so a cache that is not short needs Invalidate.
	// Where there is no such secret the value is empty, or the error is
	// fs.ErrNotExist; any other error is taken for an outage of the store.
	Secrets func(name string) (string, error)
	// Invalidate tells the secrets' keeper that the system refused this one. The
	// request is sent once more if Secrets then returns another one.
	Invalidate func(name string)
	// HTTP sends the requests, a client of its own when nil. Its redirect policy
	// is replaced: writes follow none, reads do without credentials elsewhere.
	HTTP *http.Client
	// Now is the clock, time.Now when nil.
	Now func() time.Time
	// Table, when set, is where all processes of the client share an access token.
	Table table.Table
}

// Client reaches one destination. It is safe for concurrent use.
type Client struct {
	spec    spec.Destination
	base    *url.URL
	http    *http.Client
	now     func() time.Time
	auth    authorizer
	objects map[string]*object
	timeout time.Duration
}

var (
	_ flow.Remote  = (*Client)(nil)
	_ flow.Changes = (*Client)(nil)
	_ flow.Recents = (*Client)(nil)
	_ flow.Census  = (*Client)(nil)
)

// New makes a client from a spec. It sends nothing; an error says which part of
// the spec cannot be used.
func New(s *spec.Spec, o Options) (*Client, error) {
	d := s.Destination
	if kind := cmp.Or(d.Kind, "rest"); kind != "rest" {
		return nil, fmt.Errorf("destination.kind is %q; this adapter serves \"rest\"", kind)
	}
	base, err := url.Parse(d.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("destination.baseUrl must be an absolute http or https URL without credentials, query or fragment")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Client{
		spec: d, base: base, now: o.Now, objects: map[string]*object{},
		timeout: cmp.Or(d.Timeout.Duration, defaultTimeout),
	}
	c.http = client(o.HTTP, c.redirect)
	if c.auth, err = newAuthorizer(d.Auth, o, c.http, c.timeout); err != nil {
		return nil, fmt.Errorf("destination.auth: %w", err)
	}
	for name, description := range d.Objects {
		if c.objects[name], err = compileObject(s, name, description); err != nil {
			return nil, fmt.Errorf("destination.objects.%s: %w", name, err)
		}
	}
	c.link(s)
	return c, nil
}

// link tells each object whose ids its references hold.
func (c *Client) link(s *spec.Spec) {
	for _, p := range s.Pairs {
		o := c.objects[p.Destination.Object]
		for _, f := range p.Fields {
			if pair, ok := s.PairByName(f.Destination.Pair); ok && o != nil {
				o.targets[f.Destination.Property] = c.objects[pair.Destination.Object]
			}
		}
	}
}

// client copies the caller's http.Client and gives the copy a redirect policy.
func client(given *http.Client, policy func(*http.Request, []*http.Request) error) *http.Client {
	out := http.Client{}
	if given != nil {
		out = *given
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		t.MaxIdleConnsPerHost = idleConnections // net/http keeps two, and one host is all we call
		out.Transport = t
	}
	out.CheckRedirect = policy
	return &out
}

// redirect refuses redirects of writes, which net/http would turn into reads or
// repeat elsewhere, and takes credentials and the spec's headers off a read that
// leaves for another origin.
func (c *Client) redirect(r *http.Request, via []*http.Request) error {
	if via[0].Method != http.MethodGet || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	if r.URL.Scheme == via[0].URL.Scheme && r.URL.Host == via[0].URL.Host {
		return nil
	}
	r.Header.Del("Authorization")
	r.Header.Del(c.spec.Auth.Header)
	r.Header.Del("Referer") // it would carry the first URL, ids and all
	for name := range c.spec.Headers {
		r.Header.Del(name)
	}
	return nil
}

// object is one Object of the spec, ready for use.
type object struct {
	spec.Object
	name   string
	calls  map[string]*call
	list   *lister
	types  map[string]record.Type
	names  []string // the mapped properties, in order
	shapes shapes
	// targets are, by property, the objects whose ids the references hold.
	targets map[string]*object
	once    bool // the system refuses a taken external id
	unique  bool // the system refuses a taken match value
}

// compileObject parses an object's calls and collects what the pairs say of it.
func compileObject(s *spec.Spec, name string, description spec.Object) (*object, error) {
	o := &object{Object: description, name: name, calls: map[string]*call{}, types: map[string]record.Type{}, targets: map[string]*object{}}
	for _, c := range []struct {
		name, method string
		call         *spec.Call
	}{
		{"create", http.MethodPost, &description.Create}, {"read", http.MethodGet, &description.Read},
		{"update", http.MethodPatch, &description.Update}, {"upsert", http.MethodPut, description.Upsert},
		{"delete", http.MethodDelete, description.Delete}, {"restore", http.MethodPost, description.Restore},
		{"find", http.MethodGet, description.Find},
	} {
		if c.call == nil || c.call.Path == "" {
			continue
		}
		compiled, err := compileCall(c.name, c.method, *c.call)
		if err != nil {
			return nil, err
		}
		o.calls[c.name] = compiled
	}
	if o.calls["read"] == nil {
		return nil, errors.New("read.path is missing; every object needs one")
	}
	if description.ID == "" {
		return nil, errors.New("id is missing; it is the JSON path of a record's id")
	}
	if c := description.Conditional; c != "" && c != "etag" && c != "required" {
		return nil, fmt.Errorf("conditional is %q; allowed are \"etag\", \"required\" or nothing", c)
	}
	var err error
	if o.list, err = compileList(description.List); err != nil {
		return nil, err
	}
	if why := o.list.unpaged(o.calls["find"]); why != "" {
		return nil, errors.New(why)
	}
	o.learn(s)
	return o, nil
}

// learn collects the types and names that the pairs give the object's fields.
func (o *object) learn(s *spec.Spec) {
	for _, p := range s.Pairs {
		side := p.Destination
		if side.Object != o.name {
			continue
		}
		o.once = o.once || o.calls["create"] != nil && slices.Contains(o.Unique, side.ExternalID)
		for _, f := range p.Fields {
			o.types[f.Destination.Property] = cmp.Or(f.Destination.Type, record.String)
			matched := slices.Contains(p.Match, spec.Match{Field: f.Name})
			o.unique = o.unique || matched && slices.Contains(o.Unique, f.Destination.Property)
		}
		if side.ExternalID != "" && o.types[side.ExternalID] == "" {
			o.types[side.ExternalID] = record.Reference
		}
	}
	for name := range o.types {
		o.names = append(o.names, name)
	}
	slices.Sort(o.names)
}

// object finds a described object.
func (c *Client) object(name string) (*object, error) {
	if o := c.objects[name]; o != nil {
		return o, nil
	}
	return nil, flow.Errorf(flow.BadEnvelope, "the spec describes no destination object %q", name)
}

// call finds one of an object's calls.
func (o *object) call(name string) (*call, error) {
	if k := o.calls[name]; k != nil {
		return k, nil
	}
	return nil, flow.Errorf(flow.RemoteRefused, "the spec has no %s call for %s; add destination.objects.%s.%s", name, o.name, o.name, name)
}

// Abilities tells what the spec says the system can do.
func (c *Client) Abilities(name string) flow.Abilities {
	o := c.objects[name]
	if o == nil {
		return flow.Abilities{}
	}
	return flow.Abilities{
		ConditionalWrite: o.Conditional != "", Versioned: o.Version != "",
		Once: o.once, Unique: o.unique, SearchLag: c.spec.SearchLag.Duration,
		Recent: o.TellsCreated(),
	}
}

// Read implements flow.Remote. A 410, which says that the record was deleted
// and will not come back (RFC 9110, 15.5.11), is an archived record.
func (c *Client) Read(ctx context.Context, name, id string, properties []string) (record.Record, error) {
	o, err := c.object(name)
	if err != nil {
		return record.Record{}, err
	}
	if err := checkID(id); err != nil {
		return record.Record{}, err
	}
	a, err := c.do(ctx, o, request{call: o.calls["read"], args: args{"id": id}})
	if a != nil && a.status == http.StatusGone {
		return record.Record{ID: id, Fields: record.Fields{}, Archived: true, ReadAt: a.sent}, nil
	}
	if err != nil {
		return record.Record{}, err
	}
	o.noteID(a.body)
	rec, err := o.record(a, a.body, properties)
	if err == nil && rec.ID != id {
		err = flow.Errorf(flow.RemoteBusy, "%s: the answer is another record's than was asked for", a.what)
	}
	if err == nil && !rec.Archived { // a deletion needs no fields
		err = o.readable(a, properties)
	}
	return rec, err
}

// checkID refuses ids that would turn the path into another one.
func checkID(id string) error {
	if strings.Trim(id, ".") == "" {
		return flow.Errorf(flow.BadEnvelope, "a record id must not be empty or made of dots only")
	}
	return nil
}
