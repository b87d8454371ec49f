package flow

import (
	"errors"
	"fmt"
	"time"
)

// Code is the name of a failure as the state machines' Retry and Catch know it.
type Code string

// The closed list of codes. Transient codes may be retried; the others end in
// the dead letter at once.
const (
	BadSeal        Code = "BadSeal"        // the envelope was not sealed by our webhook or poll
	BadSignature   Code = "BadSignature"   // a delivery that its sender did not sign
	BadBody        Code = "BadBody"        // authentic, but not what the sender documents
	BadEnvelope    Code = "BadEnvelope"    // unknown client, pair or state input
	RecordMissing  Code = "RecordMissing"  // the source answers 404: unknown, not deleted
	UnknownEnum    Code = "UnknownEnum"    // an enumMap has no entry for the value
	BadValue       Code = "BadValue"       // a value the target's type cannot hold
	LogicFailed    Code = "LogicFailed"    // hand-written logic refused the record
	RemoteRefused  Code = "RemoteRefused"  // permanent 4xx from a remote system
	Unauthorized   Code = "Unauthorized"   // credentials refused, after one refresh
	AlreadyExists  Code = "AlreadyExists"  // a unique value is taken
	QuotaExhausted Code = "QuotaExhausted" // a daily limit: postponed until it is reset
	Unexpected     Code = "Unexpected"     // a failure no adapter has classified: a fault of ours
	TooLarge       Code = "TooLarge"       // beyond what the machine can carry
	IDTooLong      Code = "IDTooLong"      // a record's id fits no key of the table

	LeaseHeld          Code = "LeaseHeld"          // another execution works on the pair
	LeaseLost          Code = "LeaseLost"          // ours passed: decide again
	ClaimHeld          Code = "ClaimHeld"          // a create of the same key is in flight
	IndexLag           Code = "IndexLag"           // a search index must settle first
	ParentMissing      Code = "ParentMissing"      // a referenced record is not linked yet: waited for a while, then left out
	PreconditionFailed Code = "PreconditionFailed" // the target moved: decide again
	InDoubt            Code = "InDoubt"            // a create may have happened: resolve before repeating
	RateLimited        Code = "RateLimited"        // 429 or the shared budget
	RemoteBusy         Code = "RemoteBusy"         // 5xx, 423, 477, timeouts, connection errors
	StoreBusy          Code = "StoreBusy"          // the table did not answer
)

// Codes lists every code with whether the machines may retry it.
var Codes = map[Code]bool{
	BadSeal: false, BadSignature: false, BadBody: false, BadEnvelope: false,
	UnknownEnum: false, BadValue: false, LogicFailed: false,
	RemoteRefused: false, Unauthorized: false, AlreadyExists: true, QuotaExhausted: false, TooLarge: false, IDTooLong: false, Unexpected: false,
	RecordMissing: true, LeaseHeld: true, LeaseLost: true, ClaimHeld: true, IndexLag: true, ParentMissing: true,
	PreconditionFailed: true, InDoubt: true, RateLimited: true, RemoteBusy: true, StoreBusy: true,
}

// Error is a failure with its code. Message is for operators and never holds a
// field's value or a secret.
type Error struct {
	Code    Code
	Message string
	// RetryAfter is how long the remote asked to wait, 0 when it did not.
	RetryAfter time.Duration
	// ExistingID is the record that holds the unique value, for AlreadyExists.
	ExistingID string
	// Maybe is true when the write may have happened all the same (timeout, 5xx).
	Maybe bool
	Err   error
}

// Error implements error.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error.
func Errorf(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code a failure stands for; "" when it has none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// isMaybe reports whether the failed call may have had its effect all the same.
func isMaybe(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Maybe
}

// existing is the record that an AlreadyExists names, if it does.
func existing(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.ExistingID
	}
	return ""
}

// Redriveable reports whether a dead letter's cause may pass when tried again
// without a change of spec or data.
func Redriveable(code Code) bool { return Codes[code] || code == QuotaExhausted }
