package flow

import (
	"context"
	"fmt"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// deletedIn begins the reason of every tombstone that a deletion has left.
const (
	deletedIn     = "deleted in "
	deletedInBoth = deletedIn + "both systems"
)

// deleted applies the delete policy to a deletion that the source confirms: the
// record is in its recycle bin, or a deletion event and a 404 agree.
func (f *Flow) deleted(ctx context.Context, j *journey, p *ledger.Pair) (*Plan, error) {
	if owesErasure(p) {
		return f.purge(ctx, j, p)
	}
	reason := deletedIn + string(j.source)
	if there, err := f.isThere(ctx, j); err != nil || there {
		return nil, orElse(err, error(Errorf(LeaseHeld, "the record is there again: it is looked at again")))
	}
	if _, err := f.unheard(ctx, j, p); err != nil {
		return nil, err
	}
	if p.State != ledger.Linked {
		return f.neverLinked(ctx, j, p, reason)
	}
	if p.Intent.Deletes(j.source) { // it was we who did, and did not get any further
		return f.ours(ctx, j, p)
	}
	if j.deletes() == "archive" {
		return f.archive(ctx, j, p)
	}
	if p.Intent.Deletes(j.target) {
		if plan, err := f.begun(ctx, j, p); plan != nil || err != nil {
			return plan, err
		}
	}
	if j.deletes() == "ignore" {
		reason += keptIn + string(j.target) + j.blank(p)
		return drop(reason), f.Ledger.Settle(ctx, p, j.ref, ledger.Gone, reason)
	}
	return f.ask(ctx, j, p, ": the policy is to ask")
}

// ask leaves it to a person what becomes of the partner of a record that was deleted.
func (f *Flow) ask(ctx context.Context, j *journey, p *ledger.Pair, why string) (*Plan, error) {
	reason := deletedIn + string(j.source) + why + j.blank(p)
	return park(reason), f.Ledger.Settle(ctx, p, j.ref, ledger.Parked, reason)
}

// ours: the record went with its partner, by a deletion of ours that was never stamped.
// No policy is asked: that is for people's deletions. A partner that is there has been
// restored meanwhile, and gets another by its own event (overtaken).
func (f *Flow) ours(ctx context.Context, j *journey, p *ledger.Pair) (*Plan, error) {
	if err := f.takenAlong(ctx, j, p, j.source); err != nil {
		return nil, err
	}
	reason := deletedIn + string(j.target)
	switch there, err := f.spared(ctx, j, p); {
	case err != nil:
		return nil, err
	case there != "" && f.Now().Before(p.Intent.At.Add(settling)):
		return nil, Errorf(LeaseHeld, "the record's deletion was begun a moment ago and its partner is there: it is looked at again")
	case there != "":
		return drop(reason + " and restored since"), nil
	}
	return drop(reason), f.Ledger.Settle(ctx, p, j.ref, ledger.Gone, reason)
}

// neverLinked: the record was deleted before it had a partner. What a create in
// doubt has made for it all the same is a person's to decide.
func (f *Flow) neverLinked(ctx context.Context, j *journey, p *ledger.Pair, reason string) (*Plan, error) {
	made, err := f.orphan(ctx, j, p)
	if err != nil {
		return nil, err
	}
	if p.Intent.Deletes(j.source) && len(p.Was) == 0 { // it was an extra one (discard)
		err = f.wentAlong(ctx, j, j.source, p, p, 0)
	} else {
		err = f.Ledger.Settle(ctx, p, j.ref, ledger.Gone, reason)
	}
	if err != nil {
		return nil, err
	}
	if made != "" {
		return park(fmt.Sprintf("%s, after %s record %s had been made for it", reason, j.target, made)), nil
	}
	return drop(reason + " before it was linked"), nil
}

// orphan finds the record that a create in doubt has made for a record that is
// gone by now, once it must have landed; "" where nothing tells.
func (f *Flow) orphan(ctx context.Context, j *journey, p *ledger.Pair) (string, error) {
	lands := p.Intent.Lands()
	if p.State != ledger.Claimed || lands.IsZero() || j.pair.Side(j.target).ExternalID == "" {
		return "", nil
	}
	asked := f.Now()
	found, err := f.made(ctx, j, p, p.Intent, f.properties(j))
	if err != nil || len(found) > 0 {
		return first(found), err
	}
	if from := lands.Add(j.to.Abilities(j.object(j.target)).SearchLag); asked.Before(from) {
		return "", Errorf(IndexLag, "a create in %s may still land until %s", j.target, from.Format(time.TimeOnly))
	}
	return "", nil
}

func first(found []record.Record) string {
	if len(found) == 0 {
		return ""
	}
	return found[0].ID
}

// deletes is the policy for deletions seen on the source.
func (j *journey) deletes() string {
	if j.source == record.HubSpot {
		return j.pair.Deletes.HubSpot
	}
	return j.pair.Deletes.Destination
}

// archive plans the partner's deletion, unless somebody has edited it since both
// sides agreed or the mass-change guard stops it.
func (f *Flow) archive(ctx context.Context, j *journey, p *ledger.Pair) (*Plan, error) {
	rec, err := f.read(ctx, j.to, j.target, j.object(j.target), p.IDs[j.target], j.back, j.pair)
	switch edited := f.edited(j, p, j.target, rec); {
	case CodeOf(err) == RecordMissing || err == nil && rec.Archived:
		return f.bothGone(ctx, j, p, rec)
	case err != nil:
		return nil, err
	case rec.ID != "" && rec.ID != p.IDs[j.target]:
		// The old id stands for the merged record, which holds another's data too.
		return f.ask(ctx, j, p, ", but its partner has been merged into "+rec.ID)
	case len(edited) > 0:
		return f.ask(ctx, j, p, ", but edited in "+string(j.target)+" since both agreed: "+names(edited))
	}
	ok, err := f.allowDelete(ctx, j, p)
	if err != nil {
		return nil, err
	}
	if !ok {
		return f.ask(ctx, j, p, deletionStopped+": tandem resync of the deleted record lets this one through")
	}
	if err := f.went(ctx, j, p, j.target, rec); err != nil {
		return nil, err
	}
	plan := f.deletion(j, p, rec)
	shown := map[record.System]ledger.Shown{j.target: {Changed: ledger.Version(rec.UpdatedAt), Ahead: f.ahead(rec)}}
	if err := f.Ledger.Take(ctx, p, f.intent(j, plan), ledger.Change{Left: p.Intent.Left(shown)}); err != nil {
		return nil, err
	}
	plan.take(p)
	return plan, nil
}

// begun: the partner's deletion was begun, under a spec whose policy has changed since, and
// never stamped. It is waited for; nil where it has not been carried out.
func (f *Flow) begun(ctx context.Context, j *journey, p *ledger.Pair) (*Plan, error) {
	if until := p.Intent.Vanishes(); f.Now().Before(until) {
		return nil, Errorf(LeaseHeld, "a deletion of ours may be carried out until %s", until.Format(time.TimeOnly))
	}
	rec, err := f.read(ctx, j.to, j.target, j.object(j.target), p.IDs[j.target], j.back, j.pair)
	if CodeOf(err) == RecordMissing || err == nil && rec.Archived {
		return f.bothGone(ctx, j, p, rec)
	}
	return nil, err
}

// bothGone: the partner, which was read, is gone, too: by a deletion of ours, perhaps.
func (f *Flow) bothGone(ctx context.Context, j *journey, p *ledger.Pair, rec record.Record) (*Plan, error) {
	if p.Intent.Deletes(j.target) {
		if err := f.went(ctx, j, p, j.target, rec); err != nil {
			return nil, err
		}
	}
	return drop(deletedInBoth), f.Ledger.Settle(ctx, p, j.ref, ledger.Gone, deletedInBoth)
}

// spared is the partner of a pair at rest, "" unless it is there: HubSpot tells of a
// deletion with every erasure, and the one that came first may have left the partner
// to a person.
func (f *Flow) spared(ctx context.Context, j *journey, p *ledger.Pair) (string, error) {
	id := p.IDs[j.target]
	if id == "" {
		return "", nil
	}
	rec, err := j.to.Read(ctx, j.object(j.target), id, nil)
	switch {
	case CodeOf(err) == RecordMissing || err == nil && rec.Archived:
		return "", nil
	case err != nil:
		return "", err
	}
	return id, nil
}
