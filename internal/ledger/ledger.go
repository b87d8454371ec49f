package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// ErrMoved says that a row changed since it was read: read it again and decide
// again. ErrHeld says that another record or execution holds what was claimed.
var (
	ErrMoved = errors.New("the row has moved on")
	ErrHeld  = errors.New("claimed by another execution")
)

// Lease is how long an execution may work on a pair before another may take
// over. It is longer than one state's timeout, and Write extends it when little
// is left, so a live worker keeps it.
const Lease = 30 * time.Second

// ghostLife is how long a write that lost its lease is still expected to land:
// far longer than a request is under way, as short as possible because in the
// meantime the same value set by a person looks like the late write.
const ghostLife = 2 * time.Minute

// rings is how many outcomes and windows a pair row keeps.
const rings = 6

// Ledger is the protocol over one client's table.
type Ledger struct {
	Table  table.Table
	Client string
	Now    func() time.Time

	partners sync.Map // hints: destination row key -> HubSpot id, verified at every use
}

// Find reads the pair that ref belongs to, in one request where there is a
// hint: for a destination record, the HubSpot id its external-id field holds or
// that this process met before. A hint only saves a request: the pointer is read
// all the same and decides. A record
// without a row comes back as a Pair that does not exist.
func (l *Ledger) Find(ctx context.Context, sp spec.Pair, ref record.Ref, hint string) (*Pair, error) {
	keys := []table.Key{MapKey(ref)}
	if remembered, ok := l.partners.Load(keys[0]); ok && hint == "" {
		hint = remembered.(string)
	}
	if ref.System == record.Destination && hint != "" {
		keys = append(keys, MapKey(record.Ref{System: record.HubSpot, Object: sp.HubSpot.Object, ID: hint}))
	}
	items, err := l.Table.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	p := decode(items[0], ref)
	p.Name, p.Key = sp.Name, MapKey(ref)
	switch {
	case p.State == Alias:
		return l.Find(ctx, sp, record.Ref{System: ref.System, Object: ref.Object, ID: p.AliasOf}, "")
	case ref.System == record.HubSpot || p.State != Linked:
		return p, nil
	}
	hubID := p.IDs[record.HubSpot]
	l.partners.Store(keys[0], hubID)
	if len(items) == 2 && hint == hubID {
		return decode(items[1], record.Ref{System: record.HubSpot, Object: sp.HubSpot.Object, ID: hubID}), nil
	}
	return l.Find(ctx, sp, record.Ref{System: record.HubSpot, Object: sp.HubSpot.Object, ID: hubID}, "")
}

// Take leases an existing pair for one execution and records its intent, in one
// request. change carries what the decision alters besides. An intent that is
// still open belonged to a worker that lost its lease: what it may have sent
// becomes a ghost.
func (l *Ledger) Take(ctx context.Context, p *Pair, in Intent, change Change) error {
	now := l.Now()
	set := map[string]string{
		attrLease: ms(now.Add(Lease)), attrLeaseBy: in.Execution, attrIntent: toJSON(in),
		attrSlot: strconv.Itoa(p.Slot + 1),
	}
	if ghosts := p.MaybeSent(now); len(ghosts) > 0 {
		set[attrGhosts], set[attrGhostsUntil] = toJSON(ghosts), ms(now.Add(ghostLife))
	}
	change.encode(set)
	return l.update(ctx, p, set, nil, func() { p.LeaseUntil, p.Slot = now.Add(Lease), p.Slot+1 })
}

// MaybeSent lists the fingerprints that writes of ours, not confirmed, may have
// put on either side: ghosts that still live and an open intent.
func (p *Pair) MaybeSent(now time.Time) map[record.System]map[string][]string {
	out := map[record.System]map[string][]string{}
	if now.Before(p.GhostsUntil) {
		merge(out, p.Ghosts)
	}
	if p.Intent != nil {
		merge(out, p.Intent.Sent)
	}
	return out
}

func merge(to, from map[record.System]map[string][]string) {
	for sys, fields := range from {
		if to[sys] == nil {
			to[sys] = map[string][]string{}
		}
		for f, prints := range fields {
			for _, print := range prints {
				if !slices.Contains(to[sys][f], print) {
					to[sys][f] = append(to[sys][f], print)
				}
			}
		}
	}
}

// Change is what a decision alters in a pair row besides lease and intent.
type Change struct {
	Swings  map[string]Swing
	Parked  map[string]string
	Drifted map[string]string
	// Base, Seen: agreements found without a write.
	Base map[string]Base
	Seen map[record.System]Seen
	// Window is what an intent that was never stamped leaves behind.
	Window *Window
}

// Left is the window that an open intent's write to HubSpot may have made, seen
// from a later read of HubSpot; nil when there is none.
func (in *Intent) Left(version string) *Window {
	if in == nil || in.Before == "" || len(in.Sent[record.HubSpot]) == 0 {
		return nil
	}
	w := &Window{From: in.Before, To: version, Prints: map[string][2]string{}}
	for field, prints := range in.Sent[record.HubSpot] {
		w.Prints[field] = [2]string{in.Prior[field], prints[len(prints)-1]}
	}
	return w
}

func (c Change) encode(set map[string]string) {
	if c.Window != nil {
		// Kept beside the ring: by the time it began, so that a few survive.
		set[prefixWindow+"left"+c.Window.From[max(0, len(c.Window.From)-2):]] = toJSON(c.Window)
	}
	for f, s := range c.Swings {
		set[prefixSwing+f] = s.encode()
	}
	for f, reason := range c.Parked {
		set[prefixParked+f] = reason
	}
	for f, print := range c.Drifted {
		set[prefixDrift+f] = print
	}
	for f, b := range c.Base {
		set[prefixBase+f] = b.HubSpot + " " + b.Destination
	}
	for sys, s := range c.Seen {
		set[prefixSeen+string(sys)] = s.Version + " " + s.ETag
	}
}

// Note stores what was learnt without a write, such as drift that was reported.
// An intent whose worker is gone is closed: what it may have sent stays a ghost.
func (l *Ledger) Note(ctx context.Context, p *Pair, change Change) error {
	set := map[string]string{}
	change.encode(set)
	var remove []string
	if p.Intent != nil {
		remove = []string{attrIntent, attrLease, attrLeaseBy}
		set[attrGhosts], set[attrGhostsUntil] = toJSON(p.MaybeSent(l.Now())), ms(l.Now().Add(ghostLife))
	}
	return l.update(ctx, p, set, remove, func() {})
}

// InDoubt reports whether a write of ours may stand on either side that no
// stamp has confirmed, so that both sides must be read before deciding.
func (p *Pair) InDoubt(now time.Time) bool { return p.Intent != nil || now.Before(p.GhostsUntil) }

// Hides reports whether an edit of a field at instant at, with that
// fingerprint, was overwritten inside the window without having been seen. The
// value from before the write counts when it was set again inside the window.
func (w Window) Hides(field, print, at string) bool {
	prints, ok := w.Prints[field]
	return ok && print != prints[1] && at <= w.To && (at > w.From || at == w.From && print != prints[0])
}

// update changes one row at the revision it was read and maps a failed condition to ErrMoved.
func (l *Ledger) update(ctx context.Context, p *Pair, set map[string]string, remove []string, done func()) error {
	revs, err := l.Table.Update(ctx, table.Update{Key: p.Key, If: table.AtRev(p.Rev), Set: set, Remove: remove})
	if _, moved := table.Moved(err); moved {
		return ErrMoved
	}
	if err != nil {
		return err
	}
	p.Rev = revs[0]
	done()
	return nil
}

// Intend replaces the intent of a claim whose way has become clear, before
// anything is written. The fence moves on.
func (l *Ledger) Intend(ctx context.Context, p *Pair, in Intent) error {
	in.At = l.Now()
	return l.update(ctx, p, map[string]string{attrIntent: toJSON(in)}, nil, func() {})
}

// Fence names a row at the revision its lease was taken.
type Fence struct {
	Key table.Key `json:"key"`
	Rev int64     `json:"rev"`
}

// Renew extends a lease; ErrMoved when it is no longer ours. The fence moves on.
func (l *Ledger) Renew(ctx context.Context, f *Fence) (until time.Time, err error) {
	p := Pair{Key: f.Key, Rev: f.Rev}
	until = l.Now().Add(Lease)
	err = l.update(ctx, &p, map[string]string{attrLease: ms(until)}, nil, func() { f.Rev = p.Rev })
	return until, err
}

// Release gives a lease back without a stamp. The intent stays open when the
// write may have happened; otherwise it is withdrawn. A row that moved on is
// somebody else's by now and is left alone.
func (l *Ledger) Release(ctx context.Context, f Fence, maybe bool, adopt string) error {
	remove := []string{attrLease, attrLeaseBy}
	if !maybe {
		remove = append(remove, attrIntent)
	}
	set := map[string]string{}
	if adopt != "" {
		set[attrAdopt] = adopt
	}
	p := Pair{Key: f.Key, Rev: f.Rev}
	err := l.update(ctx, &p, set, remove, func() {})
	if errors.Is(err, ErrMoved) {
		return nil
	}
	return err
}

// Stamp is what was observed after a write.
type Stamp struct {
	Base    map[string]Base
	Seen    map[record.System]Seen
	Window  *Window
	Left    *Window // of an earlier write, on a row that was not yet the pair's
	Outcome Outcome
	Slot    int
}

func (s Stamp) set(now time.Time) map[string]string {
	set := map[string]string{attrStamped: ms(now), attrState: string(Linked)}
	Change{Base: s.Base, Seen: s.Seen, Window: s.Left}.encode(set)
	ring := strconv.Itoa(s.Slot % rings)
	set[prefixOutcome+ring] = toJSON(s.Outcome)
	if s.Window != nil {
		set[prefixWindow+ring] = toJSON(s.Window)
	}
	return set
}

// Stamp stores an observation and releases the lease in one request; ErrMoved
// when the lease was lost, in which case nothing is stored.
func (l *Ledger) Stamp(ctx context.Context, f Fence, s Stamp) error {
	p := Pair{Key: f.Key, Rev: f.Rev}
	return l.update(ctx, &p, s.set(l.Now()), []string{attrLease, attrLeaseBy, attrIntent, attrAdopt}, func() {})
}

// Claim opens or retakes the claim of an unlinked record: on its own row, on its
// match key (unless blank) and on the list of creates under way towards target,
// all or none. ErrHeld when another record holds the key, ErrMoved when the
// row changed. Keys of claims are hashes; claims of a dead worker lapse.
func (l *Ledger) Claim(ctx context.Context, p *Pair, ref record.Ref, matchKey string, in Intent) error {
	now := l.Now()
	since := p.Since
	if since.IsZero() {
		since = now
	}
	set := map[string]string{
		attrPair: p.Name, attrState: string(Claimed), attrSince: ms(since), attrTries: strconv.Itoa(p.Tries + 1),
		attrLease: ms(now.Add(Lease)), attrLeaseBy: in.Execution, attrIntent: toJSON(in), attrKey: matchKey,
	}
	updates := []table.Update{
		{Key: p.Key, If: table.AtRev(p.Rev), Set: set},
		l.flight(ref, in.Create, since, now, matchKey),
	}
	if p.MatchKey != "" && p.MatchKey != matchKey {
		updates = append(updates, table.Update{Key: l.keyRow(p.Name, p.MatchKey), If: table.Always, Delete: true})
	}
	if matchKey != "" {
		u, rival, err := l.claimKey(ctx, p.Name, matchKey, ref, now)
		if err != nil {
			return err
		}
		p.Rival = rival
		updates = append(updates, u)
	}
	revs, err := l.Table.Update(ctx, updates...)
	if moved, ok := table.Moved(err); ok {
		if moved.PK == p.Key.PK {
			return ErrMoved
		}
		return ErrHeld
	}
	if err != nil {
		return err
	}
	p.Rev, p.Since, p.LeaseUntil, p.State, p.MatchKey, p.Tries = revs[0], since, now.Add(Lease), Claimed, matchKey, p.Tries+1
	return nil
}

// claimLife is how long a claim on a match key, and a create's place among those
// in flight, outlives its last renewal: longer than a lease, so that it lapses
// only when its worker died, and shorter than others wait for it. A create
// without a match key can be recognised by nothing else, so it is waited for longer.
const (
	claimLife      = Lease + 15*time.Second
	blindClaimLife = 5 * time.Minute
)

func (l *Ledger) keyRow(pair, matchKey string) table.Key {
	h := sha256.Sum256([]byte(matchKey))
	return table.Key{PK: "KEY#" + pair + "#" + hex.EncodeToString(h[:10]), SK: "KEY"}
}

// claimKey prepares the claim of a match key; ErrHeld while another record holds
// it. A record of the other side that finds the key held signs itself in as the
// rival: the holder then need not look for it, and will not create its double.
func (l *Ledger) claimKey(ctx context.Context, pair, matchKey string, ref record.Ref, now time.Time) (u table.Update, rival string, err error) {
	key := l.keyRow(pair, matchKey)
	items, err := l.Table.Get(ctx, key)
	if err != nil {
		return u, "", err
	}
	held := items[0].Attrs
	if owner := held["owner"]; items[0].Rev > 0 && owner != ref.String() {
		if !strings.HasPrefix(owner, string(ref.System)+"/") && held["rival"] == "" {
			_, err = l.Table.Update(ctx, table.Update{Key: key, If: table.AtRev(items[0].Rev), Set: map[string]string{"rival": ref.ID}})
		}
		if _, moved := table.Moved(err); err != nil && !moved {
			return u, "", err
		}
		return u, "", fmt.Errorf("%w: match key held by %s", ErrHeld, owner)
	}
	return table.Update{
		Key: key, If: table.AtRev(items[0].Rev), Expires: now.Add(claimLife),
		Set: map[string]string{"owner": ref.String(), "since": ms(now)},
	}, held["rival"], nil
}

func (l *Ledger) flightKey(target record.System, object, source string) table.Key {
	return table.Key{PK: "FLIGHT#" + string(target) + "#" + object, SK: source}
}

func (l *Ledger) flight(ref record.Ref, target record.System, since, now time.Time, matchKey string) table.Update {
	life := claimLife
	if matchKey == "" {
		life = blindClaimLife
	}
	return table.Update{
		Key: l.flightKey(target, ref.Object, ref.ID), If: table.Always, Expires: now.Add(life),
		Set: map[string]string{"since": ms(since), "key": matchKey},
	}
}

// InFlight reports whether a create towards system, of the pair whose other
// side is object, was under way at instant at: an unmapped record that existed
// then may be its result, and must not be believed foreign yet. One whose match
// key is known to be another than matchKey is somebody else's.
func (l *Ledger) InFlight(ctx context.Context, system record.System, object string, at time.Time, matchKey string) (bool, error) {
	for after := ""; ; {
		items, err := l.Table.Query(ctx, "FLIGHT#"+string(system)+"#"+object, after, 100)
		if err != nil || len(items) == 0 {
			return false, err
		}
		for _, it := range items {
			theirs := it.Attrs["key"]
			if !millis(it.Attrs["since"]).After(at) && (theirs == "" || matchKey == "" || theirs == matchKey) {
				return true, nil
			}
			after = it.SK
		}
	}
}

// Link joins two records for good, in one transaction: the pair row, the
// pointer from the destination's side, and the end of every claim. ErrMoved
// when the lease was lost or either side is linked to another record by now.
func (l *Ledger) Link(ctx context.Context, f Fence, sp spec.Pair, source record.Ref, ids map[record.System]string, matchKey string, other *Fence, s Stamp) error {
	hub := MapKey(record.Ref{System: record.HubSpot, Object: sp.HubSpot.Object, ID: ids[record.HubSpot]})
	dest := MapKey(record.Ref{System: record.Destination, Object: sp.Destination.Object, ID: ids[record.Destination]})
	pairSet := s.set(l.Now())
	pairSet[attrPair], pairSet[attrPartner], pairSet[attrLinked] = sp.Name, ids[record.Destination], ms(l.Now())
	pointer := map[string]string{attrPair: sp.Name, attrState: string(Linked), attrPartner: ids[record.HubSpot], attrStamped: ms(l.Now())}
	target := source.System.Other()
	updates := []table.Update{
		linkRow(hub, f, other, pairSet), linkRow(dest, f, other, pointer),
		{Key: l.flightKey(target, source.Object, source.ID), If: table.Always, Delete: true},
	}
	if other != nil {
		updates = append(updates, table.Update{Key: l.flightKey(source.System, sp.Side(target).Object, ids[target]), If: table.Always, Delete: true})
	}
	if matchKey != "" {
		updates = append(updates, table.Update{Key: l.keyRow(sp.Name, matchKey), If: table.Always, Delete: true})
	}
	_, err := l.Table.Update(ctx, updates...)
	if _, moved := table.Moved(err); moved {
		return ErrMoved
	}
	return err
}

// claimAttrs are what a row no longer needs once it is linked.
var claimAttrs = []string{attrLease, attrLeaseBy, attrIntent, attrAdopt, attrSince, attrTries, attrKey, attrReason}

// linkRow conditions the source's row on the fence, and the other on its own
// claim as it was read or on its absence.
func linkRow(key table.Key, f Fence, other *Fence, set map[string]string) table.Update {
	u := table.Update{Key: key, If: table.Absent, Set: maps.Clone(set)}
	if other != nil && key == other.Key {
		u.If = table.AtRev(other.Rev)
	}
	if key == f.Key {
		u.If = table.AtRev(f.Rev)
	}
	if u.If != table.Absent {
		u.Remove = claimAttrs
	}
	return u
}
