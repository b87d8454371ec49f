package engines

import (
	"os/exec"
	"strings"
	"testing"
)

// The emulators come up and go away again.
func TestServers(t *testing.T) {
	for name, start := range map[string]func(testing.TB) string{
		"DynamoDBLocal": DynamoDBLocal, "MiniStack": func(t testing.TB) string { return MiniStack(t) }, "Moto": Moto,
	} {
		t.Run(name, func(t *testing.T) {
			if endpoint := start(t); !strings.HasPrefix(endpoint, "http://127.0.0.1:") {
				t.Errorf("endpoint %s is not on loopback", endpoint)
			}
		})
	}
}

// Node.js is new enough for aws-local-stepfunctions 3.
func TestNode(t *testing.T) {
	out, err := exec.Command(Node(t), "-p", "typeof Promise.withResolvers").Output()
	if err != nil || strings.TrimSpace(string(out)) != "function" {
		t.Errorf("Promise.withResolvers is %q, %v", out, err)
	}
}
