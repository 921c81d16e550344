#!/usr/bin/env python3
"""Compares the system calls in a trace of `calls` with what is promised.

    check.py TRACE

A trace is what `strace --follow-forks --decode-fds=path` writes. Calls on a file count by the kind
of the file: a segment, the head, or any other. Memory that grows now and then takes calls, too:
at most one in twenty appends or reads. Threads may do what threads do, but nothing to a file.
"""

import re
import sys
from collections import Counter

MEMORY = {"brk", "mmap", "munmap", "mremap", "madvise"}
# What the C library reads about the machine when a thread starts.
SYSTEM = ("/sys/", "/proc/")
ENTRY = re.compile(r"^\d+ +([a-z_0-9]+)\((?:\d+<([^>]*)>)?")
PHASE = re.compile(r'^\d+ +write\(1<[^>]*>, "phase (\S+) (\d+)')

SEGMENT_WRITE = "pwrite64 segment"
SYNC = "fdatasync segment"
HEAD_WRITE = "pwrite64 head"
SEGMENT_READ = "pread64 segment"


def kind_of(path):
    name = path.rsplit("/", 1)[-1]
    return "segment" if name.endswith(".fbat") else "head" if name == "head" else "other"


def phases(trace):
    """What was announced: (name, count, the calls in it)."""
    found = []
    for line in trace:
        if announced := PHASE.match(line):
            found.append((announced[1], int(announced[2]), Counter()))
        elif (entry := ENTRY.match(line)) and found:
            call, path = entry.groups()
            if call in MEMORY and path is None:
                call = "memory"
            elif path is not None and not path.startswith(SYSTEM):
                call = f"{call} {kind_of(path)}"
            found[-1][2][call] += 1
    return found


def exactly(**calls):
    """So many of each call per append, and no other call."""
    wanted = {"write": SEGMENT_WRITE, "sync": SYNC, "head": HEAD_WRITE}

    def check(count, found):
        expected = {wanted[name]: number * count for name, number in calls.items()}
        return found == expected

    return check


def at_most_reads(events_per_call):
    def check(count, found):
        return set(found) <= {SEGMENT_READ} and found[SEGMENT_READ] * events_per_call <= count

    return check


def groups(count, found):
    """One write, one sync and one write of the head per group, and fewer groups than appends."""
    files = {call: number for call, number in found.items() if " " in call}
    number = files.get(SYNC, 0)
    return files == {SEGMENT_WRITE: number, SYNC: number, HEAD_WRITE: number} and number < count


PROMISES = {
    "durable": exactly(write=1, sync=1, head=1),
    # The first written append behind a durable one says in the head that others follow, and the
    # first durable one behind those, before it is written, that no more do.
    "written-first": exactly(write=1, head=1),
    "durable-first": exactly(write=1, sync=1, head=2),
    "written": exactly(write=1),
    "written-batches": exactly(write=1),
    "durable-batches": exactly(write=1, sync=1, head=1),
    "buffered": exactly(),
    "flush": exactly(write=1, head=1),
    "durable-threads": groups,
    "read-by-sequence": at_most_reads(1),
    "read-by-id": at_most_reads(1),
    "read-neighbours": at_most_reads(1),
    "read-all": at_most_reads(50),
}


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as trace:
        found = phases(trace)
    passed = failed = 0
    names = {name for name, _, _ in found if name != "end"}
    if names != set(PROMISES):
        sys.exit(f"calls: the trace has the phases {sorted(names)}")
    for name, count, calls in found:
        if name == "end":
            continue
        memory = 0 if name == "durable-threads" else calls.pop("memory", 0)
        kept = PROMISES[name](count, calls) and memory <= 2 + count // 20
        passed += kept
        failed += not kept
        summary = ", ".join(f"{number} {call}" for call, number in sorted(calls.items()))
        print(f"{'ok  ' if kept else 'FAIL'} {name} {count}: {summary or 'none'}, {memory} for memory")
    print(f"calls: {passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
