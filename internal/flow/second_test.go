package flow_test

import (
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// A destination that tells whole seconds: an edit before our write or deletion, in the
// very second of the change that was the last one we had seen, is told of by that second.
func TestEditInTheSecondOfTheLastChange(t *testing.T) {
	for name, c := range map[string]struct {
		clock   time.Duration // after the last change, when the record was read
		deletes bool
		want    int
	}{
		"before we update it":                      {want: 1},
		"before we delete it":                      {deletes: true, want: 1},
		"that was over when we read, and updated":  {clock: time.Second},
		"that was over when we read, and deleted":  {clock: time.Second, deletes: true},
		"of a clock that is behind, and we delete": {clock: -time.Second, deletes: true, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := deletes(t)
			b.dest.abilities.ConditionalWrite = false
			b.now = b.now.Truncate(time.Second).Add(time.Minute)
			row := b.dest.put("customers/c_1", record.Fields{"postcode": "2000"})
			second := row.UpdatedAt
			row.Clock = second.Add(c.clock)
			b.dest.rows["customers/c_1"] = row
			b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Stamp")
			if c.deletes {
				b.archive("7", true)
				b.event(record.HubSpot, "contacts", "7", flow.Deleted)
			} else {
				b.hub.put("contacts/7", record.Fields{"lastname": "Ours"})
				b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
			}
			b.heard(flow.Changed, second)
			if lost := b.lost(); len(lost) != c.want {
				t.Errorf("recorded is %+v, want %d of the last name: %s", lost, c.want, b.reason())
			}
		})
	}
}
