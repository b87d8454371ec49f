package flow_test

import (
	"slices"
	"strings"
	"testing"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// resync asks for one record, and runs the execution that comes of it.
func (b *bench) resync(ref record.Ref) ([]string, error) {
	b.t.Helper()
	return (&flow.Ingress{Flow: b.flow, Starter: run{b}, Lanes: 1}).Resync(b.t.Context(), ref)
}

var hubContact = record.Ref{System: record.HubSpot, Object: "contacts", ID: "7"}

// TestResyncFreesAField: what the loop breaker took out travels again when a person
// asks, whichever side was edited meanwhile.
func TestResyncFreesAField(t *testing.T) {
	for _, edited := range []record.System{record.HubSpot, record.Destination} {
		t.Run(string(edited), func(t *testing.T) {
			b := newBench(t)
			b.quarrel()
			b.event(record.HubSpot, "contacts", "7", flow.Changed)
			b.event(record.Destination, "contacts", "c_1", flow.Changed)
			h, d := b.hub.rows["contacts/7"].Fields["lastname"], b.dest.rows["customers/c_1"].Fields["last_name"]
			if h == d {
				t.Fatalf("both hold %q, the quarrel goes on", h)
			}
			if edited == record.HubSpot {
				b.hub.put("contacts/7", record.Fields{"lastname": "Lovelace"})
			} else {
				b.dest.put("customers/c_1", record.Fields{"last_name": "Lovelace"})
			}
			freed, err := b.resync(hubContact)
			if err != nil || !slices.Equal(freed, []string{"lastName"}) {
				t.Fatalf("freed %v, %v", freed, err)
			}
			h, d = b.hub.rows["contacts/7"].Fields["lastname"], b.dest.rows["customers/c_1"].Fields["last_name"]
			if h != "Lovelace" || d != "Lovelace" {
				t.Errorf("HubSpot holds %q, the destination %q: %s", h, d, b.reason())
			}
			if freed, err = b.resync(hubContact); err != nil || len(freed) != 0 {
				t.Errorf("once more freed %v, %v", freed, err)
			}
		})
	}
}

// TestResyncLooksAgain: a record that was parked without a partner is looked for again,
// though nobody has edited it.
func TestResyncLooksAgain(t *testing.T) {
	b := newBench(t)
	b.ambiguous()
	for _, id := range []string{"c_8", "c_9"} {
		b.want(b.event(record.Destination, "contacts", id, flow.Changed), "Dropped")
	}
	b.dest.put("customers/c_9", record.Fields{"email": "bob@example.com"})
	b.event(record.Destination, "contacts", "c_9", flow.Changed)
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Dropped")
	if _, err := b.resync(hubContact); err != nil {
		t.Fatal(err)
	}
	if p, err := b.flow.Ledger.Find(t.Context(), b.flow.Spec.Pairs[0], hubContact, ""); err != nil || p.IDs[record.Destination] != "c_8" {
		t.Errorf("it is %s with %v, %v: %s", p.State, p.IDs, err, b.reason())
	}
}

// TestResyncRefuses what it cannot look at, and says why.
func TestResyncRefuses(t *testing.T) {
	b := newBench(t)
	b.created()
	for want, ref := range map[string]record.Ref{
		"the spec wires no leads":        {System: record.HubSpot, Object: "leads", ID: "7"},
		string(flow.RecordMissing):       {System: record.HubSpot, Object: "contacts", ID: "8"},
		"is in the recycle bin: restore": hubContact,
	} {
		if ref == hubContact {
			row := b.hub.rows["contacts/7"]
			row.Archived = true
			b.hub.rows["contacts/7"] = row
		}
		if _, err := b.resync(ref); err == nil || !strings.Contains(string(flow.CodeOf(err))+" "+err.Error(), want) {
			t.Errorf("%s: %v, want %q", ref, err, want)
		}
	}
}
