# Everything that people and CI run. `make help` lists the targets.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

INPUT    ?= examples/run-inputs/multi-wave-staggered.json
SEED     ?= 1
SEEDS    ?=
ARCH     ?= arm64
FUZZTIME ?= 10s
EVIDENCE_SEEDS ?= 2000
# The linters are run at a version and not required by go.mod: as tools of the module they would add dozens of lines to go.mod
# and go.sum, and their dependencies would choose versions for ours.
ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
# go run asks for the newest version even where the wanted one is in the module cache: the cache itself answers first.
FETCHED     := GOPROXY="file://$$(go env GOMODCACHE)/cache/download|$$(go env GOPROXY)" go run
TEMPLATES := $(wildcard cloudformation/*.yaml)

.PHONY: help demo build test check lint fmt tidy vet static vuln templates shell workflows golden fuzz bench sim evidence drawn crash killer mutants attack package deploy-hub deploy-spoke clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  variables: INPUT=$(INPUT) SEED=$(SEED) SEEDS=A-B ARCH=arm64|amd64 FUZZTIME=$(FUZZTIME)"

demo: build ## rehearse an example run, offline
	@code=0; ./ec2patch simulate $(INPUT) --seed $(SEED) --out ec2patch-out/demo || code=$$?; \
	echo; \
	if [ $$code -ne 5 ]; then echo "demo: simulate ended with exit code $$code, expected 5"; exit 1; fi; \
	echo "simulate ended with exit code 5, and that is right: some instances of the demo's fleet are offline, stopped"; \
	echo "or without an agent, and a run that leaves out any instance that was asked for never ends with 0."; \
	echo "Open ec2patch-out/demo/report.html in a browser."

build: ## build ./ec2patch
	go build -trimpath -o ec2patch ./cmd/ec2patch

# A rehearsal is one thread, and takes eight times as long under the race detector. What has more of them is run under it.
test: ## run all tests, with the race detector wherever there is more than one thread
	go test -race $$(go list ./... | grep -v '/internal/sim$$')
	go test -timeout 30m ./internal/sim
	go test -race -timeout 30m ./internal/sim -run '^Test(Ask|RunSeeds)'

check: test drawn lint ## what CI runs: tests, drawn worlds, formatting, vet, staticcheck, vulnerabilities, templates, shell

lint: fmt vet tidy static vuln templates shell workflows ## every check that is no test

fmt: ## fail if a file is not formatted
	@files=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi; echo "gofmt: ok"

tidy: ## fail if go.mod is not tidy
	@go mod tidy -diff >/dev/null || { go mod tidy -diff; exit 1; }; echo "go mod tidy: ok"

vet: ## go vet
	go vet ./...

static: ## staticcheck; Go fetches it
	@if $(FETCHED) $(STATICCHECK) -version >/dev/null; then $(FETCHED) $(STATICCHECK) ./... && echo "staticcheck: ok"; \
	else echo "********** skipped: staticcheck could not be fetched, the code was only vetted **********"; fi

vuln: ## govulncheck, which needs no network where the module cache has its database; VULNDB names another one
	@.ci/vuln

templates: ## cfn-lint on the templates, where it is installed
	@if cfn-lint --version >/dev/null 2>&1; then cfn-lint $(TEMPLATES) && echo "cfn-lint: ok"; \
	else echo "********** skipped: cfn-lint not found, the templates were not linted **********"; fi

shell: ## shellcheck on the scripts, where it is installed
	@for script in .ci/*; do bash -n $$script; done; \
	if command -v shellcheck >/dev/null; then shellcheck .ci/* && echo "shellcheck: ok"; \
	else echo "********** skipped: shellcheck not found, the scripts were only parsed **********"; fi

workflows: ## actionlint on the workflows; Go fetches it
	@if $(FETCHED) $(ACTIONLINT) -version >/dev/null; then $(FETCHED) $(ACTIONLINT) && echo "actionlint: ok"; \
	else echo "********** skipped: actionlint could not be fetched, the workflows were only checked by our own tests **********"; fi

golden: ## rewrite the golden files; read the difference before you commit
	go test $$(go list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | awk '/ec2patch\/internal\/golden/ {print $$1}') -update

fuzz: ## run every fuzz target for FUZZTIME
	@for package in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$package | sed -n '/^Fuzz/p'); do \
	    echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

bench: ## measure delay, time and price against the poll gap, targets against an ideal dispatcher, then the benchmarks
	BENCH=$${BENCH:-1} go test ./internal/sim -count=1 -timeout 60m -v -run '^TestBench_(curve|dispatcher|slowStart)$$'
	go test -run '^$$' -bench . -benchmem ./...

sim: build ## rehearse INPUT with SEED, or with all SEEDS=A-B
	@code=0; ./ec2patch simulate $(INPUT) $(if $(SEEDS),--seeds $(SEEDS) --faults swarm,--seed $(SEED)) || code=$$?; \
	echo "exit code $$code"; exit $$code

evidence: ## hold every rule against EVIDENCE_SEEDS drawn worlds of each kind, and ten times as many calm ones
	EVIDENCE_SEEDS=$(EVIDENCE_SEEDS) go test ./internal/sim -count=1 -timeout 12h -v -run '^TestEvidence$$'

drawn: ## the same with 200 worlds of each kind
	EVIDENCE_SEEDS=200 EVIDENCE_CALM=200 go test ./internal/sim -count=1 -timeout 60m -run '^TestEvidence$$'

crash: ## rehearse a crash, a lost answer and a repeat at every single call
	CRASH=1 go test ./internal/sim -count=1 -timeout 60m -v -run '^TestCrashPoints$$'

killer: ## count what a killer patch costs, over 1,000 seeds
	KILLER=1 go test ./internal/sim -count=1 -timeout 60m -v -run '^Test(Killer|SlowKiller)'

mutants: ## plant the bugs of internal/sim/testdata/mutants.txt into one binary; the rules must see each
	MUTANTS=1 go test ./internal/sim -count=1 -timeout 120m -v -run '^TestMutants$$'

attack: ## guess a million approval links; about 20 s
	ATTACK=1 go test ./internal/approval -count=1 -v -run '^TestT28_Guessing$$'

package: ## build dist/lambda.zip for ARCH
	go run ./internal/packer -arch $(ARCH) -out dist/lambda.zip

deploy-hub: package ## deploy the hub with params/hub.ENV.json, after asking
	.ci/deploy hub $(ENV)

deploy-spoke: ## deploy the spoke with params/spoke.ACCOUNT.json, after asking
	.ci/deploy spoke $(ACCOUNT)

clean: ## remove what was built and rehearsed
	rm -rf ec2patch dist ec2patch-out
