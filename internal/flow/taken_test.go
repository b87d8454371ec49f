package flow_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// A record is deleted between the read on which a patch was decided and the patch:
// it is decided again, and no dead letter, whether or not its system has versions.
func TestDeletedBeforeThePatch(t *testing.T) {
	for name, can := range map[string]flow.Abilities{
		"conditional":     {Versioned: true, ConditionalWrite: true},
		"not conditional": {Versioned: true},
		"no versions":     {},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			hub, dest := b.created()
			b.dest.abilities = can
			b.dest.fail = func(op string) error {
				if op == "update" {
					delete(b.dest.rows, "customers/"+dest)
				}
				return nil
			}
			b.hub.put("contacts/"+hub, record.Fields{"zip": "2000"})
			b.want(b.event(record.HubSpot, "contacts", hub, flow.Changed), "Dropped")
			if !strings.Contains(b.reason(), "its partner in destination is missing") || len(b.deadLetters) > 0 || len(b.dest.rows) > 0 {
				t.Errorf("%s; %d dead letters, %d customers", b.reason(), len(b.deadLetters), len(b.dest.rows))
			}
			b.event(record.Destination, "contacts", dest, flow.Deleted)
			if s := b.state(record.HubSpot, hub); s != ledger.Parked {
				t.Errorf("after the deletion's own event the pair is %q", s)
			}
		})
	}
	t.Run("HubSpot's", func(t *testing.T) {
		b := newBench(t)
		hub, dest := b.created()
		b.hub.fail = func(op string) error {
			if op == "update" {
				delete(b.hub.rows, "contacts/"+hub)
			}
			return nil
		}
		b.dest.put("customers/"+dest, record.Fields{"postcode": "2000"})
		b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Dropped")
		b.event(record.HubSpot, "contacts", hub, flow.Deleted)
		if !strings.Contains(b.reason(), "edited in destination since both agreed: postcode") || len(b.dest.rows) != 1 {
			t.Errorf("the deletion's own event: %s; %d customers", b.reason(), len(b.dest.rows))
		}
	})
}

// two links two contacts, 7 with customer c_1 and 8 with c_2, and makes e-mails unique
// in the destination, whose refusals name the holder if told is true.
func (b *bench) two(told bool) (tries *int) {
	b.created()
	b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	tries = new(int)
	b.dest.refuse = func(id string, fields record.Fields) error {
		for _, row := range b.dest.rows {
			if email := fields["email"]; email != "" && row.ID != id && (row.Fields["email"] == email || b.dest.beside[email] == row.ID) {
				*tries++
				e := flow.Errorf(flow.AlreadyExists, "409, duplicate")
				if told {
					e.ExistingID = row.ID
				}
				return e
			}
		}
		return nil
	}
	return tries
}

// A patch is refused because another record holds a unique value. Where that one will
// go on holding it, the dead letter comes at once and says whose the value is.
func TestTakenValue(t *testing.T) {
	for name, c := range map[string]struct {
		told  bool
		set   func(*bench)
		tries int
		says  string
	}{
		"by a linked record whose partner holds it too": {true, func(b *bench) {}, 1,
			"customers c_2 holds the value that email is to get, and is linked to contacts 8"},
		"the same, which gives up what need not be unique": {true, func(b *bench) {
			b.hub.put("contacts/7", record.Fields{"firstname": "Bob"})
			b.hub.put("contacts/8", record.Fields{"firstname": "Rob"})
		}, 1, "customers c_2 holds the value that email is to get, and is linked to contacts 8"},
		"the same, where the refusal does not tell": {false, func(b *bench) {}, 1,
			"customers c_2 holds the value that email is to get, and is linked to contacts 8"},
		"beside its own, by one that has another field in common": {true, func(b *bench) {
			b.hub.put("contacts/8", record.Fields{"email": "rob@example.com", "zip": "2000"})
			b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
			b.dest.beside = map[string]string{"bob@example.com": "c_2"}
		}, 1, "customers c_2 holds the value that email is to get beside its own one"},
		"by a record of nobody's": {true, func(b *bench) {
			b.dest.put("customers/c_9", record.Fields{"email": "bob@example.com"})
			b.dest.put("customers/c_2", record.Fields{"email": "other@example.com"})
		}, 1, "customers c_9 holds the value that email is to get, and is linked to no record"},
		"by a record at rest": {true, func(b *bench) {
			delete(b.hub.rows, "contacts/8")
			b.flow.Spec.Pairs[0].Deletes.HubSpot = "ignore"
			b.event(record.HubSpot, "contacts", "8", flow.Deleted)
		}, 1, "customers c_2 holds the value that email is to get, and is at rest (deleted in hubspot; kept in destination)"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			tries := b.two(c.told)
			c.set(b)
			b.hub.put("contacts/7", record.Fields{"email": "Bob@example.com", "zip": "2000"})
			b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Failed")
			if b.last.Error != string(flow.RemoteRefused) || !strings.Contains(b.last.Cause, c.says) || *tries != c.tries {
				t.Errorf("after %d tries, want %d: %s %s", *tries, c.tries, b.last.Error, b.last.Cause)
			}
			if strings.Contains(strings.ToLower(b.last.Cause), "bob@") {
				t.Errorf("the value is told: %s", b.last.Cause)
			}
			if rows := maps.Clone(b.dest.rows); rows["customers/c_1"].Fields["email"] != "ada@example.com" {
				t.Errorf("written all the same: %v", rows["customers/c_1"])
			}
		})
	}
}

// Where the holder's own change or deletion is under way, the patch is tried again,
// and goes through once the value is free.
func TestTakenValueThatBecomesFree(t *testing.T) {
	for name, c := range map[string]struct{ begin, end func(*bench) }{
		"changed": {
			func(b *bench) { b.hub.put("contacts/8", record.Fields{"email": "bob2@example.com"}) },
			func(b *bench) { b.dest.put("customers/c_2", record.Fields{"email": "bob2@example.com"}) },
		},
		"deleted": {
			func(b *bench) { delete(b.hub.rows, "contacts/8") },
			func(b *bench) { delete(b.dest.rows, "customers/c_2") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			tries := b.two(true)
			c.begin(b)
			b.dest.fail = func(op string) error {
				if op == "update" && *tries == 2 {
					c.end(b)
				}
				return nil
			}
			b.hub.put("contacts/7", record.Fields{"email": "bob@example.com"})
			b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
			if *tries != 2 || b.dest.rows["customers/c_1"].Fields["email"] != "bob@example.com" {
				t.Errorf("after %d tries %v", *tries, b.dest.rows["customers/c_1"].Fields)
			}
		})
	}
	t.Run("while it is asked who holds it, by one that has another field in common", func(t *testing.T) {
		b := newBench(t)
		b.two(true)
		b.hub.put("contacts/8", record.Fields{"zip": "2000"})
		b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
		refused := b.dest.refuse
		b.dest.refuse = func(id string, fields record.Fields) error {
			err := refused(id, fields)
			if err != nil {
				b.dest.put("customers/c_2", record.Fields{"email": "bob2@example.com"})
			}
			return err
		}
		b.hub.put("contacts/7", record.Fields{"email": "bob@example.com", "zip": "2000"})
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
		if len(b.deadLetters) > 0 || b.dest.rows["customers/c_1"].Fields["email"] != "bob@example.com" {
			t.Errorf("%d dead letters, %v", len(b.deadLetters), b.dest.rows["customers/c_1"].Fields)
		}
	})
	t.Run("and is not within the time that is given to it", func(t *testing.T) {
		b := newBench(t)
		tries := b.two(true)
		b.hub.put("contacts/8", record.Fields{"email": "bob2@example.com"})
		b.hub.put("contacts/7", record.Fields{"email": "bob@example.com"})
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Deferred")
		for n := range 30 {
			b.now = b.now.Add(5 * time.Minute)
			if end := b.later(record.HubSpot, "contacts", "7", 1+n); end != "Deferred" {
				b.want(end, "Failed")
				break
			}
		}
		if *tries > 100 || b.last.Error != string(flow.AlreadyExists) || !strings.Contains(b.last.Cause, "customers c_2 holds the value that email is to get, and has not given it up yet") {
			t.Errorf("after %d tries: %s %s", *tries, b.last.Error, b.last.Cause)
		}
		b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	})
}

// Who holds a value is linked to a record that cannot be asked just now: nobody knows
// whether it will give the value up, and neither a dead letter nor a person is called for.
func TestHolderThatCannotBeAsked(t *testing.T) {
	for name, c := range map[string]struct{ id, after string }{
		"of a patch":            {"7", "update"},
		"of a new record's key": {"9", "read"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.two(true)
			b.hub.put("contacts/8", record.Fields{"email": "bob2@example.com"})
			b.hub.put("contacts/"+c.id, record.Fields{"email": "bob@example.com"})
			asked, limited := false, 0
			b.dest.fail = func(op string) error {
				asked = asked || op == c.after
				return nil
			}
			b.hub.fail = func(op string) error {
				if op != "read" || !asked || limited > 0 {
					return nil
				}
				limited++
				return flow.Errorf(flow.RateLimited, "429")
			}
			b.want(b.event(record.HubSpot, "contacts", c.id, flow.Changed), "Deferred")
			if state := b.state(record.HubSpot, c.id); limited != 1 || len(b.deadLetters) > 0 || state == ledger.Parked {
				t.Errorf("after %d refusals: %d dead letters, the record is %s: %s", limited, len(b.deadLetters), state, b.reason())
			}
		})
	}
}

// A value is waited for no longer because the events come under the id of a record that
// was merged into the one that is to get it, while its own create waited.
func TestPatienceUnderAMergedID(t *testing.T) {
	b := newBench(t)
	b.two(true)
	b.hub.put("contacts/9", record.Fields{"firstname": "Ada"})
	b.steps(record.HubSpot, "9", flow.Changed, "Transform", "Lookup")
	row := b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
	row.Merged, row.Fields["email"] = []string{"9", "7"}, "bob@example.com"
	b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/9"] = row, row, row
	b.hub.put("contacts/8", record.Fields{"email": "bob2@example.com"})
	b.want(b.event(record.HubSpot, "contacts", "9", flow.Changed), "Deferred")
	b.now = b.now.Add(91 * time.Minute)
	b.want(b.event(record.HubSpot, "contacts", "9", flow.Changed), "Failed")
}
