"""The plain results of a store's methods, and times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from ._errors import BatpakError, InvalidArgumentError

if TYPE_CHECKING:
    from ._batpak import Event

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc(microseconds: int) -> datetime:
    """The time so many microseconds after the start of 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds(time: datetime) -> int:
    """The microseconds from the start of 1970 to this time."""
    if time.tzinfo is None:
        raise InvalidArgumentError("the datetime has no time zone; give it one, such as UTC")
    return (time - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log."""

    events: int
    """The number of visible events, which is the sequence of the next one."""
    last_hash: bytes
    """The hash of the last visible event; zeros when there is none."""
    root: bytes
    """The root of the Merkle tree (SHA-256, RFC 6962) over all visible event hashes."""


@dataclass(frozen=True, slots=True)
class StreamHead:
    """The end of a stream."""

    clock: int
    """The clock of its last event."""
    sequence: int
    """The sequence of its last event."""
    hash: bytes
    """The hash of its last event."""


@dataclass(frozen=True, slots=True)
class Frontier:
    """How far events have come, each as a number of events from the start of the log."""

    accepted: int
    """Ordered, in memory."""
    written: int
    """Bytes in the file."""
    durable: int
    """Confirmed by a sync."""
    visible: int
    """Shown to readers of this store object."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Sizes and identity of a store."""

    events: int
    """Events that are shown: those that a retention has dropped are not."""
    segments: int
    """Segments, the one being written included."""
    bytes: int
    """Bytes of all segments."""
    entities: int
    """Entities."""
    streams: int
    """Streams: pairs of entity and lane."""
    store_id: str
    """This directory's id."""
    lineage_id: str
    """The id under every event hash; forks share it."""


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What opening found and did, or what `inspect` found."""

    created: bool
    """The store was created."""
    clean: bool
    """The store had been closed cleanly."""
    format: int
    """The format: 2, or 1 for a store of the batpak crate 0.x."""
    events: int
    """Events found."""
    hidden: int
    """Events of cancelled fences of a 0.x store, which are not shown."""
    segments: int
    """Segments found."""
    cut_bytes: int
    """Bytes cut from the unsynced end of the newest segment."""
    cut_at: tuple[int, int] | None
    """Where they were cut: segment and offset."""
    cut_reason: str
    """Why they were cut; empty when nothing was."""
    removed: list[str]
    """Leftovers of an interrupted operation that were removed."""
    ignored: list[str]
    """Files that do not belong to the store and were left alone."""
    damage: list[str]
    """What was passed over, a sentence each: in a salvage, everything that was found damaged; in a
    0.x store, also what its crashes left behind. Empty otherwise."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a directory holds, as `inspect` found it."""

    opening: Literal["CREATES", "OPENS", "RECOVERS", "LOCKED", "ONLY_READS", "REFUSES"]
    """What opening it for appending would do: create a store, since there is none; open it as it was
    closed; open it after a crash, and cut what the report says; fail, since another writer has it
    open; fail, since it is a store of the batpak crate 0.x, which is opened for reading, or
    imported; fail, since it is damaged or of a later version."""
    refusal: BatpakError | None
    """Why, if readers are refused as well: what opening raises, or what a reader gets."""
    store_id: str
    """This store's id; for a 0.x store, one derived from its first event; zeros if nothing can be
    read."""
    lineage_id: str
    """The id under every event hash; forks share it."""
    bytes: int
    """Bytes of all segments."""
    report: OpenReport
    """What a reader finds; if readers are refused, what a salvage finds. Its `format` is 0 if there
    is no store, or nothing that can be read of it."""


@dataclass(frozen=True, slots=True)
class Ancestry:
    """The events from one back along a link, newest first, itself included."""

    events: list[Event]
    """The events."""
    boundary: Literal["genesis", "limit", "missing", "cycle"]
    """Why there are no more: nothing is before the last one, as many as asked for were found, the
    last one names an event that is not in this store, or one that was already given."""


@dataclass(frozen=True, slots=True)
class PackedPage:
    """Some events as columns, read-only views of numbers in the byte order of the machine:
    `numpy.asarray(page.sequences)` needs no copy."""

    sequences: memoryview[int]
    """Places in the whole log, 64 bits."""
    clocks: memoryview[int]
    """Places in their streams, 32 bits."""
    kinds: memoryview[int]
    """What they say, 16 bits."""
    timestamps_us: memoryview[int]
    """When they happened, in microseconds since 1970, 64 bits and signed."""
    offsets: memoryview[int]
    """Where each payload begins in `payloads`, 64 bits, and at the end where the last one ends."""
    payloads: memoryview[int]
    """All payloads, one behind the other."""

    def __len__(self) -> int:
        return len(self.sequences)

    def payload(self, index: int) -> memoryview[int]:
        """The payload of the event at this place in the page, from 0."""
        index = range(len(self))[index]
        return self.payloads[self.offsets[index] : self.offsets[index + 1]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One damage that `Store.verify` found."""

    kind: str
    """What kind: "SEGMENT", "FRAME", "HASH", "LINK", "SEQUENCE", "FOOTER" or "ROOT"."""
    segment: int
    """In which segment."""
    offset: int
    """At which byte offset."""
    message: str
    """What was expected and what was found."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `Store.verify` found."""

    events: int
    """Events that were checked."""
    dropped: int
    """Of those, events that a retention has dropped: what is left of them is their hash, so that they
    are told from events that never were."""
    tombstones: int
    """Events that a compaction has made tombstones."""
    erased: int
    """Tombstones whose payload was erased."""
    segments: int
    """Segments that were checked."""
    last_hash: bytes
    """The hash of the last event, recomputed."""
    root: bytes
    """The root of the tree, recomputed."""
    findings: list[Finding]
    """Every damage, in log order."""

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class LostEvents:
    """Lost events that follow each other."""

    first_sequence: int
    """The sequence of the first."""
    events: int
    """How many."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Bytes of a damaged store that its repaired copy lacks."""

    segment: int
    """The segment."""
    offset: int
    """The offset of the first byte."""
    bytes: int
    """How many bytes."""
    first_sequence: int
    """The sequence of the first event that stood there, as far as that can be told."""
    events: int
    """How many events stood there; 0 also if that cannot be told."""
    why: str
    """Why."""


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What `repair` did."""

    source: str
    """The damaged store's id; all zeros if nothing tells it."""
    store_id: str
    """The copy's own id."""
    kept: int
    """So many events, from the first on, were kept as they were."""
    appended: int
    """So many behind those were appended anew: under their sequences, with other hashes."""
    dropped: int
    """So many behind those had been dropped by a retention. Their places are held."""
    lost: int
    """So many were lost, and have their places held."""
    lost_events: list[LostEvents]
    """Which."""
    left_out: list[LeftOut]
    """Every run of bytes in a segment that is no event of the copy, and no header, footer or reserved
    space; by segment and offset."""
    damage: list[str]
    """What was found damaged, a sentence each."""
    verify: VerifyReport
    """What verifying the copy found."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """An event, or a place in a file, that was left out."""

    segment: int
    """The segment of the store that was read."""
    offset: int
    """The byte offset in it."""
    sequence: int | None
    """The sequence there, if it has one."""
    is_event: bool
    """It is an event; otherwise it is bytes that may have been events."""
    reason: str
    """Why."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What `Store.import_from` did."""

    source: str
    """The source's id: its store id, or for a 0.x store one derived from its first event."""
    format: int
    """The format of the source: 2, or 1 for the batpak crate 0.x."""
    imported: int
    """Events that were appended."""
    already_there: int
    """Events that were there already, from an earlier import."""
    hidden: int
    """Events of cancelled fences of a 0.x store, which nobody may see."""
    outside: int
    """Events that do not match the filter."""
    dropped: int
    """Events that were left out; the reasons are in `drops`."""
    sequences_kept: bool
    """Every event of the source that is in this store has the sequence that it has there."""
    keys_without_events: int
    """Idempotency keys of a 0.x store whose events a compaction has removed: they cannot be
    kept."""
    drops: list[Dropped]
    """Why events were left out: the first thousand."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What `Store.export_to` did."""

    exported: int
    """Events that were written."""
    hidden: int
    """Places of hidden events that were written, so that sequences stay the same."""
    dropped: int
    """Events that were left out; the reasons are in `drops`."""
    segments: int
    """Segments that were written."""
    bytes: int
    """Their bytes."""
    drops: list[Dropped]
    """Why events were left out: the first thousand."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What committing a fence did."""

    first_sequence: int
    """The sequence of its first event; the others follow it. Of a repeated fence, that of the event
    with the first one's id. Of a fence without events, how many events are visible."""
    events: int
    """How many events it has."""
    duplicate: bool
    """Whether its events were there before: the fence repeated an earlier one."""


@dataclass(frozen=True, slots=True)
class CompactProgress:
    """How far a compaction is."""

    segments_done: int
    """Sealed segments that were looked at, and written again if need be."""
    segments: int
    """Sealed segments there are."""
    bytes_read: int
    """Bytes read so far; what is written again is read twice."""
    bytes_written: int
    """Bytes written so far."""


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What a compaction did."""

    segments_before: int
    """Segments of the store before, the newest one included."""
    segments_after: int
    """Segments of the store afterwards."""
    segments_replaced: int
    """Segments that others took the place of."""
    segments_written: int
    """Segments that took their place."""
    bytes_before: int
    """Bytes of all segments before."""
    bytes_after: int
    """Bytes of all segments afterwards."""
    events_dropped: int
    """Events that were dropped."""
    tombstones: int
    """Events that became tombstones, or whose payload was erased."""
    keys_kept: int
    """Keys of dropped events in the window, from earlier compactions, too; all of these are kept. 0
    without a retention, since they are not counted then."""
    keys_over: int
    """How many of those are more than there should be."""


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a snapshot or a fork holds, and how it came there."""

    store_id: str
    """The store id of the copy: of a snapshot the same, of a fork a new one."""
    events: int
    """The events in it."""
    root: bytes
    """The root of the tree over those."""
    segments: int
    """Its segments."""
    linked: int
    """Segments that it shares with another store, by hard links."""
    copied: int
    """Segments that were copied, the newest one included."""
    bytes_copied: int
    """The bytes of those."""


@dataclass(frozen=True, slots=True)
class Diff:
    """How the logs of two stores compare."""

    common: int
    """So many events, from the first on, are the same in both."""
    ours: int
    """The number of events of this store."""
    theirs: int
    """The number of events of the other store."""

    @property
    def only_ours(self) -> range:
        """The sequences that only this store has, or has with other events."""
        return range(self.common, self.ours)

    @property
    def only_theirs(self) -> range:
        """The sequences that only the other store has, or has with other events."""
        return range(self.common, self.theirs)


@dataclass(frozen=True, slots=True)
class SnapshotCheck:
    """What a snapshot is worth."""

    report: VerifyReport
    """What verifying the snapshot found."""
    diff: Diff | None
    """How it compares with this store, if it is intact: `ours` are the events of this store,
    `theirs` those of the snapshot."""

    @property
    def is_prefix(self) -> bool:
        """Whether the snapshot is intact, and this store's log begins with it."""
        return self.diff is not None and self.diff.common == self.diff.theirs


@dataclass(frozen=True, slots=True)
class Parent:
    """What a store was forked from."""

    store_id: str
    """The store."""
    events: int
    """So many events, from the first on, are common."""
    root: bytes
    """The root of the tree over those."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a gate refuses."""

    code: str
    """A short code for programs, such as "LIMIT_EXCEEDED"."""
    message: str = ""
    """A sentence for people."""


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """A gate's name with its verdict."""

    gate: str
    """The gate."""
    verdict: Literal["permit", "deny", "skipped"]
    """What it said; it was skipped when an earlier one refused."""
    refusal: Refusal | None = None
    """Why it refused, if it did."""
