# The one list of commands. `make help` shows it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
RINGFORT := $(TARGET_DIR)/debug/ringfort
DEMO := $(TARGET_DIR)/debug/ringfort-demo
UI := src/web/ui
PLAYWRIGHT := tests/browser
# A seed is one whole simulated node under one faulty network.
SEEDS ?= 200
# What `make fuzz` tries, and for how long.
TARGET ?= message
FUZZ_S ?= 60
# Options of `ringfort run`, e.g. ARGS="--config configs/branch.toml".
ARGS ?=

UI_SOURCES = $(shell find $(UI) -path $(UI)/node_modules -prune -o -path $(UI)/dist -prune -o -type f -print)

##@ Start

help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ui ## Build what is missing and run a node that one can call
	cargo build --workspace
	exec scripts/run.sh $(RINGFORT) $(ARGS)

demo: setup-test ui ## The main job, step by step: browser, trunk, cloud lost, desk phone, cloud back
	cargo build --workspace
	exec scripts/in-namespace.sh $(DEMO)

##@ Work

setup: ## Install what building needs (Debian; as root or by sudo)
	@scripts/setup.sh build

setup-test: $(PLAYWRIGHT)/node_modules/.package-lock.json ## Install what the tests need, too: SIPp, Chromium, Kamailio, Playwright
	@scripts/setup.sh build test

ui: $(UI)/dist/index.html ## Build the pages, when their sources are newer

build: setup ui ## Build everything, debug profile
	cargo build --workspace

release: setup ui ## One static binary of the node, release profile
	@scripts/release.sh

check: ## Formatting and lints
	@scripts/check.sh

##@ Show that it works

test: setup-test ui ## Everything: pages, unit, torture, flows, simulation, browser, restart
	npm --prefix $(UI) run --silent typecheck
	npm --prefix $(UI) run --silent test
	cargo build --workspace
	cargo test --workspace --no-run
	exec scripts/in-namespace.sh scripts/test.sh

live: setup-test ui ## Only the tests against real peers; TEST=name for some of them
	cargo build --workspace
	exec scripts/in-namespace.sh cargo test --offline --workspace --test live -- $(TEST)

interop: setup-test ui ## Only the tests against other makers' peers; TEST=name for some of them
	cargo build --workspace
	exec scripts/in-namespace.sh cargo test --offline --workspace --test interop -- $(TEST)

sim: ## Only the simulation, over SEEDS=n seeds
	RINGFORT_SIM_SEEDS=$(SEEDS) cargo test --workspace --test sim -- --nocapture

interop-table: ## Play the calls of docs/interop.md and write the page anew
	UPDATE_DOCS=1 cargo test -p ringfort-call --test matrix

# The members that it tries have no unsafe code, so the address sanitizer would only cost time, as a release build would.
fuzz: ## New octets against a target, on nightly with cargo-fuzz; TARGET=message FUZZ_S=60
	@command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz
	mkdir -p fuzz/found/$(TARGET)
	cargo +nightly fuzz run --dev --sanitizer none --fuzz-dir fuzz --features libfuzzer $(TARGET) fuzz/found/$(TARGET) fuzz/corpus/$(TARGET) -- \
	  -max_total_time=$(FUZZ_S) -max_len=4096 -len_control=0

bench: setup-test ui ## What a packet and a call cost, release build, into bench/results/
	scripts/setup.sh build test bench
	CARGO_PROFILE_RELEASE_STRIP=none cargo build --release -p ringfort-node -p ringfort-bench
	$(TARGET_DIR)/release/ringfort-bench

clean: ## Remove everything that was built or downloaded into this folder
	cargo clean
	rm -rf $(UI)/node_modules $(UI)/dist $(PLAYWRIGHT)/node_modules

# npm writes .package-lock.json last, so it tells that an installation is whole.
$(UI)/node_modules/.package-lock.json: $(UI)/package-lock.json
	@scripts/setup.sh build
	npm --prefix $(UI) ci --no-progress
	@touch $@

$(UI)/dist/index.html: $(UI)/node_modules/.package-lock.json $(UI_SOURCES)
	npm --prefix $(UI) run --silent build

$(PLAYWRIGHT)/node_modules/.package-lock.json: $(PLAYWRIGHT)/package-lock.json
	@scripts/setup.sh build
	npm --prefix $(PLAYWRIGHT) ci --no-progress
	@touch $@

.PHONY: help run demo setup setup-test ui build release check test live interop sim interop-table fuzz bench clean
