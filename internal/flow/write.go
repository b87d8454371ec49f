package flow

import (
	"context"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// Written is the Write step's section: what each system answered, as
// fingerprints of what it now holds.
type Written struct {
	// Fence is the plan's, moved on, where the lease had to be renewed.
	Fence *ledger.Fence                   `json:"fence,omitempty"`
	Sides map[record.System]*Confirmation `json:"sides,omitempty"`
}

// Confirmation is one system's answer to a write.
type Confirmation struct {
	// Created is the id of the record that the write has made.
	Created string `json:"created,omitempty"`
	Version string `json:"version,omitempty"`
	ETag    string `json:"etag,omitempty"`
	// Open is the instant of the write where it was not conditional.
	Open string `json:"open,omitempty"`
	// Prints are the fingerprints of the written fields as the system stored them.
	Prints map[string]string `json:"prints,omitempty"`
}

// least is how much of the lease must be left when a write begins: more than
// the state's timeout, so that a write ends before another worker may take over.
const least = 20 * time.Second

// Write carries out the plan: it creates or patches only the fields that
// differ, or archives. It is the only step that changes a remote system.
func (f *Flow) Write(ctx context.Context, s State) (*Written, error) {
	j, err := f.journey(s.Event)
	if err != nil {
		return nil, err
	}
	plan := s.Lookup
	if plan == nil || plan.Fence == nil {
		return nil, Errorf(BadEnvelope, "the state has no plan with a lease")
	}
	fence := *plan.Fence
	w := &Written{Fence: &fence, Sides: map[record.System]*Confirmation{}}
	until, err := f.hold(ctx, j, plan, w.Fence)
	if err != nil {
		return nil, f.giveBack(ctx, j, plan, w, err)
	}
	ctx, cancel := context.WithTimeout(ctx, until.Sub(f.Now()))
	defer cancel()
	if err := f.stillWanted(ctx, j, plan, w); err != nil {
		return nil, f.giveBack(ctx, j, plan, w, err)
	}
	for _, sys := range []record.System{j.target, j.source} {
		if err := f.writeSide(ctx, j, plan, sys, w); err != nil {
			return nil, f.giveBack(ctx, j, plan, w, err)
		}
	}
	if *w.Fence == *plan.Fence {
		w.Fence = nil
	}
	return w, nil
}

// hold makes sure that the lease outlives this step.
func (f *Flow) hold(ctx context.Context, j *journey, plan *Plan, fence *ledger.Fence) (time.Time, error) {
	until := time.UnixMilli(plan.Until)
	if until.Sub(f.Now()) >= least {
		return until, nil
	}
	var claimant *ledger.Claimant
	if plan.Create != "" {
		claimant = &ledger.Claimant{Pair: j.pair.Name, Ref: j.ref, MatchKey: plan.MatchKey}
	}
	until, err := f.Ledger.Renew(ctx, fence, claimant)
	if isMoved(err) {
		return until, Errorf(LeaseLost, "another execution has taken the pair, or its match key, over")
	}
	return until, store(err)
}

// stillWanted looks again before a create or a deletion that has waited so long
// that its lease had to be renewed: nothing is made for a record that was deleted
// meanwhile, or for one whose partner somebody has made, and nothing deleted for one
// that was restored.
func (f *Flow) stillWanted(ctx context.Context, j *journey, plan *Plan, w *Written) error {
	waited := *w.Fence != *plan.Fence
	switch {
	case plan.Link && plan.Create == "":
		return f.stillFree(ctx, j, plan, waited)
	case !waited || plan.Create == "" && plan.Archive == "":
		return nil
	}
	there, err := f.isThere(ctx, j)
	switch {
	case err != nil:
		return err
	case plan.Archive != "" && there:
		return Errorf(LeaseLost, "the record was restored while its partner's deletion waited")
	case plan.Create == "":
		return nil
	case !there:
		return Errorf(LeaseLost, "the record was deleted while its create waited")
	}
	id, err := f.holder(ctx, j, plan.Create, plan.Patch[plan.Create], "")
	if err == nil && id != "" {
		err = Errorf(LeaseLost, "a record that matches was made while the create waited")
	}
	return err
}

// stillFree: the record that is to be linked to is nobody else's meanwhile. Where it is,
// or the write has waited, both are looked at again: in the row of a pair that is not
// there yet nobody would find what was written over.
func (f *Flow) stillFree(ctx context.Context, j *journey, plan *Plan, waited bool) error {
	ref := record.Ref{System: j.target, Object: j.object(j.target), ID: plan.ids(j)[j.target]}
	row, err := f.Ledger.Row(ctx, j.pair, ref)
	known := ledger.Fence{Key: ledger.MapKey(ref)}
	if plan.Other != nil {
		known = *plan.Other
	}
	switch {
	case err != nil:
		return store(err)
	case waited || row.Key == known.Key && row.Rev != known.Rev:
		return Errorf(LeaseLost, "what is known of the two records to be linked is out of date: they are looked at again")
	}
	return nil
}

// giveBack ends the lease where the machine will not repeat this step, and
// names the way on. A step that is repeated as it is keeps its lease.
func (f *Flow) giveBack(ctx context.Context, j *journey, plan *Plan, w *Written, cause error) error {
	code, named := CodeOf(cause), ledger.Named{}
	if plan.Create == "" && Codes[code] {
		named.Holder, named.Since = existing(cause), f.refused(plan)
	}
	if !plan.Link {
		named.Base = w.observed(plan)
	}
	// What was plainly refused at the first attempt is withdrawn, unless an earlier
	// round left doubt. There is no second attempt of this step after one that may
	// have written, but for a deletion: see below.
	maybe := len(w.Sides) > 0 || isMaybe(cause) || plan.Archive != ""
	switch {
	case code == AlreadyExists && plan.Create != "":
		named.Adopt = existing(cause)
	case plan.Archive == "" && (isMaybe(cause) || maybe && Codes[code]):
		// Repeating it blindly could overwrite what somebody has edited since.
		cause = &Error{Code: InDoubt, Message: "the write may have happened: " + cause.Error(), Maybe: true, Err: cause}
	case code == RateLimited || code == RemoteBusy || code == StoreBusy:
		// So is a deletion in doubt, under its lease: else the deletion's own echo would
		// be taken for a person's. A renewed lease is given back: the repeated step only
		// knows the old fence.
		if w.Fence.Rev == plan.Fence.Rev {
			return cause
		}
	}
	// The lease must go back even when the step's own time is up.
	ctx = context.WithoutCancel(ctx)
	doubt := maybe || len(plan.Ghosts) > 0
	give := func() error { return f.Ledger.Release(ctx, *w.Fence, doubt, named) }
	if plan.Create != "" && !doubt && !Codes[code] {
		give = func() error { return f.Ledger.Withdraw(ctx, *w.Fence, j.ref) }
	}
	if err := give(); err != nil {
		f.Log.Warn("lease not released; it lapses", "execution", j.execution, "error", err)
	}
	return cause
}

// observed is what the sides that were written hold. It is kept whatever becomes of the
// other side, which may be refused for hours: a value that a side has stored in its own
// form would else be sent there round after round, and each time tell of a change.
func (w *Written) observed(plan *Plan) map[string]ledger.Base {
	base := map[string]ledger.Base{}
	for sys, c := range w.Sides {
		for name, print := range c.Prints {
			base[name] = plan.Base[name].With(sys, print)
		}
	}
	return base
}

func (f *Flow) writeSide(ctx context.Context, j *journey, plan *Plan, sys record.System, w *Written) error {
	remote, object := f.Remotes[sys], j.object(sys)
	if plan.Archive == sys {
		return f.delete(ctx, j, plan, sys, w)
	}
	patch := plan.Patch[sys]
	if plan.Create != sys && len(patch) == 0 {
		return nil
	}
	fields := j.properties(sys, patch)
	var rec record.Record
	var err error
	if plan.Create == sys {
		rec, err = f.create(ctx, j, sys, fields)
		err = f.stranger(ctx, j, plan, err)
	} else {
		rec, err = remote.Update(ctx, object, plan.ids(j)[sys], fields, plan.ETag[sys])
		err = f.unpatched(ctx, j, plan, sys, err)
	}
	if err != nil {
		return err
	}
	return f.confirm(ctx, j, plan, sys, patch, rec, w)
}

// create makes the partner. Its key consists of ids only, so every attempt at
// the same create has the same key whatever has changed since.
func (f *Flow) create(ctx context.Context, j *journey, sys record.System, fields record.Fields) (record.Record, error) {
	external := j.pair.Side(sys).ExternalID
	if external != "" {
		fields[external] = j.ref.ID
	}
	return f.Remotes[sys].Create(ctx, j.object(sys), fields, external, j.Client+"/"+j.ref.String())
}

// properties names a patch in a system's own terms.
func (j *journey) properties(sys record.System, patch map[string]string) record.Fields {
	fields := make(record.Fields, len(patch)+1)
	for _, field := range j.pair.Fields {
		if text, ok := patch[field.Name]; ok {
			fields[field.Side(sys).Property] = text
		}
	}
	return fields
}

// confirm takes the fingerprints of what the system says it stored. What the
// answer leaves out is read back; what even that leaves out is taken as sent.
func (f *Flow) confirm(ctx context.Context, j *journey, plan *Plan, sys record.System, patch map[string]string, rec record.Record, w *Written) error {
	c := &Confirmation{Prints: map[string]string{}}
	if plan.Create == sys {
		c.Created = rec.ID
	}
	w.Sides[sys] = c
	if err := f.replaced(ctx, j, plan, sys, patch, rec); err != nil {
		return err
	}
	rec, err := f.readBack(ctx, j, plan, sys, patch, rec)
	if err != nil {
		return err
	}
	c.Version, c.ETag = rec.Version, rec.ETag
	if sys == record.Destination && plan.Open != "" {
		c.Open = f.open(j, rec.UpdatedAt)
	}
	return f.observe(ctx, j, plan, sys, patch, rec, c)
}

// observe notes what the system says it stored. What it has put there itself instead of
// what was sent stays; that the two sides differ from now on is recorded.
func (f *Flow) observe(ctx context.Context, j *journey, plan *Plan, sys record.System, patch map[string]string, rec record.Record, c *Confirmation) error {
	canonical := f.translators[spec.From(sys)][j.pair.Name].Canonical(rec.Fields)
	var reshaped []string
	var lost []ledger.Conflict
	for _, field := range j.pair.Fields {
		sent, written := patch[field.Name]
		if !written {
			continue
		}
		stored := orMissing(canonical, field.Name, sent)
		if c.Prints[field.Name] = j.print(field.Name, sys, stored); stored != sent {
			reshaped = append(reshaped, field.Name)
		}
		if field.Travels(spec.From(sys)) && !record.Reshaped(field.Side(sys).Type, stored, sent) {
			lost = append(lost, ledger.Conflict{Field: field.Name, Policy: "replaced", Winner: sys, Loser: sent})
		}
	}
	if len(reshaped) > 0 {
		f.Log.Warn("stored in another form than was sent", "execution", j.execution, "system", sys, "fields", names(reshaped))
	}
	return f.loseThere(ctx, j, plan, sys, rec.ID, lost)
}

func orMissing(m map[string]string, name, otherwise string) string {
	if v, ok := m[name]; ok {
		return v
	}
	return otherwise
}
