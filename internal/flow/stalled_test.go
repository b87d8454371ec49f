package flow_test

import (
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// TestCreateThatWaited: somebody makes the partner while the create of it waits.
func TestCreateThatWaited(t *testing.T) {
	for name, c := range map[string]struct {
		email string
		want  flow.Code
	}{
		"another's is there": {"b@example.com", ""},
		"it is there":        {"a@example.com", flow.LeaseLost},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.hub.put("contacts/7", record.Fields{"email": "a@example.com", "firstname": "A"})
			s := b.steps(record.HubSpot, "7", flow.Changed, "Transform", "Lookup")
			b.now = b.now.Add(ledger.Lease + time.Second)
			b.dest.put("customers/c_9", record.Fields{"email": c.email})
			_, err := b.flow.Handle(t.Context(), "Write", s)
			if code := flow.CodeOf(err); err != nil && code != c.want || err == nil && c.want != "" {
				t.Fatalf("%v, want %q", err, c.want)
			}
			b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
			if c.want != "" && len(b.dest.rows) != 1 {
				t.Fatalf("%d customers", len(b.dest.rows))
			}
		})
	}
}

// TestExtraRecord: an execution that begins again has made a record which is not its
// pair's partner. It goes, unless it has been a record's partner before.
func TestExtraRecord(t *testing.T) {
	for name, c := range map[string]struct {
		made string
		left int
	}{
		"nobody knows it":         {"c_9", 2},
		"it is another's partner": {"c_2", 3},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.many(2)
			b.dest.put("customers/c_9", b.dest.rows["customers/c_1"].Fields)
			s := b.steps(record.HubSpot, "100", flow.Changed, "Transform")
			s.Lookup = &flow.Plan{Made: c.made}
			if _, err := b.flow.Handle(t.Context(), "Lookup", s); err != nil {
				t.Fatal(err)
			}
			if len(b.dest.rows) != c.left {
				t.Fatalf("%d customers are left, want %d: %v", len(b.dest.rows), c.left, b.dest.writes)
			}
		})
	}
}

// What somebody has edited in an extra record, before or just as it is to go, keeps it
// for people.
func TestExtraRecordThatWasEdited(t *testing.T) {
	for _, late := range []bool{false, true} {
		b := newBench(t)
		b.many(2)
		edit := func() { b.dest.put("customers/c_9", record.Fields{"last_name": "Theirs"}) }
		if b.dest.put("customers/c_9", b.dest.rows["customers/c_1"].Fields); !late {
			edit()
		}
		b.dest.fail = func(op string) error {
			if op == "archive" {
				edit()
			}
			return nil
		}
		s := b.steps(record.HubSpot, "100", flow.Changed, "Transform")
		s.Lookup = &flow.Plan{Made: "c_9"}
		_, err := b.flow.Handle(t.Context(), "Lookup", s)
		if late == (err == nil) || late && flow.CodeOf(err) != flow.LeaseHeld {
			t.Errorf("edited late %t: %v", late, err)
		}
		if _, err = b.flow.Handle(t.Context(), "Lookup", s); err != nil || len(b.dest.rows) != 3 {
			t.Errorf("edited late %t: %d customers are left, %v", late, len(b.dest.rows), err)
		}
		b.dest.fail = nil
		if b.want(b.event(record.Destination, "contacts", "c_9", flow.Changed), "Dropped"); b.state(record.Destination, "c_9") != ledger.Parked {
			t.Errorf("the extra record is %q: %s", b.state(record.Destination, "c_9"), b.reason())
		}
	}
}

// TestRestoredBeforeItWasLinked: a record that has no partner yet is deleted and
// restored at once. Whichever comes first, it is there and gets its partner.
func TestRestoredBeforeItWasLinked(t *testing.T) {
	b := newBench(t)
	back := func() { b.hub.put("contacts/7", record.Fields{"email": "a@example.com", "firstname": "A"}) }
	b.hub.fail = func(op string) error {
		if b.hub.reads > 1 && len(b.hub.rows) == 0 { // after Transform has missed it
			back()
		}
		return nil
	}
	b.event(record.HubSpot, "contacts", "7", flow.Deleted)
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")

	// What was read just before the tombstone says that it is there: it is asked again.
	b = newBench(t)
	back()
	s := b.steps(record.HubSpot, "7", flow.Changed, "Transform")
	row := b.hub.rows["contacts/7"]
	delete(b.hub.rows, "contacts/7")
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Deleted), "Dropped")
	b.hub.rows["contacts/7"] = row
	for range 3 {
		if plan, err := b.flow.Handle(t.Context(), "Lookup", s); err == nil {
			t.Fatalf("decided on an old read: %+v", plan)
		}
		b.now = b.now.Add(3 * time.Second)
	}
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
}

// Where the destination neither knows conditions nor shows what was deleted, the event
// of the edit tells that it went along with an extra record.
func TestEditThatWentWithAnExtraRecord(t *testing.T) {
	b := newBench(t)
	b.dest.abilities.ConditionalWrite = false
	b.many(2)
	b.dest.put("customers/c_9", b.dest.rows["customers/c_1"].Fields)
	s := b.steps(record.HubSpot, "100", flow.Changed, "Transform")
	s.Lookup = &flow.Plan{Made: "c_9"}
	var at time.Time
	b.dest.fail = func(op string) error {
		if op == "archive" {
			at = b.dest.put("customers/c_9", record.Fields{"last_name": "Theirs"}).UpdatedAt
		}
		return nil
	}
	if _, err := b.flow.Handle(t.Context(), "Lookup", s); err != nil || len(b.dest.rows) != 2 {
		t.Fatalf("%d customers are left, %v", len(b.dest.rows), err)
	}
	edit := flow.Notification{ID: "e", Object: "customers", Record: "c_9", Kind: flow.Changed, At: at}
	in := &flow.Ingress{Flow: b.flow, Starter: run{b}, Lanes: 1, Receivers: map[record.System]flow.Receiver{record.Destination: told{edit}}}
	in.Deliver(t.Context(), record.Destination, flow.Delivery{At: b.now})
	lost, err := b.flow.Ledger.Conflicts(t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: "c_9"})
	if err != nil || len(lost) == 0 {
		t.Errorf("recorded is %+v, %v: %s", lost, err, b.reason())
	}
}

// The worker that removes an extra record dies, or gets no answer, before it has noted
// what went with it: its execution that goes on does, or the record's own events do.
func TestEditThatWentWithAnExtraRecordUnnoted(t *testing.T) {
	for name, c := range map[string]struct{ bin, again, told bool }{
		"and it goes on":                           {again: true},
		"and the deletion is told of":              {told: true},
		"and nobody tells":                         {},
		"in the recycle bin, and it goes on":       {bin: true, again: true},
		"in the recycle bin, and it is told of":    {bin: true, told: true},
		"and it goes on after that is told of":     {again: true, told: true},
		"in the recycle bin, and all that happens": {bin: true, again: true, told: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.many(2)
			b.dest.abilities.ConditionalWrite, b.hub.bin = false, true
			at, sys, of, kept := b.dest, record.Destination, "customers", "c_1"
			from := record.HubSpot
			edit := record.Fields{"last_name": "Theirs"}
			if c.bin {
				at, sys, of, kept, from, edit = b.hub, record.HubSpot, "contacts", "100", record.Destination, record.Fields{"lastname": "Theirs"}
			}
			at.put(of+"/c_9", at.rows[of+"/"+kept].Fields)
			s := b.steps(from, map[bool]string{false: "100", true: "c_1"}[c.bin], flow.Changed, "Transform")
			s.Lookup = &flow.Plan{Made: "c_9"}
			n := flow.Notification{ID: "e", Object: of, Record: "c_9", Kind: flow.Changed}
			at.before(func() { n.At = at.put(of+"/c_9", edit).UpdatedAt })
			at.after = func(string) error { return &flow.Error{Code: flow.RemoteBusy, Message: "504", Maybe: true} }
			if _, err := b.flow.Handle(t.Context(), "Lookup", s); flow.CodeOf(err) != flow.RemoteBusy {
				t.Fatal(err)
			}
			at.after, b.now = nil, b.now.Add(ledger.Lease)
			if c.told {
				b.event(sys, "contacts", "c_9", flow.Deleted)
			}
			if c.again {
				if _, err := b.flow.Handle(t.Context(), "Lookup", s); err != nil {
					t.Fatal(err)
				}
			}
			in := &flow.Ingress{Flow: b.flow, Starter: run{b}, Lanes: 1, Receivers: map[record.System]flow.Receiver{sys: told{n}}}
			in.Deliver(t.Context(), sys, flow.Delivery{At: b.now})
			found := b.losses()
			for _, ref := range []record.Ref{{System: sys, Object: of, ID: "c_9"}, {System: record.Destination, Object: "customers", ID: "c_1"}} {
				lost, err := b.flow.Ledger.Conflicts(t.Context(), ref)
				if found = append(found, lost...); err != nil {
					t.Fatal(err)
				}
			}
			if len(found) == 0 || b.state(sys, "c_9") != ledger.Gone {
				t.Errorf("recorded is %+v, it is %q: %s", found, b.state(sys, "c_9"), b.reason())
			}
		})
	}
}

// While two records are being linked, somebody edits the one, and the other is deleted:
// the edit, which the link's write went over, is recorded when a partner is made anew.
func TestEditOverwrittenBeforeThePartnerWasDeleted(t *testing.T) {
	for name, told := range map[string]bool{"heard of while it is made": true, "heard of later": false} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "lastname": "Lovelace"})
			b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com", "postcode": "2000"})
			s := b.steps(record.HubSpot, "7", flow.Changed, "Transform", "Lookup")
			at := b.hub.put("contacts/7", record.Fields{"zip": "4000"}).UpdatedAt
			edit := flow.Notification{ID: "e", Object: "contacts", Record: "7", Kind: flow.Changed, At: at, Values: record.Fields{"zip": "4000"}}
			b.now = b.now.Add(time.Second)
			if _, err := b.flow.Handle(t.Context(), "Write", s); err != nil {
				t.Fatal(err)
			}
			delete(b.dest.rows, "customers/c_9")
			b.event(record.Destination, "contacts", "c_9", flow.Deleted)
			b.now = b.now.Add(ledger.Lease)
			if !told {
				b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
			}
			b.hear(edit)
			lost := b.losses()
			if len(b.dest.rows) != 1 || len(lost) != 1 || lost[0].Field != "postcode" || lost[0].Winner != record.Destination {
				t.Errorf("%d customers, recorded is %+v", len(b.dest.rows), lost)
			}
		})
	}
}

// Two records that match are to be linked, but the write waits so long that one of them
// is edited, or another execution has the one meanwhile: they are looked at again, and the
// edit is not written over unseen.
func TestLinkThatWaited(t *testing.T) {
	for name, wait := range map[string]func(*bench){
		"for long": func(b *bench) { b.now = b.now.Add(ledger.Lease + time.Second) },
		"while the other's own execution links them, and the clock stands still": func(b *bench) {
			now := b.now
			b.want(b.event(record.Destination, "contacts", "c_9", flow.Changed), "Stamp")
			b.now = now
		},
	} {
		t.Run(name, func(t *testing.T) { b := newBench(t); b.linkWaits(wait) })
	}
}

func (b *bench) linkWaits(wait func(*bench)) {
	b.t.Helper()
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "lastname": "Lovelace"})
	b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com", "postcode": "2000"})
	s := b.steps(record.HubSpot, "7", flow.Changed, "Transform", "Lookup")
	b.hub.put("contacts/7", record.Fields{"zip": "4000"})
	wait(b)
	wrote := b.wrote()
	if _, err := b.flow.Handle(b.t.Context(), "Write", s); flow.CodeOf(err) != flow.LeaseLost || b.wrote() != wrote {
		b.t.Fatalf("%v, wrote %v %v, want %s and nothing", err, b.hub.writes, b.dest.writes, flow.LeaseLost)
	}
	b.event(record.HubSpot, "contacts", "7", flow.Changed)
	if lost := b.losses(); len(lost) != 1 || lost[0].Field != "postcode" || lost[0].Loser != "4000" {
		b.t.Errorf("recorded is %+v, want that the destination's postcode has won over 4000", lost)
	}
}
