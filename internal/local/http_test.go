package local_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/local"
	"tandem/internal/local/engine"
	"tandem/internal/record"
)

func sleep() { time.Sleep(5 * time.Millisecond) }

// stopDeliveries lets HubSpot's events gather while do runs.
func (r *rig) stopDeliveries(do func()) {
	r.stop()
	do()
	r.start()
}

func (r *rig) call(method, path string, out any) int {
	r.t.Helper()
	req, err := http.NewRequest(method, r.server.URL()+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if out != nil && len(body) > 0 {
		if err := json.Unmarshal(body, out); err != nil {
			r.t.Fatalf("%s %s: %v in %s", method, path, err, body)
		}
	}
	return resp.StatusCode
}

func (r *rig) text(path string) string {
	r.t.Helper()
	resp, err := http.Get(r.server.URL() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		r.t.Errorf("GET %s: %s", path, resp.Status)
	}
	return string(body)
}

// captured are real deliveries (testdata/captured.json tells their origin).
type captured struct {
	Creation json.RawMessage   // a burst of one action, the creation in sixth place
	Single   []json.RawMessage // single events
}

func readCaptured(t *testing.T) captured {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "captured.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c captured
	if err := json.Unmarshal(body, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// The captured events are of contact 508369434347; a portal that numbers its
// contacts from there holds that contact.
func (r *rig) capturedContact() {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), "portal.json")
	state := `{"objects":{"contacts":{"next":508369434347}}}`
	if err := os.WriteFile(file, []byte(state), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := r.portal.LoadFile(file); err != nil {
		r.t.Fatal(err)
	}
	rec := r.contact(map[string]string{"email": "maton@example.com", "firstname": "Maton", "lastname": "Example"})
	if rec.ID != "508369434347" {
		r.t.Fatalf("the contact has id %s", rec.ID)
	}
	r.portal.Events() // only the captured ones are delivered
}

func TestCapturedDeliveries(t *testing.T) {
	r := newRigAfter(t, (*rig).capturedContact)
	c := readCaptured(t)
	before := r.server.Status().Accepted
	status, answer := r.send(r.signed(c.Creation, time.Now()))
	if status != 200 || answer.Events != 8 || answer.Started != 1 {
		t.Fatalf("the burst got %d %+v, want 8 events and 1 execution", status, answer)
	}
	r.quiet()
	if n := r.company.Counts().Writes; n != 1 {
		t.Errorf("the burst made %d writes, want 1", n)
	}
	if n := r.server.Status().Accepted - before; n < 1 || n > 2 { // the destination's echo is the second
		t.Errorf("%d executions, want the burst's and at most its echo's", n)
		for _, o := range r.outcomes(0) {
			t.Logf("%s %s: %s %s", o.Execution, o.Ref, o.Kind, o.Reason)
		}
	}
	for i, event := range c.Single {
		body := slices.Concat([]byte("["), event, []byte("]"))
		if status, answer := r.send(r.signed(body, time.Now())); status != 200 && status != 404 {
			t.Errorf("event %d got %d %+v", i, status, answer)
		}
	}
	r.quiet()
	if n := r.company.Counts().Writes; n != 1 {
		t.Errorf("the single events made writes: %d in all, want 1", n)
	}
}

func TestUnauthenticDeliveriesAreRefused(t *testing.T) {
	r := newRigAfter(t, (*rig).capturedContact)
	body := readCaptured(t).Creation
	now := time.Now()
	good := func() (d map[string]string) { return r.signed(body, now).Header }
	for name, change := range map[string]func(h map[string]string) ([]byte, map[string]string){
		"unsigned": func(map[string]string) ([]byte, map[string]string) { return body, nil },
		"no signature": func(h map[string]string) ([]byte, map[string]string) {
			delete(h, "x-hubspot-signature-v3")
			return body, h
		},
		"another secret": func(h map[string]string) ([]byte, map[string]string) {
			h["x-hubspot-signature-v3"] = strings.Repeat("A", 43) + "="
			return body, h
		},
		"stale": func(map[string]string) ([]byte, map[string]string) {
			return body, r.signed(body, now.Add(-6*time.Minute)).Header
		},
		"future-dated": func(map[string]string) ([]byte, map[string]string) {
			return body, r.signed(body, now.Add(6*time.Minute)).Header
		},
		"altered": func(h map[string]string) ([]byte, map[string]string) { return append(slices.Clone(body), ' '), h },
		"not even JSON": func(h map[string]string) ([]byte, map[string]string) {
			return []byte("}{"), h
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, h := change(good())
			d := r.signed(b, now)
			d.Header = h
			if status, answer := r.send(d); status != http.StatusUnauthorized || answer.Events != 0 {
				t.Errorf("got %d %+v, want 401 and nothing parsed", status, answer)
			}
		})
	}
	if n := r.server.Status().Accepted; n != 0 {
		t.Errorf("%d executions were started", n)
	}
	// The former secret is valid while it is being rotated.
	d := r.signed(body, now)
	if status, _ := r.send(d); status != 200 {
		t.Errorf("the right signature got %d", status)
	}
}

func TestAuthenticBodiesThatAreWrong(t *testing.T) {
	r := newRig(t)
	for _, body := range []string{"", "null", "{}", "not JSON", `[{"eventId":`, `[1,2]`} {
		if status, answer := r.send(r.signed([]byte(body), time.Now())); status != 200 || answer.Started != 0 {
			t.Errorf("body %q got %d %+v, want 200 and nothing started", body, status, answer)
		}
	}
	foreign := []byte(`[{"eventId":1,"portalId":999,"objectId":5,"subscriptionType":"contact.creation","occurredAt":1782371969536}]`)
	if status, _ := r.send(r.signed(foreign, time.Now())); status != http.StatusNotFound {
		t.Errorf("a delivery of another portal got %d, want 404", status)
	}
	if status := r.call("POST", "/webhooks/unknown", nil); status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
		t.Errorf("an unknown route got %d", status)
	}
}

func TestOversizedBodiesAreNotRead(t *testing.T) {
	r := newRig(t)
	conn := r.raw()
	fmt.Fprintf(conn, "POST /webhooks/hubspot HTTP/1.1\r\nHost: %s\r\nContent-Length: 99999999\r\n\r\n", r.address)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil) // it is answered although nothing was sent
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a declared length of 100 MB got %d", resp.StatusCode)
	}
	conn = r.raw()
	fmt.Fprintf(conn, "POST /webhooks/hubspot HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n", r.address)
	go func() {
		chunk := strings.Repeat("x", 0x8000)
		for range 64 {
			if _, err := fmt.Fprintf(conn, "8000\r\n%s\r\n", chunk); err != nil {
				return // the server has hung up, as it should
			}
		}
	}()
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("an endless body got %v, %v", resp, err)
	}
}

// A sender that reads the answer only after it has sent everything hears why.
func TestSenderOfTooMuchIsAnswered(t *testing.T) {
	r := newRig(t)
	for name, body := range map[string]io.Reader{
		"declared": bytes.NewReader(make([]byte, 8<<20)),
		"chunked":  io.MultiReader(bytes.NewReader(make([]byte, 8<<20))),
	} {
		conn := r.raw()
		req, err := http.NewRequest(http.MethodPost, "http://"+r.address+"/webhooks/hubspot", body)
		if err != nil {
			t.Fatal(err)
		}
		if err := req.Write(conn); err != nil {
			t.Errorf("%s: the connection broke: %v", name, err)
			continue
		}
		if resp, err := http.ReadResponse(bufio.NewReader(conn), req); err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %v, %v; want 413", name, resp, err)
		}
	}
}

func TestTruncatedBodyStartsNothing(t *testing.T) {
	r := newRig(t)
	conn := r.raw()
	fmt.Fprintf(conn, "POST /webhooks/hubspot HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\n\r\n[{", r.address)
	conn.Close()
	r.quiet()
	if n := r.server.Status().Accepted; n != 0 {
		t.Errorf("%d executions were started", n)
	}
}

func TestOtherSitesCannotUseTheConsole(t *testing.T) {
	r := newRig(t)
	for name, change := range map[string]func(*http.Request){
		"another origin": func(q *http.Request) { q.Header.Set("Origin", "https://evil.example") },
		"cross-site":     func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another name":   func(q *http.Request) { q.Host = "evil.example" },
	} {
		req, err := http.NewRequest("POST", r.server.URL()+"/api/poll", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("%s: got %s", name, resp.Status)
		}
	}
	resp, err := http.PostForm(r.server.URL()+"/dead-letters", url.Values{"do": {"remove"}, "id": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a form without the token got %s", resp.Status)
	}
}

var token = regexp.MustCompile(`name="token" value="([^"]+)"`)

func TestDeadLettersAreRedrivenFromThePage(t *testing.T) {
	r := newRig(t)
	contact := r.contact(map[string]string{"email": "a@example.com", "hs_lead_status": "NOT_IN_THE_MAP"})
	r.quiet()
	page := r.text("/dead-letters")
	found := token.FindStringSubmatch(page)
	if found == nil || !strings.Contains(page, "UnknownEnum") || !strings.Contains(page, contact.ID) {
		t.Fatal("the page does not list the dead letter with its cause and record")
	}
	resp, err := http.PostForm(r.server.URL()+"/dead-letters", url.Values{"token": {found[1]}, "do": {"redrive"}, "id": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	r.quiet()
	runs := r.server.Engine().Executions(engine.Filter{Record: "contacts/" + contact.ID, Status: "dead"})
	if resp.StatusCode != 200 || len(runs) != 2 {
		t.Errorf("got %s and %d failed executions of the record, want 2", resp.Status, len(runs))
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	r := newRig(t)
	options := local.Options{Spec: r.spec, Secrets: secrets, HubSpotURL: r.hub.URL, DestinationURL: r.dest.URL, Data: r.data}
	if _, err := local.Open(options); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a directory in use: %v", err)
	}
	options.Data, options.Secrets = t.TempDir(), local.Secrets{"hubspot-token": {"x"}}
	if _, err := local.Open(options); err == nil || !strings.Contains(err.Error(), "destination-client-secret") {
		t.Errorf("missing secrets: %v", err)
	}
	options.Secrets, options.Listen = secrets, r.address
	if _, err := local.Open(options); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("a taken address: %v", err)
	}
	options.Listen, options.DestinationURL = "", "http://127.0.0.1:1"
	s, err := local.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	if p := s.Probe(t.Context()); len(p) != 1 || !strings.Contains(p[0], "--destination-url") {
		t.Errorf("a dead destination: %q", p)
	}
	options.Data, options.DestinationURL, options.Secrets = t.TempDir(), r.dest.URL, local.Secrets{}
	maps.Copy(options.Secrets, secrets)
	options.Secrets["destination-token"] = []string{"of another app"}
	if s, err = local.Open(options); err != nil {
		t.Fatal(err)
	}
	if p := s.Probe(t.Context()); len(p) != 1 || !strings.Contains(p[0], "destination-token") || strings.Contains(p[0], "of another app") {
		t.Errorf("a wrong token: %q", p)
	}
	if s.WebhookURL(record.HubSpot) == "" {
		t.Error("no webhook address")
	}
}

// What the documentation says can be asked, can be asked.
func TestTheDocumentedAPIExists(t *testing.T) {
	r := newRig(t)
	documented := regexp.MustCompile(`(?m)^  (GET|POST|DELETE) +(/[^\s?]+)`).FindAllStringSubmatch(local.APIDoc, -1)
	if len(documented) < 15 {
		t.Fatalf("only %d addresses found in the documentation", len(documented))
	}
	for _, d := range documented {
		req, err := http.NewRequest(d[1], r.server.URL()+regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(d[2], "1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if strings.Contains(string(body), "there is no such address") || strings.Contains(string(body), "no deliveries are taken") || strings.Contains(string(body), "<html") {
			t.Errorf("%s %s: %s", d[1], d[2], body)
		}
	}
}

// A person who opens a webhook's address in a browser is told what it is for.
func TestWebhookAddressesSayWhatTheyTake(t *testing.T) {
	r := newRig(t)
	var refused struct{ Error, Do string }
	for _, path := range []string{"/webhooks/hubspot", "/webhooks/hubspot/", "/webhooks/other"} {
		if status := r.call("GET", path, &refused); status != http.StatusNotFound || !strings.Contains(refused.Do, "POST them to "+r.server.WebhookURL(record.HubSpot)) {
			t.Errorf("GET %s: %d, %+v", path, status, refused)
		}
	}
}
