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
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/engines"
	"tandem/internal/record"
	"tandem/internal/runtimehost"
	"tandem/internal/table/dynamo"
	"tandem/spec"
)

// fleet is every function of a client, each running once for all runs; what
// changes from run to run, systems and table, changes behind fixed addresses.
type fleet struct {
	t     *testing.T
	qemu  string
	dir   string
	store *url.URL // where DynamoDB is
	slack string
	hosts map[string]*runtimehost.Host

	log       output
	mu        sync.Mutex
	hub, dest http.Handler
	starts    []start
	letter    string                     // a message in the dead-letter queue
	keys      map[string]map[string]bool // by function of the Centre: keys of the client's table
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

func (m message) later() bool { return m.QueueURL == "${LaterUrl}" }

// start is a call of StartExecution.
type start struct{ StateMachineArn, Name, Input string }

func newFleet(t *testing.T) *fleet {
	f := &fleet{
		t: t, qemu: engines.Command(t, "qemu-aarch64", "install it (Debian: apt-get install qemu-user)"),
		dir: t.TempDir(), hosts: map[string]*runtimehost.Host{}, used: map[string]map[string]bool{}, keys: map[string]map[string]bool{},
	}
	var err error
	if f.store, err = url.Parse(engines.DynamoDBLocal(t)); err != nil {
		t.Fatal(err)
	}
	f.slack = f.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	f.build()
	return f
}

func (f *fleet) serve(h http.Handler) string {
	server := httptest.NewServer(h)
	f.t.Cleanup(server.Close)
	return server.URL
}

// build compiles all functions with the flags of the deployment (cdk/build.go).
func (f *fleet) build() {
	args := []string{"build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", f.dir + string(filepath.Separator), "./lambdas/..."}
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
			f.parameters(w, body)
		case "AWSStepFunctions.StartExecution":
			f.started(w, body)
		case "AmazonSQS.GetQueueAttributes", "AmazonSQS.ReceiveMessage", "AmazonSQS.ChangeMessageVisibilityBatch":
			f.queue(w, target)
		default:
			(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(f.store) }}).ServeHTTP(w, r)
		}
	})
}

func (f *fleet) parameters(w io.Writer, body []byte) {
	var in struct{ Names []string }
	_ = json.Unmarshal(body, &in) // what cannot be read asks for nothing
	var out struct{ Parameters []map[string]string }
	for _, name := range in.Names {
		value := parameter(strings.TrimPrefix(name, "/acme/"))
		if name == names.CentrePrefix+names.Slack {
			value = f.slack
		}
		if value != "" {
			out.Parameters = append(out.Parameters, map[string]string{"Name": name, "Value": value})
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

// queue is the dead-letter queue with one letter in it, until that is looked at.
func (f *fleet) queue(w io.Writer, target string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case target == "AmazonSQS.GetQueueAttributes":
		_, _ = io.WriteString(w, `{"Attributes":{"ApproximateNumberOfMessages":"1"}}`)
	case target == "AmazonSQS.ReceiveMessage" && f.letter != "":
		message := map[string]any{"ReceiptHandle": "r", "Body": f.letter, "Attributes": map[string]string{"SentTimestamp": strconv.FormatInt(time.Now().UnixMilli(), 10)}}
		_ = json.NewEncoder(w).Encode(map[string]any{"Messages": []any{message}})
		f.letter = ""
	default:
		_, _ = io.WriteString(w, "{}")
	}
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
	return map[string]string{names.CentreSecret: "a-secret-for-beats-only", names.CentrePrefix + names.Login: "correct horse battery staple"}[name]
}

// env is a function's environment, as the stack and Lambda set it. The ARN of a
// machine is the direction's name.
func env(endpoint string, d spec.Direction, name string) map[string]string {
	e := map[string]string{
		"AWS_REGION": "ap-southeast-2", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_ENDPOINT_URL": endpoint,
		"AWS_LAMBDA_FUNCTION_NAME": "acme-" + name, names.Client: "acme", names.Table: "acme", names.SecretsPrefix: "/acme/",
		names.DeadLetters: "queue", names.SpecHash: "0123456789ab", names.Clients: "acme", names.DashboardURL: "https://centre.example/",
	}
	if slices.Contains(agency, name) {
		e[names.Table] = names.CentreName
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
		err = errors.Join(dynamo.Ensure(r.t.Context(), api, "acme"), dynamo.Ensure(r.t.Context(), api, names.CentreName))
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
	key := inventoryName(d, name)
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

// inventoryName is what cdk/testdata/*.golden calls a function; the client there is
// called sample.
func inventoryName(d spec.Direction, name string) string {
	switch {
	case slices.Contains(agency, name):
		return names.CentreName + "-" + name
	case d == "":
		return "sample-" + name
	}
	return "sample-" + string(d) + "-" + name
}

// agency are the Notification Centre's functions.
var agency = []string{"beat", "watch", "dashboard", "alarm"}
