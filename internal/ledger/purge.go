package ledger

import (
	"context"
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
	claims, err := l.parted(ctx, sp, p)
	if err != nil {
		return 0, err
	}
	refs, past := p.refs(sp), p.past(sp)
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
	if err := l.empty(ctx, sp, p, func(record.System) map[string]string { return tomb }, claims...); err != nil {
		return n, err
	}
	late, err := l.erase(ctx, past)
	return n + len(refs) + late, err
}

// parted prepares to take what was overwritten off the rows of records that a pair was
// linked to before and that have met nobody since. Its destination record may know of
// more of them than the pair, which begins anew when that one gets another contact.
func (l *Ledger) parted(ctx context.Context, sp spec.Pair, p *Pair) (updates []table.Update, err error) {
	of := func(id string) (*Pair, error) {
		return l.Row(ctx, sp, record.Ref{System: record.Destination, Object: sp.Destination.Object, ID: id})
	}
	if id := p.IDs[record.Destination]; id != "" {
		own, err := of(id)
		if err != nil {
			return nil, err
		}
		p.Was = strings.Fields(met(p, own))
	}
	for _, id := range p.Was {
		row, err := of(id)
		if err != nil {
			return nil, err
		}
		left := row.windows()
		if id != p.IDs[record.Destination] && len(left) > 0 && row.State != Linked {
			updates = append(updates, table.Update{Key: row.Key, If: table.AtRev(row.Rev), Remove: left})
		}
	}
	return updates, nil
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
