package main

import (
	"cmp"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// FunctionProps describe one Lambda function.
type FunctionProps struct {
	// Name is the folder below lambdas/ whose main it runs; PhysicalName what the
	// console, the logs and the metrics call it.
	Name, PhysicalName string
	Settings           Settings
	Builder            *builder
	// SpecFile is put beside the bootstrap; "" for functions that serve all clients.
	SpecFile      string
	Environment   map[string]string
	Grants        []Grant
	RetentionDays int
	XRay          bool
	// Concurrency is how many executions are reserved, -1 for none.
	Concurrency int
	// Timeout is in seconds, 0 for that of its part.
	Timeout float64
	// Asynchronous functions are called by a schedule or a topic, which deliver at
	// least once and, for a schedule, come again: Lambda's own two retries are off.
	Asynchronous bool
}

// part is what one function needs of the machine it runs on.
type part struct {
	memory, timeout float64 // MB, seconds
	why             string
}

// parts is the cast. Lambda gives a function memory/1769 of a CPU, and what is
// felt of it is the first TLS connection after a cold start: measured 300 ms at
// 128 MB, 107 ms at 256 MB, 59 ms at 512 MB. A timeout is below that of the
// state which calls the function, so that it is the function that reports.
var parts = map[string]part{
	"webhook":   {512, 10, "100 starts for one delivery: 120 ms, against 282 ms at 256 MB and 600 ms at 128 MB"},
	"poll":      {256, 55, "pages through a listing; the next minute's poll must find it gone"},
	"reconcile": {256, 55, "pages through a listing like poll, an hour's changes at a time"},
	"verify":    {128, 8, "one HMAC, no call but the first read of the secret"},
	"transform": {128, 18, "waits for the source, then for the table"},
	"lookup":    {128, 18, "waits for the table and perhaps for the target"},
	"write":     {128, 13, "waits for the target's answer and may wait shortly for its rate limit"},
	"stamp":     {128, 13, "waits for the table"},
	"later":     {256, 20, "starts ten executions, one after the other, when the rate limits have room for them"},
	"selfcheck": {256, 50, "asks both systems and the table once"},
	"beat":      {256, 5, "checks one HMAC and writes one row"},
	"watch":     {256, 50, "reads all integrations' rows and may wait for Slack's Retry-After"},
	"dashboard": {512, 10, "renders 200 integrations in one page"},
	"alarm":     {256, 30, "posts to Slack and may wait for its Retry-After"},
}

// censusTimeout is that of a poll which lists everything now and then: the longest
// that Lambda allows. The polls of the minutes meanwhile do it no harm, nor it them:
// whoever is second to move a cursor, or to begin such a list, stops.
const censusTimeout = 900

// NewFunction makes a function with its own role, log group and build.
func NewFunction(scope constructs.Construct, id string, p FunctionProps) awslambda.Function {
	environmentFits(scope, p.PhysicalName, p.Environment)
	logs := NewLogGroup(scope, id+"Logs", "/aws/lambda/"+p.PhysicalName, p.RetentionDays, p.Settings)
	grants := append([]Grant{
		{Action: "logs:CreateLogStream", On: []*string{logs.LogGroupArn()}, Why: "one stream per running copy, named by Lambda"},
		{Action: "logs:PutLogEvents", On: []*string{logs.LogGroupArn()}, Why: "its log lines and metrics"},
	}, p.Grants...)
	grants = append(grants, useKey(p.Settings)...)
	if p.XRay {
		all := []*string{jsii.String("*")}
		grants = append(grants,
			Grant{Action: "xray:PutTraceSegments", On: all, Why: "X-Ray has no resources to name"},
			Grant{Action: "xray:PutTelemetryRecords", On: all, Why: "X-Ray has no resources to name"})
	}
	part := parts[p.Name]
	part.timeout = cmp.Or(p.Timeout, part.timeout)
	props := &awslambda.FunctionProps{
		FunctionName:  jsii.String(p.PhysicalName),
		Description:   jsii.String("Tandem: lambdas/" + p.Name),
		Runtime:       awslambda.Runtime_PROVIDED_AL2023(),
		Architecture:  architecture(p.Settings.Arch),
		Handler:       jsii.String("bootstrap"),
		Code:          code(p),
		MemorySize:    jsii.Number(part.memory),
		Timeout:       awscdk.Duration_Seconds(jsii.Number(part.timeout)),
		Role:          NewRole(scope, id+"Role", "lambda.amazonaws.com", grants),
		LogGroup:      logs,
		LoggingFormat: awslambda.LoggingFormat_JSON,
		// START and REPORT lines are 0.9 KB an invocation and are dropped by this; the
		// function's own lines, metrics among them, are text and stay.
		SystemLogLevelV2: awslambda.SystemLogLevel_WARN,
		Environment:      jsiiMap(p.Environment),
	}
	if p.XRay {
		props.Tracing = awslambda.Tracing_ACTIVE
	}
	if p.Concurrency >= 0 {
		props.ReservedConcurrentExecutions = jsii.Number(p.Concurrency)
	}
	if p.Asynchronous {
		props.RetryAttempts = jsii.Number(0)
	}
	return awslambda.NewFunction(scope, jsii.String(id), props)
}

// code is the asset the builder makes at synthesis. Its hash is of the output,
// which is reproducible, and not of the sources.
func code(p FunctionProps) awslambda.Code {
	return awslambda.Code_FromAsset(jsii.String(p.Settings.Root), &awss3assets.AssetOptions{
		AssetHashType: awscdk.AssetHashType_OUTPUT,
		Bundling: &awscdk.BundlingOptions{
			Image:   awslambda.Runtime_PROVIDED_AL2023().BundlingImage(),
			Command: jsii.Strings(p.Name, p.Settings.Arch, p.SpecFile),
			Local:   p.Builder,
		},
	})
}

func architecture(arch string) awslambda.Architecture {
	if arch == "amd64" {
		return awslambda.Architecture_X86_64()
	}
	return awslambda.Architecture_ARM_64()
}

// retention maps the days a spec may ask for, spec.RetentionDays.
var retention = map[int]awslogs.RetentionDays{
	1: awslogs.RetentionDays_ONE_DAY, 3: awslogs.RetentionDays_THREE_DAYS, 5: awslogs.RetentionDays_FIVE_DAYS,
	7: awslogs.RetentionDays_ONE_WEEK, 14: awslogs.RetentionDays_TWO_WEEKS, 30: awslogs.RetentionDays_ONE_MONTH,
	60: awslogs.RetentionDays_TWO_MONTHS, 90: awslogs.RetentionDays_THREE_MONTHS, 180: awslogs.RetentionDays_SIX_MONTHS,
	365: awslogs.RetentionDays_ONE_YEAR,
}

// NewLogGroup makes a log group that keeps its lines for days (14 when 0). It
// goes with its stack: it holds no state that anything else depends on.
func NewLogGroup(scope constructs.Construct, id, name string, days int, s Settings) awslogs.LogGroup {
	if days == 0 {
		days = 14
	}
	return awslogs.NewLogGroup(scope, jsii.String(id), &awslogs.LogGroupProps{
		LogGroupName: jsii.String(name), Retention: retention[days],
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY, EncryptionKey: key(scope, id, s),
	})
}
