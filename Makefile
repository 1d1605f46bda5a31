# What people run. Every target does its own set-up; `test` and `demo` need root and the network (for packages only).

.PHONY: help build test lint unit it demo bench engines down

help: ## Show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build target/release/prewarm
	scripts/setup build
	cargo build --release --locked

test: lint unit it ## Everything that must pass: lints, unit tests, integration tests on real engines

lint: ## rustfmt, clippy, cargo-deny, shellcheck
	scripts/setup lint
	scripts/lint

unit: ## Unit and property tests
	scripts/setup build
	cargo test --locked --lib --bins

it: ## Integration tests on isolated Docker Engines and registries of their own
	scripts/setup build
	scripts/setup commands faketime nsenter python3 setpriv
	scripts/engine up >/dev/null
	scripts/engine image buildkit >/dev/null
	cargo test --locked --test it

demo: ## A cold CI build, a warm, and the same CI build again
	scripts/demo

bench: ## The numbers of docs/BENCHMARKS.md; `cargo bench --bench decide` measures the parts of one
	scripts/bench

engines: ## Bring the test engines up and show how to use them
	scripts/engine up

down: ## Take the test engines down without a trace
	scripts/engine down
