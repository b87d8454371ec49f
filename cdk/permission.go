package main

import (
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// Grant is one action a role may take, on what, and why it must. Resources are
// always named; where AWS knows no resource for an action, Why says so.
type Grant struct {
	Action string
	On     []*string
	Why    string
	// If is the statement's condition, nil for none.
	If map[string]any
	// ID keeps the statement apart from others of the same action; "" lets the CDK
	// put them together.
	ID string
}

// NewRole makes a role for an AWS service with exactly the grants, as one inline
// policy where they fit into one. The managed basic-execution policy is not used: it allows every log group.
func NewRole(scope constructs.Construct, id string, service string, grants []Grant) awsiam.Role {
	role := awsiam.NewRole(scope, jsii.String(id), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String(service), nil),
	})
	for len(grants) > 0 {
		g, actions := grants[0], []string{grants[0].Action}
		grants = grants[1:]
		for len(grants) > 0 && grants[0].ID == g.ID && slices.Equal(grants[0].On, g.On) && reflect.DeepEqual(grants[0].If, g.If) {
			actions, grants = append(actions, grants[0].Action), grants[1:]
		}
		for on := range slices.Chunk(g.On, perStatement) {
			s := &awsiam.PolicyStatementProps{Actions: jsii.Strings(actions...), Resources: &on}
			if g.ID != "" {
				s.Sid = jsii.String(g.ID)
			}
			if g.If != nil {
				s.Conditions = &g.If
			}
			role.AddToPolicy(awsiam.NewPolicyStatement(s))
		}
	}
	return role
}

// readParameters grants reading the named parameters below prefix, by name only:
// a list by path would tell one client's functions of every secret there is.
func readParameters(scope constructs.Construct, prefix, why string, last ...string) Grant {
	g := Grant{Action: "ssm:GetParameters", Why: why}
	for _, n := range last {
		g.On = append(g.On, awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("ssm"), Resource: jsii.String("parameter"),
			ResourceName: jsii.String(strings.TrimPrefix(prefix+n, "/")),
		}))
	}
	return g
}

// useKey grants what encryption with the deployment's own key needs; nothing
// when it has none.
func useKey(s Settings) []Grant {
	if s.KeyARN == "" {
		return nil
	}
	on := []*string{jsii.String(s.KeyARN)}
	return []Grant{
		{Action: "kms:Decrypt", On: on, Why: "table, queues and parameters are encrypted with it"},
		{Action: "kms:GenerateDataKey", On: on, Why: "SQS and DynamoDB encrypt what is written"},
	}
}

// newParameter leaves a value that is no secret where functions and people find it.
func newParameter(scope constructs.Construct, id, name string, value *string, what string) awsssm.StringParameter {
	return awsssm.NewStringParameter(scope, jsii.String(id), &awsssm.StringParameterProps{
		ParameterName: jsii.String(name), StringValue: value, Description: jsii.String(what),
	})
}
