"""Importing, exporting, and reading stores of the batpak crate 0.x. What these calls do to events
is in tests/scripts; here is how they are called, what they give back, and what threads may do."""

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from os import PathLike
from pathlib import Path
from typing import Any

import pytest

import batpak
from batpak import Dropped, ExportReport, ImportReport, NewEvent, Store

# Longer than any step of these tests takes: it ends a test that would otherwise hang.
PATIENCE_SECONDS = 60.0

FILTERS: list[tuple[dict[str, Any], int]] = [
    ({}, 30),
    ({"entity": "e:1"}, 6),
    ({"prefix": "e"}, 30),
    ({"scope": "t"}, 15),
    ({"kind": 0x1002}, 10),
    ({"category": 2}, 0),
    ({"lane": 1, "kind": 0x1000}, 5),
    ({"entity": "e:0", "clocks": (1, 2)}, 4),
]

WRONG: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"entity": "a", "prefix": "a"}, batpak.InvalidArgumentError),
    ({"kind": 0x1000, "category": 1}, batpak.InvalidArgumentError),
    ({"lane": -1}, batpak.InvalidArgumentError),
    ({"category": 256}, batpak.InvalidKindError),
    ({"entity": "\ud800"}, batpak.InvalidCoordinateError),
    ({"entity": b"a"}, TypeError),
    ({"clocks": 1}, TypeError),
    ({"start": 0}, TypeError),
    ({"limit": 1}, TypeError),
]


@pytest.fixture
def filled(store: Store) -> Store:
    """Thirty events: entities e:0 to e:4, scopes s and t, kinds 0x1000 to 0x1002, lanes 0 and 1."""
    store.append_batch(
        NewEvent(f"e:{i % 5}", "st"[i % 2], bytes([i]), kind=0x1000 + i % 3, lane=i % 2)
        for i in range(30)
    )
    return store


class Somewhere(PathLike[str]):
    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.mark.parametrize("form", [str, Path, Somewhere])
def test_forms_of_a_path(
    filled: Store, tmp_path: Path, form: Callable[[Path], str | PathLike[str]]
) -> None:
    assert filled.export_to(form(tmp_path / "old")).exported == 30
    with Store(tmp_path / "new") as new:
        assert new.import_from(form(tmp_path / "old")).imported == 30


@pytest.mark.parametrize("wrong", [b"old", 3, None])
def test_what_is_no_path(store: Store, wrong: Any) -> None:
    with pytest.raises(TypeError):
        store.import_from(wrong)
    with pytest.raises(TypeError):
        store.export_to(wrong)


@pytest.mark.parametrize(("region", "events"), FILTERS)
def test_filters(filled: Store, tmp_path: Path, region: dict[str, Any], events: int) -> None:
    exported = filled.export_to(tmp_path / "old", **region)
    assert (exported.exported, exported.dropped) == (events, 0)
    with Store(tmp_path / "new") as new:
        imported = new.import_from(filled.path, **region)
        assert (imported.imported, imported.outside) == (events, 30 - events)
        assert new.head().events == events
        kept = [(event.entity, event.scope, bytes(event)) for event in new.read()]
    assert kept == [(e.entity, e.scope, bytes(e)) for e in filled.read(**region)]


@pytest.mark.parametrize(("region", "error"), WRONG)
def test_wrong_filters_are_refused(
    filled: Store, tmp_path: Path, region: dict[str, Any], error: type[Exception]
) -> None:
    filled.export_to(tmp_path / "old")
    with Store(tmp_path / "new") as new:
        with pytest.raises(error):
            new.import_from(tmp_path / "old", **region)
        assert new.head().events == 0
    with pytest.raises(error):
        filled.export_to(tmp_path / "other", **region)
    assert not (tmp_path / "other").exists()


def test_wrong_options_are_refused(filled: Store, tmp_path: Path) -> None:
    source, target = str(tmp_path / "old"), tmp_path / "other"
    filled.export_to(source)
    imports: list[dict[str, Any]] = [
        {"salvage": 1},
        {"unvouched": "yes"},
        {"decrypt": None},
        {"salvaged": True},
        {"plain": True},
    ]
    with Store(tmp_path / "new") as new:
        for options in imports:
            with pytest.raises(TypeError):
                new.import_from(source, **options)
        with pytest.raises(TypeError):
            new.import_from(source, "e:1")  # type: ignore[call-arg]
        assert new.head().events == 0
    exports: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"plain": 1}, TypeError),
        ({"segment_bytes": "1000"}, TypeError),
        ({"segment_bytes": 1000.0}, TypeError),
        ({"segment_bytes": -1}, batpak.InvalidArgumentError),
        ({"segment_bytes": 1 << 64}, batpak.InvalidArgumentError),
        ({"salvage": True}, TypeError),
    ]
    for options, error in exports:
        with pytest.raises(error):
            filled.export_to(target, **options)
    with pytest.raises(TypeError):
        filled.export_to(target, "e:1")  # type: ignore[call-arg]
    assert not target.exists()


def test_reports_tell_everything(filled: Store, tmp_path: Path) -> None:
    exported = filled.export_to(tmp_path / "old", segment_bytes=2000)
    segments = sorted((tmp_path / "old").iterdir())
    size = sum(segment.stat().st_size for segment in segments)
    assert exported == ExportReport(
        exported=30, hidden=0, dropped=0, segments=len(segments), bytes=size, drops=[]
    )
    assert exported.segments > 1
    assert filled.export_to(tmp_path / "one", segment_bytes=None).segments == 1
    plain = filled.export_to(tmp_path / "plain", plain=True)
    assert (plain.exported, plain.bytes > exported.bytes) == (30, True)

    with Store(tmp_path / "new") as new:
        twice = NewEvent("a", "s", b"other", kind=0x1000, id=next(filled.read(start=7)).id)
        new.append_batch([twice])
        report = new.import_from(filled.path)
        assert len(report.drops) == 1
        (drop,) = report.drops
        assert isinstance(drop, Dropped)
        assert (drop.sequence, drop.is_event) == (7, True)
        assert twice.id is not None and twice.id in drop.reason
        assert report == ImportReport(
            source=filled.stats().store_id,
            format=2,
            imported=29,
            already_there=0,
            hidden=0,
            outside=0,
            dropped=1,
            sequences_kept=False,
            keys_without_events=0,
            drops=[drop],
        )
        again = new.import_from(filled.path)
        assert (again.imported, again.already_there, again.dropped) == (0, 29, 1)


def test_reports_are_plain_values(filled: Store, tmp_path: Path) -> None:
    exported = filled.export_to(tmp_path / "old")
    with Store(tmp_path / "new") as new:
        imported = new.import_from(tmp_path / "old")
    drop = Dropped(1, 57, None, False, "bytes that are no frame")
    for value in (exported, imported, drop):
        assert pickle.loads(pickle.dumps(value)) == value
        with pytest.raises(FrozenInstanceError):
            setattr(value, "reason" if value is drop else "dropped", 7)
    assert repr(exported).startswith("ExportReport(exported=30, hidden=0, dropped=0, segments=1, ")
    assert repr(imported) == (
        f"ImportReport(source='{imported.source}', format=1, imported=30, already_there=0, "
        "hidden=0, outside=0, dropped=0, sequences_kept=True, keys_without_events=0, drops=[])"
    )
    assert repr(drop) == (
        "Dropped(segment=1, offset=57, sequence=None, is_event=False, "
        "reason='bytes that are no frame')"
    )
    assert len(bytes.fromhex(imported.source)) == 16


def test_damage_is_refused_or_passed_over(store: Store, tmp_path: Path) -> None:
    store.append_payloads("a", "s", [bytes([number]) for number in range(30)], 0x1000)
    store.export_to(tmp_path / "old")
    old, first = tmp_path / "old", tmp_path / "old" / "000001.fbat"
    damaged = bytearray(first.read_bytes())
    damaged[300] ^= 1
    first.write_bytes(damaged)
    with Store(tmp_path / "new") as new:
        with pytest.raises(batpak.CorruptError) as caught:
            new.import_from(old, salvage=False, unvouched=True, decrypt=True)
        assert (caught.value.path, caught.value.segment) == (str(first), 1)
        assert new.head().events == 0
        report = new.import_from(old, salvage=True)
        assert (report.imported, new.head().events) == (29, 29)
        (drop,) = report.drops
        place = (drop.segment, drop.offset, drop.sequence, drop.is_event)
        assert place == (1, caught.value.offset, None, False)
        assert drop.reason
    assert first.read_bytes() == damaged


def test_an_old_store_opens_for_reading_only(filled: Store, tmp_path: Path) -> None:
    assert (filled.report.format, filled.report.hidden) == (2, 0)
    filled.export_to(tmp_path / "old")
    with pytest.raises(batpak.UnsupportedError):
        Store(tmp_path / "old")
    with Store(tmp_path / "old", mode="read_only") as old:
        assert (old.report.format, old.report.hidden, old.report.events) == (1, 0, 30)
        assert [bytes(event) for event in old.read()] == [bytes(event) for event in filled.read()]
        assert old.verify().intact
        with pytest.raises(batpak.ReadOnlyError):
            old.append("a", "s", b"", kind=0x1000)
        with pytest.raises(batpak.ReadOnlyError):
            old.import_from(filled.path)
        assert old.export_to(tmp_path / "again").exported == 30


def test_what_a_receipt_covers(filled: Store, tmp_path: Path) -> None:
    filled.export_to(tmp_path / "old")
    with Store(tmp_path / "old", mode="read_only") as old:
        covers = [old.receipt_cover_0x(sequence) for sequence in range(30)]
        assert {type(cover) for cover in covers} == {bytes}
        assert len(set(covers)) == 30
        for sequence, cover in enumerate(covers):
            event = old.at(sequence)
            assert event is not None and event.hash in cover
        with pytest.raises(batpak.NotFoundError):
            old.receipt_cover_0x(30)
        for number in (-1, 1 << 64):
            with pytest.raises(batpak.InvalidArgumentError):
                old.receipt_cover_0x(number)
        with pytest.raises(TypeError):
            old.receipt_cover_0x("0")  # type: ignore[arg-type]
    with pytest.raises(batpak.UnsupportedError):
        filled.receipt_cover_0x(0)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A store of 20,000 events, each with its sequence as its payload."""
    with Store(tmp_path / "large", durability="written") as store:
        store.append_payloads("a", "s", [number.to_bytes(4) for number in range(20_000)], 0x1000)
    return tmp_path / "large"


def numbers(store: Store) -> list[int]:
    return [int.from_bytes(bytes(event)) for event in store.read()]


def test_others_read_while_a_thread_imports(large: Path, path: Path) -> None:
    with Store(path) as store, ThreadPoolExecutor(1) as pool:
        importing = pool.submit(store.import_from, large)
        while not importing.done():
            seen = numbers(store)
            assert seen == list(range(len(seen)))
        assert (importing.result().imported, importing.result().sequences_kept) == (20_000, True)
        assert numbers(store) == list(range(20_000))


def test_an_import_wakes_those_who_wait(large: Path, path: Path) -> None:
    with Store(path) as store, ThreadPoolExecutor(2) as pool:
        events = store.follow(timeout=PATIENCE_SECONDS)
        following = pool.submit(lambda: [next(events).sequence for _ in range(20_000)])
        waiting = pool.submit(store.wait, 20_000, PATIENCE_SECONDS)
        store.import_from(large)
        assert waiting.result() == 20_000
        assert following.result() == list(range(20_000))


def test_threads_import_the_same_at_once(large: Path, path: Path) -> None:
    with Store(path) as store, ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda _: store.import_from(large), range(3)))
        assert sum(report.imported for report in reports) == 20_000
        for report in reports:
            assert (report.imported + report.already_there, report.dropped) == (20_000, 0)
        assert numbers(store) == list(range(20_000))


def test_closing_ends_an_import_which_goes_on_later(large: Path, path: Path) -> None:
    with Store(path) as store, ThreadPoolExecutor(1) as pool:
        importing = pool.submit(store.import_from, large)
        store.wait(1)
        store.close()
        failure = importing.exception()
        # An import that was done by then has nothing to be told.
        assert failure is None or isinstance(failure, batpak.ClosedError)
    with Store(path) as store:
        there = store.head().events
        assert 1 <= there <= 20_000
        report = store.import_from(large)
        assert (report.imported, report.already_there) == (20_000 - there, there)
        assert report.sequences_kept
        assert numbers(store) == list(range(20_000))


def test_exports_run_beside_appends(large: Path, tmp_path: Path) -> None:
    with Store(large) as store, ThreadPoolExecutor(1) as pool:
        exporting = pool.submit(store.export_to, tmp_path / "old")
        for number in range(20_000, 20_100):
            store.append("a", "s", number.to_bytes(4), 0x1000, durability="buffered")
        exported = exporting.result().exported
        assert 20_000 <= exported <= 20_100
    with Store(tmp_path / "old", mode="read_only") as old:
        assert numbers(old) == list(range(exported))
