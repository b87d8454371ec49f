package doors_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"tandem/internal/asl"
	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/runtimehost"
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
	t.Run("the self-check and the Centre", f.watched)
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
	for starts := d.fleet.taken(); len(starts) > 0; starts = d.fleet.taken() {
		for _, s := range starts {
			d.goOn(d.execute(s))
		}
	}
	return answer.StatusCode
}

// goOn hands a message that the machine has sent to the queue's function, as
// though its time had come, beside a message that is none.
func (d *deployed) goOn(m *message) {
	if m == nil {
		return
	}
	var answer struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	batch := map[string]any{"Records": []any{
		map[string]any{"messageId": "1", "body": string(m.MessageBody)}, map[string]any{"messageId": "2", "body": "{}"},
	}}
	err := d.fleet.invoke(d.r.t.Context(), "", "later", batch, &answer)
	if refused := answer.BatchItemFailures; err != nil || len(refused) != 1 || refused[0].ItemIdentifier != "2" {
		d.r.t.Fatalf("of %s and a message that is none, the function later refuses %v, %v", m.MessageBody, refused, err)
	}
}

// execute runs an execution through the shipped machine, to its end; it returns
// what was sent to the queue of postponed events.
func (d *deployed) execute(s start) *message {
	way := spec.Direction(s.StateMachineArn)
	var input flow.State
	machine, err := asl.Parse(statemachines.Definition(string(way)))
	if err = errors.Join(err, json.Unmarshal([]byte(s.Input), &input)); err != nil {
		d.r.t.Fatal(err)
	}
	e := emulated{fleet: d.fleet, way: way}
	res := machine.Run(d.r.t.Context(), asl.Execution{Name: s.Name, ID: s.Name, Input: json.RawMessage(s.Input)}, asl.Env{Clock: patient{}, Tasks: &e})
	got := ran{path: res.Path, sections: sectionsOf(res), code: res.Error}
	var m *message
	if sent := e.sent; len(sent) > 0 && sent[len(sent)-1].later() {
		m, got.putOff = &sent[len(sent)-1], new(flow.Postponed)
	}
	d.ended = append(d.ended, journeyOf(d.r.spec, s.Name, input.Event, got))
	d.told(s.Name)
	return m
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
	sent  []message
}

func (e *emulated) Invoke(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error) {
	if strings.HasSuffix(resource, ":sqs:sendMessage") {
		var m message
		err := json.Unmarshal(input, &m)
		e.sent = append(e.sent, m)
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
