package flow_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// What an execution waits for ends by itself, by time or by others who do not
// wait for it: these are the cases in which nobody comes.

// TestMakerIsNeverHeardOfAgain: a create loses its answer, its record goes, and
// no event tells of that. What was made is a person's once the create has landed.
func TestMakerIsNeverHeardOfAgain(t *testing.T) {
	b := newBench(t)
	b.dest.after = func(op string) error {
		if op != "create" {
			return nil
		}
		clear(b.hub.rows)
		return &flow.Error{Code: flow.RemoteBusy, Message: "504", Maybe: true}
	}
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "firstname": "Ada"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Failed")
	b.dest.after = nil
	if _, made := b.dest.rows["customers/c_1"]; !made || b.state(record.HubSpot, "7") != ledger.Claimed {
		t.Fatalf("made %v, the contact is %q", b.dest.rows, b.state(record.HubSpot, "7"))
	}
	b.now = b.now.Add(ledger.Lease + ledger.Landing)
	b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Dropped")
	if !strings.Contains(b.reason(), "it was made for a record that has been deleted since") || len(b.hub.rows) != 0 {
		t.Errorf("%s; HubSpot holds %v", b.reason(), b.hub.rows)
	}
}

// TestLostCreateAndItsResultDoNotWaitForEachOther: what a lost create has made was
// edited and cannot be told any more. The create waits for it, and its event for
// the create.
func TestLostCreateAndItsResultDoNotWaitForEachOther(t *testing.T) {
	b := newBench(t)
	pair := &b.flow.Spec.Pairs[0]
	pair.Match, pair.Destination.ExternalID = nil, ""
	b.dest.abilities = flow.Abilities{Versioned: true, Recent: true}
	b.dest.after = func(op string) error {
		if op != "create" {
			return nil
		}
		b.dest.born["customers/c_1"] = b.now
		b.dest.put("customers/c_1", record.Fields{"last_name": "Byron"})
		return &flow.Error{Code: flow.RemoteBusy, Message: "504", Maybe: true}
	}
	b.hub.put("contacts/7", record.Fields{"email": "ada@example.com", "firstname": "Ada", "lastname": "L"})
	ends := []string{b.event(record.HubSpot, "contacts", "7", flow.Changed)}
	b.dest.after = nil
	for range 2 { // as the machines postpone: one asks while the other's place still counts
		b.now = b.now.Add(2 * time.Minute)
		ends = append(ends, b.event(record.Destination, "contacts", "c_1", flow.Changed))
		b.now = b.now.Add(2 * time.Minute)
		ends = append(ends, b.event(record.HubSpot, "contacts", "7", flow.Changed))
	}
	if got, want := fmt.Sprint(ends), "[Deferred Deferred Dropped Stamp Dropped]"; got != want {
		t.Errorf("the executions end in %s, want %s", got, want)
	}
	if got := b.state(record.HubSpot, "7"); got != ledger.Parked || !strings.Contains(b.reason(), "edited since") || len(b.dest.rows) != 1 {
		t.Errorf("the contact is %q, %s; destination %v", got, b.reason(), b.dest.rows)
	}
}

// TestRefusedCreateHoldsNobodyUp: a create without a match value was refused for
// good. It has made nothing, so a record of the other side is not held up by it.
func TestRefusedCreateHoldsNobodyUp(t *testing.T) {
	b := newBench(t)
	refused := flow.Errorf(flow.RemoteRefused, "400: a value is not allowed")
	b.hub.fail = func(op string) error {
		if op == "create" {
			return refused
		}
		return nil
	}
	b.dest.put("customers/c_9", record.Fields{"first_name": "Ada"})
	b.want(b.event(record.Destination, "contacts", "c_9", flow.Changed), "Failed")
	b.hub.put("contacts/7", record.Fields{"firstname": "Byron"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	b.hub.fail = nil
	b.want(b.event(record.Destination, "contacts", "c_9", flow.Changed), "Stamp")
	if len(b.hub.rows) != 2 || len(b.dest.rows) != 2 {
		t.Errorf("HubSpot holds %v, the destination %v", b.hub.rows, b.dest.rows)
	}
}

// TestStreamOfCreatesStarvesNobody: creates of which nothing tells what they make
// begin one after the other. Those begun after a record was met did not make it.
func TestStreamOfCreatesStarvesNobody(t *testing.T) {
	b := newBench(t)
	pair, n := b.flow.Spec.Pairs[0], 900
	claim := func(in ledger.Intent) error {
		ref := record.Ref{System: record.HubSpot, Object: "contacts", ID: fmt.Sprint(n)}
		p, err := b.flow.Ledger.Row(t.Context(), pair, ref)
		if err != nil || in.Create == "" {
			return errors.Join(err, b.flow.Ledger.Settle(t.Context(), p, ref, ledger.Gone, "done"))
		}
		return b.flow.Ledger.Claim(t.Context(), p, ref, "", in)
	}
	begin := func() {
		n++
		if err := claim(ledger.Intent{Execution: "stream", At: b.now, Create: record.Destination}); err != nil {
			t.Fatal(err)
		}
	}
	next := func() {
		if err := claim(ledger.Intent{}); err != nil {
			t.Fatal(err)
		}
		begin()
	}
	begin()
	b.dest.put("customers/c_9", record.Fields{"email": "ada@example.com", "first_name": "Ada"})
	b.dest.fail = func(op string) error {
		if op == "read" {
			next()
		}
		return nil
	}
	b.want(b.event(record.Destination, "contacts", "c_9", flow.Changed), "Stamp")
	if len(b.hub.rows) == 0 {
		t.Errorf("%s; HubSpot holds nothing", b.reason())
	}
}

// TestSystemIsPutBack: a system was restored from a backup, so that its versions
// begin again below those that were seen. For a moment that looks like a replica
// that lags; then what it holds counts, and edits travel on both ways.
func TestSystemIsPutBack(t *testing.T) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		t.Run(string(sys), func(t *testing.T) {
			b := newBench(t)
			hub, dest := b.created()
			b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Dropped")
			type end struct {
				shelf              *shelf
				key, id, name, zip string
			}
			ends := map[record.System]end{
				record.HubSpot:     {b.hub, "contacts/" + hub, hub, "lastname", "zip"},
				record.Destination: {b.dest, "customers/" + dest, dest, "last_name", "postcode"},
			}
			there, here := ends[sys], ends[sys.Other()]
			for n, name := range []string{"Byron", "King"} {
				b.now = b.now.Add(2 * time.Minute)
				row := there.shelf.put(there.key, record.Fields{there.name: name})
				row.Version, row.ETag = fmt.Sprintf("2020-01-01T00:00:0%d.000Z", 9-n), fmt.Sprintf(`"old %d"`, n)
				there.shelf.rows[there.key] = row
				b.want(b.event(sys, "contacts", there.id, flow.Changed), "Stamp")
				if got := here.shelf.rows[here.key].Fields[here.name]; got != name {
					t.Fatalf("an edit after it did not travel: %q, %s", got, b.reason())
				}
			}
			row := there.shelf.rows[there.key]
			row.Version = "2019-01-01T00:00:00.000Z"
			there.shelf.rows[there.key] = row
			here.shelf.put(here.key, record.Fields{here.zip: "3000"})
			b.now = b.now.Add(2 * time.Minute)
			b.want(b.event(sys.Other(), "contacts", here.id, flow.Changed), "Stamp")
			if got := there.shelf.rows[there.key].Fields[there.zip]; got != "3000" {
				t.Fatalf("an edit towards it did not travel: %q, %s", got, b.reason())
			}
		})
	}
}

// TestDeletedIDIsGivenToANewRecord: versions begin again with it, and what it holds travels.
func TestDeletedIDIsGivenToANewRecord(t *testing.T) {
	b := newBench(t)
	hub, dest := b.created()
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Dropped")
	delete(b.dest.rows, "customers/"+dest)
	b.event(record.Destination, "contacts", dest, flow.Deleted)
	b.now = b.now.Add(6 * time.Second)
	row := b.dest.put("customers/"+dest, record.Fields{"email": "ada@example.com", "last_name": "Byron"})
	row.Version, row.ETag = "1", `"1"`
	b.dest.rows["customers/"+dest] = row
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Stamp")
	if got := b.hub.rows["contacts/"+hub].Fields["lastname"]; got != "Byron" {
		t.Errorf("HubSpot holds %q: %s", got, b.reason())
	}
}

// TestParkedIsTouched: a record whose match was not clear is looked at again when a
// person has edited it, and by no event that is only repeated.
func TestParkedIsTouched(t *testing.T) {
	b := newBench(t)
	b.ambiguous()
	for _, id := range []string{"c_8", "c_9"} {
		b.want(b.event(record.Destination, "contacts", id, flow.Changed), "Dropped")
	}
	b.dest.put("customers/c_9", record.Fields{"email": "bob@example.com"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Dropped")
	if b.want(b.event(record.Destination, "contacts", "c_9", flow.Changed), "Stamp"); len(b.hub.rows) != 2 {
		t.Fatalf("HubSpot holds %v", b.hub.rows)
	}
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Dropped")
	b.hub.put("contacts/7", record.Fields{"firstname": "Ada B"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	if got := b.dest.rows["customers/c_8"].Fields["first_name"]; got != "Ada B" || len(b.dest.rows) != 2 || len(b.hub.rows) != 2 {
		t.Errorf("HubSpot holds %v, the destination %v", b.hub.rows, b.dest.rows)
	}
}

// An execution that has read a parked record before its last edit comes after the edit's
// own: that the edit has been looked at is not forgotten.
func TestParkedByAnOlderRead(t *testing.T) {
	b := newBench(t)
	b.ambiguous()
	s := b.steps(record.HubSpot, "7", flow.Restored, "Transform")
	b.hub.put("contacts/7", record.Fields{"firstname": "Ada B"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Dropped")
	if _, err := b.flow.Handle(t.Context(), "Lookup", s); err != nil {
		t.Fatal(err)
	}
	b.dest.put("customers/c_9", record.Fields{"email": "bob@example.com"})
	b.now = b.now.Add(time.Hour)
	b.still(record.HubSpot, "7", flow.Restored)
}
