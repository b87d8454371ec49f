package runtimehost_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
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

// client is a function on Node.js that loads one client of the SDK, where ours
// hold three, sends nothing and decides nothing; minimal loads not even that.
const (
	client  = `require("@aws-sdk/client-lambda");` + minimal
	minimal = `const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
require("http").get({ host, port, path: "/2018-06-01/runtime/invocation/next" });`
)

// BenchmarkStart measures, for every function of a client, how long it takes from
// the start of its process to its first request for an event, secrets read and
// all clients built, in turns with two on Node.js: with one client of the SDK,
// and bare. The metrics are medians and 90th percentiles in milliseconds, the
// median of processor time, which a busy machine disturbs less, and how many
// times longer the medians on Node.js are; go test ./internal/runtimehost
// -run '^$' -bench Start -benchtime 40x.
func BenchmarkStart(b *testing.B) {
	node := engines.Node(b)
	dir := b.TempDir()
	modules := "NODE_PATH=" + engines.Path(b, "node_modules")
	scripts := map[string]string{"sdk": client, "bare": minimal}
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name+".js"), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	native(b, dir)
	endpoint := serve(b, http.HandlerFunc(parameters))
	for _, name := range []string{"webhook", "poll", "reconcile", "later", "verify", "transform", "lookup", "write", "stamp", "selfcheck"} {
		b.Run(name, func(b *testing.B) {
			took, used := map[string][]time.Duration{}, map[string][]time.Duration{}
			measure := func(kind string, cmd *exec.Cmd, env []string) {
				took[kind] = append(took[kind], startOf(b, cmd, env))
				used[kind] = append(used[kind], cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
			}
			for b.Loop() {
				for script := range scripts {
					measure(script, exec.Command(node, filepath.Join(dir, script+".js")), []string{modules})
				}
				measure("go", exec.Command(filepath.Join(dir, name)), environment(name, endpoint))
			}
			for kind := range took {
				b.ReportMetric(milliseconds(took[kind], 0.5), kind+"-ms")
				b.ReportMetric(milliseconds(took[kind], 0.9), kind+"-p90-ms")
				b.ReportMetric(milliseconds(used[kind], 0.5), kind+"-cpu-ms")
			}
			b.ReportMetric(milliseconds(took["sdk"], 0.5)/milliseconds(took["go"], 0.5), "x-sdk")
			b.ReportMetric(milliseconds(took["bare"], 0.5)/milliseconds(took["go"], 0.5), "x-bare")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// native builds all functions for this machine, with the spec beside them.
func native(b *testing.B, dir string) {
	b.Helper()
	cmd := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir+string(filepath.Separator), "./lambdas/...")
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
	env := map[string]string{
		"AWS_REGION": "ap-southeast-2", "AWS_ACCESS_KEY_ID": engines.Account, "AWS_SECRET_ACCESS_KEY": "unused", "AWS_ENDPOINT_URL": endpoint,
		"AWS_LAMBDA_FUNCTION_NAME": "acme-" + name, names.Client: "acme", names.Table: "acme", names.SecretsPrefix: "/acme/",
		names.SpecHash: "0123456789ab", names.Direction: string(spec.ToDestination), names.CentreURL: endpoint,
		names.MachineARN: "arn:aws:states:ap-southeast-2:000000000001:stateMachine:acme-" + string(spec.ToDestination),
	}
	if name == "selfcheck" || name == "later" {
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

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}
