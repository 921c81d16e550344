"""The follower in Python. README.md says what a follower checks and says."""

import struct
import sys
import time
from typing import NoReturn

import batpak

PLACE = struct.Struct("<III")


def say(line: object) -> None:
    print(line, flush=True)


def open_when_there(path: str) -> batpak.Store:
    absent = False
    while True:
        try:
            return batpak.Store(path, mode="read_only")
        except batpak.NotFoundError:
            if not absent:
                say("absent")
            absent = True
            time.sleep(0.005)


def fail(what: str) -> NoReturn:
    sys.exit(what)


def main(path: str, hashes_path: str, total: int) -> None:
    store = open_when_there(path)
    say("open")
    seen = visible = 0
    batch, index, size = -1, 0, 1
    clocks: dict[str, int] = {}
    with open(hashes_path, "wb") as hashes:
        for event in store.follow():
            if seen == visible:
                visible = store.frontier().visible
            if event.sequence != seen:
                fail(f"{event.sequence} follows {seen} events")
            place = PLACE.unpack_from(event.payload)
            goes_on = index + 1 < size
            expected = (batch, index + 1, size) if goes_on else (batch + 1, 0, place[2])
            batch, index, size = place
            if place != expected or index >= size:
                fail(f"event {seen} is out of its batch")
            clock = clocks.get(event.entity, 0)
            if event.clock != clock:
                fail(f"event {seen} has not clock {clock}")
            clocks[event.entity] = clock + 1
            hashes.write(event.hash)
            seen += 1
            if seen == visible:
                if index + 1 != size:
                    fail(f"{seen} visible events end inside a batch")
                say(seen)
            if seen >= total:
                break

    sys.stdin.read()
    store.refresh()
    head = store.head()
    say(f"end {head.events} {head.root.hex()}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
