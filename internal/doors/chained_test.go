package doors_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"tandem/internal/flow"
	"tandem/spec"
)

// chained calls one handler after the other, through JSON as a machine would. The
// order, and what each step gets, is written here once more, to hold the machines
// against: a write that was refused because the world has moved, or may have
// happened, is decided again, once, and so is a pair to be looked at afresh; what an
// outage, a limit or a missing parent holds up is put off; nothing else is tried again.
func chained(ctx context.Context, f *flow.Flow, d spec.Direction, _ string, input json.RawMessage) (r ran) {
	r.sections = map[string]json.RawMessage{}
	var done []string // whose sections the next step gets
	for i, rounds := 0, 0; i < len(flow.Steps); i++ {
		step := flow.Steps[i]
		s, err := given(input, r.sections, done)
		if err != nil {
			r.code = err.Error()
			return r
		}
		if step == "Write" {
			r.path = append(r.path, "Decide")
			if s.Lookup.Act == flow.ActDrop {
				r.path = append(r.path, "Dropped")
				return r
			}
			if s.Lookup.Act == flow.ActStamp {
				continue
			}
		}
		r.path = append(r.path, step)
		section, err := tried(ctx, f, step, s)
		switch code := flow.CodeOf(err); {
		case err == nil:
			name := strings.ToLower(step)
			r.sections[name], _ = json.Marshal(section)
			if done = append(done, name); step == "Lookup" {
				done = []string{name}
			}
		case (code == flow.PreconditionFailed || code == flow.InDoubt) && rounds == 0:
			r.path, i, rounds = append(r.path, "Again", "Anew", "Pause"), slices.Index(flow.Steps, "Transform")-1, 1
		case code == flow.RateLimited, code == flow.RemoteBusy, code == flow.ParentMissing:
			r.postpone(d, s, code)
			return r
		default:
			r.bury(code)
			return r
		}
	}
	return r
}

// tried calls a step, again where its failure passes by itself.
func tried(ctx context.Context, f *flow.Flow, step string, s flow.State) (section any, err error) {
	times := map[flow.Code]int{flow.LeaseHeld: 2, flow.RateLimited: 6, flow.RemoteBusy: 3} // as often as the machine calls
	for n := 1; ; n++ {
		if section, err = f.Handle(ctx, step, s); n >= times[flow.CodeOf(err)] {
			return section, err
		}
	}
}

// postpone puts an event off, each time for twice as long.
func (r *ran) postpone(d spec.Direction, s flow.State, code flow.Code) {
	r.path = append(r.path, "Postpone")
	next, how := flow.Later{Times: 1, Delay: 30}, "PostponeFirst"
	if before := s.Later; before != nil {
		next, how = flow.Later{Times: before.Times + 1, Delay: 2 * before.Delay, Waited: before.Waited + before.Delay}, "PostponeLonger"
	}
	r.path = append(r.path, how, "Later", "Deferred")
	r.putOff = &flow.Postponed{Machine: d, Event: s.Event, Later: next}
}

func (r *ran) bury(code flow.Code) {
	r.path, r.code = append(r.path, "DeadLetter", "Failed"), string(code)
}

// given is what a step gets: the event and the sections named.
func given(input json.RawMessage, all map[string]json.RawMessage, done []string) (s flow.State, err error) {
	sections := map[string]json.RawMessage{}
	for _, name := range done {
		sections[name] = all[name]
	}
	text, err := json.Marshal(sections)
	if err == nil {
		err = json.Unmarshal(text, &s.Sections)
	}
	if err == nil {
		err = json.Unmarshal(input, &s)
	}
	return s, err
}
