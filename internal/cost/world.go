package cost

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"tandem/internal/asl"
	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/ledger"
	"tandem/internal/limit"
	"tandem/internal/record"
	"tandem/internal/table/embedded"
	"tandem/spec"
	"tandem/statemachines"
)

// world is one client's deployment without AWS: a flow for each function, since
// no two share a process, over one table that counts and two systems in memory.
type world struct {
	Assumptions
	spec *spec.Spec
	now  time.Time // the clock of records and executions
	// traffic is the clock of the rate limits: records come PerDelivery at once, each
	// to a copy of the functions of its own.
	traffic  time.Time
	table    *meter
	remotes  map[record.System]*remote
	flows    map[string]*flow.Flow
	limiters map[string]*limit.Limiter
	machines map[spec.Direction]*asl.Machine

	function string // the one that runs
	requests int    // to remote systems, by that one
	started  func() // the execution that the door has accepted
	calls    []invocation
	usage    Usage
	last     asl.Result
	putOff   flow.Postponed // the last message to a queue
}

// functions are those that an event passes: the door, then the states.
func functions() []string {
	all := []string{"webhook"}
	for _, step := range flow.Steps {
		all = append(all, strings.ToLower(step))
	}
	return all
}

func newWorld(s *spec.Spec, a Assumptions) (*world, error) {
	w := &world{
		Assumptions: a, spec: s, now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC),
		flows: map[string]*flow.Flow{}, limiters: map[string]*limit.Limiter{}, machines: map[spec.Direction]*asl.Machine{},
	}
	w.traffic = w.now
	t, err := embedded.Open("", w.Now)
	if err != nil {
		return nil, err
	}
	w.table = &meter{Table: t}
	if err := w.systems(); err != nil {
		return nil, err
	}
	for _, name := range statemachines.Names() {
		if w.machines[spec.Direction(name)], err = asl.Parse(statemachines.Definition(name)); err != nil {
			return nil, err
		}
	}
	for _, name := range functions() {
		if w.flows[name], err = flow.New(w.options(name)); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// systems makes the two systems, with the abilities that the real clients have.
func (w *world) systems() error {
	o := hubspot.OptionsFor(w.spec)
	o.Token = func(context.Context) (string, error) { return "", nil }
	hub, err := hubspot.New(o)
	if err != nil {
		return err
	}
	dest, err := destination.New(w.spec, destination.Options{Secrets: func(string) (string, error) { return "", nil }})
	if err != nil {
		return err
	}
	w.remotes = map[record.System]*remote{
		record.HubSpot:     {world: w, system: record.HubSpot, abilities: hub.Abilities, rows: map[string]record.Record{}},
		record.Destination: {world: w, system: record.Destination, abilities: dest.Abilities, rows: map[string]record.Record{}},
	}
	return nil
}

func (w *world) options(function string) flow.Options {
	return flow.Options{
		Spec: w.spec, Now: w.Now,
		Remotes: map[record.System]flow.Remote{record.HubSpot: w.remotes[record.HubSpot], record.Destination: w.remotes[record.Destination]},
		Ledger:  &ledger.Ledger{Table: w.table, Client: w.spec.Client, Now: w.Now},
		Seals:   &flow.Sealer{Secrets: func(record.System) ([]string, error) { return []string{"secret"}, nil }},
		Log:     slog.New(slog.NewJSONHandler(w, nil)).With("function", function),
	}
}

// Write implements io.Writer for the functions' log.
func (w *world) Write(line []byte) (int, error) {
	w.usage.LogBytes += float64(len(line) - 1 + perRecord)
	return len(line), nil
}

// Now, Sleep and WithTimeout implement asl.Clock: waiting takes no time.
func (w *world) Now() time.Time { return w.now }

// Sleep implements asl.Clock.
func (w *world) Sleep(_ context.Context, d time.Duration) error {
	w.now = w.now.Add(d)
	return nil
}

// WithTimeout implements asl.Clock.
func (w *world) WithTimeout(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}

// ask counts one request to a system, which takes from its shared budget first.
func (w *world) ask(ctx context.Context, sys record.System, body int) error {
	w.requests++
	if w.remotes[sys].down {
		return flow.Errorf(flow.RemoteBusy, "no connection could be made")
	}
	w.usage.EgressBytes += float64(body + headBytes)
	budget := w.spec.HubSpot.RateLimit
	if sys == record.Destination {
		budget = w.spec.Destination.RateLimit
	}
	key := w.function + " " + string(sys)
	if w.limiters[key] == nil {
		l, err := limit.New(limit.Options{Table: w.table, System: sys, Budget: budget, Now: func() time.Time { return w.traffic }})
		if err != nil {
			return err
		}
		w.limiters[key] = l
	}
	return w.limiters[key].Wait(ctx)
}

// Invoke implements asl.Invoker: a function, or the dead-letter queue.
func (w *world) Invoke(ctx context.Context, resource string, in json.RawMessage) (json.RawMessage, error) {
	w.calls = append(w.calls, invocation{resource, in})
	if strings.HasPrefix(resource, "arn:aws:states:::sqs") {
		w.usage.Messages++
		var m struct{ MessageBody flow.Postponed }
		if err := json.Unmarshal(in, &m); err != nil {
			return nil, err
		}
		w.putOff = m.MessageBody
		return json.RawMessage(`{"MD5OfMessageBody":"fafb00f5732ab283681e124bf8747ed1","MessageId":"5fea7756-0ea4-451a-a703-a558b933e274"}`), nil
	}
	step := strings.TrimSuffix(strings.TrimPrefix(resource, "${"), "Arn}")
	var s flow.State
	if err := json.Unmarshal(in, &s); err != nil {
		return nil, err
	}
	var section any
	var err error
	w.run(strings.ToLower(step), func(f *flow.Flow) { section, err = f.Handle(ctx, step, s) })
	if err != nil {
		return nil, &asl.Failure{Name: string(flow.CodeOf(err)), Cause: err.Error()}
	}
	return json.Marshal(section)
}

// run is one invocation of a state's function.
func (w *world) run(function string, do func(*flow.Flow)) {
	asked := w.table.requests
	w.function, w.requests = function, 0
	do(w.flows[function])
	d := w.billed(function, w.requests, w.table.requests-asked)
	w.usage.Invocations++
	w.usage.GBSeconds += gbSeconds(function, d)
	w.now = w.now.Add(d + w.Transition)
}

// Start implements flow.Starter: the execution is run when the door has closed.
func (w *world) Start(_ context.Context, d spec.Direction, name string, in json.RawMessage) error {
	w.started = func() { w.execute(d, name, in) }
	return nil
}

// execute runs one execution to its end.
func (w *world) execute(d spec.Direction, name string, in json.RawMessage) {
	w.calls = nil
	w.last = w.machines[d].Run(context.Background(), asl.Execution{Name: name, ID: name, Input: in}, asl.Env{Clock: w, Tasks: w})
	machine := w.spec.Client + "-" + string(d)
	l := traceOf(machine, name, in, w.last, w.calls, true)
	w.usage.Executions++
	w.usage.ExpressSeconds += expressSeconds(w.last.End.Sub(w.last.Start))
	w.usage.TraceBytes += float64(l.bytes)
	w.usage.ErrorBytes += float64(l.errors)
	if w.spec.Trace.XRay {
		w.usage.Traces++
	}
}

// pass lets the time go by that lies between two deliveries.
func (w *world) pass() {
	w.traffic = w.traffic.Add(month / time.Duration(w.Records) * time.Duration(w.PerDelivery))
}

// goOn is what the function later does with the last event that was put off, which
// comes alone: it is received, started again and deleted.
func (w *world) goOn() error {
	name, in, err := w.putOff.Next()
	if err != nil {
		return err
	}
	w.pass()
	work := time.Duration(float64(workOfCall+2*workOfRequest) * wholeProcessor / memory["later"])
	w.usage.Messages += 2
	w.usage.Invocations++
	w.usage.GBSeconds += gbSeconds("later", (work + w.Assumptions.Start + w.Table + time.Millisecond - 1).Truncate(time.Millisecond))
	w.now = w.now.Add(time.Duration(w.putOff.Later.Delay) * time.Second)
	w.execute(w.putOff.Machine, name, in)
	return nil
}

// uncounted does what is not part of what is measured.
func (w *world) uncounted(do func() error) error {
	was, table := w.usage, *w.table
	err := do()
	w.usage = was
	w.table.writes, w.table.reads, w.table.limits = table.writes, table.reads, table.limits
	return err
}

// told is a receiver of events that need no signature.
type told []flow.Notification

func (told) Verify(flow.Delivery) error { return nil }

func (t told) Parse(flow.Delivery) ([]flow.Notification, error) { return t, nil }

// arrived notes what the whole delivery would tell of: the one record that is
// played stands for PerDelivery, which share the row.
func (w *world) arrived(ctx context.Context, d spec.Direction, one []ledger.Arrival) {
	written, requests := w.table.writes, w.table.requests
	all := slices.Repeat(one, w.PerDelivery)
	_ = w.flows["webhook"].Ledger.Arrived(ctx, d, all) // memory does not fail
	w.table.writes = written + (w.table.writes-written)/float64(w.PerDelivery)
	w.table.requests = requests // atTheDoor knows of it
}

// deliver lets the client hear of one record, as one of PerDelivery in a request,
// and returns the states that its execution went through, none where it ended at
// the door.
func (w *world) deliver(sys record.System, events ...flow.Notification) ([]string, error) {
	w.pass()
	w.function, w.started, w.last = "webhook", nil, asl.Result{}
	asked := w.table.requests
	door := &flow.Ingress{Flow: w.flows["webhook"], Receivers: map[record.System]flow.Receiver{sys: told(events)}, Starter: w, Lanes: 1,
		Arrived: w.arrived}
	answer := door.Deliver(context.Background(), sys, flow.Delivery{})
	if answer.Status != http.StatusOK || answer.Started+answer.Dropped != 1 {
		return nil, fmt.Errorf("the sample event was not accepted: %+v", answer)
	}
	each := float64(w.PerDelivery)
	w.usage.Invocations += 1 / each
	w.usage.GBSeconds += gbSeconds("webhook", w.atTheDoor(w.table.requests-asked, answer.Started)) / each
	if w.started != nil {
		w.started()
	}
	return w.last.Path, nil
}
