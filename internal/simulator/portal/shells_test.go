package portal

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/record"
	"tandem/spec"
)

// target is an endpoint that checks signatures with the real receiver and
// refuses the first few deliveries.
type target struct {
	*httptest.Server
	mu       sync.Mutex
	refuse   int
	attempts []string // bodies' attempt numbers, as they came
	got      []flow.Notification
	bad      []error
	received chan struct{}
}

func newTarget(t *testing.T, refuse int) *target {
	t.Helper()
	tg := &target{refuse: refuse, received: make(chan struct{}, 1000)}
	tg.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tg.receive(w, r) }))
	t.Cleanup(tg.Close)
	return tg
}

func (tg *target) receive(w http.ResponseWriter, r *http.Request) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	receiver, err := hubspot.NewReceiver(func() []string { return []string{"secret"} }, "48975575", testTypes, time.Now)
	d := flow.Delivery{Method: r.Method, URL: tg.URL + "/hook", Body: body, Header: map[string]string{}}
	for name := range r.Header {
		d.Header[strings.ToLower(name)] = r.Header.Get(name)
	}
	err = errors.Join(err, receiver.Verify(d))
	events, parseErr := receiver.Parse(d)
	if err = errors.Join(err, parseErr); err != nil {
		tg.bad = append(tg.bad, err)
	}
	_, number, _ := strings.Cut(string(body), `"attemptNumber":`)
	tg.attempts = append(tg.attempts, number[:1])
	if tg.refuse > 0 {
		tg.refuse--
		w.WriteHeader(http.StatusNotFound) // HubSpot sends again after a 4xx, too.
		return
	}
	tg.got = append(tg.got, events...)
	tg.received <- struct{}{}
}

func (tg *target) wait(t *testing.T, events int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		tg.mu.Lock()
		n := len(tg.got)
		tg.mu.Unlock()
		if n >= events {
			return
		}
		select {
		case <-tg.received:
		case <-deadline:
			t.Fatalf("%d of %d events came", n, events)
		}
	}
}

func deliver(t *testing.T, p *Portal, tg *target) (d *Deliverer, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	d = p.Deliverer(DeliveryOptions{URL: tg.URL + "/hook", Secret: func() string { return "secret" }, Backoff: func(int) time.Duration { return time.Millisecond }})
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return d, stop
}

func TestDeliveriesAreSignedAndRepeated(t *testing.T) {
	p, tg := New(Options{}), newTarget(t, 2)
	_, stop := deliver(t, p, tg)
	if _, err := p.Create(Person, "contacts", map[string]string{"email": "a@example.com", "firstname": "Ann"}); err != nil {
		t.Fatal(err)
	}
	tg.wait(t, 3)
	stop()
	tg.mu.Lock()
	defer tg.mu.Unlock()
	if len(tg.bad) > 0 || len(tg.got) != 3 || !slices.Equal(tg.attempts, []string{"0", "1", "2"}) {
		t.Errorf("refused %v, got %d events, attempts %v", tg.bad, len(tg.got), tg.attempts)
	}
}

func TestDeliveryIsGivenUpAtTheEnd(t *testing.T) {
	p, tg := New(Options{}), newTarget(t, 1000)
	if _, err := p.Create(Person, "companies", nil); err != nil {
		t.Fatal(err)
	}
	_, events := p.hand()
	d := p.Deliverer(DeliveryOptions{URL: tg.URL, Secret: func() string { return "secret" }, Attempts: 3, Backoff: func(int) time.Duration { return time.Millisecond }})
	d.deliver(t.Context(), events)
	if delivered, gaveUp := d.Counts(); delivered != 0 || gaveUp != int64(len(events)) || len(tg.attempts) != 3 {
		t.Errorf("delivered %d, gave up %d of %d after %d attempts", delivered, gaveUp, len(events), len(tg.attempts))
	}
}

func TestUndeliveredSurvivesARestart(t *testing.T) {
	p, tg := New(Options{}), newTarget(t, 0)
	path := filepath.Join(t.TempDir(), "portal.json")
	a, err := p.Create(Person, "contacts", map[string]string{"email": "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := p.Create(Person, "contacts", map[string]string{"email": "b@example.com"})
	company, _ := p.Create(Person, "companies", map[string]string{"name": "Acme"})
	if err := p.Associate(Person, "contacts", a.ID, "companies", company.ID, true); err != nil {
		t.Fatal(err)
	}
	merged, err := p.Merge(Person, "contacts", a.ID, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	p.hand() // Handed out, not settled: the process ends here.
	if _, err := p.Create(Person, "companies", map[string]string{"name": "Late"}); err != nil {
		t.Fatal(err)
	}
	if err := p.SaveFile(path); err != nil {
		t.Fatal(err)
	}
	again := New(Options{})
	if err := again.LoadFile(path); err != nil {
		t.Fatal(err)
	}
	rec, err := again.Read("contacts", b.ID, ReadOptions{Associations: []string{"companies"}})
	if err != nil || rec.ID != merged.ID || rec.Associations["companies"].Results[0].ID != company.ID {
		t.Errorf("got %+v, %v", rec, err)
	}
	if _, err := again.Create(Person, "contacts", map[string]string{"email": "B@example.com"}); err == nil {
		t.Error("a taken e-mail is free after a restart")
	}
	if next, err := again.Create(Person, "contacts", nil); err != nil || number(next.ID) <= number(merged.ID) {
		t.Errorf("the next id is %s, %v", next.ID, err)
	}
	deliver(t, again, tg)
	tg.wait(t, 12)
	if err := New(Options{}).LoadFile(filepath.Join(t.TempDir(), "none.json")); err != nil {
		t.Errorf("no file: %v", err)
	}
}

func TestKeepSavesAtTheEnd(t *testing.T) {
	p := New(Options{})
	made, err := p.Create(Person, "companies", map[string]string{"name": "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "portal.json")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Keep(ctx, path, time.Hour); err != nil {
		t.Fatal(err)
	}
	again := New(Options{})
	if err := again.LoadFile(path); err != nil {
		t.Fatal(err)
	}
	if rec, err := again.Read("companies", made.ID, ReadOptions{}); err != nil || rec.Text("name") != "Acme" {
		t.Errorf("got %+v, %v", rec, err)
	}
}

func TestPage(t *testing.T) {
	p := New(Options{})
	server := httptest.NewServer(p.Handler())
	t.Cleanup(server.Close)
	send := func(method, path string, form url.Values) (int, string, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Request.URL.Path, string(body)
	}
	status, at, body := send("POST", "/records/contacts", url.Values{"email": {"a@example.com"}, "firstname": {"<script>alert(1)</script>"}})
	if status != 200 || strings.Contains(body, "<script>alert") || !strings.Contains(body, "&lt;script&gt;alert") {
		t.Fatalf("%d at %s: the value is not escaped", status, at)
	}
	if n := len(p.Events()); n != 3 {
		t.Errorf("a creation of two properties made %d events", n)
	}
	if status, _, body = send("POST", "/records/contacts", url.Values{"email": {"A@example.com"}, "lastname": {"kept"}}); status != 409 || !strings.Contains(body, "already exists") || !strings.Contains(body, `value="kept"`) {
		t.Errorf("a taken e-mail: %d", status)
	}
	send("POST", at, url.Values{"firstname": {"Ann"}, "email": {"a@example.com"}, "lastname": {""}})
	events := p.Events()
	if len(events) != 1 || events[0].PropertyName != "firstname" || events[0].ChangeSource != "CRM_UI" {
		t.Errorf("one edit made %+v", events)
	}
	send("POST", at+"/delete", url.Values{})
	if _, _, body = send("GET", "/records/contacts?q=ann", nil); !strings.Contains(body, "archived") {
		t.Error("the list does not show the archived record")
	}
	send("POST", at+"/restore", url.Values{})
	if kinds := p.Events(); len(kinds) != 2 || kinds[1].SubscriptionType != "contact.restore" {
		t.Errorf("delete and restore made %+v", kinds)
	}
	send("POST", "/seed", url.Values{})
	if _, _, body = send("GET", "/records/deals", nil); !strings.Contains(body, "Order for") {
		t.Error("the samples are missing")
	}
	if status, _, _ = send("GET", "/records/nothing", nil); status != 404 {
		t.Errorf("an unknown object type answered %d", status)
	}
}

// TestSubscriptionsDecideWhatIsSent: the events of the file that the client's
// package writes are understood by the receiver, and nothing else is sent.
func TestSubscriptionsDecideWhatIsSent(t *testing.T) {
	s := &spec.Spec{Pairs: []spec.Pair{{
		Name: "contacts", HubSpot: spec.Side{Object: "contacts"},
		Fields: []spec.Field{{Name: "email", HubSpot: spec.Prop{Property: "email", Type: record.String}}, {Name: "born", HubSpot: spec.Prop{Property: "born", Type: record.Date}}},
	}}}
	c := newClock()
	p := New(Options{Now: c.Now, Webhooks: hubspot.Subscriptions(s, "https://example.com/hook")})
	p.DefineFor(s)
	if _, err := p.Create(Person, "contacts", map[string]string{"email": "a@example.com", "born": "1990-01-01", "firstname": "Ann"}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Create(Person, "companies", map[string]string{"name": "Acme"}); err != nil {
		t.Fatal(err)
	}
	receiver, err := hubspot.NewReceiver(func() []string { return []string{"secret"} }, "48975575", hubspot.PropertyTypes(s), c.Now)
	if err != nil {
		t.Fatal(err)
	}
	events := p.Events()
	d := p.Delivery("secret", "https://example.com/hook", events, 0)
	if err := receiver.Verify(d); err != nil {
		t.Fatal(err)
	}
	got, err := receiver.Parse(d)
	if err != nil || len(got) != 3 || len(events) != 3 || events[0].ObjectTypeID != "0-1" {
		t.Fatalf("%d events, %d notifications, %v", len(events), len(got), err)
	}
	for _, n := range got {
		if v, told := n.Values["born"]; told && v != "1990-01-01" {
			t.Errorf("a date came as %q", v)
		}
	}
}
