package hubspot

import (
	"net/http"
	"strconv"
	"sync"
)

// Budget is an HTTP transport that remembers how much of HubSpot's daily budget
// is used, from the headers of its answers (X-HubSpot-RateLimit-Daily and
// -Daily-Remaining, "Usage guidelines" of the API). HubSpot leaves them out for
// some kinds of app; then nothing is known.
type Budget struct {
	// Base sends the requests.
	Base http.RoundTripper

	mu          sync.Mutex
	used, limit int
}

// RoundTrip implements http.RoundTripper.
func (b *Budget) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.Base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	limit, bad := strconv.Atoi(resp.Header.Get("X-HubSpot-RateLimit-Daily"))
	left, worse := strconv.Atoi(resp.Header.Get("X-HubSpot-RateLimit-Daily-Remaining"))
	if bad == nil && worse == nil && limit > 0 {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.used, b.limit = max(0, limit-left), limit
	}
	return resp, nil
}

// Reading is the last one; limit is 0 when there is none.
func (b *Budget) Reading() (used, limit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.limit
}
