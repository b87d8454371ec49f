package tabletest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"tandem/internal/table"
)

// refused checks that call is told to be the caller's mistake.
func (f *fixture) refused(call func(context.Context) error) {
	f.Helper()
	if err := call(f.Context()); !errors.Is(err, table.ErrInvalid) {
		f.Errorf("got %v, want ErrInvalid", err)
	}
}

func invalid(f *fixture) {
	huge := strings.Repeat("x", table.MaxItemBytes)
	half := strings.Repeat("x", table.MaxItemBytes/2)
	f.must(table.Update{Key: sub(1), Set: attrs{"a": half}})
	for name, updates := range map[string][]table.Update{
		"empty PK":              {{Key: table.Key{SK: "x"}}},
		"empty SK":              {{Key: table.Key{PK: "x"}}},
		"long PK":               {{Key: table.Key{PK: huge[:2049], SK: "x"}}},
		"long SK":               {{Key: table.Key{PK: "x", SK: huge[:1025]}}},
		"one row twice":         {{Key: key, If: table.Always}, {Key: key, If: table.Always}},
		"column name":           {{Key: key, Set: attrs{"rev": "1"}}},
		"column removed":        {{Key: key, Remove: []string{"ttl"}}},
		"empty name":            {{Key: key, Set: attrs{"": "1"}}},
		"set and removed":       {{Key: key, Set: attrs{"a": "1"}, Remove: []string{"a"}}},
		"delete with set":       {{Key: key, If: table.Always, Delete: true, Set: attrs{"a": "1"}}},
		"value not UTF-8":       {{Key: key, Set: attrs{"a": "\xff"}}},
		"too large":             {{Key: key, Set: attrs{"a": huge}}},
		"grown too large":       {{Key: sub(1), If: table.AtRev(1), Set: attrs{"b": half}}},
		"grown in transaction":  {{Key: sub(1), If: table.AtRev(1), Set: attrs{"b": half}}, {Key: sub(2)}},
		"too large in all":      manyLarge(),
		"name given twice":      {{Key: key, Remove: []string{"a", "a"}}},
		"delete with an expiry": {{Key: key, If: table.Always, Delete: true, Expires: f.clock.Now()}},
	} {
		f.Run(name, func(t *testing.T) {
			_, err := f.table.Update(t.Context(), updates...)
			if !errors.Is(err, table.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
	f.want(f.get(key).Rev, int64(0))
	f.want(f.get(sub(1)).Rev, int64(1))
	f.refused(func(ctx context.Context) error { _, err := f.table.Query(ctx, "", "", 1); return err })
	f.refused(func(ctx context.Context) error { _, err := f.table.Query(ctx, "p", "", 0); return err })
	f.refused(func(ctx context.Context) error { _, err := f.table.Get(ctx, table.Key{PK: "p"}); return err })
}

func manyLarge() (updates []table.Update) {
	for i := range 20 {
		updates = append(updates, table.Update{Key: sub(i + 50), Set: attrs{"a": strings.Repeat("x", 300_000)}})
	}
	return updates
}

func ownership(f *fixture) {
	set := attrs{"a": "1"}
	f.must(table.Update{Key: key, Set: set})
	set["a"] = "changed"
	it := f.get(key)
	it.Attrs["a"], it.Attrs["b"] = "changed", "added"
	f.want(f.get(key).Attrs, attrs{"a": "1"})
}

func cancelled(f *fixture) {
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	_, getErr := f.table.Get(ctx, key)
	_, updateErr := f.table.Update(ctx, table.Update{Key: key})
	_, queryErr := f.table.Query(ctx, key.PK, "", 1)
	for _, err := range []error{getErr, updateErr, queryErr} {
		if !errors.Is(err, context.Canceled) {
			f.Errorf("got %v, want context.Canceled", err)
		}
	}
	f.want(f.get(key).Rev, int64(0))
}
