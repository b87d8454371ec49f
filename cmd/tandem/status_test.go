package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/internal/centre"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/local/engine"
	"tandem/internal/local/lookout"
	"tandem/spec"
)

// What the pages of the Centre beside a server show, its files and nobody else's ask for.
func TestStatusOfALocalCentre(t *testing.T) {
	data := t.TempDir()
	l, err := lookout.Open(lookout.Options{Client: "acme", Dir: filepath.Join(data, "centre"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for _, code := range []flow.Code{flow.UnknownEnum, flow.UnknownEnum, "States.Timeout"} {
		l.Ended(engine.Outcome{Kind: ledger.Dead, Code: string(code), At: time.Now(), Direction: spec.ToHubSpot})
	}
	ask := func(args ...string) (string, int) {
		var out, said bytes.Buffer
		code := run(t.Context(), append([]string{"status", "--data", data}, args...), nil, &out, &said)
		return out.String() + said.String(), code
	}
	var said string
	for end := time.Now().Add(time.Minute); !strings.Contains(said, "UnknownEnum 2, States.Timeout 1"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the causes are not told: %s", said)
		}
		said, _ = ask("acme")
	}
	if said, code := ask(); code != exitFailed || !strings.Contains(said, "acme") || !strings.Contains(said, "attention") {
		t.Errorf("%d\n%s", code, said)
	}
	text, _ := ask("--json", "acme")
	var status centre.Status
	if err := json.Unmarshal([]byte(text), &status); err != nil || len(status.Integrations) != 1 || status.Integrations[0].Ways[1].Dead["UnknownEnum"] != 2 {
		t.Errorf("%v\n%s", err, text)
	}
	if said, code := ask("nobody"); code != exitFailed || !strings.Contains(said, "no handler of nobody") {
		t.Errorf("an unknown client: %d %s", code, said)
	}
	if err := os.WriteFile(filepath.Join(data, "centre", "login"), []byte("another secret of enough bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, code := ask(); code != exitFailed || !strings.Contains(said, "401") {
		t.Errorf("with another secret: %d %s", code, said)
	}
	data = t.TempDir()
	if said, code := ask(); code != exitMisused || !strings.Contains(said, "start tandem run") {
		t.Errorf("without a Centre: %d %s", code, said)
	}
}
