package statemachines_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem/internal/asl"
	"tandem/internal/flow"
	"tandem/spec"
	"tandem/statemachines"
)

func machine(tb testing.TB, name string) *asl.Machine {
	tb.Helper()
	m, err := asl.Parse(statemachines.Definition(name))
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// There is a machine for each direction, under the direction's name.
func TestNames(t *testing.T) {
	want := []string{string(spec.ToDestination), string(spec.ToHubSpot)}
	if got := statemachines.Names(); !reflect.DeepEqual(got, want) {
		t.Errorf("names are %v, want %v", got, want)
	}
}

// The files keep the house rules, with the codes that the flow really reports.
func TestCheck(t *testing.T) {
	codes := map[string]bool{}
	for c, transient := range flow.Codes {
		codes[string(c)] = transient
	}
	for _, name := range statemachines.Names() {
		m := machine(t, name)
		for _, f := range m.Check(asl.Rules{Codes: codes, LastResort: "DeadLetter"}) {
			t.Errorf("%s: %v", name, f)
		}
		if w := m.WorstWait(); w < 200*time.Second {
			t.Errorf("%s: waits and retries add up to %v only: has a retrier been lost?", name, w)
		}
		t.Logf("%s: waits and retries take at most %v", name, m.WorstWait())
	}
}

// Codes that the flow calls transient are retried, or decided again, somewhere.
func TestEveryTransientCodeIsHandled(t *testing.T) {
	for _, name := range statemachines.Names() {
		text := string(statemachines.Definition(name))
		for c, transient := range flow.Codes {
			if transient && !strings.Contains(text, `"`+string(c)+`"`) {
				t.Errorf("%s handles %s nowhere", name, c)
			}
		}
	}
}

// The directions differ in their comments and in the name they leave in a dead
// letter, and in nothing else.
func TestSameStructure(t *testing.T) {
	names := statemachines.Names()
	if a, b := skeleton(t, names[0]), skeleton(t, names[1]); !reflect.DeepEqual(a, b) {
		t.Errorf("the machines differ:\n%v\n%v", a, b)
	}
}

// skeleton is a definition without its comments and its own name.
func skeleton(tb testing.TB, name string) any {
	tb.Helper()
	var v any
	if err := json.Unmarshal(statemachines.Definition(name), &v); err != nil {
		tb.Fatal(err)
	}
	return strip(v, name)
}

func strip(v any, name string) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "Comment")
		for k := range v {
			v[k] = strip(v[k], name)
		}
	case []any:
		for i := range v {
			v[i] = strip(v[i], name)
		}
	case string:
		if v == name {
			return "the machine's name"
		}
	}
	return v
}

// A placeholder is a lambda's state with Arn behind it, or a queue's with Url.
func TestPlaceholders(t *testing.T) {
	want := []string{"VerifyArn", "TransformArn", "LookupArn", "WriteArn", "StampArn", "LaterUrl", "DeadLetterUrl"}
	for _, name := range statemachines.Names() {
		if got := statemachines.Placeholders(name); !reflect.DeepEqual(got, want) {
			t.Errorf("%s has placeholders %v, want %v", name, got, want)
		}
		for _, s := range machine(t, name).Graph() {
			if queue := s.Name == "DeadLetter" || s.Name == "Later"; s.Type == "Task" && !queue && s.Resource != "${"+s.Name+"Arn}" {
				t.Errorf("%s: state %s calls %s", name, s.Name, s.Resource)
			}
		}
	}
}

func TestSubstitute(t *testing.T) {
	name := statemachines.Names()[0]
	full := map[string]string{}
	for _, p := range statemachines.Placeholders(name) {
		full[p] = "arn:aws:lambda:ap-southeast-2:000000000000:function:" + p
	}
	out, err := statemachines.Substitute(name, full)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "${") || !json.Valid(out) || !strings.Contains(string(out), "function:StampArn") {
		t.Errorf("the placeholders are not replaced:\n%s", out)
	}
	for what, change := range map[string]func(map[string]string){
		"no value is given for ${WriteArn}": func(m map[string]string) { delete(m, "WriteArn") },
		"has no placeholder ${WroteArn}":    func(m map[string]string) { m["WroteArn"] = "x" },
		"cannot stand inside a JSON string": func(m map[string]string) { m["WriteArn"] = `"` },
	} {
		values := map[string]string{}
		for k, v := range full {
			values[k] = v
		}
		change(values)
		if _, err := statemachines.Substitute(name, values); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("error %v, want one that says %q", err, what)
		}
	}
}
