# Everything a developer or CI runs. `make help` lists the targets from their ## comments.

SHELL := /bin/bash
MODULES := . sdk services/api services/scheduler services/taskrunner services/allinone
PACKAGES := ./... ./sdk/... ./services/api/... ./services/scheduler/... ./services/taskrunner/... ./services/allinone/...
# A module of the tests, outside the workspace so that its libraries never choose our versions.
PROVIDER := tests/clients/provider

# Tools and downloads that outlive a checkout.
CACHE ?= $(or $(MILLRACE_CACHE),$(HOME)/.cache/millrace)
TOOLS := $(CACHE)/tools
LINT := $(TOOLS)/golangci-lint

.DEFAULT_GOAL := help
.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z/]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

BIN := bin

.PHONY: demo
demo: ## build, start everything on embedded parts, show 10,000 lines walk from file to file, and end
	@go build -o $(BIN)/millrace ./services/allinone
	@$(BIN)/millrace -log-level error demo

.PHONY: run
run: ## the same, and stay: the REST API is at http://127.0.0.1:8083
	@go build -o $(BIN)/millrace ./services/allinone
	@$(BIN)/millrace demo -stay

.PHONY: test
test: ## every test, with the race detector; beside a real Kafka broker and with other people's clients where they can be had. What is left out is listed
	@go run ./tests/servers/cmd/servers test $(PACKAGES)

.PHONY: sim
sim: ## the simulation of the control plane for long: SEEDS (1,000) worlds from seed FIRST (1) on, each with MINUTES (30) of storm
	go test ./services/scheduler/internal/sim -timeout 120m -sim.seeds $(or $(SEEDS),1000) -sim.first $(or $(FIRST),1) -sim.minutes $(or $(MINUTES),30)

.PHONY: docs
docs: ## write docs/reference from the code; make test fails when it is stale
	go test ./services/allinone/allinone -run TestReference -update
	go test ./services/api/internal/httpapi -run TestErrors -update

.PHONY: bench
bench: ## one benchmark beside a real Kafka broker, kept in docs/bench: make bench BENCH=B1, B2, B3, B4, B5, B6, B7, B8, B9, B10 or start; N=5 rounds of ROWS=2000000
	@go run ./tests/bench -keep docs/bench $(if $(N),-n $(N)) $(if $(ROWS),-rows $(ROWS)) $(BENCH)

.PHONY: bench/compare
bench/compare: ## measure one benchmark and compare it with what docs/bench keeps; fails where a ratio is worse beyond the spread: make bench/compare BENCH=B1, or RESULT=FILE for what a benchmark has printed
	@go run ./tests/bench -compare docs/bench $(if $(RESULT),-result $(RESULT),$(BENCH))

.PHONY: fuzz
fuzz: ## run every fuzzer for FUZZTIME (60s)
	@./tools/fuzz.sh $(or $(FUZZTIME),60s)

.PHONY: hostile
hostile: ## send the REST API REQUESTS (1,000,000) malformed and odd requests
	go test ./services/api/internal/httpapi -run TestHostile -v -timeout 30m -hostile $(or $(REQUESTS),1000000)

.PHONY: mutants/rest
mutants/rest: ## break the REST API in one place at a time: the tests of its contract must fail each time. MUTANT="name of one"
	@go run ./tests/mutants $(if $(MUTANT),"$(MUTANT)")

.PHONY: kills
kills: ## kill KILLS (100) task runners under load, with exactly-once sources and with at-least-once ones, and count what arrived
	@go run ./tests/servers/cmd/servers run -- go test ./tests/cluster -run TestKills -v -timeout 240m -kills $(or $(KILLS),100)

.PHONY: kills/jdbc
kills/jdbc: ## kill KILLS (50) task runners while sinks write to databases, and as many while a source reads, with exactly-once sources and without
	@go run ./tests/servers/cmd/servers run -- go test ./tests/cluster -run 'TestJDBCKills|TestKills_at_least_once' -v -timeout 240m -kills 1 -jdbc-kills $(or $(KILLS),50)

.PHONY: oracle
oracle: ## ask a real Kafka Connect worker and Millrace the same, compare, and record the answers: make oracle RECORDINGS="create offsets" for some
	@go run ./tests/oracle $(RECORDINGS)

.PHONY: oracle/data
oracle/data: ## send made-up records through a real Kafka Connect worker and Millrace and compare what comes out: make oracle/data SEED=2
	@go run ./tests/servers/cmd/servers run -- go test ./services/allinone/allinone -count=1 -run TestOracle_records -v -data-seed $(or $(SEED),1)

.PHONY: oracle/jdbc
oracle/jdbc: ## send made-up rows through a Java JDBC sink on a real Kafka Connect worker and through Millrace's and compare the tables: make oracle/jdbc ROWS=200000 SEED=2
	@go run ./tests/servers/cmd/servers run -- go test ./services/allinone/allinone -count=1 -timeout 20m -run TestOracle_tables -v -jdbc-rows $(or $(ROWS),200000) -jdbc-seed $(or $(SEED),1)

.PHONY: build
build: ## compile everything
	go build $(PACKAGES)

.PHONY: vet
vet: ## go vet over all modules
	go vet $(PACKAGES)
	cd $(PROVIDER) && GOWORK=off go vet ./...

.PHONY: fmt
fmt: ## format all Go files
	gofmt -w $(MODULES)

.PHONY: fmt/check
fmt/check: ## fail if a Go file is not formatted
	@test -z "$$(gofmt -l $(MODULES))" || { echo "not formatted (run make fmt):"; gofmt -l $(MODULES); exit 1; }

.PHONY: modsync
modsync: ## write the require and replace lines between the modules
	./tools/modsync.sh

.PHONY: modsync/check
modsync/check: ## fail if those lines are stale
	./tools/modsync.sh -check

.PHONY: tools
tools: $(LINT) ## build the pinned tools into the cache

$(LINT): tools/go.mod
	@mkdir -p $(TOOLS)
	cd tools && GOWORK=off go build -o $(TOOLS)/ tool

.PHONY: lint
lint: $(LINT) ## golangci-lint with the import fences, over all modules
	@for m in $(MODULES); do if [ -n "$$(find $$m -name '*.go' -print -quit)" ]; then \
		(cd $$m && echo "lint $$m" && $(LINT) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; fi; done
	cd $(PROVIDER) && GOWORK=off $(LINT) run --config $(CURDIR)/.golangci.yml ./...

.PHONY: verify
verify: fmt/check modsync/check vet lint test ## everything CI runs, in CI's order
	@./tools/fuzz.sh 2s
