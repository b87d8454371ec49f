package engine

import (
	"encoding/json"
	"maps"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// FingerprintMark stands before a fingerprint that is shown instead of a value.
const FingerprintMark = "fingerprint "

// shown is a section with the values of sensitive fields replaced; raw itself
// when the pair has none.
func (r *run) shown(raw json.RawMessage, result any) (json.RawMessage, error) {
	sensitive := r.engine.sensitive(r.event.Pair)
	if len(sensitive) == 0 {
		return raw, nil
	}
	salt := r.event.Client + "/" + r.event.Pair
	hide := func(sys record.System, fields map[string]string) map[string]string {
		hidden := maps.Clone(fields)
		for _, name := range sensitive {
			if text := hidden[name]; text != "" {
				hidden[name] = FingerprintMark + ledger.Fingerprint(salt, name, sys, text)
			}
		}
		return hidden
	}
	d := r.event.Direction
	switch v := result.(type) {
	case *flow.Transformed:
		c := *v
		c.Fields, c.Own = hide(d.Target(), v.Fields), hide(d.Source(), v.Own)
		return json.Marshal(c)
	case *flow.Plan:
		c := *v
		c.Patch = make(map[record.System]map[string]string, len(v.Patch))
		for sys, fields := range v.Patch {
			c.Patch[sys] = hide(sys, fields)
		}
		return json.Marshal(c)
	}
	return raw, nil
}

// sensitive lists a pair's fields whose values nobody is shown.
func (e *Engine) sensitive(pair string) (names []string) {
	p, _ := e.o.Flow.Spec.PairByName(pair)
	for _, f := range p.Fields {
		if f.Sensitive {
			names = append(names, f.Name)
		}
	}
	return names
}
