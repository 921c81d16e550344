#!/usr/bin/env bash
# How fast batpak is, as Markdown tables; the rounds behind them go to target/bench/*.json.
#
#   tests/bench/run.sh [--measure TEXT]... [--subject NAME]... [--rounds N] [PART]...
#
#   languages  the small set of workloads from Rust, C, Python and Node beside a plain file
#   appends    batpak, files and other stores: threads, batches, payloads
#   reads      the same stores: by id and by sequence, scans, streams, regions, pages
#   opens      opening after a close and after a kill, memory, disk; BENCH_LARGE=1 adds 10 million
#              events, which take minutes
#   waking     how soon a sleeping thread or process has an event
#   tails      how long single appends take while others scan
#   compacting how long single appends take while a million events are compacted
#   python     the small set from Python, and from sqlite3, lmdb and eventsourcing
#   node       the small set from Node, and from better-sqlite3, lmdb and classic-level
#
# Without a part: all of these, in fewer rounds. The first build takes some minutes, and
# BENCH_ROCKSDB=1 adds RocksDB, which takes many more and needs libclang. To run single rows again
# and again:
#
#   --measure TEXT   only measures whose names contain TEXT: --measure 'durable append, 32'
#   --subject NAME   only this, as the tables name it; ratios need the first column too
#   --rounds N       instead of 5
#
# Both of the first may be given several times. The stores are made in target/bench/stores, so that
# is the disk that is measured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
results=$CARGO_TARGET_DIR/bench
stores=$results/stores
bench=$CARGO_TARGET_DIR/release/batpak-bench
python=$results/venv/bin/python

say() { echo "bench: $* ($SECONDS s)" >&2; }
die() { echo "run.sh: $*" >&2; exit 2; }

# Each of these is built once, however many parts need it.
build_rust() {
    [ -z "${built_rust-}" ] || return 0
    say "building the Rust program"
    tools/setup.sh base
    cargo build --quiet --release --manifest-path tests/bench/Cargo.toml \
        --features "${BENCH_ROCKSDB:+rocksdb}"
    built_rust=yes
}

build_c() {
    say "building the C program"
    cargo build --quiet --release --package batpak-ffi
    "${CC:-cc}" -std=c11 -O2 -Wall -Wextra -D_POSIX_C_SOURCE=200809L -Iinclude \
        tests/bench/languages/small.c "$CARGO_TARGET_DIR/release/libbatpak.a" \
        -lpthread -lm -ldl -lrt -lutil -o "$results/small"
}

# Into a virtual environment, and a folder, of their own.
build_python() {
    [ -z "${built_python-}" ] || return 0
    say "installing the Python packages"
    tools/setup.sh base python
    [ -x "$python" ] || python3 -m venv "$results/venv"
    "$python" -m pip install --quiet --disable-pip-version-check \
        lmdb==3.0.0 eventsourcing==9.5.6 ./python
    built_python=yes
}

build_node() {
    [ -z "${built_node-}" ] || return 0
    say "installing the Node packages"
    tools/setup.sh base node
    mkdir -p "$results/node"
    cp tests/bench/languages/small.mjs "$results/node/"
    echo '{ "private": true }' >"$results/node/package.json"
    npm install --loglevel=error --prefix "$results/node" --no-audit --no-fund \
        better-sqlite3@12.11 lmdb@3.5 classic-level@3.0 ./node >&2
    built_node=yes
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

# rust_part NAME TITLE: everything in one process, which does its rounds itself.
rust_part() {
    build_rust
    measure "$1" "$bench" "$1" "$stores" "$rounds"
    report "$1" "$2" batpak
}

appends() { rust_part appends "Appends"; }
reads() { rust_part reads "Reads"; }
opens() { rust_part opens "Opening, memory, disk"; }
waking() { rust_part waking "Waking somebody who sleeps"; }
tails() { rust_part tails "Appends beside scans"; }

compacting() {
    build_rust
    measure compacting "$bench" compacting "$stores" "$rounds"
    report compacting "Appends beside a compaction" alone
}

languages() {
    build_rust
    build_c
    build_python
    build_node
    for round in $(seq "$rounds"); do
        say "languages, round $round of $rounds"
        measure languages "$bench" small "$stores" 1
        measure languages "$results/small" "$stores"
        measure languages "$python" tests/bench/languages/small.py "$stores" Python
        measure languages command node "$results/node/small.mjs" "$stores" Node
    done
    report languages "From every language, beside a plain file" Rust
}

python() {
    build_python
    for round in $(seq "$rounds"); do
        say "Python, round $round of $rounds"
        measure python "$python" tests/bench/languages/small.py "$stores" \
            batpak sqlite3 lmdb eventsourcing
    done
    report python "From Python" batpak
}

node() {
    build_node
    for round in $(seq "$rounds"); do
        say "Node, round $round of $rounds"
        measure node command node "$results/node/small.mjs" "$stores" \
            batpak better-sqlite3 lmdb classic-level
    done
    report node "From Node" batpak
}

all=(languages appends reads opens waking tails compacting python node)
parts=()
while [ $# -gt 0 ]; do
    case $1 in
        --measure) BENCH_MEASURES=${BENCH_MEASURES:+$BENCH_MEASURES|}$2; shift ;;
        --subject) BENCH_SUBJECTS=${BENCH_SUBJECTS:+$BENCH_SUBJECTS|}$2; shift ;;
        --rounds) rounds=$2; shift ;;
        *)
            [[ " ${all[*]} " == *" $1 "* ]] || die "there is no part $1; see the head of run.sh"
            parts+=("$1")
            ;;
    esac
    shift
done
export BENCH_MEASURES=${BENCH_MEASURES-} BENCH_SUBJECTS=${BENCH_SUBJECTS-}
if [ ${#parts[@]} -eq 0 ]; then
    parts=("${all[@]}")
    : "${rounds:=3}"
fi
: "${rounds:=5}"
mkdir -p "$results"
for part in "${parts[@]}"; do
    rm -f "$results/$part.tsv"
    "$part"
done
say "the rounds are in ${results#"$PWD/"}"
