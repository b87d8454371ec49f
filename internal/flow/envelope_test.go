package flow_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"tandem/internal/flow"
	"tandem/spec"
)

// An envelope that went through a machine or a queue is the one that was sealed,
// whatever its fields are called.
func TestEnvelopeKeepsItsSealAsText(t *testing.T) {
	b := newBench(t)
	sealed, err := b.flow.Seals.Seal(flow.Envelope{
		Client: "acme", Direction: spec.ToDestination, Pair: "contacts", ID: "7", Kind: flow.Changed, Name: "n", At: 1782371969536,
		Told: []flow.Told{{Field: "zip", Print: "svlIitWnbrM"}, {Field: "post code @ home", Print: "svl-_tWnbrM", At: 1782371969000}, {Field: "", Print: "A"},
			{Field: "zip", Print: "svlIitWnbrM", Other: true}, {Field: "zip", Print: "svlIitWnbrM", At: 1782371969000, Other: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"told":["svlIitWnbrM zip","svl-_tWnbrM@1782371969000 post code @ home","A ","svlIitWnbrM! zip","svlIitWnbrM!@1782371969000 zip"]`) {
		t.Errorf("told reads %s", text)
	}
	var back flow.Envelope
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, sealed) {
		t.Errorf("%+v came back as %+v, %v", sealed, back, err)
	}
	if err := b.flow.Seals.Check(back); err != nil {
		t.Error(err)
	}
	back.Told[0].At = 5
	if err := b.flow.Seals.Check(back); flow.CodeOf(err) != flow.BadSeal {
		t.Errorf("an altered time passes: %v", err)
	}
	for _, bad := range []string{`["svlIitWnbrM"]`, `["svlIitWnbrM@soon zip"]`} {
		if err := json.Unmarshal([]byte(`{"told":`+bad+`}`), &back); err == nil {
			t.Errorf("%s is read as %+v", bad, back.Told)
		}
	}
}
