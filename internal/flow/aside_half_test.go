package flow_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// dies runs an execution of a record's event until a step of the round that makes room,
// and no further, as a worker that dies or stalls.
func (b *people) dies(sys record.System, i int, before string) flow.State {
	b.t.Helper()
	s := b.steps(sys, b.ids[sys][i], flow.Changed)
	for range 4 {
		for _, step := range []string{"Transform", "Lookup", "Write", "Stamp"} {
			if s.Lookup != nil && len(s.Lookup.Aside) > 0 && step == before {
				return s
			}
			section, err := b.flow.Handle(b.t.Context(), step, s)
			if err != nil && step != "Write" {
				b.t.Fatalf("%s: %v", step, err)
			}
			if err != nil {
				break
			}
			text, _ := json.Marshal(map[string]any{strings.ToLower(step): section})
			if err := json.Unmarshal(text, &s.Sections); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.t.Fatal("no room was made")
	return s
}

// A worker dies while it makes room, or its blank lands late; whatever is heard of the
// blank then, and however late, it never travels back and both get what they are to hold.
func TestRoomIsMadeByHalf(t *testing.T) {
	for name, c := range map[string]struct {
		before string
		then   func(b *people, to record.System, s flow.State)
	}{
		"before the blank is sent": {"Write", func(b *people, to record.System, _ flow.State) {}},
		"after it was sent":        {"Stamp", func(b *people, to record.System, _ flow.State) {}},
		"and it lands late": {"Write", func(b *people, to record.System, _ flow.State) {
			b.set(to, 0, "")
		}},
		"after it was sent, and its stamp is too late": {"Stamp", func(b *people, to record.System, s flow.State) {
			b.want(b.changed(to.Other(), 0), "Deferred")
			if _, err := b.flow.Handle(b.t.Context(), "Stamp", s); flow.CodeOf(err) != flow.LeaseLost {
				b.t.Errorf("the stamp: %v", err)
			}
		}},
		"after it was sent, and is found while nothing else goes on": {"Stamp", func(b *people, to record.System, _ flow.State) {
			b.want(b.changed(to.Other(), 0), "Deferred")
			b.now = b.now.Add(10 * time.Minute)
		}},
		"and lands after another worker has looked": {"Write", func(b *people, to record.System, _ flow.State) {
			fail := flow.Errorf(flow.Unauthorized, "not now")
			s, _ := b.key(to, 0)
			s.fail = func(op string) error {
				if op == "update" {
					return fail
				}
				return nil
			}
			b.want(b.changed(to.Other(), 0), "Failed")
			s.fail = nil
			b.now = b.now.Add(time.Hour)
			b.set(to, 0, "")
		}},
	} {
		for _, source := range []record.System{record.HubSpot, record.Destination} {
			t.Run(name+", swapped in "+string(source), func(t *testing.T) {
				b, to := newPeople(t, 2), source.Other()
				b.rotate(source)
				s := b.dies(source, 0, c.before)
				b.now = b.now.Add(ledger.Lease + 10*time.Minute)
				c.then(b, to, s)
				b.changed(to, 0)
				if got := b.email(source, 0); got != mails[1] {
					t.Fatalf("the blank travelled: %s holds %q", source, got)
				}
				for range 2 {
					b.changed(source, 0)
					b.changed(source, 1)
				}
				lost := b.lost()
				for what := range lost {
					if strings.HasPrefix(what, "email ") && what != "email " {
						t.Errorf("lost: %s", what)
					}
				}
				b.all(len(lost), mails[1], mails[0])
			})
		}
	}
}

// Where a blank is refused, or has been written and the value cannot follow, the dead
// letter says what stands where, and a redrive sets it right.
func TestRoomThatIsOfNoUse(t *testing.T) {
	t.Run("the blank is refused", func(t *testing.T) {
		b := newPeople(t, 2)
		unique := b.dest.refuse
		b.dest.refuse = func(id string, fields record.Fields) error {
			if email, sent := fields["email"]; sent && email == "" {
				return flow.Errorf(flow.RemoteRefused, "422, email is required")
			}
			return unique(id, fields)
		}
		b.rotate(record.HubSpot)
		for i := range 2 {
			b.want(b.changed(record.HubSpot, i), "Failed")
			if b.last.Error != string(flow.RemoteRefused) || !strings.Contains(b.last.Cause, "takes no blank for a moment: give one of the records a third value") {
				t.Errorf("%d: %s %s", i, b.last.Error, b.last.Cause)
			}
			if got := b.email(record.Destination, i); got != mails[i] {
				t.Errorf("%d holds %q", i, got)
			}
		}
		for _, step := range []struct {
			i     int
			email string
		}{{0, "third@example.com"}, {1, mails[0]}, {0, mails[1]}} {
			b.set(record.HubSpot, step.i, step.email)
			b.want(b.changed(record.HubSpot, step.i), "Stamp")
		}
		b.all(0, mails[1], mails[0])
	})
	t.Run("the other keeps its value", func(t *testing.T) {
		b := swapped(t, record.HubSpot)
		b.hub.rows["contacts/8"].Fields["email"] = mails[1] // as where a side does not keep it unique
		b.want(b.changed(record.HubSpot, 0), "Failed")
		if b.last.Error != string(flow.RemoteRefused) || !strings.Contains(b.last.Cause, "and is linked to contacts 8, which holds it too") ||
			!strings.Contains(b.last.Cause, "meanwhile email is blank in destination, to make room for another record: redriving this brings the value") {
			t.Errorf("%s %s", b.last.Error, b.last.Cause)
		}
		b.set(record.HubSpot, 1, "third@example.com")
		b.want(b.changed(record.HubSpot, 1), "Stamp")
		b.want(b.changed(record.HubSpot, 0), "Stamp")
		b.all(0, mails[1], "third@example.com")
	})
	t.Run("the value is refused for another reason", func(t *testing.T) {
		b := swapped(t, record.HubSpot)
		b.dest.refuse = func(string, record.Fields) error { return flow.Errorf(flow.RemoteRefused, "422") }
		b.want(b.changed(record.HubSpot, 0), "Failed")
		if !strings.Contains(b.last.Cause, "meanwhile email is blank in destination") {
			t.Errorf("%s %s", b.last.Error, b.last.Cause)
		}
	})
}

// A person sets the old value again after a worker that made room by half: that is an
// edit, though both sides had agreed on it before.
func TestSetBackWhileThereIsRoomByHalf(t *testing.T) {
	b := newPeople(t, 2)
	b.rotate(record.HubSpot)
	b.dies(record.HubSpot, 0, "Stamp")
	b.now = b.now.Add(ledger.Lease)
	b.want(b.changed(record.HubSpot, 0), "Deferred")
	b.now = b.now.Add(time.Hour)
	b.set(record.Destination, 0, mails[0])
	for range 2 {
		b.changed(record.HubSpot, 1)
		b.changed(record.HubSpot, 0)
	}
	lost, err := b.flow.Ledger.Conflicts(t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: "c_1"})
	if err != nil || !slices.ContainsFunc(lost, func(c ledger.Conflict) bool { return c.Field == "email" && c.Loser == mails[0] }) {
		t.Errorf("lost %v, %v", lost, err)
	}
}

// The record that the value of a blank comes from is deleted before it was brought:
// whoever is left with the blank is told.
func TestBlankIsLeftByADeletion(t *testing.T) {
	for _, policy := range []string{"ignore", "ask"} {
		b := newPeople(t, 2)
		b.flow.Spec.Pairs[0].Deletes.HubSpot = policy
		b.rotate(record.HubSpot)
		b.dies(record.HubSpot, 0, "Stamp")
		b.now = b.now.Add(ledger.Lease)
		b.archive("7", true)
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Deleted), "Dropped")
		if !strings.Contains(b.reason(), "email may be blank there") || b.email(record.Destination, 0) != "" {
			t.Errorf("%s: it holds %q: %s", policy, b.email(record.Destination, 0), b.reason())
		}
		b.archive("7", false)
		b.event(record.HubSpot, "contacts", "7", flow.Restored)
		b.changed(record.HubSpot, 1)
		b.changed(record.HubSpot, 0)
		if got := b.email(record.Destination, 0); got != mails[1] {
			t.Errorf("%s: restored it holds %q: %s", policy, got, b.reason())
		}
	}
}
