package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// candidates finds what the target already has for this record. That it has
// nothing is believed once the answer can no longer be out of date (absent).
func (f *Flow) candidates(ctx context.Context, j *journey, p *ledger.Pair, t *Transformed, by match, doubt *ledger.Intent) ([]record.Record, error) {
	object := j.object(j.target)
	props := f.properties(j)
	if id := orElse(p.Adopt, orElse(p.Rival, t.Partner)); id != "" {
		rec, err := j.to.Read(ctx, object, id, props)
		if err == nil && !rec.Archived {
			return []record.Record{rec}, nil
		}
		if err != nil && CodeOf(err) != RecordMissing {
			return nil, err
		}
		if id == t.Partner && !parted(j, p, id) {
			if err := f.widowed(ctx, j, id, rec.Archived); err != nil {
				return nil, err
			}
		}
	}
	asked := f.Now()
	if found, err := f.made(ctx, j, p, doubt, props); err != nil || len(found) > 0 {
		return found, err
	}
	if by.value == "" {
		if found, err := f.lost(ctx, j, doubt, props); err != nil || len(found) > 0 {
			return found, err
		}
		return nil, f.absent(j, p, doubt, true, asked)
	}
	found, consistent, err := j.to.Find(ctx, object, by.property, by.value, props)
	if err == nil && !consistent {
		if found, err = f.reread(ctx, j, found, props); err == nil {
			err = f.outdated(j, found, by)
		}
	}
	if err == nil && len(found) == 0 {
		err = f.bereft(ctx, j, p.Maker)
	}
	if err != nil || len(found) > 0 {
		return found, err
	}
	return nil, f.absent(j, p, doubt, consistent, asked)
}

// parted: the two were linked until a restore parted them, so that this record is
// no left-over of a create; what its partner's row says tells of that one only.
func parted(j *journey, p *ledger.Pair, id string) bool {
	if j.target == record.HubSpot {
		id = j.ref.ID
	}
	return slices.Contains(p.Was, id)
}

// errWidowed: the record names, as the one it was made for, a record that is at rest.
var errWidowed = errors.New("it was made for a record that has been deleted since")

// widowed: the record that this one names as its partner is not there. If it had
// been synced, this one is what a create of ours has made before its source was
// deleted, and nothing is made anew for it. So it is if the ledger, which may have been
// lost, knows nothing of a partner that is in its system's recycle bin: nobody else
// writes such names. A claim of the partner's is waited for as long as it is worked on
// and no longer: nobody may come to end it.
func (f *Flow) widowed(ctx context.Context, j *journey, partner string, deleted bool) error {
	p, err := f.Ledger.Find(ctx, j.pair, record.Ref{System: j.target, Object: j.object(j.target), ID: partner}, "")
	switch {
	case err != nil || p.State == "" && !deleted:
		return err
	case p.State == ledger.Claimed && f.Now().Before(later(p.LeaseUntil, p.Intent.Lands())):
		return Errorf(ClaimHeld, "the record that it was made for is still being worked on")
	}
	return errWidowed
}

// bereft is widowed of a record that names nobody: the one that had claimed its key
// before, for a create that was never heard of again, is gone.
func (f *Flow) bereft(ctx context.Context, j *journey, maker string) error {
	if maker == "" {
		return nil
	}
	p, err := f.Ledger.Row(ctx, j.pair, record.Ref{System: j.target, Object: j.object(j.target), ID: maker})
	if err != nil || p.State != ledger.Claimed || p.Intent.LastCreate().IsZero() {
		return err
	}
	rec, err := j.to.Read(ctx, j.object(j.target), maker, nil)
	if CodeOf(err) == RecordMissing || err == nil && rec.Archived {
		return errWidowed
	}
	return err
}

// absent: nothing was found. A lagging index says so only of what is older than
// its lag; and where a second create would not be refused, the next one waits
// until the last one has landed and can be found, or never will.
func (f *Flow) absent(j *journey, p *ledger.Pair, doubt *ledger.Intent, consistent bool, asked time.Time) error {
	can := j.to.Abilities(j.object(j.target))
	var from time.Time
	if !consistent {
		from = p.Since.Add(can.SearchLag)
	}
	if lands := doubt.Lands(); !lands.IsZero() && !can.Once {
		from = later(from, lands.Add(can.SearchLag))
	}
	if asked.Before(from) {
		return Errorf(IndexLag, "what %s holds can be relied on from %s", j.target, from.Format(time.TimeOnly))
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// made looks for a record that an earlier attempt at this create may have made,
// by the external id it would carry.
func (f *Flow) made(ctx context.Context, j *journey, p *ledger.Pair, doubt *ledger.Intent, props []string) ([]record.Record, error) {
	external := j.pair.Side(j.target).ExternalID
	if external == "" || doubt == nil && p.Tries < 2 {
		return nil, nil
	}
	found, consistent, err := j.to.Find(ctx, j.object(j.target), external, j.ref.ID, props)
	if err == nil && !consistent {
		return f.reread(ctx, j, found, props)
	}
	return found, err
}

// reread fetches by id what a search index, which may show the past, has found.
func (f *Flow) reread(ctx context.Context, j *journey, found []record.Record, props []string) ([]record.Record, error) {
	fresh := found[:0]
	for _, r := range found {
		rec, err := j.to.Read(ctx, j.object(j.target), r.ID, props)
		switch {
		case err == nil && !rec.Archived:
			fresh = append(fresh, rec)
		case err != nil && CodeOf(err) != RecordMissing:
			return nil, err
		}
	}
	return fresh, nil
}

// outdated: what a search index has found by a match value holds another one by now, and
// was changed so lately that the index may not know. One that was not holds the value in
// a form of its own.
func (f *Flow) outdated(j *journey, found []record.Record, by match) error {
	lag := j.to.Abilities(j.object(j.target)).SearchLag
	for _, r := range found {
		if until := r.UpdatedAt.Add(lag); !by.heldBy(r) && f.Now().Before(until) {
			return Errorf(IndexLag, "%s %s was found by a match value that it does not hold any more: what is found can be relied on from %s", j.object(j.target), r.ID, until.Format(time.TimeOnly))
		}
	}
	return nil
}

func (f *Flow) properties(j *journey) []string {
	props := slices.Clone(j.back.Properties())
	if ext := j.pair.Side(j.target).ExternalID; ext != "" {
		props = append(props, ext)
	}
	return props
}
