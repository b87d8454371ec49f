package flow_test

import (
	"encoding/json"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// steps runs some states of an execution named y for a contact, and no more, as a
// worker that dies or stalls after them.
func (b *bench) steps(sys record.System, id string, kind flow.Kind, steps ...string) (s flow.State) {
	b.t.Helper()
	return b.stepsOf("contacts", sys, id, kind, steps...)
}

// stepsOf is steps for a record of any pair.
func (b *bench) stepsOf(pair string, sys record.System, id string, kind flow.Kind, steps ...string) (s flow.State) {
	b.t.Helper()
	e, err := b.flow.Seals.Seal(flow.Envelope{Client: "acme", Direction: spec.From(sys), Pair: pair, ID: id, Kind: kind, Name: "y", At: b.now.UnixMilli()})
	if err != nil {
		b.t.Fatal(err)
	}
	s.Event = e
	for _, step := range steps {
		section, err := b.flow.Handle(b.t.Context(), step, s)
		if err != nil {
			b.t.Fatalf("%s: %v", step, err)
		}
		text, _ := json.Marshal(map[string]any{map[string]string{"Transform": "transform", "Lookup": "lookup", "Write": "write"}[step]: section})
		if err := json.Unmarshal(text, &s.Sections); err != nil {
			b.t.Fatal(err)
		}
	}
	return s
}

// archive puts a contact into the recycle bin, or back.
func (b *bench) archive(id string, archived bool) {
	row := b.hub.rows["contacts/"+id]
	row.Archived = archived
	b.hub.rows["contacts/"+id] = row
}

// A deletion's worker stalls between the deletion and its stamp, and its lease has
// lapsed, when the record is restored: its partner is missing because we deleted
// it, so the record gets a new one, and the stamp comes too late.
func TestRestoreOvertakesTheDeletionsStamp(t *testing.T) {
	for _, kind := range []flow.Kind{flow.Restored, flow.Changed} {
		t.Run(string(kind), func(t *testing.T) {
			b := newBench(t)
			b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
			hub, dest := b.created()
			b.archive(hub, true)
			s := b.steps(record.HubSpot, hub, flow.Deleted, "Transform", "Lookup", "Write")
			if len(b.dest.rows) != 0 {
				t.Fatalf("destination %v", b.dest.rows)
			}
			b.now = b.now.Add(ledger.Lease)
			b.archive(hub, false)
			b.want(b.event(record.HubSpot, "contacts", hub, kind), "Stamp")
			if _, err := b.flow.Handle(t.Context(), "Stamp", s); flow.CodeOf(err) != flow.LeaseLost {
				t.Errorf("the deletion's stamp: %v, want %s", err, flow.LeaseLost)
			}
			b.still(record.Destination, dest, flow.Deleted)
			if len(b.dest.rows) != 1 || b.state(record.HubSpot, hub) != ledger.Linked {
				t.Errorf("%d customers, the pair is %q: %s", len(b.dest.rows), b.state(record.HubSpot, hub), b.reason())
			}
		})
	}
}

// A record that a deletion of ours took along, never stamped, comes back when an
// event says that it was restored. That it is there says nothing: its deletion may
// not have been carried out.
func TestRestoreOfWhatADeletionTookAlong(t *testing.T) {
	for kind, linked := range map[flow.Kind]bool{flow.Restored: true, flow.Changed: false} {
		t.Run(string(kind), func(t *testing.T) {
			b := newBench(t)
			b.flow.Spec.Pairs[0].Deletes.Destination = "archive"
			hub, dest := b.created()
			row := b.hub.rows["contacts/"+hub]
			delete(b.dest.rows, "customers/"+dest)
			b.steps(record.Destination, dest, flow.Deleted, "Transform", "Lookup", "Write")
			b.now = b.now.Add(ledger.Lease)
			b.hub.rows["contacts/"+hub] = row
			b.event(record.HubSpot, "contacts", hub, kind)
			if made := len(b.dest.rows) == 1; made != linked {
				t.Errorf("%d customers: %s", len(b.dest.rows), b.reason())
			}
		})
	}
}

// What was read before its deletion is no restore: where the deletion was never
// stamped, whoever comes with the old state settles it.
func TestStateFromBeforeADeletionIsNoRestore(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
	hub, _ := b.created()
	b.now = b.now.Add(ledger.Lease) // long enough after the last stamp for what is read to be believed
	s := b.steps(record.HubSpot, hub, flow.Changed, "Transform")
	b.archive(hub, true)
	b.steps(record.HubSpot, hub, flow.Deleted, "Transform", "Lookup", "Write")
	b.now = b.now.Add(ledger.Lease)
	if _, err := b.flow.Handle(t.Context(), "Lookup", s); err != nil || b.state(record.HubSpot, hub) != ledger.Gone || len(b.dest.rows) != 0 {
		t.Errorf("the pair is %q, %d customers, %v", b.state(record.HubSpot, hub), len(b.dest.rows), err)
	}
	b.still(record.HubSpot, hub, flow.Changed)
}

// For a moment after its deletion a record may still be read as if it were there:
// the deletion's own execution, begun again after a crash, does not take that for
// a restore.
func TestDeletionThatHasYetToSettleIsNoRestore(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
	hub, _ := b.created()
	b.archive(hub, true)
	s := b.steps(record.HubSpot, hub, flow.Deleted, "Transform", "Lookup", "Write")
	b.archive(hub, false)
	again := b.steps(record.HubSpot, hub, flow.Deleted, "Transform")
	_, err := b.flow.Handle(t.Context(), "Lookup", again)
	if flow.CodeOf(err) != flow.LeaseHeld {
		t.Errorf("begun again: %v, want %s", err, flow.LeaseHeld)
	}
	if _, err := b.flow.Handle(t.Context(), "Stamp", s); err != nil {
		t.Errorf("the pair was parted: %v", err)
	}
}

// A deletion is carried out, its answer lost, and repeated so late that it looks again
// first: by then the record is restored. That nothing was sent this time does not
// withdraw what the first attempt may have done.
func TestRestoreBetweenTwoAttempts(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
	hub, _ := b.created()
	b.archive(hub, true)
	s := b.steps(record.HubSpot, hub, flow.Deleted, "Transform", "Lookup")
	b.dest.after = func(string) error { return &flow.Error{Code: flow.RemoteBusy, Message: "504", Maybe: true} }
	if _, err := b.flow.Write(t.Context(), s); flow.CodeOf(err) != flow.RemoteBusy {
		t.Fatal(err)
	}
	b.dest.after = nil
	b.archive(hub, false)
	b.now = b.now.Add(ledger.Lease / 2)
	if _, err := b.flow.Write(t.Context(), s); flow.CodeOf(err) != flow.LeaseLost {
		t.Fatal(err)
	}
	b.want(b.event(record.HubSpot, "contacts", hub, flow.Restored), "Stamp")
	if len(b.dest.rows) != 1 || b.state(record.HubSpot, hub) != ledger.Linked {
		t.Errorf("%d customers, the pair is %q: %s", len(b.dest.rows), b.state(record.HubSpot, hub), b.reason())
	}
}

// A deletion's worker dies before the stamp, and the record is restored. The event of
// what went with it tells of our deletion, not of a person's: it deletes nothing and
// asks nobody, whatever the policy, and the restored record gets a new partner.
func TestEchoOfADeletionAfterItsRestore(t *testing.T) {
	for _, policy := range []string{"archive", "ask", "ignore"} {
		t.Run("restored in hubspot, "+policy, func(t *testing.T) {
			b := newBench(t)
			b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: "archive", Destination: policy}
			b.hub.bin = true
			hub, dest := b.created()
			b.archive(hub, true)
			b.steps(record.HubSpot, hub, flow.Deleted, "Transform", "Lookup", "Write")
			b.now = b.now.Add(ledger.Lease)
			b.archive(hub, false)
			b.still(record.Destination, dest, flow.Deleted)
			b.want(b.event(record.HubSpot, "contacts", hub, flow.Restored), "Stamp")
			if len(b.dest.rows) != 1 || b.state(record.HubSpot, hub) != ledger.Linked {
				t.Errorf("%d customers, the pair is %q: %s", len(b.dest.rows), b.state(record.HubSpot, hub), b.reason())
			}
		})
		t.Run("restored in the destination, "+policy, func(t *testing.T) {
			b := newBench(t)
			b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: policy, Destination: "archive"}
			hub, dest := b.created()
			row := b.dest.rows["customers/"+dest]
			delete(b.dest.rows, "customers/"+dest)
			b.steps(record.Destination, dest, flow.Deleted, "Transform", "Lookup", "Write")
			b.now = b.now.Add(ledger.Lease)
			b.dest.rows["customers/"+dest] = row
			b.still(record.HubSpot, hub, flow.Deleted)
			b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Stamp")
			if len(b.hub.rows) != 1 || b.state(record.Destination, dest) != ledger.Linked {
				t.Errorf("%d contacts, the customer is %q: %s", len(b.hub.rows), b.state(record.Destination, dest), b.reason())
			}
		})
	}
}

// Nobody has restored anything: the echo of a deletion that was never stamped brings the
// pair to rest as its stamp would have, also where a person would be asked.
func TestEchoOfADeletionThatWasNeverStamped(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: "archive", Destination: "ask"}
	hub, dest := b.created()
	b.archive(hub, true)
	b.steps(record.HubSpot, hub, flow.Deleted, "Transform", "Lookup", "Write")
	b.now = b.now.Add(ledger.Lease)
	b.want(b.event(record.Destination, "contacts", dest, flow.Deleted), "Dropped")
	if got := b.state(record.HubSpot, hub); got != ledger.Gone {
		t.Fatalf("the pair is %q: %s", got, b.reason())
	}
	b.archive(hub, false)
	b.want(b.event(record.HubSpot, "contacts", hub, flow.Restored), "Stamp")
}

// A deletion is still under way when its record is restored: that both are there is
// believed only once it can no longer be carried out.
func TestDeletionLandsAfterTheRestore(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes = spec.Deletes{HubSpot: "archive", Destination: "archive"}
	b.hub.bin = true
	hub, dest := b.created()
	b.archive(hub, true)
	s := b.steps(record.HubSpot, hub, flow.Deleted, "Transform", "Lookup")
	b.archive(hub, false)
	b.now = b.now.Add(ledger.Lease + ledger.Landing/2)
	back := b.steps(record.HubSpot, hub, flow.Restored, "Transform")
	_, _ = b.flow.Handle(t.Context(), "Lookup", back)
	if err := b.dest.Archive(t.Context(), "customers", dest, s.Lookup.ETag[record.Destination]); err != nil {
		t.Fatal(err)
	}
	b.still(record.Destination, dest, flow.Deleted)
	b.want(b.event(record.HubSpot, "contacts", hub, flow.Restored), "Stamp")
	if b.hub.rows["contacts/"+hub].Archived || len(b.dest.rows) != 1 {
		t.Errorf("HubSpot holds %v, the destination %v: %s", b.hub.rows, b.dest.rows, b.reason())
	}
}

// One delivery tells of a deletion and of its restore, while the execution of another
// that tells of the deletion alone is about to delete the partner: it looks again.
func TestRestoreInTheDeliveryOfItsDeletion(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
	hub, dest := b.created()
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Dropped")
	b.event(record.HubSpot, "contacts", hub, flow.Changed)
	b.archive(hub, true)
	s := b.steps(record.HubSpot, hub, flow.Deleted, "Transform")
	b.dest.fail = func(string) error {
		b.dest.fail = nil
		b.archive(hub, false)
		b.want(b.event(record.HubSpot, "contacts", hub, flow.Deleted), "Dropped")
		return nil
	}
	if _, err := b.flow.Handle(t.Context(), "Lookup", s); flow.CodeOf(err) != flow.LeaseHeld {
		t.Errorf("it goes on to delete the partner of a record that is there: %v", err)
	}
}

// One delivery tells that a record was deleted, which was our own deletion, never stamped,
// and that it was restored: it comes back. One that was restored and deleted once more
// does not, though it may still be shown.
func TestRestoreInTheDeliveryOfAnUnstampedDeletion(t *testing.T) {
	deleted, restored := flow.Notification{ID: "1", Kind: flow.Deleted}, flow.Notification{ID: "2", Kind: flow.Restored}
	for name, c := range map[string]struct {
		events []flow.Notification // in the order in which they happened
		listed []int
		linked bool
	}{
		"deleted, restored":                    {events: []flow.Notification{deleted, restored}, listed: []int{0, 1}, linked: true},
		"deleted, restored, listed otherwise":  {events: []flow.Notification{deleted, restored}, listed: []int{1, 0}, linked: true},
		"restored, deleted":                    {events: []flow.Notification{restored, deleted}, listed: []int{0, 1}},
		"deleted, restored, deleted once more": {events: []flow.Notification{deleted, restored, deleted}, listed: []int{0, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.flow.Spec.Pairs[0].Deletes.Destination = "archive"
			hub, dest := b.created()
			row := b.hub.rows["contacts/"+hub]
			delete(b.dest.rows, "customers/"+dest)
			b.steps(record.Destination, dest, flow.Deleted, "Transform", "Lookup", "Write")
			b.now, b.hub.rows["contacts/"+hub] = b.now.Add(ledger.Lease), row
			var delivery told
			for _, i := range c.listed {
				e := c.events[i]
				e.Object, e.Record, e.At = "contacts", hub, b.now.Add(time.Duration(i)*time.Second)
				delivery = append(delivery, e)
			}
			in := &flow.Ingress{Flow: b.flow, Starter: run{b}, Lanes: 1, Receivers: map[record.System]flow.Receiver{record.HubSpot: delivery}}
			in.Deliver(t.Context(), record.HubSpot, flow.Delivery{At: b.now})
			if made := len(b.dest.rows) == 1; made != c.linked {
				t.Errorf("%d customers: %s", len(b.dest.rows), b.reason())
			}
		})
	}
}
