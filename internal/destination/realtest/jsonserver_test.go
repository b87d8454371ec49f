package realtest

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"tandem/internal/destination/destinationtest"
	"tandem/internal/engines"
	"tandem/internal/record"
)

// TestJSONServer syncs contacts with the clients of json-server, polled.
func TestJSONServer(t *testing.T) {
	j := &jsonServer{t: t}
	journeys(t, j.system())
}

// system is the server with what its application does for it.
func (j *jsonServer) system() *system {
	return &system{
		spec: "jsonserver", pair: "contacts", hubText: "firstname", polled: true,
		secrets:  map[string]string{"destination-token": "unused", "destination-client-secret": "seal"},
		start:    j.start,
		record:   func(n int) map[string]string { return map[string]string{"email": email(n), "firstname": "Ann"} },
		promises: destinationtest.Fixture{Fields: [2]string{"name", ""}, Key: "email", Absent: "99999"},
		create:   j.create, edit: j.edit, remove: j.remove, read: j.read, count: j.count,
	}
}

// TestUnmarkedDeletions deletes records for good in a polled system: they are found
// by what a list of everything lacks, and only they.
func TestUnmarkedDeletions(t *testing.T) {
	if testing.Short() {
		t.Skip("a short run starts no engines")
	}
	t.Parallel()
	j := &jsonServer{t: t}
	s := j.system()
	s.changes = []string{`"updatedAt": "updated",`, `"updatedAt": "updated"`, `"archived": "archived"`, ``, `"overlap": "5s"`, `"overlap": "5s", "deletesEvery": "1s"`}
	r := newRig(t, s)
	var there, ids []string
	for n := range 4 {
		there = append(there, s.create(10+n))
	}
	for _, id := range there {
		r.eventually("the create arrives", func() bool { return r.partner(record.Destination, id) != "" })
		ids = append(ids, r.partner(record.Destination, id))
	}
	r.quiet()
	for _, id := range there[:2] {
		if err := call(http.MethodDelete, j.at(id), nil, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids[:2] {
		r.eventually("the deletion arrives", func() bool { _, live := r.hubText(id); return !live })
	}
	r.quiet()
	for _, id := range ids[2:] {
		if _, live := r.hubText(id); !live {
			t.Errorf("contact %s was deleted, its client was not", id)
		}
	}
	r.ended()
}

// jsonServer is the server as the application before it uses it.
type jsonServer struct {
	t       *testing.T
	clients string
}

// client is a record. The application keeps the time of its changes and marks
// what it deletes; json-server does neither.
type client struct {
	ID       int        `json:"id,omitempty"`
	Email    string     `json:"email,omitempty"`
	Name     string     `json:"name,omitempty"`
	Updated  *time.Time `json:"updated,omitempty"`
	Archived bool       `json:"archived,omitempty"`
}

func (j *jsonServer) start(t *testing.T, _ string) string {
	program := engines.Path(t, "node_modules/json-server/lib/cli/bin.js")
	db, port := filepath.Join(t.TempDir(), "db.json"), strconv.Itoa(engines.FreePort(t))
	if err := os.WriteFile(db, []byte(`{"clients": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	base := "http://127.0.0.1:" + port
	engines.Start(t, base, exec.Command(engines.Node(t), program, "--quiet", "--host", "127.0.0.1", "--port", port, db))
	j.clients = base + "/clients"
	return base
}

func (j *jsonServer) send(method, address string, c client) (answer client) {
	j.t.Helper()
	now := time.Now().UTC()
	c.Updated = &now
	if err := call(method, address, nil, c, &answer); err != nil {
		j.t.Fatal(err)
	}
	return answer
}

func (j *jsonServer) at(id string) string { return j.clients + "/" + id }

// create chooses the id: json-server gives the id of a deleted record away again.
func (j *jsonServer) create(n int) string {
	return fmt.Sprint(j.send(http.MethodPost, j.clients, client{ID: 1000 + n, Email: email(n), Name: "Ben"}).ID)
}

func (j *jsonServer) edit(id, text string) { j.send(http.MethodPatch, j.at(id), client{Name: text}) }

func (j *jsonServer) remove(id string) { j.send(http.MethodPatch, j.at(id), client{Archived: true}) }

func (j *jsonServer) read(id string) (string, bool) {
	var found client
	err := call(http.MethodGet, j.at(id), nil, nil, &found)
	if err != nil && !isStatus(err, http.StatusNotFound) {
		j.t.Fatal(err)
	}
	return found.Name, err == nil && !found.Archived
}

func (j *jsonServer) count() (n int) {
	var all []client
	if err := call(http.MethodGet, j.clients, nil, nil, &all); err != nil {
		j.t.Fatal(err)
	}
	for _, c := range all {
		if !c.Archived {
			n++
		}
	}
	return n
}
