"""Repairing. What a repair makes of which damage is in tests/scripts and in the tests of core; here is
how it is called, and what comes back."""

import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from os import PathLike
from pathlib import Path
from typing import Any

import pytest

import batpak
from batpak import LeftOut, LostEvents, Parent, RepairReport, Retention, Store


def fill(path: Path) -> Path:
    """A closed store of forty events in several segments, of two entities by turns."""
    with Store(path, seed=1, segment_bytes=4096) as store:
        for number in range(40):
            payload = bytes([number]) * 300
            store.append(f"a:{number % 2}", "s", payload, 0x1000, durability="written")
    return path


def flip(file: Path, offset: int) -> None:
    content = bytearray(file.read_bytes())
    content[offset] ^= 1
    file.write_bytes(content)


@pytest.fixture
def damaged(path: Path) -> Path:
    """The same, with an event in the second segment that cannot be read."""
    flip(fill(path) / "000002.fbat", 1000)
    return path


def payloads(store: Store) -> dict[int, bytes]:
    return {event.sequence: bytes(event) for event in store.read()}


def files_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def hashes(path: Path) -> list[bytes]:
    with Store(path, mode="read_only") as store:
        return [event.hash for event in store.read()]


def test_what_is_repaired_and_reported(damaged: Path, tmp_path: Path) -> None:
    files = files_of(damaged)
    with Store(damaged, mode="salvage") as salvage:
        readable, source = payloads(salvage), salvage.stats().store_id
        damage = salvage.report.damage
    [lost] = set(range(40)) - readable.keys()
    copy = tmp_path / "copy"
    report = batpak.repair(damaged, copy)

    with Store(copy, mode="existing") as store:
        assert payloads(store) == {**readable, lost: b""}
        place = store.at(lost)
        assert place is not None
        assert (place.kind, place.entity) == (batpak.TOMBSTONE, "batpak:repair")
        assert store.parent == Parent(source, lost, store.head_at(lost).root)
        assert store.verify() == report.verify
        assert report.verify.intact and report.verify.events == 40
        [left] = report.left_out
        assert report == RepairReport(
            source=source,
            store_id=store.stats().store_id,
            kept=lost,
            appended=39 - lost,
            dropped=0,
            lost=1,
            lost_events=[LostEvents(lost, 1)],
            left_out=[LeftOut(2, left.offset, left.bytes, lost, 1, left.why)],
            damage=damage,
            verify=store.verify(),
        )
        assert left.offset <= 1000 < left.offset + left.bytes
        assert left.why and damage
        assert store.append("a:0", "s", b"next", 0x1000).sequence == 40
    assert files_of(damaged) == files


def test_altered_events_are_kept_if_asked_for(path: Path, tmp_path: Path) -> None:
    # Without a manifest and a header, nothing says of which log the events are.
    for segment in sorted(fill(path).glob("*.fbat")):
        flip(segment, 8)
    (path / "manifest").unlink()
    without = batpak.repair(path, tmp_path / "without", keep_altered=False)
    assert (without.source, without.kept, without.appended) == ("0" * 32, 0, 0)
    kept = batpak.repair(path, tmp_path / "kept", keep_altered=True)
    assert (kept.source, kept.kept, kept.appended, kept.lost) == ("0" * 32, 0, 40, 0)
    with Store(tmp_path / "kept", mode="read_only") as store:
        assert payloads(store) == {number: bytes([number]) * 300 for number in range(40)}


def test_the_places_of_so_many_lost_events_are_held(path: Path, tmp_path: Path) -> None:
    (fill(path) / "000002.fbat").unlink()
    copy = tmp_path / "copy"
    lost = batpak.repair(path, tmp_path / "all", max_lost=None).lost
    assert lost > 1
    with pytest.raises(batpak.TooLargeError):
        batpak.repair(path, copy, max_lost=lost - 1)
    assert not copy.exists()
    assert batpak.repair(path, copy, max_lost=lost).lost == lost


def test_the_size_of_segments(path: Path, tmp_path: Path) -> None:
    # What is appended anew goes there in groups of 1 MiB.
    with Store(path, durability="written") as store:
        for _ in range(4):
            store.append("a", "s", bytes(1 << 20), 0x1000)
    flip(path / "000001.fbat", 1000)
    large = batpak.repair(path, tmp_path / "large")
    small = batpak.repair(path, tmp_path / "small", segment_bytes=1 << 20)
    assert (large.kept, small.kept) == (0, 0)
    assert (large.verify.segments, small.verify.segments) == (1, 3)


def test_a_seed_makes_the_same_copy(damaged: Path, tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    seeded = batpak.repair(damaged, one, seed=7)
    assert batpak.repair(damaged, two, seed=7) == seeded
    assert hashes(one) == hashes(two)
    assert batpak.repair(damaged, three).store_id != seeded.store_id


def test_dropped_events_are_told_from_lost_ones(path: Path, tmp_path: Path) -> None:
    with Store(fill(path), mode="existing") as store:
        assert store.compact(retention=Retention(entity="a:1", before=30)).events_dropped == 15
    # The newest segment has no event. Of the other one, the third event is hit.
    flip(max(path.glob("*.fbat"), key=lambda file: file.stat().st_size), 1000)
    report = batpak.repair(path, tmp_path / "copy")
    assert (report.kept, report.appended, report.dropped, report.lost) == (2, 23, 14, 1)
    assert report.lost_events == [LostEvents(2, 1)]
    assert [left.first_sequence for left in report.left_out] == [2, *range(3, 30, 2)]
    assert (report.verify.events, report.verify.dropped) == (40, 1)


@pytest.mark.parametrize("form", [str, Path])
def test_forms_of_a_path(
    damaged: Path, tmp_path: Path, form: Callable[[Path], str | PathLike[str]]
) -> None:
    assert batpak.repair(form(damaged), form(tmp_path / "a")).lost == 1
    assert batpak.repair(damaged=form(damaged), destination=form(tmp_path / "b")).lost == 1


@pytest.mark.parametrize("wrong", [b"store", 3, None])
def test_what_is_no_path(damaged: Path, tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(TypeError):
        batpak.repair(wrong, tmp_path / "copy")
    with pytest.raises(TypeError):
        batpak.repair(damaged, wrong)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"keep_altered": 1}, TypeError),
        ({"keep_altered": None}, TypeError),
        ({"max_lost": "3"}, TypeError),
        ({"max_lost": -1}, batpak.InvalidArgumentError),
        ({"max_lost": 1 << 64}, batpak.InvalidArgumentError),
        ({"segment_bytes": 4096.0}, TypeError),
        ({"segment_bytes": 0}, batpak.InvalidArgumentError),
        ({"seed": -1}, batpak.InvalidArgumentError),
        ({"keep": True}, TypeError),
    ],
)
def test_wrong_options(
    damaged: Path, tmp_path: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        batpak.repair(damaged, tmp_path / "copy", **options)
    assert not (tmp_path / "copy").exists()


def test_what_is_not_repaired(store: Store, tmp_path: Path) -> None:
    store.append("a", "s", b"x", 0x1000)
    copy = tmp_path / "copy"
    with pytest.raises(batpak.LockedError):
        batpak.repair(store.path, copy)
    store.export_to(tmp_path / "old")
    with pytest.raises(batpak.UnsupportedError):
        batpak.repair(tmp_path / "old", copy)
    with pytest.raises(batpak.NotFoundError):
        batpak.repair(tmp_path / "missing", copy)
    store.close()
    assert not copy.exists()
    with pytest.raises(batpak.InvalidArgumentError):
        batpak.repair(store.path, tmp_path / "old")
    assert batpak.repair(store.path, copy).kept == 1


def test_a_report_is_a_plain_value(damaged: Path, tmp_path: Path) -> None:
    report = batpak.repair(damaged, tmp_path / "copy")
    assert pickle.loads(pickle.dumps(report)) == report
    with pytest.raises(FrozenInstanceError):
        setattr(report, "lost", 0)
    assert repr(report).startswith(f"RepairReport(source='{report.source}', store_id='")
