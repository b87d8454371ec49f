package spec

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Every kind of change, its class and where it is reported.
func TestDiff(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Spec)
		want []string // risk and path
	}{
		{"nothing", func(*Spec) {}, nil},
		{"another client", func(s *Spec) { s.Client = "d" }, []string{"breaks client"}},
		{"another portal", func(s *Spec) { s.HubSpot.PortalID = "2" }, []string{"breaks hubspot.portalId"}},
		{"another app", func(s *Spec) { s.HubSpot.AppID = "2" }, []string{"safe hubspot.appId"}},
		{"another address", func(s *Spec) { s.Destination.BaseURL = "https://e" }, []string{"breaks destination.baseUrl"}},
		{"a budget", func(s *Spec) { s.Destination.RateLimit.Requests = 3 }, []string{"safe destination.rateLimit"}},
		{"the trace", func(s *Spec) { s.Trace.Level = "ERROR" }, []string{"safe trace"}},
		{"the guards", func(s *Spec) { s.Guards.Deletes = 5 }, []string{"safe guards"}},
		{"the signature", func(s *Spec) { s.Destination.Webhook = &Webhook{Scheme: "stripe", Record: "id"} }, []string{"stops destination.webhook"}},
		{"a call", func(s *Spec) { editObject(s, func(o *Object) { o.Delete = nil }) }, []string{"safe destination.objects.people"}},
		{"the id's place", func(s *Spec) { editObject(s, func(o *Object) { o.ID = "key" }) }, []string{"breaks destination.objects.people.id"}},
		{"the fields' place", func(s *Spec) { editObject(s, func(o *Object) { o.Fields = "data" }) }, []string{"breaks destination.objects.people.fields"}},
		{"the event's word", func(s *Spec) { editObject(s, func(o *Object) { o.Event = "person" }) }, []string{"stops destination.objects.people.event"}},
		{"a new pair", func(s *Spec) { s.Pairs = append(s.Pairs, Pair{Name: "firms"}) }, []string{"rewrites firms"}},
		{"a pair removed", func(s *Spec) { s.Pairs = nil }, []string{"stops people"}},
		{"the match", func(s *Spec) { s.Pairs[0].Match = nil }, []string{"breaks people.match"}},
		{"the object", func(s *Spec) { s.Pairs[0].HubSpot.Object = "leads" }, []string{"breaks people.hubspot.object"}},
		{"the external id", func(s *Spec) { s.Pairs[0].HubSpot.ExternalID = "e" }, []string{"breaks people.hubspot.externalId"}},
		{"the trigger", func(s *Spec) { s.Pairs[0].Destination.Trigger = "poll" }, []string{"safe people.destination.trigger"}},
		{"deletions travel", func(s *Spec) { s.Pairs[0].Deletes.HubSpot = "archive" }, []string{"loses people.deletes.hubspot"}},
		{"deletions are ignored", func(s *Spec) { s.Pairs[0].Deletes.HubSpot = "ignore" }, []string{"safe people.deletes.hubspot"}},
		{"the default spelt out", func(s *Spec) { s.Pairs[0].Deletes.HubSpot = "ask" }, nil},
		{"a new field", func(s *Spec) { s.Pairs[0].Fields = append(s.Pairs[0].Fields, Field{Name: "y"}) }, []string{"rewrites people.y"}},
		{"a field removed", func(s *Spec) { s.Pairs[0].Fields = s.Pairs[0].Fields[:1] }, []string{"stops people.x"}},
		{"a property", x(func(f *Field) { f.Destination.Property = "z" }), []string{"breaks people.x.destination.property"}},
		{"a type", x(func(f *Field) { f.HubSpot.Type, f.Destination.Type = "number", "number" }),
			[]string{"rewrites people.x.hubspot.type", "rewrites people.x.destination.type"}},
		{"a type, string spelt out", x(func(f *Field) { f.HubSpot.Type = "string" }), nil},
		{"a shorter length", x(func(f *Field) { f.Destination.MaxLength = 5 }), []string{"stops people.x.destination.maxLength"}},
		{"one way only", x(func(f *Field) { f.Direction = OnlyHubSpot }), []string{"stops people.x.direction", "safe people.x.policy"}},
		{"a formula", x(func(f *Field) { f.Formula = named("lowercase") }), []string{"rewrites people.x.formula", "loses people.x"}},
		{"null spelt out", x(func(f *Field) { f.Formula = named("null") }), nil},
		{"a reverse spelt out", x(func(f *Field) { f.Reverse = named("null") }), []string{"rewrites people.x.reverse"}},
		{"a reference's pair", x(func(f *Field) { f.HubSpot.Pair = "p" }), []string{"breaks people.x.hubspot.pair"}},
		{"who wins", x(func(f *Field) { f.Policy = PolicyHubSpot }), []string{"safe people.x.policy"}},
		{"made sensitive", x(func(f *Field) { f.Sensitive = true }), []string{"safe people.x.sensitive"}},
		{"a warning accepted", x(func(f *Field) { f.Accept = []string{"lossy"} }), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := small(t)
			c.edit(b)
			compare(t, Diff(small(t), b), c.want)
		})
	}
}

func compare(t *testing.T, changes []Change, want []string) {
	t.Helper()
	var got []string
	for _, c := range changes {
		got = append(got, fmt.Sprintf("%s %s", c.Risk, c.Path))
		if c.Message == "" || !slices.Contains(Risks, c.Risk) {
			t.Errorf("got %#v", c)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", changes, want)
	}
}

// Of a new pair it says what becomes of the records that are there already.
func TestDiffOfANewPair(t *testing.T) {
	for want, match := range map[string][]Match{
		"linked by equal email (blank matches nothing), and where": {{Field: "email"}},
		"nothing is matched, so that each record":                  nil,
	} {
		b := small(t)
		b.Pairs = append(b.Pairs, Pair{Name: "firms", Match: match})
		if got := Diff(small(t), b); len(got) != 1 || !strings.Contains(got[0].Message, want) {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

// Tables are compared entry by entry.
func TestDiffOfTables(t *testing.T) {
	a, b := small(t), small(t)
	x(func(f *Field) { f.Formula = table("a", "A", "b", "B", "c", "C") })(a)
	x(func(f *Field) { f.Formula = table("a", "A", "b", "X", "d", "D") })(b)
	compare(t, Diff(a, b), []string{"rewrites people.x.formula", "stops people.x.formula", "safe people.x.formula"})
	x(func(f *Field) { f.Formula, f.Reverse = table("a", "A", "b", "A"), table("A", "a") })(b)
	changes := Diff(a, b)
	if last := changes[len(changes)-1]; last.Risk != Loses || last.Message != "there and back it is lossy, was invertible: b -> A -> a" {
		t.Errorf("got %v", changes)
	}
}
