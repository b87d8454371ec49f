package simulation

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// What is counted of deliveries that nobody hears of.
const (
	unheardOf = "delivery lost"
	comparing = "backfill"
	unknowing = "left at last: overwritten, and its delivery was lost"
)

// loses reports whether a delivery never comes, in some worlds. HubSpot's comparison
// cannot find what its search does not show, which is not lost here: deletions,
// restores, merges and associations.
func (r *run) loses(d delivered) bool {
	plain := func(e portal.Event) bool {
		return strings.HasSuffix(e.SubscriptionType, ".propertyChange") || strings.HasSuffix(e.SubscriptionType, ".creation")
	}
	if !r.deaf || slices.ContainsFunc(d.hub, func(e portal.Event) bool { return !plain(e) }) || !r.chance(0.15, unheardOf) {
		return false
	}
	for _, e := range d.hub {
		r.unheard(record.HubSpot, strconv.FormatInt(e.ObjectID, 10), e.OccurredAt)
	}
	var told struct{ Events []erp.Event }
	_ = json.Unmarshal(d.erp, &told)
	for _, e := range told.Events {
		r.unheard(record.Destination, e.Record, e.At.UnixMilli())
	}
	r.note("a delivery of %s is lost", d.system)
	return true
}

// miss is an event that was never delivered.
type miss struct {
	system record.System
	id     string
	at     int64
}

func (r *run) unheard(s record.System, id string, at int64) {
	r.misses = append(r.misses, miss{s, id, at})
}

// neverTold: the edit's delivery was lost, and a write of ours replaced it before it
// was read: nobody can know of it.
func (r *run) neverTold(e edit) bool {
	moments := r.past[place{e.ref, e.field}]
	i := slices.IndexFunc(moments, func(m moment) bool { return m.at.After(e.at) })
	return i >= 0 && moments[i].ours && r.missed(e)
}

// missed: the delivery that was to tell of an edit, which is gone, was lost. It is counted.
func (r *run) missed(e edit) bool {
	told := e.at
	if e.ref.System == record.Destination {
		told = told.Add(r.skew)
	}
	lost := slices.ContainsFunc(r.misses, func(m miss) bool {
		return m.system == e.ref.System && m.id == e.ref.ID && told.Sub(time.UnixMilli(m.at)).Abs() <= r.tick
	})
	if lost {
		r.counts[unknowing]++
	}
	return lost
}

// compare asks both systems what has changed, as is done every hour.
func (r *run) compare() {
	for _, d := range []spec.Direction{spec.ToDestination, spec.ToHubSpot} {
		for _, p := range flow.Reconciled(r.spec, d) {
			r.sweeps(func(ctx context.Context) {
				in := *r.ingress
				in.Mark = flow.MarkReconcile
				_, _ = in.Poll(ctx, d.Source(), p.Side(d.Source()).Object, r.changes[d.Source()])
			})
		}
	}
}

// backfill tells of every record, changed or not.
func (r *run) backfill() {
	r.counts[comparing]++
	in := *r.ingress
	in.Mark = flow.MarkBackfill
	r.sweeps(func(ctx context.Context) {
		for _, step := range flow.BackfillSteps(r.spec) {
			p, _ := r.spec.PairByName(step.Pair)
			for cursor, more := "", true; more; {
				next, goesOn, _, err := in.Page(ctx, step.System, p.Side(step.System).Object, r.changes[step.System], cursor)
				if err != nil {
					return // a person would start it again
				}
				cursor, more = next, goesOn
			}
		}
	})
}

// sweeps does something that takes a while and is given up when the power is cut.
func (r *run) sweeps(do func(context.Context)) {
	r.inFlight++
	done := func() { r.inFlight-- }
	r.start(r.between(0, time.Second), true, func(ctx context.Context) { do(ctx); done() }, done)
}
