package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// Metric names one CloudWatch metric and how its data points are summed up.
type Metric struct {
	Namespace, Name string
	// Stat is Sum, Maximum, Average or a percentile such as p95.
	Stat       string
	Dimensions map[string]string
}

// AlarmProps describe one alarm.
type AlarmProps struct {
	Name string
	// Means says what has happened, Runbook what to do first. Both are the alarm's
	// description, which reaches the person with the message.
	Means, Runbook string
	// Metrics is one metric, or several with Math over their ids m0, m1, ...
	Metrics []Metric
	Math    string
	// Above raises it when a data point is greater; Below when it is less.
	Above, Below *float64
	// Minutes is a data point's length; Of data points, Bad must be so.
	Minutes, Bad, Of int
	// Silence is bad: missing data raises the alarm (a dead man's switch).
	Silence bool
	// Notify is the topic's ARN; "" for an alarm that only colours a composite.
	Notify string
}

// NewAlarm makes an alarm.
func NewAlarm(scope constructs.Construct, id string, p AlarmProps) awscloudwatch.CfnAlarm {
	props := &awscloudwatch.CfnAlarmProps{
		AlarmName:         jsii.String(p.Name),
		AlarmDescription:  jsii.String(p.Means + "\nRunbook: " + p.Runbook),
		EvaluationPeriods: jsii.Number(max(p.Of, 1)),
		DatapointsToAlarm: jsii.Number(max(p.Bad, 1)),
		TreatMissingData:  jsii.String("notBreaching"),
		AlarmActions:      actions(p.Notify),
		OkActions:         actions(p.Notify),
	}
	if p.Silence {
		props.TreatMissingData = jsii.String("breaching")
	}
	props.ComparisonOperator, props.Threshold = jsii.String("GreaterThanThreshold"), p.Above
	if p.Below != nil {
		props.ComparisonOperator, props.Threshold = jsii.String("LessThanThreshold"), p.Below
	}
	if p.Math == "" {
		plain(props, p)
	} else {
		props.Metrics = math(p)
	}
	return awscloudwatch.NewCfnAlarm(scope, jsii.String(id), props)
}

// plain fills in an alarm on a single metric.
func plain(props *awscloudwatch.CfnAlarmProps, p AlarmProps) {
	m := p.Metrics[0]
	props.Namespace, props.MetricName = jsii.String(m.Namespace), jsii.String(m.Name)
	props.Period, props.Dimensions = jsii.Number(60*p.Minutes), dimensions(m)
	if strings.HasPrefix(m.Stat, "p") {
		props.ExtendedStatistic = jsii.String(m.Stat)
	} else {
		props.Statistic = jsii.String(m.Stat)
	}
}

// math is an expression over several metrics.
func math(p AlarmProps) *[]any {
	queries := []any{&awscloudwatch.CfnAlarm_MetricDataQueryProperty{
		Id: jsii.String("result"), Expression: jsii.String(p.Math), Label: jsii.String(p.Name), ReturnData: jsii.Bool(true),
	}}
	for i, m := range p.Metrics {
		queries = append(queries, &awscloudwatch.CfnAlarm_MetricDataQueryProperty{
			Id: jsii.String(fmt.Sprintf("m%d", i)), ReturnData: jsii.Bool(false),
			MetricStat: &awscloudwatch.CfnAlarm_MetricStatProperty{
				Metric: &awscloudwatch.CfnAlarm_MetricProperty{
					Namespace: jsii.String(m.Namespace), MetricName: jsii.String(m.Name), Dimensions: dimensions(m),
				},
				Period: jsii.Number(60 * p.Minutes), Stat: jsii.String(m.Stat),
			},
		})
	}
	return &queries
}

func dimensions(m Metric) *[]any {
	var all []any
	for _, name := range sorted(m.Dimensions) {
		all = append(all, &awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String(name), Value: jsii.String(m.Dimensions[name])})
	}
	return &all
}

// NewComposite makes the alarm that pages: raised while any of the children is.
func NewComposite(scope constructs.Construct, id, name, means, notify string, children []awscloudwatch.CfnAlarm) awscloudwatch.CfnCompositeAlarm {
	var rule []string
	for _, c := range children {
		rule = append(rule, `ALARM("`+*c.AttrArn()+`")`)
	}
	return awscloudwatch.NewCfnCompositeAlarm(scope, jsii.String(id), &awscloudwatch.CfnCompositeAlarmProps{
		AlarmName: jsii.String(name), AlarmDescription: jsii.String(means),
		AlarmRule:    jsii.String(strings.Join(rule, " OR ")),
		AlarmActions: actions(notify), OkActions: actions(notify),
	})
}

func actions(topic string) *[]any {
	if topic == "" {
		return nil
	}
	return &[]any{topic}
}

// sorted lists a map's keys in order, so that templates do not change by chance.
func sorted[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
