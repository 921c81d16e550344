"""Snapshots, forks, and comparing stores. What these calls do to events is in tests/scripts; here
is how they are called, what they give back, and what threads may do."""

import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from os import PathLike
from pathlib import Path
from typing import Any

import pytest

import batpak
from batpak import CopyReport, Diff, NewEvent, Parent, SnapshotCheck, Store, VerifyReport


@pytest.fixture
def filled(path: Path) -> Iterator[Store]:
    """Forty events in several segments."""
    with Store(path, seed=1, segment_bytes=4096) as store:
        for number in range(40):
            store.append("a", "s", bytes([number]) * 300, 0x1000, durability="written")
        yield store


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.fbat"))


def shared(one: Path, other: Path) -> list[str]:
    """The names of the segments that are one file in both directories."""
    pairs = ((segment, other / segment.name) for segment in segments(one))
    return [mine.name for mine, its in pairs if its.exists() and os.path.samefile(mine, its)]


def payloads(store: Store) -> list[bytes]:
    return [bytes(event) for event in store.read()]


@pytest.mark.parametrize("form", [str, Path])
def test_forms_of_a_path(
    filled: Store, tmp_path: Path, form: Callable[[Path], str | PathLike[str]]
) -> None:
    snapshot, later, fork = (form(tmp_path / name) for name in ("snapshot", "later", "fork"))
    assert filled.snapshot_to(snapshot).events == 40
    assert filled.snapshot_to(later, earlier=snapshot).events == 40
    assert filled.verify_snapshot(snapshot).is_prefix
    assert filled.fork_to(fork).events == 40
    assert filled.diff(fork).common == 40


@pytest.mark.parametrize("wrong", [b"copy", 3, None])
def test_what_is_no_path(store: Store, tmp_path: Path, wrong: Any) -> None:
    for call in (store.snapshot_to, store.verify_snapshot, store.fork_to, store.diff):
        with pytest.raises(TypeError):
            call(wrong)
    if wrong is not None:
        with pytest.raises(TypeError):
            store.snapshot_to(tmp_path / "copy", earlier=wrong)
    assert not (tmp_path / "copy").exists()


def test_wrong_options_are_refused(filled: Store, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    snapshots: list[dict[str, Any]] = [
        {"independent": 1},
        {"independent": None},
        {"at": 3},
        {"erlier": "a"},
    ]
    for options in snapshots:
        with pytest.raises(TypeError):
            filled.snapshot_to(target, **options)
    forks: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"independent": "yes"}, TypeError),
        ({"earlier": "a"}, TypeError),
        ({"at": "3"}, TypeError),
        ({"at": 3.0}, TypeError),
        ({"at": -1}, batpak.InvalidArgumentError),
        ({"at": 41}, batpak.InvalidArgumentError),
        ({"at": 1 << 64}, batpak.InvalidArgumentError),
    ]
    for options, error in forks:
        with pytest.raises(error):
            filled.fork_to(target, **options)
    with pytest.raises(TypeError):
        filled.snapshot_to(target, target)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        filled.fork_to(target, 3)  # type: ignore[call-arg]
    assert os.listdir(tmp_path) == ["store"]


def test_a_snapshot_opens_as_the_store_that_it_is_of(filled: Store, tmp_path: Path) -> None:
    head = filled.head()
    report = filled.snapshot_to(tmp_path / "copy")
    ours, copies = segments(Path(filled.path)), segments(tmp_path / "copy")
    assert [copy.name for copy in copies] == [segment.name for segment in ours]
    assert report == CopyReport(
        store_id=filled.stats().store_id,
        events=40,
        root=head.root,
        segments=len(ours),
        linked=len(ours) - 1,
        copied=1,
        bytes_copied=copies[-1].stat().st_size,
    )
    assert shared(tmp_path / "copy", Path(filled.path)) == [copy.name for copy in copies[:-1]]
    filled.append("a", "s", b"later", 0x1000)
    with Store(tmp_path / "copy", mode="existing") as copy:
        assert copy.head() == head
        assert copy.stats().store_id == filled.stats().store_id
        assert copy.parent is None
        assert payloads(copy) == payloads(filled)[:-1]


def test_what_a_snapshot_shares(filled: Store, tmp_path: Path) -> None:
    every, first = len(segments(Path(filled.path))), tmp_path / "first"
    apart = filled.snapshot_to(first, independent=True)
    assert (apart.linked, apart.copied) == (0, every)
    assert apart.bytes_copied == sum(segment.stat().st_size for segment in segments(first))
    assert shared(first, Path(filled.path)) == []

    later = filled.snapshot_to(tmp_path / "later", earlier=first, independent=True)
    assert (later.linked, later.copied) == (every - 1, 1)
    assert shared(tmp_path / "later", Path(filled.path)) == []
    assert len(shared(tmp_path / "later", first)) == every - 1
    assert filled.snapshot_to(tmp_path / "last", earlier=None).linked == every - 1
    with pytest.raises(batpak.NotFoundError):
        filled.snapshot_to(tmp_path / "none", earlier=tmp_path / "missing")
    assert not (tmp_path / "none").exists()


def test_a_snapshot_is_intact_or_damaged(filled: Store, tmp_path: Path) -> None:
    root = filled.snapshot_to(tmp_path / "copy", independent=True).root
    filled.append("a", "s", b"later", 0x1000)
    check = filled.verify_snapshot(tmp_path / "copy")
    assert check.diff == Diff(common=40, ours=41, theirs=40)
    assert check.is_prefix
    assert (check.report.intact, check.report.events, check.report.root) == (True, 40, root)

    with Store(tmp_path / "copy") as copy:
        copy.append("b", "s", b"", 0x1000)
    parted = filled.verify_snapshot(tmp_path / "copy")
    assert (parted.diff, parted.is_prefix) == (Diff(common=40, ours=41, theirs=41), False)

    first = segments(tmp_path / "copy")[0]
    content = bytearray(first.read_bytes())
    content[300] ^= 1
    first.write_bytes(content)
    damaged = filled.verify_snapshot(tmp_path / "copy")
    assert (damaged.diff, damaged.is_prefix, damaged.report.intact) == (None, False, False)
    assert damaged.report.findings[0].segment == 1


def test_a_fork_goes_its_own_way(filled: Store, tmp_path: Path) -> None:
    assert filled.parent is None
    whole, half = filled.fork_to(tmp_path / "whole"), filled.fork_to(tmp_path / "half", at=20)
    assert filled.fork_to(tmp_path / "none", at=0).events == 0
    assert filled.fork_to(tmp_path / "apart", independent=True).linked == 0
    assert (whole.events, whole.root) == (40, filled.head().root)
    assert (half.events, half.root) == (20, filled.head_at(20).root)
    assert half.store_id != whole.store_id != filled.stats().store_id

    with Store(tmp_path / "half", mode="existing") as fork:
        stats, ours = fork.stats(), filled.stats()
        assert (stats.store_id, stats.lineage_id) == (half.store_id, ours.lineage_id)
        assert fork.parent == Parent(store_id=ours.store_id, events=20, root=half.root)
        assert payloads(fork) == payloads(filled)[:20]
        fork.append("a", "s", b"its own", 0x1000)
        filled.append("a", "s", b"ours", 0x1000)
        assert fork.diff(filled.path) == Diff(common=20, ours=21, theirs=41)
        assert fork.verify().intact
        parent = fork.parent
    # It is known without the files.
    assert fork.parent == parent
    found = filled.diff(tmp_path / "half")
    assert (found.only_ours, found.only_theirs) == (range(20, 41), range(20, 21))
    assert filled.verify().intact


def test_a_fork_cuts_no_batch(store: Store, tmp_path: Path) -> None:
    store.append_batch(NewEvent("a", "s", b"", kind=0x1000) for _ in range(3))
    with pytest.raises(batpak.InvalidArgumentError, match="fork at 0 or at 3"):
        store.fork_to(tmp_path / "fork", at=1)
    assert not (tmp_path / "fork").exists()
    assert store.fork_to(tmp_path / "fork", at=3).events == 3


def test_stores_that_are_no_relatives(store: Store, tmp_path: Path) -> None:
    with Store(tmp_path / "other", seed=2) as other:
        for each in (store, other):
            each.append("a", "s", b"same", 0x1000, id="aa" * 16, timestamp_us=0)
        assert store.diff(other.path) == Diff(common=0, ours=1, theirs=1)
        check = store.verify_snapshot(other.path)
        assert (check.diff, check.is_prefix) == (Diff(0, 1, 1), False)
    for call in (store.diff, store.verify_snapshot):
        with pytest.raises(batpak.NotFoundError):
            call(tmp_path / "missing")


def test_a_copy_is_not_put_over_another_thing(filled: Store, tmp_path: Path) -> None:
    filled.snapshot_to(tmp_path / "copy")
    for target in (tmp_path / "copy", Path(filled.path), Path(filled.path) / "inside", tmp_path):
        for make in (filled.snapshot_to, filled.fork_to):
            with pytest.raises(batpak.InvalidArgumentError):
                make(target)
    assert filled.verify_snapshot(tmp_path / "copy").is_prefix
    (tmp_path / "empty").mkdir()
    assert filled.fork_to(tmp_path / "empty").events == 40


def test_reports_are_plain_values(filled: Store, tmp_path: Path) -> None:
    copied = filled.snapshot_to(tmp_path / "copy")
    check = filled.verify_snapshot(tmp_path / "copy")
    parent = Parent("ab" * 16, 7, b"root")
    values: list[tuple[object, str]] = [
        (copied, "events"),
        (check, "report"),
        (check.diff, "common"),
        (parent, "root"),
    ]
    for value, field in values:
        assert pickle.loads(pickle.dumps(value)) == value
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, 7)
    assert repr(check.diff) == "Diff(common=40, ours=40, theirs=40)"
    assert repr(parent) == f"Parent(store_id='{'ab' * 16}', events=7, root=b'root')"
    assert repr(copied).startswith(f"CopyReport(store_id='{copied.store_id}', events=40, root=b")
    assert repr(check).startswith("SnapshotCheck(report=VerifyReport(events=40, ")
    longer = Diff(common=2, ours=2, theirs=3)
    assert (list(longer.only_ours), list(longer.only_theirs)) == ([], [2])
    assert not SnapshotCheck(VerifyReport(3, 0, 0, 0, 1, b"", b"", []), longer).is_prefix


def test_copies_are_made_while_others_append(filled: Store, tmp_path: Path) -> None:
    """Every copy is what the log was at one moment, and loses nothing that was there before."""
    with ThreadPoolExecutor(3) as pool:
        appended = [bytes([number]) * 300 for number in range(40)]

        def append() -> None:
            for number in range(200):
                event = number.to_bytes(2) * 150
                filled.append("a", "s", event, 0x1000, durability="buffered")
                appended.append(event)

        def copy(number: int) -> tuple[int, CopyReport, CopyReport]:
            before = len(appended)
            snapshot = filled.snapshot_to(tmp_path / f"snapshot-{number}")
            return before, snapshot, filled.fork_to(tmp_path / f"fork-{number}")

        appending = pool.submit(append)
        copies = list(pool.map(copy, range(5)))
        appending.result()
        assert len(appended) == 240
        for number, (before, snapshot, fork) in enumerate(copies):
            assert before <= snapshot.events <= fork.events <= 240
            assert filled.verify_snapshot(tmp_path / f"snapshot-{number}").is_prefix
            assert filled.diff(tmp_path / f"fork-{number}").common == fork.events
            with Store(tmp_path / f"snapshot-{number}", mode="read_only") as reader:
                assert payloads(reader) == appended[: snapshot.events]


def test_closing_while_a_copy_is_made_leaves_a_whole_one_or_none(
    filled: Store, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as pool:
        copying = [
            ("snapshot", pool.submit(filled.snapshot_to, tmp_path / "snapshot")),
            ("fork", pool.submit(filled.fork_to, tmp_path / "fork")),
        ]
        filled.close()
    for name, made in copying:
        failure = made.exception()
        if failure is None:
            assert made.result().events == 40
            with Store(tmp_path / name, mode="existing") as copy:
                report = copy.verify()
            assert (report.intact, report.events) == (True, 40)
        else:
            assert isinstance(failure, batpak.ClosedError)
            assert not (tmp_path / name).exists()


def test_a_reader_copies_a_store_that_another_appends_to(filled: Store, tmp_path: Path) -> None:
    with Store(filled.path, mode="read_only") as reader:
        filled.append("a", "s", b"new", 0x1000, durability="written")
        assert reader.snapshot_to(tmp_path / "copy").events == 41
        assert reader.fork_to(tmp_path / "fork", at=40).events == 40
        assert reader.verify_snapshot(tmp_path / "copy").is_prefix
        assert reader.diff(filled.path) == Diff(common=41, ours=41, theirs=41)
