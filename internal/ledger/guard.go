package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"tandem/internal/table"
)

const (
	attrCount   = "n"    // how many changes of the hour are counted
	attrCounted = "what" // which of them are one pair's
)

// Admit asks a guard about changes of a pair, of which at most budget may be made in
// the running hour. What has been admitted is counted once, however often it is
// decided on again: a single change that a system keeps refusing would stop
// everybody else's. Either all of what is new is admitted, or nothing.
func (l *Ledger) Admit(ctx context.Context, guard string, budget int, p *Pair, what ...string) (bool, error) {
	hour := l.Now().UTC().Truncate(time.Hour)
	pk := "GUARD#" + guard + "#" + hour.Format("2006010215")
	sum := sha256.Sum256([]byte(p.Key.PK)) // no id outlives its record's purge here
	all, own := table.Key{PK: pk, SK: "ALL"}, table.Key{PK: pk, SK: "PAIR#" + hex.EncodeToString(sum[:16])}
	for {
		items, err := l.Table.Get(ctx, all, own)
		if err != nil {
			return false, err
		}
		var counted []string
		fromJSON(items[1].Attrs[attrCounted], &counted)
		fresh := slices.DeleteFunc(slices.Clone(what), func(w string) bool { return slices.Contains(counted, w) })
		n, _ := strconv.Atoi(items[0].Attrs[attrCount])
		if n += len(fresh); len(fresh) == 0 || n > budget {
			return len(fresh) == 0, nil
		}
		_, err = l.Table.Update(ctx,
			counts(items[0], hour, attrCount, strconv.Itoa(n)), counts(items[1], hour, attrCounted, toJSON(append(counted, fresh...))))
		if _, moved := table.Moved(err); !moved {
			return err == nil, err
		}
	}
}

// counts changes one row of an hour's count, which is kept for a day more.
func counts(it table.Item, hour time.Time, attr, value string) table.Update {
	return table.Update{Key: it.Key, If: table.AtRev(it.Rev), Set: map[string]string{attr: value}, Expires: hour.Add(25 * time.Hour)}
}
