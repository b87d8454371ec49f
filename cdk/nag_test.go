package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"tandem/internal/engines"
)

// accepted are the findings of cdk-nag's AwsSolutions rules that stand, and why.
var accepted = map[string]string{
	"AwsSolutions-IAM5[Resource::*]": "Step Functions' log delivery knows no resources; TestNoWildcards lists the actions",
	"AwsSolutions-SQS3":              "these queues are where failures end; nothing consumes them but a person, and alarms watch depth and age",
	"AwsSolutions-SF2":               "the machine's log shows every step already; X-Ray adds 5 US$ a million and is switched on by trace.xray",
}

func TestNag(t *testing.T) {
	engines.Command(t, "node", "install Node.js 20 or later")
	app := newTestApp(t)
	set := settings(t)
	NewClient(app, "client", ClientProps{Settings: set, Spec: sample(), SpecFile: "spec.json", Builder: &builder{}, Machines: definitions()})
	NewCentre(app, "centre", CentreProps{Settings: set, Builder: &builder{}, Clients: []string{"sample"}})
	awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Reports: jsii.Bool(false)}), nil)
	used := map[string]bool{}
	for line := range strings.SplitSeq(errorsOf(app), "\n") {
		_, finding, _ := strings.Cut(line, " ") // after the construct's path
		rule, _, found := strings.Cut(finding, ": ")
		if !found {
			continue
		}
		if accepted[rule] == "" {
			t.Errorf("not accepted: %s", line)
		}
		used[rule] = true
	}
	for rule, why := range accepted {
		if !used[rule] {
			t.Errorf("%s is accepted (%s) but no longer found: take it off the list", rule, why)
		}
	}
}

// errorsOf synthesises the app and lists its errors and warnings, one to a line.
func errorsOf(app awscdk.App) string {
	var b strings.Builder
	for _, stack := range *app.Synth(&awscdk.StageSynthesisOptions{ErrorOnDuplicateSynth: jsii.Bool(false)}).Stacks() {
		for _, m := range *stack.Messages() {
			//lint:ignore SA1019 the module it has moved to does not exist in Go
			fmt.Fprintf(&b, "%s %v\n", *m.Id, m.Entry.Data)
		}
	}
	return b.String()
}
