package destination

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/table"
	"tandem/spec"
)

// vault keeps the access token that every process of a client uses in a row of
// the table, so that one of them fetches it for all: token endpoints are limited
// more tightly than APIs, and some end a token when the next is issued. The token
// is sealed under a key made of the client's own secret; whoever reads the table
// alone cannot use it. Where the table does not answer each process helps itself.
type vault struct {
	table table.Table
	key   table.Key
}

// look is how long a worker waits before it looks whether another has fetched.
const look = 100 * time.Millisecond

func newVault(t table.Table, a spec.Auth) *vault {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{a.TokenURL, a.ClientID, a.Secret}, a.Scopes...), "\x1f")))
	return &vault{table: t, key: table.Key{PK: "TOKEN#destination", SK: hex.EncodeToString(sum[:8])}}
}

// get returns a token other than the refused one: what stands in the row, or what
// the one worker that has the row's turn fetches.
func (v *vault) get(ctx context.Context, secret, refused string, now func() time.Time, turn time.Duration, fetch func() (grant, error)) (grant, error) {
	for {
		items, err := v.table.Get(ctx, v.key)
		if err != nil {
			return fetch()
		}
		row := items[0]
		if g, ok := v.open(row.Attrs, secret); ok && g.token != refused && now().Before(g.expires) {
			return g, nil
		}
		if now().Before(millis(row.Attrs["turn"])) {
			if err := pause(ctx, look); err != nil {
				return grant{}, &flow.Error{Code: flow.RemoteBusy, Message: "no access token in time", Err: err}
			}
			continue
		}
		revs, err := v.table.Update(ctx, table.Update{Key: v.key, If: table.AtRev(row.Rev), Set: map[string]string{"turn": ms(now().Add(turn))}})
		if _, moved := table.Moved(err); moved {
			continue
		}
		if err != nil {
			return fetch()
		}
		return v.put(ctx, secret, revs[0], fetch)
	}
}

// put fetches a token and leaves it for the others; in any case it ends its turn.
func (v *vault) put(ctx context.Context, secret string, rev int64, fetch func() (grant, error)) (grant, error) {
	g, err := fetch()
	u := table.Update{Key: v.key, If: table.AtRev(rev), Remove: []string{"turn"}}
	if sealed, sealErr := v.seal(secret, g.token); err == nil && sealErr == nil {
		u.Set = map[string]string{"token": sealed, "expires": ms(g.expires)}
		u.Expires = g.expires
	}
	// That the others cannot have it costs them a request of their own.
	_, _ = v.table.Update(context.WithoutCancel(ctx), u)
	return g, err
}

// open reads the row's token; not when it was sealed under another secret.
func (v *vault) open(row map[string]string, secret string) (grant, bool) {
	raw, err := base64.StdEncoding.DecodeString(row["token"])
	a, aeadErr := v.aead(secret)
	if err != nil || aeadErr != nil || len(raw) < a.NonceSize() {
		return grant{}, false
	}
	token, err := a.Open(nil, raw[:a.NonceSize()], raw[a.NonceSize():], []byte(v.key.SK))
	return grant{string(token), millis(row["expires"])}, err == nil
}

func (v *vault) seal(secret, token string) (string, error) {
	a, err := v.aead(secret)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, a.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(a.Seal(nonce, nonce, []byte(token), []byte(v.key.SK))), nil
}

// aead is AES-256-GCM under a key for this purpose alone (RFC 5869).
func (v *vault) aead(secret string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "tandem access token", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func ms(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func millis(text string) time.Time {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n)
}
