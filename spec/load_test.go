package spec

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const acme = "acme/integration-spec.json"

func readAcme(tb testing.TB) []byte {
	tb.Helper()
	data, err := os.ReadFile(acme)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestLoad(t *testing.T) {
	s, err := Load(acme)
	if err != nil {
		t.Fatal(err)
	}
	if s.Client != "acme" || len(s.Pairs) != 3 || len(s.Hash) != 12 || s.Pairs[2].Destination.Every.Duration != time.Minute {
		t.Errorf("got client %q, %d pairs, hash %q", s.Client, len(s.Pairs), s.Hash)
	}
	if f := s.Pairs[0].Fields[0].Formula; f.Kind() != "lowercase" {
		t.Errorf("the first formula is %v", f)
	}
}

// Every client's folder is named as its spec says.
func TestClients(t *testing.T) {
	files, err := Clients(".")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %v, %v", files, err)
	}
	for _, f := range files {
		s, err := Load(f)
		if err != nil {
			t.Errorf("%v", err)
		} else if s.Client != filepath.Base(filepath.Dir(f)) {
			t.Errorf("%s holds client %q", f, s.Client)
		}
	}
	if _, err := Clients("nowhere"); err == nil {
		t.Error("a folder that does not exist has no clients, but no error either")
	}
}

// Each edit of a valid spec gives exactly the problems it should, with path and
// what is allowed.
func TestProblemsNamePathAndWhatIsAllowed(t *testing.T) {
	for _, c := range []struct{ name, old, new, path, says string }{
		{"unknown field", `"policy": "newest"`, `"polcy": "newest"`, "pairs[0].fields[1].polcy", "allowed are accept, destination"},
		{"letters' case", `"client"`, `"Client"`, "Client", "is unknown"},
		{"wrong type", `"portalId": "48975575"`, `"portalId": 48975575`, "hubspot.portalId", "must be a text, not a whole number"},
		{"missing", `"portalId": "48975575",`, ``, "hubspot.portalId", "is missing"},
		{"bad duration", `"per": "10s"`, `"per": "10 seconds"`, "hubspot.rateLimit.per", "30s, 5m or 1h"},
		{"bad enum", `"scheme": "hmac-sha256-hex"`, `"scheme": "sha1"`, "destination.webhook.scheme", "allowed are hmac-sha256-hex"},
		{"unknown formula", `"formula": "lowercase"`, `"formula": "uppercase"`, "pairs[0].fields[0].formula", "allowed are null, stripSpaces, lowercase"},
		{"formula of a wrong type", `"formula": "lowercase"`, `"formula": 7`, "pairs[0].fields[0].formula", "null copies it"},
		{"two formulas", `{"logic": "phoneAU"}`, `{"logic": "phoneAU", "concat": ["{a}"]}`, "pairs[0].fields[4].formula", "exactly one of concat, enumMap, logic"},
		{"unknown logic", `"phoneAU"`, `"phoneNZ"`, "pairs[0].fields[4].formula", "registered are phoneAU"},
		{"enumMap to a number", `"NEW": "prospect"`, `"NEW": 1`, "pairs[0].fields[6].formula.enumMap.NEW", "must be a text"},
		{"repeated name", `"client": "acme"`, `"client": "acme", "client": "b"`, "client", "stands twice"},
		{"below the minimum", `"requests": 190`, `"requests": 0`, "hubspot.rateLimit.requests", "between 1 and"},
		{"a pasted secret", `"secret": "hubspot-token"`, `"secret": "PAT/Abc+1"`, "hubspot.auth.secret", "must match"},
		{"fraction", `"retentionDays": 30`, `"retentionDays": 30.5`, "trace.retentionDays", "must be a whole number, not a number"},
		{"null object", `"trace": {"level": "ALL", "retentionDays": 30}`, `"trace": null`, "trace", "must be an object, not null"},
		{"byte order mark", "{", "\xef\xbb\xbf{", "", "byte order mark"},
		{"no JSON", `"client": "acme",`, `"client": "acme"`, "", "not JSON at column"},
	} {
		t.Run(c.name, func(t *testing.T) {
			edited := strings.Replace(string(readAcme(t)), c.old, c.new, 1)
			_, err := Parse("f.json", []byte(edited))
			var p *Problems
			if !errors.As(err, &p) || len(p.List) == 0 {
				t.Fatalf("got %v", err)
			}
			got := p.List[0]
			if got.Path != c.path || got.Line == 0 || !strings.Contains(got.Message, c.says) {
				t.Errorf("got %v\nwant %s ... %s", err, c.path, c.says)
			}
			if !strings.HasPrefix(err.Error(), "f.json:") || strings.Contains(err.Error(), "PAT/") {
				t.Errorf("text: %v", err)
			}
		})
	}
}

func TestAllProblemsAreReported(t *testing.T) {
	_, err := Parse("f", []byte(`{"client":"A","hubspot":{},"destination":{"name":"x","objects":{}},"pairs":[],"x":1,"x":2}`))
	var p *Problems
	if !errors.As(err, &p) || len(p.List) != 7 {
		t.Errorf("want 7 problems, got:\n%v", err)
	}
}

func TestDeepNestingIsRefused(t *testing.T) {
	_, err := Parse("f", []byte(strings.Repeat("[", 500)+strings.Repeat("]", 500)))
	if err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("got %v", err)
	}
}

// The hash depends on content, not on layout or the order of names.
func TestHash(t *testing.T) {
	a, b := hash([]byte(`{"a":1,"b":[1.50]}`)), hash([]byte("{ \"b\" : [1.50],\n\"a\":1 }"))
	if a != b || a == hash([]byte(`{"a":2,"b":[1.50]}`)) {
		t.Errorf("%s and %s", a, b)
	}
}

func TestFormulaJSON(t *testing.T) {
	for text, want := range map[string]string{
		`null`: "null", `"null"`: "null", `"lowercase"`: "lowercase", `{"enumMap":{"a":"b"}}`: "enumMap",
		`{"concat":["{a}"," "]}`: "concat", `{"logic":"phoneAU"}`: "logic",
	} {
		var f Formula
		if err := json.Unmarshal([]byte(text), &f); err != nil || f.Kind() != want {
			t.Errorf("%s: %v, %v", text, f, err)
		}
	}
	for _, text := range []string{`""`, `"concat"`, `7`, `{}`, `{"enumMap":null}`, `{"logic":""}`, `{"logic":"x"}`, `{"enumMap":{"a":"b"},"logic":"phoneAU"}`, `{"upper":1}`} {
		var f Formula
		if err := json.Unmarshal([]byte(text), &f); err == nil {
			t.Errorf("%s was accepted as %v", text, f)
		}
	}
}

// What is written is what is read.
func TestRoundTrip(t *testing.T) {
	s, err := Load(acme)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again", data)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range s.Pairs {
		for j, f := range p.Fields {
			if g := again.Pairs[i].Fields[j]; !reflect.DeepEqual(f, g) {
				t.Errorf("%s.%s: %v, %v", p.Name, f.Name, f, g)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(smallSpec)) // small, so that mutations stay close to what matters
	for _, s := range []string{``, `{}`, `[]`, `null`, `"`, `{"client":1e999}`, `{"pairs":[{"fields":[{"formula":{"enumMap":{"":""}}}]}]}`, "\xff", `{"a":{"a":{"a":[[[[]]]]}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("f", data)
		if (s == nil) == (err == nil) {
			t.Fatal("either a spec or an error")
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "f:") || strings.Contains(err.Error(), misfit)) {
			t.Fatal(err)
		}
		if s != nil {
			if out, err := json.Marshal(s); err != nil {
				t.Fatal(err)
			} else if _, err := Parse("again", out); err != nil {
				t.Fatal(err)
			}
		}
	})
}
