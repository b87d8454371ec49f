package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem/internal/asl"
	"tandem/statemachines"
)

// script answers each resource's calls in turn; an answer that begins with "!"
// is an error of that name.
type script map[string][]string

func (s script) Invoke(_ context.Context, resource string, _ json.RawMessage) (json.RawMessage, error) {
	answers := s[resource]
	if len(answers) == 0 {
		return json.RawMessage(`{"MessageId":"1"}`), nil
	}
	if len(answers) > 1 {
		s[resource] = answers[1:]
	}
	if name, bad := strings.CutPrefix(answers[0], "!"); bad {
		return nil, &asl.Failure{Name: name, Cause: "as the script says"}
	}
	return json.RawMessage(answers[0]), nil
}

// still is a clock on which waiting takes no time.
type still struct{ asl.RealClock }

func (still) Sleep(context.Context, time.Duration) error { return nil }

// What is kept of an execution is enough to show every state's input and output
// exactly, also after retries, caught errors, further rounds and a dead letter.
func TestTraceIsPutBackTogether(t *testing.T) {
	m, err := asl.Parse(statemachines.Definition("hubspot-to-destination"))
	if err != nil {
		t.Fatal(err)
	}
	ok := func() script {
		return script{
			"${VerifyArn}": {`{"ok":true}`}, "${TransformArn}": {`{"id":"1","fields":{"a":"x, \"y\": {"}}`},
			"${LookupArn}": {`{"act":"write"}`}, "${WriteArn}": {`{"sides":{}}`}, "${StampArn}": {`{"ids":{}}`},
		}
	}
	for name, change := range map[string]func(script){
		"written": func(script) {},
		"dropped": func(s script) { s["${LookupArn}"] = []string{`{"act":"drop","reason":"unchanged"}`} },
		"retried": func(s script) { s["${TransformArn}"] = []string{"!RateLimited", "!RateLimited", `{"id":"1"}`} },
		"decided again": func(s script) {
			s["${WriteArn}"] = []string{"!LeaseLost", "!PreconditionFailed", `{"sides":{}}`}
			s["${LookupArn}"] = []string{`{"act":"write"}`, `{"act":"write","n":2}`}
		},
		"dead letter": func(s script) { s["${WriteArn}"] = []string{"!RemoteRefused"} },
	} {
		t.Run(name, func(t *testing.T) {
			tasks := ok()
			change(tasks)
			r := &run{input: json.RawMessage(`{"event":{"client":"acme","id":"1"}}`)}
			res := m.Run(t.Context(), asl.Execution{Name: "n", ID: "i", Input: r.input}, asl.Env{Clock: still{}, Tasks: tasks})
			line, err := encode(Summary{Name: "n", Status: res.Status}, r, &res)
			if err != nil || bytes.IndexByte(line, '\n') >= 0 {
				t.Fatalf("%v, or a newline in the line", err)
			}
			trace, err := decode(line)
			if err != nil {
				t.Fatal(err)
			}
			if len(trace.Steps) != len(res.Steps) || trace.Error != res.Error {
				t.Fatalf("%d steps and error %q, want %d and %q", len(trace.Steps), trace.Error, len(res.Steps), res.Error)
			}
			for i, want := range res.Steps {
				got := trace.Steps[i]
				if got.State != want.State || got.Next != want.Next || got.Error != want.Error || len(got.Attempts) != len(want.Attempts) {
					t.Errorf("step %d is %+v, want %+v", i, got, want)
				}
				if !same(got.Input, want.Input) || !same(got.Output, want.Output) {
					t.Errorf("step %d, %s: %s to %s, want %s to %s", i, want.State, got.Input, got.Output, want.Input, want.Output)
				}
			}
		})
	}
}

func same(a, b json.RawMessage) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func TestFilter(t *testing.T) {
	s := Summary{Name: "acme-contacts-17-1-aa", Status: asl.Failed, Events: []string{"e9"}, Outcome: &Outcome{Kind: "dead"}}
	s.Record.Object, s.Record.ID = "contacts", "17"
	for f, want := range map[Filter]bool{
		{}: true, {Text: "17-1"}: true, {Text: "e9"}: true, {Text: "e"}: true, {Text: "e8"}: false,
		{Status: "failed"}: true, {Status: "dead"}: true, {Status: "SUCCEEDED"}: false,
		{Record: "17"}: true, {Record: "contacts/17"}: true, {Record: "deals/17"}: false, {Record: "1"}: false,
	} {
		if got := f.chooses(&s); got != want {
			t.Errorf("%+v chooses: %v, want %v", f, got, want)
		}
	}
}
