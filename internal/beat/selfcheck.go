package beat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// The canary's questions, one per direction: did its last text arrive there.
const (
	CanaryToDestination = "canary-to-destination"
	CanaryToHubSpot     = "canary-to-hubspot"
)

// checkNames are the questions a self-check may ask.
var checkNames = []string{"secrets", "table", "hubspot", "destination", CanaryToDestination, CanaryToHubSpot}

// String is the check in a few words: its name, and for the canary the round trip.
func (c Check) String() string {
	switch {
	case !c.OK:
		return strings.TrimSpace(c.Name + " " + string(c.Code))
	case c.Name == CanaryToDestination || c.Name == CanaryToHubSpot:
		return fmt.Sprintf("%s in %v", c.Name, time.Duration(c.Millis)*time.Millisecond)
	}
	return c.Name
}

// Failed lists the checks that failed, in words; "" when none did.
func Failed(checks []Check) string {
	var failed []string
	for _, c := range checks {
		if !c.OK {
			failed = append(failed, c.String())
		}
	}
	return strings.Join(failed, ", ")
}

// Probe asks one question: are the secrets readable, does the table answer, do
// both systems answer with valid credentials.
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
