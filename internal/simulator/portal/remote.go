package portal

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"tandem/internal/hubspot"
)

// Remote is the real HubSpot client over the portal's handler, in process: no
// socket, no goroutine, no clock but the portal's. Options need only Types and
// Unique (see hubspot.OptionsFor).
func Remote(p *Portal, o hubspot.Options) (*hubspot.Client, error) {
	o.HTTP = &http.Client{Transport: inProcess{p.Handler()}}
	o.BaseURL = "http://portal.simulated"
	o.Now = p.o.Now
	if o.SearchLag == 0 {
		o.SearchLag = p.o.SearchLag
	}
	if o.Token == nil {
		o.Token = func(context.Context) (string, error) { return "simulated", nil }
	}
	return hubspot.New(o)
}

// inProcess calls a handler as a transport.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper. A handler that aborts, as net/http
// documents, is a connection that closed without an answer.
func (t inProcess) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	defer func() {
		if v := recover(); v == http.ErrAbortHandler {
			resp, err = nil, io.ErrUnexpectedEOF
		} else if v != nil {
			panic(v)
		}
	}()
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	in := *r
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI = r.URL.RequestURI()
	t.handler.ServeHTTP(w, &in)
	return &http.Response{
		StatusCode: w.status, Header: w.header, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()),
	}, nil
}

// recorder keeps one answer.
type recorder struct {
	header http.Header
	body   bytes.Buffer
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) WriteHeader(status int)      { r.status = status }
