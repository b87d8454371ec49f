package asl

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// object reads the fields of one JSON object of a definition. Like bufio.Scanner
// it keeps its first error, so that a reader is a list of fields and not of ifs.
type object struct {
	where  string
	fields []member
	err    error
}

// membersOf splits an object and refuses a name that is there twice.
func membersOf(raw json.RawMessage) ([]member, error) {
	if kindOf(raw) != '{' {
		return nil, fmt.Errorf("must be an object")
	}
	var out []member
	var err error
	each(raw, func(m member) bool {
		if slices.ContainsFunc(out, func(o member) bool { return o.name == m.name }) {
			err = fmt.Errorf("field %q is there twice", m.name)
		}
		out = append(out, m)
		return err == nil
	})
	return out, err
}

// objectOf reads an object that may have the allowed fields, or any where none are given.
func objectOf(raw json.RawMessage, where string, allowed ...string) (*object, error) {
	fields, err := membersOf(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	for _, f := range fields {
		if len(allowed) > 0 && !slices.Contains(allowed, f.name) {
			return nil, fmt.Errorf("%s: field %q is not supported here; these are: %s", where, f.name, strings.Join(allowed, ", "))
		}
	}
	return &object{where: where, fields: fields}, nil
}

// fail keeps the first error.
func (o *object) fail(field, problem string) {
	if o.err != nil {
		return
	}
	if field != "" {
		field += " "
	}
	o.err = fmt.Errorf("%s: %s%s", o.where, field, problem)
}

// adopt keeps the first error of a nested object.
func (o *object) adopt(inner *object) {
	if o.err == nil {
		o.err = inner.err
	}
}

// json returns a field's text, nil when it is not there.
func (o *object) json(name string) json.RawMessage {
	for _, f := range o.fields {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// has tells whether a field is there.
func (o *object) has(name string) bool { return o.json(name) != nil }

// required fails when a field is not there.
func (o *object) required(name string) *object {
	if !o.has(name) {
		o.fail(name, "is missing")
	}
	return o
}

// exclusive fails when two fields are there at once.
func (o *object) exclusive(a, b string) {
	if o.has(a) && o.has(b) {
		o.fail(a, "and "+b+" exclude each other")
	}
}

// members reads an object, refusing a name that is there twice.
func (o *object) members(name string) []member {
	raw := o.json(name)
	if raw == nil {
		return nil
	}
	out, err := membersOf(raw)
	if err != nil {
		o.fail(name, err.Error())
	}
	return out
}

// text reads a string; the empty string when it is not there.
func (o *object) text(name string) string {
	raw := o.json(name)
	if raw == nil {
		return ""
	}
	if kindOf(raw) != '"' {
		o.fail(name, "must be a string")
		return ""
	}
	return unquote(raw)
}

// flag reads true or false.
func (o *object) flag(name string) bool {
	b, err := boolean(o.json(name))
	if err != nil {
		o.fail(name, "must be true or false")
	}
	return b
}

// number reads a number between two bounds.
func (o *object) number(name string, low, high float64, whole bool) float64 {
	f, ok := number(o.json(name))
	if !ok || f < low || f > high || whole && f != float64(int64(f)) {
		kind := "number"
		if whole {
			kind = "whole number"
		}
		o.fail(name, fmt.Sprintf("must be a %s from %v to %v", kind, int64(low), int64(high)))
		return low
	}
	return f
}

// seconds reads a positive number of whole seconds, 0 when it is not there.
func (o *object) seconds(name string) time.Duration {
	if !o.has(name) {
		return 0
	}
	return time.Duration(o.number(name, 1, 99_999_999, true)) * time.Second
}

// names reads a list of error names.
func (o *object) names(name string) []string {
	var out []string
	if raw := o.json(name); raw != nil && (json.Unmarshal(raw, &out) != nil || len(out) == 0) {
		o.fail(name, "must be a list of error names")
	}
	return out
}

// list reads a list of objects.
func (o *object) list(name string, allowed ...string) []*object {
	raw := o.json(name)
	if raw == nil {
		return nil
	}
	if kindOf(raw) != '[' {
		o.fail(name, "must be a list")
		return nil
	}
	var out []*object
	each(raw, func(m member) bool {
		inner, err := objectOf(m.value, fmt.Sprintf("%s: %s[%d]", o.where, name, len(out)), allowed...)
		if err != nil {
			o.err = err
			return false
		}
		out = append(out, inner)
		return true
	})
	return out
}

// path reads a reference path, nil when there is none.
func (o *object) path(name string) *path {
	if !o.has(name) {
		return nil
	}
	p, err := parsePath(o.text(name))
	if err != nil {
		o.fail(name, err.Error())
		return nil
	}
	return p
}

// place reads a ResultPath; null leaves the result out.
func (o *object) place(name string) (names []string, discard bool) {
	raw := o.json(name)
	if raw == nil {
		return nil, false
	}
	if kindOf(raw) == 'n' {
		return nil, true
	}
	names, err := parseNames(o.text(name))
	if err != nil {
		o.fail(name, err.Error())
	}
	return names, false
}

// payload reads a payload template, nil when there is none.
func (o *object) payload(name string) template {
	raw := o.json(name)
	if raw == nil {
		return nil
	}
	t, err := parseTemplate(raw, name)
	if err != nil {
		o.fail(name, err.Error())
		return nil
	}
	return t
}

// dataFlow reads the fields that shape data; objectOf has refused those that
// the type of state does not have.
func (o *object) dataFlow() dataFlow {
	d := dataFlow{input: o.path("InputPath"), parameters: o.payload("Parameters"),
		selector: o.payload("ResultSelector"), output: o.path("OutputPath")}
	d.put, d.discard = o.place("ResultPath")
	return d
}
