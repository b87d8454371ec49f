package ledger

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// Settle moves a pair to a resting state (Gone or Parked) under a condition on
// what was read, ending lease and claims. A record without a row gets one.
func (l *Ledger) Settle(ctx context.Context, p *Pair, ref record.Ref, state State, reason string) error {
	remove := []string{attrLease, attrLeaseBy, attrAdopt, attrSince, attrKey, attrOrphan, attrHolder, attrRefused}
	if len(p.IDs) < 2 && !p.Intent.Deletes(ref.System) { // should a pair come back, what was in doubt still is
		remove = append(remove, attrIntent, attrSends)
	}
	set := map[string]string{attrPair: p.Name, attrState: string(state), attrReason: reason, attrStamped: ms(l.Now())}
	Change{Seen: p.Seen}.encode(set)
	updates := []table.Update{{Key: p.Key, If: table.AtRev(p.Rev), Set: set, Remove: remove}}
	if p.State == Claimed {
		updates = append(updates, table.Update{Key: l.flightKey(ref.System.Other(), ref.Object, ref.ID), If: table.Always, Delete: true})
		ended, err := l.endKey(ctx, p, ref, outcomeLife)
		if err != nil {
			return err
		}
		updates = append(updates, ended...)
	}
	revs, err := l.Table.Update(ctx, updates...)
	if _, moved := table.Moved(err); moved {
		return ErrMoved
	}
	if err == nil {
		p.State, p.Reason, p.Rev = state, reason, revs[0]
	}
	return err
}

// Owe notes that an edit of one side could not be compared, since the other was gone.
func (l *Ledger) Owe(ctx context.Context, p *Pair) error {
	return l.update(ctx, p, map[string]string{attrOwes: "1"}, nil, func() { p.Owes = true })
}

// Free lets the fields travel again that the loop breaker took out, with their count
// at zero, and has both sides read before the next decision.
func (l *Ledger) Free(ctx context.Context, p *Pair) error {
	var remove []string
	for name := range p.ParkedFields {
		remove = append(remove, prefixParked+name, prefixSwing+name)
	}
	return l.update(ctx, p, map[string]string{attrOwes: "1"}, remove, func() { p.Owes, p.ParkedFields = true, map[string]string{} })
}

// endKey ends the claim on a match key. Where a create in doubt may have made a
// record for this one, or for another that had the key before it, the key stays known
// for a time, so that the record is not taken for a new one when it is met, even where
// that one has claimed the key meanwhile.
func (l *Ledger) endKey(ctx context.Context, p *Pair, ref record.Ref, life time.Duration) ([]table.Update, error) {
	if !p.Orphan && p.Intent.LastCreate().IsZero() {
		return l.freed(ctx, p.claimant(ref))
	}
	rows, err := l.heldFrom(ctx, p.claimant(ref), ref.System.Other())
	for i := range rows {
		l.orphaned(&rows[i], ref, life)
	}
	return rows, err
}

// orphaned has a key's row say that a create in doubt may have made a record for ref
// which ref will not meet.
func (l *Ledger) orphaned(u *table.Update, ref record.Ref, life time.Duration) {
	u.Set, u.Expires = map[string]string{"owner": ref.String(), "orphan": ms(l.Now())}, l.Now().Add(life)
}

// Bury ends a leased pair as a tombstone, conditional on its fence.
func (l *Ledger) Bury(ctx context.Context, f Fence, reason string, s Stamp) error {
	set := s.set(l.Now())
	set[attrState], set[attrReason] = string(Gone), reason
	p := Pair{Key: f.Key, Rev: f.Rev}
	return l.update(ctx, &p, set, []string{attrLease, attrLeaseBy, attrIntent}, func() {})
}

// Revive takes a pair out of a resting state: to Linked where the partner is
// known, else it forgets the row so that the record is looked at afresh. Either
// side may have been edited meanwhile or made again with versions of its own, so
// both are read before the next decision.
func (l *Ledger) Revive(ctx context.Context, sp spec.Pair, p *Pair) error {
	if p.IDs[record.HubSpot] == "" || p.IDs[record.Destination] == "" {
		return l.Forget(ctx, sp, p)
	}
	set := map[string]string{attrState: string(Linked), attrOwes: "1"}
	remove := []string{attrReason}
	for sys := range p.Seen {
		remove = append(remove, prefixSeen+string(sys))
	}
	return l.update(ctx, p, set, remove, func() { p.State = Linked })
}

// Forget empties a pair's rows on both sides, so that its records are looked at
// as if they had never met; ErrMoved when the pair has changed since it was read.
// The rows stay: a row made again would count its revisions, which are fencing
// numbers, from one. So does, on either row, what is known of edits there that were
// overwritten, or deleted with the record: their events may still come; and that a record
// was to get a partner before: it may have got one that it never met. Each row says whom
// its record was linked to, so that an erasure of one finds all.
func (l *Ledger) Forget(ctx context.Context, sp spec.Pair, p *Pair) error {
	if refs := p.refs(sp); len(refs) == 2 {
		if err := l.bequeath(ctx, refs[0], refs[1]); err != nil {
			return err
		}
	}
	return l.empty(ctx, sp, p, func(sys record.System, row map[string]string) map[string]string {
		set := p.overwrote(sys)
		set[attrPair], set[attrWas] = sp.Name, met(p)
		if p.Tries > 0 {
			set[attrTries] = strconv.Itoa(p.Tries)
		}
		if sys == record.Destination {
			set[attrFormer] = strings.TrimSpace(row[attrFormer] + " " + p.IDs[record.HubSpot])
		}
		if sys == record.Destination && p.Intent.Deletes(sys) {
			set[attrIntent] = p.attrs[attrIntent]
		}
		return set
	})
}

// overwrote are the attributes that keep where writes to one side may have gone over an
// edit, those of a write that was never stamped, too.
func (p *Pair) overwrote(sys record.System) map[string]string {
	set := map[string]string{}
	for _, w := range slices.Concat(p.Windows, p.Intent.Left(nil)) {
		if cmp.Or(w.Side, record.HubSpot) == sys {
			set[w.attr(prefixLeft)] = toJSON(w)
		}
	}
	return set
}

// met lists the destination records that pairs are or were linked to.
func met(pairs ...*Pair) string {
	var ids []string
	for _, p := range pairs {
		for _, id := range append(slices.Clone(p.Was), p.IDs[record.Destination]) {
			if id != "" && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return strings.Join(ids, " ")
}

// past lists the pair's records and those that it was linked to before.
func (p *Pair) past(sp spec.Pair) []record.Ref {
	refs := p.refs(sp)
	for _, ref := range p.before(sp) {
		if ref.System == record.Destination && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// before lists the records that a row's own was linked to before.
func (p *Pair) before(sp spec.Pair) (refs []record.Ref) {
	for _, id := range p.Was {
		refs = append(refs, record.Ref{System: record.Destination, Object: sp.Destination.Object, ID: id})
	}
	for _, id := range strings.Fields(p.attrs[attrFormer]) {
		refs = append(refs, record.Ref{System: record.HubSpot, Object: sp.HubSpot.Object, ID: id})
	}
	return refs
}

// refs lists the pair's known records.
func (p *Pair) refs(sp spec.Pair) (out []record.Ref) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		if id := p.IDs[sys]; id != "" {
			out = append(out, record.Ref{System: sys, Object: sp.Side(sys).Object, ID: id})
		}
	}
	return out
}

// empty takes every attribute but those that set names for its side off the rows of a pair, in one
// transaction: the row it was read from at the revision read, and the other side's
// where it still belongs to this pair. Between the two a row would stay that
// points to a pair which knows nothing of it. What else is to be changed with
// them goes into the same transaction.
func (l *Ledger) empty(ctx context.Context, sp spec.Pair, p *Pair, set func(sys record.System, row map[string]string) map[string]string, updates ...table.Update) error {
	refs := p.refs(sp)
	items, err := l.mappings(ctx, refs...)
	if err != nil {
		return err
	}
	for i, it := range items {
		rev := it.Rev
		switch partner := p.IDs[refs[i].System.Other()]; {
		case it.Key == p.Key:
			rev = p.Rev
		case it.Attrs[attrPartner] != partner:
			continue
		}
		own := set(refs[i].System, it.Attrs)
		updates = append(updates, table.Update{Key: it.Key, If: table.AtRev(rev), Set: own, Remove: others(it.Attrs, own)})
	}
	_, err = l.Table.Update(ctx, updates...)
	if _, moved := table.Moved(err); moved {
		return ErrMoved
	}
	return err
}

// others names the attributes of a row that are not set.
func others(row, set map[string]string) (names []string) {
	for name := range row {
		if _, kept := set[name]; !kept {
			names = append(names, name)
		}
	}
	return names
}

// Row reads a record's own mapping row, without following aliases.
func (l *Ledger) Row(ctx context.Context, sp spec.Pair, ref record.Ref) (*Pair, error) {
	items, err := l.mappings(ctx, ref)
	if err != nil {
		return nil, err
	}
	p := decode(items[0], ref)
	p.Name, p.Key = sp.Name, MapKey(ref)
	return p, nil
}

// Relink follows a HubSpot merge: the pair of winner goes on under the survivor's
// row, whatever that held, and every merged id becomes an alias of it, in one
// transaction. Losing pairs' destination records keep a parked row that names the
// survivor, so that a person decides about them; none is deleted. A merged record
// that has no row yet becomes an alias too: a create of it that is still to be linked
// finds that out. winner is nil where nothing was linked. An alias keeps nothing of
// the person: the survivor knows whom the others were linked to, so that an erasure
// finds all, and what was overwritten in them, whose events still come. A survivor that
// was buried before stays known as gone, by its reason: what is left to do for that may
// be interrupted.
func (l *Ledger) Relink(ctx context.Context, sp spec.Pair, survivor, winner *Pair, losers, unmet []*Pair) error {
	now, newID := ms(l.Now()), survivor.IDs[record.HubSpot]
	hub := func(id string) record.Ref {
		return record.Ref{System: record.HubSpot, Object: sp.HubSpot.Object, ID: id}
	}
	var updates []table.Update
	var emptied []record.Ref
	for _, p := range slices.Concat([]*Pair{winner}, losers, unmet) {
		if p != nil && p.Key != survivor.Key {
			if err := l.bequeath(ctx, hub(p.IDs[record.HubSpot]), hub(newID)); err != nil {
				return err
			}
			emptied = append(emptied, hub(p.IDs[record.HubSpot]))
			set := map[string]string{attrPair: sp.Name, attrState: string(Alias), attrAlias: newID, attrStamped: now}
			updates = append(updates, table.Update{Key: p.Key, If: table.AtRev(p.Rev), Set: set, Remove: others(p.attrs, set)})
		}
	}
	known := map[string]string{attrPair: sp.Name, attrStamped: now}
	for _, p := range slices.Concat(losers, unmet) {
		maps.Copy(known, p.overwrote(record.HubSpot))
	}
	switch {
	case winner != nil && (winner.Key != survivor.Key || len(losers) > 0):
		set := winner.inherited()
		maps.Copy(set, known)
		set[attrWas] = met(slices.Concat([]*Pair{survivor, winner}, losers, unmet)...)
		if survivor.State == Gone && survivor.Reason != "" {
			set[attrReason], set[attrOwes] = survivor.Reason, "1" // until both are seen to be there
		}
		updates = append(updates,
			table.Update{Key: survivor.Key, If: table.AtRev(survivor.Rev), Set: set, Remove: others(survivor.attrs, set)},
			l.pointer(sp, winner, map[string]string{attrPair: sp.Name, attrState: string(Linked), attrPartner: newID, attrStamped: now}))
	case met(unmet...) != "":
		known[attrWas] = met(append(unmet, survivor)...)
		updates = append(updates, table.Update{Key: survivor.Key, If: table.AtRev(survivor.Rev), Set: known})
	}
	for _, p := range losers {
		set := p.overwrote(record.Destination)
		set[attrState], set[attrReason], set[attrStamped] = string(Parked), MergedReason(newID), now
		updates = append(updates, l.pointer(sp, p, set))
	}
	if winner != nil && winner.Key != survivor.Key && survivor.State == Claimed {
		ended, err := l.endKey(ctx, survivor, hub(newID), metKey)
		if err != nil {
			return err
		}
		updates = append(append(updates, ended...), table.Update{Key: l.flightKey(record.Destination, sp.HubSpot.Object, newID), If: table.Always, Delete: true})
	}
	if len(updates) == 0 {
		return nil
	}
	_, err := l.Table.Update(ctx, updates...)
	if _, moved := table.Moved(err); moved {
		return ErrMoved
	}
	for _, ref := range emptied { // once more: others may have written until then
		if err == nil {
			err = l.bequeath(ctx, ref, hub(newID))
		}
	}
	return err
}

// mergedInto begins the reason of a destination record whose HubSpot record has been
// merged into one that another stands for.
const mergedInto = "its HubSpot record was merged into "

// MergedReason is why a destination record is parked whose HubSpot record has been
// merged into survivor.
func MergedReason(survivor string) string { return mergedInto + survivor }

// MergedInto is the HubSpot record into which the one of a parked destination record
// was merged; "" where that is not why it is parked.
func (p *Pair) MergedInto() string {
	id, merged := strings.CutPrefix(p.Reason, mergedInto)
	if !merged || p.State != Parked {
		return ""
	}
	return id
}

// inherited is what a pair's row hands on to the survivor of a merge: all but the
// lease and what was seen of the HubSpot record that is no more. What a worker may
// have left behind is still to be expected.
func (p *Pair) inherited() map[string]string {
	set := maps.Clone(p.attrs)
	for _, name := range []string{attrLease, attrLeaseBy, prefixSeen + string(record.HubSpot)} {
		delete(set, name)
	}
	return set
}

// pointer changes the row of a linked pair's destination record.
func (l *Ledger) pointer(sp spec.Pair, p *Pair, set map[string]string) table.Update {
	return table.Update{Key: MapKey(record.Ref{System: record.Destination, Object: sp.Destination.Object, ID: p.IDs[record.Destination]}), If: table.Always, Set: set}
}

// Cursor reads how far a poll has come; "" at the beginning.
func (l *Ledger) Cursor(ctx context.Context, system record.System, object string) (string, int64, error) {
	items, err := l.Table.Get(ctx, cursorKey(system, object))
	if err != nil {
		return "", 0, err
	}
	return items[0].Attrs["cursor"], items[0].Rev, nil
}

// MoveCursor advances a poll's cursor unless another poll has moved it meanwhile (ErrMoved).
func (l *Ledger) MoveCursor(ctx context.Context, system record.System, object, cursor string, rev int64) error {
	p := Pair{Key: cursorKey(system, object), Rev: rev}
	return l.update(ctx, &p, map[string]string{"cursor": cursor, "at": ms(l.Now())}, nil, func() {})
}

func cursorKey(system record.System, object string) table.Key {
	return table.Key{PK: "CURSOR#" + string(system) + "#" + object, SK: "CURSOR"}
}

// Deployment is the id of what writes through this table, made once: every
// process on one table has the same, since they coordinate through it. Two
// deployments on one portal do not, and fight each other; the Notification
// Centre and the canary notice them by this id.
func (l *Ledger) Deployment(ctx context.Context) (string, error) {
	key := table.Key{PK: "DEPLOYMENT", SK: "ID"}
	for {
		items, err := l.Table.Get(ctx, key)
		if err != nil {
			return "", err
		}
		if id := items[0].Attrs["id"]; id != "" {
			return id, nil
		}
		var id [8]byte
		_, _ = rand.Read(id[:]) // never returns an error
		_, err = l.Table.Update(ctx, table.Update{Key: key, If: table.Absent, Set: map[string]string{"id": hex.EncodeToString(id[:])}})
		if _, moved := table.Moved(err); err != nil && !moved {
			return "", err
		}
	}
}
