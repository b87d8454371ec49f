// Package deploytest deploys both stacks with the CDK's own command line on
// MiniStack, an emulator that nobody here wrote, between two simulated systems,
// and sends records through. It holds tests only. What MiniStack's Step
// Functions cannot judge (timeouts, delays, Catch on Map) is judged by the
// interpreters of package asl.
package deploytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/engines"
	"tandem/internal/record"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

const region = "ap-southeast-2"

// rig is the emulator, both systems, and the command line.
type rig struct {
	endpoint string
	env      []string
	front    *front
	aws      *awsjson.Client
	dir      string
	spec     *spec.Spec
	secrets  map[string]string
	portal   *portal.Portal
	company  *erp.Company
	busy     atomic.Bool // the destination refuses every change, for now
	slack    chan string
	// dashboard is the address of the Centre's pages.
	dashboard string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if testing.Short() {
		t.Skip("deploys two stacks")
	}
	engines.Path(t, "node_modules/.bin/cdk")
	engines.Path(t, "venv/bin/ministack")
	r := &rig{front: newFront(t, region), dir: t.TempDir(), slack: make(chan string, 64)}
	r.sources(t)
	r.systems(t)
	r.endpoint = engines.MiniStack(t, append(r.front.Env, "MINISTACK_REGION="+region, "SFN_WAIT_SCALE=0.2")...) // the machine's pauses, shortened
	r.front.to(t, r.endpoint)
	r.env = []string{
		"AWS_ENDPOINT_URL=" + r.endpoint, "AWS_ENDPOINT_URL_S3=" + r.endpoint, "AWS_S3_FORCE_PATH_STYLE=true",
		"AWS_ACCESS_KEY_ID=" + engines.Account, "AWS_SECRET_ACCESS_KEY=unused", "AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"CDK_DISABLE_CLI_TELEMETRY=1", "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20",
		"PATH=" + filepath.Dir(engines.Node(t)) + string(os.PathListSeparator) + os.Getenv("PATH"),
	}
	config, err := awsjson.FromEnv(r.getenv)
	if err != nil {
		t.Fatal(err)
	}
	r.aws = awsjson.New(config, time.Minute)
	r.run(t, "go", "build", "-o", r.app(), "./cdk")
	r.run(t, "go", "build", "-o", r.tool(), "./cmd/tandem")
	return r
}

// sources copies what is deployed, so that an edit while the test runs is not
// taken for a change between two deployments.
func (r *rig) sources(t *testing.T) {
	t.Helper()
	root := engines.Root(t)
	for _, name := range []string{"cdk", "cmd", "internal", "lambdas", "spec", "statemachines"} {
		if err := os.CopyFS(filepath.Join(r.src(), name), os.DirFS(filepath.Join(root, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "cdk.json"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(r.src(), name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) src() string { return filepath.Join(r.dir, "src") }

func (r *rig) app() string { return filepath.Join(r.dir, "app") }

func (r *rig) tool() string { return filepath.Join(r.dir, "tandem") }

// tandem runs the operators' tool on the deployment and returns what it prints
// and its exit code.
func (r *rig) tandem(t *testing.T, stdin string, args ...string) (string, int) {
	t.Helper()
	if args[0] != "status" && args[0] != "parked" { // which know clients by their beats and their table
		args = append(args, "--spec", filepath.Join(r.specs(), "acme", names.SpecName))
	}
	cmd := exec.CommandContext(t.Context(), r.tool(), args...)
	cmd.Dir, cmd.Stdin, cmd.Env = r.dir, strings.NewReader(stdin), append(append(os.Environ(), r.env...), r.front.Env...)
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (r *rig) getenv(name string) string {
	for _, line := range r.env {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}

// systems starts both simulators and writes a spec whose base URLs are theirs.
func (r *rig) systems(t *testing.T) {
	t.Helper()
	var err error
	if r.spec, err = spec.Load(filepath.Join(engines.Root(t), "spec", "acme", names.SpecName)); err != nil {
		t.Fatal(err)
	}
	r.secrets = map[string]string{
		names.CentrePrefix + names.Login: "correct horse battery staple", names.CentrePrefix + names.Slack: serve(t, http.HandlerFunc(r.message)),
	}
	for _, name := range names.Secrets(r.spec) {
		r.secrets[names.Prefix(r.spec.Client)+name] = "not-a-secret-" + name
	}
	r.portal = portal.New(portal.Options{SearchLag: time.Second, RateLimit: 190})
	r.portal.DefineFor(r.spec)
	r.company = erp.New(erp.Usual(), nil, nil)
	token := r.secrets[names.Prefix(r.spec.Client)+names.TokenSecret(r.spec, record.Destination)]
	r.writeSpec(t, map[string]string{
		`"portalId"`:                            `"baseUrl": "` + serve(t, r.portal.Handler()) + `", "portalId"`,
		`"baseUrl": "https://erp.acme.example"`: `"baseUrl": "` + serve(t, r.whenFree(erp.Handler(r.company, token))) + `"`,
		`"searchLag": "10s"`:                    `"searchLag": "2s"`,
	})
}

// whenFree answers 429 to changes while the destination is busy.
func (r *rig) whenFree(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && r.busy.Load() {
			w.Header().Set("Retry-After", "1")
			http.Error(w, `{"error":"rate_limited"}`, http.StatusTooManyRequests)
			return
		}
		h.ServeHTTP(w, req)
	})
}

// message is Slack.
func (r *rig) message(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	select {
	case r.slack <- string(body):
	default: // nobody reads any more
	}
	io.WriteString(w, "ok")
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// writeSpec replaces text in the spec that is deployed.
func (r *rig) writeSpec(t *testing.T, replace map[string]string) {
	t.Helper()
	path := filepath.Join(r.specs(), "acme", names.SpecName)
	from := path
	if _, err := os.Stat(path); err != nil {
		from = filepath.Join(engines.Root(t), "spec", "acme", names.SpecName)
	}
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for old, new := range replace {
		if strings.Count(text, old) != 1 {
			t.Fatalf("the spec holds %q %d times, want once", old, strings.Count(text, old))
		}
		text = strings.Replace(text, old, new, 1)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if r.spec, err = spec.Load(path); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) specs() string { return filepath.Join(r.dir, "specs") }

// run runs a program among the sources and returns what it prints.
func (r *rig) run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env = r.src(), append(os.Environ(), r.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, tail(out))
	}
	return string(out)
}

func tail(out []byte) []byte { return out[max(0, len(out)-6000):] }

// cdk runs the pinned CDK with the app that was built once.
func (r *rig) cdk(t *testing.T, command string, args ...string) string {
	t.Helper()
	return r.run(t, engines.Path(t, "node_modules/.bin/cdk"), append([]string{command, "--app", r.app(), "--output", filepath.Join(r.dir, "cdk.out"),
		"-c", "specs=" + r.specs(), "-c", "arch=amd64", "-c", "alarms=plain"}, args...)...)
}

func (r *rig) deploy(t *testing.T, which ...string) string {
	t.Helper()
	return r.cdk(t, "deploy", append(which, "--require-approval", "never")...)
}

// call asks an AWS service; a refusal ends the test.
func (r *rig) call(t *testing.T, s awsjson.Service, operation string, in, out any) {
	t.Helper()
	if err := r.aws.Call(t.Context(), s, operation, in, out); err != nil {
		t.Fatal(err)
	}
}

// parameter reads what the stack has left.
func (r *rig) parameter(t *testing.T, name string) string {
	t.Helper()
	var out struct{ Parameter struct{ Value string } }
	r.call(t, awsjson.SSM, "GetParameter", map[string]any{"Name": name, "WithDecryption": true}, &out)
	return out.Parameter.Value
}

// invoke calls a function by name and returns what it answers.
func (r *rig) invoke(t *testing.T, name string, event any) string {
	t.Helper()
	body, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return r.post(t, "lambda", "/2015-03-31/functions/"+name+"/invocations", "application/json", body)
}

// metrics speaks CloudWatch's Query protocol.
func (r *rig) metrics(t *testing.T, form url.Values) string {
	t.Helper()
	form.Set("Version", "2010-08-01")
	return r.post(t, "monitoring", "/", "application/x-www-form-urlencoded", []byte(form.Encode()))
}

// post sends to the emulator, which reads the service from the credential scope
// and checks no signature.
func (r *rig) post(t *testing.T, service, path, kind string, body []byte) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.endpoint+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+engines.Account+"/20260101/"+region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answered %s %s, %v", service, resp.Status, raw, err)
	}
	return string(raw)
}

// deliver starts both senders of webhooks, towards the addresses the stack has left.
func (r *rig) deliver(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	address := func(s record.System) string { return r.parameter(t, names.Prefix(r.spec.Client)+names.WebhookURL(s)) }
	secret := func(s record.System) string {
		return r.secrets[names.Prefix(r.spec.Client)+names.ClientSecret(r.spec, s)]
	}
	hub := r.portal.Deliverer(portal.DeliveryOptions{
		URL: address(record.HubSpot), Secret: func() string { return secret(record.HubSpot) }, HTTP: r.front.Client,
	})
	dest := erp.Deliverer{Company: r.company, URL: address(record.Destination), Secret: secret(record.Destination), Client: r.front.Client}
	go func() { _ = hub.Run(ctx); done <- struct{}{} }() // ends with ctx
	go func() { dest.Run(ctx); done <- struct{}{} }()
	t.Cleanup(func() { cancel(); <-done; <-done })
}

// patience is the longest wait for anything: a schedule of a minute, on a machine
// that has much else to do.
const patience = 5 * time.Minute

// eventually waits until ready says yes.
func eventually(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		if ready() {
			return
		}
	}
	t.Fatalf("after %s: %s", patience, what)
}
