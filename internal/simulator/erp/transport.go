package erp

import (
	"bytes"
	"io"
	"net/http"

	"tandem/internal/destination"
	"tandem/spec"
)

// Transport sends requests to a handler inside the process, so that a whole
// client can be run without a network. A handler that aborts is a connection
// that broke.
func Transport(h http.Handler) http.RoundTripper { return transport{h} }

type transport struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			resp, err = nil, io.ErrUnexpectedEOF
		} else if p != nil {
			panic(p)
		}
	}()
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	t.handler.ServeHTTP(w, in)
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// recorder keeps an answer in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }

// token is what Remote and its handler agree on.
const token = "in-process"

// Remote is the company as the flow sees it: the real adapter, wired by s, over
// a Transport. The adapter's clock is the company's.
func Remote(c *Company, s *spec.Spec) (*destination.Client, error) {
	return destination.New(s, destination.Options{
		Secrets: func(string) (string, error) { return token, nil },
		HTTP:    &http.Client{Transport: Transport(Handler(c, token))},
		Now:     c.now,
	})
}
