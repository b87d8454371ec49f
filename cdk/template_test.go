package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tandem/internal/beat"
	"tandem/internal/cloud/names"
	"tandem/spec"
)

// The template shows the machine's file byte for byte; every placeholder in it
// has a value, and the machine's role may use what the value stands for.
func TestDefinitions(t *testing.T) {
	client, _ := standard(t)
	machines := client.of("AWS::StepFunctions::StateMachine")
	if len(machines) != len(definitions()) {
		t.Fatalf("%d machines, want %d", len(machines), len(definitions()))
	}
	placeholder := regexp.MustCompile(`\$\{(\w+)\}`)
	for _, m := range definitions() {
		id := byName(t, client, "AWS::StepFunctions::StateMachine", "StateMachineName", "sample-"+string(m.Direction))
		if got := client.at(id, "DefinitionString"); got != m.Definition {
			t.Errorf("%s: the definition in the template is not the file", m.Direction)
		}
		if got := client.at(id, "StateMachineType"); got != "EXPRESS" {
			t.Errorf("%s: type %v, want EXPRESS", m.Direction, got)
		}
		values := client.at(id, "DefinitionSubstitutions").(map[string]any)
		allowed := granted(client, client.at(id, "RoleArn"))
		inFile := map[string]bool{}
		for _, match := range placeholder.FindAllStringSubmatch(m.Definition, -1) {
			inFile[match[1]] = true
			value, ok := values[match[1]]
			if !ok {
				t.Errorf("%s: ${%s} has no value", m.Direction, match[1])
				continue
			}
			action := "lambda:InvokeFunction"
			if strings.HasSuffix(match[1], "Url") {
				action = "sqs:SendMessage"
			}
			if !slices.Contains(allowed[action], logicalID(value)) {
				t.Errorf("%s: ${%s} stands for %s, which the role may not %s", m.Direction, match[1], logicalID(value), action)
			}
		}
		for name := range values {
			if !inFile[name] {
				t.Errorf("%s: a value for %s, which the file does not have", m.Direction, name)
			}
		}
	}
}

func TestFunctions(t *testing.T) {
	client, centre := standard(t)
	for _, tmpl := range []template{client, centre} {
		roles := map[string]string{}
		for _, id := range tmpl.of("AWS::Lambda::Function") {
			for path, want := range map[string]any{"Runtime": "provided.al2023", "Handler": "bootstrap", "Architectures": []any{"arm64"}} {
				if got := tmpl.at(id, path); !equal(got, want) {
					t.Errorf("%s: %s is %v, want %v", id, path, got, want)
				}
			}
			role := logicalID(tmpl.at(id, "Role"))
			if other, taken := roles[role]; taken {
				t.Errorf("%s and %s share a role", id, other)
			}
			roles[role] = id
			if _, reserved := tmpl.Resources[id].Properties["ReservedConcurrentExecutions"]; reserved {
				t.Errorf("%s reserves concurrency, which fails the deployment of a new account", id)
			}
			if group := logicalID(tmpl.at(id, "LoggingConfig", "LogGroup")); tmpl.Resources[group].Type != "AWS::Logs::LogGroup" {
				t.Errorf("%s logs to %q, which the stack does not make", id, group)
			}
		}
		for _, id := range tmpl.of("AWS::Logs::LogGroup") {
			if got := tmpl.at(id, "RetentionInDays"); got != 14.0 {
				t.Errorf("%s keeps its lines for %v days, want 14", id, got)
			}
		}
	}
}

// A function gives up before the state that waits for it does, so that it is the
// function that says why.
func TestTimeouts(t *testing.T) {
	client, _ := standard(t)
	for _, m := range definitions() {
		var file struct {
			States map[string]struct {
				Resource       string
				TimeoutSeconds float64
			}
		}
		if err := json.Unmarshal([]byte(m.Definition), &file); err != nil {
			t.Fatal(err)
		}
		for name, state := range file.States {
			if !strings.HasPrefix(state.Resource, "${") {
				continue
			}
			id := byName(t, client, "AWS::Lambda::Function", "FunctionName", "sample-"+string(m.Direction)+"-"+strings.ToLower(name))
			if got := client.at(id, "Timeout").(float64); got >= state.TimeoutSeconds {
				t.Errorf("%s: the function of %s has %v s, the state only %v", m.Direction, name, got, state.TimeoutSeconds)
			}
		}
	}
}

// A function's environment is names, never a secret's value.
func TestEnvironment(t *testing.T) {
	client, _ := standard(t)
	id := byName(t, client, "AWS::Lambda::Function", "FunctionName", "sample-hubspot-to-destination-webhook")
	env := client.at(id, "Environment", "Variables").(map[string]any)
	want := []string{names.CentreURL, names.Client, names.Direction, names.MachineARN, names.SecretsPrefix, names.SpecFile, names.SpecHash, names.Table}
	slices.Sort(want)
	if got := sorted(env); !slices.Equal(got, want) {
		t.Errorf("the webhook's environment has %v, want %v", got, want)
	}
	if env[names.SecretsPrefix] != "/sample/" {
		t.Errorf("secrets are below %v, want /sample/", env[names.SecretsPrefix])
	}
	if tmplText := text(t, client); strings.Contains(tmplText, "AWS::SecretsManager") || strings.Contains(tmplText, "{{resolve:") {
		t.Error("the template resolves a secret; functions read theirs by name")
	}
}

// The functions of a client whose events can be priced know the prices, and the
// Centre the account whose console it links.
func TestPricesReachTheFunctions(t *testing.T) {
	set := settings(t)
	acme, err := spec.Load(filepath.Join(set.Root, "spec", "acme", names.SpecName))
	if err != nil {
		t.Fatal(err)
	}
	client, centre := synth(t, acme, set)
	env := func(tmpl template, function string) map[string]any {
		return tmpl.at(byName(t, tmpl, "AWS::Lambda::Function", "FunctionName", function), "Environment", "Variables").(map[string]any)
	}
	text, _ := env(client, "acme-hubspot-to-destination-stamp")[names.Prices].(string)
	prices, err := beat.ParsePrices(text)
	if err != nil || prices[spec.ToDestination].Stamped <= 0 || prices[spec.ToHubSpot].Stamped <= 0 {
		t.Errorf("the functions know the prices %q: %v", text, err)
	}
	for _, name := range []string{"dashboard", "watch", "alarm"} {
		if env(centre, "tandem-centre-"+name)[names.Account] == nil {
			t.Errorf("%s does not know its account", name)
		}
	}
}

func TestStorage(t *testing.T) {
	client, centre := standard(t)
	for _, tmpl := range []template{client, centre} {
		id := tmpl.of("AWS::DynamoDB::GlobalTable")[0]
		if tmpl.Resources[id].DeletionPolicy != "Retain" {
			t.Error("the table goes with its stack")
		}
		for _, want := range []struct {
			value any
			path  []any
		}{
			{true, []any{"Replicas", 0, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"}},
			{true, []any{"Replicas", 0, "DeletionProtectionEnabled"}},
			{"ttl", []any{"TimeToLiveSpecification", "AttributeName"}},
			{"PAY_PER_REQUEST", []any{"BillingMode"}},
		} {
			if got := tmpl.at(id, want.path...); got != want.value {
				t.Errorf("table: %v is %v, want %v", want.path, got, want.value)
			}
		}
		for _, id := range tmpl.of("AWS::SQS::Queue") {
			if got := tmpl.at(id, "MessageRetentionPeriod"); got != 14*24*3600.0 {
				t.Errorf("%s keeps messages for %v s, want 14 days", id, got)
			}
			if got := tmpl.at(id, "SqsManagedSseEnabled"); got != true {
				t.Errorf("%s is not encrypted", id)
			}
		}
		if q, p := tmpl.of("AWS::SQS::Queue"), tmpl.of("AWS::SQS::QueuePolicy"); len(q) != len(p) {
			t.Errorf("%d queues and %d policies: each must refuse what is not TLS", len(q), len(p))
		}
	}
}

// What is put off comes back slowly, one failure does not repeat its whole batch,
// and what cannot be started again becomes a dead letter.
func TestLater(t *testing.T) {
	client, _ := standard(t)
	queue := byName(t, client, "AWS::SQS::Queue", "QueueName", "sample-later")
	function := byName(t, client, "AWS::Lambda::Function", "FunctionName", "sample-later")
	source := client.of("AWS::Lambda::EventSourceMapping")[0]
	for _, c := range []struct {
		id   string
		path []any
		want any
	}{
		{queue, []any{"RedrivePolicy", "maxReceiveCount"}, 5.0},
		{queue, []any{"VisibilityTimeout"}, 6 * client.at(function, "Timeout").(float64)},
		{source, []any{"BatchSize"}, 10.0},
		{source, []any{"FunctionResponseTypes"}, []any{"ReportBatchItemFailures"}},
		{source, []any{"ScalingConfig", "MaximumConcurrency"}, 2.0},
	} {
		if got := client.at(c.id, c.path...); !equal(got, c.want) {
			t.Errorf("%v is %v, want %v", c.path, got, c.want)
		}
	}
	letters := byName(t, client, "AWS::SQS::Queue", "QueueName", "sample-dead-letters")
	if got := logicalID(client.at(queue, "RedrivePolicy", "deadLetterTargetArn")); got != letters {
		t.Errorf("what cannot be started again goes to %s, want the dead letters", got)
	}
	if logicalID(client.at(source, "EventSourceArn")) != queue || logicalID(client.at(source, "FunctionName")) != function {
		t.Error("the queue does not feed the function")
	}
	env := client.at(function, "Environment", "Variables").(map[string]any)
	allowed := granted(client, client.at(function, "Role"))["states:StartExecution"]
	for _, m := range definitions() {
		if machine := logicalID(env[names.Machine(m.Direction)]); machine == "" || !slices.Contains(allowed, machine) {
			t.Errorf("the function does not know, or may not start, the machine of %s", m.Direction)
		}
	}
}

// Since October 2025 a new Function URL answers 403 unless both are allowed.
func TestFunctionURLPermissions(t *testing.T) {
	client, centre := standard(t)
	for _, tmpl := range []template{client, centre} {
		urls := tmpl.of("AWS::Lambda::Url")
		if len(urls) != 2 {
			t.Errorf("%d Function URLs, want 2", len(urls))
		}
		for _, id := range urls {
			fn := logicalID(tmpl.at(id, "TargetFunctionArn"))
			var url, invoke bool
			for _, p := range tmpl.of("AWS::Lambda::Permission") {
				if logicalID(tmpl.at(p, "FunctionName")) != fn || tmpl.at(p, "Principal") != "*" {
					continue
				}
				url = url || tmpl.at(p, "Action") == "lambda:InvokeFunctionUrl" && tmpl.at(p, "FunctionUrlAuthType") == "NONE"
				invoke = invoke || tmpl.at(p, "Action") == "lambda:InvokeFunction" && tmpl.at(p, "InvokedViaFunctionUrl") == true
			}
			if !url || !invoke {
				t.Errorf("%s: InvokeFunctionUrl allowed %t, InvokeFunction allowed %t", id, url, invoke)
			}
		}
	}
}

// The address that a sender signs for stands in a parameter that its webhook may read.
func TestWebhookAddress(t *testing.T) {
	client, _ := standard(t)
	id := byName(t, client, "AWS::SSM::Parameter", "Name", "/sample/hubspot-webhook-url")
	value := text(t, client.at(id, "Value"))
	if !strings.Contains(value, "FunctionUrl") || !strings.Contains(value, `"hubspot"`) {
		t.Errorf("the parameter holds %s, want the Function URL and the route hubspot", value)
	}
	if got := text(t, client.Outputs["HubspotWebhookUrl"].Value); got != value {
		t.Errorf("the output says %s, the parameter %s", got, value)
	}
}

func TestSchedules(t *testing.T) {
	client, centre := standard(t)
	for _, want := range []struct {
		tmpl               template
		name, rate, window string
	}{
		{client, "sample-destination-poll-deals", "rate(5 minutes)", "FLEXIBLE"},
		{client, "sample-hubspot-reconcile-contacts", "rate(60 minutes)", "FLEXIBLE"},
		{client, "sample-hubspot-reconcile-deals", "rate(60 minutes)", "FLEXIBLE"},
		{client, "sample-hubspot-linked-deals", "rate(5 minutes)", "FLEXIBLE"},
		{client, "sample-selfcheck", "rate(5 minutes)", "OFF"},
		{centre, "tandem-centre-watch", "rate(1 minute)", "OFF"},
	} {
		id := byName(t, want.tmpl, "AWS::Scheduler::Schedule", "Name", want.name)
		if got := want.tmpl.at(id, "ScheduleExpression"); got != want.rate {
			t.Errorf("%s: %v, want %s", want.name, got, want.rate)
		}
		if got := want.tmpl.at(id, "FlexibleTimeWindow", "Mode"); got != want.window {
			t.Errorf("%s: window %v, want %s", want.name, got, want.window)
		}
		queue := logicalID(want.tmpl.at(id, "Target", "DeadLetterConfig", "Arn"))
		allowed := granted(want.tmpl, want.tmpl.at(id, "Target", "RoleArn"))
		if !slices.Contains(allowed["sqs:SendMessage"], queue) || !slices.Contains(allowed["lambda:InvokeFunction"], logicalID(want.tmpl.at(id, "Target", "Arn"))) {
			t.Errorf("%s: its role may not call it or report that it could not", want.name)
		}
	}
	if got := len(client.of("AWS::Scheduler::Schedule")); got != 5 {
		t.Errorf("%d schedules for the client, want 5: only what is polled has a poll, what cannot be listed no comparison, and what refers to nothing no look at references", got)
	}
}

// A side that delivers webhooks and cannot be listed has nothing to compare; references
// that wait there are looked after all the same.
func TestReferencesOfWhatCannotBeListed(t *testing.T) {
	s := sample()
	s.Pairs[1].Destination.Trigger = "webhook"
	client, _ := synth(t, s, settings(t))
	id := byName(t, client, "AWS::Scheduler::Schedule", "Name", "sample-destination-linked-deals")
	if got := client.at(id, "Target", "Input"); got != `{"linked":"only","pair":"deals"}` {
		t.Errorf("the schedule says %v", got)
	}
	fn := logicalID(client.at(id, "Target", "Arn"))
	if got := client.at(fn, "FunctionName"); got != "sample-destination-to-hubspot-reconcile" {
		t.Errorf("the schedule calls %v", got)
	}
}

// byName finds the resource of a type whose property is value.
func byName(t *testing.T, tmpl template, kind, property, value string) string {
	t.Helper()
	for _, id := range tmpl.of(kind) {
		if tmpl.at(id, property) == value {
			return id
		}
	}
	t.Fatalf("no %s with %s %s", kind, property, value)
	return ""
}

// granted lists, by action, the logical ids that the role may take it on.
func granted(tmpl template, role any) map[string][]string {
	out := map[string][]string{}
	for _, s := range statements(tmpl, logicalID(role)) {
		for _, action := range list(s["Action"]) {
			for _, on := range list(s["Resource"]) {
				out[action.(string)] = append(out[action.(string)], logicalID(on)+onlyKeys(s))
			}
		}
	}
	return out
}

// onlyKeys says which keys of a table a statement is limited to, "" where it is not.
func onlyKeys(s map[string]any) string {
	if s["Condition"] == nil {
		return ""
	}
	keys, _ := s["Condition"].(map[string]any)["ForAllValues:StringLike"].(map[string]any)
	return fmt.Sprint(" keys ", list(keys["dynamodb:LeadingKeys"]))
}

// statements are those of all inline policies of a role.
func statements(tmpl template, role string) []map[string]any {
	var all []map[string]any
	for _, id := range tmpl.of("AWS::IAM::Policy") {
		for _, r := range list(tmpl.at(id, "Roles")) {
			if logicalID(r) != role {
				continue
			}
			for _, s := range list(tmpl.at(id, "PolicyDocument", "Statement")) {
				all = append(all, s.(map[string]any))
			}
		}
	}
	return all
}

// logicalID is the resource that a Ref or Fn::GetAtt names, or the text itself.
func logicalID(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		s, _ := v.(string)
		return s
	}
	if ref, ok := m["Ref"].(string); ok {
		return ref
	}
	if att, ok := m["Fn::GetAtt"].([]any); ok {
		return att[0].(string)
	}
	data, _ := json.Marshal(m)
	return string(data)
}

// list is v, or v alone in a list: IAM writes both.
func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	if v == nil {
		return nil
	}
	return []any{v}
}

func equal(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func text(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
