package spec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tandem/internal/record"
)

// smallSpec is a valid spec of one pair that gives no findings.
const smallSpec = `{
		"client": "c", "hubspot": {"portalId": "1"},
		"destination": {"name": "D", "baseUrl": "https://d.example",
			"webhook": {"scheme": "hmac-sha256-hex", "header": "X-S", "timestampHeader": "X-T", "record": "id"},
			"objects": {"people": {"read": {"path": "/p/{id}"}, "create": {"path": "/p"}, "update": {"path": "/p/{id}"},
				"upsert": {"path": "/p/{field}/{value}"}, "delete": {"path": "/p/{id}"}, "find": {"path": "/p", "query": {"{field}": "{value}"}}, "list": {"path": "/p"},
				"id": "id", "updatedAt": "at", "archived": "gone", "unique": ["mail"]}}},
		"pairs": [{"name": "people", "hubspot": {"object": "contacts", "externalId": "d_id"}, "destination": {"object": "people", "externalId": "h_id"},
			"match": [{"field": "email"}],
			"fields": [
				{"name": "email", "hubspot": {"property": "email"}, "destination": {"property": "mail"}},
				{"name": "x", "hubspot": {"property": "x"}, "destination": {"property": "d_x"}}]}]}`

// small parses smallSpec for a test to edit.
func small(t *testing.T) *Spec {
	t.Helper()
	s, err := Parse("small", []byte(smallSpec))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAcmePasses(t *testing.T) {
	s, err := Load(acme)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Check(s) {
		if f.Severity != Note {
			t.Error(f)
		}
	}
}

func TestASpecWithoutFaultsHasNoFindings(t *testing.T) {
	if found := Check(small(t)); len(found) != 0 {
		t.Error(found)
	}
}

// x changes the pair's second field, to which most findings are about.
func x(edit func(f *Field)) func(*Spec) {
	return func(s *Spec) { edit(&s.Pairs[0].Fields[1]) }
}

// canary adds one, in the only pair unless told otherwise.
func canary(c Canary) func(*Spec) {
	return func(s *Spec) {
		if c.Pair == "" {
			c.Pair = "people"
		}
		c.Record, s.Canary = "1", &c
	}
}

func table(pairs ...string) *Formula {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return &Formula{Name: "enumMap", EnumMap: m}
}

func named(name string) *Formula { return &Formula{Name: name} }

// A side that names no type is text, and is called that.
func TestLogicOfTheWrongTypeIsToldWithBoth(t *testing.T) {
	s := small(t)
	x(func(f *Field) { f.HubSpot.Type, f.Formula = record.Number, &Formula{Logic: "phoneAU"} })(s)
	if found := Check(s); len(found) == 0 || !strings.Contains(found[0].Message, "from number to string") {
		t.Error(found)
	}
}

// Every finding the checker can make is provoked by one edit, and is the only
// new one.
func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name     string
		edit     func(*Spec)
		severity Severity
		code     string
		path     string
		example  string
	}{
		{"two values become one", x(func(f *Field) { f.Formula = table("prospect", "LEAD", "lead", "LEAD") }),
			Error, "enum-ambiguous", "pairs[0].fields[1].formula", "prospect -> LEAD -> lead"},
		{"a consistent reverse", x(func(f *Field) {
			f.Formula, f.Reverse = table("prospect", "LEAD", "lead", "LEAD"), table("LEAD", "lead")
		}), Warning, "enum-merges", "pairs[0].fields[1].reverse", "prospect -> LEAD -> lead"},
		{"a reverse with a gap", x(func(f *Field) { f.Formula, f.Reverse = table("a", "A", "b", "B"), table("A", "a") }),
			Error, "enum-reverse", "pairs[0].fields[1].formula", "b -> B -> (refused)"},
		{"a reverse that crosses", x(func(f *Field) { f.Formula, f.Reverse = table("a", "A", "b", "B"), table("A", "b", "B", "a") }),
			Error, "enum-reverse", "pairs[0].fields[1].formula", "a -> A -> b"},
		{"an empty table", x(func(f *Field) { f.Formula = table() }), Error, "formula", "pairs[0].fields[1].formula", ""},
		{"days that no log is kept", func(s *Spec) { s.Trace.RetentionDays = 31 }, Error, "retention", "trace.retentionDays", ""},
		{"a blank entry", x(func(f *Field) { f.Formula = table("a", " ") }), Error, "formula", "pairs[0].fields[1].formula", ""},
		{"a table one way only in the reverse", x(func(f *Field) { f.Formula, f.Reverse = table("a", "A"), named("null") }),
			Error, "destructive", "pairs[0].fields[1].formula", "a -> A -> A"},
		{"concat both ways", x(func(f *Field) { f.Formula = &Formula{Concat: []string{"{x}", " ", "{y}"}} }),
			Error, "one-way-formula", "pairs[0].fields[1].formula", `"Anna Maria" -> "Anna Maria Lind" -> (no way back)`},
		{"lowercase both ways", x(func(f *Field) { f.Formula = named("lowercase") }),
			Note, "canonicalises", "pairs[0].fields[1].formula", `"Anna Lind" -> "anna lind" -> "anna lind"`},
		{"lowercase with a plain way back", x(func(f *Field) { f.Formula, f.Reverse = named("lowercase"), named("null") }),
			Error, "destructive", "pairs[0].fields[1].formula", `"Anna Lind" -> "Anna Lind" -> "anna lind"`},
		{"stripSpaces back only", x(func(f *Field) { f.Formula, f.Reverse = named("null"), named("stripSpaces") }),
			Error, "destructive", "pairs[0].fields[1].formula", `"Anna Lind" -> "Anna Lind" -> AnnaLind`},
		{"string and number", x(func(f *Field) { f.Destination.Type = record.Number }),
			Error, "type-mismatch", "pairs[0].fields[1].formula", `"Anna Lind" -> (refused: not a decimal number)`},
		{"datetime and date", x(func(f *Field) { f.HubSpot.Type, f.Destination.Type = record.DateTime, record.Date }),
			Error, "type-mismatch", "pairs[0].fields[1].formula", "2026-03-01T10:30:00.000Z -> 2026-03-01 -> 2026-03-01T00:00:00.000Z"},
		{"lowercase of a number", x(func(f *Field) {
			f.HubSpot.Type, f.Destination.Type, f.Formula = record.Number, record.Number, named("lowercase")
		}),
			Error, "formula", "pairs[0].fields[1].formula", ""},
		{"one way, never", x(func(f *Field) {
			f.Direction, f.HubSpot.Type, f.Destination.Type = OnlyDestination, record.Bool, record.Number
		}),
			Error, "type-mismatch", "pairs[0].fields[1]", ""},
		{"one way, some values", x(func(f *Field) { f.Direction, f.Destination.Type = OnlyDestination, record.Number }),
			Warning, "type-loose", "pairs[0].fields[1]", ""},
		{"one way, less", x(func(f *Field) {
			f.Direction, f.HubSpot.Type, f.Destination.Type = OnlyDestination, record.DateTime, record.Date
		}),
			Warning, "lossy", "pairs[0].fields[1]", ""},
		{"concat towards HubSpot without a reverse", x(func(f *Field) { f.Direction, f.Formula = OnlyHubSpot, &Formula{Concat: []string{"{x}"}} }),
			Error, "formula", "pairs[0].fields[1].formula", ""},
		{"concat of others", x(func(f *Field) { f.Direction, f.Formula = OnlyDestination, &Formula{Concat: []string{"{y}"}} }),
			Error, "concat-source", "pairs[0].fields[1].hubspot.property", ""},
		{"shorter target", x(func(f *Field) { f.HubSpot.MaxLength, f.Destination.MaxLength = 50, 40 }),
			Warning, "max-length", "pairs[0].fields[1]", ""},
		{"entry longer than the target", x(func(f *Field) { f.Formula, f.Destination.MaxLength = table("a", "ABC"), 2 }),
			Error, "max-length", "pairs[0].fields[1]", "ABC"},
		{"accepting nothing", x(func(f *Field) { f.Accept = []string{"max-length"} }), Warning, "accept-unused", "pairs[0].fields[1].accept", ""},
		{"a canary of no pair", canary(Canary{Pair: "ghosts", ToDestination: "x"}), Error, "canary", "canary.pair", ""},
		{"a canary that tries nothing", canary(Canary{}), Error, "canary", "canary", ""},
		{"a canary's one field both ways", canary(Canary{ToDestination: "x", ToHubSpot: "x"}), Error, "canary", "canary.toHubSpot", ""},
		{"a canary of no field", canary(Canary{ToHubSpot: "y"}), Error, "canary", "canary.toHubSpot", ""},
		{"a canary against the field's direction", func(s *Spec) {
			x(func(f *Field) { f.Direction = OnlyDestination })(s)
			canary(Canary{ToHubSpot: "x"})(s)
		}, Error, "canary", "canary.toHubSpot", ""},
		{"a canary in too small a cage", func(s *Spec) {
			x(func(f *Field) { f.HubSpot.MaxLength, f.Destination.MaxLength = 20, 20 })(s)
			canary(Canary{ToDestination: "x"})(s)
		}, Error, "canary", "canary.toDestination", ""},
		{"a canary that is a match key", canary(Canary{ToDestination: "email"}), Error, "canary", "canary.toDestination", ""},
		{"a read-only property", x(func(f *Field) { f.HubSpot.Property = "hs_lastmodifieddate" }), Error, "read-only", "pairs[0].fields[1].hubspot.property", ""},
		{"the lifecycle stage", x(func(f *Field) { f.HubSpot.Property = "lifecyclestage" }), Warning, "lifecycle-forward", "pairs[0].fields[1].hubspot.property", ""},
		{"a name twice", x(func(f *Field) { f.Name = "email" }), Error, "duplicate-field", "pairs[0].fields[1].name", ""},
		{"a target twice", x(func(f *Field) { f.Direction, f.Destination.Property = OnlyDestination, "mail" }),
			Error, "duplicate-target", "pairs[0].fields[1].destination.property", ""},
		{"the external id mapped", x(func(f *Field) { f.Destination.Property = "h_id" }), Error, "external-id-mapped", "pairs[0].fields[1].destination.property", ""},
		{"two types of one property", x(func(f *Field) {
			f.Direction, f.HubSpot, f.Destination.Type = OnlyDestination, Prop{Property: "email", Type: record.Enum}, record.Enum
		}), Error, "type-conflict", "pairs[0].fields[1].hubspot.type", ""},
		{"an association that is no reference", x(func(f *Field) { f.HubSpot.Property = "@companies" }), Error, "association-type", "pairs[0].fields[1].hubspot", ""},
		{"a reference to nothing", x(func(f *Field) {
			f.HubSpot, f.Destination = Prop{Property: "@companies", Type: "ref", Pair: "companies"}, Prop{Property: "c", Type: "ref", Pair: "companies"}
		}), Error, "ref-pair", "pairs[0].fields[1].hubspot.pair", ""},
		{"no match", func(s *Spec) { s.Pairs[0].Match = nil }, Warning, "no-match", "pairs[0].match", ""},
		{"match on nothing", func(s *Spec) { s.Pairs[0].Match[0].Field = "nope" }, Error, "match-unknown", "pairs[0].match[0].field", ""},
		{"match on what is not unique", func(s *Spec) { s.Pairs[0].Match[0].Field = "x" }, Error, "match-not-unique", "pairs[0].match[0].field", ""},
		{"match unique on one side", func(s *Spec) { editObject(s, func(o *Object) { o.Unique = nil }) }, Warning, "match-one-side", "pairs[0].match[0].field", ""},
		{"match on a sensitive field", func(s *Spec) { s.Pairs[0].Fields[0].Sensitive = true }, Error, "match-sensitive", "pairs[0].match[0].field", ""},
		{"match on a one-way field", func(s *Spec) { s.Pairs[0].Fields[0].Direction = OnlyDestination }, Error, "match-one-way", "pairs[0].match[0].field", ""},
		{"no external id", func(s *Spec) { s.Pairs[0].HubSpot.ExternalID = "" }, Warning, "no-external-id", "pairs[0].hubspot.externalId", ""},
		{"an external id of no use", func(s *Spec) { editObject(s, func(o *Object) { o.Upsert = nil }) }, Warning, "external-id-not-unique", "pairs[0].destination.externalId", ""},
		{"poll without a list", func(s *Spec) {
			s.Pairs[0].Destination.Trigger, s.Pairs[0].Destination.Every = "poll", Duration{1e9}
			editObject(s, func(o *Object) { o.List = nil })
		}, Error, "poll-no-list", "pairs[0].destination.trigger", ""},
		{"poll without an interval", func(s *Spec) { s.Pairs[0].Destination.Trigger = "poll" }, Error, "poll-no-interval", "pairs[0].destination.every", ""},
		{"poll that sees no deletions", func(s *Spec) {
			s.Pairs[0].Destination.Trigger, s.Pairs[0].Destination.Every, s.Pairs[0].Deletes.Destination = "poll", Duration{1e9}, "archive"
			editObject(s, func(o *Object) { o.Archived = "" })
		}, Warning, "poll-no-deletes", "pairs[0].destination.trigger", ""},
		{"delete without a call", func(s *Spec) {
			s.Pairs[0].Deletes.HubSpot = "archive"
			editObject(s, func(o *Object) { o.Delete = nil })
		}, Error, "delete-missing", "pairs[0].deletes.hubspot", ""},
		{"no create", func(s *Spec) {
			editObject(s, func(o *Object) { o.Create, o.Upsert, o.Unique = Call{}, nil, []string{"mail", "h_id"} })
		}, Error, "no-create", "destination.objects.people.create", ""},
		{"no update", func(s *Spec) { editObject(s, func(o *Object) { o.Update = Call{} }) }, Error, "no-update", "destination.objects.people.update", ""},
		{"no find", func(s *Spec) { editObject(s, func(o *Object) { o.Find = nil }) }, Error, "no-find", "destination.objects.people.find", ""},
		{"a delete of everything", func(s *Spec) { editObject(s, func(o *Object) { o.Delete = &Call{Path: "/p"} }) },
			Error, "no-placeholder", "destination.objects.people.delete.path", ""},
		{"a find of everything", func(s *Spec) { editObject(s, func(o *Object) { o.Find = &Call{Path: "/p"} }) },
			Error, "no-placeholder", "destination.objects.people.find.path", ""},
		{"newest by default, without a time", func(s *Spec) {
			for i := range s.Pairs[0].Fields {
				s.Pairs[0].Fields[i].Policy = ""
			}
			editObject(s, func(o *Object) { o.UpdatedAt = "" })
		}, Warning, "newest-no-time", "destination.objects.people.updatedAt", ""},
		{"newest without a time", func(s *Spec) {
			s.Pairs[0].Fields[1].Policy = PolicyNewest
			editObject(s, func(o *Object) { o.UpdatedAt = "" })
		}, Warning, "newest-no-time", "destination.objects.people.updatedAt", ""},
		{"an unknown object", func(s *Spec) { s.Pairs[0].Destination.Object = "things" }, Error, "object-unknown", "pairs[0].destination.object", ""},
		{"no webhook", func(s *Spec) { s.Destination.Webhook = nil }, Error, "webhook-missing", "destination.webhook", ""},
		{"no scheme", func(s *Spec) { s.Destination.Webhook.Scheme = "" }, Error, "webhook-scheme", "destination.webhook.scheme", ""},
		{"no signature header", func(s *Spec) { s.Destination.Webhook.Header = "" }, Error, "webhook-scheme", "destination.webhook.header", ""},
		{"no signed time", func(s *Spec) { s.Destination.Webhook.TimestampHeader = "" }, Warning, "webhook-no-timestamp", "destination.webhook.timestampHeader", ""},
		{"HubSpot by password", func(s *Spec) { s.HubSpot.Auth.Kind = "basic" }, Error, "auth", "hubspot.auth.kind", ""},
		{"a header without a name", func(s *Spec) { s.Destination.Auth.Kind = "header" }, Error, "auth", "destination.auth.header", ""},
		{"tokens from nowhere", func(s *Spec) { s.Destination.Auth = Auth{Kind: "oauth2", ClientID: "a"} }, Error, "auth", "destination.auth.tokenUrl", ""},
		{"tokens for nobody", func(s *Spec) { s.Destination.Auth = Auth{Kind: "oauth2", TokenURL: "https://d.example/t"} }, Error, "auth", "destination.auth.clientId", ""},
		{"an unknown word in braces", func(s *Spec) { s.Destination.Objects["people"].List.Query = map[string]string{"q": "{what}"} },
			Error, "unknown-placeholder", "destination.objects.people.list.path", ""},
		{"a path from nowhere", func(s *Spec) { s.Destination.Objects["people"].Delete.Path = "p/{id}" }, Error, "path", "destination.objects.people.delete.path", ""},
		{"no record in an event", func(s *Spec) { s.Destination.Webhook.Record = "" }, Error, "webhook-record", "destination.webhook.record", ""},
		{"a secret in a header", func(s *Spec) { s.Destination.Headers = map[string]string{"X-Api-Key": "k"} }, Error, "secret-in-spec", "destination.headers.X-Api-Key", ""},
		{"no TLS", func(s *Spec) { s.Destination.BaseURL = "http://d.example" }, Warning, "plain-http", "destination.baseUrl", ""},
		{"hand-written logic", x(func(f *Field) { f.Direction, f.Formula = OnlyDestination, &Formula{Logic: "phoneAU"} }),
			Note, "hand-written", "pairs[0].fields[1].formula", ""},
		{"logic with a plain way back", x(func(f *Field) { f.Formula, f.Reverse = &Formula{Logic: "phoneAU"}, named("null") }),
			Error, "destructive", "pairs[0].fields[1].formula", `"0412 345 678" -> "0412 345 678" -> +61412345678`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := small(t)
			c.edit(s)
			found := Check(s)
			i := slices.IndexFunc(found, func(f Finding) bool { return f.Code == c.code && f.Path == c.path })
			if i < 0 || len(found) != 1 {
				t.Fatalf("want one %s at %s, got %v", c.code, c.path, found)
			}
			f := found[i]
			if f.Severity != c.severity || f.Example != c.example || f.Message == "" || f.Severity != Note && f.Fix == "" {
				t.Errorf("got %#v", f)
			}
			if Refuses(found) != (c.severity == Error) {
				t.Errorf("refuses: %v", Refuses(found))
			}
		})
	}
}

func editObject(s *Spec, edit func(*Object)) {
	o := s.Destination.Objects["people"]
	edit(&o)
	s.Destination.Objects["people"] = o
}

func TestAcceptSilencesWarningsOnly(t *testing.T) {
	s := small(t)
	f := &s.Pairs[0].Fields[1]
	f.HubSpot.Property, f.Accept = "lifecyclestage", []string{"lifecycle-forward"}
	if found := Check(s); len(found) != 0 {
		t.Errorf("accepted, yet %v", found)
	}
	f.HubSpot.Property, f.Accept = "createdate", []string{"read-only"}
	if found := Check(s); !Refuses(found) {
		t.Errorf("an error was accepted: %v", found)
	}
}

// Free text and options differ at their ends, which converges, but an option
// may be refused.
func TestTextAndOptions(t *testing.T) {
	s := small(t)
	s.Pairs[0].Fields[1].Destination.Type = record.Enum
	found := Check(s)
	if len(found) != 2 || found[0].Example != `" SW1A 1AA " -> "SW1A 1AA" -> "SW1A 1AA"` || found[1].Code != "type-loose" {
		t.Errorf("got %v", found)
	}
}

func TestACanaryThatCanArrivePasses(t *testing.T) {
	for _, f := range []*Formula{nil, named("lowercase"), named("stripSpaces")} {
		s := small(t)
		s.Pairs[0].Fields[1].Formula = f
		canary(Canary{ToDestination: "x"})(s)
		if found := Check(s); Refuses(found) {
			t.Error(found)
		}
	}
}

func TestMatchOnALossyField(t *testing.T) {
	s := small(t)
	s.Pairs[0].Fields[0].Formula, s.Pairs[0].Fields[0].Reverse = table("a", "X", "b", "X"), table("X", "a")
	if text := fmt.Sprint(Check(s)); !strings.Contains(text, "match-lossy: pairs[0].match[0].field") {
		t.Errorf("got %s", text)
	}
}

// In a pair that travels one way, the key must not merge on that way either.
func TestMatchOnALossyOneWayField(t *testing.T) {
	for name, edit := range map[string]func(f *Field){
		"concat": func(f *Field) { f.Formula = &Formula{Concat: []string{"{email}", "{x}"}} },
		"table":  func(f *Field) { f.Formula = table("a", "X", "b", "X") },
		"date":   func(f *Field) { f.HubSpot.Type, f.Destination.Type = record.DateTime, record.Date },
	} {
		s := small(t)
		s.Pairs[0].Fields[1].Direction, s.Pairs[0].Fields[0].Direction = OnlyDestination, OnlyDestination
		edit(&s.Pairs[0].Fields[0])
		if text := fmt.Sprint(Check(s)); !strings.Contains(text, "match-lossy") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestSensitiveValuesAreNotShownByAnotherField(t *testing.T) {
	s := small(t)
	s.Pairs[0].Fields[1].Sensitive = true
	s.Pairs[0].Fields = append(s.Pairs[0].Fields, Field{Name: "y", HubSpot: Prop{Property: "email"}, Destination: Prop{Property: "y"},
		Direction: OnlyDestination, Formula: &Formula{Concat: []string{"{email}", " ", "{x}"}}})
	found := Check(s)
	if len(found) != 1 || found[0].Code != "sensitive-shown" {
		t.Errorf("got %v", found)
	}
}

func TestPairsAndReferencesAcrossThem(t *testing.T) {
	s := small(t)
	second := s.Pairs[0]
	second.Fields = slices.Clone(second.Fields)
	s.Pairs = append(s.Pairs, second)
	if n := len(Check(s)); n != 3 {
		t.Errorf("a pair twice: want 3 findings (name and both objects), got %v", Check(s))
	}
	s.Pairs[1].Name, s.Pairs[1].HubSpot.Object, s.Pairs[1].Destination.Object = "firms", "companies", "firms"
	s.Destination.Objects["firms"] = s.Destination.Objects["people"]
	refer := func(i int, to, association string) {
		f := &s.Pairs[i].Fields[1]
		f.HubSpot, f.Destination = Prop{Property: association, Type: "ref", Pair: to}, Prop{Property: "r", Type: "ref", Pair: to}
	}
	refer(0, "firms", "@deals")
	if text := fmt.Sprint(Check(s)); !strings.Contains(text, "ref-object") {
		t.Errorf("the wrong association: %s", text)
	}
	refer(0, "firms", "@companies")
	s.Pairs[0].Fields[1].Formula = table("1", "2")
	if text := fmt.Sprint(Check(s)); !strings.Contains(text, "ref-formula") {
		t.Errorf("a reference that is translated: %s", text)
	}
	s.Pairs[0].Fields[1].Formula = nil
	refer(1, "people", "@contacts")
	if text := fmt.Sprint(Check(s)); strings.Count(text, "ref-cycle") != 2 {
		t.Errorf("a cycle: %s", text)
	}
}

// Check must not fall over whatever a valid file says.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(smallSpec))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("f", data)
		if err != nil {
			return
		}
		if _, err := json.Marshal(Check(s)); err != nil {
			t.Error(err)
		}
	})
}
