"""The worker of the kill test in Python. README.md says what it does and what it writes."""

import os
import sys
import time
from dataclasses import dataclass
from typing import Literal

import batpak

MASK = 0xFFFF_FFFF
Durability = Literal["durable", "written", "buffered"]


def mix(x: int) -> int:
    x ^= x >> 16
    x = x * 0x85EB_CA6B & MASK
    x ^= x >> 13
    x = x * 0xC2B2_AE35 & MASK
    return x ^ x >> 16


class Draws:
    """Numbers that are the same in every language."""

    def __init__(self, *numbers: int) -> None:
        self.state = 0
        for number in numbers:
            self.state = mix(self.state + number & MASK)

    def below(self, bound: int) -> int:
        self.state = self.state + 0x9E37_79B9 & MASK
        return mix(self.state) % bound


@dataclass
class Append:
    durability: Durability
    with_ids: bool
    events: list[batpak.NewEvent]


Step = Append | Literal["flush", "sync", "reopen", "nothing"]


def plan(seed: int, life: int, operation: int) -> Step:
    draws = Draws(seed, life, operation)
    roll = draws.below(100)
    if roll < 4:
        return "reopen"
    if roll < 8:
        return "sync"
    if roll < 14:
        return "flush"
    if roll < 20:
        return again(seed, life, draws.below(operation))
    return plan_append(draws, seed, life, operation)


def again(seed: int, life: int, earlier: int) -> Step:
    draws = Draws(seed, life, earlier)
    if earlier == 0 or draws.below(100) < 20:
        return "nothing"
    append = plan_append(draws, seed, life, earlier)
    return append if append.with_ids else "nothing"


def plan_append(draws: Draws, seed: int, life: int, operation: int) -> Append:
    count = 2 + draws.below(39) if draws.below(5) < 2 else 1
    durabilities: tuple[Durability, ...] = ("durable", "written", "buffered", "buffered")
    durability = durabilities[draws.below(4)]
    with_ids = draws.below(2) == 1
    large = draws.below(12) == 0
    events = []
    for item in range(count):
        entity = f"order:{draws.below(6)}"
        lane = int(draws.below(3) == 0)
        kind = 0x1001 + draws.below(3)
        filler = draws.below(60_000 if large else 3000 if draws.below(8) == 0 else 200)
        payload = f"{life} {operation} {item} {count} ".encode() + b"x" * filler
        id = f"{seed:08x}{life:08x}{operation:08x}{item:08x}" if with_ids else None
        events.append(batpak.NewEvent(entity, "kill", payload, kind=kind, lane=lane, id=id))
    return Append(durability, with_ids, events)


class Worker:
    def __init__(self, directory: str, log: str, segment_bytes: int, buffer_ms: int) -> None:
        self.directory = directory
        self.segment_bytes = segment_bytes
        self.buffer_ms = buffer_ms
        self.log = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def open(self, operation: int) -> None:
        self.store = batpak.Store(
            self.directory, segment_bytes=self.segment_bytes, buffer_ms=self.buffer_ms
        )
        self.note(f"{operation} open {self.store.report.events}")

    def append(self, operation: int, append: Append) -> None:
        if len(append.events) == 1:
            event = append.events[0]
            receipts = [
                self.store.append(
                    event.entity,
                    event.scope,
                    event.payload,
                    kind=event.kind,
                    lane=event.lane,
                    id=event.id,
                    durability=append.durability,
                )
            ]
        else:
            receipts = self.store.append_batch(append.events, durability=append.durability)
        acknowledged = (f"{r.sequence} {r.id} {r.hash.hex()} {int(r.duplicate)}" for r in receipts)
        self.note(f"{operation} ack {' '.join(acknowledged)}")
        os.write(1, b"a")

    def note(self, line: str) -> None:
        """Adds a line to the log. One call of the operating system: a kill leaves it whole or last."""
        os.write(self.log, f"{line}\n".encode())

    def run(self, seed: int, life: int, retry_life: int, retry: int) -> None:
        os.write(1, b"o")
        self.open(0)
        if retry:
            append = plan(seed, retry_life, retry)
            assert isinstance(append, Append)
            self.append(0, append)
        operation = 1
        while True:
            step = plan(seed, life, operation)
            if isinstance(step, Append):
                self.append(operation, step)
            elif step == "flush":
                self.store.flush()
                self.note(f"{operation} flushed")
                time.sleep(0.001)
            elif step == "sync":
                self.store.sync()
                self.note(f"{operation} synced")
            elif step == "reopen":
                self.store.close()
                self.note(f"{operation} closed")
                self.open(operation)
            else:
                self.note(f"{operation} nothing")
            operation += 1


if __name__ == "__main__":
    seed, life, segment_bytes, buffer_ms, retry_life, retry = map(int, sys.argv[3:])
    Worker(sys.argv[1], sys.argv[2], segment_bytes, buffer_ms).run(seed, life, retry_life, retry)
