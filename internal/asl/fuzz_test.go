package asl_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"tandem/internal/asl"
	"tandem/statemachines"
)

// Whatever a definition, an input and a task's answer are: nothing panics, the
// run ends in time, and a result is JSON.
func FuzzRun(f *testing.F) {
	for _, name := range statemachines.Names() {
		f.Add(statemachines.Definition(name), []byte(`{"event":{}}`), []byte(`{"act":"write"}`), "")
		f.Add(statemachines.Definition(name), []byte(`{"event":{}}`), []byte(`{"act":"drop"}`), "LeaseLost")
	}
	for _, c := range loadCases(f) {
		if c.Machine == "" {
			f.Add([]byte(c.Definition), []byte(c.Input), []byte(`{"r":{"id":1}}`), "E")
		}
	}
	f.Fuzz(func(t *testing.T, definition, input, answer []byte, failure string) {
		m, err := asl.Parse(definition)
		if err != nil {
			return
		}
		m.Check(asl.Rules{Codes: map[string]bool{failure: true}})
		m.Mermaid(nil)
		now, calls := newClock(), 0
		tasks := work(func(ctx context.Context, _ string, in json.RawMessage) (json.RawMessage, error) {
			if !json.Valid(in) {
				t.Fatalf("a task is given %q", in)
			}
			calls++
			if failure != "" && calls%3 == 1 {
				return nil, &asl.Failure{Name: failure}
			}
			return answer, now.Sleep(ctx, time.Millisecond)
		})
		res := m.Run(t.Context(), asl.Execution{Name: "f", Input: input}, asl.Env{Clock: now, Tasks: tasks})
		if res.Status == asl.Succeeded && !json.Valid(res.Output) {
			t.Errorf("output %q", res.Output)
		}
		if len(res.Path) != len(res.Steps) || res.End.Sub(res.Start) > asl.MaxDuration {
			t.Errorf("%d states, %d steps, %v", len(res.Path), len(res.Steps), res.End.Sub(res.Start))
		}
	})
}
