package erp

import "time"

// Habits are the ways of the company's system; they may change at any time.
type Habits struct {
	// Unique lists the fields of each kind that no two live records share.
	Unique map[string][]string
	// Trim takes spaces off both ends, Phones groups the digits of a phone.
	Trim, Phones bool
	// Longest is how many characters a field keeps; the rest is cut off silently.
	Longest map[string]int
	// Skew is how far the system's clock is ahead.
	Skew time.Duration
	// Seconds tells times of changes in whole seconds, cut off.
	Seconds bool
	// CommitLag is by how much at most a change shows in lists after its time.
	CommitLag time.Duration
	// FindLag is how long a new record is not found by its fields.
	FindLag time.Duration
	// Duplicates and Shuffles are the probabilities of a webhook delivered twice
	// and of one overtaken by others.
	Duplicates, Shuffles float64
	// Omits leaves blank fields out of answers.
	Omits bool
	// Terse answers writes with no more than the record's id, Tagged with its entity
	// tag and version too.
	Terse, Tagged bool
	// Silent lists the kinds that send no webhooks.
	Silent []string
	// Rate is how many requests a second are answered, 0 for all.
	Rate int
}

// Usual are the habits the examples are written for.
func Usual() Habits {
	return Habits{
		Unique: map[string][]string{"customers": {"email", "hubspot_id"}, "accounts": {"domain", "hubspot_id"}, "orders": {"number", "hubspot_id"}},
		Trim:   true, Silent: []string{"orders"},
	}
}

// tick is how exactly the system tells times.
func (h Habits) tick() time.Duration {
	if h.Seconds {
		return time.Second
	}
	return time.Millisecond
}
