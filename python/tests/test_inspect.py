"""Looking at a directory without opening it. What is found in which state is in tests/scripts; here
is how it is asked for, and what comes back."""

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from os import PathLike
from pathlib import Path
from typing import Any

import pytest

import batpak
from batpak import Inspection, OpenReport, Store

NOTHING = Inspection(
    opening="CREATES",
    refusal=None,
    store_id="0" * 32,
    lineage_id="0" * 32,
    bytes=0,
    report=OpenReport(
        created=False,
        clean=False,
        format=0,
        events=0,
        hidden=0,
        segments=0,
        cut_bytes=0,
        cut_at=None,
        cut_reason="",
        removed=[],
        ignored=[],
        damage=[],
    ),
)


class Somewhere(PathLike[str]):
    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.fixture
def damaged(path: Path) -> Path:
    """A closed store with a damaged header, and a file that is not the store's."""
    with Store(path, seed=1) as store:
        store.append("a", "s", b"x", kind=0x1000)
    segment = path / "000001.fbat"
    content = bytearray(segment.read_bytes())
    content[8] ^= 1
    segment.write_bytes(content)
    (path / "notes.txt").write_text("mine")
    return path


def test_no_store(path: Path) -> None:
    assert batpak.inspect(path) == NOTHING
    assert not path.exists()
    path.mkdir()
    assert batpak.inspect(path) == NOTHING
    assert list(path.iterdir()) == []


@pytest.mark.parametrize("form", [str, Path, Somewhere])
def test_forms_of_a_path(store: Store, form: Callable[[Path], str | PathLike[str]]) -> None:
    assert batpak.inspect(form(Path(store.path))).opening == "LOCKED"
    assert batpak.inspect(path=form(Path(store.path))).report.format == 2


@pytest.mark.parametrize("wrong", [b"store", 3, None])
def test_what_is_no_path(wrong: Any) -> None:
    with pytest.raises(TypeError):
        batpak.inspect(wrong)


def test_what_cannot_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(batpak.IoError):
        batpak.inspect(tmp_path / "file")
    with pytest.raises(batpak.InvalidArgumentError):
        batpak.inspect("")


def test_a_live_store(store: Store) -> None:
    store.append("a", "s", b"x", kind=0x1000)
    found, stats = batpak.inspect(store.path), store.stats()
    assert (found.opening, found.refusal) == ("LOCKED", None)
    assert (found.store_id, found.lineage_id) == (stats.store_id, stats.lineage_id)
    assert (found.report.events, found.bytes) == (1, stats.bytes)
    store.append("a", "s", b"y", kind=0x1000)
    store.close()
    closed = batpak.inspect(store.path)
    assert (closed.opening, closed.report.events, closed.report.clean) == ("OPENS", 2, True)
    # What was found stays as it was.
    assert (found.opening, found.report.events) == ("LOCKED", 1)


def test_a_torn_end_is_told_and_not_cut(path: Path, tmp_path: Path) -> None:
    with Store(path) as store:
        store.append("a", "s", b"x", kind=0x1000)
        found = batpak.inspect(path)
        torn = tmp_path / "torn"
        torn.mkdir()
        for file in path.iterdir():
            (torn / file.name).write_bytes(file.read_bytes())
    segment = torn / "000001.fbat"
    segment.write_bytes(segment.read_bytes()[: found.bytes] + b"torn")
    report = batpak.inspect(torn).report
    assert batpak.inspect(torn).opening == "RECOVERS"
    assert (report.cut_bytes, report.cut_at) == (4, (1, found.bytes))
    assert segment.stat().st_size == found.bytes + 4
    with Store(torn) as store:
        opened = store.report
    assert (opened.cut_bytes, opened.cut_at) == (report.cut_bytes, report.cut_at)
    assert opened.cut_reason == report.cut_reason != ""


def test_a_refusal_is_the_error_of_opening(damaged: Path) -> None:
    found = batpak.inspect(damaged)
    assert found.opening == "REFUSES"
    assert isinstance(found.refusal, batpak.CorruptError)
    assert (found.refusal.code, found.refusal.retry) == (14, "NEVER")
    with pytest.raises(batpak.CorruptError) as caught:
        Store(damaged)
    assert str(caught.value) == str(found.refusal)
    assert (caught.value.path, caught.value.segment) == (found.refusal.path, found.refusal.segment)
    with Store(damaged, mode="salvage") as salvage:
        assert salvage.report == found.report
    assert found.report.damage
    assert found.report.ignored == ["notes.txt"]
    with pytest.raises(batpak.CorruptError):
        raise found.refusal


def test_an_old_store_only_reads(store: Store, tmp_path: Path) -> None:
    store.append("a", "s", b"x", kind=0x1000)
    store.export_to(tmp_path / "old")
    found = batpak.inspect(tmp_path / "old")
    assert (found.opening, found.refusal, found.report.format) == ("ONLY_READS", None, 1)
    with Store(tmp_path / "old", mode="read_only") as old:
        assert found.store_id == old.stats().store_id


def test_an_inspection_is_a_plain_value(damaged: Path, tmp_path: Path) -> None:
    found = batpak.inspect(damaged)
    again = pickle.loads(pickle.dumps(found))
    assert (again.opening, again.report) == (found.opening, found.report)
    assert type(again.refusal) is batpak.CorruptError
    assert str(again.refusal) == str(found.refusal)
    with pytest.raises(FrozenInstanceError):
        setattr(found, "opening", "OPENS")
    assert pickle.loads(pickle.dumps(NOTHING)) == NOTHING
    assert repr(batpak.inspect(tmp_path)).startswith("Inspection(opening='CREATES', refusal=None, ")


def test_others_append_meanwhile(store: Store) -> None:
    with ThreadPoolExecutor(1) as pool:
        appending = pool.submit(
            lambda: [store.append("a", "s", b"x", kind=0x1000) for _ in range(500)]
        )
        before = 0
        while not appending.done():
            found = batpak.inspect(store.path)
            assert (found.opening, found.report.damage) == ("LOCKED", [])
            assert found.report.events >= before
            before = found.report.events
        assert len(appending.result()) == 500
    assert batpak.inspect(store.path).report.events == 500


def test_how_often_a_store_goes_on(path: Path) -> None:
    with Store(path, restarts=0, restart_window_ms=1000) as store:
        assert store.append("a", "s", b"x", kind=0x1000).sequence == 0
    with Store.open(path, restarts=None, restart_window_ms=None) as store:
        assert store.append("a", "s", b"x", kind=0x1000).sequence == 1
    for number in (-1, 1 << 32):
        with pytest.raises(batpak.InvalidArgumentError):
            Store(path, restarts=number)
        with pytest.raises(batpak.InvalidArgumentError):
            Store(path, restart_window_ms=number)
    with pytest.raises(TypeError):
        Store(path, restarts="1")  # type: ignore[arg-type]
