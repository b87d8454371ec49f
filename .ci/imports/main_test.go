package main

import (
	"strings"
	"testing"
)

// Each rule refuses what it is there for, and lets through what it should.
func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		name, imported string
		want           string // part of the fault, "" for none
	}{
		{"internal/flow", "tandem/internal/hubspot", "of ours it may import only"},
		{"internal/flow", "tandem/internal/table/embedded", "of ours it may import only"},
		{"internal/flow", "tandem/internal/ledger", ""},
		{"internal/flow", "log/slog", ""},
		{"internal/flow", "log", "imports log"},
		{"internal/hubspot", "tandem/internal/destination", "of ours it may import only"},
		{"internal/destination", "tandem/internal/destination/odd", ""},
		{"internal/table/dynamo", "tandem/internal/table", ""},
		{"internal/table/dynamo", "tandem/internal/flow", "of ours it may import only"},
		{"internal/table", "tandem/internal/table/dynamo", "of ours it may import only"},
		{"internal/asl", "tandem/internal/flow", "of ours it may import only"},
		{"statemachines", "tandem/spec", "of ours it may import only"},
		{"spec", "tandem/internal/flow", "of ours it may import only"},
		{"spec", "github.com/aws/aws-cdk-go/awscdk/v2", "only cdk/... may"},
		{"cdk", "github.com/aws/aws-cdk-go/awscdk/v2", ""},
		{"cdk", "tandem/internal/simulator/erp", "may"},
		{"lambdas/write", "tandem/cmd/tandem/run", "only cmd/... may"},
		{"lambdas/write", "tandem/internal/table/embedded", "may"},
		{"lambdas/write", "github.com/aws/aws-lambda-go/lambda", ""},
		{"internal/flow", "github.com/aws/aws-lambda-go/lambda", "may"},
		{"cmd/tandem", "tandem/internal/engines", "nothing"},
		{"cmd/tandem", "testing", "may"},
	} {
		got := strings.Join(refuse(c.name, c.imported), "\n")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s importing %s: %q, want %q", c.name, c.imported, got, c.want)
		}
	}
}

// Bad names, and the CDK in somebody's tests, are found in a whole listing.
func TestCheck(t *testing.T) {
	pkgs, err := decode(strings.NewReader(`{"ImportPath":"tandem/internal/util"}
		{"ImportPath":"tandem/internal/flow","TestImports":["github.com/aws/aws-cdk-go/awscdk/v2"]}
		{"ImportPath":"tandem/spec","Imports":["strings","tandem/internal/record"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if faults := check(pkgs); len(faults) != 2 {
		t.Errorf("faults %q, want 2", faults)
	}
}
