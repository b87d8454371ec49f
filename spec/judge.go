package spec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tandem/internal/formula"
	"tandem/internal/logic"
	"tandem/internal/record"
)

// Judge decides what field f's way there and back does to values.
//
// For the closed set the decision is exact. Tables are enumerated. Of the other
// formulas only a pair of the same one between types that hold the same values
// converges: null is the identity, stripSpaces and lowercase are idempotent (a
// test of package formula), and any two different ones rewrite each other's
// results. Hand-written logic is judged by its own examples, and its author
// answers for the rest.
func (p Pair) Judge(f Field) Judgement {
	if !f.Travels(ToDestination) || !f.Travels(ToHubSpot) {
		return Judgement{Verdict: OneWay}
	}
	there, err := p.Rule(f, ToDestination)
	if err != nil {
		return Judgement{Verdict: Refused, Code: "formula", Message: err.Error()}
	}
	if there.Formula.Kind() == "concat" {
		return joined(there, record.HubSpot)
	}
	back, err := p.Rule(f, ToHubSpot)
	if err != nil {
		return noWayBack(err)
	}
	if back.Formula.Kind() == "concat" {
		return joined(back, record.Destination)
	}
	return judge(there, back)
}

// joined shows what concat makes of a record and that nothing undoes it.
func joined(r *Rule, from record.System) Judgement {
	j := Judgement{Verdict: Refused, Code: "one-way-formula", From: from, Stopped: "no way back",
		Message: "concat joins texts that nothing can take apart again"}
	sample := []string{"Anna Maria", "Lind", "x", "y"}
	in := make([]string, len(r.Inputs))
	copy(in, sample)
	if out, err := r.Apply(in); err == nil {
		j.Chain = []string{in[0], out}
	}
	return j
}

// noWayBack explains a reverse that cannot be derived.
func noWayBack(err error) Judgement {
	var twice *formula.AmbiguousError
	if errors.As(err, &twice) {
		return Judgement{Verdict: Refused, Code: "enum-ambiguous", Message: err.Error() + ", so one would be overwritten by the other",
			From: record.HubSpot, Chain: []string{twice.Second, twice.To, twice.First}}
	}
	return Judgement{Verdict: Refused, Code: "one-way-formula", Message: err.Error()}
}

// judge sends every value that can make a difference on its journey, from both sides.
func judge(there, back *Rule) Judgement {
	best := Judgement{Verdict: Invertible}
	for _, x := range probes(there, back) {
		best = worse(best, journey(there, back, x), record.HubSpot)
	}
	for _, x := range probes(back, there) {
		best = worse(best, journey(back, there, x), record.Destination)
	}
	if code, message := law(there, back); code != "" {
		best.Verdict, best.Code, best.Message = Refused, code, message
	}
	if best.Verdict == Refused && best.Code == "" {
		best.Code, best.Message = reason(there, back)
	}
	return best
}

// worse keeps the first of the worst judgements.
func worse(a, b Judgement, from record.System) Judgement {
	order := []Verdict{Invertible, Canonicalising, Lossy, Refused}
	if slices.Index(order, b.Verdict) > slices.Index(order, a.Verdict) {
		b.From = from
		return b
	}
	return a
}

// journey sends x there, back and there again.
func journey(there, back *Rule, x string) Judgement {
	y, err := there.Apply([]string{x})
	if err != nil {
		return stopped(err, there, x)
	}
	x2, err := back.Apply([]string{y})
	if err != nil {
		return stopped(err, back, x, y)
	}
	j := Judgement{Verdict: Canonicalising, Chain: []string{x, y, x2}}
	y2, err := there.Apply([]string{x2})
	switch {
	case err != nil || y2 != y:
		j.Verdict = Refused
	case x2 == x:
		return Judgement{Verdict: Invertible}
	case there.Formula.Kind() == "enumMap":
		j.Verdict = Lossy
	}
	return j
}

// stopped is a journey that ends early. A value that is too long, or that
// hand-written logic refuses at once, goes to the dead letter and is not lost.
func stopped(err error, at *Rule, chain ...string) Judgement {
	var long *TooLongError
	if errors.As(err, &long) || at.Formula.Kind() == Logic && len(chain) == 1 {
		return Judgement{Verdict: Invertible}
	}
	j := Judgement{Verdict: Refused, Chain: chain, Stopped: "refused"}
	var typ *TypeError
	if errors.As(err, &typ) {
		j.Stopped = "refused: " + typ.Err.Error()
	}
	return j
}

// law refuses what does not converge whatever the probes show.
func law(there, back *Rule) (code, message string) {
	a, b := there.Formula.Kind(), back.Formula.Kind()
	from, to := typeOf(there.Inputs[0]), typeOf(there.Target)
	switch {
	case from == record.Bool && to == record.Bool:
		return "", "" // the probes are all values there are
	case a != b && a != Logic && b != Logic:
		return "destructive", fmt.Sprintf("%s there and %s back do not converge: each rewrites the other's results", a, b)
	case a != "enumMap" && a != Logic && b != Logic && !sameValues(from, to):
		return "type-mismatch", fmt.Sprintf("%s and %s do not hold the same values", from, to)
	}
	return "", ""
}

// reason explains a journey that only the values themselves refused.
func reason(there, back *Rule) (code, message string) {
	from, to := typeOf(there.Inputs[0]), typeOf(there.Target)
	switch {
	case from != to && (from == record.Set || to == record.Set):
		return "type-mismatch", "a set of several values cannot become a single one"
	case there.Formula.Kind() == "enumMap" && back.Formula.Kind() == "enumMap":
		return "enum-reverse", "the reverse table does not lead back to what the table makes of its values"
	}
	return "destructive", "the hand-written way back does not lead to a value that stays as it is"
}

// sameValues reports whether values of the two types survive the change of
// type; free text and options differ in white space at the ends only.
func sameValues(a, b record.Type) bool {
	text := []record.Type{record.String, record.Enum}
	return a == b || slices.Contains(text, a) && slices.Contains(text, b)
}

// typeOf is the property's type, string when it names none.
func typeOf(p Prop) record.Type {
	if p.Type == "" {
		return record.String
	}
	return p.Type
}

// probes are the canonical values to send on a journey: all entries of a table,
// the examples of hand-written logic, else spellings of the source's type.
func probes(there, back *Rule) (values []string) {
	source := typeOf(there.Inputs[0])
	switch {
	case there.Formula.Kind() == "enumMap":
		// The table was canonicalised when the rule was made, so this cannot fail.
		table, _ := formula.CanonicalTable(there.Formula.args(source, there.Target.Type))
		values = slices.Sorted(maps.Keys(table))
		if source == record.Set {
			values = append(values, strings.Join(values, ";"))
		}
		return values
	case there.Formula.Kind() == Logic:
		values = examples(there.Formula.Logic)
	case back.Formula.Kind() == Logic:
		values = append(examples(back.Formula.Logic), spellings...)
	default:
		values = spellings
	}
	return canonical(source, values)
}

func examples(name string) (values []string) {
	fn, _ := logic.ByName(name)
	for _, ex := range fn.Examples {
		values = append(values, ex.In)
	}
	return values
}

// spellings hold, for each type, values among which every conversion and every
// formula but the identity shows itself.
var spellings = []string{"Anna Lind", " SW1A 1AA ", "007", "12.5", "true", "false", "b;a", "2026-03-01T10:30:00.000Z", "2026-03-01"}

// canonical keeps the values that type t can hold, in its spelling.
func canonical(t record.Type, values []string) (kept []string) {
	for _, v := range values {
		if c, err := formula.Canonical(t, v); err == nil && c != "" {
			kept = append(kept, c)
		}
	}
	return kept
}
