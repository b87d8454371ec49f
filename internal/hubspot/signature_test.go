package hubspot

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
)

// vector is one line of testdata/signatures.json, which signatures.py made from
// HubSpot's description with Python's own hmac.
type vector struct {
	Name, Secret, Method, URL, Timestamp, Signature string
	Body                                            []byte
}

func vectors(t testing.TB) []vector {
	t.Helper()
	file, err := os.ReadFile("testdata/signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []vector
	if err := json.Unmarshal(file, &out); err != nil || len(out) == 0 {
		t.Fatalf("%d vectors, %v", len(out), err)
	}
	return out
}

func (v vector) delivery() flow.Delivery {
	return flow.Delivery{Method: v.Method, URL: v.URL, Body: v.Body, Header: map[string]string{SignatureHeader: v.Signature, TimestampHeader: v.Timestamp}}
}

func (v vector) at() time.Time {
	ms, _ := strconv.ParseInt(v.Timestamp, 10, 64)
	return time.UnixMilli(ms)
}

func receiver(t testing.TB, at time.Time, secrets ...string) *Receiver {
	t.Helper()
	r, err := NewReceiver(func() []string { return secrets }, "48975575", testTypes, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			if err := receiver(t, v.at(), v.Secret).Verify(v.delivery()); err != nil {
				t.Error(err)
			}
			if got := Sign(v.Secret, v.Method, v.URL, v.Body, v.Timestamp); got != v.Signature {
				t.Errorf("signed %s, want %s", got, v.Signature)
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	v := vectors(t)[0]
	resign := func(d *flow.Delivery, stamp string) {
		d.Header[TimestampHeader] = stamp
		d.Header[SignatureHeader] = Sign(v.Secret, d.Method, d.URL, d.Body, stamp)
	}
	cases := map[string]func(d *flow.Delivery){
		"another byte in the body":     func(d *flow.Delivery) { d.Body = append([]byte(" "), d.Body...) },
		"another url":                  func(d *flow.Delivery) { d.URL += "/" },
		"another method":               func(d *flow.Delivery) { d.Method = "PUT" },
		"no signature":                 func(d *flow.Delivery) { delete(d.Header, SignatureHeader) },
		"an empty signature":           func(d *flow.Delivery) { d.Header[SignatureHeader] = "" },
		"a signature in hex":           func(d *flow.Delivery) { d.Header[SignatureHeader] = strings.Repeat("ab", 32) },
		"a truncated signature":        func(d *flow.Delivery) { d.Header[SignatureHeader] = v.Signature[:40] },
		"a signature with a line end":  func(d *flow.Delivery) { d.Header[SignatureHeader] = v.Signature + "\n" },
		"no timestamp":                 func(d *flow.Delivery) { delete(d.Header, TimestampHeader) },
		"another timestamp":            func(d *flow.Delivery) { d.Header[TimestampHeader] = "1782371969537" },
		"a signed timestamp of text":   func(d *flow.Delivery) { resign(d, "now") },
		"a signed timestamp in s":      func(d *flow.Delivery) { resign(d, "1782371969") },
		"a signed timestamp with sign": func(d *flow.Delivery) { resign(d, "+782371969536") },
		"a timestamp with a line end":  func(d *flow.Delivery) { resign(d, v.Timestamp+"\n") },
		"older than five minutes":      func(d *flow.Delivery) { resign(d, stampAt(v, -5*time.Minute-time.Millisecond)) },
		"further ahead than that":      func(d *flow.Delivery) { resign(d, stampAt(v, 5*time.Minute+time.Millisecond)) },
		"version 1 only": func(d *flow.Delivery) {
			d.Header = map[string]string{"x-hubspot-signature": "abc", "x-hubspot-signature-version": "v1", TimestampHeader: v.Timestamp}
		},
		"signed with an empty secret": func(d *flow.Delivery) {
			d.Header[SignatureHeader] = Sign("", d.Method, d.URL, d.Body, v.Timestamp)
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			d := v.delivery()
			change(&d)
			err := receiver(t, v.at(), v.Secret).Verify(d)
			if flow.CodeOf(err) != flow.BadSignature {
				t.Fatalf("got %v, want BadSignature", err)
			}
			if strings.Contains(err.Error(), v.Secret) || strings.Contains(err.Error(), v.Signature) {
				t.Errorf("the error tells too much: %v", err)
			}
		})
	}
}

func stampAt(v vector, d time.Duration) string {
	return strconv.FormatInt(v.at().Add(d).UnixMilli(), 10)
}

func TestVerifyAtTheLimits(t *testing.T) {
	v := vectors(t)[0]
	for _, d := range []time.Duration{-Tolerance, Tolerance} {
		if err := receiver(t, v.at().Add(d), v.Secret).Verify(v.delivery()); err != nil {
			t.Errorf("%v from the clock: %v", d, err)
		}
	}
}

func TestRotation(t *testing.T) {
	v := vectors(t)[0]
	secrets := []string{"new", v.Secret}
	r, err := NewReceiver(func() []string { return secrets }, "1", nil, v.at)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(v.delivery()); err != nil {
		t.Errorf("the previous secret: %v", err)
	}
	for _, secrets = range [][]string{{"new"}, {""}, {}} {
		if err := r.Verify(v.delivery()); flow.CodeOf(err) != flow.BadSignature {
			t.Errorf("with %d secrets, none of them right: %v", len(secrets), err)
		}
	}
}

func TestReceiverNeedsSecretAndPortal(t *testing.T) {
	for _, secrets := range [][]string{{}, {""}, {"a", ""}} {
		if _, err := NewReceiver(func() []string { return secrets }, "1", nil, nil); err == nil {
			t.Errorf("a receiver was made with secrets %q", secrets)
		}
	}
	if _, err := NewReceiver(func() []string { return []string{"a"} }, "acme", nil, nil); err == nil {
		t.Error("a receiver was made with a portal id that is no number")
	}
}

// FuzzVerify holds that nothing but the exact vector is accepted.
func FuzzVerify(f *testing.F) {
	known := vectors(f)[0]
	f.Add(known.Signature, known.Timestamp, known.Body)
	f.Add("", "", []byte(nil))
	f.Add("====", "0000000000000", []byte("[]"))
	r := receiver(f, known.at(), known.Secret)
	f.Fuzz(func(t *testing.T, signature, timestamp string, body []byte) {
		d := known.delivery()
		d.Body, d.Header = body, map[string]string{SignatureHeader: signature, TimestampHeader: timestamp}
		right := base64.StdEncoding.EncodeToString(sum(known.Secret, d.Method, d.URL, body, timestamp))
		if err := r.Verify(d); err == nil && signature != right {
			t.Errorf("accepted signature %q", signature)
		}
	})
}
