package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

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
	in.note(set)
	updates := []table.Update{
		{Key: p.Key, If: table.AtRev(p.Rev), Set: set, Remove: []string{attrPartner}},
		l.flight(ref, in.Create, since, now, matchKey),
	}
	if p.MatchKey != matchKey {
		left, err := l.leaveKey(ctx, p, ref)
		if err != nil {
			return err
		}
		updates = append(updates, left...)
		p.Orphan = false
	}
	if matchKey != "" {
		u, before, err := l.claimKey(ctx, p.Name, matchKey, ref, now)
		if err != nil {
			return err
		}
		p.Rival, p.Maker, p.Orphan = before["rival"], before["maker"], p.Orphan || slices.Contains(u.Remove, "orphan")
		updates = append(updates, u)
	}
	if p.Orphan {
		set[attrOrphan] = "1"
	} else {
		updates[0].Remove = append(updates[0].Remove, attrOrphan)
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

// leaveKey ends the claim on the key that a record had before.
func (l *Ledger) leaveKey(ctx context.Context, p *Pair, ref record.Ref) ([]table.Update, error) {
	left := *p
	left.Intent = nil // what it has made, it still looks for
	return l.endKey(ctx, &left, ref, outcomeLife)
}

// Claimant is an unlinked record with what it claims while its partner is made.
type Claimant struct {
	Pair     string
	Ref      record.Ref
	MatchKey string // "" for none
	// Until is when the lease that the key was claimed under ends, or did before it
	// was renewed; zero where that is not known.
	Until time.Time
	// Doubt: a create for the record is in doubt, and it is linked to another than that
	// may have made.
	Doubt bool
}

// claimant is the record of a claim with what it holds.
func (p *Pair) claimant(ref record.Ref) Claimant {
	return Claimant{Pair: p.Name, Ref: ref, MatchKey: p.MatchKey, Until: p.LeaseUntil}
}

// held prepares a change of the claimant's key row, none where it claims none or
// another does by now: a claim that was not renewed has lapsed, and the key may be
// somebody else's. It outlives its lease by some seconds, so that only later the
// row has to be read.
func (l *Ledger) held(ctx context.Context, c Claimant) ([]table.Update, error) {
	return l.heldFrom(ctx, c, "")
}

// heldFrom is held, also where the key is a record's of the system named from.
func (l *Ledger) heldFrom(ctx context.Context, c Claimant, from record.System) ([]table.Update, error) {
	if c.MatchKey == "" {
		return nil, nil
	}
	u := table.Update{Key: l.keyRow(c.Pair, c.MatchKey), If: table.Always}
	if l.Now().Before(c.Until) {
		return []table.Update{u}, nil
	}
	items, err := l.Table.Get(ctx, u.Key)
	if err != nil {
		return nil, err
	}
	owner := items[0].Attrs["owner"]
	if owner != "" && owner != c.Ref.String() && (from == "" || !strings.HasPrefix(owner, string(from)+"/")) {
		return nil, nil
	}
	u.If = table.AtRev(items[0].Rev)
	return []table.Update{u}, nil
}

// freed ends what held finds.
func (l *Ledger) freed(ctx context.Context, c Claimant) ([]table.Update, error) {
	rows, err := l.held(ctx, c)
	for i := range rows {
		rows[i].Delete = true
	}
	return rows, err
}

// Renew extends a lease; ErrMoved when it is no longer ours. The fence moves on.
// A record whose partner is being made holds its match key and its place in
// flight for as long, else ErrMoved: another may have been made for the key.
func (l *Ledger) Renew(ctx context.Context, f *Fence, c *Claimant) (until time.Time, err error) {
	now := l.Now()
	until = now.Add(Lease)
	updates := []table.Update{{Key: f.Key, If: table.AtRev(f.Rev), Set: map[string]string{attrLease: ms(until), attrSends: ms(until)}}}
	if c != nil {
		more, err := l.reclaim(ctx, c, now)
		if err != nil {
			return until, err
		}
		updates = append(updates, more...)
	}
	revs, err := l.Table.Update(ctx, updates...)
	if _, moved := table.Moved(err); moved {
		return until, ErrMoved
	}
	if err == nil {
		f.Rev = revs[0]
	}
	return until, err
}

// reclaim prolongs what a claimant holds, as it is now.
func (l *Ledger) reclaim(ctx context.Context, c *Claimant, now time.Time) ([]table.Update, error) {
	place := l.flightKey(c.Ref.System.Other(), c.Ref.Object, c.Ref.ID)
	keys := []table.Key{place}
	if c.MatchKey != "" {
		keys = append(keys, l.keyRow(c.Pair, c.MatchKey))
	}
	items, err := l.Table.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	if len(items) > 1 && (items[1].Attrs["owner"] != c.Ref.String() || lapsed(items[1].Attrs, now)) || items[0].Rev == 0 {
		return nil, ErrMoved
	}
	updates := []table.Update{{Key: place, If: table.AtRev(items[0].Rev), Expires: now.Add(inFlight(c.MatchKey))}}
	if len(items) > 1 {
		updates = append(updates, table.Update{Key: items[1].Key, If: table.AtRev(items[1].Rev), Set: map[string]string{"until": ms(now.Add(claimLife))}, Expires: now.Add(purgedKey)})
	}
	return updates, nil
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

// lapsed: the claim on a key is over, though its row still tells whose it was.
func lapsed(key map[string]string, now time.Time) bool {
	return key["until"] != "" && !now.Before(millis(key["until"]))
}

// claimKey prepares the claim of a match key, and tells what was known of it; ErrHeld
// while another record holds it. One that finds a claim of the other side's lapsed
// remembers it as its maker: that one's worker may have died after its create.
func (l *Ledger) claimKey(ctx context.Context, pair, matchKey string, ref record.Ref, now time.Time) (u table.Update, before map[string]string, err error) {
	key := l.keyRow(pair, matchKey)
	items, err := l.Table.Get(ctx, key)
	if err != nil {
		return u, nil, err
	}
	held := items[0].Attrs
	ours := strings.HasPrefix(held["owner"], string(ref.System)+"/")
	var remove []string
	switch {
	case held["orphan"] != "" && ours: // made again by somebody: it will find the orphan
		held, remove = nil, []string{"orphan", "rival"}
	case held["orphan"] != "":
		return u, nil, ErrOrphan
	}
	set := map[string]string{"owner": ref.String(), "since": ms(now), "until": ms(now.Add(claimLife))}
	switch owner := held["owner"]; {
	case owner == "":
	case lapsed(held, now):
		held, remove = map[string]string{"maker": held["maker"]}, []string{"rival"}
		if parts := strings.SplitN(owner, "/", 3); !ours && len(parts) == 3 {
			held["maker"], set["maker"] = parts[2], parts[2]
		}
	case owner != ref.String():
		return u, nil, l.signIn(ctx, items[0], ref, ours)
	}
	return table.Update{Key: key, If: table.AtRev(items[0].Rev), Expires: now.Add(purgedKey), Set: set, Remove: remove}, held, nil
}

// signIn is ErrHeld of a key. A record of the other side that finds it held is noted as
// the rival: the holder then need not look for it, and will not create its double.
func (l *Ledger) signIn(ctx context.Context, held table.Item, ref record.Ref, ours bool) (err error) {
	if !ours && held.Attrs["rival"] == "" {
		_, err = l.Table.Update(ctx, table.Update{Key: held.Key, If: table.AtRev(held.Rev), Set: map[string]string{"rival": ref.ID}})
	}
	if _, moved := table.Moved(err); err != nil && !moved {
		return err
	}
	return fmt.Errorf("%w: match key held by %s", ErrHeld, held.Attrs["owner"])
}

func (l *Ledger) flightKey(target record.System, object, source string) table.Key {
	return table.Key{PK: "FLIGHT#" + string(target) + "#" + object, SK: source}
}

// inFlight is how long a create keeps its place.
func inFlight(matchKey string) time.Duration {
	if matchKey == "" {
		return blindClaimLife
	}
	return claimLife
}

func (l *Ledger) flight(ref record.Ref, target record.System, since, now time.Time, matchKey string) table.Update {
	return table.Update{
		Key: l.flightKey(target, ref.Object, ref.ID), If: table.Always, Expires: now.Add(inFlight(matchKey)),
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

// metKey is how long a key is still known after a link in doubt: until the event of what
// a create may have made besides has come, and not so long that the key's next record
// would be taken for it.
const metKey = time.Hour

// Link joins two records for good, in one transaction: the pair row, the
// pointer from the destination's side, and the end of every claim. ErrMoved
// when the lease was lost or either side is linked to another record by now.
func (l *Ledger) Link(ctx context.Context, f Fence, sp spec.Pair, c Claimant, ids map[record.System]string, other *Fence, s Stamp) error {
	source, target := c.Ref, c.Ref.System.Other()
	partner := record.Ref{System: target, Object: sp.Side(target).Object, ID: ids[target]}
	if err := fits(partner); err != nil {
		return err
	}
	hub := MapKey(record.Ref{System: record.HubSpot, Object: sp.HubSpot.Object, ID: ids[record.HubSpot]})
	dest := MapKey(record.Ref{System: record.Destination, Object: sp.Destination.Object, ID: ids[record.Destination]})
	pairSet := s.set(l.Now())
	pairSet[attrPair], pairSet[attrPartner], pairSet[attrLinked] = sp.Name, ids[record.Destination], ms(l.Now())
	pointer := map[string]string{attrPair: sp.Name, attrState: string(Linked), attrPartner: ids[record.HubSpot], attrStamped: ms(l.Now())}
	updates := []table.Update{
		linkRow(hub, f, other, pairSet), linkRow(dest, f, other, pointer),
		{Key: l.flightKey(target, source.Object, source.ID), If: table.Always, Delete: true},
	}
	if other != nil {
		updates = append(updates, table.Update{Key: l.flightKey(source.System, partner.Object, partner.ID), If: table.Always, Delete: true})
	}
	key, err := l.held(ctx, c)
	if err != nil {
		return err
	}
	for i := range key {
		if key[i].Delete = !c.Doubt; c.Doubt {
			l.orphaned(&key[i], c.Ref, metKey)
		}
	}
	_, err = l.Table.Update(ctx, slices.Concat(updates, key, l.await(s.Waits))...)
	if _, moved := table.Moved(err); moved {
		return ErrMoved
	}
	return err
}

// claimAttrs are what a row no longer needs once it is linked.
var claimAttrs = []string{attrLease, attrLeaseBy, attrIntent, attrSends, attrAdopt, attrSince, attrTries, attrKey, attrReason, attrOrphan, attrHolder, attrRefused}

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
