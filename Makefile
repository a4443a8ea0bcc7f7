# make demo   real captures through a mock SmartNIC, hardware first
# make test   formatting, lints and all tests
# make bench  the benchmarks
# make lint   formatting and lints only
# make docs   the API documentation, under target/doc
# make fuzz   each fuzz target for FUZZ_SECONDS (default 300)

CARGO ?= cargo
FUZZ_SECONDS ?= 300
DEMO_OUT ?= target/demo

.PHONY: demo test bench lint docs fuzz build deps deps-test

deps:
	@scripts/deps.sh build

deps-test:
	@scripts/deps.sh test

build: deps
	$(CARGO) build --locked -p manager -p ctl

demo: build
	$${CARGO_TARGET_DIR:-target}/debug/shuntctl demo --out $(DEMO_OUT)

lint: deps
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check; fi

test: deps-test lint
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace

bench: deps
	bench/all.sh

docs: deps
	$(CARGO) doc --locked --workspace --no-deps

fuzz: deps
	fuzz/run.sh extract $(FUZZ_SECONDS)
	fuzz/run.sh rule_parser $(FUZZ_SECONDS)
	fuzz/run.sh group_meter_parser $(FUZZ_SECONDS)
