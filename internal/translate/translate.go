// Package translate turns one side's record into what the other side should
// hold, by the rules of one pair and direction.
//
// It is pure and safe for concurrent use: Compile once, Apply for every record.
// Missing stays missing and blank stays blank; a value that cannot be translated
// is an *Error that names the pair and the field, never a value guessed or cut.
// The package decides nothing about writing: comparing with what both sides held
// before is the flow's task.
package translate

import (
	"maps"
	"slices"
	"strings"

	"tandem/internal/record"
	"tandem/spec"
)

// Separator stands between concat's inputs in a canonical source text. It is a
// control character (US, unit separator), which no input has reason to hold.
const Separator = "\x1f"

// Translated is one field's outcome.
type Translated struct {
	// Field is the spec's name, Property the target's.
	Field, Property string
	// Target is canonical text in the target's type. For a reference it still is
	// the source system's id, which the caller resolves.
	Target string
	// Ref is the pair whose ids a reference holds, "" for other types.
	Ref string
}

// Translator holds one direction of one pair, ready to run.
type Translator struct {
	pair       string
	steps      []step
	properties []string
	widest     int // the largest number of inputs of one step
}

// step is one field: source says what is read, rule what becomes of it (nil when
// the field does not travel this way).
type step struct {
	name   string
	source *spec.Rule
	rule   *spec.Rule
	ref    string
}

// Compile makes pair p ready for direction d. An error is an *Error of code
// BadSpec for a field whose formula cannot be run; a checked spec has none.
func Compile(p spec.Pair, d spec.Direction) (*Translator, error) {
	t := &Translator{pair: p.Name}
	read := map[string]bool{}
	for _, f := range p.Fields {
		s, err := compile(p, f, d)
		if err != nil {
			return nil, &Error{Code: BadSpec, Pair: p.Name, Field: f.Name, Err: err}
		}
		for _, in := range s.source.Inputs {
			read[in.Property] = true
		}
		t.widest = max(t.widest, len(s.source.Inputs))
		t.steps = append(t.steps, s)
	}
	t.properties = slices.Sorted(maps.Keys(read))
	return t, nil
}

// compile makes one field ready. One that does not travel is still read, since
// its source belongs to what both sides are known to hold.
func compile(p spec.Pair, f spec.Field, d spec.Direction) (step, error) {
	source := f.Side(d.Source())
	s := step{name: f.Name, source: &spec.Rule{Field: f.Name, Inputs: []spec.Prop{source}}}
	if !f.Travels(d) {
		return s, nil
	}
	rule, err := p.Rule(f, d)
	if err != nil {
		return step{}, err
	}
	s.source, s.rule = rule, rule
	if rule.Target.Type == record.Reference {
		s.ref = rule.Target.Pair
	}
	return s, nil
}

// Properties lists the source's properties to read, in order, concat's inputs
// and fields that do not travel this way included.
func (t *Translator) Properties() []string { return slices.Clone(t.properties) }

// Apply translates the fields that travel and whose source is present in in, in
// the spec's order. The first field whose value cannot be translated makes the
// whole record an *Error.
func (t *Translator) Apply(in record.Fields) ([]Translated, error) {
	var first error
	out := t.each(in, func(err *Error) bool { first = err; return false })
	if first != nil {
		return nil, first
	}
	return out, nil
}

// Possible is Apply for a record that is only compared with: a field whose value
// cannot be translated is left out, and the others do not suffer for it.
func (t *Translator) Possible(in record.Fields) []Translated {
	return t.each(in, func(*Error) bool { return true })
}

// each translates field by field; failed says whether to go on after one that fails.
func (t *Translator) each(in record.Fields, failed func(*Error) bool) []Translated {
	out := make([]Translated, 0, len(t.steps))
	scratch := make([]string, t.widest)
	for i := range t.steps {
		s := &t.steps[i]
		if s.rule == nil {
			continue
		}
		texts, present, err := s.gather(in, scratch)
		var target string
		if err == nil && present {
			target, err = s.rule.Apply(texts)
		}
		switch {
		case err != nil:
			if !failed(&Error{Code: codeOf(err), Pair: t.pair, Field: s.name, Err: err}) {
				return nil
			}
		case present:
			out = append(out, Translated{Field: s.name, Property: s.rule.Target.Property, Target: target, Ref: s.ref})
		}
	}
	return out
}

// gather collects the canonical texts of the step's inputs in scratch; present
// is false while one of them is missing.
func (s *step) gather(in record.Fields, scratch []string) (texts []string, present bool, err error) {
	texts = scratch[:len(s.source.Inputs)]
	for i := range s.source.Inputs {
		if texts[i], present = in[s.source.Inputs[i].Property]; !present {
			return nil, false, nil
		}
	}
	return texts, true, s.source.Source(texts)
}

func joined(texts []string) string {
	if len(texts) == 1 {
		return texts[0]
	}
	return strings.Join(texts, Separator)
}

// Canonical returns, by field name, the canonical text of this direction's
// source for every field that is present in in, those that do not travel too.
// A text that its type cannot hold is returned as it came, so that a comparison
// sees it.
func (t *Translator) Canonical(in record.Fields) map[string]string {
	out := make(map[string]string, len(t.steps))
	scratch := make([]string, t.widest)
	for i := range t.steps {
		// Source leaves a text that it refuses as it was.
		if texts, present, _ := t.steps[i].gather(in, scratch); present {
			out[t.steps[i].name] = joined(texts)
		}
	}
	return out
}
