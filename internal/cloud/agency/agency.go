// Package agency is the Notification Centre's functions on AWS: it opens the
// Centre (package centre) from the environment that cdk sets. It is apart from
// package cloud so that no client's function carries the Centre's pages.
package agency

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"tandem/internal/centre"
	"tandem/internal/centre/drill"
	"tandem/internal/cloud"
	"tandem/internal/cloud/names"
	"tandem/internal/table"
	"tandem/internal/table/dynamo"
	"tandem/spec"
)

// Run opens the Centre for the function called name and serves what handler returns.
func Run(name string, handler func(*centre.Centre) any) {
	c, err := open(name, os.Getenv)
	if err != nil {
		cloud.Exit(name, err)
	}
	lambda.Start(handler(c))
}

func open(name string, getenv func(string) string) (*centre.Centre, error) {
	clients := strings.Split(getenv(names.Clients), ",")
	secrets, err := cloud.OpenSecrets(getenv, "", names.CentreParameters(name, clients)...)
	if err != nil {
		return nil, err
	}
	api, err := dynamo.Client(getenv)
	if err != nil {
		return nil, err
	}
	links := console(getenv("AWS_REGION"), getenv(names.Account))
	return centre.New(centre.Options{
		Table:   dynamo.New(api, getenv(names.Table), time.Now, nil),
		Secrets: secrets.Get,
		URL:     getenv(names.DashboardURL),
		Expect:  expected(clients),
		Console: links,
		Outcomes: &outcomes{
			clients: clients, now: time.Now,
			table: func(client string) table.Table { return dynamo.New(api, names.ClientTable(client), time.Now, nil) },
			trace: func(client string) drill.Trace {
				return func(d spec.Direction, _ string) string { return links(client, string(d)) }
			},
		},
		Log: slog.New(slog.NewJSONHandler(os.Stdout, nil)).With("function", name),
	})
}

// console is the page of a direction's state machine in the AWS console. Its
// search takes a part of an execution's name, which has client, object and id in it.
func console(region, account string) func(client, direction string) string {
	return func(client, direction string) string {
		arn := fmt.Sprintf("arn:aws:states:%s:%s:stateMachine:%s-%s", region, account, client, direction)
		return fmt.Sprintf("https://%s.console.aws.amazon.com/states/home?region=%s#/statemachines/view/%s", region, region, arn)
	}
}

// expected are the handlers that beat on a quiet night: every client has a
// self-check. A poller promises its own interval with its first beat.
func expected(clients []string) []centre.Expected {
	var all []centre.Expected
	for _, client := range clients {
		all = append(all, centre.Expected{Client: client, Handler: "selfcheck", Interval: cloud.CheckEvery})
	}
	return all
}

// Alarms is the handler of an SNS subscription: each record is one alarm's
// change of state. An error makes SNS deliver again.
func Alarms(c *centre.Centre) func(context.Context, events.SNSEvent) error {
	return func(ctx context.Context, e events.SNSEvent) error {
		for _, r := range e.Records {
			if err := c.Alarm(ctx, []byte(r.SNS.Message)); err != nil {
				return err
			}
		}
		return nil
	}
}
