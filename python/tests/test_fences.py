"""Fences. What they do to events is in the scripts of fences; here are `with` blocks, exceptions,
event loops and threads, and what becomes of a fence that is forgotten."""

import asyncio
import gc
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import batpak
from batpak import Committed, Fence, Item, NewEvent, Store
from test_threads import PATIENCE_SECONDS


def payloads(store: Store) -> list[bytes]:
    return [bytes(event) for event in store.read()]


def fence_files() -> int:
    """How many files of fences this process has open; they have no name any more."""
    descriptors = Path("/proc/self/fd")
    targets = []
    for descriptor in os.listdir(descriptors):
        try:
            targets.append(os.readlink(descriptors / descriptor))
        except FileNotFoundError:  # The one that lists the others.
            continue
    return sum("/fence-" in target for target in targets)


def test_a_block_that_ends_commits(store: Store) -> None:
    with store.begin_fence() as fence:
        assert isinstance(fence, Fence)
        assert fence.append("a", "s", b"1", 0x1000) == 0
        assert fence.append("b", "s", {"two": 2}, 0x1001) == 1
        assert (store.head().events, fence.events, fence.committed) == (0, 2, None)
    assert fence.committed == Committed(first_sequence=0, events=2, duplicate=False)
    assert payloads(store) == [b"1", b"\x81\xa3two\x02"]
    with store.begin_fence() as fence:
        pass
    assert fence.committed == Committed(first_sequence=2, events=0, duplicate=False)


def test_an_exception_cancels(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.begin_fence() as fence:
        fence.append("a", "s", b"1", 0x1000)
        raise ZeroDivisionError
    assert fence.committed is None
    with pytest.raises(batpak.ClosedError, match="cancelled"):
        fence.commit()
    assert store.head().events == 0


def test_an_exit_cancels_too(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), store.begin_fence() as fence:
        fence.append("a", "s", b"1", 0x1000)
        raise KeyboardInterrupt
    with pytest.raises(batpak.ClosedError):
        fence.append("a", "s", b"2", 0x1000)
    assert store.head().events == 0


def test_an_event_that_is_refused_cancels_what_was_staged(store: Store) -> None:
    with pytest.raises(batpak.InvalidCoordinateError), store.begin_fence() as fence:
        fence.append("a", "s", b"1", 0x1000)
        fence.append("a/b", "s", b"2", 0x1000)
    with pytest.raises(batpak.ClosedError):
        fence.commit()
    assert store.head().events == 0


def test_a_refusal_that_is_caught_does_not(store: Store) -> None:
    with store.begin_fence() as fence:
        fence.append("a", "s", b"1", 0x1000)
        with pytest.raises(batpak.InvalidKindError):
            fence.append_batch([NewEvent("a", "s", b"2", 0x1000), NewEvent("a", "s", b"3", 0)])
        with pytest.raises(TypeError):
            fence.append_batch([b"4"])  # type: ignore[list-item]
    assert payloads(store) == [b"1"]


def test_a_block_may_end_its_fence_itself(store: Store) -> None:
    with store.begin_fence() as fence:
        fence.append("a", "s", b"1", 0x1000)
        committed = fence.commit(durability="buffered")
    assert fence.committed == committed == Committed(0, 1, False)
    with store.begin_fence() as fence:
        fence.append("a", "s", b"2", 0x1000)
        fence.cancel()
    assert fence.committed is None
    with pytest.raises(ZeroDivisionError), store.begin_fence() as fence:
        fence.append("a", "s", b"3", 0x1000)
        fence.commit()
        raise ZeroDivisionError
    assert fence.committed == Committed(1, 1, False)
    assert payloads(store) == [b"1", b"3"]


def test_a_commit_that_fails_at_the_end_of_a_block_cancels(store: Store) -> None:
    with pytest.raises(batpak.ClockConflictError), store.begin_fence() as fence:
        fence.append("a", "s", b"1", 0x1000, expected=batpak.NO_STREAM)
        store.append("a", "s", b"first", 0x1000)
    with pytest.raises(batpak.ClosedError, match="cancelled"):
        fence.commit()
    assert (fence.committed, payloads(store)) == (None, [b"first"])


def test_a_commit_that_fails_in_a_block_can_be_tried_again(store: Store) -> None:
    store.append("a", "s", b"first", 0x1000)
    with store.begin_fence() as fence:
        fence.append("b", "s", b"1", 0x1000, expected=0)
        with pytest.raises(batpak.ClockConflictError):
            fence.commit()
        store.append("b", "s", b"second", 0x1000)
    assert fence.committed == Committed(2, 1, False)


def test_a_block_whose_store_was_closed_does_not_end_in_silence(path: Path) -> None:
    store = Store(path)
    with pytest.raises(batpak.ClosedError), store.begin_fence() as fence:
        fence.append("a", "s", b"1", 0x1000)
        store.close()
    with pytest.raises(ZeroDivisionError), Store(path) as store, store.begin_fence() as fence:
        fence.append("a", "s", b"1", 0x1000)
        store.close()
        raise ZeroDivisionError
    with Store(path) as store:
        assert store.head().events == 0


@pytest.mark.parametrize("end", ["commit", "cancel", "close"])
def test_every_call_on_a_fence_that_has_ended(store: Store, end: str) -> None:
    fence = store.begin_fence()
    fence.append("a", "s", b"1", 0x1000)
    reading = fence.read()
    store.close() if end == "close" else getattr(fence, end)()
    calls: list[Callable[[], object]] = [
        lambda: fence.append("a", "s", b"", 0x1000),
        lambda: fence.append_batch([]),
        lambda: fence.events,
        lambda: next(reading),
        fence.read,
        fence.commit,
        fence.cancel,
    ]
    for call in calls:
        with pytest.raises(batpak.ClosedError):
            call()
    if end == "close":
        return
    state = {"commit": "committed", "cancel": "cancelled"}[end]
    assert repr(fence) == f"<batpak.Fence of {store.path}, {state}>"


def test_its_own_events_are_read_back(store: Store) -> None:
    store.append("a", "s", b"before", 0x1000)
    fence = store.begin_fence(memory_bytes=0)
    first = fence.append("a", "s", b"0", 0x1000, id="ab" * 16, timestamp_us=7)
    fence.append("b", "s", {"n": 1}, 0x1001, causation=Item(first), extensions={"x.y": b"z"})
    assert fence.append_batch(NewEvent("c", "s", b"%d" % n, 0x1002) for n in range(2, 3000)) == 2
    events = list(fence.read())
    assert [event.sequence for event in events] == list(range(3000)) == list(range(fence.events))
    assert (events[0].id, events[0].timestamp_us) == ("ab" * 16, 7)
    assert (events[1].value(), events[1].causation) == ({"n": 1}, "ab" * 16)
    assert events[1].extensions == {"x.y": b"z"}
    nothing = (events[1].id, events[1].clock, events[1].hash, events[1].wall_us)
    assert nothing == ("00" * 16, 0, bytes(32), 0)
    assert [len(page) for page in fence.read(start=1000).pages(900)] == [900, 900, 200]
    assert [len(page.sequences) for page in fence.read().packed(2000)] == [2000, 1000]
    assert list(fence.read(start=3000)) == []
    payload = events[2].payload
    assert fence.commit() == Committed(1, 3000, False)
    assert store.at(2).causation == "ab" * 16  # type: ignore[union-attr]
    assert bytes(payload) == b"2"


def test_reading_goes_on_with_what_is_staged_meanwhile(store: Store) -> None:
    fence = store.begin_fence()
    fence.append_batch(NewEvent("a", "s", bytes([n]), 0x1000) for n in range(20))
    reading = fence.read()
    assert bytes(next(reading)) == b"\0"
    fence.append("a", "s", b"last", 0x1000)
    assert [bytes(event) for event in reading][-1] == b"last"
    with pytest.raises(StopIteration):
        next(reading)


def test_every_field_is_kept(store: Store) -> None:
    fields: dict[str, Any] = {
        "entity": "a", "scope": "s", "payload": bytearray(b"p"), "kind": 0x1234,
        "expected": batpak.NO_STREAM, "id": UUID(int=7), "correlation": bytes([8]) * 16,
        "causation": "09" * 16, "lane": 1, "depth": 2, "flags": 3, "payload_version": 4,
        "timestamp_us": -5, "extensions": [("k.v", b"1")],
    }
    with store.begin_fence() as fence:
        fence.append(**fields)
        with pytest.raises(batpak.InvalidArgumentError):
            fence.append(**fields)  # Its id is staged already.
    event = store.get(UUID(int=7))
    assert event is not None
    assert (event.kind, event.lane, event.depth, event.flags) == (0x1234, 1, 2, 3)
    assert (event.payload_version, event.timestamp_us, bytes(event)) == (4, -5, b"p")
    assert (event.correlation, event.causation) == ("08" * 16, "09" * 16)
    assert event.extensions == {"k.v": b"1"}
    with store.begin_fence() as repeated:
        repeated.append(**fields)
    assert repeated.committed == Committed(0, 1, duplicate=True)


def test_wrong_arguments_are_refused(store: Store) -> None:
    beginnings: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"memory_bytes": -1}, batpak.InvalidArgumentError),
        ({"memory_bytes": 1 << 64}, batpak.InvalidArgumentError),
        ({"memory_bytes": "1"}, TypeError),
        ({"durability": "written"}, TypeError),
    ]
    for options, error in beginnings:
        with pytest.raises(error):
            store.begin_fence(**options)
    fence = store.begin_fence(memory_bytes=None)
    wrong: list[tuple[Callable[[], object], type[Exception]]] = [
        (lambda: fence.append("a", "s", b"", 0x1000, gates={}), TypeError),  # type: ignore[call-arg]
        (lambda: fence.append("a\ud800", "s", b"", 0x1000), batpak.InvalidCoordinateError),
        (lambda: fence.append("a", "s", b"", 0x1000, causation=Item(0)), batpak.InvalidArgumentError),
        (lambda: fence.append_batch(None), TypeError),  # type: ignore[arg-type]
        (lambda: fence.read(start=-1), batpak.InvalidArgumentError),
        (lambda: fence.commit(durability="safe"), batpak.InvalidArgumentError),  # type: ignore[arg-type]
        (lambda: Fence(), TypeError),
    ]
    for call, error in wrong:
        with pytest.raises(error):
            call()
    assert fence.commit().events == 0
    with Store(store.path, mode="read_only") as reader, pytest.raises(batpak.ReadOnlyError):
        reader.begin_fence()


def test_a_forgotten_fence_is_given_up(store: Store) -> None:
    fence = store.begin_fence(memory_bytes=0)
    fence.append("a", "s", bytes(1 << 20), 0x1000, id="ab" * 16)
    assert fence_files() == 1
    reading = fence.read()
    del fence
    gc.collect()
    assert len(next(reading).payload) == 1 << 20
    del reading
    gc.collect()
    assert fence_files() == 0
    store.append("a", "s", b"other", 0x1000, id="ab" * 16)
    assert payloads(store) == [b"other"]


def test_a_fence_keeps_its_store_open(path: Path) -> None:
    fence = Store(path).begin_fence()
    gc.collect()
    fence.append("a", "s", b"1", 0x1000)
    assert fence.commit() == Committed(0, 1, False)
    del fence
    gc.collect()
    with Store(path) as store:
        assert (store.report.clean, store.head().events) == (True, 1)


def test_what_a_commit_did_is_a_plain_value(store: Store) -> None:
    with store.begin_fence() as fence:
        fence.append("a", "s", b"1", 0x1000)
        assert repr(fence) == f"<batpak.Fence of {store.path}, open>"
    committed = fence.committed
    assert committed is not None
    assert pickle.loads(pickle.dumps(committed)) == committed
    assert repr(committed) == "Committed(first_sequence=0, events=1, duplicate=False)"
    with pytest.raises(FrozenInstanceError):
        committed.events = 7  # type: ignore[misc]
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(fence)


def test_event_loops_commit(store: Store) -> None:
    async def main() -> list[Committed]:
        async with store.begin_fence() as fence:
            fence.append("a", "s", b"1", 0x1000)
        assert fence.committed == Committed(0, 1, False)
        with pytest.raises(ZeroDivisionError):
            async with store.begin_fence() as fence:
                fence.append("a", "s", b"2", 0x1000)
                raise ZeroDivisionError
        with pytest.raises(batpak.ClosedError, match="cancelled"):
            await fence.commit_async()
        with pytest.raises(batpak.ClockConflictError):
            async with store.begin_fence() as fence:
                fence.append("a", "s", b"3", 0x1000, expected=7)
        with pytest.raises(batpak.InvalidArgumentError):
            fence.commit_async(durability="safe")  # type: ignore[arg-type]

        fences = [store.begin_fence(memory_bytes=0) for _ in range(20)]
        for number, fence in enumerate(fences):
            fence.append_batch(NewEvent(f"f:{number}", "s", b"", 0x1000) for _ in range(3))
        return await asyncio.gather(*[fence.commit_async(durability="written") for fence in fences])

    done = asyncio.run(main())
    assert sorted(committed.first_sequence for committed in done) == list(range(1, 61, 3))
    for number, committed in enumerate(done):
        first = committed.first_sequence
        entities = [event.entity for event in store.read(start=first, limit=3)]
        assert entities == [f"f:{number}"] * 3
    assert store.head().events == 61


def test_a_task_that_is_cancelled_cancels_its_fence(store: Store) -> None:
    async def main() -> Fence:
        began = asyncio.Event()
        fence = store.begin_fence()

        async def task() -> None:
            async with fence:
                fence.append("a", "s", b"1", 0x1000)
                began.set()
                await asyncio.Event().wait()

        running = asyncio.create_task(task())
        await began.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return fence

    with pytest.raises(batpak.ClosedError, match="cancelled"):
        asyncio.run(main()).commit()
    assert store.head().events == 0


def test_without_a_running_loop_nothing_is_committed(store: Store) -> None:
    fence = store.begin_fence()
    fence.append("a", "s", b"1", 0x1000)
    with pytest.raises(RuntimeError):
        fence.commit_async()
    assert fence.commit() == Committed(0, 1, False)


def test_threads_stage_in_one_fence(store: Store) -> None:
    with store.begin_fence(memory_bytes=1000) as fence, ThreadPoolExecutor(8) as pool:

        def stage(worker: int) -> list[int]:
            return [fence.append(f"worker:{worker}", "s", bytes([i]), 0x1000) for i in range(50)]

        places = list(pool.map(stage, range(8)))
    assert sorted(place for part in places for place in part) == list(range(400))
    for worker, part in enumerate(places):
        mine = list(store.read(entity=f"worker:{worker}"))
        assert [event.sequence for event in mine] == part
        assert [bytes(event) for event in mine] == [bytes([i]) for i in range(50)]


def test_a_fence_is_committed_once_whoever_is_first(store: Store) -> None:
    threads = 8
    barrier = threading.Barrier(threads)
    with ThreadPoolExecutor(threads) as pool:
        for turn in range(10):
            fence = store.begin_fence(memory_bytes=0)
            fence.append_batch(NewEvent("a", "s", b"", 0x1000) for _ in range(10))

            def commit(worker: int, fence: Fence = fence) -> Committed | None:
                barrier.wait(PATIENCE_SECONDS)
                try:
                    return fence.commit(durability="written")
                except batpak.ClosedError:
                    return None

            results = [result for result in pool.map(commit, range(threads)) if result]
            assert results == [Committed(turn * 10, 10, False)] == [fence.committed]
    assert store.head().events == 100


def test_others_go_on_while_a_fence_is_open(store: Store) -> None:
    """Open fences hold up nobody, and no reader ever sees a part of one."""
    done = threading.Event()
    seen: list[int] = []

    def watch() -> None:
        while not done.is_set():
            seen.append(sum(1 for _ in store.read(entity="fence")))

    def append() -> None:
        for _ in range(50):
            store.append("other", "s", b"", 0x1000, durability="buffered")

    with ThreadPoolExecutor(3) as pool:
        watching = pool.submit(watch)
        for memory_bytes in (0, 1 << 20):
            with store.begin_fence(memory_bytes=memory_bytes) as fence:
                fence.append_batch(NewEvent("fence", "s", bytes(100), 0x1000) for _ in range(1000))
                pool.submit(append).result()
                appending = pool.submit(append)
            appending.result()
        done.set()
        watching.result()
    assert set(seen) <= {0, 1000, 2000}
    assert store.head().events == 2200
    assert store.verify().intact


def test_waiting_threads_see_a_commit(store: Store) -> None:
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(store.wait, 2, PATIENCE_SECONDS)
        following = pool.submit(next, store.follow(timeout=PATIENCE_SECONDS))
        with store.begin_fence() as fence:
            fence.append("a", "s", b"1", 0x1000)
            fence.append("a", "s", b"2", 0x1000)
        assert waiting.result() == 2
        assert bytes(following.result()) == b"1"
