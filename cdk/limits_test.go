package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tandem/internal/engines"
)

// A name of which AWS would only tell half way through a deployment is refused.
func TestMayBeCalled(t *testing.T) {
	for client, want := range map[string]string{
		"acme": "", "abc": "", strings.Repeat("a", 31): "",
		"ab":                    "the client's name ab has 2 characters; 3 to 31",
		strings.Repeat("a", 32): "has 32 characters; 3 to 31",
		"centre":                "the Notification Centre's parameters are below /centre/",
		"aws":                   "no client may be called aws",
	} {
		if err := mayBeCalled(client); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", client, err, want)
		}
	}
}

func TestLongScheduleFailsTheSynthesis(t *testing.T) {
	engines.Command(t, "node", "install Node.js 20 or later")
	s := sample()
	s.Pairs[0].Name = strings.Repeat("p", 50)
	app := newTestApp(t)
	NewClient(app, "client", ClientProps{Settings: settings(t), Spec: s, SpecFile: "spec.json", Builder: &builder{}, Machines: definitions()})
	if got, want := errorsOf(app), "schedule name sample-hubspot-reconcile-"+s.Pairs[0].Name+" has 75 characters and AWS allows 64"; !strings.Contains(got, want) {
		t.Errorf("the errors are %q, want %q", got, want)
	}
}

// A Centre of two hundred clients can be deployed, one of too many says so.
func TestLargeAgency(t *testing.T) {
	engines.Command(t, "node", "install Node.js 20 or later")
	for _, c := range []struct {
		n            int
		called, want string
	}{{200, "a-client-%d", ""}, {400, "c%d", ""}, {400, "a-client-%d", "the environment of tandem-centre-beat has"}} {
		var clients []string
		for i := range c.n {
			clients = append(clients, fmt.Sprintf(c.called, i))
		}
		app := newTestApp(t)
		stack := NewCentre(app, "centre", CentreProps{Settings: settings(t), Builder: &builder{}, Clients: clients})
		if got := errorsOf(app); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%d clients: the errors are %q, want %q", c.n, got, c.want)
		}
		withinLimits(t, read(t, app.Synth(nil).GetStackByName(stack.StackName()).Template()))
	}
}

// Everything that is made is within what AWS documents, for the longest names
// that are accepted.
func TestWithinLimits(t *testing.T) {
	s := sample()
	s.Client, s.Pairs[0].Name = strings.Repeat("a", 31), strings.Repeat("p", 10)
	client, centre := synth(t, s, settings(t))
	withinLimits(t, client)
	withinLimits(t, centre)
}

// lengths are limits of the API, in characters.
var lengths = map[string]map[string]int{
	"AWS::Lambda::Function":            {"FunctionName": 64, "Description": 256},
	"AWS::StepFunctions::StateMachine": {"StateMachineName": 80},
	"AWS::Scheduler::Schedule":         {"Name": 64, "Description": 512},
	"AWS::SQS::Queue":                  {"QueueName": 80},
	"AWS::SNS::Topic":                  {"TopicName": 256},
	"AWS::DynamoDB::GlobalTable":       {"TableName": 255},
	"AWS::CloudWatch::Alarm":           {"AlarmName": 255, "AlarmDescription": 1024},
	"AWS::CloudWatch::CompositeAlarm":  {"AlarmName": 255, "AlarmDescription": 1024, "AlarmRule": 10240},
	"AWS::CloudWatch::Dashboard":       {"DashboardName": 255},
	"AWS::SSM::Parameter":              {"Name": 1011, "Description": 1024, "Value": 4096},
	"AWS::Logs::LogGroup":              {"LogGroupName": 512},
	"AWS::IAM::Role":                   {"Description": 1000},
	"AWS::IAM::Policy":                 {"PolicyDocument": 10240},
	"AWS::IAM::ManagedPolicy":          {"PolicyDocument": 6144},
	"AWS::Lambda::EventSourceMapping":  {},
	"AWS::Lambda::Permission":          {},
	"AWS::Lambda::Url":                 {},
	"AWS::SNS::Subscription":           {},
	"AWS::SNS::TopicPolicy":            {"PolicyDocument": 30720},
	"AWS::SQS::QueuePolicy":            {"PolicyDocument": 30720},
	"AWS::Lambda::EventInvokeConfig":   {},
}

// unresolved is how long a value of the deployment, such as an ARN, is taken to be.
const unresolved = 120

func withinLimits(t *testing.T, tmpl template) {
	t.Helper()
	if n := len(tmpl.Resources); n > 500 {
		t.Errorf("%d resources, CloudFormation allows 500", n)
	}
	attached := map[string]int{}
	for _, id := range sorted(tmpl.Resources) {
		r := tmpl.Resources[id]
		limits, known := lengths[r.Type]
		if !known {
			t.Errorf("%s: what are the limits of a %s?", id, r.Type)
		}
		for property, most := range limits {
			if n := width(r.Properties[property]); n > most {
				t.Errorf("%s: %s of the %s has %d characters, AWS allows %d", id, property, r.Type, n, most)
			}
		}
		roles, _ := r.Properties["Roles"].([]any)
		for _, role := range roles {
			if attached[fmt.Sprint(role)]++; attached[fmt.Sprint(role)] > 11 {
				t.Errorf("%s: more policies on one role than its own and the ten that may be attached", id)
			}
		}
		// A metric alarm's expression and its ten metrics, seven days of evaluation
		// (Amazon CloudWatch API, PutMetricAlarm).
		metrics, _ := r.Properties["Metrics"].([]any)
		period, _ := r.Properties["Period"].(float64)
		periods, _ := r.Properties["EvaluationPeriods"].(float64)
		if len(metrics) > 11 || period*periods > 7*86400 {
			t.Errorf("%s: %d metrics, %v times %v s", id, len(metrics), periods, period)
		}
	}
}

// width is how long a property is once it is resolved.
func width(v any) int {
	switch v := v.(type) {
	case nil:
		return 0
	case string:
		return len(v)
	case map[string]any:
		for name, in := range v {
			if known := map[string]int{"AWS::Partition": 3, "AWS::Region": 14, "AWS::AccountId": 12}[fmt.Sprint(in)]; known > 0 {
				return known
			}
			if name == "Ref" || name == "Fn::GetAtt" || name == "Fn::ImportValue" {
				return unresolved
			}
			if parts, ok := in.([]any); ok && name == "Fn::Join" {
				n := 0
				for _, part := range parts[1].([]any) {
					n += width(part)
				}
				return n
			}
		}
		n := 2
		for name, in := range v {
			n += len(name) + 6 + width(in)
		}
		return n
	case []any:
		n := 2
		for _, in := range v {
			n += 3 + width(in)
		}
		return n
	}
	b, _ := json.Marshal(v)
	return len(b)
}
