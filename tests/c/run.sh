#!/bin/sh
# Builds the C programs against libbatpak.a and runs them: the example, the misuse matrix, import and
# export, inspections, snapshots and forks, fences, compactions, repairs, what ends later than its call
# or with its process, and the behaviour scripts.
#
#   run.sh [plain|sanitize|valgrind|asan-rust]... [-- SCRIPT...]
#
#   plain      as they are; and batpak.h alone, in every standard of C and C++ that it promises
#   sanitize   C with AddressSanitizer and UndefinedBehaviorSanitizer
#   valgrind   under valgrind, leaks are errors
#   asan-rust  C and Rust with AddressSanitizer; builds the library once more
#
# Without a mode: plain. Without scripts: all of tests/scripts but the relay scripts. Nothing is
# written outside the target directory (CARGO_TARGET_DIR, or target at the root) and a temporary
# directory. CC and CXX name the compilers.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
flags="-std=c99 -g -O1 -Wall -Wextra -pedantic -Werror -I$root/include"
# What `cargo rustc -p batpak-ffi -- --print native-static-libs` names.
libraries="-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc"

modes=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    modes="$modes $1"
    shift
done
[ $# -eq 0 ] || shift
if [ $# -eq 0 ]; then
    for script in "$root"/tests/scripts/*.txt; do
        case $script in */relay-*) ;; *) set -- "$@" "$script" ;; esac
    done
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# build MODE LIBRARY COMPILER-AND-FLAGS: the programs, into target/c/MODE.
build() {
    out=$target/c/$1
    library=$2
    shift 2
    mkdir -p "$out"
    for source in "$root/ffi/examples/quickstart.c" "$here"/*.c; do
        # shellcheck disable=SC2086 -- the flags are words.
        "$@" $flags "$source" "$library" $libraries -o "$out/$(basename "$source" .c)"
    done
}

# run MODE PREFIX -- SCRIPT...: the programs, each behind the words of PREFIX.
run() {
    out=$target/c/$1
    prefix=$2
    shift 3
    $prefix "$out/quickstart" "$scratch/quickstart"
    for program in misuse interop inspect waiting ending copies fences compaction repair; do
        mkdir -p "$scratch/$program"
        $prefix "$out/$program" "$scratch/$program"
    done
    TMPDIR=$scratch $prefix "$out/runner" "$@"
    rm -rf "$scratch/quickstart" "$scratch/misuse" "$scratch/interop" "$scratch/inspect" \
        "$scratch/waiting" "$scratch/ending" "$scratch/copies" "$scratch/fences" \
        "$scratch/compaction" "$scratch/repair"
}

# The header included twice, and every _INIT macro used.
compile_header() {
    source=$scratch/header.c
    {
        echo '#include "batpak.h"'
        echo '#include "batpak.h"'
        sed -n 's/^#define BATPAK_\([A-Z_]*\)_INIT.*/\1/p' "$root/include/batpak.h" |
            tr '[:upper:]' '[:lower:]' |
            while read -r name; do
                macro=BATPAK_$(echo "$name" | tr '[:lower:]' '[:upper:]')_INIT
                echo "extern const batpak_$name a_$name; const batpak_$name a_$name = $macro;"
            done
    } >"$source"
    for standard in c99 c11 c17; do
        "${CC:-cc}" -std=$standard -Wall -Wextra -pedantic -Werror -I"$root/include" -c "$source" \
            -o "$scratch/header.o"
    done
    for standard in c++11 c++14 c++17 c++20; do
        "${CXX:-c++}" -x c++ -std=$standard -Wall -Wextra -pedantic -Werror -I"$root/include" \
            -c "$source" -o "$scratch/header.o"
    done
    echo "header: 7 passed, 0 failed"
}

for mode in ${modes:-plain}; do
    echo "c: $mode"
    case $mode in
    plain | sanitize | valgrind)
        cargo build --quiet --release -p batpak-ffi
        library=$target/release/libbatpak.a
        ;;
    esac
    case $mode in
    plain)
        compile_header
        build plain "$library" "${CC:-cc}"
        run plain "" -- "$@"
        ;;
    sanitize)
        build sanitize "$library" "${CC:-cc}" -fsanitize=address,undefined \
            -fno-sanitize-recover=all
        run sanitize "" -- "$@"
        ;;
    valgrind)
        command -v valgrind >/dev/null || {
            echo "run.sh: valgrind is missing; install the package valgrind" >&2
            exit 1
        }
        build valgrind "$library" "${CC:-cc}"
        options="--quiet --error-exitcode=99 --child-silent-after-fork=yes --leak-check=full"
        kinds="--show-leak-kinds=definite --errors-for-leak-kinds=definite"
        run valgrind "valgrind $options $kinds" -- "$@"
        ;;
    asan-rust)
        triple=$(rustc -vV | sed -n 's/^host: //p')
        RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer" \
            cargo build --quiet --target "$triple" -p batpak-ffi
        build asan-rust "$target/$triple/debug/libbatpak.a" "${CC:-cc}" -fsanitize=address
        run asan-rust "" -- "$@"
        ;;
    *)
        echo "run.sh: no mode $mode" >&2
        exit 1
        ;;
    esac
done
