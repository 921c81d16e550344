"""Identical work on batpak, sqlite3 and lmdb, from Python: interleaved rounds, medians, ratios.

    python bench/peers.py [--rounds N] [--events N] [--directory DIR]

Needs the packages batpak and lmdb. Every event has an entity, a payload of 256 bytes and, in batpak
and in SQLite, an id, a clock and indexes over both; LMDB maps a sequence to the payload. "written"
means that a killed process loses nothing: SQLite in WAL with synchronous=NORMAL, LMDB without sync.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sqlite3
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb

import batpak

PAYLOAD = bytes(range(256))
BATCH = 1000
KIND = 0x1001
ENTITY, SCOPE = "order:42", "shop"


class Batpak:
    """One stream of a batpak store."""

    def __init__(self, path: Path, durable: bool) -> None:
        self.store = batpak.Store(path, durability="durable" if durable else "written")

    def append(self) -> None:
        self.store.append(ENTITY, SCOPE, PAYLOAD, KIND)

    def append_batch(self) -> None:
        self.store.append_payloads(ENTITY, SCOPE, [PAYLOAD] * BATCH, KIND)

    def append_async(self, count: int) -> None:
        async def append() -> None:
            futures = [
                self.store.append_async(ENTITY, SCOPE, PAYLOAD, KIND) for _ in range(count)
            ]
            await asyncio.gather(*futures)

        asyncio.run(append())

    def scan(self) -> int:
        return sum(len(bytes(event)) for event in self.store.read())

    def scan_backward(self) -> int:
        return sum(len(bytes(event)) for event in self.store.read(backward=True))

    def scan_packed(self) -> int:
        return sum(len(page.payloads) for page in self.store.read().packed())

    def read(self, sequence: int) -> None:
        bytes(self.store.at(sequence) or b"")

    def close(self) -> None:
        self.store.close()


class Sqlite:
    """A table with the same columns and indexes."""

    def __init__(self, path: Path, durable: bool) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self.connection.execute(
            "CREATE TABLE event (sequence INTEGER PRIMARY KEY, id BLOB UNIQUE, entity TEXT,"
            " scope TEXT, kind INTEGER, clock INTEGER, payload BLOB, UNIQUE (entity, clock))"
        )
        self.events = 0

    def rows(self, count: int) -> Iterator[tuple[object, ...]]:
        for _ in range(count):
            number, self.events = self.events, self.events + 1
            yield number, struct.pack(">QQ", 0, number), ENTITY, SCOPE, KIND, number, PAYLOAD

    def append(self) -> None:
        (row,) = self.rows(1)
        self.connection.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def append_batch(self) -> None:
        self.connection.execute("BEGIN")
        rows = self.rows(BATCH)
        self.connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self.connection.execute("COMMIT")

    def scan(self, order: str = "ASC") -> int:
        rows = self.connection.execute(f"SELECT payload FROM event ORDER BY sequence {order}")
        return sum(len(payload) for (payload,) in rows)

    def scan_backward(self) -> int:
        return self.scan("DESC")

    def read(self, sequence: int) -> None:
        query = "SELECT payload FROM event WHERE sequence = ?"
        self.connection.execute(query, (sequence,)).fetchone()

    def close(self) -> None:
        self.connection.close()


class Lmdb:
    """Sequences to payloads."""

    def __init__(self, path: Path, durable: bool) -> None:
        self.environment = lmdb.open(str(path), map_size=1 << 34, sync=durable)
        self.events = 0

    def put(self, count: int) -> None:
        with self.environment.begin(write=True) as transaction:
            for _ in range(count):
                transaction.put(struct.pack(">Q", self.events), PAYLOAD, append=True)
                self.events += 1

    def append(self) -> None:
        self.put(1)

    def append_batch(self) -> None:
        self.put(BATCH)

    def scan(self) -> int:
        with self.environment.begin() as transaction:
            return sum(len(payload) for _, payload in transaction.cursor())

    def scan_backward(self) -> int:
        with self.environment.begin() as transaction:
            cursor = transaction.cursor().iterprev()
            return sum(len(payload) for _, payload in cursor)

    def read(self, sequence: int) -> None:
        with self.environment.begin() as transaction:
            transaction.get(struct.pack(">Q", sequence))

    def close(self) -> None:
        self.environment.close()


Peer = Batpak | Sqlite | Lmdb
PEERS: dict[str, type[Peer]] = {"batpak": Batpak, "sqlite3": Sqlite, "lmdb": Lmdb}


def repeated(call: Callable[[], None], times: int) -> None:
    for _ in range(times):
        call()


def rate(events: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return events / (time.perf_counter() - start)


def appends(directory: Path, durable: bool, events: int) -> Iterator[tuple[str, str, float]]:
    """Rates of appends to fresh stores: workload, peer, events per second."""
    name = "durable" if durable else "written"
    singles = events // 500 if durable else events // 20
    for peer_name, make in PEERS.items():
        peer = make(directory / f"{name}-{peer_name}", durable)
        yield f"{name} append", peer_name, rate(singles, lambda: repeated(peer.append, singles))
        batches = events // BATCH
        work: Callable[[], None] = lambda: repeated(peer.append_batch, batches)
        yield f"{name} batches of {BATCH}", peer_name, rate(batches * BATCH, work)
        if isinstance(peer, Batpak):
            workload = f"{name}, {BATCH} awaited at once"
            yield workload, peer_name, rate(BATCH, lambda: peer.append_async(BATCH))
        peer.close()


def reads(filled: dict[str, Peer], events: int) -> Iterator[tuple[str, str, float]]:
    """Rates of reads of stores with so many events."""
    for name, peer in filled.items():
        for workload, work in (("scan", peer.scan), ("scan backward", peer.scan_backward)):
            yield workload, name, rate(events, work)
        if isinstance(peer, Batpak):
            yield "scan of packed pages", name, rate(events, peer.scan_packed)
        places = range(0, events, 97)
        read = peer.read
        yield "point read", name, rate(len(places), lambda: [read(place) for place in places])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--directory", type=Path, help="a place on the disk to be measured")
    options = parser.parse_args()
    events = max(options.events // BATCH, 1) * BATCH

    rates: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(dir=options.directory) as scratch:
        filled = {name: make(Path(scratch, name), False) for name, make in PEERS.items()}
        for peer in filled.values():
            repeated(peer.append_batch, events // BATCH)
        for _ in range(options.rounds):
            directory = Path(tempfile.mkdtemp(dir=scratch))
            for durable in (True, False):
                for workload, peer_name, found in appends(directory, durable, events):
                    rates.setdefault(workload, {}).setdefault(peer_name, []).append(found)
            shutil.rmtree(directory)
            for workload, peer_name, found in reads(filled, events):
                rates.setdefault(workload, {}).setdefault(peer_name, []).append(found)
        for peer in filled.values():
            peer.close()

    print(f"| events/s, medians of {options.rounds} rounds | {' | '.join(PEERS)} | to the best peer |")
    print("|---|" + "---|" * (len(PEERS) + 1))
    for workload, of_peer in rates.items():
        medians = {name: statistics.median(of_peer[name]) for name in of_peer}
        others = [value for name, value in medians.items() if name != "batpak"]
        cells = [f"{medians[name]:,.0f}" if name in medians else "–" for name in PEERS]
        ratio = f"{medians['batpak'] / max(others):.2f}×" if others else "–"
        print(f"| {workload} | {' | '.join(cells)} | {ratio} |")


if __name__ == "__main__":
    main()
