package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lock is an advisory flock on its own file. The kernel drops it with the
// process, so a crash leaves nothing to clean up; the text inside only tells a
// second process whom to look for.
type lock struct{ file *os.File }

const lockName = "table.lock"

func acquire(dir string) (*lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded table: %w; choose a data directory that can be written", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embedded table: %w; choose a data directory that can be written", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder := readHolder(f)
		f.Close()
		return nil, fmt.Errorf("embedded table: %s is in use by %s; stop that process, choose another data directory,"+
			" or share a DynamoDB table (AWS_ENDPOINT_URL_DYNAMODB)", dir, holder)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("embedded table: locking %s: %w", dir, err)
	}
	if err := writeHolder(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("embedded table: %w", err)
	}
	return &lock{f}, nil
}

func writeHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(f, "process %d (%s)\n", os.Getpid(), filepath.Base(os.Args[0]))
	return err
}

func readHolder(f *os.File) string {
	var b [200]byte
	n, err := f.ReadAt(b[:], 0)
	if who := strings.TrimSpace(string(b[:n])); who != "" {
		return who
	}
	return fmt.Sprintf("another process (its name could not be read: %v)", err)
}

// release lets the next process in. The file stays: removing it would let two
// processes lock two files of one name.
func (l *lock) release() { l.file.Close() }
