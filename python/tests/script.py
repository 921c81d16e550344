"""The script language of tests/scripts/README.md: files, lines, words and escapes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ESCAPES = {"\\": "\\\\", " ": "\\s", "\n": "\\n", "\0": "\\0"}


def unescaped(word: str) -> bytes:
    plain = {escape.encode(): character.encode() for character, escape in ESCAPES.items()}
    plain[b"\\e"] = b""

    def byte(match: re.Match[bytes]) -> bytes:
        return bytes.fromhex(match[0][2:].decode()) if match[1] else plain[match[0]]

    return re.sub(rb"\\(?:(x..)|.)", byte, word.encode())


def escaped(value: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in value) or "\\e"


def text(word: str) -> str:
    form, _, rest = word.partition(":")
    count, _, character = rest.partition(":")
    return character * int(count) if form == "repeat" else unescaped(word).decode()


def number(word: str) -> int:
    return int(word, 16) if word.startswith("0x") else int(word)


def payload(word: str) -> bytes:
    form, _, value = word.partition(":")
    if form == "zeros":
        return bytes(int(value))
    return unescaped(value) if form == "text" else bytes.fromhex(value)


def shown(data: bytes) -> str:
    if len(data) > 64:
        return f"bytes:{len(data)}:{zlib.crc32(data):08x}"
    return f"hex:{data.hex()}" if data else "-"


class Words:
    """A command line: the positional words, and for each option its values."""

    def __init__(self, line: str, variables: dict[str, str]) -> None:
        self.words: list[str] = []
        self.options: dict[str, list[str]] = {}
        for word in line.split(" "):
            key, equals, value = word.partition("=") if "=" in word else ("", "", word)
            value = variables[value[1:]] if value.startswith("$") else value
            (self.options.setdefault(key, []) if equals else self.words).append(value)

    def __getitem__(self, place: int) -> str:
        return self.words[place]

    def get(self, key: str, default: str) -> str:
        return self.options.get(key, [default])[0]

    def keywords(self, **readers: tuple[str, Callable[[str], Any]]) -> dict[str, Any]:
        """The options that are given, as keyword arguments: name=(option, reader)."""
        given = ((name, *reader) for name, reader in readers.items())
        chosen = ((name, key, read) for name, key, read in given if key in self.options)
        return {name: read(self.options[key][0]) for name, key, read in chosen}


@dataclass
class Step:
    """A command, with the items of a batch, and the lines that it must print."""

    place: int
    command: list[str]
    expected: list[str] = field(default_factory=list)


def sections(path: Path) -> list[list[Step]]:
    found: list[list[Step]] = [[]]
    in_batch = False
    for place, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        if in_batch:
            in_batch = line != "end"
            found[-1][-1].command += [line] if in_batch else []
        elif line.startswith("== "):
            # What is before the first heading is a section only if it holds a command.
            found += [[]] if len(found) > 1 or found[0] else []
        elif line.startswith("= "):
            found[-1][-1].expected.append(line[2:])
        else:
            in_batch = line.split(" ")[0] in ("batch", "stage")
            found[-1].append(Step(place, [line]))
    return found
