package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"tandem/internal/table"
)

const (
	logName = "table.log"
	newName = "table.log.new"
	magic   = "tandem table log 1\n"

	compactMin = 8 << 20
	// eraseRest is how long erasures wait for a rewriting of the log after the last one,
	// so that a thousand of them do not rewrite it a thousand times.
	eraseRest = time.Minute
)

// log is the file of changes. Each record is one whole Update, so that a
// transaction is replayed all or not at all. Its fields are guarded by the
// Table's lock, except those of the fsync.
type log struct {
	dir       string
	file      *os.File
	size      int64 // end of the last whole record
	base      int64 // size after the last compaction
	growth    int64 // growth below which rewriting is not worth a pause
	rest      time.Duration
	tried     time.Time // when it was last rewritten, or was to be
	truncated int64
	broken    error
	buf       []byte

	total  atomic.Int64 // bytes ever appended by this process: what synced counts in
	syncMu sync.Mutex   // guards synced, failed and the replacing of file
	synced int64
	failed error
}

func openLog(dir string, into *rows, now time.Time) (*log, error) {
	if err := os.Remove(filepath.Join(dir, newName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("embedded table: an unfinished compaction is in the way: %w", err)
	}
	path := filepath.Join(dir, logName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embedded table: %w", err)
	}
	l := &log{dir: dir, file: f, growth: compactMin, rest: eraseRest}
	if err := l.load(path, into); err != nil {
		f.Close()
		return nil, fmt.Errorf("embedded table: %w", err)
	}
	into.sweep(now)
	if l.base = liveSize(into); into.erased || l.size > 2*l.base+1<<20 {
		l.compact(into, now)
	}
	return l, nil
}

// load replays the file and cuts off a record that a crash left unfinished.
func (l *log) load(path string, into *rows) error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if l.size, err = replay(l.file, path, info.Size(), into); err != nil {
		return err
	}
	l.truncated = info.Size() - l.size
	if l.truncated > 0 {
		if err := l.file.Truncate(l.size); err != nil {
			return err
		}
	}
	if l.size == 0 {
		if _, err := l.file.WriteAt([]byte(magic), 0); err != nil {
			return err
		}
		l.size = int64(len(magic))
	}
	return nil
}

// append writes one record and returns the position to wait for with syncTo.
// After a failed write the file is cut back, or the log refuses all further
// changes: a record behind a half-written one could never be read.
func (l *log) append(batch []change) (int64, error) {
	if l.broken != nil {
		return 0, l.broken
	}
	l.buf = appendRecord(l.buf[:0], batch)
	if _, err := l.file.WriteAt(l.buf, l.size); err != nil {
		if cut := l.file.Truncate(l.size); cut != nil {
			l.broken = fmt.Errorf("embedded table: the log could not be written nor restored, restart to repair it: %w", errors.Join(err, cut))
		}
		return 0, fmt.Errorf("embedded table: %w; free some space in the data directory", err)
	}
	l.size += int64(len(l.buf))
	end := l.total.Add(int64(len(l.buf)))
	if cap(l.buf) > 1<<20 {
		l.buf = nil
	}
	return end, nil
}

// syncTo waits until everything up to end is on the disk. The first caller in
// line syncs for all who have written by then; they find their work done. After
// one failure nothing is confirmed any more: the kernel may have dropped pages
// that a second fsync would report as written.
func (l *log) syncTo(end int64) error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	if l.failed != nil || l.synced >= end {
		return l.failed
	}
	written := l.total.Load()
	if err := l.file.Sync(); err != nil {
		l.failed = fmt.Errorf("embedded table: fsync failed, restart to see what was kept: %w", err)
		return l.failed
	}
	l.synced = written
	return nil
}

func (l *log) close() error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	err := l.file.Sync()
	if err == nil {
		l.synced = l.total.Load()
	}
	return errors.Join(err, l.file.Close())
}

func (l *log) due() bool { return l.size > 2*l.base+l.growth }

func (l *log) rested(now time.Time) bool { return now.Sub(l.tried) >= l.rest }

// compact rewrites the log with the live rows only: to a new file that takes
// the name once it is whole on disk. When that fails the old log stays in use.
func (l *log) compact(from *rows, now time.Time) {
	from.sweep(now)
	l.base, l.tried = l.size, now
	path := filepath.Join(l.dir, newName)
	f, size, err := writeSnapshot(path, from)
	if err != nil {
		os.Remove(path)
		return
	}
	if err := os.Rename(path, filepath.Join(l.dir, logName)); err != nil {
		f.Close()
		os.Remove(path)
		return
	}
	syncDir(l.dir)
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.file.Close()
	l.file, l.size, l.base, l.synced = f, size, size, l.total.Load()
	from.erased = false
}

func writeSnapshot(path string, from *rows) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, 0, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	size, err := io.WriteString(w, magic)
	var buf []byte
	for pk, p := range from.partitions {
		for _, r := range p {
			buf = appendRecord(buf[:0], []change{{key: table.Key{PK: pk, SK: r.sk}, row: r}})
			n, werr := w.Write(buf)
			size, err = size+n, errors.Join(err, werr)
		}
	}
	if err := errors.Join(err, w.Flush(), f.Sync()); err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, int64(size), nil
}

// syncDir makes the rename durable; a file system that cannot is no worse than before.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}

func liveSize(from *rows) int64 {
	size := int64(len(magic))
	for pk, p := range from.partitions {
		for _, r := range p {
			size += int64(headerSize + len(pk) + len(r.sk) + len(r.attrs) + 16)
		}
	}
	return size
}
