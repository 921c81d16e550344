#!/usr/bin/env python3
"""Compares the table of error kinds of every language with that of every other.

Each runner is given a script that asks for the table and expects nothing, so that it shows what
it found. Names, numbers and retry classes must be the same everywhere.

    error-table.py --rust CMD --c CMD --cpp CMD --python CMD --node CMD
"""

import argparse
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

LANGUAGES = ("rust", "c", "cpp", "python", "node")
ROW = re.compile(r"\b(\d+) ([A-Z_]+) (NEVER|LATER|AFTER_READING|AFTER_REOPENING)\b")


def table(command: str, script: pathlib.Path) -> list[str]:
    """The rows that a runner finds, as text."""
    done = subprocess.run(
        [*shlex.split(command), str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [" ".join(row) for row in ROW.findall(done.stdout)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the error kinds of all languages.")
    for language in LANGUAGES:
        parser.add_argument(f"--{language}", metavar="CMD", required=True)
    options = vars(parser.parse_args())
    with tempfile.TemporaryDirectory(prefix="batpak-errors-") as directory:
        script = pathlib.Path(directory) / "kinds.txt"
        script.write_text("kinds\n", encoding="utf-8")
        tables = {language: table(options[language], script) for language in LANGUAGES}

    differences = 0
    first = LANGUAGES[0]
    for language in LANGUAGES[1:]:
        for row in sorted(set(tables[first]) ^ set(tables[language])):
            differences += 1
            print(f"only in {first if row in tables[first] else language}: {row}")
        differences += tables[first] != tables[language]
    kinds = len(tables[first])
    if differences or not kinds:
        sizes = ", ".join(f"{language} {len(rows)}" for language, rows in tables.items())
        print(f"error kinds differ ({sizes})")
        return 1
    print(f"{kinds} error kinds, the same in {', '.join(LANGUAGES)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
