package runtimehost_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tandem/internal/cloud/names"
	"tandem/internal/engines"
	"tandem/internal/runtimehost"
	"tandem/spec"
)

// minimal is the least that a Lambda function on Node.js can be: no SDK, no
// runtime client, one request for the next event.
const minimal = `const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
require("http").get({ host, port, path: "/2018-06-01/runtime/invocation/next" });`

// BenchmarkStart measures, for every function of a client, how long it takes from
// the start of its process to its first request for an event, secrets read and
// all clients built, against a minimal function on Node.js, in turns. The
// metrics are medians in milliseconds and the ratio of both; go test
// ./internal/runtimehost -run '^$' -bench Start -benchtime 40x.
func BenchmarkStart(b *testing.B) {
	node := engines.Node(b)
	dir := b.TempDir()
	script := filepath.Join(dir, "index.js")
	if err := os.WriteFile(script, []byte(minimal), 0o600); err != nil {
		b.Fatal(err)
	}
	native(b, dir)
	endpoint := serve(b, http.HandlerFunc(parameters))
	for _, name := range []string{"webhook", "poll", "verify", "transform", "lookup", "write", "stamp", "selfcheck"} {
		b.Run(name, func(b *testing.B) {
			var ours, theirs []time.Duration
			for b.Loop() {
				theirs = append(theirs, startOf(b, exec.Command(node, script), nil))
				ours = append(ours, startOf(b, exec.Command(filepath.Join(dir, name)), environment(name, endpoint)))
			}
			b.ReportMetric(milliseconds(ours, 0.5), "ms")
			b.ReportMetric(milliseconds(ours, 0.9), "p90-ms")
			b.ReportMetric(milliseconds(theirs, 0.5), "node-ms")
			b.ReportMetric(milliseconds(theirs, 0.9), "node-p90-ms")
			b.ReportMetric(milliseconds(theirs, 0.5)/milliseconds(ours, 0.5), "times-faster")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// native builds all functions for this machine, with the spec beside them.
func native(b *testing.B, dir string) {
	b.Helper()
	cmd := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", dir+string(filepath.Separator), "./lambdas/...")
	cmd.Dir, cmd.Env = engines.Root(b), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join(engines.Root(b), "spec/acme", names.SpecName))
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, names.SpecName), raw, 0o600); err != nil {
		b.Fatal(err)
	}
}

// environment is what a function is given, as lines; selfcheck serves both ways.
func environment(name, endpoint string) []string {
	env := (&rig{}).env(name, endpoint)
	env[names.CentreURL] = endpoint
	env[names.MachineARN] = "arn:aws:states:ap-southeast-2:000000000001:stateMachine:acme-" + string(spec.ToDestination)
	if name == "selfcheck" {
		delete(env, names.Direction)
	}
	var lines []string
	for k, v := range env {
		lines = append(lines, k+"="+v)
	}
	return lines
}

// parameters answers Systems Manager's GetParameters.
func parameters(w http.ResponseWriter, r *http.Request) {
	var in struct{ Names []string }
	_ = json.NewDecoder(r.Body).Decode(&in) // what cannot be read asks for nothing
	type parameter struct{ Name, Value string }
	var out struct{ Parameters []parameter }
	for _, name := range in.Names {
		out.Parameters = append(out.Parameters, parameter{name, "a-value-for-the-benchmark"})
	}
	_ = json.NewEncoder(w).Encode(out)
}

// startOf is how long cmd takes until it asks for its first event.
func startOf(b *testing.B, cmd *exec.Cmd, env []string) time.Duration {
	b.Helper()
	cmd.Env = append([]string{}, env...)
	began := time.Now()
	h, err := runtimehost.Start(cmd)
	if err != nil {
		b.Fatal(err)
	}
	at, err := h.Ready(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if err := h.Close(); err != nil {
		b.Fatal(err)
	}
	return at.Sub(began)
}

// milliseconds is a quantile.
func milliseconds(all []time.Duration, q float64) float64 {
	slices.Sort(all)
	return float64(all[int(q*float64(len(all)-1))].Microseconds()) / 1000
}
