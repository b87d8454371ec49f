// Package burst shows that whole servers in separate processes keep within one
// budget: eight of `tandem run`, which share nothing but a table in DynamoDB Local,
// take a burst of new contacts from a HubSpot simulator that counts calls as
// HubSpot does, 190 in any 10 s, through their state machines to the simulated
// ERP. It holds tests only.
//
// `make test` plays about a thousand contacts; `make burst` plays 10,000 in nine
// minutes and draws the plot in docs/.
package burst

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	"tandem/internal/engines"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

var (
	changes  = flag.Int("changes", 6*allowed, "how many contacts the burst has")
	plotFile = flag.String("plot", "", "write the plot of rate against limit to this `file`")
)

const (
	processes = 8
	allowed   = 190
	window    = 10 * time.Second
	example   = "spec/acme/integration-spec.json"
)

func TestBurst(t *testing.T) {
	if testing.Short() {
		t.Skip("a short run starts no engines")
	}
	b := &burst{t: t, company: erp.New(erp.Usual(), nil, nil), portal: portal.New(portal.Options{RateLimit: allowed})}
	b.run()
}

// long reports whether the burst is one that has to use 95 % of the allowed rate. In
// a short one the moments at its ends, and what else the cores do, decide that.
func long() bool { return *changes >= 5000 }

// burst is both systems and what HubSpot's saw.
type burst struct {
	t       *testing.T
	portal  *portal.Portal
	company *erp.Company
	ids     []string
	calls   calls
}

func (b *burst) run() {
	s, err := spec.Load(engines.Root(b.t) + "/" + example)
	if err != nil {
		b.t.Fatal(err)
	}
	b.portal.DefineFor(s)
	hub := httptest.NewServer(b.calls.watch(b.portal.Handler()))
	b.t.Cleanup(hub.Close)
	dest := httptest.NewServer(erp.Handler(b.company, "dest-token"))
	b.t.Cleanup(dest.Close)
	f := startFleet(b.t, hub.URL, dest.URL, engines.DynamoDBLocal(b.t))
	f.settle(b.company, 0) // what a server does when it starts is no part of the burst
	b.fill()
	b.calls.keepTime(b.t.Context())
	f.deliver(b.portal, b.company)
	f.settle(b.company, 1)
	b.complete()
	sent := f.deadLetters()
	sum := b.calls.summary()
	b.t.Logf("%d contacts, %d calls in %v: %.2f %% answered 429, %.1f %% of the allowed rate used, at most %d accepted in any window; %d executions postponed, %d dead letters",
		*changes, sum.calls, sum.took.Round(time.Millisecond), 100*sum.refused, 100*sum.used, sum.peak, f.postponed(), sent)
	b.t.Logf("calls: %v; %d deliveries were repeated", b.calls.kinds, f.again.Load())
	b.t.Logf("accepted in each window: %v; refused after %v s", sum.windows, sum.when)
	b.t.Logf("this machine kept time to %v", b.calls.late().Round(time.Millisecond))
	if sum.refused >= 0.01 || sent > 0 {
		b.t.Errorf("%.4f of the calls were refused (want below 0.01), %d dead letters (want none)", sum.refused, sent)
	}
	if long() && sum.used < 0.95 {
		b.t.Errorf("%.3f of the rate used, want 0.95", sum.used)
	}
	// A contact whose events come in two deliveries, or in one that is repeated, is read
	// twice. On cores that have no time more are, which a short burst consists of.
	if most := *changes*21/20 + perDelivery*int(f.again.Load()) + 2*processes; long() && sum.calls > most {
		b.t.Errorf("%d calls for %d contacts, want at most %d", sum.calls, *changes, most)
	}
	if *plotFile != "" {
		if err := os.WriteFile(*plotFile, b.calls.plot(*changes), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// fill imports the contacts.
func (b *burst) fill() {
	for i := range *changes {
		rec, err := b.portal.Create(portal.Person, "contacts", map[string]string{"firstname": name(i), "email": fmt.Sprintf("n%d@example.com", i)})
		if err != nil {
			b.t.Fatal(err)
		}
		b.ids = append(b.ids, rec.ID)
	}
}

// complete demands that every contact has arrived, once.
func (b *burst) complete() {
	there := map[string][]string{}
	for _, c := range b.company.Records("customers") {
		if !c.Deleted {
			id := erp.Show(c.Fields["hubspot_id"])
			there[id] = append(there[id], erp.Show(c.Fields["first_name"]))
		}
	}
	wrong := 0
	for i, id := range b.ids {
		if got := there[id]; len(got) != 1 || got[0] != name(i) {
			wrong++
		}
	}
	if wrong > 0 || len(there) != len(b.ids) {
		b.t.Errorf("%d of %d contacts did not arrive or did not arrive once; %d customers", wrong, len(b.ids), len(there))
	}
}

// name is what contact i is called.
func name(i int) string { return "N" + strconv.Itoa(i) }
