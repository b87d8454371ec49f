package tabletest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"tandem/internal/table"
)

// model is the table as one would explain it: a map, and nothing to go wrong.
type model struct {
	now  func() time.Time
	rows map[table.Key]table.Item
}

func (m *model) get(k table.Key) table.Item {
	it, ok := m.rows[k]
	if !ok || !it.Expires.IsZero() && !m.now().Before(it.Expires) {
		return table.Item{Key: k}
	}
	return it
}

func (m *model) update(updates []table.Update) ([]int64, *table.Item) {
	for _, u := range updates {
		if it := m.get(u.Key); !u.If.Unconditional() && it.Rev != u.If.Rev() {
			return nil, &it
		}
	}
	revs := make([]int64, len(updates))
	for i, u := range updates {
		rev := m.apply(u)
		if len(updates) == 1 || !u.If.Unconditional() {
			revs[i] = rev
		}
	}
	return revs, nil
}

func (m *model) apply(u table.Update) int64 {
	if u.Delete {
		delete(m.rows, u.Key)
		return 0
	}
	it := m.get(u.Key)
	it.Rev++
	it.Attrs = maps.Clone(it.Attrs)
	if it.Attrs == nil {
		it.Attrs = attrs{}
	}
	maps.Copy(it.Attrs, u.Set)
	for _, name := range u.Remove {
		delete(it.Attrs, name)
	}
	if !u.Expires.IsZero() {
		it.Expires = u.Expires
	}
	m.rows[u.Key] = it
	return it.Rev
}

func (m *model) query(pk, after string, limit int) []table.Item {
	var items []table.Item
	for k := range m.rows {
		if it := m.get(k); k.PK == pk && k.SK > after && it.Rev > 0 {
			items = append(items, it)
		}
	}
	slices.SortFunc(items, func(a, b table.Item) int {
		if a.SK < b.SK {
			return -1
		}
		return 1
	})
	return items[:min(limit, len(items))]
}

// Compare applies a random history to a table and to a model and expects the
// same answers. The seed is fixed, and printed, so that a failure repeats.
func Compare(t *testing.T, open Open, steps int) {
	const seed = 20261123
	clock := NewClock()
	f := &fixture{T: t, table: open(t, clock.Now), clock: clock}
	h := &history{rand.New(rand.NewPCG(seed, 0)), &model{now: clock.Now, rows: map[table.Key]table.Item{}}}
	step := 0
	defer func() {
		if t.Failed() {
			t.Logf("at step %d of seed %d", step, seed)
		}
	}()
	for ; step < steps; step++ {
		h.step(f)
	}
}

type history struct {
	*rand.Rand
	*model
}

func (h *history) step(f *fixture) {
	switch h.IntN(10) {
	case 0:
		f.clock.Advance(time.Duration(h.IntN(4)) * time.Second)
	case 1:
		pk, after, limit := h.key().PK, h.key().SK, 1+h.IntN(5)
		if h.IntN(2) == 0 {
			after = ""
		}
		got, err := f.table.Query(f.Context(), pk, after, limit)
		f.want(err, error(nil))
		f.want(append([]table.Item{}, got...), append([]table.Item{}, h.query(pk, after, limit)...))
	case 2, 3:
		keys := make([]table.Key, 1+h.IntN(4))
		want := make([]table.Item, len(keys))
		for i := range keys {
			keys[i] = h.key()
			want[i] = h.get(keys[i])
		}
		got, err := f.table.Get(f.Context(), keys...)
		f.want(err, error(nil))
		f.want(got, want)
	default:
		updates := h.updates(f.clock.Now())
		revs, moved := h.update(updates)
		if moved != nil {
			f.want(f.moved(updates...), *moved)
			return
		}
		f.want(f.must(updates...), revs)
	}
}

func (h *history) key() table.Key {
	return table.Key{PK: "P" + strconv.Itoa(h.IntN(3)), SK: "S" + strconv.Itoa(h.IntN(4))}
}

func (h *history) updates(now time.Time) []table.Update {
	var updates []table.Update
	for range 1 + h.IntN(3) {
		u := h.randomUpdate(now)
		if !slices.ContainsFunc(updates, func(o table.Update) bool { return o.Key == u.Key }) {
			updates = append(updates, u)
		}
	}
	return updates
}

func (h *history) randomUpdate(now time.Time) table.Update {
	u := table.Update{Key: h.key(), If: table.Always}
	switch h.IntN(5) {
	case 0:
		u.If = table.Absent
	case 1, 2:
		u.If = table.AtRev(h.get(u.Key).Rev)
	case 3:
		u.If = table.AtRev(int64(h.IntN(4)))
	}
	if u.Delete = h.IntN(5) == 0; u.Delete {
		return u
	}
	names := []string{"name", "status", "size", "a.b", "base", "ttl2"}
	h.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	u.Set = attrs{}
	for _, name := range names[:h.IntN(4)] {
		u.Set[name] = []string{"", "x", "ü", "0"}[h.IntN(4)]
	}
	if h.IntN(2) == 0 {
		u.Remove = names[4:]
	}
	if h.IntN(3) == 0 {
		u.Expires = now.Add(time.Duration(h.IntN(4)) * time.Second)
	}
	return u
}
