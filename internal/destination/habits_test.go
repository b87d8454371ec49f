package destination_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

// TestBareAnswers writes to systems that answer with less than the record. What they
// do not tell stays unknown: by the time it is read somebody may have edited it.
func TestBareAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		location, etag, body string
		fields               int
		version, wantETag    string
	}{
		"nothing":            {location: "/api/customers/c_7"},
		"a full link":        {location: "https://erp.test/c_7/"},
		"an entity tag":      {location: "/api/customers/c_7", etag: `W/"4"`, wantETag: `W/"4"`},
		"the id":             {body: `{"id":"c_7"}`},
		"the id and version": {body: `{"id":"c_7","version":4}`, version: "4", wantETag: `"4"`},
		"another's fields":   {body: `{"id":"c_7","version":4,"name":"Ann"}`, version: "4", wantETag: `"4"`},
		"all of it":          {body: `{"id":"c_7","email":"a@example.com","version":4}`, fields: 1, version: "4", wantETag: `"4"`},
	} {
		var keys []string
		remote := server(t, func(s *spec.Spec) {
			alter(&s.Destination, func(o *spec.Object) { o.IdempotencyHeader, o.Conditional = "Idempotency-Key", "etag" })
		}, func(w http.ResponseWriter, r *http.Request) {
			keys = append(keys, r.Method+r.Header.Get("Idempotency-Key"))
			w.Header().Set("Location", c.location)
			if c.etag != "" {
				w.Header().Set("ETag", c.etag)
			}
			fmt.Fprint(w, c.body)
		})
		fields := record.Fields{"email": "a@example.com"}
		made, err := remote.Create(t.Context(), "customers", fields, "", "key-1")
		after, updateErr := remote.Update(t.Context(), "customers", "c_7", fields, "")
		if err != nil || updateErr != nil || !slices.Equal(keys, []string{"POSTkey-1", "PATCH"}) {
			t.Errorf("answered with %s: %v, %v, requests %q", name, err, updateErr, keys)
		}
		for _, r := range []record.Record{made, after} {
			if r.ID != "c_7" || r.Version != c.version || r.ETag != c.wantETag || len(r.Fields) != c.fields {
				t.Errorf("answered with %s: %+v", name, r)
			}
		}
	}
	c := server(t, nil, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"ok":true}`) })
	if _, err := c.Create(t.Context(), "customers", record.Fields{"email": "a@example.com"}, "", "k"); flow.CodeOf(err) != flow.InDoubt {
		t.Errorf("a create without any id: %v, want InDoubt", err)
	}
	c = server(t, nil, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>`) })
	if e := codeOf(t, second(c.Create(t.Context(), "customers", record.Fields{"email": "a@example.com"}, "", "k"))); !e.Maybe {
		t.Errorf("an answer that is no JSON leaves doubt: %v", e)
	}
}

// TestLocation takes the id out of the Location of a create as it was escaped there.
func TestLocation(t *testing.T) {
	for location, want := range map[string]string{
		"/items/A%2F100": "A/100", "/items/A%2F100/": "A/100", "https://erp.test/items/a%20b?x=/y": "a b", "/items/a+b": "a+b",
		"/items/ä": "ä", "/items/%2E%2E": "", "/items/%2F": "", "/": "", "": "",
	} {
		c := server(t, nil, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", location) })
		made, err := c.Create(t.Context(), "customers", record.Fields{"email": "a@example.com"}, "", "k")
		if made.ID != want || want == "" && flow.CodeOf(err) != flow.InDoubt {
			t.Errorf("%q names %q (%v), want %q", location, made.ID, err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestAnotherRecord: what a bad cache answers of another record is never taken for the one
// that was asked for.
func TestAnotherRecord(t *testing.T) {
	c := server(t, nil, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"id":"c_2","email":"b@example.com"}`) })
	if _, err := c.Read(t.Context(), "customers", "c_1", []string{"email"}); flow.CodeOf(err) != flow.RemoteBusy {
		t.Errorf("error is %v, want RemoteBusy", err)
	}
	if rec, err := c.Read(t.Context(), "customers", "c_2", []string{"email"}); err != nil || rec.Fields["email"] != "b@example.com" {
		t.Errorf("read %+v, %v", rec, err)
	}
}

// TestQueryTemplates keeps values inside the quotes of a filter expression.
func TestQueryTemplates(t *testing.T) {
	for template, values := range map[string]map[string]string{ // value: what arrives, "" for refused
		`(email='{value}')`:            {`a&b=c@x`: `(email='a&b=c@x')`, `o'neil@x`: "", `a\`: ""},
		`{"email":{"_eq":"{value}"}}`:  {`o'neil@x`: `{"email":{"_eq":"o'neil@x"}}`, `a"b`: ""},
		`email:{value}`:                {`a@x`: `email:a@x`, `a b`: "", `a)or(1`: ""},
		`{value}`:                      {`a"b'c\d e`: `a"b'c\d e`},
		`{field} eq '{value}' and a=1`: {`x`: `email eq 'x' and a=1`},
	} {
		for value, want := range values {
			got := ""
			c := server(t, func(s *spec.Spec) {
				alter(&s.Destination, func(o *spec.Object) {
					o.Find = &spec.Call{Path: "/api/customers", Query: map[string]string{"filter": template}, Result: "items"}
				})
			}, func(w http.ResponseWriter, r *http.Request) {
				got = r.FormValue("filter")
				fmt.Fprint(w, `{"items":[]}`)
			})
			_, _, err := c.Find(t.Context(), "customers", "email", value, nil)
			if got != want || want == "" && flow.CodeOf(err) != flow.BadValue {
				t.Errorf("%s with %s sent %q (%v), want %q", template, value, got, err, want)
			}
		}
	}
}

// TestNested reads and writes records whose parts stand elsewhere, and ids that
// are unlike others.
func TestNested(t *testing.T) {
	var path, body string
	c := server(t, func(s *spec.Spec) {
		alter(&s.Destination, func(o *spec.Object) {
			o.ID, o.Version, o.UpdatedAt, o.Fields = "meta.id", "meta.rev", "meta.at", "attributes"
			o.Read.Result, o.Update.Result, o.Update.Wrap = "data", "data", "data"
		})
		s.Pairs[0].Fields = append(s.Pairs[0].Fields, spec.Field{Name: "city", Destination: spec.Prop{Property: "address.city"}})
	}, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		path, body = r.URL.EscapedPath(), string(raw)
		fmt.Fprint(w, `{"data":{"meta":{"id":"a/b","rev":2,"at":1795428000},"attributes":{"address":{"city":"Perth"},"newsletter":1,"birthday":"2001-02-03T00:00:00Z"}}}`)
	})
	r, err := c.Update(t.Context(), "customers", "a/b", record.Fields{"address.city": "Perth", "newsletter": "true"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if path != "/api/customers/a%2Fb" || body != `{"data":{"attributes":{"address":{"city":"Perth"},"newsletter":true}}}` {
		t.Errorf("sent %s to %s", body, path)
	}
	if r.ID != "a/b" || r.Version != "2" || !r.UpdatedAt.Equal(time.Unix(1795428000, 0)) || r.Fields["address.city"] != "Perth" ||
		r.Fields["newsletter"] != "true" || r.Fields["birthday"] != "2001-02-03" {
		t.Errorf("read %+v", r)
	}
	if _, told := r.Fields["email"]; told {
		t.Error("a field that the answer does not hold must stay unknown")
	}
}

// TestErrorRules puts the spec's rules before the defaults.
func TestErrorRules(t *testing.T) {
	for body, want := range map[string]flow.Code{
		`{"code":"E_DUP","existing_id":"c_9"}`: flow.AlreadyExists, `{"code":"E_LOCK"}`: flow.RemoteBusy,
		`{"code":"E_GONE"}`: flow.RecordMissing, `{"code":"E_SLOW"}`: flow.RateLimited, `{"code":"other"}`: flow.RemoteRefused,
	} {
		c := server(t, func(s *spec.Spec) {
			for contains, class := range map[string]string{"E_DUP": "conflict", "E_LOCK": "retry", "E_GONE": "missing", "E_SLOW": "throttled"} {
				s.Destination.Errors = append(s.Destination.Errors, spec.ErrorRule{Status: 400, Contains: contains, Class: class})
			}
		}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400); fmt.Fprint(w, body) })
		_, err := c.Create(t.Context(), "customers", record.Fields{"email": "a@example.com"}, "", "k")
		if e := codeOf(t, err); e.Code != want || want == flow.AlreadyExists && e.ExistingID != "c_9" {
			t.Errorf("%s: %v (existing %q), want %s", body, err, e.ExistingID, want)
		}
	}
}

// TestRetryAfter reads every way in which a pause is asked for.
func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		name, value string
		min, max    time.Duration
	}{
		{"Retry-After", "12", 12 * time.Second, 12 * time.Second},
		{"Retry-After", "0.5", 500 * time.Millisecond, 500 * time.Millisecond},
		{"Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat), 50 * time.Second, time.Minute},
		{"Retry-After", "Mon, 23 Nov 2020 10:00:00 GMT", 0, 0},
		{"Retry-After", "-5", 0, 0},
		{"Retry-After", "soon", 0, 0},
		{"RateLimit-Reset", "30", 30 * time.Second, 30 * time.Second},
		{"X-RateLimit-Reset", fmt.Sprint(time.Now().Add(time.Minute).Unix()), 50 * time.Second, time.Minute},
	} {
		remote := server(t, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(c.name, c.value)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		_, err := remote.Read(t.Context(), "customers", "c_1", nil)
		if e := codeOf(t, err); e.RetryAfter < c.min || e.RetryAfter > c.max {
			t.Errorf("%s: %s is %v, want %v", c.name, c.value, e.RetryAfter, c.max)
		}
	}
}

// TestTooLarge does not read without end.
func TestTooLarge(t *testing.T) {
	c := server(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat(" ", 1<<20))
		for range 9 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	if _, err := c.Read(t.Context(), "customers", "c_1", nil); flow.CodeOf(err) != flow.TooLarge {
		t.Errorf("error is %v, want TooLarge", err)
	}
}

// TestRequired sends an entity tag with every write to a system that demands one:
// the caller's, or else the record's own.
func TestRequired(t *testing.T) {
	for _, mode := range []string{"etag", "required"} {
		var sent []string
		c := server(t, func(s *spec.Spec) { alter(&s.Destination, func(o *spec.Object) { o.Conditional = mode }) },
			func(w http.ResponseWriter, r *http.Request) {
				sent = append(sent, r.Method+" "+r.Header.Get("If-Match"))
				w.Header().Set("ETag", `"own"`)
				if strings.HasSuffix(r.URL.Path, "/gone") {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				fmt.Fprint(w, `{"id":"1","name":"Ann"}`)
			})
		_, err := c.Update(t.Context(), "customers", "1", record.Fields{"name": "Ann"}, `"given"`)
		if err == nil {
			_, err = c.Update(t.Context(), "customers", "1", record.Fields{"name": "Ann"}, "")
		}
		if err == nil {
			err = c.Archive(t.Context(), "customers", "1", `"given"`)
		}
		if err == nil {
			err = c.Archive(t.Context(), "customers", "1", "")
		}
		if err == nil {
			err = c.Archive(t.Context(), "customers", "gone", "")
		}
		want := []string{`PATCH "given"`, `PATCH `, `DELETE "given"`, `DELETE `, `DELETE `}
		if mode == "required" {
			want = []string{`PATCH "given"`, `GET `, `PATCH "own"`, `DELETE "given"`, `GET `, `DELETE "own"`, `GET `}
		}
		if err != nil || !slices.Equal(sent, want) {
			t.Errorf("%s: sent %q, %v; want %q", mode, sent, err, want)
		}
	}
}

// TestMessages tells the remote's words wherever systems put them, names of the
// object's fields included, and no other.
func TestMessages(t *testing.T) {
	for body, want := range map[string]string{
		`{"message":"email must not be empty"}`:                           ", email must not be empty",
		`{"error":{"status":400,"msg":"Must provide the 'email' field"}}`: ", must provide the email field",
		`{"msg":"Ann is required"}`:                                       ", … is required",
		`{"error":"invalid_value"}`:                                       ", …",
		`no JSON`:                                                         "",
	} {
		c := server(t, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, body)
		})
		_, err := c.Read(t.Context(), "customers", "1", nil)
		if e := codeOf(t, err); !strings.HasSuffix(e.Message, ": 400"+want) {
			t.Errorf("%s: the error is %q, want it to end with %q", body, e.Message, want)
		}
	}
}
