# `make` alone lists the targets.

GOLANGCI_VERSION := v2.5.0
GOLANGCI         := bin/golangci-lint-$(GOLANGCI_VERSION)
FUZZTIME         ?= 10s
DATA             ?= .knatter
PROFILE          ?= seed
PLATFORMS        ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
NS               ?= knatter
E2E_TIMEOUT      ?= 60m
DEPLOY           = -registry $(or $(REGISTRY),$(error REGISTRY=… is missing: where to push images)) $(if $(INSECURE),-registry-insecure)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## start the whole chat on http://localhost:8080, data in .knatter/
	@echo 'Compiling Knatter; the first time takes a minute or two ...'
	@go build -o bin/knatter ./local
	@trap : INT; bin/knatter --data $(DATA)

.PHONY: reindex
reindex: ## rebuild the search index, then go on running
	go run ./local --data $(DATA) --reindex

.PHONY: build
build: ## static binaries of every part, for one process each, into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/ ./connector/cmd/connector ./functions/*/cmd/* ./infra/dispatcher ./infra/admin

.PHONY: dist
dist: ## archives of all binaries for PLATFORMS (linux and darwin, amd64 and arm64), with checksums, into dist/
	rm -rf dist
	@set -e; for platform in $(PLATFORMS); do \
		name=knatter-$$(echo $$platform | tr / -); echo $$name; \
		export CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/}; \
		go build -trimpath -ldflags='-s -w' -o dist/$$name/ ./connector/cmd/connector ./functions/*/cmd/* ./infra/dispatcher ./infra/admin; \
		go build -trimpath -ldflags='-s -w' -o dist/$$name/knatter ./local; \
		cp LICENSE README.md dist/$$name/; tar -C dist -czf dist/$$name.tar.gz $$name; rm -r dist/$$name; \
	done
	cd dist && sha256sum *.tar.gz >SHA256SUMS

.PHONY: processes
processes: ## run every part as a process of its own, on Apache Kafka and FerretDB: needs java and mvn
	go run ./tests/engines/processes

.PHONY: test-processes
test-processes: ## the stories on separate processes, two connectors on Apache Kafka and FerretDB, and replays: needs java and mvn
	KNATTER_TEST_STAGE=processes go test -count=1 -timeout=20m -parallel=1 -v ./tests
	KNATTER_SLOW=1 go test -count=1 -timeout=10m -v ./tests/engines/processes/...

.PHONY: deploy
deploy: ## all functions to Knative, by func deploy: NS=… REGISTRY=… INSECURE=1 WARM=fanout,persist (these keep a replica)
	go run ./infra/deploy -namespace $(NS) $(DEPLOY) $(if $(WARM),-warm $(WARM))

deploy-%: # deploy-fanout and so on: one of them
	go run ./infra/deploy -namespace $(NS) $(DEPLOY) $(if $(WARM),-warm $(WARM)) $*

.PHONY: deploy-connector
deploy-connector: ## images of connector, dispatcher and admin: pushed, printed, and run where kustomize has brought the former two
	go -C infra/tools run ./images $(DEPLOY) ./connector/cmd/connector ./infra/dispatcher ./infra/admin | while read -r name image; do \
		echo "knatter/$$name=$$image"; \
		case $$name in connector) kind=statefulset ;; dispatcher) kind=deployment ;; *) continue ;; esac; \
		kubectl -n $(NS) get $$kind $$name --ignore-not-found -o name | while read -r it; do kubectl -n $(NS) set image $$it $$name=$$image; done; \
	done

.PHONY: e2e-cluster
e2e-cluster: ## the stories on the cluster of KUBECONFIG: see tests/cluster/main_test.go; E2E_TIMEOUT=15m leaves out what takes longer
	go test -count=1 -timeout=$(E2E_TIMEOUT) -v ./tests/cluster

.PHONY: dictionary
dictionary: ## make the Korean dictionary's file again, of mecab-ko as kagome packs it
	go generate ./internal/analysis/lexicon

.PHONY: judged
judged: ## measure what the search finds beside Lucene's nori: internal/analysis/README.md; needs java and mvn
	mvn -q -B -f internal/analysis/judged/nori/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/bin/nori
	cd internal/analysis/judged && java -cp '$(CURDIR)/bin/nori/*' nori/Nori.java messages.txt queries.tsv > $(CURDIR)/bin/nori.txt
	go run ./internal/analysis/judged -nori bin/nori.txt

.PHONY: judged-set
judged-set: ## make the judged set again: TEXT=constitution.txt, from konlpy 0.6.0's wheel (konlpy/data/corpus/kolaw)
	go run ./internal/analysis/judged -generate $(or $(TEXT),$(error TEXT=… is missing))

.PHONY: test
test: ## vet and the fast tests: what to run before every commit
	go vet ./...
	go test ./...

.PHONY: test-slow
test-slow: ## the stories at full size: crashes, floods, 100,000 events, 10,000 sockets; reading, 1,000,000 events
	KNATTER_SLOW=1 go test -count=1 -timeout=20m -v ./tests
	KNATTER_SLOW=1 go test -count=1 -timeout=5m -run Reading ./internal/pebble

.PHONY: kafka
kafka: ## the suites of the log on Apache Kafka, one and three brokers, with faults: needs java and mvn
	KNATTER_SLOW=1 go test -count=1 -timeout=15m -v ./tests/engines/kafka

.PHONY: mongo
mongo: ## the suites of the stores on MongoDB's protocol: FerretDB, or what KNATTER_TEST_MONGODB names
	KNATTER_SLOW=1 go test -count=1 -timeout=20m ./internal/mongo ./internal/open

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
load: ## measure under load: PROFILE=seed, lively, spike, small, big, max, idle, storm or steady
	go run ./tests/load -profile $(PROFILE) -stages

.PHONY: hostile
hostile: ## attack a server that runs (URL, ADMIN, LOG, ONLY) and see what a bystander notices: see tests/hostile
	go run ./tests/hostile -url $(or $(URL),http://localhost:8080) -admin $(or $(ADMIN),http://localhost:8081) $(if $(LOG),-log $(LOG)) -only '$(or $(ONLY),*)'

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
	KNATTER_SLOW=1 go test -count=1 ./tests/docs

.PHONY: infra
infra: ## compose, manifests, proxy, dashboard and alerts against what they are about: all checks of tests/infra
	KNATTER_SLOW=1 go test -count=1 -timeout=15m -v ./tests/infra

.PHONY: browser
browser: ## the browser story: needs node and Chromium
	cd tests/browser && npm ci --no-audit --no-fund && npm test
