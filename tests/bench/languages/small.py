"""Appends per second from Python:

    appends.py DIR DURABLE WRITTEN BUFFERED BATCHES

the same work as src/main.rs does, in stores below DIR, which exists.
"""

import sys
import time
from pathlib import Path

import batpak

KIND = 0x1000
ENTITIES = [f"entity:{number:03}" for number in range(1000)]
PAYLOAD = bytes(range(256))


def batch() -> list[batpak.NewEvent]:
    return [batpak.NewEvent(entity, "bench", PAYLOAD, kind=KIND) for entity in ENTITIES]


def single(store: batpak.Store, count: int) -> int:
    for number in range(count):
        store.append(ENTITIES[number % len(ENTITIES)], "bench", PAYLOAD, kind=KIND)
    return count


def batches(store: batpak.Store, count: int) -> int:
    for _ in range(count):
        store.append_batch(batch())
    return count * len(ENTITIES)


def main(directory: Path, durable: int, written: int, buffered: int, batched: int) -> None:
    for name, durability, append, count in (
        ("durable append", "durable", single, durable),
        ("written append", "written", single, written),
        ("buffered append", "buffered", single, buffered),
        ("durable batches of 1,000", "durable", batches, batched),
    ):
        with batpak.Store(directory / name, durability=durability) as store:
            store.append_batch(batch(), durability="durable")
            started = time.perf_counter()
            events = append(store, count)
            store.flush()
            rate = events / (time.perf_counter() - started)
        print("Python", name, "per second", rate, sep="\t")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
