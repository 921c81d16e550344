#!/usr/bin/env python3
"""Checks a batpak store down to the last byte, without batpak.

A second reader of FBAT version 2, written from docs/format.md alone; numbers in brackets are its
sections. It recomputes every CRC, hash, link and tree root, rebuilds the index of every segment
from its events, and compares.

    check.py        checks the vectors beside this file: the stores with their events, and tree.txt
    check.py DIR    checks the store DIR

It needs the package `blake3`. It locks and writes nothing. Damage that nothing can be read behind
ends the check, other findings are collected. The exit status is 1 if there are any. A note says
what the format allows and a reader passes over: a lost head, bytes behind the log that are not
reserved space.
"""

import re
import struct
import sys
from collections import Counter, defaultdict, namedtuple
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

from blake3 import blake3

GROUPS = ("directory", "manifest", "segment headers", "frames", "event hashes", "links", "limits",
          "end of the log", "tree roots", "footers", "head", "tail.sidx")
checks: Counter[str] = Counter()
findings: dict[str, list[str]] = defaultdict(list)


class Damage(Exception):
    """Nothing behind this place can be read."""


def check(group: str, holds: bool, finding: str) -> None:
    checks[group] += 1
    if not holds:
        findings[group].append(finding)


def require(group: str, holds: bool, finding: str) -> None:
    check(group, holds, finding)
    if not holds:
        raise Damage


def padded(size: int) -> int:
    return -(-size // 8) * 8


def read_file(path: Path) -> bytes:
    require("directory", path.is_file() and not path.is_symlink(), f"{path.name}: no regular file")
    return path.read_bytes()


# ---- The tree [5]


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def root_by_definition(hashes: list[bytes]) -> bytes:
    """The recursion of RFC 6962 over event hashes."""
    if len(hashes) < 2:
        return sha256(b"\0" + hashes[0] if hashes else b"").digest()
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node(root_by_definition(hashes[:split]), root_by_definition(hashes[split:]))


class Tree:
    """The same tree, grown a leaf at a time. Its peaks are its whole subtrees, largest first."""

    def __init__(self) -> None:
        self.peaks: list[tuple[int, bytes]] = []
        self.level_8: list[bytes] = []

    def append(self, event_hash: bytes) -> None:
        level, top = 0, sha256(b"\0" + event_hash).digest()
        while self.peaks and self.peaks[-1][0] == level:
            level, top = level + 1, node(self.peaks.pop()[1], top)
            if level == 8:
                self.level_8.append(top)
        self.peaks.append((level, top))

    def root(self) -> bytes:
        root = self.peaks[-1][1] if self.peaks else sha256().digest()
        for _, left in reversed(self.peaks[:-1]):
            root = node(left, root)
        return root


# ---- Frames [2.2] and event hashes [2.3]

FRAME = struct.Struct("<IIBBHI32sQ16sqIIHHHHHBB")
CONTINUES, ERASED, TOMBSTONE, DROPPED, KEYED = 1, 2, 8, 16, 32
EVENT, GAP = 0xB7, 0xB8
# Space is reserved up to a multiple of so many bytes [6].
RESERVED = 256 << 10
# What events.txt says of an event, in its order. An event has these and a few more.
FIELDS = ("sequence", "id", "timestamp_us", "wall_us", "clock", "lane", "depth", "kind",
          "payload_version", "flags", "correlation", "causation", "prev_hash", "entity", "scope",
          "extensions", "payload", "batch_continues", "hash", "segment", "offset", "root")


def header_is_right(data: bytes, at: int, marker: int = EVENT) -> bool:
    """Whether the first 16 bytes are those of a frame."""
    if len(data) - at < 16 or data[at + 8] != marker:
        return False
    header_check = crc32(data[at : at + 4] + data[at + 8 : at + 10] + data[at + 12 : at + 16])
    return data[at + 10 : at + 12] == (header_check & 0xFFFF).to_bytes(2, "little")


def read_frame(data: bytes, at: int, segment: int, lineage: bytes) -> SimpleNamespace:
    """The event whose frame begins at `at`; raises Damage if no valid frame does."""

    def need(holds: bool, finding: str) -> None:
        if not holds:
            raise Damage(f"segment {segment} offset {at}: {finding}")

    need(header_is_right(data, at), "no frame begins here")
    length = int.from_bytes(data[at : at + 4], "little")
    frame = data[at : at + padded(length)]
    need(100 <= length <= 67_371_008, "the length is out of range")
    need(len(frame) == padded(length), "the frame does not lie within the segment")
    event = SimpleNamespace(segment=segment, offset=at, end=at + len(frame))
    (_, frame_crc, _, state, _, synced, event.hash, event.sequence, event.id, event.timestamp_us,
     event.clock, event.payload_length, event.kind, event.payload_version, entity_length,
     scope_length, extensions_length, event.flags, optional) = FRAME.unpack_from(frame)
    need(frame_crc == crc32(frame[:4] + frame[8:]), "the CRC is wrong")
    need(not any(frame[length:]), "the padding is not zero")
    known = CONTINUES | ERASED | TOMBSTONE | DROPPED | KEYED
    need(state & ~known == 0 and optional < 1 << 5, "a reserved bit is set")
    need(not state & DROPPED or state & ERASED, "a dropped event has its payload")
    need(synced * 8 <= at, "it claims a sync beyond its own offset")
    event.synced, event.batch_continues = synced * 8, state & CONTINUES
    event.dropped, event.has_frame = bool(state & DROPPED), True
    event.appended_kind = event.kind
    if state & TOMBSTONE:
        event.kind = 0x0FFE

    place = FRAME.size
    fields = [(event.timestamp_us,), (0, 0), (bytes(32),), (event.id,), (bytes(16),)]
    for bit, form in enumerate(("<q", "<II", "<32s", "<16s", "<16s")):
        if optional >> bit & 1:
            need(place + struct.calcsize(form) <= length, "the lengths do not add up")
            value = struct.unpack_from(form, frame, place)
            need(value != fields[bit], f"the optional field of bit {bit} has its default")
            fields[bit] = value
            place += struct.calcsize(form)
    ((event.wall_us,), (event.lane, event.depth), (event.prev_hash,), (event.correlation,),
     (event.causation,)) = fields

    scope, extensions = place + entity_length, place + entity_length + scope_length
    payload = extensions + extensions_length
    stored = 32 if state & ERASED else event.payload_length
    need(payload + stored == length, "the lengths do not add up")
    event.entity, event.scope = frame[place:scope], frame[scope:extensions]
    event.extensions, event.payload = frame[extensions:payload], frame[payload:length]
    try:
        event.entity.decode(), event.scope.decode()
    except UnicodeDecodeError:
        need(False, "a name is not UTF-8")
    payload_hash = event.payload if state & ERASED else blake3(event.payload).digest()
    if state & ERASED:
        event.payload = b""
    hashed = b"batpak.event.2\0" + bytes([event.batch_continues]) + lineage + payload_hash + frame[48:payload]
    event.computed_hash = blake3(hashed).digest()
    return event


def read_gap(data: bytes, at: int, segment: int) -> list[SimpleNamespace]:
    """The dropped events whose gap begins at `at`; raises Damage if no valid gap does."""
    length = int.from_bytes(data[at : at + 4], "little")
    gap = data[at : at + length]
    count, rest = divmod(length - 24, 32)
    whole = (header_is_right(data, at, GAP) and len(gap) == length and not rest
             and 1 <= count <= 1 << 16 and gap[9] & ~CONTINUES == 0
             and gap[4:8] == struct.pack("<I", crc32(gap[:4] + gap[8:])))
    if not whole:
        raise Damage(f"segment {segment} offset {at}: no valid gap")
    (first,) = struct.unpack_from("<Q", gap, 16)
    return [SimpleNamespace(segment=segment, offset=at, end=at + length, sequence=first + index,
                            hash=gap[24 + 32 * index : 56 + 32 * index], dropped=True,
                            has_frame=False, batch_continues=gap[9] & CONTINUES, synced=0)
            for index in range(count)]


def within_limits(event: SimpleNamespace) -> bool:
    """Whether names, extensions and payload are as sections 2.2 and 7 want them."""
    keys, place = [], 0
    while place + 4 <= len(event.extensions):
        key_length, value_length = struct.unpack_from("<HH", event.extensions, place)
        keys.append(event.extensions[place + 4 : place + 4 + key_length])
        place += 4 + key_length + value_length
    return (place == len(event.extensions) and keys == sorted(set(keys))
            and all(len(key) <= 256 for key in keys)
            and all(1 <= len(name) <= 1024 for name in (event.entity, event.scope))
            and event.payload_length <= 64 << 20)


# ---- Footers [2.4] and posting lists [2.5]


def rows(form: str, values: list[tuple]) -> bytes:
    return b"".join(struct.pack(form, *value) for value in values)


def posting_list(indexes: list[int]) -> bytes:
    entries, blocks = b"", bytearray()
    for start in range(0, len(indexes), 128):
        block = indexes[start : start + 128]
        for left, right in zip(block, block[1:]):
            difference = right - left
            while difference > 127:
                blocks.append(difference & 127 | 128)
                difference >>= 7
            blocks.append(difference)
        entries += struct.pack("<II", block[0], len(blocks))
    return entries + blocks


def sections_of(events: list, first: int, tree: Tree, lineage: bytes) -> dict[int, bytes]:
    """The sections of the footer of a segment of these events, at the end of which is `tree`."""
    streams, scopes, kinds = defaultdict(list), defaultdict(list), defaultdict(list)
    ids, framed = [], defaultdict(list)
    for index, event in enumerate(events):
        if not event.has_frame:
            continue
        tag = blake3(lineage + event.id).digest()[:4]
        ids.append((int.from_bytes(tag, "little"), index))
        framed[event.entity, event.lane].append(index)
        if event.dropped:
            continue
        streams[event.entity, event.lane].append(index)
        scopes[event.scope].append(index)
        kinds[event.kind].append(index)

    stream_rows, postings, names = [], [], b""
    name_offsets: dict[bytes, int] = {}
    for (name, lane), frames in sorted(framed.items()):
        indexes = streams[name, lane]
        if name not in name_offsets:
            name_offsets[name] = len(names)
            names += name
        stream_rows.append((name_offsets[name], len(name), 0, lane, events[frames[0]].clock,
                            events[frames[-1]].clock, len(indexes), len(postings), frames[-1]))
        postings += indexes
    scope_rows, scope_names, scope_lists = [], b"", b""
    for name, indexes in sorted(scopes.items()):
        scope_rows.append((len(scope_names), len(name), 0, len(indexes), len(scope_lists)))
        scope_names += name
        scope_lists += posting_list(indexes)
    kind_rows, kind_lists = [], b""
    for kind, indexes in sorted(kinds.items()):
        kind_rows.append((kind, 0, len(indexes), len(kind_lists)))
        kind_lists += posting_list(indexes)
    return {
        1: rows("<I", [(event.offset // 8 | event.dropped << 31,) for event in events]),
        2: rows("<II", sorted(ids)),
        3: struct.pack("<II", len(framed), 0) + rows("<IHHIIIIII", stream_rows) + names,
        4: rows("<I", [(index,) for index in postings]),
        5: struct.pack("<II", len(scopes), 0) + rows("<IHHII", scope_rows) + scope_names,
        6: scope_lists,
        7: struct.pack("<I", len(kinds)) + rows("<HHII", kind_rows),
        8: kind_lists,
        9: b"".join(tree.level_8[first // 256 :]),
        10: rows("<II32s", [(level, 0, top) for level, top in tree.peaks]),
    }


def check_footer(group: str, found: bytes, number: int, first: int, events: list,
                 tree: Tree, lineage: bytes) -> None:
    sections = sections_of(events, first, tree, lineage)
    times = [event.timestamp_us for event in events if not event.dropped]
    lowest, highest = min(times, default=(1 << 63) - 1), max(times, default=-1 << 63)
    start = struct.pack("<4sIQQQQqq32s32sII", b"SIDX", 2, number, first, len(events),
                        events[-1].end, lowest, highest, tree.root(), events[-1].hash,
                        len(sections), 0)
    check(group, found[:128] == start, f"segment {number}: the first 128 bytes differ")
    body, body_offset = b"", len(start) + 24 * len(sections)
    for identifier, section in sections.items():
        offset = body_offset + len(body)
        start += struct.pack("<IIQQ", identifier, crc32(section), offset, len(section))
        check(group, found[offset : offset + len(section)] == section,
              f"segment {number}: section {identifier} differs")
        body += section.ljust(padded(len(section)), b"\0")
    trailer = struct.pack("<QQII", len(start + body) + 32, number, crc32(start), 0)
    expected = start + body + trailer + struct.pack("<I4s", crc32(trailer), b"SDX4")
    check(group, found == expected, f"segment {number}: not what its events give")


# ---- Files: manifest [3], segments [2], head and tail index [4]; the log's end [6]

Manifest = namedtuple("Manifest", "store lineage horizon number_of_retired reserved created "
                      "generation closed_segment closed_end closed_events closed_root "
                      "number_of_segments number_of_ancestors segments ancestors retired")
Ancestor = namedtuple("Ancestor", "store events root")
Head = namedtuple("Head", "segment visible_end visible durable_end durable")


def read_manifest(data: bytes) -> Manifest:
    require("manifest", len(data) >= 140 and data[:8] == b"FBATMF2\0", "this is not a manifest")
    require("manifest", data[-4:] == struct.pack("<I", crc32(data[:-4])), "the CRC is wrong")
    fixed = struct.unpack_from("<16s16sQIIqQQQQ32sII", data, 8)
    ancestors_at = 136 + 32 * fixed[-2]
    retired_at = ancestors_at + 56 * fixed[-1]
    require("manifest", len(data) == retired_at + 8 * fixed[3] + 4, "the length is wrong")
    manifest = Manifest(*fixed, list(struct.iter_unpack("<QQQQ", data[136:ancestors_at])),
                        list(map(Ancestor._make,
                                 struct.iter_unpack("<16sQ32s", data[ancestors_at:retired_at]))),
                        [number for number, in struct.iter_unpack("<Q", data[retired_at:-4])])
    check("manifest", manifest.reserved == 0, "a reserved field")
    check("manifest", manifest.generation > 0 or manifest.horizon == 0, "a horizon too much")
    numbers = [number for number, *_ in manifest.segments] + manifest.retired
    check("manifest", len(numbers) == len(set(numbers)) and 0 not in numbers,
          "a segment is there twice, or has no number")
    next_first, last = 0, (0, 0)
    for number, first, *last in manifest.segments:
        check("manifest", first == next_first,
              f"segment {number} does not continue the one before it")
        next_first = first + last[0]
    check("manifest", not any(last), "the newest segment has a number of events")
    stores = [manifest.store, *(ancestor.store for ancestor in manifest.ancestors)]
    common = [manifest.closed_events, *(ancestor.events for ancestor in manifest.ancestors)]
    check("manifest", len(stores) == len(set(stores)), "an ancestor is there twice")
    check("manifest", len(common) == 1 or common == sorted(common, reverse=True),
          "an ancestor has more in common than the one before it")
    return manifest


def segment_header(created: bytes, store: bytes, number: int, first: int, root: bytes,
                   lineage: bytes, generation: bytes) -> bytes:
    start = (b"FBAT\0\0\0\xb8\x85\xa7version\x02\xa5flags\0\xaacreated_ns\xd3" + created
             + b"\xaasegment_id\xcf" + number.to_bytes(8, "big") + b"\xa5fbat2\xc4\x77"
             + store + lineage + struct.pack("<Q32s", first, root) + generation)
    start = start.ljust(188, b"\0")
    return start + struct.pack("<I", crc32(start))


def read_frames(data: bytes, segment: int, first: int, lineage: bytes,
                sealed: bool = False) -> tuple[list, int, str]:
    """The events from the first frame on, where they end, and why there. In a sealed segment, some
    may have been dropped."""
    events, at = [], 192
    while at < len(data):
        try:
            if sealed and header_is_right(data, at, GAP):
                found = read_gap(data, at, segment)
            else:
                found = [read_frame(data, at, segment, lineage)]
        except Damage as damage:
            return events, at, str(damage)
        if found[0].sequence != first + len(events):
            return events, at, f"segment {segment} offset {at}: another sequence was to come"
        events += found
        at = found[-1].end
    whole = not events or not events[-1].batch_continues
    return events, at, "" if whole else f"segment {segment} offset {at}: the batch goes on"


def frames_behind(data: bytes, at: int, segment: int, lineage: bytes) -> Iterator[SimpleNamespace]:
    """Every valid frame from `at` on. One within another is data, as long as headers are right."""
    budget, in_step = 2 * len(data), True
    while at < len(data):
        if not header_is_right(data, at):
            at, in_step = at + 8, False
            continue
        length = -(-int.from_bytes(data[at : at + 4], "little") // 8) * 8
        budget -= min(length, len(data) - at)
        require("end of the log", budget >= 0, "too much that looks like frames behind it")
        try:
            yield read_frame(data, at, segment, lineage)
            at += length
        except Damage:
            at += length if in_step else 8


def newest_events(data: bytes, number: int, first: int, lineage: bytes, bound: int,
                  visible_end: int) -> list:
    """The events of the newest segment, which is known to be durable up to `bound` at least. Its
    head, if there is one, says that it was visible up to `visible_end`."""
    events, end, why = read_frames(data, number, first, lineage)
    behind = frames_behind(data, end, number, lineage)
    witnesses = [event for event in behind if event.hash == event.computed_hash
                 and event.sequence >= first + len(events)]
    bound = max([bound, *(event.synced for event in [*events, *witnesses])])
    is_reserved = (not any(data[end:]) and len(data) <= -(-end // RESERVED) * RESERVED
                   and visible_end <= end)
    while events and events[-1].batch_continues:
        end, is_reserved = events.pop().offset, False
    require("end of the log", end >= bound, f"{why or 'it ends'}, but it was durable up to {bound}")
    if end < len(data) and not is_reserved:
        print(f"note: {len(data) - end} bytes behind the log are no part of it: {why}")
    return events


def read_head(data: bytes, store: bytes) -> Head | None:
    if (len(data) != 96 or data[:24] != b"FBATHD2\0" + store or data[72] > 1 or any(data[73:80] + data[88:92])
            or data[92:] != struct.pack("<I", crc32(data[:92]))):
        print("note: there is no valid head")
        return None
    return Head(*struct.unpack_from("<QQQQQ", data, 24))


def is_place(segments: list, number: int, offset: int, count: int) -> bool:
    """Whether the log up to this offset of this segment has so many events."""
    for segment in segments:
        before = count - segment.first
        if segment.number == number and 0 <= before <= len(segment.events):
            return offset == (segment.events[before - 1].end if before else 192)
    return number == offset == count == 0


# Where the events without a frame are counted, among the streams.
GONE = "gone"


def check_events(events: list, streams: dict, tree: Tree) -> None:
    for event in events:
        tree.append(event.hash)
        event.root = tree.root()
        if not event.has_frame:
            streams[GONE] = streams.get(GONE, 0) + 1
            continue
        where = f"segment {event.segment} offset {event.offset}"
        check("event hashes", event.hash == event.computed_hash, f"{where}: another hash")
        before = streams.get((event.entity, event.lane))
        clock, link = (before.clock + 1, before.hash) if before else (0, bytes(32))
        # Of its stream, no more can have been dropped before it than are gone in all.
        skipped = event.clock - clock
        follows = event.prev_hash == link if skipped == 0 else 0 < skipped <= streams.get(GONE, 0)
        check("links", follows, f"{where}: not its stream's next")
        check("limits", within_limits(event), f"{where}: names, extensions or payload")
        check("limits", event.synced == 0 or event.synced >= 192,
              f"{where}: a sync up to {event.synced} ends before the first frame")
        streams[event.entity, event.lane] = event


def check_tail(data: bytes, manifest: Manifest, events: list) -> None:
    """Compares the tail index, which is used only if it is of the closed end."""
    number, first, count, end = struct.unpack_from("<QQQQ", data.ljust(40, b"\0"), 8)
    closed = manifest.closed_segment, manifest.closed_events, manifest.closed_end
    if (number, first + count, end) != closed:
        print("note: the tail index is not of the closed end")
        return
    tree = Tree()
    for event in events[: first + count]:
        tree.append(event.hash)
    check_footer("tail.sidx", data, number, first, events[first : first + count], tree,
                 manifest.lineage)


def check_store(directory: Path) -> list:
    """Checks the files of a store and gives its events."""
    manifest = read_manifest(read_file(directory / "manifest"))
    names = {path.name for path in directory.iterdir()}
    # Read before the segments, the head stays a lower bound of them while a writer goes on.
    head_file = read_file(directory / "head") if "head" in names else b""
    head = read_head(head_file, manifest.store)
    newest = manifest.segments[-1][0] if manifest.segments else 0
    segments, all_events, streams, tree = [], [], {}, Tree()
    for number, first, count, length in manifest.segments:
        data = read_file(directory / f"{number:06}.fbat")
        generation = data[145:153]
        check("segment headers", int.from_bytes(generation, "little") <= manifest.generation,
              f"segment {number}: of a compaction that the manifest does not know")
        header = segment_header(data[37:45], data[73:89], number, first, tree.root(),
                                manifest.lineage, generation)
        stores = [ancestor.store for ancestor in manifest.ancestors
                  if number != newest and first + count <= ancestor.events]
        check("segment headers", data[73:89] in [manifest.store, *stores],
              f"segment {number}: of another store")
        require("segment headers", data[:192] == header, f"segment {number}: not as expected")
        if number == newest:
            bound = manifest.closed_end if number == manifest.closed_segment else 0
            visible_end = 0
            if head and head.segment == number:
                bound, visible_end = max(bound, head.durable_end), head.visible_end
            events = newest_events(data, number, first, manifest.lineage, bound, visible_end)
            check_events(events, streams, tree)
        else:
            footer = max(0, length - int.from_bytes(data[-32:-24], "little"))
            events, end, why = read_frames(data[:footer], number, first, manifest.lineage, True)
            require("frames", not why and (len(data), len(events), end) == (length, count, footer),
                    why or f"segment {number}: not as long as the manifest or the footer says")
            check_events(events, streams, tree)
            check_footer("footers", data[footer:], number, first, events, tree,
                         manifest.lineage)
        checks["frames"] += len(events)
        segments.append(SimpleNamespace(number=number, first=first, events=events))
        all_events += events

    for name in names - {f"{segment.number:06}.fbat" for segment in segments}:
        if re.fullmatch(r"(\d{6}|[1-9]\d{6,})\.fbat", name):
            data, listed = read_file(directory / name), [segment.number for segment in segments]
            is_left = int(name[:-5]) > max(listed, default=0) and len(data) <= 192
            later = int.from_bytes(data[145:153], "little") > manifest.generation
            is_left |= int(name[:-5]) in manifest.retired or later
            check("directory", is_left, f"{name} is foreign")
    closed = manifest.closed_segment, manifest.closed_end, manifest.closed_events
    was_replaced = (closed[0] not in [segment.number for segment in segments]
                    and 0 < closed[0] < newest and closed[2] <= len(all_events))
    require("manifest", was_replaced or is_place(segments, *closed),
            "the closed end is not in the log")
    roots = [bytes(32), *(event.root for event in all_events)]
    check("tree roots", manifest.closed_root == roots[manifest.closed_events],
          "the manifest has another root for the closed end")
    for ancestor in manifest.ancestors:
        root = roots[ancestor.events] if ancestor.events else Tree().root()
        check("tree roots", ancestor.root == root,
              f"an ancestor has another root over {ancestor.events} events")
    check("tree roots", tree.root() == root_by_definition([event.hash for event in all_events]),
          "the definition gives another root than the peaks")
    if head:
        place = head.segment, head.durable_end, head.durable
        check("head", is_place(segments, *place), "what was durable is not in the log")
        # What was visible and never synced may be gone after a power cut.
        place = head.segment, head.visible_end, head.visible
        check("head", head.visible > len(all_events) or is_place(segments, *place),
              "what was visible is not in the log")
    if "tail.sidx" in names:
        check_tail(read_file(directory / "tail.sidx"), manifest, all_events)
    return all_events


def check_vectors(directory: Path) -> None:
    for store, file in (("store", "events.txt"), ("killed", "killed.txt"), ("fork", "fork.txt"),
                        ("compacted", "compacted.txt")):
        events = [event for event in check_store(directory / store) if not event.dropped]
        lines = (directory / file).read_text().splitlines()
        check(file, len(lines) == len(events), f"{len(lines)} lines, {len(events)} events")
        for event, line in zip(events, lines):
            values = ((field, getattr(event, field)) for field in FIELDS)
            found = " ".join(f"{field}={value.hex() if isinstance(value, bytes) else value}"
                             for field, value in values)
            check(file, found == line, f"the store has {found}, the file has {line}")
    lines = (directory / "tree.txt").read_text().splitlines()
    check("tree.txt", len(lines) == 71, f"{len(lines)} lines")
    hashes, tree = [], Tree()
    for size, line in enumerate(lines):
        for root in root_by_definition(hashes).hex(), tree.root().hex():
            check("tree.txt", line == f"{size} {root}", f"{size}: {root}")
        hashes.append(blake3(struct.pack("<I", size)).digest())
        tree.append(hashes[-1])


def main() -> int:
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        print(__doc__)
        return 2
    groups, all_needed = GROUPS, False
    try:
        if len(sys.argv) == 2:
            check_store(Path(sys.argv[1]))
        else:
            groups, all_needed = (*GROUPS, "events.txt", "killed.txt", "fork.txt",
                                  "compacted.txt", "tree.txt"), True
            check_vectors(Path(__file__).parent)
    except Damage:
        print("note: what is behind the damage was not checked")
    verdicts: Counter[str] = Counter()
    for group in groups:
        if all_needed and not checks[group]:
            findings[group].append("nothing was checked")
        verdict = "FAIL" if findings[group] else "ok" if checks[group] else "none"
        verdicts[verdict] += 1
        print(f"{verdict:4} {group}: {checks[group]} checks")
        for finding in findings[group]:
            print(f"     {finding}")
    print(f"{verdicts['ok']} passed, {verdicts['FAIL']} failed")
    return 1 if verdicts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
