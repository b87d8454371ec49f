package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/internal/table"
)

// compactAfter lets tests reach compaction with little data.
func (t *Table) compactAfter(growth int64) { t.log.growth = growth }

func set(t testing.TB, tb *Table, sk, value string) {
	t.Helper()
	if _, err := tb.Update(t.Context(), table.Update{Key: table.Key{PK: "P", SK: sk}, If: table.Always, Set: map[string]string{"v": value}}); err != nil {
		t.Fatal(err)
	}
}

func value(t testing.TB, tb *Table, sk string) string {
	t.Helper()
	items, err := tb.Get(t.Context(), table.Key{PK: "P", SK: sk})
	if err != nil {
		t.Fatal(err)
	}
	return items[0].Attrs["v"]
}

// written returns the log of three changes and where each record begins.
func written(t *testing.T) (log []byte, starts []int) {
	t.Helper()
	dir := t.TempDir()
	tb := open(t, dir, nil)
	for i := range 3 {
		starts = append(starts, int(tb.log.size))
		set(t, tb, fmt.Sprint(i), strings.Repeat("v", 100))
	}
	tb.Close()
	log, err := os.ReadFile(filepath.Join(dir, logName))
	if err != nil {
		t.Fatal(err)
	}
	return log, append(starts, len(log))
}

func reopen(t *testing.T, log []byte) (*Table, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, logName), log, 0o600); err != nil {
		t.Fatal(err)
	}
	tb, err := Open(dir, nil)
	if err == nil {
		t.Cleanup(func() { tb.Close() })
	}
	return tb, err
}

// A log that ends anywhere opens with the records before, and can be written again.
func TestTornTail(t *testing.T) {
	log, starts := written(t)
	for cut := range log {
		tb, err := reopen(t, log[:cut])
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		kept := 0
		for kept < 3 && starts[kept+1] <= cut {
			kept++
		}
		for i := range 3 {
			if got := value(t, tb, fmt.Sprint(i)) != ""; got != (i < kept) {
				t.Fatalf("cut at %d: row %d present: %v, want %d rows", cut, i, got, kept)
			}
		}
		if want := int64(cut - starts[kept]); cut > starts[0] && tb.Truncated() != want {
			t.Fatalf("cut at %d: %d bytes reported cut off, want %d", cut, tb.Truncated(), want)
		}
		set(t, tb, "new", "1")
		dir := tb.log.dir
		tb.Close()
		if again := open(t, dir, nil); value(t, again, "new") != "1" {
			t.Fatalf("cut at %d: what was written afterwards is gone", cut)
		}
	}
}

// A tail of zeros, which a machine without power may leave, is a torn tail.
func TestZeroTail(t *testing.T) {
	log, _ := written(t)
	for _, zeros := range []int{1, 11, 12, 13, 5000} {
		tb, err := reopen(t, append(bytes.Clone(log), make([]byte, zeros)...))
		if err != nil || value(t, tb, "2") == "" || tb.Truncated() != int64(zeros) {
			t.Errorf("%d zeros: %v", zeros, err)
		}
	}
}

// Any single damaged bit before the last record is an error that says where.
func TestDamage(t *testing.T) {
	log, starts := written(t)
	for at := range starts[2] {
		for bit := range 8 {
			damaged := bytes.Clone(log)
			damaged[at] ^= 1 << bit
			into := newRows()
			_, err := replay(bytes.NewReader(damaged), logName, int64(len(damaged)), &into)
			if err == nil || !strings.Contains(err.Error(), logName) {
				t.Fatalf("bit %d of byte %d: %v", bit, at, err)
			}
		}
	}
	log[starts[1]] ^= 1
	if _, err := reopen(t, log); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("damaged at byte %d", starts[1])) {
		t.Errorf("opening a damaged log: %v", err)
	}
}

// A second opener is told who holds the directory, and gets in afterwards.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, nil)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d", os.Getpid())) {
		t.Errorf("second Open: %v", err)
	}
	first.Close()
	second, err := Open(dir, nil)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	second.Close()
}

// Every call after Close is refused.
func TestClosed(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		tb := open(t, dir, nil)
		tb.Close()
		_, getErr := tb.Get(t.Context(), table.Key{PK: "p", SK: "s"})
		_, updateErr := tb.Update(t.Context(), table.Update{Key: table.Key{PK: "p", SK: "s"}})
		_, queryErr := tb.Query(t.Context(), "p", "", 1)
		for _, err := range []error{getErr, updateErr, queryErr} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
		}
	}
}

// The log of a row changed ever again stays small, and keeps its last state.
func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	tb := open(t, dir, nil)
	tb.compactAfter(10_000)
	for i := range 2000 {
		set(t, tb, fmt.Sprint(i%5), strings.Repeat("v", 100)+fmt.Sprint(i))
		if tb.log.size > 15_000 {
			t.Fatalf("the log of 5 rows has %d bytes", tb.log.size)
		}
	}
	tb.Close()
	tb = open(t, dir, nil)
	for i := range 5 {
		if got, want := value(t, tb, fmt.Sprint(i)), strings.Repeat("v", 100)+fmt.Sprint(1995+i); got != want {
			t.Errorf("row %d: %q, want %q", i, got, want)
		}
	}
}

// Rows past their expiry leave memory and the log.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	tb := open(t, dir, func() time.Time { return now })
	tb.compactAfter(10_000)
	for i := range 20_000 {
		now = now.Add(time.Second)
		k := table.Key{PK: "P" + fmt.Sprint(i%100), SK: fmt.Sprint(i)}
		if _, err := tb.Update(t.Context(), table.Update{Key: k, Expires: now.Add(10 * time.Second)}); err != nil {
			t.Fatal(err)
		}
		if tb.rows.count > 2*sweepMin || tb.log.size > 200_000 {
			t.Fatalf("%d rows in memory and a log of %d bytes, 10 rows are alive", tb.rows.count, tb.log.size)
		}
	}
}

// A change that could not be written did not happen, and the next one does.
func TestFailedWrite(t *testing.T) {
	dir := t.TempDir()
	tb := open(t, dir, nil)
	set(t, tb, "a", "1")
	whole := tb.log.file
	readOnly, err := os.Open(whole.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	tb.log.file = readOnly
	if _, err := tb.Update(t.Context(), table.Update{Key: table.Key{PK: "P", SK: "b"}}); err == nil {
		t.Fatal("a change that was not written was acknowledged")
	}
	if tb.log.broken == nil || value(t, tb, "a") != "1" || value(t, tb, "b") != "" {
		t.Error("the table shows a change that is not in its log")
	}
	tb.log.file, tb.log.broken = whole, nil
	set(t, tb, "b", "2")
	tb.Close()
	if again := open(t, dir, nil); value(t, again, "b") != "2" || value(t, again, "a") != "1" {
		t.Error("rows are missing after a failed write")
	}
}

// Concurrent synced updates all survive; each caller waits for its own.
func TestSyncGroups(t *testing.T) {
	dir := t.TempDir()
	tb := open(t, dir, nil, Sync)
	done := make(chan error)
	const callers = 50
	for i := range callers {
		go func() {
			_, err := tb.Update(t.Context(), table.Update{Key: table.Key{PK: "P", SK: fmt.Sprint(i)}})
			done <- err
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if tb.log.synced != tb.log.total.Load() {
		t.Errorf("%d of %d bytes are on the disk", tb.log.synced, tb.log.total.Load())
	}
}
