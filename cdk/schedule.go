package main

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/cloud"
)

// Tick calls a function at an interval.
type Tick struct {
	// Name ends the schedule's name; Every is at least a minute, in whole minutes.
	Name  string
	Every time.Duration
	// Flexible lets the call come up to cloud.Flexible late, so that the clients of an
	// agency do not all poll in the same second. Beats are punctual.
	Flexible bool
	Function awslambda.Function
	Input    map[string]string
}

// NewSchedules makes the schedules and the one role they call with. A call that
// could not be made within its interval goes to the queue missed: the next one
// makes up for it, but a person should know.
func NewSchedules(scope constructs.Construct, id, prefix string, missed awssqs.Queue, s Settings, ticks []Tick) {
	c := constructs.NewConstruct(scope, jsii.String(id))
	grants := []Grant{{Action: "sqs:SendMessage", On: []*string{missed.QueueArn()}, Why: "calls that could not be made"}}
	allowed := map[awslambda.Function]bool{}
	for _, t := range ticks {
		if !allowed[t.Function] {
			allowed[t.Function] = true
			grants = append(grants, Grant{Action: "lambda:InvokeFunction", On: []*string{t.Function.FunctionArn()}, Why: "the schedule " + t.Name})
		}
	}
	role := NewRole(c, "Role", "scheduler.amazonaws.com", append(grants, useKey(s)...))
	for _, t := range ticks {
		newSchedule(c, prefix+"-"+t.Name, missed, *role.RoleArn(), t)
	}
}

func newSchedule(c constructs.Construct, name string, missed awssqs.Queue, role string, t Tick) {
	if len(name) > longestSchedule {
		annotate(c, fmt.Sprintf("schedule name %s has %d characters and AWS allows %d: choose a shorter name for the pair", name, len(name), longestSchedule))
	}
	every := max(t.Every.Truncate(time.Minute), time.Minute)
	if every != t.Every {
		awscdk.Annotations_Of(c).AddWarningV2(jsii.String("tandem:schedule"), jsii.String(fmt.Sprintf(
			"schedule %s asks for every %s; EventBridge Scheduler counts whole minutes, so it runs every %s", name, t.Every, every)))
	}
	window := &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")}
	if t.Flexible && every > cloud.Flexible {
		window = &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("FLEXIBLE"), MaximumWindowInMinutes: jsii.Number(cloud.Flexible.Minutes())}
	}
	input := "{}"
	if t.Input != nil {
		input = *awscdk.Stack_Of(c).ToJsonString(t.Input, nil)
	}
	awsscheduler.NewCfnSchedule(c, jsii.String(t.Name), &awsscheduler.CfnScheduleProps{
		Name:               jsii.String(name),
		ScheduleExpression: jsii.String(rate(every)),
		FlexibleTimeWindow: window,
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn: t.Function.FunctionArn(), RoleArn: jsii.String(role), Input: jsii.String(input),
			DeadLetterConfig: &awsscheduler.CfnSchedule_DeadLetterConfigProperty{Arn: missed.QueueArn()},
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{
				MaximumEventAgeInSeconds: jsii.Number(min(every, 24*time.Hour).Seconds()), MaximumRetryAttempts: jsii.Number(3),
			},
		},
	})
}

// rate spells an interval as EventBridge Scheduler reads it.
func rate(every time.Duration) string {
	if n := int(every.Minutes()); n != 1 {
		return fmt.Sprintf("rate(%d minutes)", n)
	}
	return "rate(1 minute)"
}
