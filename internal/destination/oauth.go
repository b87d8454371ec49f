package destination

import (
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

// oauth gets access tokens by client credentials (RFC 6749, 4.4).
type oauth struct {
	static
	config  spec.Auth
	http    *http.Client
	now     func() time.Time
	timeout time.Duration

	// turn is taken by whoever asks for a token; all others wait for what it brings.
	turn   chan struct{}
	shared *vault // what other processes bring, nil when there is none
	mu     sync.Mutex
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
	out := &oauth{
		static: static{secrets: o.Secrets, invalidate: o.Invalidate, name: name}, config: a, http: sender, now: o.Now,
		timeout: timeout, turn: make(chan struct{}, 1),
	}
	if o.Table != nil {
		out.shared = newVault(o.Table, a)
	}
	return out, nil
}

// apply sets the bearer token (RFC 6750, 2.1).
func (o *oauth) apply(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) }

// cached is the token while it is good.
func (o *oauth) cached() (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.token, o.token != "" && o.now().Before(o.expires)
}

func (o *oauth) credential(ctx context.Context) (string, error) { return o.get(ctx, "") }

// get is a token other than the refused one: the one at hand, or what the turn of
// another worker or process brings, or a new one. A refused secret is asked for
// once more, as a static one is.
func (o *oauth) get(ctx context.Context, refused string) (string, error) {
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
	secret, err := o.static.credential(ctx)
	if err != nil {
		return "", err
	}
	g, err := o.grant(ctx, secret, refused)
	if flow.CodeOf(err) == flow.Unauthorized {
		fresh, freshErr := o.static.renew(ctx, secret)
		if freshErr != nil {
			return "", freshErr
		}
		if fresh != secret {
			g, err = o.grant(ctx, fresh, refused)
		}
	}
	if err != nil {
		return "", err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.token, o.expires = g.token, g.expires
	return o.token, nil
}

// grant gets a token other than the refused one, from the row that all processes
// share where there is one.
func (o *oauth) grant(ctx context.Context, secret, refused string) (grant, error) {
	fetch := func() (grant, error) { return o.fetch(ctx, secret) }
	if o.shared == nil {
		return fetch()
	}
	return o.shared.get(ctx, secret, refused, o.now, o.timeout, fetch)
}

// renew forgets the refused token, unless another was fetched in the meantime.
func (o *oauth) renew(ctx context.Context, refused string) (string, error) {
	o.mu.Lock()
	if o.token == refused {
		o.token = ""
	}
	o.mu.Unlock()
	return o.get(ctx, refused)
}

// grant is an access token and until when it is used.
type grant struct {
	token   string
	expires time.Time
}

// fetch asks the token endpoint. Unless the spec says otherwise the client
// authenticates with HTTP Basic, which every server must support (RFC 6749, 2.3.1).
func (o *oauth) fetch(ctx context.Context, secret string) (grant, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(o.config.Scopes) > 0 {
		form.Set("scope", strings.Join(o.config.Scopes, " "))
	}
	for name, value := range o.config.Parameters {
		form.Set(name, value)
	}
	post := o.config.ClientAuth == "post"
	if post {
		form.Set("client_id", o.config.ClientID)
		form.Set("client_secret", secret)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.config.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return grant{}, flow.Errorf(flow.Unauthorized, "the token URL cannot be used")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if !post {
		r.SetBasicAuth(url.QueryEscape(o.config.ClientID), url.QueryEscape(secret))
	}
	asked := o.now()
	resp, err := o.http.Do(r)
	if err != nil {
		return grant{}, &flow.Error{Code: flow.RemoteBusy, Message: "the token endpoint did not answer", Err: cause(err)}
	}
	defer resp.Body.Close()
	return o.read(resp, asked)
}

// read reads the token endpoint's answer (RFC 6749, 5.1). The token is used until
// a tenth, at most a minute, before it ends.
func (o *oauth) read(resp *http.Response, asked time.Time) (grant, error) {
	if code, busy := Transient(resp.StatusCode); busy {
		return grant{}, &flow.Error{Code: code, Message: fmt.Sprintf("the token endpoint answered %d", resp.StatusCode), RetryAfter: retryAfter(resp.Header, asked)}
	}
	var answer struct {
		Token   string      `json:"access_token"`
		Type    string      `json:"token_type"`
		Seconds json.Number `json:"expires_in"`
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(raw, &answer)
	}
	if err != nil || answer.Token == "" || answer.Type != "" && !strings.EqualFold(answer.Type, "bearer") {
		return grant{}, flow.Errorf(flow.Unauthorized, "the token endpoint answered %d without a bearer token; check clientId and the secret %q", resp.StatusCode, o.name)
	}
	life := 5 * time.Minute // where the server does not say; a 401 ends it earlier
	if s, err := answer.Seconds.Int64(); err == nil && s > 0 && s < 1e9 {
		life = time.Duration(s) * time.Second
	}
	return grant{answer.Token, asked.Add(life - min(life/10, time.Minute))}, nil
}
