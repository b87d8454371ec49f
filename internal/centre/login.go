package centre

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"tandem/internal/table"
)

const (
	// cookieName has the __Host- prefix: Secure, this host only, the whole site.
	cookieName  = "__Host-tandem"
	plainCookie = "tandem" // where Options.Plain is set
	sessionLife = 12 * time.Hour
	formLife    = time.Hour
	minLogin    = 12 // bytes of LoginSecret; a shorter one opens nothing

	// loginTries failed logins are allowed per address and loginWindow. The count
	// is in the table, since a lambda's processes share no memory.
	loginTries  = 10
	loginWindow = 5 * time.Minute
)

// signer makes and checks signed tokens. Its key comes from the login secret, so
// that changing the secret ends every session.
type signer struct{ key []byte }

func (c *Centre) signer(ctx context.Context) (signer, string, error) {
	secret, err := c.o.Secrets(ctx, LoginSecret)
	if err != nil {
		return signer{}, "", fmt.Errorf("read %s: %w", LoginSecret, err)
	}
	if len(secret) < minLogin {
		return signer{}, "", fmt.Errorf("%s has fewer than %d bytes; store a random one", LoginSecret, minLogin)
	}
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "tandem dashboard v1", sha256.Size)
	return signer{key}, secret, err
}

func (s signer) mac(purpose, text string) string {
	m := hmac.New(sha256.New, s.key)
	fmt.Fprintf(m, "%s\x00%s", purpose, text)
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// seal makes a token for purpose that is good until an instant.
func (s signer) seal(purpose string, until time.Time) string {
	text := strconv.FormatInt(until.Unix(), 10) + "." + rand.Text()
	return text + "." + s.mac(purpose, text)
}

// open reports whether a token was sealed for purpose and is still good.
func (s signer) open(purpose, sealed string, now time.Time) bool {
	i := strings.LastIndexByte(sealed, '.')
	if i < 0 || !hmac.Equal([]byte(sealed[i+1:]), []byte(s.mac(purpose, sealed[:i]))) {
		return false
	}
	until, _, _ := strings.Cut(sealed, ".")
	sec, err := strconv.ParseInt(until, 10, 64)
	return err == nil && now.Unix() < sec
}

// csrf is the token that every form of a session must carry.
func (s signer) csrf(session string) string { return s.mac("csrf", session) }

func (c *Centre) cookieName() string {
	if c.o.Plain {
		return plainCookie
	}
	return cookieName
}

func (c *Centre) session(r *http.Request) string {
	k, err := r.Cookie(c.cookieName())
	if err != nil {
		return ""
	}
	return k.Value
}

func (c *Centre) setSession(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: c.cookieName(), Value: value, Path: "/", MaxAge: maxAge,
		Secure: !c.o.Plain, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// same compares two secrets in a time that depends on neither.
func (s signer) same(a, b string) bool {
	return hmac.Equal([]byte(s.mac("compare", a)), []byte(s.mac("compare", b)))
}

// attempt counts a login from an address and reports whether it may be looked at.
func (c *Centre) attempt(ctx context.Context, remote string) (bool, error) {
	now := c.o.Now()
	key := loginKey(remote, now)
	for range tries {
		items, err := c.o.Table.Get(ctx, key)
		if err != nil {
			return false, err
		}
		n, _ := strconv.Atoi(items[0].Attrs["tries"])
		if n >= loginTries {
			return false, nil
		}
		_, err = c.o.Table.Update(ctx, table.Update{Key: key, If: table.AtRev(items[0].Rev),
			Set: map[string]string{"tries": strconv.Itoa(n + 1)}, Expires: now.Add(2 * loginWindow)})
		if _, moved := table.Moved(err); !moved {
			return err == nil, err
		}
	}
	return false, nil // so many at once are no person's
}

// admitted forgets the failures before a good login.
func (c *Centre) admitted(ctx context.Context, remote string) error {
	_, err := c.o.Table.Update(ctx, table.Update{Key: loginKey(remote, c.o.Now()), If: table.Always, Delete: true})
	return err
}

// loginKey names an address by its hash: the table need not know who looked.
func loginKey(remote string, now time.Time) table.Key {
	sum := sha256.Sum256([]byte(network(remote)))
	return table.Key{PK: pkLogin + hex.EncodeToString(sum[:8]), SK: strconv.FormatInt(now.Unix()/int64(loginWindow/time.Second), 10)}
}

// network is the address without its port, for IPv6 the /64 a subscriber gets.
func network(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if a = a.Unmap(); a.Is6() {
		p, _ := a.Prefix(64)
		return p.String()
	}
	return a.String()
}
