package translate_test

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/translate"
	"tandem/spec"
)

// people is a pair with one field of each kind.
var people = spec.Pair{Name: "people", Fields: []spec.Field{
	{Name: "email", HubSpot: spec.Prop{Property: "email"}, Destination: spec.Prop{Property: "mail", MaxLength: 20},
		Formula: &spec.Formula{Name: "lowercase"}},
	{Name: "stage", HubSpot: spec.Prop{Property: "hs_stage", Type: record.Enum}, Destination: spec.Prop{Property: "status", Type: record.Enum},
		Formula: &spec.Formula{EnumMap: map[string]string{"lead": "LEAD", "customer": "CUST"}}},
	{Name: "fullName", HubSpot: spec.Prop{Property: "firstname"}, Destination: spec.Prop{Property: "name"},
		Direction: spec.OnlyDestination, Formula: &spec.Formula{Concat: []string{"{firstname}", " ", "{lastname}"}}},
	{Name: "zip", HubSpot: spec.Prop{Property: "zip"}, Destination: spec.Prop{Property: "postcode"},
		Formula: &spec.Formula{Name: "stripSpaces"}},
	{Name: "phone", HubSpot: spec.Prop{Property: "phone"}, Destination: spec.Prop{Property: "tel"},
		Formula: &spec.Formula{Logic: "phoneAU"}},
	{Name: "credit", HubSpot: spec.Prop{Property: "credit", Type: record.Number}, Destination: spec.Prop{Property: "limit", Type: record.Number},
		Direction: spec.OnlyHubSpot},
	{Name: "account", HubSpot: spec.Prop{Property: "@companies", Type: record.Reference, Pair: "companies"},
		Destination: spec.Prop{Property: "account_id", Type: record.Reference, Pair: "companies"}},
}}

func compile(t testing.TB, p spec.Pair, d spec.Direction) *translate.Translator {
	t.Helper()
	tr, err := translate.Compile(p, d)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestPropertiesIncludeInputsAndFieldsThatDoNotTravel(t *testing.T) {
	want := []string{"@companies", "credit", "email", "firstname", "hs_stage", "lastname", "phone", "zip"}
	if got := compile(t, people, spec.ToDestination).Properties(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	want = []string{"account_id", "limit", "mail", "name", "postcode", "status", "tel"}
	if got := compile(t, people, spec.ToHubSpot).Properties(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestApply(t *testing.T) {
	in := record.Fields{"email": "Anna@X.com", "hs_stage": "lead", "firstname": "Anna", "lastname": "Lind",
		"zip": "SW1A 1AA", "phone": "0412 345 678", "credit": "10", "@companies": "77", "foreign": "x"}
	want := []translate.Translated{
		{Field: "email", Target: "anna@x.com", Property: "mail"},
		{Field: "stage", Target: "LEAD", Property: "status"},
		{Field: "fullName", Target: "Anna Lind", Property: "name"},
		{Field: "zip", Target: "SW1A1AA", Property: "postcode"},
		{Field: "phone", Target: "+61412345678", Property: "tel"},
		{Field: "account", Target: "77", Property: "account_id", Ref: "companies"},
	}
	got, err := compile(t, people, spec.ToDestination).Apply(in)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
}

func TestApplyBack(t *testing.T) {
	in := record.Fields{"mail": "BOB@X.com", "status": "CUST", "name": "Bob", "tel": "(02) 9374 4000", "limit": "1.50"}
	got, err := compile(t, people, spec.ToHubSpot).Apply(in)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"email": "bob@x.com", "hs_stage": "customer", "phone": "+61293744000", "credit": "1.5"}
	for _, tr := range got {
		if want[tr.Property] != tr.Target {
			t.Errorf("%s: got %q", tr.Property, tr.Target)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v: fullName goes to the destination only", got)
	}
}

// Missing is not blank: a missing source gives no result, a blank one a blank result.
func TestMissingAndBlank(t *testing.T) {
	tr := compile(t, people, spec.ToDestination)
	got, err := tr.Apply(record.Fields{"lastname": "Lind"})
	if err != nil || len(got) != 0 {
		t.Errorf("one of two inputs: got %v, %v", got, err)
	}
	blank := record.Fields{}
	for _, p := range tr.Properties() {
		blank[p] = ""
	}
	got, err = tr.Apply(blank)
	if err != nil || len(got) != 6 {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, f := range got {
		if f.Target != "" {
			t.Errorf("%s: blank became %q", f.Field, f.Target)
		}
	}
}

func TestCanonicalCoversFieldsThatDoNotTravel(t *testing.T) {
	in := record.Fields{"credit": "1.50", "firstname": "Anna", "lastname": "", "hs_stage": " lead "}
	want := map[string]string{"credit": "1.5", "fullName": "Anna\x1f", "stage": "lead"}
	if got := compile(t, people, spec.ToDestination).Canonical(in); !maps.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := compile(t, people, spec.ToHubSpot).Canonical(record.Fields{"name": "x", "limit": "abc"}); got["fullName"] != "x" || got["credit"] != "abc" {
		t.Errorf("got %q", got)
	}
}

// Errors carry the flow's codes, name pair and field, and never the value.
func TestRefusals(t *testing.T) {
	const private = "Private-Value-No-One-May-See"
	for name, c := range map[string]struct {
		code  flow.Code
		d     spec.Direction
		field string
		in    record.Fields
		says  string
	}{
		"enum":     {flow.UnknownEnum, spec.ToDestination, "stage", record.Fields{"hs_stage": private}, "customer, lead"},
		"too long": {flow.BadValue, spec.ToDestination, "email", record.Fields{"email": private}, "20 characters"},
		"logic":    {flow.LogicFailed, spec.ToDestination, "phone", record.Fields{"phone": private}, "phoneAU"},
		"number":   {flow.BadValue, spec.ToHubSpot, "credit", record.Fields{"limit": private}, "not a"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compile(t, people, c.d).Apply(c.in)
			var e *translate.Error
			if !errors.As(err, &e) || flow.Code(e.Code) != c.code || e.Field != c.field || e.Pair != "people" {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(strings.ToLower(err.Error()), "private") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("text: %v", err)
			}
		})
	}
}

// Every code is one that the flow and its machines know.
func TestCodesAreTheFlows(t *testing.T) {
	for _, c := range []string{translate.UnknownEnum, translate.BadValue, translate.LogicFailed, translate.BadSpec} {
		if retry, known := flow.Codes[flow.Code(c)]; !known || retry {
			t.Errorf("%s: known %v, retried %v", c, known, retry)
		}
	}
}

// Length is counted in characters, not bytes.
func TestMaxLengthCountsCharacters(t *testing.T) {
	tr := compile(t, people, spec.ToDestination)
	if _, err := tr.Apply(record.Fields{"email": strings.Repeat("å", 20)}); err != nil {
		t.Error(err)
	}
	if _, err := tr.Apply(record.Fields{"email": strings.Repeat("å", 21)}); err == nil {
		t.Error("21 characters were accepted")
	}
}

func TestCompileRefusesWhatCannotRun(t *testing.T) {
	p := spec.Pair{Name: "p", Fields: []spec.Field{{Name: "joined", Formula: &spec.Formula{Concat: []string{"{a}"}}}}}
	_, err := translate.Compile(p, spec.ToHubSpot)
	var e *translate.Error
	if !errors.As(err, &e) || e.Code != translate.BadSpec || e.Field != "joined" {
		t.Errorf("got %v", err)
	}
}

// twelve is a record of twelve fields as a system answers it.
const twelve = `{"id":"512","properties":{"email":"Anna.Lind@Example.com","firstname":"Anna","lastname":"Lind",` +
	`"phone":"+61412345678","zip":"SW1A 1AA","city":"Sydney","hs_lead_status":"OPEN","newsletter":"true",` +
	`"credit":"1250.5","birthday":"1990-04-17","seen":"2026-03-01T10:30:00.000Z","jobtitle":"Engineer"},` +
	`"createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-03-01T10:30:00.000Z","archived":false}`

func twelvePair() spec.Pair {
	p := spec.Pair{Name: "twelve"}
	add := func(property string, typ record.Type, f *spec.Formula) {
		p.Fields = append(p.Fields, spec.Field{Name: property, Formula: f,
			HubSpot: spec.Prop{Property: property, Type: typ}, Destination: spec.Prop{Property: "d_" + property, Type: typ, MaxLength: 200}})
	}
	add("email", record.String, &spec.Formula{Name: "lowercase"})
	add("firstname", record.String, nil)
	add("lastname", record.String, nil)
	add("phone", record.String, nil)
	add("zip", record.String, &spec.Formula{Name: "stripSpaces"})
	add("city", record.String, nil)
	add("hs_lead_status", record.Enum, &spec.Formula{EnumMap: map[string]string{"NEW": "new", "OPEN": "open"}})
	add("newsletter", record.Bool, nil)
	add("credit", record.Number, nil)
	add("birthday", record.Date, nil)
	add("seen", record.DateTime, nil)
	p.Fields = append(p.Fields, spec.Field{Name: "name", Direction: spec.OnlyDestination,
		HubSpot: spec.Prop{Property: "firstname"}, Destination: spec.Prop{Property: "name"},
		Formula: &spec.Formula{Concat: []string{"{firstname}", " ", "{lastname}"}}})
	return p
}

func decodeTwelve(tb testing.TB) record.Fields {
	var r struct {
		ID         string        `json:"id"`
		Properties record.Fields `json:"properties"`
		UpdatedAt  string        `json:"updatedAt"`
		Archived   bool          `json:"archived"`
	}
	if err := json.Unmarshal([]byte(twelve), &r); err != nil {
		tb.Fatal(err)
	}
	return r.Properties
}

// BenchmarkDecode is what BenchmarkApply is held against: the JSON of the same
// record. The budget is a quarter of it; BenchmarkShare takes both in turns.
func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		decodeTwelve(b)
	}
}

func BenchmarkApply(b *testing.B) {
	in, tr := decodeTwelve(b), compile(b, twelvePair(), spec.ToDestination)
	b.ReportAllocs()
	for b.Loop() {
		out, err := tr.Apply(in)
		if err != nil || len(out) != 12 {
			b.Fatal(len(out), err)
		}
	}
}

// BenchmarkShare tells which part of decoding a record its translation takes,
// measured in turns, so that whatever else runs disturbs both alike.
func BenchmarkShare(b *testing.B) {
	in, tr := decodeTwelve(b), compile(b, twelvePair(), spec.ToDestination)
	const turn = 32
	var decoding, translating time.Duration
	for b.Loop() {
		start := time.Now()
		for range turn {
			decodeTwelve(b)
		}
		middle := time.Now()
		for range turn {
			if _, err := tr.Apply(in); err != nil {
				b.Fatal(err)
			}
		}
		decoding, translating = decoding+middle.Sub(start), translating+time.Since(middle)
	}
	b.ReportMetric(float64(translating)/float64(decoding), "of-decoding")
}

// TestPossible: a field that does not translate is left out alone, where Apply refuses the record.
func TestPossible(t *testing.T) {
	p := spec.Pair{Name: "people", Fields: []spec.Field{
		{Name: "stage", HubSpot: spec.Prop{Property: "stage", Type: record.Enum}, Destination: spec.Prop{Property: "stage", Type: record.Enum},
			Formula: &spec.Formula{EnumMap: map[string]string{"lead": "LEAD"}}},
		{Name: "city", HubSpot: spec.Prop{Property: "city"}, Destination: spec.Prop{Property: "town"}},
	}}
	tr, err := translate.Compile(p, spec.ToDestination)
	if err != nil {
		t.Fatal(err)
	}
	in := record.Fields{"stage": "evangelist", "city": "Perth"}
	if out, err := tr.Apply(in); err == nil {
		t.Errorf("Apply made %v of a value that the table does not know", out)
	}
	if out := tr.Possible(in); len(out) != 1 || out[0].Field != "city" || out[0].Target != "Perth" {
		t.Errorf("Possible made %v, want the city alone", out)
	}
}
