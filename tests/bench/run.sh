#!/usr/bin/env bash
# How fast batpak is, as Markdown tables; the rounds behind them go to target/bench/*.json.
#
#   tests/bench/run.sh [languages|engine|peers]...
#
#   languages  appends from Rust, C, Python and Node beside a plain file
#   engine     reading, opening and space, from Rust
#   peers      the same work on other stores, from Rust; their first build takes minutes, and
#              BENCH_ROCKSDB=1 adds RocksDB, which takes many more and needs libclang
#
# Without an argument: languages and engine. The stores are made in target/bench/stores, so that is
# the disk that is measured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
results=$CARGO_TARGET_DIR/bench
stores=$results/stores
rounds=9
# Durable, written and buffered appends, and durable batches of 1,000, of each round.
work=(300 30000 60000 30)

say() { echo "bench: $* ($SECONDS s)" >&2; }

# build_rust [FEATURE]
build_rust() {
    say "building the Rust program"
    tools/setup.sh base
    cargo build --quiet --release --manifest-path tests/bench/Cargo.toml --features "${1-}"
}

build_languages() {
    tools/setup.sh base python node
    say "building the C program"
    cargo build --quiet --release --package batpak-ffi
    "${CC:-cc}" -std=c11 -O2 -Wall -Wextra -D_POSIX_C_SOURCE=200809L -Iinclude \
        tests/bench/appends.c "$CARGO_TARGET_DIR/release/libbatpak.a" \
        -lpthread -lm -ldl -lrt -lutil -o "$results/appends"
    say "installing the Python package"
    .build/venv/bin/python -m pip install --quiet --disable-pip-version-check ./python
    say "installing the Node package"
    mkdir -p "$results/node"
    cp tests/bench/appends.mjs "$results/node/"
    echo '{ "private": true }' >"$results/node/package.json"
    npm install --loglevel=error --prefix "$results/node" --no-audit --no-fund ./node >&2
}

# measure NAME COMMAND...: adds the lines of a command, which finds $stores empty, to the results.
measure() {
    rm -rf "$stores"
    mkdir -p "$stores"
    "${@:2}" >>"$results/$1.tsv"
    rm -rf "$stores"
}

# report NAME [BASE]
report() {
    python3 tests/bench/report.py "$results/$1.tsv" "$results/$1.json" "${@:2}"
}

languages() {
    build_rust
    build_languages
    for round in $(seq "$rounds"); do
        say "appends, round $round of $rounds"
        measure languages "$bench" appends "$stores" "${work[@]}"
        measure languages "$results/appends" "$stores" "${work[@]}"
        measure languages .build/venv/bin/python tests/bench/appends.py "$stores" "${work[@]}"
        measure languages node "$results/node/appends.mjs" "$stores" "${work[@]}"
        measure languages "$bench" files "$stores" "${work[@]}"
    done
    printf '\n## Appends from every language, beside a plain file\n\n'
    report languages file
}

engine() {
    build_rust
    say "reading and opening"
    measure engine "$bench" engine "$stores"
    printf '\n## Reading, opening, space\n\n'
    report engine
}

peers() {
    build_rust "${BENCH_ROCKSDB:+rocksdb,}peers"
    for round in $(seq "$rounds"); do
        say "appends to every store, round $round of $rounds"
        measure peers "$bench" peers-appends "$stores"
    done
    say "reading"
    measure peers "$bench" peers-reads "$stores"
    say "opening"
    measure peers "$bench" peers-openings "$stores"
    printf '\n## Beside other stores\n\n'
    report peers batpak
}

[ $# -gt 0 ] || set -- languages engine
mkdir -p "$results"
bench=$CARGO_TARGET_DIR/release/batpak-bench
for part in "$@"; do
    case $part in
        languages | engine | peers) ;;
        *) echo "run.sh: no part $part" >&2; exit 2 ;;
    esac
    rm -f "$results/$part.tsv"
    "$part"
done
say "the rounds are in ${results#"$PWD/"}"
