package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/cloud/names"
)

// NewDashboard makes a client's CloudWatch dashboard: alarms above, then one row
// per direction, then what both share. The Notification Centre shows the same
// for all clients at once; this one is for looking closer.
func NewDashboard(scope constructs.Construct, id string, site Site, dirs []*Direction, alarms *Alarms) awscloudwatch.CfnDashboard {
	region := site.Settings.Region
	widgets := []any{alarmWidget(alarms)}
	y := 4
	for _, d := range dirs {
		widgets = append(widgets,
			graph(region, 0, y, string(d.Name)+": executions",
				d.metric("ExecutionsStarted", "Sum"), d.metric("ExecutionsSucceeded", "Sum"), d.metric("ExecutionsFailed", "Sum"), d.metric("ExecutionsTimedOut", "Sum")),
			graph(region, 8, y, string(d.Name)+": milliseconds per record", d.metric("ExecutionTime", "p50"), d.metric("ExecutionTime", "p95")),
			graph(region, 16, y, string(d.Name)+": waiting, refused, put off, found by comparison",
				site.metric(names.MetricParked, "Sum", string(d.Name)), site.metric(names.MetricRefused, "Sum", string(d.Name)), site.metric(names.MetricBadSeal, "Sum", string(d.Name)),
				site.metric(names.MetricLater, "Sum", string(d.Name)), site.metric(names.MetricDrift, "Sum", string(d.Name))),
			graph(region, 0, y+6, string(d.Name)+": states, p95 ms", percentiles(functionMetrics(d.States, "Duration"))...),
			graph(region, 8, y+6, string(d.Name)+": states, errors", functionMetrics(d.States, "Errors")...),
			graph(region, 16, y+6, string(d.Name)+": webhook and poll", append(functionMetrics(d.Ingress, "Invocations"), functionMetrics(d.Ingress, "Errors")...)...))
		y += 12
	}
	widgets = append(widgets,
		graph(region, 0, y, "Dead letters, and events put off", queueMetric(site.DeadLetters, "ApproximateNumberOfMessagesVisible", "Maximum"),
			queueMetric(site.Later, "ApproximateNumberOfMessagesDelayed", "Maximum"), queueMetric(site.Later, "ApproximateAgeOfOldestMessage", "Maximum")),
		graph(region, 8, y, "HubSpot's daily budget used, %", site.metric(names.MetricBudget, "Maximum", "")),
		graph(region, 16, y, "Self-checks passed", site.metric(names.MetricBeat, "Sum", "")))
	return awscloudwatch.NewCfnDashboard(scope, jsii.String(id), &awscloudwatch.CfnDashboardProps{
		DashboardName: jsii.String("tandem-" + site.Spec.Client),
		DashboardBody: awscdk.Stack_Of(scope).ToJsonString(map[string]any{"widgets": widgets}, nil),
	})
}

// graph is one line chart a third of the page wide.
func graph(region string, x, y int, title string, metrics ...Metric) map[string]any {
	var lines []any
	for _, m := range metrics {
		line := []any{m.Namespace, m.Name}
		for _, name := range sorted(m.Dimensions) {
			line = append(line, name, m.Dimensions[name])
		}
		lines = append(lines, append(line, map[string]any{"stat": m.Stat}))
	}
	return map[string]any{"type": "metric", "x": x, "y": y, "width": 8, "height": 6, "properties": map[string]any{
		"title": title, "region": region, "view": "timeSeries", "period": 60, "metrics": lines,
	}}
}

func alarmWidget(alarms *Alarms) map[string]any {
	var arns []any
	for _, a := range alarms.Pages {
		arns = append(arns, *a.AttrArn())
	}
	for _, a := range append(alarms.Notices, alarms.Children...) {
		arns = append(arns, *a.AttrArn())
	}
	return map[string]any{"type": "alarm", "x": 0, "y": 0, "width": 24, "height": 4, "properties": map[string]any{
		"title": "Alarms", "alarms": arns,
	}}
}

func percentiles(metrics []Metric) []Metric {
	for i := range metrics {
		metrics[i].Stat = "p95"
	}
	return metrics
}
