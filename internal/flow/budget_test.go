package flow_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// tally counts the requests to a table and remembers the partitions written.
type tally struct {
	table.Table
	requests   int
	partitions map[string]bool
}

func (c *tally) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	c.requests++
	return c.Table.Get(ctx, keys...)
}

func (c *tally) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	c.requests++
	for _, u := range updates {
		c.partitions[u.Key.PK] = true
	}
	return c.Table.Update(ctx, updates...)
}

func (c *tally) Query(ctx context.Context, pk, after string, limit int) ([]table.Item, error) {
	c.requests++
	return c.Table.Query(ctx, pk, after, limit)
}

// tallied puts a tally between a bench's ledger and its table.
func (b *bench) tallied() *tally {
	c := &tally{Table: b.table, partitions: map[string]bool{}}
	b.flow.Ledger.Table = c
	return c
}

// cost is what something took of both systems and of the table.
type cost struct{ hubReads, hubWrites, destReads, destWrites, table int }

func (b *bench) cost(c *tally, do func()) cost {
	h, d, hw, dw, n := b.hub.reads, b.dest.reads, len(b.hub.writes), len(b.dest.writes), c.requests
	do()
	return cost{b.hub.reads - h, len(b.hub.writes) - hw, b.dest.reads - d, len(b.dest.writes) - dw, c.requests - n}
}

// TestBudgetOfAnUpdate counts the budgets of design section 6. Towards HubSpot
// one more read is by design: it has no conditional write, so it is read before
// it is overwritten.
func TestBudgetOfAnUpdate(t *testing.T) {
	b := newBench(t)
	c := b.tallied()
	_, dest := b.created()
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Dropped")
	for _, step := range []struct {
		name, ends string
		edit       func()
		from       record.System
		id         string
		want       cost
	}{
		{"an update from HubSpot", "Stamp", func() { b.hub.put("contacts/7", record.Fields{"hs_lead_status": "OPEN"}) }, record.HubSpot, "7",
			cost{hubReads: 1, destWrites: 1, table: 3}},
		{"its echo", "Dropped", func() {}, record.Destination, dest, cost{destReads: 1, table: 2}},
		{"its redelivery", "Dropped", func() {}, record.HubSpot, "7", cost{hubReads: 1, table: 2}},
		{"an update from the destination", "Stamp", func() { b.dest.put("customers/c_1", record.Fields{"phone": "+61412345678"}) }, record.Destination, dest,
			cost{destReads: 1, hubReads: 1, hubWrites: 1, table: 3}},
		// HubSpot has no conditional write: how far its record was compared is noted now.
		{"its echo", "Dropped", func() {}, record.HubSpot, "7", cost{hubReads: 1, table: 3}},
		{"its redelivery", "Dropped", func() {}, record.Destination, dest, cost{destReads: 1, table: 2}},
		{"the next update from HubSpot", "Stamp", func() { b.hub.put("contacts/7", record.Fields{"hs_lead_status": "CONNECTED"}) }, record.HubSpot, "7",
			cost{hubReads: 1, destWrites: 1, table: 3}},
	} {
		step.edit()
		if got := b.cost(c, func() { b.want(b.event(step.from, "contacts", step.id, flow.Changed), step.ends) }); got != step.want {
			t.Errorf("%s cost %+v, want %+v", step.name, got, step.want)
		}
	}
}

// told is a receiver whose deliveries are the notifications themselves.
type told []flow.Notification

func (told) Verify(flow.Delivery) error                         { return nil }
func (n told) Parse(flow.Delivery) ([]flow.Notification, error) { return n, nil }

// starts remembers the executions an ingress starts.
type starts []string

func (s *starts) Start(_ context.Context, _ spec.Direction, name string, _ json.RawMessage) error {
	*s = append(*s, name)
	return nil
}

func (b *bench) deliver(events ...flow.Notification) (flow.Answer, int) {
	var started starts
	in := &flow.Ingress{Flow: b.flow, Starter: &started, Lanes: 1, Receivers: map[record.System]flow.Receiver{record.HubSpot: told(events)}}
	answer := in.Deliver(b.t.Context(), record.HubSpot, flow.Delivery{Method: http.MethodPost, At: b.now})
	if answer.Status != http.StatusOK {
		b.t.Fatalf("answered %d: %s", answer.Status, answer.Problem)
	}
	return answer, len(started)
}

func (b *bench) notice(property, value string) flow.Notification {
	return flow.Notification{
		ID: property, Object: "contacts", Record: "7", Kind: flow.Changed, At: b.now.Add(time.Millisecond),
		Values: record.Fields{property: value},
	}
}

func TestEchoWithItsValueStartsNothing(t *testing.T) {
	b := newBench(t)
	c := b.tallied()
	_, dest := b.created()
	b.dest.put("customers/c_1", record.Fields{"status": "lead"})
	b.event(record.Destination, "contacts", dest, flow.Changed)
	if got := b.hub.rows["contacts/7"].Fields["hs_lead_status"]; got != "OPEN" {
		t.Fatalf("the status is %q: %s", got, b.reason())
	}
	var answer flow.Answer
	var started int
	got := b.cost(c, func() { answer, started = b.deliver(b.notice("hs_lead_status", "OPEN")) })
	if want := (cost{table: 3}); got != want || started != 0 || answer.Dropped != 1 {
		t.Fatalf("the echo started %d, dropped %d and cost %+v, want %+v", started, answer.Dropped, got, want)
	}
	if _, started = b.deliver(b.notice("hs_lead_status", "NEW")); started != 1 {
		t.Fatalf("an edit started %d executions", started)
	}
}

func TestOneActionIsOneExecution(t *testing.T) {
	b := newBench(t)
	b.created()
	answer, started := b.deliver(b.notice("firstname", "Augusta"), b.notice("lastname", "King"), b.notice("zip", "2000"), b.notice("phone", "0412345678"))
	if started != 1 || answer.Events != 4 {
		t.Fatalf("%d events started %d executions", answer.Events, started)
	}
}
