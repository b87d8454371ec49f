package flow_test

import (
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// What somebody edits in the partner of a record that is gone travels once that is
// restored, however long it takes until the two can be compared.
func TestEditMeanwhileIsComparedAfterARestore(t *testing.T) {
	for _, policy := range []string{"ask", "ignore"} {
		t.Run(policy, func(t *testing.T) {
			b := newBench(t)
			b.flow.Spec.Pairs[0].Deletes.HubSpot = policy
			hub, dest := b.created()
			b.archive(hub, true)
			b.event(record.HubSpot, "contacts", hub, flow.Deleted)
			b.dest.put("customers/"+dest, record.Fields{"last_name": "Byron"})
			b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Dropped")
			b.archive(hub, false)
			b.now = b.now.Add(time.Minute)
			b.dest.fail = func(string) error {
				if b.state(record.HubSpot, hub) == ledger.Linked {
					return flow.Errorf(flow.RemoteBusy, "down")
				}
				return nil
			}
			b.want(b.event(record.HubSpot, "contacts", hub, flow.Restored), "Deferred")
			b.dest.fail, b.now = nil, b.now.Add(time.Hour)
			b.want(b.event(record.HubSpot, "contacts", hub, flow.Restored), "Stamp")
			if got := b.hub.rows["contacts/"+hub].Fields["lastname"]; got != "Byron" {
				t.Errorf("HubSpot holds %q: %s", got, b.reason())
			}
		})
	}
}

// A survivor whose merge was heard of when it had been deleted is restored before its
// partner could be: from then on a 404 says no more of it than of any other.
func TestMissingAfterARestoreIsUnknown(t *testing.T) {
	for end, edit := range map[string]record.Fields{"Dropped": {}, "Stamp": {"lastname": "Byron"}} {
		b := newBench(t)
		b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
		b.created()
		row := b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
		there, gone := map[string]record.Record{"contacts/900": row, "contacts/7": row}, map[string]record.Record{}
		b.hub.rows = gone
		b.event(record.HubSpot, "contacts", "900", flow.Deleted)
		b.dest.fail = func(op string) error {
			if op == "read" {
				return flow.Errorf(flow.RemoteRefused, "not now")
			}
			return nil
		}
		b.want(b.event(record.HubSpot, "contacts", "900", flow.Merged, "7"), "Failed")
		b.dest.fail, b.hub.rows, b.now = nil, there, b.now.Add(time.Minute)
		b.hub.put("contacts/900", edit)
		b.want(b.event(record.HubSpot, "contacts", "900", flow.Restored), end)
		b.hub.rows = gone
		b.want(b.event(record.HubSpot, "contacts", "900", flow.Changed), "Failed")
		if !strings.Contains(b.reason(), string(flow.RecordMissing)) || len(b.dest.rows) != 1 {
			t.Errorf("%s: the destination holds %v: %s", end, b.dest.rows, b.reason())
		}
	}
}

// A person who is asked about a pair deletes the other record, too: that was the answer.
func TestAskedAndDeleted(t *testing.T) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		b := newBench(t)
		b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: "ask", Destination: "ask"}
		hub, dest := b.created()
		ids := map[record.System]string{record.HubSpot: hub, record.Destination: dest}
		rows := map[record.System]map[string]record.Record{record.HubSpot: b.hub.rows, record.Destination: b.dest.rows}
		for _, s := range []record.System{sys, sys.Other()} {
			clear(rows[s])
			b.event(s, "contacts", ids[s], flow.Deleted)
		}
		if got := b.state(record.HubSpot, hub); got != ledger.Gone {
			t.Errorf("deleted in %s first, the pair is %q: %s", sys, got, b.reason())
		}
	}
}

// A record is deleted whose partner has been restored, of which nobody has told yet: the
// policy decides, as it would if it were told in time.
func TestDeletedBeforeItsPartnersRestoreIsToldOf(t *testing.T) {
	b := deletes(t)
	customer := b.dest.rows["customers/c_1"]
	delete(b.dest.rows, "customers/c_1")
	b.hub.put("contacts/7", record.Fields{"lastname": "Byron"})
	b.event(record.Destination, "contacts", "c_1", flow.Deleted)
	if got := b.state(record.HubSpot, "7"); got != ledger.Parked {
		t.Fatalf("the pair is %q: %s", got, b.reason())
	}
	b.dest.rows["customers/c_1"] = customer
	b.now = b.now.Add(time.Minute)
	b.archive("7", true)
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Deleted), "Stamp")
	b.event(record.Destination, "contacts", "c_1", flow.Changed)
	if len(b.dest.rows) != 0 || len(b.hub.rows) != 1 || b.state(record.HubSpot, "7") != ledger.Gone {
		t.Errorf("HubSpot holds %v, the destination %v: %s", b.hub.rows, b.dest.rows, b.reason())
	}
}

// Nobody tells that a record was restored whose partner waits for a person: any event of
// the partner's that comes later brings the pair back, with what was edited meanwhile.
func TestRestoreThatNobodyTellsOf(t *testing.T) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		b := newBench(t)
		b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: "ask", Destination: "ask"}
		hub, dest := b.created()
		gone, key, kept, of, name := b.hub, "contacts/"+hub, dest, record.Destination, "last_name"
		if sys == record.Destination {
			gone, key, kept, of, name = b.dest, "customers/"+dest, hub, record.HubSpot, "lastname"
		}
		row := gone.rows[key]
		delete(gone.rows, key)
		b.event(sys, "contacts", row.ID, flow.Deleted)
		edit := map[record.System]func(){
			record.HubSpot:     func() { b.hub.put("contacts/"+hub, record.Fields{name: "Byron"}) },
			record.Destination: func() { b.dest.put("customers/"+dest, record.Fields{name: "Byron"}) },
		}[of]
		edit()
		b.want(b.event(of, "contacts", kept, flow.Changed), "Dropped")
		if got := b.state(record.HubSpot, hub); got != ledger.Parked {
			t.Fatalf("deleted in %s the pair is %q: %s", sys, got, b.reason())
		}
		gone.rows[key], b.now = row, b.now.Add(time.Minute)
		b.want(b.event(of, "contacts", kept, flow.Changed), "Stamp")
		if h, d := b.hub.rows["contacts/"+hub].Fields["lastname"], b.dest.rows["customers/"+dest].Fields["last_name"]; h != "Byron" || d != "Byron" {
			t.Errorf("deleted in %s: HubSpot holds %q, the destination %q: %s", sys, h, d, b.reason())
		}
	}
}
