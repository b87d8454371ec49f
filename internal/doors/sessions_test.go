package doors_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/internal/asl"
	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/ledger"
	"tandem/internal/local"
	"tandem/internal/local/engine"
	"tandem/internal/record"
	"tandem/internal/table/embedded"
	"tandem/spec"
	"tandem/statemachines"
)

// session is an open door: deliver hands in one webhook and waits until all it
// started has ended; journeys are what ended since it was last asked.
type session interface {
	deliver(sys record.System, body []byte) (status int)
	journeys() []journey
}

// door opens a session over a rig.
type door struct {
	name string
	open func(*rig) session
}

var doors = []door{
	{"functions", func(r *rig) session { return inProcess(r, chained) }},
	{"interpreter", func(r *rig) session { return inProcess(r, interpreted) }},
	{"http", overHTTP},
}

// process is the flow in this process; run decides who puts its steps in order.
type process struct {
	r       *rig
	flow    *flow.Flow
	ingress *flow.Ingress
	run     runner
	ended   []journey
}

// runner runs one execution to its end.
type runner func(ctx context.Context, f *flow.Flow, d spec.Direction, name string, input json.RawMessage) ran

// ran is an execution that has ended: badly with code, or with the event put off.
type ran struct {
	path     []string
	sections map[string]json.RawMessage
	code     string
	putOff   *flow.Postponed
}

func inProcess(r *rig, run runner) session {
	must := func(err error) {
		if err != nil {
			r.t.Fatal(err)
		}
	}
	s := *r.spec
	s.HubSpot.BaseURL, s.Destination.BaseURL = r.hub.URL, r.dest.URL
	o := hubspot.OptionsFor(&s)
	o.Token = func(context.Context) (string, error) { return "hub-token", nil }
	hub, err := hubspot.New(o)
	must(err)
	dest, err := destination.New(&s, destination.Options{Secrets: func(string) (string, error) { return "dest-token", nil }})
	must(err)
	table, err := embedded.Open("", nil)
	must(err)
	p := &process{r: r, run: run}
	p.flow, err = flow.New(flow.Options{
		Spec: &s, Remotes: map[record.System]flow.Remote{record.HubSpot: hub, record.Destination: dest},
		Ledger: &ledger.Ledger{Table: table, Client: s.Client, Now: time.Now},
		Seals:  &flow.Sealer{Secrets: func(sys record.System) ([]string, error) { return secrets[string(sys)+"-client-secret"], nil }},
	})
	must(err)
	hubReceiver, err := hubspot.NewReceiver(func() []string { return secrets["hubspot-client-secret"] }, s.HubSpot.PortalID, hubspot.PropertyTypes(&s), nil)
	must(err)
	destReceiver, err := destination.NewReceiver(&s, secrets["destination-client-secret"]...)
	must(err)
	p.ingress = &flow.Ingress{
		Flow: p.flow, Lanes: 1, Starter: p, Dropped: p.dropped,
		Receivers: map[record.System]flow.Receiver{record.HubSpot: hubReceiver, record.Destination: destReceiver},
	}
	return p
}

func (p *process) deliver(sys record.System, body []byte) int {
	d := signed(sys, "https://tandem.example/webhooks/"+string(sys), body)
	return p.ingress.Deliver(p.r.t.Context(), sys, d).Status
}

func (p *process) journeys() []journey {
	out := p.ended
	p.ended = nil
	return out
}

// Start implements flow.Starter: the execution runs at once, to its end, and so
// does the one that goes on when the event was put off.
func (p *process) Start(ctx context.Context, d spec.Direction, name string, input json.RawMessage) error {
	var s flow.State
	if err := json.Unmarshal(input, &s); err != nil {
		return err
	}
	got := p.run(ctx, p.flow, d, name, input)
	p.ended = append(p.ended, journeyOf(p.r.spec, name, s.Event, got))
	if got.putOff == nil {
		return nil
	}
	name, input, err := got.putOff.Next()
	if err != nil {
		return err
	}
	return p.Start(ctx, got.putOff.Machine, name, input)
}

// journeyOf tells of an execution called name.
func journeyOf(s *spec.Spec, name string, e flow.Envelope, got ran) journey {
	j := journey{record: object(s, e), again: strings.TrimPrefix(name, e.Name), path: got.path, sections: got.sections}
	var plan flow.Plan
	switch {
	case got.putOff != nil:
		j.outcome = deferred
	case got.code != "":
		j.outcome = told("dead", "", got.code)
	case json.Unmarshal(got.sections["lookup"], &plan) == nil:
		kind, reason := plan.Outcome()
		j.outcome = told(string(kind), reason, "")
	}
	return j
}

func (p *process) dropped(e flow.Envelope, o ledger.Outcome) {
	p.ended = append(p.ended, journey{record: object(p.r.spec, e), outcome: told(string(o.Kind), o.Reason, "")})
}

// interpreted runs the shipped machine on a clock that waits for nothing.
func interpreted(ctx context.Context, f *flow.Flow, d spec.Direction, name string, input json.RawMessage) ran {
	m, err := asl.Parse(statemachines.Definition(string(d)))
	if err != nil {
		return ran{code: err.Error()}
	}
	t := tasks{f: f}
	res := m.Run(ctx, asl.Execution{Name: name, ID: name, Input: input}, asl.Env{Clock: hurried{}, Tasks: &t})
	return ran{path: res.Path, sections: sectionsOf(res), code: res.Error, putOff: t.putOff}
}

// sectionsOf are what the steps of a run have answered, by their names.
func sectionsOf(res asl.Result) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for _, step := range res.Steps {
		if len(step.Result) > 0 && slices.Contains(flow.Steps, step.State) {
			all[strings.ToLower(step.State)] = step.Result
		}
	}
	return all
}

// hurried is a clock on which waiting takes no time.
type hurried struct{}

func (hurried) Now() time.Time { return time.Now() }

func (hurried) Sleep(context.Context, time.Duration) error { return nil }

func (hurried) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// tasks are the machine's lambdas and its queues.
type tasks struct {
	f      *flow.Flow
	putOff *flow.Postponed
}

func (t *tasks) Invoke(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error) {
	if strings.HasSuffix(resource, ":sqs:sendMessage") {
		var m message
		err := json.Unmarshal(input, &m)
		if err == nil && m.later() {
			t.putOff = new(flow.Postponed)
			err = json.Unmarshal(m.MessageBody, t.putOff)
		}
		return json.RawMessage(`{"MessageId":"1"}`), err
	}
	var s flow.State
	if err := json.Unmarshal(input, &s); err != nil {
		return nil, err
	}
	section, err := t.f.Handle(ctx, strings.TrimSuffix(strings.TrimPrefix(resource, "${"), "Arn}"), s)
	if err != nil {
		return nil, &asl.Failure{Name: string(flow.CodeOf(err)), Cause: err.Error()}
	}
	return json.Marshal(section)
}

// served is a server of `tandem run`, spoken to over HTTP only.
type served struct {
	r     *rig
	base  string
	since string
}

func overHTTP(r *rig) session {
	server, err := local.Open(local.Options{Spec: r.spec, Secrets: secrets, HubSpotURL: r.hub.URL, DestinationURL: r.dest.URL, Data: r.t.TempDir(),
		Wait: func(time.Duration) time.Duration { return 0 }})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := server.Run(ctx); err != nil && err != http.ErrServerClosed {
			r.t.Errorf("the server ended with: %v", err)
		}
	})
	r.t.Cleanup(func() { cancel(); work.Wait() })
	return &served{r: r, base: server.URL(), since: "0"}
}

func (s *served) deliver(sys record.System, body []byte) int {
	d := signed(sys, s.base+"/webhooks/"+string(sys), body)
	req, err := http.NewRequest(d.Method, d.URL, bytes.NewReader(body))
	if err != nil {
		s.r.t.Fatal(err)
	}
	for name, value := range d.Header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.r.t.Fatal(err)
	}
	resp.Body.Close()
	for !s.quiet() {
		time.Sleep(time.Millisecond)
	}
	return resp.StatusCode
}

func (s *served) quiet() bool {
	var status struct{ Quiet bool }
	s.get("/api/status", &status)
	return status.Quiet
}

func (s *served) get(path string, to any) {
	resp, err := http.Get(s.base + path)
	if err != nil {
		s.r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(body, to)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		s.r.t.Fatalf("GET %s: %d %s %v", path, resp.StatusCode, body, err)
	}
}

func (s *served) journeys() (out []journey) {
	var page struct {
		Outcomes []engine.Outcome
		Next     json.Number
	}
	s.get("/api/outcomes?since="+s.since, &page)
	s.since = page.Next.String()
	for _, o := range page.Outcomes {
		event, _, _ := strings.Cut(o.Execution, "-later-")
		for n, name := 1, event; name != o.Execution; n++ {
			j := journey{record: o.Object + "/" + o.ID, again: strings.TrimPrefix(name, event), outcome: deferred}
			s.trace(name, &j)
			out = append(out, j)
			name = event + "-later-" + strconv.Itoa(n)
		}
		j := journey{record: o.Object + "/" + o.ID, again: strings.TrimPrefix(o.Execution, event), outcome: told(string(o.Kind), o.Reason, o.Code)}
		s.trace(o.Execution, &j)
		out = append(out, j)
	}
	return out
}

// trace reads an execution's states; an event that ended at the door has none.
func (s *served) trace(execution string, j *journey) {
	resp, err := http.Get(s.base + "/api/executions/" + execution)
	if err != nil {
		s.r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return
	}
	var trace engine.Trace
	if err := json.NewDecoder(resp.Body).Decode(&trace); err != nil {
		s.r.t.Fatal(err)
	}
	j.sections = map[string]json.RawMessage{}
	for _, step := range trace.Steps {
		j.path = append(j.path, step.State)
		for name, section := range split(step.Output) {
			j.sections[name] = section
		}
	}
}
