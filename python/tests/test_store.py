"""Opening, closing, pickling, and the other manners of a store."""

import copy
import gc
import pickle
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

import batpak
from batpak import NewEvent, Receipt, Store


def test_with_closes(path: Path) -> None:
    with Store(path) as store:
        store.append("a", "s", b"", kind=0x1000)
    with pytest.raises(batpak.ClosedError):
        store.head()
    store.close()
    store.close()
    assert store.path == str(path)


def test_with_lets_exceptions_pass(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Store(path) as store:
        store.append("a", "s", b"", kind=0x1000)
        raise ZeroDivisionError
    with pytest.raises(batpak.ClosedError):
        store.head()


def test_a_forgotten_store_is_closed(path: Path) -> None:
    store = Store(path)
    store.append("a", "s", b"", kind=0x1000, durability="buffered")
    del store
    gc.collect()
    with Store(path) as store:
        assert store.report.clean
        assert store.head().events == 1


def test_every_call_on_a_closed_store(path: Path) -> None:
    store = Store(path)
    store.append("a", "s", b"", kind=0x1000)
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.append("a", "s", b"", kind=0x1000),
        lambda: store.append("a", "s", b"", kind=0x1000, gates={"ok": lambda event: None}),
        lambda: store.append_batch([NewEvent("a", "s", b"", kind=0x1000)]),
        lambda: store.record_denial(NewEvent("a", "s", b"", kind=0x1000), []),
        lambda: store.get("ff" * 16),
        lambda: store.at(0),
        lambda: store.read(),
        lambda: store.follow(),
        lambda: store.follow(start=0),
        lambda: store.ancestors("ff" * 16),
        lambda: store.stream_head("a"),
        lambda: store.wait(1, 0),
        lambda: store.import_from(path),
        lambda: store.export_to(path.with_name("old")),
        lambda: store.receipt_cover_0x(0),
        lambda: store.snapshot_to(path.with_name("snapshot")),
        lambda: store.verify_snapshot(path),
        lambda: store.fork_to(path.with_name("fork")),
        lambda: store.diff(path),
        store.begin_fence,
        store.head,
        store.frontier,
        store.stats,
        store.verify,
        store.refresh,
        store.flush,
        store.sync,
    ]
    for call in calls:
        with pytest.raises(batpak.ClosedError):
            call()


@pytest.mark.parametrize("form", [str, Path])
def test_forms_of_a_path(path: Path, form: Callable[[Path], str]) -> None:
    with Store(form(path)) as store:
        assert store.path == str(path)
        assert repr(store) == f"<batpak.Store {path}>"


def test_open_is_another_name(path: Path) -> None:
    with Store.open(path, segment_bytes=8192, durability="written") as store:
        assert isinstance(store, Store)
        assert store.report.created
    with pytest.raises(TypeError):
        Store.open()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Store.open(b"path")  # type: ignore[arg-type]


def test_the_report_tells_what_opening_did(path: Path) -> None:
    with Store(path, mode="create_new") as store:
        report = store.report
        assert (report.created, report.events, report.cut_bytes, report.cut_at) == (True, 0, 0, None)
        store.append_batch(NewEvent("a", "s", b"", kind=0x1000) for _ in range(3))
    (path / "notes").mkdir()
    with Store(path, mode="existing") as store:
        report = store.report
        assert (report.created, report.clean, report.events, report.segments) == (False, True, 3, 1)
        assert (report.ignored, report.removed, report.damage) == (["notes"], [], [])


def test_durability_moves_the_frontier(path: Path) -> None:
    with Store(path, durability="buffered", buffer_ms=600_000) as store:
        store.append("a", "s", b"", kind=0x1000)
        assert store.frontier() == batpak.Frontier(1, 0, 0, 1)
        store.flush()
        assert store.frontier() == batpak.Frontier(1, 1, 0, 1)
        store.sync()
        assert store.frontier() == batpak.Frontier(1, 1, 1, 1)


def test_receipts_are_pickled_and_copied(store: Store) -> None:
    receipt = store.append("a", "s", b"", kind=0x1000, timestamp_us=-5)
    for twin in (pickle.loads(pickle.dumps(receipt)), copy.copy(receipt)):
        assert isinstance(twin, Receipt)
        assert twin == receipt
        assert repr(twin) == repr(receipt)
    assert pickle.loads(pickle.dumps(store.head())) == store.head()
    assert pickle.loads(pickle.dumps(store.verify())) == store.verify()


def test_stores_and_events_are_not_pickled(store: Store) -> None:
    store.append("a", "s", b"", kind=0x1000)
    for value in (store, store.at(0)):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(value)


def test_results_cannot_be_changed(store: Store) -> None:
    receipt = store.append("a", "s", b"", kind=0x1000)
    event = store.at(0)
    for value, name in ((receipt, "clock"), (event, "clock"), (store.head(), "events")):
        with pytest.raises(AttributeError):
            setattr(value, name, 7)


def test_an_empty_store_and_an_empty_event_are_true(store: Store) -> None:
    assert store
    store.append("a", "s", b"", kind=0x1000)
    assert store.at(0)


def test_the_example_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).parent.parent / "examples" / "quickstart.py"
    runpy.run_path(str(example))["main"](str(path))
    assert capsys.readouterr().out.splitlines() == [
        "0 0x1001 2 apples",
        "1 0x1002 3.20",
        "2 events, intact",
    ]


def test_reading_without_a_cache(path: Path) -> None:
    with Store(path, cache_bytes=0, segment_bytes=4096) as store:
        receipts = store.append_payloads("a", "s", [bytes(1000)] * 50, kind=0x1000)
        assert [event.sequence for event in store.read()] == list(range(50))
        event = store.get(receipts[0].id)
        assert event is not None and event.hash == receipts[0].hash
    with pytest.raises(batpak.InvalidArgumentError):
        Store(path, cache_bytes=-1)
