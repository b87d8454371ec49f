package cloud

import (
	"net/http"
	"strconv"
	"sync"
)

// budget remembers how much of HubSpot's daily budget is used, from the headers
// of its answers (X-HubSpot-RateLimit-Daily and -Daily-Remaining, "Usage
// guidelines" of the API). HubSpot leaves them out for some kinds of app; then
// nothing is known.
type budget struct {
	base http.RoundTripper

	mu          sync.Mutex
	used, limit int
}

// RoundTrip implements http.RoundTripper.
func (b *budget) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.base.RoundTrip(r)
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

// reading is the last one; limit is 0 when there is none.
func (b *budget) reading() (used, limit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.limit
}
