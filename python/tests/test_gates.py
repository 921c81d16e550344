"""Gates that are Python functions."""

from collections.abc import Callable

import pytest

import batpak
from batpak import DENIAL, GateOutcome, NewEvent, Refusal, Store, evaluate


def permit(event: NewEvent) -> None:
    return None


def small(event: NewEvent) -> Refusal | None:
    return Refusal("TOO_BIG", "too big") if len(event.payload) > 3 else None


def broken(event: NewEvent) -> bool:
    raise KeyError("no such limit")


def test_a_gate_sees_the_event_and_permits(store: Store) -> None:
    seen: list[NewEvent] = []
    gates: dict[str, Callable[[NewEvent], bool | None]] = {
        "look": lambda event: seen.append(event),
        "yes": lambda event: True,
    }
    store.append(
        "a", "s", {"x": 1}, kind=0x1001, lane=2, extensions={"k.v": b"1"}, gates=gates
    )
    event = seen[0]
    assert (event.entity, event.scope, event.kind, event.lane) == ("a", "s", 0x1001, 2)
    assert (event.payload, event.extensions) == (b"\x81\xa1x\x01", {"k.v": b"1"})
    assert store.head().events == 1


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        (Refusal("LIMIT", "too many"), Refusal("LIMIT", "too many")),
        (Refusal("LIMIT"), Refusal("LIMIT", "")),
        ("not today", Refusal("DENIED", "not today")),
        (False, Refusal("DENIED", "")),
    ],
)
def test_a_gate_denies(store: Store, answer: Refusal | str | bool, refusal: Refusal) -> None:
    with pytest.raises(batpak.DeniedError) as caught:
        store.append("a", "s", b"", kind=0x1000, gates={"ok": permit, "no": lambda event: answer})
    assert caught.value.refusals == [GateOutcome("no", "deny", refusal)]
    assert store.head().events == 0


def test_one_refused_event_refuses_the_batch(store: Store) -> None:
    events = [NewEvent("a", "s", b"1", kind=0x1000), NewEvent("a", "s", b"1234", kind=0x1000)]
    with pytest.raises(batpak.DeniedError):
        store.append_batch(events, gates=[("small", small)])
    assert store.head().events == 0
    assert len(store.append_batch(events[:1], gates=[("small", small)])) == 1


def test_modes(store: Store) -> None:
    event = NewEvent("a", "s", b"1234", kind=0x1000)
    gates = [("first", small), ("ok", permit), ("third", small)]
    deny, refusal = "deny", Refusal("TOO_BIG", "too big")
    assert evaluate(event, gates) == [
        GateOutcome("first", "deny", refusal),
        GateOutcome("ok", "skipped"),
        GateOutcome("third", "skipped"),
    ]
    assert evaluate(event, gates, gate_mode="all") == [
        GateOutcome("first", "deny", refusal),
        GateOutcome("ok", "permit"),
        GateOutcome("third", "deny", refusal),
    ]
    assert evaluate(event, {"ok": permit}) is None
    with pytest.raises(batpak.DeniedError) as caught:
        store.append_batch([event], gates=gates, gate_mode="all")
    assert [(o.gate, o.verdict) for o in caught.value.refusals] == [("first", deny), ("third", deny)]
    with pytest.raises(batpak.InvalidArgumentError):
        evaluate(event, gates, gate_mode="some")  # type: ignore[arg-type]


def test_a_denial_can_be_recorded(store: Store) -> None:
    gates = {"small": small}
    with pytest.raises(batpak.DeniedError):
        store.append("a", "s", b"1234", kind=0x1000, gates=gates, record_denial=True)
    refused = NewEvent("b", "s", b"1234", kind=0x1000)
    outcomes = evaluate(refused, gates)
    assert outcomes is not None
    receipt = store.record_denial(refused, outcomes)
    by_append, by_hand = store.read()
    assert (by_append.kind, by_append.entity) == (DENIAL, "a")
    assert (by_hand.kind, by_hand.entity, by_hand.id) == (DENIAL, "b", receipt.id)
    assert by_hand.value()["gates"] == by_append.value()["gates"]


def test_an_exception_in_a_gate_stops_the_append(store: Store) -> None:
    asked: list[str] = []
    gates = [("broken", broken), ("next", lambda event: asked.append("next"))]
    for call in (
        lambda: store.append("a", "s", b"", kind=0x1000, gates=gates, gate_mode="all"),
        lambda: evaluate(NewEvent("a", "s", b"", kind=0x1000), gates, gate_mode="all"),
    ):
        with pytest.raises(batpak.CallbackError, match="`broken` raised KeyError") as caught:
            call()
        assert isinstance(caught.value.__cause__, KeyError)
        assert caught.value.__cause__.args == ("no such limit",)
    assert asked == ["next", "next"]
    assert store.head().events == 0


def test_an_answer_that_is_none_stops_the_append(store: Store) -> None:
    with pytest.raises(batpak.CallbackError) as caught:
        store.append("a", "s", b"", kind=0x1000, gates={"odd": lambda event: 7})  # type: ignore[arg-type]
    assert isinstance(caught.value.__cause__, TypeError)


def test_an_exit_in_a_gate_stays_an_exit(store: Store) -> None:
    def leave(event: NewEvent) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.append("a", "s", b"", kind=0x1000, gates={"leave": leave})
    assert store.head().events == 0


def test_a_broken_gate_is_recorded_as_a_defect(store: Store) -> None:
    with pytest.raises(batpak.CallbackError):
        store.append("a", "s", b"", kind=0x1000, gates={"broken": broken}, record_denial=True)
    (event,) = store.read()
    (gate,) = event.value()["gates"]
    assert (gate["gate"], gate["code"]) == ("broken", "GATE_DEFECT")
    assert gate["message"] == "the gate raised <class 'KeyError'>"


def test_a_gate_may_use_the_store(store: Store) -> None:
    def first_only(event: NewEvent) -> str | None:
        return "there is one already" if store.stream_head(event.entity) else None

    store.append("a", "s", b"", kind=0x1000, gates={"first": first_only})
    with pytest.raises(batpak.DeniedError, match="there is one already"):
        store.append("a", "s", b"", kind=0x1000, gates={"first": first_only})


def test_gates_that_cannot_be_called(store: Store) -> None:
    with pytest.raises(batpak.CallbackError):
        store.append("a", "s", b"", kind=0x1000, gates={"no": None})  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError)):
        store.append("a", "s", b"", kind=0x1000, gates=[permit])  # type: ignore[list-item]
    assert store.head().events == 0
