#!/usr/bin/env bash
# The programs in the README are the example files, and all of them print the same.
#
#   examples.sh    after the other suites have built and installed what the languages need
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

passed=0 failed=0
verdict() {
    if "${@:2}"; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAIL $1" >&2
    fi
}

python3 - <<'CHECK' || failed=$((failed + 1))
import pathlib, re, sys
readme = pathlib.Path("README.md").read_text()
shown = re.findall(r"^\[(\S+/examples/\S+)\]\(\S+\)\n\n```\w+\n(.*?)\n```$", readme, re.M | re.S)
wrong = [path for path, text in shown if pathlib.Path(path).read_text().rstrip() != text]
print(f"README: {len(shown)} programs")
sys.exit(f"FAIL README: not the file: {wrong}" if wrong or len(shown) != 5 else 0)
CHECK

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
library=${CARGO_TARGET_DIR:-target}/release/libbatpak.a
libraries="-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc"
warnings="-Wall -Wextra -pedantic -Werror -Iinclude"
# shellcheck disable=SC2086 -- the flags are words.
{
    cc -std=c99 $warnings ffi/examples/quickstart.c "$library" $libraries -o "$scratch/c"
    c++ -std=c++17 $warnings -Ibindings/cpp bindings/cpp/examples/quickstart.cpp "$library" \
        $libraries -o "$scratch/cpp"
}
mkdir -p "$scratch/node/node_modules"
ln -s "$PWD/node" "$scratch/node/node_modules/batpak"
cp node/examples/quickstart.mjs "$scratch/node"
printf '%s\n' '0 0x1001 2 apples' '1 0x1002 3.20' '2 events, intact' >"$scratch/expected"

prints() { "${@:2}" "$scratch/store-$1" | diff "$scratch/expected" -; }
verdict C prints c "$scratch/c"
verdict C++ prints cpp "$scratch/cpp"
verdict Python prints python .build/venv/bin/python python/examples/quickstart.py
verdict Node prints node node "$scratch/node/quickstart.mjs"
verdict Rust prints rust cargo run --quiet --release -p batpak-core --example quickstart --
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
