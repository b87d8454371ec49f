package asl

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// choice is a Choice state.
type choice struct {
	rules         []choiceRule
	fallback      *state // Default, nil when there is none
	input, output *path
}

type choiceRule struct {
	test test
	next *state
}

// test is one condition. It fails when a variable is not there.
type test func(in scope) (bool, *Failure)

// comparisons are the operators on the text of one variable, given the operand.
var comparisons = map[string]func(operand json.RawMessage) (func(json.RawMessage) bool, error){
	"StringEquals": func(op json.RawMessage) (func(json.RawMessage) bool, error) {
		if kindOf(op) != '"' {
			return nil, fmt.Errorf("needs a string")
		}
		want := unquote(op)
		return func(v json.RawMessage) bool { return kindOf(v) == '"' && unquote(v) == want }, nil
	},
	"BooleanEquals": func(op json.RawMessage) (func(json.RawMessage) bool, error) {
		want, err := boolean(op)
		return func(v json.RawMessage) bool { got, err := boolean(v); return err == nil && got == want }, err
	},
	"IsNull": func(op json.RawMessage) (func(json.RawMessage) bool, error) {
		want, err := boolean(op)
		return func(v json.RawMessage) bool { return (kindOf(v) == 'n') == want }, err
	},
	"NumericEquals":            numeric(func(a, b float64) bool { return a == b }),
	"NumericLessThan":          numeric(func(a, b float64) bool { return a < b }),
	"NumericLessThanEquals":    numeric(func(a, b float64) bool { return a <= b }),
	"NumericGreaterThan":       numeric(func(a, b float64) bool { return a > b }),
	"NumericGreaterThanEquals": numeric(func(a, b float64) bool { return a >= b }),
}

// boolean reads true or false.
func boolean(raw json.RawMessage) (bool, error) {
	switch kindOf(raw) {
	case 't':
		return true, nil
	case 'f':
		return false, nil
	}
	return false, fmt.Errorf("needs true or false")
}

// number reads a JSON number.
func number(raw json.RawMessage) (float64, bool) {
	f, err := strconv.ParseFloat(string(raw[skipSpace(raw, 0):skipValue(raw, skipSpace(raw, 0))]), 64)
	return f, err == nil
}

// numeric makes an operator on numbers. Anything else is not equal, less or greater.
func numeric(holds func(a, b float64) bool) func(json.RawMessage) (func(json.RawMessage) bool, error) {
	return func(op json.RawMessage) (func(json.RawMessage) bool, error) {
		want, ok := number(op)
		if !ok {
			return nil, fmt.Errorf("needs a number")
		}
		return func(v json.RawMessage) bool { got, ok := number(v); return ok && holds(got, want) }, nil
	}
}

// parseTest compiles a rule's condition from its fields (without Next and Comment).
func parseTest(fields []member) (test, error) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	slices.Sort(names)
	switch {
	case len(fields) == 1 && (names[0] == "And" || names[0] == "Or"):
		return parseAll(fields[0])
	case len(fields) == 1 && names[0] == "Not":
		return parseNot(fields[0])
	case len(fields) == 2 && slices.Contains(names, "Variable"):
		return parseComparison(fields)
	}
	return nil, fmt.Errorf("a condition has Variable and one operator, or And, Or or Not alone; this one has %v", names)
}

// parseAll compiles And and Or, which look no further than needed.
func parseAll(list member) (test, error) {
	if kindOf(list.value) != '[' {
		return nil, fmt.Errorf("%s needs a list", list.name)
	}
	var tests []test
	var err error
	each(list.value, func(m member) bool {
		var t test
		t, err = parseNested(m.value)
		tests = append(tests, t)
		return err == nil
	})
	if err == nil && len(tests) == 0 {
		err = fmt.Errorf("%s needs at least one condition", list.name)
	}
	decisive := list.name == "Or"
	return func(in scope) (bool, *Failure) {
		for _, t := range tests {
			if ok, f := t(in); f != nil || ok == decisive {
				return ok, f
			}
		}
		return !decisive, nil
	}, err
}

func parseNot(m member) (test, error) {
	t, err := parseNested(m.value)
	return func(in scope) (bool, *Failure) {
		ok, f := t(in)
		return !ok, f
	}, err
}

func parseNested(raw json.RawMessage) (test, error) {
	fields, err := membersOf(raw)
	if err != nil {
		return nil, err
	}
	return parseTest(fields)
}

// parseComparison compiles Variable with one operator.
func parseComparison(fields []member) (test, error) {
	variable, op := fields[0], fields[1]
	if op.name == "Variable" {
		variable, op = op, variable
	}
	if kindOf(variable.value) != '"' {
		return nil, fmt.Errorf("Variable must be a path in quotes")
	}
	p, err := parsePath(unquote(variable.value))
	if err != nil {
		return nil, err
	}
	if op.name == "IsPresent" {
		want, err := boolean(op.value)
		return func(in scope) (bool, *Failure) { _, ok := in.get(p); return ok == want, nil }, named(op.name, err)
	}
	compare, ok := comparisons[op.name]
	if !ok {
		return nil, fmt.Errorf("operator %q is not supported", op.name)
	}
	holds, err := compare(op.value)
	return func(in scope) (bool, *Failure) {
		raw, ok := in.get(p)
		if !ok {
			return false, &Failure{runtimeError, fmt.Sprintf("Variable: there is nothing at %s", p.text)}
		}
		return holds(raw), nil
	}, named(op.name, err)
}

// named puts an operator's name before its error.
func named(operator string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %w", operator, err)
}

// run takes the first rule that holds.
func (c *choice) run(_ context.Context, v *visit) (*value, *state, *Failure) {
	data, f := v.take(c.input, v.in)
	if f != nil {
		return nil, nil, f
	}
	out, f := v.take(c.output, data)
	if f != nil {
		return nil, nil, f
	}
	for _, r := range c.rules {
		if ok, f := r.test(v.scope(data)); f != nil || ok {
			return out, r.next, f
		}
	}
	if c.fallback == nil {
		return nil, nil, &Failure{noChoiceMatched, "no condition holds, and there is no Default"}
	}
	return out, c.fallback, nil
}
