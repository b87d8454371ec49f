package asl

import (
	"encoding/json"
	"fmt"
	"strings"
)

// template is a payload template (States Language, "Payload Template"): JSON in
// which the value of a member whose name ends in .$ is a path or an intrinsic.
// It is compiled once and written out as text for each use.
type template interface {
	// appendTo writes the value after b, or fails naming the path that is missing.
	appendTo(b []byte, in scope) ([]byte, *Failure)
}

// scope is what the paths of one state see.
type scope struct {
	data  *value // $
	visit *visit // has $$
}

// get looks a path up.
func (s scope) get(p *path) (json.RawMessage, bool) {
	if p.context {
		return s.visit.inContext(p)
	}
	return p.in(s.data)
}

type (
	literal        json.RawMessage
	objectTemplate []field
	arrayTemplate  []template
	field          struct {
		name  string
		value template
	}
	pathTemplate struct {
		path  *path
		field string // the member's name, for the message
	}
)

// parseTemplate compiles JSON text. The name is the field's, for messages.
func parseTemplate(raw json.RawMessage, name string) (template, error) {
	switch kindOf(raw) {
	case '{':
		return parseObjectTemplate(raw)
	case '[':
		return parseArrayTemplate(raw, name)
	}
	return literal(compact(raw)), nil
}

func parseObjectTemplate(raw json.RawMessage) (template, error) {
	out, plain := objectTemplate{}, true
	seen := map[string]bool{}
	var err error
	each(raw, func(m member) bool {
		var f field
		if f, err = parseField(m); err == nil && seen[f.name] {
			err = fmt.Errorf("field %q is there twice", f.name)
		}
		seen[f.name] = true
		_, isLiteral := f.value.(literal)
		plain = plain && isLiteral
		out = append(out, f)
		return err == nil
	})
	if plain {
		return literal(compact(raw)), err
	}
	return out, err
}

// parseField compiles one member of a template.
func parseField(m member) (f field, err error) {
	name, dynamic := strings.CutSuffix(m.name, ".$")
	if f.name = name; !dynamic {
		f.value, err = parseTemplate(m.value, m.name)
		return f, err
	}
	if kindOf(m.value) != '"' {
		return f, fmt.Errorf("field %q: the value must be a path or an intrinsic in quotes", m.name)
	}
	f.value, err = parseExpression(unquote(m.value), m.name)
	return f, err
}

// parseExpression compiles what stands behind a name that ends in .$.
func parseExpression(text, name string) (template, error) {
	if strings.HasPrefix(text, "$") {
		p, err := parsePath(text)
		return pathTemplate{p, name}, err
	}
	return parseIntrinsic(text, name)
}

func parseArrayTemplate(raw json.RawMessage, name string) (template, error) {
	out, plain := arrayTemplate{}, true
	var err error
	each(raw, func(m member) bool {
		var t template
		t, err = parseTemplate(m.value, name)
		_, isLiteral := t.(literal)
		plain = plain && isLiteral
		out = append(out, t)
		return err == nil
	})
	if plain {
		return literal(compact(raw)), err
	}
	return out, err
}

func (l literal) appendTo(b []byte, _ scope) ([]byte, *Failure) { return append(b, l...), nil }

func (o objectTemplate) appendTo(b []byte, in scope) (_ []byte, f *Failure) {
	b = append(b, '{')
	for i, member := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendQuoted(b, member.name), ':')
		if b, f = member.value.appendTo(b, in); f != nil {
			return nil, f
		}
	}
	return append(b, '}'), nil
}

func (a arrayTemplate) appendTo(b []byte, in scope) (_ []byte, f *Failure) {
	b = append(b, '[')
	for i, t := range a {
		if i > 0 {
			b = append(b, ',')
		}
		if b, f = t.appendTo(b, in); f != nil {
			return nil, f
		}
	}
	return append(b, ']'), nil
}

func (p pathTemplate) appendTo(b []byte, in scope) ([]byte, *Failure) {
	raw, ok := in.get(p.path)
	if !ok {
		// The execution fails, past every Catch. The States Language names this
		// States.ParameterPathFailure, AWS reports States.Runtime.
		return nil, &Failure{runtimeError, fmt.Sprintf("field %q: there is nothing at %s", p.field, p.path.text)}
	}
	return append(b, raw...), nil
}
