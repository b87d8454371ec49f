package destination_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
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
		"kind":         func(d *spec.Destination) { d.Kind = "soap" },
		"baseUrl":      func(d *spec.Destination) { d.BaseURL = "https://user:pw@erp.test" },
		"auth":         func(d *spec.Destination) { d.Auth.Kind = "digest" },
		"header":       func(d *spec.Destination) { d.Auth.Kind = "header" },
		"tokenUrl":     func(d *spec.Destination) { d.Auth.Kind = "oauth2" },
		"{nothing}":    func(d *spec.Destination) { alter(d, func(o *spec.Object) { o.Read.Path = "/x/{nothing}" }) },
		"read.path":    func(d *spec.Destination) { alter(d, func(o *spec.Object) { o.Read.Path = "" }) },
		"id is":        func(d *spec.Destination) { alter(d, func(o *spec.Object) { o.ID = "" }) },
		"conditional":  func(d *spec.Destination) { alter(d, func(o *spec.Object) { o.Conditional = "maybe" }) },
		"list.paging":  func(d *spec.Destination) { alter(d, func(o *spec.Object) { o.List.Paging = "scroll" }) },
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

// TestOAuth gets one token for many callers at once, and one more after the
// server has forgotten it.
func TestOAuth(t *testing.T) {
	var issued, refused atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		user, secret, _ := r.BasicAuth()
		if user != "client%3A1" || secret != "s3cret-token" || r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("scope") != "a b" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"access_token":"t%d","token_type":"Bearer","expires_in":3600}`, issued.Add(1))
	})
	var valid atomic.Int64
	valid.Store(1)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != fmt.Sprintf("Bearer t%d", valid.Load()) {
			refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"id":"c_1"}`)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	s := described()
	s.Destination.BaseURL = srv.URL
	s.Destination.Auth = spec.Auth{Kind: "oauth2", TokenURL: srv.URL + "/token", ClientID: "client:1", Scopes: []string{"a", "b"}}
	c, err := destination.New(s, destination.Options{Secrets: func(string) (string, error) { return "s3cret-token", nil }})
	if err != nil {
		t.Fatal(err)
	}
	everybody := func() {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := c.Read(t.Context(), "customers", "c_1", nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	everybody()
	if issued.Load() != 1 {
		t.Errorf("%d tokens were issued, want 1", issued.Load())
	}
	valid.Store(2)
	everybody()
	if issued.Load() != 2 || refused.Load() < 1 {
		t.Errorf("%d tokens after one was forgotten, want 2", issued.Load())
	}
	valid.Store(99)
	if _, err := c.Read(t.Context(), "customers", "c_1", nil); flow.CodeOf(err) != flow.Unauthorized || issued.Load() != 3 {
		t.Errorf("a token that is never good: %v after %d tokens", err, issued.Load())
	}
}
