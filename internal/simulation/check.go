package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/translate"
	"tandem/spec"
)

// Report is what became of one seed.
type Report struct {
	Seed       uint64
	Violations []string
	// Faults counts what went wrong on purpose, Ends how executions ended.
	Faults, Ends map[string]int
	Executions   int
	Edits        int
	Letters      int
	Log          []string
}

// span is how long a world may live, beyond an outage, before it must be quiet: for as
// long as the machines try an event again (their state Later), and what executions take.
// Usually it is minutes. But what a dead letter holds up, as a merge that was never
// followed, is waited for by whoever refers to it, and people settle that only then.
const span = 27 * time.Hour

// Run lives one seed through and asks the invariants.
func Run(s *spec.Spec, seed uint64, actions int, v Variant, keep bool) (Report, error) {
	r, err := newRun(s, seed, v, keep)
	if err != nil {
		return Report{}, err
	}
	if v.Crowded {
		r.crowd(actions)
	} else {
		r.live(actions)
	}
	r.breakDown()
	r.pump()
	rep := Report{Seed: seed}
	fail := func(format string, args ...any) {
		rep.Violations = append(rep.Violations, fmt.Sprintf(format, args...))
	}
	if !r.world.run(r.lasts()) {
		fail("terminate: still busy after %s", r.lasts())
	}
	r.settle(fail)
	if !r.world.run(2 * r.lasts()) {
		fail("terminate: still busy after its faults had stopped")
	}
	r.left(fail)
	r.rightly(fail)
	r.check(fail)
	if v.Crowded {
		r.alone(fail)
	}
	r.replay(fail)
	rep.Faults, rep.Ends, rep.Executions, rep.Edits, rep.Letters, rep.Log = r.counts, r.ended, r.executions, len(r.edits), len(r.letters), r.log
	return rep, nil
}

// pump delivers what both systems have to tell, again and again while anything goes on.
func (r *run) pump() {
	r.deliver()
	if r.inFlight > 0 || r.now.Sub(epoch) < 5*time.Minute {
		every := 500 * time.Millisecond
		if r.faults && r.now.Sub(epoch) > 20*time.Minute {
			every = 10 * time.Second // an outage goes on, and nobody works
		}
		r.after(every, r.pump)
	}
}

// settle stops the faults and tries every dead letter again, as a person would who has
// put right what it tells of, if so.
func (r *run) settle(fail func(string, ...any)) {
	r.faults = false
	if r.older != r.spec {
		r.backfill() // the one at the change may not have got through
	}
	if r.careless || r.older != r.spec {
		r.redrive()
		r.accounted(fail)
	}
	if r.mends {
		r.mend()
	}
	for range 6 {
		if r.redrive(); len(r.letters) == 0 {
			return
		}
	}
}

// redrive tries every dead letter again and waits until the world is quiet.
func (r *run) redrive() {
	letters := r.letters
	r.letters = nil
	for i, l := range letters {
		r.note("redrive of %s after %s", l.state.Event.Name, l.code)
		r.execute(l.state.Event.Direction, fmt.Sprintf("%s-r%d", l.state.Event.Name, i), l.input)
	}
	r.poll()
	r.moved()
	r.after(time.Second, r.pump)
	r.after(11*time.Minute, r.poll) // a reference that was looked after in vain has its turn again
	r.world.run(2 * r.lasts())
}

// replay delivers everything again, in any order: nothing may be written, but what a
// dead letter has left undone, which any event of its pair may do.
func (r *run) replay(fail func(string, ...any)) {
	r.written = nil
	left := r.letters
	r.rng.Shuffle(len(r.told), func(i, j int) { r.told[i], r.told[j] = r.told[j], r.told[i] })
	for _, d := range r.told {
		r.bring(d, 3)
	}
	r.after(time.Second, r.pump)
	r.world.run(4 * r.lasts())
	r.letters = left
	for _, ref := range r.written {
		if !r.leftUndone(ref) {
			fail("replay-safe: delivering everything again wrote to %s", ref)
		}
	}
}

// check asks the invariants of a quiet world.
func (r *run) check(fail func(string, ...any)) {
	if r.inFlight != 0 {
		fail("terminate: %d tasks never ended", r.inFlight)
	}
	r.quiet(fail)
	for _, p := range r.spec.Pairs {
		pairs := r.pairs(p, fail)
		r.converged(p, pairs, fail)
		r.unique(p, fail)
		r.atRest(p, fail)
		r.kept(p, pairs, fail)
		r.followed(p, pairs, fail)
	}
}

// followed: nothing stays linked under the id of a record that was merged away, unless
// it is told that something is wrong with it.
func (r *run) followed(p spec.Pair, pairs map[record.Ref]*ledger.Pair, fail func(string, ...any)) {
	for ref, pair := range pairs {
		if ref.System == record.HubSpot && pair.State == ledger.Linked && pair.IDs[record.HubSpot] == ref.ID && r.mergedAway(ref) && !r.dead(p, pair) && !r.stuck(p, pair) {
			fail("merge: %s is still linked to %s, though it was merged into another", ref, pair.IDs[record.Destination])
		}
	}
}

func (r *run) mergedAway(ref record.Ref) bool { return r.survivor(ref) != ref }

// survivor is the record that now stands for one that was merged away; else itself.
func (r *run) survivor(ref record.Ref) record.Ref {
	if ref.System != record.HubSpot {
		return ref
	}
	for by, ids := range r.merged {
		if id, ok := strings.CutPrefix(by, ref.Object+"/"); ok && slices.Contains(ids, ref.ID) {
			return r.survivor(record.Ref{System: ref.System, Object: ref.Object, ID: id}) // it may have been merged in turn
		}
	}
	return ref
}

// personal are values and secrets that nobody must meet in what operators read.
var personal = []string{"Ada", "Grace", "Edsger", "Lovelace", "Hopper", "Dijkstra", "+614", "+612", "@example.com", "1990-01-02", "31/02/1990", hubSecret, destSecret, ourToken}

// quiet: no personal value and no secret in any log line or failure.
func (r *run) quiet(fail func(string, ...any)) {
	said := r.said.String()
	for _, word := range personal {
		if i := strings.Index(said, word); i >= 0 {
			fail("quiet logs: %q in %q", word, said[max(0, i-80):min(len(said), i+80)])
		}
	}
}

// pairs reads every known record's pair and asks for stuck claims and doubles.
func (r *run) pairs(p spec.Pair, fail func(string, ...any)) map[record.Ref]*ledger.Pair {
	look := &ledger.Ledger{Table: r.table, Client: r.spec.Client, Now: func() time.Time { return r.now }}
	out := map[record.Ref]*ledger.Pair{}
	linked := map[record.Ref]string{}
	for _, s := range []record.System{record.HubSpot, record.Destination} {
		for _, id := range r.known[s][p.Side(s).Object] {
			ref := record.Ref{System: s, Object: p.Side(s).Object, ID: id}
			pair, err := look.Find(context.Background(), p, ref, "")
			if err != nil {
				fail("table: %v", err)
				continue
			}
			out[ref] = pair
			open := pair.State == ledger.Claimed || pair.Intent != nil && pair.State == ledger.Linked
			// What a dead letter has left open is taken up when a person redrives it.
			if pair.Held(r.now) || open && !r.dead(p, pair) {
				fail("no stuck claim: %s is %s, intent %v, lease until %s", ref, pair.State, pair.Intent != nil, pair.LeaseUntil)
			}
			if pair.State == ledger.Linked {
				at := record.Ref{System: s.Other(), Object: p.Side(s.Other()).Object, ID: pair.IDs[s.Other()]}
				if was, twice := linked[at]; twice && was != pair.IDs[s] {
					fail("no duplicate: %s is linked to %s and to %s", at, was, pair.IDs[s])
				}
				linked[at] = pair.IDs[s]
			}
		}
	}
	return out
}

// converged: each mapped field of a linked pair equals its translation, unless
// both sides stand where they last agreed (a system that stores another form).
func (r *run) converged(p spec.Pair, pairs map[record.Ref]*ledger.Pair, fail func(string, ...any)) {
	forward, back := compile(p)
	for ref, pair := range pairs {
		if ref.System != record.HubSpot || pair.State != ledger.Linked || pair.IDs[record.HubSpot] != ref.ID || r.dead(p, pair) || r.stuck(p, pair) {
			continue
		}
		h, d := r.now1(p, record.HubSpot, ref.ID), r.now1(p, record.Destination, pair.IDs[record.Destination])
		if h == nil || d == nil {
			fail("converge: %s is linked to %s; there is the one: %v, the other: %v", ref, pair.IDs[record.Destination], h != nil, d != nil)
			continue
		}
		for _, f := range p.Fields {
			if _, parked := pair.ParkedFields[f.Name]; parked {
				continue
			}
			if f.HubSpot.Type == record.Reference {
				r.referred(p, pair, f, h, d, fail)
				continue
			}
			there, okThere := r.translated(forward, p, f, record.HubSpot, h)
			here, okHere := r.translated(back, p, f, record.Destination, d)
			if r.otherForm(p, pair, f.Name, h, d) || okThere && there == d[f.Name] || okHere && here == h[f.Name] || f.Direction != "" && pair.Drifted[f.Name] != "" {
				continue
			}
			fail("converge: %s field %s holds %q here and %q there", ref, f.Name, h[f.Name], d[f.Name])
		}
	}
}

// otherForm: both sides stand where they last agreed, and one of them trims.
func (r *run) otherForm(p spec.Pair, pair *ledger.Pair, field string, h, d map[string]string) bool {
	return strings.TrimSpace(h[field]) == strings.TrimSpace(d[field]) && r.atBase(p, pair, field, h, d)
}

// atBase reports whether both sides hold exactly what they last agreed on.
func (r *run) atBase(p spec.Pair, pair *ledger.Pair, field string, h, d map[string]string) bool {
	base, agreed := pair.Base[field]
	salt := r.spec.Client + "/" + p.Name
	return agreed && base.HubSpot == ledger.Fingerprint(salt, field, record.HubSpot, h[field]) &&
		base.Destination == ledger.Fingerprint(salt, field, record.Destination, d[field])
}

func compile(p spec.Pair) (forward, back *translate.Translator) {
	forward, _ = translate.Compile(p, spec.ToDestination)
	back, _ = translate.Compile(p, spec.ToHubSpot)
	return forward, back
}

// translated translates one field of a record, by field names.
func (r *run) translated(t *translate.Translator, p spec.Pair, f spec.Field, s record.System, own map[string]string) (string, bool) {
	props := record.Fields{}
	for _, g := range p.Fields {
		if _, set := props[g.Side(s).Property]; !set {
			props[g.Side(s).Property] = own[g.Name]
		}
	}
	out, err := t.Apply(props)
	if err != nil {
		return "", false
	}
	for _, v := range out {
		if v.Field == f.Name {
			return v.Target, true
		}
	}
	return "", false
}

// underWay bounds how long a create is under way: the state's time to send it,
// and the network's to carry it out late.
const underWay = 30 * time.Second

// atRest: what somebody deleted is not made again by us, on either side.
func (r *run) atRest(p spec.Pair, fail func(string, ...any)) {
	for _, d := range r.removed {
		if d.pair != p.Name || d.key == "" {
			continue
		}
		for _, s := range []record.System{record.HubSpot, record.Destination} {
			for _, id := range r.known[s][p.Side(s).Object] {
				ref := record.Ref{System: s, Object: p.Side(s).Object, ID: id}
				made := r.past[place{ref, p.Match[0].Field}]
				now := r.now1(p, s, id)
				if now == nil || r.foreign[ref] || len(made) == 0 || !made[0].at.After(d.at) || strings.ToLower(now[p.Match[0].Field]) != d.key {
					continue
				}
				if strings.ToLower(made[0].text) != d.key {
					continue // it was made with another key, and has got this one since
				}
				// A create that is on its way when somebody deletes cannot be called back;
				// then both records are at rest.
				if state := r.pairOf(p, ref).State; made[0].at.Sub(d.at) < underWay && (state == ledger.Gone || state == ledger.Parked) {
					continue
				}
				if r.wanted[keyOf{p.Name, d.key}].Before(d.at) && !r.lived(p, s.Other(), d.key, made[0].at) {
					fail("no resurrection: %s was made at %s, after %s had been deleted at %s", ref, made[0].at.Sub(epoch), d.ref, d.at.Sub(epoch))
				}
			}
		}
	}
}

// lived: a record that somebody made on a side had that key, and was there at that time.
func (r *run) lived(p spec.Pair, s record.System, key string, at time.Time) bool {
	return slices.ContainsFunc(r.known[s][p.Side(s).Object], func(id string) bool {
		ref := record.Ref{System: s, Object: p.Side(s).Object, ID: id}
		had := slices.ContainsFunc(r.past[place{ref, p.Match[0].Field}], func(m moment) bool { return strings.ToLower(m.text) == key })
		return r.foreign[ref] && had && !slices.ContainsFunc(r.removed, func(d removal) bool { return d.ref == ref && d.at.Before(at) && !r.restored[ref].After(d.at) })
	})
}

func (r *run) pairOf(p spec.Pair, ref record.Ref) *ledger.Pair {
	look := &ledger.Ledger{Table: r.table, Client: r.spec.Client, Now: func() time.Time { return r.now }}
	pair, _ := look.Find(context.Background(), p, ref, "")
	return pair
}
