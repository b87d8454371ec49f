package flow_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// people are n linked contacts with e-mails of their own, which both systems keep
// unique; the two ids of each.
type people struct {
	*bench
	ids map[record.System][]string
}

var mails = []string{"ada@example.com", "bob@example.com", "cleo@example.com"}

func newPeople(t *testing.T, n int) *people {
	t.Helper()
	b := &people{newBench(t), map[record.System][]string{}}
	for i := range n {
		hub, dest := strconv.Itoa(7+i), fmt.Sprint("c_", 1+i)
		b.hub.put("contacts/"+hub, record.Fields{"email": mails[i], "firstname": "P" + hub, "zip": codes[i]})
		b.want(b.event(record.HubSpot, "contacts", hub, flow.Changed), "Stamp")
		b.event(record.Destination, "contacts", dest, flow.Changed)
		b.ids[record.HubSpot], b.ids[record.Destination] = append(b.ids[record.HubSpot], hub), append(b.ids[record.Destination], dest)
	}
	for _, s := range []*shelf{b.hub, b.dest} {
		s.refuse = func(id string, fields record.Fields) error {
			for _, row := range s.rows {
				if email := fields["email"]; email != "" && row.ID != id && row.Fields["email"] == email {
					return &flow.Error{Code: flow.AlreadyExists, Message: "409, duplicate", ExistingID: row.ID}
				}
			}
			return nil
		}
	}
	return b
}

func (b *people) key(sys record.System, i int) (*shelf, string) {
	if sys == record.HubSpot {
		return b.hub, "contacts/" + b.ids[sys][i]
	}
	return b.dest, "customers/" + b.ids[sys][i]
}

func (b *people) email(sys record.System, i int) string {
	s, key := b.key(sys, i)
	return s.rows[key].Fields["email"]
}

func (b *people) set(sys record.System, i int, email string) {
	s, key := b.key(sys, i)
	s.put(key, record.Fields{"email": email})
}

// rotate gives each record the e-mail and the postcode of the next one, and the last the
// first's.
func (b *people) rotate(sys record.System) {
	for i, n := 0, len(b.ids[sys]); i < n; i++ {
		s, key := b.key(sys, i)
		s.put(key, record.Fields{"email": mails[(i+1)%n], postcode[sys]: codes[(i+1)%n]})
	}
}

var codes, postcode = []string{"2000", "3000", "4000"}, map[record.System]string{record.HubSpot: "zip", record.Destination: "postcode"}

func (b *people) changed(sys record.System, i int) string {
	b.t.Helper()
	return b.event(sys, "contacts", b.ids[sys][i], flow.Changed)
}

// all asks that both sides hold these e-mails, that so many values were recorded as
// lost, and that further events of either side write nothing.
func (b *people) all(lost int, emails ...string) {
	b.t.Helper()
	writes := len(b.hub.writes) + len(b.dest.writes)
	for i, email := range emails {
		for _, sys := range []record.System{record.HubSpot, record.Destination} {
			b.changed(sys, i)
			if got := b.email(sys, i); got != email {
				b.t.Errorf("%s %d holds %q, want %q", sys, i, got, email)
			}
		}
	}
	held := b.lost()
	if got := len(b.hub.writes) + len(b.dest.writes) - writes; got != 0 || len(held) != lost {
		b.t.Errorf("%d writes more, %d lost values, want 0 and %d: %v %v", got, len(held), lost, b.hub.writes, b.dest.writes)
	}
}

// lost are the fields and values that were recorded as lost, by one execution or more.
func (b *people) lost() map[string]bool {
	b.t.Helper()
	held := map[string]bool{}
	for _, id := range b.ids[record.Destination] {
		some, err := b.flow.Ledger.Conflicts(b.t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: id})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, c := range some {
			b.t.Log("lost: ", c)
			held[c.Field+" "+c.Loser] = true
		}
	}
	return held
}

// Records that wait for a unique value of each other's come through, in whatever order
// their events do, with one write more than there are records.
func TestRing(t *testing.T) {
	for name, c := range map[string]struct {
		source record.System
		order  []int
	}{
		"swapped in HubSpot":                          {record.HubSpot, []int{0, 1}},
		"the same, the other event first":             {record.HubSpot, []int{1, 0}},
		"swapped in the destination":                  {record.Destination, []int{0, 1}},
		"the same, the other event first there":       {record.Destination, []int{1, 0}},
		"passed round by three in HubSpot":            {record.HubSpot, []int{0, 1, 2}},
		"passed round by three, backwards":            {record.HubSpot, []int{2, 1, 0}},
		"passed round by three, the middle one first": {record.HubSpot, []int{1, 2, 0}},
		"passed round by three in the destination":    {record.Destination, []int{0, 2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newPeople(t, len(c.order))
			b.hub.writes, b.dest.writes = nil, nil
			b.rotate(c.source)
			waiting := map[int]bool{}
			for _, i := range c.order {
				waiting[i] = b.changed(c.source, i) != "Stamp"
				b.changed(c.source.Other(), i) // an echo, if there was a write
			}
			for range 3 {
				for _, i := range c.order {
					if waiting[i] {
						waiting[i] = b.later(c.source, "contacts", b.ids[c.source][i], 1) != "Stamp"
					}
				}
			}
			if n := len(b.hub.writes) + len(b.dest.writes); n > 2*len(c.order) || len(b.deadLetters) > 0 {
				t.Errorf("%d writes, %d dead letters: %v", n, len(b.deadLetters), b.deadLetters)
			}
			want := append(slices.Clone(mails[1:len(c.order)]), mails[0])
			b.all(0, want...)
		})
	}
}

// made room: the first of two has been blanked, and waits.
func swapped(t *testing.T, source record.System) *people {
	t.Helper()
	b := newPeople(t, 2)
	b.rotate(source)
	b.want(b.changed(source, 0), "Deferred")
	if got := b.email(source.Other(), 0); got != "" || b.email(source, 0) != mails[1] {
		t.Fatalf("%s holds %q", source.Other(), got)
	}
	if s, key := b.key(source.Other(), 0); s.rows[key].Fields[postcode[source.Other()]] != codes[1] {
		t.Fatalf("what need not be unique waits, too: %v", s.rows[key].Fields)
	}
	return b
}

// What a person does while a field is blank to make room follows the same rules as ever.
func TestEditedWhileThereIsRoom(t *testing.T) {
	both := func(b *people, source record.System) {
		for range 2 {
			b.changed(source, 1)
			b.changed(source, 0)
		}
	}
	for name, c := range map[string]struct {
		edit func(*people, record.System, record.System)
		lost int
		want []string
		// hub is what HubSpot's policy makes of it where that is the source.
		hub []string
	}{
		"the blank's own event comes late": {func(b *people, from, to record.System) {
			b.now = b.now.Add(time.Hour)
			b.want(b.changed(to, 0), "Dropped")
		}, 0, []string{mails[1], mails[0]}, nil},
		"another field of the blank record": {func(b *people, from, to record.System) {
			s, key := b.key(to, 0)
			s.put(key, record.Fields{postcode[to]: "9999"})
			b.changed(to, 0)
			s, key = b.key(from, 0)
			if got := s.rows[key].Fields[postcode[from]]; got != "9999" {
				b.t.Errorf("the other field is %q there", got)
			}
		}, 0, []string{mails[1], mails[0]}, nil},
		"the blank field": {func(b *people, from, to record.System) {
			b.now = b.now.Add(time.Hour)
			b.set(to, 0, "third@example.com")
			b.changed(to, 0)
		}, 1, []string{"third@example.com", mails[0]}, []string{mails[1], mails[0]}},
		"the blank field, by the value it had": {func(b *people, from, to record.System) {
			b.now = b.now.Add(time.Hour)
			b.set(to, 0, mails[0])
			b.set(from, 1, "third@example.com")
			b.changed(from, 1)
		}, 1, []string{mails[0], "third@example.com"}, []string{mails[1], "third@example.com"}},
		"both are set back": {func(b *people, from, to record.System) {
			b.set(from, 0, mails[0])
			b.set(from, 1, mails[1])
		}, 0, []string{mails[0], mails[1]}, nil},
		"the other is given a third value": {func(b *people, from, to record.System) {
			b.set(from, 1, "third@example.com")
		}, 0, []string{mails[1], "third@example.com"}, nil},
		"the blank one is to be blank": {func(b *people, from, to record.System) {
			b.set(from, 0, "")
		}, 0, []string{"", mails[0]}, nil},
	} {
		for _, source := range []record.System{record.HubSpot, record.Destination} {
			t.Run(name+", swapped in "+string(source), func(t *testing.T) {
				b := swapped(t, source)
				c.edit(b, source, source.Other())
				both(b, source)
				want := c.want
				if source == record.HubSpot && c.hub != nil {
					want = c.hub
				}
				b.all(c.lost, want...)
			})
		}
	}
}

// The record that was blanked had an event of its own, which found what its partner was
// to hand on and made room in its own record. Nothing else may be heard of the two: put
// off, redriven or begun again after a crash, it brings the value.
func TestRoomInItsOwnRecord(t *testing.T) {
	for _, to := range []record.System{record.HubSpot, record.Destination} {
		t.Run("blank in "+string(to), func(t *testing.T) {
			b := newPeople(t, 2)
			b.rotate(to.Other())
			b.want(b.changed(to, 0), "Dropped") // nothing is to be seen on this side
			s, key := b.key(to, 0)
			s.put(key, record.Fields{postcode[to]: "9999"})
			if b.want(b.changed(to, 0), "Deferred"); b.email(to, 0) != "" {
				t.Fatalf("%q: no room was made", b.email(to, 0))
			}
			b.want(b.changed(to, 0), "Deferred")
			b.now = b.now.Add(2 * time.Hour)
			b.want(b.changed(to.Other(), 1), "Stamp")
			b.want(b.changed(to, 0), "Stamp")
			b.all(len(b.lost()), mails[1], mails[0])
		})
	}
}

// A record that is still to be linked waits for its match value where another is about
// to give it up, and is a person's where that one keeps it.
func TestMatchThatIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		keeps bool
		ends  []string
	}{
		"given up": {false, []string{"Deferred", "Stamp"}},
		"kept":     {true, []string{"Deferred", "Dropped"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newPeople(t, 2)
			b.set(record.HubSpot, 1, "third@example.com")
			b.hub.put("contacts/9", record.Fields{"email": mails[1], "firstname": "New"})
			ends := []string{b.event(record.HubSpot, "contacts", "9", flow.Changed)}
			b.dest.put("customers/c_9", record.Fields{"last_name": "Nobody waits"})
			began := b.now
			b.want(b.event(record.Destination, "contacts", "c_9", flow.Changed), "Stamp")
			if held := b.now.Sub(began); held > 10*time.Second {
				t.Errorf("another record was held up for %s", held)
			}
			b.now = b.now.Add(2 * time.Hour)
			if !c.keeps {
				b.want(b.changed(record.HubSpot, 1), "Stamp")
			}
			ends = append(ends, b.event(record.HubSpot, "contacts", "9", flow.Changed))
			if !slices.Equal(ends, c.ends) {
				t.Errorf("ended in %v, want %v: %s", ends, c.ends, b.reason())
			}
			if c.keeps != (b.state(record.HubSpot, "9") == ledger.Parked) || len(b.dest.rows) != 4-map[bool]int{true: 1}[c.keeps] {
				t.Errorf("%q; %v", b.state(record.HubSpot, "9"), b.dest.rows)
			}
		})
	}
}

// Who makes room: the record with the smallest id at once, another when it has tried
// for some rounds, since the first one's event may be late or lost.
func TestWhoseTurnItIs(t *testing.T) {
	for i, round := range []int{1, 3} {
		b := newPeople(t, 2)
		b.rotate(record.HubSpot)
		if s := b.dies(record.HubSpot, i, "Write"); s.Lookup.Round != round || !slices.Equal(s.Lookup.Aside, []string{"email"}) {
			t.Errorf("record %d makes room in round %d with %v, want %d", i, s.Lookup.Round, s.Lookup.Aside, round)
		}
	}
}

// The holder's partner shows another value, but what the holder itself shows is an edit
// that will win there: that is no ring, and nothing is blanked for it.
func TestHolderThatWillKeepItsValue(t *testing.T) {
	b := newPeople(t, 2)
	for i, field := range b.flow.Spec.Pairs[0].Fields {
		if field.Name == "email" {
			b.flow.Spec.Pairs[0].Fields[i].Policy = spec.PolicyDestination
		}
	}
	b.set(record.Destination, 1, "third@example.com")
	b.set(record.HubSpot, 1, mails[0])
	b.set(record.HubSpot, 0, "third@example.com")
	b.want(b.changed(record.HubSpot, 0), "Deferred")
	if got := b.email(record.Destination, 0); got != mails[0] {
		t.Errorf("the destination holds %q", got)
	}
}

// The time for which a value is waited for begins anew with every change that waits.
func TestPatienceBeginsAnew(t *testing.T) {
	for name, c := range map[string]struct {
		email string
		end   string
	}{
		"after another value was written": {"fourth@example.com", "Stamp"},
		"after it was set back":           {mails[0], "Dropped"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newPeople(t, 2)
			b.set(record.HubSpot, 1, "third@example.com")
			for n, step := range []struct{ email, end string }{{mails[1], "Deferred"}, {c.email, c.end}, {mails[1], "Deferred"}} {
				b.set(record.HubSpot, 0, step.email)
				if end := b.changed(record.HubSpot, 0); end != step.end {
					t.Fatalf("step %d ended in %s, want %s: %s", n, end, step.end, b.reason())
				}
				b.now = b.now.Add(2 * time.Hour)
			}
		})
	}
}

// A match that was given up between two looks is looked for again.
func TestMatchThatWasJustGivenUp(t *testing.T) {
	b := newPeople(t, 2)
	b.hub.refuse = nil
	b.hub.put("contacts/9", record.Fields{"email": mails[1], "firstname": "New"})
	b.dest.fail = func(op string) error {
		if op == "read" && b.email(record.Destination, 1) == mails[1] {
			b.set(record.Destination, 1, "third@example.com")
		}
		return nil
	}
	if b.want(b.event(record.HubSpot, "contacts", "9", flow.Changed), "Stamp"); len(b.dest.rows) != 3 {
		t.Errorf("the destination holds %v", b.dest.rows)
	}
}

// Who is blank already has no room to make, though the holder is to be blank, too.
func TestBlankMakesNoRoom(t *testing.T) {
	b := newPeople(t, 2)
	b.set(record.HubSpot, 0, "")
	b.want(b.changed(record.HubSpot, 0), "Stamp")
	b.set(record.HubSpot, 1, "")
	b.set(record.HubSpot, 0, mails[1])
	b.dest.writes = nil
	b.want(b.changed(record.HubSpot, 0), "Deferred")
	if len(b.dest.writes) != 0 {
		t.Errorf("wrote %v", b.dest.writes)
	}
}

// An event of a record whose partner is blank is not dropped at the door, though it
// tells of nothing that has not been seen.
func TestOwedAtTheDoor(t *testing.T) {
	b := swapped(t, record.Destination)
	row := b.dest.rows["customers/c_1"]
	event := flow.Notification{ID: "1", Object: "customers", Record: row.ID, Kind: flow.Changed, At: row.UpdatedAt, Version: row.Version}
	in := &flow.Ingress{Flow: b.flow, Starter: new(starts), Lanes: 1, Receivers: map[record.System]flow.Receiver{record.Destination: told{event}}}
	if a := in.Deliver(t.Context(), record.Destination, flow.Delivery{Method: http.MethodPost, At: b.now}); a.Started != 1 {
		t.Errorf("%+v", a)
	}
}
