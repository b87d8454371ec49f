package flow_test

import (
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// couple is a linked contact and customer, of which people delete and restore either.
type couple struct {
	*bench
	ids, keys map[record.System]string
	at        map[record.System]*shelf
	away      map[record.System]record.Record
}

func newCouple(t *testing.T, deletes spec.Deletes) *couple {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes = deletes
	hub, dest := b.created()
	return &couple{
		bench: b, away: map[record.System]record.Record{},
		ids:  map[record.System]string{record.HubSpot: hub, record.Destination: dest},
		keys: map[record.System]string{record.HubSpot: "contacts/" + hub, record.Destination: "customers/" + dest},
		at:   map[record.System]*shelf{record.HubSpot: b.hub, record.Destination: b.dest},
	}
}

func (c *couple) remove(sys record.System) {
	c.away[sys] = c.at[sys].rows[c.keys[sys]]
	delete(c.at[sys].rows, c.keys[sys])
}

func (c *couple) restore(sys record.System) { c.at[sys].rows[c.keys[sys]] = c.away[sys] }

// told runs the execution of an event a minute later.
func (c *couple) told(sys record.System, kind flow.Kind) {
	c.t.Helper()
	c.now = c.now.Add(time.Minute)
	c.event(sys, "contacts", c.ids[sys], kind)
}

// A record is deleted, its partner kept; it is restored and its partner deleted, and of
// neither anybody has heard when its restore is told of. Which was later nobody knows:
// nothing is made or deleted, a person is asked, and a second restore is the answer.
func TestRestoredWhileItsPartnerIsDeleted(t *testing.T) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		for _, policy := range []string{"ask", "ignore"} {
			for _, kind := range []flow.Kind{flow.Restored, flow.Changed} {
				t.Run(string(sys)+" "+policy+" "+string(kind), func(t *testing.T) {
					c, other := newCouple(t, spec.Deletes{HubSpot: policy, Destination: policy}), sys.Other()
					c.remove(sys)
					c.told(sys, flow.Deleted)
					c.restore(sys)
					c.remove(other)
					wrote := c.wrote()
					c.told(sys, kind)
					c.told(other, flow.Deleted)
					c.told(sys, flow.Changed)
					if c.wrote() != wrote || c.state(record.HubSpot, "7") != ledger.Parked {
						t.Errorf("HubSpot holds %v, the destination %v, the pair is %q: %s", c.hub.rows, c.dest.rows, c.state(record.HubSpot, "7"), c.reason())
					}
					c.restore(other)
					c.told(other, kind)
					if c.wrote() != wrote || c.state(record.HubSpot, "7") != ledger.Linked {
						t.Errorf("both are back, the pair is %q: %s", c.state(record.HubSpot, "7"), c.reason())
					}
				})
			}
		}
	}
}

// The deletion of the partner that was kept is heard of first. Where the record was not
// restored yet, both are gone, and its restore is the later word. Where it was, the
// deletion follows the policy.
func TestKeptPartnerIsDeleted(t *testing.T) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		for _, policy := range []string{"ask", "ignore"} {
			t.Run(string(sys)+" "+policy, func(t *testing.T) {
				c, other := newCouple(t, spec.Deletes{HubSpot: policy, Destination: policy}), sys.Other()
				c.remove(sys)
				c.told(sys, flow.Deleted)
				c.remove(other)
				c.told(other, flow.Deleted)
				if got := c.state(record.HubSpot, "7"); got != ledger.Gone {
					t.Errorf("both are gone, the pair is %q: %s", got, c.reason())
				}
				c.restore(sys)
				c.told(sys, flow.Restored)
				if len(c.at[other].rows) != 1 || c.state(sys, c.ids[sys]) != ledger.Linked {
					t.Errorf("restored it is %q: %s", c.state(sys, c.ids[sys]), c.reason())
				}
			})
			t.Run(string(sys)+" "+policy+", restored before", func(t *testing.T) {
				deletes := spec.Deletes{HubSpot: policy, Destination: "archive"}
				if sys == record.Destination {
					deletes = spec.Deletes{HubSpot: "archive", Destination: policy}
				}
				c, other := newCouple(t, deletes), sys.Other()
				c.remove(sys)
				c.told(sys, flow.Deleted)
				c.restore(sys)
				c.remove(other)
				c.told(other, flow.Deleted)
				c.told(sys, flow.Restored)
				if len(c.hub.rows)+len(c.dest.rows) != 0 || c.state(record.HubSpot, "7") != ledger.Gone {
					t.Errorf("HubSpot holds %v, the destination %v, the pair is %q: %s", c.hub.rows, c.dest.rows, c.state(record.HubSpot, "7"), c.reason())
				}
			})
		}
	}
}

// The partner is restored, too, and heard of just before a person is asked about the two.
func TestBothRestoredOneAfterTheOther(t *testing.T) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		c, other := newCouple(t, spec.Deletes{HubSpot: "ignore", Destination: "ignore"}), sys.Other()
		c.remove(sys)
		c.told(sys, flow.Deleted)
		c.restore(sys)
		c.remove(other)
		c.flow.Ledger.Table = &slow{c.table, ledger.Parked, func() {
			c.restore(other)
			c.event(other, "contacts", c.ids[other], flow.Restored)
		}}
		if c.told(sys, flow.Restored); c.state(record.HubSpot, "7") != ledger.Linked {
			t.Errorf("the pair is %q: %s", c.state(record.HubSpot, "7"), c.reason())
		}
	}
}
