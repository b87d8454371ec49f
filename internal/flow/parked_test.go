package flow_test

import (
	"context"
	"testing"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
)

// slow is a table that is slow to put a record into a state.
type slow struct {
	table.Table
	state     ledger.State
	meanwhile func()
}

func (s *slow) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	if meanwhile := s.meanwhile; meanwhile != nil && updates[0].Set["state"] == string(s.state) {
		s.meanwhile = nil
		meanwhile()
	}
	return s.Table.Update(ctx, updates...)
}

// TestParkedAndRestored: a record that waits for a person is deleted, restored and heard
// of as restored before the execution of its deletion has settled that: it is there.
func TestParkedAndRestored(t *testing.T) {
	for _, kind := range []flow.Kind{flow.Changed, flow.Restored} {
		for _, version := range []bool{true, false} {
			b := newBench(t)
			pair, _ := b.flow.Spec.PairByName("contacts")
			ref := record.Ref{System: record.HubSpot, Object: "contacts", ID: "7"}
			p, err := b.flow.Ledger.Find(t.Context(), pair, ref, "")
			if err == nil {
				err = b.flow.Ledger.Settle(t.Context(), p, ref, ledger.Parked, "a person is asked")
			}
			if err != nil {
				t.Fatal(err)
			}
			b.flow.Ledger.Table = &slow{b.table, ledger.Gone, func() {
				row := b.hub.put("contacts/7", record.Fields{"email": "ada@example.com"})
				if !version {
					row.Version = ""
					b.hub.rows["contacts/7"] = row
				}
				b.want(b.event(record.HubSpot, "contacts", "7", kind), "Dropped")
			}}
			b.event(record.HubSpot, "contacts", "7", flow.Deleted)
			if state := b.state(record.HubSpot, "7"); state != ledger.Parked {
				t.Errorf("%s, with a version: %v: it is %s", kind, version, state)
			}
		}
	}
}

// The same of a pair about which a person is asked: that both are gone is settled only if
// neither is back.
func TestAskedDeletedAndRestored(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "ask"
	hub, dest := b.created()
	b.archive(hub, true)
	b.event(record.HubSpot, "contacts", hub, flow.Deleted)
	customer := b.dest.rows["customers/"+dest]
	delete(b.dest.rows, "customers/"+dest)
	b.flow.Ledger.Table = &slow{b.table, ledger.Gone, func() {
		b.dest.rows["customers/"+dest] = customer
		b.want(b.event(record.Destination, "contacts", dest, flow.Restored), "Dropped")
	}}
	b.event(record.Destination, "contacts", dest, flow.Deleted)
	if state := b.state(record.HubSpot, hub); state != ledger.Parked {
		t.Errorf("the pair is %s: %s", state, b.reason())
	}
}
