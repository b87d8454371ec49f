package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
// ErrOrphan says that a record of that match key may have been made for one that
// was deleted before the two were linked.
var (
	ErrMoved  = errors.New("the row has moved on")
	ErrHeld   = errors.New("claimed by another execution")
	ErrOrphan = errors.New("it may have been made for a record that was deleted since")
)

// Lease is how long an execution may work on a pair before another may take
// over. It is longer than one state's timeout, and Write extends it when little
// is left, so a live worker keeps it.
const Lease = 30 * time.Second

// ghostLife is how long a write that lost its lease is still expected to land:
// far longer than a request is under way, as short as possible because in the
// meantime the same value set by a person looks like the late write. One that has
// landed by then may be seen later (Landed).
const ghostLife = 2 * time.Minute

// rings is how many outcomes a pair row keeps at most.
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
// all the same, and the pair decides: a record that its pointer's pair knows
// nothing of is not linked. A record without a row comes back as a Pair that does
// not exist.
func (l *Ledger) Find(ctx context.Context, sp spec.Pair, ref record.Ref, hint string) (*Pair, error) {
	key, refs := MapKey(ref), []record.Ref{ref}
	if remembered, ok := l.partners.Load(key); ok && hint == "" {
		hint = remembered.(string)
	}
	if ref.System == record.Destination && hint != "" {
		refs = append(refs, record.Ref{System: record.HubSpot, Object: sp.HubSpot.Object, ID: hint})
	}
	items, err := l.mappings(ctx, refs...)
	if err != nil {
		return nil, err
	}
	p := decode(items[0], ref)
	p.Name, p.Key = sp.Name, key
	switch {
	case p.State == Alias:
		return l.Find(ctx, sp, record.Ref{System: ref.System, Object: ref.Object, ID: p.AliasOf}, "")
	case ref.System == record.HubSpot || p.State != Linked:
		return p, nil
	}
	hubID := p.IDs[record.HubSpot]
	l.partners.Store(key, hubID)
	pair := decode(items[len(items)-1], record.Ref{System: record.HubSpot, Object: sp.HubSpot.Object, ID: hubID})
	if len(items) == 1 || hint != hubID {
		if pair, err = l.Find(ctx, sp, record.Ref{System: record.HubSpot, Object: sp.HubSpot.Object, ID: hubID}, ""); err != nil {
			return nil, err
		}
	}
	if pair.IDs[record.Destination] == ref.ID {
		pair.Was = strings.Fields(met(&Pair{Was: slices.Concat(pair.Was, p.Was)}))
		pair.Windows = append(pair.Windows, p.Windows...) // from before it met this one
		return pair, nil
	}
	p.State = ""
	delete(p.IDs, record.HubSpot)
	return p, nil
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
	in.note(set)
	if ghosts := p.MaybeSent(now); p.Intent != nil && len(ghosts) > 0 {
		set[attrGhosts], set[attrGhostsUntil] = toJSON(ghosts), ms(now.Add(ghostLife))
	}
	change.encode(set)
	if len(change.Ended) > 0 { // should the write not come about, nothing else tells of what waited
		set[attrOwes] = "1"
	}
	remove := append(p.surplus(&in, set, now), change.removed()...)
	return l.update(ctx, p, set, remove, func() { p.LeaseUntil, p.Slot = now.Add(Lease), p.Slot+1 }, l.await(change.Waits)...)
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

// Sent puts two lists of fingerprints of a side, by field, together.
func Sent(a, b map[string][]string) map[string][]string {
	out := map[record.System]map[string][]string{}
	merge(out, map[record.System]map[string][]string{"": a})
	merge(out, map[record.System]map[string][]string{"": b})
	return out[""]
}

// Landed lists the fingerprints that writes of ours, which are expected no more, may have
// put on a side before it was compared again: nothing has changed it since, as what was
// read of it tells, or a value without a translation has kept it from being compared.
func (p *Pair) Landed(sys record.System, changed time.Time) map[string][]string {
	unseen := p.StampedAt.Before(p.GhostsUntil) && !changed.IsZero() && !changed.After(p.GhostsUntil)
	if unseen || p.Seen[sys].Stuck {
		return p.Ghosts[sys]
	}
	return nil
}

func merge(to, from map[record.System]map[string][]string) {
	for sys, fields := range from {
		if to[sys] == nil {
			to[sys] = map[string][]string{}
		}
		for f, prints := range fields {
			for _, print := range prints {
				known := slices.DeleteFunc(to[sys][f], func(p string) bool { return p == print })
				to[sys][f] = append(known, print) // what was sent last is the last
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
	// Left are the windows that an intent which was never stamped leaves behind.
	Left []Window
	// Waits are the references that wait now, Ended those that wait no longer.
	Waits, Ended []Wait
	// Room is the execution that blanks a field to make room, "" for none.
	Room string
}

// Landing is how long after it was sent a request may still be carried out.
const Landing = 15 * time.Second

func (c Change) encode(set map[string]string) {
	for _, w := range c.Left {
		set[w.attr(prefixLeft)] = toJSON(w)
	}
	if c.Room != "" {
		set[attrRoom] = c.Room
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
		set[prefixBase+f] = b.text()
	}
	for _, w := range c.Waits {
		set[w.attr()] = toJSON(w)
	}
	for sys, s := range c.Seen {
		set[prefixSeen+string(sys)] = s.text()
	}
}

// Note stores what was learnt without a write, such as drift that was reported.
// It counts as a stamp for those who read a side before it. An intent whose
// worker is gone is closed: what it may have sent stays a ghost.
func (l *Ledger) Note(ctx context.Context, p *Pair, change Change) error {
	set := map[string]string{attrStamped: ms(l.Now())}
	change.encode(set)
	remove := change.removed()
	if p.Intent != nil {
		remove = append(remove, attrIntent, attrLease, attrLeaseBy)
		set[attrGhosts], set[attrGhostsUntil] = toJSON(p.MaybeSent(l.Now())), ms(l.Now().Add(ghostLife))
	}
	if len(change.Seen) > 1 { // both are there, and were compared
		remove = append(remove, attrOwes, attrReason)
	}
	if p.Holder != "" {
		remove = append(remove, attrHolder, attrRefused)
	}
	return l.update(ctx, p, set, remove, func() {}, l.await(change.Waits)...)
}

// InDoubt reports whether a write of ours may stand on either side that no
// stamp has confirmed, or that an edit has not been compared, so that both sides must
// be read before deciding.
func (p *Pair) InDoubt(now time.Time) bool {
	return p.Intent != nil || p.Owes || now.Before(p.GhostsUntil)
}

// update changes one row at the revision it was read, and what belongs to it with
// it, and maps a failed condition to ErrMoved.
func (l *Ledger) update(ctx context.Context, p *Pair, set map[string]string, remove []string, done func(), with ...table.Update) error {
	revs, err := l.Table.Update(ctx, append([]table.Update{{Key: p.Key, If: table.AtRev(p.Rev), Set: set, Remove: remove}}, with...)...)
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
// anything is written. The fence moves on. A partner that is adopted stays the
// one that is looked at first, whatever becomes of the match key.
func (l *Ledger) Intend(ctx context.Context, p *Pair, in Intent, adopt string) error {
	in.At = l.Now()
	set := map[string]string{attrIntent: toJSON(in), attrSends: ms(in.At.Add(Lease))}
	in.note(set)
	if adopt != "" {
		set[attrAdopt] = adopt
	}
	return l.update(ctx, p, set, nil, func() {})
}

// Fence names a mapping row at the revision its lease was taken, and the place in its
// ring of outcomes that the stamp is to fill.
type Fence struct {
	Key  table.Key
	Rev  int64
	Slot int
}

// MarshalText writes the mapping row's record, the revision and the place as one text, as
// in "hubspot#contacts#7 12/3": a fence goes through every state of a machine, and each
// of them logs it.
func (f Fence) MarshalText() ([]byte, error) {
	text := fmt.Appendf(nil, "%s %d", strings.TrimPrefix(f.Key.PK, mapPK), f.Rev)
	if f.Slot != 0 {
		text = fmt.Appendf(text, "/%d", f.Slot)
	}
	return text, nil
}

// UnmarshalText reads what MarshalText has written.
func (f *Fence) UnmarshalText(text []byte) error {
	i := bytes.LastIndexByte(text, ' ')
	revision, slot, placed := strings.Cut(string(text[i+1:]), "/")
	rev, err := strconv.ParseInt(revision, 10, 64)
	at, wrong := strconv.Atoi(slot)
	if i < 0 || err != nil || placed && wrong != nil {
		return fmt.Errorf("a fence is a mapping row's record and its revision, not %q", text)
	}
	*f = Fence{Key: table.Key{PK: mapPK + string(text[:i]), SK: mapSK}, Rev: rev, Slot: at}
	return nil
}

// Fence is the pair's row as it was taken last.
func (p *Pair) Fence() Fence { return Fence{Key: p.Key, Rev: p.Rev, Slot: p.Slot % rings} }

// Named is the record that a refused write has named: of a create the one to
// adopt, of a patch the one that holds the value, with when it was first refused.
type Named struct {
	Adopt, Holder string
	Since         time.Time
	// Base is what was observed after the write of one side, where the other's was refused.
	Base map[string]Base
}

// Release gives a lease back without a stamp. The intent stays open when the
// write may have happened; otherwise it is withdrawn. A row that moved on is
// somebody else's by now and is left alone.
func (l *Ledger) Release(ctx context.Context, f Fence, maybe bool, named Named) error {
	remove := []string{attrLease, attrLeaseBy}
	if !maybe {
		remove = append(remove, attrIntent)
	}
	set := map[string]string{}
	if named.Adopt != "" {
		set[attrAdopt] = named.Adopt
	}
	if named.Holder != "" {
		set[attrHolder], set[attrRefused] = named.Holder, ms(named.Since)
	}
	if len(named.Base) > 0 { // a stamp for those who read that side before it
		Change{Base: named.Base}.encode(set)
		set[attrStamped] = ms(l.Now())
	}
	p := Pair{Key: f.Key, Rev: f.Rev}
	err := l.update(ctx, &p, set, remove, func() {})
	if errors.Is(err, ErrMoved) {
		return nil
	}
	return err
}

// Withdraw gives back the lease of a record whose create was refused for good. As
// nothing was made, its place among the creates in flight ends with it: no record of
// the other side waits any longer to learn whether it is the result.
func (l *Ledger) Withdraw(ctx context.Context, f Fence, ref record.Ref) error {
	_, err := l.Table.Update(ctx,
		table.Update{Key: f.Key, If: table.AtRev(f.Rev), Remove: []string{attrLease, attrLeaseBy, attrIntent}},
		table.Update{Key: l.flightKey(ref.System.Other(), ref.Object, ref.ID), If: table.Always, Delete: true})
	if _, moved := table.Moved(err); moved {
		return nil // a row that moved on is somebody else's by now
	}
	return err
}

// Stamp is what was observed after a write.
type Stamp struct {
	Base    map[string]Base
	Seen    map[record.System]Seen
	Windows []Window
	// Left and Ghosts are what earlier writes, on a row that was not yet the
	// pair's, may have left behind or may still bring.
	Left    []Window
	Ghosts  map[record.System]map[string][]string
	Waits   []Wait // of records that are linked by it
	Outcome Outcome
	Slot    int
}

func (s Stamp) set(now time.Time) map[string]string {
	set := map[string]string{attrStamped: ms(now), attrState: string(Linked)}
	Change{Base: s.Base, Seen: s.Seen, Left: s.Left, Waits: s.Waits}.encode(set)
	outcome := s.Outcome
	if outcome.Kind == Stamped {
		outcome.Kind = "" // what a pair row keeps is that
	}
	set[prefixOutcome+strconv.Itoa(s.Slot%rings)] = toJSON(outcome)
	for _, w := range s.Windows {
		set[w.attr(prefixWindow)] = toJSON(w)
	}
	if len(s.Ghosts) > 0 {
		set[attrGhosts], set[attrGhostsUntil] = toJSON(s.Ghosts), ms(now.Add(ghostLife))
	}
	return set
}

// Stamp stores an observation and releases the lease in one request; ErrMoved
// when the lease was lost, in which case nothing is stored.
func (l *Ledger) Stamp(ctx context.Context, f Fence, s Stamp) error {
	p := Pair{Key: f.Key, Rev: f.Rev}
	return l.update(ctx, &p, s.set(l.Now()), []string{attrLease, attrLeaseBy, attrIntent, attrSends, attrAdopt, attrHolder, attrRefused, attrOwes, attrReason}, func() {})
}
