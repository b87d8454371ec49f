package flow

import (
	"context"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// tidy looks after a record that this very execution created before it lost its
// lease. Where another worker's record was linked meanwhile, ours is the extra
// one: it is seconds old and known to nobody, so it goes, unless a row of its own says
// that it has a history, as the partner of a record merged into another since. Else it
// is adopted. What somebody has edited since is left to people, who are asked by its own
// event.
func (f *Flow) tidy(ctx context.Context, j *journey, s State, p *ledger.Pair) error {
	made := s.made(j.target)
	switch {
	case made == "":
	case p.State == ledger.Linked && p.IDs[j.target] != made:
		row, err := f.Ledger.Row(ctx, j.pair, record.Ref{System: j.target, Object: j.object(j.target), ID: made})
		if err != nil {
			return store(err)
		}
		begun := row.Intent.Deletes(j.target) && row.Intent.Execution == j.execution
		if row.Exists() && row.State != ledger.Claimed && !begun {
			return nil
		}
		return f.discard(ctx, j, s, p, row)
	case p.State != ledger.Linked:
		p.Adopt = made
	}
	return nil
}

// made is the record that an earlier round of this execution has created.
func (s *Sections) made(sys record.System) string {
	if s.Write != nil && s.Write.Sides[sys] != nil && s.Write.Sides[sys].Created != "" {
		return s.Write.Sides[sys].Created
	}
	if s.Lookup != nil {
		return s.Lookup.Made
	}
	return ""
}

// discard deletes an extra record of ours, which row is of, unless somebody has edited it.
func (f *Flow) discard(ctx context.Context, j *journey, s State, p, row *ledger.Pair) error {
	made := row.IDs[j.target]
	rec, err := f.read(ctx, j.to, j.target, j.object(j.target), made, j.back, j.pair)
	switch {
	case err == nil && rec.ID != made: // merged
		return nil
	case CodeOf(err) == RecordMissing || err == nil && rec.Archived:
		if row.Intent.Deletes(j.target) { // by us, as it seems, and nobody noted it
			err = f.wentAlong(ctx, j, j.target, p, row, 0)
		}
		return unlessMissing(err)
	case err != nil:
		return err
	case !untouched(j, s, rec):
		f.Log.Warn("an extra record made by a worker that lost its lease has been edited: it is left to people", "execution", j.execution, "system", j.target)
		return nil
	}
	f.Log.Warn("an extra record made by a worker that lost its lease is removed", "execution", j.execution, "system", j.target)
	if !j.to.Abilities(j.object(j.target)).ConditionalWrite {
		rec.ETag = ""
		if err := f.intendExtra(ctx, j, row, rec); err != nil {
			return store(err)
		}
	}
	err = j.to.Archive(ctx, j.object(j.target), made, rec.ETag)
	switch {
	case CodeOf(err) == PreconditionFailed:
		return Errorf(LeaseHeld, "the extra record was edited while it was to be removed: it is looked at again")
	case err != nil || rec.ETag != "":
		return err
	}
	return f.wentAlong(ctx, j, j.target, p, row, f.ahead(rec))
}

// intendExtra notes before an extra record is deleted what it holds: should its worker
// die, whoever comes next tells from that what went along.
func (f *Flow) intendExtra(ctx context.Context, j *journey, row *ledger.Pair, rec record.Record) error {
	in := ledger.Intent{Execution: j.execution, At: f.Now(), Archive: j.target, Prior: map[string]string{}, Spec: f.edition()}
	if j.target == record.Destination {
		in.Open = f.open(j, since(rec))
	}
	for name, text := range j.back.Canonical(rec.Fields) {
		in.Prior[name] = j.print(name, j.target, text)
	}
	in = in.After(row.Intent)
	err := f.Ledger.Take(ctx, row, in, ledger.Change{})
	row.Intent = &in
	return err
}

// untouched: the extra record has the version that its create was answered with, or
// holds nothing but what it was made of, in whatever form.
func untouched(j *journey, s State, rec record.Record) bool {
	if s.Write != nil && s.Write.Sides[j.target] != nil && s.Write.Sides[j.target].Version == rec.Version && rec.Version != "" {
		return true
	}
	own := j.back.Canonical(rec.Fields)
	for _, field := range j.pair.Fields {
		now, known := own[field.Name]
		if known && field.Travels(spec.From(j.target)) && !derived(j.pair, field) && !record.Reshaped(field.Side(j.target).Type, now, s.Transform.Fields[field.Name]) {
			return false
		}
	}
	return true
}

// wentAlong records what an extra record, as far as its system still shows it, held
// otherwise when it was deleted than just before, and leaves a tombstone; where it shows no
// more, events tell.
func (f *Flow) wentAlong(ctx context.Context, j *journey, sys record.System, p, row *ledger.Pair, ahead time.Duration) error {
	t := f.translators[spec.From(sys)][j.pair.Name]
	rec, err := f.read(ctx, f.Remotes[sys], sys, j.object(sys), row.IDs[sys], t, j.pair)
	switch {
	case CodeOf(err) == RecordMissing:
		return f.buried(ctx, j, sys, row, ahead)
	case err != nil:
		return err
	}
	now := t.Canonical(rec.Fields)
	var lost []ledger.Conflict
	for _, field := range j.pair.Fields {
		reference := field.Side(sys).Type == record.Reference // none are shown in the recycle bin
		prior, noted := row.Intent.Prior[field.Name]
		if field.Travels(spec.From(sys)) && !reference && !derived(j.pair, field) && noted && prior != j.print(field.Name, sys, now[field.Name]) {
			lost = append(lost, ledger.Conflict{Field: field.Name, Policy: "deleted", Winner: sys.Other(), Loser: now[field.Name]})
		}
	}
	if err := f.lose(ctx, j, p.State, p.IDs, lost); err != nil {
		return err
	}
	return f.buried(ctx, j, sys, row, ahead)
}

// buried leaves a tombstone, with the window in which the extra record may have been
// edited unseen.
func (f *Flow) buried(ctx context.Context, j *journey, sys record.System, row *ledger.Pair, ahead time.Duration) error {
	var change ledger.Change
	if from := row.Intent.Open; from != "" {
		change.Left = []ledger.Window{deleted(j.pair, from, ledger.Version(f.Now().Add(ahead+f.skew()+time.Second)))}
	}
	err := f.Ledger.Settle(ctx, row, record.Ref{System: sys, Object: j.object(sys), ID: row.IDs[sys]}, ledger.Gone, deletedIn+string(sys))
	if err == nil {
		err = f.Ledger.Note(ctx, row, change)
	}
	return store(err)
}
