# make demo   builds Spancast and shows it at work on this machine
# make test   runs everything that decides whether a change is good
#
# Both install what they need with the system's package manager, if it is
# missing, and say so. The other targets are parts of these, or longer forms.

GO        ?= go
BIN       := bin/spancast
TOOL      := $(GO) tool -modfile=tools/go.mod
PACKAGES  := ./...
# Tests of the whole with the race detector: those that exercise most.
RACE_E2E  := TestServe_|TestTail_
FUZZTIME  ?= 10000x
BENCHTIME ?= 1s

.PHONY: demo build test lint unit race race-e2e fuzz bench bench-subscriber soak-subscriber latency docs setup setup-test clean

demo: setup build
	$(BIN) demo

build:
	$(GO) build -o $(BIN) ./cmd/spancast

test: setup-test lint unit race race-e2e fuzz
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
unit:
	$(GO) test -timeout 20m $(PACKAGES)

race:
	$(GO) test -race -timeout 20m $$($(GO) list ./... | grep -v '/test')

race-e2e:
	$(GO) test -race -timeout 20m -run '$(RACE_E2E)' ./test

# A short run of every fuzz test, of so many inputs; FUZZTIME=10m for a long one.
fuzz:
	@set -e; for p in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$p/*_test.go | cut -c6-); do \
	    echo "$$p $$f"; out=$$($(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) ./$$p 2>&1) || { echo "$$out"; exit 1; }; echo "$$out" | tail -n 1; \
	  done; done

# The record path: bytes of a PartialResultSet in, frames out, beside the oracle
# decoder and spanner.Client with ToStruct, in one run.
bench:
	$(GO) test -run '^$$' -bench RecordPath -benchtime $(BENCHTIME) ./publisher

# What receiving a message costs with the subscriber package, beside a plain loop.
bench-subscriber:
	$(GO) test -run '^$$' -bench 'Receive|Machine' -benchtime 200000x -count 3 ./subscriber

# Subscribers in a storm of failures, for longer than in make test; and more
# histories of the simulation.
SOAK ?= 5m
soak-subscriber:
	SPANCAST_SOAK=$(SOAK) $(GO) test -timeout 2h -run TestSubscriber_ -v ./test
	$(GO) test -timeout 2h ./subscriber -run TestMachine_Every -rapid.checks 200000

# From commit to subscriber, on Google's emulator.
latency:
	$(GO) test -run '^$$' -bench Latency -benchtime 300x ./test

# The parts of the documentation that are made from the program.
docs:
	$(GO) test ./cmd/spancast/internal/config -run Documentation -update

clean:
	rm -rf bin out
