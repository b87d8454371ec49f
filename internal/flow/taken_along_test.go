package flow_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// deletes is a bench on which deletions travel, both ways.
func deletes(t *testing.T) *bench {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: "archive", Destination: "archive"}
	b.hub.bin = true
	b.created()
	return b
}

// before lets something happen on a side just before its next deletion is carried out.
func (s *shelf) before(happens func()) {
	s.fail = func(op string) error {
		if op == "archive" {
			s.fail = nil
			happens()
		}
		return nil
	}
}

// heard runs the execution of an event of customer c_1 that tells no more than its time.
func (b *bench) heard(kind flow.Kind, at time.Time) {
	b.t.Helper()
	b.now = b.now.Add(3 * time.Second)
	e, err := b.flow.Seals.Seal(flow.Envelope{
		Client: "acme", Direction: spec.ToHubSpot, Pair: "contacts", ID: "c_1", Kind: kind, Name: "told",
		At: b.now.UnixMilli(), Told: []flow.Told{{At: at.UnixMilli()}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	input, _ := json.Marshal(flow.State{Event: e})
	b.executed(spec.ToHubSpot, "told", input)
}

// editedBeforeUpdate has somebody edit customer c_1 just before our next update in the
// destination, and tells when it was.
func (b *bench) editedBeforeUpdate() *time.Time {
	at := new(time.Time)
	b.dest.fail = func(op string) error {
		if op == "update" {
			b.dest.fail = nil
			*at = b.dest.put("customers/c_1", record.Fields{"last_name": "Theirs"}).UpdatedAt
			b.now = b.now.Add(2 * time.Second)
		}
		return nil
	}
	return at
}

// lost is what is recorded of the last name.
func (b *bench) lost() (lost []ledger.Conflict) {
	b.t.Helper()
	for _, c := range b.losses() {
		if c.Field == "lastName" {
			lost = append(lost, c)
		}
	}
	return lost
}

// The partner is edited after it was looked at: a condition refuses its deletion, and
// a person is asked.
func TestEditRefusesTheDeletion(t *testing.T) {
	b := deletes(t)
	b.archive("7", true)
	b.dest.before(func() { b.dest.put("customers/c_1", record.Fields{"last_name": "Theirs"}) })
	b.event(record.HubSpot, "contacts", "7", flow.Deleted)
	if b.dest.rows["customers/c_1"].Fields["last_name"] != "Theirs" || b.state(record.HubSpot, "7") != ledger.Parked || !strings.Contains(b.reason(), "but edited in destination") {
		t.Errorf("the destination holds %v, the pair is %s: %s", b.dest.rows, b.state(record.HubSpot, "7"), b.reason())
	}
}

// What moves the record without an edit of what is synced is no reason to keep it.
func TestMoveOnlyDelaysTheDeletion(t *testing.T) {
	b := deletes(t)
	b.archive("7", true)
	b.dest.before(func() { b.dest.put("customers/c_1", record.Fields{"shoe_size": "39"}) })
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Deleted), "Stamp")
	if len(b.dest.rows) != 0 || b.state(record.HubSpot, "7") != ledger.Gone {
		t.Errorf("the destination holds %v: %s", b.dest.rows, b.reason())
	}
}

// HubSpot knows no condition: what was edited is read in its recycle bin, and recorded,
// by a later execution too where the one that deleted it got no further.
func TestEditIsReadInTheRecycleBin(t *testing.T) {
	for name, then := range map[string]flow.Kind{"at once": "", "by another execution": flow.Deleted, "by one that finds the partner restored": flow.Restored} {
		t.Run(name, func(t *testing.T) {
			b := deletes(t)
			partner := b.dest.rows["customers/c_1"]
			delete(b.dest.rows, "customers/c_1")
			b.hub.before(func() {
				b.hub.put("contacts/7", record.Fields{"lastname": "Theirs"})
				if then != "" {
					b.hub.after = func(string) error { return flow.Errorf(flow.RemoteRefused, "the worker is gone") }
				}
			})
			end := b.event(record.Destination, "contacts", "c_1", flow.Deleted)
			b.hub.after = nil
			state := ledger.Gone
			switch then {
			case flow.Deleted:
				b.want(end, "Failed")
				b.now = b.now.Add(ledger.Lease)
				b.event(record.HubSpot, "contacts", "7", flow.Deleted)
			case flow.Restored:
				b.want(end, "Failed")
				b.now = b.now.Add(ledger.Lease)
				b.dest.rows["customers/c_1"] = partner
				b.want(b.event(record.Destination, "contacts", "c_1", flow.Restored), "Stamp")
				state = "" // it was parted from the one that is linked to another now
			}
			lost := b.lost()
			if len(lost) != 1 || lost[0].Loser != "Theirs" || lost[0].Winner != record.Destination || lost[0].Policy != "deleted" {
				t.Errorf("recorded is %+v: %s", b.losses(), b.reason())
			}
			if !b.hub.rows["contacts/7"].Archived || b.state(record.HubSpot, "7") != state {
				t.Errorf("HubSpot holds %v, the pair is %q", b.hub.rows, b.state(record.HubSpot, "7"))
			}
		})
	}
}

// So it is where the policy has changed meanwhile: nobody is asked about a record that our
// deletion has taken.
func TestDeletionBegunUnderAnotherPolicy(t *testing.T) {
	for _, policy := range []string{"ask", "ignore"} {
		for _, carriedOut := range []bool{true, false} {
			b := deletes(t)
			delete(b.dest.rows, "customers/c_1")
			b.hub.before(func() { b.hub.put("contacts/7", record.Fields{"lastname": "Theirs"}) })
			if carriedOut {
				b.hub.after = func(string) error { return flow.Errorf(flow.RemoteRefused, "the worker is gone") }
				b.want(b.event(record.Destination, "contacts", "c_1", flow.Deleted), "Failed")
			} else {
				b.steps(record.Destination, "c_1", flow.Deleted, "Transform", "Lookup")
			}
			b.hub.fail, b.hub.after, b.now = nil, nil, b.now.Add(ledger.Lease)
			b.flow.Spec.Pairs[0].Deletes.Destination = policy
			b.want(b.event(record.Destination, "contacts", "c_1", flow.Deleted), "Dropped")
			asked := map[string]ledger.State{"ask": ledger.Parked, "ignore": ledger.Gone}[policy]
			if state := b.state(record.HubSpot, "7"); carriedOut && (state != ledger.Gone || len(b.lost()) != 1) || !carriedOut && (state != asked || len(b.lost()) != 0) {
				t.Errorf("%s, carried out %v: the pair is %s, recorded is %+v: %s", policy, carriedOut, state, b.losses(), b.reason())
			}
		}
	}
}

// A destination that knows no condition and shows nothing of what was deleted: the
// event of the edit tells of it by its time, whatever has become of the pair.
func TestEditIsToldAfterTheDeletion(t *testing.T) {
	for name, c := range map[string]struct {
		dies, restored bool
		at             time.Duration // of the event, after the edit
		want           int
	}{
		"the edit's own":                {want: 1},
		"of another, before":            {at: -time.Hour},
		"and the worker had died":       {dies: true, want: 1},
		"and the contact is restored":   {restored: true, want: 1},
		"and both":                      {dies: true, restored: true, want: 1},
		"of a record that is back long": {restored: true, at: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			b := deletes(t)
			b.dest.abilities.ConditionalWrite = false
			b.archive("7", true)
			b.dest.before(func() {
				b.dest.put("customers/c_1", record.Fields{"last_name": "Theirs"})
				if c.dies {
					b.dest.after = func(string) error { return flow.Errorf(flow.RemoteRefused, "the worker is gone") }
				}
			})
			b.now = b.now.Add(time.Minute)
			edited := b.now.Add(4 * time.Second)
			b.event(record.HubSpot, "contacts", "7", flow.Deleted)
			b.dest.after, b.now = nil, b.now.Add(ledger.Lease)
			if c.dies {
				b.event(record.Destination, "contacts", "c_1", flow.Deleted)
			}
			if c.restored {
				b.archive("7", false)
				b.want(b.event(record.HubSpot, "contacts", "7", flow.Restored), "Stamp")
			}
			b.heard(flow.Changed, edited.Add(c.at))
			lost, err := b.flow.Ledger.Conflicts(t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: "c_1"})
			of := 0
			for _, l := range lost {
				if l.Field == "lastName" && l.Policy == "overwritten" && l.At.Equal(edited.Truncate(time.Millisecond)) {
					of++
				}
			}
			if err != nil || of != c.want || of == 0 && len(lost) > 0 {
				t.Errorf("recorded is %+v, want %d of the last name at %s: %s", lost, c.want, edited, b.reason())
			}
		})
	}
}

// overwrites lets a write to contact 7 that is never stamped overwrite what somebody sets
// there just before. It returns the event of that edit.
func (b *bench) overwrites() flow.Notification {
	b.t.Helper()
	b.event(record.Destination, "contacts", "c_1", flow.Changed)
	b.now = b.now.Add(time.Minute)
	b.dest.put("customers/c_1", record.Fields{"postcode": "3000"})
	var at time.Time
	b.hub.fail = func(op string) error {
		if op == "update" {
			b.hub.fail = nil
			at = b.hub.put("contacts/7", record.Fields{"zip": "4000"}).UpdatedAt
		}
		return nil
	}
	b.steps(record.Destination, "c_1", flow.Changed, "Transform", "Lookup", "Write")
	b.now = b.now.Add(ledger.Lease + ledger.Landing)
	return flow.Notification{ID: "e", Object: "contacts", Record: "7", Kind: flow.Changed, At: at, Values: record.Fields{"zip": "4000"}}
}

// overwritten asks that the postcode which overwrites has overwritten is recorded.
func (b *bench) overwritten() {
	b.t.Helper()
	if lost := b.losses(); len(lost) == 0 || lost[0].Field != "postcode" || lost[0].Policy != "overwritten" {
		b.t.Errorf("recorded is %+v: %s", lost, b.reason())
	}
}

// A write that was never stamped has overwritten an edit, and before anybody looked the
// pair is deleted, or parted by a restore: the event of the edit is heard all the same.
func TestEditOverwrittenBeforeTheEnd(t *testing.T) {
	t.Run("deleted", func(t *testing.T) {
		b := deletes(t)
		edit := b.overwrites()
		delete(b.dest.rows, "customers/c_1")
		b.want(b.event(record.Destination, "contacts", "c_1", flow.Deleted), "Stamp")
		b.hear(edit)
		b.overwritten()
	})
	t.Run("asked about, and deleted on both sides", func(t *testing.T) {
		b := deletes(t)
		b.flow.Spec.Pairs[0].Deletes.HubSpot = "ask"
		edit := b.overwrites()
		b.archive("7", true)
		b.event(record.HubSpot, "contacts", "7", flow.Deleted)
		delete(b.dest.rows, "customers/c_1")
		b.want(b.event(record.Destination, "contacts", "c_1", flow.Deleted), "Dropped")
		b.hear(edit)
		b.overwritten()
	})
	t.Run("parted", func(t *testing.T) {
		b := deletes(t)
		b.flow.Spec.Pairs[0].Deletes.HubSpot = "ask"
		edit := b.overwrites()
		b.archive("7", true)
		b.event(record.HubSpot, "contacts", "7", flow.Deleted)
		delete(b.dest.rows, "customers/c_1")
		b.want(b.event(record.Destination, "contacts", "c_1", flow.Deleted), "Dropped")
		b.archive("7", false)
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Restored), "Stamp")
		b.hear(edit)
		b.overwritten()
	})
}

// A poll has listed an edit that a write of ours has overwritten since, and the echo of
// that was handled before it: the edit is told of all the same.
func TestEditOverwrittenWhileItsPageWaited(t *testing.T) {
	b := newBench(t)
	b.dest.abilities.ConditionalWrite = false
	hub, dest := b.created()
	b.event(record.Destination, "contacts", dest, flow.Changed)
	b.now = b.now.Add(time.Minute)
	var edit record.Record
	b.dest.fail = func(op string) error {
		if op == "update" {
			b.dest.fail = nil
			edit = b.dest.put("customers/"+dest, record.Fields{"last_name": "Theirs"})
			b.now = b.now.Add(2 * time.Second)
		}
		return nil
	}
	b.hub.put("contacts/7", record.Fields{"lastname": "Ours"})
	b.want(b.event(record.HubSpot, "contacts", hub, flow.Changed), "Stamp")
	b.event(record.Destination, "contacts", dest, flow.Changed)
	in := &flow.Ingress{Flow: b.flow, Starter: run{b}, Lanes: 1, Receivers: map[record.System]flow.Receiver{record.Destination: told{
		{ID: "e", Object: "customers", Record: dest, Kind: flow.Changed, At: edit.UpdatedAt, Version: edit.Version},
	}}}
	in.Deliver(t.Context(), record.Destination, flow.Delivery{At: b.now})
	if lost := b.lost(); len(lost) == 0 || lost[0].Policy != "overwritten" {
		t.Errorf("recorded is %+v: %s", b.losses(), b.reason())
	}
}

// What we delete may look like a write of ours that was never confirmed, and be
// somebody's all the same.
func TestDeletedWithWhatLooksLikeOurs(t *testing.T) {
	b := deletes(t)
	b.hub.put("contacts/7", record.Fields{"lastname": "Byron"})
	b.steps(record.HubSpot, "7", flow.Changed, "Transform", "Lookup") // and its worker dies
	b.dest.put("customers/c_1", record.Fields{"last_name": "Byron"})
	b.now = b.now.Add(time.Minute)
	b.archive("7", true)
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Deleted), "Stamp")
	if lost := b.lost(); len(lost) != 1 || lost[0].Loser != "Byron" || len(b.dest.rows) != 0 {
		t.Errorf("recorded: %v; the destination holds %v", lost, b.dest.rows)
	}
}

// A record loses its partner in a merge: what a write had overwritten in it before, on
// either side, stamped or not, is recorded when its event comes.
func TestEditOverwrittenBeforeAMerge(t *testing.T) {
	for name, stamps := range map[string]bool{"stamped": true, "never stamped": false} {
		t.Run(name, func(t *testing.T) {
			b := deletes(t)
			edit := b.overwrites()
			if stamps {
				b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Dropped")
			}
			b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
			b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
			row := b.hub.put("contacts/900", b.hub.rows["contacts/8"].Fields)
			b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
			if b.state(record.Destination, "c_1") != ledger.Parked {
				t.Fatalf("c_1 is %q: %s", b.state(record.Destination, "c_1"), b.reason())
			}
			b.hear(edit)
			b.overwritten()
		})
	}
	t.Run("in the destination", func(t *testing.T) {
		b := newBench(t)
		b.dest.abilities.ConditionalWrite = false
		b.many(2)
		b.event(record.Destination, "contacts", "c_1", flow.Changed)
		b.now = b.now.Add(time.Minute)
		at := b.editedBeforeUpdate()
		b.hub.put("contacts/100", record.Fields{"lastname": "Ours"})
		b.want(b.event(record.HubSpot, "contacts", "100", flow.Changed), "Stamp")
		row := b.hub.put("contacts/900", b.hub.rows["contacts/101"].Fields)
		b.hub.rows["contacts/100"], b.hub.rows["contacts/101"] = row, row
		b.event(record.HubSpot, "contacts", "900", flow.Merged, "100", "101")
		b.heard(flow.Changed, *at)
		if lost, err := b.flow.Ledger.Conflicts(t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: "c_1"}); err != nil || len(lost) == 0 {
			t.Errorf("recorded is %+v, %v: %s", lost, err, b.reason())
		}
	})
}

// A restore has parted a record from its partner, and the event of an edit that was
// overwritten before is the one that brings the new one, or comes after it.
func TestEditOverwrittenBeforeANewPartner(t *testing.T) {
	t.Run("its event links", func(t *testing.T) {
		b := deletes(t)
		edit := b.overwrites()
		b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Dropped")
		b.archive("7", true)
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Deleted), "Stamp")
		b.archive("7", false)
		b.now = b.now.Add(time.Minute)
		s := b.steps(record.HubSpot, "7", flow.Restored, "Transform")
		if _, err := b.flow.Handle(t.Context(), "Lookup", s); flow.CodeOf(err) != flow.LeaseHeld {
			t.Fatal(err)
		}
		b.hear(edit)
		b.overwritten()
		if b.state(record.HubSpot, "7") != ledger.Linked {
			t.Errorf("7 is %q", b.state(record.HubSpot, "7"))
		}
	})
	t.Run("of a destination record", func(t *testing.T) {
		b := deletes(t)
		b.dest.abilities.ConditionalWrite = false
		b.event(record.Destination, "contacts", "c_1", flow.Changed)
		b.now = b.now.Add(time.Minute)
		at := b.editedBeforeUpdate()
		b.hub.put("contacts/7", record.Fields{"lastname": "Ours"})
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
		row := b.dest.rows["customers/c_1"]
		b.archive("7", true)
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Deleted), "Stamp")
		b.dest.rows["customers/c_1"] = row
		b.now = b.now.Add(time.Minute)
		b.want(b.event(record.Destination, "contacts", "c_1", flow.Restored), "Stamp")
		b.heard(flow.Changed, *at)
		if lost, err := b.flow.Ledger.Conflicts(t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: "c_1"}); err != nil || len(lost) == 0 {
			t.Errorf("recorded is %+v, %v: %s", lost, err, b.reason())
		}
	})
}

// A destination record is deleted before the echo of its own edit has brought the name
// that is made of what was edited: nobody has edited anything in HubSpot.
func TestDeletedBeforeTheEchoOfItsEdit(t *testing.T) {
	b := deletes(t)
	b.dest.put("customers/c_1", record.Fields{"last_name": "Byron"})
	b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Stamp")
	delete(b.dest.rows, "customers/c_1")
	b.want(b.event(record.Destination, "contacts", "c_1", flow.Deleted), "Stamp")
	if !b.hub.rows["contacts/7"].Archived {
		t.Errorf("HubSpot keeps it: %s", b.reason())
	}
}
