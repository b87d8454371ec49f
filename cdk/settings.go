package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// Settings are what a deployment may choose without a change of any spec. They
// come from the context: cdk.json, or -c name=value on the command line.
type Settings struct {
	// Root is the repository, where spec/ and lambdas/ are.
	Root string
	// Specs holds the clients' folders; Root/spec unless the agency keeps them
	// elsewhere (-c specs=DIR).
	Specs string
	// Client limits the synthesis to one client and the Centre (-c client=acme).
	Client string
	// Region defaults to ap-southeast-2; Account to the credentials' own.
	Region, Account string
	// Arch is arm64, or amd64 for engines that run functions on the host.
	Arch string
	// WebhookConcurrency and WriteConcurrency reserve executions for the webhook
	// and write functions: a guard for the account, a cap for the systems, and at
	// 0 a kill switch. Off (-1) by default because a new account may have nothing to
	// reserve from, and then the deployment fails; 10 is a sensible first value.
	WebhookConcurrency, WriteConcurrency int
	// KeyARN is a KMS key for table, queues and logs (-c kmsKey=arn:...). Empty
	// means the keys AWS owns, which cost nothing.
	KeyARN string
	// Centre is "" for the Centre of this app, "none", or the URL of another account's.
	Centre string
	// PlainAlarms leaves out composite and metric-math alarms, which local engines
	// refuse (-c alarms=plain).
	PlainAlarms bool
}

// readSettings reads the context of an app whose files are below root.
func readSettings(n constructs.Node, root string) (Settings, error) {
	text := func(name, otherwise string) string {
		if v := n.TryGetContext(jsii.String(name)); v != nil && fmt.Sprint(v) != "" {
			return fmt.Sprint(v)
		}
		return otherwise
	}
	s := Settings{
		Root:    root,
		Specs:   text("specs", filepath.Join(root, "spec")),
		Client:  text("client", ""),
		Region:  text("region", "ap-southeast-2"),
		Account: os.Getenv("CDK_DEFAULT_ACCOUNT"),
		Arch:    text("arch", "arm64"),
		KeyARN:  text("kmsKey", ""),
		Centre:  text("centre", ""),
	}
	alarms := text("alarms", "full")
	s.PlainAlarms = alarms == "plain"
	err := errors.Join(oneOf("arch", s.Arch, "arm64", "amd64"), oneOf("alarms", alarms, "full", "plain"))
	if err != nil {
		return s, err
	}
	if s.WebhookConcurrency, err = concurrency("webhookConcurrency", text); err == nil {
		s.WriteConcurrency, err = concurrency("writeConcurrency", text)
	}
	return s, err
}

// oneOf refuses a value that would be taken for another without a word.
func oneOf(name, v, a, b string) error {
	if v != a && v != b {
		return fmt.Errorf("context %s is %q; allowed are %s and %s", name, v, a, b)
	}
	return nil
}

// concurrency reads a number of reserved executions, -1 when not set.
func concurrency(name string, text func(name, otherwise string) string) (int, error) {
	v := text(name, "-1")
	n, err := strconv.Atoi(v)
	if err != nil || n < -1 {
		return 0, fmt.Errorf("context %s is %q; give a whole number of reserved executions, such as 10", name, v)
	}
	return n, nil
}

// findRoot walks up from dir to the folder that holds go.mod.
func findRoot(dir string) (string, error) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no go.mod in %s or above it; run the app inside the repository", dir)
		}
	}
}
