"""Appending: what is accepted, what comes back, and what is refused."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import batpak
from batpak import Item, NewEvent, Store

ID = "0123456789abcdef0123456789abcdef"


def test_a_receipt_says_where_the_event_is(store: Store) -> None:
    first = store.append("a", "s", b"1", kind=0x1000)
    second = store.append("a", "s", b"2", kind=0x1000, lane=3)
    assert (first.sequence, first.clock, first.lane, first.duplicate) == (0, 0, 0, False)
    assert (second.sequence, second.clock, second.lane) == (1, 0, 3)
    event = store.at(1)
    assert event is not None
    assert (event.id, event.hash) == (second.id, second.hash)
    assert (event.timestamp_us, event.wall_us) == (second.timestamp_us, second.wall_us)
    assert len(bytes.fromhex(first.id)) == 16 and len(first.hash) == 32


def test_every_field_is_stored(store: Store) -> None:
    cause = store.append("a", "s", b"", kind=0x1000)
    receipt = store.append(
        "user:1",
        "shop",
        b"payload",
        kind=0xFA01,
        expected=batpak.NO_STREAM,
        id=ID,
        correlation=bytes(range(16)),
        causation=cause.id,
        lane=7,
        depth=2,
        flags=255,
        payload_version=65535,
        timestamp_us=-1,
        extensions=[("b.x", b"2"), ("a.y", memoryview(b"1"))],
        durability="written",
    )
    event = store.get(ID)
    assert event is not None
    assert receipt.id == event.id == ID
    assert (event.entity, event.scope, event.kind) == ("user:1", "shop", 0xFA01)
    assert (event.correlation, event.causation) == (bytes(range(16)).hex(), cause.id)
    assert (event.clock, event.lane, event.depth, event.flags) == (0, 7, 2, 255)
    assert (event.payload_version, event.timestamp_us) == (65535, -1)
    assert list(event.extensions.items()) == [("a.y", b"1"), ("b.x", b"2")]
    assert event.prev_hash == bytes(32)
    assert bytes(event) == b"payload"


def test_defaults(store: Store) -> None:
    receipt = store.append("a", "s", b"", kind=0x1000)
    event = store.get(receipt.id)
    assert event is not None
    assert (event.correlation, event.causation) == (event.id, None)
    assert (event.lane, event.depth, event.flags, event.payload_version) == (0, 0, 0, 0)
    assert event.extensions == {}
    assert event.timestamp_us == receipt.timestamp_us


@pytest.mark.parametrize("form", [ID, ID.upper(), bytes.fromhex(ID), UUID(ID)])
def test_ids_have_three_forms(store: Store, form: str | bytes | UUID) -> None:
    assert store.append("a", "s", b"", kind=0x1000, id=form).id == ID
    event = store.get(form)
    assert event is not None and event.id == ID


def test_a_repeated_id_gives_the_first_receipt(store: Store) -> None:
    first = store.append("a", "s", b"1", kind=0x1000, id=ID)
    again = store.append("a", "s", b"1", kind=0x1000, id=ID)
    assert (again.sequence, again.hash, again.duplicate) == (0, first.hash, True)
    assert again != first
    with pytest.raises(batpak.IdempotencyConflictError):
        store.append("a", "s", b"2", kind=0x1000, id=ID)


def test_an_operation_has_one_id(store: Store) -> None:
    key = batpak.operation_id("billing", "invoice-7", b"paid")
    assert key == batpak.operation_id("billing", b"invoice-7", bytearray(b"paid"))
    assert key != batpak.operation_id("billing", "invoice-7p", "aid")
    assert store.append("a", "s", b"", kind=0x1000, id=key).id == key
    with pytest.raises(TypeError):
        batpak.operation_id("billing", 7)  # type: ignore[arg-type]


def test_expected_clock(store: Store) -> None:
    with pytest.raises(batpak.ClockConflictError):
        store.append("a", "s", b"", kind=0x1000, expected=0)
    store.append("a", "s", b"", kind=0x1000, expected=batpak.NO_STREAM)
    store.append("a", "s", b"", kind=0x1000, expected=0)
    store.append("a", "s", b"", kind=0x1000, expected=batpak.ANY)
    with pytest.raises(batpak.ClockConflictError) as caught:
        store.append("a", "s", b"", kind=0x1000, expected=1)
    assert caught.value.retry == "AFTER_READING"


def test_times(store: Store) -> None:
    noon = datetime(2024, 2, 29, 12, 0, 0, 1, tzinfo=timezone(timedelta(hours=2)))
    receipt = store.append("a", "s", b"", kind=0x1000, timestamp_us=noon)
    assert receipt.timestamp_us == 1_709_200_800_000_001
    event = store.at(0)
    assert event is not None
    assert event.time == noon and event.time.tzinfo is UTC
    with pytest.raises(batpak.InvalidArgumentError, match="time zone"):
        store.append("a", "s", b"", kind=0x1000, timestamp_us=datetime(2024, 1, 1))


def test_a_batch_is_whole_and_names_its_own_items(store: Store) -> None:
    receipts = store.append_batch(
        [
            NewEvent("a", "s", b"1", kind=0x1000),
            NewEvent("b", "s", b"2", kind=0x1000, causation=Item(0)),
        ]
    )
    assert [receipt.sequence for receipt in receipts] == [0, 1]
    event = store.at(1)
    assert event is not None and event.causation == receipts[0].id
    with pytest.raises(batpak.ClockConflictError):
        store.append_batch(
            [
                NewEvent("c", "s", b"", kind=0x1000),
                NewEvent("a", "s", b"", kind=0x1000, expected=batpak.NO_STREAM),
            ]
        )
    assert store.head().events == 2
    assert store.append_batch([]) == []


def test_a_batch_may_be_any_iterable(store: Store) -> None:
    events = (NewEvent(f"e:{i}", "s", b"", kind=0x1000) for i in range(3))
    assert [receipt.sequence for receipt in store.append_batch(events)] == [0, 1, 2]


def test_a_new_event_shows_what_it_was_given() -> None:
    event = NewEvent(
        "a", "s", b"1", kind=0x1000, expected=4, id=ID, causation=Item(2), extensions=[("k.v", b"")]
    )
    assert (event.entity, event.scope, event.kind, event.payload) == ("a", "s", 0x1000, b"1")
    assert (event.expected, event.id, event.causation) == (4, ID, Item(2))
    assert (event.correlation, event.timestamp_us) == (None, None)
    assert event.extensions == {"k.v": b""}
    plain = NewEvent("a", "s", b"", kind=1, expected="no_stream", causation=ID)
    assert (plain.expected, plain.causation, plain.extensions) == (batpak.NO_STREAM, ID, {})
    assert NewEvent("a", "s", b"", kind=1).expected == batpak.ANY


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"entity": "a/b"}, batpak.InvalidCoordinateError),
        ({"entity": "\udc80"}, batpak.InvalidCoordinateError),
        ({"scope": ""}, batpak.InvalidCoordinateError),
        ({"kind": 0x0001}, batpak.InvalidKindError),
        ({"kind": 0x10000}, batpak.InvalidKindError),
        ({"kind": -1}, batpak.InvalidKindError),
        ({"lane": -1}, batpak.InvalidArgumentError),
        ({"lane": 1 << 32}, batpak.InvalidArgumentError),
        ({"depth": 1 << 32}, batpak.InvalidArgumentError),
        ({"flags": 256}, batpak.InvalidArgumentError),
        ({"payload_version": 65536}, batpak.InvalidArgumentError),
        ({"timestamp_us": 1 << 63}, batpak.InvalidArgumentError),
        ({"expected": -1}, batpak.InvalidArgumentError),
        ({"expected": "nothing"}, batpak.InvalidArgumentError),
        ({"id": "abc"}, batpak.InvalidArgumentError),
        ({"id": b"abc"}, batpak.InvalidArgumentError),
        ({"durability": "safe"}, batpak.InvalidArgumentError),
        ({"extensions": {"plain": b""}}, batpak.InvalidArgumentError),
        ({"extensions": [("a.b", b""), ("a.b", b"")]}, batpak.InvalidArgumentError),
        ({"extensions": {"a.b": bytes(65536)}}, batpak.TooLargeError),
        ({"payload": bytes((16 << 20) + 1)}, batpak.TooLargeError),
        ({"causation": Item(0)}, batpak.InvalidArgumentError),
    ],
)
def test_wrong_values_are_refused_with_their_kind(
    store: Store, fields: dict[str, Any], error: type[Exception]
) -> None:
    given = {"entity": "a", "scope": "s", "payload": b"", "kind": 0x1000, **fields}
    with pytest.raises(error):
        store.append(**given)
    assert store.head().events == 0


def test_wrong_types_are_type_errors(store: Store) -> None:
    with pytest.raises(TypeError):
        store.append(1, "s", b"", kind=0x1000)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        store.append("a", "s", b"", kind="x")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        store.append("a", "s", b"", kind=0x1000, id=7)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        store.append("a", "s", b"", kind=0x1000, extensions={"a.b": "text"})  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        store.append("a", "s", b"")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        store.append_batch([b""])  # type: ignore[list-item]
    assert store.head().events == 0


def test_a_seed_makes_stores_equal(tmp_path: Path) -> None:
    hashes = []
    for name in ("one", "two"):
        with Store(tmp_path / name, seed=7) as store:
            hashes.append(store.append("a", "s", b"1", kind=0x1000).hash)
    assert hashes[0] == hashes[1]


def test_many_payloads_of_one_stream(store: Store) -> None:
    store.append("a", "s", b"", kind=0x1000, lane=2)
    payloads = [b"1", bytearray(b"22"), {"x": 3}]
    receipts = store.append_payloads(
        "a", "s", payloads, 0x1001, expected=0, correlation=ID, causation=ID, lane=2, depth=1,
        flags=4, payload_version=5, timestamp_us=6, durability="written",
    )
    assert len(receipts) == 3
    assert [receipt.sequence for receipt in receipts] == [1, 2, 3]
    assert [receipts[-1].clock, receipts[-3].clock] == [3, 1]
    for index in (3, -4):
        with pytest.raises(IndexError):
            receipts[index]
    events = list(store.read(start=1))
    assert [bytes(event) for event in events[:2]] == [b"1", b"22"]
    assert events[2].value() == {"x": 3}
    for event, receipt in zip(events, receipts, strict=True):
        assert (event.id, event.hash) == (receipt.id, receipt.hash)
        assert (event.correlation, event.causation, event.kind) == (ID, ID, 0x1001)
        assert (event.lane, event.depth, event.flags, event.payload_version) == (2, 1, 4, 5)
        assert event.timestamp_us == 6
    generated = store.append_payloads("b", "s", (b"" for _ in range(2)), kind=0x1000)
    assert [receipt.clock for receipt in generated] == [0, 1]
    assert len(store.append_payloads("a", "s", [], kind=0x1000)) == 0


def test_payloads_are_appended_all_or_none(store: Store) -> None:
    with pytest.raises(batpak.ClockConflictError):
        store.append_payloads("a", "s", [b"1", b"2"], kind=0x1000, expected=0)
    with pytest.raises(batpak.TooLargeError):
        store.append_payloads("a", "s", [b"1", bytes((16 << 20) + 1)], kind=0x1000)
    with pytest.raises(TypeError, match="several"):
        store.append_payloads("a", "s", b"12", kind=0x1000)
    with pytest.raises(TypeError):
        store.append_payloads("a", "s", 7, kind=0x1000)  # type: ignore[arg-type]
    assert store.head().events == 0
