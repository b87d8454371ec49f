package flow

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

func isMoved(err error) bool { return errors.Is(err, ledger.ErrMoved) }
func isHeld(err error) bool  { return errors.Is(err, ledger.ErrHeld) }

// Envelope is one record's event, sealed by the ingress. It holds ids and
// fingerprints, never a value, so it may be logged and kept in a queue.
type Envelope struct {
	Client    string         `json:"client"`
	Direction spec.Direction `json:"direction"`
	Pair      string         `json:"pair"`
	// ID is the source record; after a merge the record that lives on.
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Back: the same delivery tells of a restore after the deletion that it tells of.
	Back bool `json:"back,omitempty"`
	// Name is the execution's name: client, object and record can be searched for.
	Name string `json:"name"`
	// At is the newest event's time in milliseconds, in the sender's clock.
	At     int64    `json:"at,omitempty"`
	Events []string `json:"events,omitempty"`
	Merged []string `json:"merged,omitempty"`
	// Approved: a person lets through what the mass-change guard has stopped of the record.
	Approved bool `json:"approved,omitempty"`
	// Told are fingerprints of the values the events carried.
	Told []Told `json:"told,omitempty"`
	// Seal is the HMAC over all of the above.
	Seal string `json:"seal"`
}

// restored: an event says that the record was restored, and has not been deleted since as
// far as the delivery tells.
func (e *Envelope) restored() bool { return e.Kind == Restored || e.Back }

// Told is one value an event carried, as a fingerprint. At is the event's time
// where it is another than the envelope's, Other that it was not this app that set
// it (Notification.Other).
type Told struct {
	Field, Print string
	At           int64
	Other        bool
}

// MarshalText writes print, "!" where another has set it, time if there is one, and
// field, as in "svlIitWnbrM!@1782371969536 postcode": an envelope is logged with
// every state.
func (t Told) MarshalText() ([]byte, error) {
	text := []byte(t.Print)
	if t.Other {
		text = append(text, '!')
	}
	if t.At != 0 {
		text = fmt.Appendf(text, "@%d", t.At)
	}
	return fmt.Append(text, " ", t.Field), nil
}

// UnmarshalText reads what MarshalText has written.
func (t *Told) UnmarshalText(text []byte) (err error) {
	head, field, ok := strings.Cut(string(text), " ")
	if !ok {
		return fmt.Errorf("a told value is a fingerprint and a field, not %q", text)
	}
	*t = Told{Field: field}
	var at string
	if t.Print, at, ok = strings.Cut(head, "@"); ok {
		t.At, err = strconv.ParseInt(at, 10, 64)
	}
	t.Print, t.Other = strings.CutSuffix(t.Print, "!")
	return err
}

// maxListed bounds the event ids and told values an envelope carries.
const maxListed = 16

// Sealer seals and checks envelopes with keys derived from the source's client
// secret (HKDF-SHA-256, RFC 5869), so that the right to start an execution is
// not the right to write into a CRM. Secrets returns the current secret first
// and, during a rotation, the former one.
type Sealer struct {
	Secrets func(record.System) ([]string, error)
}

// Seal returns the envelope with its seal.
func (s *Sealer) Seal(e Envelope) (Envelope, error) {
	keys, err := s.keys(e)
	if err != nil {
		return e, err
	}
	e.Seal = mac(keys[0], e)
	return e, nil
}

// Check reports BadSeal unless e was sealed under a secret still valid.
func (s *Sealer) Check(e Envelope) error {
	keys, err := s.keys(e)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if hmac.Equal([]byte(mac(k, e)), []byte(e.Seal)) {
			return nil
		}
	}
	return Errorf(BadSeal, "the envelope was not sealed by this client's ingress, or was altered since; or the client secret that sealed it is not valid any more, after a rotation: then tandem resync brings the record")
}

func (s *Sealer) keys(e Envelope) ([][]byte, error) {
	secrets, err := s.Secrets(e.Direction.Source())
	if err != nil || len(secrets) == 0 {
		return nil, &Error{Code: StoreBusy, Message: "the " + string(e.Direction.Source()) + " client secret cannot be read", Err: err}
	}
	keys := make([][]byte, 0, len(secrets))
	for _, secret := range secrets {
		if secret == "" {
			return nil, Errorf(BadSeal, "the %s client secret is empty", e.Direction.Source())
		}
		k, err := hkdf.Key(sha256.New, []byte(secret), nil, "tandem envelope v1 "+e.Client+" "+string(e.Direction), 32)
		if err != nil {
			return nil, fmt.Errorf("deriving the seal's key: %w", err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// sealSize is how many bytes of the HMAC are kept: half, which RFC 2104 section 5
// allows, because every state of an execution logs them.
const sealSize = sha256.Size / 2

// mac is the HMAC over the envelope's canonical JSON: encoding/json writes
// struct fields in declaration order, so equal envelopes have equal bytes.
func mac(key []byte, e Envelope) string {
	e.Seal = ""
	b, _ := json.Marshal(e) // plain text and numbers always marshal
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:sealSize])
}

// maxName is Step Functions' limit for an execution's name (API StartExecution).
const maxName = 80

// executionName names an execution so that the console's search finds the
// record: client-object-id-milliseconds-hash, only of 0-9 A-Z a-z - _. The hash
// tells apart deliveries of equal time.
func executionName(e Envelope, object string, now time.Time) string {
	h := sha256.Sum256([]byte(strings.Join(append([]string{string(e.Kind), e.Pair, e.ID, string(e.Direction)}, e.Events...), "\x1f")))
	tail := fmt.Sprintf("-%d-%s", now.UnixMilli(), hex.EncodeToString(h[:4]))
	head := nameSafe(e.Client + "-" + object + "-" + e.ID)
	return head[:min(len(head), maxName-len(tail))] + tail
}

func nameSafe(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '-', r == '_':
			return r
		}
		return '_'
	}, s)
}
