# The native module, as type checkers see it. `python -m mypy.stubtest batpak` compares the two.

import sys
from asyncio import Future
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from os import PathLike
from types import TracebackType
from typing import Any, Literal, TypeAlias, final
from uuid import UUID

from typing_extensions import Buffer as _Buffer

from ._retention import Retention
from ._values import (
    Ancestry,
    Committed,
    CompactProgress,
    CompactReport,
    CopyReport,
    Diff,
    ExportReport,
    Frontier,
    GateOutcome,
    Head,
    ImportReport,
    Inspection,
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

__all__ = [
    "AsyncFollowIterator",
    "Event",
    "EventIterator",
    "Fence",
    "FollowIterator",
    "Item",
    "NewEvent",
    "PackedIterator",
    "PageIterator",
    "Receipt",
    "Receipts",
    "Store",
    "error_kinds",
    "__version__",
    "evaluate",
    "inspect",
    "operation_id",
    "repair",
]

__version__: str

_Id: TypeAlias = str | bytes | UUID
_Expected: TypeAlias = Literal["any", "no_stream"] | int
_Durability: TypeAlias = Literal["durable", "written", "buffered"]
_OpenMode: TypeAlias = Literal["create", "existing", "create_new", "read_only", "salvage"]
_GateMode: TypeAlias = Literal["fail_fast", "all"]
_Extensions: TypeAlias = Mapping[str, _Buffer] | Iterable[tuple[str, _Buffer]]
_Gate: TypeAlias = Callable[[NewEvent], Refusal | str | bool | None]
_Gates: TypeAlias = Mapping[str, _Gate] | Iterable[tuple[str, _Gate]]

def error_kinds() -> list[tuple[int, str, str]]: ...
def inspect(path: str | PathLike[str]) -> Inspection: ...
def repair(
    damaged: str | PathLike[str],
    destination: str | PathLike[str],
    *,
    keep_altered: bool = False,
    max_lost: int | None = None,
    segment_bytes: int | None = None,
    seed: int | None = None,
) -> RepairReport: ...
def operation_id(domain: str, *components: str | _Buffer) -> str: ...
def evaluate(
    event: NewEvent, gates: _Gates, *, gate_mode: _GateMode = "fail_fast"
) -> list[GateOutcome] | None: ...

@final
class Item:
    def __new__(cls, index: int) -> Item: ...
    @property
    def index(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class NewEvent:
    def __new__(
        cls,
        entity: str,
        scope: str,
        payload: object,
        kind: int,
        *,
        expected: _Expected = ...,
        id: _Id | None = None,
        correlation: _Id | None = None,
        causation: _Id | Item | None = ...,
        lane: int = 0,
        depth: int = 0,
        flags: int = 0,
        payload_version: int = 0,
        timestamp_us: int | datetime | None = None,
        extensions: _Extensions | None = ...,
    ) -> NewEvent: ...
    @property
    def entity(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def kind(self) -> int: ...
    @property
    def expected(self) -> _Expected: ...
    @property
    def id(self) -> str | None: ...
    @property
    def correlation(self) -> str | None: ...
    @property
    def causation(self) -> str | Item | None: ...
    @property
    def lane(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def payload_version(self) -> int: ...
    @property
    def timestamp_us(self) -> int | None: ...
    @property
    def extensions(self) -> dict[str, bytes]: ...

@final
class Receipt:
    def __new__(
        cls,
        id: _Id,
        sequence: int,
        clock: int,
        lane: int,
        timestamp_us: int,
        wall_us: int,
        hash: bytes,
        duplicate: bool,
    ) -> Receipt: ...
    @property
    def id(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def clock(self) -> int: ...
    @property
    def lane(self) -> int: ...
    @property
    def timestamp_us(self) -> int: ...
    @property
    def wall_us(self) -> int: ...
    @property
    def hash(self) -> bytes: ...
    @property
    def duplicate(self) -> bool: ...
    def __getnewargs__(self) -> tuple[str, int, int, int, int, int, bytes, bool]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Receipts:
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Receipt: ...
    def __iter__(self) -> Iterator[Receipt]: ...

@final
class Event(_Buffer):
    @property
    def sequence(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def entity(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def kind(self) -> int: ...
    @property
    def clock(self) -> int: ...
    @property
    def lane(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def payload_version(self) -> int: ...
    @property
    def timestamp_us(self) -> int: ...
    @property
    def wall_us(self) -> int: ...
    @property
    def time(self) -> datetime: ...
    @property
    def correlation(self) -> str: ...
    @property
    def causation(self) -> str | None: ...
    @property
    def prev_hash(self) -> bytes: ...
    @property
    def hash(self) -> bytes: ...
    @property
    def extensions(self) -> dict[str, bytes]: ...
    @property
    def erased(self) -> bool: ...
    @property
    def payload(self) -> memoryview: ...
    def value(self) -> Any: ...
    def __bytes__(self) -> bytes: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class EventIterator:
    def __iter__(self) -> EventIterator: ...
    def __next__(self) -> Event: ...
    def pages(self, size: int) -> PageIterator: ...
    def packed(self, size: int = 4096) -> PackedIterator: ...

@final
class PageIterator:
    def __iter__(self) -> PageIterator: ...
    def __next__(self) -> list[Event]: ...

@final
class PackedIterator:
    def __iter__(self) -> PackedIterator: ...
    def __next__(self) -> PackedPage: ...

@final
class FollowIterator:
    def __iter__(self) -> FollowIterator: ...
    def __next__(self) -> Event: ...

@final
class AsyncFollowIterator:
    def __aiter__(self) -> AsyncFollowIterator: ...
    def __anext__(self) -> Future[Event]: ...

@final
class Fence:
    def append(
        self,
        entity: str,
        scope: str,
        payload: object,
        kind: int,
        *,
        expected: _Expected = ...,
        id: _Id | None = None,
        correlation: _Id | None = None,
        causation: _Id | Item | None = ...,
        lane: int = 0,
        depth: int = 0,
        flags: int = 0,
        payload_version: int = 0,
        timestamp_us: int | datetime | None = None,
        extensions: _Extensions | None = ...,
    ) -> int: ...
    def append_batch(self, events: Iterable[NewEvent]) -> int: ...
    @property
    def events(self) -> int: ...
    def read(self, *, start: int = 0) -> EventIterator: ...
    def commit(self, *, durability: _Durability | None = None) -> Committed: ...
    def commit_async(self, *, durability: _Durability | None = None) -> Future[Committed]: ...
    def cancel(self) -> None: ...
    @property
    def committed(self) -> Committed | None: ...
    def __enter__(self) -> Fence: ...
    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __aenter__(self) -> Future[Fence]: ...
    def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Future[None]: ...

@final
class Store:
    def __new__(
        cls,
        path: str | PathLike[str],
        *,
        mode: _OpenMode = "create",
        segment_bytes: int | None = None,
        max_payload_bytes: int | None = None,
        durability: _Durability = "durable",
        buffer_bytes: int | None = None,
        buffer_ms: int | None = None,
        max_open_files: int | None = None,
        cache_bytes: int | None = None,
        restarts: int | None = None,
        restart_window_ms: int | None = None,
        seed: int | None = None,
    ) -> Store: ...
    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        mode: _OpenMode = "create",
        segment_bytes: int | None = None,
        max_payload_bytes: int | None = None,
        durability: _Durability = "durable",
        buffer_bytes: int | None = None,
        buffer_ms: int | None = None,
        max_open_files: int | None = None,
        cache_bytes: int | None = None,
        restarts: int | None = None,
        restart_window_ms: int | None = None,
        seed: int | None = None,
    ) -> Store: ...
    @property
    def path(self) -> str: ...
    @property
    def report(self) -> OpenReport: ...
    def append(
        self,
        entity: str,
        scope: str,
        payload: object,
        kind: int,
        *,
        durability: _Durability | None = None,
        expected: _Expected = ...,
        id: _Id | None = None,
        correlation: _Id | None = None,
        causation: _Id | Item | None = ...,
        lane: int = 0,
        depth: int = 0,
        flags: int = 0,
        payload_version: int = 0,
        timestamp_us: int | datetime | None = None,
        extensions: _Extensions | None = ...,
        gates: _Gates | None = None,
        gate_mode: _GateMode = "fail_fast",
        record_denial: bool = False,
    ) -> Receipt: ...
    def append_batch(
        self,
        events: Iterable[NewEvent],
        *,
        durability: _Durability | None = None,
        gates: _Gates | None = None,
        gate_mode: _GateMode = "fail_fast",
        record_denial: bool = False,
    ) -> list[Receipt]: ...
    def append_payloads(
        self,
        entity: str,
        scope: str,
        payloads: Iterable[object],
        kind: int,
        *,
        durability: _Durability | None = None,
        expected: _Expected = ...,
        correlation: _Id | None = None,
        causation: _Id | None = None,
        lane: int = 0,
        depth: int = 0,
        flags: int = 0,
        payload_version: int = 0,
        timestamp_us: int | datetime | None = None,
    ) -> Receipts: ...
    def append_async(
        self,
        entity: str,
        scope: str,
        payload: object,
        kind: int,
        *,
        durability: _Durability | None = None,
        expected: _Expected = ...,
        id: _Id | None = None,
        correlation: _Id | None = None,
        causation: _Id | Item | None = ...,
        lane: int = 0,
        depth: int = 0,
        flags: int = 0,
        payload_version: int = 0,
        timestamp_us: int | datetime | None = None,
        extensions: _Extensions | None = ...,
        gates: _Gates | None = None,
        gate_mode: _GateMode = "fail_fast",
        record_denial: bool = False,
    ) -> Future[Receipt]: ...
    def append_batch_async(
        self,
        events: Iterable[NewEvent],
        *,
        durability: _Durability | None = None,
        gates: _Gates | None = None,
        gate_mode: _GateMode = "fail_fast",
        record_denial: bool = False,
    ) -> Future[list[Receipt]]: ...
    def begin_fence(self, *, memory_bytes: int | None = None) -> Fence: ...
    def record_denial(
        self,
        refused: NewEvent,
        outcomes: Iterable[GateOutcome],
        *,
        durability: _Durability | None = None,
    ) -> Receipt: ...
    def flush(self) -> None: ...
    def sync(self) -> None: ...
    def get(self, id: _Id) -> Event | None: ...
    def at(self, sequence: int) -> Event | None: ...
    def read(
        self,
        *,
        entity: str | None = None,
        prefix: str | None = None,
        scope: str | None = None,
        kind: int | None = None,
        category: int | None = None,
        lane: int | None = None,
        clocks: tuple[int, int] | None = None,
        start: int | None = None,
        backward: bool = False,
        limit: int | None = None,
    ) -> EventIterator: ...
    def follow(
        self,
        *,
        entity: str | None = None,
        prefix: str | None = None,
        scope: str | None = None,
        kind: int | None = None,
        category: int | None = None,
        lane: int | None = None,
        clocks: tuple[int, int] | None = None,
        start: int | None = None,
        timeout: float | None = None,
    ) -> FollowIterator: ...
    def follow_async(
        self,
        *,
        entity: str | None = None,
        prefix: str | None = None,
        scope: str | None = None,
        kind: int | None = None,
        category: int | None = None,
        lane: int | None = None,
        clocks: tuple[int, int] | None = None,
        start: int | None = None,
        timeout: float | None = None,
    ) -> AsyncFollowIterator: ...
    def ancestors(
        self, id: _Id, *, via: Literal["stream", "causation"] = "stream", limit: int = 1000
    ) -> Ancestry: ...
    def head(self) -> Head: ...
    def head_at(self, events: int) -> Head: ...
    def stream_head(self, entity: str, lane: int = 0) -> StreamHead | None: ...
    def frontier(self) -> Frontier: ...
    def stats(self) -> Stats: ...
    def verify(self) -> VerifyReport: ...
    def import_from(
        self,
        path: str | PathLike[str],
        *,
        entity: str | None = None,
        prefix: str | None = None,
        scope: str | None = None,
        kind: int | None = None,
        category: int | None = None,
        lane: int | None = None,
        clocks: tuple[int, int] | None = None,
        salvage: bool = False,
        unvouched: bool = False,
        decrypt: bool = False,
    ) -> ImportReport: ...
    def export_to(
        self,
        path: str | PathLike[str],
        *,
        entity: str | None = None,
        prefix: str | None = None,
        scope: str | None = None,
        kind: int | None = None,
        category: int | None = None,
        lane: int | None = None,
        clocks: tuple[int, int] | None = None,
        plain: bool = False,
        segment_bytes: int | None = None,
    ) -> ExportReport: ...
    def receipt_cover_0x(self, sequence: int) -> bytes: ...
    def compact(
        self,
        *,
        retention: Retention | None = None,
        bytes_per_second: int = 0,
        progress: Callable[[CompactProgress], object] | None = None,
    ) -> CompactReport: ...
    def snapshot_to(
        self,
        path: str | PathLike[str],
        *,
        earlier: str | PathLike[str] | None = None,
        independent: bool = False,
    ) -> CopyReport: ...
    def verify_snapshot(self, path: str | PathLike[str]) -> SnapshotCheck: ...
    def fork_to(
        self, path: str | PathLike[str], *, at: int | None = None, independent: bool = False
    ) -> CopyReport: ...
    def diff(self, path: str | PathLike[str]) -> Diff: ...
    @property
    def parent(self) -> Parent | None: ...
    def refresh(self) -> int: ...
    def wait(self, events: int, timeout: float | None = None) -> int: ...
    def close(self) -> None: ...
    def __enter__(self) -> Store: ...
    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
