package hubspot

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tandem/internal/flow"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

type answering func(*http.Request) (int, string)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := f(r)
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// TestPause: what asks everybody to leave the portal alone, and for how long.
func TestPause(t *testing.T) {
	for _, c := range classes {
		h := http.Header{}
		for name, value := range c.header {
			h.Set(name, value)
		}
		want := map[string]time.Duration{
			"secondly": time.Second, "ten-secondly": time.Second, "ten-secondly by message": time.Second,
			"a wait that is told": 30 * time.Second, "daily": time.Hour, "daily by message": time.Hour, "migration": time.Hour,
			"a migration's end": time.Second, "migration untold": time.Minute,
		}[c.name]
		if d, ok := Pause(c.status, h, []byte(c.body)); ok != (want > 0) || d != want {
			t.Errorf("%s: %v, %v; want %v", c.name, d, ok, want)
		}
	}
}

// TestSearchesAreCountedApart: no more than five a second, other calls pass
// meanwhile, and a search that is refused holds no other call up unless the day's
// limit is used up.
func TestSearchesAreCountedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, err := embedded.Open("", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		defer tab.Close()
		var at []time.Time
		refusal := ""
		paced, _, err := Paced(answering(func(r *http.Request) (int, string) {
			if !isSearch(r) {
				return 200, ""
			}
			at = append(at, time.Now())
			if refusal != "" {
				return 429, refusal
			}
			return 200, ""
		}), tab, spec.RateLimit{Requests: 190, Per: spec.Duration{Duration: 10 * time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		c := http.Client{Transport: paced}
		send := func(method, path string) error {
			r, err := http.NewRequestWithContext(t.Context(), method, "https://api.example"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.Do(r)
			if err == nil {
				resp.Body.Close()
			}
			return err
		}
		for range 20 {
			for send("POST", "/crm/v3/objects/contacts/search") != nil {
				time.Sleep(100 * time.Millisecond)
			}
		}
		for i := range at[5:] {
			if at[i+5].Sub(at[i]) < time.Second {
				t.Fatalf("six searches within %v", at[i+5].Sub(at[i]))
			}
		}
		for _, k := range []struct {
			body string
			held bool
		}{{`{"message":"You have reached your secondly limit."}`, false}, {`{"policyName":"DAILY"}`, true}} {
			time.Sleep(5 * time.Second)
			refusal = k.body
			if err := send("POST", "/crm/v3/objects/contacts/search"); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			err := send("GET", "/crm/v3/objects/contacts/1")
			if held := err != nil; held != k.held || time.Since(began) > 0 || held && !errors.As(err, new(*flow.Error)) {
				t.Errorf("after %s another call: %v after %v", k.body, err, time.Since(began))
			}
		}
	})
}
