package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"tandem/internal/cloud/names"
	"tandem/internal/engines"
	"tandem/spec"
)

func TestSettingsAreChecked(t *testing.T) {
	engines.Command(t, "node", "install Node.js 20 or later")
	for want, context := range map[string]map[string]any{
		`context arch is "x86"`:                               {"arch": "x86"},
		`context alarms is "foo"; allowed are full and plain`: {"alarms": "foo"},
		`context webhookConcurrency is "many"`:                {"webhookConcurrency": "many"},
		`context writeConcurrency is "-2"; give a`:            {"writeConcurrency": -2},
	} {
		app := awscdk.NewApp(&awscdk.AppProps{Context: &context})
		if _, err := readSettings(app.Node(), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want an error with %s", context, err, want)
		}
	}
}

// What a spec or the context switches is switched.
func TestSwitches(t *testing.T) {
	s, set := sample(), settings(t)
	s.Trace.Level, s.Trace.RetentionDays, s.Trace.XRay = "ERROR", 30, true
	set.Arch, set.WebhookConcurrency, set.WriteConcurrency = "amd64", 10, 0
	set.KeyARN, set.Centre = "arn:aws:kms:ap-southeast-2:111122223333:key/1", "none"
	client, _ := synth(t, s, set)
	fn := func(name string) string {
		return byName(t, client, "AWS::Lambda::Function", "FunctionName", "sample-hubspot-to-destination-"+name)
	}
	machine := client.of("AWS::StepFunctions::StateMachine")[0]
	for _, c := range []struct {
		id   string
		path []any
		want any
	}{
		{machine, []any{"LoggingConfiguration", "Level"}, "ERROR"},
		{machine, []any{"LoggingConfiguration", "IncludeExecutionData"}, true},
		{machine, []any{"TracingConfiguration", "Enabled"}, true},
		{fn("verify"), []any{"TracingConfig", "Mode"}, "Active"},
		{fn("verify"), []any{"Architectures", 0}, "x86_64"},
		{fn("webhook"), []any{"ReservedConcurrentExecutions"}, 10.0},
		{fn("write"), []any{"ReservedConcurrentExecutions"}, 0.0},
		{fn("lookup"), []any{"ReservedConcurrentExecutions"}, nil},
		{fn("lookup"), []any{"Environment", "Variables", "TANDEM_CENTRE_URL"}, nil},
		{client.of("AWS::Logs::LogGroup")[0], []any{"RetentionInDays"}, 30.0},
		{client.of("AWS::Logs::LogGroup")[0], []any{"KmsKeyId"}, set.KeyARN},
		{client.of("AWS::SQS::Queue")[0], []any{"KmsMasterKeyId"}, set.KeyARN},
		{client.of("AWS::DynamoDB::GlobalTable")[0], []any{"SSESpecification", "SSEType"}, "KMS"},
	} {
		if got := client.at(c.id, c.path...); got != c.want {
			t.Errorf("%s: %v is %v, want %v", c.id, c.path, got, c.want)
		}
	}
	if len(granted(client, client.at(fn("lookup"), "Role"))["kms:Decrypt"]) != 1 {
		t.Error("a function may not decrypt the table that is encrypted with the key")
	}
}

// What the checker lets a spec ask for, the stack can keep.
func TestRetentions(t *testing.T) {
	for _, days := range spec.RetentionDays {
		if retention[days] == "" {
			t.Errorf("no log is kept for %d days", days)
		}
	}
}

func TestFindRoot(t *testing.T) {
	if _, err := findRoot(t.TempDir()); err == nil || !strings.Contains(err.Error(), "run the app inside the repository") {
		t.Errorf("outside a repository: %v", err)
	}
}

// A spec that could lose data stops the synthesis and says why; so does a folder
// without the client that was asked for.
func TestRefusedSpecs(t *testing.T) {
	engines.Command(t, "node", "install Node.js 20 or later")
	set := settings(t)
	raw, err := os.ReadFile(filepath.Join(set.Root, "spec", "acme", names.SpecName))
	if err != nil {
		t.Fatal(err)
	}
	// Two statuses become one: the way back has to guess.
	bad := strings.Replace(string(raw), `"CONNECTED": "customer"`, `"CONNECTED": "lead"`, 1)
	set.Specs = t.TempDir()
	if err := os.Mkdir(filepath.Join(set.Specs, "acme"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(set.Specs, "acme", names.SpecName), []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newApp(newTestApp(t), set, &builder{root: set.Root}); err == nil || !strings.Contains(err.Error(), "is refused; mend it") || !strings.Contains(err.Error(), "status") && !strings.Contains(err.Error(), "fields[6]") {
		t.Errorf("a spec that could lose data: %v", err)
	}
	set.Client = "other"
	if err := newApp(newTestApp(t), set, &builder{root: set.Root}); err == nil || !strings.Contains(err.Error(), `no client "other"`) {
		t.Errorf("a client that is not there: %v", err)
	}
}

// A stack for each client and one for the Centre, which goes first; or only what
// was asked for.
func TestStacks(t *testing.T) {
	engines.Command(t, "node", "install Node.js 20 or later")
	set := settings(t)
	raw, err := os.ReadFile(filepath.Join(set.Root, "spec", "acme", names.SpecName))
	if err != nil {
		t.Fatal(err)
	}
	set.Specs = t.TempDir()
	for _, client := range []string{"one", "two"} {
		text := strings.Replace(string(raw), `"client": "acme"`, `"client": "`+client+`"`, 1)
		if err := errors.Join(os.Mkdir(filepath.Join(set.Specs, client), 0o755), os.WriteFile(filepath.Join(set.Specs, client, names.SpecName), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		client, centre string
		want           []string
	}{
		{"", "", []string{"tandem-centre", "tandem-one", "tandem-two"}},
		{"two", "", []string{"tandem-centre", "tandem-two"}},
		{"", "none", []string{"tandem-one", "tandem-two"}},
	} {
		set.Client, set.Centre = c.client, c.centre
		app := newTestApp(t)
		if err := newApp(app, set, &builder{root: set.Root}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, stack := range *app.Synth(nil).Stacks() {
			got = append(got, *stack.StackName())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("client %q, centre %q: stacks %v in this order, want %v", c.client, c.centre, got, c.want)
		}
	}
}
