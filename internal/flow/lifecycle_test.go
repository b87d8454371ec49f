package flow_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// wrote is how many writes the flow has made on both sides.
func (b *bench) wrote() int { return len(b.hub.writes) + len(b.dest.writes) }

// still demands that an event, whatever its end, writes nothing.
func (b *bench) still(sys record.System, id string, kind flow.Kind) {
	b.t.Helper()
	before := b.wrote()
	if b.event(sys, "contacts", id, kind); b.wrote() != before {
		b.t.Fatalf("%s of %s %s wrote %v %v", kind, sys, id, b.hub.writes, b.dest.writes)
	}
}

func (b *bench) state(sys record.System, id string) ledger.State {
	b.t.Helper()
	pair := b.flow.Spec.Pairs[0]
	p, err := b.flow.Ledger.Row(b.t.Context(), pair, record.Ref{System: sys, Object: pair.Side(sys).Object, ID: id})
	if err != nil {
		b.t.Fatal(err)
	}
	return p.State
}

func TestDeletePolicies(t *testing.T) {
	for _, c := range []struct {
		side   record.System
		policy string
		kept   bool // the partner
		state  ledger.State
	}{
		{record.HubSpot, "archive", false, ledger.Gone},
		{record.HubSpot, "ignore", true, ledger.Gone},
		{record.HubSpot, "ask", true, ledger.Parked},
		{record.Destination, "archive", false, ledger.Gone},
		{record.Destination, "ignore", true, ledger.Gone},
		{record.Destination, "ask", true, ledger.Parked},
	} {
		t.Run(fmt.Sprint(c.side, " ", c.policy), func(t *testing.T) {
			b := newBench(t)
			hub, dest := b.created()
			b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: c.policy, Destination: c.policy}
			id, partner, here, there := hub, "customers/"+dest, b.hub, b.dest
			if c.side == record.Destination {
				id, partner, here, there = dest, "contacts/"+hub, b.dest, b.hub
			}
			clear(here.rows)
			b.event(c.side, "contacts", id, flow.Deleted)
			if _, kept := there.rows[partner]; kept != c.kept {
				t.Fatalf("partner kept: %v: %s", kept, b.reason())
			}
			if got := b.state(record.HubSpot, hub); got != c.state {
				t.Fatalf("the pair is %q, want %q", got, c.state)
			}
			// The deletion again, the echo of our own and late changes move nothing.
			b.still(c.side, id, flow.Deleted)
			b.still(c.side, id, flow.Changed)
			if !c.kept {
				b.still(c.side.Other(), lastPart(partner), flow.Deleted)
			}
			b.still(c.side.Other(), lastPart(partner), flow.Changed)
			if len(here.rows) != 0 {
				t.Fatal("resurrected")
			}
		})
	}
}

func TestRestore(t *testing.T) {
	for _, policy := range []string{"ignore", "archive"} {
		t.Run(policy, func(t *testing.T) {
			b := newBench(t)
			hub, _ := b.created()
			b.flow.Spec.Pairs[0].Deletes.HubSpot = policy
			row := b.hub.rows["contacts/7"]
			delete(b.hub.rows, "contacts/7")
			b.event(record.HubSpot, "contacts", hub, flow.Deleted)
			b.hub.put("contacts/7", row.Fields)
			b.hub.put("contacts/7", record.Fields{"lastname": "Byron"})
			b.want(b.event(record.HubSpot, "contacts", hub, flow.Restored), "Stamp")
			live := slices.Collect(maps.Keys(b.dest.rows))
			if len(live) != 1 || b.dest.rows[live[0]].Fields["last_name"] != "Byron" {
				t.Fatalf("destination %v: %s", live, b.reason())
			}
			if again := live[0] == "customers/c_1"; again != (policy == "ignore") {
				t.Fatalf("linked to %s", live[0])
			}
			b.want(b.event(record.Destination, "contacts", lastPart(live[0]), flow.Changed), "Dropped")
			b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Dropped") // late, of what may be gone
			b.still(record.HubSpot, hub, flow.Restored)
		})
	}
}

// dump lists every row of the partitions that were ever written, as text.
func (b *bench) dump(c *tally) map[string]string {
	b.t.Helper()
	out := map[string]string{}
	for pk := range c.partitions {
		items, err := b.table.Query(b.t.Context(), pk, "", 1000)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, it := range items {
			text, _ := json.Marshal(it)
			out[it.PK+" "+it.SK] = string(text)
		}
	}
	return out
}

// TestPrivacyDeletionProvesItself looks at every row that is left: nothing of
// the person but two tombstones that do not know each other.
func TestPrivacyDeletionProvesItself(t *testing.T) {
	b := newBench(t)
	c := b.tallied()
	hub, dest := b.created()
	b.event(record.Destination, "contacts", dest, flow.Changed) // an outcome
	b.hub.put("contacts/7", record.Fields{"zip": "2000"})
	b.dest.put("customers/c_1", record.Fields{"postcode": "3000"})
	b.want(b.event(record.HubSpot, "contacts", hub, flow.Changed), "Stamp")
	p, err := b.flow.Ledger.Find(t.Context(), b.flow.Spec.Pairs[0], record.Ref{System: record.HubSpot, Object: "contacts", ID: hub}, "")
	if err != nil || len(p.Base) == 0 {
		t.Fatalf("base %v, %v", p.Base, err)
	}
	secrets := []string{"2000", "ada@example.com"}
	for _, base := range p.Base {
		secrets = append(secrets, base.HubSpot, base.Destination)
	}
	if all := fmt.Sprint(b.dump(c)); !strings.Contains(all, `2000`) {
		t.Fatalf("no conflict to erase in %s", all)
	}
	clear(b.hub.rows)
	b.want(b.event(record.HubSpot, "contacts", hub, flow.Purged), "Dropped")
	for key, row := range b.dump(c) {
		for _, secret := range secrets {
			if strings.Contains(row, secret) {
				t.Errorf("%s still holds %q", key, secret)
			}
		}
		if strings.HasPrefix(key, "MAP#hubspot") && strings.Contains(row, dest) || strings.HasPrefix(key, "LOST") {
			t.Errorf("%s still knows the partner: %s", key, row)
		}
	}
	b.still(record.HubSpot, hub, flow.Changed)
	b.still(record.HubSpot, hub, flow.Purged)
	b.still(record.Destination, dest, flow.Deleted)
	// The same person comes again, as a new record.
	b.hub.put("contacts/8", record.Fields{"email": "ada@example.com", "firstname": "Ada"})
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	if _, made := b.dest.rows["customers/c_2"]; !made || b.state(record.HubSpot, "8") != ledger.Linked {
		t.Fatalf("destination %v", b.dest.rows)
	}
}

// HubSpot tells of a deletion with every erasure, in any order: what the deletion has
// left to a person is erased, or told of, all the same.
func TestErasureAfterItsDeletion(t *testing.T) {
	for name, c := range map[string]struct {
		policy string
		edit   bool
		want   string
	}{
		"archived":         {"archive", false, "erased on a privacy request"},
		"edited meanwhile": {"archive", true, "erased on a privacy request; its partner was deleted"},
		"asked":            {"ask", false, "erased on a privacy request; the destination record c_1 still exists and is a person's to decide"},
		"kept":             {"ignore", false, "erased on a privacy request; the destination record c_1 still exists and is a person's to decide"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			hub, dest := b.created()
			b.flow.Spec.Pairs[0].Deletes.HubSpot = c.policy
			if c.edit {
				b.dest.put("customers/"+dest, record.Fields{"postcode": "3000"})
			}
			clear(b.hub.rows)
			b.event(record.HubSpot, "contacts", hub, flow.Deleted)
			b.want(b.event(record.HubSpot, "contacts", hub, flow.Purged), "Dropped")
			if got := b.reason(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if _, there := b.dest.rows["customers/"+dest]; there != (c.policy != "archive") {
				t.Errorf("the partner is there: %v", there)
			}
			b.still(record.HubSpot, hub, flow.Purged)
		})
	}
}

func TestChildBeforeItsParent(t *testing.T) {
	b := newBench(t)
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "firstname": "Ada"})
	b.hub.put("deals/50", record.Fields{"order_number": "A1", "dealname": "First", "@contacts": "7"})
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Deferred")
	if !strings.Contains(string(b.last.Output), string(flow.ParentMissing)) || b.wrote() != 0 {
		t.Fatalf("%s", b.last.Output)
	}
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Stamp")
	if got := b.dest.rows["orders/c_2"].Fields["customer_id"]; got != "c_1" {
		t.Fatalf("the order is of customer %q", got)
	}
	// The association travels back as well.
	b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	b.dest.put("orders/c_2", record.Fields{"customer_id": "c_3"})
	b.want(b.event(record.Destination, "deals", "c_2", flow.Changed), "Stamp")
	if got := b.hub.rows["deals/50"].Fields["@contacts"]; got != "8" {
		t.Fatalf("the deal is of contact %q: %s", got, b.reason())
	}
}

// Two records are linked while the one that only one of them refers to is not: the
// reference is not agreed on, it travels when that is linked.
func TestReferenceOutlivesFirstContact(t *testing.T) {
	b := newBench(t)
	b.dest.put("customers/c_1", record.Fields{"email": "ada@example.com", "first_name": "Ada"})
	b.dest.put("orders/c_2", record.Fields{"number": "A1", "title": "First", "customer_id": "c_1"})
	b.hub.put("deals/50", record.Fields{"order_number": "A1", "dealname": "First"})
	b.want(b.event(record.HubSpot, "deals", "50", flow.Changed), "Stamp")
	b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Stamp")
	b.event(record.Destination, "deals", "c_2", flow.Changed)
	if got := b.hub.rows["deals/50"].Fields["@contacts"]; got == "" {
		t.Fatalf("the deal has no contact, the order has customer c_1: %s", b.reason())
	}
	before := b.wrote()
	b.event(record.HubSpot, "deals", "50", flow.Changed)
	b.event(record.Destination, "deals", "c_2", flow.Changed)
	if b.wrote() != before {
		t.Fatalf("written again: %v %v", b.hub.writes, b.dest.writes)
	}
}

// A deletion whose answer was lost is repeated under its lease: meanwhile its own
// echo must not pass for a person's deletion, which is another policy's.
func TestDeletionInDoubtKeepsItsLease(t *testing.T) {
	b := newBench(t)
	hub, dest := b.created()
	b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: "archive", Destination: "ask"}
	attempts := 0
	b.dest.after = func(op string) error {
		if strings.HasPrefix(op, "archive") {
			if attempts++; attempts == 1 {
				return &flow.Error{Code: flow.RemoteBusy, Message: "no answer", Maybe: true}
			}
		}
		return nil
	}
	b.dest.fail = func(op string) error {
		if attempts == 1 {
			pair := b.flow.Spec.Pairs[0]
			p, err := b.flow.Ledger.Row(t.Context(), pair, record.Ref{System: record.HubSpot, Object: "contacts", ID: hub})
			if err != nil || !p.Held(b.now) {
				t.Errorf("nobody holds the pair while %s is tried again: %v", op, err)
			}
		}
		return nil
	}
	row := b.hub.rows["contacts/"+hub]
	row.Archived = true
	b.hub.rows["contacts/"+hub] = row
	b.want(b.event(record.HubSpot, "contacts", hub, flow.Deleted), "Stamp")
	if attempts != 2 || b.state(record.HubSpot, hub) != ledger.Gone {
		t.Errorf("%d attempts, the pair is %s", attempts, b.state(record.HubSpot, hub))
	}
	b.want(b.event(record.Destination, "contacts", dest, flow.Deleted), "Dropped")
	if b.state(record.HubSpot, hub) != ledger.Gone {
		t.Errorf("the echo made the pair %s", b.state(record.HubSpot, hub))
	}
}

// An edit meets its partner gone, and the partner comes back as it was: the edit is
// told then, though nothing has changed where the event came from.
func TestEditWhileThePartnerIsGone(t *testing.T) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		t.Run(string(sys), func(t *testing.T) {
			b := newBench(t)
			hub, dest := b.created()
			gone, edited, id, partner := b.hub, b.dest, "contacts/"+hub, "customers/"+dest
			field, there := "postcode", "zip"
			if sys == record.Destination {
				gone, edited, id, partner, field, there = b.dest, b.hub, partner, id, there, field
			}
			row := gone.rows[id]
			delete(gone.rows, id)
			edited.put(partner, record.Fields{field: "3000"})
			b.still(sys.Other(), lastPart(partner), flow.Changed)
			gone.rows[id] = row
			b.want(b.event(sys, "contacts", lastPart(id), flow.Changed), "Stamp")
			if got := gone.rows[id].Fields[there]; got != "3000" {
				t.Fatalf("%s holds %q: %s", id, got, b.reason())
			}
			b.still(sys, lastPart(id), flow.Changed)
		})
	}
}

// The echo of a deletion that a restore has overtaken comes when the pair has been
// parted for it: the restored record gets a new partner all the same.
func TestRestoreOvertakesTheDeletionsEcho(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: "archive", Destination: "ask"}
	b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com", "first_name": "Ada"})
	b.want(b.event(record.Destination, "contacts", "c_9", flow.Changed), "Stamp")
	row := b.hub.rows["contacts/11"]
	row.Archived = true
	b.hub.rows["contacts/11"] = row
	b.want(b.event(record.HubSpot, "contacts", "11", flow.Deleted), "Stamp")
	row.Archived = false
	b.hub.rows["contacts/11"] = row
	pair := b.flow.Spec.Pairs[0]
	p, err := b.flow.Ledger.Row(t.Context(), pair, record.Ref{System: record.HubSpot, Object: "contacts", ID: "11"})
	if err != nil || b.flow.Ledger.Forget(t.Context(), pair, p) != nil { // as the restore's execution does before it looks afresh
		t.Fatal(err)
	}
	b.event(record.Destination, "contacts", "c_9", flow.Deleted)
	b.event(record.HubSpot, "contacts", "11", flow.Restored)
	if len(b.dest.rows) != 1 || b.state(record.HubSpot, "11") != ledger.Linked {
		t.Fatalf("%d customers, the pair is %q: %s", len(b.dest.rows), b.state(record.HubSpot, "11"), b.reason())
	}
}

// A record whose partner the mass-change guard has spared is restored: the two are in
// step again.
func TestRestoreOfWhatTheGuardHasSpared(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
	b.flow.Spec.Guards.Deletes = 1
	b.created()
	b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	for _, id := range []string{"8", "7"} {
		b.archive(id, true)
		b.event(record.HubSpot, "contacts", id, flow.Deleted)
	}
	if got := b.state(record.HubSpot, "7"); got != ledger.Parked || len(b.dest.rows) != 1 {
		t.Fatalf("the pair is %q: %s", got, b.reason())
	}
	b.archive("7", false)
	b.hub.put("contacts/7", record.Fields{"lastname": "Byron"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Restored), "Stamp")
	if got := b.dest.rows["customers/c_1"].Fields["last_name"]; got != "Byron" {
		t.Errorf("last name %q: %s", got, b.reason())
	}
}
