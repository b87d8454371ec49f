package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/cloud/names"
)

// CentreProps describe the Notification Centre's stack.
type CentreProps struct {
	Settings Settings
	Builder  *builder
	// Clients are the names of all clients, also of those not synthesised now: a
	// client that never beats must show, too.
	Clients []string
}

// centre is what the constructs of the Centre share.
type centre struct {
	CentreProps
	table awsdynamodb.TableV2
}

// NewCentre makes the Notification Centre of an agency: it takes beats, finds
// those that fail to come, and tells Slack. Clients know it by a parameter and a
// topic's name only, so that either side can be deployed without the other.
func NewCentre(scope constructs.Construct, id string, p CentreProps) awscdk.Stack {
	stack := newStack(scope, id, "Tandem: Notification Centre", p.Settings)
	c := centre{CentreProps: p, table: NewTable(stack, "Table", names.CentreName, p.Settings)}
	missed := NewQueue(stack, "Missed", names.CentreName+"-missed", p.Settings)

	beat := c.function(stack, "beat", nil)
	dashboard := c.function(stack, "dashboard", map[string]string{names.Account: *stack.Account()})
	page := publicURL(dashboard)
	links := map[string]string{names.DashboardURL: *page, names.Account: *stack.Account()}
	watch := c.function(stack, "watch", links)
	alarm := c.function(stack, "alarm", links)

	topic := newTopic(stack, p.Settings, alarm, missed)
	NewSchedules(stack, "Schedules", names.CentreName, missed, p.Settings, []Tick{{Name: "watch", Every: time.Minute, Function: watch}})
	beats := publicURL(beat)
	newParameter(stack, "Url", names.CentreURLParameter, beats, "Where the functions of every client post their beats.")
	centreAlarms(stack, *topic.TopicArn(), map[string]awslambda.Function{
		"watch": watch, "beat": beat, "dashboard": dashboard, "alarm": alarm,
	})
	output(stack, "DashboardUrl", "every integration, live; the password is "+names.CentrePrefix+names.Login, *page)
	output(stack, "BeatUrl", "where beats are posted", *beats)
	output(stack, "Secrets", "create these SecureStrings, if they are new", names.CentrePrefix+names.Slack+", "+names.CentrePrefix+names.Login)
	return stack
}

// centreGrants is what each of the Centre's functions does to its table, and what
// for. A row that is not there yet is put, not updated (internal/table/dynamo).
var centreGrants = map[string][]tableGrant{
	"beat": {
		{"BatchGetItem", "the handler's state, and whether a nonce was used"},
		{"PutItem", "a handler's first state; a nonce"},
		{"UpdateItem", "the handler's state"},
	},
	"dashboard": {
		{"Query", "all integrations"},
		{"GetItem", "login attempts"},
		{"PutItem", "the first login attempt of an address"},
		{"UpdateItem", "login attempts are counted; a client is muted"},
		{"DeleteItem", "attempts before a good login; a handler that is forgotten"},
	},
	"watch": {
		{"Query", "every handler's last beat; what was told already"},
		{"PutItem", "an expected handler, what is first told of one, a message"},
		{"UpdateItem", "what is told, before it is told, so that two watchers tell once"},
		{"DeleteItem", "a message that was delivered"},
	},
	"alarm": {
		{"Query", "messages to be delivered"},
		{"GetItem", "what was told of the alarm"},
		{"PutItem", "what is first told of an alarm, a message"},
		{"UpdateItem", "what is told of it; a message on its way"},
		{"DeleteItem", "a message that was delivered"},
	},
}

// clientRows are the rows that the dashboard may read of a client's table, by the
// beginnings of their keys: what arrived, pairs and outcomes, dead letters, the
// spec. They hold ids, names and fingerprints. Rows that hold values are not among
// them (LOST#, what conflicts have lost), nor is anything that could be claimed.
var clientRows = []string{"ARRIVED#*", "MAP#*", "OUT#*", "DEAD#*", "SPEC"}

// clientGrants is what the dashboard does to the clients' tables.
var clientGrants = []tableGrant{
	{"GetItem", "the spec in force; a record's pair"},
	{"BatchGetItem", "a record's rows on both sides in one request"},
	{"Query", "what arrived lately; a record's outcomes; dead letters"},
}

// readClients lets the dashboard read the outcomes in every client's table. It
// names them by convention: a table that is not there (yet), or any more, keeps
// neither stack from being deployed or deleted.
func (c centre) readClients(stack awscdk.Stack) (all []Grant) {
	only := map[string]any{"ForAllValues:StringLike": map[string]any{"dynamodb:LeadingKeys": clientRows}}
	var tables []*string
	for _, client := range c.Clients {
		tables = append(tables, stack.FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("dynamodb"), Resource: jsii.String("table"), ResourceName: jsii.String(names.ClientTable(client)),
		}))
	}
	for _, on := range clientGrants {
		all = append(all, Grant{Action: "dynamodb:" + on.action, On: tables, Why: on.why, If: only})
	}
	return all
}

// function makes one of the Centre's functions; more is its environment besides.
func (c centre) function(scope constructs.Construct, name string, more map[string]string) awslambda.Function {
	var grants []Grant
	for _, on := range centreGrants[name] {
		grants = append(grants, Grant{Action: "dynamodb:" + on.action, On: []*string{c.table.TableArn()}, Why: on.why})
	}
	if name == "dashboard" {
		grants = append(grants, c.readClients(awscdk.Stack_Of(scope))...)
	}
	env := map[string]string{
		names.Table: *c.table.TableName(), names.SecretsPrefix: names.CentrePrefix, names.Clients: strings.Join(c.Clients, ","),
	}
	maps.Copy(env, more)
	return NewFunction(scope, pascal(name), FunctionProps{
		Name: name, PhysicalName: names.CentreName + "-" + name, Settings: c.Settings, Builder: c.Builder,
		Environment: env,
		Grants:      append(grants, c.secrets(scope, name)...), Concurrency: -1, Asynchronous: name == "watch",
	})
}

// perStatement is how many parameters one statement names. The CDK spreads a
// role's statements over policies of the size that IAM allows, but divides none.
const perStatement = 50

// secrets grants what the function called name reads, by full names.
func (c centre) secrets(scope constructs.Construct, name string) (all []Grant) {
	for part := range slices.Chunk(names.CentreParameters(name, c.Clients), perStatement) {
		g := readParameters(scope, "", "messages, logins and beats, see names.CentreParameters", part...)
		if len(part) == perStatement || len(all) > 0 {
			g.ID = fmt.Sprintf("Parameters%d", len(all))
		}
		all = append(all, g)
	}
	return all
}

func publicURL(fn awslambda.Function) *string {
	return fn.AddFunctionUrl(&awslambda.FunctionUrlOptions{AuthType: awslambda.FunctionUrlAuthType_NONE}).Url()
}

// newTopic makes the topic that every client's alarms notify by its name. Only
// CloudWatch in this account may publish.
func newTopic(stack awscdk.Stack, s Settings, alarm awslambda.Function, missed awssqs.Queue) awssns.Topic {
	topic := awssns.NewTopic(stack, jsii.String("Alarms"), &awssns.TopicProps{
		TopicName: jsii.String(names.AlarmTopic), EnforceSSL: jsii.Bool(true), MasterKey: key(stack, "Alarms", s),
	})
	topic.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sns:Publish"), Resources: &[]*string{topic.TopicArn()},
		Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": *stack.Account()}},
	}))
	missed.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("sns.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sqs:SendMessage"), Resources: &[]*string{missed.QueueArn()},
		Conditions: &map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": *topic.TopicArn()}},
	}))
	alarm.AddPermission(jsii.String("FromTopic"), &awslambda.Permission{
		Principal: awsiam.NewServicePrincipal(jsii.String("sns.amazonaws.com"), nil), SourceArn: topic.TopicArn(),
	})
	awssns.NewCfnSubscription(stack, jsii.String("Subscription"), &awssns.CfnSubscriptionProps{
		TopicArn: topic.TopicArn(), Protocol: jsii.String("lambda"), Endpoint: alarm.FunctionArn(),
		RedrivePolicy: map[string]any{"deadLetterTargetArn": missed.QueueArn()},
	})
	return topic
}

// centreAlarms watch the watcher. They use the same topic: what can still be
// told is told, and the account's own console shows the rest.
func centreAlarms(stack awscdk.Stack, topic string, fns map[string]awslambda.Function) []awscloudwatch.CfnAlarm {
	props := []AlarmProps{{
		Name: names.CentreName + "-no-watch", Means: "The watcher has not run for five minutes: a silent handler would go unnoticed.",
		Runbook: "read /aws/lambda/" + names.CentreName + "-watch and the queue " + names.CentreName + "-missed.",
		Metrics: functionMetrics([]awslambda.Function{fns["watch"]}, "Invocations"), Below: jsii.Number(1), Minutes: 5, Silence: true,
	}}
	for _, name := range sorted(fns) {
		props = append(props, AlarmProps{
			Name: names.CentreName + "-" + name + "-errors", Means: "The function ends in errors. Records are not affected.",
			Runbook: "read the last lines of its log group; a changed Slack address is the usual cause.",
			Metrics: functionMetrics([]awslambda.Function{fns[name]}, "Errors"), Above: jsii.Number(0), Minutes: 5, Bad: 2, Of: 3,
		})
	}
	for i := range props {
		props[i].Notify = topic
	}
	return newAlarms(stack, props)
}

// centreURL is where a client's functions post beats: nowhere, a given address,
// or what the Centre's stack has left in its parameter, read when deployed.
func centreURL(stack awscdk.Stack, s Settings) *string {
	switch s.Centre {
	case "none":
		return nil
	case "":
		return awsssm.StringParameter_ValueForStringParameter(stack, jsii.String(names.CentreURLParameter), nil)
	}
	return jsii.String(s.Centre)
}

// alarmTopic is the ARN of the Centre's topic, by its name. With a Centre in
// another account alarms stay in this one's console.
func alarmTopic(stack awscdk.Stack, s Settings) string {
	if s.Centre != "" {
		return ""
	}
	return *stack.FormatArn(&awscdk.ArnComponents{Service: jsii.String("sns"), Resource: jsii.String(names.AlarmTopic)})
}
