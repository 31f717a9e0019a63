# Everything a developer or CI runs. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

FUZZ_SECONDS ?= 60
BENCH_ROUNDS ?= 5
BENCH_SECONDS ?= 3

.PHONY: help setup run test lint bench fuzz

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what building, linting and fuzzing need beyond Rust
	@scripts/setup build lint fuzz

run: ## build the bridge and run it with its defaults
	@scripts/setup build
	@echo "Building; then the bridge says where it listens. Stop it with Ctrl-C."
	cargo run --release --locked -- run

test: ## run every test of every package
	@scripts/setup build
	cargo test --workspace --all-features --locked

lint: ## format, clippy, documentation, dependencies, invariants: what CI demands
	@scripts/setup build lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features --locked
	scripts/dependencies
	scripts/invariants

bench: ## callbacks per second into the journal (BENCH_ROUNDS, BENCH_SECONDS)
	@scripts/setup build
	cargo bench --package vodbridge --bench callback --locked -- \
	  --rounds $(BENCH_ROUNDS) --seconds $(BENCH_SECONDS)

fuzz: ## run every fuzz target (FUZZ_SECONDS for each, default 60)
	@scripts/setup build fuzz
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz
