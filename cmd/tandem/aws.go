package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/table/dynamo"
	"tandem/spec"
)

// deployment is one client on AWS as its operators see it: found by names alone,
// as the stacks make them.
type deployment struct {
	client string
	args   []string // what was named besides the client
	spec   *spec.Spec
	api    *awsjson.Client
}

// operatorTimeout is how long one answer of AWS is waited for: a self-check may
// take 50 seconds.
const operatorTimeout = time.Minute

// ofClient parses a command's flags and what it names: first the client, whose
// spec is loaded, and at most so many more.
func (e *env) ofClient(f *flag.FlagSet, args []string, more int) (*deployment, error) {
	specFile := f.String("spec", "", "the client's spec `file`; spec/CLIENT/integration-spec.json")
	named, err := mixed(f, args)
	if err != nil {
		return nil, err
	}
	if len(named) == 0 {
		return nil, misused("name a client, such as acme")
	}
	if len(named) > 1+more {
		return nil, misused("unexpected argument %q; tandem %s -h shows what it takes", named[1+more], f.Name())
	}
	d, err := e.deployment(named[0], *specFile)
	if err == nil {
		d.args = named[1:]
	}
	return d, err
}

// deployment is the client called so, by its spec.
func (e *env) deployment(client, specFile string) (*deployment, error) {
	s, err := loadSpec(cmp.Or(specFile, "spec/"+client+"/"+names.SpecName))
	if err != nil {
		return nil, err
	}
	if s.Client != client {
		return nil, misused("the spec is of client %s, not %s", s.Client, client)
	}
	return &deployment{client: client, spec: s}, nil
}

// mixed parses flags that stand before or after what is named: runbooks put the
// client first.
func mixed(f *flag.FlagSet, args []string) (named []string, err error) {
	for {
		if err := parse(f, args); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			return named, nil
		}
		named, args = append(named, f.Arg(0)), f.Args()[1:]
	}
}

// connect reads the credentials.
func (d *deployment) connect(e *env) error {
	config, err := awsjson.FromEnv(e.getenv)
	if err != nil {
		return usage{err}
	}
	d.api = awsjson.New(config, operatorTimeout)
	return nil
}

// deployedTable is a table in AWS.
func (e *env) deployedTable(name string) (*dynamo.Table, error) {
	if err := new(deployment).connect(e); err != nil { // says what is missing, and how to get it
		return nil, err
	}
	api, err := dynamo.Client(e.getenv)
	if err != nil {
		return nil, usage{err}
	}
	return dynamo.New(api, name, time.Now, nil), nil
}

// invoke calls a function of the deployment. What is not the function's own error
// is most often a wrong account or region.
func (d *deployment) invoke(ctx context.Context, function string, event, out any) error {
	err := d.api.Invoke(ctx, function, event, out)
	var own *awsjson.FunctionError
	if err == nil || errors.As(err, &own) {
		return err
	}
	return fmt.Errorf("%w; is the client deployed in this account and region?", err)
}

// parameters reads parameters by their last names; absent ones are missing.
func (d *deployment) parameters(ctx context.Context, last ...string) (map[string]string, error) {
	found := map[string]string{}
	for _, name := range last {
		var out struct{ Parameter struct{ Value string } }
		err := d.api.Call(ctx, awsjson.SSM, "GetParameter", map[string]any{"Name": names.Prefix(d.client) + name, "WithDecryption": true}, &out)
		if awsjson.Is(err, "ParameterNotFound") {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[name] = out.Parameter.Value
	}
	return found, nil
}

// machine is the ARN of a direction's state machine.
func (d *deployment) machine(ctx context.Context, way spec.Direction) (string, error) {
	for token := ""; ; {
		in := map[string]any{"maxResults": 1000}
		if token != "" {
			in["nextToken"] = token
		}
		var out struct {
			StateMachines []struct{ Name, StateMachineArn string }
			NextToken     string
		}
		if err := d.api.Call(ctx, awsjson.States, "ListStateMachines", in, &out); err != nil {
			return "", err
		}
		for _, m := range out.StateMachines {
			if m.Name == d.client+"-"+string(way) {
				return m.StateMachineArn, nil
			}
		}
		if token = out.NextToken; token == "" {
			return "", fmt.Errorf("there is no state machine %s-%s in this account and region; deploy it first", d.client, way)
		}
	}
}
