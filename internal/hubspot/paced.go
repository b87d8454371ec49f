package hubspot

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"tandem/internal/limit"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// searches is what the search endpoints take: 5 requests per second and account,
// counted apart from the app's own limit (usage guidelines, "CRM search").
var searches = spec.RateLimit{Requests: 5, Per: spec.Duration{Duration: time.Second}}

// Paced puts the portal's budget, which every process shares through the table,
// in front of a transport, and searches within theirs. Without a budget there is
// no limit but what HubSpot's answers ask for. The limiter is the portal's.
func Paced(base http.RoundTripper, t table.Table, budget spec.RateLimit) (http.RoundTripper, *limit.Limiter, error) {
	l, err := limit.New(limit.Options{Table: t, System: record.HubSpot, Budget: budget})
	if err != nil {
		return nil, nil, fmt.Errorf("hubspot.rateLimit: %w", err)
	}
	if budget.Requests == 0 {
		return limit.Transport(base, l, Pause), l, nil
	}
	s, err := limit.New(limit.Options{Table: t, System: record.HubSpot, Part: "search", Budget: searches})
	if err != nil {
		return nil, nil, err
	}
	return limit.Transport(base, l, Pause, limit.Part{Limit: s, Of: isSearch}), l, nil
}

func isSearch(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/search")
}
