package ledger

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
)

// A row is billed by the kilobyte each time it is written, so a pair row keeps of
// its past only what fits into the kilobyte that the present needs anyway.

// windowLife is how long an event may still tell of an edit inside a window:
// HubSpot delivers for 24 hours, and we postpone an event for about as long.
const windowLife = 48 * time.Hour

// stampSize is about how much the stamp of an intent will add to a row, in bytes:
// an outcome, and a window for each write that has no condition.
func (in *Intent) stampSize() int {
	n := 220
	for sys, from := range map[record.System]string{record.HubSpot: in.Before, record.Destination: in.Open} {
		if fields := len(in.Sent[sys]); from != "" && fields > 0 {
			n += 80 + 40*fields
		}
	}
	return n
}

// mostWindows is how many windows of a kind a row keeps at most, the newest, each some
// hundred bytes: an edit that was overwritten in one is recorded unless its event comes
// after so many more writes of its record. A write that is never answered leaves one each
// time that it is repeated, for a day.
const mostWindows = 16

// surplus names the attributes that taking the row for an intent takes out: windows
// of which no event will tell any more, and the oldest outcomes where they would
// make the row begin another kilobyte.
func (p *Pair) surplus(in *Intent, set map[string]string, now time.Time) (names []string) {
	row := maps.Clone(p.attrs)
	if row == nil {
		row = map[string]string{}
	}
	maps.Copy(row, set)
	var past []string // outcomes, newest first
	for i := range rings {
		name := prefixOutcome + strconv.Itoa(((p.Slot-i)%rings+rings)%rings)
		if row[name] != "" {
			past = append(past, name)
		}
	}
	for _, name := range closed(row, now) {
		if set[name] == "" {
			names = append(names, name)
			delete(row, name)
		}
	}
	return append(names, p.tooMuch(in, row, past)...)
}

// closed names the windows of a row that are too old, or too many: of writes that were
// stamped, and of those that were not.
func closed(row map[string]string, now time.Time) (names []string) {
	kinds, order := map[bool][]string{}, map[string]string{}
	for name, value := range row {
		var w Window
		if !strings.HasPrefix(name, prefixWindow) {
			continue
		}
		if fromJSON(value, &w); w.To < Version(now.Add(-windowLife)) {
			names = append(names, name)
			continue
		}
		left := strings.HasPrefix(name, prefixLeft)
		kinds[left], order[name] = append(kinds[left], name), w.From+w.To
	}
	for _, kind := range kinds {
		slices.SortFunc(kind, func(a, b string) int { return strings.Compare(order[b], order[a]) })
		names = append(names, kind[min(len(kind), mostWindows):]...)
	}
	return names
}

// tooMuch names those of the outcomes, newest first, for which a row has no room.
func (p *Pair) tooMuch(in *Intent, row map[string]string, past []string) []string {
	rest := maps.Clone(row)
	for _, name := range past {
		delete(rest, name)
	}
	under := table.Size(table.Item{Key: p.Key, Rev: max(p.Rev, 1), Attrs: rest})
	stamped := under + in.stampSize()
	for _, name := range []string{attrLease, attrLeaseBy, attrIntent} {
		stamped -= len(name) + len(rest[name])
	}
	need := max(under, stamped)
	room := (table.WriteUnit - need%table.WriteUnit) % table.WriteUnit
	for i, name := range past {
		if room -= len(name) + len(row[name]); room < 0 {
			return past[i:]
		}
	}
	return nil
}
