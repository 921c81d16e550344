"""Threads, signals and forks."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import pytest

import batpak
from batpak import NewEvent, Store

# Longer than any step of these tests takes: it ends a test that would otherwise hang.
PATIENCE_SECONDS = 60.0


def test_threads_append_at_once(store: Store) -> None:
    def append(worker: int) -> list[int]:
        return [
            store.append(f"worker:{worker}", "s", bytes([i]), kind=0x1000).clock
            for i in range(25)
        ]

    with ThreadPoolExecutor(8) as pool:
        clocks = list(pool.map(append, range(8)))
    assert clocks == [list(range(25))] * 8
    assert [event.sequence for event in store.read()] == list(range(200))
    for worker in range(8):
        payloads = [bytes(event) for event in store.read(entity=f"worker:{worker}")]
        assert payloads == [bytes([i]) for i in range(25)]
    assert store.verify().intact


def test_a_waiting_thread_lets_others_run(store: Store) -> None:
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(store.wait, 2, PATIENCE_SECONDS)
        following = pool.submit(next, store.follow(start=1, timeout=PATIENCE_SECONDS))
        store.append("a", "s", b"1", kind=0x1000)
        store.append("a", "s", b"2", kind=0x1000)
        assert waiting.result() == 2
        assert bytes(following.result()) == b"2"


def test_threads_share_an_iterator(store: Store) -> None:
    store.append_batch(NewEvent("a", "s", b"", kind=0x1000) for _ in range(5000))
    events = store.read()
    with ThreadPoolExecutor(4) as pool:
        parts = pool.map(lambda _: [event.sequence for event in events], range(4))
    assert sorted(sequence for part in parts for sequence in part) == list(range(5000))


def test_gates_run_in_many_threads(store: Store) -> None:
    def append(worker: int) -> str:
        gate: Callable[[NewEvent], str | None] = lambda event: "odd" if worker % 2 else None
        try:
            return store.append("a", "s", b"", kind=0x1000, gates={"even": gate}).id
        except batpak.DeniedError:
            return "denied"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(append, range(40)))
    assert results[1::2] == ["denied"] * 20
    assert len(set(results[::2])) == store.head().events == 20


def test_closing_ends_waiting_threads(store: Store) -> None:
    started = threading.Barrier(3)

    def wait() -> object:
        started.wait()
        return store.wait(1, PATIENCE_SECONDS)

    def follow() -> object:
        events = store.follow(timeout=PATIENCE_SECONDS)
        started.wait()
        return next(events)

    with ThreadPoolExecutor(2) as pool:
        waiters: list[Future[object]] = [pool.submit(wait), pool.submit(follow)]
        started.wait()
        store.close()
        for waiter in waiters:
            assert isinstance(waiter.exception(), batpak.ClosedError)


class Alarm(Exception):
    pass


@pytest.fixture
def alarm() -> Iterator[None]:
    """Raises Alarm in the main thread a moment later."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm")
def test_a_signal_ends_a_wait(store: Store) -> None:
    with pytest.raises(Alarm):
        store.wait(1, PATIENCE_SECONDS)


@pytest.mark.usefixtures("alarm")
def test_a_signal_ends_following(store: Store) -> None:
    with pytest.raises(Alarm):
        next(store.follow(timeout=PATIENCE_SECONDS))


FORK = """
import os, sys, warnings
import batpak

warnings.simplefilter("ignore", DeprecationWarning)
store = batpak.Store(sys.argv[1])
store.append("a", "s", b"1", kind=0x1000)
store.append("a", "s", b"2", kind=0x1000, durability="buffered")
events = store.read()
fence = store.begin_fence(memory_bytes=0)
fence.append("a", "s", b"staged", kind=0x1000)
child = os.fork()
if child == 0:
    calls = {
        "append": lambda: store.append("a", "s", b"", kind=0x1000),
        "at": lambda: store.at(0),
        "read": lambda: list(store.read()),
        "events": lambda: list(events),
        "wait": lambda: store.wait(9, 1),
        "begin_fence": store.begin_fence,
        "fence_append": lambda: fence.append("a", "s", b"", kind=0x1000),
        "fence_commit": fence.commit,
        "fence_cancel": fence.cancel,
        "flush": store.flush,
        "stats": store.stats,
        "verify": store.verify,
        "import_from": lambda: store.import_from(sys.argv[1]),
        "export_to": lambda: store.export_to(sys.argv[1] + ".old"),
        "snapshot_to": lambda: store.snapshot_to(sys.argv[1] + ".snapshot"),
        "verify_snapshot": lambda: store.verify_snapshot(sys.argv[1]),
        "fork_to": lambda: store.fork_to(sys.argv[1] + ".fork"),
        "diff": lambda: store.diff(sys.argv[1]),
        "close": store.close,
    }
    wrong = []
    for name, call in calls.items():
        try:
            wrong.append((name, call()))
        except batpak.ForkedError:
            pass
    print(wrong, flush=True)
    del fence, store
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
store.append("a", "s", b"3", kind=0x1000)
fence.commit()
print([bytes(event) for event in store.read()], store.verify().intact)
store.close()
"""


def test_a_forked_child_gets_an_error_and_harms_nothing(path: Path) -> None:
    command = [sys.executable, "-c", FORK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=path.parent, timeout=PATIENCE_SECONDS)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["[]", "[b'1', b'2', b'3', b'staged'] True"]
