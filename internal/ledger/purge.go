package ledger

import (
	"context"
	"slices"
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// purgedKey is how long the key of an erased record is still known where a create
// in doubt may have made another: until its own event has surely come, which an outage
// may put off for 25 hours.
const purgedKey = 26 * time.Hour

// Purge erases everything known of one record and its partner: fingerprints,
// versions, conflicts, outcomes, claims. It returns how many rows were erased or
// emptied; ErrMoved when the pair has changed since it was read. What stays are
// tombstones without any id of the other side, so that late events of the erased
// record are not taken for a new one. What hangs on the ids goes before them, so
// that a purge which was interrupted can be repeated, and once more after them:
// others may have written until then.
func (l *Ledger) Purge(ctx context.Context, sp spec.Pair, p *Pair) (n int, err error) {
	past, claims, err := l.parted(ctx, sp, p)
	if err != nil {
		return 0, err
	}
	refs := p.refs(sp)
	if n, err = l.erase(ctx, past); err != nil {
		return n, err
	}
	for _, ref := range refs {
		claims = append(claims, table.Update{Key: l.flightKey(ref.System.Other(), ref.Object, ref.ID), If: table.Always, Delete: true, Erase: true})
	}
	ended, err := l.endKey(ctx, p, refs[0], purgedKey)
	if err != nil {
		return n, err
	}
	claims = append(claims, ended...)
	tomb := map[string]string{attrPair: sp.Name, attrState: string(Gone), attrReason: "erased on a privacy request", attrStamped: ms(l.Now())}
	if err := l.empty(ctx, sp, p, func(record.System, map[string]string) map[string]string { return tomb }, claims...); err != nil {
		return n, err
	}
	late, err := l.erase(ctx, past)
	return n + len(refs) + late, err
}

// parted lists a pair's records and those that they, or one of these, were linked to
// before, and prepares to take what was overwritten off the rows of those. One that has
// another partner by now has a history of its own.
func (l *Ledger) parted(ctx context.Context, sp spec.Pair, p *Pair) (past []record.Ref, updates []table.Update, err error) {
	past = p.past(sp)
	for todo := slices.Clone(past); len(todo) > 0; todo = todo[1:] {
		ref := todo[0]
		row, err := l.Row(ctx, sp, ref)
		if err != nil {
			return nil, nil, err
		}
		own := p.IDs[ref.System] == ref.ID
		if !own && (row.State == Linked || row.IDs[record.HubSpot] == ref.ID && row.IDs[record.Destination] != "") {
			continue
		}
		if left := row.windows(); !own && len(left) > 0 {
			updates = append(updates, table.Update{Key: row.Key, If: table.AtRev(row.Rev), Remove: left})
		}
		for _, before := range row.before(sp) {
			if !slices.Contains(past, before) {
				past, todo = append(past, before), append(todo, before)
			}
		}
	}
	return past, updates, nil
}

// windows names the attributes that keep windows.
func (p *Pair) windows() (names []string) {
	for name := range p.attrs {
		if strings.HasPrefix(name, prefixWindow) {
			names = append(names, name)
		}
	}
	return names
}

// erase deletes the outcomes and conflicts of records and returns how many there were.
func (l *Ledger) erase(ctx context.Context, refs []record.Ref) (n int, err error) {
	for _, ref := range refs {
		for _, pk := range []string{outcomePK(ref), conflictPK(ref)} {
			m, err := l.erasePartition(ctx, pk)
			if n += m; err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (l *Ledger) erasePartition(ctx context.Context, pk string) (n int, err error) {
	for {
		items, err := l.Table.Query(ctx, pk, "", 25)
		if err != nil || len(items) == 0 {
			return n, err
		}
		updates := make([]table.Update, len(items))
		for i, it := range items {
			updates[i] = table.Update{Key: it.Key, If: table.Always, Delete: true, Erase: true}
		}
		if _, err := l.Table.Update(ctx, updates...); err != nil {
			return n, err
		}
		n += len(items)
	}
}
