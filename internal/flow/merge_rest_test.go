package flow_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
)

// Both partners were deleted, and people asked: the merge makes none of them anew, and
// an erasure of the survivor finds what is known of the two, whenever it is heard of.
func TestMergedWhileBothAreAtRest(t *testing.T) {
	for name, order := range map[string][]flow.Kind{
		"merge first":               {flow.Merged, flow.Purged},
		"erasure first":             {flow.Purged, flow.Merged},
		"the deletion and the rest": {flow.Deleted, flow.Merged, flow.Purged},
		"merge lost":                {flow.Changed, flow.Purged},
	} {
		t.Run(name, func(t *testing.T) {
			b := newPeople(t, 2)
			c := b.tallied()
			for _, id := range b.ids[record.Destination] {
				delete(b.dest.rows, "customers/"+id)
				b.event(record.Destination, "contacts", id, flow.Deleted)
			}
			row := b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
			row.Merged = []string{"8", "7"}
			b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row, row
			for _, kind := range order {
				if kind == flow.Purged || kind == flow.Deleted {
					clear(b.hub.rows)
				}
				b.event(record.HubSpot, "contacts", "900", kind, "7", "8")
				if got := b.state(record.HubSpot, "900"); len(b.hub.rows) > 0 && got != ledger.Parked {
					t.Errorf("the survivor is %q: nobody is asked", got)
				}
			}
			if len(b.dest.rows) > 0 {
				t.Errorf("what was deleted is there again: %v", b.dest.rows)
			}
			if got := b.state(record.HubSpot, "900"); got != ledger.Gone || strings.Contains(b.reason(), "still exists") {
				t.Errorf("the survivor is %q: %s", got, b.reason())
			}
			for key, text := range b.dump(c) {
				if strings.HasPrefix(key, "MAP#") && strings.Contains(text, `"f:`) || strings.HasPrefix(key, "OUT#destination") {
					t.Errorf("%s is still known: %s", key, text)
				}
			}
		})
	}
}

// cut is a table that takes so many changes and no more.
type cut struct {
	table.Table
	after int
}

func (c *cut) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	if c.after--; c.after < 0 {
		return nil, errors.New("cut off")
	}
	return c.Table.Update(ctx, updates...)
}

// The erasure came first, and what its merge has left to be done was interrupted
// anywhere: any further event of the survivor ends it.
func TestErasureOfRecordsAtRestIsInterrupted(t *testing.T) {
	interrupted := 0
	for after := range 12 {
		b := newPeople(t, 2)
		c := b.tallied()
		for _, id := range b.ids[record.Destination] {
			delete(b.dest.rows, "customers/"+id)
			b.event(record.Destination, "contacts", id, flow.Deleted)
		}
		clear(b.hub.rows)
		b.event(record.HubSpot, "contacts", "900", flow.Purged)
		whole := c.Table
		c.Table = &cut{whole, after}
		end := b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
		c.Table, b.now = whole, b.now.Add(time.Minute)
		if b.state(record.HubSpot, "7") != ledger.Alias || end == "Dropped" {
			continue
		}
		interrupted++
		b.want(b.event(record.HubSpot, "contacts", "900", flow.Deleted), "Dropped")
		for key, text := range b.dump(c) {
			if strings.HasPrefix(key, "MAP#") && strings.Contains(text, `"f:`) || strings.HasPrefix(key, "OUT#destination") {
				t.Errorf("after %d changes %s is still known: %s", after, key, text)
			}
		}
	}
	if interrupted == 0 {
		t.Error("nothing was interrupted")
	}
}

// An erasure that is told of twice still says whom people are to look after.
func TestErasureToldTwice(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "ask"
	b.created()
	clear(b.hub.rows)
	for range 3 {
		b.event(record.HubSpot, "contacts", "7", flow.Purged)
		all, err := b.flow.Ledger.Outcomes(t.Context(), record.Ref{System: record.HubSpot, Object: "contacts", ID: "7"})
		if err != nil || len(all) == 0 || !strings.Contains(all[0].Reason, "c_1 still exists") {
			t.Errorf("nobody is told of c_1: %v, %v", all, err)
		}
	}
}
