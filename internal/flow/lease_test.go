package flow_test

import (
	"testing"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

// TestHeldLeaseCoalesces: an execution that meets another one's lease is tried
// again by the machine, and what a newer event has already covered costs it no
// remote request and no write.
func TestHeldLeaseCoalesces(t *testing.T) {
	b := newBench(t)
	c := b.tallied()
	b.created()
	look := func(name string) flow.State {
		e, err := b.flow.Seals.Seal(flow.Envelope{Client: "acme", Direction: spec.ToDestination, Pair: "contacts", ID: "7", Kind: flow.Changed, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		s := flow.State{Event: e}
		if s.Transform, err = b.flow.Transform(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	b.hub.put("contacts/7", record.Fields{"zip": "2000"})
	early := look("early")
	b.hub.put("contacts/7", record.Fields{"zip": "3000"})
	late := look("late")
	var err error
	if late.Lookup, err = b.flow.Lookup(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if _, err := b.flow.Lookup(t.Context(), early); flow.CodeOf(err) != flow.LeaseHeld || !flow.Codes[flow.LeaseHeld] {
		t.Fatalf("while the other works: %v, want LeaseHeld, which the machines retry", err)
	}
	if late.Write, err = b.flow.Write(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if late.Stamp, err = b.flow.Stamp(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	got := b.cost(c, func() {
		plan, err := b.flow.Lookup(t.Context(), early)
		if err != nil || plan.Act != flow.ActDrop || plan.Reason != flow.ReasonStale {
			t.Fatalf("%+v, %v", plan, err)
		}
	})
	if want := (cost{table: 2}); got != want || b.dest.rows["customers/c_1"].Fields["postcode"] != "3000" {
		t.Errorf("the covered event cost %+v, want %+v; the destination holds %v", got, want, b.dest.rows["customers/c_1"].Fields)
	}
}
