package main

import (
	"bytes"
	"flag"
	"slices"
	"strings"
	"testing"

	"tandem/internal/engines"
)

// The commands for AWS work against a deployment in internal/cloud/deploytest;
// here is what they refuse before they ask anything.
func TestAWSCommandsMisused(t *testing.T) {
	file := engines.Root(t) + "/spec/acme/integration-spec.json"
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no client":           {[]string{"doctor"}, "name a client"},
		"another's spec":      {[]string{"doctor", "other", "--spec", file}, "the spec is of client acme"},
		"no credentials":      {[]string{"parked", "--aws", "acme"}, "export-credentials"},
		"a redrive of what":   {[]string{"dead-letters", "acme", "--redrive", "--spec", file}, "choose what to redrive"},
		"an unknown secret":   {[]string{"secrets", "acme", "nonsense", "--spec", file}, "it has hubspot-token"},
		"a secret and no way": {[]string{"secrets", "acme", "hubspot-token", "--spec", file}, "choose one of"},
		"a blank value":       {[]string{"secrets", "acme", "hubspot-token", "--set", "--spec", file}, "standard input holds no value"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"AWS_REGION": "x", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
			for key, value := range env {
				if name == "no credentials" {
					value = ""
				}
				t.Setenv(key, value)
			}
			t.Setenv("AWS_DEFAULT_REGION", "")
			t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
			var out, err bytes.Buffer
			if code := run(t.Context(), c.args, strings.NewReader("\n"), &out, &err); code != exitMisused || !strings.Contains(err.String(), c.says) {
				t.Errorf("exit code %d, says %q, want %q", code, err.String(), c.says)
			}
		})
	}
}

// Flags may stand before or after what is named.
func TestMixed(t *testing.T) {
	f := flag.NewFlagSet("x", flag.ContinueOnError)
	on, code := f.Bool("on", false, ""), f.String("code", "", "")
	named, err := mixed(f, []string{"acme", "--code", "A", "one", "--on", "two"})
	if err != nil || !*on || *code != "A" || !slices.Equal(named, []string{"acme", "one", "two"}) {
		t.Errorf("named %v, on %v, code %q, %v", named, *on, *code, err)
	}
}
