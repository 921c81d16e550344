"""Asks a store of flights, folds it into two tables, draws them, and verifies it.

    query.py STORE PICTURE
"""

import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import batpak
from matplotlib.figure import Figure

DEPARTED, ARRIVED, CANCELLED = 0x1001, 0x1002, 0x1003
NAMES = {DEPARTED: "departed", ARRIVED: "arrived", CANCELLED: "cancelled"}
CARRIERS = {
    "9E": "Endeavor", "AA": "American", "AS": "Alaska", "B6": "JetBlue", "DL": "Delta",
    "EV": "ExpressJet", "F9": "Frontier", "FL": "AirTran", "HA": "Hawaiian", "MQ": "Envoy",
    "OO": "SkyWest", "UA": "United", "US": "US Airways", "VX": "Virgin America",
    "WN": "Southwest", "YV": "Mesa",
}


def say(*words: object) -> None:
    print("Python ", *words, flush=True)


def line(event: batpak.Event) -> str:
    value = event.value()
    route = f"{value['origin']} to {value['dest']}"
    return f"{event.sequence:>7}  {event.time:%Y-%m-%d %H:%M}  {NAMES[event.kind]:9}  {route}"


def ask(store: batpak.Store) -> None:
    """Three questions that the indexes answer, and one that follows causes. Times are UTC."""
    start = time.perf_counter()
    aircraft = "aircraft:N14228"
    year = list(store.read(entity=aircraft))
    legs = sum(event.kind == DEPARTED for event in year)
    say(f"{aircraft} left New York {legs} times; its first and last events:")
    for event in (*year[:2], *year[-2:]):
        print("       ", line(event))

    departed = sum(1 for _ in store.read(scope="VX", kind=DEPARTED))
    cancelled = sum(1 for _ in store.read(scope="VX", kind=CANCELLED))
    say(f"Virgin America: {departed} departures, {cancelled} cancelled flights")

    # The id of a flight's arrival, made from the same words as in append.c.
    arrival = batpak.operation_id("flights", "2013-01-09 HA 51 JFK", "arrived")
    chain = store.ancestors(arrival, via="causation")
    say(f"why HA 51 of 9 January arrived late (boundary: {chain.boundary}):")
    for event in chain.events:
        print("       ", line(event), event.value()["delay"], "minutes late")

    middle = store.head().events // 2
    say("from the middle of the log:")
    for event in store.read(start=middle, limit=3):
        print("       ", line(event), event.entity)
    say(f"answered in {(time.perf_counter() - start) * 1000:.0f} ms")


class Year:
    """What is folded from the events: delays by carrier, and where each aircraft was last."""

    def __init__(self, store: batpak.Store) -> None:
        self.delays: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.last_seen: dict[str, str] = {}
        self.content_bytes = 0
        start = time.perf_counter()
        for event in store.read():
            self.take(event)
        seconds = time.perf_counter() - start
        events = store.head().events
        stored = sum(file.stat().st_size for file in Path(store.path).iterdir())
        say(f"folded {events} events in {seconds:.1f} s, {events / seconds:,.0f}/s")
        say(
            f"{stored / 1e6:.1f} MB on disk: {stored / events:.0f} bytes per event, of which "
            f"{self.content_bytes / events:.0f} are its payload and names and "
            f"{(stored - self.content_bytes) / events:.0f} everything else"
        )

    def take(self, event: batpak.Event) -> None:
        entity, scope = event.entity, event.scope
        self.content_bytes += len(entity) + len(scope) + len(event.payload)
        if event.kind == CANCELLED:
            return
        value = event.value()
        # A flight that was diverted has no delay.
        if value["delay"] is not None:
            self.delays[scope][event.kind].append(value["delay"])
        if event.kind == ARRIVED and entity != "aircraft:unknown":
            self.last_seen[entity] = value["dest"]

    def draw(self, picture: Path) -> None:
        figure = Figure(figsize=(11, 6.2), layout="constrained")
        figure.suptitle("Every flight that left New York in 2013", fontsize=15)
        delays, places = figure.subplots(1, 2, width_ratios=(3, 2))

        means = {
            carrier: [sum(by_kind[kind]) / len(by_kind[kind]) for kind in (DEPARTED, ARRIVED)]
            for carrier, by_kind in self.delays.items()
        }
        carriers = sorted(means, key=lambda carrier: means[carrier][0])
        labels = [f"{CARRIERS[c]} ({len(self.delays[c][DEPARTED]):,})" for c in carriers]
        for side, (name, color) in enumerate((("at departure", "#3b6ea8"), ("at arrival", "#e0a030"))):
            rows = [row + 0.2 - 0.4 * side for row in range(len(carriers))]
            values = [means[carrier][side] for carrier in carriers]
            delays.barh(rows, values, height=0.4, label=name, color=color)
        delays.axvline(0, color="black", linewidth=0.8)
        delays.set(title="Mean delay by carrier", xlabel="minutes late (negative: early)")
        delays.set_yticks(range(len(carriers)), labels)
        delays.set_ylabel("carrier (departures)")
        delays.legend(loc="lower right")

        top = Counter(self.last_seen.values()).most_common(15)[::-1]
        bars = places.barh([place for place, _ in top], [count for _, count in top], color="#5a9e6f")
        places.bar_label(bars, padding=3)
        places.set(
            title=f"Where {len(self.last_seen):,} aircraft arrived last",
            xlabel="aircraft (the 15 airports with most)",
            ylabel="airport",
        )
        places.margins(x=0.12)
        for axes in (delays, places):
            axes.spines[["top", "right"]].set_visible(False)
            axes.margins(y=0.01)
            axes.grid(axis="x", alpha=0.3)
            axes.set_axisbelow(True)
        figure.savefig(picture, dpi=120)
        say(f"drew {picture}")


def main(path: str, picture: Path) -> None:
    with batpak.Store(path, mode="read_only") as store:
        ask(store)
        Year(store).draw(picture)
        report = store.verify()
        if not report.intact:
            sys.exit(f"the store is damaged: {report.findings[0]}")
        print("verified Python", report.events, report.last_hash.hex(), report.root.hex())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
