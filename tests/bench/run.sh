#!/usr/bin/env bash
# How fast batpak is, as Markdown tables; the rounds behind them go to target/bench/*.json.
#
#   tests/bench/run.sh [--measure TEXT]... [--subject NAME]... [--rounds N] [PART]...
#
#   languages  the small set of workloads from Rust, C, Python and Node beside a plain file
#   engine     reading, opening and space, from Rust
#   appends    batpak, files and other stores: threads, batches, payloads
#
# Without a part: all of these. The first build takes some minutes, and BENCH_ROCKSDB=1 adds
# RocksDB, which takes many more and needs libclang. To run single rows again and again:
#
#   --measure TEXT   only measures whose names contain TEXT: --measure 'durable append, 32'
#   --subject NAME   only this, as the tables name it; ratios need batpak (languages: file) too
#   --rounds N       instead of 5
#
# Both may be given several times. Without --subject everything is compared that can be. The stores
# are made in target/bench/stores, so that is the disk that is measured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
results=$CARGO_TARGET_DIR/bench
stores=$results/stores
bench=$CARGO_TARGET_DIR/release/batpak-bench
rounds=5
# Durable, written and buffered appends, and durable batches of 1,000, of each round.
work=(300 30000 60000 30)

say() { echo "bench: $* ($SECONDS s)" >&2; }
die() { echo "run.sh: $*" >&2; exit 2; }

build_rust() {
    say "building the Rust program"
    tools/setup.sh base
    cargo build --quiet --release --manifest-path tests/bench/Cargo.toml \
        --features "${BENCH_ROCKSDB:+rocksdb}"
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

# report NAME TITLE [BASE]
report() {
    [ -s "$results/$1.tsv" ] || die "nothing of $1 has such a name"
    printf '\n## %s\n\n' "$2"
    python3 tests/bench/report.py "$results/$1.tsv" "$results/$1.json" "${@:3}"
}

languages() {
    build_rust
    build_languages
    for round in $(seq "$rounds"); do
        say "languages, round $round of $rounds"
        measure languages "$bench" small "$stores"
        measure languages "$results/appends" "$stores" "${work[@]}"
        measure languages .build/venv/bin/python tests/bench/appends.py "$stores" "${work[@]}"
        measure languages node "$results/node/appends.mjs" "$stores" "${work[@]}"
    done
    report languages "From every language, beside a plain file" file
}

engine() {
    build_rust
    say "reading and opening"
    measure engine "$bench" engine "$stores"
    report engine "Reading, opening, space"
}

appends() {
    build_rust
    measure appends "$bench" appends "$stores" "$rounds"
    report appends "Appends" batpak
}

parts=()
while [ $# -gt 0 ]; do
    case $1 in
        --measure) BENCH_MEASURES=${BENCH_MEASURES:+$BENCH_MEASURES|}$2; shift ;;
        --subject) BENCH_SUBJECTS=${BENCH_SUBJECTS:+$BENCH_SUBJECTS|}$2; shift ;;
        --rounds) rounds=$2; shift ;;
        languages | engine | appends) parts+=("$1") ;;
        *) die "there is no part $1; see the head of run.sh" ;;
    esac
    shift
done
export BENCH_MEASURES=${BENCH_MEASURES-} BENCH_SUBJECTS=${BENCH_SUBJECTS-}
[ ${#parts[@]} -gt 0 ] || parts=(languages engine appends)
mkdir -p "$results"
for part in "${parts[@]}"; do
    rm -f "$results/$part.tsv"
    "$part"
done
say "the rounds are in ${results#"$PWD/"}"
