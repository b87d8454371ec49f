package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
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

// deletedIn begins the reason of every tombstone that a deletion has left.
const (
	deletedIn     = "deleted in "
	deletedInBoth = deletedIn + "both systems"
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

// erased begins the reason of the tombstone that a privacy deletion has left.
const erased = "erased on a privacy request"

// isErased: the record was erased.
func isErased(p *ledger.Pair) bool { return strings.HasPrefix(p.Reason, erased) }

// owesErasure: the record was erased, and a pair has come to it by a merge that was
// heard of later: its partner is still to go, and what is known of it.
func owesErasure(p *ledger.Pair) bool {
	return isErased(p) && p.IDs[record.HubSpot] != "" && p.IDs[record.Destination] != ""
}

// purge erases a person: everything the ledger holds of the record and its
// partner. What becomes of the partner itself follows the delete policy.
func (f *Flow) purge(ctx context.Context, j *journey, p *ledger.Pair) (*Plan, error) {
	if p.Held(f.Now()) && p.LeaseBy != j.execution {
		return f.held(p) // a create under way would outlive the erasure
	}
	reason := erased
	id, err := f.orphan(ctx, j, p)
	if err != nil {
		return nil, err
	}
	switch p.State {
	case ledger.Linked:
		if j.source == record.HubSpot || !isErased(p) { // else it is the partner itself that is gone
			id = p.IDs[j.target]
		}
	case ledger.Parked, ledger.Gone:
		if id, err = f.spared(ctx, j, p); err != nil {
			return nil, err
		}
	}
	if id != "" {
		if j.deletes() == "archive" {
			if err := j.to.Archive(ctx, j.object(j.target), id, ""); err != nil {
				return nil, err
			}
			reason += "; its partner was deleted"
		} else {
			reason += fmt.Sprintf("; the %s record %s still exists and is a person's to decide", j.target, id)
		}
	}
	left, err := f.mergedPartners(ctx, j, p)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		reason += fmt.Sprintf("; of the same person are the destination records %s, parked by a merge: a person's to decide", names(left))
	}
	if reason == erased {
		if reason, err = f.toldBefore(ctx, j); err != nil {
			return nil, err
		}
	}
	if _, err := f.Ledger.Purge(ctx, j.pair, p); err != nil {
		return nil, err
	}
	return drop(reason), nil
}

// toldBefore is what an erasure told of when it came first. Told of again it finds
// nothing any more, and the outcome that names whom people are to look after goes.
func (f *Flow) toldBefore(ctx context.Context, j *journey) (string, error) {
	all, err := f.Ledger.Outcomes(ctx, j.ref)
	for _, o := range all {
		if strings.HasPrefix(o.Reason, erased+";") {
			return o.Reason, nil
		}
	}
	return erased, store(err)
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

// Redriveable reports whether a dead letter's cause may pass when tried again
// without a change of spec or data.
func Redriveable(code Code) bool { return Codes[code] || code == QuotaExhausted }

var errNoPartner = errors.New("the pair has no partner")

// PartnerOf reads which record a record is linked to, for people and tools.
func (f *Flow) PartnerOf(ctx context.Context, pair spec.Pair, ref record.Ref) (string, error) {
	p, err := f.Ledger.Find(ctx, pair, ref, "")
	if err != nil {
		return "", store(err)
	}
	if id := p.IDs[ref.System.Other()]; id != "" && p.State == ledger.Linked {
		return id, nil
	}
	return "", errNoPartner
}
