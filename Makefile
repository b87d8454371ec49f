# Everything a person or CI runs. `make help` lists it.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

# How long each fuzz test runs, and how many seeds the simulation plays.
FUZZTIME ?= 5s
SEEDS    ?= 1000
SEED     ?= 1

# ST1005 is left out: errors here often begin with a name, such as HubSpot.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.0
TOOLS       := ./.ci/imports ./.ci/report

.PHONY: run test all-checks check synth sim fuzz race bench burst engines go-test static help

run: ## both simulators, the flow and its pages on this machine; needs only Go
	@go build -o bin/tandem ./cmd/tandem # go run would make an error of Ctrl-C
	@exec bin/tandem run

test: ## everything; installs the pinned engines first
	@$(MAKE) --no-print-directory --keep-going all-checks

# The Go tests come last: their report ends with what was skipped. A step that
# fails does not stop the others, so that one run tells everything.
all-checks: engines static synth fuzz race go-test

check: static ## the quick part: format, vet, staticcheck, import rules, short tests
	go test -short $$(go list ./... | grep -v '^tandem/cdk') $(TOOLS)

synth: engines ## the CloudFormation templates, into cdk.out
	@.ci/step synth
	@.ci/synth

sim: ## the deterministic simulation: make sim SEEDS=100000 SEED=1
	go test ./internal/simulation -run TestSeeds -count=1 -v -timeout 0 -seeds=$(SEEDS) -seed=$(SEED)

fuzz: ## every fuzz test for FUZZTIME: make fuzz FUZZTIME=10m
	@.ci/step fuzz
	@.ci/fuzz $(FUZZTIME)

race: ## the short tests under the race detector (needs a C compiler)
	@.ci/step race
	@.ci/race

burst: engines ## 10,000 changes at HubSpot's pace by 8 processes (9 minutes), and the plot in docs/
	go test ./internal/burst -count=1 -v -timeout 20m -changes=10000 -plot=$(CURDIR)/docs/burst.svg

bench: ## every benchmark
	go test -run '^$$' -bench . -benchmem ./...

engines: ## the pinned programs that tests run, into testdata/engines
	@.ci/step engines
	@.ci/engines

static:
	@.ci/step static
	@unformatted=$$(gofmt -l $$(go list -f '{{.Dir}}' ./... $(TOOLS))); \
	  if [ -n "$$unformatted" ]; then echo "not formatted, run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	go vet ./... $(TOOLS)
	go run $(STATICCHECK) -checks inherit,-ST1005 ./... $(TOOLS)
	@go run ./.ci/imports

go-test:
	@.ci/step go test
	@go test -json -timeout 25m ./... $(TOOLS) | go run ./.ci/report

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10
