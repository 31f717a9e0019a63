# Everything a developer or CI runs. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

FUZZ_SECONDS ?= 60
BENCH_ROUNDS ?= 5
BENCH_SECONDS ?= 3
BENCH_ROWS ?= 1000000
SOAK_MINUTES ?= 30
SCHEDULES_SECONDS ?= 14400
MINUTES ?= 60
RESULTS ?= docs/reliability/results.jsonl

.PHONY: help setup run test screenshots lint chart alerts image bench bench-brokers bench-pull bench-spool fuzz prove broken soak schedules \
  schedules-nightly

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what the other targets need beyond Rust
	@scripts/setup build brokers page lint fuzz chart alerts

run: ## build the bridge and run it with its defaults
	@scripts/setup build
	@echo "Building; then the bridge says where it listens. Stop it with Ctrl-C."
	cargo run --release --locked -- run

test: ## run every test of every package, against real brokers and in a real browser
	@scripts/setup build brokers page
	cargo test --workspace --all-features --locked

screenshots: ## take the pictures of the page that the README shows
	@scripts/setup build brokers page
	VODBRIDGE_TEST_SCREENSHOTS=docs/images \
	  cargo test --workspace --all-features --locked --test it -- page::seen

lint: ## format, clippy, documentation, dependencies, invariants: what CI demands
	@scripts/setup build lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features --locked
	scripts/dependencies
	scripts/invariants

chart: ## check the Helm chart with Helm, vodbridge and a real Kubernetes API server
	@scripts/setup build chart
	cargo build --workspace --all-features --locked --bin vodbridge
	scripts/chart

alerts: ## check the alerts with promtool, and that runbooks and dashboard go with them
	@scripts/setup alerts
	scripts/alerts

image: ## build the image without a daemon, and run it as Kubernetes would (root)
	@scripts/setup build image
	cargo build --release --locked --package vodbridge --package vodsim
	scripts/image

bench: ## callbacks per second into the journal (BENCH_ROUNDS, BENCH_SECONDS)
	@scripts/setup build
	cargo bench --package vodbridge --bench callback --locked -- \
	  --rounds $(BENCH_ROUNDS) --seconds $(BENCH_SECONDS)

bench-brokers: ## callbacks per second into each broker (BENCH_BROKERS="kafka rabbitmq nats")
	@scripts/setup build brokers
	cargo bench --package vodbridge --bench brokers --locked -- \
	  --rounds $(BENCH_ROUNDS) --seconds $(BENCH_SECONDS) $(BENCH_BROKERS)

bench-pull: ## events per second from VOD's queue, beside callbacks (BENCH_BROKERS, or journal)
	@scripts/setup build brokers
	cargo bench --package vodbridge --bench pull --locked -- \
	  --rounds $(BENCH_ROUNDS) --seconds $(BENCH_SECONDS) $(BENCH_BROKERS)

bench-spool: ## what spool: ahead costs, and a million rows in it (BENCH_BROKERS, BENCH_ROWS)
	@scripts/setup build brokers
	cargo bench --package vodbridge --bench spool --locked -- \
	  --rounds $(BENCH_ROUNDS) --seconds $(BENCH_SECONDS) --rows $(BENCH_ROWS) $(BENCH_BROKERS)

broken: ## bridges that are broken on purpose: does the oracle catch each of them?
	@scripts/setup build brokers
	scripts/broken

soak: ## half an hour of load with an outage every minute: is memory flat? (SOAK_MINUTES)
	@scripts/setup build brokers
	cargo build --release --locked --package vodbridge --package prove
	cargo run --release --locked --package prove -- soak --minutes $(SOAK_MINUTES)

schedules: ## a million random schedules in simulated time; a failure prints its seed
	@scripts/setup build
	cargo run --release --package schedules --locked -- --count 1000000

schedules-nightly: ## ten million of them (SCHEDULES_SECONDS at most, default 4 hours)
	@scripts/setup build
	cargo run --release --package schedules --locked -- \
	  --count 10000000 --seconds $(SCHEDULES_SECONDS)

fuzz: ## run every fuzz target (FUZZ_SECONDS for each, default 60)
	@scripts/setup build fuzz
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz

prove: ## run the fault matrix and write docs/reliability.md (MINUTES, default 60; RESULTS)
	@scripts/setup build brokers
	cargo build --release --locked --package vodbridge --package prove
	@mkdir -p $(dir $(RESULTS))
	cargo run --release --locked --package prove -- run --minutes $(MINUTES) --results $(RESULTS); \
	  code=$$?; \
	  cargo run --release --locked --package prove -- report docs/reliability/*.jsonl \
	    > docs/reliability.md; \
	  exit $$code
