package formula

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"tandem/internal/record"
)

// Every example of every formula is what the formula does.
func TestExamples(t *testing.T) {
	for _, f := range All() {
		if len(f.Examples) < 5 || f.Doc == "" {
			t.Errorf("%s: a formula needs documentation and at least five examples", f.Name)
		}
		for _, ex := range f.Examples {
			t.Run(f.Name+"/"+ex.Text, func(t *testing.T) { try(t, f, ex) })
		}
	}
}

func try(t *testing.T, f Formula, ex Example) {
	fn, err := f.New(ex.Args)
	if err != nil {
		t.Fatal(err)
	}
	names := f.Inputs(ex.Args, soleName(f))
	in, missing := make([]string, len(names)), false
	for i, n := range names {
		text, ok := ex.In[n]
		in[i], missing = text, missing || !ok
	}
	if missing != ex.Missing {
		t.Fatalf("missing = %v, want %v", missing, ex.Missing)
	}
	if missing {
		return
	}
	got, err := fn.Run(in)
	if got != ex.Want || (err != nil) != ex.Fails {
		t.Errorf("got %q, %v; want %q, fails %v", got, err, ex.Want, ex.Fails)
	}
}

// soleName is the one property that the examples of a one-input formula use.
func soleName(f Formula) string {
	for name := range f.Examples[0].In {
		return name
	}
	return ""
}

func TestNamesAreUnique(t *testing.T) {
	names := Names()
	slices.Sort(names)
	if len(names) != 5 || len(slices.Compact(names)) != 5 {
		t.Errorf("the closed set has five formulas, got %v", Names())
	}
	if _, ok := ByName("uppercase"); ok {
		t.Error("uppercase is not in the set")
	}
}

// What canonicalises must be a fixed point on its own results, or two sides
// that both use it would never rest.
func TestCanonicalisersAreIdempotent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, f := range All() {
		if f.Effect != Canonicalises {
			continue
		}
		fn, err := f.New(Args{})
		if err != nil {
			t.Fatal(err)
		}
		step := func(s string) string { out, _ := fn.Run([]string{s}); return norm.NFC.String(out) }
		for r := rune(0); r <= unicode.MaxRune; r++ {
			if once := step(string(r)); step(once) != once {
				t.Fatalf("%s: %U is not at rest after one application", f.Name, r)
			}
		}
		for range 20_000 {
			once := step(randomText(rng))
			if step(once) != once {
				t.Fatalf("%s: %+q is not at rest after one application", f.Name, once)
			}
		}
	}
}

// randomText mixes letters of both cases, combining marks and spaces.
func randomText(rng *rand.Rand) string {
	const alphabet = "aAzZIıİißẞΣςσÅ\u0301\u0307\u0323ǅ K\t\u00a0\u3000\u200bÉe1"
	runes := []rune(alphabet)
	var b strings.Builder
	for range rng.IntN(12) {
		b.WriteRune(runes[rng.IntN(len(runes))])
	}
	return b.String()
}

// stripSpaces removes exactly the White_Space property that its text lists.
func TestStripSpacesRemovesAllWhiteSpaceAndNothingElse(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r >= 0xD800 && r <= 0xDFFF {
			continue
		}
		if got, want := strip(string(r)) == "", unicode.Is(unicode.White_Space, r); got != want {
			t.Fatalf("%U removed: %v, want %v", r, got, want)
		}
	}
}

func TestTypesThatAFormulaDoesNotTake(t *testing.T) {
	for _, name := range []string{"stripSpaces", "lowercase"} {
		f, _ := ByName(name)
		if _, err := f.New(Args{From: record.Number}); err == nil || !strings.Contains(err.Error(), "number") {
			t.Errorf("%s on a number: %v", name, err)
		}
	}
}

func TestEnumMapRefusesBadTables(t *testing.T) {
	for name, a := range map[string]Args{
		"empty":          {},
		"blank key":      {Table: map[string]string{" ": "x"}},
		"blank value":    {Table: map[string]string{"x": ""}},
		"one bool twice": {Table: map[string]string{"yes": "a", "true": "b"}, From: record.Bool},
		"not a number":   {Table: map[string]string{"a": "x"}, To: record.Number},
		"semicolon":      {Table: map[string]string{"a;b": "x"}, From: record.Set},
	} {
		if _, err := enumMap.New(a); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestUnknownValueNamesWhatIsAllowedNeverTheValue(t *testing.T) {
	fn, _ := enumMap.New(stages)
	_, err := fn([]string{"secret-value"})
	var unknown *UnknownValueError
	if !errors.As(err, &unknown) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "customer, lead") {
		t.Errorf("got %v", err)
	}
}

func TestReverse(t *testing.T) {
	back, err := enumMap.Reverse(stages)
	if err != nil || back.Table["LEAD"] != "lead" || len(back.Table) != 2 {
		t.Errorf("got %v, %v", back, err)
	}
	_, err = enumMap.Reverse(Args{Table: map[string]string{"prospect": "LEAD", "lead": "LEAD"}})
	var ambiguous *AmbiguousError
	if !errors.As(err, &ambiguous) || *ambiguous != (AmbiguousError{First: "lead", Second: "prospect", To: "LEAD"}) {
		t.Errorf("got %v", err)
	}
	if concat.Reverse != nil {
		t.Error("concat has no way back")
	}
}

func TestConcatNeedsAProperty(t *testing.T) {
	if _, err := concat.New(Args{Parts: []string{"a", "{}"}}); err == nil {
		t.Error("accepted a concat of literal text only")
	}
}
