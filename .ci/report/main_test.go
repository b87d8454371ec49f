package main

import (
	"strings"
	"testing"
)

func run(events string, strict bool) (string, bool) {
	var b strings.Builder
	r := &report{out: &b, output: map[string][]string{}}
	if err := r.read(strings.NewReader(events)); err != nil {
		return err.Error(), false
	}
	ok := r.finish(strict)
	return b.String(), ok
}

const passing = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`

const skipping = `{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    x_test.go:1: ENGINE MISSING: java\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
` + passing

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name, events string
		strict, ok   bool
		want, not    string
	}{
		{"a passing package keeps its line and no chatter", passing, true, true, "ok  \tp\t0.1s\n", "chatter"},
		{"tests are counted", passing, false, true, "1 tests passed, 0 failed, 0 skipped", "SKIPPED"},
		{"a skip is named with its reason", skipping, false, true, "SKIPPED: p TestB: x_test.go:1: ENGINE MISSING: java", "FAIL"},
		{"a skip fails in CI", skipping, true, false, "FAIL: with CI=true", ""},
		{"a failed test shows its output", strings.ReplaceAll(passing, `"Action":"pass","Package":"p","Test"`, `"Action":"fail","Package":"p","Test"`), false, false, "chatter", ""},
		{"a package that does not build fails", passing + `{"ImportPath":"q","Action":"build-output","Output":"q.go:1: no\n"}` + "\n" + `{"ImportPath":"q","Action":"build-fail"}`, false, false, "q.go:1: no", ""},
		{"a panic is shown though its test never ended", `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: oh\n"}
{"Action":"fail","Package":"p"}`, false, false, "panic: oh", ""},
		{"nothing run is a failure", "", false, false, "nothing ran", ""},
		{"other lines pass through", "go: downloading x\n" + passing, true, true, "go: downloading x", ""},
	} {
		got, ok := run(c.events, c.strict)
		if ok != c.ok || !strings.Contains(got, c.want) || c.not != "" && strings.Contains(got, c.not) {
			t.Errorf("%s: ok %v, printed:\n%s", c.name, ok, got)
		}
	}
}
