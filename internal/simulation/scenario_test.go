package simulation

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var (
	update    = flag.Bool("update", false, "rewrite the event logs of testdata/scenarios")
	scenarios = flag.String("scenarios", "../../testdata/scenarios", "the directory of the named scenarios")
)

// TestScenarios plays the named scenarios: a txtar each, with the case and its
// right outcome in plain words, a script (see verbs), and the event log that
// people read. At the end of each the world's invariants are asked as well, and
// all deliveries are made again. One runs alone with -run 'TestScenarios/02'.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(*scenarios, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s: %v", *scenarios, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { playFile(t, file) })
	}
}

func playFile(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	script, golden := section(archive, "script"), section(archive, "log")
	if script == nil || len(archive.Comment) == 0 {
		t.Fatalf("%s: it needs the case in plain words first, then a section -- script --", file)
	}
	s, err := newStage(load(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range s.play(filepath.Base(file), firstLine(archive), string(script.Data)) {
		t.Error(problem)
	}
	log := strings.Join(s.lines, "\n") + "\n"
	switch {
	case *update && !t.Failed():
		if golden == nil {
			archive.Files = append(archive.Files, txtar.File{Name: "log"})
			golden = &archive.Files[len(archive.Files)-1]
		}
		golden.Data = []byte(log)
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	case t.Failed():
		t.Logf("the event log of this run:\n%s", log)
	case golden == nil || string(golden.Data) != log:
		t.Errorf("the event log has changed; read it, and if it is right run with -update:\n%s", log)
	}
}

func section(a *txtar.Archive, name string) *txtar.File {
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return &a.Files[i]
}

// firstLine is the line of the file on which the script begins.
func firstLine(a *txtar.Archive) int {
	n := 1 + strings.Count(string(a.Comment), "\n")
	for _, f := range a.Files {
		n++
		if f.Name == "script" {
			return n
		}
		n += strings.Count(string(f.Data), "\n")
	}
	return n
}

// TestScenarioErrors: a script that is wrong is refused by file and line.
func TestScenarioErrors(t *testing.T) {
	for script, want := range map[string]string{
		"quiet\ndance":                                    `x.txtar:8: there is no verb "dance"`,
		"hubspot create contacts ada colour=red":          "x.txtar:7: pair contacts has no hubspot property colour",
		"hubspot set ada firstname=Ada":                   `x.txtar:7: nothing called "ada" is known in hubspot`,
		"on sideways hubspot update: crash":               "x.txtar:7: write: on before|after|every POINT: COMMAND",
		"expect writes hubspot 1":                         "x.txtar:7: writes to hubspot: 0, want 1",
		"expect outcomes stamped=1":                       "x.txtar:7: outcomes stamped: 0, want 1",
		"on before hubspot update: crash":                 "x.txtar:7: never happened: before hubspot update",
		"hubspot create contacts ada email=\"a@b.example": "x.txtar:7: a quote is not closed",
	} {
		s, err := newStage(load(t))
		if err != nil {
			t.Fatal(err)
		}
		problems := strings.Join(s.play("x.txtar", 7, script), "\n")
		if !strings.Contains(problems, want) {
			t.Errorf("%q: got %q, want %q", script, problems, want)
		}
	}
}

// scrub takes out of a line what another run of the same story may tell otherwise:
// times of day, execution names and revisions.
func scrub(line string) string {
	for _, s := range scrubbed {
		line = s.what.ReplaceAllString(line, s.with)
	}
	return line
}

var scrubbed = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\bacme-([a-z]+)-([0-9a-z_]+?)-\d{13}-[0-9a-f]{8}(-r\d+)?`), "of $1 $2"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`), "its time"},
}
