#!/usr/bin/env bash
# Builds the parent and the workers of the kill test, and lets so many lives end.
#
#   run.sh [LIVES] [seed=N] [store=K]
#
# Without LIVES: 200. The Python package has to be installed, and the Node package built:
# python/check.sh and node/check.sh do so. PYTHON and NODE name other interpreters, LANGUAGES fewer
# workers than "rust c python node".
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
python=${PYTHON:-$root/.build/venv/bin/python}
node=${NODE:-node}

lives=200
case ${1:-} in
'' | *=*) ;;
*) lives=$1 && shift ;;
esac

cd "$root"
packages=(-p batpak-kill)
workers=()
for language in ${LANGUAGES:-rust c python node}; do
    case $language in
    rust) workers+=("rust=$target/release/batpak-kill-worker") ;;
    c)
        packages+=(-p batpak-ffi)
        workers+=("c=$target/kill/worker")
        ;;
    python)
        "$python" -c 'import batpak' ||
            { echo "run.sh: the package is not installed in $python: run python/check.sh" >&2; exit 1; }
        workers+=("python=$python,$here/worker.py")
        ;;
    node)
        [ -e node/native.node ] ||
            { echo "run.sh: node/native.node is missing: run node/check.sh" >&2; exit 1; }
        workers+=("node=$node,$here/worker.mjs")
        ;;
    *)
        echo "run.sh: there is no worker in $language" >&2
        exit 1
        ;;
    esac
done

cargo build --quiet --release "${packages[@]}"
if [[ " ${workers[*]} " == *" c="* ]]; then
    mkdir -p "$target/kill"
    # The libraries are those that `cargo rustc -p batpak-ffi -- --print native-static-libs` names.
    "${CC:-cc}" -std=c99 -g -O1 -Wall -Wextra -pedantic -Werror -Iinclude "$here/worker.c" \
        "$target/release/libbatpak.a" -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc \
        -o "$target/kill/worker"
fi
exec "$target/release/batpak-kill" "$lives" "${workers[@]}" "$@"
