package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"

	"tandem/internal/cloud/names"
	"tandem/spec"
)

// grants is what the function called name needs in direction d, or with "" in
// both. The table's transactions need no permission of their own, only those of
// their parts.
func (s Site) grants(scope constructs.Construct, name string, d spec.Direction) []Grant {
	last := names.Parameters(s.Spec, name, d)
	all := []Grant{readParameters(scope, names.Prefix(s.Spec.Client), "secrets and addresses, see names.Parameters", last...)}
	for _, on := range tableGrants[name] {
		all = append(all, Grant{Action: "dynamodb:" + on.action, On: []*string{s.Table.TableArn()}, Why: on.why})
	}
	return all
}

type tableGrant struct{ action, why string }

// lists is what a function does to the table that pages through a listing.
var lists = []tableGrant{
	{"GetItem", "its cursor"},
	{"BatchGetItem", "a listed record that is already the base is an echo"},
	{"PutItem", "its first cursor; the rate limit's row, the first time"},
	{"Query", "records whose reference waits; those that a list of everything has shown; what a guard has stopped of one"},
	{"UpdateItem", "its cursor; the rate limit; the outcome of what is dropped; what has arrived"},
	{"DeleteItem", "a record whose reference waits no longer"},
}

// tableGrants is what each function does to the table, and what for.
var tableGrants = map[string][]tableGrant{
	"webhook": {
		{"GetItem", "an event whose values are already the base is an echo"},
		{"BatchGetItem", "both ways round in one request"},
		{"PutItem", "an outcome in the place of one that has expired"},
		{"UpdateItem", "the outcome of what is dropped at once; what has arrived"},
	},
	"poll": lists, "reconcile": lists,
	"transform": {
		{"GetItem", "a reference is translated through its own link"},
		{"BatchGetItem", "two rows in one request"},
		{"PutItem", "the rate limit's row, the first time"},
		{"UpdateItem", "a read takes from the shared rate limit"},
	},
	"lookup": {
		{"GetItem", "the pair's row: base, intent, lease"},
		{"BatchGetItem", "both ways round in one request"},
		{"Query", "creates in flight towards this side; what a privacy deletion removes"},
		{"PutItem", "a claim, or the outcome of what is dropped, as a new row"},
		{"UpdateItem", "lease and intent; guards count; the rate limit"},
		{"DeleteItem", "a claim that is given back; a privacy deletion"},
	},
	"write": {
		{"GetItem", "a create that waited renews its place in flight"},
		{"BatchGetItem", "and its match key; the pair of a record that holds a unique value"},
		{"PutItem", "the rate limit's row, the first time"},
		{"UpdateItem", "the lease is renewed; the rate limit"},
		{"DeleteItem", "a claim is released when nothing was made"},
	},
	"stamp": {
		{"GetItem", "whose a match key is by now, when the lease has passed"},
		{"PutItem", "the way back of a new link, as a new row"},
		{"UpdateItem", "base, hash, time and outcome; the lease is released"},
		{"DeleteItem", "claims that are done"},
	},
	"later": {{"GetItem", "whether both systems' rate limits have room for one more"}},
	"selfcheck": {
		{"GetItem", "it proves that the table answers; the canary's record and text"},
		{"BatchGetItem", "which of several dead letters were counted before"},
		{"PutItem", "the rate limit's row, the deployment's id, the canary's text, the first time; a dead letter that was counted"},
		{"UpdateItem", "its questions take from the shared rate limit; the canary's text; the spec in force"},
	},
}

// lookAt lets a function see what is in a queue, and take nothing out of it.
func lookAt(queue awssqs.Queue) []Grant {
	on := []*string{queue.QueueArn()}
	return []Grant{
		{Action: "sqs:GetQueueAttributes", On: on, Why: "how many dead letters wait"},
		{Action: "sqs:ReceiveMessage", On: on, Why: "why they died"},
		{Action: "sqs:ChangeMessageVisibility", On: on, Why: "they are given back at once, for whoever redrives"},
	}
}

func start(m awsstepfunctions.StateMachine) Grant {
	return Grant{Action: "states:StartExecution", On: []*string{m.StateMachineArn()}, Why: "one execution per changed record"}
}
