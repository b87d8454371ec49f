package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// Two people's addresses have been swapped in one system, and the other keeps
// addresses unique: each record holds there what the other one is to get, so every
// write is refused, for ever. Three may hand theirs round just so. One of them makes
// room: it is written a blank first, which lets the next one go on, and its own value
// once that is free.
//
// The blank is an ordinary write under an ordinary lease, intent and stamp, but for
// its base (ledger.Base.Owed): from the moment the lease is taken, so whatever becomes
// of the write, the part of the side that the value comes from is empty. Until both
// sides hold the same again
//
//   - what comes from there differs from the base, whatever it is, and is brought by
//     any execution of the pair that looks at both sides;
//   - a blank on the other side is ours however late it lands or is told of: it is no
//     edit, and never travels back;
//   - anything else that stands there and is not the base is somebody's edit, and
//     follows the field's policy.

// turn is from which round on any record of a ring makes room. Until then it is the
// turn of the one with the smallest id, whose event may be late or lost.
const turn = 3

// owing: this execution made room, in an earlier round, before it was put off or before
// a person redrove it. Another may be told of its write only, and need not wait with it.
func (j *journey) owing(p *ledger.Pair) bool { return p.Room == j.execution }

// longest bounds how many records are asked whether they wait in a ring.
const longest = 8

// makeRoom turns a plan that would be refused for a value which waits in a ring into
// one that makes room, and returns what the row is to say of the base from now on.
func (f *Flow) makeRoom(ctx context.Context, j *journey, p *ledger.Pair, m *merge, plan *Plan) map[string]ledger.Base {
	now := map[string]ledger.Base{}
	for _, sd := range []side{m.target, m.source} {
		sys, patch := sd.system, plan.Patch[sd.system]
		for name, text := range patch {
			base, agreed := p.Base[name]
			if cell := m.cell(sd, name); agreed && base.Owes(sys) && cell.known && cell.text == "" && text != "" {
				plan.Owed, now[name] = append(plan.Owed, name), base.With(sys, cell.print)
			}
		}
		if p.Holder == "" {
			continue
		}
		for _, name := range f.contested(ctx, j, p, m, sd, patch) {
			patch[name], plan.Base[name], now[name] = "", plan.Base[name].Owed(sys), p.Base[name].Owed(sys)
			plan.Aside = append(plan.Aside, name)
		}
	}
	if slices.Sort(plan.Owed); len(plan.Aside) > 0 {
		plan.Reason = orElse(plan.Reason, "made room: "+names(plan.Aside)+" is blank until another record has given its value up")
	}
	return now
}

// contested are the fields of a patch whose values wait in a ring that this record is
// to open. A field that nobody has said is unique is never blanked.
func (f *Flow) contested(ctx context.Context, j *journey, p *ledger.Pair, m *merge, sd side, patch map[string]string) []string {
	rival := record.Ref{System: sd.system, Object: j.object(sd.system), ID: p.Holder}
	held, _ := f.shows(ctx, j, rival, sd.system, patch) // who cannot be asked is in no ring
	return slices.DeleteFunc(held, func(name string) bool {
		own, id := m.cell(sd, name), p.IDs[sd.system]
		if _, agreed := p.Base[name]; !agreed || own.text == "" || !f.keepsUnique(j, sd.system, name) {
			return true
		}
		ring := f.ring(ctx, j, rival, name, patch[name], own.text, id)
		return len(ring) == 0 || j.round < turn && slices.Min(ring) != id
	})
}

// ring follows who holds a value that a record is to get, and what that one is to get
// in turn, until it comes to the value that the record holds itself. It lists the
// records of that ring, none where there is no end or another.
func (f *Flow) ring(ctx context.Context, j *journey, holder record.Ref, field, value, own, id string) []string {
	for ids := []string{id}; len(ids) < longest && !slices.Contains(ids, holder.ID); {
		next, ok := f.givesUp(ctx, j, holder, field, value)
		ids = append(ids, holder.ID)
		switch {
		case !ok:
			return nil
		case strings.EqualFold(next, own):
			return ids
		}
		value = next
		var err error
		if holder.ID, err = f.holder(ctx, j, holder.System, map[string]string{field: next}, holder.ID); err != nil || holder.ID == "" {
			return nil
		}
	}
	return nil
}

// givesUp reports whether a record that holds a value is to get another one, and
// which: its partner holds that one, and it stands where the two last agreed itself, or
// the partner wins when they are linked.
func (f *Flow) givesUp(ctx context.Context, j *journey, ref record.Ref, field, value string) (next string, ok bool) {
	p, err := f.Ledger.Find(ctx, j.pair, ref, "")
	if err != nil || p.ParkedFields[field] != "" {
		return "", false
	}
	holds, err := f.texts(ctx, j, ref, ref.System)
	if err != nil || !strings.EqualFold(holds[field], value) || !f.yields(j, p, ref, field, holds[field]) {
		return "", false
	}
	partner, err := f.partner(ctx, j, p, ref)
	if err != nil || partner == "" {
		return "", false
	}
	other := ref.System.Other()
	comes, err := f.texts(ctx, j, record.Ref{System: other, Object: j.object(other), ID: partner}, ref.System)
	next, ok = comes[field]
	return next, err == nil && ok && !strings.EqualFold(next, value) && (p.State == ledger.Linked || next != "")
}

// yields: what a record holds in a field is no edit that is to go to its partner.
func (f *Flow) yields(j *journey, p *ledger.Pair, ref record.Ref, field, text string) bool {
	if p.State == ledger.Linked {
		return j.print(field, ref.System, text) == p.Base[field].Side(ref.System)
	}
	return slices.ContainsFunc(j.pair.Fields, func(fd spec.Field) bool {
		return fd.Name == field && policy(fd) == string(ref.System.Other())
	})
}

// owing adds to a refusal for good that the system holds a blank meanwhile.
func (p *Plan) owing(sys record.System, err error) error {
	var e *Error
	if len(p.Owed) == 0 || !errors.As(err, &e) {
		return err
	}
	told := *e
	told.Message += fmt.Sprintf("; meanwhile %s is blank in %s, to make room for another record: redriving this brings the value", names(p.Owed), sys)
	return &told
}

// unmoved is the refusal of a blank that was to make room.
func unmoved(p *Plan, sys record.System, cause error) error {
	return &Error{Code: CodeOf(cause), Maybe: isMaybe(cause), Err: cause,
		Message: fmt.Sprintf("the values of %s have been swapped, or passed round, with another record; %s keeps them unique and takes no blank for a moment: "+
			"give one of the records a third value where they were changed, redrive this, then set it right (%s)", names(p.Aside), sys, cause)}
}

// blank adds to what is said of a pair at rest that the record which is kept may hold a
// blank, for a value that nobody brings any more.
func (j *journey) blank(p *ledger.Pair) string {
	var fields []string
	for name, base := range p.Base {
		if base.Owes(j.target) {
			fields = append(fields, name)
		}
	}
	if len(fields) == 0 {
		return ""
	}
	slices.Sort(fields)
	return fmt.Sprintf("; %s may be blank there, having made room for another record", names(fields))
}
