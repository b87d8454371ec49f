// Package burst shows that workers in separate processes keep within one budget:
// eight of them, which share nothing but a table in DynamoDB Local, send a burst
// of changes to a HubSpot simulator that counts calls as HubSpot does, 190 in
// any 10 s. It holds tests only.
//
// A worker is the real client behind the real limiter. What the limiter does
// not let wait in place is waited out here as long as it says, as a queue with
// a delay would; the state machines and their retries have no part in it.
//
// `make test` plays 700 changes in half a minute; `make burst` plays 10,000 in
// nine minutes and draws the plot in docs/.
package burst

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"tandem/internal/engines"
	"tandem/internal/simulator/portal"
)

var (
	changes  = flag.Int("changes", 700, "how many changes the burst has")
	plotFile = flag.String("plot", "", "write the plot of rate against limit to this `file`")
)

const (
	workers = 8
	allowed = 190
	window  = 10 * time.Second
)

// TestMain is the test, or one of its workers.
func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		if err := work(); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestBurst(t *testing.T) {
	if testing.Short() {
		t.Skip("a short run starts no engines")
	}
	b := burst{t: t}
	b.run()
}

// enough is the share of the allowed rate that must be used: 95 % of a long burst.
// In a short one on busy cores the moments at its ends weigh more.
func enough() float64 {
	if *changes >= 5000 {
		return 0.95
	}
	return 0.8
}

// burst is the simulator and what it saw.
type burst struct {
	t      *testing.T
	portal *portal.Portal
	ids    []string
	calls  calls
}

func (b *burst) run() {
	b.portal = portal.New(portal.Options{RateLimit: allowed})
	for range *changes {
		rec, err := b.portal.Create(portal.Person, "contacts", map[string]string{"firstname": "Ann"})
		if err != nil {
			b.t.Fatal(err)
		}
		b.ids = append(b.ids, rec.ID)
	}
	hub := httptest.NewServer(b.calls.watch(b.portal.Handler()))
	defer hub.Close()
	b.work(hub.URL, engines.DynamoDBLocal(b.t))
	b.complete()
	s := b.calls.summary()
	b.t.Logf("%d changes, %d calls in %v: %.2f %% answered 429, %.1f %% of the allowed rate used, at most %d accepted in any window",
		*changes, s.calls, s.took.Round(time.Millisecond), 100*s.refused, 100*s.used, s.peak)
	if s.refused >= 0.01 || s.used < enough() {
		b.t.Errorf("%.4f of the calls were refused (want below 0.01), %.3f of the rate used (want %v)", s.refused, s.used, enough())
	}
	if *plotFile != "" {
		if err := os.WriteFile(*plotFile, b.calls.plot(*changes), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// work runs the workers to their end.
func (b *burst) work(hub, dynamo string) {
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	var all []*exec.Cmd
	for i := range workers {
		cmd := exec.Command(self)
		cmd.Stderr = os.Stderr
		cmd.Env = append(os.Environ(), asWorker+"="+strconv.Itoa(i), "BURST_HUBSPOT="+hub,
			"BURST_FIRST="+b.ids[0], "BURST_CHANGES="+strconv.Itoa(*changes),
			"AWS_ENDPOINT_URL_DYNAMODB="+dynamo, "AWS_REGION=ap-southeast-2", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local")
		if err := cmd.Start(); err != nil {
			b.t.Fatal(err)
		}
		all = append(all, cmd)
	}
	for i, cmd := range all {
		if err := cmd.Wait(); err != nil {
			b.t.Errorf("worker %d: %v", i, err)
		}
	}
}

// complete demands that every change has arrived.
func (b *burst) complete() {
	lost := 0
	for i, id := range b.ids {
		rec, err := b.portal.Read("contacts", id, portal.ReadOptions{Properties: []string{"firstname"}})
		if err != nil || rec.Text("firstname") != name(i) {
			lost++
		}
	}
	if lost > 0 {
		b.t.Errorf("%d of %d changes were lost", lost, len(b.ids))
	}
}

// name is what contact i is called after the burst.
func name(i int) string { return "N" + strconv.Itoa(i) }
