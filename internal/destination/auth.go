package destination

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
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
	s := static{secrets: o.Secrets, invalidate: o.Invalidate, name: name}
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
	secrets    func(string) (string, error)
	invalidate func(string) // nil where the keeper cannot be told
	name       string
	set        func(r *http.Request, secret string)
}

func (s static) credential(context.Context) (string, error) {
	secret, err := s.secrets(s.name)
	var known *flow.Error
	switch {
	case errors.As(err, &known):
		return "", known
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		// The cause is left out: a store's error may quote what it holds.
		return "", &flow.Error{Code: flow.RemoteBusy, Message: fmt.Sprintf("the secret %q could not be obtained", s.name), Err: cause(err)}
	case err != nil || secret == "" || strings.ContainsAny(secret, "\r\n\x00"):
		return "", flow.Errorf(flow.Unauthorized, "the secret %q is not there, is blank or cannot be a header", s.name)
	}
	return secret, nil
}

// renew asks for the secret afresh: the refused one may have been replaced since
// its keeper has read it.
func (s static) renew(ctx context.Context, _ string) (string, error) {
	if s.invalidate != nil {
		s.invalidate(s.name)
	}
	return s.credential(ctx)
}

func (s static) apply(r *http.Request, credential string) { s.set(r, credential) }
