// Package realtest syncs HubSpot's simulator with destinations that nobody here
// wrote: each a real server, run as a process of its own on loopback, wired by
// its ready spec under spec/ and nothing else. It holds tests only.
//
// Every system goes through the same journeys (see journeys); what differs is in
// a system: how it is started, and how a person would edit a record there.
package realtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/internal/destination/destinationtest"
	"tandem/internal/engines"
	"tandem/internal/local/engine"
	"tandem/internal/record"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// A wait for a state that must come ends when nothing has moved for stalled, or
// after patience. What is merely slow keeps moving, on the busiest of machines:
// outcomes, requests, executions under way. What is stuck does not.
const (
	stalled  = 90 * time.Second
	patience = 8 * time.Minute
)

// system is one real destination, as a person would use it.
type system struct {
	spec    string // folder under spec/
	secrets map[string]string
	// start runs the server and returns its address. webhook is where it must
	// deliver to; a polled system has no use for it.
	start func(t *testing.T, webhook string) (address string)
	// pair is the pair that the journeys use, hubText the HubSpot property that
	// edit and read name the other side of.
	pair, hubText string
	record        func(n int) map[string]string // a new HubSpot record
	create        func(n int) (id string)       // the same, made in the system
	edit          func(id, text string)
	remove        func(id string)
	read          func(id string) (text string, live bool)
	count         func() int // live records
	// polled systems are asked for changes; the others deliver signed webhooks.
	polled bool
	// losesDeliveries: what could not be delivered is not sent again.
	losesDeliveries bool
	// changes are replacements in the text of the spec, in pairs of old and new.
	changes []string
	// promises are what the conformance suite needs to know beside the spec.
	promises destinationtest.Fixture
}

// rig is `tandem run` between HubSpot's simulator and a real system. Both
// outlive it, as in life: it is a process that is killed and started again.
type rig struct {
	t          *testing.T
	system     *system
	pair       spec.Pair
	command    []string
	portal     *portal.Portal
	address    string // of the process
	hubWrites  atomic.Int64
	destWrites atomic.Int64
	process    *exec.Cmd
	cut        map[string]bool // records there that were being made when the process was killed

	mu        sync.Mutex
	delivered [][]portal.Event
}

// lag is how long the simulator's search shows the past. HubSpot's is some
// seconds; the tests of the flow cover those.
const lag = 200 * time.Millisecond

func newRig(t *testing.T, s *system) *rig {
	t.Helper()
	r := &rig{
		t: t, system: s, cut: map[string]bool{}, portal: portal.New(portal.Options{SearchLag: lag, Duplicates: 0.1}),
		address: fmt.Sprintf("127.0.0.1:%d", engines.FreePort(t)),
	}
	destination := s.start(t, "http://"+r.address+"/webhooks/destination")
	target, err := url.Parse(destination)
	if err != nil {
		t.Fatal(err)
	}
	file, c := quicker(t, s)
	pair, ok := c.PairByName(s.pair)
	if !ok {
		t.Fatalf("spec %s has no pair %q", s.spec, s.pair)
	}
	r.pair = pair
	r.portal.DefineFor(c)
	hub := r.counted(r.portal.Handler(), &r.hubWrites)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // A killed process breaks its connections off.
	dest := r.counted(proxy, &r.destWrites)
	dir := t.TempDir()
	r.command = []string{
		build(t, dir), "run", "--spec", file, "--secrets", secretsFile(t, dir, s.secrets), "--hubspot-url", hub, "--destination-url", dest,
		"--data", filepath.Join(dir, "data"), "--listen", r.address,
	}
	t.Cleanup(r.kill)
	delivering, end := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { r.deliver(delivering) })
	t.Cleanup(func() { end(); work.Wait() })
	r.start()
	return r
}

// quicker writes the spec with its changes, and with a lag of HubSpot's search that
// suits the simulator.
func quicker(t *testing.T, s *system) (file string, c *spec.Spec) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(engines.Root(t), "spec", s.spec, "integration-spec.json"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for change := range slices.Chunk(append([]string{`"searchLag": "10s"`, fmt.Sprintf(`"searchLag": %q`, 2*lag)}, s.changes...), 2) {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("spec %s does not say %s", s.spec, change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	file = filepath.Join(t.TempDir(), "integration-spec.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err = spec.Load(file); err != nil {
		t.Fatal(err)
	}
	return file, c
}

// build compiles the command that people run.
func build(t *testing.T, dir string) string {
	t.Helper()
	program := filepath.Join(dir, "tandem")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/tandem")
	cmd.Dir = engines.Root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

func secretsFile(t *testing.T, dir string, destination map[string]string) string {
	t.Helper()
	all := map[string]string{"hubspot-token": "hub-token", "hubspot-client-secret": "hub-secret"}
	maps.Copy(all, destination)
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "secrets.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// start runs the process, always on the same address.
func (r *rig) start() {
	r.t.Helper()
	r.process = exec.Command(r.command[0], r.command[1:]...)
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.wait("the server answers", func() bool { return call(http.MethodGet, r.url("/healthz"), nil, nil, nil) == nil })
}

// kill ends the process as a power cut does.
func (r *rig) kill() {
	if r.process != nil {
		_ = r.process.Process.Kill() // It may have ended.
		_ = r.process.Wait()
		r.process = nil
	}
}

func (r *rig) url(path string) string { return "http://" + r.address + path }

// counted serves h and counts the requests that change something.
func (r *rig) counted(h http.Handler, writes *atomic.Int64) (address string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodGet && !strings.HasSuffix(q.URL.Path, "/search") {
			writes.Add(1)
		}
		h.ServeHTTP(w, q)
	}))
	r.t.Cleanup(server.Close)
	return server.URL
}

// deliver sends HubSpot's events on and remembers them for replays.
func (r *rig) deliver(ctx context.Context) {
	for ctx.Err() == nil {
		for batch := range slices.Chunk(r.portal.Events(), 100) {
			if r.post(batch) {
				r.mu.Lock()
				r.delivered = append(r.delivered, batch)
				r.mu.Unlock()
			} else {
				r.portal.Requeue(batch)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// post delivers events as HubSpot does; false when they were not taken.
func (r *rig) post(events []portal.Event) bool {
	d := r.portal.Delivery("hub-secret", r.url("/webhooks/hubspot"), events, 0)
	header := http.Header{}
	for name, value := range d.Header {
		header.Set(name, value)
	}
	return call(d.Method, d.URL, header, json.RawMessage(d.Body), nil) == nil
}

// replay delivers everything that HubSpot has sent so far once more.
func (r *rig) replay() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, batch := range r.delivered {
		if !r.post(batch) {
			r.t.Fatal("a repeated delivery was refused")
		}
	}
}

// wait waits until what holds, and ends the test when it never does.
func (r *rig) wait(what string, holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// status is what the server says of itself.
type status struct {
	Quiet    bool
	Accepted uint64
	Outcomes uint64
}

func (r *rig) status() (s status) {
	r.t.Helper()
	r.get("/api/status", &s)
	return s
}

// eventually waits until what holds, polling a polled system meanwhile. It looks
// less and less often: looking may cost the system's budget.
func (r *rig) eventually(what string, holds func() bool) {
	r.t.Helper()
	r.until(what, 20*time.Millisecond, 500*time.Millisecond, holds)
}

// until waits with pauses from the shortest to the longest.
func (r *rig) until(what string, pause, longest time.Duration, holds func() bool) {
	r.t.Helper()
	began, moved, last := time.Now(), time.Now(), ""
	for ; !holds(); time.Sleep(pause) {
		r.poll()
		s := r.status()
		if now := fmt.Sprint(s, r.writes()); now != last || !s.Quiet {
			moved, last = time.Now(), now
		}
		if time.Since(moved) > stalled || time.Since(began) > patience {
			r.t.Fatalf("%s: not within %v, nothing moved for %v; outcomes %s", what, time.Since(began).Round(time.Second), time.Since(moved).Round(time.Second), r.told())
		}
		pause = min(pause*5/4, longest)
	}
}

// poll asks a polled system now instead of at its interval.
func (r *rig) poll() {
	r.t.Helper()
	if r.system.polled {
		r.ask("/api/poll")
	}
}

// compare asks now, instead of once an hour, what changed, for deliveries that were lost.
func (r *rig) compare() {
	r.t.Helper()
	r.ask("/api/reconcile")
}

func (r *rig) ask(path string) {
	r.t.Helper()
	// Right after a restart the work that is caught up on may use the budget up:
	// a poll is refused then, and asked for again.
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(300 * time.Millisecond) {
		if err = call(http.MethodPost, r.url(path), nil, nil, nil); err == nil || !strings.Contains(err.Error(), "RateLimited") {
			break
		}
	}
	if err != nil {
		r.t.Fatalf("%s: %v", path, err)
	}
}

// quiet waits until nothing has been under way, polled or delivered for a while.
func (r *rig) quiet() {
	r.t.Helper()
	calm, last := 0, uint64(0)
	r.until("quiet", 20*time.Millisecond, 20*time.Millisecond, func() bool {
		s := r.status()
		if calm++; !s.Quiet || s.Outcomes != last {
			calm, last = 0, s.Outcomes
		}
		return calm >= 15
	})
}

func (r *rig) writes() int64 { return r.hubWrites.Load() + r.destWrites.Load() }

// outcomes lists how every event so far ended.
func (r *rig) outcomes() []engine.Outcome {
	var page struct{ Outcomes []engine.Outcome }
	r.get("/api/outcomes", &page)
	return page.Outcomes
}

// told is what people would read of the outcomes.
func (r *rig) told() string {
	var b strings.Builder
	for _, o := range r.outcomes() {
		fmt.Fprintf(&b, "\n  %s %s %s: %s %s %s %v", o.System, o.Object, o.ID, o.Kind, o.Code, o.Reason, o.Fields)
	}
	return b.String()
}

func (r *rig) get(path string, out any) {
	r.t.Helper()
	if err := call(http.MethodGet, r.url(path), nil, nil, out); err != nil {
		r.t.Fatal(err)
	}
}

// partner is the id of the record on the other side, "" while it has none.
func (r *rig) partner(of record.System, id string) string {
	r.t.Helper()
	var known struct {
		State string
		IDs   map[record.System]string
	}
	r.get("/api/why/"+r.pair.Side(of).Object+"/"+id, &known)
	if known.State != "linked" {
		return ""
	}
	return known.IDs[of.Other()]
}

// hubText is the edited property of a HubSpot record; false when it is not live.
func (r *rig) hubText(id string) (string, bool) {
	rec, err := r.portal.Read(r.pair.HubSpot.Object, id, portal.ReadOptions{Properties: []string{r.system.hubText}})
	return rec.Text(r.system.hubText), err == nil
}
