package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"tandem/internal/beat"
	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/limit"
	"tandem/spec"
)

// Step is the Lambda handler of one state, such as "Verify": it takes the
// machine's whole state and returns the section it adds.
func (h *Host) Step(state string) func(context.Context, flow.State) (any, error) {
	return func(ctx context.Context, s flow.State) (any, error) {
		if s.Event.Bulk() {
			ctx = limit.Backfill(ctx)
		}
		section, err := h.Flow.Handle(ctx, state, s)
		if flow.CodeOf(err) == flow.BadSeal {
			section, err = h.doubted(ctx, state, s, err)
		}
		h.report(s, section, err)
		return section, Failure(err)
	}
}

// doubted handles an event once more whose seal did not fit: a webhook that has
// started since a rotation seals with a secret that is newer than the one which this
// process keeps.
func (h *Host) doubted(ctx context.Context, state string, s flow.State, refused error) (any, error) {
	asked, err := h.Secrets.Doubt(ctx)
	if err != nil {
		return nil, flow.Errorf(flow.StoreBusy, "the seal does not fit, and whether the secret was rotated cannot be read: %v", err)
	}
	if !asked {
		return nil, refused
	}
	return h.Flow.Handle(ctx, state, s)
}

// Failure is err as Step Functions is to see it: Retry and Catch name its code.
// This is the one place where codes meet Lambda; aws-lambda-go would otherwise
// report the name of the outermost Go type.
func Failure(err error) error {
	if err == nil {
		return nil
	}
	code := flow.CodeOf(err)
	if code == "" {
		code = "Unexpected"
		if errors.Is(err, context.DeadlineExceeded) {
			code = flow.RemoteBusy
		}
	}
	return messages.InvokeResponse_Error{Type: string(code), Message: fmt.Sprint(err)}
}

// report counts how the step went, for the Centre and for CloudWatch. A failure is
// no dead letter yet: those are counted where they lie (letters.go).
func (h *Host) report(s flow.State, section any, err error) {
	d := h.Direction
	if err != nil {
		code := flow.CodeOf(err)
		h.beats().Error(code)
		if code == flow.BadSeal {
			h.beats().Signal(beat.SealRefused)
			h.Metrics.Count(names.MetricBadSeal, d, 1)
		}
		return
	}
	switch section := section.(type) {
	case *flow.Plan:
		h.reportPlan(d, s, section)
	case *flow.Stamped:
		h.beats().Outcome(d, beat.Stamped, "", since(s))
		if drifted(s) {
			h.beats().Signal(beat.DriftFound)
			h.Metrics.Count(names.MetricDrift, d, 1)
		}
	}
}

// reportPlan counts an execution that ends with its decision, and parked fields
// of one that goes on.
func (h *Host) reportPlan(d spec.Direction, s flow.State, plan *flow.Plan) {
	kind, reason := plan.Outcome()
	parked := len(plan.Parked)
	if parked > 0 {
		h.beats().Signal(beat.FieldParked)
	}
	if beat.Kind(kind) == beat.Parked {
		parked++
	}
	if parked > 0 {
		h.Metrics.Count(names.MetricParked, d, parked)
	}
	if plan.Act == flow.ActDrop {
		h.beats().Outcome(d, beat.Kind(kind), beat.CauseOf(reason), since(s))
	}
}

// since is how long ago the event happened, 0 when its sender did not say.
func since(s flow.State) time.Duration {
	if s.Event.At == 0 {
		return 0
	}
	return time.Since(time.UnixMilli(s.Event.At))
}
