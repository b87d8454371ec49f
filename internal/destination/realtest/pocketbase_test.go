package realtest

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"tandem/internal/destination/destinationtest"
	"tandem/internal/engines"
)

// TestPocketBase syncs contacts with a collection of customers, polled.
func TestPocketBase(t *testing.T) {
	p := &pocketBase{t: t}
	p.system = &system{
		spec: "pocketbase", pair: "contacts", hubText: "firstname", polled: true,
		secrets: map[string]string{"destination-client-secret": "seal"},
		start:   p.start,
		record: func(n int) map[string]string {
			return map[string]string{"email": email(n), "firstname": "Ann", "lastname": "Lind", "hs_lead_status": "OPEN"}
		},
		promises: destinationtest.Fixture{
			Fields: [2]string{"first_name", "last_name"}, Key: "email", KeyUnique: true, ExternalID: "hubspot_id", Absent: "absentabsentabs", TellsDeletes: true,
		},
		create: p.create, edit: p.edit, remove: p.remove, read: p.read, count: p.count,
	}
	journeys(t, p.system)
}

func email(n int) string { return fmt.Sprintf("person%d@example.com", n) }

// pocketBase is the server as its superuser sees it.
type pocketBase struct {
	t       *testing.T
	system  *system
	records string // the collection's address
	header  http.Header
}

// start does what the spec folder's README asks for: the collection and the hook
// beside the data, a superuser, and a token for Tandem.
func (p *pocketBase) start(t *testing.T, _ string) string {
	program := engines.Path(t, "bin/pocketbase")
	dir, setup := t.TempDir(), filepath.Join(engines.Root(t), "spec/pocketbase")
	for _, folder := range []string{"pb_hooks", "pb_migrations"} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(setup, folder))); err != nil {
			t.Fatal(err)
		}
	}
	data := "--dir=" + filepath.Join(dir, "pb_data")
	if out, err := exec.Command(program, "superuser", "upsert", "admin@example.com", "not-a-secret", data).CombinedOutput(); err != nil {
		t.Fatalf("making a superuser: %v\n%s", err, out)
	}
	address := fmt.Sprintf("127.0.0.1:%d", engines.FreePort(t))
	base := "http://" + address
	engines.Start(t, base+"/api/health", exec.Command(program, "serve", "--http="+address, data))
	p.records = base + "/api/collections/customers/records"
	p.system.secrets["destination-token"] = p.token(base + "/api/collections/_superusers")
	return base
}

// token logs in and asks for a token that lasts a year.
func (p *pocketBase) token(superusers string) string {
	var session struct {
		Token  string
		Record struct{ ID string }
	}
	p.call(http.MethodPost, superusers+"/auth-with-password", map[string]string{"identity": "admin@example.com", "password": "not-a-secret"}, &session)
	p.header = http.Header{"Authorization": {"Bearer " + session.Token}}
	const year = 365 * 24 * 60 * 60
	p.call(http.MethodPost, superusers+"/impersonate/"+session.Record.ID, map[string]int{"duration": year}, &session)
	return session.Token
}

func (p *pocketBase) call(method, address string, body, out any) {
	p.t.Helper()
	if err := call(method, address, p.header, body, out); err != nil {
		p.t.Fatal(err)
	}
}

// customer is a row of the collection.
type customer struct {
	ID        string `json:"id,omitempty"`
	Email     string `json:"email"`
	FirstName string `json:"first_name"`
	Deleted   string `json:"deleted,omitempty"`
}

func (p *pocketBase) create(n int) string {
	var made customer
	p.call(http.MethodPost, p.records, customer{Email: email(n), FirstName: "Ben"}, &made)
	return made.ID
}

func (p *pocketBase) edit(id, text string) {
	p.call(http.MethodPatch, p.records+"/"+id, map[string]string{"first_name": text}, nil)
}

func (p *pocketBase) remove(id string) { p.call(http.MethodDelete, p.records+"/"+id, nil, nil) }

func (p *pocketBase) read(id string) (string, bool) {
	var found customer
	err := call(http.MethodGet, p.records+"/"+id, p.header, nil, &found)
	if err != nil && !isStatus(err, http.StatusNotFound) {
		p.t.Fatal(err)
	}
	return found.FirstName, err == nil && found.Deleted == ""
}

func (p *pocketBase) count() int {
	var page struct{ TotalItems int }
	p.call(http.MethodGet, p.records+"?"+url.Values{"filter": {"deleted=''"}, "perPage": {"1"}}.Encode(), nil, &page)
	return page.TotalItems
}
