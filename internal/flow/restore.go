package flow

import (
	"context"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// settling is for how long after a deletion a read may still show the record.
const settling = 5 * time.Second

// cameBack: the record may be there after the tombstone, which says that it, or it
// with its partner, was deleted. Not every system tells of a restore; the level
// does. A record that was kept when its partner was deleted was never away.
func (j *journey) cameBack(p *ledger.Pair) bool {
	if p.State != ledger.Gone && p.State != ledger.Parked {
		return false
	}
	return strings.HasPrefix(p.Reason, deletedIn+string(j.source)) || p.Reason == deletedIn+string(j.target) || p.Reason == deletedInBoth
}

// back asks whether the record is there now: what was read may tell of the time before
// the deletion, of a restore that came while the tombstone was written, or of one that
// has been deleted once more. It waits until the record can no longer be seen just
// because its deletion has yet to settle, unless an event says that it was restored.
func (f *Flow) back(ctx context.Context, j *journey, s State, p *ledger.Pair) (*Plan, error) {
	asked := f.Now()
	there, err := f.isThere(ctx, j)
	switch {
	case err != nil:
		return nil, err
	case !there && p.State == ledger.Parked:
		return f.parked(ctx, j, p)
	case !there:
		return f.atRest(ctx, j, p)
	case !j.restored() && asked.Before(p.StampedAt.Add(settling)):
		return nil, Errorf(LeaseHeld, "the record was deleted a moment ago and is there: it is looked at again")
	}
	return f.restored(ctx, j, s, p)
}

// isThere reads once more whether the source has the record: it may have been
// restored since its deletion was read. From then on a restore that is met bumps
// the row (noteSeen), or waits for the lease.
func (f *Flow) isThere(ctx context.Context, j *journey) (bool, error) {
	rec, err := j.from.Read(ctx, j.object(j.source), j.ref.ID, j.forward.Properties())
	if CodeOf(err) == RecordMissing {
		return false, nil
	}
	return err == nil && !rec.Archived, err
}

// restored brings a deleted record back because a person restored it. Its
// partner is linked again where it still answers, and made anew otherwise.
func (f *Flow) restored(ctx context.Context, j *journey, s State, p *ledger.Pair) (*Plan, error) {
	if id := p.IDs[j.target]; id != "" {
		rec, err := j.to.Read(ctx, j.object(j.target), id, f.properties(j))
		if err != nil && CodeOf(err) != RecordMissing {
			return nil, err
		}
		switch gone := err != nil || rec.Archived; {
		case gone && kept(p, j.target):
			return f.undecided(ctx, j, p)
		case gone:
			return f.part(ctx, j, p)
		}
	}
	if err := f.revive(ctx, j, p, j.source); err != nil {
		return nil, err
	}
	// A deletion that came before the row was changed has found the pair at rest, as it
	// is to be, and has left it so.
	if there, err := f.isThere(ctx, j); err == nil && !there && p.State == ledger.Linked {
		return f.deleted(ctx, j, p)
	}
	return nil, Errorf(LeaseHeld, "the record was restored: its pair is looked at afresh")
}

// part: the record is there again and its partner is gone for good. Should a worker of
// ours have deleted that and died, nobody has looked yet what went with it.
func (f *Flow) part(ctx context.Context, j *journey, p *ledger.Pair) (*Plan, error) {
	if p.Intent.Deletes(j.target) {
		if err := f.takenAlong(ctx, j, p, j.target); err != nil {
			return nil, err
		}
	}
	if err := f.tellChildren(ctx, j, p.IDs[record.HubSpot]); err != nil {
		return nil, err
	}
	if err := f.Ledger.Forget(ctx, j.pair, p); err != nil {
		return nil, err
	}
	return nil, Errorf(LeaseHeld, "the record was restored and its partner is gone: it is looked at afresh")
}

// partnerMissing: the target does not know the partner. That may be a deletion
// whose event is still to come, so nothing is recreated and nothing deleted.
func (f *Flow) partnerMissing(ctx context.Context, j *journey, s State, p *ledger.Pair, cause error) (*Plan, error) {
	switch {
	case CodeOf(cause) != RecordMissing:
		return nil, cause
	case p.Intent.Deletes(j.target), p.Intent.Deletes(j.source) && j.restored():
		return f.overtaken(ctx, j, s, p)
	}
	if _, err := f.unheard(ctx, j, p); err != nil {
		return nil, err
	}
	// Should the partner come back, what was edited here meanwhile is still to be told.
	plan := park("its partner in " + string(j.target) + " is missing; nothing was recreated")
	if p.Owes {
		return plan, nil
	}
	return plan, f.Ledger.Owe(ctx, p)
}

// overtaken: the record is there, and a deletion of ours that was never stamped
// made one of the two go. A restore has overtaken its stamp: the pair is parted at
// the revision read, so that the stamp, should it come, finds its lease lost. What
// is there just because its deletion has yet to settle is looked at again.
func (f *Flow) overtaken(ctx context.Context, j *journey, s State, p *ledger.Pair) (*Plan, error) {
	if !j.restored() && f.Now().Before(p.Intent.At.Add(settling)) {
		return nil, Errorf(LeaseHeld, "the record's deletion was begun a moment ago and it is there: it is looked at again")
	}
	switch there, err := f.isThere(ctx, j); {
	case err != nil:
		return nil, err
	case !there:
		return f.deleted(ctx, j, p)
	}
	return f.restored(ctx, j, s, p)
}
