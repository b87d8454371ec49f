package destination_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tandem/internal/destination"
	"tandem/spec"
)

// TestPauses: which answers ask everybody to stay away, and for how long.
func TestPauses(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	pauses := destination.Pauses(spec.Destination{Errors: []spec.ErrorRule{
		{Status: 400, Contains: "E_SLOW", Class: "throttled"}, {Status: 429, Contains: "E_FULL", Class: "permanent"},
	}}, func() time.Time { return now })
	for _, c := range []struct {
		status int
		header string
		body   string
		want   time.Duration // -1: nothing is asked for
	}{
		{429, "", "", 0},
		{429, "Retry-After: 12", "", 12 * time.Second},
		{429, "Retry-After: Mon, 23 Nov 2026 10:00:30 GMT", "", 30 * time.Second},
		{429, "RateLimit-Reset: 7", "", 7 * time.Second},
		{429, "", "E_FULL", -1},
		{400, "Retry-After: 3", "E_SLOW", 3 * time.Second},
		{400, "Retry-After: 3", "E_OTHER", -1},
		{403, "Retry-After: 60", "", time.Minute},
		{403, "", "", -1},
		{503, "Retry-After: 120", "", 2 * time.Minute},
		{503, "", "", -1},
		{500, "Retry-After: 120", "", -1},
		{200, "RateLimit-Remaining: 0\nRateLimit-Reset: 9", "", 9 * time.Second},
		{200, "RateLimit-Remaining: 1\nRateLimit-Reset: 9", "", -1},
		{200, "RateLimit-Remaining: 0", "", -1},
		{200, fmt.Sprint("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: ", now.Unix()+40), "", 40 * time.Second},
		{200, fmt.Sprint("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: ", now.UnixMilli()+40_000), "", 40 * time.Second},
		{200, fmt.Sprint("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: ", now.UnixMicro()+40_000_000), "", 40 * time.Second},
		{429, fmt.Sprint("X-RateLimit-Reset: ", now.UnixNano()+40_000_000_000), "", day}, // no unit that is known
		{429, fmt.Sprint("RateLimit-Reset: ", now.Unix()+1e6), "", day},
		{429, "RateLimit-Reset: 100000", "", day},
		{429, "Retry-After: 100000", "", day},
		{503, "Retry-After: Mon, 23 Nov 2126 10:00:30 GMT", "", day},
		{429, "Retry-After: Mon, 23 Nov 2020 10:00:30 GMT", "", 0},
		{200, "X-Rate-Limit-Remaining: 0\nX-Rate-Limit-Reset: 4", "", 4 * time.Second},
		{200, `RateLimit: "default";r=0;t=11`, "", 11 * time.Second},
		{200, `RateLimit: "default";r=3;t=11`, "", -1},
		{200, `RateLimit: limit=100, remaining=0, reset=5`, "", 5 * time.Second},
		{200, "RateLimit-Remaining: many\nRateLimit-Reset: soon", "", -1},
		{200, "", "", -1},
	} {
		h := http.Header{}
		for name, value := range headers(c.header) {
			h.Set(name, value)
		}
		if d, ok := pauses(c.status, h, []byte(c.body)); ok != (c.want >= 0) || ok && d != c.want {
			t.Errorf("%d %q %s: %v, %v; want %v", c.status, c.header, c.body, d, ok, c.want)
		}
	}
}

// headers reads "Name: value" lines.
func headers(lines string) map[string]string {
	out := map[string]string{}
	for line := range strings.SplitSeq(lines, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			out[name] = value
		}
	}
	return out
}
