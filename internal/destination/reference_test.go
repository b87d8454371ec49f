package destination_test

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

// referring lets the customers' account_id hold ids of the accounts.
func referring(s *spec.Spec) {
	fields := s.Pairs[0].Fields
	fields[len(fields)-1].Destination.Pair = "companies"
	s.Pairs = append(s.Pairs, spec.Pair{Name: "companies", Destination: spec.Side{Object: "accounts"}})
}

// TestReferences writes an id as the system keeps it from the first write on: it reads
// the record that it names, once and only where that can tell.
func TestReferences(t *testing.T) {
	for name, c := range map[string]struct {
		id      string
		status  int
		account string // what reading it answers
		met     string // a customer read before, if any
		sent    string
		reads   int
		want    flow.Code
	}{
		"numbers":             {"7002", 200, `{"id":7002}`, "", `7002`, 1, ""},
		"texts":               {"7002", 200, `{"id":"7002"}`, "", `"7002"`, 1, ""},
		"no number":           {"a_1", 200, `{"id":"a_1"}`, "", `"a_1"`, 0, ""},
		"zeros":               {"007", 200, `{"id":"007"}`, "", `"007"`, 0, ""},
		"too large":           {"99999999999999999999", 200, ``, "", `"99999999999999999999"`, 0, ""},
		"cleared":             {"", 200, ``, "", `null`, 0, ""},
		"a number seen":       {"7002", 200, `{"id":"7002"}`, `{"id":1,"account_id":7}`, `7002`, 0, ""},
		"a text seen":         {"7002", 200, `{"id":7002}`, `{"id":1,"account_id":"7"}`, `"7002"`, 0, ""},
		"a blank seen":        {"7002", 200, `{"id":7002}`, `{"id":1,"account_id":""}`, `7002`, 1, ""},
		"nothing seen":        {"7002", 200, `{"id":7002}`, `{"id":1,"account_id":null}`, `7002`, 1, ""},
		"missing":             {"7002", 404, ``, "", `"7002"`, 2, ""},
		"gone":                {"7002", 410, ``, "", `"7002"`, 2, ""},
		"not to be read":      {"7002", 403, ``, "", `"7002"`, 2, ""},
		"a strange refusal":   {"7002", 409, ``, "", `"7002"`, 2, ""},
		"another one's":       {"7002", 200, `{"id":9}`, "", `7002`, 1, ""},
		"an outage":           {"7002", 503, ``, "", ``, 2, flow.RemoteBusy},
		"asked to wait":       {"7002", 429, ``, "", ``, 2, flow.RateLimited},
		"credentials refused": {"7002", 401, ``, "", ``, 2, flow.Unauthorized},
	} {
		reads, sent := 0, []string{}
		remote := server(t, referring, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case path.Dir(r.URL.Path) == "/api/accounts":
				reads++
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.account)
			case r.Method == http.MethodGet:
				fmt.Fprint(w, c.met)
			default:
				body, _ := io.ReadAll(r.Body)
				sent = append(sent, string(body))
				fmt.Fprint(w, `{"id":1}`)
			}
		})
		if c.met != "" {
			if _, err := remote.Read(t.Context(), "customers", "1", []string{"account_id"}); err != nil {
				t.Fatal(err)
			}
		}
		fields := record.Fields{"account_id": c.id}
		_, updateErr := remote.Update(t.Context(), "customers", "1", fields, "")
		_, createErr := remote.Create(t.Context(), "customers", record.Fields{"account_id": c.id, "email": "x"}, "", "k")
		for i, err := range []error{updateErr, createErr} {
			if flow.CodeOf(err) != c.want {
				t.Errorf("%s: write %d: %v, want code %q", name, i, err, c.want)
			}
		}
		var want []string
		switch {
		case c.id == "":
			want = []string{`{"account_id":null}`, `{"email":"x"}`}
		case c.want == "":
			want = []string{`{"account_id":` + c.sent + `}`, `{"account_id":` + c.sent + `,"email":"x"}`}
		}
		if !slices.Equal(sent, want) || reads != c.reads {
			t.Errorf("%s: sent %q after %d reads; want %q after %d", name, sent, reads, want, c.reads)
		}
	}
}

// TestReferencesMet learns how ids are spelt from whatever shows one, also when many
// write at once.
func TestReferencesMet(t *testing.T) {
	for name, show := range map[string]func(*destination.Client) error{
		"a read": func(c *destination.Client) error { return second(c.Read(t.Context(), "accounts", "7001", nil)) },
		"a create": func(c *destination.Client) error {
			return second(c.Create(t.Context(), "accounts", record.Fields{"name": "x"}, "", "k"))
		},
		"an update": func(c *destination.Client) error {
			return second(c.Update(t.Context(), "accounts", "7001", record.Fields{"name": "x"}, ""))
		},
		"a list": func(c *destination.Client) error {
			_, _, _, err := c.Changed(t.Context(), "accounts", "")
			return err
		},
		"a search": func(c *destination.Client) error {
			_, _, err := c.Find(t.Context(), "accounts", "name", "x", nil)
			return err
		},
	} {
		var wrong, read atomic.Int32
		remote := server(t, referring, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			switch {
			case path.Dir(r.URL.Path) == "/api/customers" && string(body) != `{"account_id":7002}`:
				wrong.Add(1)
			case r.URL.Path == "/api/accounts/7002":
				read.Add(1)
			}
			if r.Method == http.MethodGet && r.URL.Path == "/api/accounts" {
				fmt.Fprint(w, `{"items":[{"id":7001,"name":"x"}]}`)
				return
			}
			fmt.Fprint(w, `{"id":7001,"name":"x"}`)
		})
		if err := show(remote); err != nil {
			t.Fatal(name, err)
		}
		var writers sync.WaitGroup
		for range 8 {
			writers.Go(func() {
				if _, err := remote.Update(t.Context(), "customers", "1", record.Fields{"account_id": "7002"}, ""); err != nil {
					t.Error(name, err)
				}
			})
		}
		writers.Wait()
		if wrong.Load() != 0 || read.Load() != 0 {
			t.Errorf("%s: %d writes of another kind, %d reads", name, wrong.Load(), read.Load())
		}
	}
}
