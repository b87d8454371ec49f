package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/cloud/names"
)

// NewIngress makes the Function URL that dir's source delivers to, and returns
// the address to paste there. The URL takes calls from anyone, as every webhook
// must; the function refuses what its sender did not sign. The address is left
// in a parameter, because a function cannot know its own URL when it is made and
// the signature covers the address that the sender was given.
func NewIngress(scope constructs.Construct, id string, site Site, dir *Direction) *string {
	c := constructs.NewConstruct(scope, jsii.String(id))
	fn := site.function(c, "webhook", dir.Name, []Grant{start(dir.Machine)},
		map[string]string{names.MachineARN: *dir.Machine.StateMachineArn()})
	dir.Ingress = append(dir.Ingress, fn)
	// Without CORS: no browser has business here.
	url := fn.AddFunctionUrl(&awslambda.FunctionUrlOptions{AuthType: awslambda.FunctionUrlAuthType_NONE})
	source := dir.Name.Source()
	address := awscdk.Fn_Join(jsii.String(""), &[]*string{url.Url(), jsii.String(string(source))})
	newParameter(c, "Address", names.Prefix(site.Spec.Client)+names.WebhookURL(source), address,
		"The address that "+string(source)+" signs its deliveries for; change it when a custom domain stands in front.")
	return address
}

// NewPoller makes the function called name, poll or reconcile, that asks dir's
// source what changed.
func NewPoller(scope constructs.Construct, id, name string, site Site, dir *Direction) awslambda.Function {
	c := constructs.NewConstruct(scope, jsii.String(id))
	fn := site.function(c, name, dir.Name, []Grant{start(dir.Machine)},
		map[string]string{names.MachineARN: *dir.Machine.StateMachineArn()})
	dir.Ingress = append(dir.Ingress, fn)
	return fn
}
