package hubspot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
)

// The headers of signature v3, in the lower case that a delivery has them in.
const (
	SignatureHeader = "x-hubspot-signature-v3"
	TimestampHeader = "x-hubspot-request-timestamp"
)

// Tolerance is how old a signed request may be, and how far ahead of our clock.
// HubSpot documents the first; without the second a replay would stay valid for
// as long as its timestamp lies in the future.
const Tolerance = 5 * time.Minute

// escapes are the twelve that the signer decodes in the URL, and no others
// (HubSpot, validating requests). The replacer makes one pass, so %2540 becomes
// %40 and stays it.
var escapes = strings.NewReplacer(
	"%3A", ":", "%2F", "/", "%3F", "?", "%40", "@", "%21", "!", "%24", "$",
	"%27", "'", "%28", "(", "%29", ")", "%2A", "*", "%2C", ",", "%3B", ";",
)

// Sign computes signature v3: Base64 of HMAC-SHA-256, keyed with the app's
// client secret, over method, decoded URL, raw body and timestamp (decimal
// milliseconds), without separators.
func Sign(secret, method, url string, body []byte, timestamp string) string {
	return base64.StdEncoding.EncodeToString(sum(secret, method, url, body, timestamp))
}

func sum(secret, method, url string, body []byte, timestamp string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(method))
	mac.Write([]byte(escapes.Replace(url)))
	mac.Write(body)
	mac.Write([]byte(timestamp))
	return mac.Sum(nil)
}

var milliseconds = pattern(`^\d{13}$`)

// Verify checks signature v3 over the delivery's raw bytes and configured URL.
// The older versions are never accepted: they have no protection against replay.
func (r *Receiver) Verify(d flow.Delivery) error {
	stamp := d.Header[TimestampHeader]
	if !milliseconds().MatchString(stamp) {
		return flow.Errorf(flow.BadSignature, "%s must be 13 digits of milliseconds", TimestampHeader)
	}
	ms, _ := strconv.ParseInt(stamp, 10, 64) // Thirteen digits fit.
	if age := r.now().Sub(time.UnixMilli(ms)); age > Tolerance || age < -Tolerance {
		return flow.Errorf(flow.BadSignature, "%s is more than %v from this clock", TimestampHeader, Tolerance)
	}
	// The decoder skips line ends, so the length is checked before it.
	encoded := d.Header[SignatureHeader]
	got, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(encoded) != base64.StdEncoding.EncodedLen(sha256.Size) || len(got) != sha256.Size {
		return flow.Errorf(flow.BadSignature, "%s is missing or not a Base64 SHA-256", SignatureHeader)
	}
	if !r.signed(d, stamp, got) {
		return flow.Errorf(flow.BadSignature, "%s does not match the body, the configured URL and the client secret", SignatureHeader)
	}
	return nil
}

// signed tries every secret, the previous one too while secrets rotate; an
// empty one would let anybody sign.
func (r *Receiver) signed(d flow.Delivery, stamp string, got []byte) bool {
	ok := false
	for _, secret := range r.secrets() {
		if secret != "" && hmac.Equal(got, sum(secret, d.Method, d.URL, d.Body, stamp)) {
			ok = true
		}
	}
	return ok
}
