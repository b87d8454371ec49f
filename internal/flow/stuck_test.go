package flow_test

import (
	"testing"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// polled tells of a row as a poll does, and says how many executions that starts.
func (b *bench) polled(sys record.System, object string, row record.Record) int {
	b.t.Helper()
	var started starts
	in := &flow.Ingress{Flow: b.flow, Starter: &started, Lanes: 1}
	if _, _, a, err := in.Page(b.t.Context(), sys, object, lines{{ID: row.ID, Version: row.Version, At: row.UpdatedAt}}, ""); err != nil || a.Problem != "" {
		b.t.Fatal(err, a.Problem)
	}
	return len(started)
}

// A value without a translation that a write of ours has met, in the other fields of the
// record, is told of all the same, once a poll comes to the version that this write made.
func TestPollOfAValueWithoutATranslation(t *testing.T) {
	for name, happens := range map[string]func(b *bench){
		"written to": func(b *bench) { b.hub.put("contacts/7", record.Fields{"lastname": "M"}) },
		"written to twice": func(b *bench) {
			b.hub.put("contacts/7", record.Fields{"lastname": "M"})
			b.event(record.HubSpot, "contacts", "7", flow.Changed)
			b.hub.put("contacts/7", record.Fields{"lastname": "N"})
		},
		"edited to the same": func(b *bench) {
			b.hub.put("contacts/7", record.Fields{"lastname": "M"})
			b.dest.put("customers/c_1", record.Fields{"last_name": "M", "name": "Ada M"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.created()
			b.dest.put("customers/c_1", record.Fields{"status": "on hold"})
			happens(b)
			if b.event(record.HubSpot, "contacts", "7", flow.Changed); b.dest.rows["customers/c_1"].Fields["status"] != "on hold" {
				t.Fatalf("overwritten: %s", b.reason())
			}
			if n := b.polled(record.Destination, "customers", b.dest.rows["customers/c_1"]); n != 1 {
				t.Fatalf("the poll starts %d executions", n)
			}
			b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Failed")
			// Put right, it travels, and what we have written since is an echo again.
			b.dest.put("customers/c_1", record.Fields{"status": "lead"})
			b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Stamp")
			b.hub.put("contacts/7", record.Fields{"lastname": "O"})
			b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
			if n := b.polled(record.Destination, "customers", b.dest.rows["customers/c_1"]); n != 0 {
				t.Fatalf("the poll of our own write starts %d executions", n)
			}
		})
	}
}

// So is one that was there when the two records were linked.
func TestPollOfAValueWithoutATranslationAtFirstContact(t *testing.T) {
	for _, status := range []string{"", "NEW"} {
		b := newBench(t)
		b.policy("contacts", "status", "destination")
		b.dest.put("customers/c_5", record.Fields{"email": "ada@example.com", "status": "on hold"})
		b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "firstname": "Ada", "hs_lead_status": status})
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
		b.hub.put("contacts/7", record.Fields{"lastname": "M"})
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
		row := b.dest.rows["customers/c_5"]
		if n := b.polled(record.Destination, "customers", row); n != 1 || row.Fields["status"] != "on hold" {
			t.Fatalf("HubSpot held %q: the poll starts %d executions; status %q", status, n, row.Fields["status"])
		}
	}
}

// An edit that is left alone, since the other side wins and holds a value without a
// translation, is looked at once that one is put right, be it to what both agreed on.
func TestEditThatWaitedForAValueWithoutATranslation(t *testing.T) {
	for right, want := range map[string]string{"NEW": "OPEN", "CONNECTED": "CONNECTED"} {
		b := newBench(t)
		b.created()
		b.hub.put("contacts/7", record.Fields{"hs_lead_status": "EVANGELIST"})
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Failed")
		b.dest.put("customers/c_1", record.Fields{"status": "lead"})
		b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Dropped")
		b.hub.put("contacts/7", record.Fields{"hs_lead_status": right})
		if a, _ := b.deliver(b.notice("hs_lead_status", right)); a.Started != 1 {
			t.Fatalf("put right to %s: dropped at the door", right)
		}
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
		hub, dest := b.hub.rows["contacts/7"].Fields["hs_lead_status"], b.dest.rows["customers/c_1"].Fields["status"]
		if hub != want || dest != map[string]string{"OPEN": "lead", "CONNECTED": "customer"}[want] {
			t.Errorf("put right to %s: HubSpot holds %s, the destination %s", right, hub, dest)
		}
		b.still(record.HubSpot, "7", flow.Changed)
	}
}

// So is one that a write of the other fields has come across, in a system that tells no
// versions, too.
func TestEditThatWaitedIsRememberedByAStamp(t *testing.T) {
	for name, tells := range tellings {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.policy("contacts", "status", "destination")
			set := b.telling(tells)
			b.created()
			set(record.Fields{"status": "on hold", "postcode": "3000"})
			b.hub.put("contacts/7", record.Fields{"hs_lead_status": "CONNECTED"})
			b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
			set(record.Fields{"status": "prospect"})
			b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Stamp")
			if got := b.dest.rows["customers/c_1"].Fields["status"]; got != "customer" {
				t.Fatalf("the destination holds %q: %s", got, b.reason())
			}
			set(nil)
			b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Dropped")
			reads := b.hub.reads
			set(nil)
			if b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Dropped"); b.hub.reads != reads {
				t.Error("nothing waits any more, and the other side is read")
			}
		})
	}
}

// A record that holds what the other side has never had, since one of the two values has
// no translation, is not deleted with its partner: a person is asked.
func TestDeletionSparesWhatNeverTravelled(t *testing.T) {
	for name, c := range map[string]struct{ hub, dest record.Fields }{
		"there":  {record.Fields{}, record.Fields{"birthday": "31/02/1990"}},
		"here":   {record.Fields{"hs_lead_status": "EVANGELIST"}, record.Fields{"status": "lead"}},
		"either": {record.Fields{"hs_lead_status": "EVANGELIST"}, record.Fields{"status": "on hold"}},
	} {
		b := newBench(t)
		b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
		b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "firstname": "Ada"})
		b.hub.put("contacts/7", c.hub)
		b.dest.put("customers/c_5", record.Fields{"email": "ada@example.com"})
		b.dest.put("customers/c_5", c.dest)
		b.event(record.HubSpot, "contacts", "7", flow.Changed)
		b.event(record.Destination, "contacts", "c_5", flow.Changed)
		delete(b.hub.rows, "contacts/7")
		b.event(record.HubSpot, "contacts", "7", flow.Deleted)
		if len(b.dest.rows) != 1 || b.dest.rows["customers/c_5"].Archived {
			t.Errorf("%s: it was deleted: %s", name, b.reason())
		}
	}
}
