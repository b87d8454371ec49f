package main

import (
	"archive/zip"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tandem/statemachines"
)

// Every function of the stacks is a folder below lambdas/, and every folder is
// deployed.
func TestCast(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(settings(t).Root, "lambdas"))
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		folders = append(folders, e.Name())
	}
	if cast := sorted(parts); !slices.Equal(folders, cast) {
		t.Errorf("lambdas/ has %v, the stacks %v", folders, cast)
	}
	if len(statemachines.Names()) != 2 {
		t.Errorf("machines %v", statemachines.Names())
	}
}

// maxZip is the budget for what is uploaded of one function, in bytes.
const maxZip = 5_000_000

// Every function is small enough, and its bytes do not depend on the folder it is
// built in.
func TestZips(t *testing.T) {
	if testing.Short() {
		t.Skip("builds every function for arm64, twice")
	}
	here, elsewhere, checkout := t.TempDir(), t.TempDir(), t.TempDir()
	root := settings(t).Root
	for _, name := range []string{"internal", "lambdas", "spec", "statemachines"} {
		if err := os.CopyFS(filepath.Join(checkout, name), os.DirFS(filepath.Join(root, name))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(copyFile(filepath.Join(root, "go.mod"), filepath.Join(checkout, "go.mod"), 0o644), copyFile(filepath.Join(root, "go.sum"), filepath.Join(checkout, "go.sum"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Build(root, "arm64", here), Build(checkout, "arm64", elsewhere)); err != nil {
		t.Fatal(err)
	}
	for name := range parts {
		size := zipped(t, filepath.Join(here, name))
		t.Logf("%s: %d bytes", name, size)
		if size > maxZip {
			t.Errorf("%s is %d bytes zipped, the budget is %d", name, size, maxZip)
		}
		if sum(t, filepath.Join(here, name)) != sum(t, filepath.Join(elsewhere, name)) {
			t.Errorf("%s has other bytes when it is built in another folder", name)
		}
	}
}

func sum(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data)
}

// zipped is the size of a zip that holds one file.
func zipped(t *testing.T, path string) int64 {
	t.Helper()
	var size counter
	z := zip.NewWriter(&size)
	out, err := z.Create("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return int64(size)
}

type counter int64

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }
