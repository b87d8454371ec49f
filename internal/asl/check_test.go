package asl_test

import (
	"strings"
	"testing"

	"tandem/internal/asl"
	"tandem/statemachines"
)

// sound keeps every house rule; each case below breaks one.
const sound = `{"StartAt":"Work","TimeoutSeconds":60,"States":{
	"Work":{"Type":"Task","Comment":"c","Resource":"${WorkArn}","TimeoutSeconds":5,
		"Retry":[{"ErrorEquals":["Busy","Lambda.Unknown"]}],
		"Catch":[{"ErrorEquals":["Lost"],"Next":"Work"},{"ErrorEquals":["States.ALL"],"Next":"Bury"}],"Next":"Done"},
	"Done":{"Type":"Succeed","Comment":"c"},
	"Bury":{"Type":"Task","Comment":"c","Resource":"arn:aws:states:::sqs:sendMessage","TimeoutSeconds":5,"Retry":[{"ErrorEquals":["States.ALL"]}],
		"Catch":[{"ErrorEquals":["States.ALL"],"Next":"Failed"}],"Next":"Failed"},
	"Failed":{"Type":"Fail","Comment":"c"}}}`

var rules = asl.Rules{Codes: map[string]bool{"Busy": true, "Lost": true, "Bad": false}, LastResort: "Bury"}

func TestCheckFinds(t *testing.T) {
	if got := mustParse(t, sound).Check(rules); len(got) > 0 {
		t.Fatalf("a sound machine gives %v", got)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"Next":"Done"}`, `"Next":"Failed"}`, `state "Done": cannot be reached`},
		{`"Comment":"c","Resource":"${WorkArn}"`, `"Resource":"${WorkArn}"`, `state "Work": has no Comment`},
		{`"TimeoutSeconds":5,
		"Retry"`, `"Retry"`, `state "Work": a Task needs TimeoutSeconds`},
		{`"TimeoutSeconds":5,
		"Retry"`, `"TimeoutSeconds":60,"Retry"`, "is not below the machine's"},
		{`"TimeoutSeconds":60,"States"`, `"TimeoutSeconds":300,"States"`, "machine: TimeoutSeconds must be there and below 5m"},
		{`"TimeoutSeconds":60,"States"`, `"TimeoutSeconds":14,"States"`, "its waits and retries can take 14s"},
		{`"Retry":[{"ErrorEquals":["Busy","Lambda.Unknown"]}],`, ``, "a Task needs a Retry"},
		{`["Busy","Lambda.Unknown"]`, `["Bad"]`, "Retry names Bad, which is not transient"},
		{`["Busy","Lambda.Unknown"]`, `["States.ALL"]`, "Retry names States.ALL, which is not transient"},
		{`["Busy","Lambda.Unknown"]`, `["Bussy"]`, `"Bussy" is the name of no error`},
		{`["Lost"]`, `["Losst"]`, `"Losst" is the name of no error`},
		{`["Lost"]`, `["States.ALL"]`, "States.ALL must stand alone and last"},
		{`{"ErrorEquals":["States.ALL"],"Next":"Bury"}`, `{"ErrorEquals":["States.ALL","Busy"],"Next":"Bury"}`, "States.ALL must stand alone and last"},
		{`,{"ErrorEquals":["States.ALL"],"Next":"Bury"}`, ``, "a Task needs a Catch whose last entry is States.ALL"},
		{`{"ErrorEquals":["States.ALL"],"Next":"Bury"}`, `{"ErrorEquals":["States.ALL"],"Next":"Done"}`, "can end in success, by Done"},
		{`{"ErrorEquals":["States.ALL"],"Next":"Bury"}`, `{"ErrorEquals":["States.ALL"],"Next":"Failed"}`, "leads to Failed and not to Bury"},
		{`"Done":{"Type":"Succeed","Comment":"c"}`, `"Done":{"Type":"Wait","Comment":"c","Seconds":1,"Next":"Done"}`, `state "Done": leads to no end`},
	} {
		broken := strings.Replace(sound, c.old, c.new, 1)
		if broken == sound {
			t.Fatalf("%q is not in the machine", c.old)
		}
		found := mustParse(t, broken).Check(rules)
		var text []string
		for _, f := range found {
			text = append(text, f.Error())
		}
		if !strings.Contains(strings.Join(text, "\n"), c.want) {
			t.Errorf("%s\n\tgives %q\n\twant  %q", c.new, text, c.want)
		}
	}
}

func TestGraph(t *testing.T) {
	m := mustParse(t, string(statemachines.Definition("hubspot-to-destination")))
	text := m.Mermaid([]string{"Verify", "DeadLetter"})
	for _, want := range []string{
		"flowchart TD\n", `["Verify"]`, `|"LeaseLost"|`, `|"default"|`, `|"States.ALL"|`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "stroke-width"); n != 2 {
		t.Errorf("%d states are marked, want 2", n)
	}
}
