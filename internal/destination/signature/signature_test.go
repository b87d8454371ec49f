package signature

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/spec"
)

// vector is one delivery as its sender's own library signs it; testdata tells how
// they were made.
type vector struct {
	Library string
	Webhook spec.Webhook
	Secret  string
	Header  map[string]string
	Body    string
	At      int64
}

func vectors(t *testing.T) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []vector
	if err := json.Unmarshal(b, &out); err != nil || len(out) < 14 {
		t.Fatal(len(out), err)
	}
	return out
}

func scheme(t *testing.T, w spec.Webhook, secrets ...string) *Scheme {
	t.Helper()
	s, err := New(w, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// other is a secret of the right form that nobody signed with.
func other(scheme string) string {
	if scheme == "ed25519" {
		return strings.Repeat("5a", 32)
	}
	return "whsec_AAAA"
}

// TestOwners accepts what the senders' libraries sign, during a rotation too, and
// nothing that was changed.
func TestOwners(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Library, func(t *testing.T) {
			at, m := time.Unix(v.At, 0), Message{v.Header, []byte(v.Body)}
			for _, secrets := range [][]string{{v.Secret}, {other(v.Webhook.Scheme), v.Secret}, {v.Secret, ""}} {
				if err := scheme(t, v.Webhook, secrets...).Verify(m, at); err != nil {
					t.Errorf("refused with %d secrets", len(secrets))
				}
			}
			s := scheme(t, v.Webhook, v.Secret)
			refuse := func(why string, s *Scheme, m Message, at time.Time) {
				if err := s.Verify(m, at); !errors.Is(err, ErrRefused) {
					t.Errorf("%s: accepted", why)
				}
			}
			refuse("another secret", scheme(t, v.Webhook, other(v.Webhook.Scheme)), m, at)
			refuse("a byte more", s, Message{v.Header, []byte(v.Body + " ")}, at)
			refuse("no headers", s, Message{nil, []byte(v.Body)}, at)
			if v.timed() {
				refuse("too old", s, m, at.Add(5*time.Minute+time.Second))
				refuse("from the future", s, m, at.Add(-5*time.Minute-time.Second))
				if s.Verify(m, at.Add(5*time.Minute)) != nil || s.Verify(m, at.Add(-5*time.Minute)) != nil {
					t.Error("refused at the edge of the window")
				}
			}
			for name, value := range v.Header {
				for i := range value {
					changed := maps.Clone(v.Header)
					changed[name] = value[:i] + flipped(value[i]) + value[i+1:]
					if equivalent(name, value, i) {
						continue
					}
					refuse("a changed "+name+" at "+strconv.Itoa(i), s, Message{changed, []byte(v.Body)}, at)
				}
			}
		})
	}
}

func (v vector) timed() bool {
	return v.Webhook.TimestampHeader != "" || v.Webhook.Scheme == "stripe" || v.Webhook.Scheme == "standard-webhooks"
}

// equivalent skips the bytes that mean nothing: the second signature that the
// Standard Webhooks vectors carry for a version without a key, and Stripe's v0.
func equivalent(name, value string, i int) bool {
	return name == "webhook-signature" && i < strings.IndexByte(value, ' ')+1
}

func flipped(b byte) string {
	if b == 'a' {
		return "b"
	}
	return "a"
}

// TestAsymmetric checks version v1a of Standard Webhooks. The npm library signs
// v1 only, so this signature is made with the standard library's Ed25519 over the
// bytes that the specification names.
func TestAsymmetric(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1795428000, 0)
	signed := base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte("msg_1.1795428000.{}")))
	s := scheme(t, spec.Webhook{Scheme: "standard-webhooks"}, "whpk_"+base64.StdEncoding.EncodeToString(public))
	m := Message{map[string]string{"webhook-id": "msg_1", "webhook-timestamp": "1795428000", "webhook-signature": "v1a," + signed}, []byte("{}")}
	if err := s.Verify(m, at); err != nil {
		t.Error("a v1a signature was refused")
	}
	m.Header["webhook-signature"] = "v1," + signed
	if err := s.Verify(m, at); err == nil {
		t.Error("a v1a signature was accepted as v1")
	}
}

// TestTimestamps refuses times that are not plain digits, signed or not.
func TestTimestamps(t *testing.T) {
	for _, text := range []string{"", "NaN", "-1795428000", "+1795428000", " 1795428000", "1795428000.0", "0x6AF0", "17954280000", "9999999999999999999"} {
		if at, err := instant(text); err == nil {
			t.Errorf("%q was read as %v", text, at)
		}
	}
	if at, err := instant("1795428000000"); err != nil || !at.Equal(time.Unix(1795428000, 0)) {
		t.Errorf("milliseconds were read as %v (%v)", at, err)
	}
}

// TestNew refuses what could not tell a forgery.
func TestNew(t *testing.T) {
	for name, c := range map[string]struct {
		webhook spec.Webhook
		secrets []string
	}{
		"no secret":         {spec.Webhook{Scheme: "stripe"}, nil},
		"blank secrets":     {spec.Webhook{Scheme: "stripe"}, []string{"", " \n"}},
		"unknown scheme":    {spec.Webhook{Scheme: "md5"}, []string{"x"}},
		"no header":         {spec.Webhook{Scheme: "hmac-sha256-hex"}, []string{"x"}},
		"no header, ed":     {spec.Webhook{Scheme: "ed25519"}, []string{strings.Repeat("00", 32)}},
		"short public key":  {spec.Webhook{Scheme: "ed25519", Header: "x"}, []string{"0011"}},
		"not base64":        {spec.Webhook{Scheme: "standard-webhooks"}, []string{"whsec_***"}},
		"empty after whsec": {spec.Webhook{Scheme: "standard-webhooks"}, []string{"whsec_"}},
		"short whpk":        {spec.Webhook{Scheme: "standard-webhooks"}, []string{"whpk_AAAA"}},
	} {
		if _, err := New(c.webhook, c.secrets...); err == nil {
			t.Errorf("%s: accepted", name)
		} else if len(c.secrets) > 0 && strings.Contains(err.Error(), "***") {
			t.Errorf("%s: the error tells the secret", name)
		}
	}
}

// FuzzVerify looks for messages that are taken without the secret.
func FuzzVerify(f *testing.F) {
	f.Add("stripe", "t=1795428000,v1=00", "1795428000", "msg", []byte("{}"))
	f.Add("standard-webhooks", "v1,AAAA v1a,AAAA", "1795428000", "msg", []byte(""))
	f.Add("ed25519", "00", "1795428000", "", []byte("x"))
	f.Add("hmac-sha256-base64", "====", "", "", []byte("x"))
	f.Fuzz(func(t *testing.T, name, signature, timestamp, id string, body []byte) {
		s, err := New(spec.Webhook{Scheme: name, Header: "sig", TimestampHeader: "ts"}, other(name))
		if err != nil {
			return
		}
		m := Message{map[string]string{"sig": signature, "stripe-signature": signature, "webhook-signature": signature,
			"ts": timestamp, "webhook-timestamp": timestamp, "webhook-id": id}, body}
		if s.Verify(m, time.Unix(1795428000, 0)) == nil {
			t.Error("a message was accepted that nobody signed")
		}
	})
}
