package asl

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// pass is a Pass state: it carries data on, shaped or replaced.
type pass struct {
	dataFlow
	result json.RawMessage // nil when there is none
	next   *state
}

func (p *pass) run(_ context.Context, v *visit) (*value, *state, *Failure) {
	result, f := p.arguments(v)
	if f != nil {
		return nil, nil, f
	}
	if p.result != nil {
		result = p.result
	}
	out, f := p.conclude(v, result)
	return out, p.next, f
}

// wait is a Wait state.
type wait struct {
	dataFlow
	length time.Duration
	next   *state
}

func (w *wait) run(ctx context.Context, v *visit) (*value, *state, *Failure) {
	data, f := v.take(w.input, v.in)
	if f != nil {
		return nil, nil, f
	}
	if err := v.Clock.Sleep(ctx, w.length); err != nil {
		return nil, nil, &Failure{timeoutError, err.Error()}
	}
	out, f := v.take(w.output, data)
	return out, w.next, f
}

// succeed is a Succeed state.
type succeed struct{ dataFlow }

func (s *succeed) run(_ context.Context, v *visit) (*value, *state, *Failure) {
	data, f := v.take(s.input, v.in)
	if f != nil {
		return nil, nil, f
	}
	out, f := v.take(s.output, data)
	return out, nil, f
}

// fail is a Fail state. A path, where there is one, replaces the fixed text.
type fail struct {
	name, cause         string
	namePath, causePath *path
}

func (s *fail) run(_ context.Context, v *visit) (*value, *state, *Failure) {
	name, f := s.text(v, s.namePath, s.name)
	if f != nil {
		return nil, nil, f
	}
	cause, f := s.text(v, s.causePath, s.cause)
	if f != nil {
		return nil, nil, f
	}
	return nil, nil, &Failure{cut(name, maxErrorName), cut(cause, maxCause)}
}

// text reads ErrorPath or CausePath, which must point to a string.
func (s *fail) text(v *visit, p *path, fixed string) (string, *Failure) {
	if p == nil {
		return fixed, nil
	}
	raw, ok := v.scope(v.in).get(p)
	if !ok || kindOf(raw) != '"' {
		return "", &Failure{runtimeError, fmt.Sprintf("state %s: there is no text at %s", v.st.name, p.text)}
	}
	return unquote(raw[skipSpace(raw, 0):skipValue(raw, skipSpace(raw, 0))]), nil
}
