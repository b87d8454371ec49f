package cloud

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda/messages"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/flow"
	"tandem/spec"
)

// parameters is a Parameters in memory that counts requests.
type parameters struct {
	values map[string]string
	err    error
	asked  [][]string
}

func (p *parameters) GetParameters(_ context.Context, names []string) (map[string]string, error) {
	p.asked = append(p.asked, slices.Clone(names))
	out := map[string]string{}
	for _, n := range names {
		if v, ok := p.values[n]; ok {
			out[n] = v
		}
	}
	return out, p.err
}

func TestSecrets(t *testing.T) {
	ctx, now := t.Context(), time.Unix(0, 0)
	p := &parameters{values: map[string]string{"/acme/a": "1", "/acme/b": "2", "/acme/b-previous": "old"}}
	s := NewSecrets(p, "/acme/", func() time.Time { return now }, "a", "b", "b-previous", "c")

	if v, err := s.Get(ctx, "a"); v != "1" || err != nil {
		t.Fatalf("a is %q, %v", v, err)
	}
	if v, err := s.Valid(ctx, "b"); !slices.Equal(v, []string{"2", "old"}) || err != nil {
		t.Errorf("during a rotation b is %q, %v; want the new and the old", v, err)
	}
	if len(p.asked) != 1 || len(p.asked[0]) != 4 {
		t.Errorf("requests %v, want one for all four", p.asked)
	}
	if _, err := s.Get(ctx, "c"); err == nil || !strings.Contains(err.Error(), "/acme/c; create it") {
		t.Errorf("a missing parameter: %v", err)
	}
	if _, err := s.Get(ctx, "d"); err == nil || len(p.asked) != 1 {
		t.Errorf("a name that is not granted is asked for: %v", err)
	}

	// A refusal asks again, but not twice within the rest.
	p.values["/acme/a"] = "new"
	now = now.Add(secretRest - time.Second)
	if s.Refresh(ctx) {
		t.Error("asked again too soon")
	}
	now = now.Add(time.Second)
	if !s.Refresh(ctx) {
		t.Error("did not ask again after a refusal")
	}
	if v, _ := s.Get(ctx, "a"); v != "new" {
		t.Errorf("after a refresh a is %q", v)
	}

	// An outage of the parameter store within a value's life changes nothing.
	p.err = errors.New("down")
	now = now.Add(secretLife - time.Second)
	if v, err := s.Get(ctx, "a"); v != "new" || err != nil {
		t.Errorf("within its life a is %q, %v", v, err)
	}
	now = now.Add(time.Second)
	if _, err := s.Get(ctx, "a"); err == nil {
		t.Error("a value outlived its life while the store was down")
	}
}

// The store's request is what the service documents, and no error holds a value.
func TestStore(t *testing.T) {
	fails := 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		if r.Header.Get("X-Amz-Target") != "AmazonSSM.GetParameters" || !strings.Contains(r.Header.Get("Authorization"), "/ap-southeast-2/ssm/aws4_request") {
			t.Errorf("headers %v", r.Header)
		}
		if string(raw) != `{"Names":["/acme/a"],"WithDecryption":true}` {
			t.Errorf("body %s", raw)
		}
		if fails--; fails >= 0 {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"com.amazonaws.ssm#ThrottlingException","message":"secret"}`)
			return
		}
		fmt.Fprint(w, `{"Parameters":[{"Name":"/acme/a","Value":"1"}],"InvalidParameters":[]}`)
	}))
	defer server.Close()
	env := map[string]string{"AWS_REGION": "ap-southeast-2", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": server.URL}
	c, err := awsjson.FromEnv(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(c)
	s.api.Pause = time.Millisecond
	if got, err := s.GetParameters(t.Context(), []string{"/acme/a"}); got["/acme/a"] != "1" || err != nil {
		t.Errorf("got %v, %v after two throttled attempts", got, err)
	}
	fails = awsjson.Patience
	if _, err := s.GetParameters(t.Context(), []string{"/acme/a"}); err == nil || !strings.HasSuffix(err.Error(), "400 ThrottlingException") {
		t.Errorf("throttled throughout: %v", err)
	}
}

func TestConfigNeedsWhatLambdaSets(t *testing.T) {
	if _, err := awsjson.FromEnv(func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("an empty environment: %v", err)
	}
}

// Step Functions sees an error's code, also through wrapping, and a name of ours
// for one without.
func TestFailure(t *testing.T) {
	for code := range flow.Codes {
		err := fmt.Errorf("around it: %w", flow.Errorf(code, "why"))
		var got messages.InvokeResponse_Error
		if !errors.As(Failure(err), &got) || got.Type != string(code) {
			t.Errorf("%s arrives as %q", code, got.Type)
		}
	}
	for want, err := range map[string]error{
		"Unexpected": errors.New("a mistake"), "RemoteBusy": fmt.Errorf("reading: %w", context.DeadlineExceeded),
	} {
		var got messages.InvokeResponse_Error
		if !errors.As(Failure(err), &got) || got.Type != want {
			t.Errorf("%v arrives as %q, want %s", err, got.Type, want)
		}
	}
	if Failure(nil) != nil {
		t.Error("success is a failure")
	}
}

func TestMetricsLine(t *testing.T) {
	var out bytes.Buffer
	m := NewMetrics(&out, "acme", func() time.Time { return time.UnixMilli(1700000000000) })
	m.Count("Refused", spec.ToHubSpot, 1)
	m.Count("Beat", "", 1)
	m.CountOf("Polled", spec.ToHubSpot, "contacts", 1)
	want := `{"Client":"acme","Direction":"destination-to-hubspot","Refused":1,"_aws":{"CloudWatchMetrics":[{"Dimensions":[["Client","Direction"]],"Metrics":[{"Name":"Refused","Unit":"Count"}],"Namespace":"Tandem"}],"Timestamp":1700000000000}}
{"Beat":1,"Client":"acme","_aws":{"CloudWatchMetrics":[{"Dimensions":[["Client"]],"Metrics":[{"Name":"Beat","Unit":"Count"}],"Namespace":"Tandem"}],"Timestamp":1700000000000}}
{"Client":"acme","Direction":"destination-to-hubspot","Pair":"contacts","Polled":1,"_aws":{"CloudWatchMetrics":[{"Dimensions":[["Client","Direction","Pair"]],"Metrics":[{"Name":"Polled","Unit":"Count"}],"Namespace":"Tandem"}],"Timestamp":1700000000000}}
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// An HTTP handler behind a Function URL sees the raw body, the whole path, the
// cookies and the caller's true address.
func TestServe(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		cookie, err := r.Cookie("session")
		if err != nil || cookie.Value != "s" || r.URL.RequestURI() != "/c/a%2Fb?x=1" || r.URL.Path != "/c/a/b" || r.RemoteAddr != "[2001:db8::1]:0" || r.Host != "x.example" {
			t.Errorf("%v %s %s %s %s", err, r.URL.RequestURI(), r.URL.Path, r.RemoteAddr, r.Host)
		}
		http.SetCookie(w, &http.Cookie{Name: "one", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "two", Value: "2"})
		w.WriteHeader(http.StatusTeapot)
		w.Write(raw)
	})
	r := events.LambdaFunctionURLRequest{
		RawPath: "/c/a%2Fb", RawQueryString: "x=1", Body: base64.StdEncoding.EncodeToString([]byte("\x00raw")), IsBase64Encoded: true,
		Headers: map[string]string{"x-forwarded-for": "203.0.113.9", "host": "evil.example"}, Cookies: []string{"session=s"},
	}
	r.RequestContext.HTTP.Method, r.RequestContext.HTTP.SourceIP, r.RequestContext.DomainName = "POST", "2001:db8::1", "x.example"
	out, err := Serve(handler)(t.Context(), r)
	if err != nil || out.StatusCode != http.StatusTeapot || len(out.Cookies) != 2 {
		t.Fatalf("%+v, %v", out, err)
	}
	if raw, _ := base64.StdEncoding.DecodeString(out.Body); string(raw) != "\x00raw" {
		t.Errorf("body %q", raw)
	}
	r.Body = "not base64!"
	if out, _ := Serve(handler)(t.Context(), r); out.StatusCode != http.StatusBadRequest {
		t.Errorf("a body that is not base64 gives %d", out.StatusCode)
	}
}

func TestReplyIsJSON(t *testing.T) {
	out := reply(flow.Answer{Status: 401, Problem: "no"})
	var answer flow.Answer
	if err := json.Unmarshal([]byte(out.Body), &answer); err != nil || out.StatusCode != 401 || answer.Problem != "no" {
		t.Errorf("%+v, %v", out, err)
	}
}

// What is scheduled is promised: a poller falls silent at twice its interval.
func TestPromise(t *testing.T) {
	poll := func(every ...time.Duration) *spec.Spec {
		s := &spec.Spec{Pairs: []spec.Pair{{Name: "pushed"}}}
		for _, e := range every {
			s.Pairs = append(s.Pairs, spec.Pair{Destination: spec.Side{Trigger: "poll", Every: spec.Duration{Duration: e}}})
		}
		return s
	}
	listed := poll(time.Minute)
	listed.Pairs[0].Destination.Object = "things"
	listed.Destination.Objects = map[string]spec.Object{"things": {List: &spec.List{}}}
	for _, c := range []struct {
		name string
		spec *spec.Spec
		want time.Duration
	}{
		{"selfcheck", poll(), CheckEvery},
		{"write", poll(time.Minute), 0},
		{"poll", poll(), 0},
		{"poll", poll(time.Minute), time.Minute},
		{"poll", poll(10 * time.Second), time.Minute},
		{"poll", poll(10*time.Minute, 150*time.Second), 2 * time.Minute},
		{"poll", poll(10 * time.Minute), 12 * time.Minute},
		{"reconcile", poll(time.Minute), 0},
		{"reconcile", listed, time.Hour + Flexible},
	} {
		if got := Promise(c.spec, c.name, spec.ToHubSpot); got != c.want {
			t.Errorf("%s of %+v promises %s, want %s", c.name, c.spec.Pairs, got, c.want)
		}
	}
}
