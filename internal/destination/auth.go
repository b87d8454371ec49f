package destination

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"tandem/internal/flow"
	"tandem/spec"
)

// authorizer puts credentials on requests.
type authorizer interface {
	// credential is what apply needs now.
	credential(ctx context.Context) (string, error)
	// renew is asked once after refused was answered with 401.
	renew(ctx context.Context, refused string) (string, error)
	apply(r *http.Request, credential string)
}

// newAuthorizer makes the authorizer that the spec names.
func newAuthorizer(a spec.Auth, o Options, h *http.Client, timeout time.Duration) (authorizer, error) {
	if o.Secrets == nil {
		return nil, errors.New("no source of secrets; set Options.Secrets")
	}
	name := cmp.Or(a.Secret, "destination-token")
	s := static{secrets: o.Secrets, name: name}
	switch cmp.Or(a.Kind, "bearer") {
	case "bearer":
		s.set = func(r *http.Request, secret string) { r.Header.Set("Authorization", "Bearer "+secret) }
	case "basic":
		s.set = func(r *http.Request, secret string) { r.SetBasicAuth(a.Username, secret) }
	case "header":
		if a.Header == "" {
			return nil, errors.New(`kind "header" needs header, the header's name`)
		}
		s.set = func(r *http.Request, secret string) { r.Header.Set(a.Header, secret) }
	case "oauth2":
		return newOAuth(a, o, name, h, timeout)
	default:
		return nil, fmt.Errorf("kind is %q; allowed are bearer, basic, header and oauth2", a.Kind)
	}
	return s, nil
}

// static sends the secret itself.
type static struct {
	secrets func(string) (string, error)
	name    string
	set     func(r *http.Request, secret string)
}

func (s static) credential(context.Context) (string, error) {
	secret, err := s.secrets(s.name)
	if err != nil || secret == "" || strings.ContainsAny(secret, "\r\n\x00") {
		// The cause is left out: a store's error may quote what it holds.
		return "", flow.Errorf(flow.Unauthorized, "the secret %q is not there, is blank or cannot be a header", s.name)
	}
	return secret, nil
}

func (s static) renew(ctx context.Context, _ string) (string, error) { return s.credential(ctx) }

func (s static) apply(r *http.Request, credential string) { s.set(r, credential) }

// oauth gets access tokens by client credentials (RFC 6749, 4.4).
type oauth struct {
	static
	config  spec.Auth
	http    *http.Client
	now     func() time.Time
	timeout time.Duration

	// turn is taken by whoever asks for a token; all others wait for what it brings.
	turn chan struct{}
	mu   sync.Mutex
	// token is used until expires.
	token   string
	expires time.Time
}

// newOAuth checks what the grant needs.
func newOAuth(a spec.Auth, o Options, name string, h *http.Client, timeout time.Duration) (*oauth, error) {
	u, err := url.Parse(a.TokenURL)
	if err != nil || u.Host == "" || u.User != nil || a.ClientID == "" {
		return nil, errors.New(`kind "oauth2" needs clientId and an absolute tokenUrl`)
	}
	// A redirect would carry the client's secret to another place.
	sender := client(h, func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse })
	return &oauth{
		static: static{secrets: o.Secrets, name: name}, config: a, http: sender, now: o.Now,
		timeout: timeout, turn: make(chan struct{}, 1),
	}, nil
}

// apply sets the bearer token (RFC 6750, 2.1).
func (o *oauth) apply(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) }

// cached is the token while it is good.
func (o *oauth) cached() (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.token, o.token != "" && o.now().Before(o.expires)
}

func (o *oauth) credential(ctx context.Context) (string, error) {
	if token, ok := o.cached(); ok {
		return token, nil
	}
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return "", &flow.Error{Code: flow.RemoteBusy, Message: "no access token in time", Err: ctx.Err()}
	}
	if token, ok := o.cached(); ok {
		return token, nil // somebody else's turn has brought it
	}
	return o.fetch(ctx)
}

// renew forgets the refused token, unless another was fetched in the meantime.
func (o *oauth) renew(ctx context.Context, refused string) (string, error) {
	o.mu.Lock()
	if o.token == refused {
		o.token = ""
	}
	o.mu.Unlock()
	return o.credential(ctx)
}

// fetch asks the token endpoint. The client authenticates with HTTP Basic, which
// every server must support (RFC 6749, 2.3.1).
func (o *oauth) fetch(ctx context.Context) (string, error) {
	secret, err := o.static.credential(ctx)
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(o.config.Scopes) > 0 {
		form.Set("scope", strings.Join(o.config.Scopes, " "))
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.config.TokenURL, bytes.NewReader([]byte(form.Encode())))
	if err != nil {
		return "", flow.Errorf(flow.Unauthorized, "the token URL cannot be used")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.SetBasicAuth(url.QueryEscape(o.config.ClientID), url.QueryEscape(secret))
	asked := o.now()
	resp, err := o.http.Do(r)
	if err != nil {
		return "", &flow.Error{Code: flow.RemoteBusy, Message: "the token endpoint did not answer", Err: cause(err)}
	}
	defer resp.Body.Close()
	return o.keep(resp, asked)
}

// keep reads the token endpoint's answer (RFC 6749, 5.1) and remembers the
// token until a tenth, at most a minute, before it ends.
func (o *oauth) keep(resp *http.Response, asked time.Time) (string, error) {
	if code, busy := Transient(resp.StatusCode); busy {
		return "", &flow.Error{Code: code, Message: fmt.Sprintf("the token endpoint answered %d", resp.StatusCode), RetryAfter: retryAfter(resp.Header, asked)}
	}
	var grant struct {
		Token   string      `json:"access_token"`
		Type    string      `json:"token_type"`
		Seconds json.Number `json:"expires_in"`
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(raw, &grant)
	}
	if err != nil || grant.Token == "" || grant.Type != "" && !strings.EqualFold(grant.Type, "bearer") {
		return "", flow.Errorf(flow.Unauthorized, "the token endpoint answered %d without a bearer token; check clientId and the secret %q", resp.StatusCode, o.name)
	}
	life := 5 * time.Minute // where the server does not say; a 401 ends it earlier
	if s, err := grant.Seconds.Int64(); err == nil && s > 0 && s < 1e9 {
		life = time.Duration(s) * time.Second
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.token, o.expires = grant.Token, asked.Add(life-min(life/10, time.Minute))
	return o.token, nil
}
