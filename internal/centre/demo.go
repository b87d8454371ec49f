package centre

import (
	"context"
	"fmt"
	"time"

	"tandem/internal/beat"
	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// demoHandlers are the handlers of each sample integration: those with an
// interval beat on a schedule, the others when there is work.
var demoHandlers = []struct {
	name     string
	way      spec.Direction
	interval int
}{
	{"webhook", "", 300}, {"poll", "", 60}, {"selfcheck", "", 300}, {"reconcile", "", 3600},
	{"transform", spec.ToDestination, 0}, {"write", spec.ToDestination, 0}, {"stamp", spec.ToDestination, 0},
	{"transform", spec.ToHubSpot, 0}, {"write", spec.ToHubSpot, 0}, {"stamp", spec.ToHubSpot, 0},
}

var demoNames = []string{"acme", "birch-dental", "coastal-freight", "delta-solar", "everly-homes", "fjord-legal",
	"granite-supply", "harbour-physio", "ironbark-build", "juniper-travel", "kestrel-media", "lumen-optics"}

// Demo fills a table with a sample agency of n integrations as they would stand
// at now, for tests, screenshots and trying the page out.
func Demo(ctx context.Context, t table.Table, now time.Time, n int) error {
	var updates []table.Update
	for i := range n {
		for _, s := range demoStates(i, now) {
			updates = append(updates, put(stateKey(s.Client, s.ID()), table.Always, s, now.Add(stateLife)))
		}
	}
	for i, notice := range demoNotices(now) {
		key := table.Key{PK: pkTold, SK: newestFirst(fmt.Sprintf("%013d#demo#%03d", notice.At.UnixMilli(), i))}
		updates = append(updates, put(key, table.Always, notice, now.Add(toldLife)))
	}
	updates = append(updates, put(table.Key{PK: pkWatch, SK: skRan}, table.Always, now.Add(-20*time.Second), now.Add(stateLife)))
	for len(updates) > 0 {
		part := updates[:min(len(updates), table.MaxBatch)]
		if _, err := t.Update(ctx, part...); err != nil {
			return fmt.Errorf("store the demo: %w", err)
		}
		updates = updates[len(part):]
	}
	return nil
}

func demoName(i int) string {
	if i < len(demoNames) {
		return demoNames[i]
	}
	return fmt.Sprintf("client-%03d", i)
}

// demoStates makes one integration; the second is down, the fourth needs attention.
func demoStates(i int, now time.Time) []*State {
	var out []*State
	for j, h := range demoHandlers {
		s := &State{}
		for m := ringMinutes; m >= 0; m-- {
			at := now.Add(-time.Duration(m)*time.Minute - time.Duration((7*i+3*j)%55)*time.Second)
			s.apply(demoBeat(i, j, m, at), at)
		}
		if i == 1 && h.interval == 60 {
			s.LastBeat = now.Add(-9 * time.Minute)
		}
		out = append(out, s)
	}
	return out
}

// demoBeat is the beat of handler j of integration i, m minutes ago.
func demoBeat(i, j, m int, at time.Time) *beat.Beat {
	h := demoHandlers[j]
	b := &beat.Beat{Client: demoName(i), Handler: h.name, Direction: h.way, Interval: h.interval, CostMicros: int64(900 + 137*i)}
	load := (i*7+j*3+m*m)%11 + (m*5+i)%7
	switch h.name {
	case "webhook", "poll":
		d := spec.ToDestination
		if h.name == "poll" {
			d = spec.ToHubSpot
		}
		b.Ways = map[spec.Direction]*beat.Way{d: {Events: load, LastEvent: at}}
		b.API = &beat.API{Used: 21_000 + 1_913*i + 40*(60-m), Limit: 250_000}
	case "stamp":
		b.Ways = map[spec.Direction]*beat.Way{h.way: demoWay(i, m, load)}
		if dead := b.Ways[h.way].Outcomes[beat.Dead]; dead > 0 {
			b.Errors = map[flow.Code]int{flow.UnknownEnum: dead / 2, flow.RemoteRefused: dead - dead/2}
		}
	case "write":
		if (m+i)%13 == 0 {
			b.Errors = map[flow.Code]int{flow.RateLimited: 1 + i%3}
		}
	case "selfcheck":
		b.Checks = demoChecks(i)
	}
	return b
}

func demoWay(i, m, load int) *beat.Way {
	w := &beat.Way{Outcomes: map[beat.Kind]int{beat.Stamped: load * 3 / 4, beat.Dropped: load / 4},
		Causes: map[beat.Kind]map[beat.Cause]int{beat.Dropped: {beat.Echo: load / 5, beat.Unchanged: load/4 - load/5}}}
	if i == 3 && m%9 == 0 {
		w.Outcomes[beat.Dead] = 2
		w.Causes[beat.Dead] = map[beat.Cause]int{beat.Cause(flow.UnknownEnum): 1, beat.Cause(flow.RemoteRefused): 1}
	}
	if i == 5 && m == 12 {
		w.Outcomes[beat.Parked] = 1
		w.Causes[beat.Parked] = map[beat.Cause]int{beat.Ambiguous: 1}
	}
	for k := range load {
		w.Latency.Add(time.Duration(180+(k*k*37+m*91+i*53)%900) * time.Millisecond)
	}
	return w
}

func demoChecks(i int) []beat.Check {
	checks := []beat.Check{{Name: "secrets", OK: true, Millis: 9}, {Name: "table", OK: true, Millis: 6},
		{Name: "hubspot", OK: true, Millis: 141}, {Name: "destination", OK: true, Millis: 210},
		{Name: beat.CanaryToDestination, OK: true, Millis: 2_140}, {Name: beat.CanaryToHubSpot, OK: true, Millis: 1_320}}
	if i == 1 {
		checks[3] = beat.Check{Name: "destination", Code: flow.Unauthorized, Millis: 187}
	}
	return checks
}

func demoNotices(now time.Time) []Notice {
	return []Notice{
		{Kind: "handler", Client: "birch-dental", Handler: "poll", State: down, Count: 1, Interval: 60, At: now.Add(-7 * time.Minute)},
		{Kind: "check", Client: "birch-dental", Handler: "selfcheck", Check: "destination", Topic: "Unauthorized", State: down, Count: 1, At: now.Add(-8 * time.Minute)},
		{Kind: "count", Client: "delta-solar", Handler: "stamp", Topic: topic("dead", spec.ToDestination, "UnknownEnum"), Count: 7, At: now.Add(-26 * time.Minute)},
		{Kind: "count", Client: "fjord-legal", Handler: "stamp", Topic: topic("parked", spec.ToHubSpot, "ambiguous"), Count: 1, At: now.Add(-41 * time.Minute)},
		{Kind: "handler", Client: "kestrel-media", Handler: "webhook", State: up, Count: 1, At: now.Add(-3 * time.Hour)},
	}
}

// DemoOutcomes answers with sample outcomes and one sample record.
type DemoOutcomes struct{ Now time.Time }

// List implements Outcomes.
func (d DemoOutcomes) List(_ context.Context, q OutcomeQuery) (OutcomePage, error) {
	var out []Outcome
	for i := range 24 {
		o := d.outcome(q.Direction, i)
		if q.Kind == "" || q.Kind == o.Kind {
			out = append(out, o)
		}
	}
	return OutcomePage{Outcomes: out}, nil
}

func (d DemoOutcomes) outcome(way spec.Direction, i int) Outcome {
	id := fmt.Sprint(51_200 + 17*i)
	o := Outcome{At: d.Now.Add(-time.Duration(i*i+4) * time.Second), Direction: way, Kind: beat.Stamped,
		Ref:       record.Ref{System: way.Source(), Object: "contacts", ID: id},
		Execution: fmt.Sprintf("acme-contacts-%s-%04x", id, 0x3e1a+i*77), Latency: time.Duration(212+i*31) * time.Millisecond, Spec: "9f31c07ab2de",
		Fields: []string{"email", "phone"}}
	switch {
	case i%7 == 3:
		o.Kind, o.Cause, o.Fields, o.Latency = beat.Dropped, string(beat.Unchanged), nil, 38*time.Millisecond
	case i == 8:
		o.Kind, o.Cause, o.Detail, o.Fields = beat.Dead, string(flow.UnknownEnum), "pair contacts, field stage: the value is not in the enumMap", nil
	case i == 13:
		o.Kind, o.Cause, o.Fields = beat.Parked, string(beat.Ambiguous), nil
	}
	return o
}

// Record implements Outcomes.
func (d DemoOutcomes) Record(_ context.Context, _ string, ref record.Ref) (RecordView, error) {
	v := RecordView{Ref: ref, Partner: record.Ref{System: ref.System.Other(), Object: "customers", ID: "c_88"}, Pair: "contacts", State: "linked",
		Stamped: d.Now.Add(-4 * time.Minute), Next: "An event from HubSpot would be dropped: unchanged: no field differs from what both sides agreed on. One from the destination would be parked: fields kept alternating: phone."}
	for i, sample := range [][2]string{{"email", ""}, {"first_name", "Mara"}, {"last_name", "Lindqvist"}, {"phone", ""}, {"stage", "lead"}, {"company", "Birch Dental"}} {
		f := FieldView{Name: sample[0], Base: sample[1], Execution: fmt.Sprintf("acme-contacts-512-%04x", 0x91c+i), Event: fmt.Sprint(1000 + i), Spec: "9f31c07ab2de"}
		if f.Base == "" {
			f.Sensitive, f.Base = true, "fingerprint 7d0f2a91"
		}
		f.HubSpot, f.Destination = f.Base, f.Base
		if f.Name == "phone" {
			f.Frozen, f.DestinationDiffers, f.Destination = "alternated hubspot-to-destination past its budget; tandem resync frees it", true, "fingerprint c41b88e0"
		}
		v.Fields = append(v.Fields, f)
	}
	for i := range 5 {
		o := d.outcome(spec.From(ref.System), i)
		o.Ref = ref
		v.Outcomes = append(v.Outcomes, o)
	}
	return v, nil
}
