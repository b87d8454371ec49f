package flow_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// TestMergeInAnyOrder: HubSpot answers with the survivor under both old ids, and
// the merge's own event may come late, twice or never. The partner that holds the
// survivor's e-mail goes on, whatever is heard first.
func TestMergeInAnyOrder(t *testing.T) {
	merge := func(b *bench) { b.event(record.HubSpot, "contacts", "900", flow.Merged, "8", "7") }
	changed := func(id string) func(*bench) {
		return func(b *bench) { b.event(record.HubSpot, "contacts", id, flow.Changed) }
	}
	partner := func(b *bench) {
		b.dest.put("customers/c_2", record.Fields{"first_name": "Robert"})
		b.event(record.Destination, "contacts", "c_2", flow.Changed)
	}
	for name, events := range map[string][]func(*bench){
		"merge first":             {merge, changed("900"), changed("7"), changed("8")},
		"merge last":              {changed("900"), changed("7"), merge},
		"merge twice":             {merge, merge},
		"merge lost":              {changed("7"), changed("8"), changed("900")},
		"survivor, then the old":  {changed("900"), changed("7"), changed("8")},
		"only the survivor":       {changed("900")},
		"the loser first":         {changed("8"), merge},
		"only the loser":          {changed("8"), changed("8")},
		"the loser's partner":     {partner, merge},
		"only a loser's partner":  {partner, changed("900")},
		"both losers, then merge": {changed("8"), partner, changed("7"), merge},
	} {
		each := func(t *testing.T, told bool) {
			b := newBench(t)
			b.created()
			b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
			b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
			b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
			row := b.hub.put("contacts/900", record.Fields{"lastname": "Byron"})
			if told {
				row.Merged = []string{"8", "7"}
			}
			b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row, row
			for _, event := range events {
				event(b)
			}
			if got := b.dest.rows["customers/c_1"].Fields["last_name"]; got != "Byron" || len(b.dest.rows) != 2 {
				t.Fatalf("last name %q, %d records: %s", got, len(b.dest.rows), b.reason())
			}
			if got := b.dest.rows["customers/c_2"].Fields["email"]; got != "bob@example.com" {
				t.Fatalf("the loser's partner was given the e-mail %q", got)
			}
			if !told {
				merge(b) // else nothing tells of one who is not like the survivor
			}
			if got := b.state(record.Destination, "c_2"); got != ledger.Parked {
				t.Fatalf("the loser's partner is %q", got)
			}
			outcomes, err := b.flow.Ledger.Outcomes(t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: "c_2"})
			if err != nil || !slices.ContainsFunc(outcomes, func(o ledger.Outcome) bool { return o.Kind == ledger.ParkedKind }) {
				t.Fatalf("nobody is told of the loser's partner: %v %v", outcomes, err)
			}
			b.still(record.Destination, "c_1", flow.Changed)
			b.still(record.Destination, "c_2", flow.Changed)
			b.still(record.HubSpot, "900", flow.Merged)
		}
		t.Run(name, func(t *testing.T) { each(t, true) })
		t.Run(name+", by a system that does not tell", func(t *testing.T) { each(t, false) })
	}
}

// The execution that follows a merge counts the partner that is left to people, once.
func TestMergeCountsWhomItLeaves(t *testing.T) {
	b := newBench(t)
	b.created()
	b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	row := b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
	b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row
	for _, want := range [][]string{{"customers c_2"}, nil} {
		b.want(b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8"), "Dropped")
		var s flow.Sections
		if err := json.Unmarshal(b.last.Output, &s); err != nil || !slices.Equal(s.Lookup.Parked, want) {
			t.Errorf("parked %v, want %v: %v", s.Lookup, want, err)
		}
	}
}

// The survivor is deleted, or erased, before its merge was heard of: what becomes of
// the partners is the same as when it had been followed in time.
func TestMergedAndGone(t *testing.T) {
	interrupted := func(b *bench, kind flow.Kind) {
		clear(b.hub.rows)
		b.event(record.HubSpot, "contacts", "900", kind)
		b.dest.fail = func(op string) error {
			if op == "archive" {
				return flow.Errorf(flow.RemoteRefused, "not now")
			}
			return nil
		}
		b.want(b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8"), "Failed")
		b.dest.fail = nil
		b.now = b.now.Add(time.Minute)
	}
	for name, gone := range map[string]func(*bench){
		"deletion first, interrupted": func(b *bench) {
			interrupted(b, flow.Deleted)
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
		},
		"erasure first, interrupted": func(b *bench) {
			interrupted(b, flow.Purged)
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
		},
		"erasure first, interrupted, then its deletion": func(b *bench) {
			interrupted(b, flow.Purged)
			b.dest.put("customers/c_1", record.Fields{"postcode": "3000"})
			b.event(record.HubSpot, "contacts", "900", flow.Deleted)
		},
		"erasure first, interrupted, then the partner's deletion": func(b *bench) {
			interrupted(b, flow.Purged)
			delete(b.dest.rows, "customers/c_1")
			b.event(record.Destination, "contacts", "c_1", flow.Deleted)
		},
		"merge first": func(b *bench) {
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
			b.event(record.HubSpot, "contacts", "900", flow.Deleted)
		},
		"deletion first": func(b *bench) {
			b.event(record.HubSpot, "contacts", "900", flow.Deleted)
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
		},
		"merge lost": func(b *bench) { b.event(record.HubSpot, "contacts", "900", flow.Deleted) },
		"gone for good, deletion first": func(b *bench) {
			clear(b.hub.rows)
			b.event(record.HubSpot, "contacts", "900", flow.Deleted)
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
		},
		"erased, merge last": func(b *bench) {
			clear(b.hub.rows)
			b.event(record.HubSpot, "contacts", "900", flow.Purged)
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := b.tallied()
			b.created()
			b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
			b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
			row := b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
			row.Merged, row.Archived = []string{"8", "7"}, true
			b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row, row
			gone(b)
			if b.state(record.HubSpot, "900") != ledger.Gone || b.state(record.HubSpot, "7") != ledger.Alias || b.state(record.HubSpot, "8") != ledger.Alias {
				t.Fatalf("the survivor is %q, the merged are %q and %q", b.state(record.HubSpot, "900"), b.state(record.HubSpot, "7"), b.state(record.HubSpot, "8"))
			}
			if len(b.dest.rows) != 1 {
				t.Fatalf("destination %v, want the loser's partner alone: %s", b.dest.rows, b.reason())
			}
			if _, left := b.dest.rows["customers/c_2"]; strings.HasPrefix(name, "eras") && (!left || !strings.Contains(b.reason(), "records c_2, parked")) {
				t.Errorf("nobody is told of the loser's partner: %s", b.reason())
			}
			if strings.HasSuffix(name, "partner's deletion") && (strings.Contains(b.reason(), "its partner") || strings.Contains(b.reason(), "900")) {
				t.Errorf("told of a partner that is not there: %s", b.reason())
			}
			for key, text := range b.dump(c) {
				if strings.HasPrefix(name, "eras") && strings.HasPrefix(key, "MAP#") && strings.Contains(text, `"f:`) {
					t.Errorf("%s still knows the erased: %s", key, text)
				}
			}
		})
	}
}

// A survivor that was put to rest with the partner it had keeps that one: whoever is
// heard of later was merged into it, too, and its partner is a person's to decide.
func TestMergedSurvivorAtRestKeepsItsPartner(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Deletes.HubSpot = "ask"
	b.created()
	b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	row := b.hub.put("contacts/900", record.Fields{"email": "carol@example.com", "firstname": "Bob"})
	b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp") // nothing tells of 7
	row.Archived = true
	b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row, row
	b.event(record.HubSpot, "contacts", "900", flow.Deleted)
	b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
	pair := b.flow.Spec.Pairs[0]
	for id, hub := range map[string]string{"c_1": "7", "c_2": "900"} {
		p, err := b.flow.Ledger.Find(t.Context(), pair, record.Ref{System: record.Destination, Object: "customers", ID: id}, "")
		if err != nil || p.State != ledger.Parked || p.IDs[record.HubSpot] != hub {
			t.Errorf("%s is %q with %v, want parked with %s: %v", id, p.State, p.IDs, hub, err)
		}
	}
	b.still(record.Destination, "c_2", flow.Changed)
}

// A partner that was deleted before the merge of its record is one of the losers: when
// it is restored, a person is told what became of that record, whether the survivor is
// still there or not, and an erasure of the survivor finds what is known of it.
func TestPartnerAtRestLosesInAMerge(t *testing.T) {
	for _, gone := range []bool{false, true} {
		b := newBench(t)
		c := b.tallied()
		b.created()
		b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
		b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
		deleted := b.dest.rows["customers/c_2"]
		delete(b.dest.rows, "customers/c_2")
		b.want(b.event(record.Destination, "contacts", "c_2", flow.Deleted), "Dropped")
		row := b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
		b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row
		b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
		if gone {
			clear(b.hub.rows)
		}
		b.dest.rows["customers/c_2"] = deleted
		b.still(record.Destination, "c_2", flow.Restored)
		if want := "its HubSpot record was merged into 900"; b.state(record.Destination, "c_2") != ledger.Parked || !strings.Contains(b.reason(), want) {
			t.Fatalf("it is %q: %s, want %s", b.state(record.Destination, "c_2"), b.reason(), want)
		}
		clear(b.hub.rows)
		b.event(record.HubSpot, "contacts", "900", flow.Purged)
		for key := range b.dump(c) {
			if strings.Contains(key, "#c_2") && !strings.HasPrefix(key, "MAP#") {
				t.Errorf("%s is still there", key)
			}
		}
	}
}

// A partner that has been merged is deleted with nobody: its old id stands for a
// record that holds another's data too.
func TestDeletionSparesAMergedPartner(t *testing.T) {
	b := newBench(t)
	hub, dest := b.created()
	b.flow.Spec.Pairs[0].Deletes.Destination = "archive"
	row := b.hub.rows["contacts/"+hub]
	row.ID = "900"
	b.hub.rows["contacts/900"], b.hub.rows["contacts/"+hub] = row, row
	delete(b.dest.rows, "customers/"+dest)
	b.event(record.Destination, "contacts", dest, flow.Deleted)
	if b.hub.rows["contacts/"+hub].Archived || len(b.hub.writes) > 0 {
		t.Fatalf("the merged contact was deleted: %v", b.hub.writes)
	}
	if !strings.Contains(b.reason(), "merged into 900") {
		t.Errorf("%s", b.reason())
	}
}

// The survivor's own create is in doubt when a merge gives it another's partner: what it
// may have made is a person's to decide, also where its key is another by now.
func TestMergedWhileItsCreateWasInDoubt(t *testing.T) {
	b := newBench(t)
	b.flow.Spec.Pairs[0].Destination.ExternalID, b.flow.Spec.Pairs[0].HubSpot.ExternalID = "", ""
	b.created()
	b.hub.put("contacts/900", record.Fields{"email": "augusta@example.com", "firstname": "Ada"})
	b.steps(record.HubSpot, "900", flow.Changed, "Transform", "Lookup", "Write")
	b.now = b.now.Add(ledger.Lease + ledger.Landing)
	b.hub.rows["contacts/7"] = b.hub.put("contacts/900", record.Fields{"email": "ada@example.com"})
	b.event(record.HubSpot, "contacts", "900", flow.Merged, "7")
	if got := b.contactOf("900"); got != "c_1" {
		t.Fatalf("the survivor's partner is %q: %s", got, b.reason())
	}
	b.event(record.Destination, "contacts", "c_2", flow.Changed)
	if len(b.hub.writes) != 0 || b.state(record.Destination, "c_2") != ledger.Parked {
		t.Errorf("HubSpot got %v, c_2 is %q: %s", b.hub.writes, b.state(record.Destination, "c_2"), b.reason())
	}
}

// A record that waited for a person, since its match was not clear, is merged into
// another: nobody is asked about it any more, and what is told of it goes to that one.
func TestMergedWhileItWaitedForAPerson(t *testing.T) {
	b := newBench(t)
	b.ambiguous()
	b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	row := b.hub.put("contacts/900", b.hub.rows["contacts/8"].Fields)
	b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row
	b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
	if got := b.state(record.HubSpot, "7"); got != ledger.Alias || b.state(record.HubSpot, "900") != ledger.Linked {
		t.Errorf("7 is %q, the survivor %q: %s", got, b.state(record.HubSpot, "900"), b.reason())
	}
}

// A write of the survivor's e-mail to one of the partners, or from it, was never
// confirmed: that one holds it, and goes on.
func TestMergeAfterAnUnconfirmedWrite(t *testing.T) {
	for name, begin := range map[string]func(*bench){
		"to a partner": func(b *bench) {
			b.hub.put("contacts/7", record.Fields{"email": "cleo@example.com", "firstname": "Cleo"})
			b.steps(record.HubSpot, "7", flow.Changed, "Transform", "Lookup", "Write") // and its worker dies
		},
		"from a partner": func(b *bench) {
			b.dest.put("customers/c_1", record.Fields{"email": "cleo@example.com", "first_name": "Cleo"})
			b.steps(record.Destination, "c_1", flow.Changed, "Transform", "Lookup", "Write")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.created()
			b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Ada"})
			b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
			begin(b)
			b.now = b.now.Add(ledger.Lease)
			row := b.hub.put("contacts/900", record.Fields{"email": "cleo@example.com", "firstname": "Ada"})
			row.Merged = []string{"7", "8"}
			b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row, row
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
			if got := b.contactOf("900"); got != "c_1" || b.dest.rows["customers/c_1"].Fields["email"] != "cleo@example.com" {
				t.Errorf("the survivor's partner is %q: %v", got, b.dest.rows)
			}
		})
	}
}

// A new record of the destination matches the survivor before anybody has heard of the merge.
// It is not linked to it: what was cleared there since the pair of a merged record agreed is a
// blank to be told of, not one to be filled.
func TestMergeUnheardMeetsAMatch(t *testing.T) {
	for name, c := range map[string]struct {
		email string // which the survivor holds
		told  bool
	}{
		"by the e-mail it holds":                        {"bob@example.com", true},
		"by a merged record's":                          {"ada@example.com", true},
		"by a merged record's, and does not tell of it": {"ada@example.com", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.created()
			b.hub.put("contacts/900", b.hub.rows["contacts/7"].Fields)
			row := b.hub.put("contacts/900", record.Fields{"email": c.email, "firstname": ""})
			if c.told {
				row.Merged = []string{"7", "8"}
			}
			b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row, row
			b.hub.beside = map[string]string{"bob@example.com": "900"}
			b.dest.put("customers/c_9", record.Fields{"email": "bob@example.com", "first_name": "Bob"})
			b.event(record.Destination, "contacts", "c_9", flow.Changed)
			b.event(record.HubSpot, "contacts", "900", flow.Merged, "7", "8")
			if got := b.contactOf("900"); got != "c_1" {
				t.Fatalf("the survivor's partner is %q: %s", got, b.reason())
			}
			if h, d := b.hub.rows["contacts/900"].Fields["firstname"], b.dest.rows["customers/c_1"].Fields["first_name"]; h != "" || d != "" {
				t.Errorf("the name that was cleared is %q and %q: %s", h, d, b.reason())
			}
			b.event(record.Destination, "contacts", "c_9", flow.Changed)
			if got := b.state(record.Destination, "c_9"); got != ledger.Parked {
				t.Errorf("the new record is %q", got)
			}
		})
	}
}

// The merge's own event comes when one of its records has been followed already and the
// survivor edited since. What it reads first is from before that edit, and tells nothing of
// who goes on.
func TestMergeReadBeforeAnEdit(t *testing.T) {
	b := newBench(t)
	b.created()
	b.hub.put("contacts/8", record.Fields{"email": "bob@example.com", "firstname": "Bob"})
	b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
	answers := func(row record.Record) {
		b.hub.rows["contacts/900"], b.hub.rows["contacts/7"], b.hub.rows["contacts/8"] = row, row, row
	}
	before := b.hub.put("contacts/900", record.Fields{"email": "ada@example.com", "firstname": "Bob"})
	answers(before)
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	after := b.hub.put("contacts/900", record.Fields{"email": "new@example.com", "firstname": "New"})
	answers(after)
	b.want(b.event(record.HubSpot, "contacts", "900", flow.Changed), "Stamp")
	reads := 0
	b.hub.fail = func(op string) error {
		if answers(before); reads >= 2 {
			answers(after)
		}
		reads++
		return nil
	}
	b.event(record.HubSpot, "contacts", "900", flow.Merged, "8", "7")
	if one, two := b.state(record.Destination, "c_1"), b.state(record.Destination, "c_2"); one != ledger.Linked || two != ledger.Parked {
		t.Errorf("the partner that holds the survivor's values is %q, the other %q: %s", one, two, b.reason())
	}
}
