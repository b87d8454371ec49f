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

// A record that holds a value which has never travelled, since it has no translation, is
// not deleted with its partner: a person is asked.
func TestDeletionSparesAValueWithoutATranslation(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
	b.dest.put("customers/c_5", record.Fields{"email": "ada@example.com", "birthday": "31/02/1990"})
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "firstname": "Ada"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	delete(b.hub.rows, "contacts/7")
	b.event(record.HubSpot, "contacts", "7", flow.Deleted)
	if len(b.dest.rows) != 1 || b.dest.rows["customers/c_5"].Archived {
		t.Fatalf("it was deleted: %s", b.reason())
	}
}
