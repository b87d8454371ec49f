package why

import (
	"context"
	"maps"
	"slices"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// Comparison is what one record's next execution would do under two specs.
type Comparison struct {
	Record record.Ref `json:"record"`
	// Fields are those whose translation differs.
	Fields []Difference `json:"fields,omitempty"`
	Before Decision     `json:"before"`
	After  Decision     `json:"after"`
	// Writes are the systems that only the new spec would write this record into.
	Writes []record.System `json:"writes,omitempty"`
}

// Difference is one field's translated value under two specs: absent where the
// field does not travel, a fingerprint where either spec marks it as sensitive.
type Difference struct {
	Field  string  `json:"field"`
	Before *string `json:"before,omitempty"`
	After  *string `json:"after,omitempty"`
}

// Same reports whether the record fares alike under both specs.
func (c *Comparison) Same() bool {
	return len(c.Fields) == 0 && len(c.Writes) == 0 && c.Before.Act == c.After.Act && c.Before.Code == c.After.Code
}

// Compare rehearses the same event under the specs of two Askers over one table.
func Compare(ctx context.Context, before, after *Asker, ref record.Ref) Comparison {
	c := Comparison{Record: ref}
	was, old := before.tryRef(ctx, ref)
	is, fresh := after.tryRef(ctx, ref)
	c.Before, c.After = old, fresh
	if was != nil && is != nil && was.ID == is.ID {
		c.Fields = differences(before, after, ref, was.Fields, is.Fields)
	}
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		if fresh.into(sys) && !old.into(sys) {
			c.Writes = append(c.Writes, sys)
		}
	}
	return c
}

// into reports whether the decision writes into a system.
func (d Decision) into(sys record.System) bool { return d.Create == sys || len(d.Writes[sys]) > 0 }

// tryRef finds the pair of a record in the Asker's own spec.
func (a *Asker) tryRef(ctx context.Context, ref record.Ref) (*flow.Transformed, Decision) {
	pair, ok := a.Flow.Spec.PairByObject(ref.System, ref.Object)
	if !ok {
		return nil, Decision{Act: flow.ActDrop, Reason: "the spec has no pair for " + ref.Object}
	}
	return a.try(ctx, pair, ref)
}

func differences(before, after *Asker, ref record.Ref, was, is map[string]string) (out []Difference) {
	names := maps.Clone(was)
	maps.Copy(names, is)
	hidden := append(before.hidden(ref), after.hidden(ref)...)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, had := was[name]
		fresh, has := is[name]
		if had == has && old == fresh {
			continue
		}
		d := Difference{Field: name}
		show := func(text string) *string {
			if slices.Contains(hidden, name) && text != "" {
				pair, _ := after.Flow.Spec.PairByObject(ref.System, ref.Object)
				text = "fingerprint " + after.print(pair, name, ref.System.Other(), text)
			}
			return &text
		}
		if had {
			d.Before = show(old)
		}
		if has {
			d.After = show(fresh)
		}
		out = append(out, d)
	}
	return out
}

// hidden lists the sensitive fields of a record's pair.
func (a *Asker) hidden(ref record.Ref) (names []string) {
	pair, _ := a.Flow.Spec.PairByObject(ref.System, ref.Object)
	for _, f := range pair.Fields {
		if f.Sensitive {
			names = append(names, f.Name)
		}
	}
	return names
}
