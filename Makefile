# The two commands of the README: `make peak` and `make test`. Both install what is missing, say what
# they do, and need nothing else by hand.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help tools peak test drills lint doc minimal deny fuzz mutations stack-up stack-down

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

tools: ## Installs what building needs and this machine lacks
	@tests/install-build-tools

peak: tools ## Builds and runs the peak profile on the embedded sandbox (about 3 minutes, after the build)
	@echo "==> building slatest (release; some minutes the first time)"
	cargo build --release --locked --bin slatest
	@echo "==> slatest run --profile peak, on the embedded sandbox"
	target/release/slatest run --profile peak

test: tools ## Brings the real servers up on loopback and runs every test
	@tests/run-all

drills: tools ## Every drill that ships, one after another, on the real servers (about 3 minutes each)
	@echo "==> building slatest (release; some minutes the first time)"
	cargo build --release --locked --bin slatest
	@tests/run-drills

lint: ## Formatting and clippy, warnings as errors; the fuzz targets compile
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	@echo "==> the fuzz targets compile"
	cd fuzz && RUSTFLAGS="--cfg fuzzing" cargo check --locked

doc: ## The documentation of the code, warnings as errors
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

minimal: tools ## One protocol alone must build
	RUSTFLAGS="-D warnings" cargo check --locked --no-default-features --features http --bin slatest --target-dir target/minimal

deny: tools ## Licences, advisories and banned crates of the tree (installs cargo-deny)
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check licenses bans sources

fuzz: tools ## Fuzzes every reader of files and answers, a minute each (FUZZ_SECONDS)
	fuzz/run $(or $(FUZZ_SECONDS),60)

mutations: tools ## Changed inputs for every reader, 10,000 each (MUTATIONS): time and memory of each
	SLATEST_MUTATIONS=$(or $(MUTATIONS),10000) cargo test --locked --test mutations -- --nocapture

stack-up: ## Starts the real servers and writes targets/stack.yaml
	tests/stack/stack up

stack-down: ## Stops the real servers and removes what they left
	tests/stack/stack down
