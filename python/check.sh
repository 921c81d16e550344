#!/usr/bin/env bash
# Installs the package into a virtual environment and checks it there.
#
#   python/check.sh [VENV]
#
# Without VENV it is .build/venv, which tools/setup.sh makes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

python=${1:-../.build/venv}/bin/python
[ -x "$python" ] || { echo "$python is missing: run tools/setup.sh python" >&2; exit 1; }
python=$(realpath -s "$python")
# Every build of the workspace shares one target directory, wherever pip builds from.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$(realpath -m ../target)}

"$python" -m pip install --quiet --disable-pip-version-check .
"$python" -m mypy batpak examples tests
# Not from here, where the folder of the package hides the package that was installed.
cd tests
"$python" -m mypy.stubtest batpak
"$python" -m pytest --quiet
"$python" runner.py ../../tests/scripts/*.txt
