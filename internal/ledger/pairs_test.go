package ledger_test

import (
	"errors"
	"fmt"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// onPairs are plays of claims, leases, links and the ends of pairs.
var onPairs = map[string]func(*rig){
	"a claim is exclusive by key and lapses": func(r *rig) {
		r.claimed(hub, "k")
		err := r.Claim(r.Context(), r.find(dest), dest, "k", ledger.Intent{Execution: "f"})
		r.is(err, ledger.ErrHeld)
		r.claimed(record.Ref{System: record.HubSpot, Object: "contacts", ID: "8"}, "other")
		r.pass(time.Hour)
		r.claimed(dest, "k")
	},
	"the end of a claim that has lapsed leaves the key to who has it now": func(r *rig) {
		type ending struct {
			end  func(ledger.Fence, ledger.Claimant) error
			free error // what the next one meets where nobody else has claimed the key
		}
		for name, e := range map[string]ending{
			"linked": {end: func(f ledger.Fence, c ledger.Claimant) error {
				both := map[record.System]string{record.HubSpot: c.Ref.ID, record.Destination: "of " + c.Ref.ID}
				return r.Link(r.Context(), f, contacts, c, both, nil, ledger.Stamp{})
			}},
			"settled": {end: func(_ ledger.Fence, c ledger.Claimant) error {
				return r.Settle(r.Context(), r.find(c.Ref), c.Ref, ledger.Parked, "why")
			}},
			"in doubt": {free: ledger.ErrOrphan, end: func(_ ledger.Fence, c ledger.Claimant) error {
				sent := map[record.System]map[string][]string{record.Destination: {"email": {"print"}}}
				r.must(r.Intend(r.Context(), r.find(c.Ref), ledger.Intent{Create: record.Destination, Sent: sent}, ""))
				return r.Settle(r.Context(), r.find(c.Ref), c.Ref, ledger.Gone, "why")
			}},
			"purged": {end: func(_ ledger.Fence, c ledger.Claimant) error {
				_, err := r.Purge(r.Context(), contacts, r.find(c.Ref))
				return err
			}},
			"keyed anew": {end: func(_ ledger.Fence, c ledger.Claimant) error {
				return r.Claim(r.Context(), r.find(c.Ref), c.Ref, "new "+c.MatchKey, ledger.Intent{Create: record.Destination})
			}},
		} {
			for _, taken := range []bool{true, false} {
				key, want := fmt.Sprint(name, taken), e.free
				slow, next, other := hub, hub, dest
				slow.ID, next.ID, other.ID = key+" slow", key+" next", key+" other"
				f, c := r.claimed(slow, key), r.claimant(slow, key)
				r.pass(ledger.Lease + 16*time.Second)
				if taken {
					r.claimed(next, key)
					want = ledger.ErrHeld
				}
				r.must(e.end(f, c))
				if err := r.Claim(r.Context(), r.find(other), other, key, ledger.Intent{}); !errors.Is(err, want) {
					r.Errorf("%s, taken %v: the next claim of the key is answered %v, want %v", name, taken, err, want)
				}
			}
		}
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
		r.must(r.Link(r.Context(), f, contacts, r.claimant(hub, "k"), ids, nil, ledger.Stamp{}))
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
		err := r.Link(r.Context(), f, contacts, r.claimant(eight, ""), map[record.System]string{record.HubSpot: "8", record.Destination: "c_1"}, nil, ledger.Stamp{})
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
		r.must(r.Release(r.Context(), slow, false, ledger.Named{}))
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
		r.must(r.Link(r.Context(), r.claimed(hub, "k"), contacts, r.claimant(hub, "k"), again, nil, ledger.Stamp{}))
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
			r.must(r.Link(r.Context(), r.claimed(hub, "k"), contacts, r.claimant(hub, "k"), again, nil, ledger.Stamp{}))
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
			r.must(r.Link(r.Context(), r.claimed(ref, destID), contacts, r.claimant(ref, destID), both, nil, stamp))
			r.must(r.Lose(r.Context(), record.Ref{System: record.Destination, Object: "customers", ID: destID}, ledger.Conflict{At: r.Now(), Field: "email", Loser: destID}))
			r.pass(time.Second)
			return r.find(ref)
		}
		r.must(r.Forget(r.Context(), contacts, link("7", "c_1")))
		survivor, eight := record.Ref{System: record.HubSpot, Object: "contacts", ID: "900"}, record.Ref{System: record.HubSpot, Object: "contacts", ID: "8"}
		seven, loses := link("7", "c_2"), link("8", "c_3")
		r.must(r.Lose(r.Context(), eight, ledger.Conflict{At: r.Now(), Field: "email", Loser: "8 when they met"}))
		r.must(r.Relink(r.Context(), contacts, r.find(survivor), seven, []*ledger.Pair{loses}, nil))
		loser := link("9", "c_4")
		p := r.find(survivor)
		r.must(r.Relink(r.Context(), contacts, p, p, []*ledger.Pair{loser}, nil))
		lost, err := r.Losses(r.Context(), contacts, r.find(hub))
		r.must(err)
		var losers []string
		for _, c := range lost {
			losers = append(losers, c.Loser)
		}
		if fmt.Sprint(losers) != "[c_1 c_2 c_3 8 when they met c_4]" {
			r.Fatalf("lost %v", losers)
		}
		_, err = r.Purge(r.Context(), contacts, r.find(hub))
		r.must(err)
		for _, c := range losers {
			if lost, err := r.Conflicts(r.Context(), record.Ref{System: record.Destination, Object: "customers", ID: c}); len(lost) > 0 || err != nil {
				r.Errorf("what %s lost is still there: %v, %v", c, lost, err)
			}
		}
		for _, ref := range []record.Ref{eight, survivor} {
			if lost, err := r.Conflicts(r.Context(), ref); len(lost) > 0 || err != nil {
				r.Errorf("what %s lost is still there: %v, %v", ref, lost, err)
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
		r.must(r.Link(r.Context(), r.claimed(eight, "l"), contacts, r.claimant(eight, "l"), both, nil, ledger.Stamp{Base: map[string]ledger.Base{"email": {HubSpot: "h8", Destination: "d8"}}}))
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
		r.must(r.Link(r.Context(), r.claimed(eight, "l"), contacts, r.claimant(eight, "l"), map[record.System]string{record.HubSpot: "8", record.Destination: "c_2"}, nil, ledger.Stamp{}))
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
}
