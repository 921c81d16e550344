"""Many tasks append while one follows, in one event loop. Takes the directory to use."""

import asyncio
import sys

import batpak

TICK = 0x1001
SENSORS, TICKS = 100, 10


async def sensor(store: batpak.Store, name: str) -> None:
    for number in range(TICKS):
        # Durable when it is awaited; what the other sensors append meanwhile shares the sync.
        await store.append_async(name, "plant", b"%d" % number, TICK)


async def watch(store: batpak.Store) -> int:
    seen = 0
    async for event in store.follow_async(prefix="sensor"):
        seen += 1
        if seen == SENSORS * TICKS:
            return event.sequence
    return seen


async def main(path: str) -> None:
    with batpak.Store(path) as store:
        watching = asyncio.create_task(watch(store))
        async with asyncio.TaskGroup() as tasks:
            for number in range(SENSORS):
                tasks.create_task(sensor(store, f"sensor:{number}"))
        print("last event:", await watching)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "plant"))
