package runtimehost_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/engines"
	"tandem/internal/flow"
	"tandem/internal/record"
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

// sealed is the event of a changed contact, as the webhook function makes it.
func (r *rig) sealed(t *testing.T, id string) flow.State {
	t.Helper()
	s := &flow.Sealer{Secrets: sealSecrets}
	e, err := s.Seal(flow.Envelope{
		Client: "acme", Direction: spec.ToDestination, Pair: "contacts", ID: id, Kind: flow.Changed,
		Name: "acme-contacts-" + id, At: time.Now().UnixMilli(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return flow.State{Event: e}
}

// step runs one function on the machine's state and adds its section.
func step[T any](t *testing.T, r *rig, name string, s flow.State, section **T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	*section = new(T)
	if err := r.hosts[name].Invoke(ctx, s, *section); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// journey takes a contact through all states.
func (r *rig) journey(t *testing.T, id string) flow.State {
	t.Helper()
	s := r.sealed(t, id)
	step(t, r, "verify", s, &s.Verify)
	step(t, r, "transform", s, &s.Transform)
	step(t, r, "lookup", s, &s.Lookup)
	if s.Lookup.Act == flow.ActWrite {
		step(t, r, "write", s, &s.Write)
	}
	if s.Lookup.Act != flow.ActDrop {
		step(t, r, "stamp", s, &s.Stamp)
	}
	return s
}

// The bytes that ship, for arm64, run each through its cases.
func TestBootstraps(t *testing.T) {
	r := newRig(t)
	ada, err := r.portal.Create(portal.Person, "contacts", map[string]string{"email": "ada@example.com", "firstname": "Ada", "lastname": "Lovelace"})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a create", func(t *testing.T) {
		s := r.journey(t, ada.ID)
		found, err := r.company.Find("customers", "email", "ada@example.com")
		if err != nil || len(found) != 1 || found[0].Fields["name"] != "Ada Lovelace" || s.Stamp == nil {
			t.Errorf("customers %v, %v after %+v", found, err, s.Lookup)
		}
	})
	t.Run("an echo", func(t *testing.T) {
		if s := r.journey(t, ada.ID); s.Lookup.Act != flow.ActDrop {
			t.Errorf("a second look at the same record decides %s", s.Lookup.Act)
		}
	})
	t.Run("an update", func(t *testing.T) {
		if _, err := r.portal.Update(portal.Person, "contacts", ada.ID, "", map[string]string{"lastname": "King"}); err != nil {
			t.Fatal(err)
		}
		r.journey(t, ada.ID)
		if found, err := r.company.Find("customers", "email", "ada@example.com"); err != nil || len(found) != 1 || found[0].Fields["last_name"] != "King" {
			t.Errorf("customers %v, %v", found, err)
		}
	})
	t.Run("an echo at the webhook", func(t *testing.T) {
		var answer struct {
			StatusCode int    `json:"statusCode"`
			Body       string `json:"body"`
		}
		if err := r.hosts["webhook"].Invoke(t.Context(), r.delivery(), &answer); err != nil {
			t.Fatal(err)
		}
		var said flow.Answer
		if err := json.Unmarshal([]byte(answer.Body), &said); err != nil || answer.StatusCode != http.StatusOK || said.Dropped != 1 || said.Started != 0 {
			t.Errorf("%+v, %v", answer, err)
		}
	})
	t.Run("a broken seal", func(t *testing.T) {
		s := r.sealed(t, ada.ID)
		s.Event.ID = "2"
		r.fails(t, "verify", s, flow.BadSeal)
	})
	t.Run("a missing record", func(t *testing.T) { r.fails(t, "transform", r.sealed(t, "999999"), flow.RecordMissing) })
	t.Run("grants", func(t *testing.T) { r.granted(t) })
}

// delivery is what was told of the contact's e-mail, in one signed delivery, as
// Lambda hands a Function URL's request to its function.
func (r *rig) delivery() map[string]any {
	events := slices.DeleteFunc(r.portal.Events(), func(e portal.Event) bool { return e.PropertyName != "email" })
	d := r.portal.Delivery(secret, "https://webhook.example/hubspot", events, 0)
	return map[string]any{
		"version": "2.0", "rawPath": "/hubspot", "headers": d.Header, "body": string(d.Body),
		"requestContext": map[string]any{"domainName": "webhook.example", "http": map[string]any{"method": d.Method, "sourceIp": "192.0.2.1"}},
	}
}

// fails wants an error that Step Functions sees by its code.
func (r *rig) fails(t *testing.T, name string, s flow.State, want flow.Code) {
	t.Helper()
	var e *runtimehost.Error
	if err := r.hosts[name].Invoke(t.Context(), s, &struct{}{}); !errors.As(err, &e) || e.Type != string(want) {
		t.Errorf("%s: %v, want %s", name, err, want)
	}
}

// granted holds the requests that were seen against what the stack allows, as
// its reviewed inventory lists it (cdk/testdata/client.golden).
func (r *rig) granted(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(engines.Root(t), "cdk/testdata/client.golden"))
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range []string{"webhook", "lookup", "stamp"} {
		if len(r.ops[name]) == 0 {
			t.Errorf("%s sent nothing to the table: this test sees nothing", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.ops)) {
		_, section, ok := strings.Cut(string(raw), "# function sample-hubspot-to-destination-"+name+",")
		section, _, _ = strings.Cut(section, "\n\n")
		if !ok {
			t.Errorf("the inventory has no function %s", name)
		}
		for action := range r.ops[name] {
			if !strings.Contains(section, "\n"+action+" on Table\n") {
				t.Errorf("%s sends %s, which it is not granted", name, action)
			}
		}
		t.Logf("%s used %v", name, slices.Sorted(maps.Keys(r.ops[name])))
	}
}

func sealSecrets(record.System) ([]string, error) { return []string{secret}, nil }
