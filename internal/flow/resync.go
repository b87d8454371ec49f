package flow

import (
	"context"
	"maps"
	"slices"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// MarkAsked stands before the id of the event by which a person has one record looked
// at again.
const MarkAsked = "asked/"

// Resync looks at one record again because a person asks for it: both sides are read,
// fields that the loop breaker has parked travel again, whose names it returns, and a
// record that was parked without a partner is looked for again. What the mass-change
// guard has stopped of the record, its deletion or cleared fields, is let through. It
// ends with RecordMissing where there is no such record, LeaseHeld while another
// execution works on it: ask again then.
func (in *Ingress) Resync(ctx context.Context, ref record.Ref) (freed []string, err error) {
	pair, ok := in.Flow.Spec.PairByObject(ref.System, ref.Object)
	if !ok {
		return nil, Errorf(RecordMissing, "the spec wires no %s of %s", ref.Object, ref.System)
	}
	there := in.there(ctx, ref)
	if there != nil && CodeOf(there) != RecordMissing {
		return nil, there
	}
	p, err := in.Flow.Ledger.Find(ctx, pair, ref, "")
	if err != nil {
		return nil, store(err)
	}
	e := Notification{ID: MarkAsked + ledger.Version(in.Flow.Now()), Object: ref.Object, Record: ref.ID, Kind: Changed}
	switch {
	case there == nil:
		e.Approved, freed, err = in.free(ctx, p, ref)
	case stopped(p, ref):
		e.Kind, e.Approved = Deleted, true
	default:
		err = there
	}
	if err != nil {
		return nil, err
	}
	if a := in.accept(ctx, ref.System, []Notification{e}); a.Problem != "" {
		return freed, Errorf(StoreBusy, "%s: %s", ref, a.Problem)
	}
	return freed, nil
}

// there reads a record; RecordMissing where it is deleted.
func (in *Ingress) there(ctx context.Context, ref record.Ref) error {
	rec, err := in.Flow.Remotes[ref.System].Read(ctx, ref.Object, ref.ID, nil)
	if err == nil && rec.Archived {
		err = Errorf(RecordMissing, "%s is in the recycle bin: restore it first", ref)
	}
	return err
}

// free has the next event of a linked record compare everything, and tells whether that
// may clear fields past the guard.
func (in *Ingress) free(ctx context.Context, p *ledger.Pair, ref record.Ref) (clears bool, freed []string, err error) {
	switch {
	case p.State != ledger.Linked:
		return false, nil, nil
	case p.Held(in.Flow.Now()):
		return false, nil, Errorf(LeaseHeld, "execution %s works on %s: ask again in a moment", p.LeaseBy, ref)
	}
	if clears, err = in.Flow.clearing(ctx, p, ref); err != nil {
		return false, nil, err
	}
	freed = slices.Sorted(maps.Keys(p.ParkedFields))
	return clears, freed, store(in.Flow.Ledger.Free(ctx, p))
}
