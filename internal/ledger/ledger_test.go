package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"tandem/internal/engines"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/dynamo"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

var (
	contacts = spec.Pair{
		Name: "contacts", HubSpot: spec.Side{Object: "contacts"}, Destination: spec.Side{Object: "customers"},
	}
	hub  = record.Ref{System: record.HubSpot, Object: "contacts", ID: "7"}
	dest = record.Ref{System: record.Destination, Object: "customers", ID: "c_1"}
	ids  = map[record.System]string{record.HubSpot: "7", record.Destination: "c_1"}
)

// rig is a ledger on a table of its own, with a clock that is moved by hand.
type rig struct {
	*testing.T
	*ledger.Ledger
	at time.Time
}

func (r *rig) now() time.Time { return r.at }

func (r *rig) pass(d time.Duration) { r.at = r.at.Add(d) }

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) is(err, want error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Fatalf("got %v, want %v", err, want)
	}
}

func (r *rig) find(ref record.Ref) *ledger.Pair {
	r.Helper()
	p, err := r.Find(r.Context(), contacts, ref, "")
	r.must(err)
	return p
}

// claimed claims ref under key and returns the fence.
func (r *rig) claimed(ref record.Ref, key string) ledger.Fence {
	r.Helper()
	p := r.find(ref)
	r.must(r.Claim(r.Context(), p, ref, key, ledger.Intent{Execution: "e", At: r.Now(), Create: ref.System.Other()}))
	return ledger.Fence{Key: p.Key, Rev: p.Rev}
}

// linked joins hub and dest.
func (r *rig) linked() *ledger.Pair {
	r.Helper()
	base := map[string]ledger.Base{"email": {HubSpot: "h", Destination: "d"}}
	r.must(r.Link(r.Context(), r.claimed(hub, "k"), contacts, hub, ids, "k", nil, ledger.Stamp{Base: base}))
	return r.find(hub)
}

// TestRows plays every operation on both tables.
func TestRows(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		play(t, func(r *rig) {
			tbl, err := embedded.Open("", r.now)
			r.must(err)
			r.Ledger = &ledger.Ledger{Table: tbl, Client: "acme", Now: r.now}
		})
	})
	t.Run("dynamo", func(t *testing.T) {
		if testing.Short() {
			t.Skip("a short run starts no engines")
		}
		t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", engines.DynamoDBLocal(t))
		t.Setenv("AWS_ACCESS_KEY_ID", "local")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "local")
		var n atomic.Int64
		play(t, func(r *rig) {
			name := fmt.Sprint("ledger", n.Add(1))
			r.Setenv("AWS_REGION", "ap-southeast-2")
			db, err := dynamo.Client(os.Getenv)
			r.must(err)
			r.must(dynamo.Ensure(r.Context(), db, name))
			r.Ledger = &ledger.Ledger{Table: dynamo.New(db, name, r.now, nil), Client: "acme", Now: r.now}
		})
	})
}

// failing is a table that takes so many changes and no more.
type failing struct {
	table.Table
	after int
}

func (f *failing) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	if f.after--; f.after < 0 {
		return nil, errors.New("cut off")
	}
	return f.Table.Update(ctx, updates...)
}

func play(t *testing.T, open func(*rig)) {
	for name, test := range map[string]func(*rig){
		"a claim is exclusive by key and lapses": func(r *rig) {
			r.claimed(hub, "k")
			err := r.Claim(r.Context(), r.find(dest), dest, "k", ledger.Intent{Execution: "f"})
			r.is(err, ledger.ErrHeld)
			r.claimed(record.Ref{System: record.HubSpot, Object: "contacts", ID: "8"}, "other")
			r.pass(time.Hour)
			r.claimed(dest, "k")
		},
		"the holder learns of its rival": func(r *rig) {
			r.claimed(hub, "k")
			r.is(r.Claim(r.Context(), r.find(dest), dest, "k", ledger.Intent{}), ledger.ErrHeld)
			p := r.find(hub)
			r.must(r.Claim(r.Context(), p, hub, "k", ledger.Intent{}))
			if p.Rival != dest.ID || p.Tries != 2 {
				r.Fatalf("rival %q, tries %d", p.Rival, p.Tries)
			}
		},
		"a claim on an old revision has moved": func(r *rig) {
			stale := r.find(hub)
			r.claimed(hub, "k")
			r.is(r.Claim(r.Context(), stale, hub, "k", ledger.Intent{}), ledger.ErrMoved)
		},
		"a create is in flight until it is linked": func(r *rig) {
			f := r.claimed(hub, "k")
			for key, want := range map[string]bool{"k": true, "": true, "other": false} {
				if got, err := r.InFlight(r.Context(), record.Destination, "contacts", r.Now(), key); got != want || err != nil {
					r.Fatalf("in flight by key %q: %v, %v", key, got, err)
				}
			}
			r.must(r.Link(r.Context(), f, contacts, hub, ids, "k", nil, ledger.Stamp{}))
			if got, err := r.InFlight(r.Context(), record.Destination, "contacts", r.Now(), ""); got || err != nil {
				r.Fatalf("still in flight: %v", err)
			}
			r.claimed(record.Ref{System: record.HubSpot, Object: "contacts", ID: "8"}, "k")
		},
		"a link is found from both sides, once": func(r *rig) {
			r.linked()
			if p := r.find(dest); p.IDs[record.HubSpot] != "7" || p.State != ledger.Linked || p.Base["email"].Destination != "d" {
				r.Fatalf("found %+v", p)
			}
			eight := record.Ref{System: record.HubSpot, Object: "contacts", ID: "8"}
			f := r.claimed(eight, "")
			err := r.Link(r.Context(), f, contacts, eight, map[record.System]string{record.HubSpot: "8", record.Destination: "c_1"}, "", nil, ledger.Stamp{})
			r.is(err, ledger.ErrMoved)
		},
		"a lease that was taken over cannot stamp or be renewed": func(r *rig) {
			p := r.linked()
			r.must(r.Take(r.Context(), p, ledger.Intent{Execution: "slow"}, ledger.Change{}))
			slow := ledger.Fence{Key: p.Key, Rev: p.Rev}
			r.pass(ledger.Lease + time.Second)
			if q := r.find(hub); q.Held(r.Now()) {
				r.Fatal("the lease has not lapsed")
			}
			r.must(r.Take(r.Context(), r.find(hub), ledger.Intent{Execution: "next"}, ledger.Change{}))
			r.is(r.Stamp(r.Context(), slow, ledger.Stamp{}), ledger.ErrMoved)
			_, err := r.Renew(r.Context(), &slow, nil)
			r.is(err, ledger.ErrMoved)
			r.must(r.Release(r.Context(), slow, false, ""))
			if q := r.find(hub); q.LeaseBy != "next" || q.Intent == nil {
				r.Fatalf("a late release took the lease of %q", q.LeaseBy)
			}
		},
		"what a create claims lasts as long as its lease": func(r *rig) {
			f, c := r.claimed(hub, "k"), &ledger.Claimant{Pair: contacts.Name, Ref: hub, MatchKey: "k"}
			for range 3 {
				r.pass(ledger.Lease)
				_, err := r.Renew(r.Context(), &f, c)
				r.must(err)
				r.is(r.Claim(r.Context(), r.find(dest), dest, "k", ledger.Intent{}), ledger.ErrHeld)
				if got, err := r.InFlight(r.Context(), record.Destination, "contacts", r.Now(), "k"); !got || err != nil {
					r.Fatalf("no longer in flight: %v", err)
				}
			}
			r.pass(2 * ledger.Lease)
			_, err := r.Renew(r.Context(), &f, c)
			r.is(err, ledger.ErrMoved)
		},
		"an open intent leaves ghosts": func(r *rig) {
			p := r.linked()
			sent := map[record.System]map[string][]string{record.Destination: {"email": {"x"}}}
			r.must(r.Take(r.Context(), p, ledger.Intent{Execution: "dead", Sent: sent}, ledger.Change{}))
			r.pass(ledger.Lease + time.Second)
			p = r.find(hub)
			r.must(r.Take(r.Context(), p, ledger.Intent{Execution: "next"}, ledger.Change{}))
			r.must(r.Stamp(r.Context(), ledger.Fence{Key: p.Key, Rev: p.Rev}, ledger.Stamp{}))
			p = r.find(hub)
			if got := p.MaybeSent(r.Now())[record.Destination]["email"]; len(got) != 1 || p.Intent != nil {
				r.Fatalf("ghosts %v", got)
			}
			if p.InDoubt(r.Now().Add(time.Hour)) {
				r.Fatal("ghosts live for ever")
			}
		},
		"a settled record gives its claim up": func(r *rig) {
			r.claimed(hub, "k")
			r.must(r.Settle(r.Context(), r.find(hub), hub, ledger.Parked, "why"))
			if p := r.find(hub); p.State != ledger.Parked || p.Reason != "why" {
				r.Fatalf("%q %q", p.State, p.Reason)
			}
			r.claimed(dest, "k")
		},
		"a tombstone is revived, a purged pair is not": func(r *rig) {
			p := r.linked()
			r.must(r.Settle(r.Context(), p, hub, ledger.Gone, "deleted"))
			r.must(r.Revive(r.Context(), contacts, r.find(hub)))
			if p = r.find(hub); p.State != ledger.Linked || len(p.Base) != 1 {
				r.Fatalf("%q with base %v", p.State, p.Base)
			}
			rev := p.Rev
			_, err := r.Purge(r.Context(), contacts, p)
			r.must(err)
			if p = r.find(hub); p.State != ledger.Gone || len(p.Base) != 0 || p.IDs[record.Destination] != "" || p.Rev <= rev {
				r.Fatalf("after the purge: %+v", p)
			}
		},
		"who read a tombstone cannot forget what was linked after it": func(r *rig) {
			r.must(r.Settle(r.Context(), r.linked(), hub, ledger.Gone, "deleted"))
			slow := r.find(hub)
			r.must(r.Forget(r.Context(), contacts, r.find(hub)))
			again := map[record.System]string{record.HubSpot: "7", record.Destination: "c_2"}
			r.must(r.Link(r.Context(), r.claimed(hub, "k"), contacts, hub, again, "k", nil, ledger.Stamp{}))
			r.is(r.Forget(r.Context(), contacts, slow), ledger.ErrMoved)
			_, err := r.Purge(r.Context(), contacts, slow)
			r.is(err, ledger.ErrMoved)
			two := dest
			two.ID = "c_2"
			for _, ref := range []record.Ref{hub, two} {
				if p := r.find(ref); p.State != ledger.Linked || p.IDs[record.HubSpot] != "7" || p.IDs[record.Destination] != "c_2" {
					r.Fatalf("%s is %q with %v", ref, p.State, p.IDs)
				}
			}
			if p := r.find(dest); p.Exists() && p.State != "" {
				r.Fatalf("the record it was linked to before is %q", p.State)
			}
		},
		"a purge that was interrupted is repeated": func(r *rig) {
			for n := 0; ; n++ {
				again := map[record.System]string{record.HubSpot: hub.ID, record.Destination: fmt.Sprint("c_", n)}
				there := record.Ref{System: record.Destination, Object: dest.Object, ID: again[record.Destination]}
				r.must(r.Forget(r.Context(), contacts, r.find(hub)))
				r.must(r.Link(r.Context(), r.claimed(hub, "k"), contacts, hub, again, "k", nil, ledger.Stamp{}))
				r.must(r.Lose(r.Context(), there, ledger.Conflict{At: r.Now(), Field: "email", Loser: "a"}))
				r.must(r.Record(r.Context(), there, ledger.Outcome{At: r.Now(), Execution: "e", Kind: ledger.Dropped, Reason: "why"}))
				whole := r.Table
				r.Table = &failing{Table: whole, after: n}
				_, err := r.Purge(r.Context(), contacts, r.find(hub))
				r.Table = whole
				if _, repeated := r.Purge(r.Context(), contacts, r.find(hub)); repeated != nil {
					r.Fatal(repeated)
				}
				lost, _ := r.Conflicts(r.Context(), there)
				out, _ := r.Outcomes(r.Context(), there)
				if p := r.find(there); len(lost)+len(out) != 0 || p.State != ledger.Gone || p.IDs[record.HubSpot] != "" {
					r.Fatalf("after %d changes: %d conflicts, %d outcomes, %s is %q", n, len(lost), len(out), there, p.State)
				}
				if err == nil {
					break
				}
			}
		},
		"what was lost is known and erased under every partner there was": func(r *rig) {
			link := func(hubID, destID string) *ledger.Pair {
				ref := record.Ref{System: record.HubSpot, Object: "contacts", ID: hubID}
				both := map[record.System]string{record.HubSpot: hubID, record.Destination: destID}
				stamp := ledger.Stamp{Base: map[string]ledger.Base{"email": {HubSpot: "h", Destination: "d"}}}
				r.must(r.Link(r.Context(), r.claimed(ref, destID), contacts, ref, both, destID, nil, stamp))
				r.must(r.Lose(r.Context(), record.Ref{System: record.Destination, Object: "customers", ID: destID}, ledger.Conflict{At: r.Now(), Field: "email", Loser: destID}))
				r.pass(time.Second)
				return r.find(ref)
			}
			r.must(r.Forget(r.Context(), contacts, link("7", "c_1")))
			survivor := record.Ref{System: record.HubSpot, Object: "contacts", ID: "900"}
			r.must(r.Relink(r.Context(), contacts, r.find(survivor), link("7", "c_2"), []*ledger.Pair{link("8", "c_3")}, nil))
			loser := link("9", "c_4")
			p := r.find(survivor)
			r.must(r.Relink(r.Context(), contacts, p, p, []*ledger.Pair{loser}, nil))
			lost, err := r.Losses(r.Context(), contacts, r.find(hub))
			r.must(err)
			var losers []string
			for _, c := range lost {
				losers = append(losers, c.Loser)
			}
			if fmt.Sprint(losers) != "[c_1 c_2 c_3 c_4]" {
				r.Fatalf("lost %v", losers)
			}
			_, err = r.Purge(r.Context(), contacts, r.find(hub))
			r.must(err)
			for _, c := range losers {
				if lost, err := r.Conflicts(r.Context(), record.Ref{System: record.Destination, Object: "customers", ID: c}); len(lost) > 0 || err != nil {
					r.Errorf("what %s lost is still there: %v, %v", c, lost, err)
				}
			}
			for _, id := range []string{"7", "8", "9", "900"} {
				p, err := r.Row(r.Context(), contacts, record.Ref{System: record.HubSpot, Object: "contacts", ID: id})
				if r.must(err); len(p.Base) > 0 || len(p.Was) > 0 {
					r.Errorf("row %s still holds %v, %v", id, p.Base, p.Was)
				}
			}
		},
		"a merge moves the pair": func(r *rig) {
			winner := r.linked()
			survivor := r.find(record.Ref{System: record.HubSpot, Object: "contacts", ID: "900"})
			r.must(r.Relink(r.Context(), contacts, survivor, winner, nil, nil))
			for _, ref := range []record.Ref{hub, dest} {
				if p := r.find(ref); p.IDs[record.HubSpot] != "900" || p.IDs[record.Destination] != "c_1" {
					r.Fatalf("%s leads to %v", ref, p.IDs)
				}
			}
		},
		"a merge may prefer another's partner to the survivor's own, and hands on what is in doubt": func(r *rig) {
			own, eight := r.linked(), record.Ref{System: record.HubSpot, Object: "contacts", ID: "8"}
			both := map[record.System]string{record.HubSpot: "8", record.Destination: "c_2"}
			r.must(r.Link(r.Context(), r.claimed(eight, "l"), contacts, eight, both, "l", nil, ledger.Stamp{Base: map[string]ledger.Base{"email": {HubSpot: "h8", Destination: "d8"}}}))
			other := r.find(eight)
			r.must(r.Take(r.Context(), other, ledger.Intent{Execution: "x", At: r.Now(), Sent: map[record.System]map[string][]string{record.Destination: {"email": {"s"}}}}, ledger.Change{}))
			other = r.find(eight)
			r.must(r.Relink(r.Context(), contacts, own, other, []*ledger.Pair{own}, nil))
			p := r.find(hub)
			if p.State != ledger.Linked || p.IDs[record.Destination] != "c_2" || p.Base["email"].HubSpot != "h8" || p.Held(r.Now()) {
				r.Fatalf("the survivor is %q with %v, base %v, lease until %s", p.State, p.IDs, p.Base, p.LeaseUntil)
			}
			if sent := p.MaybeSent(r.Now())[record.Destination]["email"]; len(sent) != 1 || p.Seen[record.HubSpot].Version != "" {
				r.Errorf("in doubt is %v, seen %v", sent, p.Seen)
			}
			for ref, want := range map[record.Ref]ledger.State{dest: ledger.Parked, {System: record.Destination, Object: "customers", ID: "c_2"}: ledger.Linked, eight: ledger.Linked} {
				if p := r.find(ref); p.State != want {
					r.Errorf("%s is %q, want %q", ref, p.State, want)
				}
			}
		},
		"a pointer to a pair that knows nothing of it is no link": func(r *rig) {
			r.must(r.Settle(r.Context(), r.linked(), hub, ledger.Gone, "deleted"))
			eight := record.Ref{System: record.HubSpot, Object: "contacts", ID: "8"}
			two := record.Ref{System: record.Destination, Object: "customers", ID: "c_2"}
			r.must(r.Link(r.Context(), r.claimed(eight, "l"), contacts, eight, map[record.System]string{record.HubSpot: "8", record.Destination: "c_2"}, "l", nil, ledger.Stamp{}))
			r.must(r.Relink(r.Context(), contacts, r.find(hub), r.find(eight), nil, nil))
			if p := r.find(two); p.State != ledger.Linked || p.IDs[record.HubSpot] != "7" {
				r.Fatalf("%s is %q with %v", two, p.State, p.IDs)
			}
			if p := r.find(dest); p.State != "" || p.IDs[record.HubSpot] != "" || p.Key != ledger.MapKey(dest) {
				r.Fatalf("%s is %q with %v", dest, p.State, p.IDs)
			}
			r.claimed(dest, "m")
			if p := r.find(dest); p.State != ledger.Claimed || p.IDs[record.HubSpot] != "" {
				r.Fatalf("%s is %q with %v once claimed", dest, p.State, p.IDs)
			}
		},
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
			r.claimed(record.Ref{System: record.Destination, Object: "customers", ID: "c_2"}, "k")
			r.is(r.Claim(r.Context(), r.find(hub), hub, "k", ledger.Intent{Execution: "f"}), ledger.ErrHeld)
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
	} {
		t.Run(name, func(t *testing.T) {
			// The next hour: what expires by this clock has not by that of DynamoDB Local,
			// which would remove it in the middle of a test.
			r := &rig{T: t, at: time.Now().Truncate(time.Hour).Add(time.Hour)}
			open(r)
			test(r)
		})
	}
}
