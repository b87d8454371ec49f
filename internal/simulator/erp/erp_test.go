package erp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/simulator/erp"
	"tandem/spec"
)

var start = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// company is a simulated ERP on a clock that the test moves.
func company(h erp.Habits) (*erp.Company, *time.Time) {
	at := start
	return erp.New(h, func() time.Time { return at }, rand.New(rand.NewPCG(1, 2))), &at
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// ask sends one request to the API.
func ask(t *testing.T, h http.Handler, method, path, body string, header ...string) (int, map[string]any, http.Header) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer t")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var m map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &m)
	return w.Code, m, w.Header()
}

// TestAPI walks through the documented calls.
func TestAPI(t *testing.T) {
	c, at := company(erp.Usual())
	h := erp.Handler(c, "t")
	for _, step := range []struct {
		method, path, body string
		header             []string
		status             int
		want               string // "name=value" in the answer
	}{
		{"POST", "/api/customers", `{"email":" a@example.com ","newsletter":true,"extra":"kept"}`, nil, 201, "email=a@example.com"},
		{"POST", "/api/customers", `{"email":"A@example.com"}`, nil, 409, "existing_id=c_1"},
		{"POST", "/api/customers", `[]`, nil, 400, "error=bad_request"},
		{"POST", "/api/nothing", `{}`, nil, 404, "error=not_found"},
		{"GET", "/api/customers/c_1", ``, nil, 200, "extra=kept"},
		{"PATCH", "/api/customers/c_1", `{"name":"Ann"}`, []string{"If-Match", `"1"`}, 200, "version=2"},
		{"PATCH", "/api/customers/c_1", `{"name":"Bob"}`, []string{"If-Match", `"1"`}, 412, "error=version"},
		{"PATCH", "/api/customers/c_1", `{"name":null}`, nil, 200, "name="},
		{"PUT", "/api/customers/by/hubspot_id/9", `{"name":"Cho"}`, nil, 201, "hubspot_id=9"},
		{"PUT", "/api/customers/by/hubspot_id/9", `{"name":"Dee"}`, nil, 200, "name=Dee"},
		{"DELETE", "/api/customers/c_1", ``, nil, 204, ""},
		{"GET", "/api/customers/c_1", ``, nil, 404, ""},
		{"POST", "/api/customers/c_1/restore", ``, nil, 200, "email=a@example.com"},
		{"GET", "/api/orders?updated_since=yesterday", ``, nil, 400, ""},
		{"GET", "/api/customers?a=1&b=2", ``, nil, 400, ""},
	} {
		*at = at.Add(time.Second)
		status, got, _ := ask(t, h, step.method, step.path, step.body, step.header...)
		name, value, _ := strings.Cut(step.want, "=")
		if status != step.status || step.want != "" && strings.Trim(erp.Show(plain(got[name])), `"`) != value {
			t.Errorf("%s %s: %d %v, want %d %s", step.method, step.path, status, got, step.status, step.want)
		}
	}
	if status, _, _ := ask(t, h, "GET", "/api/customers/c_1", "", "Authorization", "Bearer wrong"); status != 401 {
		t.Errorf("a wrong token got %d, want 401", status)
	}
}

// plain undoes encoding/json's float64 for Show.
func plain(v any) any {
	if f, ok := v.(float64); ok {
		b, _ := json.Marshal(f)
		return json.Number(b)
	}
	return v
}

// TestLateCommit shows a change in lists only after its time has passed.
func TestLateCommit(t *testing.T) {
	habits := erp.Usual()
	habits.CommitLag = 10 * time.Second
	c, at := company(habits)
	must[erp.Record](t)(c.Create("orders", map[string]any{"title": "x"}))
	if page, _, _ := c.Changed("orders", start, "", 10); len(page) != 0 {
		t.Fatal("a change that is not committed is listed")
	}
	*at = at.Add(10 * time.Second)
	if page, _, _ := c.Changed("orders", start, "", 10); len(page) != 1 || !page[0].Updated.Equal(start) {
		t.Errorf("listed %v, want the record with its earlier time", page)
	}
}

// TestHabits reformats, cuts and shifts the clock.
func TestHabits(t *testing.T) {
	habits := erp.Usual()
	habits.Phones, habits.Longest, habits.Skew = true, map[string]int{"name": 3}, time.Hour
	c, _ := company(habits)
	r := must[erp.Record](t)(c.Create("customers", map[string]any{"phone": "+61400123456", "name": "Wilhelmina"}))
	if r.Fields["phone"] != "+61 400 123 456" && r.Fields["phone"] != "+61400 123 456" || r.Fields["name"] != "Wil" || !r.Updated.Equal(start.Add(time.Hour)) {
		t.Errorf("kept %v at %v", r.Fields, r.Updated)
	}
	again := must[erp.Record](t)(c.Update("customers", r.ID, map[string]any{"phone": r.Fields["phone"]}, 0))
	if again.Fields["phone"] != r.Fields["phone"] {
		t.Errorf("its own spelling %q became %q", r.Fields["phone"], again.Fields["phone"])
	}
}

// receiver is the adapter's receiver for what the simulator signs.
func receiver(t *testing.T, secrets ...string) flow.Receiver {
	t.Helper()
	s := &spec.Spec{Destination: spec.Destination{
		Objects: map[string]spec.Object{"customers": {Event: "customer"}, "accounts": {Event: "account"}},
		Webhook: &spec.Webhook{Scheme: "hmac-sha256-hex", Header: "X-Erp-Signature", Prefix: "sha256=", TimestampHeader: "X-Erp-Timestamp",
			Events: "events", ID: "id", Object: "object", Record: "record_id", Action: "action", At: "at", Deleted: []string{"deleted"}},
	}}
	return must[*destination.Receiver](t)(destination.NewReceiver(s, secrets...))
}

// TestDeliver posts signed webhooks over HTTP until the receiver takes them;
// refused ones come again, and none is lost.
func TestDeliver(t *testing.T) {
	c := erp.New(erp.Usual(), nil, nil)
	in, refusals := receiver(t, "s3"), 1
	seen, all := map[string]flow.Kind{}, make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := flow.Delivery{Header: map[string]string{}, At: time.Now()}
		for name := range r.Header {
			d.Header[strings.ToLower(name)] = r.Header.Get(name)
		}
		d.Body, _ = io.ReadAll(r.Body)
		if err := in.Verify(d); err != nil {
			t.Error(err)
		}
		if refusals--; refusals >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		events, err := in.Parse(d)
		if err != nil {
			t.Error(err)
		}
		for _, e := range events {
			seen[e.Object+"/"+e.Record] = e.Kind
		}
		if len(seen) == 2 && seen["customers/c_1"] == flow.Deleted {
			close(all)
		}
	}))
	defer srv.Close()
	must[erp.Record](t)(c.Create("customers", map[string]any{"name": "Ann"}))
	must[erp.Record](t)(c.Create("accounts", map[string]any{"name": "Acme"}))
	must[erp.Record](t)(c.Create("orders", map[string]any{"title": "silent"}))
	if err := c.Delete("customers", "c_1", 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); erp.Deliverer{Company: c, URL: srv.URL, Secret: "s3"}.Run(ctx) }()
	select {
	case <-all:
	case <-ctx.Done():
		t.Errorf("delivered %v, want both records", seen)
	}
	cancel()
	<-done
}

// TestQueue repeats, shuffles and gives up by the given randomness and clock.
func TestQueue(t *testing.T) {
	habits := erp.Usual()
	habits.Duplicates = 1
	c, at := company(habits)
	must[erp.Record](t)(c.Create("customers", nil))
	first := c.Due()
	*at = at.Add(5 * time.Second)
	second := c.Due()
	if len(first) != 1 || len(second) != 1 || !bytes.Equal(first[0].Body(), second[0].Body()) {
		t.Fatalf("deliveries %v then %v, want the same one twice", first, second)
	}
	c.Done(first[0].Number, 200)
	tries := 1
	for d := second[0]; ; tries++ {
		c.Done(d.Number, 500)
		*at = at.Add(10 * time.Minute)
		due := c.Due()
		if len(due) == 0 {
			break
		}
		d = due[0]
	}
	if tries != 10 || c.Pending() != 0 {
		t.Errorf("given up after %d tries with %d pending, want 10 and 0", tries, c.Pending())
	}
}

// TestState saves and loads, with what was under way still to be delivered.
func TestState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "erp.json")
	c, _ := company(erp.Usual())
	made := must[erp.Record](t)(c.Create("accounts", map[string]any{"name": "Acme", "employees": json.Number("12.50")}))
	c.Due()
	if err := c.Save(file); err != nil || c.Unsaved() {
		t.Fatal(err, c.Unsaved())
	}
	loaded, _ := company(erp.Usual())
	if err := loaded.Load(file); err != nil {
		t.Fatal(err)
	}
	got := must[erp.Record](t)(loaded.Get("accounts", made.ID))
	if got.Version != made.Version || got.Fields["employees"] != json.Number("12.50") || loaded.Pending() != 1 || len(loaded.Due()) != 1 {
		t.Errorf("loaded %+v with %d pending", got, loaded.Pending())
	}
	if next := must[erp.Record](t)(loaded.Create("accounts", nil)); next.ID == made.ID {
		t.Error("a loaded company gives an id away twice")
	}
	if err := loaded.Load(filepath.Join(t.TempDir(), "absent.json")); err != nil {
		t.Error(err)
	}
}

// TestPage edits through the forms; what is shown is escaped, and other sites
// cannot submit.
func TestPage(t *testing.T) {
	c, _ := company(erp.Usual())
	h := erp.Handler(c, "t")
	post := func(path string, form url.Values, header ...string) int {
		status, _, _ := ask(t, h, "POST", path, form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
		return status
	}
	hostile := `"><script>alert(1)</script>`
	if status := post("/accounts", url.Values{"name": {hostile}, "employees": {"1,200"}}); status != http.StatusSeeOther {
		t.Fatalf("create answered %d", status)
	}
	if status := post("/accounts", url.Values{"id": {"a_1"}, "employees": {"many"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("a number in words answered %d", status)
	}
	if status := post("/accounts", url.Values{"name": {"x"}}, "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("another site's form answered %d", status)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/accounts?edit=a_1", nil))
	if body := w.Body.String(); strings.Contains(body, "<script>") || !strings.Contains(body, "&lt;script&gt;") || !strings.Contains(body, "1200") {
		t.Errorf("the page does not show the record escaped: %s", body)
	}
	if status := post("/accounts", url.Values{"id": {"a_1"}, "action": {"delete"}}); status != http.StatusSeeOther {
		t.Errorf("delete answered %d", status)
	}
	if _, err := c.Get("accounts", "a_1"); err == nil {
		t.Error("the record is still there")
	}
}
