package flow

import (
	"context"
	"maps"
	"slices"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// MarkAsked stands before the id of the event by which a person has one record looked
// at again.
const MarkAsked = "asked/"

// Resync looks at one record again because a person asks for it: both sides are read,
// fields that the loop breaker has parked travel again, whose names it returns, and a
// record that was parked without a partner is looked for again. It ends with
// RecordMissing where there is no such record, LeaseHeld while another execution works
// on it: ask again then.
func (in *Ingress) Resync(ctx context.Context, ref record.Ref) (freed []string, err error) {
	pair, ok := in.Flow.Spec.PairByObject(ref.System, ref.Object)
	if !ok {
		return nil, Errorf(RecordMissing, "the spec wires no %s of %s", ref.Object, ref.System)
	}
	rec, err := in.Flow.Remotes[ref.System].Read(ctx, ref.Object, ref.ID, nil)
	if err == nil && rec.Archived {
		err = Errorf(RecordMissing, "%s is in the recycle bin: restore it first", ref)
	}
	if err != nil {
		return nil, err
	}
	if freed, err = in.free(ctx, pair, ref); err != nil {
		return nil, err
	}
	e := Notification{ID: MarkAsked + ledger.Version(in.Flow.Now()), Object: ref.Object, Record: ref.ID, Kind: Changed}
	if a := in.accept(ctx, ref.System, []Notification{e}); a.Problem != "" {
		return freed, Errorf(StoreBusy, "%s: %s", ref, a.Problem)
	}
	return freed, nil
}

// free has the next event of a linked record compare everything.
func (in *Ingress) free(ctx context.Context, pair spec.Pair, ref record.Ref) ([]string, error) {
	p, err := in.Flow.Ledger.Find(ctx, pair, ref, "")
	switch {
	case err != nil:
		return nil, store(err)
	case p.State != ledger.Linked:
		return nil, nil
	case p.Held(in.Flow.Now()):
		return nil, Errorf(LeaseHeld, "execution %s works on %s: ask again in a moment", p.LeaseBy, ref)
	}
	freed := slices.Sorted(maps.Keys(p.ParkedFields))
	return freed, store(in.Flow.Ledger.Free(ctx, p))
}
