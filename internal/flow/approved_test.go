package flow_test

import (
	"encoding/json"
	"strings"
	"testing"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// at is the shelf of a system, and the key of the record there that created has made.
func (b *bench) at(sys record.System) (s *shelf, key string) {
	if sys == record.HubSpot {
		return b.hub, "contacts/7"
	}
	return b.dest, "customers/c_1"
}

// refTo names that record.
func refTo(sys record.System) record.Ref {
	if sys == record.HubSpot {
		return hubContact
	}
	return record.Ref{System: sys, Object: "customers", ID: "c_1"}
}

// removed deletes that record, for good or into the recycle bin.
func (b *bench) removed(sys record.System, bin bool) {
	s, key := b.at(sys)
	row := s.rows[key]
	if row.Archived = true; bin {
		s.rows[key] = row
	} else {
		delete(s.rows, key)
	}
}

// asked is resync whose execution runs later.
func (b *bench) asked(ref record.Ref) (later func()) {
	b.t.Helper()
	var s flow.State
	if _, err := (&flow.Ingress{Flow: b.flow, Starter: caught{&s}, Lanes: 1}).Resync(b.t.Context(), ref); err != nil {
		b.t.Fatal(err)
	}
	return func() {
		input, _ := json.Marshal(s)
		b.executed(s.Event.Direction, s.Event.Name, input)
	}
}

// spent uses up what a guard of one lets pass in an hour.
func (b *bench) spent(guard string, from record.System) {
	b.t.Helper()
	b.flow.Spec.Guards.Deletes, b.flow.Spec.Guards.Clears = 1, 1
	if ok, err := b.flow.Ledger.Admit(b.t.Context(), guard+"#"+string(spec.From(from)), 1, &ledger.Pair{}, "another's"); !ok || err != nil {
		b.t.Fatal(err)
	}
}

// stopped has the guard stop that record's deletion, after another one.
func (b *bench) stopped(sys record.System, bin bool) record.Ref {
	b.t.Helper()
	b.flow.Spec.Guards.Deletes = 1
	b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: "archive", Destination: "archive"}
	b.created()
	b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	other := map[record.System]string{record.HubSpot: "contacts/8", record.Destination: "customers/c_2"}[sys]
	s, _ := b.at(sys)
	delete(s.rows, other)
	b.want(b.event(sys, "contacts", lastPart(other), flow.Deleted), "Stamp")
	b.removed(sys, bin)
	b.want(b.event(sys, "contacts", refTo(sys).ID, flow.Deleted), "Dropped")
	if !strings.Contains(b.reason(), "mass-change guard") || b.left(sys.Other()) != 1 {
		b.t.Fatalf("the guard has let it pass: %s", b.reason())
	}
	return refTo(sys)
}

// left counts a system's records that are there.
func (b *bench) left(sys record.System) (n int) {
	s, _ := b.at(sys)
	for _, row := range s.rows {
		if !row.Archived {
			n++
		}
	}
	return n
}

// everyDeletion calls do for each way in which a record can be gone.
func everyDeletion(t *testing.T, do func(b *bench, sys record.System, bin bool)) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		for name, bin := range map[string]bool{"recycle bin": true, "gone for good": false} {
			t.Run(string(sys)+", "+name, func(t *testing.T) { do(newBench(t), sys, bin) })
		}
	}
}

// TestResyncFollowsAStoppedDeletion: what the mass-change guard has stopped follows when a
// person asks for the record, once, however often that comes.
func TestResyncFollowsAStoppedDeletion(t *testing.T) {
	everyDeletion(t, func(b *bench, sys record.System, bin bool) {
		ref := b.stopped(sys, bin)
		before := b.wrote()
		for _, later := range []func(){b.asked(ref), b.asked(ref)} {
			later()
			if b.left(sys.Other()) != 0 || b.state(record.HubSpot, "7") != ledger.Gone || b.wrote() != before+1 {
				b.t.Fatalf("%d are left, the pair is %s: %s", b.left(sys.Other()), b.state(record.HubSpot, "7"), b.reason())
			}
		}
		if _, err := b.resync(ref); flow.CodeOf(err) != flow.RecordMissing || b.wrote() != before+1 {
			b.t.Errorf("once more: %v", err)
		}
	})
}

// What somebody has edited in the partner is asked about as always, and that is no
// question of the guard any more.
func TestResyncFollowsNoDeletionPastAnEdit(t *testing.T) {
	everyDeletion(t, func(b *bench, sys record.System, bin bool) {
		ref := b.stopped(sys, bin)
		late := b.asked(ref)
		partner, key := b.at(sys.Other())
		partner.put(key, record.Fields{"lastname": "Byron", "last_name": "Byron"})
		if _, err := b.resync(ref); err != nil {
			b.t.Fatal(err)
		}
		if !strings.Contains(b.reason(), "but edited in "+string(sys.Other())) || b.left(sys.Other()) != 1 || b.state(record.HubSpot, "7") != ledger.Parked {
			b.t.Fatalf("the pair is %s: %s", b.state(record.HubSpot, "7"), b.reason())
		}
		if _, err := b.resync(ref); flow.CodeOf(err) != flow.RecordMissing {
			b.t.Errorf("once more: %v", err)
		}
		partner.put(key, record.Fields{"lastname": "L", "last_name": "L"})
		if late(); b.left(sys.Other()) != 1 {
			b.t.Errorf("what was said before the question was asked has answered it: %s", b.reason())
		}
	})
}

// An edit that meets the deletion on its way refuses the condition, and is decided on
// again: one of an unmapped field changes nothing, a person has said yes.
func TestResyncFollowsADeletionAtTheSecondTry(t *testing.T) {
	for field, left := range map[string]int{"last_name": 1, "unmapped": 0} {
		b := newBench(t)
		ref := b.stopped(record.HubSpot, true)
		b.dest.fail = func(op string) error {
			if op == "archive" {
				b.dest.fail = nil
				b.dest.put("customers/c_1", record.Fields{field: "Byron"})
			}
			return nil
		}
		if _, err := b.resync(ref); err != nil || b.left(record.Destination) != left {
			t.Errorf("%s: %d are left, %v: %s", field, b.left(record.Destination), err, b.reason())
		}
	}
}

// TestResyncFollowsNothingElse: where it was not the guard that kept the partner, or the
// spec has it kept by now, a resync deletes nothing; nor does one of the partner.
func TestResyncFollowsNothingElse(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "ask"
	b.created()
	b.removed(record.HubSpot, true)
	b.event(record.HubSpot, "contacts", "7", flow.Deleted)
	if _, err := b.resync(hubContact); err == nil || !strings.Contains(err.Error(), "restore it first") {
		t.Errorf("of a deletion that the policy asks about: %v", err)
	}
	b = newBench(t)
	b.stopped(record.HubSpot, true)
	if _, err := b.resync(refTo(record.Destination)); err != nil || b.left(record.Destination) != 1 || !strings.Contains(b.reason(), "tandem resync of the deleted record") {
		t.Errorf("of the partner: %v: %s", err, b.reason())
	}
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "ask"
	if _, err := b.resync(hubContact); err != nil || b.left(record.Destination) != 1 || !strings.Contains(b.reason(), "the policy is to ask") {
		t.Errorf("against the policy: %v: %s", err, b.reason())
	}
}

// The record that lives on after a merge is the one that is asked for.
func TestResyncFollowsTheDeletionAfterAMerge(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
	b.created()
	b.spent("deletes", record.HubSpot)
	b.hub.rows["contacts/9"] = b.hub.rows["contacts/7"]
	delete(b.hub.rows, "contacts/7")
	b.hub.put("contacts/9", nil)
	b.event(record.HubSpot, "contacts", "9", flow.Merged, "7")
	delete(b.hub.rows, "contacts/9")
	b.event(record.HubSpot, "contacts", "9", flow.Deleted)
	if !strings.Contains(b.reason(), "mass-change guard") {
		t.Fatal(b.reason())
	}
	if _, err := b.resync(hubContact); flow.CodeOf(err) != flow.RecordMissing {
		t.Errorf("of the merged one: %v", err)
	}
	ref := record.Ref{System: record.HubSpot, Object: "contacts", ID: "9"}
	if _, err := b.resync(ref); err != nil || b.left(record.Destination) != 0 {
		t.Errorf("%d are left, %v: %s", b.left(record.Destination), err, b.reason())
	}
}

// A record that was restored meanwhile is in step again; nobody has said that what was
// cleared in it then may pass.
func TestResyncOfARestoredRecord(t *testing.T) {
	for name, want := range map[string]string{"Byron": "Byron", "": "L"} {
		b := newBench(t)
		b.stopped(record.HubSpot, true)
		b.spent("clears", record.HubSpot)
		later := b.asked(hubContact)
		b.archive("7", false)
		b.hub.put("contacts/7", record.Fields{"lastname": name})
		later()
		if got := b.dest.rows["customers/c_1"].Fields["last_name"]; got != want || b.state(record.HubSpot, "7") != ledger.Linked {
			t.Errorf("last name %q, the pair is %s: %s", got, b.state(record.HubSpot, "7"), b.reason())
		}
	}
}

// The worker that was to follow dies before it has taken the pair: the next one does.
func TestResyncFollowsADeletionThoughItsWorkerDies(t *testing.T) {
	b := newBench(t)
	ref := b.stopped(record.HubSpot, false)
	b.flow.Ledger.Table = &slow{b.table, ledger.Linked, func() {
		b.dest.fail = func(string) error {
			b.dest.fail = nil
			return flow.Errorf(flow.RemoteBusy, "the worker is gone")
		}
	}}
	if _, err := b.resync(ref); err != nil || b.left(record.Destination) != 0 {
		t.Errorf("%d are left, %v: %s", b.left(record.Destination), err, b.reason())
	}
}

// TestResyncClears: fields whose clearing the guard has stopped are cleared when a person
// asks for the record, and only those that it has stopped since the last write.
func TestResyncClears(t *testing.T) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		b := newBench(t)
		b.created()
		s, key := b.at(sys)
		o, partner := b.at(sys.Other())
		edit := func(value string) { s.put(key, record.Fields{"lastname": value, "last_name": value}) }
		holds := func(want, when string) {
			t.Helper()
			fields := o.rows[partner].Fields
			if got := fields["lastname"] + fields["last_name"]; got != want {
				t.Errorf("%s, %s: the partner holds %q, want %q: %s", sys, when, got, want, b.reason())
			}
		}
		resync := func(want, when string) {
			t.Helper()
			if _, err := b.resync(refTo(sys)); err != nil {
				t.Fatal(err)
			}
			holds(want, when)
		}
		b.spent("clears", sys)
		edit("")
		resync("L", "asked before the guard was")
		resync("", "asked")
		edit("M")
		b.event(sys, "contacts", refTo(sys).ID, flow.Changed)
		holds("M", "set again")
		edit("")
		resync("M", "cleared again")
		b.spent("deletes", sys)
		b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: "archive", Destination: "archive"}
		later := b.asked(refTo(sys))
		b.removed(sys, true)
		later()
		holds("M", "deleted before it was cleared")
	}
}
