package destination_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

// issuer is a system with a token endpoint. Only the token numbered valid is good.
type issuer struct {
	*httptest.Server
	issued, refused, valid atomic.Int64
	life                   int
	slow                   time.Duration
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{life: 3600}
	i.valid.Store(1)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(i.slow)
		user, secret, basic := r.BasicAuth()
		if !basic {
			user, secret = strings.ReplaceAll(r.PostFormValue("client_id"), ":", "%3A"), r.PostFormValue("client_secret")
		}
		if user != "client%3A1" || secret != "s3cret-token" || r.PostFormValue("grant_type") != "client_credentials" ||
			r.PostFormValue("scope") != "a b" || basic == (r.PostFormValue("audience") != "") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"access_token":"token-number-%d","token_type":"Bearer","expires_in":%d}`, i.issued.Add(1), i.life)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != fmt.Sprintf("Bearer token-number-%d", i.valid.Load()) {
			i.refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"id":"c_1"}`)
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// client is one worker process of the system's client.
func (i *issuer) client(t *testing.T, shared table.Table, change func(*spec.Auth)) *destination.Client {
	t.Helper()
	s := described()
	s.Destination.BaseURL = i.URL
	s.Destination.Auth = spec.Auth{Kind: "oauth2", TokenURL: i.URL + "/token", ClientID: "client:1", Scopes: []string{"a", "b"}}
	if change != nil {
		change(&s.Destination.Auth)
	}
	c, err := destination.New(s, destination.Options{Secrets: func(string) (string, error) { return "s3cret-token", nil }, Table: shared})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// everybody reads with all clients, 20 callers each, at once.
func everybody(t *testing.T, clients ...*destination.Client) {
	t.Helper()
	var wg sync.WaitGroup
	for _, c := range clients {
		for range 20 {
			wg.Go(func() {
				if _, err := c.Read(t.Context(), "customers", "c_1", nil); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
}

// TestOAuth gets one token for many callers at once, and one more after the
// server has forgotten it; so do processes that share a table.
func TestOAuth(t *testing.T) {
	for name, shared := range map[string]table.Table{"one process": nil, "four processes": memory(t)} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.slow = 50 * time.Millisecond
			clients := []*destination.Client{i.client(t, shared, nil)}
			if shared != nil {
				clients = append(clients, i.client(t, shared, nil), i.client(t, shared, nil), i.client(t, shared, nil))
			}
			everybody(t, clients...)
			if n := i.issued.Load(); n != 1 {
				t.Errorf("%d tokens were issued, want 1", n)
			}
			i.valid.Store(2)
			everybody(t, clients...)
			if n := i.issued.Load(); n != 2 || i.refused.Load() < 1 {
				t.Errorf("%d tokens after one was forgotten, want 2", n)
			}
			i.valid.Store(99)
			if _, err := clients[0].Read(t.Context(), "customers", "c_1", nil); flow.CodeOf(err) != flow.Unauthorized || i.issued.Load() != 3 {
				t.Errorf("a token that is never good: %v after %d tokens", err, i.issued.Load())
			}
		})
	}
}

func memory(t *testing.T) table.Table {
	t.Helper()
	tab, err := embedded.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// TestOAuthForm shows the secret in the form where the endpoint wants it so.
func TestOAuthForm(t *testing.T) {
	i := newIssuer(t)
	everybody(t, i.client(t, nil, func(a *spec.Auth) { a.ClientAuth, a.Parameters = "post", map[string]string{"audience": "api"} }))
}

// keeping is a table that shows what was written into it, and fails on demand.
type keeping struct {
	table.Table
	written []string
	fails   bool
}

func (k *keeping) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if k.fails {
		return nil, errors.New("unreachable")
	}
	return k.Table.Get(ctx, keys...)
}

func (k *keeping) Update(ctx context.Context, u ...table.Update) ([]int64, error) {
	k.written = append(k.written, fmt.Sprint(u))
	return k.Table.Update(ctx, u...)
}

// TestSharedToken: the row does not tell the token, another secret does not open
// it, and a table that does not answer costs only the sharing.
func TestSharedToken(t *testing.T) {
	i, shared := newIssuer(t), &keeping{Table: memory(t)}
	everybody(t, i.client(t, shared, nil))
	if len(shared.written) == 0 {
		t.Fatal("nothing was shared")
	}
	for _, row := range shared.written {
		if strings.Contains(row, "token-number") || strings.Contains(row, "s3cret") {
			t.Errorf("the row tells the token or the secret: %s", row)
		}
	}
	s := described()
	s.Destination.BaseURL = i.URL
	s.Destination.Auth = spec.Auth{Kind: "oauth2", TokenURL: i.URL + "/token", ClientID: "client:1", Scopes: []string{"a", "b"}}
	rotated, err := destination.New(s, destination.Options{Secrets: func(string) (string, error) { return "another", nil }, Table: shared})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rotated.Read(t.Context(), "customers", "c_1", nil); flow.CodeOf(err) != flow.Unauthorized {
		t.Errorf("with another secret: %v, want Unauthorized", err)
	}
	shared.fails = true
	i.valid.Store(2)
	everybody(t, i.client(t, shared, nil))
}
