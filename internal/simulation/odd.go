package simulation

import (
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// What is counted of values without a translation.
const (
	oddValue  = "value without a translation"
	oddMended = "value without a translation put right"
)

// odd are values by field, as people enter them, that a side keeps and that the spec
// cannot put into the other side's terms.
var odd = map[string]map[record.System]string{
	"status":    {record.HubSpot: "EVANGELIST", record.Destination: "on hold"},
	"industry":  {record.HubSpot: "AVIATION", record.Destination: "farming"},
	"stage":     {record.HubSpot: "negotiation", record.Destination: "backordered"},
	"phone":     {record.HubSpot: "ask Grace", record.Destination: "Edsger's"},
	"birthday":  {record.Destination: "31/02/1990"},
	"employees": {record.Destination: "about 20"},
	"amount":    {record.Destination: "tbd"},
	"closeDate": {record.Destination: "30/02/2027"},
}

// blunder is a value without a translation instead of one with, in some worlds.
func (r *run) blunder(f spec.Field, s record.System, text string) string {
	if v, ok := odd[f.Name][s]; ok && r.careless && r.chance(0.1, oddValue) {
		return v
	}
	return text
}

// noTranslation lists the fields of a record that travel and hold what has none.
func (r *run) noTranslation(p spec.Pair, ref record.Ref) (fields []spec.Field) {
	now := r.now1(p, ref.System, ref.ID)
	if now == nil {
		return nil
	}
	t, back := compile(p)
	if ref.System == record.Destination {
		t = back
	}
	props := record.Fields{}
	for _, f := range p.Fields {
		props[f.Side(ref.System).Property] = now[f.Name]
	}
	has := map[string]bool{}
	for _, v := range t.Possible(props) {
		has[v.Field] = true
	}
	for _, f := range p.Fields {
		if f.Travels(spec.From(ref.System)) && !has[f.Name] {
			fields = append(fields, f)
		}
	}
	return fields
}

// accounted: a value that cannot travel is told of by a dead letter of its record, once
// the world is quiet.
func (r *run) accounted(fail func(string, ...any)) {
	r.everyRecord(func(p spec.Pair, ref record.Ref) {
		for _, f := range r.noTranslation(p, ref) {
			if !r.hasLetter(p, ref) {
				fail("no silent loss: %s field %s holds a value without a translation, and no dead letter says so", ref, f.Name)
			}
		}
	})
}

// mend is somebody who reads the dead letters and puts right what they tell of.
func (r *run) mend() {
	r.everyRecord(func(p spec.Pair, ref record.Ref) {
		for _, f := range r.noTranslation(p, ref) {
			if text, ok := r.pick(f, ref.System); ok && r.put(p, ref.System, ref.ID, map[string]string{f.Name: text}) != "" {
				r.counts[oddMended]++
			}
		}
	})
	r.deliver()
}

func (r *run) everyRecord(do func(spec.Pair, record.Ref)) {
	for _, p := range r.spec.Pairs {
		for _, s := range []record.System{record.HubSpot, record.Destination} {
			for _, id := range r.known[s][p.Side(s).Object] {
				do(p, record.Ref{System: s, Object: p.Side(s).Object, ID: id})
			}
		}
	}
}

// hasLetter: there is a dead letter of the record, under its own id or one that was
// merged into it.
func (r *run) hasLetter(p spec.Pair, ref record.Ref) bool {
	for _, l := range r.letters {
		e := l.state.Event
		if e.Pair == p.Name && e.Direction.Source() == ref.System && r.survivor(record.Ref{System: ref.System, Object: ref.Object, ID: e.ID}) == ref {
			return true
		}
	}
	return false
}

// stuck: a record of a pair holds a value that cannot travel, which holds back all else
// that is to travel from it.
func (r *run) stuck(p spec.Pair, pair *ledger.Pair) bool {
	for _, s := range []record.System{record.HubSpot, record.Destination} {
		if len(r.noTranslation(p, r.survivor(record.Ref{System: s, Object: p.Side(s).Object, ID: pair.IDs[s]}))) > 0 {
			return true
		}
	}
	return false
}
