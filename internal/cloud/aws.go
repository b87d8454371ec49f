// Package cloud is a client's functions on AWS: it reads the environment that
// cdk sets, opens secrets, table, machines and systems, and wraps the handlers
// of package flow so that Lambda can call them. The mains below lambdas/ hold
// one call into it each.
//
// It decides nothing about records. What is decided here is what only the
// platform raises: how long a secret is cached, which name of an error Step
// Functions sees, which line is a metric.
package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"tandem/internal/cloud/awsjson"
	"tandem/spec"
)

// starter starts executions of the machines whose ARNs it knows.
type starter struct {
	api      *awsjson.Client
	machines map[spec.Direction]string
}

// startWithin bounds one attempt to start an execution: a sender waits for it.
const startWithin = 2 * time.Second

func newStarter(c aws.Config, machines map[spec.Direction]string) *starter {
	return &starter{api: awsjson.New(c, startWithin), machines: machines}
}

// Start implements flow.Starter. An EXPRESS machine starts again for a name it
// has seen, so nothing is inferred from the answer.
func (s *starter) Start(ctx context.Context, d spec.Direction, name string, input json.RawMessage) error {
	arn, ok := s.machines[d]
	if !ok {
		return fmt.Errorf("this function may not start the machine of %s", d)
	}
	in := map[string]string{"stateMachineArn": arn, "name": name, "input": string(input)}
	err := s.api.Call(ctx, awsjson.States, "StartExecution", in, nil)
	if err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	return nil
}
