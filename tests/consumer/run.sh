#!/usr/bin/env bash
# Installs batpak and uses it from projects outside the tree, in every documented way; looks at what
# the shared library exports. The last line is `N passed, N failed`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD

tools/setup.sh cmake check
PATH=$PATH:$root/.build/venv/bin
export CMAKE_GENERATOR=Ninja
cargo_target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

passed=0 failed=0
# check NAME COMMAND...: prints the output only when the command fails.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok   $name"
    else
        failed=$((failed + 1))
        echo "FAIL $name"$'\n'"$output"
    fi
}

# ------------------------------------------------------------------------------- the installation

cmake -S . -B target/consumer -DBATPAK_CARGO_TARGET_DIR="$cargo_target" >/dev/null
cmake --build target/consumer
cmake --install target/consumer --prefix "$scratch/installed" >/dev/null
# What is installed must not know where it was installed to.
prefix=$scratch/moved
mv "$scratch/installed" "$prefix"
libdir=$(dirname "$(find "$prefix" -name libbatpak.so)")
library=$libdir/libbatpak.so
cp tests/consumer/main.c tests/consumer/main.cpp tests/consumer/CMakeLists.txt "$scratch"
cd "$scratch"

exports_exactly_the_listed_symbols() {
    diff <(sed 's/$/@@BATPAK_0/' "$root/cmake/batpak.symbols" | sort) \
        <(nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | sort)
}
has_soname() {
    readelf -d "$library" | grep -F 'soname: [libbatpak.so.0]'
}
has_links() {
    [ "$(readlink "$libdir/libbatpak.so")" = libbatpak.so.0 ] &&
        [ "$(readlink "$libdir/libbatpak.so.0")" = "libbatpak.so.$version" ]
}
check "exports: the listed functions, as version BATPAK_0" exports_exactly_the_listed_symbols
check "soname: libbatpak.so.0" has_soname
check "links: libbatpak.so, libbatpak.so.0" has_links

# --------------------------------------------------------------------------------- the consumers

# run PROGRAM...: each time in a directory of its own.
run() {
    "$@" "$(mktemp -d -p "$scratch")/store"
}
memcheck() {
    # Only what is lost for certain: what Rust knows of the main thread stays until the end, and
    # only a pointer into it is kept.
    run valgrind --quiet --leak-check=full --show-leak-kinds=definite \
        --errors-for-leak-kinds=definite --error-exitcode=99 "$@"
}

sanitize=(-g -fsanitize=address,undefined -fno-sanitize-recover=all)
# with_cmake BUILD OPTION...
with_cmake() {
    local build=$1
    shift
    cmake -S . -B "$build" "$@" && cmake --build "$build"
}
package=(-DBATPAK_FROM=package -DCMAKE_PREFIX_PATH="$prefix")
source=(-DBATPAK_SOURCE="$root" -DBATPAK_CARGO_TARGET_DIR="$cargo_target")

check "find_package: builds" with_cmake package "${package[@]}" -DBATPAK_VERSION="${version%.*}"
check "find_package, sanitized: builds" with_cmake package-sanitized "${package[@]}" \
    -DCMAKE_C_FLAGS="${sanitize[*]}" -DCMAKE_CXX_FLAGS="${sanitize[*]}"
check "add_subdirectory: builds" with_cmake subdirectory -DBATPAK_FROM=subdirectory "${source[@]}"
check "FetchContent: builds" with_cmake content -DBATPAK_FROM=content "${source[@]}"
for program in shared static cpp; do
    for build in package package-sanitized subdirectory content; do
        check "$build: $program runs" run "$build/$program"
    done
    check "package: $program runs under valgrind" memcheck "package/$program"
done

# Before 1.0 a package of another minor version does not do.
refuses_other_versions() {
    ! cmake -S . -B other "${package[@]}" -DBATPAK_VERSION=0.0 &&
        ! cmake -S . -B other "${package[@]}" -DBATPAK_VERSION=999.0
}
check "find_package: refuses other versions" refuses_other_versions

export PKG_CONFIG_PATH=$libdir/pkgconfig
shared_flags=$(pkg-config --cflags --libs batpak)" -Wl,-rpath,$libdir"
static_flags=$(pkg-config --static --cflags --libs batpak)
# with_flags PROGRAM FLAGS OPTION...: FLAGS are several words, as pkg-config prints them.
with_flags() {
    local program=$1 flags=$2
    shift 2
    # shellcheck disable=SC2086
    cc -std=c99 -Wall -Wextra -Wpedantic -Werror "$@" main.c $flags -o "$program"
}
check "pkg-config: builds" with_flags pc-shared "$shared_flags"
check "pkg-config, sanitized: builds" with_flags pc-shared-sanitized "$shared_flags" \
    "${sanitize[@]}"
check "pkg-config --static: builds, wholly static" with_flags pc-static "$static_flags" -static
# The sanitizers and valgrind need a shared libc: only batpak is linked statically for them.
archive_flags=${static_flags/-lbatpak/-l:libbatpak.a}
check "pkg-config --static: builds" with_flags pc-archive "$archive_flags"
check "pkg-config --static, sanitized: builds" with_flags pc-archive-sanitized "$archive_flags" \
    "${sanitize[@]}"
for program in pc-shared pc-shared-sanitized pc-static pc-archive pc-archive-sanitized; do
    check "$program runs" run "./$program"
done
# A flag that got lost would make the sanitized programs pass for nothing.
for program in package-sanitized/{shared,static,cpp} pc-{shared,archive}-sanitized; do
    check "$program has the sanitizers" grep -q __asan_init "$program"
done
for program in pc-shared pc-archive; do
    check "$program runs under valgrind" memcheck "./$program"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
