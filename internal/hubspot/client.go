// Package hubspot is HubSpot at the edge: a small hand-written client for the
// date-versioned CRM API, the check of webhook signatures, and the reading of
// webhook events.
//
// The client implements flow.Remote. It decides once, here, what a status
// means, so that nothing above it knows HTTP; it retries nothing but a refused
// token (once), since order and retries belong to the state machines. It takes
// no rate-limit decisions either: hand it an http.Client whose transport waits.
// It is not a general HubSpot SDK; it holds the calls a synchroniser makes.
package hubspot

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

// Version is the API's date version, in every path. HubSpot supports a version
// for at least 18 months (developers.hubspot.com/docs/guides, versioning).
const Version = "2026-09"

// DefaultBaseURL is where the API answers.
const DefaultBaseURL = "https://api.hubapi.com"

const (
	defaultSearchLag = 10 * time.Second
	defaultTimeout   = 20 * time.Second
	// maxAnswer bounds what is read of one answer. A record with every property
	// at HubSpot's limit of 65,536 characters is far larger than any real one.
	maxAnswer = 8 << 20
)

// Options are what a Client is built from. Token is required.
type Options struct {
	// BaseURL is the API's origin; DefaultBaseURL when empty.
	BaseURL string
	// Token returns the bearer token. It is asked before every request, so it
	// should cache.
	Token func(ctx context.Context) (string, error)
	// Invalidate tells the token's keeper that HubSpot refused this token. The
	// request is sent once more if Token then returns another one.
	Invalidate func(token string)
	// HTTP sends the requests; one with a timeout of 20 s when nil. Redirects
	// are never followed.
	HTTP *http.Client
	// SearchLag is how long a new record may stay invisible to search; 10 s when zero.
	SearchLag time.Duration
	// Types gives each object's property types, see PropertyTypes. A property
	// that is not in it is read as a string.
	Types map[string]map[string]record.Type
	// Unique lists each object's properties that HubSpot keeps unique, beside
	// the contacts' email, see UniqueProperties.
	Unique map[string][]string
	// Now is the clock, time.Now when nil.
	Now func() time.Time
}

// OptionsFor derives from a spec everything but Token and HTTP.
func OptionsFor(s *spec.Spec) Options {
	return Options{
		BaseURL: s.HubSpot.BaseURL, SearchLag: s.HubSpot.SearchLag.Duration,
		Types: PropertyTypes(s), Unique: UniqueProperties(s),
	}
}

// Client talks to one portal. It is safe for concurrent use.
type Client struct {
	options Options
	base    string
	http    *http.Client
}

// New makes a client. It sends nothing.
func New(o Options) (*Client, error) {
	if o.Token == nil {
		return nil, errors.New("hubspot: no token source; set Options.Token")
	}
	base, err := url.Parse(cmp.Or(o.BaseURL, DefaultBaseURL))
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" {
		return nil, fmt.Errorf("hubspot: the base URL must be an absolute URL without credentials or query, such as %s", DefaultBaseURL)
	}
	o.SearchLag = cmp.Or(o.SearchLag, defaultSearchLag)
	if o.Now == nil {
		o.Now = time.Now
	}
	client := http.Client{Timeout: defaultTimeout}
	if o.HTTP != nil {
		client = *o.HTTP
	}
	// A redirect would carry the token, or turn a write into a read.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{options: o, base: strings.TrimSuffix(base.String(), "/"), http: &client}, nil
}

// call is one request before it is sent.
type call struct {
	method, path string
	query        url.Values
	body         any
	// sent holds the property values in the request, which must not come back
	// in an error's text.
	sent record.Fields
	// repeatable calls are reads by POST: no doubt is left when they fail.
	repeatable bool
}

func (c call) writes() bool { return c.method != http.MethodGet && !c.repeatable }

// do sends a call and decodes its answer into out (nil: the body is ignored).
// Every error is a *flow.Error. A refused token is replaced once.
func (c *Client) do(ctx context.Context, r call, out any) error {
	body, err := encode(r.body)
	if err != nil {
		return flow.Errorf(flow.BadValue, "the request to HubSpot could not be encoded as JSON")
	}
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	err = c.send(ctx, r, token, body, out)
	if flow.CodeOf(err) != flow.Unauthorized || c.options.Invalidate == nil {
		return err
	}
	c.options.Invalidate(token)
	fresh, tokenErr := c.token(ctx)
	if tokenErr != nil {
		return tokenErr
	}
	if fresh == token {
		return err
	}
	return c.send(ctx, r, fresh, body, out)
}

func encode(body any) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	return json.Marshal(body)
}

func (c *Client) token(ctx context.Context) (string, error) {
	token, err := c.options.Token(ctx)
	var known *flow.Error
	switch {
	case errors.As(err, &known):
		return "", known
	case err != nil:
		// The keeper's error may quote what it holds, so it is not repeated.
		return "", &flow.Error{Code: flow.RemoteBusy, Message: "the HubSpot token could not be obtained", Err: err}
	case token == "":
		return "", flow.Errorf(flow.Unauthorized, "the HubSpot token is empty; store one under the name that hubspot.auth.secret gives")
	}
	return token, nil
}

func (c *Client) send(ctx context.Context, r call, token string, body []byte, out any) error {
	req, err := c.request(ctx, r, token, body)
	if err != nil {
		return flow.Errorf(flow.BadValue, "HubSpot %s: the request could not be built", r.method)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return unreachable(r, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return unreachable(r, err)
	case len(answer) > maxAnswer:
		return &flow.Error{Code: flow.TooLarge, Message: fmt.Sprintf("HubSpot answered with more than %d bytes", maxAnswer), Maybe: r.writes()}
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return refused(r, resp.StatusCode, resp.Header, answer)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return &flow.Error{Code: flow.RemoteBusy, Message: fmt.Sprintf("HubSpot answered %d with a body that is not the documented JSON", resp.StatusCode), Maybe: r.writes()}
	}
	return nil
}

func (c *Client) request(ctx context.Context, r call, token string, body []byte) (*http.Request, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	var payload io.Reader
	if body != nil {
		payload = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, payload)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// objects is the path of one object type, followed by escaped segments. A plus
// is escaped too: some servers read it as a space, and e-mails have it.
func objects(object string, segments ...string) string {
	path := "/crm/objects/" + Version
	for _, s := range append([]string{object}, segments...) {
		path += "/" + strings.ReplaceAll(url.PathEscape(s), "+", "%2B")
	}
	return path
}

// addressable reports whether an id or a unique value can stand in a path: dots
// alone would name another path, even when escaped (RFC 3986, 6.2.2.3).
func addressable(id string) bool { return id != "" && id != "." && id != ".." }
