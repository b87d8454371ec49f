package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/local"
	"tandem/internal/local/engine"
	"tandem/internal/local/sandbox"
	"tandem/internal/record"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

var secrets = local.Secrets{
	"hubspot-token": {"hub-token"}, "hubspot-client-secret": {"hub-secret", "former-hub-secret"},
	"destination-token": {"dest-token"}, "destination-client-secret": {"dest-secret"},
}

// rig is a real server between two simulators that outlive it.
type rig struct {
	t         *testing.T
	spec      *spec.Spec
	data      string
	portal    *portal.Portal
	company   *erp.Company
	hub, dest *httptest.Server
	hubWrites atomic.Int64
	gate      atomic.Pointer[chan struct{}]     // while set, the destination's writes wait for it to be closed
	wait      func(time.Duration) time.Duration // how long instead
	server    *local.Server
	address   string
	stop      func()

	mu        sync.Mutex
	delivered [][]portal.Event // what HubSpot has sent, for replays
}

func newRig(t *testing.T) *rig { return newRigAfter(t, func(*rig) {}) }

// newRigAfter lets prepare set the systems up before the server first starts:
// what is there then is not asked for by comparisons.
func newRigAfter(t *testing.T, prepare func(*rig)) *rig {
	t.Helper()
	t.Parallel() // a rig waits much more than it works
	s, err := spec.Load("../../spec/acme/integration-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	s = sandbox.Adapt(s)
	s.HubSpot.RateLimit, s.Destination.RateLimit = spec.RateLimit{}, spec.RateLimit{} // a person's pace, not a test's
	r := &rig{t: t, spec: s, data: t.TempDir(), portal: portal.New(portal.Options{Duplicates: 0.1, Clashes: 0.1}), company: erp.New(erp.Usual(), nil, nil)}
	r.portal.DefineFor(s)
	api := r.portal.Handler()
	r.hub = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodGet && !bytes.HasSuffix([]byte(q.URL.Path), []byte("/search")) {
			r.hubWrites.Add(1)
		}
		api.ServeHTTP(w, q)
	}))
	dest := erp.Handler(r.company, "dest-token")
	r.dest = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if gate := r.gate.Load(); gate != nil && q.Method != http.MethodGet {
			select {
			case <-*gate:
			case <-q.Context().Done():
				return
			}
		}
		dest.ServeHTTP(w, q)
	}))
	t.Cleanup(func() {
		if r.stop != nil {
			r.stop()
		}
		r.hub.Close()
		r.dest.Close()
	})
	prepare(r)
	r.start()
	return r
}

// start opens the server, on the same address as before.
func (r *rig) start() {
	r.t.Helper()
	server, err := local.Open(local.Options{
		Spec: r.spec, Secrets: secrets, HubSpotURL: r.hub.URL, DestinationURL: r.dest.URL, Data: r.data, Listen: r.address, Wait: r.wait,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.server, r.address = server, server.URL()[len("http://"):]
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := server.Run(ctx); err != nil && err != http.ErrServerClosed {
			r.t.Errorf("the server ended with: %v", err)
		}
	})
	work.Go(func() { r.deliver(ctx) })
	work.Go(func() {
		erp.Deliverer{Company: r.company, URL: server.WebhookURL(record.Destination), Secret: "dest-secret"}.Run(ctx)
	})
	r.stop = func() { cancel(); work.Wait(); r.stop = nil }
}

// deliver sends HubSpot's events on, in deliveries of at most 100.
func (r *rig) deliver(ctx context.Context) {
	for ctx.Err() == nil {
		for batch := range slices.Chunk(r.portal.Events(), 100) {
			if status, _ := r.post(batch); status == http.StatusOK {
				r.mu.Lock()
				r.delivered = append(r.delivered, batch)
				r.mu.Unlock()
			} else {
				r.portal.Requeue(batch)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// post delivers events as HubSpot does.
func (r *rig) post(events []portal.Event) (int, flow.Answer) {
	return r.send(r.portal.Delivery("hub-secret", r.server.WebhookURL(record.HubSpot), events, 0))
}

// send posts a delivery as it stands.
func (r *rig) send(d flow.Delivery) (int, flow.Answer) {
	req, err := http.NewRequest(d.Method, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		r.t.Error(err)
		return 0, flow.Answer{}
	}
	for name, value := range d.Header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, flow.Answer{}
	}
	defer resp.Body.Close()
	var a flow.Answer
	body, _ := io.ReadAll(resp.Body)
	_ = json.Unmarshal(body, &a)
	return resp.StatusCode, a
}

// signed is a delivery of any body, signed as HubSpot does at an instant.
func (r *rig) signed(body []byte, at time.Time) flow.Delivery {
	url, stamp := r.server.WebhookURL(record.HubSpot), fmt.Sprint(at.UnixMilli())
	return flow.Delivery{Method: "POST", URL: url, Body: body, Header: map[string]string{
		hubspot.TimestampHeader: stamp, hubspot.SignatureHeader: hubspot.Sign("hub-secret", "POST", url, body, stamp),
	}}
}

// quiet waits until nothing is under way: neither here nor between the systems.
func (r *rig) quiet() {
	r.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for calm := 0; calm < 15; {
		if time.Now().After(deadline) {
			r.t.Fatalf("no quiet within a minute: %+v", r.server.Status())
		}
		time.Sleep(10 * time.Millisecond)
		calm++
		if st := r.server.Status(); !st.Quiet || r.company.Pending() > 0 {
			calm = 0
		}
	}
}

// get decodes an answer of the API.
func (r *rig) get(path string, out any) int {
	r.t.Helper()
	resp, err := http.Get(r.server.URL() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		r.t.Fatalf("GET %s: %v", path, err)
	}
	return resp.StatusCode
}

// outcomes lists what ended after a cursor.
func (r *rig) outcomes(since uint64) []engine.Outcome {
	r.t.Helper()
	var page struct{ Outcomes []engine.Outcome }
	r.get(fmt.Sprintf("/api/outcomes?since=%d", since), &page)
	return page.Outcomes
}

func (r *rig) writes() int64 { return r.hubWrites.Load() + int64(r.company.Counts().Writes) }

// contact makes a contact as a person would.
func (r *rig) contact(values map[string]string) portal.Record {
	r.t.Helper()
	rec, err := r.portal.Create(portal.Person, "contacts", values)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

// customerOf is the one live customer of a contact.
func (r *rig) customerOf(contact string) erp.Record {
	r.t.Helper()
	found, err := r.company.Find("customers", "hubspot_id", contact)
	if err != nil || len(found) != 1 {
		r.t.Fatalf("contact %s has %d customers, want 1 (%v)", contact, len(found), err)
	}
	return found[0]
}

// read shows a contact's properties as they are now.
func (r *rig) read(id string, properties ...string) portal.Record {
	r.t.Helper()
	rec, err := r.portal.Read("contacts", id, portal.ReadOptions{Properties: properties})
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

// converged checks every contact against its customer, and that there are no
// other customers.
func (r *rig) converged(contacts ...string) {
	r.t.Helper()
	for _, id := range contacts {
		c, rec := r.customerOf(id), r.read(id, "email", "firstname", "lastname", "erp_id")
		for property, field := range map[string]string{"email": "email", "firstname": "first_name", "lastname": "last_name"} {
			if erp.Show(c.Fields[field]) != rec.Text(property) {
				r.t.Errorf("contact %s: %s and %s differ", id, property, field)
			}
		}
		if got := rec.Text("erp_id"); got != "" && got != c.ID {
			r.t.Errorf("contact %s holds the id of another customer", id)
		}
	}
	live := 0
	for _, c := range r.company.Records("customers") {
		if !c.Deleted {
			live++
		}
	}
	if live != len(contacts) {
		r.t.Errorf("%d customers live, want %d", live, len(contacts))
	}
}

// raw opens a connection to the server, for requests that net/http would not send.
func (r *rig) raw() net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return conn
}
