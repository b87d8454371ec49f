package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

	"tandem/spec"
)

// checked is one file's result under --json.
type checked struct {
	File     string         `json:"file"`
	Problems []spec.Problem `json:"problems,omitempty"` // it cannot be read as a spec
	Findings []spec.Finding `json:"findings,omitempty"`
	Accepted bool           `json:"accepted"`
}

func checkCommand(_ context.Context, e *env, args []string) error {
	f := e.flags("check", "[--json] FILE...", "Exit code 1: a spec is refused; 2: a file cannot be read.")
	asJSON := f.Bool("json", false, "print findings as JSON")
	if err := parse(f, args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return misused("name at least one spec file, such as %s", exampleSpec)
	}
	all := []checked{}
	var unread []error
	accepted := true
	for _, file := range f.Args() {
		c, err := checkFile(file)
		if err != nil {
			unread = append(unread, err)
			continue
		}
		accepted = accepted && c.Accepted
		all = append(all, c)
	}
	if *asJSON {
		if err := json.NewEncoder(e.out).Encode(all); err != nil {
			return err
		}
	} else {
		printChecked(e, all)
	}
	if len(unread) > 0 {
		return usage{errors.Join(unread...)}
	}
	if !accepted {
		return errFound
	}
	return nil
}

func checkFile(file string) (checked, error) {
	c := checked{File: file}
	s, err := spec.Load(file)
	var problems *spec.Problems
	switch {
	case errors.As(err, &problems):
		c.Problems = problems.List
		return c, nil
	case err != nil:
		return c, usage{err}
	}
	c.Findings = spec.Check(s)
	c.Accepted = !spec.Refuses(c.Findings)
	return c, nil
}

func printChecked(e *env, all []checked) {
	for _, c := range all {
		for _, p := range c.Problems {
			fmt.Fprintf(e.out, "%s:%s\n", c.File, p.Error())
		}
		for _, f := range c.Findings {
			fmt.Fprintf(e.out, "%s: %s %s at %s: %s\n", c.File, f.Severity, f.Code, f.Path, f.Message)
			if f.Example != "" {
				fmt.Fprintf(e.out, "    for example %s\n", f.Example)
			}
			if f.Fix != "" {
				fmt.Fprintf(e.out, "    %s\n", f.Fix)
			}
		}
		verdict := "refused"
		if c.Accepted {
			verdict = "accepted"
		}
		fmt.Fprintf(e.out, "%s: %s\n", c.File, verdict)
	}
}

func explainCommand(_ context.Context, e *env, args []string) error {
	f := e.flags("explain", "FILE", "Prints Markdown with a Mermaid diagram; spec/acme/mapping.md is the example's.")
	if err := parse(f, args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return misused("name one spec file, such as %s", exampleSpec)
	}
	s, err := spec.Load(f.Arg(0))
	if err != nil {
		return usage{err}
	}
	return spec.Describe(s, e.out)
}

func diffCommand(_ context.Context, e *env, args []string) error {
	f := e.flags("diff", "OLD NEW", "It compares the two files alone; tandem simulate tries a change on records.")
	if err := parse(f, args); err != nil {
		return err
	}
	if f.NArg() != 2 {
		return misused("name two spec files, the old one first")
	}
	var specs [2]*spec.Spec
	for i, file := range f.Args() {
		var err error
		if specs[i], err = spec.Load(file); err != nil {
			return usage{err}
		}
	}
	changes := spec.Diff(specs[0], specs[1])
	if len(changes) == 0 {
		fmt.Fprintln(e.out, "nothing that matters has changed")
	}
	for _, c := range changes {
		fmt.Fprintln(e.out, c)
	}
	return nil
}

func versionCommand(_ context.Context, e *env, args []string) error {
	f := e.flags("version", "", "")
	if err := parse(f, args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return misused("unexpected argument %q", f.Arg(0))
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this program was built without module information; build it with go build ./cmd/tandem")
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" || s.Key == "vcs.modified" && s.Value == "true" {
			version += " " + s.Key + "=" + s.Value
		}
	}
	_, err := fmt.Fprintf(e.out, "tandem %s, %s\n", version, info.GoVersion)
	return err
}
