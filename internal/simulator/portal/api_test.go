package portal

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// post calls the API as any client may.
func post(t *testing.T, p *Portal, method, path, body string) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer t")
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, r)
	var out map[string]any
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return w.Code, out
}

const contacts = "/crm/objects/2026-09/contacts"

func TestBatches(t *testing.T) {
	r := newRig(t, Options{})
	status, got := post(t, r.p, "POST", contacts+"/batch/create", `{"inputs":[{"properties":{"email":"a@example.com"},"objectWriteTraceId":"0"},{"properties":{"email":"a@example.com"},"objectWriteTraceId":"1"}]}`)
	if status != 201 || got["numErrors"] != 1.0 || len(got["results"].([]any)) != 1 {
		t.Fatalf("%d %v", status, got)
	}
	id := got["results"].([]any)[0].(map[string]any)["id"].(string)
	told := got["errors"].([]any)[0].(map[string]any)["context"].(map[string]any)
	if told["existingId"].([]any)[0] != id || told["objectWriteTraceId"].([]any)[0] != "1" {
		t.Errorf("the error's context is %v", told)
	}
	for name, c := range map[string]struct {
		path, body, text string
		status           int
	}{
		"without trace ids the id is not told": {"/batch/create", `{"inputs":[{"properties":{"email":"a@example.com"}}]}`, "Contact already exists", 409},
		"the same id twice":                    {"/batch/update", `{"inputs":[{"id":"` + id + `","properties":{}},{"id":"` + id + `","properties":{}}]}`, "Duplicate IDs found in batch input: [" + id + "]. IDs must be unique", 400},
		"by e-mail":                            {"/batch/update", `{"inputs":[{"id":"a@example.com","idProperty":"email","properties":{}}]}`, "Unable to perform update/upsert by non-unique 0-1 property", 400},
		"one bad row of an upsert by e-mail":   {"/batch/upsert", `{"inputs":[{"id":"b@example.com","idProperty":"email","properties":{"nope":"1"},"objectWriteTraceId":"0"}]}`, "", 400},
		"not JSON":                             {"/batch/upsert", `{`, "Invalid input JSON", 400},
	} {
		t.Run(name, func(t *testing.T) {
			status, got := post(t, r.p, "POST", contacts+c.path, c.body)
			if status != c.status || c.text != "" && got["message"] != c.text {
				t.Errorf("%d %v", status, got)
			}
		})
	}
	other := r.create("contacts", nil)
	if _, err := r.p.Merge(Person, "contacts", id, other.ID); err != nil {
		t.Fatal(err)
	}
	status, got = post(t, r.p, "POST", contacts+"/batch/update", `{"inputs":[{"id":"`+id+`","properties":{"firstname":"Ann"}}]}`)
	if status != 200 || got["numErrors"] != 1.0 {
		t.Errorf("a merged-away id in a batch update: %d %v", status, got)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t, Options{Tokens: map[string]int64{"t": 1}})
	r.p.Define("contacts", Property{Name: "stage", Type: "enum", Options: []string{"a", "b"}}, Property{Name: "score", Type: "number", ReadOnly: true})
	for name, c := range map[string]struct {
		body, code string
	}{
		"unknown property":  {`{"properties":{"nope":"1"}}`, "PROPERTY_DOESNT_EXIST"},
		"read-only":         {`{"properties":{"score":"1"}}`, "READ_ONLY_VALUE"},
		"calculated":        {`{"properties":{"hs_object_id":"1"}}`, "READ_ONLY_VALUE"},
		"unknown option":    {`{"properties":{"stage":"c"}}`, "INVALID_OPTION"},
		"not a date":        {`{"properties":{"birthday":"soon"}}`, "INVALID_DATE"},
		"not an e-mail":     {`{"properties":{"email":"x"}}`, "INVALID_EMAIL"},
		"one of many wrong": {`{"properties":{"firstname":"Ann","email":"x"}}`, "INVALID_EMAIL"},
	} {
		t.Run(name, func(t *testing.T) {
			status, got := post(t, r.p, "POST", contacts, c.body)
			if status != 400 || got["category"] != "VALIDATION_ERROR" || !strings.Contains(got["message"].(string), c.code) {
				t.Errorf("%d %v", status, got)
			}
		})
	}
	if page, _ := r.p.List("contacts", 10, "", false, nil, nil); len(page.Results) != 0 {
		t.Errorf("refused records were made: %d", len(page.Results))
	}
	r.p.SetTokens(map[string]int64{"other": 1})
	if status, got := post(t, r.p, "GET", contacts, ""); status != 401 || got["category"] != "INVALID_AUTHENTICATION" {
		t.Errorf("an unknown token: %d %v", status, got)
	}
}

func TestFaultsAnswer(t *testing.T) {
	p := New(Options{})
	var slept time.Duration
	p.o.Sleep = func(d time.Duration) { slept += d }
	for _, c := range []struct {
		fault Fault
		want  string
	}{
		{Fault{Status: 429, Policy: "SECONDLY"}, "secondly"}, {Fault{Status: 429, Policy: "TEN_SECONDLY_ROLLING"}, "ten_secondly"},
		{Fault{Status: 429, Policy: "DAILY"}, "daily"}, {Fault{Status: 423}, "locked"}, {Fault{Status: 477, RetryAfter: time.Minute}, "moved"},
	} {
		p.Fail(c.fault)
		status, got := post(t, p, "POST", contacts, `{"properties":{}}`)
		if status != c.fault.Status || !strings.Contains(got["message"].(string), c.want) {
			t.Errorf("%+v: %d %v", c.fault, status, got)
		}
	}
	p.OnCall(func(op Op) Fault {
		if op.Write && op.Name == "create" {
			return Fault{Delay: 3 * time.Second}
		}
		return Fault{}
	})
	if status, _ := post(t, p, "POST", contacts, `{"properties":{}}`); status != 201 || slept != 3*time.Second {
		t.Errorf("a slow answer: %d after %v", status, slept)
	}
	if page, _ := p.List("contacts", 10, "", false, nil, nil); len(page.Results) != 1 {
		t.Errorf("%d records; faults without After must not write", len(page.Results))
	}
}

func TestNormalisedDatesWarn(t *testing.T) {
	r := newRig(t, Options{})
	for sent, warned := range map[string]bool{"1990-01-01": false, "631152000000": false, "1990-01-01T00:00:00Z": true, "1990-01-01T17:30:00Z": true, "1663545600": true} {
		_, got := post(t, r.p, "POST", contacts, `{"properties":{"birthday":"`+sent+`"}}`)
		warnings, _ := got["warnings"].([]any)
		if (len(warnings) == 1) != warned {
			t.Errorf("%s: %v", sent, got)
		}
		stored := got["properties"].(map[string]any)["birthday"].(string)
		if warned && !strings.HasPrefix(stored, "19") && !strings.HasPrefix(stored, "2022-09-19") {
			t.Errorf("%s was stored as %s", sent, stored)
		}
	}
}

func TestOtherPaths(t *testing.T) {
	r := newRig(t, Options{})
	made := r.create("contacts", map[string]string{"email": "a@example.com"})
	if status, got := post(t, r.p, "GET", "/account-info/2026-09/details", ""); status != 200 || got["portalId"] != 48975575.0 {
		t.Errorf("%d %v", status, got)
	}
	if id, err := r.client.PortalID(r.ctx); err != nil || id != "48975575" {
		t.Errorf("the client was told portal %s, %v", id, err)
	}
	status, got := post(t, r.p, "GET", "/crm/properties/2026-09/contacts", "")
	if status != 200 || !strings.Contains(mustJSON(t, got), `"hasUniqueValue":true`) {
		t.Errorf("%d %v", status, got)
	}
	if status, _ := post(t, r.p, "GET", "/crm/objects/v3/contacts", ""); status != http.StatusNotFound {
		t.Errorf("an old path answered %d", status)
	}
	r.p.Events()
	if status, _ := post(t, r.p, "POST", contacts+"/gdpr-delete", `{"objectId":"a@example.com","idProperty":"email"}`); status != 204 {
		t.Errorf("privacy deletion answered %d", status)
	}
	if events := r.p.Events(); len(events) != 2 {
		t.Errorf("a privacy deletion made %d events", len(events))
	}
	for _, path := range []string{contacts + "/" + made.ID, contacts + "/" + made.ID + "?archived=true"} {
		if status, _ := post(t, r.p, "GET", path, ""); status != 404 {
			t.Errorf("%s answered %d after a privacy deletion", path, status)
		}
	}
	if status, got := post(t, r.p, "GET", "/crm/objects/2026-09/sheep", ""); status != 400 {
		t.Errorf("an unknown type: %d %v", status, got)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLimitHeaders(t *testing.T) {
	r := newRig(t, Options{RateLimit: 190})
	call := func(method, path string) http.Header {
		req := httptest.NewRequest(method, path, strings.NewReader("{}"))
		req.Header.Set("Authorization", "Bearer t")
		w := httptest.NewRecorder()
		r.p.Handler().ServeHTTP(w, req)
		return w.Header()
	}
	h := call("GET", contacts)
	for name, want := range map[string]string{"Max": "190", "Remaining": "189", "Interval-Milliseconds": "10000", "Daily": "650000", "Daily-Remaining": "649999"} {
		if got := h.Get("X-HubSpot-RateLimit-" + name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for i := range 6 {
		if h := call("POST", contacts+"/search"); h.Get("X-HubSpot-RateLimit-Max") != "" {
			t.Errorf("search %d has rate-limit headers", i)
		}
	}
	if status, got := post(t, r.p, "POST", contacts+"/search", "{}"); status != 429 || got["policyName"] != nil {
		t.Errorf("the sixth search within a second: %d %v", status, got)
	}
}
