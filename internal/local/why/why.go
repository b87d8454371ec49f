// Package why answers the question a person asks of one record: why does it look
// the way it does? It gathers what the ledger remembers of the pair, what both
// systems hold now, how its events ended, and what the next execution would do.
//
// The last is no guess: the real flow decides it in rehearsal, over a table that
// keeps its changes to itself and systems that refuse every write. The package
// changes nothing anywhere and serves the console, the command line and AWS alike.
package why

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/translate"
	"tandem/spec"
)

// Report is everything known of one record and its partner.
type Report struct {
	Client string     `json:"client"`
	Pair   string     `json:"pair"`
	Record record.Ref `json:"record"`
	At     time.Time  `json:"at"`
	// Spec is the hash of the spec in force.
	Spec string `json:"spec"`
	// State is claimed, linked, gone, alias or parked; "unknown" when nothing has
	// been remembered of the record. Reason says why a record rests.
	State  string                   `json:"state"`
	Reason string                   `json:"reason,omitempty"`
	IDs    map[record.System]string `json:"ids"`
	// Stamped is when both sides last agreed.
	Stamped time.Time `json:"stampedAt,omitzero"`
	Lease   *Lease    `json:"lease,omitempty"`
	// Intent is a write that was begun and not yet confirmed.
	Intent    *Intent           `json:"intent,omitempty"`
	Fields    []Field           `json:"fields"`
	Outcomes  []ledger.Outcome  `json:"outcomes"`
	Conflicts []ledger.Conflict `json:"conflicts,omitempty"`
	// Next is what an event of this record would lead to now, PartnerNext what one
	// of its partner would; nil without a partner.
	Next        Decision  `json:"next"`
	PartnerNext *Decision `json:"partnerNext,omitempty"`
	// Problems say what could not be found out, such as a system that is down.
	Problems []string `json:"problems,omitempty"`
}

// Lease is the execution that works on the pair.
type Lease struct {
	Execution string    `json:"execution"`
	Until     time.Time `json:"until"`
}

// Intent is an open write.
type Intent struct {
	Execution string        `json:"execution"`
	At        time.Time     `json:"at"`
	Create    record.System `json:"create,omitempty"`
	Archive   record.System `json:"archive,omitempty"`
	Fields    []string      `json:"fields,omitempty"`
}

// String says what the write does: "create in hubspot: email, name".
func (i Intent) String() string {
	fields := strings.Join(i.Fields, ", ")
	switch {
	case i.Archive != "":
		return "delete in " + string(i.Archive)
	case i.Create != "" && fields == "":
		return "look for a partner in " + string(i.Create)
	case i.Create != "":
		return "create in " + string(i.Create) + ": " + fields
	}
	return "update " + fields
}

// Field is one mapped field on both sides.
type Field struct {
	Name        string `json:"name"`
	Direction   string `json:"direction"`
	Policy      string `json:"policy,omitempty"`
	Sensitive   bool   `json:"sensitive,omitempty"`
	HubSpot     Value  `json:"hubspot"`
	Destination Value  `json:"destination"`
	// Parked says why the loop breaker took the field out, or which record a reference
	// waits for; Swings counts alternations.
	Parked string `json:"parked,omitempty"`
	Swings int    `json:"swings,omitempty"`
	// Last is the execution that last wrote the field, as far back as outcomes are kept.
	Last *Provenance `json:"last,omitempty"`
}

// Value is one side of a field.
type Value struct {
	Property string `json:"property"`
	// Text is the value now, in canonical form; a fingerprint when the field is
	// sensitive. Known is false when it could not be read.
	Text  string `json:"text"`
	Known bool   `json:"known"`
	// Now and Base are fingerprints: of the present value, and of the value when
	// both sides last agreed.
	Now  string `json:"now,omitempty"`
	Base string `json:"base,omitempty"`
	// Changed: it differs from the base.
	Changed bool `json:"changed,omitempty"`
}

// Provenance says where a field's present agreement comes from.
type Provenance struct {
	Execution string    `json:"execution"`
	Direction string    `json:"direction"`
	At        time.Time `json:"at"`
	Events    []string  `json:"events,omitempty"`
	Spec      string    `json:"spec,omitempty"`
}

// Decision is what an execution for this record would do now.
type Decision struct {
	// Act is write, stamp, drop, park or wait; "fail" when the execution would fail.
	Act    string `json:"act"`
	Reason string `json:"reason,omitempty"`
	// Code is the error's, for wait and fail.
	Code string `json:"code,omitempty"`
	// Writes are the names of the fields that would be written, by system.
	Writes map[record.System][]string `json:"writes,omitempty"`
	Create record.System              `json:"create,omitempty"`
}

// Asker answers for one client.
type Asker struct {
	// Flow is the client's; its Remotes are only read.
	Flow *flow.Flow
}

// Find resolves what a person calls a kind of record: an object type of either
// system, or a pair's name, which means its HubSpot side.
func Find(s *spec.Spec, object, id string) (spec.Pair, record.Ref, error) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		if p, ok := s.PairByObject(sys, object); ok {
			return p, record.Ref{System: sys, Object: object, ID: id}, nil
		}
	}
	if p, ok := s.PairByName(object); ok {
		return p, record.Ref{System: record.HubSpot, Object: p.HubSpot.Object, ID: id}, nil
	}
	var known []string
	for _, p := range s.Pairs {
		known = append(known, p.HubSpot.Object, p.Destination.Object)
	}
	return spec.Pair{}, record.Ref{}, fmt.Errorf("client %s has no object %q; its objects are %s", s.Client, object, strings.Join(known, ", "))
}

// Ask reports on one record. Only a store that does not answer is an error.
func (a *Asker) Ask(ctx context.Context, pair spec.Pair, ref record.Ref) (*Report, error) {
	r, p, err := remember(ctx, a.Flow.Ledger, a.Flow.Spec, pair, ref)
	if err != nil {
		return nil, err
	}
	if err := a.conflicts(ctx, r, pair, p); err != nil {
		return nil, err
	}
	a.fields(ctx, r, pair, p)
	r.Next = a.rehearse(ctx, pair, ref)
	other := ref.System.Other()
	if id := p.IDs[other]; id != "" {
		next := a.rehearse(ctx, pair, record.Ref{System: other, Object: pair.Side(other).Object, ID: id})
		r.PartnerNext = &next
	}
	return r, nil
}

// Remember reports what the table alone tells of one record: no field's value and
// no next decision, for which both systems would have to be read.
func Remember(ctx context.Context, l *ledger.Ledger, s *spec.Spec, pair spec.Pair, ref record.Ref) (*Report, error) {
	r, _, err := remember(ctx, l, s, pair, ref)
	return r, err
}

func remember(ctx context.Context, l *ledger.Ledger, s *spec.Spec, pair spec.Pair, ref record.Ref) (*Report, *ledger.Pair, error) {
	p, err := l.Find(ctx, pair, ref, "")
	if err != nil {
		return nil, nil, err
	}
	r := &Report{
		Client: s.Client, Pair: pair.Name, Record: ref, At: l.Now().UTC(), Spec: s.Hash,
		State: cmp.Or(string(p.State), "unknown"), Reason: p.Reason, IDs: p.IDs, Stamped: p.StampedAt, Intent: intent(p.Intent),
	}
	if p.LeaseBy != "" {
		r.Lease = &Lease{p.LeaseBy, p.LeaseUntil}
	}
	if r.Outcomes, err = History(ctx, l, pair, p); err != nil {
		return nil, nil, err
	}
	for _, f := range pair.Fields {
		r.Fields = append(r.Fields, Field{
			Name: f.Name, Direction: cmp.Or(f.Direction, spec.Both), Policy: f.Policy, Sensitive: f.Sensitive,
			HubSpot:     Value{Property: f.HubSpot.Property, Base: p.Base[f.Name].HubSpot},
			Destination: Value{Property: f.Destination.Property, Base: p.Base[f.Name].Destination},
			Parked:      parked(p, f.Name), Swings: p.Swings[f.Name].Count, Last: provenance(r.Outcomes, f.Name),
		})
	}
	return r, p, nil
}

// parked is why a field does not travel, "" if it does.
func parked(p *ledger.Pair, field string) string {
	why := p.ParkedFields[field]
	for _, w := range p.Waits {
		if w.Field == field && why == "" {
			why = "waits for " + w.Parent.String() + ", which is " + w.Why
		}
	}
	return why
}

func intent(in *ledger.Intent) *Intent {
	if in == nil {
		return nil
	}
	names := map[string]bool{}
	for _, fields := range in.Sent {
		for name := range fields {
			names[name] = true
		}
	}
	return &Intent{Execution: in.Execution, At: in.At, Create: in.Create, Archive: in.Archive, Fields: slices.Sorted(maps.Keys(names))}
}

// History gathers a pair's outcomes, of both sides, newest first.
func History(ctx context.Context, l *ledger.Ledger, pair spec.Pair, p *ledger.Pair) ([]ledger.Outcome, error) {
	all := append([]ledger.Outcome{}, p.Outcomes...)
	for sys, id := range p.IDs {
		more, err := l.Outcomes(ctx, record.Ref{System: sys, Object: pair.Side(sys).Object, ID: id})
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	slices.SortStableFunc(all, func(x, y ledger.Outcome) int { return y.At.Compare(x.At) })
	return all, nil
}

// conflicts adds what conflicts have lost.
func (a *Asker) conflicts(ctx context.Context, r *Report, pair spec.Pair, p *ledger.Pair) error {
	lost, err := a.Flow.Ledger.Losses(ctx, pair, p)
	if err != nil {
		return err
	}
	r.Conflicts = a.hide(pair, lost)
	return nil
}

// hide replaces what a sensitive field lost by its fingerprint.
func (a *Asker) hide(pair spec.Pair, lost []ledger.Conflict) []ledger.Conflict {
	for i, c := range lost {
		if f := field(pair, c.Field); f.Sensitive && c.Loser != "" {
			lost[i].LoserPrint, lost[i].Loser = a.print(pair, c.Field, c.Winner.Other(), c.Loser), ""
		}
	}
	return lost
}

func field(pair spec.Pair, name string) spec.Field {
	for _, f := range pair.Fields {
		if f.Name == name {
			return f
		}
	}
	return spec.Field{}
}

func (a *Asker) print(pair spec.Pair, field string, sys record.System, text string) string {
	return ledger.Fingerprint(a.Flow.Spec.Client+"/"+pair.Name, field, sys, text)
}

// fields compares both sides' present values with the base.
func (a *Asker) fields(ctx context.Context, r *Report, pair spec.Pair, p *ledger.Pair) {
	hub := a.read(ctx, r, pair, record.HubSpot, p.IDs[record.HubSpot])
	dest := a.read(ctx, r, pair, record.Destination, p.IDs[record.Destination])
	for i, f := range pair.Fields {
		base, agreed := p.Base[f.Name]
		r.Fields[i].HubSpot = a.value(pair, f, record.HubSpot, hub, base, agreed)
		r.Fields[i].Destination = a.value(pair, f, record.Destination, dest, base, agreed)
	}
}

// read fetches one side's canonical values by field name; nil when it cannot.
func (a *Asker) read(ctx context.Context, r *Report, pair spec.Pair, sys record.System, id string) map[string]string {
	if id == "" {
		return nil
	}
	t, err := translate.Compile(pair, spec.From(sys))
	if err != nil {
		r.Problems = append(r.Problems, err.Error())
		return nil
	}
	rec, err := a.Flow.Remotes[sys].Read(ctx, pair.Side(sys).Object, id, t.Properties())
	switch {
	case err != nil:
		r.Problems = append(r.Problems, fmt.Sprintf("%s %s cannot be read: %v", sys, id, err))
		return nil
	case rec.Archived:
		r.Problems = append(r.Problems, fmt.Sprintf("%s %s is deleted", sys, id))
		return nil
	}
	return t.Canonical(rec.Fields)
}

func (a *Asker) value(pair spec.Pair, f spec.Field, sys record.System, now map[string]string, base ledger.Base, agreed bool) Value {
	v := Value{Property: f.Side(sys).Property, Base: base.Side(sys)}
	if v.Text, v.Known = now[f.Name]; !v.Known {
		return v
	}
	v.Now = a.print(pair, f.Name, sys, v.Text)
	v.Changed = agreed && v.Now != v.Base
	if f.Sensitive && v.Text != "" {
		v.Text = "fingerprint " + v.Now
	}
	// The inputs of concat are one text, joined by a unit separator.
	v.Text = strings.ReplaceAll(v.Text, "\x1f", " | ")
	return v
}

// provenance is the newest outcome that wrote the field.
func provenance(outcomes []ledger.Outcome, field string) *Provenance {
	for _, o := range outcomes {
		if o.Kind == ledger.Stamped && slices.Contains(o.Fields, field) {
			return &Provenance{Execution: o.Execution, Direction: o.Direction, At: o.At, Events: o.Events, Spec: o.Spec}
		}
	}
	return nil
}

// rehearse lets the real flow decide, without consequences.
func (a *Asker) rehearse(ctx context.Context, pair spec.Pair, ref record.Ref) Decision {
	_, d := a.try(ctx, pair, ref)
	return d
}

// try is a rehearsal that also returns the translated record, nil where it came to none.
func (a *Asker) try(ctx context.Context, pair spec.Pair, ref record.Ref) (*flow.Transformed, Decision) {
	o := a.Flow.Options
	o.Ledger = &ledger.Ledger{Table: newOverlay(o.Ledger.Table), Client: o.Ledger.Client, Now: o.Ledger.Now}
	o.Remotes = map[record.System]flow.Remote{}
	for sys, remote := range a.Flow.Remotes {
		o.Remotes[sys] = readOnly{remote}
	}
	f, err := flow.New(o)
	if err != nil {
		return nil, failed(err)
	}
	s := flow.State{Event: flow.Envelope{
		Client: o.Spec.Client, Direction: spec.From(ref.System), Pair: pair.Name, ID: ref.ID, Kind: flow.Changed, Name: "rehearsal",
	}}
	if s.Transform, err = f.Transform(ctx, s); err != nil {
		return nil, failed(err)
	}
	plan, err := f.Lookup(ctx, s)
	if err != nil {
		return s.Transform, failed(err)
	}
	d := Decision{Act: plan.Act, Create: plan.Create, Writes: map[record.System][]string{}}
	kind, reason := plan.Outcome()
	if d.Reason = reason; kind == ledger.ParkedKind {
		d.Act = "park"
	}
	for sys, patch := range plan.Patch {
		d.Writes[sys] = slices.Sorted(maps.Keys(patch))
	}
	return s.Transform, d
}

func failed(err error) Decision {
	code := flow.CodeOf(err)
	d := Decision{Act: "fail", Code: string(code), Reason: strings.TrimPrefix(err.Error(), string(code)+": ")}
	if flow.Codes[code] {
		d.Act = "wait"
	}
	return d
}

var _ table.Table = (*overlay)(nil)
