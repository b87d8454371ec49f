package asl

import (
	"encoding/json"
	"fmt"
)

// dataFlow is what a state does to its data, in this order: InputPath,
// Parameters, the work, ResultSelector, ResultPath, OutputPath
// (States Language, "Input and Output Processing").
type dataFlow struct {
	input      *path // nil is $
	parameters template
	selector   template
	put        []string // ResultPath; empty replaces the data
	discard    bool     // ResultPath null
	output     *path    // nil is $
}

// take applies InputPath or OutputPath.
func (v *visit) take(p *path, data *value) (*value, *Failure) {
	if p == nil {
		return data, nil
	}
	raw, ok := v.scope(data).get(p)
	if !ok {
		return nil, &Failure{runtimeError, fmt.Sprintf("state %s: there is nothing at %s", v.st.name, p.text)}
	}
	return newValue(raw), nil
}

// arguments returns the effective input.
func (d *dataFlow) arguments(v *visit) (json.RawMessage, *Failure) {
	data, f := v.take(d.input, v.in)
	if f != nil {
		return nil, f
	}
	if d.parameters == nil {
		return data.text(), nil
	}
	return fill(d.parameters, v.scope(data), v.input.size()+64)
}

// fill writes a template out; room is about how much it adds to its data.
func fill(t template, in scope, room int) (json.RawMessage, *Failure) {
	raw, f := t.appendTo(make([]byte, 0, in.data.size()+room), in)
	if f == nil && len(raw) > MaxData {
		f = &Failure{dataLimitExceeded, fmt.Sprintf("a payload template gives more than %d bytes", MaxData)}
	}
	return raw, f
}

// conclude turns a result into the state's output.
func (d *dataFlow) conclude(v *visit, result json.RawMessage) (*value, *Failure) {
	if d.selector != nil {
		var f *Failure
		if result, f = fill(d.selector, v.scope(&value{raw: result}), 64); f != nil {
			return nil, f
		}
	}
	out := v.in
	if !d.discard {
		var ok bool
		if out, ok = v.in.with(d.put, result); !ok {
			return nil, &Failure{resultPathFailure, "ResultPath does not fit the state's input"}
		}
	}
	return v.take(d.output, out)
}
