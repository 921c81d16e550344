"""Makes a store of the batpak crate 0.10 by hand, with what an export never writes: an event that a
cancelled fence hides, one that its hash does not vouch for, one that is encrypted, and the key of
one that a compaction has removed."""

import zlib
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]

SECRET = b"secret"
CIPHERTEXT = bytes.fromhex("eda76c0df5a6e5f85e439aeb0683954e8628cb45c520")
"""The secret under XChaCha20-Poly1305, bound to the names, the kind and the id of its event."""
KEY = bytes(range(32))
NONCE = bytes(range(24))
KEYSCOPE = b"\x01e:3"

# Of each event the payload and its hash (BLAKE3); that of the third is of other bytes.
EVENTS = [
    (b"good", "4ae75b2349db3092a6a3343625a6aa7ba4bb3298491acac202c46847b9ef31c8"),
    (b"hidden", "c55b38382f0e0bc741c26b1eb76e821f10352fe44b80ed99f8285f9bb174602d"),
    (b"changed", "4ae75b2349db3092a6a3343625a6aa7ba4bb3298491acac202c46847b9ef31c8"),
    (CIPHERTEXT, "d0a03e039ed077251d58e3ded343c6dd25ca7cdb3db128cb8871722b6577dbd2"),
]


def frame(number: int, payload: bytes, hash: bytes) -> bytes:
    identity = bytes([0x10 + number]) * 16
    header: dict[str, Any] = {
        "event_id": identity,
        "correlation_id": identity,
        "causation_id": None,
        "timestamp_us": 1_700_000_000_000_000 + number,
        "position": {
            "wall_ms": 1_700_000_000_000,
            "counter": 0,
            "depth": 0,
            "lane": 0,
            "sequence": 0,
        },
        "payload_size": len(payload),
        "event_kind": 0x1000,
        "flags": 0,
        "content_hash": list(hash),
        "payload_version": 0,
    }
    if payload == CIPHERTEXT:
        encryption = {"keyscope_id": list(KEYSCOPE), "nonce": list(NONCE)}
        header["payload_encryption"] = encryption
    chain = {"prev_hash": [0] * 32, "event_hash": list(hash)}
    body: bytes = msgpack.packb(
        {
            "event": {"header": header, "payload": list(payload), "hash_chain": chain},
            "entity": f"e:{number}",
            "scope": "s",
            "receipt_extensions": {},
        }
    )
    return len(body).to_bytes(4) + zlib.crc32(body).to_bytes(4) + body


def sidecar(magic: bytes, version: int, value: object) -> bytes:
    body: bytes = msgpack.packb(value)
    return magic + version.to_bytes(2, "little") + zlib.crc32(body).to_bytes(4, "little") + body


def make(directory: Path) -> None:
    """Writes the store, a new directory."""
    directory.mkdir()
    created = {"version": 1, "flags": 0, "created_ns": 1_700_000_000_000_000_000, "segment_id": 1}
    header = msgpack.packb(created)
    frames = [
        frame(number, payload, bytes.fromhex(hash))
        for number, (payload, hash) in enumerate(EVENTS)
    ]
    segment = b"".join([b"FBAT", len(header).to_bytes(4), header, *frames])
    (directory / "000001.fbat").write_bytes(segment)
    hidden = {"ranges": [{"start": 1, "end": 2}], "lane_ranges": []}
    (directory / "visibility_ranges.fbv").write_bytes(sidecar(b"FBATVR", 2, hidden))
    keys = {"granularity": 1, "entries": [{"scope": list(KEYSCOPE), "key": list(KEY)}]}
    (directory / "keyset.fbatk").write_bytes(sidecar(b"FBATKS", 1, keys))
    removed = [{"key": b"\xee" * 16, "event_evicted": True}]
    (directory / "index.idemp").write_bytes(sidecar(b"FBATID", 1, removed))
