package ledger

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
)

// ParkedRecord is what of one record waits for a person, a reason each: the record
// itself, fields that the loop breaker has parked, references to records that have
// no partner, or else its newest event.
type ParkedRecord struct {
	Record record.Ref `json:"record"`
	Why    []string   `json:"why"`
}

// String names the record and every reason.
func (p ParkedRecord) String() string { return p.Record.String() + ": " + strings.Join(p.Why, "; ") }

// Parked lists what waits for a person, by record. It reads the whole table, which
// has to be a table.Scanner.
func (l *Ledger) Parked(ctx context.Context) ([]ParkedRecord, error) {
	scanner, ok := l.Table.(table.Scanner)
	if !ok {
		return nil, errors.New("this table cannot be read whole")
	}
	s := survey{waits: map[record.Ref][]string{}, pair: map[record.Ref]pairKey{}, stamped: map[pairKey]time.Time{}, newest: map[record.Ref]newest{}}
	if err := scanner.Scan(ctx, s.see); err != nil {
		return nil, err
	}
	s.leftByEvents()
	var all []ParkedRecord
	for ref, why := range s.waits {
		all = append(all, ParkedRecord{ref, why})
	}
	slices.SortFunc(all, func(a, b ParkedRecord) int {
		return cmp.Or(cmp.Compare(a.Record.System, b.Record.System), cmp.Compare(a.Record.Object, b.Record.Object), cmp.Compare(a.Record.ID, b.Record.ID))
	})
	return all, nil
}

// survey is what the rows of a table tell, in whichever order they come.
type survey struct {
	waits   map[record.Ref][]string
	pair    map[record.Ref]pairKey
	stamped map[pairKey]time.Time
	newest  map[record.Ref]newest
}

// pairKey is a spec's pair and a record's id in HubSpot.
type pairKey struct{ pair, id string }

// newest is a record's newest outcome that stamped nothing, and the key it is sorted by.
type newest struct{ sk, outcome string }

func (s *survey) see(row table.Item) {
	parts := strings.SplitN(row.PK, "#", 4)
	if len(parts) != 4 {
		return
	}
	ref := record.Ref{System: record.System(parts[1]), Object: parts[2], ID: parts[3]}
	switch parts[0] + "#" {
	case mapPK:
		s.mapping(ref, row.Attrs)
	case outPK:
		if was, ok := s.newest[ref]; !ok || row.SK < was.sk {
			s.newest[ref] = newest{row.SK, row.Attrs[attrOutcome]}
		}
	}
}

// mapping reads a row of the mapping. A linked pair is told of once, by its HubSpot side.
func (s *survey) mapping(ref record.Ref, a map[string]string) {
	key := pairKey{a[attrPair], a[attrPartner]}
	if ref.System == record.HubSpot {
		key.id = ref.ID
	}
	s.pair[ref] = key
	if at := millis(a[attrStamped]); at.After(s.stamped[key]) {
		s.stamped[key] = at
	}
	if why := personal(ref.System, a); len(why) > 0 {
		s.waits[ref] = why
	}
}

// personal tells what of a row waits for a person.
func personal(system record.System, a map[string]string) (why []string) {
	if a[attrState] == string(Parked) {
		why = append(why, "the record: "+a[attrReason])
	}
	if system != record.HubSpot {
		return why
	}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if field, ok := strings.CutPrefix(name, prefixParked); ok {
			why = append(why, "field "+field+": "+a[name])
		}
	}
	for _, wait := range WaitsOf(a) {
		why = append(why, "field "+wait.String())
	}
	return why
}

// leftByEvents adds the records of which no row says that they wait, and whose newest
// event was left to a person all the same: a guard stopped it, or its partner is missing.
func (s *survey) leftByEvents() {
	for ref, n := range s.newest {
		var o Outcome
		fromJSON(n.outcome, &o)
		if o.Kind == ParkedKind && len(s.waits[ref]) == 0 && !o.At.Before(s.stamped[s.pair[ref]]) {
			s.waits[ref] = []string{"its newest event: " + o.Reason}
		}
	}
}
