package flow

import (
	"context"
	"time"

	"tandem/internal/record"
)

// Remote is one of the two systems as the flow uses it. hubspot.Client and the
// destination adapters implement it. Every error is a *Error whose Code the
// machines know; the adapter decides once, at the edge that knows, what a
// status means. Field names and values are the system's property names and
// canonical text (package record).
type Remote interface {
	// Read fetches the named properties. A record that is absent is
	// RecordMissing; one in the recycle bin comes back with Archived set where
	// the system can tell.
	Read(ctx context.Context, object, id string, properties []string) (record.Record, error)
	// Create makes a record. What its answer or that of Update does not show is absent
	// from the record, which has at least its id: nothing is read back. key is the same
	// for every attempt at the same create and made of ids only. externalID, where not empty, names the property
	// that holds the other side's id; its value is in fields. A taken unique value
	// is AlreadyExists, with the existing id in Error.ExistingID when told.
	Create(ctx context.Context, object string, fields record.Fields, externalID, key string) (record.Record, error)
	// Update patches the named fields only. A non-empty etag makes the write
	// conditional: PreconditionFailed when the record has moved on. A taken unique
	// value is AlreadyExists, as of Create; with Maybe, some of the patch is stored.
	Update(ctx context.Context, object, id string, fields record.Fields, etag string) (record.Record, error)
	// Find lists live records whose property equals value (at most 3 are needed).
	// consistent is false when the answer came from an index that lags.
	Find(ctx context.Context, object, property, value string, properties []string) (found []record.Record, consistent bool, err error)
	// Archive deletes a record in the way its system can undo, if it has one.
	// An absent record is no error. A non-empty etag makes it conditional, as of Update.
	Archive(ctx context.Context, object, id, etag string) error
	// Abilities tells what the system can do for this object.
	Abilities(object string) Abilities
}

// Abilities are the differences between systems that a decision depends on.
type Abilities struct {
	// ConditionalWrite: Update and Archive honour etag. Versioned: Record.Version grows with every change.
	ConditionalWrite, Versioned bool
	// Once: a create whose external id is taken is refused, so an attempt that is
	// carried out late or twice changes nothing.
	Once bool
	// Unique: a create with a taken match value is refused by the system.
	Unique bool
	// SearchLag is how long Find may miss a new record; 0 when it is consistent.
	SearchLag time.Duration
	// Recent: the Remote is a Recents for this object.
	Recent bool
}

// Recents is a Remote that can list what was created within a span of time, in
// its own clock. It settles what became of a create whose answer was lost where
// nothing else tells, see Flow.lost.
type Recents interface {
	Created(ctx context.Context, object string, from, until time.Time, properties []string) ([]record.Record, error)
}

// Relations is a Remote that can list which records of another object type a record
// is associated with, 5,000 at most; more tells that there are others.
type Relations interface {
	Related(ctx context.Context, object, id, to string) (ids []string, more bool, err error)
}

// Changes lists what changed in one object type since a cursor; a system that
// is polled offers it. Cursors are opaque text, "" at the beginning. Every
// record that changed after the cursor was taken is listed at least once.
type Changes interface {
	Changed(ctx context.Context, object, cursor string) (refs []ChangedRecord, next string, more bool, err error)
}

// ChangedRecord is one line of a poll.
type ChangedRecord struct {
	ID      string
	Version string
	At      time.Time
	Deleted bool
}

// Notification is one authenticated event, before events are grouped by record.
type Notification struct {
	// ID is the sender's event id; it need not be unique (HubSpot's is not).
	ID     string
	Object string
	Record string
	// Kind is what happened, one of the Kind constants.
	Kind Kind
	// At is when, in the sender's clock, 0 when not told.
	At time.Time
	// Version is the record's version after the event, "" when not told.
	Version string
	// Values are canonical property values the event itself carries.
	Values record.Fields
	// Other: the event says that it was not this app that set the values. Not every
	// event says who did.
	Other bool
	// Merged lists ids that went into Record by a merge.
	Merged []string
	// Approved: a person has said so (Resync); no sender can.
	Approved bool
}

// Kind says what an event claims has happened. Only deletions, merges,
// restores and privacy deletions matter: everything else means "look at it".
type Kind string

// The kinds of event.
const (
	Changed  Kind = "changed"
	Deleted  Kind = "deleted"
	Restored Kind = "restored"
	Merged   Kind = "merged"
	Purged   Kind = "purged" // privacy deletion
)

// Receiver authenticates one delivery and reads its events. Each side has one:
// hubspot.Receiver and the destination's webhook schemes.
type Receiver interface {
	// Verify checks the signature over the raw bytes; any failure is BadSignature.
	// Nothing of the body is parsed before it has succeeded.
	Verify(d Delivery) error
	// Parse reads the events of a verified delivery. Unknown events are left out.
	// A body that is not what the sender documents is BadBody.
	Parse(d Delivery) ([]Notification, error)
}

// Delivery is one HTTP request as it arrived: raw body, header names in lower case.
type Delivery struct {
	Method string
	// URL is the configured target URL that the sender signs, never rebuilt from Host.
	URL    string
	Header map[string]string
	Body   []byte
	At     time.Time
}
