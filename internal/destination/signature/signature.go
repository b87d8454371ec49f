// Package signature checks what senders sign: the closed set of webhook schemes
// that a spec may name, without the reading of any body.
//
// Every scheme compares in constant time, accepts either of two secrets while
// one is being rotated, and refuses to be made without a secret. Where the
// sender signs a time, a delivery is good for Tolerance in both directions; that
// window is all the replay protection there is, and all that is needed, since an
// event only says "look at this record" and looking twice changes nothing.
// HubSpot's own scheme is in package hubspot, where the URL is signed too.
package signature

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tandem/spec"
)

// DefaultTolerance is how far a signed time may be off, either way; it is what
// Stripe's and Standard Webhooks' own libraries use.
const DefaultTolerance = 5 * time.Minute

// maxSignatures bounds how many signatures of one delivery are tried.
const maxSignatures = 8

// ErrRefused is every failed check. Which part failed is not told to a sender.
var ErrRefused = errors.New("the signature is missing, wrong or too old")

// Message is what a scheme looks at. Header names are in lower case.
type Message struct {
	Header map[string]string
	Body   []byte
}

// Scheme checks deliveries of one sender. It is safe for concurrent use.
type Scheme struct {
	header, timestamp string
	prefix            string
	tolerance         time.Duration
	// collect finds the signatures and the signed bytes in a message.
	collect func(Message) (presented, error)
	keys    []key
}

// presented is what a message brings along to be checked.
type presented struct {
	signatures []string
	signed     [][]byte // parts, in order
	at         time.Time
}

// key checks one presented signature over the signed parts.
type key func(signature string, signed [][]byte) bool

// New makes the scheme a spec names, for one secret, or two during rotation.
func New(w spec.Webhook, secrets ...string) (*Scheme, error) {
	s := &Scheme{
		header: strings.ToLower(w.Header), timestamp: strings.ToLower(w.TimestampHeader), prefix: w.Prefix,
		tolerance: cmp.Or(w.Tolerance.Duration, DefaultTolerance),
	}
	keyOf, err := s.scheme(w.Scheme)
	if err != nil {
		return nil, err
	}
	for i, secret := range secrets {
		if secret = strings.TrimSpace(secret); secret == "" {
			continue // no previous secret
		}
		k, err := keyOf(secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d of scheme %s: %w", i+1, w.Scheme, err)
		}
		s.keys = append(s.keys, k)
	}
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("scheme %s needs a secret; without one nothing could be told from a forgery", w.Scheme)
	}
	return s, nil
}

// scheme sets how messages are read and returns how a key is made of a secret.
func (s *Scheme) scheme(name string) (func(secret string) (key, error), error) {
	switch name {
	case "hmac-sha256-hex", "hmac-sha256-base64":
		if s.header == "" {
			return nil, fmt.Errorf("scheme %s needs header, the name of the signature's header", name)
		}
		s.collect = s.named(".")
		return hmacKey(decoder(name == "hmac-sha256-hex")), nil
	case "stripe":
		s.header = cmp.Or(s.header, "stripe-signature")
		s.collect = s.stripe
		return hmacKey(decoder(true)), nil
	case "standard-webhooks":
		s.collect = s.standard
		return standardKey, nil
	case "ed25519":
		if s.header == "" {
			return nil, errors.New("scheme ed25519 needs header, the name of the signature's header")
		}
		s.collect = s.named("")
		return edKey, nil
	}
	return nil, fmt.Errorf("scheme %q is not one of hmac-sha256-hex, hmac-sha256-base64, stripe, standard-webhooks and ed25519", name)
}

// Verify checks a message that arrived at now. Its error is ErrRefused.
func (s *Scheme) Verify(m Message, now time.Time) error {
	p, err := s.collect(m)
	if err != nil || len(p.signatures) == 0 || len(p.signatures) > maxSignatures {
		return ErrRefused
	}
	if !p.at.IsZero() && now.Sub(p.at).Abs() > s.tolerance {
		return ErrRefused
	}
	good := false
	for _, signature := range p.signatures {
		for _, k := range s.keys {
			good = k(signature, p.signed) || good
		}
	}
	if !good {
		return ErrRefused
	}
	return nil
}

// named reads one signature from the named header; with a timestamp header the
// signed bytes are the timestamp, a separator and the body.
func (s *Scheme) named(separator string) func(Message) (presented, error) {
	return func(m Message) (p presented, err error) {
		text, ok := strings.CutPrefix(m.Header[s.header], s.prefix)
		if !ok || text == "" {
			return p, ErrRefused
		}
		p.signatures, p.signed = []string{text}, [][]byte{m.Body}
		if s.timestamp == "" {
			return p, nil
		}
		timestamp := m.Header[s.timestamp]
		p.at, err = instant(timestamp)
		p.signed = [][]byte{[]byte(timestamp + separator), m.Body}
		return p, err
	}
}

// instant reads seconds, or milliseconds where there are 13 digits. Nothing but
// digits is a time: no sign, no space, no fraction.
func instant(s string) (time.Time, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	switch {
	case err != nil || strings.HasPrefix(s, "+"):
		return time.Time{}, ErrRefused
	case len(s) == 13:
		return time.UnixMilli(int64(n)), nil
	case len(s) == 10:
		return time.Unix(int64(n), 0), nil
	}
	return time.Time{}, ErrRefused
}
