package simulation

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"tandem/internal/record"
)

// line carries requests to one system: at once, except for what hooks do to them.
type line struct {
	st     *stage
	system record.System
}

// fault is how a hook makes a request fail.
type fault struct {
	status int // 0: the connection breaks
	lost   bool
	late   time.Duration
}

// Error implements error.
func (f *fault) Error() string { return "connection reset by peer" }

const trip = 10 * time.Millisecond

// RoundTrip implements http.RoundTripper.
func (l *line) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	if err := sleep(ctx, trip); err != nil {
		return nil, err
	}
	point := string(l.system) + " " + op(req)
	err := l.st.reach(ctx, "before", point)
	if f, ok := err.(*fault); ok && f.late > 0 {
		clone := req.Clone(context.Background())
		l.st.after(f.late, func() { l.serve(clone, body, " (late, nobody waits for the answer)") })
	}
	if err != nil {
		return refused(req, err)
	}
	resp := l.serve(req, body, "")
	if err := l.st.reach(ctx, "after", point); err != nil {
		return refused(req, err)
	}
	return resp, sleep(ctx, trip)
}

// refused turns a fault into what the caller sees.
func refused(req *http.Request, err error) (*http.Response, error) {
	f, ok := err.(*fault)
	if !ok || f.status == 0 {
		return nil, err
	}
	resp := answer(req, f.status, nil)
	if f.status == http.StatusTooManyRequests {
		resp.Header.Set("Retry-After", "1")
		resp.Body = io.NopCloser(strings.NewReader(`{"status":"error","message":"You have reached your secondly limit.","policyName":"SECONDLY","category":"RATE_LIMITS"}`))
	}
	return resp, nil
}

// serve lets the system carry a request out and tells of it when it may change something.
func (l *line) serve(req *http.Request, body []byte, remark string) *http.Response {
	in := req.Clone(context.Background())
	in.Body = io.NopCloser(bytes.NewReader(body))
	resp, _ := direct{l.st.handlers[l.system]}.RoundTrip(in)
	switch op(req) {
	case "create", "update", "archive":
		l.st.tell("    -> %s %s %s %s %d%s", l.system, req.Method, req.URL.RequestURI(), brief(body), resp.StatusCode, remark)
		if resp.StatusCode < 300 {
			l.st.writesTo[l.system]++
			l.st.wrote(l.system)(req, body, resp.StatusCode)
		}
	}
	return resp
}

// op names a request after what it does, the same for both systems.
func op(req *http.Request) string {
	path := req.URL.Path
	switch {
	case strings.HasSuffix(path, "/search"), req.Method == http.MethodGet && (req.URL.Query().Get("idProperty") != "" || strings.Count(path, "/") == 2):
		return "search"
	case req.Method == http.MethodGet, strings.HasSuffix(path, "/batch/read"):
		return "read"
	case req.Method == http.MethodPatch:
		return "update"
	case req.Method == http.MethodDelete, strings.HasSuffix(path, "/archive"):
		return "archive"
	}
	return "create"
}

var wrapping = regexp.MustCompile(`"(objectWriteTraceId|idempotencyKey)":"[^"]*",?`)

// brief is a request's body without what only a trace needs.
func brief(body []byte) string { return string(wrapping.ReplaceAll(body, nil)) }
