// Package tabletest is the suite that every table.Table passes. It is written
// from package table's comments and DynamoDB's documented behaviour, and it is
// the only thing that says two implementations are the same table.
package tabletest

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/table"
)

// Open makes an empty table that reads the time from now.
type Open func(t *testing.T, now func() time.Time) table.Table

// Clock is a clock that a test sets. It begins in 2040, so that no real table
// takes its rows for expired.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock at the beginning of 2040.
func NewClock() *Clock { return &Clock{now: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Run runs the suite; steps is the length of the random history that is compared
// with the model.
func Run(t *testing.T, open Open, steps int) {
	for _, c := range []struct {
		name string
		test func(*fixture)
	}{
		{"absent rows have revision 0", absent},
		{"every change raises the revision by one", revisions},
		{"a condition that does not hold changes nothing and shows the row", conditions},
		{"Set and Remove touch only what they name", setAndRemove},
		{"any attribute name and text is kept", names},
		{"Delete removes the row, and a row made again starts at 1", deletes},
		{"several updates are all applied or none", transactions},
		{"a row past its expiry is absent to every operation", expiry},
		{"expiries are whole seconds, never early", expirySeconds},
		{"Query goes in byte order, page by page", queries},
		{"Query skips expired rows without ending early", queryExpired},
		{"Scan shows every row once, and none that has expired", scans},
		{"100 rows are read and changed at once, 101 refused", batches},
		{"requests DynamoDB would refuse are refused", invalid},
		{"what a reader is given is its own", ownership},
		{"a cancelled context stops a call", cancelled},
		{"of 20 writers racing for a row one wins, 50 times over", race},
		{"concurrent increments under AtRev lose nothing", increments},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := NewClock()
			c.test(&fixture{T: t, table: open(t, clock.Now), clock: clock})
		})
	}
	t.Run("a random history matches the model", func(t *testing.T) { Compare(t, open, steps) })
}

// fixture is one test's table with short words for what tests do.
type fixture struct {
	*testing.T
	table table.Table
	clock *Clock
}

var key = table.Key{PK: "MAP#hubspot#contacts#1", SK: "PAIR"}

func sub(i int) table.Key { return table.Key{PK: key.PK, SK: fmt.Sprintf("%03d", i)} }

type attrs = map[string]string

func (f *fixture) get(k table.Key) table.Item {
	f.Helper()
	items, err := f.table.Get(f.Context(), k)
	if err != nil || len(items) != 1 {
		f.Fatalf("Get: %d items, %v", len(items), err)
	}
	return items[0]
}

// must applies updates that have to succeed.
func (f *fixture) must(updates ...table.Update) []int64 {
	f.Helper()
	revs, err := f.table.Update(f.Context(), updates...)
	if err != nil {
		f.Fatalf("Update: %v", err)
	}
	return revs
}

// moved applies updates that a condition has to stop, and returns the row shown.
func (f *fixture) moved(updates ...table.Update) table.Item {
	f.Helper()
	revs, err := f.table.Update(f.Context(), updates...)
	it, ok := table.Moved(err)
	if !ok || revs != nil {
		f.Fatalf("Update returned %v, %v; want a ConditionError", revs, err)
	}
	return it
}

func (f *fixture) want(got, want any) {
	f.Helper()
	if !reflect.DeepEqual(got, want) {
		f.Fatalf("got  %#v\nwant %#v", got, want)
	}
}

func absent(f *fixture) {
	f.want(f.get(key), table.Item{Key: key})
	items, err := f.table.Get(f.Context())
	f.want([]any{len(items), err}, []any{0, error(nil)})
	items, err = f.table.Query(f.Context(), key.PK, "", 10)
	f.want([]any{len(items), err}, []any{0, error(nil)})
	revs, err := f.table.Update(f.Context())
	f.want([]any{len(revs), err}, []any{0, error(nil)})
}

func revisions(f *fixture) {
	f.want(f.must(table.Update{Key: key, Set: attrs{"a": "1"}}), []int64{1})
	f.want(f.must(table.Update{Key: key, If: table.AtRev(1)}), []int64{2})
	f.want(f.must(table.Update{Key: key, If: table.Always, Set: attrs{"a": "2"}}), []int64{3})
	f.want(f.must(table.Update{Key: sub(1), If: table.Always}), []int64{1})
	f.want(f.get(key), table.Item{Key: key, Rev: 3, Attrs: attrs{"a": "2"}})
	f.want(f.get(sub(1)), table.Item{Key: sub(1), Rev: 1, Attrs: attrs{}})
}

func conditions(f *fixture) {
	f.want(f.moved(table.Update{Key: key, If: table.AtRev(1), Set: attrs{"a": "x"}}), table.Item{Key: key})
	f.must(table.Update{Key: key, If: table.AtRev(0), Set: attrs{"a": "1"}})
	row := table.Item{Key: key, Rev: 1, Attrs: attrs{"a": "1"}}
	f.want(f.moved(table.Update{Key: key, If: table.Absent, Set: attrs{"a": "x"}}), row)
	f.want(f.moved(table.Update{Key: key, If: table.AtRev(2), Set: attrs{"a": "x"}}), row)
	f.want(f.moved(table.Update{Key: key, If: table.AtRev(2), Delete: true}), row)
	f.want(f.moved(table.Update{Key: key, If: table.Absent, Delete: true}), row)
	f.want(f.get(key), row)
}

func setAndRemove(f *fixture) {
	f.must(table.Update{Key: key, Set: attrs{"a": "1", "b": "2", "c": "3"}})
	f.must(table.Update{Key: key, If: table.AtRev(1), Set: attrs{"b": "two", "d": "4"}, Remove: []string{"a", "never"}})
	f.want(f.get(key).Attrs, attrs{"b": "two", "c": "3", "d": "4"})
	f.must(table.Update{Key: key, If: table.Always, Remove: []string{"b", "c", "d"}})
	f.want(f.get(key), table.Item{Key: key, Rev: 3, Attrs: attrs{}})
	f.must(table.Update{Key: sub(2), Remove: []string{"a"}})
	f.want(f.get(sub(2)), table.Item{Key: sub(2), Rev: 1, Attrs: attrs{}})
}

func names(f *fixture) {
	odd := attrs{
		"name": "reserved", "status": "reserved", "hash": "reserved", "a.b": "dot", "a[0]": "index", "#a": "hash sign",
		":a": "colon", "with space": "", "ü": "é\u0301", "a-b": "line\nbreak \x00 and nul", "emoji": "🐝", "quote": `"'\`,
		"long": strings.Repeat("x", 100_000),
	}
	f.must(table.Update{Key: key, Set: odd})
	f.want(f.get(key).Attrs, odd)
	f.must(table.Update{Key: key, If: table.AtRev(1), Set: odd})
	f.want(f.get(key).Attrs, odd)
	var all []string
	for name := range odd {
		all = append(all, name)
	}
	f.must(table.Update{Key: key, If: table.AtRev(2), Remove: all})
	f.want(f.get(key).Attrs, attrs{})
}

func deletes(f *fixture) {
	f.want(f.must(table.Update{Key: key, If: table.Always, Delete: true}), []int64{0})
	f.want(f.must(table.Update{Key: key, If: table.Absent, Delete: true}), []int64{0})
	f.must(table.Update{Key: key, Set: attrs{"a": "1"}})
	f.must(table.Update{Key: key, If: table.AtRev(1), Set: attrs{"b": "1"}})
	f.want(f.must(table.Update{Key: key, If: table.AtRev(2), Delete: true}), []int64{0})
	f.want(f.get(key), table.Item{Key: key})
	f.want(f.must(table.Update{Key: key, If: table.Absent, Set: attrs{"c": "1"}}), []int64{1})
	f.want(f.get(key), table.Item{Key: key, Rev: 1, Attrs: attrs{"c": "1"}})
}

func transactions(f *fixture) {
	f.must(table.Update{Key: sub(1), Set: attrs{"a": "1"}}, table.Update{Key: sub(2), Set: attrs{"a": "2"}})
	f.want(f.must(
		table.Update{Key: sub(1), If: table.AtRev(1), Set: attrs{"b": "1"}},
		table.Update{Key: sub(2), If: table.Always, Delete: true},
		table.Update{Key: sub(3), If: table.Absent, Set: attrs{"c": "1"}},
		table.Update{Key: sub(4), If: table.Always, Set: attrs{"d": "1"}},
	), []int64{2, 0, 1, 0})
	before, err := f.table.Query(f.Context(), key.PK, "", 10)
	f.want([]any{len(before), err}, []any{3, error(nil)})

	// The second and the third fail; the second is the one shown.
	f.want(f.moved(
		table.Update{Key: sub(5), Set: attrs{"x": "x"}},
		table.Update{Key: sub(1), If: table.AtRev(9), Set: attrs{"x": "x"}},
		table.Update{Key: sub(3), If: table.Absent, Set: attrs{"x": "x"}},
		table.Update{Key: sub(4), If: table.Always, Delete: true},
	), table.Item{Key: sub(1), Rev: 2, Attrs: attrs{"a": "1", "b": "1"}})
	after, err := f.table.Query(f.Context(), key.PK, "", 10)
	f.want(err, error(nil))
	f.want(after, before)
	items, err := f.table.Get(f.Context(), sub(5), sub(1), sub(5))
	f.want([]any{len(items), err}, []any{3, error(nil)})
	f.want([]int64{items[0].Rev, items[1].Rev, items[2].Rev}, []int64{0, 2, 0})
}

func expiry(f *fixture) {
	at := f.clock.Now().Add(10 * time.Second)
	make5 := func() {
		for i := range 5 {
			f.must(table.Update{Key: sub(i), Set: attrs{"old": "1"}, Expires: at})
			f.must(table.Update{Key: sub(i), If: table.AtRev(1)})
		}
	}
	make5()
	f.want(f.get(sub(0)), table.Item{Key: sub(0), Rev: 2, Attrs: attrs{"old": "1"}, Expires: at})
	f.clock.Advance(10*time.Second - 1)
	f.want(f.get(sub(0)).Rev, int64(2))
	f.clock.Advance(1)
	f.want(f.get(sub(0)), table.Item{Key: sub(0)})
	f.want(f.moved(table.Update{Key: sub(0), If: table.AtRev(2), Set: attrs{"new": "1"}}), table.Item{Key: sub(0)})
	f.want(f.moved(table.Update{Key: sub(0), If: table.AtRev(2), Delete: true}), table.Item{Key: sub(0)})

	// Nothing of the old row, its expiry included, is in a row made over it.
	fresh := func(k table.Key) table.Item { return table.Item{Key: k, Rev: 1, Attrs: attrs{"new": "1"}} }
	f.want(f.must(table.Update{Key: sub(0), If: table.Absent, Set: attrs{"new": "1"}}), []int64{1})
	f.want(f.get(sub(0)), fresh(sub(0)))
	f.want(f.must(table.Update{Key: sub(1), If: table.Always, Set: attrs{"new": "1"}}), []int64{1})
	f.want(f.get(sub(1)), fresh(sub(1)))
	f.must(table.Update{Key: sub(2), If: table.Always, Set: attrs{"new": "1"}}, table.Update{Key: sub(3), If: table.Absent, Set: attrs{"new": "1"}})
	f.want(f.get(sub(2)), fresh(sub(2)))
	f.want(f.get(sub(3)), fresh(sub(3)))
	f.want(f.must(table.Update{Key: sub(4), If: table.Absent, Delete: true}), []int64{0})
}

func expirySeconds(f *fixture) {
	f.clock.Advance(300 * time.Millisecond)
	at := f.clock.Now().Add(time.Second) // rounded up to 2 s after the clock's beginning
	f.must(table.Update{Key: key, Expires: at})
	stored := f.get(key).Expires
	f.want(stored, at.Truncate(time.Second).Add(time.Second))
	f.clock.Advance(stored.Sub(f.clock.Now()) - 1)
	f.want(f.get(key).Rev, int64(1))
	f.must(table.Update{Key: key, If: table.AtRev(1), Expires: stored.Add(time.Minute)})
	f.clock.Advance(time.Second)
	f.want(f.get(key).Rev, int64(2))
}

func queries(f *fixture) {
	sks := []string{"", "0", "00", "1", "A", "B#1", "B#10", "B#2", "a", "é", "\uffff", "𐀀"} // "" is where a listing begins
	for i := len(sks) - 1; i > 0; i-- {
		f.must(table.Update{Key: table.Key{PK: key.PK, SK: sks[i]}, Set: attrs{"i": sks[i]}})
	}
	f.must(table.Update{Key: table.Key{PK: key.PK + "0", SK: "other"}})
	for limit := 1; limit <= len(sks); limit++ {
		var got []string
		after := ""
		for {
			page, err := f.table.Query(f.Context(), key.PK, after, limit)
			if err != nil || len(page) > limit {
				f.Fatalf("Query after %q, at most %d: %d items, %v", after, limit, len(page), err)
			}
			for _, it := range page {
				f.want(it, table.Item{Key: table.Key{PK: key.PK, SK: it.SK}, Rev: 1, Attrs: attrs{"i": it.SK}})
				got, after = append(got, it.SK), it.SK
			}
			if len(page) < limit {
				break
			}
		}
		f.want(got, sks[1:])
	}
	page, err := f.table.Query(f.Context(), key.PK, "B", 2) // after a key that does not exist
	f.want([]any{page[0].SK, page[1].SK, err}, []any{"B#1", "B#10", error(nil)})
}

func queryExpired(f *fixture) {
	for i := range 30 {
		u := table.Update{Key: sub(i)}
		if i%10 != 9 {
			u.Expires = f.clock.Now().Add(time.Second)
		}
		f.must(u)
	}
	f.clock.Advance(time.Second)
	page, err := f.table.Query(f.Context(), key.PK, "", 2)
	f.want([]any{len(page), err}, []any{2, error(nil)})
	f.want([]string{page[0].SK, page[1].SK}, []string{"009", "019"})
	page, err = f.table.Query(f.Context(), key.PK, "019", 2)
	f.want([]any{len(page), err}, []any{1, error(nil)})
}

// scans holds more than the megabyte that DynamoDB answers at once.
func scans(f *fixture) {
	want := map[table.Key]string{}
	for i := range 16 {
		u := table.Update{Key: table.Key{PK: fmt.Sprintf("P%d", i%5), SK: fmt.Sprint(i)}, Set: attrs{"x": strings.Repeat(fmt.Sprint(i%10), 100_000)}}
		if i%4 == 3 {
			u.Expires = f.clock.Now().Add(time.Second)
		} else {
			want[u.Key] = u.Set["x"]
		}
		f.must(u)
	}
	f.clock.Advance(time.Second)
	got, seen := map[table.Key]string{}, 0
	err := f.table.(table.Scanner).Scan(f.Context(), func(it table.Item) {
		got[it.Key], seen = it.Attrs["x"], seen+1
	})
	f.want([]any{err, seen}, []any{error(nil), len(want)})
	f.want(got, want)
	cancelled, cancel := context.WithCancel(f.Context())
	cancel()
	if err := f.table.(table.Scanner).Scan(cancelled, func(table.Item) {}); err == nil {
		f.Fatal("a cancelled scan went on")
	}
}

func batches(f *fixture) {
	var keys []table.Key
	var updates []table.Update
	for i := range 101 {
		keys = append(keys, table.Key{PK: fmt.Sprintf("P%d", i%7), SK: fmt.Sprint(i)})
		updates = append(updates, table.Update{Key: keys[i], Set: attrs{"i": fmt.Sprint(i)}})
	}
	for _, rev := range f.must(updates[:100]...) {
		f.want(rev, int64(1))
	}
	items, err := f.table.Get(f.Context(), keys[1:]...)
	f.want([]any{len(items), err}, []any{100, error(nil)})
	for i, it := range items[:99] {
		f.want(it, table.Item{Key: keys[i+1], Rev: 1, Attrs: attrs{"i": fmt.Sprint(i + 1)}})
	}
	f.want(items[99], table.Item{Key: keys[100]})
	f.refused(func(ctx context.Context) error { _, err := f.table.Get(ctx, keys...); return err })
	f.refused(func(ctx context.Context) error { _, err := f.table.Update(ctx, updates...); return err })
}
