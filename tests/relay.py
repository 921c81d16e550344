#!/usr/bin/env python3
"""Runs the relay scripts: one store, handed from language to language.

Each section of a script is named after a language and run by that language's runner, in a process
of its own, on the store that the sections before it left.

    relay.py --rust CMD --c CMD --cpp CMD --python CMD --node CMD [FILE...]

Without files, all of tests/scripts/relay-*.txt are run. The last line is `N passed, N failed`.
"""

import argparse
import pathlib
import shlex
import subprocess
import sys
import tempfile

LANGUAGES = ("rust", "c", "cpp", "python", "node")


def sections(script: pathlib.Path) -> list[str]:
    """The languages of a script's sections, in order."""
    lines = script.read_text(encoding="utf-8").splitlines()
    return [line[3:] for line in lines if line.startswith("== ")]


def relay(script: pathlib.Path, runners: dict[str, list[str]]) -> bool:
    """Runs a script's sections in one directory; stops at the first that fails."""
    languages = sections(script)
    if not languages:
        print(f"FAIL {script}: it has no sections")
        return False
    with tempfile.TemporaryDirectory(prefix="batpak-relay-") as directory:
        for number, language in enumerate(languages):
            if language not in runners:
                print(f"FAIL {script}: section {number} needs --{language}")
                return False
            command = [*runners[language], "--dir", directory, "--section", str(number), str(script)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            if done.returncode != 0:
                print(f"FAIL {script}: section {number} in {language}")
                print((done.stdout + done.stderr).rstrip())
                return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the relay scripts.")
    for language in LANGUAGES:
        parser.add_argument(f"--{language}", metavar="CMD", help=f"the runner for {language}")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    options = vars(parser.parse_args())
    given = {name: options[name] for name in LANGUAGES if options[name]}
    runners = {language: shlex.split(command) for language, command in given.items()}
    folder = pathlib.Path(__file__).resolve().parent / "scripts"
    files = options["files"] or sorted(folder.glob("relay-*.txt"))
    passed = [relay(script, runners) for script in files]
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    return 0 if files and all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
