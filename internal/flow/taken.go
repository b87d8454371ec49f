package flow

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// unpatched names the way on where a patch was refused. A record that was there when
// the decision was made has been deleted since, or what it refers to has: that is for
// the next round to decide, like any other move of the target.
func (f *Flow) unpatched(ctx context.Context, j *journey, plan *Plan, sys record.System, err error) error {
	final, known := Codes[CodeOf(err)]
	final = known && !final
	switch code := CodeOf(err); {
	case code == RecordMissing:
		return &Error{Code: PreconditionFailed, Message: "deleted since it was looked at: " + err.Error(), Maybe: isMaybe(err), Err: err}
	case len(plan.Aside) > 0 && (final || code == AlreadyExists):
		return unmoved(plan, sys, err)
	case code == AlreadyExists:
		return plan.owing(sys, f.taken(ctx, j, plan, sys, err))
	case final:
		return plan.owing(sys, err)
	}
	return err
}

// patience is how long a value is waited for that another record is about to give up:
// long enough for a comparison to find what no delivery told of.
const patience = 90 * time.Minute

// refused is when a plan's patch was refused first.
func (f *Flow) refused(plan *Plan) time.Time {
	if plan.Refused != 0 {
		return time.UnixMilli(plan.Refused)
	}
	return f.Now()
}

// taken: a unique value of the patch belongs to another record. Where that one is
// about to give it up, it is waited for, round after round and then in executions that
// follow, for as long as there is patience; where nobody knows yet which it is, another
// round tries again. Else no round would help, and the dead letter says whose it is.
func (f *Flow) taken(ctx context.Context, j *journey, plan *Plan, sys record.System, cause error) error {
	own := plan.ids(j)[sys]
	id := existing(cause)
	if id == "" {
		var err error
		if id, err = f.holder(ctx, j, sys, plan.Patch[sys], own); err != nil {
			return cause // the next round asks again
		}
	}
	switch {
	case id == "" && plan.Round == 0 || isMaybe(cause):
		return cause
	case id == "" || id == own:
		return &Error{Code: RemoteRefused, Message: "a value is taken, and " + string(sys) + " does not tell by which record: " + cause.Error(), Err: cause}
	}
	ref := record.Ref{System: sys, Object: j.object(sys), ID: id}
	p, err := f.Ledger.Find(ctx, j.pair, ref, "")
	if err != nil {
		return cause // the next round asks again
	}
	held, leaving, err := f.leaving(ctx, j, p, ref, plan.Patch[sys])
	if err != nil {
		return cause // the next round asks again
	}
	if leaving {
		code := PreconditionFailed
		if f.Now().Sub(f.refused(plan)) > patience {
			code = AlreadyExists
		}
		return &Error{Code: code, Message: fmt.Sprintf("%s %s holds the value that %s is to get, and has not given it up yet: its own change is waited for; redrive that first where it is a dead letter, then this",
			ref.Object, id, orElse(names(held), "a unique field")), ExistingID: id, Err: cause}
	}
	if len(held) == 0 {
		if name := f.beside(ctx, j, ref, plan.Patch[sys]); name != "" {
			return second(ref, name, cause)
		}
		if plan.Round == 0 {
			return cause
		}
	}
	code := RemoteRefused
	if len(held) == 0 { // it has given the value up since, or keeps it where we do not look
		code = AlreadyExists
	}
	return &Error{
		Code: code, Err: cause, ExistingID: id,
		Message: fmt.Sprintf("%s %s holds the value that %s is to get, %s: change one of the two, then redrive this",
			ref.Object, id, orElse(names(held), "a unique field"), j.standing(p, sys, held)),
	}
}

// stranger: a create was refused because of another record. That one is looked at
// again as the partner if it holds this one's match value or was made for it. Else some
// other unique field stands in the way, which says nothing about who it is: nothing is
// adopted. HubSpot refuses for a match value only, which may be a second e-mail address.
func (f *Flow) stranger(ctx context.Context, j *journey, plan *Plan, cause error) error {
	id := existing(cause)
	if CodeOf(cause) != AlreadyExists || id == "" || j.target == record.HubSpot {
		return cause
	}
	rec, err := j.to.Read(ctx, j.object(j.target), id, f.properties(j))
	if err != nil {
		return cause // the next round asks again
	}
	had, patch := j.back.Canonical(rec.Fields), plan.Patch[j.target]
	for _, by := range j.pair.Match {
		if text := patch[by.Field]; text != "" && strings.EqualFold(strings.TrimSpace(had[by.Field]), strings.TrimSpace(text)) {
			return cause
		}
	}
	external := j.pair.Side(j.target).ExternalID
	if name, told := rec.Fields[external]; external != "" && (!told || name == j.ref.ID) {
		return cause
	}
	var same []string
	for name, text := range patch {
		if text != "" && strings.EqualFold(had[name], text) {
			same = append(same, name)
		}
	}
	slices.Sort(same)
	return &Error{Code: RemoteRefused, Err: cause, ExistingID: id, Message: fmt.Sprintf(
		"%s %s, which has another match value, stands in the way: a value that both have must be unique there (the same are %s): change one of the two, then redrive this",
		j.object(j.target), id, orElse(names(same), "none that can be seen"))}
}

// standing says what is known of the pair of a record that stands in the way.
func (j *journey) standing(p *ledger.Pair, sys record.System, held []string) string {
	switch p.State {
	case ledger.Linked:
		if len(held) == 0 {
			return "in a way that is not seen in what is synced of it"
		}
		return fmt.Sprintf("and is linked to %s %s, which holds it too", j.object(sys.Other()), p.IDs[sys.Other()])
	case ledger.Gone, ledger.Parked:
		return "and is at rest (" + p.Reason + ")"
	}
	return "and is linked to no record"
}

// holder finds the record that holds a match value of the patch, where the refusal
// does not name it; "" when none is found.
func (f *Flow) holder(ctx context.Context, j *journey, sys record.System, patch map[string]string, own string) (string, error) {
	for _, by := range j.pair.Match {
		value := strings.TrimSpace(patch[by.Field])
		if value == "" {
			continue
		}
		found, _, err := f.Remotes[sys].Find(ctx, j.object(sys), j.property(by.Field, sys), value, nil)
		others := slices.DeleteFunc(found, func(r record.Record) bool { return r.ID == own })
		if err != nil || len(others) > 0 {
			return first(others), err
		}
	}
	return "", nil
}

// leaving tells which of the patch's values the other record holds now, and whether
// it is about to give one up: its own change, which its partner shows, or its
// deletion is under way. Where one of the two cannot be asked now, nobody knows.
func (f *Flow) leaving(ctx context.Context, j *journey, p *ledger.Pair, ref record.Ref, patch map[string]string) (held []string, leaving bool, err error) {
	holds, err := f.shows(ctx, j, ref, ref.System, patch)
	if holds = f.unique(j, ref.System, patch, holds); err != nil {
		return holds, CodeOf(err) == RecordMissing, unlessMissing(err)
	}
	other := ref.System.Other()
	partner, err := f.partner(ctx, j, p, ref)
	if err != nil || partner == "" {
		return holds, p.State == ledger.Claimed && p.Held(f.Now()), err
	}
	comes, err := f.shows(ctx, j, record.Ref{System: other, Object: j.object(other), ID: partner}, ref.System, patch)
	stays := func(name string) bool { return slices.Contains(comes, name) }
	return holds, err != nil || slices.ContainsFunc(holds, func(name string) bool { return !stays(name) }), unlessMissing(err)
}

// partner is the record that one is linked to, or is about to be: a create of ours that
// lost its answer has made it for that one. "" where there is none.
func (f *Flow) partner(ctx context.Context, j *journey, p *ledger.Pair, ref record.Ref) (string, error) {
	other, external := ref.System.Other(), j.pair.Side(ref.System).ExternalID
	switch {
	case p.State == ledger.Linked:
		return p.IDs[other], nil
	case external == "" || p.State == ledger.Gone || p.State == ledger.Parked:
		return "", nil
	}
	rec, err := f.Remotes[ref.System].Read(ctx, ref.Object, ref.ID, []string{external})
	id := rec.Fields[external]
	if err != nil || id == "" {
		return "", unlessMissing(err)
	}
	maker, err := f.Ledger.Find(ctx, j.pair, record.Ref{System: other, Object: j.object(other), ID: id}, "")
	if err != nil || maker.State != ledger.Claimed || maker.Intent.LastCreate().IsZero() {
		return "", err
	}
	return id, nil
}

// unlessMissing is nil for a record that is gone: that is an answer, too.
func unlessMissing(err error) error {
	if CodeOf(err) == RecordMissing {
		return nil
	}
	return err
}

// beside names the field of the patch whose value another record holds beside that
// field's own: HubSpot finds a contact by its additional e-mail addresses, too, and
// keeps them as unique.
func (f *Flow) beside(ctx context.Context, j *journey, ref record.Ref, patch map[string]string) string {
	t := f.translators[spec.From(ref.System)][j.pair.Name]
	for _, by := range j.pair.Match {
		text := patch[by.Field]
		if text == "" || !f.keepsUnique(j, ref.System, by.Field) {
			continue
		}
		property := j.property(by.Field, ref.System)
		found, consistent, err := f.Remotes[ref.System].Find(ctx, ref.Object, property, text, []string{property})
		if err == nil && consistent && slices.ContainsFunc(found, func(r record.Record) bool {
			return r.ID == ref.ID && !strings.EqualFold(t.Canonical(r.Fields)[by.Field], text)
		}) {
			return by.Field
		}
	}
	return ""
}

// second is the refusal of a value that another record holds beside its own one.
func second(ref record.Ref, field string, cause error) error {
	how := "beside its own one"
	if ref.System == record.HubSpot {
		how = "as an additional e-mail address, such as a merge leaves"
	}
	return &Error{Code: RemoteRefused, Err: cause, ExistingID: ref.ID, Message: fmt.Sprintf(
		"%s %s holds the value that %s is to get %s: remove it there or change it here, then redrive this", ref.Object, ref.ID, field, how)}
}

// unique keeps, of the fields in which two records hold the same, those that the
// system is known to keep unique; all where the patch has none of these.
func (f *Flow) unique(j *journey, sys record.System, patch map[string]string, same []string) []string {
	known := func(name string) bool { return patch[name] != "" && f.keepsUnique(j, sys, name) }
	if !slices.ContainsFunc(slices.Collect(maps.Keys(patch)), known) {
		return same
	}
	return slices.DeleteFunc(same, func(name string) bool { return !known(name) })
}

// keepsUnique reports whether a system is known to keep a field unique.
func (f *Flow) keepsUnique(j *journey, sys record.System, name string) bool {
	if sys == record.Destination {
		return slices.Contains(f.Spec.Destination.Objects[j.object(sys)].Unique, j.property(name, sys))
	}
	matches := slices.ContainsFunc(j.pair.Match, func(by spec.Match) bool { return by.Field == name })
	return matches && f.Remotes[sys].Abilities(j.object(sys)).Unique
}

// shows names the fields in which a record holds, in a system's terms, what a patch is
// to bring there. Case does not make another value of a unique one.
func (f *Flow) shows(ctx context.Context, j *journey, ref record.Ref, sys record.System, patch map[string]string) (fields []string, err error) {
	texts, err := f.texts(ctx, j, ref, sys)
	for name, text := range patch {
		if text != "" && strings.EqualFold(texts[name], text) {
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	return fields, err
}

// texts are what a record holds, in a system's terms: what does not translate is
// left out.
func (f *Flow) texts(ctx context.Context, j *journey, ref record.Ref, sys record.System) (map[string]string, error) {
	t := f.translators[spec.From(ref.System)][j.pair.Name]
	rec, err := f.read(ctx, f.Remotes[ref.System], ref.System, ref.Object, ref.ID, t, j.pair)
	if err == nil && rec.Archived {
		err = Errorf(RecordMissing, "it is in the recycle bin")
	}
	if err != nil {
		return nil, err
	}
	texts := t.Canonical(rec.Fields)
	if ref.System != sys {
		clear(texts)
		for _, v := range t.Possible(rec.Fields) { // what does not translate does not come
			texts[v.Field] = v.Target
		}
	}
	return texts, nil
}
