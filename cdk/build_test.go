package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/internal/cloud/names"
)

// tiny writes a module with two functions into a new folder.
func tiny(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string]string{
		"go.mod":              "module tiny\n\ngo 1.26\n",
		"lambdas/one/main.go": "package main\n\nfunc main() { println(\"one\") }\n",
		"lambdas/two/main.go": "package main\n\nfunc main() { println(\"two\") }\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// An asset is an executable bootstrap with the client's spec beside it. The
// CDK's hash does not see the mode: a wrong one would be uploaded once and stay.
func TestAsset(t *testing.T) {
	b := &builder{root: tiny(t)}
	specFile := filepath.Join(b.root, "spec.json")
	if err := os.WriteFile(specFile, []byte(`{"client":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		out := filepath.Join(b.root, "asset-"+name)
		if err := os.Mkdir(out, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := b.bundle(out, name, "arm64", specFile); err != nil {
			t.Fatal(err)
		}
		for file, want := range map[string]fs.FileMode{"bootstrap": 0o755, names.SpecName: 0o644} {
			info, err := os.Stat(filepath.Join(out, file))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != want {
				t.Errorf("%s/%s has mode %o, want %o", name, file, info.Mode().Perm(), want)
			}
		}
		data, err := os.ReadFile(filepath.Join(out, "bootstrap"))
		if err != nil {
			t.Fatal(err)
		}
		// An ELF header names the machine in its bytes 18 and 19; 183 is AArch64.
		if string(data[:4]) != "\x7fELF" || data[18] != 183 {
			t.Errorf("%s is not an executable for arm64", name)
		}
	}
}

// The next synthesis builds again what has changed, leaves the rest alone, and
// does not reach into an asset that is a link to the file before.
func TestBuildAgain(t *testing.T) {
	root, dir := tiny(t), t.TempDir()
	read := func(file string) (string, os.FileInfo) {
		t.Helper()
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data), info
	}
	if err := Build(root, "arm64", dir); err != nil {
		t.Fatal(err)
	}
	asset := filepath.Join(t.TempDir(), "bootstrap")
	if err := linkOrCopy(filepath.Join(dir, "one"), asset); err != nil {
		t.Fatal(err)
	}
	before, _ := read(asset)
	_, two := read(filepath.Join(dir, "two"))
	if err := os.WriteFile(filepath.Join(root, "lambdas/one/main.go"), []byte("package main\n\nfunc main() { println(\"changed\") }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Build(root, "arm64", dir); err != nil {
		t.Fatal(err)
	}
	if now, _ := read(asset); now != before {
		t.Error("an asset of the synthesis before has changed")
	}
	if now, _ := read(filepath.Join(dir, "one")); now == before {
		t.Error("a changed function was not built again")
	}
	if _, now := read(filepath.Join(dir, "two")); !os.SameFile(two, now) {
		t.Error("a function that has not changed was linked again")
	}
}

func TestAssetErrorsSayWhat(t *testing.T) {
	b := &builder{root: tiny(t)}
	if err := b.bundle(t.TempDir(), "three", "arm64", ""); err == nil || !strings.Contains(err.Error(), "a folder below lambdas/") {
		t.Errorf("an unknown function: %v", err)
	}
	broken := tiny(t)
	if err := os.WriteFile(filepath.Join(broken, "lambdas/one/main.go"), []byte("package main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Build(broken, "arm64", t.TempDir()); err == nil || !strings.Contains(err.Error(), "function main is undeclared") {
		t.Errorf("a main that does not compile: %v", err)
	}
}
