package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// wildcards are the only actions that may be granted on everything, and why.
var wildcards = map[string]string{
	"logs:CreateLogDelivery":        "log delivery has no resources (Step Functions developer guide, CloudWatch logging policy)",
	"logs:GetLogDelivery":           "as above",
	"logs:UpdateLogDelivery":        "as above",
	"logs:DeleteLogDelivery":        "as above",
	"logs:ListLogDeliveries":        "as above",
	"logs:PutResourcePolicy":        "as above",
	"logs:DescribeResourcePolicies": "as above",
	"logs:DescribeLogGroups":        "as above",
	"xray:PutTraceSegments":         "X-Ray has no resources; only with trace.xray",
	"xray:PutTelemetryRecords":      "as above",
	"xray:GetSamplingRules":         "as above",
	"xray:GetSamplingTargets":       "as above",
}

func TestNoWildcards(t *testing.T) {
	client, centre := standard(t)
	traced := sample()
	traced.Trace.XRay = true
	withXRay, _ := synth(t, traced, settings(t))
	for name, tmpl := range map[string]template{"client": client, "centre": centre, "client with X-Ray": withXRay} {
		for _, role := range tmpl.of("AWS::IAM::Role") {
			if managed := tmpl.at(role, "ManagedPolicyArns"); managed != nil {
				t.Errorf("%s: %s has managed policies: %v", name, role, managed)
			}
			for _, s := range statements(tmpl, role) {
				for _, f := range badWildcards(s) {
					t.Errorf("%s: %s: %s", name, role, f)
				}
			}
		}
	}
}

// badWildcards lists what a statement allows too broadly.
func badWildcards(s map[string]any) []string {
	var bad []string
	for _, a := range list(s["Action"]) {
		action := a.(string)
		if strings.Contains(action, "*") {
			bad = append(bad, "action "+action)
		}
		for _, on := range list(s["Resource"]) {
			if strings.Contains(logicalID(on), "*") && wildcards[action] == "" {
				bad = append(bad, action+" on "+logicalID(on))
			}
		}
	}
	return bad
}

func TestBadWildcardsFindsThem(t *testing.T) {
	for _, s := range []map[string]any{
		{"Action": "dynamodb:*", "Resource": "arn:aws:dynamodb:::table/x"},
		{"Action": []any{"ssm:GetParameters"}, "Resource": "*"},
		{"Action": "ssm:GetParameters", "Resource": map[string]any{"Fn::Join": []any{"", []any{"arn:aws:ssm:::parameter/acme/*"}}}},
	} {
		if len(badWildcards(s)) != 1 {
			t.Errorf("%v passes", s)
		}
	}
}

// Every grant says why, and no function may read a secret of the other
// direction's target unless it serves both.
func TestSecretsPerFunction(t *testing.T) {
	client, _ := standard(t)
	for name, want := range map[string][]string{
		"sample-hubspot-to-destination-webhook":   {"beat-secret", "hubspot-client-secret", "hubspot-client-secret-previous", "hubspot-webhook-url"},
		"sample-hubspot-to-destination-verify":    {"beat-secret", "hubspot-client-secret", "hubspot-client-secret-previous"},
		"sample-hubspot-to-destination-transform": {"beat-secret", "hubspot-token"},
		"sample-hubspot-to-destination-write":     {"beat-secret", "erp-token", "hubspot-token"},
		"sample-hubspot-to-destination-stamp":     {"beat-secret"},
		"sample-destination-to-hubspot-write":     {"beat-secret", "erp-token", "hubspot-token"},
		"sample-destination-to-hubspot-webhook":   {"beat-secret", "destination-webhook-url", "erp-webhook-secret", "erp-webhook-secret-previous"},
		"sample-selfcheck":                        {"beat-secret", "erp-token", "erp-webhook-secret", "hubspot-client-secret", "hubspot-token"},
	} {
		id := byName(t, client, "AWS::Lambda::Function", "FunctionName", name)
		var got []string
		for _, on := range granted(client, client.at(id, "Role"))["ssm:GetParameters"] {
			_, last, _ := strings.Cut(on, ":parameter/sample/")
			got = append(got, strings.TrimSuffix(last, `"]]}`))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s may read %v, want %v", name, got, want)
		}
	}
}

// What is deployed, and what each function may do, as a person reviews it.
func TestInventory(t *testing.T) {
	client, centre := standard(t)
	golden(t, "client.golden", inventory(client))
	golden(t, "centre.golden", inventory(centre))
}

func inventory(tmpl template) string {
	var b strings.Builder
	counts := map[string]int{}
	for _, r := range tmpl.Resources {
		counts[r.Type]++
	}
	fmt.Fprintln(&b, "# resources")
	for _, kind := range sorted(counts) {
		fmt.Fprintf(&b, "%3d %s\n", counts[kind], kind)
	}
	for _, id := range tmpl.of("AWS::Lambda::Function") {
		fmt.Fprintf(&b, "\n# function %v, %v MB, %v s\n", tmpl.at(id, "FunctionName"), tmpl.at(id, "MemorySize"), tmpl.at(id, "Timeout"))
		writeActions(&b, granted(tmpl, tmpl.at(id, "Role")))
	}
	for _, id := range tmpl.of("AWS::StepFunctions::StateMachine") {
		fmt.Fprintf(&b, "\n# machine %v\n", tmpl.at(id, "StateMachineName"))
		writeActions(&b, granted(tmpl, tmpl.at(id, "RoleArn")))
	}
	fmt.Fprintln(&b, "\n# alarms")
	for _, kind := range []string{"AWS::CloudWatch::CompositeAlarm", "AWS::CloudWatch::Alarm"} {
		for _, id := range tmpl.of(kind) {
			fmt.Fprintln(&b, tmpl.at(id, "AlarmName"))
		}
	}
	return b.String()
}

// writeActions prints each action with what it may be taken on, by the names in
// the app and not by CloudFormation's, whose hashes change with the CDK.
func writeActions(b *strings.Builder, allowed map[string][]string) {
	hash := regexp.MustCompile(`[0-9A-F]{8}$`)
	for _, action := range sorted(allowed) {
		var on []string
		for _, id := range allowed[action] {
			if _, parameter, ok := strings.Cut(id, ":parameter"); ok {
				id = strings.TrimSuffix(parameter, `"]]}`)
			}
			if _, table, ok := strings.Cut(id, ":table/"); ok {
				id = "table " + strings.Replace(table, `"]]}`, "", 1)
			}
			on = append(on, hash.ReplaceAllString(id, ""))
		}
		slices.Sort(on)
		fmt.Fprintf(b, "%s on %s\n", action, strings.Join(on, ", "))
	}
}
