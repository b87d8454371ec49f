package flow_test

import (
	"slices"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

// under goes on under a spec of that hash, whose first pair has those fields.
func (b *bench) under(hash string, fields ...spec.Field) {
	b.t.Helper()
	s := *b.flow.Spec
	s.Hash, s.Pairs = hash, slices.Clone(s.Pairs)
	s.Pairs[0].Fields = fields
	o := b.flow.Options
	o.Spec = &s
	f, err := flow.New(o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.flow = f
}

// The spec is changed, and the functions with it, while an execution is between two
// states: what one state has made of a record under the older spec is not taken by the
// next for what the newer one says of it.
func TestSpecChangesBetweenTwoStates(t *testing.T) {
	for _, after := range []string{"Transform", "Lookup", "Write"} {
		t.Run(after, func(t *testing.T) {
			b := newBench(t)
			with := b.flow.Spec.Pairs[0].Fields
			without := slices.DeleteFunc(slices.Clone(with), func(f spec.Field) bool { return f.Name == "newsletter" })
			b.under("older", without...)
			b.created()
			b.now = b.now.Add(time.Minute)
			if after != "Transform" {
				b.dest.put("customers/c_1", record.Fields{"newsletter": "true"})
				b.event(record.Destination, "contacts", "c_1", flow.Changed)
				b.hub.put("contacts/7", record.Fields{"lastname": "M"})
			} else {
				b.hub.put("contacts/7", record.Fields{"lastname": "M", "newsletter": "true"})
			}
			b.now = b.now.Add(time.Minute)
			steps := []string{"Transform", "Lookup", "Write", "Stamp"}
			next := slices.Index(steps, after) + 1
			s := b.steps(record.HubSpot, "7", flow.Changed, steps[:next]...)
			b.under("newer", with...)
			for _, step := range steps[next:] {
				section, err := b.flow.Handle(t.Context(), step, s)
				if err != nil {
					t.Fatal(step, err)
				}
				if plan, ok := section.(*flow.Plan); ok {
					if s.Lookup = plan; plan.Patch[record.Destination]["newsletter"] != "true" {
						t.Errorf("decided is %+v", plan)
					}
				}
				if written, ok := section.(*flow.Written); ok {
					s.Write = written
				}
			}
			if after == "Transform" {
				return
			}
			// What an older spec has decided is looked at again by a backfill.
			in, row := flow.Ingress{Flow: b.flow, Starter: run{b}, Mark: flow.MarkBackfill}, b.dest.rows["customers/c_1"]
			_, _, a, err := in.Page(t.Context(), record.Destination, "customers", lines{{ID: row.ID, Version: row.Version, At: row.UpdatedAt}}, "")
			if got := b.hub.rows["contacts/7"].Fields["newsletter"]; err != nil || a.Started != 1 || got != "true" {
				t.Errorf("a backfill starts %d, and the field holds %q: %v", a.Started, got, err)
			}
		})
	}
}
