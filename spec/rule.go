package spec

import (
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"

	"tandem/internal/formula"
	"tandem/internal/logic"
	"tandem/internal/record"
)

// Rule is one field made ready for one direction. The checker decides on it and
// package translate runs it, so what is checked is what runs.
type Rule struct {
	// Field is the field's name, Formula the formula in effect.
	Field   string
	Formula *Formula
	// Inputs are the source's properties that are read, in the formula's order.
	Inputs []Prop
	// Target is what is written.
	Target Prop
	run    formula.Func
	exact  bool // run's results are canonical already
}

// TooLongError says that a text has more characters than its target keeps.
type TooLongError struct{ Max int }

// Error implements error.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("the value is longer than the %d characters that the target keeps", e.Max)
}

// TypeError says that a text cannot be one of its target's type.
type TypeError struct {
	Type record.Type
	Err  error
}

// Error implements error.
func (e *TypeError) Error() string {
	return fmt.Sprintf("the value is %v, and the target's type is %s", e.Err, e.Type)
}

// Unwrap returns the cause.
func (e *TypeError) Unwrap() error { return e.Err }

// Effective is the formula in effect in direction d: Formula towards the
// destination, and back Reverse or, when absent, what Formula implies. back
// tells that the formula is to be read from right to left (logic only: the
// others are derived).
func (f Field) Effective(d Direction) (effective *Formula, back bool, err error) {
	if d == ToDestination {
		return f.Formula, false, nil
	}
	if f.Reverse != nil {
		return f.Reverse, false, nil
	}
	effective, err = f.Formula.reversed(f.HubSpot.Type, f.Destination.Type)
	return effective, effective.Kind() == Logic, err
}

// Rule makes field f of the pair ready for direction d, whether or not it
// travels in d. An error says why there is no such way.
func (p Pair) Rule(f Field, d Direction) (*Rule, error) {
	effective, back, err := f.Effective(d)
	if err != nil {
		return nil, err
	}
	source := f.Side(d.Source())
	r := &Rule{Field: f.Name, Formula: effective, Inputs: []Prop{source}, Target: f.Side(d.Target())}
	if effective.Kind() == Logic {
		r.run, err = runLogic(effective.Logic, back, source.Type, r.Target.Type)
		return r, err
	}
	known, ok := formula.ByName(effective.Kind())
	if !ok {
		return nil, fmt.Errorf("there is no formula %q; allowed are %s", effective.Kind(), allowedFormulas())
	}
	args := effective.args(source.Type, r.Target.Type)
	if known.Effect == formula.Joins {
		r.Inputs = p.props(d.Source(), known.Inputs(args, source.Property))
		args.From = ""
	}
	r.run, err = known.New(args)
	r.exact = known.Effect == formula.Copies && typeOf(source) == typeOf(r.Target) ||
		known.Effect == formula.Tabulates && typeOf(source) != record.Set // its table is canonical
	return r, err
}

// runLogic wraps a hand-written function, which is read from right to left when
// back is true.
func runLogic(name string, back bool, from, to record.Type) (formula.Func, error) {
	fn, ok := logic.ByName(name)
	if !ok {
		return nil, fmt.Errorf("there is no logic %q; registered are %v", name, logic.Names())
	}
	step := fn.Forward
	if back {
		step, from, to = fn.Reverse, to, from
	}
	if !fn.Takes(from, to) {
		return nil, fmt.Errorf("logic %s does not lead from %s to %s", name, cmp.Or(from, record.String), cmp.Or(to, record.String))
	}
	return func(in []string) (string, error) {
		out, err := step(in[0])
		if err != nil {
			return "", &logic.Error{Function: name, Err: err}
		}
		return out, nil
	}, nil
}

// props finds the named properties of one side with the types that the pair's
// fields give them; a property that no field maps is text.
func (p Pair) props(sys record.System, names []string) []Prop {
	props := make([]Prop, len(names))
	for i, name := range names {
		props[i] = Prop{Property: name, Type: record.String}
		if j := slices.IndexFunc(p.Fields, func(f Field) bool { return f.Side(sys).Property == name }); j >= 0 {
			props[i] = p.Fields[j].Side(sys)
		}
	}
	return props
}

// Source rewrites the texts of the rule's inputs in canonical form, in place.
func (r *Rule) Source(in []string) error {
	for i := range in {
		p := &r.Inputs[i]
		c, err := formula.Canonical(p.Type, in[i])
		if err != nil {
			return fmt.Errorf("the value of %s is %w", p.Property, err)
		}
		in[i] = c
	}
	return nil
}

// Apply translates canonical texts of the rule's inputs into canonical text of
// the target's type. A value that cannot be translated is a
// *formula.UnknownValueError, *logic.Error, *TypeError or *TooLongError; it is
// never cut or guessed.
func (r *Rule) Apply(in []string) (string, error) {
	out, err := r.run.Run(in)
	if err != nil {
		return "", err
	}
	if !r.exact {
		if out, err = formula.Canonical(r.Target.Type, out); err != nil {
			return "", &TypeError{Type: r.Target.Type, Err: err}
		}
	}
	if limit := r.Target.MaxLength; limit > 0 && len(out) > limit && utf8.RuneCountInString(out) > limit {
		return "", &TooLongError{Max: limit}
	}
	return out, nil
}
