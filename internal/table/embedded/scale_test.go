package embedded

import (
	"runtime"
	"strconv"
	"testing"

	"tandem/internal/table"
)

// BenchmarkOpen opens a log of 100,000 mapping rows, each changed five times
// (fewer records are read when a compaction fell in between), and reports what a
// row costs in memory and in the log.
func BenchmarkOpen(b *testing.B) {
	const rows, changes = 100_000, 5
	dir := b.TempDir()
	tb := open(b, dir, nil)
	set := mapping()
	for c := range changes {
		for i := range rows {
			k := table.Key{PK: "MAP#hubspot#contacts#" + strconv.Itoa(i), SK: "PAIR"}
			if _, err := tb.Update(b.Context(), table.Update{Key: k, If: table.AtRev(int64(c)), Set: set}); err != nil {
				b.Fatal(err)
			}
		}
	}
	size := tb.log.size
	tb.Close()
	var before, after runtime.MemStats
	for b.Loop() {
		tb = nil
		runtime.GC()
		runtime.ReadMemStats(&before)
		var err error
		if tb, err = Open(dir, nil); err != nil {
			b.Fatal(err)
		}
		tb.Close()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/rows, "B/row")
	b.ReportMetric(float64(size)/rows, "logB/row")
	runtime.KeepAlive(tb)
}
