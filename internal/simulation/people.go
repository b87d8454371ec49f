package simulation

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"tandem/internal/record"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// edit is one value that somebody outside set on one side.
type edit struct {
	at    time.Time
	ref   record.Ref
	pair  string
	field string
	text  string // canonical
	first bool   // of a field that had never been agreed on (uncompared)
}

// place is one field of one record; moment is what it held from then on.
type place struct {
	ref   record.Ref
	field string
}

type moment struct {
	at   time.Time
	text string
	ours bool
}

// values people choose from, by the spec's field name: few, so that they collide.
var values = map[string][]string{
	"firstName": {"Ada", "Grace", "Edsger", ""}, "lastName": {"Lovelace", "Hopper", "Dijkstra", "Hopper "},
	"phone": {"+61412345678", "+61298765432", ""}, "postcode": {"2000", "3000", "4000"},
	"newsletter": {"true", "false"}, "birthday": {"1990-01-02", "1985-12-31", ""},
	"name": {"Acme Pty", "Acme Ltd", "Zenith"}, "employees": {"5", "17", "250", ""},
	"title": {"Order one", "Order two"}, "amount": {"100", "250.5", "99", ""}, "closeDate": {"2026-12-01", "2027-01-15"},
}

// pick draws a value of a field for one side, in that side's terms.
func (r *run) pick(f spec.Field, s record.System) (string, bool) {
	if f.Formula != nil && f.Formula.Concat != nil {
		return "", false // derived from other fields
	}
	if f.Formula != nil && f.Formula.EnumMap != nil {
		var own []string
		for from, to := range f.Formula.EnumMap {
			if s == record.HubSpot {
				own = append(own, from)
			} else {
				own = append(own, to)
			}
		}
		slices.Sort(own)
		return r.blunder(f, s, own[r.rng.IntN(len(own))]), true
	}
	if f.Side(s).Type == record.Reference {
		return r.parent(f, s), true
	}
	list := values[f.Name]
	if len(list) == 0 {
		return "", false
	}
	return r.blunder(f, s, list[r.rng.IntN(len(list))]), true
}

// keys are the match values of each pair; a person is recognised by them.
func key(p spec.Pair, i int) string {
	switch p.Match[0].Field {
	case "email":
		return "person" + strconv.Itoa(i) + "@example.com"
	case "domain":
		return "company" + strconv.Itoa(i) + ".example"
	}
	return "N-" + strconv.Itoa(i)
}

// live schedules what people outside do: a few minutes of it, in bursts.
func (r *run) live(actions int) {
	for range actions {
		at := r.between(0, 3*time.Minute)
		if r.rng.IntN(3) == 0 {
			// A burst: many things at one time, which is not a whole second: of such a
			// time nobody knows whether it was cut off (Window.Covers).
			at = at.Truncate(20*time.Second) + time.Millisecond
		}
		r.after(at, r.act)
	}
	for at := 5 * time.Second; at < 5*time.Minute; at += 20 * time.Second {
		r.after(at, r.poll)
	}
	if r.older != r.spec {
		r.after(r.between(30*time.Second, 4*time.Minute), r.deploy)
	}
	if r.deaf {
		r.after(r.between(0, 4*time.Minute), r.backfill)
	}
	for range r.rng.IntN(3) {
		r.after(r.between(0, 4*time.Minute), func() {
			if r.faults {
				r.counts["power cut"]++
				r.power++
				r.note("power cut")
			}
		})
	}
}

// habit is something that people do, and how often of a hundred times: in most worlds,
// and in those where they tidy up, which is where the features of the protocol meet.
type habit struct {
	mostly, tidying int
	do              func(*run, spec.Pair, record.System)
}

var habits = []habit{
	{14, 12, func(r *run, p spec.Pair, s record.System) { r.make(p, s, key(p, r.rng.IntN(3))) }},
	{8, 6, func(r *run, p spec.Pair, s record.System) { // the same thing made on both sides at once
		k := key(p, r.rng.IntN(3))
		r.make(p, s, k)
		r.after(r.between(0, 3*time.Second), func() { r.make(p, s.Other(), k) })
	}},
	{57, 40, func(r *run, p spec.Pair, s record.System) { r.change(p, s, 1+r.rng.IntN(3)) }},
	{5, 4, func(r *run, p spec.Pair, s record.System) { // there and back
		r.change(p, s, 1)
		r.after(r.between(0, 4*time.Second), func() { r.change(p, s, 1) })
	}},
	{2, 3, func(r *run, p spec.Pair, s record.System) { // both sides at once
		r.change(p, s, 2)
		r.after(r.between(0, time.Second), func() { r.change(p, s.Other(), 2) })
	}},
	{3, 6, (*run).remove},
	{1, 4, (*run).erase},
	{2, 5, (*run).restore},
	{1, 2, (*run).rekey},
	{5, 8, (*run).combine},
	{2, 10, (*run).swap},
}

// act is one thing somebody does.
func (r *run) act() {
	pair := r.spec.Pairs[r.rng.IntN(len(r.spec.Pairs))]
	side := record.HubSpot
	if r.rng.IntN(2) == 0 {
		side = record.Destination
	}
	n := r.rng.IntN(100)
	for _, h := range habits {
		if n -= map[bool]int{false: h.mostly, true: h.tidying}[r.tidying]; n < 0 {
			h.do(r, pair, side)
			break
		}
	}
	r.deliver()
}

// make creates a record on one side, unless somebody can see that it is there.
func (r *run) make(p spec.Pair, s record.System, k string) {
	if k != "" && r.seen(p, s, k) {
		return
	}
	fields := map[string]string{p.Match[0].Field: k}
	for _, f := range p.Fields {
		if text, ok := r.pick(f, s); ok && f.Travels(spec.From(s)) && r.rng.IntN(2) == 0 {
			fields[f.Name] = text
		}
	}
	if id := r.put(p, s, "", fields); id != "" {
		r.foreign[record.Ref{System: s, Object: p.Side(s).Object, ID: id}] = true
	}
}

// wrongSide counts edits of one-way fields where nothing is read from them.
const wrongSide = "one-way field edited on its wrong side"

// change sets some fields of a record.
func (r *run) change(p spec.Pair, s record.System, n int) {
	ids := r.known[s][p.Side(s).Object]
	if len(ids) == 0 {
		return
	}
	r.edit(p, s, ids[r.rng.IntN(len(ids))], n)
}

// edit sets some fields of one record.
func (r *run) edit(p spec.Pair, s record.System, id string, n int) {
	fields := map[string]string{}
	for range n {
		f := p.Fields[r.rng.IntN(len(p.Fields))]
		switch text, ok := r.pick(f, s); {
		case ok && f.Travels(spec.From(s)):
			fields[f.Name] = text
		case !f.Travels(spec.From(s)) && r.chance(0.2, wrongSide):
			fields[f.Name] = []string{"Nobody", ""}[r.rng.IntN(2)]
		}
	}
	if len(fields) > 0 && r.now1(p, s, id) != nil {
		r.put(p, s, id, fields)
	}
	r.deliver()
}

// put writes as somebody outside: create (id "") or change.
func (r *run) put(p spec.Pair, s record.System, id string, fields map[string]string) string {
	props := map[string]string{}
	for _, f := range p.Fields {
		if text, ok := fields[f.Name]; ok {
			props[f.Side(s).Property] = text
		}
	}
	was := map[string]string{}
	if id != "" {
		was = r.now1(p, s, id)
	}
	id, ok := r.outside(p, s, id, props)
	if !ok {
		return ""
	}
	r.note("somebody sets %s/%s %s %v", s, p.Side(s).Object, id, fields)
	if k := fields[p.Match[0].Field]; k != "" {
		r.wanted[keyOf{p.Name, k}] = r.now
	}
	ref, stored := record.Ref{System: s, Object: p.Side(s).Object, ID: id}, r.now1(p, s, id)
	for name := range fields {
		if text := stored[name]; was[name] != text && !refers(p, name) { // as the system keeps it
			r.edits = append(r.edits, edit{r.now, ref, p.Name, name, text, r.uncompared(p, ref, name)})
		}
	}
	r.observe(s, false)
	return id
}

// outside calls the system the way a person's browser or another program does.
func (r *run) outside(p spec.Pair, s record.System, id string, props map[string]string) (string, bool) {
	if s == record.HubSpot {
		var rec portal.Record
		var err error
		plain, links := apart(props)
		if id == "" {
			rec, err = r.hub.Create(portal.Person, p.HubSpot.Object, plain)
		} else {
			rec, err = r.hub.Update(portal.Person, p.HubSpot.Object, id, "", plain)
		}
		if err == nil {
			r.associate(p.HubSpot.Object, rec.ID, links)
		}
		if err == nil {
			r.meet(s, p.HubSpot.Object, rec.ID)
		}
		return rec.ID, err == nil
	}
	object := p.Destination.Object
	var rec erp.Record
	var err error
	if id == "" {
		rec, err = r.erp.Create(object, r.typed(p, props))
	} else {
		rec, err = r.erp.Update(object, id, r.typed(p, props), 0)
	}
	if err == nil {
		r.meet(s, object, rec.ID)
	}
	return rec.ID, err == nil
}

// typed writes canonical text as the JSON the destination keeps.
func (r *run) typed(p spec.Pair, props map[string]string) map[string]any {
	out := map[string]any{}
	for _, f := range p.Fields {
		text, ok := props[f.Destination.Property]
		switch {
		case !ok:
		case text == "":
			out[f.Destination.Property] = nil
		case f.Destination.Type == record.Bool:
			out[f.Destination.Property] = text == "true"
		case f.Destination.Type == record.Number && json.Valid([]byte(text)):
			out[f.Destination.Property] = json.Number(text)
		default:
			out[f.Destination.Property] = text
		}
	}
	return out
}

// meet remembers an id.
func (r *run) meet(s record.System, object, id string) {
	if id != "" && !slices.Contains(r.known[s][object], id) {
		r.known[s][object] = append(r.known[s][object], id)
	}
}

// now1 reads one record's mapped fields as they are, nil when it is not live.
func (r *run) now1(p spec.Pair, s record.System, id string) map[string]string {
	props := make([]string, 0, len(p.Fields))
	for _, f := range p.Fields {
		props = append(props, f.Side(s).Property)
	}
	rec, err := r.calm[s].Read(context.Background(), p.Side(s).Object, id, props)
	if err != nil || rec.Archived || rec.ID != id {
		return nil
	}
	out := map[string]string{}
	for _, f := range p.Fields {
		out[f.Name] = rec.Fields[f.Side(s).Property]
	}
	return out
}

// observe notes what every known record of a side holds by now.
func (r *run) observe(s record.System, ours bool) {
	for _, p := range r.spec.Pairs {
		object := p.Side(s).Object
		for _, id := range r.list(s, object) {
			r.meet(s, object, id)
			ref := record.Ref{System: s, Object: object, ID: id}
			for field, text := range r.now1(p, s, id) {
				at := place{ref, field}
				if h := r.past[at]; len(h) == 0 || h[len(h)-1].text != text {
					r.past[at] = append(h, moment{r.now, text, ours})
				}
			}
		}
	}
}

// list names the live records of an object type.
func (r *run) list(s record.System, object string) (ids []string) {
	if s == record.HubSpot {
		all, _ := r.hub.List(object, 100, "", false, nil, nil)
		for _, rec := range all.Results {
			ids = append(ids, rec.ID)
		}
		return ids
	}
	for _, rec := range r.erp.Records(object) {
		if !rec.Deleted {
			ids = append(ids, rec.ID)
		}
	}
	return ids
}
