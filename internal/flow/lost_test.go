package flow_test

import (
	"context"
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

// Created implements flow.Recents: a shelf's ids say nothing of time, so the
// bench notes when each was created.
func (s *shelf) Created(_ context.Context, object string, from, until time.Time, properties []string) (made []record.Record, err error) {
	for key, at := range s.born {
		if row, ok := s.rows[key]; ok && strings.HasPrefix(key, object+"/") && !at.Before(from) && !at.After(until) {
			made = append(made, s.shown(row, properties))
		}
	}
	return made, nil
}

// TestCreateWithoutMatchLosesItsAnswer: nothing recognises the records but their
// link. What the lost create has made is found by what was sent, or made once.
func TestCreateWithoutMatchLosesItsAnswer(t *testing.T) {
	fields := record.Fields{"email": "ada@example.com", "first_name": "Ada", "last_name": "L", "name": "Ada L", "status": "prospect"}
	for name, c := range map[string]struct {
		recent  bool
		twin    bool                     // another contact with the same values is linked already
		carried bool                     // the create was carried out before its answer was lost
		meddle  func(b *bench, s *shelf) // what happens meanwhile
		records int
		end     string
		reason  string
	}{
		"carried out":                    {recent: true, carried: true, records: 1, end: "Stamp"},
		"the twin is another's":          {recent: true, twin: true, carried: true, records: 2, end: "Stamp"},
		"not carried out":                {recent: true, records: 1, end: "Stamp"},
		"the system cannot be asked":     {carried: true, records: 1, end: "Failed", reason: "check by hand"},
		"one of its kind was there long": {recent: true, records: 2, end: "Stamp", meddle: func(b *bench, s *shelf) { s.bear("customers/old", -time.Hour, fields) }},
		"two of its kind":                {recent: true, carried: true, records: 2, end: "Dropped", reason: "two or more", meddle: func(b *bench, s *shelf) { s.bear("customers/twin", time.Second, fields) }},
		"a field has left the spec": {recent: true, carried: true, records: 1, end: "Stamp", meddle: func(b *bench, s *shelf) {
			pair := &b.flow.Spec.Pairs[0]
			pair.Fields = slices.DeleteFunc(slices.Clone(pair.Fields), func(f spec.Field) bool { return f.Name == "lastName" })
		}},
		"edited since": {recent: true, carried: true, records: 1, end: "Deferred", meddle: func(b *bench, s *shelf) { s.put("customers/c_1", record.Fields{"last_name": "Byron"}) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			pair := &b.flow.Spec.Pairs[0]
			pair.Match, pair.Destination.ExternalID = nil, ""
			b.dest.abilities = flow.Abilities{Versioned: true, Recent: c.recent}
			lose := func(op string) error {
				if op != "create" {
					return nil
				}
				b.dest.fail, b.dest.after = nil, nil
				if c.carried {
					b.dest.born[fmt.Sprint("customers/c_", len(b.dest.rows))] = b.now
				}
				if c.meddle != nil {
					c.meddle(b, b.dest)
				}
				return &flow.Error{Code: flow.RemoteBusy, Message: "504", Maybe: true}
			}
			person := record.Fields{"email": "Ada@Example.com", "firstname": "Ada", "lastname": "L", "hs_lead_status": "NEW"}
			if c.twin {
				b.hub.put("contacts/8", person)
				b.want(b.event(record.HubSpot, "contacts", "8", flow.Changed), "Stamp")
				b.dest.born["customers/c_1"] = b.now
			}
			if b.dest.after = lose; !c.carried {
				b.dest.fail, b.dest.after = lose, nil
			}
			b.hub.put("contacts/7", person)
			b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), c.end)
			if len(b.dest.rows) != c.records || !strings.Contains(b.reason(), c.reason) {
				t.Errorf("%d records, want %d: %s", len(b.dest.rows), c.records, b.reason())
			}
			if linked := b.state(record.HubSpot, "7") == ledger.Linked; linked != (c.end == "Stamp") {
				t.Errorf("the record is %s", b.state(record.HubSpot, "7"))
			}
		})
	}
}

// bear makes a record that somebody else created, at an instant from now.
func (s *shelf) bear(key string, at time.Duration, fields record.Fields) {
	s.born[key] = s.bench.now.Add(at)
	s.put(key, fields)
}
