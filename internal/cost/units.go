package cost

import (
	"context"
	"strings"

	"tandem/internal/table"
)

// meter counts the capacity units that DynamoDB would bill for a table: by the
// size of every row that is read (4 KB a unit, strongly consistent) or written
// (1 KB a unit, the larger of before and after, twice in a transaction). See
// Amazon DynamoDB developer guide, "Read and write operations".
type meter struct {
	table.Table
	reads, writes, limits float64
	requests              int
}

// Get implements table.Table. An absent row is read for one unit.
func (m *meter) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	items, err := m.Table.Get(ctx, keys...)
	m.requests++
	for _, it := range items {
		m.reads += units(table.Size(it), table.ReadUnit)
	}
	return items, err
}

// Query implements table.Table. The rows of one answer are added up.
func (m *meter) Query(ctx context.Context, pk, after string, limit int) ([]table.Item, error) {
	items, err := m.Table.Query(ctx, pk, after, limit)
	m.requests++
	all := 0
	for _, it := range items {
		all += table.Size(it)
	}
	m.reads += units(all, table.ReadUnit)
	return items, err
}

// Update implements table.Table. A refused condition is billed like a write.
func (m *meter) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	keys := make([]table.Key, len(updates))
	for i, u := range updates {
		keys[i] = u.Key
	}
	before, err := m.Table.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	revs, failed := m.Table.Update(ctx, updates...)
	after, err := m.Table.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	m.requests++
	for i, u := range updates {
		n := units(max(table.Size(before[i]), table.Size(after[i])), table.WriteUnit)
		if len(updates) > 1 {
			n *= 2
		}
		if strings.HasPrefix(u.Key.PK, "LIMIT#") {
			m.limits += n
		} else {
			m.writes += n
		}
	}
	return revs, failed
}

func units(bytes, unit int) float64 { return float64(max(1, (bytes+unit-1)/unit)) }
