package doors_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

	"golang.org/x/tools/txtar"

	"tandem/internal/asl"
	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/engines"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/runtimehost"
	"tandem/internal/table/dynamo"
	"tandem/spec"
	"tandem/statemachines"
)

// The fourth door is what is deployed: the bootstraps for arm64 in an emulator,
// over AWS's own DynamoDB Local, put in order by the shipped machines.
func TestBootstraps(t *testing.T) {
	if testing.Short() {
		t.Skip("builds functions for arm64 and emulates them")
	}
	f := newFleet(t)
	t.Run("what a schedule and a queue call", f.scheduled)
	t.Run("refusals", f.refusals)
	runs, err := filepath.Glob("../../testdata/runs/*/*.txtar")
	if err != nil || len(runs) == 0 {
		t.Fatalf("no recorded runs: %v", err)
	}
	for _, file := range runs {
		from := spec.Direction(filepath.Base(filepath.Dir(file)))
		t.Run(string(from)+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			run, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, run.Files[2:], through(t, door{"bootstraps", f.open}, run, from.Source()))
		})
	}
	t.Run("grants", f.granted)
}

// fleet is every function of a client, each running once for all runs; what
// changes from run to run, systems and table, changes behind fixed addresses.
type fleet struct {
	t     *testing.T
	qemu  string
	dir   string
	store *url.URL // where DynamoDB is
	hosts map[string]*runtimehost.Host
	sent  []message // by the machines, of this run

	log       output
	mu        sync.Mutex
	hub, dest http.Handler
	starts    []start
	used      map[string]map[string]bool // by function, as the inventory names it: permissions its requests need
}

// output is what the functions have printed; several write at once.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// take is what has been printed since it was last asked.
func (o *output) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.text.Reset()
	return o.text.String()
}

// message is what a machine sends to a queue.
type message struct {
	QueueURL    string `json:"QueueUrl"`
	MessageBody json.RawMessage
}

// start is a call of StartExecution.
type start struct{ StateMachineArn, Name, Input string }

func newFleet(t *testing.T) *fleet {
	f := &fleet{
		t: t, qemu: engines.Command(t, "qemu-aarch64", "install it (Debian: apt-get install qemu-user)"),
		dir: t.TempDir(), hosts: map[string]*runtimehost.Host{}, used: map[string]map[string]bool{},
	}
	var err error
	if f.store, err = url.Parse(engines.DynamoDBLocal(t)); err != nil {
		t.Fatal(err)
	}
	f.build("webhook", "poll", "reconcile", "later", "verify", "transform", "lookup", "write", "stamp")
	return f
}

func (f *fleet) serve(h http.Handler) string {
	server := httptest.NewServer(h)
	f.t.Cleanup(server.Close)
	return server.URL
}

// build compiles functions with the flags of the deployment (cdk/build.go).
func (f *fleet) build(functions ...string) {
	args := []string{"build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", f.dir + string(filepath.Separator)}
	for _, name := range functions {
		args = append(args, "./lambdas/"+name)
	}
	cmd := exec.CommandContext(f.t.Context(), "go", args...)
	cmd.Dir, cmd.Env = engines.Root(f.t), append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
}

// amazon is AWS as one function sees it: parameters and machines are played, the
// table is DynamoDB Local's. It writes down what the function must be allowed to.
func (f *fleet) amazon(function string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		target := r.Header.Get("X-Amz-Target")
		f.note(function, target, body)
		switch target {
		case "AmazonSSM.GetParameters":
			parameters(w, body)
		case "AWSStepFunctions.StartExecution":
			f.started(w, body)
		default:
			(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(f.store) }}).ServeHTTP(w, r)
		}
	})
}

func parameters(w io.Writer, body []byte) {
	var in struct{ Names []string }
	_ = json.Unmarshal(body, &in) // what cannot be read asks for nothing
	var out struct{ Parameters []map[string]string }
	for _, name := range in.Names {
		if value := parameter(strings.TrimPrefix(name, "/acme/")); value != "" {
			out.Parameters = append(out.Parameters, map[string]string{"Name": name, "Value": value})
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (f *fleet) started(w io.Writer, body []byte) {
	var in start
	_ = json.Unmarshal(body, &in) // what cannot be read fails when it is executed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starts = append(f.starts, in)
	_, _ = io.WriteString(w, `{"executionArn":"arn","startDate":0}`)
}

// taken are the executions that were started since it was last asked.
func (f *fleet) taken() []start {
	f.mu.Lock()
	defer f.mu.Unlock()
	starts := f.starts
	f.starts = nil
	return starts
}

// parameter is a parameter's value, "" for one that does not exist.
func parameter(name string) string {
	if values := secrets[name]; len(values) > 0 {
		return values[0]
	}
	if sys, ok := strings.CutSuffix(name, "-webhook-url"); ok {
		return "https://webhook.example/" + sys
	}
	return map[string]string{names.CentreSecret: "unused"}[name]
}

// env is a function's environment, as the stack and Lambda set it. The ARN of a
// machine is the direction's name.
func env(endpoint string, d spec.Direction, name string) map[string]string {
	e := map[string]string{
		"AWS_REGION": "ap-southeast-2", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_ENDPOINT_URL": endpoint,
		"AWS_LAMBDA_FUNCTION_NAME": "acme-" + name, names.Client: "acme", names.Table: "acme", names.SecretsPrefix: "/acme/",
		names.SpecHash: "0123456789ab",
	}
	if d != "" {
		e[names.Direction], e[names.MachineARN] = string(d), string(d)
		return e
	}
	for _, d := range []spec.Direction{spec.ToDestination, spec.ToHubSpot} {
		e[names.Machine(d)] = string(d)
	}
	return e
}

// getenv is what this test itself reaches the table with.
func (f *fleet) getenv(name string) string { return env(f.store.String(), "", "")[name] }

// open is the door: it puts a run's systems and an empty table behind the functions.
func (f *fleet) open(r *rig) session {
	f.mu.Lock()
	f.hub, f.dest, f.starts = r.hub.Config.Handler, r.dest.Config.Handler, nil
	f.sent = nil
	f.mu.Unlock()
	f.describe(r.spec)
	api, err := dynamo.Client(f.getenv)
	if err == nil {
		err = f.table("DeleteTable", nil)
		if awsjson.Is(err, "ResourceNotFoundException") {
			err = nil
		}
	}
	if err == nil {
		err = dynamo.Ensure(r.t.Context(), api, "acme")
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		printed := f.log.take()
		for _, value := range []string{"@example.com", "hub-secret", "hub-token", "dest-secret", "dest-token"} {
			if strings.Contains(printed, value) {
				r.t.Errorf("a log line holds %s", value)
			}
		}
		if r.t.Failed() {
			r.t.Logf("the functions printed\n%s", printed)
		}
	})
	return &deployed{fleet: f, r: r}
}

// describe writes the spec beside the bootstraps, before the first of them starts.
func (f *fleet) describe(of *spec.Spec) {
	if len(f.hosts) > 0 {
		return
	}
	s := *of
	s.HubSpot.BaseURL = f.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.system(record.HubSpot).ServeHTTP(w, r) }))
	s.Destination.BaseURL = f.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.system(record.Destination).ServeHTTP(w, r) }))
	text, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(filepath.Join(f.dir, names.SpecName), text, 0o600)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) system(s record.System) http.Handler {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s == record.HubSpot {
		return f.hub
	}
	return f.dest
}

// table asks DynamoDB for an operation on the client's table.
func (f *fleet) table(operation string, out any) error {
	config, err := awsjson.FromEnv(f.getenv)
	if err != nil {
		return err
	}
	return awsjson.New(config, time.Minute).Call(f.t.Context(), awsjson.DynamoDB, operation, map[string]any{"TableName": "acme"}, out)
}

// invoke calls a function, which is started when it is first needed.
func (f *fleet) invoke(ctx context.Context, d spec.Direction, name string, event, out any) error {
	key := "sample-" + name // the inventory's client is called sample
	if d != "" {
		key = "sample-" + string(d) + "-" + name
	}
	if f.hosts[key] == nil {
		cmd := exec.Command(f.qemu, filepath.Join(f.dir, name))
		cmd.Env, cmd.Stdout, cmd.Stderr = []string{}, &f.log, &f.log
		for k, v := range env(f.serve(f.amazon(key)), d, name) {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		host, err := runtimehost.Start(cmd)
		if err != nil {
			return err
		}
		f.hosts[key] = host
		f.t.Cleanup(func() { _ = host.Close() })
	}
	return f.hosts[key].Invoke(ctx, event, out)
}

// deployed is a session with the fleet.
type deployed struct {
	fleet *fleet
	r     *rig
	ended []journey
	seen  map[string]bool // names of executions that were told of
}

func (d *deployed) deliver(sys record.System, body []byte) int {
	q := signed(sys, parameter(names.WebhookURL(sys)), body)
	var answer struct{ StatusCode int }
	err := d.fleet.invoke(d.r.t.Context(), spec.From(sys), "webhook", map[string]any{
		"version": "2.0", "rawPath": "/" + string(sys), "headers": q.Header, "body": string(body),
		"requestContext": map[string]any{"domainName": "webhook.example", "http": map[string]any{"method": q.Method}},
	}, &answer)
	if err != nil {
		d.r.t.Fatal(err)
	}
	for _, s := range d.fleet.taken() {
		d.execute(s)
	}
	return answer.StatusCode
}

// execute runs an execution through the shipped machine, to its end.
func (d *deployed) execute(s start) {
	way := spec.Direction(s.StateMachineArn)
	var input flow.State
	m, err := asl.Parse(statemachines.Definition(string(way)))
	if err = errors.Join(err, json.Unmarshal([]byte(s.Input), &input)); err != nil {
		d.r.t.Fatal(err)
	}
	res := m.Run(d.r.t.Context(), asl.Execution{Name: s.Name, ID: s.Name, Input: json.RawMessage(s.Input)}, asl.Env{Clock: patient{}, Tasks: emulated{d.fleet, way}})
	j := journey{record: object(d.r.spec, input.Event), path: res.Path, sections: sectionsOf(res), outcome: told("dead", "", res.Error)}
	var plan flow.Plan
	if res.Error == "" && json.Unmarshal(j.sections["lookup"], &plan) == nil {
		kind, reason := plan.Outcome()
		j.outcome = told(string(kind), reason, "")
	}
	d.ended = append(d.ended, j)
	d.told(s.Name)
}

func (d *deployed) told(execution string) (before bool) {
	if d.seen == nil {
		d.seen = map[string]bool{}
	}
	before, d.seen[execution] = d.seen[execution], true
	return before
}

// journeys adds what the webhook has ended by itself, whose outcome is in the table.
func (d *deployed) journeys() []journey {
	var out struct {
		Items []map[string]struct{ S string }
	}
	if err := d.fleet.table("Scan", &out); err != nil {
		d.r.t.Fatal(err)
	}
	for _, item := range out.Items {
		key := strings.Split(item["pk"].S, "#")
		var o ledger.Outcome
		if key[0] == "OUT" && json.Unmarshal([]byte(item["outcome"].S), &o) == nil && !d.told(o.Execution) {
			d.ended = append(d.ended, journey{record: key[2] + "/" + key[3], outcome: told(string(o.Kind), o.Reason, "")})
		}
	}
	ended := d.ended
	d.ended = nil
	return ended
}

// patient is a clock on which waiting takes no time and nothing is too late: an
// emulated function is slow, and slower on a busy machine.
type patient struct{ hurried }

func (patient) WithTimeout(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// emulated are a machine's functions and its queues.
type emulated struct {
	fleet *fleet
	way   spec.Direction
}

func (e emulated) Invoke(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error) {
	if strings.HasSuffix(resource, ":sqs:sendMessage") {
		var m message
		err := json.Unmarshal(input, &m)
		e.fleet.sent = append(e.fleet.sent, m)
		return json.RawMessage(`{"MessageId":"1"}`), err
	}
	var out json.RawMessage
	err := e.fleet.invoke(ctx, e.way, strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(resource, "${"), "Arn}")), input, &out)
	var failed *runtimehost.Error
	if errors.As(err, &failed) {
		return nil, &asl.Failure{Name: failed.Type, Cause: failed.Message}
	}
	return out, err
}
