package flow_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

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

// TestMergeInAnyOrder: HubSpot answers with the survivor under both old ids, and
// the merge's own event may come late, twice or never. The partner that holds the
// survivor's e-mail goes on, whatever is heard first.
func TestMergeInAnyOrder(t *testing.T) {
	merge := func(b *bench) { b.event(record.HubSpot, "contacts", "900", flow.Merged, "8", "7") }
	changed := func(id string) func(*bench) {
		return func(b *bench) { b.event(record.HubSpot, "contacts", id, flow.Changed) }
	}
	partner := func(b *bench) {
		b.dest.put("customers/c_2", record.Fields{"first_name": "Robert"})
		b.event(record.Destination, "contacts", "c_2", flow.Changed)
	}
	for name, events := range map[string][]func(*bench){
		"merge first":             {merge, changed("900"), changed("7"), changed("8")},
		"merge last":              {changed("900"), changed("7"), merge},
		"merge twice":             {merge, merge},
		"merge lost":              {changed("7"), changed("8"), changed("900")},
		"survivor, then the old":  {changed("900"), changed("7"), changed("8")},
		"only the survivor":       {changed("900")},
		"the loser first":         {changed("8"), merge},
		"only the loser":          {changed("8"), changed("8")},
		"the loser's partner":     {partner, merge},
		"only a loser's partner":  {partner, changed("900")},
		"both losers, then merge": {changed("8"), partner, changed("7"), merge},
	} {
		each := func(t *testing.T, told bool) {
			b := newBench(t)
			b.created()
			b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
			b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
			b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
			row := b.hub.put("contacts/900", record.Fields{"lastname": "Byron"})
			if told {
				row.Merged = []string{"8", "7"}
			}
			b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row, row
			for _, event := range events {
				event(b)
			}
			if got := b.dest.rows["customers/c_1"].Fields["last_name"]; got != "Byron" || len(b.dest.rows) != 2 {
				t.Fatalf("last name %q, %d records: %s", got, len(b.dest.rows), b.reason())
			}
			if got := b.dest.rows["customers/c_2"].Fields["email"]; got != "bob@example.com" {
				t.Fatalf("the loser's partner was given the e-mail %q", got)
			}
			if !told {
				merge(b) // else nothing tells of one who is not like the survivor
			}
			if got := b.state(record.Destination, "c_2"); got != ledger.Parked {
				t.Fatalf("the loser's partner is %q", got)
			}
			b.still(record.Destination, "c_1", flow.Changed)
			b.still(record.Destination, "c_2", flow.Changed)
			b.still(record.HubSpot, "900", flow.Merged)
		}
		t.Run(name, func(t *testing.T) { each(t, true) })
		t.Run(name+", by a system that does not tell", func(t *testing.T) { each(t, false) })
	}
}

// The survivor is deleted, or erased, before its merge was heard of: what becomes of
// the partners is the same as when it had been followed in time.
func TestMergedAndGone(t *testing.T) {
	interrupted := func(b *bench, kind flow.Kind) {
		clear(b.hub.rows)
		b.event(record.HubSpot, "contacts", "900", kind)
		b.dest.fail = func(op string) error {
			if op == "archive" {
				return flow.Errorf(flow.RemoteRefused, "not now")
			}
			return nil
		}
		b.want(b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8"), "Failed")
		b.dest.fail = nil
		b.now = b.now.Add(time.Minute)
		b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
	}
	for name, gone := range map[string]func(*bench){
		"deletion first, interrupted": func(b *bench) { interrupted(b, flow.Deleted) },
		"erasure first, interrupted":  func(b *bench) { interrupted(b, flow.Purged) },
		"merge first": func(b *bench) {
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
			b.event(record.HubSpot, "contacts", "900", flow.Deleted)
		},
		"deletion first": func(b *bench) {
			b.event(record.HubSpot, "contacts", "900", flow.Deleted)
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
		},
		"merge lost": func(b *bench) { b.event(record.HubSpot, "contacts", "900", flow.Deleted) },
		"gone for good, deletion first": func(b *bench) {
			clear(b.hub.rows)
			b.event(record.HubSpot, "contacts", "900", flow.Deleted)
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
		},
		"erased, merge last": func(b *bench) {
			clear(b.hub.rows)
			b.event(record.HubSpot, "contacts", "900", flow.Purged)
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := b.tallied()
			b.created()
			b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
			b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
			row := b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
			row.Merged, row.Archived = []string{"8", "7"}, true
			b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row, row
			gone(b)
			if b.state(record.HubSpot, "900") != ledger.Gone || b.state(record.HubSpot, "7") != ledger.Alias || b.state(record.HubSpot, "8") != ledger.Alias {
				t.Fatalf("the survivor is %q, the merged are %q and %q", b.state(record.HubSpot, "900"), b.state(record.HubSpot, "7"), b.state(record.HubSpot, "8"))
			}
			if len(b.dest.rows) != 1 {
				t.Fatalf("destination %v, want the loser's partner alone: %s", b.dest.rows, b.reason())
			}
			for key, text := range b.dump(c) {
				if strings.HasPrefix(name, "eras") && strings.HasPrefix(key, "MAP#") && strings.Contains(text, `"f:`) {
					t.Errorf("%s still knows the erased: %s", key, text)
				}
			}
		})
	}
}

// A survivor that was put to rest with the partner it had keeps that one: whoever is
// heard of later was merged into it, too, and its partner is a person's to decide.
func TestMergedSurvivorAtRestKeepsItsPartner(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "ask"
	b.created()
	b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	row := b.hub.put("contacts/900", record.Fields{"email": "carol@example.com", "firstname": "Bob"})
	b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp") // nothing tells of 7
	row.Archived = true
	b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row, row
	b.event(record.HubSpot, "contacts", "900", flow.Deleted)
	b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
	pair := b.flow.Spec.Pairs[0]
	for id, hub := range map[string]string{"c_1": "7", "c_2": "900"} {
		p, err := b.flow.Ledger.Find(t.Context(), pair, record.Ref{System: record.Destination, Object: "customers", ID: id}, "")
		if err != nil || p.State != ledger.Parked || p.IDs[record.HubSpot] != hub {
			t.Errorf("%s is %q with %v, want parked with %s: %v", id, p.State, p.IDs, hub, err)
		}
	}
	b.still(record.Destination, "c_2", flow.Changed)
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

// A partner that has been merged is deleted with nobody: its old id stands for a
// record that holds another's data too.
func TestDeletionSparesAMergedPartner(t *testing.T) {
	b := newBench(t)
	hub, dest := b.created()
	b.flow.Spec.Pairs[0].Deletes.Destination = "archive"
	row := b.hub.rows["contacts/"+hub]
	row.ID = "900"
	b.hub.rows["contacts/900"], b.hub.rows["contacts/"+hub] = row, row
	delete(b.dest.rows, "customers/"+dest)
	b.event(record.Destination, "contacts", dest, flow.Deleted)
	if b.hub.rows["contacts/"+hub].Archived || len(b.hub.writes) > 0 {
		t.Fatalf("the merged contact was deleted: %v", b.hub.writes)
	}
	if !strings.Contains(b.reason(), "merged into 900") {
		t.Errorf("%s", b.reason())
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
