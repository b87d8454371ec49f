// Package beat is the one logger handlers report through. Counters are summed
// in the process and leave it as one signed message, a beat, per interval; the
// Notification Centre (package centre) receives them.
//
// A beat is made of numbers, instants and words from closed sets, so that no
// value of a record can be in it. Nothing here may delay or fail a record:
// sending happens in the background, under a timeout, and its errors stay here.
package beat

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/internal/flow"
	"tandem/spec"
)

// Kind is how an event ended; every event ends in exactly one.
type Kind string

// The four outcomes.
const (
	Stamped Kind = "stamped"
	Dropped Kind = "dropped"
	Parked  Kind = "parked"
	Dead    Kind = "dead"
)

// Kinds lists the outcomes in the order in which they are shown.
var Kinds = []Kind{Stamped, Dropped, Parked, Dead}

// Cause says why an outcome was not a stamp: a Reason of the set below for
// dropped and parked events, a flow.Code for dead ones. See Known.
type Cause string

// The reasons for dropping or parking an event. Other stands for every word
// that is not in the set, so that none can be invented on the way.
const (
	Echo        Cause = "echo"        // our own write came back
	Unchanged   Cause = "unchanged"   // no field differs from the base
	Stale       Cause = "stale"       // a newer read has been stamped already
	Unmapped    Cause = "unmapped"    // the record takes no part in the sync
	Filtered    Cause = "filtered"    // the spec's filter leaves it out
	Blocked     Cause = "blocked"     // the other side deleted it and stays the master
	Gone        Cause = "gone"        // the pair is a tombstone
	Ambiguous   Cause = "ambiguous"   // more than one candidate
	Loop        Cause = "loop"        // the loop breaker's budget is spent
	Guard       Cause = "guard"       // a mass change waits for a person
	Merge       Cause = "merge"       // a merge left a record without a partner
	Quota       Cause = "quota"       // a daily limit is used up
	Conflict    Cause = "conflict"    // a person must choose between two values
	Agreed      Cause = "agreed"      // both sides hold the same values already
	Purged      Cause = "purged"      // erased on a privacy request
	Drift       Cause = "drift"       // edited on the side it does not travel from
	Overwritten Cause = "overwritten" // an edit was overwritten before it could be read
	// NotArrived is a check's: the canary's text has not come through.
	NotArrived Cause = "not-arrived"
	// NotStarted is a deferred event's that could not be started again.
	NotStarted Cause = "NotStarted"
	Other      Cause = "other"
)

var causes = []Cause{Echo, Unchanged, Stale, Unmapped, Filtered, Blocked, Gone,
	Ambiguous, Loop, Guard, Merge, Quota, Conflict, Agreed, Purged, Drift, Overwritten, NotArrived, NotStarted, Other}

// platform are the errors that Step Functions and Lambda raise by themselves and
// that outlast a machine's retries (AWS Step Functions developer guide, "Error
// names"; AWS Lambda's own begin with its name).
var platform = []Cause{"States.Timeout", "States.TaskFailed", "States.Permissions",
	"States.ParameterPathFailure", "States.ResultPathMatchFailure", "States.IntrinsicFailure",
	"Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException", "Lambda.ClientExecutionTimeoutException",
	"Lambda.TooManyRequestsException", "Lambda.Unknown", "Sandbox.Timedout"}

// Known returns c when it is in the closed set of reasons and codes, else Other.
func Known(c Cause) Cause {
	if _, code := flow.Codes[flow.Code(c)]; code || slices.Contains(causes, c) || slices.Contains(platform, c) {
		return c
	}
	return Other
}

// phrases are how package flow begins a reason written for people.
var phrases = []struct {
	start string
	cause Cause
}{
	{"deleted in", Gone}, {"the record or its partner was deleted", Gone}, {"its partner in", Gone}, {"the merged record", Gone},
	{"the guard on", Guard}, {"fields kept alternating", Loop},
	{"erased on", Purged}, {"its HubSpot record was merged", Merge}, {"merged into", Merge},
	{"it was made for", Ambiguous}, {"a create lost its answer", Ambiguous},
	{"the matching record", Ambiguous}, {"two or more records", Ambiguous}, {"an edit was overwritten", Overwritten},
}

// CauseOf reduces a reason written for people ("stale: a newer state ...") to
// its word in the closed set; what it does not recognise is Other. Reasons may
// name record ids, so they are never counted as they are.
func CauseOf(reason string) Cause {
	word, _, _ := strings.Cut(reason, ":")
	if c := Known(Cause(word)); c != Other {
		return c
	}
	if strings.Contains(reason, ", but the mass-change guard ") { // of a deletion that it stopped
		return Guard
	}
	for _, p := range phrases {
		if strings.HasPrefix(reason, p.start) {
			return p.cause
		}
	}
	return Other
}

// Signal is an occurrence a person should hear of that is no outcome.
type Signal string

// The signals.
const (
	SignatureRefused Signal = "signature-refused" // a webhook nobody we know has signed
	SealRefused      Signal = "seal-refused"      // an execution was started from outside
	BeatRefused      Signal = "beat-refused"      // a forged, replayed or malformed beat
	FieldParked      Signal = "field-parked"      // the loop breaker parked a field
	DriftFound       Signal = "drift-found"       // reconciliation found a difference
	SecondWriter     Signal = "second-writer"     // two deployments write to one portal
)

// Signals lists every signal.
var Signals = []Signal{SignatureRefused, SealRefused, BeatRefused, FieldParked, DriftFound, SecondWriter}

// Handlers lists the names a beat may come from: the lambdas' folders, and run
// for the one process that holds them all.
var Handlers = []string{"webhook", "poll", "verify", "transform", "lookup", "write", "stamp",
	"later", "selfcheck", "reconcile", "redrive", "run"}

// Way counts what happened in one direction since the previous beat.
type Way struct {
	// Events is how many arrived; LastEvent is when the newest did.
	Events    int       `json:"events,omitempty"`
	LastEvent time.Time `json:"lastEvent,omitzero"`
	// Outcomes counts how they ended, Causes why, by kind, where it was no stamp.
	Outcomes map[Kind]int           `json:"outcomes,omitempty"`
	Causes   map[Kind]map[Cause]int `json:"causes,omitempty"`
	// Latency is from the event's arrival to its outcome.
	Latency Sketch `json:"latency,omitzero"`
}

// API is a gauge of HubSpot's daily request budget, as its response headers
// X-HubSpot-RateLimit-Daily and -Daily-Remaining last told.
type API struct {
	Used  int `json:"used"`
	Limit int `json:"limit"`
}

// Writer says which deployment writes to which HubSpot portal. Two that write to
// one portal without sharing a table do not know of each other's leases and
// bases, and undo each other's work.
type Writer struct {
	Portal string `json:"portal"`
	// Deployment is ledger.Ledger.Deployment: the same for all who share a table.
	Deployment string `json:"deployment"`
}

// Beat is what one process of one handler did since its previous beat.
type Beat struct {
	Client  string `json:"client"`
	Handler string `json:"handler"`
	// Direction tells apart the handlers that are deployed once per direction.
	Direction spec.Direction `json:"direction,omitempty"`
	// Interval is how often this handler promises a beat, in whole seconds; 0
	// for one that only runs when there is work, whose silence means nothing.
	Interval int `json:"interval"`
	// Instance names the process, Seq numbers its beats from 1, and Nonce stays
	// the same when a beat is sent again, so that it is counted once.
	Instance string                  `json:"instance"`
	Seq      int64                   `json:"seq"`
	Nonce    string                  `json:"nonce"`
	SentAt   time.Time               `json:"sentAt"`
	Ways     map[spec.Direction]*Way `json:"ways,omitempty"`
	Errors   map[flow.Code]int       `json:"errors,omitempty"`
	Signals  map[Signal]int          `json:"signals,omitempty"`
	Checks   []Check                 `json:"checks,omitempty"`
	API      *API                    `json:"api,omitempty"`
	Writer   *Writer                 `json:"writer,omitempty"`
	// Waiting is how many dead letters wait for a person now; nil for a handler
	// that does not look.
	Waiting *int `json:"waiting,omitempty"`
	// CostMicros is the AWS list price of the work, in millionths of a US dollar.
	CostMicros int64 `json:"costMicros,omitempty"`
}

// pattern is a regular expression that is compiled when it is first needed: a
// function checks no beat when it starts.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

var (
	clientName = pattern(`^[a-z][a-z0-9-]{0,39}$`)
	token      = pattern(`^[0-9a-f]{16,64}$`)
	portalID   = pattern(`^[0-9]{1,20}$`)
)

// ValidClient reports whether name can be a client: lower case letters, digits
// and hyphens, a letter first, at most 40.
func ValidClient(name string) bool { return clientName().MatchString(name) }

// Validate refuses a beat whose words are outside the closed sets or whose numbers
// make no sense. The error names the member and never repeats what it held.
func (b *Beat) Validate() error {
	switch {
	case !ValidClient(b.Client):
		return errors.New("client: want lower case letters, digits and hyphens, at most 40")
	case !slices.Contains(Handlers, b.Handler):
		return fmt.Errorf("handler: want one of %v", Handlers)
	case b.Direction != "" && !validDirection(b.Direction):
		return errDirection("direction")
	case b.Interval < 0 || b.Interval > 86400:
		return errors.New("interval: want 0 to 86400 seconds")
	case !token().MatchString(b.Instance) || !token().MatchString(b.Nonce):
		return errors.New("instance, nonce: want 16 to 64 hex digits")
	case b.Seq < 1 || b.CostMicros < 0:
		return errors.New("seq: want at least 1; costMicros: want at least 0")
	case b.Waiting != nil && *b.Waiting < 0:
		return errors.New("waiting: want no negative number")
	case b.API != nil && (b.API.Used < 0 || b.API.Limit < 0):
		return errors.New("api: want no negative number")
	case b.Writer != nil && !(portalID().MatchString(b.Writer.Portal) && token().MatchString(b.Writer.Deployment)):
		return errors.New("writer: want a portal of digits and a deployment of 16 to 64 hex digits")
	case len(b.Checks) > len(checkNames):
		return fmt.Errorf("checks: want at most %d", len(checkNames))
	}
	return errors.Join(b.validWays(), validCounts("errors", b.Errors), validCounts("signals", b.Signals), validChecks(b.Checks))
}

func (b *Beat) validWays() error {
	for d, w := range b.Ways {
		if !validDirection(d) {
			return errDirection("ways")
		}
		if w == nil || w.Events < 0 || !w.Latency.valid() {
			return errors.New("ways: want an object without negative counts")
		}
		if err := validCounts("outcomes", w.Outcomes); err != nil {
			return err
		}
		for k, c := range w.Causes {
			if !slices.Contains(Kinds, k) {
				return fmt.Errorf("causes: want kinds of %v", Kinds)
			}
			if err := validCounts("causes", c); err != nil {
				return err
			}
		}
	}
	return nil
}

func validDirection(d spec.Direction) bool { return d == spec.ToDestination || d == spec.ToHubSpot }

func errDirection(member string) error {
	return fmt.Errorf("%s: want %s or %s", member, spec.ToDestination, spec.ToHubSpot)
}

// validCounts refuses negative counts and words outside the sets. Codes and
// causes a newer handler knows and this build does not were folded into Other
// by Fold before.
func validCounts[K ~string](member string, counts map[K]int) error {
	for word, n := range counts {
		if n < 0 {
			return fmt.Errorf("%s: want no negative number", member)
		}
		if !closed(any(word)) {
			return fmt.Errorf("%s: a word outside the closed set", member)
		}
	}
	return nil
}

func closed(word any) bool {
	switch w := word.(type) {
	case Kind:
		return slices.Contains(Kinds, w)
	case Cause:
		return Known(w) == w
	case Signal:
		return slices.Contains(Signals, w)
	case flow.Code:
		return Known(Cause(w)) == Cause(w)
	}
	return false
}

// Fold replaces causes and codes this build does not know by Other, so that a
// Centre older than its handlers loses a word but not a count.
func (b *Beat) Fold() {
	for _, w := range b.Ways {
		if w == nil {
			continue
		}
		for k, c := range w.Causes {
			w.Causes[k] = fold(c)
		}
	}
	b.Errors = fold(b.Errors)
}

func fold[K ~string](counts map[K]int) map[K]int {
	out := make(map[K]int, len(counts))
	for word, n := range counts {
		out[K(Known(Cause(word)))] += n
	}
	return out
}
