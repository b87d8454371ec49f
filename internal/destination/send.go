package destination

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// request is one call with its arguments.
type request struct {
	call *call
	args args
	body any
	// url replaces the call's own, for a Link to the next page.
	url string
	// etag makes the request conditional; key makes repeated creates one.
	etag, key string
	// sent holds the values in the request, which must not come back in an error.
	sent record.Fields
}

// answer is what came back: the decoded JSON at the call's result path.
type answer struct {
	what   string // "update customers: PATCH /api/customers/{id}", for errors
	status int
	header http.Header
	etag   string
	whole  any // the whole body, nil when empty
	body   any // what stands at Result
	sent   time.Time
}

// do sends a request, with fresh credentials once more when they were refused,
// and turns every failure into a *flow.Error. The answer comes along with the
// error where there was one.
func (c *Client) do(ctx context.Context, o *object, r request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	what := r.call.name + " " + o.name + ": " + r.call.Method + " " + r.call.Call.Path
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, flow.Errorf(flow.BadValue, "%s: the request could not be encoded as JSON", what)
		}
	}
	if r.url == "" {
		var err error
		if r.url, err = r.call.url(c.base, r.args); err != nil {
			return nil, err
		}
	}
	credential, err := c.auth.credential(ctx)
	if err != nil {
		return nil, err
	}
	a, raw, err := c.send(ctx, o, r, what, body, credential)
	if err == nil && a.status == http.StatusUnauthorized {
		fresh, freshErr := c.auth.renew(ctx, credential)
		if freshErr != nil {
			return nil, freshErr
		}
		if fresh != credential {
			a, raw, err = c.send(ctx, o, r, what, body, fresh)
		}
	}
	if err != nil {
		return nil, err
	}
	return a, c.judge(o, r, a, raw)
}

// send makes one exchange and reads the whole answer.
func (c *Client) send(ctx context.Context, o *object, r request, what string, body []byte, credential string) (*answer, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, r.call.Method, r.url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, flow.Errorf(flow.RemoteRefused, "%s: not a URL; check destination.baseUrl and the path", what)
	}
	c.headers(req, o, r, body != nil)
	c.auth.apply(req, credential)
	a := &answer{what: what, sent: c.now()}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, r.failed(what, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, r.failed(what, err)
	}
	if len(raw) > maxAnswer {
		return nil, nil, &flow.Error{Code: flow.TooLarge, Maybe: r.call.writes(), Message: what + ": the answer is larger than 8 MB; ask for smaller pages"}
	}
	a.status, a.header, a.etag = resp.StatusCode, resp.Header, resp.Header.Get("Etag")
	return a, raw, nil
}

// headers sets what the spec and the request ask for.
func (c *Client) headers(req *http.Request, o *object, r request, hasBody bool) {
	req.Header.Set("Accept", "application/json")
	if hasBody {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range c.spec.Headers {
		req.Header.Set(name, value)
	}
	if r.etag != "" && o.Conditional != "" {
		req.Header.Set("If-Match", r.etag)
	}
	if r.key != "" && o.IdempotencyHeader != "" {
		req.Header.Set(o.IdempotencyHeader, r.key)
	}
}

// failed names an exchange that brought no answer. The cause's own text may hold
// the URL and with it a value, so only its kind is told.
func (r request) failed(what string, err error) error {
	var own *flow.Error
	if errors.As(err, &own) {
		return own // a transport of ours, such as the rate limit's, has decided
	}
	kind, sent := "the connection failed", true
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		kind, sent = "no connection could be made", false
	case errors.Is(err, context.Canceled):
		kind = "the call was cancelled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		kind = "no answer in time"
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &flow.Error{Code: flow.RemoteBusy, Maybe: sent && r.call.writes(), Message: what + ": " + kind, Err: cause(err)}
}

// cause keeps of a transport's error only what cannot hold data.
func cause(err error) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// judge decodes a success and classifies everything else.
func (c *Client) judge(o *object, r request, a *answer, raw []byte) error {
	decoded := len(bytes.TrimSpace(raw)) == 0 || decode(raw, &a.whole) == nil
	if a.status < 200 || a.status > 299 {
		return c.classify(o, r, a, raw)
	}
	if !decoded {
		return &flow.Error{Code: flow.RemoteBusy, Maybe: r.call.writes(), Message: a.what + ": the answer is not JSON"}
	}
	var ok bool
	if a.body, ok = at(a.whole, r.call.Result); !ok && a.whole != nil && !r.call.writes() {
		return flow.Errorf(flow.RemoteRefused, "%s: the answer has nothing at %q; check the call's result", a.what, r.call.Result)
	}
	return nil
}

// decode reads one JSON value, keeping numbers as they are written.
func decode(raw []byte, v *any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}
