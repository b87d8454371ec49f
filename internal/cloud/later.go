package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"

	"tandem/internal/cloud/names"
	"tandem/spec"
)

// deferred is a message of the state Later: an event that could not be dealt with
// yet, because of a rate limit, a lease or an index. Event and Later are handed
// on byte for byte; Verify checks the event's seal as it did the first time.
type deferred struct {
	Machine spec.Direction  `json:"machine"`
	Event   json.RawMessage `json:"event"`
	Later   json.RawMessage `json:"later"`
}

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
	var d deferred
	var event struct {
		Name string `json:"name"`
	}
	if err := errors.Join(json.Unmarshal([]byte(m.Body), &d), json.Unmarshal(d.Event, &event)); err != nil || event.Name == "" {
		return "", errors.New("the message is not one of the state Later; it goes to the dead letters")
	}
	input, err := json.Marshal(struct {
		Event json.RawMessage `json:"event"`
		Later json.RawMessage `json:"later,omitempty"`
	}{d.Event, d.Later})
	if err != nil {
		return "", fmt.Errorf("the execution's input: %w", err)
	}
	return d.Machine, h.starter.Start(ctx, d.Machine, names.Again(event.Name, "later", m.MessageId), input)
}
