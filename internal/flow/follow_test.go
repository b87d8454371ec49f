package flow_test

import (
	"context"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// related is a HubSpot that tells which deals a contact is associated with.
type related struct {
	*shelf
	deals map[string][]string
	fail  error
}

// Related implements flow.Relations.
func (r *related) Related(_ context.Context, _, id, to string) ([]string, bool, error) {
	if to != "deals" {
		return nil, false, nil
	}
	return r.deals[id], false, r.fail
}

// merged merges contacts 7 and 8, whose deals are 50 and 51, into 900.
func (b *bench) merged(hub *related) {
	b.t.Helper()
	if b.mergedThen(hub, func() {}); b.state(record.HubSpot, "900") != ledger.Linked {
		b.t.Fatalf("the survivor is %q: %s", b.state(record.HubSpot, "900"), b.reason())
	}
}

// mergedThen is merged, but that something happens before the merge is heard of.
func (b *bench) mergedThen(hub *related, happens func()) {
	b.t.Helper()
	b.flow.Remotes[record.HubSpot] = hub
	b.linkedDeal()
	b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	b.hub.put("deals/51", record.Fields{"order_number": "A2", "@contacts": "8"})
	b.want(b.event(record.HubSpot, "deals", "51", flow.Changed), "Stamp")
	row := b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
	row.Merged = []string{"8", "7"}
	b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row, row
	for _, deal := range []string{"50", "51"} {
		b.hub.put("deals/"+deal, record.Fields{"@contacts": "900"})
	}
	happens()
	b.event(record.HubSpot, "contacts", "900", flow.Merged, "8", "7")
}

// TestChildrenFollowAMerge: nobody tells of the deals of contacts that were merged.
// They are looked at once the step that follows the merge is over, and once only.
func TestChildrenFollowAMerge(t *testing.T) {
	b := newBench(t)
	b.merged(&related{shelf: b.hub, deals: map[string][]string{"900": {"50", "51"}}})
	if n := b.reunite(); n != 0 {
		t.Fatalf("%d started while the merge may still be under way", n)
	}
	b.now = b.now.Add(ledger.Lease)
	before := b.wrote()
	if n := b.reunite(); n != 2 {
		t.Fatalf("%d started, want both deals", n)
	}
	winner := b.contactOf("900")
	for _, deal := range []string{"50", "51"} {
		if got := b.dest.rows["orders/"+b.partner(deal)].Fields["customer_id"]; got != winner {
			t.Errorf("the order of deal %s is of %q, want %q: %s", deal, got, winner, b.reason())
		}
	}
	if b.wrote() != before+1 {
		t.Errorf("wrote %v; only one order was of the other customer", b.dest.writes)
	}
	for range 2 {
		b.now = b.now.Add(time.Hour)
		if n := b.reunite(); n != 0 {
			t.Errorf("%d started again", n)
		}
	}
	if list, _, err := b.flow.Ledger.Waiting(t.Context(), record.HubSpot, "deals", ""); len(list) != 0 || err != nil {
		t.Errorf("still listed: %v, %v", list, err)
	}
}

// TestMergeWithoutItsChildren: where HubSpot will not say who refers to the survivor, the
// merge is followed all the same, and a later look at the deal brings it right.
func TestMergeWithoutItsChildren(t *testing.T) {
	b := newBench(t)
	b.merged(&related{shelf: b.hub, fail: flow.Errorf(flow.RemoteRefused, "403: a scope is missing")})
	b.now = b.now.Add(time.Minute)
	if n := b.reunite(); n != 0 {
		t.Fatalf("%d started", n)
	}
	b.want(b.event(record.HubSpot, "deals", "51", flow.Changed), "Stamp")
	if got := b.dest.rows["orders/"+b.partner("51")].Fields["customer_id"]; got != b.contactOf("900") {
		t.Errorf("the order is of %q: %s", got, b.reason())
	}
}

// TestChildOfOneThatRestsInstead: the survivor is parked before its deals were looked at.
// They are looked at once, so that people see what waits, and when it is linked at last.
func TestChildOfOneThatRestsInstead(t *testing.T) {
	b := newBench(t)
	b.merged(&related{shelf: b.hub, deals: map[string][]string{"900": {"51"}}})
	contacts, _ := b.flow.Spec.PairByName("contacts")
	ref := record.Ref{System: record.HubSpot, Object: "contacts", ID: "900"}
	p, err := b.flow.Ledger.Find(t.Context(), contacts, ref, "")
	if err == nil {
		err = b.flow.Ledger.Settle(t.Context(), p, ref, ledger.Parked, "a person is asked")
	}
	if err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(time.Minute)
	if n := b.reunite(); n != 1 || len(b.waits(record.HubSpot, "51")) == 0 {
		t.Fatalf("%d started, waits %q: %s", n, b.waits(record.HubSpot, "51"), b.reason())
	}
	b.now = b.now.Add(time.Hour)
	if n := b.reunite(); n != 0 {
		t.Errorf("%d started again while it rests", n)
	}
	if p, err = b.flow.Ledger.Find(t.Context(), contacts, ref, ""); err == nil {
		err = b.flow.Ledger.Revive(t.Context(), contacts, p)
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := b.reunite(); n == 0 {
		t.Error("nothing was started when it was linked")
	}
	if got := b.dest.rows["orders/"+b.partner("51")].Fields["customer_id"]; got != b.contactOf("900") {
		t.Errorf("the order is of %q: %s", got, b.reason())
	}
}

// A merge is followed while its survivor is in the recycle bin, where nobody can ask who
// refers to it: they are looked at when it is back, though only its partner tells of that.
func TestChildrenFollowASurvivorThatIsRestored(t *testing.T) {
	for _, told := range []bool{true, false} {
		b := newBench(t)
		b.flow.Spec.Pairs[0].Deletes.HubSpot = map[bool]string{true: "ignore", false: "ask"}[told]
		hub := &related{shelf: b.hub, deals: map[string][]string{"900": {"50", "51"}}}
		bin := func(archived bool) {
			row := b.hub.rows["contacts/900"]
			row.Archived = archived
			b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row, row
		}
		b.mergedThen(hub, func() { bin(true) })
		if got := b.state(record.HubSpot, "900"); got != ledger.Gone && got != ledger.Parked {
			t.Fatalf("the survivor is %q: %s", got, b.reason())
		}
		bin(false)
		b.now = b.now.Add(time.Minute)
		if told {
			b.event(record.HubSpot, "contacts", "900", flow.Restored)
		} else {
			p, err := b.flow.Ledger.Row(t.Context(), b.flow.Spec.Pairs[0], record.Ref{System: record.HubSpot, Object: "contacts", ID: "900"})
			if err != nil {
				t.Fatal(err)
			}
			b.event(record.Destination, "contacts", p.IDs[record.Destination], flow.Changed)
		}
		b.now = b.now.Add(time.Minute)
		if n := b.reunite(); n != 2 {
			t.Fatalf("%d started, want both deals: %s", n, b.reason())
		}
		if got := b.dest.rows["orders/"+b.partner("51")].Fields["customer_id"]; got != b.contactOf("900") {
			t.Errorf("the order is of %q: %s", got, b.reason())
		}
	}
}

// An order waits for a customer that was deleted with its contact. When it is restored
// it gets a new contact, and the order's deal refers to that.
func TestChildOfOneThatIsMadeAnew(t *testing.T) {
	b := deletes(t)
	customer := b.dest.rows["customers/c_1"]
	b.archive("7", true)
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Deleted), "Stamp")
	b.dest.put("orders/c_5", record.Fields{"number": "A5", "title": "Fifth", "customer_id": "c_1"})
	b.want(b.event(record.Destination, "deals", "c_5", flow.Changed), "Stamp")
	if len(b.waits(record.Destination, "c_5")) != 1 {
		t.Fatalf("it waits for %q: %s", b.waits(record.Destination, "c_5"), b.reason())
	}
	b.dest.rows["customers/c_1"] = customer
	b.now = b.now.Add(time.Minute)
	b.want(b.event(record.Destination, "contacts", "c_1", flow.Restored), "Stamp")
	b.now = b.now.Add(time.Minute)
	if n := b.reunite(); n != 1 || b.hub.rows["deals/11"].Fields["@contacts"] != "12" {
		t.Errorf("%d started, HubSpot holds %v: %s", n, b.hub.rows, b.reason())
	}
	b.now = b.now.Add(time.Hour)
	if n := b.reunite(); n != 0 {
		t.Errorf("%d started again", n)
	}
}
