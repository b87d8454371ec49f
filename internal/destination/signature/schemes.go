package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// decoder returns how a signature is spelt.
func decoder(isHex bool) func(string) ([]byte, error) {
	if isHex {
		return hex.DecodeString
	}
	return base64.StdEncoding.Strict().DecodeString
}

// hmacKey makes HMAC-SHA256 keys of the secret's own bytes.
func hmacKey(decode func(string) ([]byte, error)) func(string) (key, error) {
	return func(secret string) (key, error) {
		return func(signature string, signed [][]byte) bool {
			got, err := decode(signature)
			return err == nil && hmac.Equal(got, mac([]byte(secret), signed))
		}, nil
	}
}

func mac(secret []byte, parts [][]byte) []byte {
	h := hmac.New(sha256.New, secret)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// stripe reads "t=1492774577,v1=5257...,v1=..." (docs.stripe.com/webhooks,
// "Verify webhook signatures manually"); other versions than v1 count for nothing.
func (s *Scheme) stripe(m Message) (p presented, err error) {
	var timestamp string
	for part := range strings.SplitSeq(m.Header[s.header], ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			if timestamp != "" {
				return p, ErrRefused
			}
			timestamp = value
		case "v1":
			p.signatures = append(p.signatures, value)
		}
	}
	p.at, err = instant(timestamp)
	p.signed = [][]byte{[]byte(timestamp + "."), m.Body}
	return p, err
}

// standard reads the headers of Standard Webhooks (standardwebhooks.com,
// specification, "Webhook metadata"): signatures are separated by spaces, each
// "v1," and an HMAC or "v1a," and an Ed25519 signature, over "id.timestamp.body".
func (s *Scheme) standard(m Message) (p presented, err error) {
	id, timestamp := m.Header["webhook-id"], m.Header["webhook-timestamp"]
	if id == "" {
		return p, ErrRefused
	}
	for signature := range strings.FieldsSeq(m.Header["webhook-signature"]) {
		p.signatures = append(p.signatures, signature)
	}
	p.at, err = instant(timestamp)
	p.signed = [][]byte{[]byte(id + "." + timestamp + "."), m.Body}
	return p, err
}

// standardKey makes a key of "whsec_" and base64 (HMAC, version v1) or "whpk_"
// and base64 (Ed25519 public key, version v1a).
func standardKey(secret string) (key, error) {
	if text, ok := strings.CutPrefix(secret, "whpk_"); ok {
		public, err := publicKey(text)
		return versioned("v1a,", func(signature []byte, signed [][]byte) bool {
			return ed25519.Verify(public, slices.Concat(signed...), signature)
		}), err
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(raw) == 0 {
		return nil, errors.New(`it must be "whsec_" and base64, or "whpk_" and base64`)
	}
	return versioned("v1,", func(signature []byte, signed [][]byte) bool {
		return hmac.Equal(signature, mac(raw, signed))
	}), nil
}

// versioned checks base64 signatures of one version and no others.
func versioned(version string, check func(signature []byte, signed [][]byte) bool) key {
	return func(signature string, signed [][]byte) bool {
		text, ok := strings.CutPrefix(signature, version)
		if !ok {
			return false
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(text)
		return err == nil && check(raw, signed)
	}
}

// edKey makes a key of a public key; a signature is hex or base64. The signed
// bytes are timestamp and body without anything between, as Discord signs
// ("Interactions", "Setting up an endpoint").
func edKey(secret string) (key, error) {
	public, err := publicKey(secret)
	return func(signature string, signed [][]byte) bool {
		raw, err := hex.DecodeString(signature)
		if err != nil {
			raw, err = base64.StdEncoding.Strict().DecodeString(signature)
		}
		return err == nil && len(raw) == ed25519.SignatureSize && ed25519.Verify(public, slices.Concat(signed...), raw)
	}, err
}

// publicKey reads an Ed25519 public key in hex or base64.
func publicKey(text string) (ed25519.PublicKey, error) {
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString} {
		if raw, err := decode(text); err == nil && len(raw) == ed25519.PublicKeySize {
			return raw, nil
		}
	}
	return nil, errors.New("it must be an Ed25519 public key of 32 bytes in hex or base64")
}
