# make help lists what there is. Go 1.26 is all that run, build and unit need.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:

VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null)
GOBUILD     := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-X main.release=$(VERSION)"
STATICCHECK := go tool -modfile=tools/go.mod staticcheck
FUZZTIME    ?= 30s
SOAK_TIME   ?= 10m
SOAK_CYCLES ?= 20000
BENCH       ?=
ARGS        ?=
INTEROP     ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build parkd and start it, with built-in defaults unless there is a ./parkd.yaml
	@exec ./bin/parkd $(ARGS)

.PHONY: build
build: ## build bin/parkd
	@$(GOBUILD) -o bin/parkd ./cmd/parkd

.PHONY: test
test: packages lint unit crash peers ## everything: lint, unit, crash, peers (installs what it needs on Debian and Ubuntu)

# unit needs some of them, too: without ip and nft it has no NAT, without xmllint no schemas.
.PHONY: packages
packages: ## install the programs that tests are run with, where that can be done
	@echo "== packages"
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	if ! tools/peers.sh >"$$log" 2>&1; then cat "$$log"; exit 1; fi; \
	tail -n 1 "$$log"

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@echo "== gofmt"
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not formatted:"; echo "$$bad"; exit 1; fi
	@echo "== go vet"
	@go vet ./...
	@echo "== staticcheck"
	@$(STATICCHECK) ./...

# The race detector needs a C compiler on most systems. The limits are for what hangs:
# on two busy cores test/bubble takes five minutes of them by itself.
.PHONY: unit
unit: ## all Go tests with the race detector, but those of crash and peers
	@echo "== go test -race"
	@if [ "$$(uname)" != Linux ]; then echo "not Linux: left out: test/sockets (needs all of 127.0.0.0/8)"; fi
	@packages=$$(go list ./... | grep -v '^parkd/test/\(crash\|peers\)'); \
	if [ "$$(go env CGO_ENABLED)" = 1 ]; then \
		go test -race -timeout 15m $$packages; \
	else \
		echo "no C compiler: left out: the race detector"; \
		go test -timeout 15m $$packages; \
	fi
	@echo "== kills, lost packets and crowds, without the race detector: more of them"
	@go test -timeout 10m -run '^(TestKillMatrix|TestAServerMayBe.*|TestAnyPacket.*|TestAThousand.*)$$' ./test/bubble

# The binary is the one that users get, without the race detector.
.PHONY: crash
crash: build ## kill -9 of a real server while real phones are in the middle of something
	@echo "== crash"
	@TEST_BINARY="$(CURDIR)/bin/parkd" go test -timeout 8m -count=1 ./test/crash

.PHONY: soak
soak: build ## a kill at every point there is, in fake time; SOAK_CYCLES (20000) calls; real kills for SOAK_TIME (10m)
	@echo "== the whole kill matrix, and each packet late, doubled and lost"
	@PARKD_SOAK=$(SOAK_TIME) go test -timeout 0 -count=1 -run '^(TestKillMatrix|TestAServerMayBe.*|TestServersMayBe.*|TestAnyPacketMayBe.*)$$' ./test/bubble
	@echo "== $(SOAK_CYCLES) calls parked and fetched: nothing grows"
	@TEST_BINARY="$(CURDIR)/bin/parkd" PARKD_CYCLES=$(SOAK_CYCLES) go test -timeout 0 -count=1 -v -run '^TestNothingGrows$$' ./test/crash
	@echo "== kills at random"
	@TEST_BINARY="$(CURDIR)/bin/parkd" PARKD_SOAK=$(SOAK_TIME) go test -timeout 0 -count=1 -v -run '^TestSoak$$' ./test/crash

.PHONY: peers
peers: build ## whole-server tests with sipp, baresip, linphone, twinkle, kamailio and others; docs/interop.md must say what they show
	@echo "== peers"
	@log=$$(mktemp); shown=$$(mktemp); trap 'rm -f "$$log" "$$shown"' EXIT; \
	if ! tools/peers.sh >"$$log" 2>&1; then cat "$$log"; exit 1; fi; \
	tail -n 1 "$$log"; \
	short=; \
	if grep -q '^peers: left out' "$$log" && command -v apt-get >/dev/null; then \
		echo "peers: not root, and no sudo without a password: left out: test/peers"; short=-short; \
	fi; \
	TEST_BINARY="$(CURDIR)/bin/parkd" PARKD_INTEROP="$$shown" go test $$short -timeout 10m -count=1 ./test/peers/...; \
	go run -buildvcs=false ./test/interop/cmd $(INTEROP) "$$shown"

.PHONY: interop
interop: ## run peers and write what they show into docs/interop.md
	@$(MAKE) peers INTEROP=-write

.PHONY: bench
bench: build ## print parks a second, CPU a stream, time to the lamps, what they cost, the journal, restarts (BENCH: its flags)
	@go run -buildvcs=false ./test/bench -parkd ./bin/parkd $(BENCH)

.PHONY: fuzz
fuzz: ## fuzz each target for FUZZTIME (30s)
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "== $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

.PHONY: clean
clean: ## remove what was built
	@rm -rf bin
