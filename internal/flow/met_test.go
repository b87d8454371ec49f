package flow_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// run is a starter that runs what it starts at once.
type run struct{ *bench }

func (r run) Start(_ context.Context, d spec.Direction, name string, input json.RawMessage) error {
	r.executed(d, name, input)
	return nil
}

// caught is a starter that keeps what it should start.
type caught struct{ s *flow.State }

func (c caught) Start(_ context.Context, _ spec.Direction, _ string, input json.RawMessage) error {
	return json.Unmarshal(input, c.s)
}

// hear brings one event of HubSpot in and runs what it starts.
func (b *bench) hear(n flow.Notification) {
	b.t.Helper()
	in := &flow.Ingress{Flow: b.flow, Starter: run{b}, Lanes: 1, Receivers: map[record.System]flow.Receiver{record.HubSpot: told{n}}}
	if answer := in.Deliver(b.t.Context(), record.HubSpot, flow.Delivery{At: b.now}); answer.Problem != "" {
		b.t.Fatal(answer.Problem)
	}
}

// losses are what is recorded of contact 7's pair.
func (b *bench) losses() []ledger.Conflict {
	b.t.Helper()
	pair := b.flow.Spec.Pairs[0]
	p, err := b.flow.Ledger.Find(b.t.Context(), pair, record.Ref{System: record.HubSpot, Object: "contacts", ID: "7"}, "")
	if err != nil {
		b.t.Fatal(err)
	}
	lost, err := b.flow.Ledger.Losses(b.t.Context(), pair, p)
	if err != nil {
		b.t.Fatal(err)
	}
	return lost
}

// met lets a person in HubSpot set the postcode to what our write is just bringing
// there, and the destination, where asked, set its own back before that. It returns
// the event of the person's edit.
func (b *bench) met(setBack bool) (edit flow.Notification) {
	_, dest := b.created()
	b.dest.put("customers/"+dest, record.Fields{"postcode": "2000"})
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Stamp")
	b.now = b.now.Add(time.Minute)
	b.dest.put("customers/"+dest, record.Fields{"postcode": "3000"})
	b.hub.idle = true
	b.hub.fail = func(op string) error {
		if op == "update" {
			b.hub.fail = nil
			if setBack {
				b.dest.put("customers/"+dest, record.Fields{"postcode": "2000"})
			}
			at := b.hub.put("contacts/7", record.Fields{"zip": "3000"}).UpdatedAt
			edit = flow.Notification{ID: "e", Object: "contacts", Record: "7", Kind: flow.Changed, At: at, Values: record.Fields{"zip": "3000"}}
		}
		return nil
	}
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Stamp")
	return edit
}

// A person sets the very value that a write of ours brings. Who it was, where the
// event tells, decides what is recorded and never what is written.
func TestSetToWhatIsBeingWritten(t *testing.T) {
	for name, c := range map[string]struct {
		other, setBack, late bool
		lost                 int
	}{
		"told, and the destination has set it back":                {other: true, setBack: true, lost: 1},
		"told after that value has gone over":                      {other: true, setBack: true, late: true, lost: 1},
		"told, and the destination still holds it":                 {other: true},
		"not told who it was, and the destination has set it back": {setBack: true},
		"not told who it was":                                      {},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			edit := b.met(c.setBack)
			edit.Other = c.other
			b.now = b.now.Add(5 * time.Second)
			back := func() { b.event(record.Destination, "contacts", "c_1", flow.Changed) }
			if c.late {
				back()
			}
			b.hear(edit)
			back()
			want := map[bool]string{true: "2000", false: "3000"}[c.setBack]
			if h, d := b.hub.rows["contacts/7"].Fields["zip"], b.dest.rows["customers/c_1"].Fields["postcode"]; h != want || d != want {
				t.Errorf("HubSpot holds %q and the destination %q, want %q", h, d, want)
			}
			lost := b.losses()
			if len(lost) != c.lost || c.lost == 1 && (lost[0].Field != "postcode" || lost[0].Winner != record.Destination) {
				t.Errorf("recorded is %+v, want %d", lost, c.lost)
			}
			wrote := b.wrote()
			for range 2 { // the event again writes nothing, and tells of the same loss by its fingerprint
				b.hear(edit)
			}
			if b.wrote() != wrote || len(b.losses()) > 2*c.lost || len(b.losses()) < c.lost {
				t.Errorf("%d writes more; recorded is %+v", b.wrote()-wrote, b.losses())
			}
		})
	}
}

// The event of a person's edit is handled with a read from before another's: it is
// not dropped as stale.
func TestSetToWhatIsBeingWrittenWithAnOldRead(t *testing.T) {
	b := newBench(t)
	edit := b.met(true)
	edit.Other = true
	var s flow.State
	in := &flow.Ingress{Flow: b.flow, Starter: caught{&s}, Lanes: 1, Receivers: map[record.System]flow.Receiver{record.HubSpot: told{edit}}}
	in.Deliver(t.Context(), record.HubSpot, flow.Delivery{At: b.now})
	transformed, err := b.flow.Transform(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	s.Transform = transformed
	b.hub.put("contacts/7", nil) // a property that nobody maps
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Dropped")
	plan, err := b.flow.Lookup(t.Context(), s)
	if err != nil || len(b.losses()) != 1 {
		t.Errorf("plan %+v, %v, recorded is %+v", plan, err, b.losses())
	}
}

// An edit is overwritten by a write of the execution that was about to link the two
// records and never came to its stamp: the one that links them, from the other side,
// hears of it.
func TestEditOverwrittenBeforeTheLink(t *testing.T) {
	b := newBench(t)
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "zip": "2000"})
	b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com", "postcode": "3000"})
	b.now = b.now.Add(time.Minute)
	b.hub.fail = func(op string) error {
		if op == "update" {
			b.hub.fail = nil
			b.hub.put("contacts/7", record.Fields{"zip": "1000"})
		}
		return nil
	}
	b.steps(record.Destination, "c_9", flow.Changed, "Transform", "Lookup", "Write")
	at := b.now.Add(-time.Second)
	b.now = b.now.Add(10 * time.Minute)
	b.hear(flow.Notification{ID: "e", Object: "contacts", Record: "7", Kind: flow.Changed, At: at, Values: record.Fields{"zip": "1000"}})
	b.want(b.last.Path[len(b.last.Path)-1], "Stamp")
	told := ledger.Fingerprint("acme/contacts", "postcode", record.HubSpot, "1000")
	if lost := b.losses(); b.hub.rows["contacts/7"].Fields["zip"] != "3000" || !slices.ContainsFunc(lost, func(c ledger.Conflict) bool { return c.LoserPrint == told }) {
		t.Errorf("HubSpot holds %v, recorded is %+v", b.hub.rows["contacts/7"].Fields, lost)
	}
}

// A write was never stamped since the partner is gone: the edit that it has overwritten
// is heard of all the same, whether the pair is still linked or waits for a person.
func TestEditOverwrittenBeforeThePartnerWent(t *testing.T) {
	for _, parked := range []bool{false, true} {
		b := newBench(t)
		_, dest := b.created()
		b.now = b.now.Add(time.Minute)
		b.dest.put("customers/"+dest, record.Fields{"postcode": "3000"})
		b.hub.fail = func(op string) error {
			if op == "update" {
				b.hub.fail = nil
				b.hub.put("contacts/7", record.Fields{"zip": "1000"})
			}
			return nil
		}
		b.steps(record.Destination, dest, flow.Changed, "Transform", "Lookup", "Write")
		at := b.now.Add(-time.Second)
		delete(b.dest.rows, "customers/"+dest)
		if b.now = b.now.Add(ledger.Lease); parked {
			b.event(record.Destination, "contacts", dest, flow.Deleted)
		}
		b.hear(flow.Notification{ID: "e", Object: "contacts", Record: "7", Kind: flow.Changed, At: at, Values: record.Fields{"zip": "1000"}})
		told := ledger.Fingerprint("acme/contacts", "postcode", record.HubSpot, "1000")
		if lost := b.losses(); !slices.ContainsFunc(lost, func(c ledger.Conflict) bool { return c.LoserPrint == told }) {
			t.Errorf("parked %t: recorded is %+v: %s", parked, lost, b.reason())
		}
	}
}

// A search index shows the past: a record that it finds by a match value has another one
// by now, and is not linked. What has been left alone for long holds it in its own form.
func TestFoundByAValueOfThePast(t *testing.T) {
	for name, since := range map[string]time.Duration{"just changed": 0, "long ago": time.Hour} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.hub.abilities.SearchLag = 10 * time.Second
			b.hub.put("contacts/7", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
			b.hub.beside = map[string]string{"ada@example.com": "7"}
			b.now = b.now.Add(since)
			b.hub.fail = func(op string) error {
				if op == "read" && since == 0 { // the index catches up
					b.hub.beside = nil
				}
				return nil
			}
			b.dest.put("customers/c_5", record.Fields{"email": "ada@example.com", "first_name": "Ada"})
			b.want(b.event(record.Destination, "contacts", "c_5", flow.Changed), "Stamp")
			if linked := b.state(record.HubSpot, "7") == ledger.Linked; linked != (since > 0) || len(b.hub.rows) != 2 != linked {
				t.Errorf("HubSpot holds %v: %s", b.hub.rows, b.reason())
			}
		})
	}
}
