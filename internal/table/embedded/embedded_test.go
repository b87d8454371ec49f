package embedded

import (
	"testing"
	"time"

	"tandem/internal/table"
	"tandem/internal/table/tabletest"
)

func TestMemory(t *testing.T) {
	tabletest.Run(t, func(t *testing.T, now func() time.Time) table.Table { return open(t, "", now) }, 5000)
}

func TestFile(t *testing.T) {
	tabletest.Run(t, func(t *testing.T, now func() time.Time) table.Table { return open(t, t.TempDir(), now) }, 5000)
}

func TestFileSynced(t *testing.T) {
	tabletest.Run(t, func(t *testing.T, now func() time.Time) table.Table { return open(t, t.TempDir(), now, Sync) }, 200)
}

// A table that is closed and opened again before every call is the same table.
func TestReopened(t *testing.T) {
	tabletest.Compare(t, func(t *testing.T, now func() time.Time) table.Table {
		return &reopening{t: t, dir: t.TempDir(), now: now}
	}, 1000)
}

func open(t testing.TB, dir string, now func() time.Time, options ...Option) *Table {
	t.Helper()
	tb, err := Open(dir, now, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tb.Close(); err != nil {
			t.Error(err)
		}
	})
	return tb
}
