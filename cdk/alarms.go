package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/cloud"
	"tandem/internal/cloud/names"
	"tandem/internal/flow"
)

// Alarms are a client's alarms: Pages wake a person, Notices reach the Centre by
// day, Children explain a page.
type Alarms struct {
	Pages             []awscloudwatch.CfnCompositeAlarm
	Notices, Children []awscloudwatch.CfnAlarm
}

// NewAlarms makes every alarm of a client. What says that a direction is down
// is a child of that direction's composite, which pages once; what waits for a
// person notifies by itself.
func NewAlarms(scope constructs.Construct, id string, site Site, dirs []*Direction, check awslambda.Function) *Alarms {
	c := constructs.NewConstruct(scope, jsii.String(id))
	all := &Alarms{}
	shared := site.children(clientChildren(site, dirs, check))
	both := newAlarms(c, shared)
	all.Children = both
	for _, d := range dirs {
		children := newAlarms(c, site.children(directionChildren(site, d)))
		all.Children = append(all.Children, children...)
		if !site.Settings.PlainAlarms {
			name := site.Spec.Client + "-" + string(d.Name) + "-down"
			all.Pages = append(all.Pages, NewComposite(c, name, name,
				"Records do not get through on "+string(d.Name)+" of "+site.Spec.Client+".\nRunbook: open the children that are in ALARM; each says what to do first.",
				site.Topic, append(children, both...)))
		}
	}
	all.Notices = newAlarms(c, notices(site, dirs))
	return all
}

// children are silent under a composite; where composites are left out they
// notify by themselves, and math alarms are left out too.
func (s Site) children(props []AlarmProps) []AlarmProps {
	if !s.Settings.PlainAlarms {
		return props
	}
	var kept []AlarmProps
	for _, p := range props {
		if p.Math == "" {
			p.Notify = s.Topic
			kept = append(kept, p)
		}
	}
	return kept
}

func newAlarms(c constructs.Construct, props []AlarmProps) []awscloudwatch.CfnAlarm {
	var all []awscloudwatch.CfnAlarm
	for _, p := range props {
		all = append(all, NewAlarm(c, p.Name, p))
	}
	return all
}

// clientChildren are the faults that stop both directions.
func clientChildren(site Site, dirs []*Direction, check awslambda.Function) []AlarmProps {
	client := site.Spec.Client
	var ended []Metric
	for _, d := range dirs {
		ended = append(ended, d.metric("ExecutionsFailed", "Sum"), d.metric("ExecutionsTimedOut", "Sum"))
	}
	return []AlarmProps{{
		Name:    client + "-lost",
		Means:   "Executions ended without success and without a dead letter: States.DataLimitExceeded, States.Runtime or the machine's own timeout, which no Catch sees.",
		Runbook: "list failed executions in the machine's log group, read the error, then start each again in the console with the same input: what was done is not done twice.",
		Metrics: append(ended, queueMetric(site.DeadLetters, "NumberOfMessagesSent", "Sum")),
		Math:    plus(0, len(ended)) + "-" + plus(len(ended), len(ended)+1),
		Above:   jsii.Number(0), Minutes: 15,
	}, {
		Name:    client + "-no-beat",
		Means:   "No self-check has passed for 15 minutes: a secret, the table or one of the systems does not answer.",
		Runbook: "run tandem doctor " + client + "; it names what fails.",
		Metrics: []Metric{site.metric(names.MetricBeat, "Sum", "")},
		Below:   jsii.Number(1), Minutes: 5, Bad: 3, Of: 3, Silence: true,
	}, {
		Name:    client + "-check-errors",
		Means:   "The self-check ends in errors, so that it cannot tell what fails.",
		Runbook: "read the last lines of /aws/lambda/" + client + "-selfcheck.",
		Metrics: functionMetrics([]awslambda.Function{check}, "Errors"),
		Above:   jsii.Number(0), Minutes: 15, Bad: 2, Of: 2,
	}}
}

// directionChildren are the faults that stop one direction.
func directionChildren(site Site, d *Direction) []AlarmProps {
	client, name := site.Spec.Client, site.Spec.Client+"-"+string(d.Name)
	source := string(d.Name.Source())
	props := []AlarmProps{{
		Name:    name + "-slow",
		Means:   "One record in twenty takes longer than a minute.",
		Runbook: "open the dashboard tandem-" + client + "; if Write is long the target is slow or rate limited, if Lookup is long leases are held: tandem why --aws " + client + " OBJECT ID names the holder.",
		Metrics: []Metric{d.metric("ExecutionTime", "p95")},
		Above:   jsii.Number(60_000), Minutes: 5, Bad: 3, Of: 3,
	}, {
		Name:    name + "-state-errors",
		Means:   "More than a third of the calls of the states fail; of an event that meets a system which is down it is three of six. A few are normal: waiting for a lease is an error that the machine retries.",
		Runbook: "open the Notification Centre, which tells the error codes, or the last dead letters: tandem dead-letters " + client + ". RemoteBusy: tandem doctor " + client + " says which system does not answer; its events wait, nothing is lost for a day. Unauthorized asks for a new token.",
		Metrics: append(functionMetrics(d.States, "Errors"), functionMetrics(d.States, "Invocations")...),
		// The 1 keeps a quiet minute from a division by zero.
		Math: "100*(" + plus(0, len(d.States)) + ")/(1+" + plus(len(d.States), 2*len(d.States)) + ")", Above: jsii.Number(33), Minutes: 5, Bad: 3, Of: 3,
	}, {
		Name:    name + "-start-errors",
		Means:   "The functions that start executions end in errors: the sender repeats, for a while.",
		Runbook: "read the last lines of the webhook's and the poller's log groups of " + name + ".",
		Metrics: functionMetrics(d.Ingress, "Errors"),
		Math:    plus(0, len(d.Ingress)), Above: jsii.Number(0), Minutes: 5, Bad: 3, Of: 3,
	}, {
		Name:    name + "-throttled",
		Means:   "Lambda refuses calls: the account's or a function's concurrency is used up.",
		Runbook: "raise the account's quota, or webhookConcurrency and writeConcurrency; at 0 someone has pulled the kill switch.",
		Metrics: functionMetrics(slices.Concat(d.States, d.Ingress), "Throttles"),
		Math:    plus(0, len(d.States)+len(d.Ingress)), Above: jsii.Number(0), Minutes: 5, Bad: 3, Of: 3,
	}, {
		Name:    name + "-refused",
		Means:   "Deliveries are refused with 401: a secret was rotated on one side only, the address differs from the one that is signed, or someone knocks.",
		Runbook: "run tandem doctor " + client + "; compare the address in " + source + " with the stack's output; complete the rotation: tandem secrets " + client + ".",
		Metrics: []Metric{site.metric(names.MetricRefused, "Sum", string(d.Name))},
		Above:   jsii.Number(5), Minutes: 5, Bad: 2, Of: 2,
	}}
	_, polled := triggers(site.Spec, d.Name)
	for _, pair := range polled {
		silence := site.silence(d, names.MetricPolled, pair.Name, pair.Side(d.Name.Source()).Every.Duration)
		silence.Name = name + "-no-poll-" + pair.Name
		silence.Means = "No poll of the pair " + pair.Name + " in " + source + " has gone through for several intervals: one record that cannot be read is enough."
		silence.Runbook = "read the last lines of /aws/lambda/" + name + "-poll that name the pair; the cursor has not moved, so nothing is lost yet."
		props = append(props, silence)
	}
	return props
}

// silence is a dead man's switch on what is scheduled for a pair: a switch for all
// pairs of a direction would not notice that only one of them fails.
func (s Site) silence(d *Direction, metric, pair string, every time.Duration) AlarmProps {
	every = max(every, time.Minute)
	missed := 3
	if every > 6*time.Hour {
		missed = 1 // CloudWatch looks back a day at most
	}
	of := s.metric(metric, "Sum", string(d.Name))
	of.Dimensions[names.DimPair] = pair
	return AlarmProps{
		Metrics: []Metric{of},
		Below:   jsii.Number(1), Minutes: int((every + 4*time.Minute).Minutes()), Bad: missed, Of: missed, Silence: true,
	}
}

// notices are what waits for a person but stops nobody.
func notices(site Site, dirs []*Direction) []AlarmProps {
	client := site.Spec.Client
	props := []AlarmProps{{
		Name:    client + "-dead-letters",
		Means:   "Records could not be synced and wait in the dead letter queue.",
		Runbook: "tandem dead-letters " + client + " lists them by cause; mend the cause, then tandem dead-letters " + client + " --redrive --all.",
		Metrics: []Metric{queueMetric(site.DeadLetters, "ApproximateNumberOfMessagesVisible", "Maximum")},
		Above:   jsii.Number(0), Minutes: 1,
	}, {
		Name:    client + "-old-dead-letters",
		Means:   "A dead letter is older than ten days; after fourteen the queue forgets it.",
		Runbook: "redrive it or export it today: tandem dead-letters " + client + " --export FILE, or --redrive --all.",
		Metrics: []Metric{site.metric(names.MetricOldest, "Maximum", "")},
		Above:   jsii.Number((10 * 24 * time.Hour).Hours()), Minutes: 60,
	}, {
		Name:    client + "-later-stuck",
		Means:   "An event that was put off has waited for half an hour, and SQS puts off for a quarter at most: it is not started again.",
		Runbook: "read the last lines of /aws/lambda/" + client + "-later; after " + fmt.Sprint(laterAttempts) + " attempts the event is a dead letter: tandem dead-letters " + client + " lists it, and with --redrive ID starts it.",
		Metrics: []Metric{queueMetric(site.Later, "ApproximateAgeOfOldestMessage", "Maximum")},
		Above:   jsii.Number((30 * time.Minute).Seconds()), Minutes: 5,
	}, {
		Name:    client + "-later-long",
		Means:   "For an hour there has always been an event that was put off: a system that is down or refuses writes, a rate limit, or contention for the same records.",
		Runbook: "run tandem doctor " + client + ": is a system down? Open the dashboard tandem-" + client + ": if HubSpot's budget is used up see which app uses it, if Write is slow ask the destination; tandem why --aws " + client + " OBJECT ID names who holds a record. Nothing is lost meanwhile: an event is a dead letter after 25 hours.",
		Metrics: []Metric{queueMetric(site.Later, "ApproximateNumberOfMessagesDelayed", "Minimum")},
		Above:   jsii.Number(0), Minutes: 15, Bad: 4, Of: 4,
	}, {
		Name:    client + "-missed-schedules",
		Means:   "EventBridge Scheduler could not call a function.",
		Runbook: "read the message in the queue " + client + "-missed-schedules: it names the function and the error; purge it when mended.",
		Metrics: []Metric{queueMetric(site.Missed, "ApproximateNumberOfMessagesVisible", "Maximum")},
		Above:   jsii.Number(0), Minutes: 5,
	}, {
		Name:    client + "-hubspot-budget",
		Means:   "More than 80 % of HubSpot's daily API calls are used.",
		Runbook: "see in HubSpot which app uses them; slow a backfill down; at 100 % events wait in " + client + "-later until midnight of the portal's time zone; nothing is parked or lost within 25 hours.",
		Metrics: []Metric{site.metric(names.MetricBudget, "Maximum", "")},
		Above:   jsii.Number(80), Minutes: 15,
	}}
	for _, d := range dirs {
		name := client + "-" + string(d.Name)
		props = append(props, AlarmProps{
			Name:    name + "-parked",
			Means:   "Fields or records wait for a person: an ambiguous match, a loop that was broken, a guard that held.",
			Runbook: "tandem parked --aws " + client + " lists records, fields, and records whose newest event was left to a person, each with its reason.",
			Metrics: []Metric{site.metric(names.MetricParked, "Sum", string(d.Name))},
			Above:   jsii.Number(0), Minutes: 5,
		}, AlarmProps{
			Name:    name + "-bad-seal",
			Means:   "An execution was started with an envelope that neither webhook nor poller sealed. Security: someone with permission to start executions tried to write into a CRM.",
			Runbook: "find the caller of StartExecution in CloudTrail; revoke; rotate the client secret.",
			Metrics: []Metric{site.metric(names.MetricBadSeal, "Sum", string(d.Name))},
			Above:   jsii.Number(0), Minutes: 1,
		})
	}
	props = append(props, censuses(site, dirs)...)
	props = append(props, comparisons(site, dirs)...)
	for i := range props {
		props[i].Notify = site.Topic
	}
	return props
}

// censuses watch the lists of everything by which deletions are found. The alarm
// stays until one has gone through, if one is due within a day.
func censuses(site Site, dirs []*Direction) (props []AlarmProps) {
	for _, d := range dirs {
		every := cloud.CensusEvery(site.Spec, d.Name)
		if every == 0 {
			continue
		}
		name, source := site.Spec.Client+"-"+string(d.Name), string(d.Name.Source())
		props = append(props, AlarmProps{
			Name:    name + "-no-deletions",
			Means:   "A list of all records of " + source + ", by which deletions are found, came to nothing: it broke off, took longer than the poll's quarter of an hour, or lacked so many records that the guard stopped it. Until one goes through no deletion there travels.",
			Runbook: "read the last lines of /aws/lambda/" + name + "-poll with \"deletions are not found\", which say which. Broken off: mend the list call. Too long: list larger pages. The guard: were they deleted? If not, mend the list; if so, restore some and delete in smaller numbers, or delete their partners by hand.",
			Metrics: []Metric{site.metric(names.MetricCensus, "Sum", string(d.Name))},
			Above:   jsii.Number(0), Minutes: int(min(every.Truncate(time.Minute)+10*time.Minute, 24*time.Hour).Minutes()),
		})
	}
	return props
}

// comparisons watch what watches for lost events.
func comparisons(site Site, dirs []*Direction) (props []AlarmProps) {
	for _, d := range dirs {
		compared := flow.Reconciled(site.Spec, d.Name)
		if len(compared) == 0 {
			continue
		}
		name, source := site.Spec.Client+"-"+string(d.Name), string(d.Name.Source())
		for _, pair := range compared {
			silence := site.silence(d, names.MetricCompared, pair.Name, flow.ReconcileEvery(pair.Side(d.Name.Source())))
			silence.Name = name + "-no-comparison-" + pair.Name
			silence.Means = "No comparison of the pair " + pair.Name + " with " + source + " has gone through for several intervals: a lost delivery would not be noticed."
			silence.Runbook = "read the last lines of /aws/lambda/" + name + "-reconcile that name the pair; its cursor has not moved, so the next one makes up for all."
			props = append(props, silence)
		}
		props = append(props, AlarmProps{
			Name:    name + "-drift",
			Means:   "Comparisons have written records of which no delivery had told: deliveries from " + source + " are lost. The records are right again.",
			Runbook: "run tandem doctor " + site.Spec.Client + ", and look for failed deliveries in " + source + "; tandem why --aws " + site.Spec.Client + " OBJECT ID tells of one record, whose events begin with reconcile.",
			Metrics: []Metric{site.metric(names.MetricDrift, "Sum", string(d.Name))},
			Above:   jsii.Number(0), Minutes: 60,
		})
	}
	return props
}

// metric is one of ours, of a direction or ("") of the whole client.
func (s Site) metric(name, stat, direction string) Metric {
	dims := map[string]string{names.DimClient: s.Spec.Client}
	if direction != "" {
		dims[names.DimDirection] = direction
	}
	return Metric{Namespace: names.Namespace, Name: name, Stat: stat, Dimensions: dims}
}

// metric is one of the machine's.
func (d *Direction) metric(name, stat string) Metric {
	return Metric{Namespace: "AWS/States", Name: name, Stat: stat, Dimensions: map[string]string{"StateMachineArn": *d.Machine.StateMachineArn()}}
}

func queueMetric(q awssqs.Queue, name, stat string) Metric {
	return Metric{Namespace: "AWS/SQS", Name: name, Stat: stat, Dimensions: map[string]string{"QueueName": *q.QueueName()}}
}

func functionMetrics(fns []awslambda.Function, name string) []Metric {
	var all []Metric
	for _, fn := range fns {
		all = append(all, Metric{Namespace: "AWS/Lambda", Name: name, Stat: "Sum", Dimensions: map[string]string{"FunctionName": *fn.FunctionName()}})
	}
	return all
}

// plus adds up the metrics from m(from) to before m(to), a missing one as 0.
func plus(from, to int) string {
	var terms []string
	for i := from; i < to; i++ {
		terms = append(terms, fmt.Sprintf("FILL(m%d,0)", i))
	}
	return strings.Join(terms, "+")
}
