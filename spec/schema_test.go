package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"tandem/internal/record"
)

// independent compiles schema.json with a reader of JSON Schema that was not
// written here.
func independent(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func TestExampleSpecsAreValidBySchema(t *testing.T) {
	compiled := independent(t)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(readAcme(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(doc); err != nil {
		t.Error(err)
	}
}

// Our reading of the schema and the independent one agree on a thousand
// mutations of a valid spec.
func TestSchemaReadingsAgree(t *testing.T) {
	compiled, rng := independent(t), rand.New(rand.NewPCG(3, 5))
	accepted := 0
	for i := range 1000 {
		var doc any
		if err := json.Unmarshal(readAcme(t), &doc); err != nil {
			t.Fatal(err)
		}
		what := mutate(rng, doc)
		data, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		problems := &Problems{}
		tree, err := readTree(data, problems)
		if err != nil {
			t.Fatal(err)
		}
		root().validate(tree, "", problems)
		again, _ := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		theirs := compiled.Validate(again)
		ours := withoutReaders(problems.List)
		if (len(ours) == 0) != (theirs == nil) {
			t.Fatalf("mutation %d, %s:\nours   %v\ntheirs %v", i, what, ours, theirs)
		}
		if theirs == nil {
			accepted++
		}
	}
	if accepted < 50 || accepted > 950 {
		t.Errorf("%d of 1000 mutations were valid: too one-sided to tell anything", accepted)
	}
}

// withoutReaders leaves out what only the Go types can know (the registry of
// logic, a duration's range).
func withoutReaders(list []Problem) (rest []Problem) {
	for _, p := range list {
		if !strings.Contains(p.Message, "there is no logic") {
			rest = append(rest, p)
		}
	}
	return rest
}

// mutate changes one random place of doc and says what it did.
func mutate(rng *rand.Rand, doc any) string {
	path := ""
	for {
		switch v := doc.(type) {
		case map[string]any:
			keys := sortedKeys(v)
			if len(keys) == 0 {
				v["new"] = "x"
				return path + ": new member"
			}
			k := keys[rng.IntN(len(keys))]
			path = at(path, k)
			if deeper(rng, v[k]) {
				doc = v[k]
				continue
			}
			switch rng.IntN(4) {
			case 0:
				delete(v, k)
				return path + " removed"
			case 1:
				v[k+"x"] = v[k]
				return path + " copied to " + k + "x"
			}
			v[k] = randomValue(rng)
			return fmt.Sprintf("%s = %#v", path, v[k])
		case []any:
			i := rng.IntN(len(v))
			path = index(path, i)
			if deeper(rng, v[i]) {
				doc = v[i]
				continue
			}
			v[i] = randomValue(rng)
			return fmt.Sprintf("%s = %#v", path, v[i])
		}
	}
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// deeper decides whether to mutate below v rather than v itself.
func deeper(rng *rand.Rand, v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return rng.IntN(6) > 0
	case []any:
		return len(v) > 0 && rng.IntN(6) > 0
	}
	return false
}

func randomValue(rng *rand.Rand) any {
	values := []any{nil, true, 0.0, -1.0, 7.0, 1.5, 1e12, "", "x", "both", "webhook", "5m", "5 m", "https://x", "null", "lowercase", "email",
		[]any{}, []any{"a"}, map[string]any{}, map[string]any{"enumMap": map[string]any{"a": "b"}}, map[string]any{"concat": []any{}}, strings.Repeat("y", 70)}
	return values[rng.IntN(len(values))]
}

// schema.json uses only keywords that our reading knows.
func TestSchemaUsesKnownKeywordsOnly(t *testing.T) {
	known := []string{"$schema", "$id", "title", "default", "examples"}
	for f := range reflect.TypeFor[schema]().Fields() {
		known = append(known, f.Tag.Get("json"))
	}
	var doc map[string]any
	if err := json.Unmarshal(Schema, &doc); err != nil {
		t.Fatal(err)
	}
	walkSchema(doc, "#", func(path string, s map[string]any) {
		for k := range s {
			if !slices.Contains(known, k) {
				t.Errorf("%s uses %s, which schema.go does not read", path, k)
			}
		}
		if s["type"] == "object" && s["additionalProperties"] == nil {
			t.Errorf("%s does not say additionalProperties", path)
		}
		for _, alternative := range []string{"minimum", "maximum"} {
			if s["type"] == "integer" && s[alternative] == nil {
				t.Errorf("%s has no %s", path, alternative)
			}
		}
	})
}

// walkSchema visits every schema below s.
func walkSchema(s map[string]any, path string, visit func(string, map[string]any)) {
	visit(path, s)
	for _, key := range []string{"properties", "$defs"} {
		if m, ok := s[key].(map[string]any); ok {
			for name, sub := range m {
				walkSchema(sub.(map[string]any), path+"/"+name, visit)
			}
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if sub, ok := s[key].(map[string]any); ok {
			walkSchema(sub, path+"/"+key, visit)
		}
	}
	if list, ok := s["oneOf"].([]any); ok {
		for i, sub := range list {
			walkSchema(sub.(map[string]any), fmt.Sprintf("%s/%d", path, i), visit)
		}
	}
}

// The schema has exactly the names that the Go types have, and describes each.
func TestSchemaMatchesTypes(t *testing.T) {
	same(t, "Spec", reflect.TypeFor[Spec](), root())
	for name, typ := range map[string]reflect.Type{
		"hubspot": reflect.TypeFor[HubSpot](), "auth": reflect.TypeFor[Auth](), "rateLimit": reflect.TypeFor[RateLimit](),
		"destination": reflect.TypeFor[Destination](), "webhook": reflect.TypeFor[Webhook](), "object": reflect.TypeFor[Object](),
		"call": reflect.TypeFor[Call](), "list": reflect.TypeFor[List](), "errorRule": reflect.TypeFor[ErrorRule](),
		"pair": reflect.TypeFor[Pair](), "side": reflect.TypeFor[Side](), "match": reflect.TypeFor[Match](), "field": reflect.TypeFor[Field](),
		"prop": reflect.TypeFor[Prop](), "deletes": reflect.TypeFor[Deletes](), "guards": reflect.TypeFor[Guards](), "trace": reflect.TypeFor[Trace](),
	} {
		same(t, name, typ, root().Defs[name])
	}
	var types []string
	for _, typ := range record.Types {
		types = append(types, string(typ))
	}
	if got := root().Defs["prop"].Properties["type"].Enum; !slices.Equal(got, types) {
		t.Errorf("types: %v, want %v", got, types)
	}
	if got := root().Defs["formula"].OneOf[1].Enum; !slices.Equal(got, plainNames()) {
		t.Errorf("formulas: %v, want %v", got, plainNames())
	}
}

func same(t *testing.T, name string, typ reflect.Type, s *schema) {
	t.Helper()
	if s == nil {
		t.Errorf("%s: no definition", name)
		return
	}
	tags := map[string]bool{}
	collect(typ, tags)
	for p, sub := range s.Properties {
		if !tags[p] {
			t.Errorf("%s.%s: in the schema, not in the type", name, p)
		}
		if sub.hint() == "" {
			t.Errorf("%s.%s: not described", name, p)
		}
		delete(tags, p)
	}
	for p := range tags {
		t.Errorf("%s.%s: in the type, not in the schema", name, p)
	}
}

// collect gathers the JSON names of a struct's fields, embedded ones included.
func collect(typ reflect.Type, tags map[string]bool) {
	for f := range typ.Fields() {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			collect(f.Type, tags)
		case tag != "-":
			tags[tag] = true
		}
	}
}
