package hubspot_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"tandem/internal/hubspot"
)

// The budget is what HubSpot's last answer told, and unknown where it tells nothing.
func TestBudget(t *testing.T) {
	header := http.Header{}
	b := &hubspot.Budget{Base: answering(header)}
	ask := func() (used, limit int) {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, "https://api.example", nil)
		if _, err := b.RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		return b.Reading()
	}
	if used, limit := ask(); used != 0 || limit != 0 {
		t.Errorf("without headers %d of %d", used, limit)
	}
	header.Set("X-HubSpot-RateLimit-Daily", "1000000")
	header.Set("X-HubSpot-RateLimit-Daily-Remaining", "250000")
	if used, limit := ask(); used != 750_000 || limit != 1_000_000 {
		t.Errorf("%d of %d", used, limit)
	}
	header.Set("X-HubSpot-RateLimit-Daily-Remaining", "unknown")
	if used, _ := ask(); used != 750_000 {
		t.Errorf("an unreadable header changes the reading to %d", used)
	}
}

// answering answers every request with these headers.
type answering http.Header

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header(a), Body: http.NoBody}, nil
}
