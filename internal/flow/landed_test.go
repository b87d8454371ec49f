package flow_test

import (
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// unconfirmed does something of which a write to that system lands without an answer,
// and then the system is down.
func (b *bench) unconfirmed(at *shelf, do func()) {
	at.after = func(string) error {
		at.fail = func(string) error { return flow.Errorf(flow.RemoteBusy, "down") }
		return &flow.Error{Code: flow.RemoteBusy, Message: "no answer", Maybe: true}
	}
	do()
	at.after, at.fail = nil, nil
}

// A write of ours landed and was never confirmed, and what it came from has been
// replaced by a reference that waits. The write is not taken for a newer edit as
// soon as nobody expects it any more.
func TestUnconfirmedWriteDoesNotOverwriteAWaitingReference(t *testing.T) {
	for _, sent := range []string{"", "other"} {
		b := newBench(t)
		_, order := b.linkedDeal()
		deal := ""
		if sent != "" {
			b.hub.put("contacts/8", record.Fields{"email": "bob@example.com"})
			b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
			deal, sent = "8", b.contactOf("8")
		}
		b.dest.put("orders/"+order, record.Fields{"customer_id": sent})
		b.unconfirmed(b.hub, func() { b.want(b.event(record.Destination, "deals", order, flow.Changed), "Deferred") })
		b.dest.put("orders/"+order, record.Fields{"customer_id": "outsider"})
		b.want(b.later(record.Destination, "deals", order, 2), "Dropped")
		before := b.wrote()
		for range 3 {
			b.now = b.now.Add(time.Hour)
			b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Dropped")
			b.want(b.event(record.Destination, "deals", order, flow.Changed), "Dropped")
		}
		if got := b.dest.rows["orders/"+order].Fields["customer_id"]; got != "outsider" || b.wrote() != before {
			t.Fatalf("the order is of %q, wrote %v %v", got, b.hub.writes, b.dest.writes)
		}
		if w := b.waits(record.Destination, order); len(w) != 1 || b.hub.rows["deals/50"].Fields["@contacts"] != deal {
			t.Fatalf("waits %q, the deal is of %q", w, b.hub.rows["deals/50"].Fields["@contacts"])
		}
		// Whoever sets either side from now on is heard.
		b.dest.put("orders/"+order, record.Fields{"customer_id": "c_1"})
		b.want(b.event(record.Destination, "deals", order, flow.Changed), "Stamp")
		if got := b.hub.rows["deals/50"].Fields["@contacts"]; got != "7" {
			t.Fatalf("the deal is of %q: %s", got, b.reason())
		}
	}
}

// So it is where what it came from has been replaced by a value without translation.
func TestUnconfirmedWriteDoesNotOverwriteAnUntranslatableValue(t *testing.T) {
	b := newBench(t)
	b.hub.put("deals/50", record.Fields{"order_number": "A1", "dealstage": "closedwon"})
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Stamp")
	order := b.partner("50")
	b.hub.put("deals/50", record.Fields{"dealstage": "closedlost"})
	b.unconfirmed(b.dest, func() { b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Deferred") })
	b.hub.put("deals/50", record.Fields{"dealstage": "of their own"})
	for range 3 {
		b.event(record.Destination, "deals", order, flow.Changed)
		b.now = b.now.Add(time.Hour)
	}
	if got := b.hub.rows["deals/50"].Fields["dealstage"]; got != "of their own" {
		t.Fatalf("the deal is %q: %s", got, b.reason())
	}
	b.dest.put("orders/"+order, record.Fields{"stage": "quote"})
	b.want(b.event(record.Destination, "deals", order, flow.Changed), "Stamp")
}

// What stands there may as well be somebody's, who has set just that: it is recorded
// before it is taken for agreed on, since what is put right overwrites it.
func TestWhatLooksLikeALandedWriteIsRecorded(t *testing.T) {
	b := newBench(t)
	b.hub.put("deals/50", record.Fields{"order_number": "A1", "dealstage": "closedwon"})
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Stamp")
	order := b.partner("50")
	was := b.dest.rows["orders/"+order].Fields["stage"]
	b.hub.put("deals/50", record.Fields{"dealstage": "closedlost"})
	b.unconfirmed(b.dest, func() { b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Deferred") })
	sent := b.dest.rows["orders/"+order].Fields["stage"]
	b.hub.put("deals/50", record.Fields{"dealstage": "of their own"})
	b.want(b.event(record.Destination, "deals", order, flow.Changed), "Dropped")
	b.now = b.now.Add(time.Hour)
	b.dest.put("orders/"+order, record.Fields{"title": "Another"})
	b.want(b.event(record.Destination, "deals", order, flow.Changed), "Stamp")
	b.now = b.now.Add(time.Hour)
	b.hub.put("deals/50", record.Fields{"dealstage": "closedwon"})
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Stamp")
	if got := b.dest.rows["orders/"+order].Fields["stage"]; got != was || sent == was {
		t.Fatalf("the order went from %q to %q and is %q: %s", was, sent, got, b.reason())
	}
	lost, err := b.flow.Ledger.Conflicts(t.Context(), record.Ref{System: record.Destination, Object: "orders", ID: order})
	if err != nil || len(lost) != 1 || lost[0].Loser != sent {
		t.Errorf("lost are %+v (%v), want %q", lost, err, sent)
	}
}

// A write of ours lands late, just after one that brought a newer value, and the record is
// not compared before nobody expects that write any more: it is still known for what it is.
func TestLateWriteThatIsComparedMuchLater(t *testing.T) {
	for name, held := range map[string]func(b *bench) (release func()){
		"a value without a translation": func(b *bench) func() {
			b.hub.put("contacts/7", record.Fields{"hs_lead_status": "EVANGELIST"})
			return func() { b.hub.put("contacts/7", record.Fields{"hs_lead_status": "OPEN"}) }
		},
		"an outage": func(b *bench) func() { return func() { b.dest.fail = nil } },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.created()
			b.now = b.now.Add(time.Minute)
			release := held(b)
			b.dest.put("customers/c_1", record.Fields{"last_name": "Second"})
			b.hub.fail = func(op string) error {
				if op == "update" {
					return &flow.Error{Code: flow.RemoteBusy, Message: "no answer", Maybe: true}
				}
				return nil
			}
			b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Deferred")
			b.hub.fail = nil
			b.dest.put("customers/c_1", record.Fields{"last_name": "Third"})
			b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Stamp")
			b.hub.put("contacts/7", record.Fields{"lastname": "Second"}) // carried out late
			if name == "an outage" {
				b.dest.fail = func(string) error { return flow.Errorf(flow.RemoteBusy, "down") }
			}
			b.event(record.HubSpot, "contacts", "7", flow.Changed)
			b.now = b.now.Add(13 * time.Minute)
			release()
			b.event(record.HubSpot, "contacts", "7", flow.Changed)
			hub, dest := b.hub.rows["contacts/7"].Fields["lastname"], b.dest.rows["customers/c_1"].Fields["last_name"]
			if hub != "Third" || dest != "Third" {
				t.Errorf("HubSpot holds %q, the destination %q: %s", hub, dest, b.reason())
			}
		})
	}
}

// tellings are what systems tell of a record's changes.
var tellings = map[string]func(*record.Record){
	"a version":     func(*record.Record) {},
	"an entity tag": func(r *record.Record) { r.Version = "" },
	"neither":       func(r *record.Record) { r.Version, r.ETag = "", "" },
}

// telling has the destination tell just that. It returns what edits customer c_1.
func (b *bench) telling(tells func(*record.Record)) func(record.Fields) {
	b.dest.answer = func(row record.Record) record.Record { tells(&row); return row }
	return func(fields record.Fields) {
		row := b.dest.put("customers/c_1", fields)
		tells(&row)
		b.dest.rows["customers/c_1"] = row
	}
}

// A value travels by a write that was never confirmed, and is set back to what both sides
// had agreed on, while somebody sets another on the other side: the one that is
// overwritten is recorded, whether or not the system tells that its record has changed.
func TestSetBackAfterAnUnconfirmedWrite(t *testing.T) {
	for name, tells := range tellings {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			put := b.telling(tells)
			hub, dest := b.created()
			set := func(text string) { put(record.Fields{"last_name": text}) }
			set("Lovelace")
			b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Stamp")
			set("Byron")
			b.unconfirmed(b.hub, func() { b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Deferred") })
			set("Lovelace")
			b.hub.put("contacts/"+hub, record.Fields{"lastname": "King"})
			b.want(b.event(record.HubSpot, "contacts", hub, flow.Changed), "Stamp")
			if got := b.dest.rows["customers/"+dest].Fields["last_name"]; got != "King" || len(b.lost()) != 1 {
				t.Fatalf("the destination holds %q, recorded is %+v", got, b.losses())
			}
		})
	}
}
