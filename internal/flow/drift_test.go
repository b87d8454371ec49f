package flow_test

import (
	"testing"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

// An edit of a one-way field on its wrong side is overwritten when the other side
// brings another value, whichever side is heard first, and then it is recorded.
func TestDriftIsRecordedBeforeItIsOverwritten(t *testing.T) {
	for _, heard := range []record.System{record.HubSpot, record.Destination} {
		for _, drift := range []string{"Nobody", ""} {
			b := newBench(t)
			_, dest := b.created()
			b.dest.put("customers/c_1", record.Fields{"name": drift})
			b.hub.put("contacts/7", record.Fields{"firstname": "Augusta"})
			b.event(heard, "contacts", map[record.System]string{record.HubSpot: "7", record.Destination: dest}[heard], flow.Changed)
			if got := b.dest.rows["customers/c_1"].Fields["name"]; got != "Augusta L" {
				t.Fatalf("%s is heard: the name is %q", heard, got)
			}
			if lost := b.losses(); len(lost) != 1 || lost[0].Field != "name" || lost[0].Loser != drift {
				t.Errorf("%s is heard: recorded is %+v, want the name %q", heard, lost, drift)
			}
		}
	}
}

// When two records meet, what the wrong side of a one-way field has held is recorded,
// too.
func TestWrongSideIsRecordedAtFirstContact(t *testing.T) {
	for _, heard := range []record.System{record.HubSpot, record.Destination} {
		b := newBench(t)
		b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "firstname": "Ada", "lastname": "L"})
		b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com", "first_name": "Ada", "last_name": "L", "name": "Nobody"})
		b.want(b.event(heard, "contacts", map[record.System]string{record.HubSpot: "7", record.Destination: "c_9"}[heard], flow.Changed), "Stamp")
		lost, err := b.flow.Ledger.Conflicts(t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: "c_9"})
		if name := b.dest.rows["customers/c_9"].Fields["name"]; err != nil || name != "Ada L" || len(lost) != 1 || lost[0].Loser != "Nobody" {
			t.Errorf("%s is heard: the name is %q, recorded is %+v, %v", heard, name, lost, err)
		}
	}
}

// So it is where the right side was blank at first and brings something later; and should
// the field come to travel both ways before that, the next look at the record brings it.
func TestWrongSideBesideABlank(t *testing.T) {
	for _, heard := range []record.System{record.HubSpot, record.Destination} {
		for _, becomes := range []string{spec.OnlyDestination, spec.Both} {
			b := newBench(t)
			var newsletter *spec.Field
			for i := range b.flow.Spec.Pairs[0].Fields {
				if f := &b.flow.Spec.Pairs[0].Fields[i]; f.Name == "newsletter" {
					newsletter = f
				}
			}
			travels := func(direction string) {
				newsletter.Direction = direction
				again, err := flow.New(b.flow.Options)
				if err != nil {
					t.Fatal(err)
				}
				b.flow = again
			}
			travels(spec.OnlyDestination)
			b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "firstname": "Ada", "newsletter": ""})
			b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com", "newsletter": "true"})
			both := map[record.System]string{record.HubSpot: "7", record.Destination: "c_9"}
			b.want(b.event(heard, "contacts", both[heard], flow.Changed), "Stamp")
			for sys, id := range both {
				b.event(sys, "contacts", id, flow.Changed)
				b.still(sys, id, flow.Changed)
			}
			if travels(becomes); becomes == spec.OnlyDestination {
				b.hub.put("contacts/7", record.Fields{"newsletter": "false"})
			}
			for sys, id := range both {
				b.event(sys, "contacts", id, flow.Changed)
			}
			hub, dest := b.hub.rows["contacts/7"].Fields["newsletter"], b.dest.rows["customers/c_9"].Fields["newsletter"]
			lost, err := b.flow.Ledger.Conflicts(t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: "c_9"})
			switch {
			case err != nil || becomes == spec.Both && (hub != "true" || dest != "true"):
				t.Errorf("%s is heard: both ways HubSpot holds %q, the destination %q, %v", heard, hub, dest, err)
			case becomes == spec.OnlyDestination && (dest != "false" || len(lost) != 1 || lost[0].Loser != "true"):
				t.Errorf("%s is heard: the destination holds %q, recorded is %+v", heard, dest, lost)
			}
		}
	}
}
