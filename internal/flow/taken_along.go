package flow

import (
	"context"
	"slices"
	"time"

	"tandem/internal/formula"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// deletion drafts the plan that deletes a record, which has just been read. What
// somebody edits in it from then on refuses the condition, and is decided on again.
func (f *Flow) deletion(j *journey, p *ledger.Pair, rec record.Record) *Plan {
	plan := &Plan{Act: ActWrite, IDs: p.IDs, Archive: j.target}
	switch {
	case j.to.Abilities(j.object(j.target)).ConditionalWrite && rec.ETag != "":
		plan.ETag = map[record.System]string{j.target: rec.ETag}
	case j.target == record.Destination:
		plan.Open = f.open(j, since(rec))
		plan.Ahead = (f.ahead(rec) + f.skew() + time.Second).Milliseconds()
	}
	return plan
}

// delete carries a deletion out. A system that knows no condition is asked afterwards
// what it has deleted; where it shows no more, the events of edits that are still to
// come tell, by their time.
func (f *Flow) delete(ctx context.Context, j *journey, plan *Plan, sys record.System, w *Written) error {
	c := &Confirmation{}
	w.Sides[sys] = c
	err := f.Remotes[sys].Archive(ctx, j.object(sys), plan.ids(j)[sys], plan.ETag[sys])
	if err != nil || plan.ETag[sys] != "" {
		return err
	}
	if plan.Open != "" {
		c.Open = ledger.Version(f.Now().Add(time.Duration(plan.Ahead) * time.Millisecond))
	}
	p, err := f.Ledger.Find(ctx, j.pair, j.ref, "")
	if err != nil {
		return store(err)
	}
	return f.takenAlong(ctx, j, p, sys)
}

// deleted is the window in which an edit was deleted with its record.
func deleted(pair spec.Pair, from, to string) ledger.Window {
	w := ledger.Window{Side: record.Destination, From: from, To: to, Prints: map[string][2]string{}}
	for _, field := range pair.Fields {
		if field.Travels(spec.ToHubSpot) {
			w.Prints[field.Name] = [2]string{}
		}
	}
	return w
}

// atRest drops the event of a record that is gone, unless it tells of an edit that
// we have overwritten or deleted.
func (f *Flow) atRest(ctx context.Context, j *journey, p *ledger.Pair) (*Plan, error) {
	lost, err := f.unheard(ctx, j, p)
	return unless(lost, "the record or its partner was deleted: "+p.Reason), err
}

// unheard is overwritten of a record that is not there, or whose partner is not, so that
// nothing is decided. A write or a deletion that was never stamped has left its intent.
func (f *Flow) unheard(ctx context.Context, j *journey, p *ledger.Pair) (bool, error) {
	if in := p.Intent; in.Deletes(j.source) && in.Open != "" {
		p.Windows = append(p.Windows, deleted(j.pair, in.Open, forever))
	}
	p.Windows = append(p.Windows, p.Intent.Left(nil)...)
	return f.overwritten(ctx, j, p)
}

// forever is later than every instant in the form of windows.
const forever = "9999"

// takenAlong looks at a record that we have deleted, as far as its system still shows
// it.
func (f *Flow) takenAlong(ctx context.Context, j *journey, p *ledger.Pair, sys record.System) error {
	t := f.translators[spec.From(sys)][j.pair.Name]
	rec, err := f.read(ctx, f.Remotes[sys], sys, j.object(sys), p.IDs[sys], t, j.pair)
	switch {
	case CodeOf(err) == RecordMissing:
		return nil
	case err != nil:
		return err
	}
	return f.went(ctx, j, p, sys, rec)
}

// went records what is lost with a record that we delete: what somebody had edited, and
// what looks like a write of ours that was never confirmed, should it have been somebody's
// after all.
func (f *Flow) went(ctx context.Context, j *journey, p *ledger.Pair, sys record.System, rec record.Record) error {
	var lost []ledger.Conflict
	for _, c := range f.differing(j, p, sys, rec) {
		switch {
		case c.changed:
			lost = append(lost, ledger.Conflict{Field: c.field, Policy: "deleted", Winner: sys.Other(), Loser: c.text})
		case c.text != "":
			lost = append(lost, ledger.Conflict{Field: c.field, Policy: "unconfirmed", Winner: sys.Other(), Loser: c.text})
		}
	}
	return f.lose(ctx, j, p.State, p.IDs, lost)
}

// edited lists the fields that somebody has changed in a record of sys since both
// sides agreed.
func (f *Flow) edited(j *journey, p *ledger.Pair, sys record.System, rec record.Record) (fields []string) {
	for _, c := range f.differing(j, p, sys, rec) {
		if c.changed {
			fields = append(fields, c.field)
		}
	}
	return fields
}

// differing are the fields of a record of sys that do not stand at the base. One in the
// recycle bin shows no associations. What is made of other fields waits for an echo to
// be brought along, and is no edit of its own.
func (f *Flow) differing(j *journey, p *ledger.Pair, sys record.System, rec record.Record) (cells []cell) {
	m := &merge{base: p.Base, print: j.print, sentAs: j.sentAs}
	here := side{system: sys, own: f.translators[spec.From(sys)][j.pair.Name].Canonical(rec.Fields), sent: p.MaybeSent(f.Now())[sys]}
	for _, field := range j.pair.Fields {
		c := m.cell(here, field.Name)
		if _, agreed := p.Base[field.Name]; !agreed && c.text != "" && field.Side(sys).Type != record.Reference {
			c.changed, c.ours = !c.mine, c.mine // nobody but this side has ever had it
		}
		unlinked := rec.Archived && c.text == "" && field.Side(sys).Type == record.Reference
		if field.Travels(spec.From(sys)) && (c.changed || c.ours) && !unlinked && !derived(j.pair, field) {
			cells = append(cells, c)
		}
	}
	return cells
}

// derived: a field is a concat of properties that are each a field themselves.
func derived(pair spec.Pair, field spec.Field) bool {
	if field.Formula == nil || field.Formula.Concat == nil {
		return false
	}
	return !slices.ContainsFunc(formula.Placeholders(field.Formula.Concat), func(property string) bool {
		return !slices.ContainsFunc(pair.Fields, func(own spec.Field) bool {
			plain := own.Formula == nil || own.Formula.Concat == nil
			return plain && own.HubSpot.Property == property && own.Travels(spec.ToDestination)
		})
	})
}
