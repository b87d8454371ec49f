package simulation

import (
	"maps"
	"slices"

	"tandem/internal/record"
	"tandem/spec"
)

// What is counted of specs that are changed.
const revision = "spec changed"

// revised returns a spec and what is made of it one day. What changes is drawn by kind.
func revised(s *spec.Spec, kind int) (before, after *spec.Spec) {
	other := *s
	other.Hash = "revised " + other.Hash
	other.Pairs = slices.Clone(s.Pairs)
	for i := range other.Pairs {
		p := &other.Pairs[i]
		p.Fields = slices.Clone(p.Fields)
		alter(p, kind)
	}
	if kind == 0 {
		return s, &other // a field is taken out
	}
	return &other, s
}

// plainField is a field of each pair that stands for itself.
var plainField = map[string]string{"contacts": "newsletter", "companies": "employees", "deals": "title"}

// alter changes a pair in a way that people change specs in.
func alter(p *spec.Pair, kind int) {
	at := slices.IndexFunc(p.Fields, func(f spec.Field) bool { return f.Name == plainField[p.Name] })
	switch kind {
	case 0, 1: // a field is added, or taken out
		p.Fields = slices.Delete(p.Fields, at, at+1)
	case 2: // an entry is added to an enumMap
		for i := range p.Fields {
			if f := p.Fields[i].Formula; f != nil && f.EnumMap != nil {
				less := *f
				less.EnumMap = maps.Clone(f.EnumMap)
				delete(less.EnumMap, slices.Min(slices.Collect(maps.Keys(less.EnumMap))))
				p.Fields[i].Formula = &less
			}
		}
	case 3: // policies change
		for i := range p.Fields {
			p.Fields[i].Policy = map[string]string{spec.PolicyHubSpot: spec.PolicyDestination, spec.PolicyDestination: spec.PolicyNewest}[p.Fields[i].Policy]
		}
	case 4: // a field travels both ways that travelled one way
		p.Fields[at].Direction = spec.OnlyDestination
	case 5: // deletions are treated in another way
		p.Deletes = spec.Deletes{HubSpot: "archive", Destination: "archive"}
	case 6: // so they are
		p.Deletes = spec.Deletes{HubSpot: "ignore", Destination: "ask"}
	}
}

// deploy puts the spec into operation that the older one has become, and everything is
// looked at again under it, as docs/deployment.md says.
func (r *run) deploy() {
	if r.counts[revision]++; r.release(r.spec) != nil {
		panic("the revised spec is not to be run")
	}
	r.deployed = r.now
	r.note("the spec is changed")
	r.backfill()
}

// young: the edit was made before the field was part of the spec, or travelled from there.
func (r *run) young(p spec.Pair, e edit) bool {
	if r.deployed.IsZero() || !e.at.Before(r.deployed) {
		return false
	}
	old, _ := r.older.PairByName(p.Name)
	return !slices.ContainsFunc(old.Fields, func(f spec.Field) bool {
		return f.Name == e.field && f.Travels(spec.From(e.ref.System))
	})
}

// wrongSide: the field did not travel from there before the spec changed, so that a blank is
// what the two are taken to have agreed on, whatever stood there.
func (r *run) wrongSide(p spec.Pair, e edit) bool {
	old, _ := r.older.PairByName(p.Name)
	return r.older != r.spec && slices.ContainsFunc(old.Fields, func(f spec.Field) bool {
		return f.Name == e.field && !f.Travels(spec.From(e.ref.System))
	})
}

// uncompared: nothing has been agreed on for that field yet, which the spec did not have
// before, or of which either side held a value without a translation.
func (r *run) uncompared(p spec.Pair, ref record.Ref, field string) bool {
	if r.older == r.spec && !r.careless {
		return false
	}
	_, agreed := r.pairOf(p, ref).Base[field]
	return !agreed
}
