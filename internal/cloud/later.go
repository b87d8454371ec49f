package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/limit"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// Later is the Lambda handler of the queue of deferred events: it starts the
// execution of each again. A message that could not be started is reported by
// itself, so that SQS delivers it again and not its whole batch; after several
// attempts the queue hands it to the dead letters.
func (h *Host) Later(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	var answer events.SQSEventResponse
	started := map[spec.Direction]int{}
	within, end := context.WithTimeout(ctx, turn)
	defer end()
	for _, m := range batch.Records {
		d, err := h.again(ctx, within, m)
		if err != nil {
			h.Log.Error("deferred event not started again", "message", m.MessageId, "error", err)
			answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
			continue
		}
		started[d]++
	}
	for d, n := range started {
		h.Metrics.Count(names.MetricLater, d, n)
	}
	return answer, nil
}

// again starts one deferred event under its own name, with what tells this
// execution from the ones before, when its turn comes or within has ended.
func (h *Host) again(ctx, within context.Context, m events.SQSMessage) (spec.Direction, error) {
	var p flow.Postponed
	if err := json.Unmarshal([]byte(m.Body), &p); err != nil {
		return "", fmt.Errorf("the message is not one of the state Later, it goes to the dead letters: %w", err)
	}
	name, input, err := p.Next()
	if err != nil {
		return "", err
	}
	h.wait(within)
	return p.Machine, h.starter.Start(ctx, p.Machine, name, input)
}

// turn is how long a batch of deferred events waits for its turn, within the
// function's timeout.
const turn = 8 * time.Second

// line is where deferred events wait for a system.
type line struct {
	budget *limit.Limiter
	gap    time.Duration // from one event to the next, at the budget's pace
}

// lines are those of both systems, as far as they have a limit.
func lines(t table.Table, s *spec.Spec) (out []line, err error) {
	for sys, budget := range map[record.System]spec.RateLimit{record.HubSpot: s.HubSpot.RateLimit, record.Destination: s.Destination.RateLimit} {
		if budget.Requests == 0 {
			continue
		}
		l, err := limit.New(limit.Options{Table: t, System: sys, Budget: budget})
		if err != nil {
			return nil, err
		}
		out = append(out, line{l, budget.Per.Duration / time.Duration(2*budget.Requests)})
	}
	return out, nil
}

// wait lets a backlog that a limit has made go on as fast as both systems allow, so
// that an execution that begins gets its requests through. It takes no permits, so
// it lets some time pass for those of the execution before. When the batch's time is
// over the rest goes on nevertheless, and is put off again if it must be.
func (h *Host) wait(ctx context.Context) {
	for _, l := range h.lines {
		pause(ctx, l.gap)
		if l.budget.Room(ctx) != nil {
			return
		}
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
