#!/usr/bin/env bash
# Installs what the builds and tests need beyond Rust, Python 3, Node and a C compiler.
#
#   tools/setup.sh [PART]...
#
#   base     cargo, rustc, cc and python3 (only looked for)
#   cmake    a C++ compiler, cmake, ninja and pkg-config
#   python   maturin and what the tests of the Python package and the charts use
#   node     node and npm (only looked for)
#   check    valgrind, abidw and strace
#   all      all of these; the default
#
# Python programs go to .build/venv; callers put .build/venv/bin at the end of PATH. System
# packages are installed by apt when this runs as root; otherwise the error names them. A part that
# is done costs nothing the next time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cmake_tools=(cmake==4.4.4 ninja==1.13.2)
python_tools=(maturin==1.16.0 mypy==2.4.1 pytest==9.2.0 blake3==1.0.11 matplotlib==3.11.2)
minimum_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
minimum_python=3.11 minimum_node=20 minimum_cmake=3.21

say() { echo "setup: $*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# at_least MINIMUM VERSION
at_least() { [ "$(printf '%s\n' "$@" | sort -V | head -n 1)" = "$1" ]; }

version_of() { "$1" --version | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1; }

# require COMMAND MINIMUM NAME: the command is there, in a version of at least MINIMUM.
require() {
    have "$1" || die "$1 is missing: install $3 $2 or later and run this again"
    at_least "$2" "$(version_of "$1")" ||
        die "$1 is version $(version_of "$1"): install $3 $2 or later and run this again"
}

# packages NAME...: installs Debian packages, or says that they are missing.
packages() {
    [ $# -gt 0 ] || return 0
    have apt-get && [ "$(id -u)" = 0 ] ||
        die "missing system packages: $* (as root: apt-get install $*)"
    say "apt-get install $*"
    local install=(apt-get install -qq -y --no-install-recommends "$@")
    export DEBIAN_FRONTEND=noninteractive
    # The package lists of a fresh image are empty or too old; they are fetched only when needed.
    "${install[@]}" >"$log" 2>&1 ||
        { apt-get update -qq && "${install[@]}"; } >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; die "apt-get could not install: $*"; }
}

# pip_install REQUIREMENT...: into .build/venv, which is made when it is not there.
pip_install() {
    # The programs in it hold its path; after the checkout has moved, it is made anew.
    if ! grep -qs "^#!$PWD/.build/venv/" .build/venv/bin/pip; then
        python3 -c 'import ensurepip, venv' 2>/dev/null || packages python3-venv
        say "python3 -m venv .build/venv"
        python3 -m venv --clear .build/venv
    fi
    say "pip install $*"
    .build/venv/bin/python -m pip install --quiet --disable-pip-version-check "$@" >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; die "pip could not install: $*"; }
}

set_up_base() {
    have cc || packages gcc libc6-dev
    require cargo "$minimum_rust" Rust
    require rustc "$minimum_rust" Rust
    require python3 "$minimum_python" Python
}

set_up_cmake() {
    local missing=()
    have c++ || missing+=(g++)
    have pkg-config || missing+=(pkg-config)
    packages "${missing[@]}"
    if ! { have cmake && at_least "$minimum_cmake" "$(version_of cmake)" && have ninja; }; then
        pip_install "${cmake_tools[@]}"
    fi
}

set_up_python() {
    pip_install "${python_tools[@]}"
}

set_up_node() {
    require node "$minimum_node" Node
    have npm || die "npm is missing: install it and run this again"
}

set_up_check() {
    local missing=()
    have valgrind || missing+=(valgrind)
    have abidw || missing+=(abigail-tools)
    have strace || missing+=(strace)
    packages "${missing[@]}"
}

[ $# -gt 0 ] || set -- all
parts=()
for part in "$@"; do
    case $part in
        all) parts=(base cmake python node check) ;;
        base | cmake | python | node | check) parts+=("$part") ;;
        *) die "unknown part '$part'; the parts are base, cmake, python, node, check, all" ;;
    esac
done

mkdir -p .build
log=$PWD/.build/setup.log
# Two builds that start together must not fill the same folder.
exec 9>.build/setup.lock
flock 9
[ -x .build/venv/bin/python ] || rm -f .build/done.*
key=$(pwd; sha256sum tools/setup.sh)
for part in base "${parts[@]}"; do
    [ "$(cat ".build/done.$part" 2>/dev/null)" = "$key" ] && continue
    "set_up_$part"
    echo "$key" >".build/done.$part"
done
