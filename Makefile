# What there is to do with batpak. `make demo` and `make test` need nothing but Rust, Python 3,
# Node and a C compiler: what else is missing, tools/setup.sh installs into .build.

.PHONY: demo test test-rust test-c test-cpp test-consumer test-python test-node test-together \
	interop import-speed calls loom tsan kill kill-long follow follow-short crash-long bench fmt lint docs header clean

PYTHON = .build/venv/bin/python
SCRIPTS = $(wildcard tests/scripts/*.txt)

# Appends, follows, queries, draws and verifies a year of flights, in every language at once.
demo:
	tests/demo/run.sh

# Every test of every language.
test: test-rust interop loom calls test-c test-cpp test-consumer test-python test-node test-together kill follow-short

test-rust:
	tools/setup.sh base
	cargo test --workspace --exclude batpak-python --exclude batpak-node

# Stores that five published versions of the batpak crate write, read and open again.
interop: export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/interop
interop:
	tools/setup.sh base
	cargo fmt --check --manifest-path tests/interop/Cargo.toml
	cargo test --quiet --manifest-path tests/interop/Cargo.toml

# How long an import takes beside the crate's own opening without caches.
import-speed: export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/interop
import-speed:
	cargo run --quiet --release --manifest-path tests/interop/Cargo.toml --bin import-speed -- 100000 5

# The system calls of appends and reads, counted.
calls:
	tools/setup.sh base check
	tests/calls/run.sh

# The commit queue in every interleaving of its threads.
loom: export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/loom
loom:
	tools/setup.sh base
	cargo test --quiet --release --manifest-path tests/loom/Cargo.toml

# The tests with many threads under ThreadSanitizer.
tsan:
	tools/setup.sh base
	tests/tsan/run.sh

test-c:
	tools/setup.sh base check
	tests/c/run.sh plain sanitize
	tests/c/run.sh valgrind -- $(wildcard tests/scripts/append-*.txt tests/scripts/read-*.txt)
	python3 tests/c/abi.py

test-cpp:
	tests/cpp/run.sh

test-consumer:
	tools/setup.sh base cmake check
	tests/consumer/run.sh

test-python:
	tools/setup.sh base python
	python/check.sh

test-node:
	tools/setup.sh base node
	node/check.sh

# One store handed from language to language, and the same errors in all of them.
test-together: RUNNERS = --rust target/release/script-runner --c target/c/plain/runner \
	--cpp target/cpp/runner --python "$(PYTHON) python/tests/runner.py" \
	--node "node node/test/runner.mjs"
test-together: test-c test-cpp test-python test-node
	cargo build --quiet --release -p batpak-tests
	target/release/script-runner $(SCRIPTS)
	python3 tests/relay.py $(RUNNERS) tests/scripts/relay-*.txt
	python3 tests/error-table.py $(RUNNERS)
	tests/examples.sh
	$(PYTHON) tests/vectors/check.py

# Processes of four languages, killed at random moments; `kill-long` until the morning.
kill: test-c test-python test-node
	tests/kill/run.sh 200

kill-long:
	tests/kill/run.sh 20000

# Processes of four languages follow a store whose writer is killed, through a million events.
follow: test-python test-node
	tests/follow/run.sh 1000000

follow-short: test-python test-node
	tests/follow/run.sh 100000

# More seeds for the simulated crashes.
crash-long:
	BATPAK_CRASH_SEEDS=2000 cargo test --release -p batpak-tests --test crash -- --nocapture

# Everything beside plain files and other stores; see the head of the script for single rows.
bench:
	tests/bench/run.sh

fmt:
	cargo fmt --all

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items \
		-p batpak-core -p batpak-ffi

# Writes include/batpak.h and cmake/batpak.symbols from ffi/.
header:
	BATPAK_BLESS=1 cargo test -p batpak-ffi --test header

clean:
	cargo clean
	rm -rf .build node/native.node node/node_modules
