package cloud

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-lambda-go/events"

	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/spec"
)

// Later is the Lambda handler of the queue of deferred events: it starts the
// execution of each again. A message that could not be started is reported by
// itself, so that SQS delivers it again and not its whole batch; after several
// attempts the queue hands it to the dead letters.
func (h *Host) Later(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	var answer events.SQSEventResponse
	started := map[spec.Direction]int{}
	for _, m := range batch.Records {
		d, err := h.again(ctx, m)
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
// execution from the ones before.
func (h *Host) again(ctx context.Context, m events.SQSMessage) (spec.Direction, error) {
	var p flow.Postponed
	if err := json.Unmarshal([]byte(m.Body), &p); err != nil {
		return "", fmt.Errorf("the message is not one of the state Later, it goes to the dead letters: %w", err)
	}
	name, input, err := p.Next()
	if err != nil {
		return "", err
	}
	return p.Machine, h.starter.Start(ctx, p.Machine, name, input)
}
