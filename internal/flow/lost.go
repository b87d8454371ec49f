package flow

import (
	"context"
	"errors"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// clocks is how far the remote's clock and ours may differ when it is asked what
// was created while a create of ours was under way. Too much only asks of more
// records whether they are linked.
const clocks = time.Minute

// errEdited: what a lost create has made cannot be told from what others made.
var errEdited = errors.New("a create lost its answer, and a record made at that time that holds other values is linked to nothing: it may be the result, edited since")

// lost looks for what a create whose answer was lost has made, where neither a
// match value nor an external id tells: among the records that were created while
// it may have been carried out and are linked to nothing, one that holds all that
// was sent. Two such are parked by choose. One that holds something else may be
// the result, edited since, or what another create of ours has made: that one is
// linked within a lease, and what is left then is a person's to decide. Waiting
// any longer would be for ever: its own event waits for this create (wait). Where
// the system cannot be asked, a person looks, too.
func (f *Flow) lost(ctx context.Context, j *journey, doubt *ledger.Intent, props []string) ([]record.Record, error) {
	object := j.object(j.target)
	if doubt.LastCreate().IsZero() || j.pair.Side(j.target).ExternalID != "" {
		return nil, nil
	}
	recents, ok := j.to.(Recents)
	if !ok || !j.to.Abilities(object).Recent {
		return nil, Errorf(RemoteRefused, "a create without match value lost its answer, and %s has no unique external id to look it up by: check by hand, then redrive", j.target)
	}
	made, err := recents.Created(ctx, object, doubt.At.Add(-clocks), doubt.Lands().Add(clocks), props)
	if err != nil {
		return nil, err
	}
	same, others, err := f.sift(ctx, j, made, doubt)
	switch {
	case err != nil || len(same) > 0 || others == 0:
		return same, err
	case f.Now().Before(doubt.Lands().Add(clocks + ledger.Lease)):
		return nil, Errorf(ClaimHeld, "a create lost its answer, and %d records made in %s at that time are not linked yet", others, j.target)
	}
	return nil, errEdited
}

// sift keeps of the records those that are at nobody's disposal yet and hold
// all that the intent says was sent; others counts the rest of the unlinked ones.
func (f *Flow) sift(ctx context.Context, j *journey, made []record.Record, doubt *ledger.Intent) (same []record.Record, others int, err error) {
	for _, r := range made {
		p, err := f.Ledger.Row(ctx, j.pair, record.Ref{System: j.target, Object: j.object(j.target), ID: r.ID})
		switch {
		case err != nil:
			return nil, 0, err
		case r.Archived || p.State != "" && p.State != ledger.Claimed:
		case j.holds(r, doubt.Sent[j.target]):
			same = append(same, r)
		default:
			others++
		}
	}
	return same, others, nil
}

// holds reports whether a record of the target has one of the sent fingerprints
// in every sent field.
func (j *journey) holds(r record.Record, sent map[string][]string) bool {
	canonical := j.back.Canonical(r.Fields)
	for field, prints := range sent {
		if !j.sentAs(prints, field, j.target, canonical[field]) {
			return false
		}
	}
	return len(sent) > 0
}
