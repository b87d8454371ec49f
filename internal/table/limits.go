package table

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// DynamoDB's own limits ("Quotas in Amazon DynamoDB", developer guide). Both
// implementations refuse what the service would refuse, so that a table on a
// laptop never accepts what the cloud will not.
const (
	// MaxBatch is the most rows one Get or one Update may name.
	MaxBatch = 100
	// MaxItemBytes is the most one row may weigh, names and values together.
	MaxItemBytes = 400 << 10

	maxPKBytes    = 2048
	maxSKBytes    = 1024
	maxBatchBytes = 4 << 20 // one transaction
)

// ErrInvalid marks a request that no repetition can make good: a caller's
// mistake, not a busy store.
var ErrInvalid = errors.New("invalid table request")

// reserved are the columns a row keeps beside its attributes.
var reserved = []string{"pk", "sk", "rev", "ttl", "wid"}

// CheckKeys refuses keys that DynamoDB would refuse. Its errors wrap ErrInvalid
// and give positions, never the keys themselves.
func CheckKeys(keys ...Key) error {
	if len(keys) > MaxBatch {
		return fmt.Errorf("%w: %d keys, at most %d in one request", ErrInvalid, len(keys), MaxBatch)
	}
	for i, k := range keys {
		if err := checkKey(k); err != nil {
			return fmt.Errorf("%w: key %d: %w", ErrInvalid, i, err)
		}
	}
	return nil
}

// CheckUpdates refuses updates that DynamoDB would refuse, or that could not
// mean one thing. Its errors wrap ErrInvalid and name attributes, never values.
func CheckUpdates(updates ...Update) error {
	if len(updates) > MaxBatch {
		return fmt.Errorf("%w: %d updates, at most %d in one request", ErrInvalid, len(updates), MaxBatch)
	}
	total := 0
	for i, u := range updates {
		size, err := checkUpdate(u)
		if err != nil {
			return fmt.Errorf("%w: update %d: %w", ErrInvalid, i, err)
		}
		if total += size; total > maxBatchBytes {
			return fmt.Errorf("%w: more than %d bytes in one request; split it", ErrInvalid, maxBatchBytes)
		}
		for j := range i {
			if updates[j].Key == u.Key {
				return fmt.Errorf("%w: updates %d and %d change the same row; merge them", ErrInvalid, j, i)
			}
		}
	}
	return nil
}

// CheckQuery refuses a query without a partition or with a limit below 1.
func CheckQuery(pk string, limit int) error {
	if limit < 1 {
		return fmt.Errorf("%w: query limit %d, must be at least 1", ErrInvalid, limit)
	}
	if err := checkKey(Key{PK: pk, SK: "x"}); err != nil {
		return fmt.Errorf("%w: query: %w", ErrInvalid, err)
	}
	return nil
}

func checkKey(k Key) error {
	switch {
	case k.PK == "" || k.SK == "":
		return errors.New("PK and SK must not be empty")
	case len(k.PK) > maxPKBytes || len(k.SK) > maxSKBytes:
		return fmt.Errorf("PK has %d bytes (at most %d), SK %d (at most %d)", len(k.PK), maxPKBytes, len(k.SK), maxSKBytes)
	case !utf8.ValidString(k.PK) || !utf8.ValidString(k.SK):
		return errors.New("PK and SK must be UTF-8")
	}
	return nil
}

func checkUpdate(u Update) (size int, err error) {
	if err := checkKey(u.Key); err != nil {
		return 0, err
	}
	if u.Delete && (len(u.Set) > 0 || len(u.Remove) > 0 || !u.Expires.IsZero()) {
		return 0, errors.New("a Delete goes with neither Set, Remove nor Expires")
	}
	size = len(u.Key.PK) + len(u.Key.SK)
	for name, value := range u.Set {
		if err := checkName(name); err != nil {
			return 0, err
		}
		if !utf8.ValidString(value) {
			return 0, fmt.Errorf("the value of attribute %q is not UTF-8", name)
		}
		size += len(name) + len(value)
	}
	for i, name := range u.Remove {
		if err := checkName(name); err != nil {
			return 0, err
		}
		if _, both := u.Set[name]; both || slices.Contains(u.Remove[:i], name) {
			return 0, fmt.Errorf("attribute %q is named twice", name)
		}
	}
	if size > MaxItemBytes {
		return 0, fmt.Errorf("%d bytes, a row holds at most %d", size, MaxItemBytes)
	}
	return size, nil
}

func checkName(name string) error {
	if name == "" || !utf8.ValidString(name) {
		return errors.New("an attribute's name must be text and not empty")
	}
	if slices.Contains(reserved, name) {
		return fmt.Errorf("attribute name %q is a column of the table itself; choose another", name)
	}
	return nil
}

// TellsRev reports whether Update returns a revision for updates[i]: not for an
// Always among several, since a DynamoDB transaction returns nothing and only a
// condition says what the revision was. Its place in the result is 0.
func TellsRev(updates []Update, i int) bool {
	return len(updates) == 1 || !updates[i].If.Unconditional()
}

// Seconds is an expiry as it is stored: whole epoch seconds, rounded up so that
// no row goes before its time, and 0 for rows that stay. DynamoDB's TTL
// attribute is a Number of seconds ("How it works: TTL", developer guide).
func Seconds(expires time.Time) int64 {
	if expires.IsZero() {
		return 0
	}
	s := expires.Unix()
	if expires.Nanosecond() > 0 {
		s++
	}
	return s
}

// Expired reports whether a row stored with these seconds is past its expiry.
func Expired(seconds int64, now time.Time) bool {
	return seconds != 0 && now.Unix() >= seconds
}

// FromSeconds is the inverse of Seconds.
func FromSeconds(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
