package contention

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/internal/asl"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
	"tandem/statemachines"
)

// clock runs scale times as fast as the machine's, so that waits and leases
// pass within the test. Workers in other processes share start.
type clock struct {
	start time.Time
	ahead atomic.Int64
}

const scale = 20

// Now implements asl.Clock.
func (c *clock) Now() time.Time {
	return c.start.Add(time.Since(c.start)*scale + time.Duration(c.ahead.Load()))
}

// Sleep implements asl.Clock.
func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d / scale):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WithTimeout implements asl.Clock.
func (c *clock) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d/scale)
}

// skip lets time pass at once.
func (c *clock) skip(d time.Duration) { c.ahead.Add(int64(d)) }

// integration is the real flow and the shipped machines over one table.
type integration struct {
	clock    *clock
	do       func(Call, *Answer) error
	flow     *flow.Flow
	machines map[spec.Direction]*asl.Machine
	name     string
	count    atomic.Int64
	mu       sync.Mutex
	met      map[string]int // failures of steps, by code
}

func newIntegration(c *clock, tbl table.Table, do func(Call, *Answer) error, name string) (*integration, error) {
	s, err := spec.Load("../../spec/acme/integration-spec.json")
	if err != nil {
		return nil, err
	}
	// The loop breaker would park the fields that everybody fights over here.
	s.Guards.Alternations = 1 << 30
	in := &integration{clock: c, do: do, name: name, machines: map[spec.Direction]*asl.Machine{}, met: map[string]int{}}
	in.flow, err = flow.New(flow.Options{
		Spec: s, Now: c.Now, Ledger: &ledger.Ledger{Table: tbl, Client: s.Client, Now: c.Now},
		Remotes: map[record.System]flow.Remote{record.HubSpot: remote{record.HubSpot, do}, record.Destination: remote{record.Destination, do}},
		Seals:   &flow.Sealer{Secrets: func(record.System) ([]string, error) { return []string{"secret"}, nil }},
	})
	if err != nil {
		return nil, err
	}
	for _, d := range []spec.Direction{spec.ToDestination, spec.ToHubSpot} {
		if in.machines[d], err = asl.Parse(statemachines.Definition(string(d))); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// Invoke implements asl.Invoker.
func (in *integration) Invoke(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error) {
	if resource == "arn:aws:states:::sqs:sendMessage" {
		return json.RawMessage(`{"MessageId":"1"}`), nil
	}
	var s flow.State
	if err := json.Unmarshal(input, &s); err != nil {
		return nil, err
	}
	section, err := in.flow.Handle(ctx, strings.TrimSuffix(resource[2:], "Arn}"), s)
	if err != nil {
		in.meet(string(flow.CodeOf(err)))
		return nil, &asl.Failure{Name: string(flow.CodeOf(err)), Cause: err.Error()}
	}
	return json.Marshal(section)
}

func (in *integration) meet(what string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.met[what]++
}

// event runs one execution for a record to its end, and those that go on with it
// where it was postponed.
func (in *integration) event(sys record.System, pair, id string) error {
	d, name := spec.From(sys), fmt.Sprintf("%s-%d", in.name, in.count.Add(1))
	e, err := in.flow.Seals.Seal(flow.Envelope{
		Client: in.flow.Spec.Client, Direction: d, Pair: pair, ID: id, Kind: flow.Changed, Name: name, At: in.clock.Now().UnixMilli(),
	})
	if err != nil {
		return err
	}
	input, err := json.Marshal(flow.State{Event: e})
	if err != nil {
		return err
	}
	for range 300 { // systems that are gone would be waited for for ever
		res := in.machines[d].Run(context.Background(), asl.Execution{Name: name, ID: name, Input: input}, asl.Env{Clock: in.clock, Tasks: in, Rand: rand.Float64})
		switch last := res.Path[len(res.Path)-1]; last {
		case "Deferred":
			in.meet("deferred")
		case "Failed":
			in.meet("dead letter")
			return nil
		default:
			return nil
		}
	}
	return fmt.Errorf("%s was put off 300 times", name)
}

// people is how many keys everybody fights over, of each object.
const people = 4

// work is one worker: it edits, creates and has events delivered, many of them again.
func (in *integration) work(rounds int) error {
	for range rounds {
		sys := []record.System{record.HubSpot, record.Destination}[rand.IntN(2)]
		pair, _ := in.flow.Spec.PairByName([]string{"contacts", "companies"}[rand.IntN(2)])
		a, err := in.stir(sys, pair)
		if err != nil {
			return err
		}
		if a.Code != "" {
			continue
		}
		if err := in.event(sys, pair.Name, a.Record.ID); err != nil {
			return err
		}
	}
	return nil
}

// stir picks the record of the next event: two times of three somebody changes
// it first. Where the system keeps keys unique a record that is absent is made.
func (in *integration) stir(sys record.System, pair spec.Pair) (a Answer, err error) {
	object := pair.Side(sys).Object
	c := Call{Op: "pick", Ref: record.Ref{System: sys, Object: object}}
	if rand.IntN(3) > 0 {
		c.Op, c.Value, c.AddWhereNotFound = "person", key(object, rand.IntN(people)), unique(object)
		c.Fields = record.Fields{edited[object][rand.IntN(2)]: strconv.Itoa(rand.IntN(1e6))}
	}
	return a, in.do(c, &a)
}

// edited are the properties of each object that people change.
var edited = map[string][2]string{
	"contacts": {"firstname", "lastname"}, "customers": {"first_name", "last_name"},
	"companies": {"name", "numberofemployees"}, "accounts": {"name", "employees"},
}

func key(object string, i int) string {
	if keys[object] == "email" {
		return fmt.Sprintf("p%d@example.com", i)
	}
	return fmt.Sprintf("c%d.example.com", i)
}
