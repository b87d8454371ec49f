// Command cdk is the CDK app: a stack for each client's integration-spec.json
// and one for the Notification Centre.
//
// It turns what spec/, statemachines/ and lambdas/ already say into resources,
// one construct per file, and decides nothing about records. It is the only
// importer of awscdk, so that every other test needs no Node. The CDK speaks by
// panics; what a person can get wrong (a spec, a context value) is checked
// before it gets there, or becomes an error of the synthesis that names the
// construct.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/cloud/names"
	"tandem/spec"
	"tandem/statemachines"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run synthesises the app below the working directory's repository.
func run() error {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	root, err := findRoot(dir)
	if err != nil {
		return err
	}
	settings, err := readSettings(app.Node(), root)
	if err != nil {
		return err
	}
	b := &builder{root: root}
	if err := newApp(app, settings, b); err != nil {
		return err
	}
	app.Synth(nil)
	return nil
}

// newApp adds every stack that the settings ask for.
func newApp(app awscdk.App, s Settings, b *builder) error {
	files, err := spec.Clients(s.Specs)
	if err != nil {
		return err
	}
	machines := definitions()
	var clients []string
	var stacks []awscdk.Stack
	for _, file := range files {
		client := filepath.Base(filepath.Dir(file))
		clients = append(clients, client)
		if s.Client != "" && s.Client != client {
			continue
		}
		if err := mayBeCalled(client); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		loaded, err := loadAccepted(file)
		if err != nil {
			return err
		}
		stacks = append(stacks, NewClient(app, "tandem-"+client, ClientProps{
			Settings: s, Spec: loaded, SpecFile: file, Builder: b, Machines: machines,
		}))
	}
	if len(stacks) == 0 {
		return fmt.Errorf("no client %q: there is no %s", s.Client, filepath.Join(s.Specs, cmp.Or(s.Client, "*"), names.SpecName))
	}
	if s.Centre != "" {
		return nil
	}
	c := NewCentre(app, names.CentreName, CentreProps{Settings: s, Builder: b, Clients: clients})
	for _, stack := range stacks {
		stack.AddStackDependency(c, jsii.String("the Centre's address is read when a client is deployed"))
	}
	return nil
}

// loadAccepted loads a spec and refuses what the checker refuses: nothing that
// could lose data or loop is deployed.
func loadAccepted(file string) (*spec.Spec, error) {
	loaded, err := spec.Load(file)
	if err != nil {
		return nil, err
	}
	findings := spec.Check(loaded)
	if !spec.Refuses(findings) {
		return loaded, nil
	}
	lines := []string{file + " is refused; mend it, then deploy again (tandem check explains):"}
	for _, f := range findings {
		if f.Severity == spec.Error {
			lines = append(lines, "  "+f.String())
		}
	}
	return nil, errors.New(strings.Join(lines, "\n"))
}

// definitions are the embedded machines.
func definitions() []Machine {
	var all []Machine
	for _, name := range statemachines.Names() {
		all = append(all, Machine{
			Direction: spec.Direction(name), Definition: string(statemachines.Definition(name)), Placeholders: statemachines.Placeholders(name),
		})
	}
	return all
}
