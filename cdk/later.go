package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/cloud/names"
)

const (
	// laterAttempts is how often a deferred event is handed out before it becomes a
	// dead letter; laterHidden how long one attempt may take, six times the function's
	// timeout (AWS Lambda developer guide, "Configuring a queue for use with Lambda").
	laterAttempts, laterHidden = 5, 120
	// laterBatch events are handed out at once, to laterCopies copies of the function
	// at most: the least that Lambda allows, since each waits until the rate limits
	// have room, so that a backlog comes back as fast as they allow and no faster.
	laterBatch, laterCopies = 10, 2
)

// NewLaterQueue makes the queue of events that outlast a state's retries: for an
// outage, a rate limit, a lease, an index. What cannot be started again from it ends in the dead
// letters, so that nothing is lost here either.
func NewLaterQueue(scope constructs.Construct, id, name string, deadLetters awssqs.Queue, s Settings) awssqs.Queue {
	props := queueProps(scope, id, name, s)
	props.VisibilityTimeout = awscdk.Duration_Seconds(jsii.Number(laterHidden))
	props.DeadLetterQueue = &awssqs.DeadLetterQueue{Queue: deadLetters, MaxReceiveCount: jsii.Number(laterAttempts)}
	return awssqs.NewQueue(scope, jsii.String(id), props)
}

// NewLater makes the function that starts deferred events again, fed by the queue.
func NewLater(scope constructs.Construct, id string, site Site, dirs []*Direction) awslambda.Function {
	c := constructs.NewConstruct(scope, jsii.String(id))
	queue := []*string{site.Later.QueueArn()}
	grants := []Grant{
		{Action: "sqs:ReceiveMessage", On: queue, Why: "Lambda reads the queue with the function's role"},
		{Action: "sqs:DeleteMessage", On: queue, Why: "Lambda deletes what was started"},
		{Action: "sqs:GetQueueAttributes", On: queue, Why: "Lambda reads how long a message is hidden"},
	}
	machines := map[string]string{}
	for _, d := range dirs {
		grants = append(grants, start(d.Machine))
		machines[names.Machine(d.Name)] = *d.Machine.StateMachineArn()
	}
	fn := site.function(c, "later", "", grants, machines)
	awslambda.NewEventSourceMapping(c, jsii.String("Queue"), &awslambda.EventSourceMappingProps{
		Target: fn, EventSourceArn: site.Later.QueueArn(), BatchSize: jsii.Number(laterBatch),
		ReportBatchItemFailures: jsii.Bool(true), MaxConcurrency: jsii.Number(laterCopies),
	})
	return fn
}
