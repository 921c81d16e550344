#!/usr/bin/env bash
# Builds the processes of the follow test, and has so many events written and followed.
#
#   run.sh [EVENTS] [seed=N]
#
# Without EVENTS: 100000. The Python package has to be installed, and the Node package built:
# python/check.sh and node/check.sh do so. PYTHON and NODE name other interpreters, LANGUAGES fewer
# followers than "rust c python node".
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
python=${PYTHON:-$root/.build/venv/bin/python}
node=${NODE:-node}

events=100000
case ${1:-} in
'' | *=*) ;;
*) events=$1 && shift ;;
esac

cd "$root"
packages=(-p batpak-follow)
followers=()
for language in ${LANGUAGES:-rust c python node}; do
    case $language in
    rust) followers+=("rust=$target/release/batpak-follow-follower") ;;
    c)
        packages+=(-p batpak-ffi)
        followers+=("c=$target/follow/follower")
        ;;
    python)
        "$python" -c 'import batpak' ||
            { echo "run.sh: the package is not installed in $python: run python/check.sh" >&2; exit 1; }
        followers+=("python=$python,$here/follower.py")
        ;;
    node)
        [ -e node/native.node ] ||
            { echo "run.sh: node/native.node is missing: run node/check.sh" >&2; exit 1; }
        followers+=("node=$node,$here/follower.mjs")
        ;;
    *)
        echo "run.sh: there is no follower in $language" >&2
        exit 1
        ;;
    esac
done

cargo build --quiet --release "${packages[@]}"
if [[ " ${followers[*]} " == *" c="* ]]; then
    mkdir -p "$target/follow"
    "${CC:-cc}" -std=c99 -g -O1 -Wall -Wextra -pedantic -Werror -Iinclude "$here/follower.c" \
        -L"$target/release" -lbatpak -Wl,-rpath,"$target/release" -o "$target/follow/follower"
fi
exec "$target/release/batpak-follow" "$events" "writer=$target/release/batpak-follow-writer" \
    "${followers[@]}" "$@"
