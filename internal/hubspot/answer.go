package hubspot

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// failure is the body of a failed call. Every part is optional by the docs
// (developers.hubspot.com, error handling).
type failure struct {
	Category   string        `json:"category"`
	Message    string        `json:"message"`
	PolicyName string        `json:"policyName"`
	Context    failureDetail `json:"context"`
	Errors     []struct {
		Code    string        `json:"code"`
		Context failureDetail `json:"context"`
	} `json:"errors"`
}

// failureDetail is the context of a failure.
type failureDetail struct {
	ExistingID   texts `json:"existingId"`
	PropertyName texts `json:"propertyName"`
	Scopes       texts `json:"requiredGranularScopes"`
}

// texts reads what HubSpot gives now as one text, now as a list of texts.
type texts []string

// UnmarshalJSON accepts a text, a number or a list of them; anything else is
// no text at all, since an odd detail must not hide the failure it belongs to.
func (t *texts) UnmarshalJSON(b []byte) error {
	var list []any
	if json.Unmarshal(b, &list) != nil {
		var one any
		if json.Unmarshal(b, &one) == nil {
			list = []any{one}
		}
	}
	*t = nil
	for _, v := range list {
		switch v := v.(type) {
		case string:
			*t = append(*t, v)
		case float64:
			*t = append(*t, strconv.FormatFloat(v, 'f', -1, 64))
		}
	}
	return nil
}

// unreachable is a call that got no answer. The cause is told without its URL,
// which may hold an e-mail address.
func unreachable(r call, err error) error {
	// A transport that keeps to a budget says so itself, before anything was sent.
	var own *flow.Error
	if errors.As(err, &own) {
		return own
	}
	cause := "the connection failed"
	if t, ok := err.(interface{ Timeout() bool }); ok && t.Timeout() {
		cause = "no answer in time"
	}
	return &flow.Error{
		Code: flow.RemoteBusy, Maybe: r.writes(), Err: withoutURL(err),
		Message: fmt.Sprintf("HubSpot %s: %s", r.method, cause),
	}
}

// refused translates an answer that is not a success into the code that the
// machines know (error handling guide; the table is in the package's tests).
func refused(r call, status int, header http.Header, body []byte) *flow.Error {
	var f failure
	_ = json.Unmarshal(body, &f) // A body that is not JSON leaves the status to speak.
	return refusedAs(r, status, header, f)
}

func refusedAs(r call, status int, header http.Header, f failure) *flow.Error {
	e := &flow.Error{Message: fmt.Sprintf("HubSpot %s answered %d%s", r.method, status, f.describe(r.sent))}
	switch {
	case status == http.StatusUnauthorized:
		e.Code = flow.Unauthorized
	case status == http.StatusNotFound:
		e.Code = flow.RecordMissing
	case status == http.StatusConflict, status == http.StatusBadRequest && f.taken():
		e.Code, e.ExistingID = flow.AlreadyExists, f.existing()
	case status == http.StatusTooManyRequests:
		e.Code, e.RetryAfter = f.throttled(header)
	case status == http.StatusLocked: // Locks last two seconds.
		e.Code, e.RetryAfter = flow.RemoteBusy, max(retryAfter(header), 2*time.Second)
	case status == 477: // The account moves between data centres; up to 24 hours.
		e.Code, e.RetryAfter = flow.RemoteBusy, cmp.Or(retryAfter(header), movingPause)
	case status == http.StatusRequestTimeout, status >= 500:
		e.Code, e.RetryAfter, e.Maybe = flow.RemoteBusy, retryAfter(header), r.writes()
	default:
		e.Code = flow.RemoteRefused
	}
	return e
}

// taken: a unique property's value belongs to another record. Contacts' e-mails
// are refused with 409, custom unique properties with a 400 that says so in a
// code or, seen in older answers, only in the message.
func (f failure) taken() bool {
	for _, e := range f.Errors {
		if e.Code == "CONFLICTING_UNIQUE_VALUE" {
			return true
		}
	}
	return strings.Contains(f.Message, "CONFLICTING_UNIQUE_VALUE") || strings.Contains(f.Message, "already has that value")
}

// throttled tells the daily limit, which no retry outlasts, from the short
// ones. Some answers have a policy name, some only the message.
func (f failure) throttled(header http.Header) (flow.Code, time.Duration) {
	text := strings.ToLower(f.PolicyName + " " + f.Message)
	wait := retryAfter(header)
	switch {
	case strings.Contains(text, "daily"):
		return flow.QuotaExhausted, wait
	case strings.Contains(text, "ten_secondly"):
		return flow.RateLimited, max(wait, 10*time.Second)
	}
	return flow.RateLimited, max(wait, time.Second)
}

// quotaPause is how long nobody calls once the daily limit is used up, where the
// answer does not say; then one call looks again.
const quotaPause = time.Hour

// movingPause is the same for a portal that moves between data centres.
const movingPause = time.Minute

// Pause is the limit.Pause of HubSpot: how long an answer asks everybody to leave
// the portal alone. The short limits of a rolling window pass a call every moment,
// so they ask for a second; the daily limit, and the move of a portal between
// data centres (477), for long.
func Pause(status int, header http.Header, body []byte) (time.Duration, bool) {
	var f failure
	_ = json.Unmarshal(body, &f) // A body that is not JSON leaves the status to speak.
	switch code, wait := f.throttled(header); {
	case status == 477:
		return cmp.Or(retryAfter(header), movingPause), true
	case status != http.StatusTooManyRequests:
		return 0, false
	case code == flow.QuotaExhausted:
		return cmp.Or(wait, quotaPause), true
	}
	return max(retryAfter(header), time.Second), true
}

// retryAfter reads the header's seconds, bounded by the day that a 477 may ask for.
func retryAfter(header http.Header) time.Duration {
	n, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(min(n, 24*60*60)) * time.Second
}

// existingID is undocumented wording, seen in every real 409 of a contact.
var existingID = pattern(`Existing ID:\s*(\d+)`)

func (f failure) existing() string {
	details := []failureDetail{f.Context}
	for _, e := range f.Errors {
		details = append(details, e.Context)
	}
	for _, d := range details {
		if len(d.ExistingID) > 0 {
			return d.ExistingID[0]
		}
	}
	if m := existingID().FindStringSubmatch(f.Message); m != nil {
		return m[1]
	}
	return ""
}

// describe tells what HubSpot said, without values.
func (f failure) describe(sent record.Fields) string {
	var parts []string
	if c := code(f.Category); c != "" {
		parts = append(parts, c)
	}
	for _, e := range f.Errors {
		parts = append(parts, strings.TrimSpace(code(e.Code)+" "+strings.Join(known(e.Context.PropertyName, sent), ",")))
		parts = append(parts, slices.DeleteFunc(e.Context.Scopes, func(s string) bool { return !scopeName().MatchString(s) })...)
	}
	if f.Message != "" {
		parts = append(parts, redact(f.Message, sent))
	}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(slices.Compact(parts), ": ")
}

var (
	upperWord = pattern(`^[A-Z][A-Z0-9_]{0,79}$`)
	scopeName = pattern(`^[a-z][a-z0-9._-]{0,79}$`)
)

// code passes HubSpot's upper-case words and nothing else.
func code(s string) string {
	if upperWord().MatchString(s) {
		return s
	}
	return ""
}

// known keeps the property names that were part of the request.
func known(names texts, sent record.Fields) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { _, ok := sent[n]; return !ok })
}
