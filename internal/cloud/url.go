package cloud

import (
	"bytes"
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"

	"github.com/aws/aws-lambda-go/events"
)

// body returns a Function URL request's raw bytes, which are what a sender signs.
func body(r events.LambdaFunctionURLRequest) ([]byte, error) {
	if r.IsBase64Encoded {
		return base64.StdEncoding.DecodeString(r.Body)
	}
	return []byte(r.Body), nil
}

// Serve makes a Lambda handler for a Function URL of an HTTP handler.
func Serve(handler http.Handler) func(context.Context, events.LambdaFunctionURLRequest) (events.LambdaFunctionURLResponse, error) {
	return func(ctx context.Context, r events.LambdaFunctionURLRequest) (events.LambdaFunctionURLResponse, error) {
		raw, err := body(r)
		if err != nil {
			return events.LambdaFunctionURLResponse{StatusCode: http.StatusBadRequest}, nil
		}
		target := url.URL{Scheme: "https", Host: r.RequestContext.DomainName, Path: r.RawPath, RawQuery: r.RawQueryString}
		if decoded, err := url.PathUnescape(r.RawPath); err == nil {
			target.Path, target.RawPath = decoded, r.RawPath
		}
		req, err := http.NewRequestWithContext(ctx, r.RequestContext.HTTP.Method, target.String(), bytes.NewReader(raw))
		if err != nil {
			return events.LambdaFunctionURLResponse{StatusCode: http.StatusBadRequest}, nil
		}
		for name, value := range r.Headers {
			req.Header.Set(name, value)
		}
		for _, c := range r.Cookies {
			req.Header.Add("Cookie", c)
		}
		// The platform tells which name was called (NewRequest has set Host) and who called; X-Forwarded-For is whatever the caller wrote.
		req.RemoteAddr = net.JoinHostPort(r.RequestContext.HTTP.SourceIP, "0")
		w := &response{header: http.Header{}}
		handler.ServeHTTP(w, req)
		return w.answer(), nil
	}
}

// response collects what an HTTP handler writes.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.header.Get("Content-Type") == "" {
		w.header.Set("Content-Type", http.DetectContentType(b))
	}
	return w.body.Write(b)
}

// answer is always sent in base64: an asset may be binary, and the platform
// decodes it.
func (w *response) answer() events.LambdaFunctionURLResponse {
	out := events.LambdaFunctionURLResponse{
		StatusCode: max(w.status, http.StatusOK), Headers: map[string]string{},
		Body: base64.StdEncoding.EncodeToString(w.body.Bytes()), IsBase64Encoded: true,
	}
	for name, values := range w.header {
		if name == "Set-Cookie" {
			out.Cookies = values
			continue
		}
		out.Headers[name] = values[0]
	}
	return out
}
