# The one door: everything that a person or CI does with this repository starts here. `make` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# As in tests/install/lib.sh, which fills it.
export TOLLKEEPER_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tollkeeper
# Where the install scripts put the servers and tools.
INSTALLED := set -a; . "$(TOLLKEEPER_CACHE)/env"; set +a;
NEXTEST := "$${TOLLKEEPER_CARGO_NEXTEST:-cargo-nextest}" nextest run --workspace --profile $(if $(CI),ci,default)
CARGO_DENY := eval "$$(tests/install/cargo-deny)"; "$${TOLLKEEPER_CARGO_DENY:-cargo-deny}"
# Tests with this word in their name compare committed files with the code, and write them anew with UPDATE=1.
COMMITTED := -E 'test(committed)'
# Rust guests whose components are committed, by name.
COMPONENTS := $(notdir $(basename $(wildcard plugins/examples/*/*.wasm plugins/fixtures/*/*.wasm plugins/sdk/rust/examples/*/*.wasm)))
# One set of targets for every command: what one has built, the next finds.
TARGETS := --workspace --bins --tests
# Guests have lock files of their own, so they are no members. On the host they are ordinary libraries; one folder for all
# of them, without debug information, keeps that short.
GUESTS := $(wildcard plugins/*/*/Cargo.toml plugins/sdk/rust/examples/*/Cargo.toml)
GUEST := --locked --quiet --config profile.dev.debug=false --target-dir target/guests --manifest-path

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## meter a vector database for a month: no cluster, no AWS account
	cargo build --release --locked --package tollkeeper
	./target/release/tollkeeper simulate examples/vecdb/product.yaml examples/vecdb/binding.yaml \
		--signals examples/vecdb/signals.jsonl --plugins plugins/examples/vecdb --html target/demo.html

.PHONY: test
test: install-tests build-tests test-guests ## install the test servers, run every test (some: ARGS="-E 'package(tollkeeper-kit)'")
	$(INSTALLED) $(NEXTEST) $(ARGS)

.PHONY: test-newest
test-newest: install-tests build-tests ## control-plane tests on the newest server of custom resources in Debian (builds it: minutes)
	installed="$$(tests/install/custom-resources)"; $(INSTALLED) set -a; eval "$$installed"; set +a; \
		$(NEXTEST) -E 'package(tollkeeper-control-plane)' $(ARGS)

.PHONY: install-tests
install-tests: ## install what the tests start: etcd, Kubernetes, Prometheus, a registry, kubectl, Helm, boto3, sigstore, std's source
	@tests/install/all

.PHONY: build-tests
build-tests:
	cargo build --locked $(TARGETS)

SEEDS ?= 100000
.PHONY: chaos
chaos: ## run SEEDS schedules of faults through metering and settling, and show how often each fault was met
	cargo run --release --locked --package tollkeeper-chaos -- --seeds $(SEEDS)

.PHONY: chaos-year
chaos-year: ## a year of one product with a fault a day, on one thread
	cargo run --release --locked --package tollkeeper-chaos -- --seeds 1 --hours 8760 --threads 1

.PHONY: test-guests
test-guests:
	for guest in $(GUESTS); do cargo test $(GUEST) "$$guest"; done

.PHONY: soak
soak: ## a million calls of plugins, good and bad: the host's memory stays flat (`make test` has ten thousand)
	TOLLKEEPER_SOAK_EVALUATIONS=1000000 cargo test --locked --release --package tollkeeper-plugin-host --test hostile soak

# libFuzzer's instrumentation, as cargo-fuzz asks for it, without a sanitizer: that needs a nightly compiler, and nothing of
# ours that is fuzzed has unsafe code. A target of its own, so that macros and build scripts are not instrumented.
FUZZ := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 $(addprefix -Cllvm-args=-sanitizer-coverage-, \
	level=4 inline-8bit-counters pc-table trace-compares)
SECONDS ?= 60
.PHONY: fuzz
fuzz: ## fuzz each target of `fuzz/` for SECONDS; what is found is kept in target/fuzz/findings
	host="$$(rustc -vV | sed -n 's/^host: //p')"; \
	RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --release --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --target "$$host"; \
	for target in $(FUZZ); do \
		mkdir -p "target/fuzz/corpus/$$target" target/fuzz/findings; \
		"target/fuzz/$$host/release/$$target" -max_total_time=$(SECONDS) -print_final_stats=1 -timeout=10 -max_len=65536 \
			-artifact_prefix="target/fuzz/findings/$$target-" "target/fuzz/corpus/$$target" "fuzz/corpus/$$target"; \
	done

.PHONY: lint
lint: format-check directions clippy ## formatting, the direction of dependencies, clippy

.PHONY: format-check directions clippy
format-check:
	cargo fmt --all --check
	for guest in $(GUESTS) fuzz/Cargo.toml; do cargo fmt --check --manifest-path "$$guest"; done
directions:
	.ci/check-directions --prove
# Then the program as it is shipped, without the features that the tests of the workspace turn on.
clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --package tollkeeper -- -D warnings
	for guest in $(GUESTS); do cargo clippy $(GUEST) "$$guest" --all-targets -- -D warnings; done

.PHONY: deny
deny: ## banned crates, licenses and sources of the dependencies
	@$(CARGO_DENY) check bans licenses sources

.PHONY: advisories
advisories: ## known vulnerabilities of the dependencies; needs the internet
	@$(CARGO_DENY) check advisories

.PHONY: drift
drift: install-tests build-tests ## fail where a committed file is not what the code generates
	$(INSTALLED) $(NEXTEST) $(COMMITTED)
	plugins/build $(COMPONENTS) --check

.PHONY: generate
generate: install-tests build-tests ## write the files anew that `drift` compares
	$(INSTALLED) UPDATE=1 $(NEXTEST) $(COMMITTED)
	plugins/build $(COMPONENTS)
