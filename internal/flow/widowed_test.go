package flow_test

import (
	"testing"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// A contact is deleted while its customer is made, which is parked then. Once the
// contact is restored the two are linked: it is the one that the customer was made for.
func TestRestoredIsLinkedToWhatWasMadeForIt(t *testing.T) {
	b := newBench(t)
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "lastname": "L"})
	b.steps(record.HubSpot, "7", flow.Changed, "Transform", "Lookup", "Write")
	b.archive("7", true)
	b.now = b.now.Add(ledger.Lease + ledger.Landing)
	b.event(record.HubSpot, "contacts", "7", flow.Deleted)
	b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Dropped")
	if got := b.state(record.Destination, "c_1"); got != ledger.Parked {
		t.Fatalf("the customer is %q: %s", got, b.reason())
	}
	b.archive("7", false)
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Restored), "Stamp")
	if got := b.state(record.Destination, "c_1"); got != ledger.Linked || len(b.dest.rows) != 1 || len(b.hub.rows) != 1 {
		t.Errorf("the customer is %q, there are %d: %s", got, len(b.dest.rows), b.reason())
	}
}

// A record that waits for a person and is deleted waits no longer, and looks for its
// match again when it is restored.
func TestParkedAndDeleted(t *testing.T) {
	b := newBench(t)
	b.ambiguous()
	b.archive("7", true)
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Deleted), "Dropped")
	if got := b.state(record.HubSpot, "7"); got != ledger.Gone {
		t.Errorf("deleted it is %q: %s", got, b.reason())
	}
	b.archive("7", false)
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Restored), "Dropped")
	if got := b.state(record.HubSpot, "7"); got != ledger.Parked {
		t.Errorf("restored it is %q: %s", got, b.reason())
	}
}
