package main

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/cloud/names"
	"tandem/internal/record"
	"tandem/spec"
)

// newOutputs prints what a person needs next after a deployment, in the order in
// which it is needed.
func newOutputs(stack awscdk.Stack, site Site, dirs []*Direction, addresses map[spec.Direction]*string) {
	client, region := site.Spec.Client, site.Settings.Region
	console := "https://" + region + ".console.aws.amazon.com/"
	output(stack, "Secrets", "create these SecureStrings, if they are new: tandem secrets "+client,
		names.Prefix(client)+strings.Join(names.Secrets(site.Spec), ", "+names.Prefix(client)))
	for _, d := range dirs {
		if url := addresses[d.Name]; url != nil {
			source := string(d.Name.Source())
			output(stack, pascal(source)+"WebhookUrl", "paste it into "+source+" as the webhook's target URL", *url)
		}
	}
	if url := addresses[spec.From(record.HubSpot)]; url != nil {
		output(stack, "Subscriptions", "prints webhooks-hsmeta.json, which the HubSpot project is uploaded with",
			"tandem subscriptions "+client+" --url "+*url)
	}
	output(stack, "Doctor", "then prove the deployment", "tandem doctor "+client)
	for _, d := range dirs {
		output(stack, pascal(string(d.Name))+"Console", "executions: search by record id",
			console+"states/home?region="+region+"#/express-executions?stateMachineArn="+*d.Machine.StateMachineArn())
	}
	output(stack, "DashboardLink", "metrics and alarms", console+"cloudwatch/home?region="+region+"#dashboards/dashboard/tandem-"+client)
	output(stack, "DeadLetterQueue", "what failed for good", *site.DeadLetters.QueueUrl())
	output(stack, "TableName", "links, leases, cursors and outcomes", *site.Table.TableName())
}

func output(stack awscdk.Stack, id, what, value string) {
	awscdk.NewCfnOutput(stack, jsii.String(id), &awscdk.CfnOutputProps{Description: jsii.String(what), Value: jsii.String(value)})
}
