#!/usr/bin/env bash
# Builds the C++ tests below target/cpp and runs them; the last line is `N passed, N failed`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools/setup.sh cmake
PATH=$PATH:$PWD/.build/venv/bin
build=target/cpp
cmake -G Ninja -S . -B "$build" -DBATPAK_TESTS=ON \
    -DBATPAK_CARGO_TARGET_DIR="$(realpath -m "${CARGO_TARGET_DIR:-target}")" >/dev/null
cmake --build "$build"

# Each program ends with a line of counts and a status that fits it; otherwise it has failed itself.
passed=0 failed=0
run() {
    echo "== $1"
    local output status=0
    output=$("$@") || status=$?
    echo "$output"
    if [[ $output =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] &&
        [ $status = $((BASH_REMATCH[2] > 0)) ]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    else
        failed=$((failed + 1))
    fi
}

run "$build/api"
run "$build/api_sanitized"
run "$build/runner" tests/scripts/*.txt
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
