package flow_test

import (
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// What somebody edits in the partner of a record that is gone travels once that is
// restored, however long it takes until the two can be compared.
func TestEditMeanwhileIsComparedAfterARestore(t *testing.T) {
	for _, policy := range []string{"ask", "ignore"} {
		t.Run(policy, func(t *testing.T) {
			b := newBench(t)
			b.flow.Spec.Pairs[0].Deletes.HubSpot = policy
			hub, dest := b.created()
			b.archive(hub, true)
			b.event(record.HubSpot, "contacts", hub, flow.Deleted)
			b.dest.put("customers/"+dest, record.Fields{"last_name": "Byron"})
			b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Dropped")
			b.archive(hub, false)
			b.now = b.now.Add(time.Minute)
			b.dest.fail = func(string) error {
				if b.state(record.HubSpot, hub) == ledger.Linked {
					return flow.Errorf(flow.RemoteBusy, "down")
				}
				return nil
			}
			b.want(b.event(record.HubSpot, "contacts", hub, flow.Restored), "Deferred")
			b.dest.fail, b.now = nil, b.now.Add(time.Hour)
			b.want(b.event(record.HubSpot, "contacts", hub, flow.Restored), "Stamp")
			if got := b.hub.rows["contacts/"+hub].Fields["lastname"]; got != "Byron" {
				t.Errorf("HubSpot holds %q: %s", got, b.reason())
			}
		})
	}
}

// A survivor whose merge was heard of when it had been deleted is restored before its
// partner could be: from then on a 404 says no more of it than of any other.
func TestMissingAfterARestoreIsUnknown(t *testing.T) {
	for end, edit := range map[string]record.Fields{"Dropped": {}, "Stamp": {"lastname": "Byron"}} {
		b := newBench(t)
		b.flow.Spec.Pairs[0].Deletes.HubSpot = "archive"
		b.created()
		row := b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
		there, gone := map[string]record.Record{"contacts/900": row, "contacts/7": row}, map[string]record.Record{}
		b.hub.rows = gone
		b.event(record.HubSpot, "contacts", "900", flow.Deleted)
		b.dest.fail = func(op string) error {
			if op == "read" {
				return flow.Errorf(flow.RemoteRefused, "not now")
			}
			return nil
		}
		b.want(b.event(record.HubSpot, "contacts", "900", flow.Merged, "7"), "Failed")
		b.dest.fail, b.hub.rows, b.now = nil, there, b.now.Add(time.Minute)
		b.hub.put("contacts/900", edit)
		b.want(b.event(record.HubSpot, "contacts", "900", flow.Restored), end)
		b.hub.rows = gone
		b.want(b.event(record.HubSpot, "contacts", "900", flow.Changed), "Failed")
		if !strings.Contains(b.reason(), string(flow.RecordMissing)) || len(b.dest.rows) != 1 {
			t.Errorf("%s: the destination holds %v: %s", end, b.dest.rows, b.reason())
		}
	}
}
