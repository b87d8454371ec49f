package burst

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/internal/engines"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
)

// A burst has failed when nothing moves any more for this long; the longest that
// an event is put off is a quarter of an hour, but none should be put off twice.
const stalled = 3 * time.Minute

// perDelivery is how many events HubSpot delivers at once.
const perDelivery = 100

// fleet is `tandem run` several times over, behind one address.
type fleet struct {
	t     *testing.T
	urls  []string
	entry string // the address both systems deliver to
	turn  atomic.Int64
	again atomic.Int64 // deliveries that were not taken at first
	most  int          // the most events put off at one time
}

const secrets = `{"hubspot-token": "hub-token", "hubspot-client-secret": "hub-secret", "destination-token": "dest-token", "destination-client-secret": "dest-secret"}`

// startFleet builds the command and starts every process, each with a directory
// of its own.
func startFleet(t *testing.T, hub, dest, dynamo string) *fleet {
	t.Helper()
	f := &fleet{t: t}
	dir := t.TempDir()
	program, secretsFile := filepath.Join(dir, "tandem"), filepath.Join(dir, "secrets.json")
	build := exec.Command("go", "build", "-o", program, "./cmd/tandem")
	build.Dir = engines.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if err := os.WriteFile(secretsFile, []byte(secrets), 0o600); err != nil {
		t.Fatal(err)
	}
	balancer := httptest.NewServer(http.HandlerFunc(f.forward))
	t.Cleanup(balancer.Close)
	f.entry = balancer.URL
	for i := range processes {
		address := fmt.Sprintf("127.0.0.1:%d", engines.FreePort(t))
		cmd := exec.Command(program, "run", "--spec", filepath.Join(engines.Root(t), example), "--secrets", secretsFile,
			"--hubspot-url", hub, "--destination-url", dest, "--public-url", f.entry, "--listen", address,
			"--data", filepath.Join(dir, fmt.Sprint("data", i)), "--centre-listen", "off")
		cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL_DYNAMODB="+dynamo, "TANDEM_TABLE=burst",
			"AWS_REGION=ap-southeast-2", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local")
		engines.Start(t, "http://"+address+"/healthz", cmd)
		f.urls = append(f.urls, "http://"+address)
	}
	return f
}

// forward hands each delivery to the next process, as a load balancer does.
func (f *fleet) forward(w http.ResponseWriter, r *http.Request) {
	target, err := url.Parse(f.urls[int(f.turn.Add(1))%len(f.urls)])
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	proxy.ServeHTTP(w, r)
}

// deliver sends both systems' events on until the test ends.
func (f *fleet) deliver(p *portal.Portal, c *erp.Company) {
	ctx, end := context.WithCancel(context.Background())
	var work sync.WaitGroup
	f.t.Cleanup(func() { end(); work.Wait() })
	work.Go(func() {
		erp.Deliverer{Company: c, URL: f.entry + "/webhooks/destination", Secret: "dest-secret"}.Run(ctx)
	})
	work.Go(func() {
		for ctx.Err() == nil {
			for batch := range slices.Chunk(p.Events(), perDelivery) {
				if !f.post(p, batch) {
					f.again.Add(1)
					p.Requeue(batch)
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// post delivers events as HubSpot does; false when they were not taken.
func (f *fleet) post(p *portal.Portal, events []portal.Event) bool {
	d := p.Delivery("hub-secret", f.entry+"/webhooks/hubspot", events, 0)
	req, err := http.NewRequest(d.Method, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		f.t.Error(err)
		return true
	}
	for name, value := range d.Header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// status is what all processes say of themselves, added up.
type status struct {
	Quiet                                     bool
	Outcomes, Accepted, Deferred, DeadLetters int
}

func (f *fleet) status() (sum status) {
	sum.Quiet = true
	for _, u := range f.urls {
		var one status
		resp, err := http.Get(u + "/api/status")
		if err == nil {
			err = json.NewDecoder(resp.Body).Decode(&one)
			resp.Body.Close()
		}
		if err != nil {
			f.t.Fatalf("a process does not answer: %v", err)
		}
		sum.Quiet = sum.Quiet && one.Quiet
		sum.Outcomes += one.Outcomes
		sum.Accepted += one.Accepted
		sum.Deferred += one.Deferred
		sum.DeadLetters += one.DeadLetters
	}
	f.most = max(f.most, sum.Deferred)
	return sum
}

// settle waits until nothing has been under way anywhere for a while, and at least
// so many executions were accepted.
func (f *fleet) settle(c *erp.Company, accepted int) {
	f.t.Helper()
	moved, last := time.Now(), status{}
	for calm := 0; calm < 10; time.Sleep(200 * time.Millisecond) {
		s := f.status()
		if s != last {
			moved, last, calm = time.Now(), s, 0
		}
		if calm++; !s.Quiet || s.Accepted < accepted || c.Pending() > 0 {
			calm = 0
		}
		if time.Since(moved) > stalled {
			f.t.Fatalf("nothing has moved for %v: %+v", stalled, s)
		}
	}
}

// deadLetters counts what was given up, and tells why.
func (f *fleet) deadLetters() (n int) {
	for _, u := range f.urls {
		var page struct {
			DeadLetters []struct{ Machine, Code, Cause string }
		}
		resp, err := http.Get(u + "/api/dead-letters?limit=1000")
		if err == nil {
			err = json.NewDecoder(resp.Body).Decode(&page)
			resp.Body.Close()
		}
		if err != nil {
			f.t.Fatalf("a process does not answer: %v", err)
		}
		for _, d := range page.DeadLetters {
			f.t.Logf("dead letter of %s: %s %s", d.Machine, d.Code, d.Cause)
		}
		n += len(page.DeadLetters)
	}
	return n
}

// postponed is how many events were put off at one time, at most.
func (f *fleet) postponed() int { return f.most }
