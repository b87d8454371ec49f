package ledger

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"tandem/internal/record"
	"tandem/internal/table"
)

// ParkedRecord is what of one record waits for a person, a reason each: the record
// itself, fields that the loop breaker has parked, references to records that have
// no partner.
type ParkedRecord struct {
	Record record.Ref `json:"record"`
	Why    []string   `json:"why"`
}

// String names the record and every reason.
func (p ParkedRecord) String() string { return p.Record.String() + ": " + strings.Join(p.Why, "; ") }

// Parked lists what waits for a person, by record. It reads the whole table, which
// has to be a table.Scanner.
func (l *Ledger) Parked(ctx context.Context) (all []ParkedRecord, err error) {
	scanner, ok := l.Table.(table.Scanner)
	if !ok {
		return nil, errors.New("this table cannot be read whole")
	}
	err = scanner.Scan(ctx, func(row table.Item) {
		if p := parkedIn(row); len(p.Why) > 0 {
			all = append(all, p)
		}
	})
	slices.SortFunc(all, func(a, b ParkedRecord) int {
		return cmp.Or(cmp.Compare(a.Record.System, b.Record.System), cmp.Compare(a.Record.Object, b.Record.Object), cmp.Compare(a.Record.ID, b.Record.ID))
	})
	return all, err
}

// parkedIn reads a row of the mapping; nothing waits in any other. A linked pair is told of
// once, by its HubSpot side.
func parkedIn(row table.Item) (p ParkedRecord) {
	parts := strings.SplitN(row.PK, "#", 4)
	if len(parts) != 4 || parts[0]+"#" != mapPK {
		return p
	}
	p.Record = record.Ref{System: record.System(parts[1]), Object: parts[2], ID: parts[3]}
	if row.Attrs[attrState] == string(Parked) {
		p.Why = append(p.Why, "the record: "+row.Attrs[attrReason])
	}
	if p.Record.System != record.HubSpot {
		return p
	}
	for _, name := range slices.Sorted(maps.Keys(row.Attrs)) {
		if field, ok := strings.CutPrefix(name, prefixParked); ok {
			p.Why = append(p.Why, "field "+field+": "+row.Attrs[name])
		}
	}
	for _, wait := range WaitsOf(row.Attrs) {
		p.Why = append(p.Why, "field "+wait.String())
	}
	return p
}
