package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/engines"
)

// The CDK's built-in CloudFormation validator has no finding, and would have one
// if there were a fault.
func TestStrictValidation(t *testing.T) {
	engines.Command(t, "node", "install Node.js 20 or later")
	if os.Getenv("CDK_VALIDATION") == "false" {
		var out strings.Builder
		if code := again(&out, "true", "-test.run=^TestStrictValidation$", "-test.v"); code != 0 {
			t.Fatalf("with the validator on: exit status %d\n%s", code, out.String())
		}
		if !strings.Contains(out.String(), "--- PASS: TestStrictValidation/a_fault") {
			t.Fatalf("the validator did not run:\n%s", out.String())
		}
		return
	}
	t.Run("the stacks", func(t *testing.T) {
		if finding := strict(t, nil); finding != "" {
			t.Error(finding)
		}
	})
	t.Run("a fault", func(t *testing.T) {
		fault := func(stack awscdk.Stack) {
			awscdk.NewCfnResource(stack, jsii.String("Fault"), &awscdk.CfnResourceProps{
				Type: jsii.String("AWS::SQS::Queue"), Properties: &map[string]any{"MessageRetentionPeriod": "forever"},
			})
		}
		if strict(t, fault) == "" {
			t.Error("a queue that keeps messages forever passes")
		}
	})
}

// strict synthesises both stacks with findings as errors and returns the first.
func strict(t *testing.T, add func(awscdk.Stack)) (finding string) {
	defer func() {
		if r := recover(); r != nil {
			finding = fmt.Sprint(r)
		}
	}()
	context := cdkContext(t)
	context["aws:cdk:bundling-stacks"] = []any{}
	context["@aws-cdk/core:validateAgainstDefaultRules"] = true
	app := awscdk.NewApp(&awscdk.AppProps{Context: &context, Outdir: jsii.String(t.TempDir())})
	set := settings(t)
	stack := NewClient(app, "client", ClientProps{Settings: set, Spec: sample(), SpecFile: "spec.json", Builder: &builder{}, Machines: definitions()})
	NewCentre(app, "centre", CentreProps{Settings: set, Builder: &builder{}, Clients: []string{"sample"}})
	if add != nil {
		add(stack)
	}
	app.Synth(nil)
	return ""
}
