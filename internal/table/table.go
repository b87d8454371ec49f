// Package table is the one DynamoDB table as its users see it: rows of text
// attributes, read consistently and changed only under a condition.
//
// Every row carries a revision that each change raises by one. A change names
// the revision it was decided on, so a decision made on an old row can never be
// stored; the revision a lease was taken at is therefore its fencing number.
// Two implementations pass the same suite (tabletest): dynamo, over AWS or
// anything that speaks its protocol, and embedded, a log file for one process.
package table

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Key addresses one row.
type Key struct{ PK, SK string }

// Item is one row. Rev is 0 when the row does not exist. Expires is zero for
// rows that stay; DynamoDB removes expired rows up to days later, so both
// implementations treat a row past its expiry as absent when reading.
type Item struct {
	Key
	Rev     int64
	Attrs   map[string]string
	Expires time.Time
}

// Condition says when an Update may be applied.
type Condition struct {
	any bool
	rev int64
}

// Always applies whatever the row holds.
var Always = Condition{any: true}

// Absent applies only while the row does not exist (or has expired).
var Absent = Condition{}

// AtRev applies only while the row's revision is rev; AtRev(0) is Absent.
func AtRev(rev int64) Condition { return Condition{rev: rev} }

// Unconditional reports whether c is Always.
func (c Condition) Unconditional() bool { return c.any }

// Rev is the revision c demands, 0 for Absent.
func (c Condition) Rev() int64 { return c.rev }

// Update changes one row: Set and Remove touch single attributes and leave the
// others; Delete removes the row. Expires replaces the row's expiry when not zero.
// Erase says that what the row held before is to be readable nowhere soon: a store that
// keeps a history of its own forgets it.
type Update struct {
	Key     Key
	If      Condition
	Set     map[string]string
	Remove  []string
	Delete  bool
	Expires time.Time
	Erase   bool
}

// Table is what this package's users need of a store. Implementations are safe
// for concurrent use. Errors are transient but for *ConditionError and ErrInvalid.
type Table interface {
	// Get reads rows in one request, consistently; an absent row has Rev 0.
	// The result has one item per key, in order. At most 100 keys.
	Get(ctx context.Context, keys ...Key) ([]Item, error)
	// Update applies all updates or none, in one request, and returns the new
	// revisions in order (0 for a deleted row). A failed condition is a *ConditionError.
	// At most 100 updates, no two of one row.
	Update(ctx context.Context, updates ...Update) ([]int64, error)
	// Query lists rows of one partition with SK > after in order, at most limit.
	Query(ctx context.Context, pk, after string, limit int) ([]Item, error)
}

// Scanner is a Table that can read every row, for people who look for something: the
// flow never does, since in DynamoDB it costs half a read unit per 4 KB of the table.
type Scanner interface {
	Table
	// Scan calls each for every row, in no order. A row that is changed meanwhile is
	// read as it was before or after, once. It stops at the first error.
	Scan(ctx context.Context, each func(Item)) error
}

// ConditionError says that a condition did not hold, and what the row of the
// first failed update held instead.
type ConditionError struct{ Current Item }

// Error implements error. It names the row, never its attributes.
func (e *ConditionError) Error() string {
	return fmt.Sprintf("row %s/%s is at revision %d", e.Current.PK, e.Current.SK, e.Current.Rev)
}

// Moved returns the row that made err a failed condition, if it is one.
func Moved(err error) (Item, bool) {
	var c *ConditionError
	if errors.As(err, &c) {
		return c.Current, true
	}
	return Item{}, false
}
