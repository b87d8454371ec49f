package flow

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// merged follows a merge, whichever of its events has come: the record that lives on
// takes over the pair of the winner, losing partners are parked for a person, and
// nothing is deleted. Then the survivor is dealt with like any changed record.
func (f *Flow) merged(ctx context.Context, j *journey, s State, p *ledger.Pair) (*Plan, error) {
	next := *j
	if next.ID = orElse(s.Transform.ID, j.ID); s.Transform.Missing {
		next.ID = p.IDs[j.source] // should it have been merged once more
	}
	if next.Kind == Merged {
		next.Kind = Changed
	}
	next.ref.ID, next.Merged = next.ID, nil
	rec, err := f.survivor(ctx, &next, s.Transform)
	if err != nil {
		return nil, err
	}
	left, err := f.follow(ctx, j, rec, append([]string{j.ID}, j.Merged...))
	if err != nil {
		return nil, err
	}
	plan, err := f.afterMerge(ctx, &next, s)
	if plan != nil {
		plan.Parked = append(plan.Parked, left...)
	}
	return plan, err
}

// survivor reads the record that lives on. Where it is gone by now, what was merged
// into it still has to be told apart.
func (f *Flow) survivor(ctx context.Context, j *journey, t *Transformed) (record.Record, error) {
	if t.Missing {
		return record.Record{ID: j.ID, Archived: true, ReadAt: time.UnixMilli(t.ReadAt)}, nil
	}
	rec, err := f.read(ctx, j.from, j.source, j.object(j.source), j.ID, j.forward, j.pair)
	switch {
	case CodeOf(err) == RecordMissing:
		err = Errorf(LeaseHeld, "the merged record was there and is not found any more: it is looked at again")
	case err == nil && rec.ID != j.ID:
		err = Errorf(LeaseHeld, "the record has been merged once more: it is looked at again")
	}
	return rec, err
}

// partnerMerged: the contact of a destination record answers under another id. What
// both hold is compared once the merge has been followed.
func (f *Flow) partnerMerged(ctx context.Context, j *journey, rec record.Record, p *ledger.Pair) (*Plan, error) {
	if _, err := f.follow(ctx, j, rec, []string{p.IDs[record.HubSpot]}); err != nil {
		return nil, err
	}
	return nil, Errorf(LeaseHeld, "the record's partner has been merged into another: its pair is looked at afresh")
}

// mergeUntold: the record that matches is the partner of another which, as it turns
// out, was merged into this one.
func (f *Flow) mergeUntold(ctx context.Context, j *journey, other *ledger.Pair) (bool, error) {
	if j.source != record.HubSpot {
		return false, nil
	}
	merged, err := f.mergedInto(ctx, j, other, j.ref.ID)
	if err != nil || !merged {
		return false, err
	}
	rec, err := f.read(ctx, j.from, j.source, j.object(j.source), j.ref.ID, j.forward, j.pair)
	if err == nil {
		_, err = f.follow(ctx, j, rec, []string{other.IDs[j.source]})
	}
	return err == nil, err
}

// mergeUnheard: the record that matches lives on from a merge, as it says or seems, that
// nobody may have followed yet. The pair of one that was merged into it goes before a new
// one: what it holds, a blank too, may be an edit since that pair agreed.
func (f *Flow) mergeUnheard(ctx context.Context, j *journey, survivor string) (*ledger.Pair, error) {
	rec, err := f.read(ctx, j.to, j.target, j.object(j.target), survivor, j.back, j.pair)
	if err == nil {
		_, err = f.follow(ctx, j, rec, nil)
	}
	if err != nil {
		return nil, err
	}
	p, err := f.Ledger.Find(ctx, j.pair, record.Ref{System: j.target, Object: j.object(j.target), ID: survivor}, "")
	if err == nil && p.State == ledger.Linked {
		err = Errorf(LeaseHeld, "the record that matches lives on from a merge, and has just got a pair: it is looked at again")
	}
	return p, err
}

// mostMerged is how many ids of one survivor are looked at: what becomes of them all
// is one transaction (table.MaxBatch).
const mostMerged = 45

// follow gives the survivor rec the pair of one of the records that were merged into
// it: those that are named, and those that the survivor itself tells. It returns which
// destination records that leaves to people.
func (f *Flow) follow(ctx context.Context, j *journey, rec record.Record, named []string) (left []string, err error) {
	told := rec.Merged
	if len(told) == 0 {
		if told, err = f.kin(ctx, j, rec); err != nil {
			return nil, err
		}
	}
	rows, err := f.mergedRows(ctx, j, rec.ID, append(named, told...))
	if err != nil {
		return nil, err
	}
	if older(rows[0], record.HubSpot, rec.Version, rec.ReadAt) {
		return nil, Errorf(LeaseHeld, "the merged record has been compared in a newer state than was read: it is looked at again")
	}
	winner, losers := f.heir(j, rec, rows)
	if resting := winner != nil && winner.State != ledger.Linked; (resting || !rec.Archived) && !isErased(rows[0]) {
		rows[0].Reason = "" // if it rested, it is there again, or rests for another reason
	}
	unmet := slices.DeleteFunc(slices.Clone(rows[1:]), met)
	if !rec.Archived && slices.ContainsFunc(rows[1:], func(p *ledger.Pair) bool { return p.State != ledger.Alias }) {
		err = f.tellChildren(ctx, j, rec.ID)
	}
	if err == nil && (winner != nil && winner != rows[0] || len(losers)+len(unmet) > 0) {
		if left, err = f.leave(ctx, j, rec.ID, losers); err == nil {
			err = f.Ledger.Relink(ctx, j.pair, rows[0], winner, losers, unmet)
		}
	}
	return left, err
}

// leave records for each partner that a merge is about to leave to people that it waits
// for them: no event of its own may ever tell. Rather twice than never.
func (f *Flow) leave(ctx context.Context, j *journey, survivor string, losers []*ledger.Pair) (left []string, err error) {
	for _, p := range losers {
		if p.State != ledger.Linked {
			continue // people have deleted it
		}
		ref := record.Ref{System: record.Destination, Object: j.object(record.Destination), ID: p.IDs[record.Destination]}
		if err := f.Ledger.Record(ctx, ref, f.outcome(j, ledger.ParkedKind, ledger.MergedReason(survivor))); err != nil {
			return nil, err
		}
		left = append(left, ref.Object+" "+ref.ID)
	}
	return left, nil
}

// kin finds what was merged into a survivor that does not tell it, as far as it
// decides who goes on: the record whose partner holds the survivor's match value.
// Only the merge's own event names it else, and that may come later, or never.
func (f *Flow) kin(ctx context.Context, j *journey, rec record.Record) (ids []string, err error) {
	to, err := f.journey(Envelope{Client: j.Client, Direction: spec.ToDestination, Pair: j.Pair, ID: rec.ID})
	if err != nil {
		return nil, err
	}
	t := &Transformed{Fields: map[string]string{}}
	for _, v := range to.forward.Possible(rec.Fields) { // its own comparison tells what does not translate
		t.Fields[v.Field] = v.Target
	}
	_, by := f.matchKey(to, t)
	if by.value == "" {
		return nil, nil
	}
	found, _, err := to.to.Find(ctx, to.object(to.target), by.property, by.value, nil)
	for _, partner := range found {
		p, err := f.Ledger.Find(ctx, j.pair, record.Ref{System: to.target, Object: to.object(to.target), ID: partner.ID}, "")
		if err != nil {
			return nil, err
		}
		if merged, err := f.mergedInto(ctx, to, p, rec.ID); err != nil {
			return nil, err
		} else if merged {
			ids = append(ids, p.IDs[record.HubSpot])
		}
	}
	return ids, err
}

// mergedInto reports whether a pair's HubSpot record answers under another id.
func (f *Flow) mergedInto(ctx context.Context, to *journey, p *ledger.Pair, survivor string) (bool, error) {
	if p.State != ledger.Linked || p.IDs[record.HubSpot] == survivor {
		return false, nil
	}
	rec, err := to.from.Read(ctx, to.object(record.HubSpot), p.IDs[record.HubSpot], nil)
	if CodeOf(err) == RecordMissing {
		return false, nil
	}
	return err == nil && rec.ID == survivor, err
}

// mergedRows reads the rows of the survivor, first, and of what was merged into
// it. A merged record whose partner was still being looked for gives its claim up.
func (f *Flow) mergedRows(ctx context.Context, j *journey, survivor string, ids []string) ([]*ledger.Pair, error) {
	var rows []*ledger.Pair
	done := map[string]bool{}
	for _, id := range append([]string{survivor}, ids...) {
		ref := record.Ref{System: record.HubSpot, Object: j.object(record.HubSpot), ID: id}
		if done[id] || len(rows) > mostMerged {
			continue
		}
		done[id] = true
		p, err := f.Ledger.Row(ctx, j.pair, ref)
		if err == nil && p.Held(f.Now()) && p.LeaseBy != j.execution {
			err = Errorf(LeaseHeld, "a merged record is being worked on")
		}
		if err == nil && p.State == ledger.Claimed && id != survivor {
			err = f.Ledger.Settle(ctx, p, ref, ledger.Gone, "merged into "+survivor)
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, p)
	}
	return rows, nil
}

// heir is the pair that goes on, of those that are linked; the others lose, and with
// them those at rest: should the partner of one be restored, nothing would tell of its
// record in HubSpot once the survivor is gone, too. A survivor that has been put to rest
// with its partner keeps that one. Where all are at rest, one of them goes on so: what
// people have deleted is not made anew because of a merge, and an erasure finds it. Else
// it is chosen by what the survivor holds, so that it does not matter which event is
// heard first, or what no event says: the pair that holds the survivor's match value, else
// one that may have been sent it, or have sent it, since its partner may be the only one
// that can hold it;
// of such, the one that agrees with it in most fields; of such, the oldest link.
func (f *Flow) heir(j *journey, rec record.Record, rows []*ledger.Pair) (winner *ledger.Pair, losers []*ledger.Pair) {
	linked := slices.DeleteFunc(slices.Clone(rows), func(p *ledger.Pair) bool { return p.State != ledger.Linked })
	resting := slices.DeleteFunc(slices.Clone(rows[1:]), func(p *ledger.Pair) bool { return !restsWithPartner(p) })
	switch own := rows[0]; {
	case restsWithPartner(own):
		return own, append(linked, resting...)
	case len(linked) == 0:
		linked, resting = resting, nil // what people are asked of the one is asked of the survivor
	}
	if len(linked) == 0 {
		return nil, nil
	}
	to := f.translators[spec.ToDestination][j.pair.Name]
	own, sent := to.Canonical(rec.Fields), map[string]string{}
	for _, v := range to.Possible(rec.Fields) {
		sent[v.Field] = j.print(v.Field, record.Destination, v.Target)
	}
	holds := func(p *ledger.Pair, field string) int {
		switch {
		case own[field] == "":
		case p.Base[field].HubSpot == j.print(field, record.HubSpot, own[field]):
			return 2
		case slices.Contains(p.MaybeSent(f.Now())[record.Destination][field], sent[field]),
			slices.Contains(p.MaybeSent(f.Now())[record.HubSpot][field], j.print(field, record.HubSpot, own[field])):
			return 1
		}
		return 0
	}
	likeness := func(p *ledger.Pair) (keys, all int) {
		for _, by := range j.pair.Match {
			keys += holds(p, by.Field)
		}
		for _, field := range j.pair.Fields {
			all += holds(p, field.Name)
		}
		return keys, all
	}
	slices.SortStableFunc(linked, func(a, b *ledger.Pair) int {
		keysA, allA := likeness(a)
		keysB, allB := likeness(b)
		return cmp.Or(cmp.Compare(keysB, keysA), cmp.Compare(allB, allA), a.LinkedAt.Compare(b.LinkedAt), strings.Compare(a.Key.PK, b.Key.PK))
	})
	return linked[0], append(linked[1:], resting...)
}

// met: a merged record is somebody's partner, or has been dealt with. One that a restore
// has parted from its partner is met no more.
func met(p *ledger.Pair) bool {
	return p.State == ledger.Alias || p.IDs[record.Destination] != "" || p.Exists() && isErased(p)
}

func restsWithPartner(p *ledger.Pair) bool {
	return (p.State == ledger.Gone || p.State == ledger.Parked) && p.IDs[record.Destination] != ""
}

// afterMerge goes on with the survivor like with any changed record, read again:
// an edit made since this execution read it may have been parked meanwhile,
// because the survivor was not linked yet. An erasure that came before its merge
// was heard of is made good: those who were merged are the same person.
func (f *Flow) afterMerge(ctx context.Context, j *journey, s State) (*Plan, error) {
	p, err := f.Ledger.Find(ctx, j.pair, j.ref, "")
	switch {
	case err != nil:
		return nil, err
	case owesErasure(p):
		return f.purge(ctx, j, p)
	case !s.Transform.Missing:
		rec, err := f.survivor(ctx, j, s.Transform)
		if err != nil {
			return nil, err
		}
		if s.Transform, err = f.translated(ctx, j, rec, false); err != nil {
			return nil, err
		}
		s.Transform.Merged = nil // they have just been followed
	}
	return f.plan(ctx, j, s, p)
}

// mergedPartners are the destination records that a merge has left to people.
func (f *Flow) mergedPartners(ctx context.Context, j *journey, p *ledger.Pair) (ids []string, err error) {
	for _, id := range p.Was {
		row, err := f.Ledger.Row(ctx, j.pair, record.Ref{System: record.Destination, Object: j.object(record.Destination), ID: id})
		if err != nil {
			return nil, err
		}
		if row.MergedInto() != "" {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
