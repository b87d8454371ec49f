// Package contention shows that the store protocol holds under real
// concurrency: many workers, in one process or several, run the real flow and
// the shipped machines over one table and race on the same few pairs, in both
// directions, with creates from both sides, conflicting edits and redeliveries.
// The invariants are checked when all is quiet. It holds tests only.
//
// The simulation proves the protocol over chosen schedules; here the schedule
// is the machine's own, and so are the table's answers. Time runs 20 times as
// fast as on the wall, so that leases may lapse under a slow worker.
package contention

import (
	"context"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/engines"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/dynamo"
	"tandem/internal/table/embedded"
)

const (
	goroutines = 32
	processes  = 8
	rounds     = 12 // events of each worker
	tableName  = "contention"
)

// TestMain is the tests, or one process of workers.
func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		if err := process(); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestGoroutinesOverEmbedded(t *testing.T) {
	c := newClock()
	tbl, err := embedded.Open(t.TempDir(), c.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer tbl.Close()
	r := newRun(t, c, tbl)
	r.goroutines(goroutines)
	r.demand()
}

func TestGoroutinesOverDynamoDB(t *testing.T) {
	if testing.Short() {
		t.Skip("a short run starts no engines")
	}
	point(t, engines.DynamoDBLocal(t))
	c := newClock()
	r := newRun(t, c, openDynamo(t, c))
	r.goroutines(goroutines)
	r.demand()
}

func TestProcessesOverDynamoDB(t *testing.T) {
	if testing.Short() {
		t.Skip("a short run starts no engines")
	}
	point(t, engines.DynamoDBLocal(t))
	c := newClock()
	r := newRun(t, c, openDynamo(t, c))
	r.processes()
	r.demand()
}

// unfenced is a table that changes rows whatever they hold by now: no claim is
// exclusive, and a worker that has lost its lease stamps all the same.
type unfenced struct{ table.Table }

// Update implements table.Table.
func (u unfenced) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	updates = slices.Clone(updates) // a witness has seen what was asked for
	for i := range updates {
		updates[i].If = table.Always
	}
	return u.Table.Update(ctx, updates...)
}

// TestUnfencedIsFoundOut: the same race without conditions must break an invariant,
// or these tests show nothing.
func TestUnfencedIsFoundOut(t *testing.T) {
	c := newClock()
	tbl, err := embedded.Open(t.TempDir(), c.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer tbl.Close()
	r := newRun(t, c, unfenced{tbl})
	r.goroutines(goroutines)
	r.check()
	if len(r.wrong) == 0 {
		t.Fatal("32 workers raced over a table without conditions, and every invariant held")
	}
	t.Logf("%d invariants broken, such as: %s", len(r.wrong), r.wrong[0])
}

func newClock() *clock { return &clock{start: time.Now().Truncate(time.Millisecond)} }

// point makes this process and its children use the table at endpoint.
func point(t *testing.T, endpoint string) {
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_DYNAMODB": endpoint, "AWS_REGION": "ap-southeast-2",
		"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
	} {
		t.Setenv(name, value)
	}
}

func openDynamo(t *testing.T, c *clock) table.Table {
	db, err := dynamo.Client(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if err := dynamo.Ensure(t.Context(), db, tableName); err != nil {
		t.Fatal(err)
	}
	return dynamo.New(db, tableName, c.Now, nil)
}

// run is one race and what is checked after it.
type run struct {
	*testing.T
	world *World
	in    *integration
	saw   *witness
	mu    sync.Mutex
	wrong []string
}

// witness watches that no two changes of a mapping row, which is never deleted,
// were decided on the same revision: revisions are fencing numbers, and final
// states may be right by luck.
type witness struct {
	table.Table
	mu      sync.Mutex
	decided map[string]int
}

// Update implements table.Table.
func (w *witness) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	var decided []string
	for _, u := range updates {
		if strings.HasPrefix(u.Key.PK, "MAP#") && !u.If.Unconditional() && u.If.Rev() > 0 {
			decided = append(decided, fmt.Sprintf("%s at revision %d", u.Key.PK, u.If.Rev()))
		}
	}
	revs, err := w.Table.Update(ctx, updates...)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, what := range decided {
			w.decided[what]++
		}
	}
	return revs, err
}

// Errorf notes what is wrong; demand tells it.
func (r *run) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// demand fails the test for everything that is wrong.
func (r *run) demand() {
	r.check()
	for _, wrong := range r.wrong {
		r.T.Error(wrong)
	}
}

// newRun lays out companies, whose keys no system enforces: on both sides, on
// HubSpot's only and on the destination's only.
func newRun(t *testing.T, c *clock, tbl table.Table) *run {
	r := &run{T: t, world: newWorld(c), saw: &witness{Table: tbl, decided: map[string]int{}}}
	var err error
	if r.in, err = newIntegration(c, r.saw, r.world.Do, "main"); err != nil {
		t.Fatal(err)
	}
	for i := range people {
		if i%3 != 2 {
			r.world.add(record.Ref{System: record.HubSpot, Object: "companies"}, record.Fields{"domain": key("companies", i), "name": "hub"})
		}
		if i%3 != 1 {
			r.world.add(record.Ref{System: record.Destination, Object: "accounts"}, record.Fields{"domain": key("accounts", i), "name": "dest"})
		}
	}
	return r
}

func (r *run) goroutines(n int) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if err := r.in.work(rounds); err != nil {
				r.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	r.raced(r.in.met)
}

// raced demands that workers were in each other's way.
func (r *run) raced(met map[string]int) {
	r.Logf("met %v", met)
	if met["LeaseHeld"]+met["ClaimHeld"]+met["LeaseLost"]+met["PreconditionFailed"] == 0 {
		r.Errorf("no worker ever met another: nothing was raced")
	}
}

const asWorker = "TANDEM_CONTENTION_WORKER"

// processes races workers that share nothing but the table and the two systems.
func (r *run) processes() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	defer listener.Close()
	server := rpc.NewServer()
	if err := server.Register(r.world); err != nil {
		r.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go server.ServeConn(conn)
		}
	}()
	self, err := os.Executable()
	if err != nil {
		r.Fatal(err)
	}
	var all []*exec.Cmd
	for i := range processes {
		cmd := exec.Command(self)
		cmd.Stderr = os.Stderr
		cmd.Env = append(os.Environ(), asWorker+"="+strconv.Itoa(i), "CONTENTION_SYSTEMS="+listener.Addr().String(),
			"CONTENTION_START="+strconv.FormatInt(r.world.clock.start.UnixMilli(), 10))
		if err := cmd.Start(); err != nil {
			r.Fatal(err)
		}
		all = append(all, cmd)
	}
	for i, cmd := range all {
		if err := cmd.Wait(); err != nil {
			r.Errorf("process %d: %v", i, err)
		}
	}
	r.raced(r.world.met)
}

// process is one process of four workers.
func process() error {
	ms, err := strconv.ParseInt(os.Getenv("CONTENTION_START"), 10, 64)
	if err != nil {
		return err
	}
	c := &clock{start: time.UnixMilli(ms)}
	db, err := dynamo.Client(os.Getenv)
	if err != nil {
		return err
	}
	systems, err := rpc.Dial("tcp", os.Getenv("CONTENTION_SYSTEMS"))
	if err != nil {
		return err
	}
	defer systems.Close()
	do := func(call Call, a *Answer) error { return systems.Call("World.Do", call, a) }
	in, err := newIntegration(c, dynamo.New(db, tableName, c.Now, nil), do, "w"+os.Getenv(asWorker))
	if err != nil {
		return err
	}
	failures := make(chan error, goroutines/processes)
	for range cap(failures) {
		go func() { failures <- in.work(rounds) }()
	}
	for range cap(failures) {
		if err := <-failures; err != nil {
			return err
		}
	}
	return systems.Call("World.Report", in.met, &struct{}{})
}
