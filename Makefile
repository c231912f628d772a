# What can be done here. `make` or `make help` lists it; everything can be run again.
#
# Builds, downloads and the Python environment live outside the clone, in $LAKE_WRITER_CACHE
# (~/.cache/lake-writer), so that a clean clone does not begin from nothing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

LAKE_WRITER_CACHE ?= $(HOME)/.cache/lake-writer
CARGO_TARGET_DIR ?= $(LAKE_WRITER_CACHE)/target
export LAKE_WRITER_CACHE CARGO_TARGET_DIR LAKE_WRITER_MATRIX

PYTHON ?= python3
VENV := $(LAKE_WRITER_CACHE)/venv
VENV_READY := $(VENV)/requirements.installed

# One profile for cargo test, clippy, the demo and the binaries that the tests run: the dependencies,
# which are most of the work, are compiled once.
PROFILE := quick
CARGO_FLAGS := --locked --profile $(PROFILE)
BINARIES := $(CARGO_TARGET_DIR)/$(PROFILE)

# make demo ARGS="--duration 120", make pytest ARGS="-k kafka -x", make bench ARGS=…
ARGS ?=
STACK_DIR ?= $(LAKE_WRITER_CACHE)/stack

# A comma inside the argument of a call.
COMMA := ,

define say
@printf '\n\033[1m== %s\033[0m\n' "$(1)"
endef

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# -- for users ------------------------------------------------------------------------------------

# The mirror is all that the demo needs beside local disk.
DEMO_FEATURES := --no-default-features --features mongodb

.PHONY: demo
demo: cargo ## build, then watch sales flow into Parquet and onto a live page; until Ctrl-C on a terminal
	$(call say,building lake-writer and lake-dashboard with profile $(PROFILE) in $(CARGO_TARGET_DIR): minutes the first time)
	cargo build $(CARGO_FLAGS) --package lake-writer --package lake-dashboard --bins $(DEMO_FEATURES)
	$(call say,the demo $(ARGS))
	if command -v "$(PYTHON)" > /dev/null; then
	  exec "$(PYTHON)" hadoop/demo.py --writer "$(BINARIES)/lake-writer" \
	    --dashboard "$(BINARIES)/lake-dashboard" --page "$(PAGE)" $(ARGS)
	fi
	echo "no Python here, which would fetch a MongoDB for the dashboard; the lake alone:"
	"$(BINARIES)/lake-writer" demo $(ARGS)

# Beside the programs of every profile, where the server looks for it.
PAGE := $(CARGO_TARGET_DIR)/dashboard-page

.PHONY: dashboard-page
dashboard-page: ## bundle the dashboard's page; needs Node.js 18 or newer
	$(call say,the page of the dashboard)
	dashboard/page/build "$(PAGE)"

.PHONY: dashboard
dashboard: cargo dashboard-page ## serve the live dashboard of a mirror; ARGS="--config FILE --listen ADDRESS"
	$(call say,building lake-dashboard with profile $(PROFILE))
	cargo build $(CARGO_FLAGS) --package lake-dashboard
	$(call say,lake-dashboard $(ARGS))
	"$(BINARIES)/lake-dashboard" $(ARGS)

.PHONY: sql
sql: cargo ## serve SQL over the lake and its mirror; ARGS="--config FILE --users FILE --listen ADDRESS"
	$(call say,building lake-sql with profile $(PROFILE): minutes the first time)
	cargo build $(CARGO_FLAGS) --package lake-sql --bins
	$(call say,lake-sql $(ARGS))
	"$(BINARIES)/lake-sql" $(ARGS)

.PHONY: screenshots
screenshots: cargo venv dashboard-page stack-install ## the pictures of docs/images, of fixed sales at a fixed moment
	cargo build $(CARGO_FLAGS) --package lake-dashboard
	$(call say,screenshots into docs/images)
	PYTHONPATH=tests:hadoop "$(VENV)/bin/python" -m harness.screenshots --dashboard "$(BINARIES)/lake-dashboard" \
	  --page "$(PAGE)" --out docs/images

.PHONY: build
build: cargo ## build all programs as the tests use them
	$(call say,building lake-writer$(COMMA) sales-producer and lake-dashboard with profile $(PROFILE))
	cargo build $(CARGO_FLAGS) --workspace --bins

.PHONY: release
release: cargo ## build lake-writer, sales-producer and lake-dashboard as they are measured and shipped
	$(call say,building lake-writer$(COMMA) sales-producer and lake-dashboard for release)
	cargo build --locked --release --bins
	ls -l "$(CARGO_TARGET_DIR)/release/"{lake-writer,sales-producer,lake-dashboard}

.PHONY: stack-up
stack-up: ## start real Kafka, HDFS, S3 and MongoDB on this machine; ARGS="--only kafka,hdfs" for some
	$(PYTHON) hadoop/stack.py up --dir "$(STACK_DIR)" $(ARGS)

.PHONY: stack-down
stack-down: ## stop them; ARGS=--wipe also deletes what they store
	$(PYTHON) hadoop/stack.py down --dir "$(STACK_DIR)" $(ARGS)

.PHONY: bench
bench: cargo venv stack-install ## run the benchmarks of bench/README.md on a real broker
	$(call say,building both programs for release)
	cargo build --locked --release --bins
	$(call say,whole runs on a real broker: bench/whole_process.py $(ARGS))
	"$(VENV)/bin/python" bench/whole_process.py --writer "$(CARGO_TARGET_DIR)/release/lake-writer" \
	  --producer "$(CARGO_TARGET_DIR)/release/sales-producer" $(ARGS)

.PHONY: bench-contention
bench-contention: cargo venv stack-install ## how writers of one table meet at its log; ARGS="--store s3"
	cargo build --locked --release --bins
	"$(VENV)/bin/python" bench/contention.py --writer "$(CARGO_TARGET_DIR)/release/lake-writer" \
	  --producer "$(CARGO_TARGET_DIR)/release/sales-producer" $(ARGS)

.PHONY: bench-mirror
bench-mirror: cargo venv stack-install ## how fast the mirror writes sales and rollups; ARGS="--cases live --count 500000"
	cargo build --locked --release --bins
	"$(VENV)/bin/python" bench/mirror.py --lake-writer "$(CARGO_TARGET_DIR)/release/lake-writer" \
	  --sales-producer "$(CARGO_TARGET_DIR)/release/sales-producer" $(ARGS)

.PHONY: bench-commit-cost
bench-commit-cost: cargo venv stack-install ## what a commit costs; ARGS="--store hdfs", ARGS="--store s3 --cpu"
	cargo build --locked --release --bins --features simulation
	"$(VENV)/bin/python" bench/commit_cost.py --writer "$(CARGO_TARGET_DIR)/release/lake-writer" \
	  --producer "$(CARGO_TARGET_DIR)/release/sales-producer" $(ARGS)

.PHONY: workbook
workbook: ## the workbook, data source and extension manifest of tableau/, from schema and settings
	$(PYTHON) tableau/make_workbook.py --to tableau
	$(PYTHON) tableau/make_extension.py --to tableau/lake-refresh.trex

.PHONY: workbook-pictures
workbook-pictures: venv ## the workbook's dashboard drawn into docs/images, from the sales of the screenshots
	PYTHONPATH=tests:hadoop "$(VENV)/bin/python" -m harness.sheet_pictures --out docs/images

# CLONE: a clone of Tableau's repository, where that cannot be reached from here.
.PHONY: tableau-extension
tableau-extension: dashboard-page ## Tableau's own library beside the page, for the refresh extension; CLONE=folder
	dashboard/page/tableau-library "$(PAGE)" $(CLONE)

.PHONY: report
report: venv system-packages ## the report (French) as a PDF, compte-rendu.pdf
	"$(VENV)/bin/python" docs/make_report.py docs/compte-rendu.md compte-rendu.pdf

# -- the tests ------------------------------------------------------------------------------------

.PHONY: test
test: fmt lint-python clippy cargo-test deny pytest ## everything, with real servers; the verdict is pytest's last line

.PHONY: fmt
fmt: cargo ## check the formatting of the Rust code
	$(call say,cargo fmt --check)
	cargo fmt --all --check

.PHONY: clippy
clippy: cargo ## lint the Rust code; a warning is an error
	$(call say,cargo clippy)
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

.PHONY: cargo-test
cargo-test: cargo system-packages ## the Rust tests that need no server; pytest runs the others
	$(call say,cargo test)
	cargo test $(CARGO_FLAGS) --workspace

# Seeds of the simulation: SEEDS of them from FROM on, or one SEED with its trace.
.PHONY: simulate
simulate: cargo ## whole writers in a simulated world; SEEDS=2000, or SEED=… for one and its trace
	$(call say,simulation)
	cargo test $(CARGO_FLAGS) --workspace --test simulation -- --nocapture every_seed

.PHONY: soak
soak: cargo ## the same without end, with figures every 1,000 seeds
	$(MAKE) simulate FROM="$${FROM:-1000000}" SEEDS="$${SEEDS:-1000000000000}" EVERY=1000

.PHONY: mutations
mutations: cargo ## plant bugs in the protocol's code and demand that the tests find each
	$(call say,mutations)
	tests/run-mutations $(ARGS)

# Every step of a writer, killed and frozen, on each store, in place of the spread that `make test` visits.
.PHONY: matrix
matrix: ## the whole failpoint matrix on real servers: about an hour
	$(MAKE) pytest TESTS=tests/test_failpoints.py LAKE_WRITER_MATRIX=whole

.PHONY: deny
deny: cargo ## licences, sources and bans of dependencies with cargo-deny, if it is installed
	$(call say,cargo deny)
	if command -v cargo-deny > /dev/null; then
	  cargo deny --locked check bans licenses sources
	else
	  echo "cargo-deny is not installed (cargo install --locked cargo-deny); tests/test_dependencies.py checks the same rules of deny.toml"
	fi

.PHONY: lint-python
lint-python: venv ## lint the Python code
	$(call say,ruff)
	"$(VENV)/bin/ruff" check .

# One build for both: with dev-dependencies features differ, and a build of the programs by
# themselves would compile most dependencies a second time.
.PHONY: test-build
test-build: cargo ## build the programs and all Rust tests at once, with the features that tests need
	$(call say,building programs and tests with profile $(PROFILE))
	cargo build $(CARGO_FLAGS) --workspace --all-targets

# Processes of pytest, each with servers of its own: most tests wait for a server more than they compute. 0 for one.
WORKERS ?= 2

.PHONY: pytest
pytest: test-build venv system-packages stack-install ## whole runs on real servers; ARGS="-k kafka" for some
	$(call say,pytest)
	LAKE_WRITER_BIN="$(BINARIES)/lake-writer" SALES_PRODUCER_BIN="$(BINARIES)/sales-producer" \
	  LAKE_SQL_BIN="$(BINARIES)/lake-sql" \
	  "$(VENV)/bin/python" -m pytest --numprocesses $(WORKERS) --dist loadfile $(or $(TESTS),tests) $(ARGS)

# -- what the others need -------------------------------------------------------------------------

.PHONY: cargo
cargo:
	@command -v cargo > /dev/null || {
	  echo "cargo is missing: install Rust with https://rustup.rs (the version is in rust-toolchain.toml), then open a new shell" >&2
	  exit 1
	}

.PHONY: venv
venv: $(VENV_READY) ## the Python environment of tests and notebooks

$(VENV_READY): tests/requirements.txt tests/requirements-files.txt tests/constraints.txt
	$(call say,Python environment in $(VENV))
	[ -x "$(VENV)/bin/python" ] || $(PYTHON) -m venv "$(VENV)" || {
	  echo "could not make a Python environment: install venv (Debian: apt-get install python3-venv)" >&2
	  exit 1
	}
	"$(VENV)/bin/pip" install --quiet --disable-pip-version-check -r tests/requirements.txt -c tests/constraints.txt
	"$(VENV)/bin/pip" install --quiet --disable-pip-version-check --no-deps -r tests/requirements-files.txt
	touch "$@"

.PHONY: stack-install
stack-install: system-packages ## download the servers of the native stack into the cache
	$(call say,servers in $(LAKE_WRITER_CACHE))
	$(PYTHON) hadoop/stack.py install

.PHONY: system-packages
system-packages: ## Debian packages that tests and servers need (installed when root, else named)
	$(call say,system packages)
	tests/system-packages
