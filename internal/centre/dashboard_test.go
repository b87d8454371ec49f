package centre

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem/internal/beat"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// visitor is a browser's cookies and the last page it saw.
type visitor struct {
	t      testing.TB
	server *httptest.Server
	http   *http.Client
	page   string
	header http.Header
}

func visit(t testing.TB, c *Centre) *visitor {
	s := httptest.NewTLSServer(c.Dashboard())
	t.Cleanup(s.Close)
	client := s.Client()
	client.Jar, _ = cookiejar.New(nil)
	return &visitor{t: t, server: s, http: client}
}

func (v *visitor) do(method, path string, form url.Values, header ...string) int {
	v.t.Helper()
	req, _ := http.NewRequest(method, v.server.URL+path, strings.NewReader(form.Encode()))
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, _ := io.ReadAll(res.Body)
	v.page, v.header = string(raw), res.Header
	return res.StatusCode
}

func (v *visitor) get(path string) int { return v.do(http.MethodGet, path, nil) }

var csrfInput = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func (v *visitor) csrf() string {
	m := csrfInput.FindStringSubmatch(v.page)
	if m == nil {
		v.t.Fatalf("no form on the page: %.300s", v.page)
	}
	return m[1]
}

func (v *visitor) login() {
	v.t.Helper()
	v.get("/login")
	if code := v.do(http.MethodPost, "/login", url.Values{"csrf": {v.csrf()}, "secret": {secrets[LoginSecret]}}); code != 200 || !strings.Contains(v.page, "Log out") {
		v.t.Fatalf("login ended in %d", code)
	}
}

var allPages = []string{"/", "/messages", "/c/acme", "/c/acme/hubspot-to-destination", "/c/acme/r/hubspot/contacts/512"}

func demoRig(t testing.TB, n int) *rig {
	r := newRig(t)
	if err := Demo(context.Background(), r.table, r.now, n); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNothingIsShownWithoutALogin(t *testing.T) {
	v := visit(t, demoRig(t, 4).Centre)
	for _, p := range allPages {
		if v.get(p); !strings.Contains(v.page, `type="password"`) || strings.Contains(v.page, "birch-dental") {
			t.Errorf("%s is shown to anybody", p)
		}
		if code := v.do(http.MethodGet, p, nil, "X-Fragment", "1"); code != http.StatusUnauthorized {
			t.Errorf("%s as a fragment: %d", p, code)
		}
	}
	for _, p := range []string{"/logout", "/c/acme/mute", "/c/acme/forget"} {
		if code := v.do(http.MethodPost, p, url.Values{"hours": {"1"}}); code != http.StatusUnauthorized {
			t.Errorf("POST %s without a login: %d", p, code)
		}
	}
	v.login()
	for _, p := range allPages {
		if code := v.get(p); code != 200 || strings.Contains(v.page, `type="password"`) {
			t.Errorf("%s: %d after the login", p, code)
		}
	}
}

func TestLoginRefusesAndCounts(t *testing.T) {
	r := demoRig(t, 1)
	v := visit(t, r.Centre)
	v.get("/login")
	token := v.csrf()
	try := func(secret, csrf string) int {
		return v.do(http.MethodPost, "/login", url.Values{"csrf": {csrf}, "secret": {secret}, "next": {"https://evil.example/"}})
	}
	if code := try(secrets[LoginSecret], "forged"); code != http.StatusForbidden {
		t.Errorf("a forged form: %d", code)
	}
	for i := range loginTries {
		if code := try("guess", token); code != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d", i, code)
		}
	}
	if code := try(secrets[LoginSecret], token); code != http.StatusTooManyRequests || v.header.Get("Retry-After") == "" {
		t.Errorf("after %d guesses even the right secret must wait, got %d", loginTries, code)
	}
	r.now = r.now.Add(loginWindow)
	if code := try(secrets[LoginSecret], token); code != http.StatusOK || !strings.Contains(v.page, "Log out") {
		t.Errorf("the right secret later: %d", code)
	}
	r.now = r.now.Add(sessionLife)
	if v.get("/"); !strings.Contains(v.page, `type="password"`) {
		t.Error("a session does not end")
	}
	v.get("/login")
	r.now = r.now.Add(formLife)
	if code := try(secrets[LoginSecret], v.csrf()); code != http.StatusForbidden {
		t.Errorf("a form of yesterday: %d", code)
	}
}

func TestCookieAndHeadersAreStrict(t *testing.T) {
	v := visit(t, demoRig(t, 1).Centre)
	v.get("/login")
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if code := v.do(http.MethodPost, "/login", url.Values{"csrf": {v.csrf()}, "secret": {secrets[LoginSecret]}, "next": {"//evil.example"}}); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	if v.header.Get("Location") != "/" {
		t.Errorf("sent on to %s", v.header.Get("Location"))
	}
	cookie := v.header.Get("Set-Cookie")
	for _, want := range []string{"__Host-tandem=", "Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="} {
		if !strings.Contains(cookie, want) {
			t.Errorf("no %s in the cookie", want)
		}
	}
	csp := v.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || v.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("policy %q", csp)
	}
	for _, p := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:alert(1)", "", "/a\nb"} {
		if got := localPath(p); got != "/" {
			t.Errorf("%q leads to %q", p, got)
		}
	}
	if localPath("/c/acme?q=1") != "/c/acme?q=1" {
		t.Error("a path of ours is refused")
	}
}

func TestActionsNeedTheSessionsTokenAndWork(t *testing.T) {
	r := demoRig(t, 2)
	v, other := visit(t, r.Centre), visit(t, r.Centre)
	v.login()
	other.login()
	other.get("/c/acme")
	foreign := other.csrf()
	v.get("/c/birch-dental")
	own := v.csrf()
	for name, form := range map[string]url.Values{"no token": {"hours": {"1"}}, "another session's": {"hours": {"1"}, "csrf": {foreign}}} {
		if code := v.do(http.MethodPost, "/c/acme/mute", form); code != http.StatusForbidden {
			t.Errorf("%s: %d", name, code)
		}
	}
	if code := v.do(http.MethodPost, "/c/acme/mute", url.Values{"hours": {"1"}, "csrf": {own}}, "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden {
		t.Errorf("from another site: %d", code)
	}
	for _, hours := range []string{"-1", "x", "1000"} {
		if code := v.do(http.MethodPost, "/c/acme/mute", url.Values{"hours": {hours}, "csrf": {own}}); code != http.StatusBadRequest {
			t.Errorf("hours=%s: %d", hours, code)
		}
	}
	if v.do(http.MethodPost, "/c/birch-dental/mute", url.Values{"hours": {"8"}, "csrf": {own}}); !strings.Contains(v.page, "muted until 2026-11-24 10:00") {
		t.Error("not muted")
	}
	if v.do(http.MethodPost, "/c/birch-dental/forget", url.Values{"handler": {"poll"}, "csrf": {own}}); strings.Contains(v.page, ">poll<") {
		t.Error("not forgotten")
	}
	if v.do(http.MethodPost, "/logout", url.Values{"csrf": {own}}); !strings.Contains(v.page, `type="password"`) {
		t.Error("still logged in")
	}
}

const markup = `"><script>alert('x')</script>&amp;`

// hostile answers with markup in every text a page shows.
type hostile struct{}

func (hostile) outcome() Outcome {
	return Outcome{At: start, Direction: spec.ToHubSpot, Kind: markup, Cause: markup, Detail: markup, Execution: markup, Trace: "javascript:alert(1)//" + markup,
		Ref: record.Ref{System: markup, Object: markup, ID: markup}, Fields: []string{markup}, Spec: markup}
}

func (h hostile) List(context.Context, OutcomeQuery) (OutcomePage, error) {
	return OutcomePage{Outcomes: []Outcome{h.outcome()}, Next: markup, Note: markup}, nil
}

func (h hostile) Record(_ context.Context, _ string, ref record.Ref) (RecordView, error) {
	f := FieldView{Name: markup, Base: markup, HubSpot: markup, Destination: markup, Execution: markup, Event: markup, Spec: markup, Trace: "javascript:alert(1)"}
	return RecordView{Ref: ref, Partner: h.outcome().Ref, Unread: markup, Pair: markup, State: markup, Intent: markup, Next: markup, Fields: []FieldView{f}, Outcomes: []Outcome{h.outcome()}}, nil
}

func TestMarkupInEveryFieldIsEscaped(t *testing.T) {
	r := newRig(t)
	r.o.Outcomes = hostile{}
	bad := &State{Client: "acme", Handler: markup, Direction: markup, Interval: 1, LastBeat: start.Add(-time.Hour), Day: start.Format(time.DateOnly),
		Ways:   map[spec.Direction]*beat.Way{spec.ToHubSpot: {Causes: map[beat.Kind]map[beat.Cause]int{beat.Dead: {markup: 1}, beat.Dropped: {markup: 1}, beat.Parked: {markup: 1}}}},
		Signal: map[beat.Signal]int{markup: 1}, Checks: []beat.Check{{Name: markup, Code: markup}}}
	notice := Notice{Kind: markup, Client: markup, Handler: markup, Check: markup, State: markup, Count: 1, At: start}
	_, err := r.table.Update(t.Context(), put(stateKey("acme", "x"), table.Always, bad, time.Time{}),
		put(table.Key{PK: pkTold, SK: "0"}, table.Always, notice, time.Time{}))
	if err != nil {
		t.Fatal(err)
	}
	v := visit(t, r.Centre)
	v.login()
	for _, p := range append(allPages, "/?q="+url.QueryEscape(markup)+"&show="+url.QueryEscape(markup), "/c/acme/hubspot-to-destination?q="+url.QueryEscape(markup)) {
		if code := v.get(p); code != 200 {
			t.Errorf("%s: %d", p, code)
		}
		if strings.Contains(v.page, "<script>alert") || strings.Contains(v.page, `href="javascript:`) {
			t.Errorf("%s lets markup through", p)
		}
		if p != "/messages" && !strings.Contains(v.page, "script&gt;") && !strings.Contains(v.page, "%3cscript") {
			t.Errorf("%s does not show the hostile text at all: the test proves nothing", p)
		}
	}
}

func TestUnknownPagesAndABrokenTableSaySo(t *testing.T) {
	r := demoRig(t, 1)
	v := visit(t, r.Centre)
	v.login()
	for _, p := range []string{"/c/nobody", "/c/acme/sideways"} {
		if code := v.get(p); code != http.StatusNotFound {
			t.Errorf("%s: %d", p, code)
		}
	}
	_ = r.table.Close()
	if code := v.get("/"); code != http.StatusServiceUnavailable || !strings.Contains(v.page, "records are not affected") {
		t.Errorf("a closed table: %d", code)
	}
}

// closed is a client whose table cannot be read.
type closed struct{}

func (closed) List(context.Context, OutcomeQuery) (OutcomePage, error) {
	return OutcomePage{}, &Unreadable{Why: "There is no table of acme: deploy it.", Err: errors.New("ResourceNotFoundException")}
}

func (closed) Record(context.Context, string, record.Ref) (RecordView, error) {
	return RecordView{}, &Unreadable{Why: "There is no table of acme: deploy it.", Err: errors.New("ResourceNotFoundException")}
}

// A program shows the secret with each request, and is held off like a person.
func TestStatusForPrograms(t *testing.T) {
	r := demoRig(t, 4)
	v := visit(t, r.Centre)
	if code := v.do(http.MethodGet, "/status.json?client=delta-solar", nil, "Authorization", "Bearer "+secrets[LoginSecret]); code != 200 ||
		!strings.Contains(v.page, `"deadByCause":{`) || !strings.Contains(v.page, `"UnknownEnum"`) || strings.Contains(v.page, "acme") {
		t.Errorf("%d %s", code, v.page)
	}
	for i := range loginTries + 1 {
		want := http.StatusUnauthorized
		if i == loginTries {
			want = http.StatusTooManyRequests
		}
		if code := v.do(http.MethodGet, "/status.json", nil, "Authorization", "Bearer wrong"); code != want {
			t.Errorf("attempt %d: %d, want %d", i, code, want)
		}
	}
	if code := v.do(http.MethodGet, "/status.json", nil, "Authorization", "Bearer "+secrets[LoginSecret]); code != http.StatusTooManyRequests {
		t.Errorf("who guesses on learns that a guess is right: %d", code)
	}
	if code := v.get("/status.json?client=nobody"); code == 200 || strings.Contains(v.page, "acme") {
		t.Errorf("without a secret: %d %s", code, v.page)
	}
}

func TestAClientWhoseTableCannotBeReadIsSaidToBeSo(t *testing.T) {
	r := demoRig(t, 1)
	r.o.Outcomes = closed{}
	v := visit(t, r.Centre)
	v.login()
	if code := v.get("/c/acme/hubspot-to-destination"); code != 200 || !strings.Contains(v.page, "no table of acme") || !strings.Contains(v.page, "<dt>Events</dt>") {
		t.Errorf("the direction's page, %d, lacks its counts or the reason: %s", code, v.page)
	}
	if code := v.get("/c/acme/r/hubspot/contacts/1"); code != http.StatusServiceUnavailable || !strings.Contains(v.page, "no table of acme") {
		t.Errorf("the record's page, %d: %s", code, v.page)
	}
}

// Dead letters that were redriven need nobody; those that wait do, also the day after.
func TestDeadLettersNeedAPersonWhileTheyWait(t *testing.T) {
	r := newRig(t)
	told := func(waiting int) string {
		b := r.beat()
		b.Waiting = &waiting
		b.Ways = map[spec.Direction]*beat.Way{spec.ToHubSpot: {Outcomes: map[beat.Kind]int{beat.Dead: 1}, Causes: map[beat.Kind]map[beat.Cause]int{beat.Dead: {"States.Timeout": 1}}}}
		r.send(b)
		v := visit(t, r.Centre)
		v.login()
		v.get("/c/acme")
		return v.page
	}
	if page := told(2); !strings.Contains(page, "2 dead letters waiting") || !strings.Contains(page, "Attention") || !strings.Contains(page, "States.Timeout") {
		t.Errorf("with two waiting: %s", page)
	}
	if page := told(0); !strings.Contains(page, "No dead letter is waiting") || strings.Contains(page, "Attention") {
		t.Errorf("with none waiting: %s", page)
	}
}

// The budget of the page: 200 integrations with 10 handlers each below 300 KB.
// BenchmarkOverview measures its time.
func TestLargeOverviewFitsItsSize(t *testing.T) {
	v := visit(t, demoRig(t, 200).Centre)
	v.login()
	v.get("/")
	if rows := strings.Count(v.page, `<th scope=row>`); rows != 200 {
		t.Errorf("%d rows", rows)
	}
	t.Logf("%d bytes", len(v.page))
	if len(v.page) > 300_000 {
		t.Errorf("%d bytes, want at most 300,000", len(v.page))
	}
}

func BenchmarkOverview(b *testing.B) {
	r := demoRig(b, 200)
	s, _, err := r.signer(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	get := func(c *Centre) {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.AddCookie(&http.Cookie{Name: cookieName, Value: s.seal("session", r.now.Add(time.Hour))})
		w := httptest.NewRecorder()
		c.Dashboard().ServeHTTP(w, req)
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
	b.Run("warm", func(b *testing.B) {
		get(r.Centre)
		for b.Loop() {
			get(r.Centre)
		}
	})
	b.Run("nothing read before", func(b *testing.B) {
		for b.Loop() {
			r.cache = map[table.Key]cached{}
			get(r.Centre)
		}
	})
}
