package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
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
		"none for a status":   {[]string{"status", "--aws"}, "export-credentials"},
		"none for a backfill": {[]string{"backfill", "acme", "--spec", file}, "without CLIENT a running tandem run is asked"},
		"none nor a secret":   {[]string{"secrets", "acme", "nonsense", "--spec", file}, "it has hubspot-token"},
		"a way and no secret": {[]string{"secrets", "acme", "--set", "--spec", file}, "name the secret"},
		"a redrive of what":   {[]string{"dead-letters", "acme", "--redrive", "--spec", file}, "choose what to redrive"},
		"a redrive of all":    {[]string{"dead-letters", "acme", "--redrive", "--all", "8a1f", "--spec", file}, "neither ids"},
		"all of what":         {[]string{"dead-letters", "acme", "--all", "--spec", file}, "goes with --redrive"},
		"an unknown secret":   {[]string{"secrets", "acme", "nonsense", "--spec", file}, "it has hubspot-token"},
		"a secret and no way": {[]string{"secrets", "acme", "hubspot-token", "--spec", file}, "choose one of"},
		"anyway what":         {[]string{"secrets", "acme", "hubspot-token", "--set", "--anyway", "--spec", file}, "--anyway goes with --finish"},
		"a blank value":       {[]string{"secrets", "acme", "hubspot-token", "--set", "--spec", file}, "standard input holds no value"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"AWS_REGION": "x", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
			for key, value := range env {
				if strings.HasPrefix(name, "no") {
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

// Of secrets that are not there it is said how they are made.
func TestSecretsMissingOnAWS(t *testing.T) {
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"ParameterNotFound"}`))
	}))
	t.Cleanup(empty.Close)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": empty.URL, "AWS_REGION": "x", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"} {
		t.Setenv(name, value)
	}
	for want, args := range map[string][]string{
		"missing in Systems Manager: hubspot-token, ":                                {"why", "--aws", "acme", "contacts", "1001"},
		"hubspot-token: MISSING; create it: tandem secrets --set acme hubspot-token": {"secrets", "acme"},
		"create it: tandem secrets --generate acme beat-secret":                      {"secrets", "acme"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), append(args, "--spec", "../../"+exampleSpec), nil, &out, &out); code != exitFailed || !strings.Contains(out.String(), want) {
			t.Errorf("%v says, with %d: %s", args, code, out.String())
		}
	}
}

// A rotation is not ended while events that are sealed with the former value may
// wait in one of the queues, unless it is asked for all the same.
func TestFinishWaitsForTheQueues(t *testing.T) {
	var depths map[string]string // by state of a message, of the queue that is not empty
	full, deleted := "", false
	aws := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		var in struct{ QueueName, QueueURL string }
		_ = json.Unmarshal(raw, &in)
		switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation {
		case "GetQueueUrl":
			_ = json.NewEncoder(w).Encode(map[string]string{"QueueUrl": in.QueueName})
		case "GetQueueAttributes":
			answer := map[string]string{"ApproximateNumberOfMessages": "0"}
			if in.QueueURL == full {
				answer = depths
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"Attributes": answer})
		case "DeleteParameter":
			deleted = true
			_, _ = io.WriteString(w, "{}")
		}
	}))
	t.Cleanup(aws.Close)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": aws.URL, "AWS_REGION": "x", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"} {
		t.Setenv(name, value)
	}
	for name, c := range map[string]struct {
		full, state string
		args        []string
		ends        bool
		says        string
	}{
		"put off":      {full: "acme-later", state: "ApproximateNumberOfMessagesDelayed", says: "3 events that were put off and 0 dead letters wait"},
		"going on":     {full: "acme-later", state: "ApproximateNumberOfMessagesNotVisible", says: "3 events"},
		"dead letters": {full: "acme-dead-letters", state: "ApproximateNumberOfMessages", says: "0 events that were put off and 3 dead letters wait"},
		"anyway":       {full: "acme-dead-letters", state: "ApproximateNumberOfMessages", args: []string{"--anyway"}, ends: true, says: "only the current value"},
		"empty":        {ends: true, says: "only the current value"},
	} {
		t.Run(name, func(t *testing.T) {
			full, depths, deleted = c.full, map[string]string{c.state: "3"}, false
			var out bytes.Buffer
			code := run(t.Context(), append([]string{"secrets", "acme", "hubspot-client-secret", "--finish", "--spec", "../../" + exampleSpec}, c.args...), nil, &out, &out)
			if deleted != c.ends || (code == exitOK) != c.ends || !strings.Contains(out.String(), c.says) {
				t.Errorf("exit code %d, ended %t, says %s", code, deleted, out.String())
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
