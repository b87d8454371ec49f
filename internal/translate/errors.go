package translate

import (
	"errors"
	"fmt"

	"tandem/internal/formula"
	"tandem/internal/logic"
)

// The codes of an Error are spelt as the flow's, which imports this package and
// turns them into its own at the edge.
const (
	UnknownEnum = "UnknownEnum" // an enumMap has no entry for the value
	BadValue    = "BadValue"    // a value that its source's or target's type cannot hold, or too long
	LogicFailed = "LogicFailed" // hand-written logic refused the value
	BadSpec     = "BadEnvelope" // a formula that cannot be run: the spec was not checked
)

// Error says that a field could not be translated. Its text names the pair, the
// field and what is allowed, never the value.
type Error struct {
	Code, Pair, Field string
	Err               error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("pair %s, field %s: %v", e.Pair, e.Field, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// codeOf names the failure that err stands for.
func codeOf(err error) string {
	var unknown *formula.UnknownValueError
	var refused *logic.Error
	switch {
	case errors.As(err, &unknown):
		return UnknownEnum
	case errors.As(err, &refused):
		return LogicFailed
	}
	return BadValue
}
