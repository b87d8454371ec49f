package flow

import (
	"context"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// Reasons of records that are parked because their match is not clear.
const (
	severalMatch = "two or more records of "
	itsMatch     = "the matching record of "
	atRest       = " is at rest: "
)

func (f *Flow) ambiguous(ctx context.Context, j *journey, p *ledger.Pair, t *Transformed, reason string) (*Plan, error) {
	j.looked(p, t)
	return park(reason), f.Ledger.Settle(ctx, p, j.ref, ledger.Parked, reason)
}

// looked notes for a record that is parked which state of it has been looked at, unless
// another execution has looked at a newer one.
func (j *journey) looked(p *ledger.Pair, t *Transformed) {
	if !older(p, j.source, t.Version, time.UnixMilli(t.ReadAt)) {
		p.Seen[j.source] = ledger.Seen{Version: t.Version, ETag: t.ETag}
	}
}

// touched: a record whose match was not clear has been edited since, so that it is
// looked for again. That is how a person who has set the matter right says so, or asks.
func (j *journey) touched(p *ledger.Pair, t *Transformed) bool {
	unclear := strings.HasPrefix(p.Reason, severalMatch) || strings.HasPrefix(p.Reason, itsMatch)
	edited := t.Version != "" && record.CompareVersions(t.Version, p.Seen[j.source].Version) > 0
	return p.State == ledger.Parked && p.IDs[j.target] == "" && !t.Missing && !t.Archived && (unclear && edited || j.marked(MarkAsked))
}

// parked leaves a record to the person who is asked.
func (f *Flow) parked(ctx context.Context, j *journey, p *ledger.Pair) (*Plan, error) {
	_, err := f.unheard(ctx, j, p)
	return park(p.Reason), err
}

// stillParked is parked of a record that is there. A deletion that an execution has seen
// before, and is slow to settle, must not put it to rest: the row moves on (isThere). That
// its partner was restored its own event may never tell, as of a system that is polled.
func (f *Flow) stillParked(ctx context.Context, j *journey, p *ledger.Pair, t *Transformed) (*Plan, error) {
	if err := f.reunited(ctx, j, p); err != nil {
		return nil, err
	}
	newer := t.Version == "" || j.restored() || record.CompareVersions(t.Version, p.Seen[j.source].Version) > 0
	if newer {
		j.looked(p, t)
		if err := f.Ledger.Settle(ctx, p, j.ref, ledger.Parked, p.Reason); err != nil {
			return nil, err
		}
	}
	return f.parked(ctx, j, p)
}

// keptIn says of the tombstone that a deletion has left which record stayed.
const keptIn = "; kept in "

// kept: the record of a system stayed when its partner was deleted.
func kept(p *ledger.Pair, sys record.System) bool {
	if p.State == ledger.Parked {
		return strings.HasPrefix(p.Reason, deletedIn+string(sys.Other()))
	}
	return p.State == ledger.Gone && strings.Contains(p.Reason, keptIn+string(sys))
}

// undecided: a record is back, and somebody has deleted its partner, which had been kept,
// of which nobody has heard. Where the deletion is the older one, a partner is to be made
// anew, else it is to be followed: a person knows. That one may have been restored, too,
// and heard of while the row did not say yet that it was gone.
func (f *Flow) undecided(ctx context.Context, j *journey, p *ledger.Pair) (*Plan, error) {
	reason := deletedIn + string(j.target) + ", and its partner, which had been deleted, was restored: nobody has told which of the two came later"
	if err := f.Ledger.Settle(ctx, p, j.ref, ledger.Parked, reason); err != nil {
		return nil, err
	}
	if partner, err := f.spared(ctx, j, p); err != nil || partner == "" {
		return park(reason), err
	}
	return nil, f.reunite(ctx, j, p)
}

// answered: a record that waited for a person with its partner, or was kept, is gone by
// now. If both are, that was the answer. A partner that was gone and is back has been
// restored, of which its own event has yet to tell, and then this one deleted. What a
// merge has left is asked about whatever becomes of it (MergedInto).
func (f *Flow) answered(ctx context.Context, j *journey, p *ledger.Pair) (*Plan, error) {
	rests := f.parked
	if p.State == ledger.Gone {
		rests = f.atRest
	}
	there, err := f.isThere(ctx, j)
	switch {
	case err != nil:
		return nil, err
	case there || p.MergedInto() != "":
		return rests(ctx, j, p)
	}
	if err := f.reunited(ctx, j, p); err != nil {
		return nil, err
	}
	switch partner, err := f.spared(ctx, j, p); {
	case err != nil:
		return nil, err
	case partner != "":
		return rests(ctx, j, p)
	}
	if _, err := f.unheard(ctx, j, p); err != nil {
		return nil, err
	}
	return drop(deletedInBoth), f.Ledger.Settle(ctx, p, j.ref, ledger.Gone, deletedInBoth)
}

// reunited brings a pair back whose partner was deleted and is there again, and has
// it looked at afresh.
func (f *Flow) reunited(ctx context.Context, j *journey, p *ledger.Pair) error {
	if !strings.HasPrefix(p.Reason, deletedIn+string(j.target)) || !f.Now().After(p.StampedAt.Add(settling)) {
		return nil
	}
	if partner, err := f.spared(ctx, j, p); err != nil || partner == "" {
		return err
	}
	return f.reunite(ctx, j, p)
}

// reunite revives a pair whose partner is there again, and has it looked at afresh.
func (f *Flow) reunite(ctx context.Context, j *journey, p *ledger.Pair) error {
	err := f.revive(ctx, j, p, j.target)
	return orElse(err, error(Errorf(LeaseHeld, "the record's partner was restored: their pair is looked at afresh")))
}

// revive takes a pair out of its rest, since its record of a system is back.
func (f *Flow) revive(ctx context.Context, j *journey, p *ledger.Pair, back record.System) error {
	if back == record.HubSpot { // what refers to it may have been compared while HubSpot hid that
		if err := f.tellChildren(ctx, j, p.IDs[back]); err != nil {
			return err
		}
	}
	return f.Ledger.Revive(ctx, j.pair, p)
}
