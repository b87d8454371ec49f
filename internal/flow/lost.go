package flow

import (
	"context"
	"slices"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// clocks is how far the remote's clock and ours may differ when it is asked what
// was created while a create of ours was under way. Too much only asks of more
// records whether they are linked.
const clocks = time.Minute

// lost looks for what a create whose answer was lost has made, where neither a
// match value nor an external id tells: among the records that were created while
// it may have been carried out and are linked to nothing, one that holds all that
// was sent. Two such are parked by choose. One that holds something else may be
// the result, edited since, so nothing is created while it is there: its own
// event links it. Where the system cannot be asked, a person looks.
func (f *Flow) lost(ctx context.Context, j *journey, doubt *ledger.Intent, props []string) ([]record.Record, error) {
	object, latest := j.object(j.target), doubt.LastCreate()
	if latest.IsZero() || j.pair.Side(j.target).ExternalID != "" {
		return nil, nil
	}
	recents, ok := j.to.(Recents)
	if !ok || !j.to.Abilities(object).Recent {
		return nil, Errorf(RemoteRefused, "a create without match value lost its answer, and %s has no unique external id to look it up by: check by hand, then redrive", j.target)
	}
	made, err := recents.Created(ctx, object, doubt.At.Add(-clocks), latest.Add(ledger.Landing+clocks), props)
	if err != nil {
		return nil, err
	}
	same, others, err := f.sift(ctx, j, made, doubt)
	if err == nil && len(same) == 0 && others > 0 {
		err = Errorf(ClaimHeld, "a create lost its answer, and %d records made in %s at that time are not linked yet; one of them may be its result, edited since", others, j.target)
	}
	return same, err
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
		if !slices.Contains(prints, j.print(field, j.target, canonical[field])) {
			return false
		}
	}
	return len(sent) > 0
}
