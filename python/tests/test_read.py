"""Reading: filters, pages, walks, and waiting for what is to come."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import batpak
from batpak import NewEvent, Store


@pytest.fixture
def filled(store: Store) -> Store:
    """Thirty events: entities e:0 to e:4, scopes s and t, kinds 0x1000 to 0x1002, lanes 0 and 1."""
    store.append_batch(
        NewEvent(f"e:{i % 5}", "st"[i % 2], bytes([i]), kind=0x1000 + i % 3, lane=i % 2)
        for i in range(30)
    )
    return store


def sequences(store: Store, **query: Any) -> list[int]:
    return [event.sequence for event in store.read(**query)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, list(range(30))),
        ({"entity": "e:1"}, [1, 6, 11, 16, 21, 26]),
        ({"entity": "e"}, []),
        ({"prefix": "e"}, list(range(30))),
        ({"prefix": "e:1"}, [1, 6, 11, 16, 21, 26]),
        ({"scope": "t", "start": 25}, [25, 27, 29]),
        ({"kind": 0x1002, "limit": 3}, [2, 5, 8]),
        ({"category": 1, "limit": 2}, [0, 1]),
        ({"category": 2}, []),
        ({"lane": 1, "entity": "e:0"}, [5, 15, 25]),
        ({"entity": "e:0", "clocks": (1, 2)}, [10, 15, 20, 25]),
        ({"backward": True, "limit": 2}, [29, 28]),
        ({"backward": True, "start": 3}, [3, 2, 1, 0]),
        ({"start": 30}, []),
        ({"limit": 0}, []),
    ],
)
def test_filters(filled: Store, query: dict[str, Any], found: list[int]) -> None:
    assert sequences(filled, **query) == found


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"entity": "a", "prefix": "a"}, batpak.InvalidArgumentError),
        ({"kind": 0x1000, "category": 1}, batpak.InvalidArgumentError),
        ({"clocks": (2, 1)}, batpak.InvalidArgumentError),
        ({"clocks": (0, 1 << 32)}, batpak.InvalidArgumentError),
        ({"start": -1}, batpak.InvalidArgumentError),
        ({"limit": -1}, batpak.InvalidArgumentError),
        ({"lane": 1 << 32}, batpak.InvalidArgumentError),
        ({"kind": 1 << 16}, batpak.InvalidKindError),
        ({"category": 16}, batpak.InvalidKindError),
        ({"category": 256}, batpak.InvalidKindError),
        ({"entity": ""}, batpak.InvalidCoordinateError),
        ({"scope": "a|b"}, batpak.InvalidCoordinateError),
    ],
)
def test_wrong_filters_are_refused(
    filled: Store, query: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        filled.read(**query)
    if not query.keys() & {"limit"}:
        with pytest.raises(error):
            filled.follow(**query)


def test_a_read_sees_what_was_visible_when_it_began(filled: Store) -> None:
    reading = filled.read()
    filled.append("new", "s", b"", kind=0x1000)
    assert [event.sequence for event in reading] == list(range(30))


def test_many_events_come_in_order(store: Store) -> None:
    store.append_batch(NewEvent("a", "s", b"x" * 10, kind=0x1000) for _ in range(3000))
    assert sequences(store) == list(range(3000))
    assert sequences(store, backward=True) == list(range(2999, -1, -1))
    assert [len(page) for page in store.read().pages(1400)] == [1400, 1400, 200]


def test_pages_hold_exactly_their_size(filled: Store) -> None:
    pages = [[event.sequence for event in page] for page in filled.read(scope="s").pages(4)]
    assert pages == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18, 20, 22], [24, 26, 28]]
    assert list(filled.read(entity="none").pages(4)) == []
    with pytest.raises(batpak.InvalidArgumentError):
        filled.read().pages(0)


def test_pages_go_on_where_the_iterator_stands(filled: Store) -> None:
    events = filled.read()
    assert [next(events).sequence for _ in range(5)] == [0, 1, 2, 3, 4]
    assert [event.sequence for event in next(events.pages(20))] == list(range(5, 25))
    assert [event.sequence for event in events] == list(range(25, 30))
    assert next(events, None) is None


def test_packed_pages_hold_columns(filled: Store) -> None:
    filled.append("last", "s", b"", kind=0x1007, timestamp_us=-5)
    pages = list(filled.read(start=20).packed(8))
    assert [len(page) for page in pages] == [8, 3]
    first, last = pages
    assert first.sequences.tolist() == list(range(20, 28))
    assert last.sequences.tolist() == [28, 29, 30]
    assert last.clocks.tolist() == [2, 2, 0]
    assert last.kinds.tolist() == [0x1001, 0x1002, 0x1007]
    assert last.timestamps_us[2] == -5
    assert last.offsets.tolist() == [0, 1, 2, 2]
    assert bytes(last.payloads) == bytes([28, 29])
    payloads = [bytes(last.payload(index)) for index in (0, 1, 2, -1)]
    assert payloads == [b"\x1c", b"\x1d", b"", b""]
    with pytest.raises(IndexError):
        last.payload(3)
    for column in (last.sequences, last.offsets, last.payloads):
        with pytest.raises(TypeError):
            column[0] = 0
    assert list(filled.read(entity="none").packed()) == []
    with pytest.raises(batpak.InvalidArgumentError):
        filled.read().packed(0)


def test_packed_pages_go_backward_and_on_where_the_iterator_stands(filled: Store) -> None:
    events = filled.read(backward=True)
    assert next(events).sequence == 29
    assert [page.sequences.tolist() for page in events.packed(20)] == [
        list(range(28, 8, -1)),
        list(range(8, -1, -1)),
    ]


def test_an_iterator_keeps_its_store_open(path: Path) -> None:
    with Store(path) as store:
        store.append_batch(NewEvent("a", "s", b"", kind=0x1000) for _ in range(100))
    events = Store(path).read()
    gc.collect()
    assert [event.sequence for event in events] == list(range(100))
    del events
    gc.collect()
    Store(path).close()


def test_an_iterator_of_a_closed_store_stops_with_an_error(filled: Store) -> None:
    filled.append_batch(NewEvent("a", "s", b"", kind=0x1000) for _ in range(100))
    events = filled.read()
    next(events)
    filled.close()
    with pytest.raises(batpak.ClosedError):
        list(events)
    assert next(events, None) is None


def test_a_generator_over_events_may_be_closed_midway(filled: Store) -> None:
    def entities() -> Iterator[str]:
        for event in filled.read():
            yield event.entity

    names = entities()
    assert next(names) == "e:0"
    names.close()  # type: ignore[attr-defined]
    for _ in filled.read():
        break
    filled.close()


def test_single_events(filled: Store) -> None:
    event = filled.at(7)
    assert event is not None and bytes(event) == b"\x07"
    assert filled.at(30) is None
    assert filled.at((1 << 64) - 1) is None
    assert filled.get("ff" * 16) is None
    assert filled.get(event.id) == event
    assert filled.at(8) != event
    assert len({filled.at(7), filled.at(7), filled.at(8)}) == 2


def test_ancestors(store: Store) -> None:
    first = store.append("a", "s", b"", kind=0x1000)
    second = store.append("a", "s", b"", kind=0x1000, causation="ab" * 16)
    third = store.append("b", "s", b"", kind=0x1000, causation=second.id)
    walk = store.ancestors(second.id)
    assert ([event.id for event in walk.events], walk.boundary) == ([second.id, first.id], "genesis")
    walk = store.ancestors(second.id, limit=1)
    assert ([event.id for event in walk.events], walk.boundary) == ([second.id], "limit")
    walk = store.ancestors(third.id, via="causation")
    assert ([event.id for event in walk.events], walk.boundary) == ([third.id, second.id], "missing")
    with pytest.raises(batpak.NotFoundError):
        store.ancestors("ff" * 16)
    with pytest.raises(batpak.InvalidArgumentError):
        store.ancestors(third.id, via="blood")  # type: ignore[arg-type]


def test_heads_and_sizes(filled: Store) -> None:
    last = filled.at(29)
    assert last is not None
    head = filled.head()
    assert (head.events, head.last_hash) == (30, last.hash)
    assert filled.stream_head("e:4", 1) == batpak.StreamHead(2, 29, last.hash)
    assert filled.stream_head("e:4", lane=9) is None
    assert filled.frontier() == batpak.Frontier(30, 30, 30, 30)
    stats = filled.stats()
    assert (stats.events, stats.segments, stats.entities, stats.streams) == (30, 1, 5, 10)
    report = filled.verify()
    assert report.intact
    assert (report.events, report.last_hash, report.root) == (30, head.last_hash, head.root)


def test_waiting_ends_at_once_or_when_the_time_is_up(filled: Store) -> None:
    assert filled.wait(30) == 30
    assert filled.wait(1, timeout=None) == 30
    assert filled.wait(31, timeout=0) == 30
    assert filled.wait(31, timeout=0.01) == 30
    for timeout in (-1.0, float("nan")):
        with pytest.raises(batpak.InvalidArgumentError):
            filled.wait(31, timeout=timeout)


def test_following_gives_old_and_new_events(filled: Store) -> None:
    events = filled.follow(start=28, timeout=0)
    assert [event.sequence for event in events] == [28, 29]
    filled.append("new", "s", b"", kind=0x1000)
    assert [event.sequence for event in events] == [30]
    assert [event.sequence for event in events] == []


def test_following_begins_with_the_log_unless_told(filled: Store) -> None:
    assert [event.sequence for event in filled.follow(timeout=0)] == list(range(30))
    events = filled.follow(start=30, timeout=0)
    ahead = filled.follow(start=31, timeout=0)
    assert next(events, None) is None
    filled.append_batch(NewEvent("new", "s", b"", kind=0x1000) for _ in range(2))
    assert [event.sequence for event in events] == [30, 31]
    assert [event.sequence for event in ahead] == [31]


def test_following_passes_over_what_does_not_match(filled: Store) -> None:
    events = filled.follow(entity="e:3", start=0, timeout=0)
    assert [event.sequence for event in events] == [3, 8, 13, 18, 23, 28]
    filled.append("e:2", "s", b"", kind=0x1000)
    assert next(events, None) is None
    filled.append("e:3", "s", b"", kind=0x1000)
    assert next(events).sequence == 31


def test_a_read_only_store_follows_its_writer(path: Path) -> None:
    with Store(path) as writer, Store(path, mode="read_only") as reader:
        events = reader.follow(start=0, timeout=0)
        writer.append("a", "s", b"1", kind=0x1000)
        assert reader.refresh() == 1
        assert [bytes(event) for event in events] == [b"1"]
        writer.append("a", "s", b"2", kind=0x1000)
        assert reader.wait(2) == 2
        assert [bytes(event) for event in events] == [b"2"]
        with pytest.raises(batpak.ReadOnlyError):
            reader.append("a", "s", b"", kind=0x1000)
