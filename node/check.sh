#!/usr/bin/env bash
# Builds the package, checks its types, and runs its tests and the behaviour scripts.
#
#   node/check.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$(realpath -m ../target)}

# The lock file has to serve every registry and mirror.
if grep -n '://' package-lock.json; then
    echo "package-lock.json names a host: see .npmrc" >&2
    exit 1
fi
npm ci --no-audit --no-fund
npm run --silent types
node --test --test-reporter=spec test/*.test.mjs

# As somebody else's dependency, from a folder of its own.
consumer=$(mktemp -d)
trap 'rm -rf "$consumer"' EXIT
package=$PWD
(
    cd "$consumer"
    echo '{ "private": true }' >package.json
    npm install --no-audit --no-fund "$package"
    node -e "if (require('batpak').errorKinds.length !== 22) process.exit(1)"
    cp "$package/examples/quickstart.mjs" .
    node quickstart.mjs store | tail -n 1 | grep -q ', intact$'
    node quickstart.mjs store | tail -n 1 | grep -q ', intact$'
)

node test/runner.mjs ../tests/scripts/*.txt
node test/runner.mjs --sync ../tests/scripts/*.txt
