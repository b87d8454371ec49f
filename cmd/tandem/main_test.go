package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tandem/internal/local/why"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// invoke runs a command in this process.
func invoke(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	t.Chdir("../..")
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var o, e bytes.Buffer
	code = run(ctx, args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func TestHelpNamesEveryCommand(t *testing.T) {
	code, out, _ := invoke(t, "help")
	for _, c := range commands {
		if !strings.Contains(out, "\n  "+c.name+" ") {
			t.Errorf("help does not name %s", c.name)
		}
		var more bytes.Buffer
		if run(t.Context(), []string{c.name, "-h"}, nil, &more, &more); !strings.HasPrefix(more.String(), "usage: tandem "+c.name+" "+c.args+"\n") {
			t.Errorf("help has %s %s, and its own help %.60q", c.name, c.args, more.String())
		}
	}
	if code != exitOK {
		t.Errorf("help ends with %d", code)
	}
}

// Help that is asked for is the answer, so it can be piped.
func TestHelpOfACommand(t *testing.T) {
	for _, args := range [][]string{{"help", "run"}, {"run", "-h"}, {"run", "--help"}} {
		code, out, says := invoke(t, args...)
		if code != exitOK || says != "" || !strings.Contains(out, "usage: tandem run") || !strings.Contains(out, "/api/outcomes") {
			t.Errorf("%v ends with %d and says %q; its help: %.80q", args, code, says, out)
		}
	}
	if code, out, _ := invoke(t, "--version"); code != exitOK || !strings.HasPrefix(out, "tandem ") {
		t.Errorf("--version ends with %d: %q", code, out)
	}
}

func TestCheckNamesTheFile(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte("{\n\"client\": 5}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := invoke(t, "check", bad); code != exitFailed || !strings.Contains(out, bad+":2: client: must be a text") {
		t.Errorf("ends with %d:\n%s", code, out)
	}
	if _, out, _ := invoke(t, "check", "--json", bad); !strings.Contains(out, `"path":"client","line":2,"message":"must be`) {
		t.Errorf("as JSON: %s", out)
	}
}

func TestMisuseIsSaidAndEndsWithTwo(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.json", `{"hubspot-token":"a","hubspot-client-secret":"b","destination-token":"c","destination-client-secret":"d"}`)
	systems := []string{"--hubspot-url", "http://127.0.0.1:1", "--destination-url", "http://127.0.0.1:1", "--data", filepath.Join(dir, "data")}
	few := file("few.json", `{"hubspot-token":"a"}`)
	owned := filepath.Dir(file(ownerFile, `{"client":"acme","portal":"1","hubspot":"real","destination":"real"}`))
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"another's data":   {append([]string{"run", "--secrets", good, "--spec", exampleSpec}, append(systems[:4:4], "--data", owned)...), "keeps what is known of client acme, portal 1"},
		"unknown command":  {[]string{"fly"}, "no command"},
		"unknown flag":     {[]string{"run", "--fast"}, "flag provided but not defined"},
		"one system only":  {[]string{"run", "--hubspot-url", "http://127.0.0.1:1"}, "--destination-url"},
		"no secrets":       {append([]string{"run"}, systems...), "--secrets"},
		"no secrets file":  {append([]string{"run", "--secrets", dir + "/none"}, systems...), "no such file"},
		"secrets not JSON": {append([]string{"run", "--secrets", file("text.json", "s3cret")}, systems...), "one JSON object"},
		"empty secret":     {append([]string{"run", "--secrets", file("empty.json", `{"hubspot-token":""}`)}, systems...), "hubspot-token"},
		"missing secret":   {append([]string{"run", "--secrets", few}, systems...), "destination-client-secret"},
		"no spec":          {append([]string{"run", "--secrets", good, "--spec", dir + "/none"}, systems...), "there is no spec at " + dir + "/none\n"},
		"wrong spec":       {append([]string{"run", "--secrets", good, "--spec", file("spec.json", `{"client":5}`)}, systems...), "client"},
		"not a URL":        {[]string{"run", "--secrets", good, "--hubspot-url", "here", "--destination-url", "there"}, "absolute http"},
		"not HTTP":         {[]string{"run", "--secrets", good, "--hubspot-url", "ftp://a", "--destination-url", "http://b"}, "--hubspot-url"},
		"in flight":        {append([]string{"run", "--secrets", good, "--in-flight", "-3"}, systems...), "--in-flight"},
		"no command":       {nil, "usage: tandem COMMAND"},
		"check nothing":    {[]string{"check"}, "spec file"},
		"why too little":   {[]string{"why", "acme"}, "an id"},
		"resync no id":     {[]string{"resync", "acme", "contacts", "--spec", "spec/acme/integration-spec.json"}, "name a client, an object type and an id"},
		"redrive no id":    {[]string{"redrive", "x"}, "not the id"},
		"redrive how":      {[]string{"redrive", "--all", "3"}, "ids, or by --code, or --all"},
		"redrive which":    {[]string{"redrive", "--all", "--code", "RemoteBusy"}, "ids, or by --code, or --all"},
		"real one's":       {[]string{"run", "--destination-url", "http://127.0.0.1:1", "--secrets", few, "--data", dir + "/one"}, "lack destination-token, destination-client-secret"},
		"not simulated":    {[]string{"run", "--spec", "spec/gitea/integration-spec.json", "--data", dir + "/two"}, "Gitea cannot be simulated"},
		"why no id":        {[]string{"why", "acme", "contacts", ""}, "none may be empty"},
		"resync empty id":  {[]string{"resync", "acme", "contacts", ""}, "none may be empty"},
		"no specs here":    {[]string{"subscriptions", "nobody"}, "run this in the repository's folder"},
		"no inputs":        {[]string{"simulate", "--inputs", few, exampleSpec}, "no line of " + few},
		"one word more":    {[]string{"doctor", "acme", "x"}, `"x"`},
		"one URL more":     {[]string{"subscriptions", "acme", "https://a"}, `"https://a"`},
		"one secret more":  {[]string{"secrets", "acme", "hubspot-token", "x"}, `"x"`},
		"version of":       {[]string{"version", "x"}, `"x"`},
		"not to HTTP":      {[]string{"subscriptions", "acme", "--url", "http://x"}, "https addresses only"},
		"not to a word":    {[]string{"subscriptions", "acme", "--url", "x"}, "https addresses only"},
		"kept for no day":  {[]string{"cost", "--retention", "0"}, "--retention"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, says := invoke(t, c.args...)
			if code != exitMisused || !strings.Contains(says, c.says) {
				t.Errorf("ends with %d and says %q, want %d and %q", code, says, exitMisused, c.says)
			}
			if strings.Contains(says, "s3cret") {
				t.Error("it quotes the secret")
			}
		})
	}
}

// A directory belongs to who first runs on it, and again to the same; a process that
// died before it had said so has not taken it.
func TestDataBelongsToOne(t *testing.T) {
	s, data := &spec.Spec{Client: "acme"}, t.TempDir()
	if err := os.WriteFile(filepath.Join(data, ownerFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	simulated, real := &runOptions{data: data}, &runOptions{data: data, hubspot: "https://a", destination: "https://b"}
	for i, err := range []error{own(simulated, s), own(simulated, s)} {
		if err != nil {
			t.Errorf("run %d: %v", i, err)
		}
	}
	if err := own(real, s); err == nil || !strings.Contains(err.Error(), "HubSpot simulated") {
		t.Errorf("real systems on what simulated ones have left: %v", err)
	}
}

func TestNoServerIsSaid(t *testing.T) {
	code, _, says := invoke(t, "why", "--addr", "127.0.0.1:1", "acme", "contacts", "1")
	if code != exitFailed || !strings.Contains(says, "start it with tandem run") {
		t.Errorf("ends with %d and says %q", code, says)
	}
}

func TestCheckAndExplain(t *testing.T) {
	if code, out, _ := invoke(t, "check", exampleSpec); code != exitOK || !strings.Contains(out, exampleSpec+": accepted") {
		t.Errorf("check ends with %d: %s", code, out)
	}
	bad := filepath.Join(t.TempDir(), "bad.json")
	body, err := os.ReadFile(exampleSpec)
	if err != nil {
		t.Fatal(err)
	}
	// Two values that become one cannot come back.
	body = bytes.Replace(body, []byte(`"OPEN": "lead"`), []byte(`"OPEN": "prospect"`), 1)
	if err := os.WriteFile(bad, body, 0o600); err != nil {
		t.Fatal(err)
	}
	var o, e bytes.Buffer
	code := run(t.Context(), []string{"check", "--json", bad}, nil, &o, &e)
	var all []checked
	if err := json.Unmarshal(o.Bytes(), &all); err != nil || code != exitFailed || len(all) != 1 || all[0].Accepted {
		t.Errorf("a lossy spec: %d, %v, %s", code, err, o.String())
	}
	o.Reset()
	code = run(t.Context(), []string{"check", bad, "/no", exampleSpec}, nil, &o, &e)
	if code != exitMisused || !strings.Contains(e.String(), "/no") || !strings.Contains(o.String(), bad+": refused") || !strings.Contains(o.String(), exampleSpec+": accepted") {
		t.Errorf("with a file that cannot be read check ends with %d: %s%s", code, o.String(), e.String())
	}
	o.Reset()
	if code := run(t.Context(), []string{"explain", exampleSpec}, nil, &o, &e); code != exitOK || !strings.Contains(o.String(), "hs_lead_status") {
		t.Errorf("explain ends with %d", code)
	}
	o.Reset()
	if code := run(t.Context(), []string{"diff", exampleSpec, bad}, nil, &o, &e); code != exitOK || !strings.Contains(o.String(), "status") {
		t.Errorf("diff ends with %d: %s", code, o.String())
	}
}

// TestRunServesUntilASignal runs the real process, asks it by the command, and
// ends it as a person does.
func TestRunServesUntilASignal(t *testing.T) {
	w := newWorld(t)
	listen := freeAddress(t)
	w.target = []string{"http://" + listen}
	p := w.start(t.TempDir(), listen)
	rec, err := w.portal.Create(portal.Person, "contacts", map[string]string{"email": "ada@example.com", "firstname": "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	sending, hangUp := context.WithCancel(t.Context())
	var sends sync.WaitGroup
	sends.Go(func() { w.deliver(sending) })
	w.quiet(p)
	hangUp()
	sends.Wait()
	var o, e bytes.Buffer
	if code := run(t.Context(), []string{"why", "--json", "--addr", listen, "acme", "contacts", rec.ID}, nil, &o, &e); code != exitOK {
		t.Fatalf("why: %s", e.String())
	}
	var report why.Report
	if err := json.Unmarshal(o.Bytes(), &report); err != nil || report.State != "linked" {
		t.Errorf("the record is %s, %v", report.State, err)
	}
	o.Reset()
	if code := run(t.Context(), []string{"why", "--addr", listen, "acme", "contacts", rec.ID}, nil, &o, &e); code != exitOK || !strings.Contains(o.String(), "ada@example.com") {
		t.Errorf("why as text: %s", o.String())
	}
	if code := run(t.Context(), []string{"why", "--addr", listen, "other", "contacts", rec.ID}, nil, &o, &e); code != exitMisused {
		t.Errorf("another client's name ends with %d", code)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v; its log:\n%s", err, p.err)
	}
}

// TestRunWithSimulators is what a fresh clone does first.
func TestRunWithSimulators(t *testing.T) {
	data := t.TempDir()
	w := &world{t: t}
	cmd := tandem(t, nil, "run", "--json", "--data", data, "--listen", "127.0.0.1:0")
	p := w.ready(cmd)
	var s struct{ Quiet bool }
	for !s.Quiet || sampled(t, p) < 12 {
		var err error
		if s, err = p.status(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Fatalf("after Ctrl-C: %v; its log:\n%s", err, p.err)
	}
	before, err := os.ReadFile(filepath.Join(data, "simulators", "erp.json"))
	if err != nil || !bytes.Contains(before, []byte("person1@example.com")) {
		t.Errorf("the destination was not saved: %v", err)
	}
}

// TestRunWithSimulatedHubSpot is how a spec is tried before there is an account
// of HubSpot: the portal begins without data, and the destination is a real one.
func TestRunWithSimulatedHubSpot(t *testing.T) {
	company := erp.New(erp.Usual(), nil, nil)
	there := httptest.NewServer(erp.Handler(company, "theirs"))
	t.Cleanup(there.Close)
	secrets := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(secrets, []byte(`{"destination-token": "theirs", "destination-client-secret": "signed"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t}
	p := w.ready(tandem(t, nil, "run", "--json", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--destination-url", there.URL, "--secrets", secrets))
	page, err := http.PostForm(p.hubspot+"/records/contacts", url.Values{"email": {"ada@example.com"}, "firstname": {"Ada"}})
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	for deadline := time.Now().Add(2 * time.Minute); sampled(t, p) < 1 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
	}
	if all := company.Records("customers"); page.StatusCode != http.StatusOK || len(all) != 1 {
		t.Errorf("the portal's page answers %d; %d customers there, want the one contact", page.StatusCode, len(all))
	}
}

// TestRunSaysWhatIsReal: a real destination beside a simulated HubSpot has no page of
// ours, and may not answer.
func TestRunSaysWhatIsReal(t *testing.T) {
	secrets := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(secrets, []byte(`{"destination-token": "theirs", "destination-client-secret": "signed"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := tandem(t, nil, "run", "--spec", "spec/gitea/integration-spec.json", "--data", t.TempDir(), "--listen", "127.0.0.1:0",
		"--destination-url", "http://"+freeAddress(t), "--secrets", secrets)
	out, err := cmd.StdoutPipe()
	var log bytes.Buffer
	cmd.Stderr = &log
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	try := ""
	for lines := bufio.NewScanner(out); try == "" && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Try it") {
			try = lines.Text()
		}
	}
	(&process{Cmd: cmd}).kill()
	if !strings.Contains(try, "look into Gitea") || !strings.Contains(log.String(), "destination does not answer") {
		t.Errorf("it says %q, and warns of %s", try, log.String())
	}
}

// sampled counts the records that were stamped.
func sampled(t *testing.T, p *process) (n int) {
	t.Helper()
	var page struct{ Outcomes []struct{ Kind string } }
	if err := (server{p.api[:len(p.api)-len("/api")]}).call(t.Context(), "GET", "/api/outcomes", &page); err != nil {
		t.Fatal(err)
	}
	for _, o := range page.Outcomes {
		if o.Kind == "stamped" {
			n++
		}
	}
	return n
}
