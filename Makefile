# make demo   real captures through a mock SmartNIC, hardware first
# make test   formatting, lints and all tests
# make bench  the benchmarks, about 35 minutes (QUICK=1: at most 8); bench/settings.py names the knobs
# make gate   instructions a packet against the numbers kept; make gate-record keeps new ones
# make lint   formatting and lints only
# make soak   random traffic and changes for SOAK_SECONDS (default 1800), from SOAK_SEED (default: of the clock) on
# make lab    scenarios on a real kernel with SmartNIC-like devices, in a virtual machine (SCENARIO=name: one of them)
# make lab-shell  a shell in that machine (DEVICES=igb: with SR-IOV network cards)
# make hw-test  the scenarios for real NICs on the one that SHUNT_LAB_PF names (SCENARIO=name: one of them)
# make docs   the API documentation, under target/doc
# make fuzz   each fuzz target for FUZZ_SECONDS (default 300)
# make mutants  cargo-mutants on the planner and on lowering, an hour or so (SHARD=0/4: a quarter of it)

CARGO ?= cargo
FUZZ_SECONDS ?= 300
DEMO_OUT ?= target/demo
# Seconds of the soak in make test, and of make soak.
SHUNT_SOAK_SECONDS ?= 180
SOAK_SECONDS ?= 1800

.PHONY: demo test mutants bench gate gate-record soak lint docs fuzz build deps deps-test deps-bench lab lab-shell hw-test

deps:
	@scripts/deps.sh build

deps-test:
	@scripts/deps.sh test

deps-bench:
	@scripts/deps.sh bench

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
	SHUNT_SOAK_SECONDS=$(SHUNT_SOAK_SECONDS) $(CARGO) test --locked --workspace

# Tests that an outcome is settled by: those of the two crates, without their examples in documentation.
mutants: deps-test
	$(CARGO) mutants -p offload -p rte-flow-rs --test-workspace=false -o target $(if $(SHARD),--shard $(SHARD))

soak: deps-test
	SHUNT_SOAK_SECONDS=$(SOAK_SECONDS) $(if $(SOAK_SEED),SHUNT_SOAK_SEED=$(SOAK_SEED)) \
		$(CARGO) test --locked -p manager --test soak -- --nocapture lockstep threads

bench: deps-bench
	$(CARGO) build --locked --release -p manager -p ctl
	bench/compare.py

gate: deps
	bench/gate.py

gate-record: deps
	bench/gate.py --record

# Without root, what is missing is named, and the scenarios are skipped.
lab:
	@[ "$$(id -u)" -ne 0 ] || scripts/deps.sh lab
	@hw-tests/lab/lab.py run $(SCENARIO)

lab-shell:
	@hw-tests/lab/lab.py shell $(DEVICES)

hw-test: build
	@hw-tests/lab/hw.py $(SCENARIO)

docs: deps
	$(CARGO) doc --locked --workspace --no-deps

fuzz: deps
	fuzz/run.sh extract $(FUZZ_SECONDS)
	fuzz/run.sh rule_parser $(FUZZ_SECONDS)
	fuzz/run.sh group_meter_parser $(FUZZ_SECONDS)
	fuzz/run.sh netlink $(FUZZ_SECONDS)
	fuzz/run.sh devlink $(FUZZ_SECONDS)
