package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func open(t *testing.T, dir string, size int64, keep int) *Journal {
	t.Helper()
	j, err := Open(dir, "x", size, keep)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func fill(t *testing.T, j *Journal, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		if n, err := j.Append(fmt.Appendf(nil, "line %d", i)); err != nil || n != uint64(i) {
			t.Fatalf("line %d got number %d, %v", i, n, err)
		}
	}
}

func TestNumbersGoOnOverReopening(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, 64, 100)
	fill(t, j, 1, 50)
	j.Close()
	j = open(t, dir, 64, 100)
	fill(t, j, 51, 60)
	want := 21
	err := j.Scan(20, func(n uint64, line []byte) bool {
		if n != uint64(want) || string(line) != fmt.Sprintf("line %d", want) {
			t.Errorf("line %d is %q, want number %d", n, line, want)
		}
		want++
		return true
	})
	if err != nil || want != 61 {
		t.Errorf("the scan ended before %d, %v", want, err)
	}
}

func TestOldSegmentsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, 64, 3)
	fill(t, j, 1, 100)
	if files, _ := filepath.Glob(filepath.Join(dir, "x-*.log")); len(files) != 3 {
		t.Errorf("%d segments are kept, want 3", len(files))
	}
	if _, err := j.Read(1); !errors.Is(err, ErrGone) {
		t.Errorf("reading a removed line: %v", err)
	}
	if line, err := j.Read(100); err != nil || string(line) != "line 100" {
		t.Errorf("the newest line is %q, %v", line, err)
	}
}

func TestUnfinishedLineIsCutOff(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, 1<<20, 3)
	fill(t, j, 1, 2)
	j.Close()
	f, err := os.OpenFile(filepath.Join(dir, "x-00000000000000000001.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("half a li")
	f.Close()
	j = open(t, dir, 1<<20, 3)
	if j.Last() != 2 {
		t.Errorf("the last line is number %d, want 2", j.Last())
	}
	fill(t, j, 3, 3)
	if line, err := j.Read(3); err != nil || string(line) != "line 3" {
		t.Errorf("line 3 is %q, %v", line, err)
	}
}

func TestNewlineIsRefused(t *testing.T) {
	if _, err := open(t, t.TempDir(), 64, 2).Append([]byte("a\nb")); err == nil {
		t.Error("a line with a newline was accepted")
	}
}
