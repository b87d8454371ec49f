package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/record"
)

func secretsCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("secrets", "[flags] CLIENT [NAME]",
		"Without NAME the client's parameters are checked: exit code 1 when one is missing. Values are read from standard\n"+
			"input, never from the command line. Of a secret that signs deliveries the former value stays valid until --finish.")
	generate := f.Bool("generate", false, "make a random value for NAME; for beat-secret and a destination that lets you choose")
	set := f.Bool("set", false, "read a value for NAME from standard input, one line")
	finish := f.Bool("finish", false, "end a rotation of NAME: the former value is no longer valid")
	anyway := f.Bool("anyway", false, "with --finish: although events that are sealed with the former value still wait")
	d, err := e.ofClient(f, args, 1)
	if err != nil {
		return err
	}
	name, asked := strings.Join(d.args, ""), 0
	for _, on := range []bool{*generate, *set, *finish} {
		if on {
			asked++
		}
	}
	switch {
	case name != "" && !slices.Contains(names.Secrets(d.spec), name):
		return misused("%s has no secret %q; it has %s", d.client, name, strings.Join(names.Secrets(d.spec), ", "))
	case name != "" && asked != 1:
		return misused("choose one of --set, --generate and --finish")
	case name == "" && asked > 0:
		return misused("name the secret; %s has %s", d.client, strings.Join(names.Secrets(d.spec), ", "))
	case *anyway && !*finish:
		return misused("--anyway goes with --finish")
	}
	if err := d.connect(e); err != nil {
		return err
	}
	switch {
	case *finish:
		return d.finish(ctx, e, name, *anyway)
	case *generate:
		return d.rotate(ctx, e, name, rand.Text()+rand.Text())
	case *set:
		value, err := line(e.in)
		if err != nil {
			return err
		}
		return d.rotate(ctx, e, name, value)
	}
	return d.checkSecrets(ctx, e)
}

// line reads one line that is not blank.
func line(in io.Reader) (string, error) {
	text, err := bufio.NewReader(io.LimitReader(in, 8<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", misused("standard input holds no value; for example: tandem secrets --set acme hubspot-token < token.txt")
	}
	return text, nil
}

// checkSecrets says which parameters there are, never what they hold.
func (d *deployment) checkSecrets(ctx context.Context, e *env) error {
	wanted := names.Secrets(d.spec)
	found, err := d.parameters(ctx, wanted...)
	if err != nil {
		return err
	}
	for _, name := range wanted {
		state := "there"
		if found[name] == "" {
			way := "--set"
			if name == names.CentreSecret { // no other system has it
				way = "--generate"
			}
			state = "MISSING; create it: tandem secrets " + way + " " + d.client + " " + name
		} else if d.signs(name) {
			before, err := d.parameters(ctx, name+names.Previous)
			if err != nil {
				return err
			}
			if len(before) > 0 {
				state = "there, and its former value is still valid; end the rotation: tandem secrets --finish " + d.client + " " + name
			}
		}
		fmt.Fprintf(e.out, "%s%s: %s\n", names.Prefix(d.client), name, state)
	}
	if len(found) < len(wanted) {
		return errFound
	}
	return nil
}

// signs reports whether deliveries are signed with a secret: then two values
// must be valid while the other side changes over.
func (d *deployment) signs(name string) bool {
	return name == names.ClientSecret(d.spec, record.HubSpot) || name == names.ClientSecret(d.spec, record.Destination)
}

// rotate stores a value; the one before stays valid where deliveries and
// envelopes under way are signed with it.
func (d *deployment) rotate(ctx context.Context, e *env, name, value string) error {
	found, err := d.parameters(ctx, name)
	if err != nil {
		return err
	}
	before, rotated := found[name]
	if rotated && d.signs(name) && before != value {
		if err := d.put(ctx, name+names.Previous, before); err != nil {
			return err
		}
	}
	if err := d.put(ctx, name, value); err != nil {
		return err
	}
	what := "stored"
	if rotated && d.signs(name) {
		what = "rotated; functions use it within five minutes. Change it in the other system, then: tandem secrets --finish " + d.client + " " + name
	}
	_, err = fmt.Fprintf(e.out, "%s%s: %s\n", names.Prefix(d.client), name, what)
	return err
}

func (d *deployment) put(ctx context.Context, name, value string) error {
	return d.api.Call(ctx, awsjson.SSM, "PutParameter", map[string]any{
		"Name": names.Prefix(d.client) + name, "Value": value, "Type": "SecureString", "Overwrite": true,
	}, nil)
}

// finish ends a rotation: what is signed or sealed with the former value is refused
// from then on, so it waits for the queues in which sealed events may lie for days.
func (d *deployment) finish(ctx context.Context, e *env, name string, anyway bool) error {
	if d.signs(name) && !anyway {
		if err := d.nothingSealed(ctx, name); err != nil {
			return err
		}
	}
	err := d.api.Call(ctx, awsjson.SSM, "DeleteParameter", map[string]any{"Name": names.Prefix(d.client) + name + names.Previous}, nil)
	if awsjson.Is(err, "ParameterNotFound") {
		return fmt.Errorf("%s%s is not being rotated", names.Prefix(d.client), name)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "%s%s: only the current value is valid, within five minutes\n", names.Prefix(d.client), name)
	return err
}

// nothingSealed refuses while events wait: Verify would take each for a forgery.
func (d *deployment) nothingSealed(ctx context.Context, name string) error {
	later, err := d.depth(ctx, d.client+"-later")
	if err != nil {
		return err
	}
	dead, err := d.depth(ctx, d.client+"-dead-letters")
	if err != nil || later+dead == 0 {
		return err
	}
	return fmt.Errorf("%s%s: %d events that were put off and %d dead letters wait, and those sealed with the former value would be refused as forged. "+
		"Events that were put off go on by themselves, within 25 hours; of dead letters mend the cause and then: tandem dead-letters %s --redrive --all. "+
		"To end the rotation all the same, and redrive none of them: --finish --anyway", names.Prefix(d.client), name, later, dead, d.client)
}

// depth is how many messages are in a queue, 0 where it is not deployed yet.
func (d *deployment) depth(ctx context.Context, name string) (int, error) {
	url, err := d.queue(ctx, name)
	if awsjson.Is(err, "QueueDoesNotExist") {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return d.api.Depth(ctx, url)
}
