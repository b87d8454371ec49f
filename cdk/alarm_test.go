package main

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/spec"
)

// asksLaptop finds commands that ask a server on the same machine, unless told otherwise.
var asksLaptop = regexp.MustCompile(`tandem (why|parked|resync|status)\b( [^-]|[^ ]|$)`)

// Each alarm says what to do first, of the deployment, and reaches someone: by itself,
// or through a composite that pages.
func TestAlarms(t *testing.T) {
	client, centre := standard(t)
	for _, tmpl := range []template{client, centre} {
		rules := ""
		for _, id := range tmpl.of("AWS::CloudWatch::CompositeAlarm") {
			rules += text(t, tmpl.at(id, "AlarmRule"))
			if len(list(tmpl.at(id, "AlarmActions"))) == 0 {
				t.Errorf("%s pages nobody", id)
			}
		}
		for _, id := range tmpl.of("AWS::CloudWatch::Alarm") {
			about := tmpl.at(id, "AlarmDescription").(string)
			if !strings.Contains(about, "\nRunbook: ") || len(about) > 1024 {
				t.Errorf("%s: %d characters without a runbook line or beyond 1,024", id, len(about))
			}
			if command := asksLaptop.FindString(about); command != "" {
				t.Errorf("%s: %q asks no deployment without --aws", id, command)
			}
			if notifies := len(list(tmpl.at(id, "AlarmActions"))) > 0; notifies == strings.Contains(rules, `"`+id+`"`) {
				t.Errorf("%s: notifies itself %t, and the same through a composite", id, notifies)
			}
			checkWindow(t, tmpl, id)
		}
	}
	if got := len(client.of("AWS::CloudWatch::CompositeAlarm")); got != 2 {
		t.Errorf("%d composites, want one per direction", got)
	}
}

// checkWindow holds an alarm to CloudWatch's limits: at most ten metrics, and a
// window of at most a day (API PutMetricAlarm, MetricDataQuery).
func checkWindow(t *testing.T, tmpl template, id string) {
	t.Helper()
	period, metrics := tmpl.at(id, "Period"), 1
	if queries := list(tmpl.at(id, "Metrics")); queries != nil {
		metrics = len(queries) - 1
		period = tmpl.at(id, "Metrics", 1, "MetricStat", "Period")
	}
	if metrics > 10 {
		t.Errorf("%s has %d metrics, CloudWatch allows 10", id, metrics)
	}
	if window := period.(float64) * tmpl.at(id, "EvaluationPeriods").(float64); window > 24*3600 {
		t.Errorf("%s looks back %v s, CloudWatch looks back a day", id, window)
	}
}

// Failures that no Catch sees are those beyond the dead letters sent.
func TestLostAlarm(t *testing.T) {
	client, _ := standard(t)
	id := byName(t, client, "AWS::CloudWatch::Alarm", "AlarmName", "sample-lost")
	if got := client.at(id, "Metrics", 0, "Expression"); got != "FILL(m0,0)+FILL(m1,0)+FILL(m2,0)+FILL(m3,0)-FILL(m4,0)" {
		t.Errorf("expression %v", got)
	}
	var metrics []string
	for i := range 5 {
		metrics = append(metrics, client.at(id, "Metrics", i+1, "MetricStat", "Metric", "MetricName").(string))
	}
	want := []string{"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsFailed", "ExecutionsTimedOut", "NumberOfMessagesSent"}
	if !slices.Equal(metrics, want) {
		t.Errorf("over %v, want %v", metrics, want)
	}
}

// A dead letter's age is our own metric: SQS's leaves out what the self-check has
// received.
func TestOldLetterAlarm(t *testing.T) {
	client, _ := standard(t)
	id := byName(t, client, "AWS::CloudWatch::Alarm", "AlarmName", "sample-old-dead-letters")
	if client.at(id, "Namespace") != "Tandem" || client.at(id, "MetricName") != "OldestDeadLetter" || client.at(id, "Threshold") != 240.0 {
		t.Errorf("%v", client.Resources[id].Properties)
	}
}

// A silent poller or self-check is an alarm: it treats missing data as bad.
func TestDeadMansSwitches(t *testing.T) {
	client, centre := standard(t)
	for name, tmpl := range map[string]template{
		"sample-no-beat": client, "sample-destination-to-hubspot-no-poll-deals": client, "tandem-centre-no-watch": centre,
	} {
		id := byName(t, tmpl, "AWS::CloudWatch::Alarm", "AlarmName", name)
		if tmpl.at(id, "TreatMissingData") != "breaching" || tmpl.at(id, "ComparisonOperator") != "LessThanThreshold" {
			t.Errorf("%s does not notice silence", name)
		}
	}
}

// Each pair that is polled or compared has a switch of its own, over its own metric
// and interval: another pair's success says nothing about it.
func TestASwitchForEachPair(t *testing.T) {
	s := sample()
	for i, every := range []time.Duration{time.Minute, 2 * time.Hour} {
		s.Pairs[i].Destination.Trigger, s.Pairs[i].Destination.Every.Duration = "poll", every
	}
	client, _ := synth(t, s, settings(t))
	for name, want := range map[string]struct {
		metric, pair string
		seconds      float64
	}{
		"destination-to-hubspot-no-poll-contacts":       {"Polled", "contacts", 5 * 60},
		"destination-to-hubspot-no-poll-deals":          {"Polled", "deals", 124 * 60},
		"hubspot-to-destination-no-comparison-contacts": {"Compared", "contacts", 64 * 60},
		"hubspot-to-destination-no-comparison-deals":    {"Compared", "deals", 64 * 60},
	} {
		id := byName(t, client, "AWS::CloudWatch::Alarm", "AlarmName", "sample-"+name)
		pair := client.at(id, "Dimensions", 2)
		if client.at(id, "MetricName") != want.metric || client.at(id, "Period") != want.seconds || !reflect.DeepEqual(pair, map[string]any{"Name": "Pair", "Value": want.pair}) {
			t.Errorf("%s watches %v of %v every %v s", name, client.at(id, "MetricName"), pair, client.at(id, "Period"))
		}
	}
}

// A poll that lists everything now and then has the time for it, and its failure is
// told for as long as none has gone through; others stay as they are.
func TestCensus(t *testing.T) {
	s := sample()
	s.Destination.Objects = map[string]spec.Object{"orders": {List: &spec.List{DeletesEvery: spec.Duration{Duration: 6 * time.Hour}}}}
	listed, _ := synth(t, s, settings(t))
	plain, _ := standard(t)
	for want, tmpl := range map[float64]template{900: listed, 55: plain} {
		id := byName(t, tmpl, "AWS::Lambda::Function", "FunctionName", "sample-destination-to-hubspot-poll")
		if got := tmpl.at(id, "Timeout"); got != want {
			t.Errorf("the poll has %v s, want %v", got, want)
		}
	}
	id := byName(t, listed, "AWS::CloudWatch::Alarm", "AlarmName", "sample-destination-to-hubspot-no-deletions")
	if listed.at(id, "MetricName") != "CensusFailed" || listed.at(id, "Period") != 370*60.0 || len(list(listed.at(id, "AlarmActions"))) == 0 {
		t.Errorf("%v", listed.Resources[id].Properties)
	}
	for _, id := range plain.of("AWS::CloudWatch::Alarm") {
		if plain.at(id, "MetricName") == "CensusFailed" {
			t.Error("an alarm on what is never done")
		}
	}
	withinLimits(t, listed)
}

// Local engines refuse composites and metric math; the rest then notifies by itself.
func TestPlainAlarms(t *testing.T) {
	set := settings(t)
	set.PlainAlarms = true
	client, _ := synth(t, sample(), set)
	if n := len(client.of("AWS::CloudWatch::CompositeAlarm")); n != 0 {
		t.Errorf("%d composites", n)
	}
	for _, id := range client.of("AWS::CloudWatch::Alarm") {
		if client.at(id, "Metrics") != nil || len(list(client.at(id, "AlarmActions"))) == 0 {
			t.Errorf("%s has math, or notifies nobody", id)
		}
	}
}

func TestTriggers(t *testing.T) {
	s := sample()
	if webhook, polled := triggers(s, spec.ToDestination); !webhook || len(polled) != 0 {
		t.Errorf("HubSpot: webhook %t, %d polled; want webhooks only", webhook, len(polled))
	}
	if webhook, polled := triggers(s, spec.ToHubSpot); !webhook || len(polled) != 1 {
		t.Errorf("destination: webhook %t, %d polled; want both", webhook, len(polled))
	}
	for i := range s.Pairs {
		s.Pairs[i].Destination.Trigger = "poll"
	}
	if webhook, _ := triggers(s, spec.ToHubSpot); webhook {
		t.Error("a side that is only polled has a public URL")
	}
}
