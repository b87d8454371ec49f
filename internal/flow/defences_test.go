package flow_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// many links n contacts.
func (b *bench) many(n int) {
	b.t.Helper()
	for i := range n {
		id := fmt.Sprint(100 + i)
		b.hub.put("contacts/"+id, record.Fields{"email": id + "@example.com", "firstname": "N", "zip": "2000"})
		b.want(b.event(record.HubSpot, "contacts", id, flow.Changed), "Stamp")
	}
}

func TestGuardsStopMassChanges(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Guards.Deletes, b.flow.Spec.Guards.Clears = 2, 2
	b.many(8)
	for i := range 4 {
		b.hub.put(fmt.Sprint("contacts/", 100+i), record.Fields{"firstname": "Other", "zip": ""})
		b.event(record.HubSpot, "contacts", fmt.Sprint(100+i), flow.Changed)
	}
	cleared := 0
	for _, row := range b.dest.rows {
		if row.Fields["postcode"] == "" {
			cleared++
		}
	}
	if cleared != 2 || !strings.Contains(b.reason(), "parked") {
		t.Fatalf("%d postcodes were cleared: %s", cleared, b.reason())
	}
	for i := 4; i < 8; i++ {
		delete(b.hub.rows, fmt.Sprint("contacts/", 100+i))
		b.event(record.HubSpot, "contacts", fmt.Sprint(100+i), flow.Deleted)
	}
	if len(b.dest.rows) != 6 || b.state(record.HubSpot, "107") != ledger.Parked {
		t.Fatalf("%d records are left: %s", len(b.dest.rows), b.reason())
	}
	// An hour later deletions pass again.
	b.now = b.now.Add(time.Hour)
	delete(b.hub.rows, "contacts/100")
	b.event(record.HubSpot, "contacts", "100", flow.Deleted)
	if len(b.dest.rows) != 5 {
		t.Fatalf("%d records are left: %s", len(b.dest.rows), b.reason())
	}
}

// TestGuardsCountAChangeOnce: one clear that its system refuses, decided on again and
// again, uses up nothing that others need.
func TestGuardsCountAChangeOnce(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Guards.Clears = 2
	b.many(2)
	b.dest.fail = func(op string) error {
		if strings.HasPrefix(op, "update") {
			return flow.Errorf(flow.RemoteRefused, "400")
		}
		return nil
	}
	b.hub.put("contacts/100", record.Fields{"zip": ""})
	for range 5 {
		b.want(b.event(record.HubSpot, "contacts", "100", flow.Changed), "Failed")
	}
	b.dest.fail = nil
	for _, id := range []string{"101", "100"} {
		b.hub.put("contacts/"+id, record.Fields{"zip": ""})
		b.want(b.event(record.HubSpot, "contacts", id, flow.Changed), "Stamp")
	}
}

// TestLossOfMeeting: a record is written to because it matches another, and is then
// linked to a third. What the write has overwritten is told of the record that held it.
func TestLossOfMeeting(t *testing.T) {
	b := newBench(t)
	for i, field := range b.flow.Spec.Pairs[0].Fields {
		if field.Name == "lastName" {
			b.flow.Spec.Pairs[0].Fields[i].Policy = spec.PolicyDestination
		}
	}
	b.hub.put("contacts/7", record.Fields{"email": "a@example.com", "lastname": "H"})
	b.dest.put("customers/c_9", record.Fields{"email": "a@example.com", "last_name": "D"})
	b.hub.after = func(string) error { return flow.Errorf(flow.RemoteRefused, "the worker is gone") }
	b.want(b.event(record.Destination, "contacts", "c_9", flow.Changed), "Failed")
	b.hub.after = nil
	b.dest.put("customers/c_9", record.Fields{"email": "b@example.com"})
	b.now = b.now.Add(time.Hour)
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	pair := b.flow.Spec.Pairs[0]
	p, err := b.flow.Ledger.Find(t.Context(), pair, record.Ref{System: record.HubSpot, Object: "contacts", ID: "7"}, "")
	if err != nil || p.IDs[record.Destination] == "c_9" || b.hub.rows["contacts/7"].Fields["lastname"] != "D" {
		t.Fatalf("linked to %s, %v: %s", p.IDs, err, b.reason())
	}
	lost, err := b.flow.Ledger.Losses(t.Context(), pair, p)
	if err != nil || len(lost) != 1 || lost[0].Loser != "H" {
		t.Fatalf("lost %+v, %v, want H", lost, err)
	}
}

func TestDriftIsReportedOnce(t *testing.T) {
	b := newBench(t)
	_, dest := b.created()
	b.dest.put("customers/c_1", record.Fields{"name": "Countess"})
	before := b.wrote()
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Dropped")
	if !strings.HasPrefix(b.reason(), "drift") {
		t.Fatal(b.reason())
	}
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Dropped")
	if strings.HasPrefix(b.reason(), "drift") || b.wrote() != before {
		t.Fatalf("%s; wrote %d", b.reason(), b.wrote()-before)
	}
}

// TestPoliciesAndClocks: both sides edit one field; later is by how much the
// destination's edit is younger in its own clock.
func TestPoliciesAndClocks(t *testing.T) {
	for _, c := range []struct {
		policy string
		later  time.Duration
		want   string
	}{
		{spec.PolicyHubSpot, time.Minute, "H"}, {spec.PolicyHubSpot, -time.Minute, "H"},
		{spec.PolicyDestination, time.Minute, "D"}, {spec.PolicyDestination, -time.Minute, "D"},
		{spec.PolicyNewest, time.Minute, "D"}, {spec.PolicyNewest, -time.Minute, "H"},
		{spec.PolicyNewest, time.Second, "H"}, {spec.PolicyNewest, -time.Second, "H"},
		{spec.PolicyNewest, 24 * time.Hour, "H"}, // a clock that tells of the future is not believed
	} {
		for _, first := range []record.System{record.HubSpot, record.Destination} {
			t.Run(fmt.Sprint(c.policy, " ", c.later, " from ", first), func(t *testing.T) {
				b := newBench(t)
				_, dest := b.created()
				for i, field := range b.flow.Spec.Pairs[0].Fields {
					if field.Name == "lastName" {
						b.flow.Spec.Pairs[0].Fields[i].Policy = c.policy
					}
				}
				h := b.hub.put("contacts/7", record.Fields{"lastname": "H"})
				d := b.dest.put("customers/c_1", record.Fields{"last_name": "D"})
				b.now = b.now.Add(2 * time.Minute)
				d.UpdatedAt = h.UpdatedAt.Add(c.later)
				b.dest.rows["customers/c_1"] = d
				b.event(first, "contacts", map[record.System]string{record.HubSpot: "7", record.Destination: dest}[first], flow.Changed)
				if h, d := b.hub.rows["contacts/7"].Fields["lastname"], b.dest.rows["customers/c_1"].Fields["last_name"]; h != c.want || d != c.want {
					t.Fatalf("HubSpot holds %q, the destination %q, want %q: %s", h, d, c.want, b.reason())
				}
				lost, err := b.flow.Ledger.Conflicts(t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: dest})
				if err != nil || len(lost) != 1 || lost[0].Loser == c.want {
					t.Fatalf("recorded %v, %v", lost, err)
				}
			})
		}
	}
}

func TestFirstContactOfEqualRecordsWritesNothing(t *testing.T) {
	b := newBench(t)
	for i := range 100 {
		email := fmt.Sprintf("p%d@example.com", i)
		b.hub.put(fmt.Sprint("contacts/", 100+i), record.Fields{"email": email, "firstname": "Ann", "lastname": "L", "hs_lead_status": "NEW"})
		b.dest.put(fmt.Sprint("customers/c", i), record.Fields{"email": email, "first_name": "Ann", "last_name": "L", "name": "Ann L", "status": "prospect"})
	}
	for i := range 100 {
		b.want(b.event(record.HubSpot, "contacts", fmt.Sprint(100+i), flow.Changed), "Stamp")
		b.want(b.event(record.Destination, "contacts", fmt.Sprint("c", i), flow.Changed), "Dropped")
	}
	if b.wrote() != 0 {
		t.Fatalf("wrote %v %v", b.hub.writes, b.dest.writes)
	}
}

// quarrel has automation in each system rewrite the last name after every change, each
// its own way, until it has no more to say.
func (b *bench) quarrel() {
	b.t.Helper()
	_, dest := b.created()
	rewrite := func(s *shelf, key, property string, as func(string) string) {
		if v := s.rows[key].Fields[property]; as(v) != v {
			s.put(key, record.Fields{property: as(v)})
		}
	}
	for range 12 {
		rewrite(b.hub, "contacts/7", "lastname", strings.ToUpper)
		b.event(record.HubSpot, "contacts", "7", flow.Changed)
		rewrite(b.dest, "customers/c_1", "last_name", func(s string) string { return "de " + strings.TrimPrefix(strings.ToLower(s), "de ") })
		b.event(record.Destination, "contacts", dest, flow.Changed)
	}
}

// TestRewritersAreStopped: the quarrel cannot end, so the breaker ends it.
func TestRewritersAreStopped(t *testing.T) {
	b := newBench(t)
	b.quarrel()
	// The derived name follows HubSpot's last name and is no part of the quarrel.
	quarrel := 0
	for _, w := range append(slices.Clone(b.hub.writes), b.dest.writes...) {
		if strings.Contains(w, "lastName") || strings.Contains(w, "last_name") || strings.Contains(w, "lastname") {
			quarrel++
		}
	}
	t.Logf("%d writes of the field, %d in all", quarrel, b.wrote())
	p, err := b.flow.Ledger.Find(t.Context(), b.flow.Spec.Pairs[0], record.Ref{System: record.HubSpot, Object: "contacts", ID: "7"}, "")
	if err != nil || len(p.ParkedFields) != 1 || p.ParkedFields["lastName"] == "" || quarrel > 4 {
		t.Fatalf("parked %v after %d writes, %v", p.ParkedFields, quarrel, err)
	}
	b.hub.put("contacts/7", record.Fields{"zip": "2000"})
	b.event(record.HubSpot, "contacts", "7", flow.Changed)
	if got := b.dest.rows["customers/c_1"].Fields["postcode"]; got != "2000" {
		t.Fatalf("the postcode is %q: %s", got, b.reason())
	}
	b.dest.put("customers/c_1", record.Fields{"last_name": "Lovelace"})
	b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Dropped")
	if got := b.reason(); !strings.Contains(got, "parked") || !strings.Contains(got, "lastName") {
		t.Errorf("of an edit of the parked field it says %q", got)
	}
}

// TestFieldAddedToTheSpec: linked pairs have no base for it. The next event of
// each record agrees on what is equal and fills what is blank; nothing is
// written to the others, so no storm follows a deployment.
func TestFieldAddedToTheSpec(t *testing.T) {
	b := newBench(t)
	b.many(3)
	b.hub.put("contacts/100", record.Fields{"city": "Perth"})
	b.dest.put("customers/c_1", record.Fields{"town": "Perth"}) // equal
	b.hub.put("contacts/101", record.Fields{"city": "Sydney"})  // blank on the other side
	s := *b.flow.Spec
	s.Pairs = slices.Clone(s.Pairs)
	s.Pairs[0].Fields = append(slices.Clone(s.Pairs[0].Fields), spec.Field{
		Name: "city", HubSpot: spec.Prop{Property: "city"}, Destination: spec.Prop{Property: "town"}, Policy: spec.PolicyNewest,
	})
	options := b.flow.Options
	options.Spec = &s
	var err error
	if b.flow, err = flow.New(options); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for i, want := range []int{0, 1, 0} {
			before := b.wrote()
			b.event(record.HubSpot, "contacts", fmt.Sprint(100+i), flow.Changed)
			b.event(record.Destination, "contacts", fmt.Sprint("c_", 1+i), flow.Changed)
			if got := b.wrote() - before; got > want {
				t.Errorf("record %d: %d writes, want at most %d: %v", i, got, want, b.dest.writes)
			}
		}
	}
	if got := b.dest.rows["customers/c_2"].Fields["town"]; got != "Sydney" {
		t.Fatalf("the town is %q", got)
	}
	before := b.wrote()
	for i := range 3 {
		b.event(record.HubSpot, "contacts", fmt.Sprint(100+i), flow.Changed)
	}
	if b.wrote() != before {
		t.Fatal("a redelivery wrote")
	}
}

// TestLoopOverTwoFields: each field travels in one direction only, so that neither
// alternates, but automation in the destination answers the one with the other. It ends
// after as many turns as the record's own budget allows, while the canary, which is
// written by turns on purpose, goes on, and so does a record that is slow to turn.
func TestLoopOverTwoFields(t *testing.T) {
	const turns = 100
	for name, c := range map[string]struct {
		pause  time.Duration
		canary string
		loops  bool
	}{
		"fast":      {time.Second, "", true},
		"polled":    {30 * time.Second, "", true},
		"slow":      {5 * time.Minute, "", false},
		"a canary":  {30 * time.Second, "7", false},
		"no canary": {30 * time.Second, "8", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.created()
			b.flow.Spec.Canary = &spec.Canary{Pair: "contacts", Record: c.canary}
			for i := range turns {
				b.dest.put("customers/c_1", record.Fields{"first_name": fmt.Sprint("Ann", i)})
				b.event(record.Destination, "contacts", "c_1", flow.Changed)
				b.now = b.now.Add(c.pause)
				b.hub.put("contacts/7", record.Fields{"lastname": fmt.Sprint("Lee", i)})
				b.event(record.HubSpot, "contacts", "7", flow.Changed)
				b.now = b.now.Add(c.pause)
			}
			p, err := b.flow.Ledger.Find(t.Context(), b.flow.Spec.Pairs[0], record.Ref{System: record.HubSpot, Object: "contacts", ID: "7"}, "")
			if err != nil || c.loops != (len(p.ParkedFields) > 0) {
				t.Fatalf("parked are %v after %d writes (%v)", p.ParkedFields, b.wrote(), err)
			}
		})
	}
}

// TestRefusedWriteIsNoTurn: the destination refuses, for an hour, what is to be written
// there, while what comes from there reaches HubSpot each time. No field is taken out.
func TestRefusedWriteIsNoTurn(t *testing.T) {
	b := newBench(t)
	b.created()
	b.dest.refuse = func(string, record.Fields) error { return flow.Errorf(flow.RemoteRefused, "422") }
	b.hub.put("contacts/7", record.Fields{"lastname": "Byron"})
	for i := range 100 {
		b.dest.put("customers/c_1", record.Fields{"first_name": fmt.Sprint("Ann", i)})
		b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Failed")
		b.now = b.now.Add(20 * time.Second)
	}
	b.dest.refuse = nil
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	if h, d := b.hub.rows["contacts/7"].Fields, b.dest.rows["customers/c_1"].Fields; h["firstname"] != "Ann99" || d["last_name"] != "Byron" {
		t.Errorf("HubSpot holds %v, the destination %v", h, d)
	}
}

// TestSecretsCannotBeRead: of an event whose seal cannot be checked now nothing is said
// for good; it is tried again, then put off.
func TestSecretsCannotBeRead(t *testing.T) {
	b := newBench(t)
	b.hub.put("contacts/7", record.Fields{"email": "a@example.com"})
	sealed, asked := b.flow.Seals.Secrets, 0
	b.flow.Seals.Secrets = func(s record.System) ([]string, error) {
		if asked++; asked == 1 { // the ingress seals
			return sealed(s)
		}
		return nil, errors.New("throttled")
	}
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Deferred")
	if asked < 4 || len(b.deadLetters) > 0 {
		t.Errorf("the secrets were asked for %d times; dead letters %s", asked, b.deadLetters)
	}
}
