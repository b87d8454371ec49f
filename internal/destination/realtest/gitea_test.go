package realtest

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tandem/internal/destination/destinationtest"
	"tandem/internal/engines"
)

// TestGitea syncs tickets with a repository's issues, told by signed webhooks.
func TestGitea(t *testing.T) {
	g := &gitea{t: t}
	g.system = &system{
		spec: "gitea", pair: "tickets", hubText: "subject", losesDeliveries: true,
		secrets: map[string]string{"destination-client-secret": "webhook-secret"},
		start:   g.start,
		record: func(n int) map[string]string {
			return map[string]string{"subject": subject(n), "content": "It does not start.", "hs_pipeline": "0", "hs_pipeline_stage": "1"}
		},
		promises: destinationtest.Fixture{Fields: [2]string{"body", ""}, Key: "title", Absent: "99999"},
		create:   g.create, edit: g.edit, remove: g.remove, read: g.read, count: g.count,
	}
	journeys(t, g.system)
}

func subject(n int) string { return fmt.Sprintf("Machine %d stopped", n) }

// gitea is the server as its administrator sees it.
type gitea struct {
	t          *testing.T
	system     *system
	program    string
	config     string
	repository string
	header     http.Header
}

// settings are a server on loopback that asks nobody for anything. The module's
// own folder holds the texts and templates that the program reads.
const settings = `RUN_MODE = prod
RUN_USER = %[1]s
WORK_PATH = %[2]s
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[3]d
ROOT_URL = http://127.0.0.1:%[3]d/
STATIC_ROOT_PATH = %[4]s
OFFLINE_MODE = true
DISABLE_SSH = true
[database]
DB_TYPE = sqlite3
PATH = %[2]s/gitea.db
[security]
INSTALL_LOCK = true
[webhook]
ALLOWED_HOST_LIST = loopback
[indexer]
ISSUE_INDEXER_TYPE = db
[log]
LEVEL = Error
[cron]
ENABLED = false
`

// start does what the spec folder's README asks for: a user with a token, a
// repository, and a webhook with a secret.
func (g *gitea) start(t *testing.T, webhook string) string {
	g.program = engines.Path(t, "bin/gitea")
	engines.Command(t, "git", "install git")
	dir, port := t.TempDir(), engines.FreePort(t)
	g.config = filepath.Join(dir, "app.ini")
	text := fmt.Sprintf(settings, output(t, exec.Command("id", "-un")), dir, port, source(t))
	if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, g.command("migrate"))
	output(t, g.command("admin", "user", "create", "--admin", "--username", "tandem", "--email", "tandem@example.com",
		"--password", "not-a-Secret1", "--must-change-password=false"))
	lines := strings.Split(output(t, g.command("admin", "user", "generate-access-token", "--username", "tandem", "--scopes", "all", "--raw")), "\n")
	token := lines[len(lines)-1]
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	engines.Start(t, base+"/api/v1/version", g.command("web"))

	g.system.secrets["destination-token"] = token
	g.header = http.Header{"Authorization": {"Bearer " + token}}
	g.repository = base + "/api/v1/repos/acme/support"
	g.call(http.MethodPost, base+"/api/v1/orgs", map[string]any{"username": "acme"}, nil)
	g.call(http.MethodPost, base+"/api/v1/orgs/acme/repos", map[string]any{"name": "support"}, nil)
	g.call(http.MethodPost, g.repository+"/hooks", map[string]any{
		"type": "gitea", "active": true, "events": []string{"issues"},
		"config": map[string]string{"url": webhook, "content_type": "json", "secret": g.system.secrets["destination-client-secret"]},
	}, nil)
	return base
}

// command is the program; it insists on being told that running as root is meant.
func (g *gitea) command(args ...string) *exec.Cmd {
	cmd := exec.Command(g.program, append(args, "--config", g.config)...)
	cmd.Env = append(os.Environ(), "GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT=true")
	return cmd
}

// source is the folder of the module that the program was built from.
func source(t *testing.T) string {
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "code.gitea.io/gitea")
	cmd.Dir = filepath.Join(engines.Root(t), "testdata/engines/gitea")
	return output(t, cmd)
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(cmd.Path), cmd.Args[1:], err, out)
	}
	return strings.TrimSpace(string(out))
}

func (g *gitea) call(method, address string, body, out any) {
	g.t.Helper()
	if err := call(method, address, g.header, body, out); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gitea) issue(id string) string { return g.repository + "/issues/" + id }

func (g *gitea) create(n int) string {
	var made struct{ Number int }
	g.call(http.MethodPost, g.repository+"/issues", map[string]string{"title": subject(n)}, &made)
	return strconv.Itoa(made.Number)
}

func (g *gitea) edit(id, text string) {
	g.call(http.MethodPatch, g.issue(id), map[string]string{"title": text}, nil)
}

func (g *gitea) remove(id string) { g.call(http.MethodDelete, g.issue(id), nil, nil) }

func (g *gitea) read(id string) (string, bool) {
	var found struct{ Title string }
	err := call(http.MethodGet, g.issue(id), g.header, nil, &found)
	if err != nil && !isStatus(err, http.StatusNotFound) {
		g.t.Fatal(err)
	}
	return found.Title, err == nil
}

func (g *gitea) count() int {
	var repository struct {
		Open int `json:"open_issues_count"`
	}
	g.call(http.MethodGet, g.repository, nil, &repository)
	return repository.Open
}
