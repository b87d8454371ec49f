package centre

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tandem/internal/beat"
	"tandem/internal/record"
	"tandem/spec"
)

// ErrUnknown is what Outcomes answers for a client or record it does not know.
var ErrUnknown = errors.New("unknown client or record")

// Unreadable is what Outcomes answers when a client's own table cannot be read.
// Why is a sentence for people that says what to do; Err is for the log.
type Unreadable struct {
	Why string
	Err error
}

// Error is for the log.
func (u *Unreadable) Error() string { return fmt.Sprintf("%s: %v", u.Why, u.Err) }

// Unwrap returns the cause.
func (u *Unreadable) Unwrap() error { return u.Err }

// Outcomes answers for single records: the drill-down below the counters.
type Outcomes interface {
	// List returns outcomes newest first.
	List(ctx context.Context, q OutcomeQuery) (OutcomePage, error)
	// Record tells what is known of one record.
	Record(ctx context.Context, client string, ref record.Ref) (RecordView, error)
}

// OutcomeQuery selects outcomes. Zero members select everything.
type OutcomeQuery struct {
	Client    string
	Direction spec.Direction
	Kind      beat.Kind
	// Text is a record id, or part of an execution name; where the engine is at hand
	// also an event id.
	Text string
	// After is OutcomePage.Next of the page before. Limit is at most 200.
	After string
	Limit int
}

// OutcomePage is one page of outcomes; Next is empty on the last.
type OutcomePage struct {
	Outcomes []Outcome
	Next     string
	// Note says what the list does not hold, "" when it holds everything.
	Note string
}

// Outcome is how one execution ended. It holds no field's value.
type Outcome struct {
	At        time.Time
	Direction spec.Direction
	Kind      beat.Kind
	// Cause is the reason or code, Detail a sentence for people, both may be empty.
	Cause  string
	Detail string
	Ref    record.Ref
	// Execution is its name, Trace the address of its page or console view.
	Execution string
	Trace     string
	Latency   time.Duration
	Fields    []string // names of the fields written
	Spec      string   // the spec's hash
}

// RecordView is what the page of one record shows.
type RecordView struct {
	Ref     record.Ref
	Partner record.Ref // zero when the record is not linked
	Pair    string
	State   string
	Stamped time.Time
	Fields  []FieldView
	// Intent describes a write that is not yet observed, Next what would be
	// decided if an event came now; both may be empty.
	Intent string
	Next   string
	// Unread says why the present values of both sides are not shown, "" when they are.
	Unread string
	// Outcomes are the newest of this record.
	Outcomes []Outcome
}

// FieldView is one mapped field. Values of fields the spec marks as sensitive
// are fingerprints; whoever implements Outcomes makes them so.
type FieldView struct {
	Name        string
	Base        string
	HubSpot     string
	Destination string
	Sensitive   bool
	// HubSpotDiffers and DestinationDiffers: that side has moved on from the base.
	// The texts alone do not tell, since the two sides may spell one value differently.
	HubSpotDiffers, DestinationDiffers bool
	// Frozen says why the field does not travel: parked by the loop breaker, or a
	// reference that waits. "" for one that does.
	Frozen string
	// Execution, Event and Spec are where the base came from.
	Execution string
	Event     string
	Spec      string
	Trace     string
}
