#!/usr/bin/env python3
"""Compares the binary interface of include/batpak.h with the committed one, cmake/batpak.abi.

A library whose functions do nothing is compiled from the header with the C compiler, so that the
description holds what C sees and nothing of Rust. What may differ: functions that were added, and
fields at the end of structs that begin with their size. With BATPAK_BLESS=1 in the environment the
committed description is written instead. Needs the programs abidw and abidiff.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = ROOT / "include" / "batpak.h"
BASELINE = ROOT / "cmake" / "batpak.abi"


def stub(header: str) -> str:
    """Every function with an empty body, and a function for each enum, which as a parameter is
    an int32_t and would not be seen."""
    declarations = re.findall(r"\nBATPAK_API\n([^;]+);", header)
    enums = re.findall(r"\nenum (batpak_\w+)", header)
    functions = [f"{declaration} {{ return 0; }}" for declaration in declarations]
    anchors = [f"void batpak__anchor_{name}(enum {name} value) {{ (void)value; }}" for name in enums]
    return "\n".join(['#include "batpak.h"', *functions, *anchors, ""])


def growing_structs(header: str) -> list[str]:
    """The structs that begin with their size."""
    structs = re.findall(r"\ntypedef struct (batpak_\w+) \{(.*?)\n\}", header, re.DOTALL)
    uncommented = [(name, re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)) for name, body in structs]
    return [name for name, body in uncommented if body.split(";")[0].split()[-1] == "struct_size"]


def main() -> int:
    for program in ("abidw", "abidiff"):
        if shutil.which(program) is None:
            print(f"abi.py: {program} is missing; install the package abigail-tools", file=sys.stderr)
            return 1
    header = HEADER.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="batpak-abi-") as scratch:
        source = pathlib.Path(scratch, "stub.c")
        library = pathlib.Path(scratch, "libbatpak.so.0")
        found = pathlib.Path(scratch, "batpak.abi")
        suppressions = pathlib.Path(scratch, "suppressions")
        source.write_text(stub(header), encoding="utf-8")
        suppressions.write_text(
            "[suppress_type]\n"
            f"name_regexp = ^({'|'.join(growing_structs(header))})$\n"
            "has_data_member_inserted_at = end\n",
            encoding="utf-8",
        )
        compiler = os.environ.get("CC", "cc")
        flags = ["-std=c99", "-g", "-shared", "-fPIC", "-Wl,-soname,libbatpak.so.0"]
        # From within the directory, so that its random name is not in the description.
        compile_stub = [compiler, *flags, "-I", str(HEADER.parent), source.name, "-o", library.name]
        subprocess.run(compile_stub, cwd=scratch, check=True)
        plain = ["--no-show-locs", "--no-comp-dir-path", "--no-corpus-path"]
        subprocess.run(["abidw", *plain, "--out-file", str(found), str(library)], check=True)
        if os.environ.get("BATPAK_BLESS"):
            shutil.copy(found, BASELINE)
        compare = ["abidiff", "--no-added-syms", "--suppressions", str(suppressions)]
        difference = subprocess.run([*compare, str(BASELINE), str(found)], check=False)
    if difference.returncode != 0:
        print("abi.py: programs compiled with an earlier header would break")
    print(f"abi: {int(difference.returncode == 0)} passed, {int(difference.returncode != 0)} failed")
    return int(difference.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
