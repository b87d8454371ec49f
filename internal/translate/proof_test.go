package translate_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tandem/internal/record"
	"tandem/internal/translate"
	"tandem/spec"
)

// The checker is held to its word with the translator that runs in production:
// what it lets travel both ways comes to rest after one journey, whatever the
// values; what it refuses fails on the very example it prints.
func TestCheckerIsRight(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	verdicts := map[string]int{}
	for i := range 6000 {
		p := randomPair(rng)
		j := p.Judge(p.Fields[0])
		verdicts[string(j.Verdict)+" "+j.Code]++
		err := rests(rng, p, j)
		if j.Verdict == spec.Refused {
			err = fails(p, j)
		}
		if err != nil {
			t.Fatalf("pair %d, %s: %v\n%+v", i, describe(p.Fields[0]), err, j)
		}
	}
	for _, v := range []string{"invertible ", "canonicalising ", "lossy ", "refused enum-ambiguous", "refused enum-reverse",
		"refused destructive", "refused type-mismatch", "refused one-way-formula", "refused formula"} {
		if verdicts[v] < 20 {
			t.Errorf("only %d of 6000 pairs were %s: %v", verdicts[v], v, verdicts)
		}
	}
}

func describe(f spec.Field) string {
	forward, _ := f.Formula.MarshalJSON()
	back := []byte("derived")
	if f.Reverse != nil {
		back, _ = f.Reverse.MarshalJSON()
	}
	return fmt.Sprintf("%s %s -> %s, reverse %s", f.HubSpot.Type, forward, f.Destination.Type, back)
}

// randomPair has one two-way field, biased towards combinations that nearly work.
func randomPair(rng *rand.Rand) spec.Pair {
	types := []record.Type{record.String, record.String, record.Enum, record.Set, record.Number, record.Bool, record.Date, record.DateTime}
	f := spec.Field{Name: "f", HubSpot: spec.Prop{Property: "a", Type: types[rng.IntN(len(types))]}}
	f.Destination = spec.Prop{Property: "b", Type: f.HubSpot.Type}
	if rng.IntN(3) == 0 {
		f.Destination.Type = types[rng.IntN(len(types))]
	}
	f.Formula = randomFormula(rng)
	if rng.IntN(2) == 0 {
		f.Reverse = randomFormula(rng)
	}
	if f.Formula.Kind() == "enumMap" && rng.IntN(2) == 0 {
		f.Reverse = &spec.Formula{EnumMap: map[string]string{}}
		for k, v := range f.Formula.EnumMap {
			f.Reverse.EnumMap[v] = k
		}
		if rng.IntN(3) == 0 {
			f.Reverse.EnumMap["X"] = "a"
		}
	}
	return spec.Pair{Name: "p", Fields: []spec.Field{f}}
}

func randomFormula(rng *rand.Rand) *spec.Formula {
	switch rng.IntN(7) {
	case 0:
		return &spec.Formula{Name: "lowercase"}
	case 1:
		return &spec.Formula{Name: "stripSpaces"}
	case 2:
		return &spec.Formula{Concat: []string{"{a}", " ", "{c}"}}
	case 3:
		return &spec.Formula{Logic: "phoneAU"}
	case 4, 5:
		cells := []string{"a", "b", "c", "A", "B", "true", "1"}
		m := map[string]string{}
		for range 1 + rng.IntN(4) {
			m[cells[rng.IntN(len(cells))]] = cells[rng.IntN(len(cells))]
		}
		return &spec.Formula{EnumMap: m}
	}
	return &spec.Formula{Name: "null"}
}

// rests sends random values on journeys from both sides.
func rests(rng *rand.Rand, p spec.Pair, j spec.Judgement) error {
	if j.Verdict == spec.Refused {
		return nil
	}
	there, err := way(p, spec.ToDestination)
	if err != nil {
		return err
	}
	back, err := way(p, spec.ToHubSpot)
	if err != nil {
		return err
	}
	f := p.Fields[0]
	for range 40 {
		if err := journey(there, back, randomValue(rng, f.HubSpot.Type), j.Verdict); err != nil {
			return fmt.Errorf("from HubSpot: %w", err)
		}
		if err := journey(back, there, randomValue(rng, f.Destination.Type), j.Verdict); err != nil {
			return fmt.Errorf("from the destination: %w", err)
		}
	}
	return nil
}

// journey: there, back and there again must be a fixed point, and for an
// invertible field the value itself. A value may be refused at once, never later.
func journey(there, back func(string) (string, error), x string, v spec.Verdict) error {
	y, err := there(x)
	if err != nil {
		return nil
	}
	x2, err := back(y)
	if err != nil {
		return fmt.Errorf("%q -> %q -> %w", x, y, err)
	}
	y2, err := there(x2)
	if err != nil || y2 != y {
		return fmt.Errorf("%q -> %q -> %q -> %q, %v: not at rest", x, y, x2, y2, err)
	}
	if v == spec.Invertible && x2 != x {
		return fmt.Errorf("%q -> %q -> %q: not invertible", x, y, x2)
	}
	return nil
}

// way wraps the translator of one direction for a single value; every other
// property that the field reads is blank.
func way(p spec.Pair, d spec.Direction) (func(string) (string, error), error) {
	tr, err := translate.Compile(p, d)
	if err != nil {
		return nil, err
	}
	own := p.Fields[0].Side(d.Source()).Property
	return func(x string) (string, error) {
		in := record.Fields{}
		for _, property := range tr.Properties() {
			in[property] = ""
		}
		in[own] = x
		out, err := tr.Apply(in)
		for _, f := range out {
			if f.Field == "f" {
				return f.Target, err
			}
		}
		return "", err
	}, nil
}

// fails checks that a refusal's example is true of the translator.
func fails(p spec.Pair, j spec.Judgement) error {
	there, errThere := way(p, spec.ToDestination)
	back, errBack := way(p, spec.ToHubSpot)
	switch j.Code {
	case "formula":
		if errThere == nil {
			return fmt.Errorf("the formula runs")
		}
		return nil
	case "one-way-formula", "enum-ambiguous":
		if errThere == nil && errBack == nil && p.Fields[0].Formula.Kind() != "concat" && p.Fields[0].Reverse.Kind() != "concat" {
			return fmt.Errorf("both ways run")
		}
		if j.Code == "enum-ambiguous" {
			return collide(there, j.Chain)
		}
		return nil
	}
	if errThere != nil || errBack != nil || len(j.Chain) == 0 {
		return fmt.Errorf("no example, or no way: %v, %v", errThere, errBack)
	}
	if j.From == record.Destination {
		there, back = back, there
	}
	return chain(there, back, j)
}

// collide: two different values become the same one.
func collide(there func(string) (string, error), c []string) error {
	a, errA := there(c[0])
	b, errB := there(c[2])
	if errA != nil || errB != nil || a != b || a != c[1] || c[0] == c[2] {
		return fmt.Errorf("%q and %q become %q and %q", c[0], c[2], a, b)
	}
	return nil
}

// chain follows the example step by step: it stops where it says, or comes back
// as another value, or does not come to rest.
func chain(there, back func(string) (string, error), j spec.Judgement) error {
	value, steps := j.Chain[0], []func(string) (string, error){there, back}
	for i, want := range j.Chain[1:] {
		got, err := steps[i](value)
		if err != nil || got != want {
			return fmt.Errorf("step %d: %q, %v", i, got, err)
		}
		value = got
	}
	if j.Stopped != "" {
		if got, err := steps[len(j.Chain)-1](value); err == nil {
			return fmt.Errorf("the end is not refused but %q", got)
		}
		return nil
	}
	again, err := there(value)
	if value == j.Chain[0] && err == nil && again == j.Chain[1] {
		return fmt.Errorf("the example is at rest and unchanged")
	}
	return nil
}

// randomValue is canonical text of type t, of many shapes.
func randomValue(rng *rand.Rand, t record.Type) string {
	words := []string{"Anna", " x", "A b", "e\u0301", "É", "ﬁ", "7", "007", "1.50", "-0", "true", "no", "a", "b", "c", "A;B", "b;a", ";", "\u00a0z\u2003",
		"2026-02-28", "2026-03-01T10:30:00Z", "1752559200000", "0412 345 678", "+46812345678", "İ", "ǅ", "line\r\nend"}
	for {
		text := words[rng.IntN(len(words))]
		if t == record.String && rng.IntN(2) == 0 {
			text += words[rng.IntN(len(words))]
		}
		if t == record.Number {
			text = strings.TrimPrefix(fmt.Sprint(rng.Float64()*2000-1000), "+")
		}
		if c, err := record.Canonical(t, text); err == nil && c != "" {
			return c
		}
	}
}
