"""An embedded, append-only, tamper-evident event log.

    import batpak

    with batpak.Store("data/orders") as store:
        store.append("order:42", "shop", {"apples": 2}, kind=0x1001)
        for event in store.read(entity="order:42"):
            print(event.sequence, event.value())
        assert store.verify().intact
"""

from typing import Final, Literal

from ._batpak import (
    AsyncFollowIterator,
    Event,
    EventIterator,
    Fence,
    FollowIterator,
    Item,
    NewEvent,
    PackedIterator,
    PageIterator,
    Receipt,
    Receipts,
    Store,
    __version__,
    evaluate,
    inspect,
    operation_id,
    repair,
)
from ._errors import (
    BadHandleError,
    BatpakError,
    CallbackError,
    ClockConflictError,
    ClosedError,
    CorruptError,
    DecodeError,
    DeniedError,
    DiskFullError,
    ForkedError,
    IdempotencyConflictError,
    IndeterminateError,
    InvalidArgumentError,
    InvalidCoordinateError,
    InvalidKindError,
    IoError,
    LockedError,
    NotFoundError,
    PanicError,
    PoisonedError,
    ReadOnlyError,
    TooLargeError,
    UnsupportedError,
)
from ._retention import Keys, Retention
from ._values import (
    Ancestry,
    Committed,
    CompactProgress,
    CompactReport,
    CopyReport,
    Diff,
    Dropped,
    ExportReport,
    Finding,
    Frontier,
    GateOutcome,
    Head,
    ImportReport,
    Inspection,
    LeftOut,
    LostEvents,
    OpenReport,
    PackedPage,
    Parent,
    Refusal,
    RepairReport,
    SnapshotCheck,
    Stats,
    StreamHead,
    VerifyReport,
)

ANY: Final[Literal["any"]] = "any"
"""`expected`: the stream may stand anywhere."""

NO_STREAM: Final[Literal["no_stream"]] = "no_stream"
"""`expected`: the stream must have no event yet."""

DATA: Final = 0x1000
"""A general-purpose kind for data without a vocabulary of its own."""

DENIAL: Final = 0x000F
"""The kind of an event that records a gate's refusal."""

TOMBSTONE: Final = 0x0FFE
"""The kind of an event that a compaction made a tombstone of."""

__all__ = [
    "ANY",
    "DATA",
    "DENIAL",
    "NO_STREAM",
    "TOMBSTONE",
    "Ancestry",
    "AsyncFollowIterator",
    "BadHandleError",
    "BatpakError",
    "CallbackError",
    "ClockConflictError",
    "ClosedError",
    "Committed",
    "CompactProgress",
    "CompactReport",
    "CopyReport",
    "CorruptError",
    "DecodeError",
    "DeniedError",
    "Diff",
    "DiskFullError",
    "Dropped",
    "Event",
    "EventIterator",
    "ExportReport",
    "Fence",
    "Finding",
    "FollowIterator",
    "ForkedError",
    "Frontier",
    "GateOutcome",
    "Head",
    "IdempotencyConflictError",
    "ImportReport",
    "IndeterminateError",
    "Inspection",
    "InvalidArgumentError",
    "InvalidCoordinateError",
    "InvalidKindError",
    "IoError",
    "Item",
    "Keys",
    "LeftOut",
    "LockedError",
    "LostEvents",
    "NewEvent",
    "NotFoundError",
    "OpenReport",
    "PackedIterator",
    "PackedPage",
    "PageIterator",
    "PanicError",
    "Parent",
    "PoisonedError",
    "ReadOnlyError",
    "Receipt",
    "Receipts",
    "Refusal",
    "RepairReport",
    "Retention",
    "SnapshotCheck",
    "Stats",
    "Store",
    "StreamHead",
    "TooLargeError",
    "UnsupportedError",
    "VerifyReport",
    "__version__",
    "evaluate",
    "inspect",
    "operation_id",
    "repair",
]
