package flow_test

import (
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

func (b *bench) want(got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Fatalf("ended in %s, want %s: %s\npath %v", got, want, b.reason(), b.last.Path)
	}
}

// created brings one contact over and returns both ids.
func (b *bench) created() (hub, dest string) {
	b.t.Helper()
	b.hub.put("contacts/7", record.Fields{"email": "Ada@Example.com", "firstname": "Ada", "lastname": "L", "hs_lead_status": "NEW"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	if len(b.dest.rows) != 1 {
		b.t.Fatalf("%d records in the destination", len(b.dest.rows))
	}
	return "7", "c_1"
}

func TestCreateUpdateEcho(t *testing.T) {
	b := newBench(t)
	_, dest := b.created()
	if got := b.dest.rows["customers/c_1"].Fields; got["email"] != "ada@example.com" || got["name"] != "Ada L" || got["status"] != "prospect" || got["hubspot_id"] != "7" {
		t.Fatalf("created %v", got)
	}
	// The destination tells of our own create: an echo, nothing is written.
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Dropped")
	if len(b.hub.writes) != 0 {
		t.Fatalf("the echo wrote %v", b.hub.writes)
	}
	// An edit travels as one field.
	b.hub.put("contacts/7", record.Fields{"hs_lead_status": "OPEN"})
	reads := b.dest.reads
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	if got := b.dest.writes[len(b.dest.writes)-1]; got != "update customers/c_1 [status]" || b.dest.reads != reads {
		t.Fatalf("wrote %q with %d reads of the target", got, b.dest.reads-reads)
	}
	// A redelivery writes nothing.
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Dropped")
	// And back.
	b.dest.put("customers/c_1", record.Fields{"first_name": "Augusta"})
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Stamp")
	if got := b.hub.rows["contacts/7"].Fields["firstname"]; got != "Augusta" {
		t.Fatalf("first name is %q", got)
	}
	// The echo of that one finds the derived name out of step and brings it along.
	b.event(record.HubSpot, "contacts", "7", flow.Changed)
	if got := b.dest.rows["customers/c_1"].Fields["name"]; got != "Augusta L" {
		t.Fatalf("name is %q", got)
	}
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Dropped")
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Dropped")
}

func TestConflictFollowsPolicyAndKeepsTheLoser(t *testing.T) {
	b := newBench(t)
	_, dest := b.created()
	b.hub.put("contacts/7", record.Fields{"hs_lead_status": "OPEN", "zip": "2000"})
	b.dest.put("customers/c_1", record.Fields{"status": "closed", "postcode": "3000"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	h, d := b.hub.rows["contacts/7"].Fields, b.dest.rows["customers/c_1"].Fields
	if h["hs_lead_status"] != "OPEN" || d["status"] != "lead" || h["zip"] != "3000" || d["postcode"] != "3000" {
		t.Fatalf("hubspot %v, destination %v", h, d)
	}
	lost, err := b.flow.Ledger.Conflicts(t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: "c_1"})
	if err != nil || len(lost) != 2 {
		t.Fatalf("lost %v, %v", lost, err)
	}
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Dropped")
}

func TestCommitThenTimeoutMakesOneRecord(t *testing.T) {
	b := newBench(t)
	b.dest.abilities.Once = false
	failed := false
	b.dest.after = func(op string) error {
		if op == "create" && !failed {
			failed = true
			return &flow.Error{Code: flow.RemoteBusy, Message: "504", Maybe: true}
		}
		return nil
	}
	b.created()
}

func TestFirstContactLinksWithoutWriting(t *testing.T) {
	b := newBench(t)
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "firstname": "Ada", "lastname": "L"})
	b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com", "first_name": "Ada", "last_name": "L", "name": "Ada L"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	if len(b.dest.writes)+len(b.hub.writes) != 0 {
		t.Fatalf("wrote %v %v", b.dest.writes, b.hub.writes)
	}
	b.want(b.event(record.Destination, "contacts", "c_9", flow.Changed), "Dropped")
}

// A space at the end of a match value makes no other record of it.
func TestMatchWithASpace(t *testing.T) {
	b := newBench(t)
	b.hub.put("companies/7", record.Fields{"domain": "acme.example"})
	b.dest.put("accounts/c_9", record.Fields{"domain": " acme.example "})
	b.want(b.event(record.Destination, "companies", "c_9", flow.Changed), "Stamp")
	if len(b.hub.rows) != 1 {
		t.Errorf("HubSpot holds %v", b.hub.rows)
	}
}

func TestTwoCandidatesAreParked(t *testing.T) {
	b := newBench(t)
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com"})
	b.dest.put("customers/c_8", record.Fields{"email": "ada@example.com"})
	b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Dropped")
	if !strings.Contains(b.reason(), "parked") || len(b.dest.writes) != 0 {
		t.Fatalf("%s; wrote %v", b.reason(), b.dest.writes)
	}
}

func TestMergeKeepsThePairUnderItsNewID(t *testing.T) {
	b := newBench(t)
	b.created()
	b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	row := b.hub.rows["contacts/7"]
	delete(b.hub.rows, "contacts/7")
	delete(b.hub.rows, "contacts/8")
	b.hub.put("contacts/900", row.Fields)
	b.hub.put("contacts/900", record.Fields{"lastname": "Byron"})
	b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
	if got := b.dest.rows["customers/c_1"].Fields["last_name"]; got != "Byron" || len(b.dest.rows) != 2 {
		t.Fatalf("last name %q, %d records: %s", got, len(b.dest.rows), b.reason())
	}
	b.want(b.event(record.Destination, "contacts", "c_2", flow.Changed), "Dropped")
	if !strings.Contains(b.reason(), "merged into 900") {
		t.Fatal(b.reason())
	}
}

func TestDeletionIsArchivedAndNotResurrected(t *testing.T) {
	b := newBench(t)
	_, dest := b.created()
	delete(b.hub.rows, "contacts/7")
	b.event(record.HubSpot, "contacts", "7", flow.Deleted)
	policy := b.flow.Spec.Pairs[0].Deletes.HubSpot
	if gone := len(b.dest.rows) == 0; gone != (policy == "archive") {
		t.Fatalf("policy %q, destination %v: %s", policy, b.dest.rows, b.reason())
	}
	b.event(record.Destination, "contacts", dest, flow.Deleted)
	b.event(record.HubSpot, "contacts", "7", flow.Changed)
	if len(b.hub.rows) != 0 {
		t.Fatal("resurrected")
	}
}

func TestPoisonGoesToTheDeadLetter(t *testing.T) {
	b := newBench(t)
	b.hub.put("contacts/7", record.Fields{"email": "a@example.com", "hs_lead_status": "EVANGELIST"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Failed")
	if b.last.Error != string(flow.UnknownEnum) || len(b.deadLetters) != 1 || strings.Contains(string(b.deadLetters[0]), "EVANGELIST") {
		t.Fatalf("%s %s", b.last.Error, b.deadLetters)
	}
}

func TestForgedEnvelopeIsRefused(t *testing.T) {
	b := newBench(t)
	e := flow.Envelope{Client: "acme", Pair: "contacts", ID: "7", Direction: "hubspot-to-destination"}
	_, err := b.flow.Verify(t.Context(), flow.State{Event: e})
	if flow.CodeOf(err) != flow.BadSeal {
		t.Fatalf("got %v", err)
	}
}

func TestLoopBreakerParksOnlyTheField(t *testing.T) {
	b := newBench(t)
	_, dest := b.created()
	for i := range 6 {
		b.hub.put("contacts/7", record.Fields{"firstname": "H" + string(rune('a'+i))})
		b.event(record.HubSpot, "contacts", "7", flow.Changed)
		b.dest.put("customers/c_1", record.Fields{"first_name": "D" + string(rune('a'+i))})
		b.event(record.Destination, "contacts", dest, flow.Changed)
	}
	b.hub.put("contacts/7", record.Fields{"firstname": "last", "lastname": "other"})
	b.event(record.HubSpot, "contacts", "7", flow.Changed)
	d := b.dest.rows["customers/c_1"].Fields
	if d["first_name"] == "last" || d["last_name"] != "other" {
		t.Fatalf("destination %v", d)
	}
}

// A target that is never as it was looked at is not tried for ever: not by one execution.
func TestRoundsAreCounted(t *testing.T) {
	b := newBench(t)
	hub, _ := b.created()
	b.hub.put("contacts/"+hub, record.Fields{"zip": "2010"})
	b.dest.fail = func(op string) error {
		if op == "update" {
			return flow.Errorf(flow.PreconditionFailed, "it has moved")
		}
		return nil
	}
	b.want(b.event(record.HubSpot, "contacts", hub, flow.Changed), "Deferred")
	writes := 0
	for _, state := range b.last.Path {
		if state == "Write" {
			writes++
		}
	}
	if writes != 5 || !strings.Contains(string(b.last.Output), string(flow.PreconditionFailed)) {
		t.Errorf("%d rounds, then %s: %v", writes, b.last.Output, b.last.Path)
	}
}

// What an execution has created is known in every later round, also where nothing
// else leads to it.
func TestCreatedRecordIsKnownInLaterRounds(t *testing.T) {
	b := newBench(t)
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "firstname": "Ada"})
	b.dest.put("customers/c_9", record.Fields{"name": "Ada"})
	e, err := b.flow.Seals.Seal(flow.Envelope{Client: "acme", Direction: spec.ToDestination, Pair: "contacts", ID: "7", Kind: flow.Changed, Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for what, done := range map[string]flow.Sections{
		"second round": {Lookup: &flow.Plan{}, Write: &flow.Written{Sides: map[record.System]*flow.Confirmation{record.Destination: {Created: "c_9"}}}},
		"third round":  {Lookup: &flow.Plan{Round: 1, Made: "c_9"}},
	} {
		s := flow.State{Event: e, Sections: done}
		if s.Transform, err = b.flow.Transform(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		plan, err := b.flow.Lookup(t.Context(), s)
		if err != nil || plan.IDs[record.Destination] != "c_9" || plan.Made != "c_9" || plan.Round != done.Lookup.Round+1 {
			t.Errorf("%s: %+v, %v", what, plan, err)
		}
		b.now = b.now.Add(time.Minute) // the lease lapses
	}
}
