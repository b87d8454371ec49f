package realtest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"tandem/internal/destination/destinationtest"
	"tandem/internal/engines"
)

// TestRoundup syncs contacts with the users of an issue tracker, polled. Every
// write there has to hold the ETag of what it replaces.
func TestRoundup(t *testing.T) {
	u := &roundup{t: t}
	journeys(t, &system{
		spec: "roundup", pair: "contacts", hubText: "firstname", polled: true,
		secrets:  map[string]string{"destination-token": "not-a-secret", "destination-client-secret": "seal"},
		start:    u.start,
		changes:  []string{`"deletesEvery": "1h"`, `"deletesEvery": "1s"`},
		record:   func(n int) map[string]string { return map[string]string{"email": email(n), "firstname": "Ann"} },
		promises: destinationtest.Fixture{Fields: [2]string{"realname", ""}, Key: "username", KeyUnique: true, Absent: "99999"},
		create:   u.create, edit: u.edit, remove: u.remove, read: u.read, count: u.count,
	})
}

// roundup is the tracker as its administrator sees it.
type roundup struct {
	t     *testing.T
	users string
}

// serve is how a tracker is run behind a web server; roundup-server refuses root.
const serve = `import sys
from roundup.cgi.wsgi_handler import RequestDispatcher
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[2]), RequestDispatcher(sys.argv[1]), threaded=True)
`

// settings of a tracker behind a proxy; passwords are hashed quickly, since each
// request of Tandem's is a login.
const trackerSettings = "tracker_web=https://tracker.example/,mail_domain=tracker.example,mail_host=localhost," +
	"web_csrf_enforce_header_host=no,password_pbkdf2_default_rounds=1000"

// start does what the spec folder's README asks for: the lines of the schema, the
// detector, and a user for Tandem.
func (u *roundup) start(t *testing.T, _ string) string {
	admin := engines.Path(t, "venv/bin/roundup-admin")
	home, setup := filepath.Join(t.TempDir(), "tracker"), filepath.Join(engines.Root(t), "spec/roundup")
	run := func(arguments ...string) {
		if out, err := exec.Command(admin, append([]string{"-i", home}, arguments...)...).CombinedOutput(); err != nil {
			t.Fatalf("roundup-admin %s: %v\n%s", arguments[0], err, out)
		}
	}
	run("install", "classic", "sqlite", trackerSettings)
	join(t, filepath.Join(home, "schema.py"), filepath.Join(home, "schema.py"), filepath.Join(setup, "schema.py"))
	join(t, filepath.Join(home, "detectors/tandem.py"), filepath.Join(setup, "detectors/tandem.py"))
	run("initialise", "admin-secret")
	run("create", "user", "username=tandem", "password=not-a-secret", "roles=Sync")
	port := strconv.Itoa(engines.FreePort(t))
	base := "http://127.0.0.1:" + port
	engines.Start(t, base, exec.Command(engines.Python(t), "-c", serve, home, port))
	u.users = base + "/rest/data/user"
	return base
}

// join writes the texts of files into one.
func join(t *testing.T, out string, files ...string) {
	var all bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	if err := os.WriteFile(out, all.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// person is a user of the tracker.
type person struct {
	Username string `json:"username,omitempty"`
	Address  string `json:"address,omitempty"`
	Realname string `json:"realname,omitempty"`
}

func (u *roundup) call(method, address, etag string, body, out any) error {
	header := http.Header{"Origin": {"https://tracker.example"}, "X-Requested-With": {"rest"}, "If-Match": {etag}}
	header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("admin:admin-secret")))
	return call(method, address, header, body, out)
}

func (u *roundup) must(err error) {
	u.t.Helper()
	if err != nil {
		u.t.Fatal(err)
	}
}

func (u *roundup) create(n int) string {
	var made struct{ Data struct{ ID string } }
	u.must(u.call(http.MethodPost, u.users, "", person{Username: email(n), Address: email(n), Realname: "Ben"}, &made))
	return made.Data.ID
}

func (u *roundup) edit(id, text string) {
	u.must(u.call(http.MethodPatch, u.users+"/"+id, u.etag(id), person{Realname: text}, nil))
}

func (u *roundup) remove(id string) {
	u.must(u.call(http.MethodDelete, u.users+"/"+id, u.etag(id), nil, nil))
}

// one is a user as REST shows it.
type one struct {
	Data struct {
		ETag       string `json:"@etag"`
		Attributes person
	}
}

func (u *roundup) etag(id string) string {
	var found one
	u.must(u.call(http.MethodGet, u.users+"/"+id, "", nil, &found))
	return found.Data.ETag
}

// read looks among the listed: a retired user reads like any other.
func (u *roundup) read(id string) (string, bool) {
	var page struct{ Data struct{ Collection []person } }
	u.must(u.call(http.MethodGet, fmt.Sprintf("%s?%s", u.users, url.Values{"id": {id}, "@fields": {"realname"}}.Encode()), "", nil, &page))
	if len(page.Data.Collection) == 0 {
		return "", false
	}
	return page.Data.Collection[0].Realname, true
}

func (u *roundup) count() int {
	var page struct {
		Data struct {
			Total int `json:"@total_size"`
		}
	}
	u.must(u.call(http.MethodGet, u.users+"?username=@&@page_size=1", "", nil, &page))
	return page.Data.Total
}
