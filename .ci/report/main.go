// Command report reads `go test -json` and prints what a person wants of it: the
// packages' own lines as they come, the output of what failed, and at the end
// how many tests ran and which were skipped, and why. With CI=true a skipped
// test is a failure: it proves nothing.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is one line of test2json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string
}

type report struct {
	out            io.Writer
	output         map[string][]string // of tests still running
	passed, failed int
	packages       int
	broken         bool // a package failed, or something that is not a test
	skipped        []string
}

func main() {
	r := &report{out: os.Stdout, output: map[string][]string{}}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(2)
	}
	if !r.finish(os.Getenv("CI") == "true") {
		os.Exit(1)
	}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) line(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
		fmt.Fprint(r.out, line) // the go command speaking for itself
		return
	}
	if e.Test == "" {
		r.packageEvent(e)
		return
	}
	r.testEvent(e)
}

func (r *report) packageEvent(e event) {
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		if e.Output != "PASS\n" {
			fmt.Fprint(r.out, e.Output)
		}
	case "build-fail", "fail":
		r.broken = true
		r.flush(e.Package)
	case "pass":
		r.packages++
	}
}

func (r *report) testEvent(e event) {
	id := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		r.output[id] = append(r.output[id], e.Output)
		return
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		fmt.Fprint(r.out, strings.Join(r.output[id], ""))
	case "skip":
		r.skipped = append(r.skipped, id+": "+reason(r.output[id]))
	default:
		return
	}
	delete(r.output, id)
}

// flush prints what tests had said that never ended: a panic or a timeout.
func (r *report) flush(pkg string) {
	var ids []string
	for id := range r.output {
		if strings.HasPrefix(id, pkg+" ") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		fmt.Fprint(r.out, strings.Join(r.output[id], ""))
		delete(r.output, id)
	}
}

// reason is what a skipped test said, without the lines about its running.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			said = append(said, line)
		}
	}
	if said == nil {
		return "it does not say why"
	}
	return strings.Join(said, " ")
}

// finish prints the summary and reports whether everything is well.
func (r *report) finish(strict bool) bool {
	fmt.Fprintf(r.out, "\n%d tests passed, %d failed, %d skipped; %d packages passed\n", r.passed, r.failed, len(r.skipped), r.packages)
	slices.Sort(r.skipped)
	for _, s := range r.skipped {
		fmt.Fprintln(r.out, "SKIPPED:", s)
	}
	if strict && len(r.skipped) > 0 {
		fmt.Fprintln(r.out, "FAIL: with CI=true every check has to run")
		return false
	}
	if r.packages == 0 && r.passed == 0 {
		fmt.Fprintln(r.out, "FAIL: nothing ran")
		return false
	}
	return r.failed == 0 && !r.broken
}
