// Package flow is one record's journey: a signed event comes in, and what it
// points at ends on the other side, once, or in exactly one recorded outcome.
//
// # The rooms
//
//	webhook.go poll.go   an event becomes a sealed Envelope and one execution per record
//	reconcile.go         what deliveries should have told, and a backfill: which pairs are asked, how often
//	census.go            everything is listed now and then, where only that tells of deletions
//	envelope.go          the sealed event itself: what it says, and how it is written
//	verify.go            the seal is recomputed: nobody but our own ingress starts a journey
//	transform.go         the record is read as it is now and translated field by field
//	lookup.go            lease, base, decision: what differs, who wins, what is written where
//	look.go              what both sides hold now, read no oftener than the decision needs
//	plan.go              the outcome of Lookup: a draft of the write, or a recorded drop
//	decide.go            the decision itself, pure: three values in, two patches out
//	match.go             a record without a partner: adopt one, or claim the right to create it
//	candidates.go        what the target already has for it, and when that there is nothing is believed
//	lost.go              what a create whose answer was lost has made, where no key tells
//	guard.go             the loop breaker, and the limits on deletions and cleared fields
//	parked.go            a record waits for a person, and what answers it
//	deletion.go          a record is deleted: what becomes of its partner
//	restore.go           a deleted record is there again, or its partner is missing
//	erasure.go           a person is erased, and the ledger forgets
//	taken_along.go       an edit that a deletion of ours meets: refused, or recorded
//	extra.go             a record that two workers made for one: the extra one goes
//	merge.go             two HubSpot records have become one of a new id
//	write.go             the only place that changes a remote system
//	readback.go          what an answer does not show of a write, told from an edit after it
//	taken.go             a patch that is refused: its record is gone, or another holds a unique value
//	aside.go             records that wait for a unique value of each other's: one makes room
//	stamp.go             what was observed is remembered, conditional on the lease
//	reference.go         references to records that have no partner now
//	reunite.go           what waited is looked at when that has changed, and what has to follow
//	resync.go            a person has one record looked at again
//	carried.go           values that the machine cannot carry are refused
//	later.go             what an execution cannot wait out goes on in another one
//	errors.go            the codes of failures, as the machines know them
//	contract.go          what the flow asks of a system, and how a system tells of changes
//
// The order, the retries and the timeouts belong to the state machines; each
// handler here is one state, takes the event and what the steps before have
// answered, and answers one section. Handlers know no AWS type and no adapter: systems are Remotes,
// and everything remembered is in the ledger.
//
// # What the decision rests on
//
// Current values against the base (level), never the event (edge). Whichever
// execution sees both sides brings both to agreement; an execution that sees
// only its source writes under the condition that the target has not moved.
//
// # Why that is safe
//
// A create never changes a record that exists. Where the external id is kept
// unique a second one is refused, and elsewhere the next attempt waits until the
// last one can be found or can no longer land (absent); what exists is adopted,
// and differences follow the field's policy. So an attempt that is carried out
// late, or twice, overwrites nothing.
//
// An update is written under a lease taken at the revision it was decided on, and
// whoever compares a newer state moves the revision on even where it changes
// nothing (noteSeen). So what was read earlier is never written later. A
// conditional write is refused where the record has moved; where a system has
// none, as HubSpot, the time from the read until the last request can have landed
// is kept as a window, and an event of an edit inside it becomes a conflict row.
//
// A deletion leaves a tombstone, and takes no edit with it that was made since both
// sides agreed (archive): one made later still refuses the condition, or is recorded
// from what the recycle bin or its own event tells (delete). Nothing is made for a
// record that was deleted meanwhile (stillThere, stillWanted), and what a create in
// doubt has made all the same is found (orphan) or recognised when its own event comes
// (widowed): a person is asked. Only a record that is there again brings its pair back.
//
// # Why every wait ends
//
// An execution that cannot decide yet answers with a transient code and comes
// again. What it waits for is ended by time, or by others that do not wait for it:
//
//	LeaseHeld           a lease lapses (held, mergedRows), or a deletion in doubt can no longer
//	                    land (linked); or the row or the record has just been changed by
//	                    somebody, and the next look decides on what it is now
//	ClaimHeld           a key and a place in flight lapse unless their owner comes again, and an
//	                    owner waits for time only, for older places (wait: one is the oldest), or
//	                    for a lease; what nobody may come to end (widowed, lost) is waited for
//	                    until it can no longer happen, then it is a person's
//	IndexLag            an instant that does not move (absent, orphan, older)
//	ParentMissing       the parent's own execution; after three of the child's the record goes
//	                    on without that reference, which waits for no execution (Reunite)
//	RecordMissing       the record or its deletion's event; then a dead letter
//	LeaseLost, PreconditionFailed, AlreadyExists, InDoubt
//	                    no wait: the next round, of four, decides on what is there by then; then
//	                    the next execution, but after AlreadyExists, a dead letter. A unique
//	                    value that its holder is about to give up is waited for with the second,
//	                    and once patience is over with the third; holders that wait in a ring
//	                    are opened by one that makes room (makeRoom). A match that is about to be
//	                    given up is waited for as long (choose)
//	RateLimited, RemoteBusy, StoreBusy, QuotaExhausted
//	                    the remote or the table recovers, or their window passes
//
// Two records never wait for each other unless a row says what another row denies,
// so rows that must agree change in one transaction, at the revision decided on
// (ledger). And should a wait last all the same, the machines end it with a dead
// letter after a day: a person sees it.
package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/translate"
	"tandem/spec"
)

// State is what a handler gets: the sealed event, and of what the steps before
// have answered as much as the machine still carries.
type State struct {
	Event    Envelope `json:"event"`
	Sections `json:"done,omitzero"`
	// Later is there when the event was postponed before. The machines count with
	// it, and Transform loses its patience for a parent.
	Later *Later `json:"later,omitempty"`
}

// UnmarshalJSON takes a state in either of its forms. Transform gets the execution's
// whole input, {"input": {"event": ..., "later": ...}}: a machine can pass on alone
// nothing that is not always there.
func (s *State) UnmarshalJSON(data []byte) error {
	type plain State
	var form struct {
		plain
		Input *plain `json:"input"`
	}
	form.plain = plain(*s) // what the text leaves out stays, as encoding/json has it
	if err := json.Unmarshal(data, &form); err != nil {
		return err
	}
	if *s = State(form.plain); form.Input != nil {
		*s = State(*form.Input)
	}
	return nil
}

// Sections are the answers of the steps by the state's name; it is the data of a
// machine between its states. Step Functions logs it with every state, so each
// answer is kept short and goes no further than it is needed: Verify's nowhere,
// Transform's to Lookup, Lookup's and Write's to Stamp, or, but for the values to be
// written, to the Lookup of another round.
type Sections struct {
	Transform *Transformed `json:"transform,omitempty"`
	Lookup    *Plan        `json:"lookup,omitempty"`
	Write     *Written     `json:"write,omitempty"`
	Stamp     *Stamped     `json:"stamp,omitempty"`
}

// Options are what a Flow is built from.
type Options struct {
	Spec    *spec.Spec
	Remotes map[record.System]Remote
	Ledger  *ledger.Ledger
	Seals   *Sealer
	// Now is the clock, Log the operators' log; both have the usual defaults.
	Now func() time.Time
	Log *slog.Logger
}

// Flow holds the handlers of one client's machines, both directions.
type Flow struct {
	Options
	translators map[spec.Direction]map[string]*translate.Translator
}

// New compiles the spec's translations; a spec that Load accepted compiles.
func New(o Options) (*Flow, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Flow{Options: o, translators: map[spec.Direction]map[string]*translate.Translator{}}
	for _, d := range []spec.Direction{spec.ToDestination, spec.ToHubSpot} {
		f.translators[d] = map[string]*translate.Translator{}
		for _, p := range o.Spec.Pairs {
			t, err := translate.Compile(p, d)
			if err != nil {
				return nil, fmt.Errorf("pair %s, %s: %w", p.Name, d, err)
			}
			f.translators[d][p.Name] = t
		}
	}
	return f, nil
}

// Steps names the states that are handlers, in the order of the journey.
var Steps = []string{"Verify", "Transform", "Lookup", "Write", "Stamp"}

// Handle runs one state by its name and returns the section it adds. Every error
// it returns is a *Error: this is the one place where what nobody classified
// gets a code the machines know.
func (f *Flow) Handle(ctx context.Context, step string, s State) (any, error) {
	section, err := f.step(ctx, step, s)
	switch {
	case err == nil || CodeOf(err) != "":
		return section, err
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &Error{Code: RemoteBusy, Message: "the step ran out of time", Maybe: true, Err: err}
	}
	return nil, &Error{Code: Unexpected, Message: err.Error(), Err: err}
}

func (f *Flow) step(ctx context.Context, step string, s State) (any, error) {
	switch step {
	case "Verify":
		return f.Verify(ctx, s)
	case "Transform":
		return f.Transform(ctx, s)
	case "Lookup":
		return f.Lookup(ctx, s)
	case "Write":
		return f.Write(ctx, s)
	case "Stamp":
		return f.Stamp(ctx, s)
	}
	return nil, Errorf(BadEnvelope, "there is no step %q; the steps are %v", step, Steps)
}

// journey is what every step derives from the envelope.
type journey struct {
	Envelope
	pair            spec.Pair
	source, target  record.System
	ref             record.Ref
	forward, back   *translate.Translator
	from, to        Remote
	salt, execution string
	// round counts how often the execution has decided again.
	round int
}

// journey resolves an envelope against the spec.
func (f *Flow) journey(e Envelope) (*journey, error) {
	pair, ok := f.Spec.PairByName(e.Pair)
	if e.Client != f.Spec.Client || !ok {
		return nil, Errorf(BadEnvelope, "this machine serves client %s; the event is of client %s, pair %q", f.Spec.Client, e.Client, e.Pair)
	}
	d := e.Direction
	if d != spec.ToDestination && d != spec.ToHubSpot {
		return nil, Errorf(BadEnvelope, "unknown direction %q", d)
	}
	j := &journey{
		Envelope: e, pair: pair, source: d.Source(), target: d.Target(), execution: e.Name,
		forward: f.translators[d][pair.Name], back: f.translators[reverse(d)][pair.Name],
		from: f.Remotes[d.Source()], to: f.Remotes[d.Target()],
		salt: f.Spec.Client + "/" + pair.Name,
	}
	j.ref = record.Ref{System: j.source, Object: pair.Side(j.source).Object, ID: e.ID}
	return j, nil
}

func reverse(d spec.Direction) spec.Direction { return spec.From(d.Target()) }

func (j *journey) object(s record.System) string { return j.pair.Side(s).Object }

func (j *journey) print(field string, s record.System, text string) string {
	return ledger.Fingerprint(j.salt, field, s, text)
}

// store maps a ledger failure to the code the machines know.
func store(err error) error {
	switch {
	case err == nil || CodeOf(err) != "":
		return err
	case isMoved(err):
		return Errorf(LeaseHeld, "the pair changed while it was looked at; it is looked at again")
	case isHeld(err):
		return &Error{Code: ClaimHeld, Message: err.Error(), Err: err}
	case errors.Is(err, ledger.ErrLongID):
		return &Error{Code: IDTooLong, Message: err.Error() + "; give that record a shorter id, or correct what names it, and send the event again", Err: err}
	case errors.Is(err, table.ErrInvalid):
		return &Error{Code: Unexpected, Message: err.Error(), Err: err} // no repetition makes it good
	}
	return &Error{Code: StoreBusy, Message: "the table did not answer", Err: err, Maybe: true}
}
