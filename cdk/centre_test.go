package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/beat"
	notification "tandem/internal/centre"
	"tandem/internal/cloud/names"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
)

// asked notes what package dynamo would ask DynamoDB for.
type asked struct {
	table.Table
	actions map[string]bool
}

func (a *asked) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	a.actions[map[bool]string{true: "GetItem", false: "BatchGetItem"}[len(keys) == 1]] = true
	return a.Table.Get(ctx, keys...)
}

func (a *asked) Query(ctx context.Context, pk, after string, limit int) ([]table.Item, error) {
	a.actions["Query"] = true
	return a.Table.Query(ctx, pk, after, limit)
}

func (a *asked) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	for _, u := range updates {
		switch {
		case u.Delete:
			a.actions["DeleteItem"] = true
		case !u.If.Unconditional() && u.If.Rev() == 0:
			a.actions["PutItem"] = true
		default:
			a.actions["UpdateItem"] = true
		}
	}
	return a.Table.Update(ctx, updates...)
}

type channel struct{}

func (channel) Send(context.Context, notification.Message) error { return nil }

const (
	beatSecret  = "a secret of enough bytes"
	loginSecret = "another secret of enough bytes"
)

// agencyRig is a Centre over a table that notes what is asked of it.
type agencyRig struct {
	*notification.Centre
	t     *testing.T
	asked *asked
	now   time.Time
	seq   int
}

func newAgency(t *testing.T) *agencyRig {
	r := &agencyRig{t: t, now: time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return r.now }
	rows, err := embedded.Open("", clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rows.Close() })
	r.asked = &asked{Table: rows, actions: map[string]bool{}}
	r.Centre, err = notification.New(notification.Options{Table: r.asked, Slack: channel{}, Now: clock, Plain: true, Log: slog.New(slog.DiscardHandler),
		Expect: []notification.Expected{{Client: "other", Handler: "selfcheck", Interval: time.Minute}},
		Secrets: func(_ context.Context, name string) (string, error) {
			secret := map[string]string{"/acme/beat-secret": beatSecret, notification.LoginSecret: loginSecret}[name]
			if secret == "" {
				return "", errors.New("no such parameter")
			}
			return secret, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *agencyRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *agencyRig) beat() {
	r.t.Helper()
	r.seq++
	b := beat.Beat{Client: "acme", Handler: "run", Interval: 60, Instance: strings.Repeat("a", 32), Seq: int64(r.seq), Nonce: fmt.Sprintf("%032x", r.seq), SentAt: r.now}
	body, err := json.Marshal(b)
	r.must(err)
	key, err := beat.Key(beatSecret, "acme")
	r.must(err)
	req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	beat.Sign(req.Header, key, "acme", b.Nonce, r.now, body)
	r.answered(r.Ingest(), req, http.StatusNoContent)
}

func (r *agencyRig) answered(h http.Handler, req *http.Request, want int) *httptest.ResponseRecorder {
	r.t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	if w.Code != want {
		r.t.Fatalf("%s %s answers %d, want %d: %s", req.Method, req.URL, w.Code, want, w.Body)
	}
	return w
}

var csrf = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func (r *agencyRig) token(w *httptest.ResponseRecorder) string {
	r.t.Helper()
	m := csrf.FindStringSubmatch(w.Body.String())
	if m == nil {
		r.t.Fatalf("no form in %s", w.Body)
	}
	return m[1]
}

// browse logs in, in vain and well, looks at a client, mutes it and forgets a handler.
func (r *agencyRig) browse() {
	pages := r.Dashboard()
	get := func(path string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodGet, path, nil)
		for _, k := range cookies {
			req.AddCookie(k)
		}
		return r.answered(pages, req, http.StatusOK)
	}
	post := func(path string, want int, form url.Values, cookies ...*http.Cookie) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, k := range cookies {
			req.AddCookie(k)
		}
		return r.answered(pages, req, want)
	}
	token := r.token(get("/login"))
	for range 2 {
		post("/login", http.StatusUnauthorized, url.Values{"csrf": {token}, "secret": {"wrong"}})
	}
	in := post("/login", http.StatusSeeOther, url.Values{"csrf": {token}, "secret": {loginSecret}}).Result().Cookies()
	get("/", in...)
	token = r.token(get("/c/acme", in...))
	post("/c/acme/mute", http.StatusSeeOther, url.Values{"csrf": {token}, "hours": {"1"}}, in...)
	post("/c/acme/forget", http.StatusSeeOther, url.Values{"csrf": {token}, "handler": {"run"}}, in...)
}

func alarmed(state, at string) []byte {
	return fmt.Appendf(nil, `{"AlarmName":"a","NewStateValue":%q,"StateChangeTime":"2026-11-24T%s.000+0000"}`, state, at)
}

// Of the clients' tables the dashboard reads rows without values, by their keys,
// and nobody else reads or changes anything.
func TestClientTables(t *testing.T) {
	_, centre := standard(t)
	for _, id := range centre.of("AWS::Lambda::Function") {
		name := centre.at(id, "FunctionName")
		for _, s := range statements(centre, logicalID(centre.at(id, "Role"))) {
			for _, on := range list(s["Resource"]) {
				if !strings.Contains(logicalID(on), ":table/") {
					continue
				}
				keys := onlyKeys(s)
				if name != names.CentreName+"-dashboard" || strings.Contains(keys, "LOST") || keys != fmt.Sprint(" keys ", clientRows) {
					t.Errorf("%v may %v on %v,%s", name, s["Action"], logicalID(on), keys)
				}
				for _, action := range list(s["Action"]) {
					if !slices.Contains([]any{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"}, action) {
						t.Errorf("%v may %v on a client's table", name, action)
					}
				}
			}
		}
	}
}

// Each function of the Centre may do to its table what it does, and nothing else.
// No engine here enforces IAM, so that a grant that is missing would show in a
// real account only.
func TestCentreGrants(t *testing.T) {
	for name, does := range map[string]func(r *agencyRig){
		"beat": func(r *agencyRig) { r.beat(); r.beat() },
		"watch": func(r *agencyRig) {
			r.beat()
			clear(r.asked.actions)
			r.must(r.Watch(r.t.Context()))
			r.now = r.now.Add(3 * time.Minute) // both are silent by now
			r.must(r.Watch(r.t.Context()))
		},
		"alarm": func(r *agencyRig) {
			r.must(r.Alarm(r.t.Context(), alarmed("ALARM", "01:00:00")))
			r.must(r.Alarm(r.t.Context(), alarmed("OK", "01:10:00")))
		},
		"dashboard": func(r *agencyRig) {
			r.beat()
			clear(r.asked.actions)
			r.browse()
		},
	} {
		r := newAgency(t)
		does(r)
		granted := map[string]bool{}
		for _, g := range centreGrants[name] {
			granted[g.action] = true
			if !r.asked.actions[g.action] {
				t.Errorf("%s is granted %s and does not need it", name, g.action)
			}
		}
		for action := range r.asked.actions {
			if !granted[action] {
				t.Errorf("%s needs %s", name, action)
			}
		}
	}
}
