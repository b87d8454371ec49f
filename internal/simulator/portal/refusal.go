package portal

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Error is a refusal as the API answers it.
type Error struct {
	HTTP          int                 `json:"-"`
	Status        string              `json:"status"`
	Message       string              `json:"message"`
	CorrelationID string              `json:"correlationId,omitempty"`
	Category      string              `json:"category,omitempty"`
	ErrorType     string              `json:"errorType,omitempty"`
	PolicyName    string              `json:"policyName,omitempty"`
	Context       map[string][]string `json:"context,omitempty"`
	Errors        []Detail            `json:"errors,omitempty"`
	existing      string
}

// Detail is one reason of a refusal.
type Detail struct {
	Message string              `json:"message"`
	Code    string              `json:"code"`
	Context map[string][]string `json:"context,omitempty"`
}

// Error implements error.
func (e *Error) Error() string { return strconv.Itoa(e.HTTP) + " " + e.Category + ": " + e.Message }

func invalid(message string, details ...Detail) *Error {
	return &Error{HTTP: http.StatusBadRequest, Category: "VALIDATION_ERROR", Message: message, Errors: details}
}

func missing(id string) *Error {
	return &Error{HTTP: http.StatusNotFound, Category: "OBJECT_NOT_FOUND", Message: "Object not found.  objectId are usually numeric.", Context: map[string][]string{"ids": {id}}}
}

// nestedJSON is the list that HubSpot puts, as JSON, into a message's text.
func nestedJSON(details []Detail) string {
	type result struct {
		IsValid bool   `json:"isValid"`
		Message string `json:"message"`
		Error   string `json:"error"`
		Name    string `json:"name"`
	}
	var list []result
	for _, d := range details {
		list = append(list, result{Message: d.Message, Error: d.Code, Name: d.Context["propertyName"][0]})
	}
	b, _ := json.Marshal(list) // Texts only: cannot fail.
	return string(b)
}

// Op is one API call, as a fault's decision sees it.
type Op struct {
	// Name is read, create, update, archive, search, upsert, batch, merge,
	// purge, associate, dissociate or list.
	Name, Object string
	// Write is true for calls that change something.
	Write bool
}

// Fault is what goes wrong with one API call; the zero value is nothing.
type Fault struct {
	// Status is answered instead of the real answer: 429, 423, 477, 502, 504...
	Status int
	// Policy tells a 429's form: SECONDLY (as search sends it, no policy name),
	// TEN_SECONDLY_ROLLING or DAILY.
	Policy string
	// After lets the call happen first, so that only its answer is lost.
	After bool
	// Drop closes the connection without an answer.
	Drop bool
	// Delay makes the answer slow (see Options.Sleep).
	Delay time.Duration
	// RetryAfter is sent in seconds when not zero.
	RetryAfter time.Duration
}

func (f Fault) answers() bool { return f.Status != 0 || f.Drop }

// Fail makes the next API calls fail, one fault each.
func (p *Portal) Fail(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, faults...)
}

// OnCall lets decide choose a fault for every call that Fail has none for.
func (p *Portal) OnCall(decide func(Op) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook = decide
}

func (p *Portal) fault(op Op) Fault {
	p.mu.Lock()
	hook := p.hook
	if len(p.faults) > 0 {
		f := p.faults[0]
		p.faults = p.faults[1:]
		p.mu.Unlock()
		return f
	}
	p.mu.Unlock()
	if hook == nil {
		return Fault{}
	}
	return hook(op)
}

// refusal is the body of a fault's answer; nil where proxies answer with HTML.
func (f Fault) refusal() *Error {
	switch f.Status {
	case http.StatusTooManyRequests:
		return limited(f.Policy)
	case http.StatusLocked:
		return &Error{HTTP: f.Status, Category: "LOCKED", Message: "This resource is locked. Try again in 2 seconds."}
	case 477:
		return &Error{HTTP: f.Status, Category: "MIGRATION_IN_PROGRESS", Message: "This account is being moved to another data centre."}
	}
	if f.Status < http.StatusInternalServerError {
		return &Error{HTTP: f.Status, Category: "VALIDATION_ERROR", Message: "The request was refused."}
	}
	return nil
}

// limited is a 429 in one of the forms that HubSpot sends.
func limited(policy string) *Error {
	switch policy {
	case "DAILY":
		return &Error{HTTP: 429, Message: "You have reached your daily limit.", ErrorType: "RATE_LIMIT", PolicyName: "DAILY"}
	case "TEN_SECONDLY_ROLLING":
		return &Error{HTTP: 429, Message: "You have reached your ten_secondly_rolling limit.", ErrorType: "RATE_LIMIT", PolicyName: "TEN_SECONDLY_ROLLING"}
	}
	return &Error{HTTP: 429, Message: "You have reached your secondly limit.", Category: "RATE_LIMITS"}
}

const (
	window   = 10_000  // milliseconds of the ten-secondly limit
	searches = 5       // per second and account
	perDay   = 650_000 // told, not enforced; a DAILY fault refuses
)

// admit counts a call against the limits and tells in headers how many are
// left, except for searches, where HubSpot sends none.
func (p *Portal) admit(app int64, op Op, header http.Header) *Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if op.Name != "search" {
		p.today++
		header.Set("X-HubSpot-RateLimit-Daily", strconv.Itoa(perDay))
		header.Set("X-HubSpot-RateLimit-Daily-Remaining", strconv.Itoa(max(perDay-p.today, 0)))
	}
	if p.o.RateLimit <= 0 {
		return nil
	}
	now := p.nowMs()
	if op.Name == "search" {
		p.finds = since(p.finds, now-1000)
		if len(p.finds) >= searches {
			return limited("SECONDLY")
		}
		p.finds = append(p.finds, now)
		return nil
	}
	used := since(p.calls[app], now-window)
	refused := len(used) >= p.o.RateLimit
	if !refused {
		used = append(used, now)
	}
	p.calls[app] = used
	header.Set("X-HubSpot-RateLimit-Max", strconv.Itoa(p.o.RateLimit))
	header.Set("X-HubSpot-RateLimit-Remaining", strconv.Itoa(p.o.RateLimit-len(used)))
	header.Set("X-HubSpot-RateLimit-Interval-Milliseconds", strconv.Itoa(window))
	if refused {
		return limited("TEN_SECONDLY_ROLLING")
	}
	return nil
}

func since(instants []int64, after int64) []int64 {
	for len(instants) > 0 && instants[0] <= after {
		instants = instants[1:]
	}
	return instants
}
