package flow_test

import (
	"testing"
	"time"

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

// notHeardOf is a deletion whose event the same outage keeps back for longer.
const notHeardOf = flow.Kind("")

// What a create in doubt has made claims the match key itself, while HubSpot cannot be
// asked, and then its contact is deleted: nothing is made for it in HubSpot.
func TestDeletedWhileWhatWasMadeForItWaits(t *testing.T) {
	for _, kind := range []flow.Kind{flow.Deleted, flow.Purged, notHeardOf} {
		b := newBench(t)
		b.flow.Spec.Pairs[0].Destination.ExternalID, b.flow.Spec.Pairs[0].HubSpot.ExternalID = "", ""
		b.hub.abilities.SearchLag = time.Second // so that what is found is read
		b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "lastname": "L"})
		b.steps(record.HubSpot, "7", flow.Changed, "Transform", "Lookup", "Write")
		b.now = b.now.Add(ledger.Lease + ledger.Landing + time.Minute)
		b.hub.fail = func(string) error { return flow.Errorf(flow.RemoteBusy, "down") }
		b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Deferred")
		b.hub.fail = nil
		delete(b.hub.rows, "contacts/7")
		if kind != notHeardOf {
			b.event(record.HubSpot, "contacts", "7", kind)
		}
		b.now = b.now.Add(25 * time.Hour)
		b.event(record.Destination, "contacts", "c_1", flow.Changed)
		if len(b.hub.rows) != 0 || b.state(record.Destination, "c_1") != ledger.Parked {
			t.Errorf("%s: HubSpot holds %v, the customer is %q: %s", kind, b.hub.rows, b.state(record.Destination, "c_1"), b.reason())
		}
	}
}

// A create in doubt has made a customer that no search shows yet, when another of that
// key is found and linked: the one that was made is a person's to decide about, also
// where HubSpot shows no contact of that key just then, as after a merge.
func TestMadeBesideTheOneThatWasLinked(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Destination.ExternalID, b.flow.Spec.Pairs[0].HubSpot.ExternalID = "", ""
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "lastname": "L"})
	b.steps(record.HubSpot, "7", flow.Changed, "Transform", "Lookup", "Write")
	made := b.dest.rows["customers/c_1"]
	delete(b.dest.rows, "customers/c_1")
	b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com", "last_name": "L", "name": "L"})
	b.now = b.now.Add(ledger.Lease + ledger.Landing + time.Minute)
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	if b.state(record.Destination, "c_9") != ledger.Linked {
		t.Fatalf("c_9 is %q: %s", b.state(record.Destination, "c_9"), b.reason())
	}
	b.dest.rows["customers/c_1"] = made
	delete(b.hub.rows, "contacts/7")
	b.event(record.Destination, "contacts", "c_1", flow.Changed)
	if len(b.hub.rows) != 0 || b.state(record.Destination, "c_1") != ledger.Parked {
		t.Errorf("HubSpot holds %v, c_1 is %q: %s", b.hub.rows, b.state(record.Destination, "c_1"), b.reason())
	}
}

// The same, but what a search by the match value would show is not it: the contact has
// got another address with its restore, or while a person was asked about it.
func TestWhatWasMadeIsFoundByItsExternalID(t *testing.T) {
	t.Run("restored", func(t *testing.T) {
		b := newBench(t)
		b.dest.abilities.Once = false
		b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "lastname": "L"})
		b.steps(record.HubSpot, "7", flow.Changed, "Transform", "Lookup", "Write")
		b.archive("7", true)
		b.now = b.now.Add(ledger.Lease + ledger.Landing)
		b.event(record.HubSpot, "contacts", "7", flow.Deleted)
		b.archive("7", false)
		b.hub.put("contacts/7", record.Fields{"email": "augusta@example.com"})
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Restored), "Stamp")
		if len(b.dest.rows) != 1 || b.state(record.Destination, "c_1") != ledger.Linked {
			t.Errorf("the destination holds %v: %s", b.dest.rows, b.reason())
		}
	})
	t.Run("parked", func(t *testing.T) {
		b := newBench(t)
		b.dest.abilities.Once = false
		b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "lastname": "L"})
		b.steps(record.HubSpot, "7", flow.Changed, "Transform", "Lookup", "Write")
		made := b.dest.rows["customers/c_1"]
		delete(b.dest.rows, "customers/c_1")
		b.dest.put("customers/c_8", record.Fields{"email": "ada@example.com"})
		b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com"})
		b.now = b.now.Add(ledger.Lease + ledger.Landing)
		b.event(record.HubSpot, "contacts", "7", flow.Changed)
		if got := b.state(record.HubSpot, "7"); got != ledger.Parked {
			t.Fatalf("7 is %q: %s", got, b.reason())
		}
		b.dest.rows["customers/c_1"] = made
		b.hub.put("contacts/7", record.Fields{"email": "augusta@example.com"})
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
		if len(b.dest.rows) != 3 || b.state(record.Destination, "c_1") != ledger.Linked {
			t.Errorf("the destination holds %v: %s", b.dest.rows, b.reason())
		}
	})
}
