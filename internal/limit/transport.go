package limit

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"time"
)

// Pause reads from an answer for how long it asks every worker to stay away; ok
// is false when it does not. The body is the beginning of an answer from 400 on,
// nil for others. A zero pause is for as long as the limiter sees fit.
type Pause func(status int, h http.Header, body []byte) (d time.Duration, ok bool)

// Part is a kind of request that the remote counts apart, within a budget of its own.
type Part struct {
	Limit *Limiter
	Of    func(*http.Request) bool
}

// Transport puts a limiter in front of every single HTTP request, and tells it
// what pause finds in the answers. A wait that belongs to the machine comes out of
// the client as the *flow.Error in the chain of its error.
func Transport(base http.RoundTripper, l *Limiter, pause Pause, parts ...Part) http.RoundTripper {
	return transport{base, l, pause, parts}
}

type transport struct {
	base  http.RoundTripper
	limit *Limiter
	pause Pause
	parts []Part
}

// limiter is the one that a request is counted by.
func (t transport) limiter(r *http.Request) *Limiter {
	for _, p := range t.parts {
		if p.Of(r) {
			return p.Limit
		}
	}
	return t.limit
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	l := t.limiter(r)
	p, err := l.permit(r.Context())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper must close it, also when it sends nothing
		}
		return nil, err
	}
	wrote := httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { p.wrote(l.Now()) }}
	resp, err := t.base.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), &wrote)))
	p.returned(l.Now())
	l.late(context.WithoutCancel(r.Context()), p)
	if err != nil {
		return nil, err
	}
	if d, ok := t.pause(resp.StatusCode, resp.Header, peek(resp)); ok {
		// That the pause could not be shared loses only a warning to the others. A
		// long one is about more than one kind of request.
		_ = l.Throttled(context.WithoutCancel(r.Context()), d)
		if l != t.limit && d >= hopeless {
			_ = t.limit.Throttled(context.WithoutCancel(r.Context()), d)
		}
	}
	return resp, nil
}

// peeked is how much of a refusal is read to learn what it asks for.
const peeked = 4 << 10

// peek reads the beginning of a refusal's body and leaves it to be read again.
func peek(resp *http.Response) []byte {
	if resp.StatusCode < http.StatusBadRequest {
		return nil
	}
	head, _ := io.ReadAll(io.LimitReader(resp.Body, peeked)) // whoever reads the rest meets the error again
	resp.Body = rejoined{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	return head
}

// rejoined is a body put together again.
type rejoined struct {
	io.Reader
	io.Closer
}
