package simulation

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
)

// network carries requests to one simulated system, with every fault a real one has.
type network struct {
	w      *world
	system record.System
	to     http.Handler
	// down answers while the system does not work.
	down func(context.Context, *http.Request) (*http.Response, error)
	// deletes is told of a deletion that is about to be carried out.
	deletes func(*http.Request)
	// wrote is told of every request that reached the system and may change it.
	wrote func(*http.Request, []byte, int)
}

var errLost = errors.New("connection reset by peer")

// RoundTrip implements http.RoundTripper for a task.
func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	if err := sleep(ctx, n.w.between(time.Millisecond, 60*time.Millisecond)); err != nil {
		return nil, err
	}
	if resp, err := n.down(ctx, req); resp != nil || err != nil {
		return resp, err
	}
	if resp := n.refuse(req); resp != nil {
		return resp, nil
	}
	switch {
	case n.w.often(0.006, "request lost"):
		return nil, errLost
	case n.w.often(0.006, "request carried out late, client gone"):
		late := n.w.between(time.Second, 14*time.Second)
		clone := req.Clone(context.Background())
		n.w.after(late, func() { n.serve(clone, body) })
		if err := sleep(ctx, n.w.between(500*time.Millisecond, 8*time.Second)); err != nil {
			return nil, err
		}
		return nil, errLost
	}
	resp := n.serve(req, body)
	travel := n.w.between(time.Millisecond, 60*time.Millisecond)
	switch {
	case n.w.slow:
		travel = n.w.between(100*time.Millisecond, 4*time.Second)
	case n.w.chance(0.01, "slow answer"):
		travel = n.w.between(time.Second, 25*time.Second)
	}
	if err := sleep(ctx, travel); err != nil {
		return nil, err
	}
	switch {
	case n.w.often(0.006, "answer lost after it was carried out"):
		return nil, errLost
	case n.w.often(0.006, "504 after it was carried out"):
		return answer(req, http.StatusGatewayTimeout, nil), nil
	}
	return resp, nil
}

// refuse answers in the system's place.
func (n *network) refuse(req *http.Request) *http.Response {
	switch {
	case n.w.chance(0.01, "429"):
		resp := answer(req, http.StatusTooManyRequests, http.Header{"Retry-After": {"1"}})
		resp.Body = io.NopCloser(strings.NewReader(`{"status":"error","message":"You have reached your secondly limit.","policyName":"SECONDLY","category":"RATE_LIMITS"}`))
		return resp
	case n.w.chance(0.005, "503"):
		return answer(req, http.StatusServiceUnavailable, nil)
	case n.system == record.HubSpot && n.w.chance(0.003, "423"):
		return answer(req, http.StatusLocked, nil)
	}
	return nil
}

func answer(req *http.Request, status int, h http.Header) *http.Response {
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: h, Body: http.NoBody, Request: req, ProtoMajor: 1, ProtoMinor: 1}
}

// serve lets the system carry the request out, at once.
func (n *network) serve(req *http.Request, body []byte) *http.Response {
	if deletes(req) {
		n.deletes(req)
	}
	in := req.Clone(context.Background())
	in.Body = io.NopCloser(bytes.NewReader(body))
	in.RequestURI = req.URL.RequestURI()
	rec := httptest.NewRecorder()
	n.to.ServeHTTP(rec, in)
	if req.Method != http.MethodGet {
		n.w.note("  %s %s %s %s %s -> %d", n.system, req.Method, req.URL.RequestURI(), body, req.Header.Get("If-Match"), rec.Code)
		n.wrote(req, body, rec.Code)
	}
	return rec.Result()
}

// shaky is the table with a network in front of it.
type shaky struct {
	w  *world
	in table.Table
	// lost gets the rows of what conflicts have lost, and keeps them.
	lost table.Table
}

var errStore = errors.New("the table is throttled")

func (s *shaky) travel(ctx context.Context, fault string) error {
	if err := sleep(ctx, s.w.between(0, 4*time.Millisecond)); err != nil {
		return err
	}
	if s.w.chance(0.002, fault) {
		return errStore
	}
	return nil
}

// Get implements table.Table.
func (s *shaky) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if err := s.travel(ctx, "table read failed"); err != nil {
		return nil, err
	}
	items, err := s.in.Get(ctx, keys...)
	if late := sleep(ctx, s.w.between(0, 4*time.Millisecond)); late != nil {
		return nil, late
	}
	return items, err
}

// Update implements table.Table.
func (s *shaky) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	if err := s.travel(ctx, "table write failed"); err != nil {
		return nil, err
	}
	revs, err := s.in.Update(ctx, updates...)
	for _, u := range updates {
		if err == nil && !u.Delete && strings.HasPrefix(u.Key.PK, "LOST#") {
			_, err = s.lost.Update(ctx, u)
		}
	}
	if late := s.travel(ctx, "table write done, answer lost"); late != nil {
		return nil, late
	}
	return revs, err
}

// Query implements table.Table.
func (s *shaky) Query(ctx context.Context, pk, after string, limit int) ([]table.Item, error) {
	if err := s.travel(ctx, "table read failed"); err != nil {
		return nil, err
	}
	return s.in.Query(ctx, pk, after, limit)
}
