// Package journal is a bounded, append-only log of lines that are numbered for
// good: what a server tells about its past, such as traces and outcomes.
//
// Lines are kept in segment files named after their first number. When the
// newest segment is full the next one begins, and beyond a number of segments
// the oldest is removed. A line is with the operating system before Append
// returns, so it survives the end of the process, kill -9 included. It is not
// for what must never be forgotten: that belongs in a table.
package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Journal is safe for concurrent use.
type Journal struct {
	dir, name string
	size      int64 // of a full segment, in bytes
	keep      int   // segments

	mu       sync.RWMutex
	segments []*segment // oldest first; the last one is written
}

// segment is one file and where its lines begin.
type segment struct {
	first uint64
	file  *os.File
	ends  []uint32 // position after each line's newline
}

func (s *segment) end() int64 {
	if len(s.ends) == 0 {
		return 0
	}
	return int64(s.ends[len(s.ends)-1])
}

// Open opens the journal called name in dir, making it when absent. It keeps up
// to keep segments of about size bytes each. An unfinished last line, left by a
// crash, is cut off: nobody was told that it had been stored.
func Open(dir, name string, size int64, keep int) (*Journal, error) {
	j := &Journal{dir: dir, name: name, size: size, keep: max(keep, 2)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal %s: %w; choose a data directory that can be written", name, err)
	}
	firsts, err := j.list()
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", name, err)
	}
	for _, first := range firsts {
		s, err := j.open(first)
		if err != nil {
			j.Close()
			return nil, err
		}
		j.segments = append(j.segments, s)
	}
	if len(j.segments) == 0 {
		return j, j.begin(1)
	}
	return j, nil
}

func (j *Journal) path(first uint64) string {
	return filepath.Join(j.dir, fmt.Sprintf("%s-%020d.log", j.name, first))
}

// list finds the first numbers of the segments on disk, in order.
func (j *Journal) list() (firsts []uint64, err error) {
	entries, err := os.ReadDir(j.dir)
	for _, e := range entries {
		digits, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".log"), j.name+"-")
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil {
			firsts = append(firsts, n)
		}
	}
	slices.Sort(firsts)
	return firsts, err
}

func (j *Journal) open(first uint64) (*segment, error) {
	f, err := os.OpenFile(j.path(first), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", j.name, err)
	}
	s := &segment{first: first, file: f}
	data, err := io.ReadAll(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("journal %s: %w", j.name, err)
	}
	for at := 0; ; {
		n := bytes.IndexByte(data[at:], '\n')
		if n < 0 {
			break
		}
		at += n + 1
		s.ends = append(s.ends, uint32(at))
	}
	if err := f.Truncate(s.end()); err != nil {
		f.Close()
		return nil, fmt.Errorf("journal %s: %w", j.name, err)
	}
	return s, nil
}

// begin starts a segment and removes those beyond the bound.
func (j *Journal) begin(first uint64) error {
	s, err := j.open(first)
	if err != nil {
		return err
	}
	j.segments = append(j.segments, s)
	for len(j.segments) > j.keep {
		old := j.segments[0]
		j.segments = j.segments[1:]
		old.file.Close()
		if err := os.Remove(j.path(old.first)); err != nil {
			return fmt.Errorf("journal %s: %w", j.name, err)
		}
	}
	return nil
}

// maxLine keeps positions within 32 bits.
const maxLine = 64 << 20

// Append stores one line, which must not contain a newline, and returns its number.
func (j *Journal) Append(line []byte) (uint64, error) {
	if bytes.IndexByte(line, '\n') >= 0 || len(line) > maxLine {
		return 0, fmt.Errorf("journal %s: a line must be below %d bytes and hold no newline", j.name, maxLine)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segments) == 0 {
		return 0, fmt.Errorf("journal %s: %w", j.name, os.ErrClosed)
	}
	s := j.segments[len(j.segments)-1]
	if s.end() >= j.size {
		if err := j.begin(j.next()); err != nil {
			return 0, err
		}
		s = j.segments[len(j.segments)-1]
	}
	if _, err := s.file.WriteAt(append(line[:len(line):len(line)], '\n'), s.end()); err != nil {
		return 0, fmt.Errorf("journal %s: %w", j.name, err)
	}
	s.ends = append(s.ends, uint32(s.end()+int64(len(line))+1))
	return j.next() - 1, nil
}

// next is the number that the next line gets.
func (j *Journal) next() uint64 {
	if len(j.segments) == 0 {
		return 1
	}
	s := j.segments[len(j.segments)-1]
	return s.first + uint64(len(s.ends))
}

// Last is the number of the newest line, 0 when there has been none.
func (j *Journal) Last() uint64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.next() - 1
}

// First is the number of the oldest line that is kept.
func (j *Journal) First() uint64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if len(j.segments) == 0 {
		return 1
	}
	return j.segments[0].first
}

// ErrGone says that a line is no longer kept, or was never written.
var ErrGone = errors.New("the line is not kept any more")

// Read returns one line.
func (j *Journal) Read(n uint64) ([]byte, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for _, s := range j.segments {
		if n >= s.first && n < s.first+uint64(len(s.ends)) {
			return s.line(int(n - s.first))
		}
	}
	return nil, ErrGone
}

func (s *segment) line(i int) ([]byte, error) {
	from := int64(0)
	if i > 0 {
		from = int64(s.ends[i-1])
	}
	b := make([]byte, int64(s.ends[i])-from-1)
	_, err := s.file.ReadAt(b, from)
	return b, err
}

// Scan calls visit with the lines after number after, oldest first, until it
// returns false.
func (j *Journal) Scan(after uint64, visit func(n uint64, line []byte) bool) error {
	for n := max(after+1, j.First()); n <= j.Last(); n++ {
		line, err := j.Read(n)
		if errors.Is(err, ErrGone) {
			continue // removed while we looked
		}
		if err != nil {
			return err
		}
		if !visit(n, line) {
			return nil
		}
	}
	return nil
}

// Close ends the journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	for _, s := range j.segments {
		errs = append(errs, s.file.Close())
	}
	j.segments = nil
	return errors.Join(errs...)
}
