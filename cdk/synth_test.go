package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tandem/internal/cloud/names"
)

// BenchmarkSynth measures the whole app, functions built, for 1 and for 50
// clients: go test ./cdk -run '^$' -bench Synth -benchtime 1x. The memory is that
// of the largest process, which is the CDK's Node.js.
func BenchmarkSynth(b *testing.B) {
	root := settings(b).Root
	app := filepath.Join(b.TempDir(), "app")
	if out, err := exec.Command("go", "build", "-o", app, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, n := range []int{1, 50} {
		b.Run(fmt.Sprintf("%d clients", n), func(b *testing.B) {
			specs := fleet(b, root, n)
			context, err := json.Marshal(cdkContext(b))
			if err != nil {
				b.Fatal(err)
			}
			with := strings.TrimSuffix(string(context), "}") + `,"specs":` + fmt.Sprintf("%q", specs) + "}"
			var largest int64
			for b.Loop() {
				cmd := exec.Command(app)
				cmd.Dir, cmd.Env = root, append(os.Environ(), "CDK_OUTDIR="+b.TempDir(), "CDK_CONTEXT_JSON="+with)
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				if used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
					largest = max(largest, used.Maxrss)
				}
			}
			b.ReportMetric(float64(largest)/1024, "MB")
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/synth")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// fleet makes a folder of n clients that differ in name only.
func fleet(b *testing.B, root string, n int) string {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "spec", "acme", names.SpecName))
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	for i := range n {
		client := fmt.Sprintf("client%02d", i+1)
		folder := filepath.Join(dir, client)
		if err := os.Mkdir(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		text := strings.Replace(string(raw), `"client": "acme"`, `"client": "`+client+`"`, 1)
		if err := os.WriteFile(filepath.Join(folder, names.SpecName), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}
