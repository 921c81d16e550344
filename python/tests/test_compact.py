"""Compaction. What it does to events is in tests/scripts; here is how it is called, what functions may
do that it asks, and what ends it."""

import asyncio
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import batpak
from batpak import CompactProgress, CompactReport, Event, Keys, Retention, Store


@pytest.fixture
def filled(path: Path) -> Iterator[Store]:
    """Forty events in several segments, of two entities by turns."""
    with Store(path, seed=1, segment_bytes=4096) as store:
        for number in range(40):
            entity, scope = f"a:{number % 2}", f"s:{number % 4}"
            store.append(
                entity,
                scope,
                bytes([number]) * 300,
                0x1000 + number % 3,
                durability="written",
                lane=number % 2,
                timestamp_us=number,
            )
        yield store


def sequences(store: Store) -> list[int]:
    return [event.sequence for event in store.read()]


class Unchanged:
    """At the end of the block the store shows what it showed before, and has no leftovers."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __enter__(self) -> None:
        self.before = (self.store.head(), sequences(self.store))

    def __exit__(self, *_: object) -> None:
        store = self.store
        assert (store.head(), sequences(store)) == self.before
        assert store.verify().intact
        segments = [name for name in os.listdir(store.path) if ".fbat" in name]
        assert len(segments) == store.stats().segments


@pytest.mark.parametrize(
    ("retention", "left"),
    [
        (Retention(entity="a:1"), range(0, 40, 2)),
        (Retention(prefix="a"), []),
        (Retention(scope="s:3"), [n for n in range(40) if n % 4 != 3]),
        (Retention(kind=0x1001), [n for n in range(40) if n % 3 != 1]),
        (Retention(category=2), range(40)),
        (Retention(lane=1), range(0, 40, 2)),
        (Retention(clocks=(0, 4)), range(10, 40)),
        (Retention(before=30), range(30, 40)),
        (Retention(older_than_us=12), range(12, 40)),
        (Retention(older_than_us=datetime.fromtimestamp(1, UTC)), []),
        (Retention(newest_per_entity=3), range(34, 40)),
        (Retention(keep=lambda event: event.sequence > 38), [39]),
        (
            Retention(before=30, entity="a:0", newest_per_entity=15),
            [1, 3, 5, 7, 9, *range(10, 40)],
        ),
    ],
)
def test_rules(filled: Store, retention: Retention, left: Any) -> None:
    head = filled.head()
    report = filled.compact(retention=retention)
    assert sequences(filled) == list(left)
    assert report.events_dropped == 40 - len(left)
    assert filled.head() == head
    assert filled.stats().events == len(left)
    verify = filled.verify()
    assert verify.intact
    gone = (verify.dropped, verify.tombstones, verify.erased)
    assert (verify.events, *gone) == (40, 40 - len(left), 0, 0)


def test_without_a_retention_small_segments_are_joined(filled: Store) -> None:
    filled.close()
    with Store(filled.path, mode="existing") as store:
        with Unchanged(store):
            before = store.stats()
            report = store.compact()
            after = store.stats()
        assert report == CompactReport(
            segments_before=before.segments,
            segments_after=after.segments,
            segments_replaced=before.segments - 1,
            segments_written=1,
            bytes_before=before.bytes,
            bytes_after=after.bytes,
            events_dropped=0,
            tombstones=0,
            keys_kept=0,
            keys_over=0,
        )
        assert after.segments == 2 < before.segments


def test_a_retention_without_a_rule_is_refused(filled: Store) -> None:
    with Unchanged(filled), pytest.raises(batpak.InvalidArgumentError, match="no rule"):
        filled.compact(retention=Retention())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"retention": {"before": 3}}, TypeError),
        ({"retention": Retention(before="3")}, TypeError),  # type: ignore[arg-type]
        ({"retention": Retention(before=-1)}, batpak.InvalidArgumentError),
        ({"retention": Retention(entity="a", prefix="b")}, batpak.InvalidArgumentError),
        ({"retention": Retention(entity="\ud800")}, batpak.InvalidCoordinateError),
        ({"retention": Retention(kind=1 << 16)}, batpak.InvalidKindError),
        ({"retention": Retention(older_than_us=datetime(2020, 1, 1))}, batpak.InvalidArgumentError),
        ({"retention": Retention(keep=3)}, TypeError),  # type: ignore[arg-type]
        ({"retention": Retention(before=3, keys=5)}, TypeError),  # type: ignore[arg-type]
        ({"retention": Retention(before=3, keys=Keys(window=-1))}, batpak.InvalidArgumentError),
        (
            {"retention": Retention(before=3, unwanted="forget")},  # type: ignore[arg-type]
            batpak.InvalidArgumentError,
        ),
        (
            {"retention": Retention(before=3, keys=Keys(overflow="drop"))},  # type: ignore[arg-type]
            batpak.InvalidArgumentError,
        ),
        ({"bytes_per_second": -1}, batpak.InvalidArgumentError),
        ({"bytes_per_second": 1.5}, TypeError),
        ({"progress": "often"}, TypeError),
        ({"before": 3}, TypeError),
    ],
)
def test_wrong_arguments_are_refused(
    filled: Store, options: dict[str, Any], error: type[Exception]
) -> None:
    with Unchanged(filled), pytest.raises(error):
        filled.compact(**options)
    with Unchanged(filled), pytest.raises(TypeError):
        filled.compact(Retention(before=3))  # type: ignore[call-arg]


def test_tombstones_and_erased_payloads(filled: Store) -> None:
    held = filled.at(1)
    filled.compact(retention=Retention(before=1, unwanted="tombstone"))
    report = filled.compact(retention=Retention(entity="a:1", before=3, unwanted="erase"))
    assert (report.tombstones, report.events_dropped) == (1, 0)
    verify = filled.verify()
    gone = (verify.dropped, verify.tombstones, verify.erased)
    assert (verify.intact, filled.stats().events, *gone) == (True, 40, 0, 2, 1)
    zero, one, two = (filled.at(sequence) for sequence in range(3))
    assert zero and one and two and held
    assert [event.kind for event in (zero, one, two)] == [batpak.TOMBSTONE] * 2 + [0x1002]
    assert [event.erased for event in (zero, one, two)] == [False, True, False]
    assert [bytes(event) for event in (zero, one)] == [bytes(300), b""]
    with pytest.raises(batpak.DecodeError):
        one.value()
    # What was read before stays what it was, with the same hash.
    assert (held.erased, bytes(held), held.hash) == (False, b"\1" * 300, one.hash)
    assert held == one


def test_the_keys_of_dropped_events(path: Path) -> None:
    with Store(path, seed=1) as store:
        ids = [f"{number:032x}" for number in range(1, 4)]
        first = [store.append("a", "s", b"x", 0x1000, id=id) for id in ids]
        over = Retention(before=3, keys=Keys(window=2, most=1, overflow="refuse"))
        with Unchanged(store), pytest.raises(batpak.TooLargeError):
            store.compact(retention=over)
        report = store.compact(retention=Retention(before=3, keys=Keys(window=2, most=1)))
        assert (report.events_dropped, report.keys_kept, report.keys_over) == (3, 2, 1)
        again = store.append("a", "s", b"x", 0x1000, id=ids[2])
        assert (again.duplicate, again.sequence) == (True, first[2].sequence)
        with pytest.raises(batpak.IdempotencyConflictError):
            store.append("a", "s", b"other", 0x1000, id=ids[1])
        assert store.append("a", "s", b"other", 0x1000, id=ids[0]).duplicate is False


class Unexpected(Exception):
    pass


@pytest.mark.parametrize("raised", [Unexpected, KeyboardInterrupt, SystemExit, batpak.IoError])
@pytest.mark.parametrize("where", ["keep", "progress"])
def test_what_a_function_raises_ends_it(
    filled: Store, raised: type[BaseException], where: str
) -> None:
    exception = raised("from the function")
    asked: list[int] = []

    def keep(event: Event) -> bool:
        asked.append(event.sequence)
        if where == "keep" and event.sequence == 25:
            raise exception
        return False

    def progress(at: CompactProgress) -> None:
        if where == "progress" and at.segments_done == 3:
            raise exception

    with Unchanged(filled):
        with pytest.raises(raised) as caught:
            filled.compact(retention=Retention(keep=keep), progress=progress)
        assert caught.value is exception
        assert caught.value.__cause__ is None
        assert [entry.name for entry in caught.traceback][-1] == where
    if where == "keep":
        assert asked == list(range(26))
    # Nothing of it is in the way of the next one.
    assert filled.compact(retention=Retention(prefix="a")).events_dropped == 40


@pytest.mark.parametrize("answer", [None, 0, 1, "yes"])
def test_a_predicate_answers_with_a_bool(filled: Store, answer: Any) -> None:
    with Unchanged(filled), pytest.raises(TypeError, match="keep returns a bool, not"):
        filled.compact(retention=Retention(keep=lambda event: answer))


def test_progress_tells_how_far_it_is(filled: Store) -> None:
    told: list[CompactProgress] = []
    report = filled.compact(retention=Retention(before=30), progress=told.append)
    assert [at.segments_done for at in told] == list(range(len(told)))
    assert {at.segments for at in told} == {len(told) - 1}
    # The newest segment is sealed first, and another one begun.
    assert report.segments_before == len(told) - 1 + 1
    for earlier, later in zip(told, told[1:], strict=False):
        assert earlier.bytes_read <= later.bytes_read
        assert earlier.bytes_written <= later.bytes_written
    assert told[-1].bytes_read > 0


def test_functions_may_read_and_append(filled: Store) -> None:
    held: list[Event] = []

    def keep(event: Event) -> bool:
        assert filled.at(event.sequence) == event
        filled.append("log", "s", {"asked": event.sequence}, 0x1005, durability="written")
        held.append(event)
        return event.sequence % 2 == 0

    def progress(at: CompactProgress) -> None:
        assert len(list(filled.read(entity="log"))) == len(held)

    report = filled.compact(retention=Retention(keep=keep), progress=progress)
    assert report.events_dropped == 20
    # What is appended meanwhile is not asked about.
    assert [event.sequence for event in held] == list(range(40))
    assert sequences(filled) == [*range(0, 40, 2), *range(40, 80)]
    assert bytes(held[7]) == b"\7" * 300
    assert filled.verify().intact


@pytest.mark.parametrize("where", ["keep", "progress"])
def test_closing_in_a_function_ends_it(filled: Store, where: str) -> None:
    def close(_: object) -> bool:
        filled.close()
        return False

    options: dict[str, Any] = {"retention": Retention(prefix="a")}
    if where == "keep":
        options["retention"] = Retention(keep=close)
    else:
        options["progress"] = close
    with pytest.raises(batpak.ClosedError):
        filled.compact(**options)
    with Store(filled.path, mode="existing") as store:
        assert store.report.clean
        assert sequences(store) == list(range(40))
        assert store.verify().intact


def test_one_compaction_at_a_time(filled: Store) -> None:
    def progress(_: CompactProgress) -> None:
        filled.compact()

    with Unchanged(filled), pytest.raises(batpak.LockedError) as caught:
        filled.compact(progress=progress)
    assert caught.value.retry == "LATER"

    begun, go_on = threading.Event(), threading.Event()

    def wait(event: Event) -> bool:
        begun.set()
        go_on.wait()
        return True

    with ThreadPoolExecutor(1) as pool:
        compacting = pool.submit(filled.compact, retention=Retention(keep=wait))
        begun.wait()
        # Its function waits without the GIL, and nobody else waits for it.
        with pytest.raises(batpak.LockedError):
            filled.compact()
        assert filled.append("a", "s", b"", 0x1000).sequence == 40
        assert len(sequences(filled)) == 41
        go_on.set()
        assert compacting.result().events_dropped == 0


def test_threads_append_and_read_meanwhile(filled: Store) -> None:
    done = threading.Event()

    def append() -> int:
        count = 0
        while not done.is_set():
            filled.append("b", "s", bytes(100), 0x1000, durability="buffered")
            count += 1
        return count

    def read() -> None:
        while not done.is_set():
            found = [event.sequence for event in filled.read(prefix="a")]
            # Each event that goes may still be seen, or not.
            assert found == sorted(set(found) | set(range(1, 40, 2)))

    with ThreadPoolExecutor(3) as pool:
        appending, reading = pool.submit(append), pool.submit(read)
        report = filled.compact(retention=Retention(keep=lambda event: event.entity != "a:0"))
        done.set()
        count = appending.result()
        reading.result()
    assert report.events_dropped == 20
    assert filled.head().events == 40 + count
    assert len(sequences(filled)) == 20 + count
    assert filled.verify().intact


class Alarm(Exception):
    pass


def test_a_signal_ends_it_without_functions(filled: Store) -> None:
    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with Unchanged(filled):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Alarm):
                # It would take seconds, and looks at signals at each segment.
                filled.compact(retention=Retention(prefix="a"), bytes_per_second=10_000)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_closing_on_another_thread_ends_it(filled: Store) -> None:
    begun = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        compacting = pool.submit(
            filled.compact,
            retention=Retention(prefix="a"),
            bytes_per_second=20_000,
            progress=lambda at: begun.set(),
        )
        begun.wait()
        filled.close()
        with pytest.raises(batpak.ClosedError):
            compacting.result()
    with Store(filled.path, mode="existing") as store:
        assert sequences(store) == list(range(40))


def test_on_a_thread_of_an_event_loop(filled: Store) -> None:
    def compact(keep: Callable[[Event], bool]) -> CompactReport:
        call = asyncio.to_thread(filled.compact, retention=Retention(keep=keep))
        return asyncio.run(asyncio.wait_for(call, None))

    def fail(event: Event) -> bool:
        raise Unexpected

    with Unchanged(filled), pytest.raises(Unexpected):
        compact(fail)
    assert compact(lambda event: False).events_dropped == 40


def test_a_reader_does_not_compact(filled: Store) -> None:
    with Store(filled.path, mode="read_only") as reader:
        with pytest.raises(batpak.ReadOnlyError):
            reader.compact()
        filled.compact(retention=Retention(before=30))
        reader.refresh()
        assert sequences(reader) == list(range(30, 40))


def test_retentions_and_reports_are_plain_values(filled: Store) -> None:
    retention = Retention(before=3, keys=Keys(window=5))
    progress: list[CompactProgress] = []
    report = filled.compact(retention=retention, progress=progress.append)
    values: list[tuple[object, str]] = [
        (retention, "before"),
        (retention.keys, "window"),
        (report, "events_dropped"),
        (progress[0], "segments"),
    ]
    for value, field in values:
        assert pickle.loads(pickle.dumps(value)) == value
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, 7)
    assert Retention(before=3) == Retention(before=3, keys=Keys())
    assert repr(Keys(window=5)) == "Keys(window=5, most=None, overflow='warn')"
    with pytest.raises(TypeError):
        Retention("a")  # type: ignore[call-arg]
