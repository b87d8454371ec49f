package main

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/cloud/names"
	"tandem/spec"
)

// Limits of AWS that a client's name, a pair's or the number of clients can run
// into, and of which otherwise only a deployment tells, half way through it.
const (
	longestFunction  = 64   // API CreateFunction
	longestSchedule  = 64   // API CreateSchedule
	shortestTable    = 3    // API CreateTable
	environmentBytes = 4096 // AWS Lambda developer guide, "Lambda quotas": names and values of all variables
)

// reserved are names that no client may have.
var reserved = map[string]string{
	"centre":         "the Notification Centre's parameters are below " + names.CentrePrefix,
	names.CentreName: "the Notification Centre's resources are called that",
	"aws":            "Systems Manager keeps the parameters below /aws/ for itself",
	"ssm":            "Systems Manager keeps the parameters below /ssm/ for itself",
}

// mayBeCalled refuses a client's name after which AWS lets nothing be named.
func mayBeCalled(client string) error {
	if why := reserved[client]; why != "" {
		return fmt.Errorf("no client may be called %s: %s", client, why)
	}
	longest := longestFunction
	for name := range parts {
		longest = min(longest, longestFunction-len("-"+string(spec.ToDestination)+"-"+name))
	}
	if n := len(client); n < shortestTable || n > longest {
		return fmt.Errorf("the client's name %s has %d characters; %d to %d make names that AWS takes for a table and for functions", client, n, shortestTable, longest)
	}
	return nil
}

// environmentFits makes the synthesis fail for a function with too large an
// environment. A value that only the deployment knows, such as an ARN, is taken
// to be as long as ours get.
func environmentFits(scope constructs.Construct, function string, env map[string]string) {
	const unknown = 160
	n := 0
	for name, value := range env {
		if n += len(name); *awscdk.Token_IsUnresolved(jsii.String(value)) {
			n += unknown
		} else {
			n += len(value)
		}
	}
	if n > environmentBytes {
		annotate(scope, fmt.Sprintf("the environment of %s has %d bytes and Lambda allows %d: the names of all clients are in it; deploy a Centre for each half of them", function, n, environmentBytes))
	}
}
