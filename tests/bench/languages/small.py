"""The small set of workloads from Python:

    small.py DIR SUBJECT...

the same work as src/small.rs does, in stores below DIR, which exists. A subject is `Python` or
`batpak`, which are the same, `sqlite3`, `lmdb` or `eventsourcing`. The environment selects as
src/selection.rs says.
"""

import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import UUID

KINDS = 4
ENTITIES = [f"entity:{number // 10:02}:{number % 10}" for number in range(1000)]
PAYLOAD = bytes(range(256))
# Events as (entity, kind), in the order in which they are appended, again and again.
CYCLE = [
    (ENTITIES[number % 1000], (number % 1000 + number // 1000) % KINDS)
    for number in range(KINDS * 1000)
]
# Safety, events in an append, events.
APPENDS = [
    ("durable", 1, 300),
    ("durable", 1000, 30_000),
    ("written", 1, 30_000),
    ("written", 1000, 100_000),
    ("buffered", 1, 60_000),
    ("buffered", 1000, 100_000),
]
READ_EVENTS, READS, STREAMS = 100_000, 20_000, 50

Payloads = list[bytes]


class Batpak:
    """The package itself."""

    def __init__(self, path: Path, safety: str) -> None:
        import batpak

        self.batpak = batpak
        self.store = batpak.Store(path, durability=safety)

    def prepare(self, events: list[tuple[str, int]]) -> object:
        new = self.batpak.NewEvent
        return [new(entity, "bench", PAYLOAD, kind=0x1000 + kind) for entity, kind in events]

    def append(self, entity: str, kind: int) -> None:
        self.store.append(entity, "bench", PAYLOAD, 0x1000 + kind)

    def append_batch(self, prepared: object) -> None:
        self.store.append_batch(prepared)

    def append_payloads(self, entity: str, payloads: list[bytes]) -> None:
        self.store.append_payloads(entity, "bench", payloads, 0x1000)

    def flush(self) -> None:
        self.store.flush()

    def ids(self) -> list[str]:
        return [event.id for event in self.store.read()]

    def get(self, id: str) -> bytes:
        return self.store.get(id).payload

    def scan(self) -> Iterable[bytes]:
        return (event.payload for event in self.store.read())

    def columns(self) -> Iterable[tuple[int, memoryview]]:
        """Pages: how many events, and their payloads one behind the other."""
        return ((len(page), page.payloads) for page in self.store.read().packed())

    def stream(self, entity: str) -> Iterable[bytes]:
        return (event.payload for event in self.store.read(entity=entity))

    def close(self) -> None:
        self.store.close()


class Ledger:
    """What the other stores need that give no sequences, clocks and ids."""

    def __init__(self) -> None:
        self.sequence = 0
        self.clocks: dict[str, int] = defaultdict(int)

    def place(self, entity: str) -> tuple[int, bytes, int]:
        sequence, clock = self.sequence, self.clocks[entity]
        self.sequence += 1
        self.clocks[entity] += 1
        return sequence, random.getrandbits(128).to_bytes(16), clock


class NoBatches:
    """What has nothing to prepare and nothing to flush."""

    def prepare(self, events: list[tuple[str, int]]) -> object:
        return events

    def flush(self) -> None:
        pass


class Sqlite3(NoBatches):
    """The module of the standard library, with the table of src/peers/sqlite.rs but for hashes."""

    def __init__(self, path: Path, safety: str) -> None:
        import sqlite3

        self.ledger = Ledger()
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript(f"""
            PRAGMA journal_mode = WAL;
            PRAGMA synchronous = {"FULL" if safety == "durable" else "NORMAL"};
            PRAGMA cache_size = -65536;
            PRAGMA mmap_size = 4294967296;
            CREATE TABLE IF NOT EXISTS events (
                sequence INTEGER PRIMARY KEY,
                id BLOB NOT NULL UNIQUE,
                entity TEXT NOT NULL,
                clock INTEGER NOT NULL,
                kind INTEGER NOT NULL,
                payload BLOB NOT NULL,
                UNIQUE (entity, clock)
            ) STRICT""")

    INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)"

    def row(self, entity: str, kind: int) -> tuple[int, bytes, str, int, int, bytes]:
        sequence, id, clock = self.ledger.place(entity)
        return sequence, id, entity, clock, kind, PAYLOAD

    def append(self, entity: str, kind: int) -> None:
        self.connection.execute(self.INSERT, self.row(entity, kind))

    def append_batch(self, events: list[tuple[str, int]]) -> None:
        self.connection.execute("BEGIN")
        self.connection.executemany(self.INSERT, (self.row(*event) for event in events))
        self.connection.execute("COMMIT")

    def select(self, what: str, parameters: tuple[object, ...] = ()) -> Iterable[bytes]:
        return (row[0] for row in self.connection.execute(f"SELECT {what}", parameters))

    def ids(self) -> list[bytes]:
        return list(self.select("id FROM events ORDER BY sequence"))

    def get(self, id: bytes) -> bytes:
        return next(iter(self.select("payload FROM events WHERE id = ?", (id,))))

    def scan(self) -> Iterable[bytes]:
        return self.select("payload FROM events ORDER BY sequence")

    def stream(self, entity: str) -> Iterable[bytes]:
        return self.select("payload FROM events WHERE entity = ? ORDER BY clock", (entity,))

    def close(self) -> None:
        self.connection.close()


class Lmdb(NoBatches):
    """py-lmdb, with the three tables of src/peers/lmdb.rs but for hashes."""

    def __init__(self, path: Path, safety: str) -> None:
        import lmdb

        self.ledger = Ledger()
        self.env = lmdb.open(str(path), map_size=1 << 30, max_dbs=3, sync=safety == "durable")
        self.events, self.by_id, self.by_stream = (
            self.env.open_db(name) for name in (b"events", b"ids", b"streams")
        )

    def append(self, entity: str, kind: int) -> None:
        self.append_batch([(entity, kind)])

    def append_batch(self, events: list[tuple[str, int]]) -> None:
        with self.env.begin(write=True) as transaction:
            put = transaction.put
            for entity, kind in events:
                sequence, id, clock = self.ledger.place(entity)
                key, name = sequence.to_bytes(8), entity.encode()
                stream = name + b"\0" + clock.to_bytes(4)
                record = id + clock.to_bytes(4) + bytes((kind, len(name))) + name + PAYLOAD
                put(key, record, db=self.events, append=True)
                taken = not put(id, key, db=self.by_id, overwrite=False)
                if taken or not put(stream, key, db=self.by_stream, overwrite=False):
                    raise ValueError("the id or the clock is taken")

    @staticmethod
    def payload(record: bytes) -> bytes:
        return record[22 + record[21] :]

    def ids(self) -> list[bytes]:
        with self.env.begin() as transaction:
            return [value[:16] for _, value in transaction.cursor(self.events)]

    def get(self, id: bytes) -> bytes:
        with self.env.begin() as transaction:
            return self.payload(transaction.get(transaction.get(id, db=self.by_id), db=self.events))

    def scan(self) -> Iterable[bytes]:
        with self.env.begin() as transaction:
            for _, value in transaction.cursor(self.events):
                yield self.payload(value)

    def stream(self, entity: str) -> Iterable[bytes]:
        prefix = entity.encode() + b"\0"
        with self.env.begin() as transaction:
            cursor = transaction.cursor(self.by_stream)
            cursor.set_range(prefix)
            for key, sequence in cursor:
                if not key.startswith(prefix):
                    break
                yield self.payload(transaction.get(sequence, db=self.events))

    def close(self) -> None:
        self.env.sync(True)
        self.env.close()


class EventSourcing(NoBatches):
    """The recorder over SQLite of the library eventsourcing, which syncs each transaction. It has
    no ids of events."""

    def __init__(self, path: Path, safety: str) -> None:
        from eventsourcing.persistence import StoredEvent
        from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

        self.stored_event = StoredEvent
        self.names = {entity: UUID(int=number) for number, entity in enumerate(ENTITIES)}
        self.versions: dict[str, int] = defaultdict(int)
        self.datastore = SQLiteDatastore(str(path))
        self.recorder = SQLiteApplicationRecorder(self.datastore)
        self.recorder.create_table()

    def append(self, entity: str, kind: int) -> None:
        self.append_batch([(entity, kind)])

    def append_batch(self, events: list[tuple[str, int]]) -> None:
        rows = []
        for entity, kind in events:
            version = self.versions[entity]
            self.versions[entity] = version + 1
            rows.append(self.stored_event(self.names[entity], version, f"kind:{kind}", PAYLOAD))
        self.recorder.insert_events(rows)

    def scan(self) -> Iterable[bytes]:
        start: int | None = None
        while page := self.recorder.select_notifications(start, 1000, inclusive_of_start=False):
            yield from (event.state for event in page)
            start = page[-1].id

    def stream(self, entity: str) -> Iterable[bytes]:
        return (event.state for event in self.recorder.select_events(self.names[entity]))

    def close(self) -> None:
        self.datastore.close()


SUBJECTS: dict[str, Callable[[Path, str], object]] = {
    "Python": Batpak,
    "batpak": Batpak,
    "sqlite3": Sqlite3,
    "lmdb": Lmdb,
    "eventsourcing": EventSourcing,
}


def listed(variable: str) -> list[str]:
    return [part for part in os.environ.get(variable, "").split("|") if part]


def selected(subject: str, measure: str) -> bool:
    measures, subjects = listed("BENCH_MEASURES"), listed("BENCH_SUBJECTS")
    return (not measures or any(part in measure for part in measures)) and (
        not subjects or subject in subjects
    )


def show(subject: str, measure: str, events: int, seconds: float) -> None:
    print(subject, measure, "events per second", events / seconds, sep="\t")
    # Where the disk has no part in it, what counts is what a call or an event takes.
    if not measure.startswith(("durable", "written")):
        print(subject, f"{measure}, each", "ns", 1e9 * seconds / events, sep="\t")


def name_of(safety: str, batch: int) -> str:
    return f"{safety} append, 1 thread" if batch == 1 else f"{safety} batches of {batch:,}"


def append(log: object, batch: int, count: int) -> float:
    """Appends so many events, so many at once; gives the seconds it took."""
    if batch == 1:
        events = [CYCLE[number % len(CYCLE)] for number in range(count)]
        started = time.perf_counter()
        for entity, kind in events:
            log.append(entity, kind)
    else:
        batches = [log.prepare(CYCLE[at : at + batch]) for at in range(0, len(CYCLE), batch)]
        started = time.perf_counter()
        for number in range(count // batch):
            log.append_batch(batches[number % len(batches)])
    log.flush()
    return time.perf_counter() - started


def check(log: object, events: int) -> None:
    found = [bytes(payload) == PAYLOAD for payload in log.scan()]
    if (sum(found), len(found)) != (events, events):
        raise ValueError(f"{len(found)} events, {sum(found)} of them whole, of {events}")


def scattered(count: int, bound: int) -> list[int]:
    numbers = random.Random(1)
    return [numbers.randrange(bound) for _ in range(count)]


def read(work: Callable[[], Iterable[object]], expected: int) -> float:
    """Looks at each payload; gives the seconds it took."""
    started = time.perf_counter()
    seen = total = 0
    for payload in work():
        seen += 1
        total += payload[255]
    seconds = time.perf_counter() - started
    if (seen, total) != (expected, 255 * expected):
        raise ValueError(f"{seen} events were read where {expected} are")
    return seconds


def measure_reads(subject: str, directory: Path) -> None:
    per_entity = READ_EVENTS // len(ENTITIES)
    by_stream = f"one entity's {per_entity} events"
    measures = [name for name in ("read by id", "scan", by_stream) if selected(subject, name)]
    if not measures:
        return
    path = directory / f"{subject}, reads"
    log = SUBJECTS[subject](path, "written")
    append(log, 1000, READ_EVENTS)
    log.close()
    log = SUBJECTS[subject](path, "written")
    check(log, READ_EVENTS)
    for measure in measures:
        if measure == "scan":
            count, work = READ_EVENTS, log.scan
        elif measure == by_stream:
            names = [ENTITIES[at] for at in scattered(STREAMS, len(ENTITIES))]
            count = STREAMS * per_entity
            work = lambda: (payload for name in names for payload in log.stream(name))
        elif hasattr(log, "get"):
            all_ids = log.ids()
            ids = [all_ids[at] for at in scattered(READS, READ_EVENTS)]
            count, work = READS, lambda: map(log.get, ids)
        else:
            continue
        show(subject, measure, count, read(work, count))
    log.close()


def measure_packed(subject: str, directory: Path) -> None:
    """Many events in one call without an object for each, which batpak alone has."""
    measure = "buffered batches of 1,000 payloads of one entity"
    scan = "scan as columns"
    if not selected(subject, measure) and not selected(subject, scan):
        return
    log = Batpak(directory / f"{subject}, packed", "buffered")
    payloads, calls = [PAYLOAD] * 1000, 100
    started = time.perf_counter()
    for _ in range(calls):
        log.append_payloads(ENTITIES[0], payloads)
    log.flush()
    seconds = time.perf_counter() - started
    check(log, 1000 * calls)
    if selected(subject, measure):
        show(subject, measure, 1000 * calls, seconds)
    if selected(subject, scan):
        seen = total = 0
        started = time.perf_counter()
        for events, bytes_of_page in log.columns():
            seen += events
            total += bytes_of_page[-1]
        show(subject, scan, seen, time.perf_counter() - started)
        if seen != 1000 * calls or total == 0:
            raise ValueError(f"{seen} events were read")
    log.close()


def main(directory: Path, subjects: list[str]) -> None:
    for safety, batch, count in APPENDS:
        for subject in subjects:
            measure = name_of(safety, batch)
            if not selected(subject, measure) or (
                # It syncs in any case.
                subject == "eventsourcing" and safety != "durable"
            ):
                continue
            log = SUBJECTS[subject](directory / f"{subject}, {measure}", safety)
            append(log, 1000, 1000)
            show(subject, measure, count, append(log, batch, count))
            check(log, 1000 + count)
            log.close()
    for subject in subjects:
        if SUBJECTS[subject] is Batpak:
            measure_packed(subject, directory)
        measure_reads(subject, directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
