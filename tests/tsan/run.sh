#!/usr/bin/env bash
# Runs the tests with many threads under ThreadSanitizer.
#
#   run.sh [TEST]...
#
# Without a TEST: those of tests/rust that start threads. The standard library is built along, since
# otherwise its locks would be invisible and everything behind them a race; its source is the
# component rust-src of the toolchain, which is added if it is missing. Any race fails the run. Nothing
# is suppressed. Fences are invisible to ThreadSanitizer: where the commit queue rests on one,
# tests/loom checks it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

[ $# -gt 0 ] || set -- concurrency compaction compaction_meanwhile copies fences tickets reserved_space
source=$(rustc --print sysroot)/lib/rustlib/src/rust/library
[ -d "$source" ] || rustup component add rust-src || {
    echo "run.sh: the source of the standard library is missing; add the component rust-src" >&2
    exit 1
}
tests=()
for test in "$@"; do
    tests+=(--test "$test")
done
triple=$(rustc -vV | sed -n 's/^host: //p')
# A folder of its own: everything in it is built in another way.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/tsan
export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=thread
cargo test --quiet -Zbuild-std=std,panic_unwind,test --target "$triple" -p batpak-tests \
    "${tests[@]}"
