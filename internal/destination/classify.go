package destination

import (
	"bytes"
	"net/http"
	"strconv"

	"tandem/internal/flow"
	"tandem/spec"
)

// Transient reports whether a status that no rule of the spec covers is retried,
// and with which code. Statuses are RFC 9110's, 423 RFC 4918's, 425 RFC 8470's,
// 429 RFC 6585's; 477 is HubSpot's for a portal that is being moved.
func Transient(status int) (flow.Code, bool) {
	switch {
	case status == http.StatusTooManyRequests:
		return flow.RateLimited, true
	case status == http.StatusRequestTimeout, status == http.StatusLocked, status == http.StatusTooEarly, status == 477, status >= 500:
		return flow.RemoteBusy, true
	}
	return "", false
}

// classify turns an answer that is no success into an error: the spec's rules
// first, then the defaults.
func (c *Client) classify(o *object, r request, a *answer, raw []byte) error {
	e := &flow.Error{Code: c.code(r, a, raw), Message: a.what + ": " + strconv.Itoa(a.status) + o.explain(a.whole, r.sent)}
	if a.status >= 300 && a.status < 400 {
		e.Message += ": writes are not redirected; check destination.baseUrl and the call's path"
	}
	if e.Code == flow.RateLimited || e.Code == flow.RemoteBusy {
		e.RetryAfter = retryAfter(a.header, c.now())
	}
	if e.Code == flow.AlreadyExists {
		e.ExistingID = existingID(a.whole)
	}
	// A server that answers so may have stored the record before it failed.
	e.Maybe = r.call.writes() && e.Code == flow.RemoteBusy && (a.status >= 500 || a.status == http.StatusRequestTimeout)
	return e
}

// code finds an answer's class.
func (c *Client) code(r request, a *answer, raw []byte) flow.Code {
	if class, ok := ruleFor(c.spec.Errors, a.status, raw); ok {
		return ruled(class)
	}
	if code, ok := Transient(a.status); ok {
		return code
	}
	switch a.status {
	case http.StatusUnauthorized:
		return flow.Unauthorized
	case http.StatusForbidden:
		if a.header.Get("Retry-After") != "" { // GitHub's secondary limit, for one
			return flow.RateLimited
		}
	case http.StatusNotFound, http.StatusGone:
		if r.args["id"] != "" {
			return flow.RecordMissing
		}
	case http.StatusConflict:
		if r.call.name != "delete" {
			return flow.AlreadyExists
		}
	case http.StatusPreconditionFailed:
		return flow.PreconditionFailed
	case http.StatusRequestEntityTooLarge:
		return flow.TooLarge
	}
	return flow.RemoteRefused
}

// ruleFor is the class that the spec's rules give an answer.
func ruleFor(rules []spec.ErrorRule, status int, raw []byte) (class string, ok bool) {
	for _, rule := range rules {
		if rule.Status == status && bytes.Contains(raw, []byte(rule.Contains)) {
			return rule.Class, true
		}
	}
	return "", false
}

// ruled is the code of an ErrorRule's class.
func ruled(class string) flow.Code {
	switch class {
	case "retry":
		return flow.RemoteBusy
	case "conflict":
		return flow.AlreadyExists
	case "missing":
		return flow.RecordMissing
	case "throttled":
		return flow.RateLimited
	}
	return flow.RemoteRefused
}

// existingID reads the id of the record that holds a taken value, from the names
// that systems give it.
func existingID(v any) string {
	for _, path := range []string{"existing_id", "existingId", "existing.id", "error.existing_id", "error.existingId"} {
		if id := text(v, path); id != "" {
			return id
		}
	}
	return ""
}
