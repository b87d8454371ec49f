package flow

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// readBack completes what the answer to a write has left out. Until the record is
// read somebody may have edited it, which is not to be taken for what we wrote: it
// would never differ from the base, and never travel. So where the versions do not
// tell that the read shows our write, a value that is no form of what was sent is
// left for its own event to find, and counts as stored as it was sent.
func (f *Flow) readBack(ctx context.Context, j *journey, plan *Plan, sys record.System, patch map[string]string, rec record.Record) (record.Record, error) {
	absent := slices.DeleteFunc(slices.Clone(j.pair.Fields), func(field spec.Field) bool {
		_, written := patch[field.Name]
		_, told := rec.Fields[field.Side(sys).Property]
		return !written || told
	})
	if len(absent) == 0 {
		return rec, nil
	}
	now, err := f.Remotes[sys].Read(ctx, j.object(sys), rec.ID, properties(absent, sys))
	if err != nil {
		return rec, &Error{Code: RemoteBusy, Maybe: true, Message: "written, but not readable afterwards: " + err.Error(), Err: err}
	}
	ours, told := plan.ends(sys, rec, now), rec.Version != "" || rec.ETag != ""
	out, edited := rec, []string(nil)
	out.Fields = record.Fields{}
	for _, field := range absent {
		side := field.Side(sys)
		text, known := now.Fields[side.Property]
		if known && !ours && !record.Reshaped(side.Type, text, patch[field.Name]) {
			text, edited = patch[field.Name], append(edited, field.Name)
		}
		if known {
			out.Fields[side.Property] = text
		}
	}
	maps.Copy(out.Fields, rec.Fields)
	if ours { // else an edit may be in it, of another field even
		out.Version, out.ETag = now.Version, cmp.Or(now.ETag, rec.ETag)
	}
	if out.UpdatedAt.IsZero() {
		out.UpdatedAt = now.UpdatedAt
	}
	return out, f.edits(ctx, j, plan, sys, patch, rec.ID, edited, told)
}

// replaced records what a write has found in the place of what it was decided on, and
// has gone over: somebody changed it in between.
func (f *Flow) replaced(ctx context.Context, j *journey, plan *Plan, sys record.System, patch map[string]string, rec record.Record) error {
	var lost []ledger.Conflict
	for name, was := range f.translators[spec.From(sys)][j.pair.Name].Canonical(rec.Replaced) {
		print := j.print(name, sys, was)
		if sent, written := patch[name]; written && was != sent && print != plan.Base[name].Side(sys) {
			lost = append(lost, ledger.Conflict{Field: name, Policy: "overwritten", Winner: sys.Other(), Loser: was})
		}
	}
	return f.loseThere(ctx, j, plan, sys, rec.ID, lost)
}

// loseThere records what was lost by a write of one system's record.
func (f *Flow) loseThere(ctx context.Context, j *journey, plan *Plan, sys record.System, id string, lost []ledger.Conflict) error {
	ids, state := plan.ids(j), ledger.Linked
	if ids[sys] = id; plan.Link {
		state = ledger.Claimed
	}
	return f.lose(ctx, j, state, ids, lost)
}

// properties are the names of fields on one side.
func properties(fields []spec.Field, sys record.System) (names []string) {
	for _, field := range fields {
		names = append(names, field.Side(sys).Property)
	}
	return slices.Compact(names)
}

// edits reports fields that hold something else than was written a moment before.
// Where the system does not tell whether our write was ever stored, as one that
// ignores a field does not, what was sent is recorded: the other may overwrite it.
func (f *Flow) edits(ctx context.Context, j *journey, plan *Plan, sys record.System, patch map[string]string, id string, fields []string, told bool) error {
	if len(fields) == 0 {
		return nil
	}
	f.Log.Warn("another value than was sent stands there", "execution", j.execution, "system", sys, "fields", names(fields))
	var lost []ledger.Conflict
	for _, field := range j.pair.Fields {
		if !told && slices.Contains(fields, field.Name) && field.Travels(spec.From(sys)) {
			lost = append(lost, ledger.Conflict{Field: field.Name, Policy: "unconfirmed", Winner: sys, Loser: patch[field.Name]})
		}
	}
	return f.loseThere(ctx, j, plan, sys, id, lost)
}

// ends reports whether the record, read after a write that was answered with rec,
// was last changed by that write: it has the version that the answer told, or the
// system counts its versions and has counted no other change since the record was
// read before.
func (p *Plan) ends(sys record.System, rec, now record.Record) bool {
	switch {
	case rec.Version != "" && rec.Version == now.Version, rec.ETag != "" && opaque(rec.ETag) == opaque(now.ETag):
		return true
	case p.Create == sys:
		return counted("0", now.Version) || counted("0", now.ETag)
	case p.ETag[sys] != "":
		return counted(p.ETag[sys], now.ETag)
	}
	return counted(p.Before[sys], now.Version)
}

// counted: one version is the other, or the next one.
func counted(before, now string) bool {
	a, errA := strconv.ParseInt(opaque(before), 10, 64)
	b, errB := strconv.ParseInt(opaque(now), 10, 64)
	return errA == nil && errB == nil && (b == a || b == a+1)
}

// opaque is what an entity tag compares by (RFC 9110, 8.8.3.2).
func opaque(etag string) string { return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`) }
