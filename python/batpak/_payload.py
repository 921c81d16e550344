"""Values as MessagePack, the convention that every language of batpak shares."""

from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]

from ._errors import DecodeError, InvalidArgumentError

if TYPE_CHECKING:
    from ._batpak import Event


def encode(value: object) -> bytes:
    """The MessagePack of a value."""
    try:
        packed: bytes = msgpack.packb(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"the value has no MessagePack form: {error}") from error
    return packed


def decode(event: "Event") -> Any:
    """The value in an event's payload. Maps may have keys of any type that can be hashed."""
    try:
        return msgpack.unpackb(event, strict_map_key=False)
    except (TypeError, ValueError) as error:
        raise DecodeError(f"the payload is not MessagePack: {error!r}") from error
