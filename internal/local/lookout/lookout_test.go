package lookout

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/local/engine"
	"tandem/internal/record"
	"tandem/spec"
)

// opened is a Lookout that serves until the test ends, without beats of its own.
func opened(t *testing.T, dir string) *Lookout {
	t.Helper()
	l, err := Open(Options{Client: "acme", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- l.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

var token = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// pages logs in over plain HTTP and returns what reads a page.
func pages(t *testing.T, l *Lookout) func(path string) string {
	t.Helper()
	jar, _ := cookiejar.New(nil) // never returns an error
	client := &http.Client{Jar: jar}
	read := func(resp *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	form := token.FindStringSubmatch(read(client.Get(l.URL() + "/login")))
	if form == nil {
		t.Fatal("the login form carries no token")
	}
	read(client.PostForm(l.URL()+"/login", url.Values{"csrf": {form[1]}, "secret": {l.Login()}}))
	return func(path string) string { return read(client.Get(l.URL() + path)) }
}

// Outcomes of every kind are taken by the Centre and shown.
func TestOutcomesReachTheDashboard(t *testing.T) {
	l := opened(t, t.TempDir())
	at := time.Now()
	for _, o := range []engine.Outcome{
		{Kind: ledger.Stamped, Start: at.Add(-2 * time.Second)},
		{Kind: ledger.Dropped, Reason: "unchanged: no field differs from what both sides agreed on", Start: at},
		{Kind: ledger.ParkedKind, Reason: "ambiguous: two candidates"},
		{Kind: ledger.Dead, Code: string(flow.UnknownEnum), Reason: "pair contacts, field status"},
		{Kind: ledger.Dead, Code: "States.Timeout", Reason: "the machine's own"},
		{Kind: ledger.Dead, Code: string(flow.BadSeal), Reason: "started from outside"},
		{Kind: ledger.Stamped, Parked: []string{"phone"}},
	} {
		o.At, o.Direction, o.Ref = at, spec.ToHubSpot, record.Ref{System: record.Destination, Object: "customers", ID: "c_1"}
		l.Ended(o)
	}
	l.Refused()
	if err := l.reporters[0].Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	page := pages(t, l)
	said := page("/c/acme")
	for _, want := range []string{"UnknownEnum", "unchanged", "signature refused", "seal refused", "field parked", "Log out"} {
		if !strings.Contains(said, want) {
			t.Errorf("the client's page does not say %q", want)
		}
	}
	if said := page("/messages"); !strings.Contains(said, "UnknownEnum") {
		t.Error("without Slack the page of messages does not show what would have been told")
	}
}

// The login secret survives a restart.
func TestLoginIsKept(t *testing.T) {
	dir := t.TempDir()
	var before string
	t.Run("first", func(t *testing.T) { before = opened(t, dir).Login() })
	if after := opened(t, dir).Login(); before == "" || after != before {
		t.Error("the login secret has changed")
	}
}

// With no Centre to reach, counting returns all the same.
func TestAbsenceDelaysNothing(t *testing.T) {
	l, err := Open(Options{Client: "acme", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		l.Ended(engine.Outcome{Kind: ledger.Stamped, At: time.Now(), Direction: spec.ToHubSpot})
	}
	if err := l.reporters[0].Flush(t.Context()); err == nil {
		t.Error("a beat was delivered to a Centre that is gone")
	}
}
