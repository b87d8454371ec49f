package engine

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"tandem/internal/asl"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

// testFlow is the example's flow without systems: every execution ends at Verify,
// since its envelope is not sealed.
func testFlow(t *testing.T) *flow.Flow {
	t.Helper()
	s, err := spec.Load("../../../spec/acme/integration-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	tb, err := embedded.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := flow.New(flow.Options{
		Spec: s, Ledger: &ledger.Ledger{Table: tb, Client: s.Client, Now: time.Now},
		Seals: &flow.Sealer{Secrets: func(record.System) ([]string, error) { return []string{"secret"}, nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func open(t *testing.T, dir string) *Engine {
	t.Helper()
	e, err := Open(Options{Flow: testFlow(t), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(t.Context()) })
	return e
}

var unsealed = json.RawMessage(`{"event":{"client":"acme","direction":"hubspot-to-destination","pair":"contacts","id":"17","kind":"changed","name":"n","seal":"none"}}`)

func settle(e *Engine) {
	for s := e.Status(); s.InFlight+s.Queued > 0; s = e.Status() {
		time.Sleep(time.Millisecond)
	}
}

func TestForgedEnvelopeEndsAsDeadLetter(t *testing.T) {
	e := open(t, t.TempDir())
	if err := e.Start(t.Context(), spec.ToDestination, "n", unsealed); err != nil {
		t.Fatal(err)
	}
	settle(e)
	letters, err := e.DeadLetters(t.Context(), 0, 10)
	if err != nil || len(letters) != 1 || letters[0].Code != string(flow.BadSeal) || letters[0].Object != "contacts" || letters[0].Redriveable {
		t.Errorf("dead letters %+v, %v", letters, err)
	}
	outcomes, err := e.Outcomes(0, 10)
	if err != nil || len(outcomes) != 1 || outcomes[0].Kind != ledger.Dead || outcomes[0].Cursor != 1 {
		t.Errorf("outcomes %+v, %v", outcomes, err)
	}
}

// A crash between any two of the writes that end an execution leaves one
// outcome, one dead letter and one trace.
func TestCrashWhileEnding(t *testing.T) {
	for name, crash := range map[string]func(e *Engine, r *run, res *asl.Result) error{
		"before anything": func(*Engine, *run, *asl.Result) error { return nil },
		"after the dead letter": func(e *Engine, r *run, res *asl.Result) error {
			return e.letter(t.Context(), r, res)
		},
		"after the trace": func(e *Engine, r *run, res *asl.Result) error {
			if err := e.letter(t.Context(), r, res); err != nil {
				return err
			}
			o := r.outcome(res)
			line, err := encode(r.summary(res, o), r, res)
			if err == nil {
				_, err = e.traces.Append(line)
			}
			return err
		},
		"after the outcome": func(e *Engine, r *run, res *asl.Result) error {
			if err := e.finish(r, res); err != nil {
				return err
			}
			_, err := e.store.accept(t.Context(), r.job.direction, r.job.name, r.input) // takes the place of the row
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := open(t, dir)
			e.cancel() // nothing runs here: the test plays the worker
			<-e.stopped
			j, err := e.store.accept(t.Context(), spec.ToDestination, "n", unsealed)
			if err != nil {
				t.Fatal(err)
			}
			if name == "after the outcome" {
				e.store.last-- // so that the row written again is the same
			}
			r := &run{engine: e, job: j, since: time.Now()}
			if err := r.load(t.Context()); err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			res := asl.Result{Status: asl.Failed, Error: "BadSeal", Path: []string{"Verify"}, Start: now, End: now}
			if err := crash(e, r, &res); err != nil {
				t.Fatal(err)
			}
			if err := e.close(); err != nil {
				t.Fatal(err)
			}

			again := open(t, dir)
			settle(again)
			outcomes, _ := again.Outcomes(0, 10)
			letters, _ := again.DeadLetters(t.Context(), 0, 10)
			runs := again.Executions(Filter{})
			if len(outcomes) != 1 || len(letters) != 1 || len(runs) != 1 {
				t.Errorf("%d outcomes, %d dead letters, %d executions, want one of each", len(outcomes), len(letters), len(runs))
			}
			if s := again.Status(); s.DeadLetters != 1 {
				t.Errorf("%d dead letters are counted", s.DeadLetters)
			}
		})
	}
}

func TestClosedEngineAcceptsNothing(t *testing.T) {
	e := open(t, t.TempDir())
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), spec.ToDestination, "n", unsealed); err != ErrClosed {
		t.Errorf("Start after Close: %v", err)
	}
}

// fullDisk refuses to forget finished executions for some time.
type fullDisk struct {
	table.Table
	refuses atomic.Int32
}

func (d *fullDisk) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	if updates[0].Delete && d.refuses.Add(-1) >= 0 {
		return nil, errors.New("no space left on device")
	}
	return d.Table.Update(ctx, updates...)
}

func (d *fullDisk) Close() error { return d.Table.(io.Closer).Close() }

// An end that could not be stored is stored later, once, and until then the
// execution is under way.
func TestFullDiskAtTheEnd(t *testing.T) {
	e := open(t, t.TempDir())
	disk := &fullDisk{Table: e.store.table}
	disk.refuses.Store(2)
	e.store.table = disk
	if err := e.Start(t.Context(), spec.ToDestination, "n", unsealed); err != nil {
		t.Fatal(err)
	}
	for disk.refuses.Load() == 2 {
		time.Sleep(time.Millisecond)
	}
	if s := e.Status(); s.InFlight != 1 {
		t.Errorf("while the disk is full: %+v", s)
	}
	settle(e)
	outcomes, err := e.Outcomes(0, 10)
	if err != nil || len(outcomes) != 1 || e.Status().DeadLetters != 1 || len(e.Executions(Filter{})) != 1 {
		t.Errorf("afterwards: outcomes %+v, %v, %+v", outcomes, err, e.Status())
	}
}
