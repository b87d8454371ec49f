package main

import (
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"tandem/spec"
)

// DirectionProps describe one way through the integration.
type DirectionProps struct {
	Site      Site
	Direction spec.Direction
	// Definition is the state machine's file, byte for byte, and Placeholders the
	// names in it that stand for ARNs and addresses.
	Definition   string
	Placeholders []string
}

// Direction is a state machine with the functions of its states.
type Direction struct {
	Name    spec.Direction
	Machine awsstepfunctions.StateMachine
	// States are the functions in the order of the definition; Ingress are those
	// that start the machine.
	States, Ingress []awslambda.Function
}

// NewDirection makes the machine, and for every placeholder in its file the
// function (or queue) it stands for, its substitution and its grant, in one loop:
// none of the three can be forgotten.
func NewDirection(scope constructs.Construct, id string, p DirectionProps) *Direction {
	c := constructs.NewConstruct(scope, jsii.String(id))
	dir := &Direction{Name: p.Direction}
	var grants []Grant
	values := map[string]*string{}
	queues := map[string]struct {
		queue awssqs.Queue
		why   string
	}{"DeadLetterUrl": {p.Site.DeadLetters, "what failed for good"}, "LaterUrl": {p.Site.Later, "what is tried again when more time has passed"}}
	for _, placeholder := range p.Placeholders {
		if to, ok := queues[placeholder]; ok {
			values[placeholder] = to.queue.QueueUrl()
			grants = append(grants, Grant{Action: "sqs:SendMessage", On: []*string{to.queue.QueueArn()}, Why: to.why})
			continue
		}
		state := strings.ToLower(strings.TrimSuffix(placeholder, "Arn"))
		if _, ok := parts[state]; !ok {
			annotate(c, fmt.Sprintf("the definition of %s has the placeholder ${%s}, for which there is no function", p.Direction, placeholder))
			continue
		}
		fn := p.Site.function(c, state, p.Direction, nil, nil)
		dir.States = append(dir.States, fn)
		values[placeholder] = fn.FunctionArn()
		grants = append(grants, Grant{Action: "lambda:InvokeFunction", On: []*string{fn.FunctionArn()}, Why: "the state " + state})
	}
	dir.Machine = newMachine(c, p, values, append(grants, useKey(p.Site.Settings)...))
	return dir
}

// newMachine makes the EXPRESS state machine. The definition is given as text,
// not as an asset, so that the template shows it and reviews can read it.
func newMachine(c constructs.Construct, p DirectionProps, values map[string]*string, grants []Grant) awsstepfunctions.StateMachine {
	name := p.Site.Spec.Client + "-" + string(p.Direction)
	level := awsstepfunctions.LogLevel_ALL
	if p.Site.Spec.Trace.Level == "ERROR" {
		level = awsstepfunctions.LogLevel_ERROR
	}
	return awsstepfunctions.NewStateMachine(c, jsii.String("Machine"), &awsstepfunctions.StateMachineProps{
		StateMachineName:        jsii.String(name),
		StateMachineType:        awsstepfunctions.StateMachineType_EXPRESS,
		DefinitionBody:          awsstepfunctions.DefinitionBody_FromString(jsii.String(p.Definition)),
		DefinitionSubstitutions: &values,
		Role:                    NewRole(c, "MachineRole", "states.amazonaws.com", grants),
		RemovalPolicy:           awscdk.RemovalPolicy_DESTROY,
		TracingEnabled:          jsii.Bool(p.Site.Spec.Trace.XRay),
		Logs: &awsstepfunctions.LogOptions{
			// The prefix is the one that is not counted against the account's resource policy.
			Destination:          NewLogGroup(c, "MachineLogs", "/aws/vendedlogs/states/"+name, p.Site.Spec.Trace.RetentionDays, p.Site.Settings),
			Level:                level,
			IncludeExecutionData: jsii.Bool(true),
		},
	})
}
