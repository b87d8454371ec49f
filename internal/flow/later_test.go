package flow

import (
	"encoding/json"
	"strings"
	"testing"
)

// Another execution of an event fits into the limit, begins with what people
// search for, and holds the event as it was sealed; a message without an event
// starts nothing.
func TestAgain(t *testing.T) {
	const name = "acme-contacts-1001-1700000000000-0011aabb"
	long := "acme-contacts-1001-" + strings.Repeat("9", 61)
	postponed := func(name string, times int) func() (string, json.RawMessage, error) {
		return Postponed{Event: Envelope{Name: name, Seal: "x"}, Later: Later{Times: times, Delay: 60}}.Next
	}
	redriven := func(name, letter string) func() (string, json.RawMessage, error) {
		return func() (string, json.RawMessage, error) { return Redriven(Envelope{Name: name, Seal: "x"}, letter) }
	}
	for _, c := range []struct {
		again       func() (string, json.RawMessage, error)
		want, later string
	}{
		{postponed(name, 2), name + "-later-2", `{"times":2,"delay":60,"waited":0}`},
		{postponed(long, 300), long[:70] + "-later-300", `{"times":300,"delay":60,"waited":0}`},
		{postponed("", 1), "", ""},
		{postponed(name, 0), "", ""},
		{redriven(name, "17"), name + "-redrive-17", ""},
		{redriven(name, "0123456789"), name + "-redrive-01234567", ""},
		{redriven(long, "0123456789"), long[:63] + "-redrive-01234567", ""},
		{redriven("", "17"), "", ""},
	} {
		got, input, err := c.again()
		if got != c.want || len(got) > maxName || (err == nil) != (c.want != "") {
			t.Errorf("%q of %d characters, %v, want %q", got, len(got), err, c.want)
		}
		var in struct {
			Event Envelope
			Later json.RawMessage
		}
		if err == nil && (json.Unmarshal(input, &in) != nil || in.Event.Seal != "x" || string(in.Later) != c.later) {
			t.Errorf("%s goes on with %s, want later %s", got, input, c.later)
		}
	}
}

// A failure is told without Lambda's JSON and its own code, and with how long it was tried.
func TestCauseText(t *testing.T) {
	lambda := func(message string) string { return `{"errorMessage":"` + message + `","errorType":"RemoteBusy"}` }
	for _, c := range []struct{ text, postponed, want string }{
		{"RemoteBusy: no connection", "null", "no connection"},
		{lambda("RemoteBusy: no connection"), "null", "no connection"},
		{lambda("no connection"), `{"times":1,"seconds":30}`, "tried 2 times in 30 s: no connection"},
		{"", `{"times":4,"seconds":450}`, "tried 5 times in 7 min: "},
		{`{"other":1}`, `{"times":105,"seconds":90930}`, `tried 106 times in 25 h: {"other":1}`},
	} {
		var got Cause
		text, _ := json.Marshal(c.text)
		if err := json.Unmarshal([]byte(`{"Error":"RemoteBusy","Cause":`+string(text)+`,"postponed":`+c.postponed+`}`), &got); err != nil {
			t.Fatal(err)
		}
		if got.Text() != c.want {
			t.Errorf("%q, want %q", got.Text(), c.want)
		}
	}
}
