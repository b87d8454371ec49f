package flow_test

import (
	"strings"
	"testing"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// oneSided begins a change of both sides of contact 7: the destination takes its part,
// in a form of its own, and HubSpot refuses the other for as long as contact 8, which
// holds the address, has not heard of its own change.
func (b *bench) oneSided() {
	b.two(true)
	b.dest.refuse = func(_ string, fields record.Fields) error {
		if text, ok := fields["last_name"]; ok {
			fields["last_name"] = strings.TrimSpace(text)
		}
		return nil
	}
	b.hub.refuse = func(id string, fields record.Fields) error {
		if fields["email"] == "bob@example.com" && b.hub.rows["contacts/8"].Fields["email"] == "bob@example.com" {
			return &flow.Error{Code: flow.AlreadyExists, Message: "409", ExistingID: "8"}
		}
		return nil
	}
	b.dest.put("customers/c_2", record.Fields{"email": "bob2@example.com"})
	b.dest.put("customers/c_1", record.Fields{"email": "bob@example.com"})
	b.hub.put("contacts/7", record.Fields{"lastname": "Hopper "})
	b.dest.writes = nil
}

// One side of a change is refused for long. The other one, which stores what it is sent
// in a form of its own, is written once and not in every round.
func TestOneSideIsWrittenOnce(t *testing.T) {
	b := newBench(t)
	b.oneSided()
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Deferred")
	b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Deferred")
	b.want(b.event(record.Destination, "contacts", "c_2", flow.Changed), "Stamp")
	b.want(b.later(record.HubSpot, "contacts", "7", 1), "Stamp")
	if n := len(b.dest.writes); n != 1 {
		t.Errorf("the destination was written %d times: %v", n, b.dest.writes)
	}
	hub, dest := b.hub.rows["contacts/7"].Fields, b.dest.rows["customers/c_1"].Fields
	if hub["email"] != "bob@example.com" || hub["lastname"] != "Hopper " || dest["last_name"] != "Hopper" {
		t.Errorf("in the end %v and %v", hub, dest)
	}
}

// An execution that has read the side that was written before it was does not bring
// the old value back.
func TestOneSideIsReadAgain(t *testing.T) {
	b := newBench(t)
	b.oneSided()
	s := b.steps(record.Destination, "c_1", flow.Changed, "Transform")
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Deferred")
	plan, err := b.flow.Lookup(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, old := plan.Patch[record.HubSpot]["lastName"]; old {
		t.Errorf("lastName is written back: %v", plan.Patch)
	}
}
