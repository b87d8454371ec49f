package flow_test

import (
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// Two people swap their addresses while the create of one's partner has lost its answer.
// What it has made is in the ring, too, though it is linked to nobody yet.
func TestSwappedWhileACreateIsInDoubt(t *testing.T) {
	for name, order := range map[string][]int{"the linked one first": {0, 1}, "the new one first": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			b := newPeople(t, 1)
			b.hub.put("contacts/8", record.Fields{"email": mails[1], "firstname": "P8"})
			b.dest.after = func(string) error {
				b.dest.after = nil
				b.set(record.HubSpot, 0, mails[1])
				b.hub.put("contacts/8", record.Fields{"email": mails[0]})
				return &flow.Error{Code: flow.RemoteBusy, Message: "no answer", Maybe: true}
			}
			b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Deferred")
			b.ids[record.HubSpot], b.ids[record.Destination] = []string{"7", "8"}, []string{"c_1", "c_2"}
			waiting := map[int]bool{0: true, 1: true}
			for range 3 {
				b.now = b.now.Add(5 * time.Minute)
				for _, i := range order {
					if waiting[i] {
						waiting[i] = b.later(record.HubSpot, "contacts", b.ids[record.HubSpot][i], 3) != "Stamp"
					}
				}
			}
			if len(b.deadLetters) > 0 || len(b.dest.rows) != 2 {
				t.Errorf("%d dead letters, %v", len(b.deadLetters), b.dest.rows)
			}
			b.all(len(b.lost()), mails[1], mails[0])
		})
	}
}
