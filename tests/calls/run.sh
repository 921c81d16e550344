#!/usr/bin/env bash
# Counts the system calls of appends and reads, and compares them with what is promised.
#
#   run.sh
#
# Needs strace, which `tools/setup.sh check` installs. Every sync takes some milliseconds longer than
# it needs, so that threads that append at once do meet in a group, however fast the disk is.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

command -v strace >/dev/null || {
    echo "run.sh: strace is missing; install the package strace" >&2
    exit 1
}
cd "$root"
cargo build --quiet --release -p batpak-tests --bin calls
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
strace --follow-forks --decode-fds=path --string-limit=64 --quiet=all \
    --inject=fdatasync:delay_enter=2000 --output="$scratch/trace" \
    "$target/release/calls" "$scratch" >/dev/null
python3 "$here/check.py" "$scratch/trace"
