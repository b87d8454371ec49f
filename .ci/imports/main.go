// Command imports refuses imports that the layout forbids. It reads the rules
// below and `go list`; run it as `go run ./.ci/imports` in the repository.
//
// The rules are about what a package is: data knows no code, the flow knows no
// system, one system's adapter knows no other's, and what is deployed holds
// nothing that only tests or the laptop need. Test files are free, except for
// the CDK, whose first compilation takes most of a minute.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
)

const module = "tandem/"

// inner lists packages that may import, of ours, only what is named.
var inner = map[string][]string{
	"internal/record":      {},
	"internal/logic":       {"internal/record"},
	"internal/asl":         {},
	"internal/table":       {},
	"statemachines":        {},
	"internal/formula":     {"internal/record"},
	"spec":                 {"internal/record", "internal/formula", "internal/logic"},
	"internal/translate":   {"internal/record", "internal/formula", "internal/logic", "spec"},
	"internal/ledger":      {"internal/record", "internal/table", "spec"},
	"internal/flow":        {"internal/record", "internal/formula", "internal/logic", "internal/translate", "internal/ledger", "internal/table", "spec"},
	"internal/table/...":   {"internal/table"},
	"internal/hubspot":     {"internal/flow", "internal/record", "internal/limit", "internal/table", "spec"},
	"internal/destination": {"internal/flow", "internal/record", "internal/limit", "internal/table", "internal/destination/...", "spec"},
}

// foreign says in which of our packages a module may be used. "..." ends a pattern.
var foreign = map[string][]string{
	"github.com/aws/aws-cdk-go/...":      {"cdk/..."},
	"github.com/aws/constructs-go/...":   {"cdk/..."},
	"github.com/aws/jsii-runtime-go/...": {"cdk/..."},
	"github.com/cdklabs/...":             {"cdk/..."},
	"github.com/aws/aws-lambda-go/...":   {"lambdas/...", "internal/cloud/..."},
	"github.com/aws/aws-sdk-go-v2/...":   {"internal/table/dynamo", "internal/cloud/...", "lambdas/...", "cmd/..."},
	"github.com/aws/smithy-go/...":       {"internal/table/dynamo", "internal/cloud/..."},
	"net/http/pprof":                     {},
	"log":                                {},
	"github.com/santhosh-tekuri/...":     {},
	"github.com/chromedp/...":            {},
	"testing":                            {"internal/engines", "internal/table/tabletest", "internal/destination/destinationtest"},
	"tandem/internal/engines":            {},
	"tandem/internal/table/tabletest":    {},
	"tandem/internal/simulation/...":     {"internal/simulation/...", "cmd/..."},
	"tandem/internal/simulator/...":      {"internal/simulator/...", "internal/simulation/...", "internal/local/...", "cmd/..."},
	"tandem/internal/table/embedded":     {"cmd/...", "internal/cost", "internal/simulation/...", "internal/local/..."},
	"tandem/cmd/...":                     {"cmd/..."},
	"tandem/internal/destination/...":    {"internal/cost", "internal/destination/...", "internal/cloud/...", "internal/simulation/...", "internal/local/...", "internal/simulator/...", "lambdas/...", "cmd/..."},
	"tandem/internal/hubspot/...":        {"internal/cost", "internal/hubspot/...", "internal/cloud/...", "internal/simulation/...", "internal/local/...", "internal/simulator/...", "lambdas/...", "cmd/..."},
}

// names that say nothing about what is inside.
var names = []string{"util", "utils", "common", "helpers", "types", "errors", "config", "shared", "pkg", "misc"}

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func main() {
	list := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "imports: go list:", err)
		os.Exit(2)
	}
	pkgs, err := decode(strings.NewReader(string(out)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "imports: reading go list:", err)
		os.Exit(2)
	}
	faults := check(pkgs)
	for _, f := range faults {
		fmt.Fprintln(os.Stderr, f)
	}
	if len(faults) > 0 {
		fmt.Fprintln(os.Stderr, "imports: the rules and their reasons are in .ci/imports/main.go")
		os.Exit(1)
	}
	fmt.Printf("imports: %d packages follow the rules\n", len(pkgs))
}

func decode(r io.Reader) (pkgs []pkg, err error) {
	for d := json.NewDecoder(r); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, p)
	}
}

func check(pkgs []pkg) (faults []string) {
	for _, p := range pkgs {
		name := strings.TrimPrefix(p.ImportPath, module)
		if slices.Contains(names, path.Base(name)) {
			faults = append(faults, fmt.Sprintf("%s: %q says nothing; name the package after what it holds", name, path.Base(name)))
		}
		for _, imported := range p.Imports {
			faults = append(faults, refuse(name, imported)...)
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if strings.HasPrefix(imported, "github.com/aws/aws-cdk-go/") && !matches("cdk/...", name) {
				faults = append(faults, fmt.Sprintf("%s: its tests import %s, which only cdk may", name, imported))
			}
		}
	}
	return faults
}

// refuse says what is wrong with one import, if anything.
func refuse(name, imported string) (faults []string) {
	ours, isOurs := strings.CutPrefix(imported, module)
	for pattern, allowed := range inner {
		if isOurs && matches(pattern, name) && !(pattern == "internal/table/..." && name == "internal/table") && !matchesAny(allowed, ours) {
			faults = append(faults, fmt.Sprintf("%s: imports %s; of ours it may import only %s", name, ours, list(allowed)))
		}
	}
	for pattern, allowed := range foreign {
		if matches(pattern, imported) && !matchesAny(allowed, name) {
			faults = append(faults, fmt.Sprintf("%s: imports %s; only %s may", name, imported, list(allowed)))
		}
	}
	slices.Sort(faults)
	return faults
}

// matches reports whether a path is named by a pattern; "a/..." names a as well.
func matches(pattern, name string) bool {
	if root, tree := strings.CutSuffix(pattern, "/..."); tree {
		return name == root || strings.HasPrefix(name, root+"/")
	}
	return name == pattern
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

func list(patterns []string) string {
	if len(patterns) == 0 {
		return "nothing (or tests)"
	}
	return strings.Join(patterns, ", ")
}
