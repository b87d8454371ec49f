package ledger

import (
	"context"
	"slices"
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
)

// Wait is a reference to a record that has no partner now, so that the other side
// cannot be told of it. It is kept with the pair, where people see it, and listed
// by the record that holds it, so that it is found when the other is linked,
// however that comes about.
type Wait struct {
	Field string `json:"field"`
	// Of is the record that holds the reference, Parent the one it waits for.
	Of     record.Ref `json:"of"`
	Parent record.Ref `json:"parent"`
	// Why says in words what keeps the parent from being linked.
	Why string `json:"why"`
}

// String names the field and the parent.
func (w Wait) String() string {
	return w.Field + " waits for " + w.Parent.String() + ", which is " + w.Why
}

// Same reports whether both are of one field of one record, and wait for one parent.
func (w Wait) Same(o Wait) bool { return w.attr() == o.attr() && w.Parent == o.Parent }

// attr is the pair row's attribute: a field may wait on both sides.
func (w Wait) attr() string { return prefixWait + string(w.Of.System) + ":" + w.Field }

func decodeWait(v string) (w Wait) {
	fromJSON(v, &w)
	return w
}

// WaitsOf reads the references that wait from the text columns of a pair's row.
func WaitsOf(row map[string]string) (waits []Wait) {
	for name, v := range row {
		if strings.HasPrefix(name, prefixWait) {
			waits = append(waits, decodeWait(v))
		}
	}
	slices.SortFunc(waits, func(a, b Wait) int { return strings.Compare(a.attr(), b.attr()) })
	return waits
}

// removed names the attributes of what waits no longer.
func (c Change) removed() (names []string) {
	for _, w := range c.Ended {
		names = append(names, w.attr())
	}
	return names
}

func waitKey(of record.Ref) table.Key {
	return table.Key{PK: "WAIT#" + string(of.System) + "#" + of.Object, SK: of.ID}
}

// Attributes of a row of the list.
const (
	attrListed = "listed" // when it began to wait, or was found waiting again
	attrWoken  = "woken"  // when an execution was started for it last
	attrEnded  = "ended"  // nothing waits any more; the row goes with its expiry

	prefixMoved = "moved:" // a record that it refers to and that gets another partner, and since when
)

// A row that ended stays a while: made again it would count its revisions, which
// are what a sweep goes by, from one.
const (
	waitLife  = 10 * 365 * 24 * time.Hour
	endedLife = 24 * time.Hour
)

// await lists the records of waits, each once.
func (l *Ledger) await(waits []Wait) (updates []table.Update) {
	listed := map[table.Key]bool{}
	for _, w := range waits {
		key := waitKey(w.Of)
		if !listed[key] {
			updates = append(updates, table.Update{
				Key: key, If: table.Always, Set: map[string]string{attrListed: ms(l.Now())},
				Remove: []string{attrEnded}, Expires: l.Now().Add(waitLife),
			})
		}
		listed[key] = true
	}
	return updates
}

// Follow lists records that refer to parent, which is about to get another partner:
// should their other sides refer to the former one, nobody else tells them.
func (l *Ledger) Follow(ctx context.Context, parent record.Ref, children []record.Ref) error {
	for some := range slices.Chunk(children, table.MaxBatch) {
		var updates []table.Update
		for _, child := range some {
			updates = append(updates, table.Update{
				Key: waitKey(child), If: table.Always, Remove: []string{attrEnded}, Expires: l.Now().Add(waitLife),
				Set: map[string]string{prefixMoved + toJSON(parent): ms(l.Now())},
			})
		}
		if _, err := l.Table.Update(ctx, updates...); err != nil {
			return err
		}
	}
	return nil
}

// moved are the records whose other partner a listed one has yet to follow.
func moved(row map[string]string) map[record.Ref]time.Time {
	out := map[record.Ref]time.Time{}
	for name, at := range row {
		if text, ok := strings.CutPrefix(name, prefixMoved); ok {
			var ref record.Ref
			fromJSON(text, &ref)
			out[ref] = millis(at)
		}
	}
	return out
}

// Waiting is a listed record.
type Waiting struct {
	Ref record.Ref
	// Moved are records that it refers to and that get another partner, since when.
	Moved map[record.Ref]time.Time
	// Listed is when it was found waiting last, Woken when an execution was last
	// started because what it waits for was linked.
	Listed, Woken time.Time
	key           table.Key
	rev           int64
}

// waiting is how many rows are read at once.
const waiting = 100

// Waiting lists records of an object type that wait, in the order of their ids
// after one; next is "" at the end.
func (l *Ledger) Waiting(ctx context.Context, sys record.System, object, after string) (list []Waiting, next string, err error) {
	items, err := l.Table.Query(ctx, waitKey(record.Ref{System: sys, Object: object}).PK, after, waiting)
	for _, it := range items {
		if it.Attrs[attrEnded] == "" {
			ref := record.Ref{System: sys, Object: object, ID: it.SK}
			list = append(list, Waiting{Ref: ref, Listed: millis(it.Attrs[attrListed]), Woken: millis(it.Attrs[attrWoken]), Moved: moved(it.Attrs), key: it.Key, rev: it.Rev})
		}
	}
	if len(items) == waiting {
		next = items[waiting-1].SK
	}
	return list, next, err
}

// Woke notes that an execution was started for a listed record, because of those of
// Moved that are named if any, Unlist that nothing of it waits any more; unless it was
// listed again meanwhile.
func (l *Ledger) Woke(ctx context.Context, w Waiting, followed ...record.Ref) error {
	var done []string
	for _, ref := range followed {
		done = append(done, prefixMoved+toJSON(ref))
	}
	return l.listed(ctx, table.Update{Key: w.key, If: table.AtRev(w.rev), Set: map[string]string{attrWoken: ms(l.Now())}, Remove: done})
}

// Unlist takes a record off the list, see Woke.
func (l *Ledger) Unlist(ctx context.Context, w Waiting) error {
	return l.listed(ctx, table.Update{Key: w.key, If: table.AtRev(w.rev), Set: map[string]string{attrEnded: ms(l.Now())}, Expires: l.Now().Add(endedLife)})
}

func (l *Ledger) listed(ctx context.Context, u table.Update) error {
	_, err := l.Table.Update(ctx, u)
	if _, moved := table.Moved(err); moved {
		return nil
	}
	return err
}
