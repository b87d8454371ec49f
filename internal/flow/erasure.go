package flow

import (
	"context"
	"fmt"
	"strings"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

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
