# Every task of the project; `make help` lists them. CI calls these and no others.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= 0.1.0
BINARY  := coder
LDFLAGS := -s -w -X coder/cli.release=$(VERSION)
SQLC    := CGO_ENABLED=0 go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1
LINT    := CGO_ENABLED=0 go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
TOOLS   ?= $(CURDIR)/.cache/tools

RUNS    ?= 100
CHECKS  ?= 500

# Many tests wait more than they work, so more of them run than there are cores.
TESTFLAGS := -timeout 30m -parallel 6

.PHONY: help
help: ## List the tasks
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the binary
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BINARY) .

.PHONY: demo
demo: build ## Walk through the whole guide on a throwaway deployment, and leave it running
	./deploy/demo.sh ./$(BINARY)

.PHONY: run
run: build ## Start a server with its data in .cache/server
	./$(BINARY) server --data-dir .cache/server

.PHONY: what-is-tested
what-is-tested:
	@echo "Engine:     $$(command -v terraform || command -v tofu || echo 'neither terraform nor tofu on PATH; OpenTofu is fetched, and where that fails tests that need one are skipped (go test -v names them)')"
	@echo "PostgreSQL: $$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null || echo 'not installed; tests run on SQLite only')"

.PHONY: test
test: what-is-tested ## Run the tests: SQLite always, PostgreSQL too where it is installed
	go test $(TESTFLAGS) ./...

# SQLite and its C library are C translated to Go: their memory is their own, so
# the detector sees nothing there and makes it twice as slow. It also sleeps for a
# second at each exit, which hundreds of commands in stories would add up.
.PHONY: test-race
test-race: export GOFLAGS += -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false
test-race: export GORACE := atexit_sleep_ms=0
test-race: TESTFLAGS := -timeout 30m -parallel 4
test-race: what-is-tested ## The same under the race detector
	go test -race $(TESTFLAGS) ./...

.PHONY: test-all
test-all: tools ## Everything: PostgreSQL required, OpenTofu, the docker provider on a real engine
	CODER_TEST_POSTGRES=1 go test $(TESTFLAGS) ./store/... ./server/...
	CODER_TEST_TOOLS=$(TOOLS) go test -tags e2e -count 1 $(TESTFLAGS) -run 'TestEndToEnd|Docker' ./cli ./internal/starter

.PHONY: tools
tools: ## Build OpenTofu and the docker provider into .cache/tools, once
	./tools/build.sh $(TOOLS)

.PHONY: test-update
test-update: ## Write the golden files anew; read the diff
	go test ./... -update

.PHONY: screenshots
screenshots: build ## Make the pictures of the docs, with a real Chromium
	go run ./internal/screenshots -binary ./$(BINARY)

.PHONY: bench
bench: build ## Measure speed and memory beside their targets
	go run ./internal/bench -binary ./$(BINARY)

.PHONY: chaos
chaos: build ## Hurt a throwaway deployment in a hundred ways, and look for what it lost
	./$(BINARY) exp chaos --runs $(RUNS)

# A failing sequence is printed with the seed that gives it again (-rapid.seed).
.PHONY: model
model: what-is-tested ## Hold the job protocol against its model: CHECKS random sequences on each database
	CODER_MODEL_CHECKS=$(CHECKS) go test -count 1 -timeout 6h -v -run 'TestJobsFollowTheModel' ./server -rapid.checks=$(CHECKS) -rapid.nofailfile

.PHONY: gen
gen: ## Generate the Go of the queries and the references in docs
	cd store && $(SQLC) generate
	go run . exp docs --dir docs/reference

.PHONY: verify
verify: gen ## Generate, and fail when that changes anything
	git diff --exit-code -- store docs

.PHONY: lint
lint: ## Hold the design: imports, fences, style, licences
	$(LINT) run ./...
	@go list -deps -f '{{with .Module}}{{if not .Main}}| {{.Path}} | {{.Version}} |{{end}}{{end}}' . | sort -u | while read -r row; do \
	  grep -qF "$$row" THIRD_PARTY_NOTICES.md || { echo "THIRD_PARTY_NOTICES.md lacks this module, or has another version of it: $$row"; exit 1; }; \
	done

.PHONY: fmt
fmt: ## Format the code
	gofmt -w $$(git ls-files '*.go')
