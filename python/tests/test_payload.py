"""Payloads: bytes, other buffers, MessagePack, and views that outlive their store."""

import array
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest

import batpak
from batpak import Event, NewEvent, Store


def stored(store: Store, payload: object) -> Event:
    event = store.at(store.append("a", "s", payload, kind=0x1000).sequence)
    assert event is not None
    return event


def test_bytes_are_shared_not_copied() -> None:
    payload = b"some bytes of a payload"
    assert NewEvent("a", "s", payload, kind=0x1000).payload is payload


@pytest.mark.parametrize("payload", [b"", b"\0", b"\xff" * 65, bytes(100_000)])
def test_bytes_come_back(store: Store, payload: bytes) -> None:
    event = stored(store, payload)
    assert bytes(event) == payload
    assert event.payload == payload
    assert memoryview(event).nbytes == len(payload)


def test_other_buffers_are_copied_when_they_are_handed_in(store: Store) -> None:
    buffer = bytearray(b"before")
    event = NewEvent("a", "s", buffer, kind=0x1000)
    buffer[:] = b"after!"
    store.append_batch([event])
    store.append("a", "s", memoryview(buffer)[::2], kind=0x1000)
    numbers = array.array("H", [1, 2])
    store.append("a", "s", numbers, kind=0x1000)
    assert [bytes(e) for e in store.read()] == [b"before", b"atr", numbers.tobytes()]
    assert store.verify().intact


def test_an_event_is_a_payload(store: Store) -> None:
    assert bytes(stored(store, stored(store, b"first"))) == b"first"


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "text",
        0,
        -(1 << 63),
        (1 << 64) - 1,
        1.5,
        [],
        [1, "two", None, [3.0]],
        {},
        {"name": "Zoë", "tags": ["a", "b"], "raw": b"\x00\xff", "nested": {"deep": True}},
        {1: "integer keys"},
    ],
)
def test_values_round_trip(store: Store, value: object) -> None:
    assert stored(store, value).value() == value


def test_values_are_plain_messagepack(store: Store) -> None:
    assert bytes(stored(store, {"a": [1, None]})) == bytes.fromhex("81a1619201c0")
    assert bytes(stored(store, "text")) == b"\xa4text"


def test_messagepack_written_by_hand_is_read(store: Store) -> None:
    assert stored(store, bytes.fromhex("81a3e282ac01")).value() == {"€": 1}


@pytest.mark.parametrize("value", [{1, 2}, object(), 1 << 64, "\ud800", {"a": {3}}])
def test_values_without_messagepack_are_refused(store: Store, value: object) -> None:
    with pytest.raises(batpak.InvalidArgumentError, match="MessagePack"):
        store.append("a", "s", value, kind=0x1000)
    assert store.head().events == 0


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(batpak.InvalidArgumentError, match="MessagePack"):
        NewEvent("a", "s", value, kind=0x1000)


@pytest.mark.parametrize(
    "payload", [b"", b"\xc1", b"\x01\x01", b"\x91", b"\xa1\xff", b"\x81\x90\x01", b"\x91" * 5000]
)
def test_a_payload_that_is_not_messagepack_has_no_value(store: Store, payload: bytes) -> None:
    event = stored(store, payload)
    with pytest.raises(batpak.DecodeError) as caught:
        event.value()
    assert isinstance(caught.value, ValueError)
    assert bytes(event) == payload


def test_views_are_read_only(store: Store) -> None:
    for view in (stored(store, b"abc").payload, memoryview(stored(store, b"abc"))):
        assert view.readonly and view.format == "B" and view.itemsize == 1
        with pytest.raises(TypeError):
            view[0] = 0


def test_a_view_owns_what_it_shows(path: Path) -> None:
    payload = bytes(range(256)) * 100
    store = Store(path)
    store.append("a", "s", payload, kind=0x1000)
    event = store.at(0)
    assert event is not None
    view, part = event.payload, memoryview(event)[1:3]
    gone = weakref.ref(event)
    store.close()
    del store, event
    gc.collect()
    assert gone() is not None
    assert view == payload and part == payload[1:3]
    del view, part
    gc.collect()
    assert gone() is None


def test_an_event_outlives_its_store(path: Path) -> None:
    with Store(path) as store:
        receipt = store.append("a", "s", {"x": 1}, kind=0x1000)
        event = store.at(0)
    del store
    gc.collect()
    assert event is not None
    assert (event.id, event.hash, event.entity) == (receipt.id, receipt.hash, "a")
    assert event.value() == {"x": 1}
