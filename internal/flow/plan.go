package flow

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// Plan is the Lookup step's section: what will be done, under which lease.
type Plan struct {
	Act    string `json:"act"`
	Reason string `json:"reason,omitempty"`
	// IDs are the pair's records that neither the event nor the fence names.
	IDs   map[record.System]string `json:"ids,omitempty"`
	Fence *ledger.Fence            `json:"fence,omitempty"`
	// Until is when the lease ends, in milliseconds.
	Until int64 `json:"until,omitempty"`
	// Patch is what is written, by system and field name, in that system's terms.
	Patch map[record.System]map[string]string `json:"patch,omitempty"`
	// ETag makes a system's write conditional; Before is the version that was read
	// of a side that is not written under one.
	ETag   map[record.System]string `json:"etag,omitempty"`
	Before map[record.System]string `json:"before,omitempty"`
	// Base are fingerprints to stamp. Of a written side Stamp fills in what was
	// observed; until then it holds what HubSpot's fields held, which a write, never
	// conditional there, replaces.
	Base map[string]ledger.Base `json:"base,omitempty"`
	// Loose: a field stays where the base does not say, so that the next write has to look.
	Loose bool `json:"loose,omitempty"`
	// Stuck: the target holds a value that has no translation.
	Stuck bool `json:"stuck,omitempty"`
	// Open is when the destination's record was last changed, where a write towards
	// it is not conditional.
	Open string `json:"open,omitempty"`
	// Ahead is by how much the destination's clock is ahead at most, in milliseconds,
	// where a record is deleted there without a condition.
	Ahead int64 `json:"ahead,omitempty"`
	// Left are the windows of an earlier write that was never stamped, Ghosts what
	// earlier writes of this claim may have sent.
	Left   []ledger.Window                       `json:"left,omitempty"`
	Ghosts map[record.System]map[string][]string `json:"ghosts,omitempty"`
	// Link joins the two records when stamped; Create makes the partner first.
	Link     bool          `json:"link,omitempty"`
	Create   record.System `json:"create,omitempty"`
	MatchKey string        `json:"matchKey,omitempty"`
	// Other is the partner's own claim, if it has one, that linking ends.
	Other *ledger.Fence `json:"other,omitempty"`
	// Archive deletes the record on that side, and the pair rests afterwards.
	Archive record.System `json:"archive,omitempty"`
	// Round counts how often an execution has decided again, and Made is the record
	// that it created before it had to.
	Round int    `json:"round,omitempty"`
	Made  string `json:"made,omitempty"`
	// Aside are fields that are blanked instead of getting their value yet, Owed those
	// that were blanked before and get it (aside.go).
	Aside []string `json:"aside,omitempty"`
	Owed  []string `json:"owed,omitempty"`
	// Refused is when the plan's patch was refused first because another record was
	// about to give a value up, in milliseconds.
	Refused int64 `json:"refused,omitempty"`
	// Parked are fields that the loop breaker took out, references that began to wait, and
	// destination records that a merge has left to people; Waits are references of a pair
	// that is only linked by this plan.
	Parked []string      `json:"parkedFields,omitempty"`
	Waits  []ledger.Wait `json:"waits,omitempty"`
}

// take notes under which lease the plan is to be carried out.
func (p *Plan) take(row *ledger.Pair) {
	fence := row.Fence()
	p.Fence, p.Until = &fence, row.LeaseUntil.UnixMilli()
}

func drop(reason string) *Plan { return &Plan{Act: ActDrop, Reason: reason} }

// parkPrefix marks a drop whose outcome is "parked", for a person to decide.
const parkPrefix = "parked: "

func park(reason string) *Plan { return &Plan{Act: ActDrop, Reason: parkPrefix + reason} }

func names(list []string) string { return strings.Join(list, ", ") }

// unless is a drop, or a parked outcome when the event told of a lost edit.
func unless(lost bool, reason string) *Plan {
	if lost {
		return park("an edit was overwritten before it could be read; its fingerprint is recorded")
	}
	return drop(reason)
}

// await notes in a plan that links a pair which of its references wait.
func (p *Plan) await(waits []ledger.Wait) {
	if len(waits) > 0 {
		p.Waits, p.Parked, p.Reason = waits, waitingFields(waits), waitsFor(waits)
	}
}

// shown is what the two records that were read tell of their sides' clocks.
func (f *Flow) shown(j *journey, t *Transformed, target record.Record) map[record.System]ledger.Shown {
	return map[record.System]ledger.Shown{
		j.source: {Changed: ledger.Version(t.updatedAt()), Ahead: time.Duration(t.Ahead) * time.Millisecond},
		j.target: {Changed: ledger.Version(target.UpdatedAt), Ahead: f.ahead(target)},
	}
}

// based is a verdict's base, with what HubSpot's fields held that are about to be
// overwritten.
func (m *merge) based(v verdict) map[string]ledger.Base {
	fields, hub := v.toTarget, m.target
	if m.source.system == record.HubSpot {
		fields, hub = v.toSource, m.source
	}
	out := maps.Clone(v.base)
	for name := range fields {
		out[name] = out[name].With(record.HubSpot, m.cell(hub, name).print)
	}
	return out
}

// prior are the fingerprints in HubSpot that the plan's write there replaces.
func (p *Plan) prior() map[string]string {
	if p.Create == record.HubSpot {
		return nil
	}
	out := map[string]string{}
	for name := range p.Patch[record.HubSpot] {
		out[name] = p.Base[name].HubSpot
	}
	return out
}

// write drafts the plan of a verdict.
func (f *Flow) write(j *journey, p *ledger.Pair, ids map[record.System]string, m *merge, v verdict, t *Transformed, target record.Record) *Plan {
	plan := &Plan{
		Act: ActWrite, IDs: maps.Clone(ids), Base: m.based(v), Loose: v.loose || m.stuck, Stuck: m.stuck, Refused: unixMilli(p.Refused),
		Patch: map[record.System]map[string]string{},
		ETag:  map[record.System]string{}, Before: map[record.System]string{},
	}
	if len(v.toTarget) > 0 {
		plan.Patch[j.target] = v.toTarget
	}
	if len(v.toSource) > 0 {
		plan.Patch[j.source] = v.toSource
	}
	plan.condition(j.target, j.to.Abilities(j.object(j.target)), target.ETag, target.Version)
	plan.condition(j.source, j.from.Abilities(j.object(j.source)), t.ETag, t.Version)
	changed := since(target)
	if j.source == record.Destination {
		changed = t.since()
	}
	if len(plan.Patch[record.Destination]) > 0 {
		plan.Open = f.open(j, changed)
	}
	return plan
}

// open is an instant of the destination's clock in the form of windows; "" where
// its writes are conditional, or it tells no time.
func (f *Flow) open(j *journey, at time.Time) string {
	if at.UnixMilli() <= 0 || f.Remotes[record.Destination].Abilities(j.object(record.Destination)).ConditionalWrite {
		return ""
	}
	return ledger.Version(at)
}

// since is from when on somebody may have edited a record after it was read: since its
// last change, or that very second, if it was not over and the system tells no less.
func since(rec record.Record) time.Time {
	at := rec.UpdatedAt
	if !rec.Clock.IsZero() && !rec.Clock.After(at) && at.Truncate(time.Second).Equal(at) {
		return at.Add(-time.Millisecond)
	}
	return at
}

func (p *Plan) condition(s record.System, a Abilities, etag, version string) {
	if a.ConditionalWrite && etag != "" {
		if p.ETag[s] = etag; len(p.Patch[s]) > 0 {
			return
		}
	}
	if version != "" {
		p.Before[s] = version
	}
}

// named are the records that the event and the fence's row name.
func (p *Plan) named(j *journey) map[record.System]string {
	out := map[record.System]string{j.source: j.ref.ID}
	for _, sys := range []record.System{j.source, j.target} {
		row := ledger.MapKey(record.Ref{System: sys, Object: j.object(sys)})
		if id, ok := strings.CutPrefix(p.Fence.Key.PK, row.PK); ok {
			out[sys] = id
		}
	}
	return out
}

// shorten leaves out of a plan, which every state carries on and logs, the ids
// that are named elsewhere.
func (p *Plan) shorten(j *journey) {
	named := p.named(j)
	p.IDs = maps.Clone(p.IDs)
	maps.DeleteFunc(p.IDs, func(sys record.System, id string) bool { return named[sys] == id })
}

// ids are the records of both sides that are known.
func (p *Plan) ids(j *journey) map[record.System]string {
	out := p.named(j)
	maps.Copy(out, p.IDs)
	return out
}

// intent records what the plan may leave behind if it is never stamped.
func (f *Flow) intent(j *journey, plan *Plan) ledger.Intent {
	in := ledger.Intent{
		Execution: j.execution, At: f.Now(), Create: plan.Create, Archive: plan.Archive, Sent: map[record.System]map[string][]string{},
		Before: plan.Before[record.HubSpot], Open: plan.Open, Prior: plan.prior(), Spec: f.edition(),
	}
	for sys, fields := range plan.Patch {
		in.Sent[sys] = map[string][]string{}
		for name, text := range fields {
			in.Sent[sys][name] = j.forms(name, sys, text)
		}
	}
	return in
}

// forms are the fingerprints by which a value that was sent is known again, itself the
// last: a write that lands late has no answer that tells in which form it was stored.
func (j *journey) forms(name string, sys record.System, text string) []string {
	exact := j.print(name, sys, text)
	i := slices.IndexFunc(j.pair.Fields, func(f spec.Field) bool { return f.Name == name })
	if i < 0 { // sent under a spec that had it
		return []string{exact}
	}
	if plain := record.Plain(j.pair.Fields[i].Side(sys).Type, text); plain != text {
		return []string{j.print(name, sys, plain), exact}
	}
	return []string{exact}
}

// sentAs reports whether a value is one of those that were sent, or a form of one.
func (j *journey) sentAs(sent []string, name string, sys record.System, text string) bool {
	return len(sent) > 0 && slices.ContainsFunc(j.forms(name, sys, text), func(print string) bool { return slices.Contains(sent, print) })
}

// conclude records the outcome of an event that stamps nothing.
func (f *Flow) conclude(ctx context.Context, j *journey, plan *Plan) error {
	kind, reason := plan.Outcome()
	return store(f.Ledger.Record(ctx, j.ref, f.outcome(j, kind, reason)))
}

func (f *Flow) outcome(j *journey, kind ledger.Kind, reason string) ledger.Outcome {
	return ledger.Outcome{
		At: f.Now(), Execution: j.execution, Direction: string(j.Direction), Kind: kind, Reason: reason,
		Events: j.Events, Spec: f.Spec.Hash,
	}
}
