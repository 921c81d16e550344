"""The exceptions: one class per kind of error. Numbers, names and retry classes are the same in
every language; where Python has a class of its own for the same mistake, ours is that too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from ._values import GateOutcome


class BatpakError(Exception):
    """An error: its kind, what happened, and where.

    `retry` says what a caller can do: "NEVER" (the same call fails again), "LATER" (it can succeed
    later, unchanged), "AFTER_READING" (read the stream again, decide again), "AFTER_REOPENING"
    (open the store again first; an event id makes the repeated append safe).
    """

    kind: ClassVar[str] = ""
    code: ClassVar[int] = 0
    retry: ClassVar[Literal["NEVER", "LATER", "AFTER_READING", "AFTER_REOPENING"]] = "NEVER"

    def __init__(
        self,
        message: str = "",
        *,
        path: str | None = None,
        segment: int | None = None,
        offset: int | None = None,
        os_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.segment = segment
        self.offset = offset
        self.os_code = os_code

    def __str__(self) -> str:
        text = self.message
        if self.path is not None:
            text += f" [{self.path}]"
        if self.segment is not None and self.offset is not None:
            text += f" [segment {self.segment}, offset {self.offset}]"
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        place = (self.path, self.segment, self.offset, self.os_code)
        return _unpickle, (type(self), self.message, *place), self.__dict__


def _unpickle(
    error: type[BatpakError],
    message: str,
    path: str | None,
    segment: int | None,
    offset: int | None,
    os_code: int | None,
) -> BatpakError:
    return error(message, path=path, segment=segment, offset=offset, os_code=os_code)


class _SystemError(BatpakError, OSError):
    def __init__(self, message: str = "", **place: Any) -> None:
        super().__init__(message, **place)
        self.errno, self.strerror, self.filename = self.os_code, message, self.path


class InvalidArgumentError(BatpakError, ValueError):
    """An argument is out of range, malformed or contradicts another one."""

    kind = "INVALID_ARGUMENT"
    code = 1


class InvalidCoordinateError(BatpakError, ValueError):
    """An entity or a scope breaks the rules for coordinates."""

    kind = "INVALID_COORDINATE"
    code = 2


class InvalidKindError(BatpakError, ValueError):
    """A kind is reserved for the library or out of range."""

    kind = "INVALID_KIND"
    code = 3


class TooLargeError(BatpakError, ValueError):
    """A payload, a batch or an extension is larger than its limit; or more keys of dropped events are
    to be kept than may be."""

    kind = "TOO_LARGE"
    code = 4


class ClockConflictError(BatpakError):
    """The stream is not at the clock that the caller expected."""

    kind = "CLOCK_CONFLICT"
    code = 5
    retry = "AFTER_READING"


class IdempotencyConflictError(BatpakError):
    """The event id is taken by an event with other content."""

    kind = "IDEMPOTENCY_CONFLICT"
    code = 6


class DeniedError(BatpakError):
    """A gate refused the append. `refusals` holds what the refusing gates said."""

    kind = "DENIED"
    code = 7

    def __init__(self, message: str = "", **place: Any) -> None:
        super().__init__(message, **place)
        self.refusals: list[GateOutcome] = []


class NotFoundError(BatpakError, LookupError):
    """There is no such store, event or file."""

    kind = "NOT_FOUND"
    code = 8


class ClosedError(BatpakError):
    """The store was closed, or the fence has ended."""

    kind = "CLOSED"
    code = 9


class LockedError(BatpakError):
    """Another writer has the store open, or another compaction of it is under way."""

    kind = "LOCKED"
    code = 10
    retry = "LATER"


class ReadOnlyError(BatpakError):
    """The store was opened for reading only."""

    kind = "READ_ONLY"
    code = 11


class IoError(_SystemError):
    """The operating system refused an operation."""

    kind = "IO"
    code = 12


class DiskFullError(_SystemError):
    """There is no space left; nothing was appended, and appends go on when space returns."""

    kind = "DISK_FULL"
    code = 13
    retry = "LATER"


class CorruptError(BatpakError):
    """Bytes on disk are not what was written."""

    kind = "CORRUPT"
    code = 14


class UnsupportedError(BatpakError):
    """The directory holds a format that this version does not read."""

    kind = "UNSUPPORTED"
    code = 15


class PoisonedError(BatpakError):
    """An earlier failure stopped all appends until the store is reopened."""

    kind = "POISONED"
    code = 16
    retry = "AFTER_REOPENING"


class IndeterminateError(BatpakError):
    """It is not known whether the events were appended; reopening the store decides."""

    kind = "INDETERMINATE"
    code = 17
    retry = "AFTER_REOPENING"


class ForkedError(BatpakError):
    """The store was inherited over a fork; open it again in the child."""

    kind = "FORKED"
    code = 18
    retry = "AFTER_REOPENING"


class BadHandleError(BatpakError):
    """A handle is null, closed, of another type, or was never given out. Only other languages
    can meet it."""

    kind = "BAD_HANDLE"
    code = 19


class PanicError(BatpakError):
    """A defect in the library was caught before it could reach the caller."""

    kind = "PANIC"
    code = 20


class CallbackError(BatpakError):
    """A gate raised an exception, which is the cause of this one."""

    kind = "CALLBACK"
    code = 21


class DecodeError(BatpakError, ValueError):
    """A payload is not MessagePack."""

    kind = "DECODE"
    code = 22


_DIRECT = [*BatpakError.__subclasses__(), *_SystemError.__subclasses__()]

CLASSES: dict[int, type[BatpakError]] = {
    error.code: error for error in sorted(_DIRECT, key=lambda error: error.code) if error.code
}
"""The class of every number, by rising number."""
