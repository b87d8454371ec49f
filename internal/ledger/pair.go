// Package ledger remembers what both sides of an integration last agreed on:
// one row per linked pair of records, claims for records that are being
// created, tombstones, outcomes and cursors, all in one table.
//
// # Rows
//
//	MAP#hubspot#{object}#{id}      the pair: partner, base, versions, lease, intent, last outcomes
//	MAP#destination#{object}#{id}  a pointer to the pair, or the claim of a record not yet linked
//	KEY#{pair}#{hash}              the claim on a match key while a create is in flight
//	FLIGHT#{system}#{object}       creates under way towards that system
//	WAIT#{system}#{object}         records whose references wait for others to be linked (wait.go)
//	OUT#{system}#{object}#{id}     outcomes of events that stamped nothing
//	LOST#{system}#{object}#{id}    what conflicts have lost, the only rows with values
//	ARRIVED#{direction}            what came lately, a row for each delivery (arrival.go)
//	DEAD#{direction}               dead letters that were told of (letter.go)
//	KNOWN#{system}#{object}        records that a poll has listed, where only a listing tells of deletions (known.go)
//	SPEC                           the spec in force, for whoever reads the rows
//	CURSOR#, GUARD#, DEPLOYMENT    how far polls have come, what guards let through in an hour, whose table this is
//
// Nothing here knows a formula, a policy or a remote system: it stores
// fingerprints of values, never values, except for the losers of conflicts,
// which a person may need (outcome.go). Every change is conditional on the
// revision it was decided on; the revision of a claim is its fencing number.
package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
)

// State is where a pair stands in its life.
type State string

// The states of a pair. The zero State is a record nobody has claimed.
const (
	Claimed State = "claimed" // unlinked; its partner is being looked for or created
	Linked  State = "linked"
	Gone    State = "gone"   // tombstone: one side was deleted, or the record was never wanted
	Alias   State = "alias"  // merged into another record
	Parked  State = "parked" // waits for a person
)

// Base is what a field held on both sides when they last agreed, as
// fingerprints of what was observed. A part that is empty, which no value's
// fingerprint is, stands for a value that the other side is still owed (Owed).
type Base struct{ HubSpot, Destination string }

// Side returns the fingerprint for one system.
func (b Base) Side(s record.System) string {
	if s == record.HubSpot {
		return b.HubSpot
	}
	return b.Destination
}

// With returns b with one system's fingerprint replaced.
func (b Base) With(s record.System, print string) Base {
	if s == record.HubSpot {
		b.HubSpot = print
	} else {
		b.Destination = print
	}
	return b
}

// Owed returns b from when a system is about to be blanked, to make room, until it
// gets the other side's value: what the other side holds then always differs from
// the base, whatever it is.
func (b Base) Owed(s record.System) Base { return b.With(s.Other(), "") }

// Owes reports whether a system is owed its value; a blank there is ours.
func (b Base) Owes(s record.System) bool { return b.Side(s.Other()) == "" }

// text is the form of a base in a row and in a machine's data.
func (b Base) text() string { return b.HubSpot + " " + b.Destination }

// MarshalText writes both fingerprints, HubSpot's first.
func (b Base) MarshalText() ([]byte, error) { return []byte(b.text()), nil }

// UnmarshalText reads what MarshalText has written.
func (b *Base) UnmarshalText(text []byte) error {
	b.HubSpot, b.Destination, _ = strings.Cut(string(text), " ")
	return nil
}

// Seen is what was last fully compared of one side: its version, and the ETag a
// conditional write must quote while nothing else has touched the record. Stuck: it
// held a value that has no translation, so that whoever is told of that version has
// to look all the same, and say so.
type Seen struct {
	Version, ETag string
	Stuck         bool
}

// suffixStuck ends the text of a Seen that is stuck; no entity tag does (RFC 9110, 8.8.3).
const suffixStuck = " stuck"

func (s Seen) text() string {
	text := s.Version + " " + s.ETag
	if s.Stuck {
		text += suffixStuck
	}
	return text
}

func decodeSeen(text string) (s Seen) {
	text, s.Stuck = strings.CutSuffix(text, suffixStuck)
	s.Version, s.ETag, _ = strings.Cut(text, " ")
	return s
}

// Swing counts how often a field has alternated between the directions.
type Swing struct {
	Count     int
	Direction string
	At        time.Time
}

// Pair is one row as a decision sees it.
type Pair struct {
	Name string // the spec's pair
	// IDs holds the record ids known so far, by system.
	IDs   map[record.System]string
	State State
	// Reason says why a pair is gone or parked; of a linked one, that its HubSpot record
	// was gone before the merge was followed that gave it the pair.
	Reason string
	Base   map[string]Base
	Seen   map[record.System]Seen
	// StampedAt is when the last stamp was stored, in the worker's clock.
	StampedAt  time.Time
	LeaseUntil time.Time
	LeaseBy    string
	Intent     *Intent
	// Ghosts are fingerprints of writes whose worker lost its lease; they may
	// still land. Seen on a side, they are ours, not an edit.
	Ghosts      map[record.System]map[string][]string
	GhostsUntil time.Time
	Windows     []Window
	// Spec tells by which spec it was decided last what the row is taken for.
	Spec string
	// Slot numbers the times that the row was taken; outcomes are kept in a ring by it.
	Slot   int
	Swings map[string]Swing
	// ParkedFields maps a field to why the loop breaker took it out.
	ParkedFields map[string]string
	// Waits are references to records that have no partner now, by field.
	Waits []Wait
	// Drifted maps a one-way field to the fingerprint already reported for its wrong side.
	Drifted map[string]string
	// Owes: an edit of one side met the other one gone, the pair comes from rest, or a
	// reference that waited is about to be written, so both are to be read before the
	// next decision.
	Owes bool
	// LinkedAt is when the two records were joined.
	LinkedAt time.Time
	// Since is when an unlinked record was first claimed; Tries counts creates.
	Since time.Time
	Tries int
	// Adopt is a record id that a refused create named.
	Adopt string
	// Holder is a record that holds a unique value which a refused patch was to bring,
	// and was about to give it up; Refused is when that was first found.
	Holder  string
	Refused time.Time
	// Room is the execution that has blanked a field to make room, and is to bring what
	// the field is to hold (Base.Owed).
	Room string
	// Maker is a record of the other side that had claimed the same match key before and
	// was never linked, known after Claim: its create may have made this record.
	Maker string
	// Rival is a record of the other side that wanted the same match key, known
	// after Claim.
	Rival    string
	Outcomes []Outcome
	AliasOf  string
	// Was are the destination records that this one, or one merged into it, was
	// linked to before: what they lost is its history, too.
	Was []string
	// MatchKey is the key row this record's claim holds, "" for none.
	MatchKey string
	// Orphan: a create in doubt may have made a record with that key for one that is
	// gone by now, and this record has not met it yet.
	Orphan bool

	Key table.Key
	Rev int64

	attrs map[string]string // the row as it was read
}

// Exists reports whether the pair has a row.
func (p *Pair) Exists() bool { return p.Rev > 0 }

// Held reports whether another execution's lease is still running.
func (p *Pair) Held(now time.Time) bool { return now.Before(p.LeaseUntil) }

// Fingerprint condenses a value to 64 bits, salted by client and pair, the field
// and the side, so that fields and clients cannot be compared. Records can: the
// salt holds no record's id, since a pair outlives its HubSpot id in a merge. So a
// fingerprint is personal data like the value, and an erasure removes it. A blank
// value has a fingerprint of its own.
func Fingerprint(salt, field string, s record.System, text string) string {
	h := sha256.Sum256([]byte(salt + "\x1f" + field + "\x1f" + string(s) + "\x1f" + text))
	return base64.RawURLEncoding.EncodeToString(h[:8])
}

// mapPK begins the partition key of every mapping row, mapSK is its sort key.
const mapPK, mapSK = "MAP#", "MAP"

// MapKey is the key of a record's mapping row.
func MapKey(r record.Ref) table.Key {
	return table.Key{PK: mapPK + string(r.System) + "#" + r.Object + "#" + r.ID, SK: mapSK}
}

// MaxID is how many bytes the id of a record may have: it is the sort key of the lists of
// creates in flight, of known and of waiting records, and DynamoDB takes no longer one
// ("Quotas in Amazon DynamoDB", developer guide).
const MaxID = 1024

// ErrLongID says that nothing can be remembered of a record.
var ErrLongID = errors.New("the id is too long for a key of the table")

// fits refuses an id that no key can hold, wherever it comes from.
func fits(ref record.Ref) error {
	n := len(ref.ID)
	if n <= MaxID {
		return nil
	}
	ref.ID = strings.ToValidUTF8(ref.ID[:40], "") + "..."
	return fmt.Errorf("%w: that of %s has %d bytes, and at most %d fit", ErrLongID, ref, n, MaxID)
}

// mappings reads the mapping rows of records in one request.
func (l *Ledger) mappings(ctx context.Context, refs ...record.Ref) ([]table.Item, error) {
	keys := make([]table.Key, len(refs))
	for i, ref := range refs {
		if err := fits(ref); err != nil {
			return nil, err
		}
		keys[i] = MapKey(ref)
	}
	return l.Table.Get(ctx, keys...)
}

// Attribute names and prefixes of a mapping row.
const (
	attrPair, attrPartner, attrState, attrReason = "pair", "partner", "state", "reason"
	attrLease, attrLeaseBy, attrIntent           = "lease", "leaseBy", "intent"
	attrStamped, attrSince, attrTries            = "stampedAt", "since", "tries"
	attrGhosts, attrGhostsUntil, attrSlot        = "ghosts", "ghostsUntil", "slot"
	attrAdopt, attrAlias, attrKey                = "adopt", "aliasOf", "matchKey"
	attrLinked, attrSends, attrWas, attrOwes     = "linkedAt", "sends", "was", "owes"
	attrHolder, attrRefused, attrSpec            = "holder", "refusedAt", "spec"
	attrOrphan, attrRoom, attrFormer             = "orphan", "room", "former"
	prefixBase, prefixSwing                      = "f:", "l:"
	prefixWindow, prefixLeft                     = "w:", "w:left"
	prefixParked, prefixDrift, prefixSeen        = "p:", "d:", "seen:"
	prefixOutcome, prefixWait                    = "o:", "r:"
)

// decode reads a mapping row.
func decode(it table.Item, self record.Ref) *Pair {
	a := it.Attrs
	p := &Pair{
		Name: a[attrPair], State: State(a[attrState]), Reason: a[attrReason],
		IDs: map[record.System]string{self.System: self.ID}, Base: map[string]Base{},
		Seen: map[record.System]Seen{}, Swings: map[string]Swing{},
		ParkedFields: map[string]string{}, Drifted: map[string]string{},
		StampedAt: millis(a[attrStamped]), LinkedAt: millis(a[attrLinked]),
		LeaseUntil: millis(a[attrLease]), LeaseBy: a[attrLeaseBy],
		GhostsUntil: millis(a[attrGhostsUntil]), Since: millis(a[attrSince]),
		Adopt: a[attrAdopt], Holder: a[attrHolder], Refused: millis(a[attrRefused]), Room: a[attrRoom], Spec: a[attrSpec],
		AliasOf: a[attrAlias], Orphan: a[attrOrphan] != "", Key: it.Key, Rev: it.Rev, attrs: a,
	}
	p.Tries, _ = strconv.Atoi(a[attrTries])
	p.Slot, _ = strconv.Atoi(a[attrSlot])
	p.MatchKey, p.Was, p.Owes = a[attrKey], strings.Fields(a[attrWas]), a[attrOwes] != ""
	if partner := a[attrPartner]; partner != "" {
		p.IDs[self.System.Other()] = partner
	}
	if fromJSON(a[attrIntent], &p.Intent); p.Intent != nil {
		p.Intent.Sends = latest(p.Intent.At.Add(Lease), millis(a[attrSends]))
	}
	fromJSON(a[attrGhosts], &p.Ghosts)
	p.decodePrefixed(a)
	return p
}

func (p *Pair) decodePrefixed(a map[string]string) {
	for k, v := range a {
		prefix, name, ok := strings.Cut(k, ":")
		if !ok {
			continue
		}
		switch prefix + ":" {
		case prefixBase:
			var b Base
			_ = b.UnmarshalText([]byte(v)) // takes any text
			p.Base[name] = b
		case prefixSeen:
			p.Seen[record.System(name)] = decodeSeen(v)
		case prefixSwing:
			p.Swings[name] = decodeSwing(v)
		case prefixWindow:
			var w Window
			fromJSON(v, &w)
			p.Windows = append(p.Windows, w)
		case prefixOutcome:
			var o Outcome
			if fromJSON(v, &o); o.Kind == "" {
				o.Kind = Stamped
			}
			p.Outcomes = append(p.Outcomes, o)
		case prefixParked:
			p.ParkedFields[name] = v
		case prefixDrift:
			p.Drifted[name] = v
		}
	}
	p.Waits = WaitsOf(a)
}

func decodeSwing(v string) Swing {
	parts := strings.SplitN(v, " ", 3)
	if len(parts) != 3 {
		return Swing{}
	}
	n, _ := strconv.Atoi(parts[0])
	return Swing{Count: n, Direction: parts[1], At: millis(parts[2])}
}

func (s Swing) encode() string {
	return strconv.Itoa(s.Count) + " " + s.Direction + " " + ms(s.At)
}

// ms writes an instant as milliseconds, "" for the zero time.
func ms(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

func millis(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func fromJSON(s string, to any) {
	if s != "" {
		_ = json.Unmarshal([]byte(s), to) // a row only this package writes
	}
}

func toJSON(v any) string {
	b, _ := json.Marshal(v) // plain structs and maps of text always marshal
	return string(b)
}
