package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/local/why"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// TestMain lets the test binary be the command: with asCommand in its
// environment it runs its arguments as tandem does.
func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

const asCommand = "TANDEM_TEST_AS_COMMAND"

// tandem is a process of this command.
func tandem(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(append(os.Environ(), asCommand+"=1"), env...)
	cmd.Dir = "../.."
	return cmd
}

// world is two simulators that outlive every process of the command.
type world struct {
	t         *testing.T
	specFile  string
	secrets   string
	portal    *portal.Portal
	company   *erp.Company
	hub, dest *httptest.Server
	writes    atomic.Int64 // at either system
	waiting   atomic.Int64 // HubSpot's events on their way
	target    []string     // where deliveries go, in turn
	delivered [][]portal.Event
	turn      int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, portal: portal.New(portal.Options{Duplicates: 0.05}), company: erp.New(erp.Usual(), nil, nil)}
	w.files()
	w.hub = httptest.NewServer(w.counted(w.portal.Handler()))
	w.dest = httptest.NewServer(w.counted(erp.Handler(w.company, "dest-token")))
	t.Cleanup(func() { w.hub.Close(); w.dest.Close() })
	return w
}

func (w *world) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && filepath.Base(r.URL.Path) != "search" {
			w.writes.Add(1)
		}
		next.ServeHTTP(rw, r)
	})
}

// files writes the example's spec, without budgets and with quick polls, and secrets.
func (w *world) files() {
	dir := w.t.TempDir()
	w.specFile, w.secrets = filepath.Join(dir, "integration-spec.json"), filepath.Join(dir, "secrets.json")
	s, err := spec.Load("../../" + exampleSpec)
	if err != nil {
		w.t.Fatal(err)
	}
	w.portal.DefineFor(s)
	s.HubSpot.RateLimit, s.Destination.RateLimit = spec.RateLimit{}, spec.RateLimit{}
	s.HubSpot.SearchLag.Duration = time.Second
	for i := range s.Pairs {
		if s.Pairs[i].Destination.Trigger == "poll" {
			s.Pairs[i].Destination.Every.Duration = time.Second
		}
	}
	body, err := json.Marshal(s)
	if err != nil {
		w.t.Fatal(err)
	}
	write := func(name string, body []byte) {
		if err := os.WriteFile(name, body, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	write(w.specFile, body)
	write(w.secrets, []byte(`{"hubspot-token":"hub-token","hubspot-client-secret":["hub-secret"],"destination-token":"dest-token","destination-client-secret":"dest-secret"}`))
}

// deliver sends webhooks until ctx ends, again after every failure.
func (w *world) deliver(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	for i := range w.target {
		work.Go(func() {
			erp.Deliverer{Company: w.company, URL: w.target[i] + "/webhooks/destination", Secret: "dest-secret", Client: &http.Client{Timeout: 2 * time.Second}}.Run(ctx)
		})
	}
	for ctx.Err() == nil {
		for batch := range slices.Chunk(w.portal.Events(), 20) {
			w.waiting.Add(1)
			for !w.post(batch) && ctx.Err() == nil {
				time.Sleep(20 * time.Millisecond)
			}
			w.delivered = append(w.delivered, batch)
			w.waiting.Add(-1)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (w *world) post(batch []portal.Event) bool {
	w.turn++
	d := w.portal.Delivery("hub-secret", w.target[w.turn%len(w.target)]+"/webhooks/hubspot", batch, 0)
	req, err := http.NewRequest(d.Method, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		w.t.Error(err)
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
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

// process is one running `tandem run`.
type process struct {
	*exec.Cmd
	api, hubspot string
	err          *bytes.Buffer
}

// start runs the command against the simulators and waits until it is ready.
func (w *world) start(data, listen string, env ...string) *process {
	w.t.Helper()
	return w.ready(tandem(w.t, env, "run", "--spec", w.specFile, "--secrets", w.secrets, "--hubspot-url", w.hub.URL,
		"--destination-url", w.dest.URL, "--data", data, "--listen", listen, "--json"))
}

// ready starts a process and waits for its line of addresses.
func (w *world) ready(cmd *exec.Cmd) *process {
	w.t.Helper()
	p := &process{Cmd: cmd, err: &bytes.Buffer{}}
	p.Stderr = p.err
	out, err := p.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		w.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var addresses map[string]string
	if err != nil || json.Unmarshal(line, &addresses) != nil {
		p.Process.Kill()
		p.Wait()
		w.t.Fatalf("tandem run printed %q, %v; its log:\n%s", line, err, p.err)
	}
	p.api, p.hubspot = addresses["api"], addresses["hubspot"]
	w.t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	return p
}

// kill ends a process as kill -9 does.
func (p *process) kill() {
	p.Process.Kill()
	p.Wait()
}

// status asks the API.
func (p *process) status() (s struct{ Quiet bool }, err error) {
	return s, server{p.api[:len(p.api)-len("/api")]}.call(context.Background(), "GET", "/api/status", &s)
}

// quiet waits until nothing is under way anywhere. An execution may have to wait
// out the 30 s lease of one that was killed.
func (w *world) quiet(processes ...*process) {
	w.t.Helper()
	deadline := time.Now().Add(4 * time.Minute)
	for calm := 0; calm < 20; calm++ {
		time.Sleep(20 * time.Millisecond)
		for _, p := range processes {
			if s, err := p.status(); err != nil || !s.Quiet || w.company.Pending() > 0 || w.waiting.Load() > 0 {
				calm = 0
			}
		}
		if time.Now().After(deadline) {
			w.t.Fatal("no quiet within 4 minutes")
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// invariants checks what must hold once everything is quiet: each person exists
// once on either side, linked, both sides hold the same, and the last edit is
// what they hold or is recorded as the loser of a conflict.
func (w *world) invariants(p *process, want map[string]string) {
	w.t.Helper()
	lost := 0
	contacts := w.contacts()
	customers := map[string]erp.Record{}
	for _, c := range w.company.Records("customers") {
		if c.Deleted {
			continue
		}
		email := erp.Show(c.Fields["email"])
		if _, twice := customers[email]; twice {
			w.t.Errorf("customer %s exists twice", c.ID)
		}
		customers[email] = c
	}
	if len(contacts) != len(want) || len(customers) != len(want) {
		w.t.Errorf("%d contacts and %d customers, want %d of each", len(contacts), len(customers), len(want))
	}
	for email, name := range want {
		h, d := contacts[email], customers[email]
		switch there := erp.Show(d.Fields["first_name"]); {
		case h["firstname"] != there:
			w.t.Errorf("%s: contact %s holds %q, customer %s holds %q", email, h["hs_object_id"], h["firstname"], d.ID, there)
		case there != name && !w.recorded(p, h["hs_object_id"], name):
			w.t.Errorf("%s: contact %s and customer %s hold %q; the last edit, %q, is in no conflict", email, h["hs_object_id"], d.ID, there, name)
		case there != name:
			lost++
		}
		if h["erp_id"] != "" && h["erp_id"] != d.ID {
			w.t.Errorf("%s: the contact is linked to %s, the customer is %s", email, h["erp_id"], d.ID)
		}
	}
	w.t.Logf("%d people, %d writes, %d edits lost a conflict and are recorded", len(want), w.writes.Load(), lost)
}

// recorded reports whether a value is kept as the loser of a conflict.
func (w *world) recorded(p *process, contact, value string) bool {
	w.t.Helper()
	var report why.Report
	if err := (server{p.api[:len(p.api)-len("/api")]}).call(context.Background(), "GET", "/api/why/contacts/"+contact, &report); err != nil {
		w.t.Error(err)
		return false
	}
	found := slices.ContainsFunc(report.Conflicts, func(c ledger.Conflict) bool { return c.Loser == value })
	if !found { // what is needed to find out why
		var history bytes.Buffer
		_ = report.Print(&history)
		w.t.Log(history.String())
	}
	return found
}

// contacts lists the portal's live contacts by e-mail.
func (w *world) contacts() map[string]map[string]string {
	w.t.Helper()
	out := map[string]map[string]string{}
	for after := ""; ; {
		req, err := http.NewRequest("GET", w.hub.URL+"/crm/objects/2026-09/contacts?limit=100&properties=email,firstname,erp_id&after="+after, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer x")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		var page struct {
			Results []struct{ Properties map[string]string }
			Paging  struct{ Next struct{ After string } }
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			w.t.Fatal(resp.Status, err)
		}
		for _, r := range page.Results {
			email := r.Properties["email"]
			if out[email] != nil {
				w.t.Errorf("contact %s exists twice", r.Properties["hs_object_id"])
			}
			out[email] = r.Properties
		}
		if after = page.Paging.Next.After; after == "" {
			return out
		}
	}
}

// redriveAll starts dead letters again, as a person would after an outage.
func (w *world) redriveAll(p *process) {
	w.t.Helper()
	letters, err := server{p.api[:len(p.api)-len("/api")]}.deadLetters(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	causes := map[string]int{}
	for _, l := range letters {
		causes[l.Code+": "+l.Cause]++
	}
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"redrive", "--all", "--addr", p.api[:len(p.api)-len("/api")]}, nil, &out, &errs); code != exitOK {
		w.t.Fatalf("redrive: %s", errs.String())
	}
	w.t.Logf("redriven: %d; causes %v", bytes.Count(out.Bytes(), []byte(": started ")), causes)
}
