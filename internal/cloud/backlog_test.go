package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tandem/internal/asl"
	"tandem/internal/flow"
	"tandem/internal/limit"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
	"tandem/spec"
	"tandem/statemachines"
)

// backlog is what AWS does with more events at once than a rate limit lets through:
// every one is an execution that has begun. Real are the machines with their retries
// and their postponing, the limiter over one table, and the function later. Played
// are the clock, both systems, and what AWS does: it runs so many functions at once
// and no more, and keeps a queue with delays that two copies of later read.
type backlog struct {
	t       *testing.T
	machine *asl.Machine
	d       spec.Direction
	table   table.Table
	systems map[record.System]*system
	host    *Host
	queue   queue

	mu     sync.Mutex
	runs   sync.WaitGroup
	left   int
	idle   []copied       // functions: the one used last is used next
	counts map[string]int // invocations, and what else there is to know
}

// copied is a running copy of each function.
type copied map[record.System]*limit.Limiter

// distant is a table that is asked over a network.
type distant struct{ table.Table }

func (d distant) Update(ctx context.Context, u ...table.Update) ([]int64, error) {
	time.Sleep(5 * time.Millisecond)
	return d.Table.Update(ctx, u...)
}

// TestBacklog has far more events at once than a minute of HubSpot's limit lets
// through, read there or written there, on an account that runs 50 functions at
// once. At least 90 % of the rate is used, nothing is lost, hardly any event waits
// more than once, and 429s stay below 1 %.
func TestBacklog(t *testing.T) {
	n, enough := 10_000, 0.9
	if testing.Short() {
		n, enough = 3000, 0.8 // the beginning and the end weigh more
	}
	per := spec.Duration{Duration: 10 * time.Second}
	usual := spec.RateLimit{Requests: 190, Per: per}
	for name, c := range map[string]struct {
		d         spec.Direction
		hub, dest spec.RateLimit
		scarce    record.System
	}{
		"from HubSpot":       {spec.ToDestination, usual, spec.RateLimit{Requests: 1000, Per: per}, record.HubSpot},
		"to HubSpot":         {spec.ToHubSpot, usual, spec.RateLimit{}, record.HubSpot},
		"to a slower system": {spec.ToDestination, usual, spec.RateLimit{Requests: 100, Per: per}, record.Destination},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBacklog(t, c.d, map[record.System]*system{record.HubSpot: {budget: c.hub}, record.Destination: {budget: c.dest}})
				b.run(n)
				s := b.systems[c.scarce]
				t.Logf("%.1f %% of the rate in %v, %d refused; %v", 100*s.used(), s.took().Round(time.Second), s.refused, b.counts)
				if s.used() < enough || s.refused > n/100 || b.counts["Stamp"] != n || b.counts["postponed"] > n*11/10 {
					t.Errorf("%.3f of the rate used, %d refused, %d of %d stamped, %d postponed", s.used(), s.refused, b.counts["Stamp"], n, b.counts["postponed"])
				}
			})
		})
	}
}

// TestTurnIsOver starts what has waited for as long as the function may, and a system
// without a limit is not waited for.
func TestTurnIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog(t, spec.ToDestination, map[record.System]*system{record.HubSpot: {budget: spec.RateLimit{Requests: 1, Per: spec.Duration{Duration: time.Hour}}}, record.Destination: {}})
		began := time.Now()
		for range 3 {
			b.queue.add(message{body: `{"machine":"hubspot-to-destination","event":{"name":"e","seal":"s"},"later":{"times":1,"delay":30}}`})
			b.left++
		}
		if _, err := b.idle[0][record.HubSpot].Admit(t.Context()); err != nil {
			t.Fatal(err)
		}
		answer, err := b.host.Later(t.Context(), b.queue.batch())
		if took := time.Since(began); err != nil || len(answer.BatchItemFailures) > 0 || took < turn || took > turn+time.Second {
			t.Errorf("%v, %d failures, after %v; want all started after %v", err, len(answer.BatchItemFailures), took, turn)
		}
		b.runs.Wait()
		if b.counts["postponed"] != 3 {
			t.Errorf("%v, want three postponed again", b.counts)
		}
	})
}

func newBacklog(t *testing.T, d spec.Direction, systems map[record.System]*system) *backlog {
	tab, err := embedded.Open("", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	m, err := asl.Parse(statemachines.Definition(string(d)))
	if err != nil {
		t.Fatal(err)
	}
	b := &backlog{t: t, machine: m, d: d, table: distant{tab}, systems: systems, counts: map[string]int{}}
	b.host = &Host{starter: b, Metrics: NewMetrics(io.Discard, "acme", time.Now), Log: slog.New(slog.DiscardHandler)}
	b.host.lines, err = lines(b.table, &spec.Spec{HubSpot: spec.HubSpot{RateLimit: systems[record.HubSpot].budget}, Destination: spec.Destination{RateLimit: systems[record.Destination].budget}})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		c := copied{}
		for sys, s := range systems {
			if c[sys], err = limit.New(limit.Options{Table: b.table, System: sys, Budget: s.budget}); err != nil {
				t.Fatal(err)
			}
		}
		b.idle = append(b.idle, c)
	}
	return b
}

// run delivers the events, as many deliveries do, and waits until each has its end.
func (b *backlog) run(n int) {
	b.left = n
	ctx, stop := context.WithCancel(b.t.Context())
	var readers, senders sync.WaitGroup
	for range 2 {
		readers.Go(func() { b.queue.read(ctx, b.t, b.host) })
	}
	for delivery := range 10 {
		senders.Go(func() {
			for i := delivery; i < n; i += 10 {
				name := fmt.Sprint("event-", i)
				_ = b.Start(ctx, b.d, name, json.RawMessage(`{"event":{"name":"`+name+`"}}`))
			}
		})
	}
	for waiting := true; waiting; time.Sleep(time.Second) {
		b.mu.Lock()
		waiting = b.left > 0
		b.mu.Unlock()
	}
	stop()
	senders.Wait()
	readers.Wait()
	b.runs.Wait()
}

// Start implements flow.Starter.
func (b *backlog) Start(_ context.Context, _ spec.Direction, name string, input json.RawMessage) error {
	time.Sleep(12 * time.Millisecond)
	b.runs.Go(func() {
		r := b.machine.Run(b.t.Context(), asl.Execution{Name: name, ID: name, Input: input}, asl.Env{Tasks: b, Rand: rand.Float64})
		if last := r.Path[len(r.Path)-1]; last != "Deferred" {
			b.mu.Lock()
			b.left--
			b.mu.Unlock()
		}
	})
	return nil
}

// Invoke implements asl.Invoker.
func (b *backlog) Invoke(ctx context.Context, resource string, in json.RawMessage) (json.RawMessage, error) {
	if strings.HasPrefix(resource, "arn:") {
		return b.send(in)
	}
	c, ok := b.take()
	if !ok {
		b.count("throttled")
		return nil, &asl.Failure{Name: "Lambda.TooManyRequestsException"}
	}
	defer b.give(c)
	step := strings.TrimSuffix(strings.TrimPrefix(resource, "${"), "Arn}")
	answer, err := b.work(ctx, c, step)
	if err != nil {
		b.count(step + ", in vain")
		return nil, &asl.Failure{Name: string(flow.CodeOf(err)), Cause: err.Error()}
	}
	b.count(step)
	return json.RawMessage(answer), nil
}

// work is what a state does, as far as it takes time or a request.
func (b *backlog) work(ctx context.Context, c copied, step string) (string, error) {
	switch step {
	case "Transform":
		return `{}`, b.systems[b.d.Source()].call(ctx, c[b.d.Source()])
	case "Write":
		return `{}`, b.systems[b.d.Target()].call(ctx, c[b.d.Target()])
	}
	time.Sleep(15 * time.Millisecond)
	return `{"act":"write"}`, nil
}

func (b *backlog) take() (copied, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.idle) == 0 {
		return nil, false
	}
	c := b.idle[len(b.idle)-1]
	b.idle = b.idle[:len(b.idle)-1]
	return c, true
}

func (b *backlog) give(c copied) {
	b.mu.Lock()
	b.idle = append(b.idle, c)
	b.mu.Unlock()
}

func (b *backlog) count(what string) {
	b.mu.Lock()
	b.counts[what]++
	b.mu.Unlock()
}

// send is a message of the machine: to the queue, or to the dead letters.
func (b *backlog) send(in json.RawMessage) (json.RawMessage, error) {
	var m struct {
		QueueUrl     string
		DelaySeconds int
		MessageBody  json.RawMessage
	}
	if err := json.Unmarshal(in, &m); err != nil {
		return nil, err
	}
	if m.QueueUrl != "${LaterUrl}" {
		b.count("dead letters")
	} else {
		b.count("postponed")
		b.queue.add(message{due: time.Now().Add(time.Duration(m.DelaySeconds) * time.Second), body: string(m.MessageBody)})
	}
	return json.RawMessage(`{"MessageId":"m"}`), nil
}

// system counts as HubSpot does: so many requests in any window.
type system struct {
	budget   spec.RateLimit
	mu       sync.Mutex
	accepted []time.Time
	refused  int
}

func (s *system) call(ctx context.Context, l *limit.Limiter) error {
	if err := l.Wait(ctx); err != nil {
		return err
	}
	time.Sleep(50 * time.Millisecond)
	if s.take() {
		return nil
	}
	_ = l.Throttled(ctx, time.Second) // as its answer asks
	return &flow.Error{Code: flow.RateLimited}
}

func (s *system) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, now := len(s.accepted), time.Now()
	if r := s.budget.Requests; r > 0 && n >= r && now.Sub(s.accepted[n-r]) < s.budget.Per.Duration {
		s.refused++
		return false
	}
	s.accepted = append(s.accepted, now)
	return true
}

func (s *system) took() time.Duration { return s.accepted[len(s.accepted)-1].Sub(s.accepted[0]) }

// used is the share of what the limit lets through until all but a hundredth is done:
// how long the last few wait is chance.
func (s *system) used() float64 {
	most := s.accepted[:len(s.accepted)*99/100]
	windows := 1 + float64(most[len(most)-1].Sub(most[0]))/float64(s.budget.Per.Duration)
	return float64(len(most)) / (float64(s.budget.Requests) * windows)
}
