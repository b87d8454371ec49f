package hubspot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

const (
	testToken = "pat-ap1-do-not-tell"
	testEmail = "zoe.quartz@example.com"
)

// script answers requests in order, and remembers them.
type script struct {
	t       *testing.T
	answers []scripted
	seen    []*http.Request
	bodies  []string
}

type scripted struct {
	status int
	header map[string]string
	body   string
	err    error
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
	}
	s.seen, s.bodies = append(s.seen, r), append(s.bodies, body)
	if len(s.answers) < len(s.seen) {
		s.t.Errorf("unexpected request %d: %s %s", len(s.seen), r.Method, r.URL.Path)
		return nil, errors.New("no more answers")
	}
	a := s.answers[len(s.seen)-1]
	if a.err != nil {
		return nil, a.err
	}
	header := http.Header{}
	for k, v := range a.header {
		header.Set(k, v)
	}
	return &http.Response{StatusCode: a.status, Header: header, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

func scriptedClient(t *testing.T, answers ...scripted) (*Client, *script) {
	t.Helper()
	s := &script{t: t, answers: answers}
	c, err := New(Options{
		BaseURL: "https://api.example.com/", HTTP: &http.Client{Transport: s}, Types: testTypes,
		Unique: map[string][]string{"contacts": {"erp_id"}},
		Token:  func(context.Context) (string, error) { return testToken, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

const updated = `{"id":"1","properties":{"firstname":"Zoe"},"updatedAt":"2026-09-10T08:00:00Z"}`

// classes says what each answer means for a write; facts are HubSpot's error
// handling guide.
var classes = []struct {
	name   string
	status int
	header map[string]string
	body   string
	code   flow.Code
	maybe  bool
	wait   time.Duration
}{
	{"validation", 400, nil, `{"status":"error","message":"Property values were not valid","category":"VALIDATION_ERROR"}`, flow.RemoteRefused, false, 0},
	{"an admin's rule", 400, nil, `{"category":"VALIDATION_ERROR","errors":[{"code":"MISSING_REQUIRED_PROPERTY","message":"A value for firstname must be provided","context":{"propertyName":["firstname"]}}]}`, flow.RemoteRefused, false, 0},
	{"token", 401, nil, `{"category":"EXPIRED_AUTHENTICATION"}`, flow.Unauthorized, false, 0},
	{"scope", 403, nil, `{"category":"MISSING_SCOPES"}`, flow.RemoteRefused, false, 0},
	{"missing", 404, nil, `{"category":"OBJECT_NOT_FOUND"}`, flow.RecordMissing, false, 0},
	{"timeout", 408, nil, ``, flow.RemoteBusy, true, 0},
	{"taken", 409, nil, `{"category":"CONFLICT","message":"Contact already exists. Existing ID: 37765128953"}`, flow.AlreadyExists, false, 0},
	{"identities", 414, nil, `{"message":"Cannot have more than 250 identities"}`, flow.RemoteRefused, false, 0},
	{"locked", 423, nil, ``, flow.RemoteBusy, false, 2 * time.Second},
	{"secondly", 429, nil, `{"status":"error","message":"You have reached your secondly limit.","category":"RATE_LIMITS"}`, flow.RateLimited, false, time.Second},
	{"ten-secondly", 429, nil, `{"errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING","message":"You have reached your ten_secondly_rolling limit."}`, flow.RateLimited, false, 10 * time.Second},
	{"ten-secondly by message", 429, nil, `{"message":"You have reached your ten_secondly_rolling limit."}`, flow.RateLimited, false, 10 * time.Second},
	{"a wait that is told", 429, map[string]string{"Retry-After": "30"}, `{}`, flow.RateLimited, false, 30 * time.Second},
	{"daily", 429, nil, `{"errorType":"RATE_LIMIT","policyName":"DAILY","message":"You have reached your daily limit."}`, flow.QuotaExhausted, false, 0},
	{"daily by message", 429, nil, `{"message":"You have reached your daily limit."}`, flow.QuotaExhausted, false, 0},
	{"migration", 477, map[string]string{"Retry-After": "3600"}, ``, flow.RemoteBusy, false, time.Hour},
	{"a migration's end", 477, map[string]string{"Retry-After": "1"}, ``, flow.RemoteBusy, false, time.Second},
	{"migration untold", 477, nil, ``, flow.RemoteBusy, false, time.Minute},
	{"500", 500, nil, `<html>`, flow.RemoteBusy, true, 0},
	{"502", 502, nil, `<html>`, flow.RemoteBusy, true, 0},
	{"503", 503, map[string]string{"Retry-After": "5"}, ``, flow.RemoteBusy, true, 5 * time.Second},
	{"504", 504, nil, ``, flow.RemoteBusy, true, 0},
	{"521", 521, nil, ``, flow.RemoteBusy, true, 0},
	{"524", 524, nil, ``, flow.RemoteBusy, true, 0},
	{"a redirect", 302, map[string]string{"Location": "https://evil.example/"}, ``, flow.RemoteRefused, false, 0},
	{"nonsense in a success", 200, nil, `{"id":`, flow.RemoteBusy, true, 0},
}

func TestStatusClasses(t *testing.T) {
	for _, c := range classes {
		t.Run(c.name, func(t *testing.T) {
			client, s := scriptedClient(t, scripted{status: c.status, header: c.header, body: c.body})
			_, err := client.Update(t.Context(), "contacts", "1", record.Fields{"firstname": "Zoe"}, "")
			var e *flow.Error
			if !errors.As(err, &e) || e.Code != c.code || e.Maybe != c.maybe || e.RetryAfter != c.wait {
				t.Errorf("got %+v, want code %s, maybe %v, retry after %v", err, c.code, c.maybe, c.wait)
			}
			if len(s.seen) != 1 {
				t.Errorf("%d requests; retries are the machine's", len(s.seen))
			}
		})
	}
}

// TestReadsLeaveNoDoubt: Maybe is about writes only, search by POST included.
func TestReadsLeaveNoDoubt(t *testing.T) {
	client, _ := scriptedClient(t, scripted{status: 502}, scripted{status: 502})
	_, readErr := client.Read(t.Context(), "contacts", "1", []string{"email"})
	_, _, findErr := client.Find(t.Context(), "contacts", "firstname", "Zoe", nil)
	for _, err := range []error{readErr, findErr} {
		if e := asError(err); e == nil || e.Code != flow.RemoteBusy || e.Maybe {
			t.Errorf("got %+v", err)
		}
	}
}

// TestReadTellsWhatWasMerged: which ids a record stands for, asked for besides what
// the caller wants and told beside its fields, by whatever it is read.
func TestReadTellsWhatWasMerged(t *testing.T) {
	by := map[string]func(*Client) (record.Record, error){
		"id": func(c *Client) (record.Record, error) {
			return c.Read(t.Context(), "contacts", "101", []string{"firstname"})
		},
		"a unique value": func(c *Client) (record.Record, error) {
			found, _, err := c.Find(t.Context(), "contacts", "email", testEmail, []string{"firstname"})
			return append(found, record.Record{})[0], err
		},
	}
	for name, read := range by {
		for value, want := range map[string]string{`"101;102"`: "[101 102]", `""`: "[]", `null`: "[]"} {
			client, s := scriptedClient(t, scripted{status: 200, body: `{"id":"900","properties":{"firstname":"Zoe","hs_merged_object_ids":` + value + `}}`})
			rec, err := read(client)
			if err != nil || fmt.Sprint(rec.Merged) != want || len(rec.Fields) != 1 || rec.Fields["firstname"] != "Zoe" {
				t.Errorf("by %s, %s: got %+v, %v", name, value, rec, err)
			}
			if got := s.seen[0].URL.Query().Get("properties"); got != "firstname,hs_merged_object_ids" {
				t.Errorf("by %s: asked for %q", name, got)
			}
		}
	}
}

func TestConnectionErrors(t *testing.T) {
	client, _ := scriptedClient(t, scripted{err: io.ErrUnexpectedEOF})
	_, _, err := client.Find(t.Context(), "contacts", "email", testEmail, nil)
	if e := asError(err); e == nil || e.Code != flow.RemoteBusy || e.Maybe {
		t.Errorf("got %+v", err)
	}
	secretless(t, err)
}

func TestCancelMidFlight(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client, s := scriptedClient(t, scripted{})
	s.answers[0].err = context.Canceled
	cancel()
	_, err := client.Update(ctx, "contacts", "1", record.Fields{"email": testEmail}, "")
	if e := asError(err); e == nil || e.Code != flow.RemoteBusy || !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v", err)
	}
	secretless(t, err)
}

// secretless holds that neither an error's text nor its causes tell a value or
// the token.
func secretless(t *testing.T, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err)} {
			for _, secret := range []string{testToken, testEmail, "quartz", "Zoe", "0412345678"} {
				if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
					t.Errorf("an error tells %q: %s", secret, text)
				}
			}
		}
	}
}

func TestErrorsTellNoValues(t *testing.T) {
	bodies := []string{
		`{"message":"Property values were not valid: [{\"isValid\":false,\"message\":\"Email address Zoe.Quartz@example.com is invalid\",\"error\":\"INVALID_EMAIL\",\"name\":\"email\",\"localizedErrorMessage\":\"\\\"Zoe\\\" is wrong\"}]","category":"VALIDATION_ERROR"}`,
		`{"message":"zoe was not one of the allowed options: [label: \"A\" value: \"a\"]"}`,
		`{"message":"\"0412345678\" is not valid for 'Zoe'"}`,
		`{"message":"The contact zoe.quartz@example.com is taken by ZOE QUARTZ","category":"CONFLICT"}`,
		`{"errors":[{"code":"INVALID","message":"Zoe","context":{"propertyName":["Zoe"],"rawValue":["Zoe"]}}]}`,
		`{"category":"Zoe Quartz said so","message":"cut off: [{\"message\":\"Zoe"}`,
	}
	fields := record.Fields{"email": testEmail, "firstname": "Zoe", "lastname": "Quartz", "phone": "0412345678"}
	for _, body := range bodies {
		client, _ := scriptedClient(t, scripted{status: 400, body: body})
		_, err := client.Update(t.Context(), "contacts", "1", fields, "")
		if e := asError(err); e == nil {
			t.Fatal(err)
		}
		secretless(t, err)
	}
	client, _ := scriptedClient(t, scripted{status: 400, body: bodies[0]})
	_, err := client.Update(t.Context(), "contacts", "1", fields, "")
	for _, useful := range []string{"VALIDATION_ERROR", "INVALID_EMAIL email"} {
		if !strings.Contains(err.Error(), useful) {
			t.Errorf("the error does not tell %q: %v", useful, err)
		}
	}
}

func TestTokenIsRefreshedOnce(t *testing.T) {
	s := &script{t: t, answers: []scripted{{status: 401}, {status: 200, body: updated}}}
	tokens := []string{"old", "new"}
	c, err := New(Options{
		HTTP: &http.Client{Transport: s}, Invalidate: func(string) { tokens = tokens[1:] },
		Token: func(context.Context) (string, error) { return tokens[0], nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Update(t.Context(), "contacts", "1", record.Fields{"firstname": "Zoe"}, ""); err != nil {
		t.Fatal(err)
	}
	if got := s.seen[1].Header.Get("Authorization"); got != "Bearer new" || s.bodies[0] != s.bodies[1] {
		t.Errorf("sent again with %q and body %q", got, s.bodies[1])
	}
	tokens, s.seen, s.answers = []string{"new", "new"}, nil, []scripted{{status: 401}}
	_, err = c.Update(t.Context(), "contacts", "1", record.Fields{"firstname": "Zoe"}, "")
	if flow.CodeOf(err) != flow.Unauthorized || len(s.seen) != 1 {
		t.Errorf("a token that stays refused: %v after %d requests", err, len(s.seen))
	}
}

func TestTokenKeeperFails(t *testing.T) {
	c, err := New(Options{Token: func(context.Context) (string, error) { return "", errors.New("boom " + testToken) }})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Read(t.Context(), "contacts", "1", nil)
	if flow.CodeOf(err) != flow.RemoteBusy || strings.Contains(err.Error(), testToken) {
		t.Errorf("got %v", err)
	}
}

func TestTakenExternalID(t *testing.T) {
	for name, body := range map[string]string{
		"by its code":    `{"status":"error","category":"VALIDATION_ERROR","message":"Property values were not valid","errors":[{"code":"CONFLICTING_UNIQUE_VALUE","context":{"propertyName":["erp_id"]}}]}`,
		"by its message": `{"status":"error","category":"VALIDATION_ERROR","message":"propertyValue: 101 already has that value"}`,
		"nested":         `{"status":"error","category":"VALIDATION_ERROR","message":"Property values were not valid: [{\"error\":\"CONFLICTING_UNIQUE_VALUE\",\"name\":\"erp_id\"}]"}`,
	} {
		client, s := scriptedClient(t, scripted{status: 400, body: body})
		_, err := client.Create(t.Context(), "contacts", record.Fields{"erp_id": "c_1", "email": testEmail}, "erp_id", "key")
		if flow.CodeOf(err) != flow.AlreadyExists {
			t.Errorf("%s: got %+v", name, err)
		}
		secretless(t, err)
		if s.seen[0].Method != "POST" || strings.Contains(s.seen[0].URL.Path, "upsert") {
			t.Errorf("%s: sent %s %s, which could change a record that exists", name, s.seen[0].Method, s.seen[0].URL.Path)
		}
	}
	client, s := scriptedClient(t)
	if _, err := client.Create(t.Context(), "contacts", record.Fields{"email": testEmail}, "erp_id", "key"); flow.CodeOf(err) != flow.BadValue || len(s.seen) > 0 {
		t.Errorf("a create without its external id: %v after %d requests", err, len(s.seen))
	}
}

func TestConflictWithoutIDIsLookedUp(t *testing.T) {
	client, s := scriptedClient(t, scripted{status: 409, body: `{"message":"Contact already exists"}`}, scripted{status: 200, body: `{"id":"77","properties":{}}`})
	_, err := client.Create(t.Context(), "contacts", record.Fields{"email": testEmail}, "", "key")
	if e := asError(err); e == nil || e.Code != flow.AlreadyExists || e.ExistingID != "77" {
		t.Errorf("got %+v", err)
	}
	if got := s.seen[1].URL; got.Query().Get("idProperty") != "email" {
		t.Errorf("looked up by %s", got)
	}
}

// TestWarningsTellWhatWasStored: 2026-09 normalises some dates, and says so in
// a warning only.
func TestWarningsTellWhatWasStored(t *testing.T) {
	client, _ := scriptedClient(t, scripted{status: 200, body: `{"id":"1","properties":{"birthday":"1990-01-02"},"updatedAt":"2026-09-10T08:00:00.5Z",
		"warnings":[{"category":"PROPERTY_VALUE_NORMALIZED","context":{"normalizedValue":"631152000000","propertyName":"birthday","rawValue":"1990-01-01T00:00:00Z"}}]}`})
	got, err := client.Update(t.Context(), "contacts", "1", record.Fields{"birthday": "1990-01-02", "firstname": "Zoe"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, told := got.Fields["firstname"]; told || got.Fields["birthday"] != "1990-01-01" || got.Version != "2026-09-10T08:00:00.500Z" {
		t.Errorf("got %+v", got)
	}
}

// TestValuesThatAreNoTexts: HubSpot answers texts; what answers numbers in its
// place is understood, what answers lists is not.
func TestValuesThatAreNoTexts(t *testing.T) {
	names := []string{"firstname", "lastname", "city", "email"}
	client, _ := scriptedClient(t,
		scripted{status: 200, body: `{"id":"1","properties":{"firstname":17.50,"lastname":true,"city":null,"email":"x"}}`},
		scripted{status: 200, body: `{"id":"1","properties":{"firstname":["a"]}}`})
	got, err := client.Read(t.Context(), "contacts", "1", names)
	want := record.Fields{"firstname": "17.50", "lastname": "true", "city": "", "email": "x"}
	if err != nil || !maps.Equal(got.Fields, want) {
		t.Errorf("got %v, %v", got.Fields, err)
	}
	if _, err := client.Read(t.Context(), "contacts", "1", names); flow.CodeOf(err) != flow.RemoteBusy {
		t.Errorf("a list: %v", err)
	}
}

func TestHalfMadeCreateNamesItsRecord(t *testing.T) {
	client, _ := scriptedClient(t, scripted{status: 201, body: `{"id":"5","properties":{}}`}, scripted{status: 400, body: `{}`})
	_, err := client.Create(t.Context(), "2-1", record.Fields{"name": "x", "@companies": "9"}, "", "key")
	if e := asError(err); e == nil || e.Code != flow.RemoteRefused || !e.Maybe || e.ExistingID != "5" {
		t.Errorf("got %+v", err)
	}
}

func TestAnswerIsBounded(t *testing.T) {
	client, _ := scriptedClient(t, scripted{status: 200, body: strings.Repeat(" ", maxAnswer+1)})
	if _, err := client.Read(t.Context(), "contacts", "1", nil); flow.CodeOf(err) != flow.TooLarge {
		t.Errorf("got %v", err)
	}
}

func TestIDsAreEscaped(t *testing.T) {
	client, s := scriptedClient(t, scripted{status: 200, body: `{"id":"1","properties":{}}`})
	if _, err := client.Read(t.Context(), "contacts", "../x?y=1#z", []string{"email"}); err != nil {
		t.Fatal(err)
	}
	if got := s.seen[0].URL.EscapedPath(); got != "/crm/objects/2026-09/contacts/..%2Fx%3Fy=1%23z" {
		t.Errorf("asked for %s", got)
	}
}

func TestAwkwardIDs(t *testing.T) {
	client, s := scriptedClient(t, scripted{status: 404})
	if _, _, err := client.Find(t.Context(), "contacts", "email", "a+b@example.com", nil); err != nil {
		t.Fatal(err)
	}
	if got := s.seen[0].URL.EscapedPath(); !strings.HasSuffix(got, "/a%2Bb@example.com") {
		t.Errorf("asked for %s", got)
	}
	for _, id := range []string{"", ".", ".."} { // Nothing is sent for these.
		_, readErr := client.Read(t.Context(), "contacts", id, nil)
		_, updateErr := client.Update(t.Context(), "contacts", id, record.Fields{"firstname": "x"}, "")
		if flow.CodeOf(readErr) != flow.RecordMissing || flow.CodeOf(updateErr) != flow.RecordMissing || client.Archive(t.Context(), "contacts", id, "") != nil {
			t.Errorf("id %q: %v, %v", id, readErr, updateErr)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	token := func(context.Context) (string, error) { return "t", nil }
	for _, o := range []Options{{}, {Token: token, BaseURL: "api.hubapi.com"}, {Token: token, BaseURL: "https://user:pw@x"}, {Token: token, BaseURL: "::"}} {
		if _, err := New(o); err == nil {
			t.Errorf("made a client of base URL %q", o.BaseURL)
		}
	}
}

// TestPatchThatIsHalfDone: the values are stored and the association is not. What may
// stand is not repeated blindly.
func TestPatchThatIsHalfDone(t *testing.T) {
	for _, status := range []int{404, 429} {
		client, _ := scriptedClient(t, scripted{status: 200, body: `{"id":"1","properties":{"dealname":"x"}}`}, scripted{status: status, body: `{}`})
		_, err := client.Update(t.Context(), "deals", "1", record.Fields{"dealname": "x", "@companies": "77"}, "")
		if e := asError(err); e == nil || !e.Maybe {
			t.Errorf("%d: got %+v", status, err)
		}
	}
	client, _ := scriptedClient(t, scripted{status: 404, body: `{}`})
	_, err := client.Update(t.Context(), "deals", "1", record.Fields{"dealname": "x", "@companies": "77"}, "")
	if e := asError(err); e == nil || e.Code != flow.RecordMissing || e.Maybe {
		t.Errorf("nothing was stored: %+v", err)
	}
}

// TestCreateThatRefersToNothing: HubSpot's answer does not say which object is missing.
func TestCreateThatRefersToNothing(t *testing.T) {
	for company, says := range map[string]bool{"77": true, "": false} {
		client, _ := scriptedClient(t, scripted{status: 404, body: `{"message":"Object not found."}`})
		_, err := client.Create(t.Context(), "deals", record.Fields{"dealname": "x", "@companies": company}, "", "")
		if flow.CodeOf(err) != flow.RemoteRefused || strings.Contains(err.Error(), "it is to refer to companies 77,") != says {
			t.Errorf("%q: got %v", company, err)
		}
	}
}

// TestUpdateTellsWhatItReplaced: an association is looked at just before it is changed.
func TestUpdateTellsWhatItReplaced(t *testing.T) {
	client, _ := scriptedClient(t,
		scripted{status: 200, body: `{"id":"1","associations":{"contacts":{"results":[{"id":"9","type":"deal_to_contact"}]}}}`},
		scripted{status: 200, body: `{}`}, scripted{status: 204})
	rec, err := client.Update(t.Context(), "deals", "1", record.Fields{"@contacts": "8"}, "")
	if err != nil || rec.Fields["@contacts"] != "8" || rec.Replaced["@contacts"] != "9" {
		t.Errorf("%+v, %v", rec, err)
	}
}
