package destination

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tandem/internal/limit"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// Paced puts the destination's budget, which every process shares through the
// table, in front of a transport. Without a declared one there is no limit but what
// the answers ask for.
func Paced(base http.RoundTripper, t table.Table, d spec.Destination) (http.RoundTripper, *limit.Limiter, error) {
	l, err := limit.New(limit.Options{Table: t, System: record.Destination, Budget: d.RateLimit})
	if err != nil {
		return nil, nil, fmt.Errorf("destination.rateLimit: %w", err)
	}
	return limit.Transport(base, l, Pauses(d, time.Now)), l, nil
}

// Pauses makes a limit.Pause of a spec's destination: how long an answer asks
// everybody to leave the system alone. A 429 asks, and so does a rule of class
// throttled; a 403 or 503 with Retry-After; and any answer that says that nothing
// is left of the rate limit until it is reset.
func Pauses(d spec.Destination, now func() time.Time) func(status int, h http.Header, body []byte) (time.Duration, bool) {
	return func(status int, h http.Header, body []byte) (time.Duration, bool) {
		if class, ok := ruleFor(d.Errors, status, body); ok && status >= 400 {
			return retryAfter(h, now()), class == "throttled"
		}
		switch {
		case status == http.StatusTooManyRequests:
			return retryAfter(h, now()), true
		case status == http.StatusForbidden || status == http.StatusServiceUnavailable:
			return retryAfter(h, now()), h.Get("Retry-After") != ""
		}
		left, reset := budget(h, now())
		return reset, left == 0 && reset > 0
	}
}

// longestPause bounds what an answer may ask for, as HubSpot's is: a date that was
// mistyped, or is in a unit that is not known here, would hold everybody for years.
const longestPause = 24 * time.Hour

func bounded(d time.Duration) time.Duration { return min(max(0, d), longestPause) }

// retryAfter reads how long to wait: Retry-After in seconds or as an HTTP date
// (RFC 9110, 10.2.3), else the reset of the rate limit; 0 where neither is told.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if v := h.Get("Retry-After"); v != "" {
		if s, err := strconv.ParseFloat(v, 64); err == nil && s >= 0 && s < 1e8 {
			return bounded(time.Duration(s * float64(time.Second)))
		}
		if t, err := http.ParseTime(v); err == nil {
			return bounded(t.Sub(now))
		}
	}
	_, reset := budget(h, now)
	return reset
}

// budget reads what is left of a rate limit, -1 where that is not told, and when
// it is reset: from the RateLimit field (draft-ietf-httpapi-ratelimit-headers,
// from 08 on: "name";r=left;t=seconds; to 07: remaining=left, reset=seconds), the
// three fields of its first drafts, or their X- forerunners, some of which give
// the reset as an epoch.
func budget(h http.Header, now time.Time) (left int64, reset time.Duration) {
	left = -1
	for _, names := range [][2]string{{"RateLimit-Remaining", "RateLimit-Reset"}, {"X-RateLimit-Remaining", "X-RateLimit-Reset"}, {"X-Rate-Limit-Remaining", "X-Rate-Limit-Reset"}} {
		if n, err := strconv.ParseInt(h.Get(names[0]), 10, 64); err == nil && left < 0 {
			left = max(0, n)
		}
		if d, ok := until(h.Get(names[1]), now); ok && reset == 0 {
			reset = d
		}
	}
	for part := range strings.FieldsFuncSeq(h.Get("RateLimit"), func(r rune) bool { return r == ',' || r == ';' }) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "r", "remaining":
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				left = max(0, n)
			}
		case "t", "reset":
			if d, ok := until(value, now); ok {
				reset = d
			}
		}
	}
	return left, reset
}

// until reads a reset: seconds from now, or an epoch in seconds, in milliseconds
// (12 digits or more, as instant reads them) or in microseconds (15 or more).
func until(text string, now time.Time) (time.Duration, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || n < 0:
		return 0, false
	case n >= 1e14:
		return bounded(time.UnixMicro(n).Sub(now)), true
	case n >= 1e11:
		return bounded(time.UnixMilli(n).Sub(now)), true
	case n > 1e9:
		return bounded(time.Unix(n, 0).Sub(now)), true
	}
	return bounded(time.Duration(n) * time.Second), true
}
