# make demo   builds Spancast and shows it at work on this machine
# make test   runs everything that decides whether a change is good
#
# Both install what they need with the system's package manager, if it is
# missing, and say so. The other targets are parts of these, or longer forms.

GO        ?= go
BIN       := bin/spancast
TOOL      := $(GO) tool -modfile=tools/go.mod
PACKAGES  := ./...
# Tests of the whole with the race detector: those that exercise most, but for
# one whose leases are too short for two cores with it; TestMutable_ does the
# same in one process.
RACE_E2E  := TestServe_|TestTail_
RACE_NOT  := TestServe_MutableStreamOutlivesKills
FUZZTIME  ?= 1m
BENCHTIME ?= 1s

# Without a debugging page of gRPC's, which is made of templates, the linker can
# leave out what nobody calls: a quarter of the program.
export GOFLAGS ?= -tags=grpcnotrace

.PHONY: demo build release profile test lint unit race race-e2e fuzz differential bench bench-path bench-check bench-subscriber bench-access attack bench-telemetry bench-page soak-subscriber latency fleet chaos chaos-google failover backlog docs screenshots deploy-test image-test setup setup-test clean

demo: setup build
	$(BIN) demo

build:
	$(GO) build -o $(BIN) ./cmd/spancast

# Spancast as it is deployed: the compiler is given a profile of serve, for which
# it compiles everything once more. profile makes that, of a busy serve and of the
# record path with other shapes of records.
PROFILE := cmd/spancast/serve.pgo
release:
	$(GO) build -pgo=$(PROFILE) -o $(BIN) ./cmd/spancast

profile: build
	mkdir -p out
	$(BIN) bench --only throughput --duration 10s --profile out/serve.pprof
	$(GO) test -run '^$$' -bench RecordPath/spancast -benchtime 3s -o out/publisher.test -cpuprofile out/path.pprof ./publisher
	$(GO) tool pprof -proto out/serve.pprof out/path.pprof > $(PROFILE)

# The gate tries the same inputs each time; the targets it is made of try new ones,
# unless these variables say which.
test: export RAPID_SEED ?= 1
test: export DIFFERENTIAL_SEED ?= 1
test: export CHAOS_SEED ?= 1
test: export STORM_SEED ?= 1
test: setup-test lint unit bench-check deploy-test race race-e2e
	@echo "make test: all is well"

setup:
	@.ci/setup

setup-test:
	@.ci/setup test

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet $(PACKAGES)
	$(TOOL) staticcheck $(PACKAGES)

# Unit, conformance and end-to-end tests, the latter against Google's emulator.
# One package at a time: many of them start processes of their own.
unit:
	$(GO) test -p 1 -timeout 20m $(PACKAGES)

race:
	$(GO) test -race -timeout 20m $$($(GO) list ./... | grep -v '/test')

race-e2e:
	$(GO) test -race -timeout 20m -run '$(RACE_E2E)' -skip '$(RACE_NOT)' ./test

# Every fuzz test for FUZZTIME with inputs that are new each time. `make unit` gives
# each the same few thousand inputs in every run (internal/mutants).
fuzz:
	@set -e; for p in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$p/*_test.go | cut -c6-); do \
	    echo "$$p $$f"; out=$$($(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) ./$$p 2>&1) || { echo "$$out"; exit 1; }; echo "$$out" | tail -n 1; \
	  done; done

# The embedded Spanner beside Google's emulator, 10,000 random transactions (in
# the unit tests: 600); DIFFERENTIAL_SEED=n repeats a run.
differential:
	DIFFERENTIAL_TRANSACTIONS=$${DIFFERENTIAL_TRANSACTIONS:-10000} $(GO) test -count=1 -timeout 60m -run Differential -v ./test/differential

# What this machine can do, each beside its limit and beside the plain way, in one
# run; BENCH='--full --svg out/bench.svg' for everything and a picture.
bench: release
	$(BIN) bench $(BENCH)

# The record path without receiving: bytes of a PartialResultSet in, frames out,
# beside the oracle decoder. What ToStruct costs, `make bench` tells.
bench-path:
	$(GO) test -run '^$$' -bench RecordPath -benchtime $(BENCHTIME) ./publisher

# Allocations and instructions of the record path, beside those that
# publisher/testdata/cost.json holds; UPDATE=1 writes it. What else the machine
# has to do makes no difference.
bench-check:
	BENCH_CHECK=1 UPDATE=$(UPDATE) $(GO) test -count=1 -v -run TestCost_ ./publisher

# What receiving a message costs with the subscriber package, beside a plain
# loop; how long it takes from a gap to being live again; a replay beside live
# publishing; what memory a subscriber needs for a replay of REPLAY changes; and
# how fast fifty subscribers are, alone and beside one that has stopped reading.
REPLAY ?= 1000000
bench-subscriber:
	$(GO) test -run '^$$' -bench 'Receive|Machine' -benchtime 200000x -count 3 ./subscriber
	$(GO) test -run '^$$' -bench Gap_ -benchtime 100x ./test
	SPANCAST_BENCH_RECORDS=$(REPLAY) $(GO) test -run '^$$' -bench Replay -benchtime 1x ./recovery
	SPANCAST_REPLAY=$(REPLAY) $(GO) test -count=1 -timeout 60m -run TestReplay_ -v ./test
	$(GO) test -run '^$$' -bench Stalled -benchtime 200x -count 3 ./publisher

# Subscribers in a storm of failures, for longer than in make test; and more
# histories of the simulation.
SOAK ?= 5m
soak-subscriber:
	SPANCAST_SOAK=$(SOAK) $(GO) test -timeout 2h -run TestSubscriber_ -v ./test
	$(GO) test -timeout 2h ./subscriber -run TestMachine_Every -rapid.checks 200000

# The attacks of docs/security.md, in full: half a million subscriptions, thousands
# of half-open connections.
attack:
	SPANCAST_TEST_ATTACK=7 $(GO) test -count 1 -timeout 30m -run Attacks -v ./test

# What telemetry costs: the pipe with and without, in one run.
bench-telemetry:
	$(GO) test -run '^$$' -bench 'Telemetry|PerBatch' -benchtime 100x ./cmd/spancast/internal/telemetry

# What the status page costs: a replica with 1,000 partitions and somebody who looks,
# and the time until a browser has painted.
bench-page:
	$(GO) test -run '^$$' -bench Page_ -benchtime 1x ./test
	$(GO) test -run '^$$' -bench Paint -benchtime 20x ./cmd/spancast/internal/web

# CURVE and audiences beside bare libzmq, and a thousand clients that connect.
bench-access:
	$(GO) test -run '^$$' -bench 'Curve|Audiences' -benchtime 500x ./publisher
	$(GO) test -run '^$$' -bench Connect -benchtime 3x ./publisher

# From commit to subscriber, on Google's emulator.
latency:
	$(GO) test -run '^$$' -bench Latency -benchtime 300x ./test

# What a replica costs that has a thousand partitions and nothing to do.
fleet:
	$(GO) test -timeout 90m -run '^$$' -bench Idle_ -benchtime 1x ./test

# Everything that may go wrong, at random, for as long as CHAOS says, and a proof
# that nothing was skipped, invented or reordered; in both dialects and partition
# modes by turns, or those that CHAOS_DIALECT and CHAOS_MODE name. CHAOS_SEED=N takes
# the events of an earlier arena. chaos-google is the same on Google's emulator.
chaos:
	CHAOS=$(or $(CHAOS),30m) $(GO) test -count=1 -v -timeout 0 -run AsLongAsAsked ./test/chaos

chaos-google:
	CHAOS=$(or $(CHAOS),5m) CHAOS_SPANNER=google $(GO) test -count=1 -v -timeout 0 -run AsLongAsAsked ./test/chaos

# How long partitions are not published after kill -9 of their owner and after
# SIGTERM, of each a hundred, or FAILOVER.
failover:
	FAILOVER=$(or $(FAILOVER),100) $(GO) test -count=1 -v -timeout 0 -run TestFailover ./test/chaos

# Backlogs of 5,000,000 records of 1 KB and 1,000 of 5 MB, in bounded memory; the
# Spanner that holds them takes 9 GB.
backlog:
	SPANCAST_BACKLOG=25 $(GO) test -count=1 -v -timeout 0 -run TestBacklog ./test

# The parts of the documentation that are made from the program.
docs:
	$(GO) test ./cmd/spancast/internal/config ./cmd/spancast/internal/telemetry -run Documentation -update

# Pictures of the status page of a demo, and the README's.
screenshots:
	SPANCAST_SCREENSHOTS=$(CURDIR)/out/screenshots $(GO) test -count 1 -run Screenshots ./cmd/spancast/internal/web
	mkdir -p docs/images && cp out/screenshots/page-light.png docs/images/status.png

# What is under deploy, held to those who read it.
deploy-test:
	cd deploy/test && $(GO) vet ./... && $(GO) test -timeout 10m ./...

# The steps of the Dockerfile on this Debian, and the tests of the whole with the
# static binary that comes out.
image-test:
	PRINT=1 deploy/docker/packages build | xargs dpkg -s >/dev/null
	mkdir -p out/static
	cd deploy/test && SPANCAST_IMAGE_TEST=$(CURDIR)/out/static/spancast $(GO) test -count 1 -timeout 20m -v -run Dockerfile ./...
	SPANCAST_TEST_BINARY=$(CURDIR)/out/static/spancast $(GO) test -count 1 -timeout 20m -run 'TestServe_|TestTail_|TestForward_' ./test

clean:
	rm -rf bin out
