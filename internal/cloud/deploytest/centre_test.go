package deploytest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"tandem/internal/cloud/names"
	"tandem/internal/simulator/portal"
)

var (
	dashboardURL = regexp.MustCompile(names.CentreName + `\.DashboardUrl = (\S+)/`)
	token        = regexp.MustCompile(`name="csrf" value="([^"]+)"`)
)

// pages logs in to the deployed dashboard and returns what reads a page.
func (r *rig) pages(t *testing.T) func(path string) string {
	t.Helper()
	jar, _ := cookiejar.New(nil) // never returns an error
	client := *r.front.Client
	client.Jar = jar
	read := func(resp *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	form := token.FindStringSubmatch(read(client.Get(r.dashboard + "/login")))
	if form == nil {
		t.Fatal("the login form carries no token")
	}
	resp, err := client.PostForm(r.dashboard+"/login", url.Values{"csrf": {form[1]}, "secret": {r.secrets[names.CentrePrefix+names.Login]}})
	if said := read(resp, err); resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 1 {
		t.Fatalf("the login is answered %s %v\n%s", resp.Status, resp.Header, said)
	}
	return func(path string) string { return read(client.Get(r.dashboard + path)) }
}

// shown follows a record from the outcomes of its direction to its own page.
func shown(t *testing.T, r *rig) {
	r.selfcheck(t)
	page := r.pages(t)
	ada := r.contact("ada@example.com").ID
	list, echoes := "", ""
	link := "/c/acme/r/hubspot/contacts/" + ada
	// A pair's row has room for its newest stamps only, and the row of arrivals is
	// noted within half a second or not at all: what is sure to be listed is the last
	// of several edits.
	tries := 0
	eventually(t, "the outcomes do not list contact "+ada+", stamped", func() bool {
		if tries++; tries%40 == 1 {
			born := map[string]string{"birthday": fmt.Sprint("1815-12-", 10+tries/40)}
			if _, err := r.portal.Update(portal.Person, "contacts", ada, "", born); err != nil {
				t.Fatal(err)
			}
		}
		list = page("/c/acme/hubspot-to-destination?kind=stamped")
		return strings.Contains(list, `href="`+link+`"`) && strings.Contains(list, "k-stamped")
	})
	eventually(t, "the outcomes do not list the echoes of what was written into the destination", func() bool {
		echoes = page("/c/acme/destination-to-hubspot?kind=dropped")
		return strings.Contains(echoes, "/r/destination/customers/") && strings.Contains(echoes, "unchanged")
	})
	if found := page("/c/acme/hubspot-to-destination?q=" + ada); !strings.Contains(found, link) {
		t.Error("a search for the record's id does not find it")
	}
	said := page(link)
	for _, want := range []string{"linked", "fingerprint", "email", "k-stamped", "tandem why --aws acme contacts " + ada, "console.aws.amazon.com/states"} {
		if !strings.Contains(said, want) {
			t.Errorf("the record's page does not say %q:\n%s", want, said)
		}
	}
	for _, value := range []string{"ada@example.com", "Lovelace", "Byron", "1815-12-"} {
		if strings.Contains(said+list, value) {
			t.Errorf("the Centre shows the value %s", value)
		}
	}
	if other := page("/c/nobody/hubspot-to-destination"); !strings.Contains(other, "no such page") {
		t.Errorf("an unknown client has outcomes:\n%s", other)
	}
}

// selfcheck is what a schedule calls every five minutes.
func (r *rig) selfcheck(t *testing.T) {
	t.Helper()
	if answer := r.invoke(t, "acme-selfcheck", map[string]any{}); strings.Contains(answer, "errorType") {
		t.Fatalf("the self-check failed: %s", answer)
	}
}

// deadByCause: a dead letter is listed, counted and told by its cause, once. A
// delivery that was answered late is repeated, so that its event may have two.
func deadByCause(t *testing.T, r *rig) {
	r.selfcheck(t)
	r.selfcheck(t)
	page := r.pages(t)
	list := page("/c/acme/destination-to-hubspot?kind=dead")
	n := strings.Count(list, "k-dead")
	if n < 1 || n > 2 || strings.Count(list, "UnknownEnum<small>") != n || strings.Contains(list, "no-such-status") {
		t.Fatalf("the dead letter is not listed by its cause and without its value:\n%s", list)
	}
	waiting, told := "1 dead letter waiting", "1 record dead-lettered"
	if n > 1 {
		waiting, told = fmt.Sprint(n, " dead letters waiting"), fmt.Sprint(n, " records dead-lettered")
	}
	eventually(t, "the client's page does not say "+waiting, func() bool { return strings.Contains(page("/c/acme"), waiting) })
	if said := page("/c/acme"); !regexp.MustCompile(fmt.Sprintf(`UnknownEnum</th><td>.*</td><td class="n">%d</td>`, n)).MatchString(said) {
		t.Errorf("the dead letters by cause are not %d UnknownEnum:\n%s", n, said)
	}
	if said, code := r.tandem(t, "", "status", "--aws", "acme"); code != 1 || !strings.Contains(said, waiting) || !strings.Contains(said, fmt.Sprint("dead letters by cause: UnknownEnum ", n)) {
		t.Errorf("tandem status: %d\n%s", code, said)
	}
	eventually(t, "Slack was not told the cause", func() bool {
		r.invoke(t, names.CentreName+"-watch", map[string]any{})
		select {
		case message := <-r.slack:
			return strings.Contains(message, told+", `UnknownEnum`, destination-to-hubspot")
		default:
			return false
		}
	})
}

// undead: what was redriven waits no more.
func undead(t *testing.T, r *rig) {
	r.selfcheck(t)
	page := r.pages(t)
	eventually(t, "the dashboard still shows a dead letter that was redriven", func() bool {
		return strings.Contains(page("/c/acme"), "No dead letter is waiting") && !strings.Contains(page("/c/acme/destination-to-hubspot?kind=dead"), "k-dead")
	})
}
