"""Runs behaviour scripts, in the language of tests/scripts/README.md, on the Python package.

    python runner.py FILE...
    python runner.py --dir DIR --section K FILE
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import batpak
from batpak._errors import CLASSES
from script import Step, Words, escaped, number, payload, sections, shown, text


def gate(words: Words) -> Callable[[batpak.NewEvent], batpak.Refusal | None]:
    match words[2]:
        case "permit":
            return lambda event: None
        case "deny":
            refusal = batpak.Refusal(text(words[3]), text(words[4]))
            return lambda event: refusal
        case "max_payload":
            most, too_big = int(words[3]), batpak.Refusal("TOO_BIG", "too big")
            return lambda event: too_big if len(event.payload) > most else None
        case other:
            raise ValueError(f"no gate {other}")


def event_fields(words: Words) -> dict[str, Any]:
    expectations = {"any": batpak.ANY, "none": batpak.NO_STREAM}
    fields = words.keywords(
        expected=("expect", lambda word: expectations.get(word) or int(word)),
        id=("id", str),
        correlation=("corr", str),
        causation=("cause", lambda word: batpak.Item(int(word[1:])) if word[0] == "#" else word),
        lane=("lane", int),
        depth=("depth", int),
        flags=("flags", int),
        payload_version=("version", int),
        timestamp_us=("time", int),
    )
    pairs = (word.split(":", 1) for word in words.options.get("ext", []))
    extensions = [(text(k), payload(v if v.startswith("zeros:") else f"hex:{v}")) for k, v in pairs]
    fields |= {"entity": text(words[1]), "scope": text(words[2]), "kind": number(words[3])}
    return {**fields, "payload": payload(words[4]), "extensions": extensions}


def region(words: Words) -> dict[str, Any]:
    return words.keywords(
        entity=("entity", text),
        prefix=("prefix", text),
        scope=("scope", text),
        kind=("kind", number),
        category=("category", int),
        lane=("lane", int),
        clocks=("clocks", lambda clocks: tuple(map(int, clocks.split("-")))),
    )


def query(words: Words) -> dict[str, Any]:
    return region(words) | words.keywords(
        start=("from", int),
        backward=("direction", lambda direction: direction == "backward"),
        limit=("limit", int),
    )


def receipt_line(r: batpak.Receipt) -> str:
    duplicate = " duplicate" if r.duplicate else ""
    return f"ok seq={r.sequence} clock={r.clock} id={r.id} hash={r.hash.hex()}{duplicate}"


def short_line(e: batpak.Event) -> str:
    who = f"{e.sequence} {escaped(e.entity)} {escaped(e.scope)} 0x{e.kind:04x}"
    return f"{who} clock={e.clock} lane={e.lane} payload={shown(bytes(e))}"


def event_line(e: batpak.Event | None) -> str:
    if e is None:
        return "none"
    pairs = ",".join(f"{key}:{value.hex()}" for key, value in e.extensions.items())
    return (
        f"event seq={e.sequence} id={e.id} entity={escaped(e.entity)} scope={escaped(e.scope)} "
        f"kind=0x{e.kind:04x} clock={e.clock} lane={e.lane} depth={e.depth} flags={e.flags} "
        f"version={e.payload_version} time={e.timestamp_us} wall={e.wall_us} "
        f"corr={e.correlation} cause={e.causation or '-'} prev={e.prev_hash.hex()} "
        f"hash={e.hash.hex()} ext={pairs or '-'} "
        f"payload={'erased' if e.erased else shown(bytes(e))}"
    )


def fill(store: batpak.Store, words: Words) -> str:
    count, entity, scope = int(words[1]), text(words[2]), text(words[3])
    kind, size, entities = number(words[4]), int(words[5]), int(words.get("entities", "0"))
    lanes, step = int(words.get("lanes", "1")), int(words.get("batch", "1"))
    durability = words.keywords(durability=("durability", str))

    def event(i: int) -> batpak.NewEvent:
        name = f"{entity}:{i % entities}" if entities else entity
        return batpak.NewEvent(name, scope, bytes([i % 251]) * size, kind=kind, lane=i % lanes)

    for first in range(0, count, step):
        events = [event(i) for i in range(first, min(first + step, count))]
        store.append_batch(events, **durability)
    return f"ok count={count}"


def pages(store: batpak.Store, words: Words) -> Iterator[str]:
    total, options = 0, {**query(words), "limit": int(words[1])}
    while options.get("start", 0) >= 0 and (page := list(store.read(**options))):
        first, last = page[0].sequence, page[-1].sequence
        yield f"page {len(page)} first={first} last={last}"
        total += len(page)
        options["start"] = last - 1 if options.get("backward") else last + 1
    yield f"end {total}"


def ancestors(store: batpak.Store, words: Words) -> Iterator[str]:
    walk = store.ancestors(words[1], **words.keywords(via=("via", str), limit=("limit", int)))
    yield from (f"{event.sequence} {event.id}" for event in walk.events)
    yield f"boundary {walk.boundary}"


def verify(store: batpak.Store) -> Iterator[str]:
    report = store.verify()
    if report.intact:
        yield f"ok events={report.events} root={report.root.hex()}{removed(report)}"
    else:
        yield from damaged(report)


def removed(report: batpak.VerifyReport) -> str:
    if report.dropped == report.tombstones == 0:
        return ""
    return f" dropped={report.dropped} tombstones={report.tombstones} erased={report.erased}"


def damaged(report: batpak.VerifyReport) -> Iterator[str]:
    yield f"damaged events={report.events}"
    for finding in report.findings:
        yield f"{finding.kind} segment={finding.segment} offset={finding.offset}"


def yes(word: str) -> bool:
    return word == "yes"


def yes_or_no(said: bool) -> str:
    return "yes" if said else "no"


def drop_lines(drops: list[batpak.Dropped]) -> Iterator[str]:
    for drop in drops:
        sequence = "-" if drop.sequence is None else drop.sequence
        place = f"segment={drop.segment} offset={drop.offset}"
        yield f"drop {place} seq={sequence} event={yes_or_no(drop.is_event)}"


def import_from(store: batpak.Store, path: Path, words: Words) -> Iterator[str]:
    options = words.keywords(
        salvage=("salvage", yes), unvouched=("unvouched", yes), decrypt=("decrypt", yes)
    )
    r = store.import_from(path, **region(words), **options)
    yield (
        f"ok format={r.format} imported={r.imported} already={r.already_there} hidden={r.hidden} "
        f"outside={r.outside} dropped={r.dropped} keys={r.keys_without_events} "
        f"sequences={'kept' if r.sequences_kept else 'new'}"
    )
    yield from drop_lines(r.drops)


def export_to(store: batpak.Store, path: Path, words: Words) -> Iterator[str]:
    options = words.keywords(plain=("plain", yes), segment_bytes=("segment", int))
    r = store.export_to(path, **region(words), **options)
    yield (
        f"ok exported={r.exported} hidden={r.hidden} dropped={r.dropped} segments={r.segments} "
        f"bytes={r.bytes}"
    )
    yield from drop_lines(r.drops)


def copy_line(r: batpak.CopyReport) -> str:
    segments = f"segments={r.segments} linked={r.linked} copied={r.copied}"
    return f"ok events={r.events} root={r.root.hex()} {segments} bytes={r.bytes_copied}"


def diff_line(diff: batpak.Diff) -> str:
    return f"common={diff.common} ours={diff.ours} theirs={diff.theirs}"


def copies(store: batpak.Store, directory: Path, words: Words) -> Iterator[str]:
    """The commands on a store and another directory of this format."""
    path = directory / text(words[1])
    options = words.keywords(
        earlier=("earlier", lambda word: directory / text(word)),
        at=("at", int),
        independent=("independent", yes),
    )
    match words[0]:
        case "snapshot":
            yield copy_line(store.snapshot_to(path, **options))
        case "fork":
            yield copy_line(store.fork_to(path, **options))
        case "diff":
            yield diff_line(store.diff(path))
        case "verify_snapshot":
            check = store.verify_snapshot(path)
            if check.diff is None:
                yield from damaged(check.report)
            else:
                ahead = "ahead" if check.diff.common == check.diff.ours else "parted"
                yield f"{'prefix' if check.is_prefix else ahead} {diff_line(check.diff)}"


def repair(directory: Path, words: Words) -> Iterator[str]:
    options = words.keywords(
        keep_altered=("keep_altered", yes),
        max_lost=("max_lost", int),
        segment_bytes=("segment", int),
    )
    source, target = directory / text(words[1]), directory / text(words[2])
    r = batpak.repair(source, target, seed=int(words.get("seed", "1")), **options)
    yield (
        f"ok source={r.source} store={r.store_id} kept={r.kept} appended={r.appended} "
        f"dropped={r.dropped} lost={r.lost} intact={yes_or_no(r.verify.intact)}"
    )
    for run in r.lost_events:
        yield f"lost first={run.first_sequence} events={run.events}"
    for left in r.left_out:
        place = f"segment={left.segment} offset={left.offset} bytes={left.bytes}"
        yield f"left {place} first={left.first_sequence} events={left.events}"


def compact(store: batpak.Store, words: Words) -> str:
    """Compacts; what a script's functions raise is the error that it names."""
    calls = itertools.count(1)
    cancelled_at = int(words.get("cancel", "0"))

    def progress(at: batpak.CompactProgress) -> None:
        if next(calls) == cancelled_at:
            raise batpak.CallbackError("cancelled")

    every, failing_at = int(words.get("keep_every", "1")), words.get("keep_fails", "")

    def keep(event: batpak.Event) -> bool:
        if str(event.sequence) == failing_at:
            raise batpak.CallbackError("the predicate failed")
        return event.sequence % every == 0

    rules = region(words) | words.keywords(
        before=("before", int),
        older_than_us=("older_than", int),
        newest_per_entity=("newest", int),
        unwanted=("unwanted", str),
    )
    if words.options.keys() & {"keep_every", "keep_fails"}:
        rules["keep"] = keep
    window = words.keywords(window=("window", int), most=("most", int), overflow=("overflow", str))
    retention = batpak.Retention(**rules, keys=batpak.Keys(**window))
    r = store.compact(
        retention=retention if words[0] == "retain" else None,
        bytes_per_second=int(words.get("rate", "0")),
        progress=progress,
    )
    return (
        f"ok dropped={r.events_dropped} tombstones={r.tombstones} keys={r.keys_kept} "
        f"over={r.keys_over} segments={r.segments_after}/{r.segments_before} "
        f"bytes={r.bytes_after}/{r.bytes_before} replaced={r.segments_replaced} "
        f"written={r.segments_written}"
    )


def report_line(report: batpak.OpenReport) -> str:
    created, clean = yes_or_no(report.created), yes_or_no(report.clean)
    return (
        f"created={created} clean={clean} events={report.events} segments={report.segments} "
        f"cut={report.cut_bytes} removed={len(report.removed)} ignored={len(report.ignored)} "
        f"damage={len(report.damage)} format={report.format} hidden={report.hidden}"
    )


def inspection_line(found: batpak.Inspection) -> str:
    refusal = found.refusal.kind if found.refusal else "-"
    opening = f"opening={found.opening} refusal={refusal}"
    return f"{opening} bytes={found.bytes} {report_line(found.report)}"


def use_fence(
    fence: batpak.Fence, words: Words, events: Iterable[batpak.NewEvent]
) -> Iterator[str]:
    match words[0]:
        case "stage":
            yield f"ok place={fence.append_batch(events)}"
        case "staged":
            start, size = int(words.get("from", "0")), int(words.get("page", "100"))
            for page in fence.read(start=start).pages(size):
                yield from map(event_line, page)
            yield f"end {fence.events}"
        case "commit":
            done = fence.commit(**words.keywords(durability=("durability", str)))
            duplicate = " duplicate" if done.duplicate else ""
            yield f"ok first={done.first_sequence} events={done.events}{duplicate}"
        case "cancel":
            fence.cancel()
            yield "ok"


def use_store(store: batpak.Store, words: Words) -> Iterable[str]:
    match words[0]:
        case "close" | "flush" | "sync" as name:
            getattr(store, name)()
            yield "ok"
        case "fill":
            yield fill(store, words)
        case "get":
            yield event_line(store.get(words[1]))
        case "at":
            yield event_line(store.at(int(words[1])))
        case "read":
            lines = [short_line(event) for event in store.read(**query(words))]
            yield from [*lines, f"end {len(lines)}"]
        case "count":
            yield f"end {sum(1 for _ in store.read(**query(words)))}"
        case "page":
            yield from pages(store, words)
        case "ancestors":
            yield from ancestors(store, words)
        case "head":
            at = words.get("at", "")
            head = store.head_at(int(at)) if at else store.head()
            yield f"events={head.events} last={head.last_hash.hex()} root={head.root.hex()}"
        case "stream":
            end = store.stream_head(text(words[1]), int(words[2]))
            yield f"clock={end.clock} seq={end.sequence} hash={end.hash.hex()}" if end else "none"
        case "frontier":
            f = store.frontier()
            yield (
                f"accepted={f.accepted} written={f.written} durable={f.durable} visible={f.visible}"
            )
        case "stats":
            s = store.stats()
            yield (
                f"events={s.events} segments={s.segments} entities={s.entities} streams={s.streams}"
            )
        case "verify":
            yield from verify(store)
        case "report":
            yield report_line(store.report)
        case "parent":
            p = store.parent
            yield f"store={p.store_id} events={p.events} root={p.root.hex()}" if p else "none"
        case "compact" | "retain":
            yield compact(store, words)
        case "cover":
            yield shown(store.receipt_cover_0x(int(words[1])))
        case "refresh":
            yield f"visible={store.refresh()}"
        case "wait":
            yield f"visible={store.wait(int(words[1]), int(words[2]) / 1000)}"
        case name:
            raise ValueError(f"no command {name}")


def change_file(directory: Path, words: Words) -> None:
    target = directory / text(words[1])
    match words[0]:
        case "damage" | "cut" as name:
            offset = int(words[2])
            with target.open("r+b") as file:
                file.seek(offset, 2 if offset < 0 else 0)
                file.write(bytes.fromhex(words[3])) if name == "damage" else file.truncate()
        case "extend":
            with target.open("ab") as file:
                file.write(bytes.fromhex(words[2]))
        case "remove":
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        case "copy":
            copy = shutil.copytree if target.is_dir() else shutil.copyfile
            copy(target, directory / text(words[2]))
        case "rename":
            target.rename(directory / text(words[2]))
        case "mkdir":
            target.mkdir()
        case "write":
            target.write_bytes(bytes.fromhex(words[2]))


class Machine:
    """What a script has set up so far."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stores: dict[str, tuple[batpak.Store, dict[str, Any]]] = {}
        self.fences: dict[str, batpak.Fence] = {}
        self.variables: dict[str, str] = {}
        self.gates: list[Any] = []
        self.gate_options: dict[str, Any] = {}

    def run(self, command: list[str]) -> list[str]:
        try:
            return list(self.lines(command))
        except batpak.BatpakError as error:
            return [f"error {error.kind}"]
        except Exception as error:  # The script is wrong, or the package has a defect.
            return [f"{type(error).__name__}: {error}"]

    def lines(self, command: list[str]) -> Iterable[str]:
        words = Words(command[0], self.variables)
        match words[0]:
            case "let":
                self.variables[words[1]] = words[2]
            case "gate":
                self.gates.append((text(words[1]), gate(words)))
            case "gates":
                mode, record = words.get("mode", "fail_fast"), words.get("record", "no") == "yes"
                self.gate_options = {"gate_mode": mode, "record_denial": record}
            case "open":
                return self.open(words.get("as", "a"), self.open_options(words))
            case "reopen":
                store, options = self.opened(words)
                store.close()
                anew = words.options.keys() - {"on"}
                options = self.open_options(words) if anew else options
                return self.open(words.get("on", "a"), options)
            case "append":
                options = self.append_options(words)
                store = self.opened(words)[0]
                return self.receipts([store.append(**event_fields(words), **options)])
            case "batch":
                options = self.append_options(words)
                batch = self.opened(words)[0].append_batch(self.new_events(command), **options)
                return self.receipts(batch)
            case "fence":
                memory = words.keywords(memory_bytes=("memory", int))
                self.fences[text(words[1])] = self.opened(words)[0].begin_fence(**memory)
                return ["ok"]
            case "stage" | "staged" | "commit" | "cancel":
                return use_fence(self.fences[text(words[1])], words, self.new_events(command))
            case "inspect":
                return [inspection_line(batpak.inspect(self.directory / text(words[1])))]
            case "repair":
                return repair(self.directory, words)
            case "import" | "export" as name:
                bring = import_from if name == "import" else export_to
                return bring(self.opened(words)[0], self.directory / text(words[1]), words)
            case "snapshot" | "verify_snapshot" | "fork" | "diff":
                return copies(self.opened(words)[0], self.directory, words)
            case "damage" | "cut" | "extend" | "remove" | "copy" | "rename" | "mkdir" | "write":
                change_file(self.directory, words)
            case "files":
                names = sorted(path.name for path in (self.directory / text(words[1])).iterdir())
                return [f"file {escaped(name)}" for name in names if not name.endswith(".tmp")]
            case "kinds":
                return [f"{code} {kind.kind} {kind.retry}" for code, kind in CLASSES.items()]
            case _:
                return use_store(self.opened(words)[0], words)
        return []

    def opened(self, words: Words) -> tuple[batpak.Store, dict[str, Any]]:
        return self.stores[words.get("on", "a")]

    def open_options(self, words: Words) -> dict[str, Any]:
        options = words.keywords(
            mode=("mode", str),
            segment_bytes=("segment", int),
            max_payload_bytes=("max_payload", int),
            durability=("durability", str),
            restarts=("restarts", int),
            restart_window_ms=("restart_window", int),
        )
        seed = words.get("seed", "1")
        path = self.directory / text(words.get("path", "store"))
        return {"path": path, "seed": None if seed == "none" else int(seed), **options}

    def open(self, name: str, options: dict[str, Any]) -> list[str]:
        self.stores[name] = batpak.Store(**options), options
        return ["ok"]

    def new_events(self, command: list[str]) -> Iterator[batpak.NewEvent]:
        """The items of a batch."""
        for line in command[1:]:
            yield batpak.NewEvent(**event_fields(Words(line, self.variables)))

    def append_options(self, words: Words) -> dict[str, Any]:
        options = words.keywords(durability=("durability", str))
        if self.gates:
            options |= {"gates": self.gates, **self.gate_options}
            self.gates = []
        return options

    def receipts(self, receipts: list[batpak.Receipt]) -> list[str]:
        self.variables.update((f"id:{r.sequence}", r.id) for r in receipts)
        return [receipt_line(receipt) for receipt in receipts]

    def close_all(self) -> None:
        self.fences.clear()
        for store, _ in self.stores.values():
            store.close()
        self.stores.clear()


def failure(path: Path, steps: list[list[Step]], machine: Machine) -> str | None:
    """Runs the sections; tells of the first step that prints something else."""
    for section in steps:
        for step in section:
            found = machine.run(step.command)
            if found != step.expected:
                lines = [f"FAIL {path}:{step.place}", *step.command]
                return "\n  ".join([*lines, "expected:", *step.expected, "found:", *found])
        machine.close_all()
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs behaviour scripts.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--dir", type=Path, help="run in this directory")
    parser.add_argument("--section", type=int, help="run only this section")
    arguments = parser.parse_args()
    failed = 0
    for path in arguments.files:
        steps = sections(path)
        if arguments.section is not None:
            steps = [steps[arguments.section]]
        with tempfile.TemporaryDirectory() as scratch:
            wrong = failure(path, steps, Machine(arguments.dir or Path(scratch)))
        if wrong:
            failed += 1
            print(wrong)
    print(f"{len(arguments.files) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
