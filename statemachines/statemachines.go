// Package statemachines holds the order in which a record's steps are taken, as
// data: one Amazon States Language file for each direction. The same bytes are
// drawn by Workflow Studio, put into the CloudFormation template and run by the
// local interpreter (internal/asl).
//
// The only things left open in a file are placeholders such as "${VerifyArn}",
// always inside quotes, so that the file is JSON as it stands. A state's name is
// the lambda's folder, its placeholder and the section it answers.
//
// What lies between two states is only what a later one needs, because the log
// that the console draws an execution from keeps every input and output, and is
// most of what an execution costs. So a function gets the event from the context
// object ($$.Execution.Input), Lookup's answer takes the place of everything
// before it, Stamp's that of the plan; each answer is in the log all the same.
//
// How long an execution may wait: the retries of every state on the way to the
// dead letter add up to less than the machine's TimeoutSeconds, because past
// that time no Catch runs and the event would be missing from the dead letters.
// A test adds them up. What it cannot add up, the time of slow tasks and of
// further rounds, is left to the alarm on failures beyond dead letters.
package statemachines

import (
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed *.asl.json
var files embed.FS

// Names lists the machines. Each is also the name of a spec.Direction.
func Names() []string { return []string{"hubspot-to-destination", "destination-to-hubspot"} }

// Definition returns a machine's file as it stands. It panics on a name that
// Names does not list: the names are constants of the program.
func Definition(name string) []byte {
	b, err := files.ReadFile(name + ".asl.json")
	if err != nil {
		panic("statemachines: there is no machine " + name)
	}
	return b
}

var placeholder = regexp.MustCompile(`\$\{(\w+)\}`)

// Placeholders lists the distinct placeholders of a machine, such as VerifyArn,
// in the order of the file.
func Placeholders(name string) []string {
	var out []string
	for _, m := range placeholder.FindAllSubmatch(Definition(name), -1) {
		if p := string(m[1]); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// Substitute returns a machine's definition with its placeholders replaced, as
// CloudFormation's DefinitionSubstitutions does. A value is missing for a
// placeholder, or given for one that the file does not have, or could not stand
// inside a JSON string: each is an error.
func Substitute(name string, values map[string]string) ([]byte, error) {
	wanted := Placeholders(name)
	for p := range values {
		if !slices.Contains(wanted, p) {
			return nil, fmt.Errorf("machine %s has no placeholder ${%s}; it has %s", name, p, strings.Join(wanted, ", "))
		}
	}
	for _, p := range wanted {
		v, ok := values[p]
		if !ok {
			return nil, fmt.Errorf("machine %s: no value is given for ${%s}", name, p)
		}
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }) {
			return nil, fmt.Errorf("machine %s: the value of ${%s} cannot stand inside a JSON string", name, p)
		}
	}
	return placeholder.ReplaceAllFunc(Definition(name), func(m []byte) []byte {
		return []byte(values[string(m[2:len(m)-1])])
	}), nil
}
