"""Appending and following from event loops."""

import asyncio
import gc
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest

import batpak
from batpak import Item, NewEvent, Store
from test_threads import PATIENCE_SECONDS

ID = "0123456789abcdef0123456789abcdef"
DURABILITIES: list[Literal["durable", "written", "buffered"]] = ["durable", "written", "buffered"]


def test_appends_under_way_keep_their_order(store: Store) -> None:
    async def append() -> list[batpak.Receipt]:
        futures = [
            store.append_async("a", "s", b"%d" % i, 0x1000, durability=durability)
            for i, durability in enumerate(DURABILITIES * 500)
        ]
        return await asyncio.gather(*futures)

    receipts = asyncio.run(append())
    assert [receipt.sequence for receipt in receipts] == list(range(1500))
    assert [bytes(event) for event in store.read()] == [b"%d" % i for i in range(1500)]
    assert store.verify().intact


def test_appends_of_both_forms_mix_in_one_task(store: Store) -> None:
    async def append() -> list[int]:
        first = store.append_async("a", "s", b"1", 0x1000)
        second = store.append("a", "s", b"2", 0x1000)
        third = await store.append_async("a", "s", b"3", 0x1000)
        return [(await first).clock, second.clock, third.clock]

    assert asyncio.run(append()) == [0, 1, 2]


def test_tasks_append_at_once(store: Store) -> None:
    async def task(number: int) -> list[int]:
        return [
            (await store.append_async(f"task:{number}", "s", bytes([i]), 0x1000)).clock
            for i in range(10)
        ]

    async def main() -> list[list[int]]:
        return await asyncio.gather(*[task(number) for number in range(100)])

    assert asyncio.run(main()) == [list(range(10))] * 100
    assert store.head().events == 1000


def test_every_field_is_stored(store: Store) -> None:
    async def append() -> batpak.Receipt:
        return await store.append_async(
            "a",
            "s",
            {"x": 1},
            kind=0xFA01,
            expected=batpak.NO_STREAM,
            id=ID,
            correlation=bytes(range(16)),
            causation=ID,
            lane=7,
            depth=2,
            flags=255,
            payload_version=3,
            timestamp_us=-1,
            extensions={"a.y": b"1"},
            durability="written",
        )

    receipt = asyncio.run(append())
    event = store.get(ID)
    assert event is not None
    assert (receipt.id, receipt.hash) == (ID, event.hash)
    assert (event.value(), event.kind, event.correlation) == ({"x": 1}, 0xFA01, bytes(range(16)).hex())
    assert (event.causation, event.lane, event.depth, event.flags) == (ID, 7, 2, 255)
    assert (event.payload_version, event.timestamp_us) == (3, -1)
    assert event.extensions == {"a.y": b"1"}


def test_batches(store: Store) -> None:
    async def append() -> None:
        events = [
            NewEvent("a", "s", b"1", kind=0x1000),
            NewEvent("b", "s", b"2", kind=0x1000, causation=Item(0)),
        ]
        receipts = await store.append_batch_async(iter(events), durability="written")
        assert [receipt.sequence for receipt in receipts] == [0, 1]
        event = store.at(1)
        assert event is not None and event.causation == receipts[0].id
        with pytest.raises(batpak.ClockConflictError):
            await store.append_batch_async(
                [
                    NewEvent("c", "s", b"", kind=0x1000),
                    NewEvent("a", "s", b"", kind=0x1000, expected=batpak.NO_STREAM),
                ]
            )
        assert await store.append_batch_async([]) == []
        with pytest.raises(TypeError):
            store.append_batch_async([b""])  # type: ignore[list-item]

    asyncio.run(append())
    assert store.head().events == 2


def test_errors_come_with_the_future_or_nothing_is_started(store: Store) -> None:
    async def append() -> None:
        with pytest.raises(batpak.InvalidCoordinateError):
            store.append_async("a/b", "s", b"", 0x1000)
        with pytest.raises(batpak.InvalidArgumentError):
            store.append_async("a", "s", b"", 0x1000, durability="safe")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            store.append_async("a", "s", b"")  # type: ignore[call-arg]
        future = store.append_async("a", "s", b"", 0x1000, expected=3)
        with pytest.raises(batpak.ClockConflictError) as caught:
            await future
        assert caught.value.retry == "AFTER_READING"
        results = await asyncio.gather(
            store.append_async("a", "s", b"1", 0x1000, id=ID),
            store.append_async("a", "s", b"2", 0x1000, id=ID),
            store.append_async("a", "s", b"1", 0x1000, id=ID),
            return_exceptions=True,
        )
        first, second, third = results
        assert isinstance(first, batpak.Receipt) and isinstance(third, batpak.Receipt)
        assert (first.duplicate, third.duplicate) == (False, True)
        assert isinstance(second, batpak.IdempotencyConflictError)

    asyncio.run(append())
    assert store.head().events == 1


def test_without_a_running_loop_nothing_is_appended(store: Store) -> None:
    with pytest.raises(RuntimeError):
        store.append_async("a", "s", b"", 0x1000)
    with pytest.raises(RuntimeError):
        store.append_batch_async([NewEvent("a", "s", b"", kind=0x1000)])
    with pytest.raises(RuntimeError):
        store.follow_async()
    assert store.head().events == 0


def test_cancelling_does_not_take_an_append_back(store: Store) -> None:
    async def append() -> None:
        futures = [store.append_async("a", "s", b"", 0x1000) for _ in range(100)]
        for future in futures[:50]:
            future.cancel()
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results[:50])
        assert all(isinstance(result, batpak.Receipt) for result in results[50:])
        assert (await store.append_async("a", "s", b"", 0x1000)).sequence == 100

    asyncio.run(append())


def test_a_loop_may_close_with_appends_under_way(store: Store) -> None:
    async def append() -> None:
        for _ in range(100):
            store.append_async("a", "s", b"", 0x1000)

    for _ in range(3):
        asyncio.run(append())
    assert store.append("a", "s", b"", kind=0x1000).sequence == 300

    async def last() -> int:
        return (await store.append_async("a", "s", b"", 0x1000)).sequence

    assert asyncio.run(last()) == 301


def test_a_loop_is_not_kept(store: Store) -> None:
    async def append() -> "weakref.ref[asyncio.AbstractEventLoop]":
        await store.append_async("a", "s", b"", 0x1000)
        async for _ in store.follow_async(timeout=0):
            pass
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(append())
    gc.collect()
    assert loop() is None


def test_loops_closed_with_appends_under_way_are_not_kept_for_long(store: Store) -> None:
    async def append() -> "weakref.ref[asyncio.AbstractEventLoop]":
        for _ in range(100):
            store.append_async("a", "s", b"", 0x1000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(store.follow_async(start=1 << 40)), 0.001)
        return weakref.ref(asyncio.get_running_loop())

    loops = [asyncio.run(append()) for _ in range(5)]
    store.sync()
    # The next loop clears up behind the ones before it.
    asyncio.run(append())
    gc.collect()
    assert [loop() for loop in loops] == [None] * 5


def test_a_store_may_close_with_appends_under_way(path: Path) -> None:
    async def append() -> int:
        store = Store(path)
        futures = [store.append_async("a", "s", b"x" * 100, 0x1000) for _ in range(2000)]
        await asyncio.get_running_loop().run_in_executor(None, store.close)
        results = await asyncio.gather(*futures, return_exceptions=True)
        done = [result for result in results if isinstance(result, batpak.Receipt)]
        rest = [result for result in results if not isinstance(result, batpak.Receipt)]
        assert all(isinstance(result, batpak.ClosedError) for result in rest)
        assert [receipt.sequence for receipt in done] == list(range(len(done)))
        with pytest.raises(batpak.ClosedError):
            store.append_async("a", "s", b"", 0x1000)
        return len(done)

    done = asyncio.run(append())
    with Store(path) as store:
        assert store.head().events == done


def test_loops_in_many_threads(store: Store) -> None:
    async def append(worker: int) -> list[int]:
        futures = [store.append_async(f"w:{worker}", "s", b"", 0x1000) for _ in range(200)]
        return [receipt.clock for receipt in await asyncio.gather(*futures)]

    with ThreadPoolExecutor(8) as pool:
        clocks = list(pool.map(lambda worker: asyncio.run(append(worker)), range(24)))
    assert clocks == [list(range(200))] * 24
    assert store.head().events == 4800


def test_gates_are_asked(store: Store) -> None:
    def small(event: NewEvent) -> batpak.Refusal | None:
        return batpak.Refusal("TOO_BIG") if len(event.payload) > 3 else None

    def broken(event: NewEvent) -> None:
        raise ValueError("broken")

    async def append() -> None:
        gates = {"small": small}
        receipt = await store.append_async("a", "s", b"1", 0x1000, gates=gates)
        assert receipt.sequence == 0
        with pytest.raises(batpak.DeniedError) as caught:
            await store.append_async("a", "s", b"1234", 0x1000, gates=gates, record_denial=True)
        assert [outcome.gate for outcome in caught.value.refusals] == ["small"]
        events = [NewEvent("a", "s", payload, kind=0x1000) for payload in (b"1", b"2")]
        receipts = await store.append_batch_async(events, gates=gates)
        assert [receipt.sequence for receipt in receipts] == [2, 3]
        with pytest.raises(batpak.CallbackError):
            await store.append_async("a", "s", b"", 0x1000, gates={"broken": broken})

    asyncio.run(append())
    denial = store.at(1)
    assert denial is not None and denial.kind == batpak.DENIAL
    assert store.head().events == 4


def test_following_gives_old_and_new_events_and_blocks_nobody(store: Store) -> None:
    store.append_batch(NewEvent("a", "s", b"%d" % i, kind=0x1000) for i in range(3000))

    async def follow(entity: str, until: int) -> list[bytes]:
        found = []
        async for event in store.follow_async(entity=entity):
            found.append(bytes(event))
            if len(found) == until:
                break
        return found

    async def main() -> None:
        # More than an executor has threads, all waiting for what is to come.
        waiting = [asyncio.create_task(follow("b", 100)) for _ in range(50)]
        assert await follow("a", 3000) == [b"%d" % i for i in range(3000)]
        for i in range(100):
            await store.append_async("b", "s", b"%d" % i, 0x1000, durability="written")
        assert await asyncio.gather(*waiting) == [[b"%d" % i for i in range(100)]] * 50

    asyncio.run(main())


def test_following_ends_when_the_time_is_up_and_can_go_on(store: Store) -> None:
    async def main() -> None:
        store.append("a", "s", b"1", kind=0x1000)
        events = store.follow_async(timeout=0)
        assert [event.sequence async for event in events] == [0]
        assert [event.sequence async for event in events] == []
        store.append("a", "s", b"2", kind=0x1000)
        assert [event.sequence async for event in events] == [1]
        assert [event.sequence async for event in store.follow_async(start=1, timeout=0)] == [1]

    asyncio.run(main())


def test_following_a_writer_elsewhere(path: Path) -> None:
    async def main() -> None:
        with Store(path) as writer, Store(path, mode="read_only") as reader:
            events = reader.follow_async()
            for i in range(20):
                await writer.append_async("a", "s", b"%d" % i, 0x1000, durability="written")
                assert bytes(await anext(events)) == b"%d" % i

    asyncio.run(main())


def reading_threads() -> int:
    names = []
    for name in Path("/proc/self/task").glob("*/comm"):
        # A thread may end while its name is read.
        with suppress(FileNotFoundError, ProcessLookupError):
            names.append(name.read_text().strip())
    return names.count("batpak-follow")


def test_a_cancelled_wait_loses_no_event_and_ends_its_thread(store: Store) -> None:
    async def main() -> None:
        events = store.follow_async()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 0.001)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while reading_threads():
                await asyncio.sleep(0.001)
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        waiting.cancel()
        store.append_batch(NewEvent("a", "s", b"", kind=0x1000) for _ in range(3))
        assert [(await anext(events)).sequence for _ in range(3)] == [0, 1, 2]
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(events)
        store.append("a", "s", b"", kind=0x1000)
        assert (await waiting).sequence == 3

    asyncio.run(main())


def test_closing_ends_waiting_tasks(store: Store) -> None:
    async def main() -> None:
        events = store.follow_async()
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        store.close()
        with pytest.raises(batpak.ClosedError):
            await waiting
        with pytest.raises(batpak.ClosedError):
            await anext(events)

    asyncio.run(main())


def test_an_iterator_belongs_to_its_loop(store: Store) -> None:
    async def make() -> batpak.AsyncFollowIterator:
        return store.follow_async()

    async def use(events: batpak.AsyncFollowIterator) -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await anext(events)

    asyncio.run(use(asyncio.run(make())))


def run(program: str, path: Path) -> list[str]:
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=path.parent, timeout=PATIENCE_SECONDS
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.splitlines()


FORK = """
import asyncio, os, sys, warnings
import batpak

warnings.simplefilter("ignore", DeprecationWarning)
store = batpak.Store(sys.argv[1])

async def append(store, count):
    return len(await asyncio.gather(*[
        store.append_async("a", "s", b"", 0x1000) for _ in range(count)
    ]))

async def in_child():
    try:
        store.append_async("a", "s", b"", 0x1000)
    except batpak.ForkedError:
        print("forked", flush=True)
    try:
        store.follow_async()
    except batpak.ForkedError:
        print("forked", flush=True)
    with batpak.Store(sys.argv[1] + "-child") as own:
        print(await append(own, 10), flush=True)

loop = asyncio.new_event_loop()
futures = []

async def start():
    await append(store, 10)
    futures.extend(store.append_async("a", "s", b"", 0x1000) for _ in range(1000))

async def finish():
    return len(await asyncio.gather(*futures))

loop.run_until_complete(start())
child = os.fork()
if child == 0:
    asyncio.run(in_child())
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(loop.run_until_complete(finish()), store.head().events)
loop.close()
"""


def test_a_fork_with_appends_under_way(path: Path) -> None:
    assert run(FORK, path) == ["forked", "forked", "10", "1000 1010"]


EXIT = """
import asyncio, sys
import batpak

store = batpak.Store(sys.argv[1])

async def main():
    await store.append_async("a", "s", b"", 0x1000)
    for _ in range(2000):
        store.append_async("a", "s", b"", 0x1000)
    waiting = asyncio.ensure_future(anext(store.follow_async(start=5000)))
    await asyncio.sleep(0)
    print("bye", flush=True)
    {}

asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["return", "sys.exit(0)"])
def test_a_process_may_end_with_appends_under_way(path: Path, end: str) -> None:
    assert run(EXIT.format(end), path) == ["bye"]
    with Store(path) as store:
        assert store.head().events >= 1
        assert store.verify().intact


def test_the_example(path: Path) -> None:
    example = Path(__file__).parent.parent / "examples" / "asynchronous.py"
    assert run(example.read_text(), path) == ["last event: 999"]
