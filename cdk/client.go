package main

import (
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/cloud"
	"tandem/internal/cloud/names"
	"tandem/internal/cost"
	"tandem/internal/flow"
	"tandem/spec"
)

// Site is what every construct of one client's stack is given.
type Site struct {
	Settings    Settings
	Spec        *spec.Spec
	SpecFile    string
	Builder     *builder
	Table       awsdynamodb.TableV2
	DeadLetters awssqs.Queue
	// Later takes events that cannot be dealt with yet.
	Later awssqs.Queue
	// Missed takes the schedules' calls that could not be made.
	Missed awssqs.Queue
	// CentreURL is where beats go, nil when there is no Centre.
	CentreURL *string
	// Prices is beat.Prices as text, "" where the spec's could not be found.
	Prices string
	// Topic is the ARN that alarms notify, "" for none.
	Topic string
}

// ClientProps describe one client's stack.
type ClientProps struct {
	Settings Settings
	Spec     *spec.Spec
	SpecFile string
	Builder  *builder
	// Machines are the embedded definitions.
	Machines []Machine
}

// Machine is one definition with its placeholders.
type Machine struct {
	Direction    spec.Direction
	Definition   string
	Placeholders []string
}

// NewClient makes the stack of one client: both directions, what starts them,
// what watches them.
func NewClient(scope constructs.Construct, id string, p ClientProps) awscdk.Stack {
	stack := newStack(scope, id, "Tandem: HubSpot and "+p.Spec.Destination.Name+" of "+p.Spec.Client, p.Settings)
	site := Site{Settings: p.Settings, Spec: p.Spec, SpecFile: p.SpecFile, Builder: p.Builder}
	client := p.Spec.Client
	site.Table = NewTable(stack, "Table", client, p.Settings)
	site.DeadLetters = NewQueue(stack, "DeadLetters", client+"-dead-letters", p.Settings)
	site.Later = NewLaterQueue(stack, "Later", client+"-later", site.DeadLetters, p.Settings)
	site.Missed = NewQueue(stack, "MissedSchedules", client+"-missed-schedules", p.Settings)
	site.CentreURL = centreURL(stack, p.Settings)
	site.Topic = alarmTopic(stack, p.Settings)
	if prices, err := cost.Prices(p.Spec); err == nil {
		site.Prices = prices.String()
	}

	var dirs []*Direction
	var ticks []Tick
	addresses := map[spec.Direction]*string{}
	for _, m := range p.Machines {
		dir := NewDirection(stack, pascal(string(m.Direction)), DirectionProps{
			Site: site, Direction: m.Direction, Definition: m.Definition, Placeholders: m.Placeholders,
		})
		dirs = append(dirs, dir)
		webhook, polled := triggers(p.Spec, m.Direction)
		if webhook {
			addresses[m.Direction] = NewIngress(stack, pascal(string(m.Direction))+"Webhook", site, dir)
		}
		if len(polled) > 0 {
			poll := NewPoller(stack, pascal(string(m.Direction))+"Poll", "poll", site, dir)
			ticks = append(ticks, pairTicks(poll, m.Direction, "poll", polled, func(s spec.Side) time.Duration { return s.Every.Duration })...)
		}
		if compared, woken := flow.Reconciled(p.Spec, m.Direction), flow.Woken(p.Spec, m.Direction); len(compared)+len(woken) > 0 {
			reconcile := NewPoller(stack, pascal(string(m.Direction))+"Reconcile", "reconcile", site, dir)
			ticks = append(ticks, pairTicks(reconcile, m.Direction, "reconcile", compared, flow.ReconcileEvery)...)
			ticks = append(ticks, linkedTicks(reconcile, m.Direction, woken)...)
		}
	}
	NewLater(stack, "LaterAgain", site, dirs)
	check := site.function(stack, "selfcheck", "", lookAt(site.DeadLetters), map[string]string{names.DeadLetters: *site.DeadLetters.QueueUrl()})
	ticks = append(ticks, Tick{Name: "selfcheck", Every: cloud.CheckEvery, Function: check})
	NewSchedules(stack, "Schedules", client, site.Missed, p.Settings, ticks)
	alarms := NewAlarms(stack, "Alarms", site, dirs, check)
	NewDashboard(stack, "Dashboard", site, dirs, alarms)
	newOutputs(stack, site, dirs, addresses)
	return stack
}

// function makes one of the client's functions, with what its name is granted and
// more besides; d is "" for those that serve both directions.
func (s Site) function(scope constructs.Construct, name string, d spec.Direction, grants []Grant, more map[string]string) awslambda.Function {
	client := s.Spec.Client
	env := map[string]string{
		names.Client: client, names.Table: *s.Table.TableName(),
		names.SecretsPrefix: names.Prefix(client), names.SpecFile: names.SpecName, names.SpecHash: s.Spec.Hash,
	}
	if s.CentreURL != nil {
		env[names.CentreURL] = *s.CentreURL
		if s.Prices != "" {
			env[names.Prices] = s.Prices
		}
	}
	physical := client + "-" + name
	if d != "" {
		physical = client + "-" + string(d) + "-" + name
		env[names.Direction] = string(d)
	}
	maps.Copy(env, more)
	reserved := map[string]int{"webhook": s.Settings.WebhookConcurrency, "write": s.Settings.WriteConcurrency}
	concurrency, ok := reserved[name]
	if !ok {
		concurrency = -1
	}
	timeout := 0.0
	if name == "poll" && cloud.CensusEvery(s.Spec, d) > 0 {
		timeout = censusTimeout
	}
	return NewFunction(scope, pascal(name), FunctionProps{
		Name: name, PhysicalName: physical, Settings: s.Settings, Builder: s.Builder, SpecFile: s.SpecFile,
		Environment: env, Grants: append(s.grants(scope, name, d), grants...), RetentionDays: s.Spec.Trace.RetentionDays, XRay: s.Spec.Trace.XRay,
		Concurrency: concurrency, Timeout: timeout,
		Asynchronous: name == "poll" || name == "reconcile" || name == "selfcheck",
	})
}

// triggers tells whether direction d's source delivers webhooks, and which pairs
// are polled there instead. A side without a trigger has webhooks.
func triggers(s *spec.Spec, d spec.Direction) (webhook bool, polled []spec.Pair) {
	for _, p := range s.Pairs {
		if p.Side(d.Source()).Trigger == "poll" {
			polled = append(polled, p)
		} else {
			webhook = true
		}
	}
	return webhook, polled
}

// pairTicks gives every pair its own schedule, by what its source side asks for.
func pairTicks(fn awslambda.Function, d spec.Direction, name string, pairs []spec.Pair, every func(spec.Side) time.Duration) []Tick {
	var ticks []Tick
	for _, p := range pairs {
		ticks = append(ticks, Tick{
			Name: string(d.Source()) + "-" + name + "-" + p.Name, Every: every(p.Side(d.Source())), Flexible: true,
			Function: fn, Input: map[string]string{"pair": p.Name},
		})
	}
	return ticks
}

// linkedTicks gives every pair whose references no poll looks after a schedule of its
// own, oftener than a comparison.
func linkedTicks(fn awslambda.Function, d spec.Direction, pairs []spec.Pair) []Tick {
	var ticks []Tick
	for _, p := range pairs {
		ticks = append(ticks, Tick{
			Name: string(d.Source()) + "-linked-" + p.Name, Every: cloud.LinkedEvery, Flexible: true,
			Function: fn, Input: map[string]string{"pair": p.Name, "linked": "only"},
		})
	}
	return ticks
}

// newStack makes a stack in the deployment's account and region.
func newStack(scope constructs.Construct, id, what string, s Settings) awscdk.Stack {
	env := &awscdk.Environment{Region: jsii.String(s.Region)}
	if s.Account != "" {
		env.Account = jsii.String(s.Account)
	}
	return awscdk.NewStack(scope, jsii.String(id), &awscdk.StackProps{
		StackName: jsii.String(id), Description: jsii.String(what), Env: env,
		Tags: &map[string]*string{"tandem": jsii.String(id)},
	})
}

// pascal spells a hyphenated name as a construct id.
func pascal(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// annotate makes the synthesis fail with a message that names the construct.
func annotate(scope constructs.Construct, message string) {
	awscdk.Annotations_Of(scope).AddError(jsii.String(message))
}

func jsiiMap(m map[string]string) *map[string]*string {
	out := make(map[string]*string, len(m))
	for k, v := range m {
		out[k] = jsii.String(v)
	}
	return &out
}
