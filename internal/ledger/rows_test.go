package ledger_test

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// onOtherRows are plays of what is kept beside the pairs, and of outcomes.
var onOtherRows = map[string]func(*rig){
	"a cursor is moved once": func(r *rig) {
		r.must(r.MoveCursor(r.Context(), record.Destination, "orders", "1", 0))
		r.is(r.MoveCursor(r.Context(), record.Destination, "orders", "2", 0), ledger.ErrMoved)
		if c, rev, err := r.Cursor(r.Context(), record.Destination, "orders"); c != "1" || rev != 1 || err != nil {
			r.Fatalf("%q at %d, %v", c, rev, err)
		}
	},
	"a deployment keeps its id": func(r *rig) {
		first, err := r.Deployment(r.Context())
		r.must(err)
		other := &ledger.Ledger{Table: r.Table, Client: r.Client, Now: r.now}
		if again, err := other.Deployment(r.Context()); again != first || len(first) != 16 || err != nil {
			r.Fatalf("%q, then %q, %v", first, again, err)
		}
	},
	"what arrived is listed newest first, in one row a delivery": func(r *rig) {
		for _, ids := range [][]string{{"1", "2"}, {"3"}} {
			var all []ledger.Arrival
			for _, id := range ids {
				all = append(all, ledger.Arrival{Ref: record.Ref{System: record.HubSpot, Object: "contacts", ID: id}, Execution: "e" + id})
			}
			r.must(r.Arrived(r.Context(), spec.ToDestination, all))
			r.pass(time.Second)
		}
		first, next, err := r.Arrivals(r.Context(), spec.ToDestination, ledger.ArrivedBefore(r.Now()), 1)
		if err != nil || len(first) != 1 || first[0].Ref.ID != "3" || !first[0].At.Equal(r.Now().Add(-time.Second).Truncate(time.Millisecond)) {
			r.Fatalf("first %+v, %v", first, err)
		}
		if more, end, err := r.Arrivals(r.Context(), spec.ToDestination, next, 9); err != nil || len(more) != 2 || more[1].Execution != "e2" || end != "" {
			r.Fatalf("then %+v, %q, %v", more, end, err)
		}
		if none, _, err := r.Arrivals(r.Context(), spec.ToHubSpot, "", 9); len(none) > 0 || err != nil {
			r.Fatalf("the other direction has %+v, %v", none, err)
		}
	},
	"what waits for a person is listed, by record": func(r *rig) {
		at := func(after time.Duration) string { return strconv.FormatInt(r.Now().Add(after).UnixMilli(), 10) }
		for pk, set := range map[string]map[string]string{
			"MAP#hubspot#contacts#8":       {"state": "parked", "reason": "two match", "p:phone": "alternates", "p:name": "too"},
			"MAP#hubspot#contacts#7":       {"state": "linked", "p:phone": "alternates"},
			"MAP#destination#customers#c1": {"state": "linked", "p:phone": "told of by the other side"},
			"MAP#destination#customers#c#": {"state": "parked", "reason": "one of two"},
			"MAP#hubspot#contacts#9":       {"state": "linked"},
			"MAP#hubspot#contacts#20":      {"state": "linked", "pair": "contacts", "stampedAt": at(2 * time.Second)},
			"MAP#hubspot#contacts#21":      {"state": "linked", "pair": "contacts", "stampedAt": at(2 * time.Second)},
			"MAP#hubspot#contacts#22":      {"state": "linked", "pair": "contacts", "stampedAt": at(7 * time.Second), "partner": "c2"},
			"MAP#destination#customers#c2": {"state": "linked", "pair": "contacts", "stampedAt": at(0), "partner": "22"},
			"MAP#hubspot#deals#5": {"state": "linked", "r:hubspot:contact": `{"field":"contact","of":{"system":"hubspot","object":"deals","id":"5"},` +
				`"parent":{"system":"hubspot","object":"contacts","id":"8"},"why":"parked (two match)"}`},
			"OUT#hubspot#contacts#7": {"state": "parked"},
			"SPEC":                   {"state": "parked"},
		} {
			_, err := r.Table.Update(r.Context(), table.Update{Key: table.Key{PK: pk, SK: "X"}, Set: set})
			r.must(err)
		}
		event := func(id string, after time.Duration, kind ledger.Kind, reason string) {
			r.must(r.Record(r.Context(), record.Ref{System: record.HubSpot, Object: "contacts", ID: id}, ledger.Outcome{At: r.Now().Add(after), Kind: kind, Reason: reason}))
		}
		event("8", 1, ledger.ParkedKind, "told of by its row")
		event("20", 1, ledger.ParkedKind, "before its row was stamped")
		event("21", 2*time.Second, ledger.ParkedKind, "stamped by its own execution")
		event("21", time.Second, ledger.Dropped, "before it")
		event("22", 5*time.Second, ledger.ParkedKind, "before its partner was compared")
		event("23", 5*time.Second, ledger.ParkedKind, "before a later one")
		event("23", 6*time.Second, ledger.Dropped, "a later one")
		event("24", 5*time.Second, ledger.ParkedKind, "no row")
		r.must(r.Record(r.Context(), record.Ref{System: record.Destination, Object: "customers", ID: "c2"},
			ledger.Outcome{At: r.Now().Add(6 * time.Second), Kind: ledger.ParkedKind, Reason: "before its pair was stamped"}))
		all, err := r.Parked(r.Context())
		var got []string
		for _, p := range all {
			got = append(got, p.String())
		}
		if want := []string{
			"destination/customers/c#: the record: one of two",
			"hubspot/contacts/21: its newest event: stamped by its own execution",
			"hubspot/contacts/24: its newest event: no row",
			"hubspot/contacts/7: field phone: alternates",
			"hubspot/contacts/8: the record: two match; field name: too; field phone: alternates",
			"hubspot/deals/5: field contact waits for hubspot/contacts/8, which is parked (two match)",
		}; !slices.Equal(got, want) || err != nil {
			r.Fatalf("listed are %q (%v), want %q", got, err, want)
		}
	},
	"a dead letter is heard once": func(r *rig) {
		one := ledger.Letter{Message: "e-later-1", Execution: "e", At: r.Now(), Ref: hub, Code: "UnknownEnum"}
		both := []ledger.Letter{one, {Message: "f", At: r.Now()}}
		r.must(r.Hear(r.Context(), ledger.LetterKey(spec.ToDestination, one.Message), one))
		r.must(r.Hear(r.Context(), ledger.LetterKey(spec.ToDestination, one.Message), ledger.Letter{At: r.Now(), Code: "another"}))
		if left, err := r.Unheard(r.Context(), spec.ToDestination, both); err != nil || len(left) != 1 || left[0].Message != "f" {
			r.Fatalf("unheard %+v, %v", left, err)
		}
		if all, err := r.Letters(r.Context(), spec.ToDestination, 9); err != nil || len(all) != 1 || all[0].Code != "UnknownEnum" || all[0].Message != one.Message || all[0].Ref != hub {
			r.Fatalf("letters %+v, %v", all, err)
		}
	},
	"the spec in force is written when it changes": func(r *rig) {
		for _, hash := range []string{"a", "b", "b"} {
			r.must(r.Describe(r.Context(), hash, "spec "+hash))
		}
		if hash, text, err := r.Described(r.Context()); hash != "b" || text != "spec b" || err != nil {
			r.Fatalf("%q %q %v", hash, text, err)
		}
	},
	"a guard counts each change once an hour": func(r *rig) {
		admit := func(want bool, id string, what ...string) {
			r.Helper()
			p := r.find(record.Ref{System: record.HubSpot, Object: "contacts", ID: id})
			if ok, err := r.Admit(r.Context(), "clears", 3, p, what...); ok != want || err != nil {
				r.Fatalf("%s %v: %v, want %v, %v", id, what, ok, want, err)
			}
		}
		for range 5 { // one that is refused by its system and decided on again
			admit(true, "1", "a", "b")
		}
		admit(false, "2", "a", "b")
		admit(true, "2", "a")
		admit(true, "1", "b")
		admit(false, "1", "c")
		r.pass(time.Hour)
		admit(true, "3", "a", "b", "c")
	},
	"a conflict told of twice is one, two of one moment are two": func(r *rig) {
		a, b := ledger.Conflict{At: r.Now(), Field: "email", Loser: "a"}, ledger.Conflict{At: r.Now(), Field: "email", Loser: "b"}
		r.must(r.Lose(r.Context(), dest, a, a))
		r.must(r.Lose(r.Context(), dest, b))
		if lost, err := r.Conflicts(r.Context(), dest); len(lost) != 2 || err != nil {
			r.Fatalf("conflicts %v, %v", lost, err)
		}
	},
	"a conflict that an event meets at every try is one, and all are listed": func(r *rig) {
		for n := range 130 {
			r.pass(time.Minute)
			r.must(r.Lose(r.Context(), dest, ledger.Conflict{At: r.Now(), Execution: "e", Field: "email", Loser: "a"},
				ledger.Conflict{At: r.Now(), Execution: fmt.Sprint("f", n), Field: "email", Loser: "b"}))
		}
		sent := r.Now().Add(-time.Hour)
		for _, delivery := range []string{"g", "h"} {
			r.must(r.Lose(r.Context(), dest, ledger.Conflict{At: sent, Execution: delivery, Field: "email", Policy: "overwritten", LoserPrint: "c"}))
		}
		lost, err := r.Conflicts(r.Context(), dest)
		if len(lost) != 132 || err != nil || !slices.IsSortedFunc(lost, func(a, b ledger.Conflict) int { return a.At.Compare(b.At) }) {
			r.Errorf("%d conflicts, %v, want 132, oldest first", len(lost), err)
		}
	},
	"the key of a create in doubt outlives its deleted record": func(r *rig) {
		p := r.find(dest)
		in := ledger.Intent{Execution: "e", At: r.Now(), Create: record.HubSpot}
		r.must(r.Claim(r.Context(), p, dest, "k", in))
		in.Sent = map[record.System]map[string][]string{record.HubSpot: {"email": {"print"}}}
		r.must(r.Intend(r.Context(), p, in, ""))
		r.must(r.Settle(r.Context(), r.find(dest), dest, ledger.Gone, "deleted"))
		r.pass(24 * time.Hour)
		r.is(r.Claim(r.Context(), r.find(hub), hub, "k", ledger.Intent{Execution: "f"}), ledger.ErrOrphan)
		again := record.Ref{System: record.Destination, Object: "customers", ID: "c_2"}
		r.claimed(again, "k")
		r.is(r.Claim(r.Context(), r.find(hub), hub, "k", ledger.Intent{Execution: "f"}), ledger.ErrHeld)
		r.pass(ledger.Lease)
		r.claimed(again, "other") // and goes on under another key, or back
		r.is(r.Claim(r.Context(), r.find(hub), hub, "k", ledger.Intent{Execution: "f"}), ledger.ErrOrphan)
		r.pass(ledger.Lease)
		r.claimed(again, "k")
		r.must(r.Settle(r.Context(), r.find(again), again, ledger.Gone, "deleted, too"))
		r.is(r.Claim(r.Context(), r.find(hub), hub, "k", ledger.Intent{Execution: "f"}), ledger.ErrOrphan)
	},
	"what was compared ends every decision on an older row": func(r *rig) {
		r.linked()
		old := r.find(hub)
		r.must(r.Note(r.Context(), r.find(hub), ledger.Change{Seen: map[record.System]ledger.Seen{record.HubSpot: {Version: "2"}}}))
		r.is(r.Take(r.Context(), old, ledger.Intent{Execution: "e"}, ledger.Change{}), ledger.ErrMoved)
		if v := r.find(hub).Seen[record.HubSpot].Version; v != "2" {
			r.Fatalf("seen %q", v)
		}
	},
	"of many outcomes the newest are listed": func(r *rig) {
		for n := range 130 {
			r.pass(time.Minute)
			r.must(r.Record(r.Context(), hub, ledger.Outcome{At: r.Now(), Execution: fmt.Sprint("e", n), Kind: ledger.Dropped}))
		}
		out, err := r.Outcomes(r.Context(), hub)
		if len(out) != 100 || out[99].Execution != "e129" || out[0].Execution != "e30" || err != nil {
			r.Fatalf("%d outcomes, %v: %+v", len(out), err, out)
		}
	},
	"outcomes and conflicts are kept in order": func(r *rig) {
		for i, reason := range []string{"first", "second"} {
			at := r.Now().Add(time.Duration(i) * time.Second)
			r.must(r.Record(r.Context(), hub, ledger.Outcome{At: at, Execution: "e", Kind: ledger.Dropped, Reason: reason}))
			r.must(r.Lose(r.Context(), dest, ledger.Conflict{At: at, Field: "email", Loser: reason}))
		}
		out, err := r.Outcomes(r.Context(), hub)
		if len(out) != 2 || out[1].Reason != "second" || err != nil {
			r.Fatalf("outcomes %v, %v", out, err)
		}
		lost, err := r.Conflicts(r.Context(), dest)
		if len(lost) != 2 || lost[0].Loser != "first" || err != nil {
			r.Fatalf("conflicts %v, %v", lost, err)
		}
	},
}
