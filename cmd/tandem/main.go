// Command tandem runs, checks and explains integrations. `tandem help` lists
// what it does, `tandem COMMAND -h` how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1 // it was tried and failed, or a check found something
	exitMisused = 2 // wrong arguments, files or settings
)

// command is one subcommand. It returns nil, or an error that says what, where
// and what to do.
type command struct {
	name, args, does string
	run              func(context.Context, *env, []string) error
}

// env is what a command works with.
type env struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
}

// commands in the order in which help lists them.
var commands = []command{
	{"run", "[flags]", "run an integration on this machine, with or without simulators", runCommand},
	{"check", "[--json] FILE...", "check specs: what could lose data, loop or fail", checkCommand},
	{"explain", "FILE", "print a spec's mapping document (Markdown)", explainCommand},
	{"cost", "[flags]", "say what a million synced records cost at AWS list prices", costCommand},
	{"diff", "OLD NEW", "say in words what a change of spec means, and its risk", diffCommand},
	{"simulate", "[flags] NEW", "try a change of spec on the latest traffic, and write nothing", simulateCommand},
	{"status", "[flags] [CLIENT]", "say how every integration is doing, or one", statusCommand},
	{"why", "[flags] CLIENT OBJECT ID", "say why a record looks the way it does", whyCommand},
	{"parked", "[flags] CLIENT", "list what waits for a person", parkedCommand},
	{"resync", "[flags] CLIENT OBJECT ID", "look at one record again, with the fields that were parked", resyncCommand},
	{"redrive", "[flags] [ID...]", "list dead letters, or start their events again", redriveCommand},
	{"backfill", "[flags] [CLIENT]", "tell of every record once: first contact, and repair", backfillCommand},
	{"centre", "--demo [flags]", "show the Notification Centre's pages with sample data", centreCommand},
	{"secrets", "[flags] CLIENT [NAME]", "on AWS: check, set or rotate a client's secrets", secretsCommand},
	{"doctor", "[flags] CLIENT", "on AWS: prove a deployment", doctorCommand},
	{"subscriptions", "[flags] CLIENT", "print HubSpot's webhooks-hsmeta.json", subscriptionsCommand},
	{"dead-letters", "[flags] CLIENT [ID...]", "on AWS: list or redrive dead letters", deadLettersCommand},
	{"version", "", "print the version", versionCommand},
}

// usage is an error of the caller's: exit code 2.
type usage struct{ error }

// Unwrap returns the cause.
func (u usage) Unwrap() error { return u.error }

func misused(format string, args ...any) error { return usage{fmt.Errorf(format, args...)} }

// errFound ends a command that has already said what is wrong.
var errFound = errors.New("")

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{in: stdin, out: stdout, err: stderr, getenv: os.Getenv}
	switch {
	case len(args) == 0:
		help(stderr)
		return exitMisused
	case isHelp(args[0]) && len(args) > 1: // tandem help COMMAND is tandem COMMAND -h
		args = []string{args[1], "-h"}
	case isHelp(args[0]):
		help(stdout)
		return exitOK
	case args[0] == "--version":
		args = []string{"version"}
	}
	for _, c := range commands {
		if c.name == args[0] {
			return exit(stderr, c.name, c.run(ctx, e, args[1:]))
		}
	}
	fmt.Fprintf(stderr, "tandem: there is no command %q; tandem help lists them\n", args[0])
	return exitMisused
}

func isHelp(word string) bool { return word == "help" || word == "-h" || word == "--help" }

// exit says an error and turns it into a code.
func exit(stderr io.Writer, name string, err error) int {
	var u usage
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &u):
		if text := err.Error(); text != "" {
			fmt.Fprintf(stderr, "tandem %s: %s\n", name, text)
		}
		return exitMisused
	case !errors.Is(err, errFound):
		fmt.Fprintf(stderr, "tandem %s: %s\n", name, err)
	}
	return exitFailed
}

func help(w io.Writer) {
	fmt.Fprint(w, "Tandem keeps HubSpot and one other system in step.\n\nusage: tandem COMMAND [arguments]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-13s %-26s %s\n", c.name, c.args, c.does)
	}
	fmt.Fprint(w, "\ntandem COMMAND -h tells more. Exit codes: 0 well, 1 failed or found something, 2 misused.\n")
}

// flags makes a command's flag set. Help that was asked for goes to stdout; see parse.
func (e *env) flags(name, synopsis, more string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(e.out)
	f.Usage = func() {
		fmt.Fprintf(e.out, "usage: tandem %s %s\n\n", name, synopsis)
		f.PrintDefaults()
		if more != "" {
			fmt.Fprintf(e.out, "\n%s\n", more)
		}
	}
	return f
}

// parse reads a command's flags. A wrong one is told in one line, without the
// help that the flag package would print with it.
func parse(f *flag.FlagSet, args []string) error {
	help := f.Usage
	f.Usage = func() {}
	out := f.Output()
	f.SetOutput(io.Discard)
	err := f.Parse(args)
	f.Usage = help
	f.SetOutput(out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		f.Usage()
		return err
	case err != nil:
		return misused("%v; tandem %s -h lists the flags", err, f.Name())
	}
	return nil
}
