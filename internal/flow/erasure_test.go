package flow_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// erasedAll asks that no row knows a fingerprint or a value of anybody any more.
func (b *bench) erasedAll(c *tally) {
	b.t.Helper()
	for key, text := range b.dump(c) {
		if strings.Contains(text, `"f:`) || strings.Contains(text, `"w:`) || strings.HasPrefix(key, "LOST#") {
			b.t.Errorf("%s still knows the erased: %s", key, text)
		}
	}
}

// people3 are three contacts with their customers, and an HubSpot in which none of them
// answers any more.
func (b *bench) people3() {
	b.t.Helper()
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
	b.created()
	for id, email := range map[string]string{"8": "bob@example.com", "9": "cleo@example.com"} {
		b.hub.put("contacts/"+id, record.Fields{"email": email, "firstname": "P" + id})
		b.want(b.event(record.HubSpot, "contacts", id, flow.Changed), "Stamp")
	}
	clear(b.hub.rows)
}

// One delivery tells of a merge and that the survivor was erased: the heavier event does
// not make the other one go unheard.
func TestErasedInTheDeliveryOfItsMerge(t *testing.T) {
	b := newBench(t)
	c := b.tallied()
	b.people3()
	in := &flow.Ingress{Flow: b.flow, Starter: run{b}, Lanes: 1, Receivers: map[record.System]flow.Receiver{record.HubSpot: told{
		{ID: "1", Object: "contacts", Record: "900", Kind: flow.Merged, Merged: []string{"7", "8", "9"}, At: b.now},
		{ID: "2", Object: "contacts", Record: "900", Kind: flow.Deleted, At: b.now},
		{ID: "3", Object: "contacts", Record: "900", Kind: flow.Purged, At: b.now},
	}}}
	in.Deliver(t.Context(), record.HubSpot, flow.Delivery{At: b.now})
	if b.erasedAll(c); len(b.dest.rows) != 2 || !strings.Contains(b.reason(), "its partner was deleted; of the same person are the destination records") {
		t.Errorf("the destination holds %v: %s", b.dest.rows, b.reason())
	}
}

// A survivor was merged once more and the next one erased before the first merge was
// heard of: it is of the same person, too.
func TestErasedAfterTwoMerges(t *testing.T) {
	b := newBench(t)
	c := b.tallied()
	b.people3()
	b.event(record.HubSpot, "contacts", "1000", flow.Purged)
	b.event(record.HubSpot, "contacts", "1000", flow.Merged, "900", "9")
	b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
	if b.erasedAll(c); len(b.dest.rows) != 1 || b.state(record.HubSpot, "900") != ledger.Alias {
		t.Errorf("the destination holds %v, 900 is %q: %s", b.dest.rows, b.state(record.HubSpot, "900"), b.reason())
	}
}

// dying is a table that is no more from when the rows of a merge have been changed.
type dying struct {
	*tally
	armed, dead bool
}

func (d *dying) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	if d.dead {
		return nil, errors.New("the table is down")
	}
	d.dead = d.armed && strings.Contains(updates[0].Set["state"], string(ledger.Alias))
	return d.tally.Update(ctx, updates...)
}

// metWithLoss links a contact to a customer that holds another postcode, which loses.
func (b *bench) metWithLoss() {
	b.t.Helper()
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "firstname": "Ada", "zip": "2000"})
	b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com", "first_name": "Ada", "postcode": "3000"})
	if b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp"); len(b.losses()) == 0 {
		b.t.Fatal("nothing was lost")
	}
}

// The worker that follows a merge dies as soon as the rows have been changed: what the
// merged record had lost when it met its partner is erased with the survivor.
func TestErasureAfterAMergeByHalf(t *testing.T) {
	b := newBench(t)
	c := &dying{tally: b.tallied()}
	b.metWithLoss()
	b.hub.rows["contacts/7"] = b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
	b.flow.Ledger.Table, c.armed = c, true
	if b.event(record.HubSpot, "contacts", "900", flow.Merged, "7"); !c.dead || b.state(record.HubSpot, "7") != ledger.Alias {
		t.Fatalf("7 is %q: %s", b.state(record.HubSpot, "7"), b.reason())
	}
	b.flow.Ledger.Table, b.now = c.tally, b.now.Add(time.Hour)
	b.event(record.HubSpot, "contacts", "900", flow.Merged, "7")
	if len(b.losses()) == 0 {
		t.Error("what was lost is not found any more")
	}
	clear(b.hub.rows)
	b.event(record.HubSpot, "contacts", "900", flow.Purged)
	b.erasedAll(c.tally)
}

// A person's customer was made anew for a restored contact, and then the contact for the
// restored customer, and both once more: an erasure of the last finds what is known of all.
func TestErasureOfWhomRestoresHaveParted(t *testing.T) {
	b := newBench(t)
	c := b.tallied()
	b.dest.abilities.ConditionalWrite = false // so that windows are kept there
	b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: "archive", Destination: "archive"}
	b.hub.bin = true
	b.metWithLoss()
	b.event(record.Destination, "contacts", "c_9", flow.Changed)
	for i, next := range []string{"7", "11", "12"} {
		if i > 0 {
			b.parts(lastCustomer(b))
		}
		b.editsBoth(next)
		b.rejoins(next)
	}
	b.event(record.HubSpot, "contacts", "12", flow.Purged)
	b.erasedAll(c)
}

// editsBoth has both records of a pair edited, so that windows are left on both sides.
func (b *bench) editsBoth(hub string) {
	b.t.Helper()
	b.now = b.now.Add(time.Minute)
	b.hub.put("contacts/"+hub, record.Fields{"lastname": "Byron" + hub})
	b.want(b.event(record.HubSpot, "contacts", hub, flow.Changed), "Stamp")
	dest := lastCustomer(b)
	b.dest.put("customers/"+dest, record.Fields{"postcode": "4" + hub})
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Stamp")
}

// lastCustomer is the one that is there.
func lastCustomer(b *bench) string {
	for key := range b.dest.rows {
		return lastPart(key)
	}
	return ""
}

// rejoins deletes a contact, its customer with it, and restores it: it gets another.
func (b *bench) rejoins(hub string) {
	b.t.Helper()
	b.archive(hub, true)
	b.want(b.event(record.HubSpot, "contacts", hub, flow.Deleted), "Stamp")
	b.archive(hub, false)
	b.now = b.now.Add(time.Minute)
	b.want(b.event(record.HubSpot, "contacts", hub, flow.Restored), "Stamp")
}

// parts deletes a customer, its contact with it, and restores it: it gets another.
func (b *bench) parts(dest string) {
	b.t.Helper()
	row := b.dest.rows["customers/"+dest]
	delete(b.dest.rows, "customers/"+dest)
	b.want(b.event(record.Destination, "contacts", dest, flow.Deleted), "Stamp")
	b.dest.rows["customers/"+dest] = row
	b.now = b.now.Add(time.Minute)
	b.want(b.event(record.Destination, "contacts", dest, flow.Restored), "Stamp")
}
