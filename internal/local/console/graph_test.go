package console

import (
	"testing"

	"tandem/internal/asl"
	"tandem/internal/local/engine"
	"tandem/statemachines"
)

// The usual way stands in the middle, the way back to it on the left, the other
// ends on the right, and no two states on one place.
func TestPlaces(t *testing.T) {
	for _, name := range statemachines.Names() {
		m, err := asl.Parse(statemachines.Definition(name))
		if err != nil {
			t.Fatal(err)
		}
		at := place(m.Graph())
		taken := map[[2]int]string{}
		for state, p := range at {
			if other := taken[p]; other != "" {
				t.Errorf("%s: %s stands on %s", name, state, other)
			}
			taken[p] = state
		}
		for row, state := range []string{"Verify", "Transform", "Lookup", "Decide", "Write", "Stamp"} {
			if at[state] != [2]int{1, row} {
				t.Errorf("%s: %s is at %v, want the middle, row %d", name, state, at[state], row)
			}
		}
		for state, column := range map[string]int{"Pause": 0, "Dropped": 2, "DeadLetter": 2, "Failed": 2, "Deferred": 2} {
			if at[state][0] != column {
				t.Errorf("%s: %s is in column %d, want %d", name, state, at[state][0], column)
			}
		}
		g := draw(m, &engine.Trace{Steps: []engine.Step{{State: "Verify", Next: "DeadLetter", Error: "BadSeal"}, {State: "DeadLetter", Next: "Failed"}, {State: "Failed", Type: "Fail"}}})
		for _, b := range g.Boxes {
			if want := map[string]string{"Verify": "caught", "DeadLetter": "succeeded", "Failed": "failed"}[b.Name]; want != "" && b.Class != want || want == "" && b.Class != "idle" {
				t.Errorf("%s: %s is %s", name, b.Name, b.Class)
			}
		}
	}
}
