"""Appends two events, reads them back, and verifies the log. Takes the directory to use."""

import sys

import batpak

PLACED, PAID = 0x1001, 0x1002


def main(path: str) -> None:
    with batpak.Store(path) as store:
        # Durable when append returns.
        order = store.append("order:42", "shop", b"2 apples", kind=PLACED)

        # Only if nobody has written to the stream meanwhile.
        store.append(
            "order:42", "shop", b"3.20", kind=PAID, expected=order.clock, causation=order.id
        )

        for event in store.read(entity="order:42"):
            print(event.sequence, f"{event.kind:#06x}", bytes(event).decode())

        report = store.verify()
        print(report.events, "events,", "intact" if report.intact else "damaged")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "orders")
