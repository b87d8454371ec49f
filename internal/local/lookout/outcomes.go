package lookout

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"tandem/internal/beat"
	"tandem/internal/centre"
	"tandem/internal/ledger"
	"tandem/internal/local/engine"
	"tandem/internal/local/why"
	"tandem/internal/record"
	"tandem/spec"
)

// searched is how many finished executions a page of outcomes looks through.
const searched = 20_000

// outcomes implements centre.Outcomes over the server's executions and ledger.
type outcomes struct{ l *Lookout }

// List implements centre.Outcomes. Events that ended without an execution have
// no trace and are only counted.
func (o outcomes) List(_ context.Context, q centre.OutcomeQuery) (centre.OutcomePage, error) {
	s := o.l.server.Load()
	if s == nil || q.Client != o.l.o.Client {
		return centre.OutcomePage{}, centre.ErrUnknown
	}
	limit := q.Limit
	if limit <= 0 || limit > 200 {
		limit = 200
	}
	before, _ := strconv.ParseInt(q.After, 10, 64)
	var page centre.OutcomePage
	for _, e := range s.Engine().Executions(engine.Filter{Text: q.Text, Status: string(q.Kind), Limit: searched}) {
		if e.Outcome == nil || q.Direction != "" && e.Direction != q.Direction || before > 0 && e.End.UnixNano() >= before {
			continue
		}
		if len(page.Outcomes) == limit {
			page.Next = strconv.FormatInt(page.Outcomes[limit-1].At.UnixNano(), 10)
			break
		}
		page.Outcomes = append(page.Outcomes, o.ended(e, s.Spec().Hash))
	}
	return page, nil
}

func (o outcomes) ended(e engine.Summary, hash string) centre.Outcome {
	out := centre.Outcome{At: e.End, Direction: e.Direction, Kind: beat.Kind(e.Outcome.Kind), Cause: e.Outcome.Reason, Ref: e.Record,
		Execution: e.Name, Trace: o.trace(e.Name), Latency: e.Duration(), Fields: e.Outcome.Fields, Spec: hash}
	if e.Outcome.Kind == ledger.Dead {
		out.Cause, out.Detail = e.Outcome.Code, e.Outcome.Reason
	}
	return out
}

func (o outcomes) trace(execution string) string {
	if execution == "" {
		return ""
	}
	return o.l.console() + "/executions/" + url.PathEscape(execution)
}

// Record implements centre.Outcomes.
func (o outcomes) Record(ctx context.Context, client string, ref record.Ref) (centre.RecordView, error) {
	s := o.l.server.Load()
	if s == nil || client != o.l.o.Client {
		return centre.RecordView{}, centre.ErrUnknown
	}
	pair, ok := s.Spec().PairByObject(ref.System, ref.Object)
	if !ok {
		return centre.RecordView{}, centre.ErrUnknown
	}
	r, err := s.Asker().Ask(ctx, pair, ref)
	if err != nil {
		return centre.RecordView{}, err
	}
	v := centre.RecordView{Ref: ref, Pair: r.Pair, State: r.State, Stamped: r.Stamped, Next: next(r)}
	other := ref.System.Other()
	if id := r.IDs[other]; id != "" {
		v.Partner = record.Ref{System: other, Object: pair.Side(other).Object, ID: id}
	}
	if r.Intent != nil {
		v.Intent = strings.Join(append([]string{"Execution " + r.Intent.Execution + " has begun to write"}, r.Intent.Fields...), " ")
	}
	for _, f := range r.Fields {
		v.Fields = append(v.Fields, o.field(f))
	}
	for _, e := range r.Outcomes {
		v.Outcomes = append(v.Outcomes, centre.Outcome{At: e.At, Direction: spec.Direction(e.Direction), Kind: beat.Kind(e.Kind), Cause: e.Reason,
			Ref: ref, Execution: e.Execution, Trace: o.trace(e.Execution), Fields: e.Fields, Spec: e.Spec})
	}
	return v, nil
}

// next is what would be decided, whichever side told of a change.
func next(r *why.Report) string {
	text := fmt.Sprintf("An event from %s would %s.", sides[r.Record.System], r.Next)
	if r.PartnerNext != nil {
		text += fmt.Sprintf(" One from %s would %s.", sides[r.Record.System.Other()], r.PartnerNext)
	}
	return text
}

var sides = map[record.System]string{record.HubSpot: "HubSpot", record.Destination: "the destination"}

// field shows a value of either side; of the base only the fingerprint is kept,
// so where a side has not moved its text stands for it.
func (o outcomes) field(f why.Field) centre.FieldView {
	v := centre.FieldView{Name: f.Name, HubSpot: f.HubSpot.Text, Destination: f.Destination.Text, Sensitive: f.Sensitive, Frozen: f.Parked != "",
		HubSpotDiffers: f.HubSpot.Changed, DestinationDiffers: f.Destination.Changed}
	switch {
	case f.HubSpot.Known && !f.HubSpot.Changed:
		v.Base = f.HubSpot.Text
	case f.Destination.Known && !f.Destination.Changed:
		v.Base = f.Destination.Text
	case f.HubSpot.Base != "":
		v.Base = "fingerprint " + f.HubSpot.Base
	}
	if f.Last != nil {
		v.Execution, v.Event, v.Spec, v.Trace = f.Last.Execution, strings.Join(f.Last.Events, " "), f.Last.Spec, o.trace(f.Last.Execution)
	}
	return v
}
