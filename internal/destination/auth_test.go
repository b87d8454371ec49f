package destination_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/spec"
)

// TestCredentials looks at what each kind of authentication sends.
func TestCredentials(t *testing.T) {
	for want, auth := range map[string]spec.Auth{
		"Authorization: Bearer s3cret-token":             {},
		"Authorization: Basic YW5uOnMzY3JldC10b2tlbg==":  {Kind: "basic", Username: "ann"},
		"X-Api-Key: s3cret-token":                        {Kind: "header", Header: "X-Api-Key"},
		"Authorization: Bearer s3cret-token (by a name)": {Kind: "bearer", Secret: "erp-token"},
	} {
		header, value, _ := strings.Cut(strings.TrimSuffix(want, " (by a name)"), ": ")
		c := server(t, func(s *spec.Spec) { s.Destination.Auth = auth }, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(header) != value {
				w.WriteHeader(http.StatusUnauthorized)
			}
			fmt.Fprint(w, `{"id":"c_1"}`)
		})
		if _, err := c.Read(t.Context(), "customers", "c_1", nil); err != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestBadSpecs refuses what could not work, by name.
func TestBadSpecs(t *testing.T) {
	for want, change := range map[string]func(*spec.Destination){
		"kind":        func(d *spec.Destination) { d.Kind = "soap" },
		"baseUrl":     func(d *spec.Destination) { d.BaseURL = "https://user:pw@erp.test" },
		"auth":        func(d *spec.Destination) { d.Auth.Kind = "digest" },
		"header":      func(d *spec.Destination) { d.Auth.Kind = "header" },
		"tokenUrl":    func(d *spec.Destination) { d.Auth.Kind = "oauth2" },
		"{nothing}":   func(d *spec.Destination) { alter(d, func(o *spec.Object) { o.Read.Path = "/x/{nothing}" }) },
		"read.path":   func(d *spec.Destination) { alter(d, func(o *spec.Object) { o.Read.Path = "" }) },
		"id is":       func(d *spec.Destination) { alter(d, func(o *spec.Object) { o.ID = "" }) },
		"conditional": func(d *spec.Destination) { alter(d, func(o *spec.Object) { o.Conditional = "maybe" }) },
		"list.paging": func(d *spec.Destination) { alter(d, func(o *spec.Object) { o.List.Paging = "scroll" }) },
		"no list": func(d *spec.Destination) {
			alter(d, func(o *spec.Object) { o.Find.Path += "&after={cursor}"; o.List = nil })
		},
		"list.next is": func(d *spec.Destination) { alter(d, func(o *spec.Object) { o.List.Next = "" }) },
	} {
		s := described()
		change(&s.Destination)
		_, err := destination.New(s, destination.Options{Secrets: func(string) (string, error) { return "x", nil }})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pw") {
			t.Errorf("error is %v, want one that names %s", err, want)
		}
	}
}

// alter changes the description of customers.
func alter(d *spec.Destination, change func(*spec.Object)) {
	o := d.Objects["customers"]
	if o.List != nil {
		l := *o.List
		o.List = &l
	}
	change(&o)
	d.Objects["customers"] = o
}

// TestRotatedSecret asks for the secret once more after a 401.
func TestRotatedSecret(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer new" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"id":"c_1"}`)
	}))
	defer srv.Close()
	s, asked := described(), 0
	s.Destination.BaseURL = srv.URL
	c, err := destination.New(s, destination.Options{Secrets: func(string) (string, error) {
		if asked++; asked == 1 {
			return "old", nil
		}
		return "new", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(t.Context(), "customers", "c_1", nil); err != nil || asked != 2 {
		t.Errorf("error %v after asking %d times", err, asked)
	}
}

// TestReplacedSecret drops a cached secret that is refused, and sends nothing again where it is the same.
func TestReplacedSecret(t *testing.T) {
	for kind, auth := range map[string]spec.Auth{"bearer": {Secret: "erp-token"}, "oauth2": {Kind: "oauth2", ClientID: "c", Secret: "erp-token"}} {
		for stored, want := range map[string]flow.Code{"new": "", "old": flow.Unauthorized} {
			requests := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, secret, basic := r.BasicAuth()
				if requests++; r.Header.Get("Authorization") != "Bearer new" && !(basic && secret == "new") {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				fmt.Fprint(w, `{"id":"c_1","access_token":"new"}`)
			}))
			defer srv.Close()
			s, cached, dropped := described(), "old", ""
			s.Destination.BaseURL, s.Destination.Auth = srv.URL, auth
			if kind == "oauth2" {
				s.Destination.Auth.TokenURL = srv.URL + "/token"
			}
			c, err := destination.New(s, destination.Options{
				Secrets:    func(string) (string, error) { return cached, nil },
				Invalidate: func(name string) { cached, dropped = stored, dropped+name },
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Read(t.Context(), "customers", "c_1", nil)
			if flow.CodeOf(err) != want || dropped != "erp-token" || want != "" && requests != 1 {
				t.Errorf("%s, %s stored: error %v after %d requests, invalidated %q", kind, stored, err, requests, dropped)
			}
		}
	}
}

// TestStoreOfSecrets tells a secret that is not there, which a person has to bring,
// from a store that does not answer now.
func TestStoreOfSecrets(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		err   error
		want  flow.Code
	}{
		"blank":     {"", nil, flow.Unauthorized},
		"no header": {"a\nb", nil, flow.Unauthorized},
		"missing":   {"", fmt.Errorf("no s3cret: %w", fs.ErrNotExist), flow.Unauthorized},
		"outage":    {"", errors.New("the store holds s3cret and is down"), flow.RemoteBusy},
		"timeout":   {"s3cret", context.DeadlineExceeded, flow.RemoteBusy},
		"known":     {"", flow.Errorf(flow.RateLimited, "slowly"), flow.RateLimited},
	} {
		for kind, auth := range map[string]spec.Auth{"bearer": {}, "oauth2": {Kind: "oauth2", ClientID: "c", TokenURL: "https://erp.test/token"}} {
			s := described()
			s.Destination.Auth = auth
			remote, err := destination.New(s, destination.Options{Secrets: func(string) (string, error) { return c.value, c.err }})
			if err != nil {
				t.Fatal(err)
			}
			_, err = remote.Read(t.Context(), "customers", "c_1", nil)
			if flow.CodeOf(err) != c.want || strings.Contains(err.Error(), "s3cret") || name != "known" && !strings.Contains(err.Error(), "destination-token") {
				t.Errorf("%s, %s: %v, want %s that names the secret", name, kind, err, c.want)
			}
		}
	}
}
