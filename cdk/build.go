package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/cloud/names"
)

// builder makes the functions' assets with the local Go toolchain, so that a
// deployment needs neither Docker nor a build step. All mains are linked by one
// go build at first need; an asset is then a link to one of them, with the
// client's spec beside it.
type builder struct {
	root string
	mu   sync.Mutex
	dirs map[string]string // by architecture
}

// TryBundle implements awscdk.ILocalBundling. The command of the options is
// {function, architecture, spec file or ""}: it is also what the CDK tells
// assets apart by.
func (b *builder) TryBundle(out *string, o *awscdk.BundlingOptions) *bool {
	c := *o.Command
	if err := b.bundle(*out, *c[0], *c[1], *c[2]); err != nil {
		// The callback has no way to return an error, and false would make the CDK look for Docker.
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return jsii.Bool(true)
}

// bundle fills the folder out with function name's bootstrap, and the spec.
func (b *builder) bundle(out, name, arch, specFile string) error {
	dir, err := b.built(arch, filepath.Dir(out))
	if err != nil {
		return err
	}
	if err := linkOrCopy(filepath.Join(dir, name), filepath.Join(out, "bootstrap")); err != nil {
		return fmt.Errorf("function %s: %w; every function of the stacks is a folder below lambdas/", name, err)
	}
	if specFile == "" {
		return nil
	}
	return copyFile(specFile, filepath.Join(out, names.SpecName), 0o644)
}

// built returns the folder with the mains built for arch. It is below near, the
// assembly's own folder, so that assets can be links instead of copies, and stays
// there: the next synthesis links only what has changed.
func (b *builder) built(arch, near string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if dir, ok := b.dirs[arch]; ok {
		return dir, nil
	}
	dir := filepath.Join(near, "build-"+arch)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := Build(b.root, arch, dir); err != nil {
		return "", err
	}
	if b.dirs == nil {
		b.dirs = map[string]string{}
	}
	b.dirs[arch] = dir
	return dir, nil
}

// Build compiles every main below root/lambdas for Linux on arch into dir, one
// file per folder, named after it. The same sources give the same bytes from any
// folder: without these flags every checkout would redeploy every function. A
// file that is up to date is left alone; one that is not is replaced by another
// file, so that assets which are links to it keep their bytes.
func Build(root, arch, dir string) error {
	cmd := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w", "-o", dir+string(filepath.Separator), "./lambdas/...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the functions in %s/lambdas for linux/%s: %w\n%s", root, arch, err, out)
	}
	return nil
}

// linkOrCopy makes to the same executable as from, sharing its bytes on disk
// where the file system allows.
func linkOrCopy(from, to string) error {
	if err := os.Chmod(from, 0o755); err != nil {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	return copyFile(from, to, 0o755)
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(mode), out.Close())
}
