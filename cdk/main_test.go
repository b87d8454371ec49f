package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"tandem/internal/engines"
	"tandem/internal/record"
	"tandem/spec"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// TestMain runs the tests in a second process whose environment tells jsii and
// the CDK what they read when a program starts, before any line of it runs. The
// validator is off, 0.9 s a stack instead of 4.9; TestStrictValidation has it on.
// No test here is parallel and none runs under -race: jsii allows neither.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("CDK_VALIDATION") == "" {
		os.Exit(again(os.Stdout, "false", os.Args[1:]...))
	}
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}

// again runs this test binary with the CDK's validator on or off.
func again(out io.Writer, validation string, args ...string) int {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "CDK_VALIDATION="+validation, "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20")
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

// sample is a client with everything the stacks distinguish: webhooks on both
// sides, and a pair that is polled on one.
func sample() *spec.Spec {
	return &spec.Spec{
		Client:  "sample",
		HubSpot: spec.HubSpot{PortalID: "1"},
		Destination: spec.Destination{
			Name: "erp", Webhook: &spec.Webhook{Scheme: "hmac-sha256-hex", Secret: "erp-webhook-secret"}, Auth: spec.Auth{Kind: "bearer", Secret: "erp-token"},
		},
		Pairs: []spec.Pair{{
			Name: "contacts", HubSpot: spec.Side{Object: "contacts", Trigger: "webhook"}, Destination: spec.Side{Object: "customers"},
		}, {
			Name: "deals", HubSpot: spec.Side{Object: "deals"}, Destination: spec.Side{Object: "orders", Trigger: "poll", Every: spec.Duration{Duration: 5 * time.Minute}},
			Fields: []spec.Field{{
				Name: "contact", HubSpot: spec.Prop{Property: "@contacts", Type: record.Reference, Pair: "contacts"},
				Destination: spec.Prop{Property: "customer_id", Type: record.Reference, Pair: "contacts"},
			}},
		}},
	}
}

// template is one synthesised stack.
type template struct {
	Resources map[string]resource
	Outputs   map[string]struct{ Value any }
}

type resource struct {
	Type           string
	DeletionPolicy string
	Properties     map[string]any
}

// of lists the logical ids of one type, in order.
func (t template) of(kind string) []string {
	var ids []string
	for _, id := range sorted(t.Resources) {
		if t.Resources[id].Type == kind {
			ids = append(ids, id)
		}
	}
	return ids
}

// at walks into a resource's properties; nil when the path ends.
func (t template) at(id string, path ...any) any {
	var v any = t.Resources[id].Properties
	for _, step := range path {
		switch at := v.(type) {
		case map[string]any:
			v = at[step.(string)]
		case []any:
			v = at[step.(int)]
		default:
			return nil
		}
	}
	return v
}

// settings are the defaults, as an empty context gives them.
func settings(t testing.TB) Settings {
	t.Helper()
	root, err := findRoot(mustGetwd(t))
	if err != nil {
		t.Fatal(err)
	}
	return Settings{Root: root, Region: "ap-southeast-2", Arch: "arm64", WebhookConcurrency: -1, WriteConcurrency: -1}
}

// synth makes both stacks and returns their templates.
func synth(t testing.TB, s *spec.Spec, set Settings) (client, centre template) {
	t.Helper()
	engines.Command(t, "node", "install Node.js 20 or later")
	app := newTestApp(t)
	NewClient(app, "client", ClientProps{Settings: set, Spec: s, SpecFile: "spec.json", Builder: &builder{root: set.Root}, Machines: definitions()})
	NewCentre(app, "centre", CentreProps{Settings: set, Builder: &builder{root: set.Root}, Clients: []string{s.Client, "other"}})
	assembly := app.Synth(nil)
	return read(t, assembly.GetStackByName(jsii.String("client")).Template()), read(t, assembly.GetStackByName(jsii.String("centre")).Template())
}

// standard is synth of the sample with the default settings, made once.
func standard(t testing.TB) (client, centre template) {
	t.Helper()
	engines.Command(t, "node", "install Node.js 20 or later")
	once.Do(func() { made[0], made[1] = synth(t, sample(), settings(t)) })
	return made[0], made[1]
}

var (
	once sync.Once
	made [2]template
)

// newTestApp is an app with the context of cdk.json that builds no functions.
func newTestApp(t testing.TB) awscdk.App {
	t.Helper()
	context := cdkContext(t)
	context["aws:cdk:bundling-stacks"] = []any{}
	context["@aws-cdk/core:annotationsInValidationReport"] = false // errors are read from the assembly, not from a panic
	out, err := os.MkdirTemp("", "cdk-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(out) })
	return awscdk.NewApp(&awscdk.AppProps{Context: &context, Outdir: jsii.String(out)})
}

func cdkContext(t testing.TB) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(settings(t).Root, "cdk.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Context map[string]any }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Context
}

func read(t testing.TB, from any) template {
	t.Helper()
	data, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	var out template
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func mustGetwd(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// golden compares got with testdata/name, or rewrites it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; if the change is meant, run go test ./cdk -update and read the diff\n%s", path, firstDifference(string(want), got))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("want %d lines, got %d", len(w), len(g))
}
