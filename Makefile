# `make` alone lists the targets.

GOLANGCI_VERSION := v2.5.0
GOLANGCI         := bin/golangci-lint-$(GOLANGCI_VERSION)
FUZZTIME         ?= 10s
DATA             ?= .knatter
PROFILE          ?= seed

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## start the whole chat on http://localhost:8080, data in .knatter/
	go run ./local --data $(DATA)

.PHONY: reindex
reindex: ## rebuild the search index, then go on running
	go run ./local --data $(DATA) --reindex

.PHONY: test
test: ## vet and the fast tests: what to run before every commit
	go vet ./...
	go test ./...

.PHONY: test-slow
test-slow: ## the stories at full size: crashes, floods, 100,000 events, 10,000 sockets
	KNATTER_SLOW=1 go test -count=1 -timeout=20m -v ./tests

.PHONY: kafka
kafka: ## the suites of the log on Apache Kafka, one and three brokers, with faults: needs java and mvn
	KNATTER_SLOW=1 go test -count=1 -timeout=10m -v ./tests/engines/kafka

.PHONY: mongo
mongo: ## the suites of the stores on MongoDB's protocol: FerretDB, or what KNATTER_TEST_MONGODB names
	KNATTER_SLOW=1 go test -count=1 -timeout=15m ./internal/mongo ./internal/open

.PHONY: bench-stores
bench-stores: ## messages a second that persist and index put into Pebble and into MongoDB's protocol, side by side
	KNATTER_SLOW=1 go test -run '^$$' -bench Persist -benchtime=2s ./internal/open

.PHONY: race
race: ## the fast tests under the race detector
	go test -race -timeout=20m ./...

.PHONY: fuzz
fuzz: ## every fuzz test for FUZZTIME (10s)
	@go test -list '^Fuzz' ./... | awk '/^Fuzz/ { name[++n] = $$1 } /^ok/ { for (i = 1; i <= n; i++) print name[i], $$2; n = 0 }' | \
	while read -r name package; do \
		echo "$$package $$name"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$package" || exit 1; \
	done

.PHONY: bench
bench: ## the benchmarks, with allocations
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: load
load: ## measure under load: PROFILE=seed, spike, small, big, max, idle, storm or steady
	go run ./tests/load -profile $(PROFILE) -stages

.PHONY: k6
k6: ## a small version of the seed profile with k6, against a server that runs (USERS, RATE, DURATION, KNATTER_URL)
	go run go.k6.io/k6@v1.8.1 run tests/k6/seed.js

.PHONY: lint
lint: $(GOLANGCI) ## gofmt and golangci-lint
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'gofmt -w these files'; exit 1; }
	$(GOLANGCI) run ./...

$(GOLANGCI):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv bin/golangci-lint $@

.PHONY: docs
docs: ## check README, ARCHITECTURE, OpenAPI and AsyncAPI against the running system
	go test -count=1 ./tests/docs

.PHONY: browser
browser: ## the browser story: needs node and Chromium
	cd tests/browser && npm ci --no-audit --no-fund && npm test
