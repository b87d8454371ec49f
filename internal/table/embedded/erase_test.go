package embedded

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tandem/internal/table"
)

// secret is the value that is to go.
const secret = "ada@example.com"

// readable reports whether any file of a directory shows a text.
func readable(t *testing.T, dir, text string) bool {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for _, f := range files {
		all, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(all, []byte(text)) {
			return true
		}
	}
	return false
}

// erase deletes a row, or replaces its value, for good.
func erase(t *testing.T, tb *Table, u table.Update) {
	t.Helper()
	u.Key, u.If, u.Erase = table.Key{PK: "P", SK: "a"}, table.Always, true
	if _, err := tb.Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
}

// What was erased is gone from the disk at once, whether its row is or not, and what was
// only deleted is not worth a rewriting.
func TestErase(t *testing.T) {
	for name, u := range map[string]table.Update{"deleted": {Delete: true}, "emptied": {Remove: []string{"v"}}, "replaced": {Set: map[string]string{"v": "-"}}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tb := open(t, dir, nil)
			set(t, tb, "a", secret)
			set(t, tb, "b", "stays")
			if _, err := tb.Update(t.Context(), table.Update{Key: table.Key{PK: "P", SK: "a"}, If: table.Always, Delete: true}); err != nil || !readable(t, dir, secret) {
				t.Fatalf("the log was rewritten for a deletion (%v)", err)
			}
			set(t, tb, "a", secret)
			erase(t, tb, u)
			if readable(t, dir, secret) || value(t, tb, "b") != "stays" {
				t.Error("it can be read, or more than it is gone")
			}
		})
	}
}

// waiting is a table with an erasure that came too soon after another.
func waiting(t *testing.T, dir string, now func() time.Time) *Table {
	tb := open(t, dir, now)
	erase(t, tb, table.Update{Delete: true})
	set(t, tb, "a", secret)
	set(t, tb, "b", "stays")
	if erase(t, tb, table.Update{Delete: true}); !readable(t, dir, secret) {
		t.Fatal("a second erasure within a minute rewrote the log")
	}
	return tb
}

// An erasure that waits is carried out a minute later by whoever reads, and by the end.
func TestErasureThatWaits(t *testing.T) {
	for name, then := range map[string]func(*Table, *time.Time){
		"a read":    func(tb *Table, now *time.Time) { *now = now.Add(eraseRest); value(t, tb, "b") },
		"a change":  func(tb *Table, now *time.Time) { *now = now.Add(eraseRest); set(t, tb, "b", "stays") },
		"the close": func(tb *Table, _ *time.Time) { tb.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			now, dir := time.Unix(1_790_000_000, 0), t.TempDir()
			tb := waiting(t, dir, func() time.Time { return now })
			if then(tb, &now); readable(t, dir, secret) {
				t.Error("it can be read")
			}
			tb.Close()
			if again := open(t, dir, nil); value(t, again, "b") != "stays" || value(t, again, "a") != "" {
				t.Error("the rows are not what they were")
			}
		})
	}
}

// After kill -9 the erasure that waited is carried out when the directory is opened,
// also where a rewriting of the log had begun.
func TestErasureAfterKill(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	waiting(t, from, nil)
	log, err := os.ReadFile(filepath.Join(from, logName))
	if err != nil {
		t.Fatal(err)
	}
	for name, bytes := range map[string][]byte{logName: log, newName: log[:len(log)/2]} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if tb := open(t, dir, nil); readable(t, dir, secret) || value(t, tb, "b") != "stays" || tb.rows.erased {
		t.Error("it can be read, or more than it is gone")
	}
}

// A rewriting that fails is tried again, and not with every call.
func TestErasureOnAFullDisk(t *testing.T) {
	now, dir := time.Unix(1_790_000_000, 0), t.TempDir()
	tb := open(t, dir, func() time.Time { return now })
	set(t, tb, "a", secret)
	blocked := filepath.Join(dir, newName)
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(blocked, "x"), nil, 0o600); err != nil { // so that it cannot be removed
		t.Fatal(err)
	}
	erase(t, tb, table.Update{Delete: true})
	if err := os.RemoveAll(blocked); err != nil {
		t.Fatal(err)
	}
	if value(t, tb, "b"); !readable(t, dir, secret) {
		t.Fatal("it was tried again at once")
	}
	now = now.Add(eraseRest)
	if value(t, tb, "b"); readable(t, dir, secret) {
		t.Error("it was not tried again")
	}
}
