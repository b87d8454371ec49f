package flow

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// unlinked looks for a record's partner, and claims the right to create one.
func (f *Flow) unlinked(ctx context.Context, j *journey, s State, p *ledger.Pair) (*Plan, error) {
	known := time.UnixMilli(s.Transform.ReadAt)
	t, err := f.stillThere(ctx, j, s.Transform)
	if err != nil {
		return nil, err
	}
	s.Transform = t
	switch {
	case j.source == record.HubSpot && t.ID != "":
		return f.merged(ctx, j, s, p)
	case t.Archived:
		return f.deleted(ctx, j, p)
	}
	// With a partner from which a restore has parted it, edits may have been overwritten.
	if _, err := f.overwrittenNow(ctx, j, f.merge(j, p, t), p.State, p.IDs, p.Windows); err != nil {
		return nil, err
	}
	key, match := f.matchKey(j, t)
	if err := f.wait(ctx, j, known, p, key); err != nil {
		return nil, err
	}
	doubt := p.Intent
	plan := f.draft(j, t)
	// Nothing has been sent yet: what will be is intended when the way is clear.
	claim := ledger.Intent{Execution: j.execution, At: f.Now(), Create: j.target, Spec: f.edition()}
	switch err := f.Ledger.Claim(ctx, p, j.ref, key, claim.After(doubt)); {
	case errors.Is(err, ledger.ErrOrphan):
		return f.ambiguous(ctx, j, p, t, errWidowed.Error())
	case err != nil:
		return nil, err
	}
	plan.MatchKey, plan.Until, plan.Ghosts = key, p.LeaseUntil.UnixMilli(), doubt.MaySend()
	found, err := f.candidates(ctx, j, p, t, match, doubt)
	switch {
	case errors.Is(err, errWidowed) || errors.Is(err, errEdited):
		return f.ambiguous(ctx, j, p, t, err.Error())
	case err == nil:
		plan, err = f.choose(ctx, j, s, p, plan, found, match, doubt)
	}
	if err != nil {
		if back := f.Ledger.Release(ctx, ledger.Fence{Key: p.Key, Rev: p.Rev}, doubt != nil, ledger.Named{}); back != nil {
			return nil, back
		}
		return nil, err
	}
	if plan.Act != ActDrop {
		plan.Fence = &ledger.Fence{Key: p.Key, Rev: p.Rev}
	}
	return plan, nil
}

// wait: this record may be the result of a create that is under way from the
// other side. Only creates begun before it was known can have made it, and one
// that has claimed itself waits only for older claims, so no two wait for each
// other, and nobody for a stream of creates that go on beginning.
func (f *Flow) wait(ctx context.Context, j *journey, before time.Time, p *ledger.Pair, key string) error {
	if p.State == ledger.Claimed && p.Since.Before(before) {
		before = p.Since.Add(-time.Millisecond)
	}
	flying, err := f.Ledger.InFlight(ctx, j.source, j.object(j.target), before, key)
	if err == nil && flying {
		err = Errorf(ClaimHeld, "a create towards %s is under way; the record may be its result", j.source)
	}
	return err
}

// match is the property and value that a partner is looked for by.
type match struct{ property, value string }

// heldBy reports whether a record that was found shows the value itself: HubSpot finds the
// survivor of a merge by what the others had, too.
func (by match) heldBy(r record.Record) bool {
	return strings.EqualFold(strings.TrimSpace(r.Fields[by.property]), strings.TrimSpace(by.value))
}

// matchKey stands for the value both sides recognise the record by, folded so
// that creates racing from both sides meet on one claim; "" when it is blank. The
// destination's form is used on both sides.
func (f *Flow) matchKey(j *journey, t *Transformed) (string, match) {
	for _, by := range j.pair.Match {
		text, value := t.Fields[by.Field], t.Fields[by.Field]
		if j.target == record.HubSpot {
			text, _ = t.own(by.Field)
		}
		if text = strings.ToLower(strings.TrimSpace(text)); text != "" && value != "" {
			return j.print(by.Field, "either side", text), match{j.property(by.Field, j.target), strings.TrimSpace(value)}
		}
	}
	return "", match{}
}

func (j *journey) property(field string, s record.System) string {
	for _, fd := range j.pair.Fields {
		if fd.Name == field {
			return fd.Side(s).Property
		}
	}
	return ""
}

// choose adopts the one candidate, creates when there is none, and parks what
// is ambiguous: it never guesses.
func (f *Flow) choose(ctx context.Context, j *journey, s State, p *ledger.Pair, plan *Plan, found []record.Record, by match, doubt *ledger.Intent) (*Plan, error) {
	found = slices.DeleteFunc(found, func(r record.Record) bool { return r.Archived })
	if len(found) == 0 {
		return plan, f.anew(ctx, j, s, p, plan, doubt)
	}
	if len(found) > 1 {
		return f.ambiguous(ctx, j, p, s.Transform, severalMatch+string(j.target)+" match")
	}
	other, err := f.Ledger.Find(ctx, j.pair, record.Ref{System: j.target, Object: j.object(j.target), ID: found[0].ID}, "")
	if err == nil && j.target == record.HubSpot && other.State != ledger.Linked && (len(found[0].Merged) > 0 || !by.heldBy(found[0])) {
		other, err = f.mergeUnheard(ctx, j, found[0].ID)
	}
	switch {
	case err != nil:
		return nil, err
	case other.State == ledger.Linked && other.IDs[j.source] != j.ref.ID:
		if followed, err := f.mergeUntold(ctx, j, other); err != nil || followed {
			return nil, orElse(err, error(Errorf(LeaseHeld, "a record has been merged into this one: its pair is looked at afresh")))
		}
		freed, err := f.handsOn(ctx, j, other, found[0], plan.Patch[j.target])
		if err != nil {
			return nil, err
		}
		if freed && f.Now().Before(p.Since.Add(patience)) {
			if doubt == nil { // nothing is being made meanwhile, so no record of the other side is held up
				err = f.Ledger.Withdraw(ctx, ledger.Fence{Key: p.Key, Rev: p.Rev}, j.ref)
			}
			return nil, orElse(err, error(Errorf(LeaseHeld, "the matching record is linked to another, and that one has been deleted or has another key by now: it is looked at again")))
		}
		return f.ambiguous(ctx, j, p, s.Transform, itsMatch+string(j.target)+" is linked to another record")
	case other.State == ledger.Claimed && other.Held(f.Now()):
		return nil, Errorf(ClaimHeld, "the matching record is being linked by another execution")
	case other.State == ledger.Parked && strings.HasPrefix(other.Reason, itsMatch+string(j.source)+atRest):
		// It rests for the sake of this record, which it alone matched, as this one it.
	case other.Reason == errWidowed.Error() && found[0].Fields[j.pair.Side(j.target).ExternalID] == j.ref.ID:
		// It was made for this record, which has been restored since.
	case other.State == ledger.Gone || other.State == ledger.Parked:
		return f.ambiguous(ctx, j, p, s.Transform, itsMatch+string(j.target)+atRest+other.Reason)
	}
	plan, err = f.adopt(ctx, j, s, p, plan, found[0], doubt, other.Intent)
	if err == nil && other.Exists() {
		plan.Other = &ledger.Fence{Key: other.Key, Rev: other.Rev}
	}
	return plan, err
}

// anew intends to make a partner. An earlier one that is gone, and that was being linked
// when it went, may have given this record values over edits that are heard of now or later.
func (f *Flow) anew(ctx context.Context, j *journey, s State, p *ledger.Pair, plan *Plan, doubt *ledger.Intent) error {
	ours := func(w ledger.Window) bool { return cmp.Or(w.Side, record.HubSpot) == j.source }
	left := doubt.Left(f.shown(j, s.Transform, record.Record{}))
	plan.Left = slices.DeleteFunc(left, func(w ledger.Window) bool { return !ours(w) })
	if _, err := f.overwrittenNow(ctx, j, f.merge(j, p, s.Transform), p.State, p.IDs, plan.Left); err != nil {
		return err
	}
	return f.Ledger.Intend(ctx, p, f.intent(j, plan).After(doubt), "")
}

// handsOn: the record that matches is the partner of another, which by now is deleted
// or holds another key, so that its own execution, perhaps still to come, frees the key.
func (f *Flow) handsOn(ctx context.Context, j *journey, other *ledger.Pair, matching record.Record, patch map[string]string) (bool, error) {
	keys, had := map[string]string{}, j.back.Canonical(matching.Fields)
	for _, by := range j.pair.Match {
		if text := patch[by.Field]; text != "" && strings.EqualFold(had[by.Field], text) {
			keys[by.Field] = text
		}
	}
	held, leaving, err := f.leaving(ctx, j, other, record.Ref{System: j.target, Object: j.object(j.target), ID: matching.ID}, keys)
	return leaving || len(keys) > 0 && len(held) == 0, err
}

// adopt links an existing record: what is equal is agreed, what is blank is
// filled, what differs follows its policy; no write where nothing differs. An edit that
// the partner's own execution, which never came to its stamp, has overwritten is heard
// of by the pair that there is now.
func (f *Flow) adopt(ctx context.Context, j *journey, s State, p *ledger.Pair, draft *Plan, partner record.Record, doubt, theirs *ledger.Intent) (*Plan, error) {
	m := f.merge(j, p, s.Transform)
	if err := f.look(ctx, j, m, partner); err != nil {
		return nil, err
	}
	// The source was read some time ago; it counts as it is now that the partner
	// has been read.
	t, err := f.again(ctx, j, s.Transform, m)
	if err != nil || t.Archived {
		return nil, orElse(err, error(Errorf(RecordMissing, "the record was deleted while its partner was looked for")))
	}
	v := m.decide()
	ids := map[record.System]string{j.source: j.ref.ID, j.target: partner.ID}
	plan := f.write(j, p, ids, m, v, t, partner)
	plan.Link, plan.MatchKey, plan.Until, plan.Ghosts = true, draft.MatchKey, draft.Until, draft.Ghosts
	shown := f.shown(j, t, partner)
	plan.Left = append(doubt.Left(shown), theirs.Left(shown)...)
	plan.await(v.waiting(j, ids))
	if _, err := f.overwrittenNow(ctx, j, m, p.State, ids, plan.Left); err != nil {
		return nil, err
	}
	if len(plan.Patch) == 0 {
		plan.Act = ActStamp
		return plan, f.lose(ctx, j, p.State, ids, v.conflicts)
	}
	if err := f.Ledger.Intend(ctx, p, f.intent(j, plan).After(doubt), partner.ID); err != nil {
		return nil, err
	}
	return plan, f.lose(ctx, j, p.State, ids, v.conflicts)
}

// draft plans the creation of a partner: every field that has a value.
func (f *Flow) draft(j *journey, t *Transformed) *Plan {
	plan := &Plan{
		Act: ActWrite, Link: true, Create: j.target, IDs: map[record.System]string{j.source: j.ref.ID},
		Patch: map[record.System]map[string]string{j.target: {}}, Base: map[string]ledger.Base{},
		ETag: map[record.System]string{}, Before: map[record.System]string{},
	}
	plan.condition(j.source, j.from.Abilities(j.object(j.source)), t.ETag, t.Version)
	for name, text := range t.Fields {
		if text != "" {
			plan.Patch[j.target][name] = text
		}
		own, _ := t.own(name)
		plan.Base[name] = ledger.Base{}.With(j.source, j.print(name, j.source, own)).With(j.target, j.print(name, j.target, text))
	}
	var waits []ledger.Wait
	for _, name := range slices.Sorted(maps.Keys(t.Lacks)) {
		lack := t.Lacks[name]
		waits = append(waits, lack.wait(j, name, j.source, j.ref.ID))
	}
	plan.await(waits)
	return plan
}
