package doors_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

var update = flag.Bool("update", false, "rewrite the recorded runs by what the first door does")

// sections are the steps whose sections a run records, in the order of their files.
var sections = []string{"transform", "lookup", "write", "stamp"}

// journey is what became of one record of a delivery.
type journey struct {
	record   string // object/id
	again    string // what the name of an event's later execution ends with
	path     []string
	outcome  string
	sections map[string]json.RawMessage
}

// TestRuns sends every recorded run through every door. The directory of a run
// is the direction it travels in. A run's files:
//
//	0-before.json    what people did beforehand, see deed
//	1-delivery.json  the raw body of the webhook under test
//	2-transform.json and so on to 5-stamp.json: the section each step added
//	path, writes, outcome
func TestRuns(t *testing.T) {
	files, err := filepath.Glob("../../testdata/runs/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded runs: %v", err)
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file)) + "/" + strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) { replay(t, file) })
	}
}

func replay(t *testing.T, file string) {
	t.Parallel()
	run, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	from := spec.Direction(filepath.Base(filepath.Dir(file))).Source()
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			got := through(t, d, run, from)
			if *update && d.name == doors[0].name {
				run.Files = append(run.Files[:2:2], got...)
				if err := os.WriteFile(file, txtar.Format(run), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			compare(t, run.Files[2:], got)
		})
	}
}

// through plays a run through one door and returns what it did, as files.
func through(t *testing.T, d door, run *txtar.Archive, from record.System) []txtar.File {
	if len(run.Files) < 2 || run.Files[0].Name != "0-before.json" || run.Files[1].Name != "1-delivery.json" {
		t.Fatal("a run begins with 0-before.json and 1-delivery.json")
	}
	r := newRig(t)
	open := d.open(r)
	r.prepare(run.Files[0].Data, open)
	r.recording.Store(true)
	if status := open.deliver(from, bytes.TrimSpace(run.Files[1].Data)); status != 200 {
		t.Fatalf("the delivery was answered with %d", status)
	}
	return files(open.journeys(), r.written())
}

// files writes what a run did the way it is recorded.
func files(journeys []journey, writes []string) (out []txtar.File) {
	slices.SortFunc(journeys, func(a, b journey) int { return cmp.Compare(a.record+a.again, b.record+b.again) })
	slices.Sort(writes)
	add := func(name string, lines ...string) {
		out = append(out, txtar.File{Name: name, Data: []byte(strings.Join(append(lines, ""), "\n"))})
	}
	var paths, outcomes []string
	for _, j := range journeys {
		paths = append(paths, j.record+j.again+": "+strings.Join(j.path, " "))
		outcomes = append(outcomes, j.record+j.again+": "+j.outcome)
	}
	if len(journeys) == 1 {
		for i, name := range sections {
			if raw := journeys[0].sections[name]; len(raw) > 0 {
				add(fmt.Sprintf("%d-%s.json", i+2, name), pretty(raw))
			}
		}
	}
	add("path", paths...)
	add("writes", writes...)
	add("outcome", outcomes...)
	return out
}

// compare tells which files differ.
func compare(t *testing.T, want, got []txtar.File) {
	t.Helper()
	text := func(files []txtar.File, name string) string {
		i := slices.IndexFunc(files, func(f txtar.File) bool { return f.Name == name })
		if i < 0 {
			return "(no such file)\n"
		}
		return string(files[i].Data)
	}
	for _, f := range slices.Concat(want, got) {
		if a, b := text(want, f.Name), text(got, f.Name); a != b {
			t.Errorf("%s differs (if this door is right, run with -update)\nrecorded:\n%s\nhere:\n%s", f.Name, a, b)
		}
	}
}

// volatile parts of a section: they are of this moment, not of the run.
var volatile = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`"(readAt|updated|until|at)": \d{13}`), `"$1": 0`},
	{regexp.MustCompile(`"spec": "[0-9a-f]{4}"`), `"spec": "SPEC"`},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`"matchKey": "[^"]+"`), `"matchKey": "KEY"`},
	{regexp.MustCompile(`"fence": "(\S+) \d+(/\d+)?"`), `"fence": "$1 0$2"`}, // how many requests the store took is the benchmarks' to count
	{regexp.MustCompile(`"\d{13}"`), `"TIME"`},
}

func pretty(raw json.RawMessage) string {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return string(raw)
	}
	b, _ := json.MarshalIndent(v, "", "  ")
	text := string(b)
	for _, p := range volatile {
		text = p.what.ReplaceAllString(text, p.with)
	}
	return text
}

// told spells an outcome the same for every door.
func told(kind, reason, code string) string {
	if code != "" {
		reason = code
	}
	if reason == "" {
		return kind
	}
	return kind + ": " + reason
}

// split takes a machine's data apart into its sections.
func split(state []byte) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	_ = json.Unmarshal(state, &out)
	return out
}

// deferred is what an execution ends in whose event another one goes on with.
const deferred = "deferred"

func object(s *spec.Spec, e flow.Envelope) string {
	p, _ := s.PairByName(e.Pair)
	return p.Side(e.Direction.Source()).Object + "/" + e.ID
}
