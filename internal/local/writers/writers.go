// Package writers notices, on one machine, a second server that writes to the
// same HubSpot portal from another table. Servers that share a table coordinate
// through it; two that do not undo each other's work, and the usual cause is a
// second `tandem run` with another --data.
//
// Each server keeps a file, named after the portal and its own deployment, and
// touches it while it runs. It is a help for people on one machine: across
// machines the Notification Centre and the canary notice a second writer.
package writers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Life is how long a server is taken to be alive after it last touched its file;
// it should do so three times as often.
const Life = 30 * time.Second

// Sign is one server's file.
type Sign struct{ dir, name string }

// Dir is where the files of this machine's user are; an error says that there is
// no such place, in which case nothing is noticed.
func Dir() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "tandem", "writers"), err
}

// Open makes a server's file in dir. portal says where it writes, such as the
// API's address and the portal's id; deployment who it is; about is what another
// server tells its operator, such as the directory of the data.
func Open(dir, portal, deployment, about string) (*Sign, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(portal))
	s := &Sign{dir, hex.EncodeToString(sum[:8]) + "." + deployment}
	return s, os.WriteFile(s.path(), []byte(about), 0o600)
}

func (s *Sign) path() string { return filepath.Join(s.dir, s.name) }

// forgotten is when the file of a server that was killed is removed.
const forgotten = 24 * time.Hour

// Others touches the file and lists what the other servers on the portal say
// about themselves, in order.
func (s *Sign) Others(now time.Time) (others []string, err error) {
	err = os.Chtimes(s.path(), now, now)
	files, listed := os.ReadDir(s.dir)
	portal, _, _ := strings.Cut(s.name, ".")
	for _, f := range files {
		info, gone := f.Info()
		if gone == nil && now.Sub(info.ModTime()) > forgotten {
			_ = os.Remove(filepath.Join(s.dir, f.Name())) // another may have been first
		}
		if gone != nil || f.Name() == s.name || !strings.HasPrefix(f.Name(), portal+".") || now.Sub(info.ModTime()) > Life {
			continue
		}
		// One that has been made and not yet written to tells next time.
		if about, unread := os.ReadFile(filepath.Join(s.dir, f.Name())); unread == nil && len(about) > 0 {
			others = append(others, string(about))
		}
	}
	slices.Sort(others)
	return others, errors.Join(err, listed)
}

// Close removes the file.
func (s *Sign) Close() error {
	if err := os.Remove(s.path()); err != nil {
		return fmt.Errorf("a server's sign: %w", err)
	}
	return nil
}
