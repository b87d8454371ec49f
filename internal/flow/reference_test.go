package flow_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// waits are the references of a record that wait, as a person reads them.
func (b *bench) waits(sys record.System, id string) (out []string) {
	b.t.Helper()
	pair, _ := b.flow.Spec.PairByName("deals")
	p, err := b.flow.Ledger.Find(context.Background(), pair, record.Ref{System: sys, Object: pair.Side(sys).Object, ID: id}, "")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, w := range p.Waits {
		out = append(out, w.String())
	}
	return out
}

// reunite sweeps both sides' deals, runs what that starts and returns how many.
func (b *bench) reunite() int {
	b.t.Helper()
	var starts queue
	in := &flow.Ingress{Flow: b.flow, Lanes: 1, Starter: &starts}
	n := 0
	for sys, object := range map[record.System]string{record.HubSpot: "deals", record.Destination: "orders"} {
		started, err := in.Reunite(context.Background(), sys, object)
		if err != nil {
			b.t.Fatal(err)
		}
		n += started
	}
	for _, s := range starts {
		b.now = b.now.Add(time.Second)
		b.executed(s.direction, s.name, s.input)
	}
	return n
}

// queue is a flow.Starter whose executions begin after the sweep that starts them.
type queue []struct {
	direction spec.Direction
	name      string
	input     json.RawMessage
}

// Start implements flow.Starter.
func (q *queue) Start(_ context.Context, d spec.Direction, name string, input json.RawMessage) error {
	*q = append(*q, struct {
		direction spec.Direction
		name      string
		input     json.RawMessage
	}{d, name, input})
	return nil
}

// ambiguous parks contact 7: two customers have its address.
func (b *bench) ambiguous() {
	b.t.Helper()
	b.dest.put("customers/c_8", record.Fields{"email": "ada@example.com"})
	b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com"})
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "firstname": "Ada"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Dropped")
}

// orders is what the destination holds of orders.
func (b *bench) orders() (out []record.Fields) {
	for key, r := range b.dest.rows {
		if strings.HasPrefix(key, "orders/") {
			out = append(out, r.Fields)
		}
	}
	return out
}

func TestParentAtRestHoldsUpItsReferenceOnly(t *testing.T) {
	b := newBench(t)
	b.ambiguous()
	b.hub.put("deals/50", record.Fields{"order_number": "A1", "dealname": "First", "@contacts": "7"})
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Stamp")
	if got := b.orders(); len(got) != 1 || got[0]["title"] != "First" || got[0]["customer_id"] != "" {
		t.Fatalf("orders %v", got)
	}
	waits := b.waits(record.HubSpot, "50")
	if len(waits) != 1 || waits[0] != "contact waits for hubspot/contacts/7, which is parked (two or more records of destination match)" {
		t.Fatalf("waits %q", waits)
	}
	b.hub.put("deals/50", record.Fields{"dealname": "Second"})
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Stamp")
	if got := b.orders()[0]["title"]; got != "Second" {
		t.Fatalf("title %q: %s", got, b.reason())
	}
	// Neither side's next event writes anything, and nothing is started for it.
	before := b.wrote()
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Dropped")
	if !strings.Contains(b.reason(), "contact waits for hubspot/contacts/7") {
		t.Errorf("reason %q", b.reason())
	}
	b.want(b.event(record.Destination, "deals", b.partner("50"), flow.Changed), "Dropped")
	if n := b.reunite(); n != 0 || b.wrote() != before {
		t.Fatalf("%d started, wrote %v %v", n, b.hub.writes, b.dest.writes)
	}
	// What waits is looked at again by the next event, though its value is agreed on.
	told := flow.Notification{ID: "1", Object: "deals", Record: "50", Kind: flow.Changed, At: b.now, Values: record.Fields{"dealname": "Second"}}
	if a, _ := b.deliver(told); a.Started != 1 {
		t.Errorf("the event was dropped at the door: %+v", a)
	}
	// The parent is linked, in whatever way: the reference arrives.
	b.link("7", "c_8")
	if n := b.reunite(); n != 1 {
		t.Fatalf("%d started", n)
	}
	if got := b.orders()[0]["customer_id"]; got != "c_8" || len(b.waits(record.HubSpot, "50")) != 0 {
		t.Fatalf("customer %q, waits %q: %s", got, b.waits(record.HubSpot, "50"), b.reason())
	}
	b.now = b.now.Add(time.Hour)
	if n := b.reunite(); n != 0 {
		t.Fatalf("%d started again", n)
	}
	if list, _, err := b.flow.Ledger.Waiting(t.Context(), record.HubSpot, "deals", ""); len(list) != 0 || err != nil {
		t.Errorf("still listed as waiting: %v, %v", list, err)
	}
}

// link makes a pair of two records as a person who decides does.
func (b *bench) link(hub, dest string) {
	b.t.Helper()
	pair, _ := b.flow.Spec.PairByName("contacts")
	p, err := b.flow.Ledger.Find(context.Background(), pair, record.Ref{System: record.HubSpot, Object: "contacts", ID: hub}, "")
	if err == nil {
		err = b.flow.Ledger.Forget(context.Background(), pair, p)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	for key := range b.dest.rows {
		if strings.HasPrefix(key, "customers/") && key != "customers/"+dest {
			delete(b.dest.rows, key)
		}
	}
	b.want(b.event(record.HubSpot, "contacts", hub, flow.Changed), "Stamp")
}

func (b *bench) partner(deal string) string {
	return b.linkedTo("deals", deal)
}

// linkedTo is the partner of a HubSpot record, whose pair's name is its object's.
func (b *bench) linkedTo(object, id string) string {
	pair, _ := b.flow.Spec.PairByName(object)
	p, err := b.flow.Ledger.Row(context.Background(), pair, record.Ref{System: record.HubSpot, Object: object, ID: id})
	if err != nil || p.State != ledger.Linked {
		b.t.Fatalf("%s %s is not linked: %q (%v)", object, id, p.State, err)
	}
	return p.IDs[record.Destination]
}

// A parent that nobody syncs is waited for as one that is late, once; then the rest
// of the record goes on, and does not wait for it again.
func TestParentThatNeverComes(t *testing.T) {
	b := newBench(t)
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com"})
	b.hub.put("deals/50", record.Fields{"order_number": "A1", "dealname": "First", "@contacts": "7"})
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Deferred")
	b.want(b.later(record.HubSpot, "deals", "50", 1), "Deferred")
	b.want(b.later(record.HubSpot, "deals", "50", 2), "Stamp")
	if got := b.orders(); len(got) != 1 || got[0]["title"] != "First" {
		t.Fatalf("orders %v", got)
	}
	b.hub.put("deals/50", record.Fields{"dealname": "Second"})
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Stamp")
	// Another parent is late anew.
	b.hub.put("contacts/8", record.Fields{"email": "bob@example.com"})
	b.hub.put("deals/50", record.Fields{"@contacts": "8"})
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Deferred")
	// The one it waited for comes: that is not what the deal refers to now.
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	b.reunite()
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	b.want(b.later(record.HubSpot, "deals", "50", 1), "Stamp")
	if got, want := b.orders()[0]["customer_id"], "c_3"; got != want || len(b.waits(record.HubSpot, "50")) != 0 {
		t.Fatalf("customer %q, want %q; waits %q", got, want, b.waits(record.HubSpot, "50"))
	}
}

// linkedDeal brings a contact and its deal over and returns the ids of customer and order.
func (b *bench) linkedDeal() (customer, order string) {
	b.t.Helper()
	_, customer = b.created()
	b.hub.put("deals/50", record.Fields{"order_number": "A1", "dealname": "First", "@contacts": "7"})
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Stamp")
	return customer, b.partner("50")
}

// A system that shows no reference to a deleted record any more has not taken it away.
func TestDeletedParentLeavesTheReference(t *testing.T) {
	for how, kept := range map[string]bool{"ask": true, "ignore": true, "archive": false, "both": false} {
		b := newBench(t)
		customer, order := b.linkedDeal()
		if b.flow.Spec.Pairs[0].Deletes.HubSpot = how; how == "both" {
			delete(b.dest.rows, "customers/"+customer)
			b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
		}
		b.archive("7", true)
		b.hub.put("deals/50", record.Fields{"@contacts": "", "dealname": "Second"})
		b.event(record.HubSpot, "contacts", "7", flow.Deleted)
		b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Stamp")
		got := b.dest.rows["orders/"+order].Fields
		if got["customer_id"] != customer || got["title"] != "Second" {
			t.Fatalf("%s: the order is %v: %s", how, got, b.reason())
		}
		for range 3 {
			before := b.wrote()
			b.event(record.HubSpot, "deals", "50", flow.Changed)
			b.event(record.Destination, "deals", order, flow.Changed)
			if b.wrote() != before {
				t.Fatalf("%s: wrote %v %v", how, b.hub.writes, b.dest.writes)
			}
		}
		// Restored, the record is linked again, or made anew, and the order follows.
		b.archive("7", false)
		b.hub.put("deals/50", record.Fields{"@contacts": "7"})
		b.event(record.HubSpot, "contacts", "7", flow.Restored)
		if n := b.reunite(); n < 1 {
			t.Fatalf("%s: nothing was started; state %s", how, b.state(record.HubSpot, "7"))
		}
		now := b.contactOf("7")
		if got := b.dest.rows["orders/"+order].Fields["customer_id"]; got != now || kept != (now == customer) {
			t.Fatalf("%s: the order is of %q, the contact's partner is %q: %s %v", how, got, now, b.reason(), b.last.Path)
		}
		if w := b.waits(record.HubSpot, "50"); len(w) != 0 || b.hub.rows["deals/50"].Fields["@contacts"] != "7" {
			t.Fatalf("%s: waits %q, deal %v", how, w, b.hub.rows["deals/50"])
		}
	}
}

// A value of the other side that translates is taken as the field's policy says.
func TestPolicyOverAWaitingReference(t *testing.T) {
	for _, c := range []struct {
		policy   string
		customer string // the order's, in the end
		deal     string // the deal's contact
	}{{spec.PolicyHubSpot, "c_3", "9"}, {spec.PolicyDestination, "c_3", "8"}} {
		b := newBench(t)
		b.policy("deals", "contact", c.policy)
		_, order := b.linkedDeal()
		b.hub.put("contacts/8", record.Fields{"email": "bob@example.com"})
		b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
		other := b.contactOf("8")
		b.dest.put("customers/c_8", record.Fields{"email": "eve@example.com"})
		b.dest.put("customers/c_9", record.Fields{"email": "eve@example.com"})
		b.hub.put("contacts/9", record.Fields{"email": "eve@example.com"})
		b.want(b.event(record.HubSpot, "contacts", "9", flow.Changed), "Dropped") // parked
		b.hub.put("deals/50", record.Fields{"@contacts": "9"})
		b.dest.put("orders/"+order, record.Fields{"customer_id": other})
		b.event(record.HubSpot, "deals", "50", flow.Changed)
		b.event(record.Destination, "deals", order, flow.Changed)
		if got := b.hub.rows["deals/50"].Fields["@contacts"]; got != c.deal {
			t.Errorf("%s: the deal is of %q, want %q: %s", c.policy, got, c.deal, b.reason())
		}
		if got := b.dest.rows["orders/"+order].Fields["customer_id"]; got != other {
			t.Errorf("%s: the order is of %q, want %q", c.policy, got, other)
		}
		waits := len(b.waits(record.HubSpot, "50")) > 0
		lost, err := b.flow.Ledger.Conflicts(context.Background(), record.Ref{System: record.Destination, Object: "orders", ID: order})
		recorded := slices.ContainsFunc(lost, func(l ledger.Conflict) bool { return l.Field == "contact" && l.Loser == "9" })
		if err != nil || waits == recorded || waits != (c.policy == spec.PolicyHubSpot) {
			t.Errorf("%s: waits %v, recorded %v, %v", c.policy, waits, recorded, err)
		}
	}
}

// policy sets a field's.
func (b *bench) policy(pair, field, policy string) {
	for _, p := range b.flow.Spec.Pairs {
		for i := range p.Fields {
			if p.Name == pair && p.Fields[i].Name == field {
				p.Fields[i].Policy = policy
			}
		}
	}
}

func (b *bench) contactOf(hub string) string {
	return b.linkedTo("contacts", hub)
}

// What waits no longer is not forgotten by a write that is refused: the order's own
// event has long ended, and the deal itself has not changed.
func TestRefusedWriteOfWhatWaited(t *testing.T) {
	b := newBench(t)
	_, order := b.linkedDeal()
	b.dest.put("customers/c_9", record.Fields{"email": "bob@example.com"})
	b.dest.put("orders/"+order, record.Fields{"customer_id": "c_9"})
	b.want(b.later(record.Destination, "deals", order, 2), "Dropped") // parked
	if w := b.waits(record.HubSpot, "50"); len(w) != 1 {
		t.Fatalf("waits %q: %s", w, b.reason())
	}
	b.want(b.event(record.Destination, "contacts", "c_9", flow.Changed), "Stamp")
	b.hub.refuse = func(string, record.Fields) error { return flow.Errorf(flow.RemoteRefused, "400: not now") }
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Failed")
	b.hub.refuse = nil
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Stamp")
	if got := b.hub.rows["deals/50"].Fields["@contacts"]; got != "11" { // made for c_9
		t.Errorf("the deal is of %q: %s", got, b.reason())
	}
}

// An association that somebody changes between the decision and our write is found by
// the write, which goes over it, and is recorded.
func TestAssociationChangedBeforeTheWrite(t *testing.T) {
	b := newBench(t)
	_, order := b.linkedDeal()
	for _, id := range []string{"8", "9"} {
		b.hub.put("contacts/"+id, record.Fields{"email": "p" + id + "@example.com", "firstname": "P"})
		b.want(b.event(record.HubSpot, "contacts", id, flow.Changed), "Stamp")
	}
	b.dest.put("orders/"+order, record.Fields{"customer_id": "c_3"}) // made for 8
	b.hub.fail = func(op string) error {
		if op == "update" {
			b.hub.fail = nil
			b.hub.put("deals/50", record.Fields{"@contacts": "9"})
		}
		return nil
	}
	b.want(b.event(record.Destination, "deals", order, flow.Changed), "Stamp")
	lost, err := b.flow.Ledger.Conflicts(t.Context(), record.Ref{System: record.Destination, Object: "orders", ID: order})
	if err != nil || len(lost) != 1 || lost[0].Field != "contact" || lost[0].Loser != "9" || b.hub.rows["deals/50"].Fields["@contacts"] != "8" {
		t.Errorf("recorded as lost: %+v, %v; HubSpot holds %v", lost, err, b.hub.rows["deals/50"].Fields)
	}
	b.still(record.HubSpot, "50", flow.Changed)
}

// Associations change no version in HubSpot: an execution that has read one which is
// gone again when it is compared, by another execution, does not bring it.
func TestAssociationThatWasReadAndIsGone(t *testing.T) {
	b := newBench(t)
	b.created()
	b.hub.put("deals/50", record.Fields{"order_number": "A1", "dealname": "First"})
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Stamp")
	associate := func(contact string) {
		b.now = b.now.Add(10 * time.Second)
		b.hub.rows["deals/50"].Fields["@contacts"] = contact
	}
	associate("7")
	s := b.stepsOf("deals", record.HubSpot, "50", flow.Changed, "Transform")
	associate("")
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Dropped")
	b.now = b.now.Add(10 * time.Second)
	plan, err := b.flow.Handle(t.Context(), "Lookup", s)
	if err != nil || plan.(*flow.Plan).Act != flow.ActDrop {
		t.Fatalf("what is gone is written all the same: %+v, %v", plan, err)
	}
}
