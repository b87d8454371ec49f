package simulation

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// stranger is the id of a record that nobody ever syncs.
const stranger = "outsider-1"

// parent draws what a reference holds: a record of any fate, none, or, where the
// system does not mind, one that takes no part.
func (r *run) parent(f spec.Field, s record.System) string {
	pair, _ := r.spec.PairByName(f.Side(s).Pair)
	ids := r.known[s][pair.Side(s).Object]
	switch n := r.rng.IntN(12); {
	case n == 0 && s == record.Destination:
		return stranger
	case n < 3 || len(ids) == 0:
		return ""
	}
	return ids[r.rng.IntN(len(ids))]
}

func refers(p spec.Pair, field string) bool {
	return slices.ContainsFunc(p.Fields, func(f spec.Field) bool { return f.Name == field && f.HubSpot.Type == record.Reference })
}

// apart takes the associations out of what somebody sets.
func apart(props map[string]string) (plain, links map[string]string) {
	plain, links = maps.Clone(props), map[string]string{}
	for name, id := range props {
		if to, ok := strings.CutPrefix(name, "@"); ok {
			links[to] = id
			delete(plain, name)
		}
	}
	return plain, links
}

// associate makes a record the only one of its type that another is associated with.
func (r *run) associate(object, id string, links map[string]string) {
	for _, to := range slices.Sorted(maps.Keys(links)) {
		rec, err := r.hub.Read(object, id, portal.ReadOptions{Associations: []string{to}})
		if err != nil {
			continue
		}
		for _, l := range rec.Associations[to].Results {
			_ = r.hub.Dissociate(portal.Person, object, id, to, l.ID)
		}
		if links[to] != "" {
			_ = r.hub.Associate(portal.Person, object, id, to, links[to], false) // refused where it was deleted
		}
	}
}

// reunite looks at the references that wait, as comparisons do.
func (r *run) reunite() {
	for _, p := range r.spec.Pairs {
		r.inFlight++
		done := func() { r.inFlight-- }
		r.start(0, true, func(ctx context.Context) {
			_, _ = r.ingress.Reunite(ctx, record.HubSpot, p.HubSpot.Object)
			done()
		}, done)
	}
}

// referred: a reference equals its translation, or waits for its parent.
func (r *run) referred(p spec.Pair, pair *ledger.Pair, f spec.Field, h, d map[string]string, fail func(string, ...any)) {
	parent, _ := r.spec.PairByName(f.HubSpot.Pair)
	state := map[record.System]*ledger.Pair{}
	for s, id := range map[record.System]string{record.HubSpot: h[f.Name], record.Destination: d[f.Name]} {
		if id != "" {
			state[s] = r.pairOf(parent, record.Ref{System: s, Object: parent.Side(s).Object, ID: id})
		}
	}
	waits := slices.ContainsFunc(pair.Waits, func(w ledger.Wait) bool { return w.Field == f.Name })
	if waits {
		r.counts["reference waits"]++
	}
	hub, dest := state[record.HubSpot], state[record.Destination]
	rests := func(of *ledger.Pair) bool { return of != nil && of.State != ledger.Linked }
	switch {
	case r.atBase(p, pair, f.Name, h, d), waits:
	case rests(hub) || rests(dest):
		// A parent that came to rest since both agreed leaves both sides as they are.
		for s, of := range state {
			base := pair.Base[f.Name].Side(s)
			own := map[record.System]string{record.HubSpot: h[f.Name], record.Destination: d[f.Name]}[s]
			if rests(of) && base != ledger.Fingerprint(r.spec.Client+"/"+p.Name, f.Name, s, own) && !strings.HasPrefix(of.Reason, "erased") {
				fail("converge: %s %s field %s refers to %q, which is %q, and does not wait", p.Name, pair.IDs[s], f.Name, own, of.State)
			}
		}
	case hub == nil && dest == nil, hub != nil && hub.IDs[record.Destination] == d[f.Name]:
	default:
		fail("converge: %s %s field %s refers to %q here and to %q there", p.Name, pair.IDs[record.HubSpot], f.Name, h[f.Name], d[f.Name])
	}
}

// moved tells of every record with references where parents were deleted, restored or
// merged: a portal hides, shows and moves associations then, and tells nobody. It
// takes a later event of the child, or a backfill, to see that.
func (r *run) moved() {
	if len(r.removed)+len(r.merged) == 0 {
		return
	}
	for _, p := range r.spec.Pairs {
		if !p.Refers() {
			continue
		}
		r.inFlight++
		done := func() { r.inFlight-- }
		r.start(time.Second, true, func(ctx context.Context) {
			_, _, _, _ = r.ingress.Page(ctx, record.HubSpot, p.HubSpot.Object, children{r}, "")
			done()
		}, done)
	}
}

// children lists all live records of an object type in HubSpot.
type children struct{ r *run }

// Changed implements flow.Changes.
func (c children) Changed(_ context.Context, object, cursor string) (refs []flow.ChangedRecord, next string, more bool, err error) {
	for _, id := range c.r.list(record.HubSpot, object) {
		refs = append(refs, flow.ChangedRecord{ID: id})
	}
	return refs, cursor, false, nil
}
