package runtimehost_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/engines"
	"tandem/internal/runtimehost"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/internal/table/dynamo"
	"tandem/spec"
)

// rig is what the functions reach: both systems, secrets and the table.
type rig struct {
	endpoint string
	dir      string
	spec     *spec.Spec
	portal   *portal.Portal
	company  *erp.Company
	hosts    map[string]*runtimehost.Host

	mu  sync.Mutex
	ops map[string]map[string]bool // by function: permissions that its requests to the table need
}

const (
	region = "ap-southeast-2"
	secret = "a-client-secret-of-the-tests"
	tokens = "a-token-of-the-tests"
)

func newRig(t *testing.T) *rig {
	t.Helper()
	if testing.Short() {
		t.Skip("builds functions for arm64 and emulates them")
	}
	qemu := engines.Command(t, "qemu-aarch64", "install it (Debian: apt-get install qemu-user)")
	r := &rig{dir: t.TempDir(), endpoint: engines.MiniStack(t, "MINISTACK_REGION="+region), hosts: map[string]*runtimehost.Host{}, ops: map[string]map[string]bool{}}
	r.systems(t)
	r.store(t)
	r.build(t)
	for _, name := range functions {
		r.hosts[name] = r.start(t, qemu, name)
	}
	return r
}

var functions = []string{"webhook", "verify", "transform", "lookup", "write", "stamp"}

// systems starts both simulators and writes the spec that names them.
func (r *rig) systems(t *testing.T) {
	t.Helper()
	s, err := spec.Load(filepath.Join(engines.Root(t), "spec/acme", names.SpecName))
	if err != nil {
		t.Fatal(err)
	}
	r.spec = s
	r.portal = portal.New(portal.Options{})
	r.portal.DefineFor(s)
	r.company = erp.New(erp.Usual(), nil, nil)
	raw, err := os.ReadFile(filepath.Join(engines.Root(t), "spec/acme", names.SpecName))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		`"portalId"`, `"baseUrl": "`+serve(t, r.portal.Handler())+`", "portalId"`,
		"https://erp.acme.example", serve(t, erp.Handler(r.company, tokens)),
	).Replace(string(raw))
	if err := os.WriteFile(filepath.Join(r.dir, names.SpecName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// env is a function's environment, as cdk and Lambda set it.
func (r *rig) env(name, endpoint string) map[string]string {
	return map[string]string{
		"AWS_REGION": region, "AWS_ACCESS_KEY_ID": engines.Account, "AWS_SECRET_ACCESS_KEY": "unused", "AWS_ENDPOINT_URL": endpoint,
		"AWS_LAMBDA_FUNCTION_NAME": "acme-" + name, names.Client: "acme", names.Table: "acme", names.SecretsPrefix: "/acme/",
		names.SpecFile: names.SpecName, names.SpecHash: "0123456789ab", names.Direction: string(spec.ToDestination),
	}
}

// store makes the table and the parameters.
func (r *rig) store(t *testing.T) {
	t.Helper()
	env := r.env("", r.endpoint)
	getenv := func(name string) string { return env[name] }
	api, err := dynamo.Client(getenv)
	if err != nil {
		t.Fatal(err)
	}
	if err := dynamo.Ensure(t.Context(), api, "acme"); err != nil {
		t.Fatal(err)
	}
	config, err := awsjson.FromEnv(getenv)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names.Secrets(r.spec) {
		value := tokens
		if strings.HasSuffix(name, "client-secret") {
			value = secret
		}
		in := map[string]any{"Name": "/acme/" + name, "Value": value, "Type": "SecureString"}
		if err := awsjson.New(config, time.Minute).Call(t.Context(), awsjson.SSM, "PutParameter", in, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// build compiles the functions with the flags of the deployment (cdk/build.go).
func (r *rig) build(t *testing.T) {
	t.Helper()
	args := []string{"build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", r.dir + string(filepath.Separator)}
	for _, name := range functions {
		args = append(args, "./lambdas/"+name)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = engines.Root(t), append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// start runs one function; its requests to AWS pass a listener of its own.
func (r *rig) start(t *testing.T, qemu, name string) *runtimehost.Host {
	t.Helper()
	target, err := url.Parse(r.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }}
	endpoint := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.note(name, req.Header.Get("X-Amz-Target"), body)
		req.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(w, req)
	}))
	cmd := exec.Command(qemu, filepath.Join(r.dir, name))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &log, &log, []string{}
	for k, v := range r.env(name, endpoint) {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	h, err := runtimehost.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		for _, value := range []string{"ada@example.com", "Lovelace", secret, tokens} {
			if strings.Contains(log.String(), value) {
				t.Errorf("%s: a value is in the log", name)
			}
		}
		if t.Failed() {
			t.Logf("%s printed\n%s", name, log.String())
		}
	})
	return h
}

// note remembers which permissions a request needs. A transaction needs those of
// its parts (Amazon DynamoDB developer guide, "IAM and transactions").
func (r *rig) note(function, target string, body []byte) {
	action, ok := strings.CutPrefix(target, "DynamoDB_20120810.")
	if !ok {
		return
	}
	actions := []string{action}
	if action == "TransactWriteItems" {
		var in struct{ TransactItems []map[string]json.RawMessage }
		if json.Unmarshal(body, &in) == nil {
			actions = nil
			for _, item := range in.TransactItems {
				for part := range item {
					actions = append(actions, map[string]string{
						"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem",
					}[part])
				}
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ops[function] == nil {
		r.ops[function] = map[string]bool{}
	}
	for _, a := range actions {
		r.ops[function]["dynamodb:"+a] = true
	}
}
