package destination_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tandem/internal/destination"
	"tandem/internal/destination/destinationtest"
	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/simulator/erp"
	"tandem/spec"
)

// clock is a clock that tests move.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { return c.at }

func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

// described is a spec for the simulated ERP in which every kind is listed too.
func described() *spec.Spec {
	s := &spec.Spec{Client: "test", Destination: spec.Destination{
		Name: "ERP", BaseURL: "https://erp.test", Objects: map[string]spec.Object{},
		Webhook: &spec.Webhook{
			Scheme: "hmac-sha256-hex", Header: "X-Erp-Signature", Prefix: "sha256=", TimestampHeader: "X-Erp-Timestamp",
			Events: "events", ID: "id", Object: "object", Record: "record_id", Action: "action", At: "at", Deleted: []string{"deleted"},
		},
	}}
	for _, k := range erp.Kinds {
		base := "/api/" + k.Name
		s.Destination.Objects[k.Name] = spec.Object{
			Event: k.Word, ID: "id", Version: "version", UpdatedAt: "updated_at", Archived: "deleted", Conditional: "etag",
			Unique: []string{"email", "domain", "number", "hubspot_id"},
			Create: spec.Call{Path: base}, Read: spec.Call{Path: base + "/{id}"}, Update: spec.Call{Path: base + "/{id}"},
			Delete: &spec.Call{Path: base + "/{id}"}, Upsert: &spec.Call{Path: base + "/by/{field}/{value}"},
			Find: &spec.Call{Path: base + "?{field}={value}", Result: "items"},
			List: &spec.List{
				Call:   spec.Call{Path: base, Query: map[string]string{"updated_since": "{since}", "cursor": "{cursor}", "limit": "2"}, Result: "items"},
				Paging: "cursor", Next: "next", Overlap: spec.Duration{Duration: 5 * time.Second},
			},
		}
	}
	text := func(name string) spec.Field {
		return spec.Field{Name: name, HubSpot: spec.Prop{Property: name}, Destination: spec.Prop{Property: name}}
	}
	typed := func(name string, t record.Type) spec.Field {
		f := text(name)
		f.Destination.Type = t
		return f
	}
	s.Pairs = []spec.Pair{
		{Name: "contacts", HubSpot: spec.Side{Object: "contacts"}, Destination: spec.Side{Object: "customers", ExternalID: "hubspot_id"},
			Match:  []spec.Match{{Field: "email"}},
			Fields: []spec.Field{text("email"), text("name"), text("phone"), text("status"), typed("newsletter", record.Bool), typed("birthday", record.Date), typed("tags", record.Set), typed("account_id", record.Reference)}},
		{Name: "deals", HubSpot: spec.Side{Object: "deals"}, Destination: spec.Side{Object: "orders", ExternalID: "hubspot_id"},
			Match: []spec.Match{{Field: "number"}}, Fields: []spec.Field{text("number"), text("title"), typed("amount", record.Number)}},
	}
	return s
}

// company is a simulated ERP and its adapter on one clock.
func company(t *testing.T, habits erp.Habits) (*erp.Company, *destination.Client, *clock) {
	t.Helper()
	at := newClock()
	c := erp.New(habits, at.now, rand.New(rand.NewPCG(7, 7)))
	remote, err := erp.Remote(c, described())
	if err != nil {
		t.Fatal(err)
	}
	return c, remote, at
}

func TestConformance(t *testing.T) {
	destinationtest.Run(t, func(t *testing.T) destinationtest.Fixture {
		_, remote, at := company(t, erp.Usual())
		return destinationtest.Fixture{
			Remote: remote, Changes: remote, Object: "customers", Fields: [2]string{"name", "status"}, Key: "email", KeyUnique: true,
			KeyValue: func(n int) string { return fmt.Sprintf("person%d@example.com", n) }, ExternalID: "hubspot_id",
			Absent: "c_99999", Settle: func() { at.pass(time.Minute) }, Secret: "in-process", TellsDeletes: true,
		}
	})
}

// server is an adapter over a handler of the test's own.
func server(t *testing.T, change func(*spec.Spec), h http.HandlerFunc) *destination.Client {
	t.Helper()
	s := described()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	s.Destination.BaseURL = srv.URL
	if change != nil {
		change(s)
	}
	c, err := destination.New(s, destination.Options{Secrets: func(string) (string, error) { return "s3cret-token", nil }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func codeOf(t *testing.T, err error) *flow.Error {
	t.Helper()
	var e *flow.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want a *flow.Error", err)
	}
	return e
}

// TestStatuses holds the adapter to one table of what each status means.
func TestStatuses(t *testing.T) {
	const personal = "wilhelmina.quartz@example.com"
	for status, want := range map[int]struct {
		read, create, update flow.Code
		maybe                bool
	}{
		400: {flow.RemoteRefused, flow.RemoteRefused, flow.RemoteRefused, false},
		401: {flow.Unauthorized, flow.Unauthorized, flow.Unauthorized, false},
		403: {flow.RemoteRefused, flow.RemoteRefused, flow.RemoteRefused, false},
		404: {flow.RecordMissing, flow.RemoteRefused, flow.RecordMissing, false},
		405: {flow.RemoteRefused, flow.RemoteRefused, flow.RemoteRefused, false},
		408: {flow.RemoteBusy, flow.RemoteBusy, flow.RemoteBusy, true},
		409: {flow.AlreadyExists, flow.AlreadyExists, flow.AlreadyExists, false},
		410: {"", flow.RemoteRefused, flow.RecordMissing, false},
		412: {flow.PreconditionFailed, flow.PreconditionFailed, flow.PreconditionFailed, false},
		413: {flow.TooLarge, flow.TooLarge, flow.TooLarge, false},
		415: {flow.RemoteRefused, flow.RemoteRefused, flow.RemoteRefused, false},
		422: {flow.RemoteRefused, flow.RemoteRefused, flow.RemoteRefused, false},
		423: {flow.RemoteBusy, flow.RemoteBusy, flow.RemoteBusy, false},
		425: {flow.RemoteBusy, flow.RemoteBusy, flow.RemoteBusy, false},
		429: {flow.RateLimited, flow.RateLimited, flow.RateLimited, false},
		500: {flow.RemoteBusy, flow.RemoteBusy, flow.RemoteBusy, true},
		502: {flow.RemoteBusy, flow.RemoteBusy, flow.RemoteBusy, true},
		503: {flow.RemoteBusy, flow.RemoteBusy, flow.RemoteBusy, true},
		504: {flow.RemoteBusy, flow.RemoteBusy, flow.RemoteBusy, true},
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			c := server(t, nil, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "7")
				if status == 403 {
					w.Header().Del("Retry-After")
				}
				w.WriteHeader(status)
				fmt.Fprintf(w, `{"message":"Cannot store 'Wilhelmina Quartz' %s, wilhelmina exists already, token %s, key %s"}`, personal, r.Header.Get("Authorization"), "AKIA1234")
			})
			fields := record.Fields{"email": personal, "name": "Wilhelmina Quartz"}
			_, readErr := c.Read(t.Context(), "customers", "c_1", []string{"email"})
			_, createErr := c.Create(t.Context(), "customers", fields, "", "k")
			_, updateErr := c.Update(t.Context(), "customers", "c_1", fields, "")
			for name, got := range map[string]struct {
				err  error
				want flow.Code
			}{"read": {readErr, want.read}, "create": {createErr, want.create}, "update": {updateErr, want.update}} {
				if want := got.want; flow.CodeOf(got.err) != want {
					t.Errorf("%s: error is %v, want code %q", name, got.err, want)
					continue
				}
				if got.want == "" {
					continue
				}
				e := codeOf(t, got.err)
				for _, bad := range []string{"ilhelmina", "uartz", "s3cret", "AKIA", "c_1"} {
					if strings.Contains(e.Error(), bad) {
						t.Errorf("%s: the error tells %q: %s", name, bad, e.Error())
					}
				}
				if maybe := want.maybe && name != "read"; e.Maybe != maybe {
					t.Errorf("%s: Maybe is %v, want %v", name, e.Maybe, maybe)
				}
				if retried := flow.Codes[e.Code]; retried && (e.Code == flow.RemoteBusy || e.Code == flow.RateLimited) && e.RetryAfter != 7*time.Second {
					t.Errorf("%s: RetryAfter is %v, want 7s", name, e.RetryAfter)
				}
			}
		})
	}
}

// TestTypes sends each type and looks at the JSON that arrives.
func TestTypes(t *testing.T) {
	var got map[string]any
	c := server(t, nil, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(raw, &got)
		got["raw"] = string(raw)
		fmt.Fprint(w, `{"id":7,"version":3,"amount":12345678901234567.10,"title":"x","updated_at":"2026-11-23T10:00:00.000Z"}`)
	})
	rec, err := c.Update(t.Context(), "orders", "7", record.Fields{"amount": "12345678901234567.1", "title": ""}, "")
	if err != nil {
		t.Fatal(err)
	}
	if raw := got["raw"].(string); !strings.Contains(raw, `"amount":12345678901234567.1`) || !strings.Contains(raw, `"title":null`) {
		t.Errorf("sent %s", raw)
	}
	if rec.ID != "7" || rec.Version != "3" || rec.Fields["amount"] != "12345678901234567.1" {
		t.Errorf("read %+v", rec)
	}
	if _, err := c.Update(t.Context(), "orders", "7", record.Fields{"amount": "much"}, ""); flow.CodeOf(err) != flow.BadValue {
		t.Errorf("an amount that is no number: %v, want BadValue", err)
	}
}

// TestBlank clears a field with null, or with "" where the spec says so.
func TestBlank(t *testing.T) {
	for blank, want := range map[string]string{"": `{"name":null}`, "null": `{"name":null}`, "empty": `{"name":""}`} {
		var sent string
		c := server(t, func(s *spec.Spec) {
			alter(&s.Destination, func(o *spec.Object) { o.Blank = blank })
		}, func(w http.ResponseWriter, r *http.Request) {
			raw, _ := io.ReadAll(r.Body)
			sent = string(raw)
			fmt.Fprint(w, `{"id":"c_1","name":"Ann"}`)
		})
		if _, err := c.Update(t.Context(), "customers", "c_1", record.Fields{"name": ""}, ""); err != nil || sent != want {
			t.Errorf("blank %q sent %s (%v), want %s", blank, sent, err, want)
		}
	}
}

// TestAbsent reads a field that the answer leaves out as unknown, or as blank where the
// spec says so; a null is blank in any case.
func TestAbsent(t *testing.T) {
	for absent, want := range map[string]record.Fields{"": {"tags": ""}, "unknown": {"tags": ""}, "blank": {"tags": "", "name": ""}} {
		c := server(t, func(s *spec.Spec) {
			alter(&s.Destination, func(o *spec.Object) { o.Absent = absent })
		}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"id":"c_1","tags":null}`) })
		rec, err := c.Read(t.Context(), "customers", "c_1", []string{"name", "tags"})
		if err != nil || !maps.Equal(rec.Fields, want) {
			t.Errorf("absent %q read %v, %v; want %v", absent, rec.Fields, err, want)
		}
	}
}

// TestSets writes a set the way the record holds it.
func TestSets(t *testing.T) {
	for held, want := range map[string]string{`["a"]`: `{"tags":["b","c"]}`, `"a"`: `{"tags":"b;c"}`} {
		var sent string
		c := server(t, nil, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPatch {
				raw, _ := io.ReadAll(r.Body)
				sent = string(raw)
			}
			fmt.Fprintf(w, `{"id":"c_1","tags":%s}`, held)
		})
		if _, err := c.Update(t.Context(), "customers", "c_1", record.Fields{"tags": "b;c"}, ""); err != nil {
			t.Fatal(err)
		}
		if sent != want {
			t.Errorf("where the record holds %s the request is %s, want %s", held, sent, want)
		}
	}
}

// TestAfterTheWrite loses the answer to a write in three ways; each leaves doubt.
func TestAfterTheWrite(t *testing.T) {
	for _, kind := range []string{erp.Late, erp.Lost} {
		c, remote, _ := company(t, erp.Usual())
		if err := c.Inject(erp.Fault{Kind: kind, Method: "POST"}); err != nil {
			t.Fatal(err)
		}
		_, err := remote.Create(t.Context(), "customers", record.Fields{"email": "a@example.com"}, "", "k")
		if e := codeOf(t, err); e.Code != flow.RemoteBusy || !e.Maybe {
			t.Errorf("%s: error is %v, Maybe %v; want RemoteBusy in doubt", kind, err, e.Maybe)
		}
		if n := len(c.Records("customers")); n != 1 {
			t.Errorf("%s: %d records, want the one that was written", kind, n)
		}
	}
	s := described()
	s.Destination.BaseURL = "http://127.0.0.1:1" // nobody listens: nothing was sent
	c, err := destination.New(s, destination.Options{Secrets: func(string) (string, error) { return "x", nil }})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Create(t.Context(), "customers", record.Fields{"email": "a@example.com"}, "", "k")
	if e := codeOf(t, err); e.Code != flow.RemoteBusy || e.Maybe {
		t.Errorf("refused connection: %v, Maybe %v; want RemoteBusy without doubt", err, e.Maybe)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	slow := server(t, nil, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // so that the server notices the client leave
		<-r.Context().Done()
	})
	_, err = slow.Create(ctx, "customers", record.Fields{"email": "a@example.com"}, "", "k")
	if e := codeOf(t, err); e.Code != flow.RemoteBusy || !e.Maybe || strings.Contains(e.Error(), "example.com") {
		t.Errorf("no answer: %v, Maybe %v; want RemoteBusy in doubt", err, e.Maybe)
	}
}

// TestRedirects follows reads without credentials and writes not at all.
func TestRedirects(t *testing.T) {
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r.Method+" "+r.Header.Get("Authorization")+r.Header.Get("X-Client"))
		fmt.Fprint(w, `{"id":"c_1","email":"a@example.com"}`)
	}))
	defer other.Close()
	c := server(t, func(s *spec.Spec) { s.Destination.Headers = map[string]string{"X-Client": "acme"} },
		func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
		})
	if _, err := c.Read(t.Context(), "customers", "c_1", []string{"email"}); err != nil {
		t.Fatal(err)
	}
	_, err := c.Update(t.Context(), "customers", "c_1", record.Fields{"email": "b@example.com"}, "")
	if flow.CodeOf(err) != flow.RemoteRefused || !strings.Contains(err.Error(), "check destination.baseUrl") {
		t.Errorf("a redirected write: %v, want RemoteRefused, and what to check", err)
	}
	if len(elsewhere) != 1 || elsewhere[0] != "GET " {
		t.Errorf("the other host got %q, want one bare GET", elsewhere)
	}
}
