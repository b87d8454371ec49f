package beat

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// The headers of a beat. The client is in a header, since the Centre needs it
// to find the key before it may look at the body.
const (
	HeaderClient    = "Tandem-Client"
	HeaderTimestamp = "Tandem-Timestamp" // Unix seconds
	HeaderNonce     = "Tandem-Nonce"
	HeaderSignature = "Tandem-Signature" // "v1=" and the HMAC in hex
)

// Window is how far a beat's timestamp may be from the receiver's clock.
const Window = 5 * time.Minute

// minSecret keeps a forgotten or blank secret from being used as a key.
const minSecret = 16

// Key derives a client's signing key from its secret (HKDF, RFC 5869), so that
// the secret itself signs nothing and no client's key is good for another.
func Key(secret, client string) ([]byte, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the beat secret of client %s has fewer than %d bytes; store a random one", client, minSecret)
	}
	return hkdf.Key(sha256.New, []byte(secret), nil, "tandem beat v1 "+client, sha256.Size)
}

// Sign sets the headers that authenticate body, sent by client at the instant at.
func Sign(h http.Header, key []byte, client, nonce string, at time.Time, body []byte) {
	ts := strconv.FormatInt(at.Unix(), 10)
	h.Set(HeaderClient, client)
	h.Set(HeaderTimestamp, ts)
	h.Set(HeaderNonce, nonce)
	h.Set(HeaderSignature, "v1="+hex.EncodeToString(mac(key, client, ts, nonce, body)))
}

// errRefused is all a sender learns, whichever check failed.
var errRefused = errors.New("beat refused: its signature or timestamp is not valid")

// Verify checks the headers of a beat over its raw body, in constant time.
func Verify(h http.Header, key []byte, now time.Time, body []byte) error {
	ts := h.Get(HeaderTimestamp)
	want := "v1=" + hex.EncodeToString(mac(key, h.Get(HeaderClient), ts, h.Get(HeaderNonce), body))
	ok := hmac.Equal([]byte(want), []byte(h.Get(HeaderSignature)))
	sec, err := strconv.ParseInt(ts, 10, 64)
	if age := now.Sub(time.Unix(sec, 0)); !ok || err != nil || age > Window || age < -Window {
		return errRefused
	}
	return nil
}

// mac covers each part with its length, so that no two lists of parts look alike.
func mac(key []byte, client, ts, nonce string, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	fmt.Fprintf(m, "%d:%s%d:%s%d:%s", len(client), client, len(ts), ts, len(nonce), nonce)
	m.Write(body)
	return m.Sum(nil)
}
