package flow_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
)

// TestLongID: an id that fits no key of the table ends in a dead letter that says so, at
// once, wherever it has come from.
func TestLongID(t *testing.T) {
	long := strings.Repeat("x", ledger.MaxID+1)
	for name, run := range map[string]func(b *bench) string{
		"an event's": func(b *bench) string {
			b.dest.put("customers/"+long, record.Fields{"email": "a@example.com"})
			return b.event(record.Destination, "contacts", long, flow.Changed)
		},
		"of an erased record":      func(b *bench) string { return b.event(record.Destination, "contacts", long, flow.Purged) },
		"of a record that is gone": func(b *bench) string { return b.event(record.Destination, "contacts", long, flow.Changed) },
		"of a merged record": func(b *bench) string {
			b.created()
			return b.event(record.HubSpot, "contacts", "7", flow.Merged, long)
		},
		"a reference": func(b *bench) string {
			b.dest.put("orders/o_1", record.Fields{"customer_id": long})
			return b.event(record.Destination, "deals", "o_1", flow.Changed)
		},
		"of what matches": func(b *bench) string {
			b.dest.put("customers/"+long, record.Fields{"email": "a@example.com"})
			b.hub.put("contacts/7", record.Fields{"email": "a@example.com"})
			return b.event(record.HubSpot, "contacts", "7", flow.Changed)
		},
		"of what was created": func(b *bench) string {
			b.dest.prefix = long
			b.hub.put("contacts/7", record.Fields{"email": "a@example.com"})
			return b.event(record.HubSpot, "contacts", "7", flow.Changed)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			began := b.now
			b.want(run(b), "Failed")
			if b.last.Error != string(flow.IDTooLong) || len(b.deadLetters) != 1 || strings.Contains(strings.Join(b.last.Path, " "), "Postpone") {
				t.Fatalf("%v: %s, %d dead letters", b.last.Path, b.last.Error, len(b.deadLetters))
			}
			if cause := b.last.Cause; !strings.Contains(cause, "xxx...") || !strings.Contains(cause, "at most 1024") || len(cause) > 300 {
				t.Error(cause)
			}
			if b.now.Sub(began) > 10*time.Second {
				t.Errorf("it was retried for %s", b.now.Sub(began))
			}
		})
	}
}

// TestLongestID: an id of every byte that fits is linked, changed and told of as any other.
func TestLongestID(t *testing.T) {
	b := newBench(t)
	id := strings.Repeat("x", ledger.MaxID)
	b.dest.put("customers/"+id, record.Fields{"email": "a@example.com"})
	b.want(b.event(record.Destination, "contacts", id, flow.Changed), "Stamp")
	b.dest.put("customers/"+id, record.Fields{"last_name": "King"})
	b.want(b.event(record.Destination, "contacts", id, flow.Changed), "Stamp")
	l := &listing{live: []string{id}}
	in := &flow.Ingress{Flow: b.flow, Starter: run{b}, Lanes: 1}
	if _, err := in.Poll(t.Context(), record.Destination, "customers", l); err != nil {
		t.Fatal(err)
	}
	if known, err := b.flow.Ledger.Known(t.Context(), record.Destination, "customers", ""); err != nil || len(known) != 1 {
		t.Fatalf("%d records are known, %v", len(known), err)
	}
}

// versioned is a listing that tells versions, so that each line is compared with its row.
type versioned struct{ *listing }

func (v versioned) Changed(ctx context.Context, object, cursor string) ([]flow.ChangedRecord, string, bool, error) {
	lines, next, more, err := v.listing.Changed(ctx, object, cursor)
	for i := range lines {
		lines[i].Version = "1"
	}
	return lines, next, more, err
}

// TestLongIDAtTheDoor: a record that cannot be remembered holds up none that came with it,
// neither in a delivery, which would be delivered again, nor in a page of a poll.
func TestLongIDAtTheDoor(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("x", ledger.MaxID+1)
	var events told
	for _, id := range []string{long, "c_1"} {
		events = append(events, flow.Notification{ID: id, Object: "customers", Record: id, Kind: flow.Changed, Version: "1"})
	}
	in := &flow.Ingress{Flow: b.flow, Starter: new(starts), Lanes: 1, Receivers: map[record.System]flow.Receiver{record.Destination: events}}
	if a := in.Deliver(t.Context(), record.Destination, flow.Delivery{Method: http.MethodPost, At: b.now}); a.Status != http.StatusOK || a.Started != 2 {
		t.Errorf("the delivery was answered %+v", a)
	}
	l := versioned{&listing{live: []string{long, "c_1"}}}
	if n, err := in.Poll(t.Context(), record.Destination, "customers", l); n != 2 || err != nil {
		t.Errorf("the poll started %d executions, %v", n, err)
	}
	known, err := b.flow.Ledger.Known(t.Context(), record.Destination, "customers", "")
	if err != nil || len(known) != 1 {
		t.Errorf("%d records are known, %v", len(known), err)
	}
}

// refusing is a table that takes no request as valid.
type refusing struct{ table.Table }

func (refusing) Get(context.Context, ...table.Key) ([]table.Item, error) {
	return nil, fmt.Errorf("%w: the row is too large", table.ErrInvalid)
}

// TestInvalidRequest: what the table will never take is not tried for a day.
func TestInvalidRequest(t *testing.T) {
	b := newBench(t)
	b.created()
	b.flow.Ledger.Table = refusing{b.table}
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Failed")
	if b.last.Error != string(flow.Unexpected) || !strings.Contains(b.last.Cause, "the row is too large") {
		t.Fatal(b.last.Error, b.last.Cause)
	}
}
