package contention

import (
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// check lets every lease and claim lapse, has each record looked at until
// nothing moves, and then demands the invariants.
func (r *run) check() {
	for what, n := range r.saw.decided {
		if n > 1 {
			r.Errorf("%s: %d changes were decided on it", what, n)
		}
	}
	r.in.clock.skip(time.Hour)
	for sweep := 1; ; sweep++ {
		before := r.world.writes
		r.sweep()
		if r.world.writes == before && sweep > 1 {
			r.Logf("%d records, %d writes, quiet after %d sweeps", len(r.world.rows), before, sweep)
			break
		}
		if sweep == 6 {
			r.Errorf("the sixth sweep still writes: it does not terminate")
			return
		}
	}
	for _, name := range []string{"contacts", "companies"} {
		pair, _ := r.in.flow.Spec.PairByName(name)
		r.once(pair)
		r.linked(pair)
		r.unclaimed(pair)
	}
	before := r.world.writes
	r.sweep()
	r.sweep()
	if r.world.writes != before {
		r.Errorf("deliveries again wrote %d times", r.world.writes-before)
	}
}

// sweep delivers one event of every record, as a redrive would.
func (r *run) sweep() {
	for _, ref := range r.refs("") {
		for _, pair := range r.in.flow.Spec.Pairs {
			if pair.Side(ref.System).Object != ref.Object {
				continue
			}
			if err := r.in.event(ref.System, pair.Name, ref.ID); err != nil {
				r.Errorf("%s: %v", ref, err)
			}
		}
	}
}

// refs lists the records of one object, or of all, in an order of their own.
func (r *run) refs(object string) []record.Ref {
	all := slices.Collect(maps.Keys(r.world.rows))
	slices.SortFunc(all, func(a, b record.Ref) int { return strings.Compare(a.String(), b.String()) })
	return slices.DeleteFunc(all, func(ref record.Ref) bool { return object != "" && ref.Object != object })
}

// once: one live record per key and side.
func (r *run) once(pair spec.Pair) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		object, held := pair.Side(sys).Object, map[string]string{}
		for _, ref := range r.refs(object) {
			k := strings.ToLower(r.world.rows[ref].Fields[keys[object]])
			if other, twice := held[k]; twice {
				r.Errorf("%s %s and %s are the same record twice", object, other, ref.ID)
			}
			held[k] = ref.ID
		}
		if len(held) == 0 {
			r.Errorf("no %s were made", object)
		}
	}
}

// linked: every record has one partner, whose partner it is, and both hold the same.
func (r *run) linked(pair spec.Pair) {
	for _, hub := range r.refs(pair.HubSpot.Object) {
		p, err := r.in.flow.Ledger.Row(r.Context(), pair, hub)
		if err != nil || p.State != ledger.Linked {
			r.Errorf("%s is not linked: %q (%v)", hub, p.State, err)
			continue
		}
		dest := record.Ref{System: record.Destination, Object: pair.Destination.Object, ID: p.IDs[record.Destination]}
		if back, err := r.in.flow.Ledger.Row(r.Context(), pair, dest); err != nil || back.IDs[record.HubSpot] != hub.ID {
			r.Errorf("%s is linked to %s, which is linked to %q (%v)", hub, dest, back.IDs[record.HubSpot], err)
		}
		h, d := r.world.rows[hub].Fields, r.world.rows[dest].Fields
		for i, property := range edited[hub.Object] {
			if h[property] != d[edited[dest.Object][i]] {
				r.Errorf("%s and %s differ in %s", hub, dest, property)
			}
		}
		if hub.Object == "contacts" && strings.TrimSpace(h["firstname"]+" "+h["lastname"]) != d["name"] {
			r.Errorf("%s: the derived name of %s is not its translation", hub, dest)
		}
	}
	if h, d := len(r.refs(pair.HubSpot.Object)), len(r.refs(pair.Destination.Object)); h != d {
		r.Errorf("%d %s, %d %s", h, pair.HubSpot.Object, d, pair.Destination.Object)
	}
}

// unclaimed: no lease, intent, claim or create under way is left.
func (r *run) unclaimed(pair spec.Pair) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		object := pair.Side(sys).Object
		for _, ref := range r.refs(object) {
			p, err := r.in.flow.Ledger.Row(r.Context(), pair, ref)
			if err != nil || p.State != ledger.Linked || p.Intent != nil || p.LeaseBy != "" {
				r.Errorf("%s: state %q, lease by %q, open intent %v, %v", ref, p.State, p.LeaseBy, p.Intent != nil, err)
			}
		}
		if busy, err := r.in.flow.Ledger.InFlight(r.Context(), sys.Other(), object, r.in.clock.Now(), ""); busy || err != nil {
			r.Errorf("a create of %s is still under way (%v)", object, err)
		}
	}
}
