package hubspot

import (
	"context"
	"net/http"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// spent is a transport without budget left.
type spent struct{}

func (spent) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &flow.Error{Code: flow.RateLimited, Message: "the budget is used up", RetryAfter: time.Minute}
}

// What a transport refuses to send has certainly not been written.
func TestUsedUpBudgetLeavesNoDoubt(t *testing.T) {
	c, err := New(Options{Token: func(context.Context) (string, error) { return "t", nil }, HTTP: &http.Client{Transport: spent{}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Create(t.Context(), "contacts", record.Fields{"firstname": "A"}, "", "k")
	e, ok := err.(*flow.Error)
	if !ok || e.Code != flow.RateLimited || e.Maybe || e.RetryAfter != time.Minute {
		t.Errorf("got %v, want the transport's own refusal", err)
	}
}
