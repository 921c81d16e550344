"""Appends two events, reads them back, and verifies the log."""

import sys
import tempfile

import batpak

PLACED, PAID = 0x1001, 0x1002


def main(path: str) -> None:
    with batpak.Store(path) as store:
        placed = store.append("order:42", "shop", {"apples": 2}, kind=PLACED)
        store.append(
            "order:42", "shop", {"cents": 180}, kind=PAID, expected=placed.clock, causation=placed.id
        )

        for event in store.read(entity="order:42"):
            print(event.sequence, event.entity, f"{event.kind:#06x}", event.value())

        report = store.verify()
        print(f"{report.events} events, {'intact' if report.intact else 'damaged'}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
