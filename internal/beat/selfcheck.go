package beat

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tandem/internal/flow"
)

// Check is the answer to one question of a self-check, which a scheduled beat
// carries so that a quiet night can be told from an outage.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Code says why it failed.
	Code flow.Code `json:"code,omitempty"`
	// Millis is how long the answer took; for the canary, the whole round trip.
	Millis int64 `json:"ms"`
}

// checkNames are the questions a self-check may ask.
var checkNames = []string{"secrets", "table", "hubspot", "destination", "canary"}

// Probe asks one question: are the secrets readable, does the table answer, do
// both systems answer with valid credentials, did the canary record come back.
type Probe struct {
	Name string
	Ask  func(ctx context.Context) error
}

// SelfCheck asks all probes at once, each under timeout, and answers in their
// order. A probe that does not return in time has failed; it is not waited for.
func SelfCheck(ctx context.Context, timeout time.Duration, probes ...Probe) []Check {
	out := make([]Check, len(probes))
	var wg sync.WaitGroup
	for i, p := range probes {
		wg.Go(func() { out[i] = ask(ctx, timeout, p) })
	}
	wg.Wait()
	return out
}

func ask(ctx context.Context, timeout time.Duration, p Probe) Check {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start, done := time.Now(), make(chan error, 1)
	go func() { done <- p.Ask(ctx) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return Check{Name: p.Name, OK: err == nil, Code: codeOf(err), Millis: time.Since(start).Milliseconds()}
}

func codeOf(err error) flow.Code {
	if err == nil {
		return ""
	}
	if c := flow.CodeOf(err); c != "" {
		return c
	}
	return flow.Code(Other)
}

func validChecks(checks []Check) error {
	for _, c := range checks {
		if !slices.Contains(checkNames, c.Name) || c.Millis < 0 {
			return errors.New("checks: a name outside the closed set or a negative time")
		}
		if c.Code != "" && Known(Cause(c.Code)) != Cause(c.Code) {
			return errors.New("checks: a code outside the closed set")
		}
	}
	return nil
}
