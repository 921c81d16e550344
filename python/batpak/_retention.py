"""Which events a compaction no longer wants, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ._batpak import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The idempotency window: for how long the keys of dropped events are kept, that is, the ids that
    callers gave. As long as its key is kept, repeating an append gives the receipt of the first time,
    or a conflict if the content is another; later, the same id begins a new event.

    The key of an event that is not dropped is never forgotten."""

    window: int | None = None
    """Keys of this many sequences up to the newest event are kept, always; `None` is 2^20."""
    most: int | None = None
    """So many keys are to be kept at the most; `None` is 2^20."""
    overflow: Literal["warn", "refuse"] = "warn"
    """What happens when there are more of them in the window: they are kept all the same, and the
    report says how many too many there are; or `TooLargeError` is raised, and nothing is changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Which events are no longer wanted: those that every rule which is set calls unwanted. At least
    one must be set. The library's own events, such as denials, stay."""

    entity: str | None = None
    """The events of other entities stay. Not together with `prefix`."""
    prefix: str | None = None
    """The events of entities that are neither this one nor below it stay."""
    scope: str | None = None
    """The events of other scopes stay."""
    kind: int | None = None
    """The events of other kinds stay. Not together with `category`."""
    category: int | None = None
    """The events of other categories stay."""
    lane: int | None = None
    """The events of other lanes stay."""
    clocks: tuple[int, int] | None = None
    """The events of other clocks stay; both bounds are included."""
    before: int | None = None
    """Events from this sequence on stay."""
    older_than_us: int | datetime | None = None
    """Events of this timestamp or later stay: microseconds since 1970, or a `datetime`."""
    newest_per_entity: int | None = None
    """So many newest events of each entity stay, on all its lanes together."""
    keep: Callable[[Event], bool] | None = None
    """Asked, in the order of the log, about each event that the other rules call unwanted: whether it
    stays, as a `bool` and nothing else. It may read and append."""
    unwanted: Literal["drop", "tombstone", "erase"] = "drop"
    """What becomes of the others. "drop": they are no longer shown; their hashes are kept, so that
    heads and proofs stay what they were. "tombstone": they are shown with the kind `TOMBSTONE`;
    payloads stay. "erase": the same, and payloads are erased, but for their hashes."""
    keys: Keys = field(default_factory=Keys)
    """Which keys of dropped events are kept."""
