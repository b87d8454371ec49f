package asl_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem/internal/asl"
	"tandem/internal/engines"
	"tandem/statemachines"
)

// The cases in testdata/asl say what a machine does when its tasks answer as
// written. Each goes through three interpreters: ours, npm
// aws-local-stepfunctions and moto's. -update writes what ours does into the
// files; a person reads the difference.
var update = flag.Bool("update", false, "write the outcomes of this interpreter into testdata/asl")

const corpus = "../../testdata/asl"

// testCase is one file.
type testCase struct {
	About string `json:"about"`
	// Machine names a shipped machine; Definition is used where it is empty.
	Machine    string              `json:"machine,omitempty"`
	Definition json.RawMessage     `json:"definition,omitempty"`
	Input      json.RawMessage     `json:"input"`
	Answers    map[string][]answer `json:"answers,omitempty"` // by state; the last repeats
	Want       outcome             `json:"want"`

	name string
}

// answer is what a task says, after so many seconds. Bytes, where it is set,
// makes the result a text of so many letters.
type answer struct {
	Result  json.RawMessage `json:"result,omitempty"`
	Error   string          `json:"error,omitempty"`
	Cause   string          `json:"cause,omitempty"`
	Seconds int             `json:"seconds,omitempty"`
	Bytes   int             `json:"bytes,omitempty"`
}

// outcome is what came of a case.
type outcome struct {
	Status asl.Status     `json:"status"`
	Path   []string       `json:"path"`
	Output any            `json:"output,omitempty"`
	Error  string         `json:"error,omitempty"`
	Cause  string         `json:"cause,omitempty"`
	Calls  map[string]int `json:"calls,omitempty"`
	// Sent is what each task was given, in order. It is compared between the
	// interpreters and not kept in the files.
	Sent []call `json:"-"`
}

type call struct {
	State string `json:"state"`
	Input any    `json:"input"`
}

// causeless are errors that an interpreter words itself: only the names are compared.
var causeless = regexp.MustCompile(`^States\.`)

func loadCases(tb testing.TB) []testCase {
	tb.Helper()
	files, err := filepath.Glob(corpus + "/*.json")
	if err != nil || len(files) < 40 {
		tb.Fatalf("%d cases in %s (%v)", len(files), corpus, err)
	}
	var out []testCase
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		c := testCase{name: strings.TrimSuffix(filepath.Base(f), ".json")}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			tb.Fatalf("%s: %v", f, err)
		}
		out = append(out, c)
	}
	return out
}

// definition is the text that all interpreters get: a function's or a queue's
// name is its state's.
func (c *testCase) definition(tb testing.TB) []byte {
	tb.Helper()
	if c.Machine == "" {
		return c.Definition
	}
	values := map[string]string{}
	for _, p := range statemachines.Placeholders(c.Machine) {
		values[p] = "arn:aws:lambda:ap-southeast-2:123456789012:function:" + strings.TrimSuffix(p, "Arn")
	}
	for _, queue := range []string{"DeadLetter", "Later"} {
		values[queue+"Url"] = "https://sqs.ap-southeast-2.amazonaws.com/123456789012/" + queue
	}
	out, err := statemachines.Substitute(c.Machine, values)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// run takes the case through our interpreter.
func (c *testCase) run(tb testing.TB) outcome {
	tb.Helper()
	m := mustParse(tb, string(c.definition(tb)))
	now, calls := newClock(), map[string]int{}
	var sent []call
	tasks := work(func(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error) {
		state := resource[strings.LastIndex(resource, ":")+1:]
		if state == "sendMessage" {
			var message struct{ QueueUrl string }
			if err := json.Unmarshal(input, &message); err != nil {
				return nil, err
			}
			state = message.QueueUrl[strings.LastIndex(message.QueueUrl, "/")+1:]
		}
		all := c.Answers[state]
		if len(all) == 0 {
			tb.Fatalf("%s: no answers for %s", c.name, state)
		}
		a := all[min(calls[state], len(all)-1)]
		calls[state]++
		sent = append(sent, call{state, decoded(tb, input)})
		if err := now.Sleep(ctx, time.Duration(a.Seconds)*time.Second); err != nil {
			return nil, err
		}
		if a.Error != "" {
			return nil, &asl.Failure{Name: a.Error, Cause: a.Cause}
		}
		if a.Bytes > 0 {
			return json.RawMessage(`"` + strings.Repeat("x", a.Bytes) + `"`), nil
		}
		return a.Result, nil
	})
	res := m.Run(tb.Context(), asl.Execution{Name: c.name, ID: c.name, Input: c.Input}, asl.Env{Clock: now, Tasks: tasks})
	out := outcome{Status: res.Status, Path: res.Path, Error: res.Error, Cause: res.Cause, Calls: calls, Sent: sent}
	if res.Output != nil {
		out.Output = decoded(tb, res.Output)
	}
	return out.settle()
}

// settle drops what is not compared.
func (o outcome) settle() outcome {
	if o.Status == asl.TimedOut {
		o.Error = ""
	}
	if causeless.MatchString(o.Error) || o.Error == "" {
		o.Cause = ""
	}
	if len(o.Sent) == 0 {
		o.Calls, o.Sent = nil, nil
	}
	return o
}

func decoded(tb testing.TB, raw json.RawMessage) (v any) {
	tb.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		tb.Fatalf("%v in %s", err, raw)
	}
	return v
}

// Our interpreter does what the files say.
func TestCases(t *testing.T) {
	for _, c := range loadCases(t) {
		t.Run(c.name, func(t *testing.T) {
			got := c.run(t)
			if *update {
				c.write(t, got)
				return
			}
			got.Sent = nil
			if !reflect.DeepEqual(got, c.Want) {
				t.Errorf("%s\ngot  %s\nwant %s", c.About, jsonOf(t, got), jsonOf(t, c.Want))
			}
		})
	}
}

func jsonOf(tb testing.TB, v any) string {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// write puts an outcome into the case's file.
func (c testCase) write(tb testing.TB, got outcome) {
	tb.Helper()
	c.Want = got
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(c); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(corpus, c.name+".json"), b.Bytes(), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// difference is a case that another interpreter takes differently.
type difference struct {
	Case   string `json:"case"`
	Engine string `json:"engine"`
	// Theirs is what the other one does, Decides the text that says who is right.
	Theirs  string `json:"theirs"`
	Decides string `json:"decides"`
}

// theirs is a line that a driver under testdata/engines/asl prints.
type theirs struct {
	Name    string `json:"name"`
	Refused string `json:"refused"`
	outcome
	Sent []call `json:"sent"`
}

func TestAgainstAWSLocalStepFunctions(t *testing.T) {
	t.Parallel()
	engines.Path(t, "node_modules/aws-local-stepfunctions")
	compare(t, "aws-local-stepfunctions", engines.Node(t), "stepfunctions.mjs")
}

func TestAgainstMoto(t *testing.T) {
	t.Parallel()
	compare(t, "moto", engines.Python(t), "stepfunctions.py")
}

// compare takes all cases through another interpreter. What it does must be what
// ours does, or what testdata/engines/asl/differences.json lists; a listed difference that
// has gone is an error as well.
func compare(t *testing.T, engine, program, script string) {
	t.Helper()
	if testing.Short() {
		t.Skip("a short run starts no engines")
	}
	listed := loadDifferences(t, engine)
	cases := loadCases(t)
	results := drive(t, program, engines.Path(t, "asl/"+script), cases)
	agreed := 0
	for i, c := range cases {
		got, ours := results[i], c.run(t)
		same := got.Refused == "" && reflect.DeepEqual(got.outcome, ours)
		if d, ok := listed[c.name]; ok && same {
			t.Errorf("%s: %s is listed as different (%s), but agrees", c.name, engine, d.Theirs)
		} else if !ok && !same {
			t.Errorf("%s\n%s %s %s\nours %s\nsent %s\nours %s", c.name, engine, short(jsonOf(t, got.outcome)), got.Refused,
				short(jsonOf(t, ours)), short(jsonOf(t, got.outcome.Sent)), short(jsonOf(t, ours.Sent)))
		} else if same {
			agreed++
		}
	}
	t.Logf("%s agrees on %d of %d cases; %d differences are listed", engine, agreed, len(cases), len(listed))
}

// short keeps a message readable.
func short(s string) string {
	if len(s) > 1500 {
		return s[:1500] + "..."
	}
	return s
}

// drive runs a driver over all cases.
func drive(t *testing.T, program, script string, cases []testCase) []theirs {
	t.Helper()
	var in bytes.Buffer
	for _, c := range cases {
		in.WriteString(jsonOf(t, map[string]any{"name": c.name, "definition": json.RawMessage(c.definition(t)), "input": c.Input, "answers": c.Answers}) + "\n")
	}
	cmd := exec.CommandContext(t.Context(), program, script)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n...%s", script, err, stderr.Bytes()[max(0, stderr.Len()-3000):])
	}
	var results []theirs
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var r theirs
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		r.outcome.Calls = map[string]int{}
		for _, s := range r.Sent {
			r.outcome.Calls[s.State]++
		}
		r.outcome.Sent = r.Sent
		r.outcome = r.outcome.settle()
		results = append(results, r)
	}
	if len(results) != len(cases) {
		t.Fatalf("%s: %d results for %d cases", script, len(results), len(cases))
	}
	return results
}

// loadDifferences reads what is known of an engine.
func loadDifferences(t *testing.T, engine string) map[string]difference {
	t.Helper()
	text, err := os.ReadFile(engines.Path(t, "asl/differences.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []difference
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]difference{}
	for _, d := range all {
		if d.Theirs == "" || d.Decides == "" {
			t.Errorf("%s, %s: say what it does and which text decides", d.Case, d.Engine)
		}
		if d.Engine == engine {
			out[d.Case] = d
		}
	}
	return out
}

// npm asl-validator, AWS's JSON schema with a path check, accepts both machines.
func TestASLValidator(t *testing.T) {
	script := engines.Path(t, "node_modules/asl-validator/dist/bin/asl-validator.js")
	for _, name := range statemachines.Names() {
		file := filepath.Join(engines.Root(t), "statemachines", name+".asl.json")
		if out, err := exec.CommandContext(t.Context(), engines.Node(t), script, "--json-path", file).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
