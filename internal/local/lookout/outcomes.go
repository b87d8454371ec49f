package lookout

import (
	"context"
	"net/url"
	"strconv"

	"tandem/internal/beat"
	"tandem/internal/centre"
	"tandem/internal/centre/drill"
	"tandem/internal/ledger"
	"tandem/internal/local/engine"
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
		Execution: e.Name, Trace: o.trace(e.Direction, e.Name), Latency: e.Duration(), Fields: e.Outcome.Fields, Spec: hash}
	if e.Outcome.Kind == ledger.Dead {
		out.Cause, out.Detail = e.Outcome.Code, e.Outcome.Reason
	}
	return out
}

func (o outcomes) trace(_ spec.Direction, execution string) string {
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
	return drill.Record(r, pair, o.trace), nil
}
