//! Crashes and failures at every change of the file system while a snapshot or a fork is made, in the
//! simulated one. Under the name there is then nothing, or all of it; the store is as it was; and
//! making the copy again works.

use batpak_core::{
    CopyReport, Durability, ErrorKind, EventKind, ForkOptions, Hash, NewEvent, OpenMode,
    OpenOptions, Query, Result, SnapshotOptions, Store,
};
use batpak_tests::sim::{Fault, Loss, SimVfs};
use std::path::Path;
use std::sync::Arc;

const STORE: &str = "/store";
const COPY: &str = "/copies/new";
const UNFINISHED: &str = "/copies/new.unfinished";
const EARLIER: &str = "/copies/earlier";

fn open(vfs: &SimVfs, path: &str, mode: OpenMode) -> Result<Store> {
    let options = OpenOptions {
        segment_bytes: 4096,
        seed: Some(1),
        buffer_ms: 60_000,
        ..OpenOptions::mode(mode)
    };
    Store::open_on(Arc::new(vfs.clone()), Path::new(path), &options)
}

fn fill(store: &Store, batches: u8) {
    for i in 0..batches {
        let payload = [i; 300];
        let event = NewEvent::new("e", "s", EventKind::DATA, &payload);
        store.append_batch(&[event, event], None).unwrap();
    }
}

/// A store of several segments whose last events are written, and buffered; with an earlier snapshot.
fn build() -> (SimVfs, Store) {
    let vfs = SimVfs::default();
    let store = open(&vfs, STORE, OpenMode::Create).unwrap();
    fill(&store, 8);
    store.snapshot_to(EARLIER, &SnapshotOptions::default()).unwrap();
    fill(&store, 8);
    let event = NewEvent::new("e", "s", EventKind::DATA, b"last");
    store.append(&event, Some(Durability::Written)).unwrap();
    store.append(&event, Some(Durability::Buffered)).unwrap();
    assert_eq!(store.stats().unwrap().segments, 4);
    (vfs, store)
}

/// A fork of a fork, in place of the store.
fn build_fork() -> (SimVfs, Store) {
    let (vfs, parent) = build();
    parent.fork_to("/child", &ForkOptions { at: Some(20), ..Default::default() }).unwrap();
    let child = open(&vfs, "/child", OpenMode::Existing).unwrap();
    fill(&child, 10);
    child.close().unwrap();
    (vfs, child)
}

type Operation = fn(&Store) -> Result<CopyReport>;

fn snapshot(store: &Store) -> Result<CopyReport> {
    store.snapshot_to(COPY, &SnapshotOptions::default())
}

fn independent_snapshot(store: &Store) -> Result<CopyReport> {
    store.snapshot_to(COPY, &SnapshotOptions { earlier: None, independent: true })
}

fn incremental_snapshot(store: &Store) -> Result<CopyReport> {
    let earlier = Some(EARLIER.into());
    store.snapshot_to(COPY, &SnapshotOptions { earlier, independent: true })
}

fn fork(store: &Store) -> Result<CopyReport> {
    store.fork_to(COPY, &ForkOptions::default())
}

fn fork_in_a_segment(store: &Store) -> Result<CopyReport> {
    store.fork_to(COPY, &ForkOptions { at: Some(12), independent: true })
}

fn fork_at_a_segments_end(store: &Store) -> Result<CopyReport> {
    store.fork_to(COPY, &ForkOptions { at: Some(10), independent: false })
}

const OPERATIONS: [(&str, Operation); 6] = [
    ("snapshot", snapshot),
    ("independent snapshot", independent_snapshot),
    ("incremental snapshot", incremental_snapshot),
    ("fork", fork),
    ("fork in a segment", fork_in_a_segment),
    ("fork at a segment's end", fork_at_a_segments_end),
];

/// How many events there are, and the root over them, of an intact store.
fn state(vfs: &SimVfs, path: &str, context: &str) -> Option<(u64, Hash)> {
    let mut found = Vec::new();
    for _ in 0..2 {
        let store = match open(vfs, path, OpenMode::Existing) {
            Ok(store) => store,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{context}: {error:?}");
                assert!(!vfs.paths().iter().any(|name| name.starts_with(path)), "{context}");
                return None;
            }
        };
        let report = store.verify().unwrap();
        assert!(report.is_intact(), "{context}: {:?}", report.findings);
        let read: Result<Vec<_>> = store.read(Query::default()).unwrap().collect();
        assert_eq!(read.unwrap().len() as u64, report.events, "{context}");
        found.push((report.events, report.root));
    }
    assert_eq!(found[0], found[1], "{context}: opened twice");
    Some(found[0])
}

/// What the operation gives when nothing fails.
fn expected(build: fn() -> (SimVfs, Store), operation: Operation) -> (u64, Hash) {
    let (vfs, store) = build();
    let store = reopened(&vfs, store);
    let report = operation(&store).unwrap();
    assert_eq!(state(&vfs, COPY, "undisturbed"), Some((report.events, report.root)));
    (report.events, report.root)
}

/// The store, open for appending: one that was closed is opened again.
fn reopened(vfs: &SimVfs, store: Store) -> Store {
    match store.frontier() {
        Ok(_) => store,
        Err(_) => open(vfs, store.path().to_str().unwrap(), OpenMode::Existing).unwrap(),
    }
}

fn crash_everywhere(build: fn() -> (SimVfs, Store), fault: Fault) {
    for (name, operation) in OPERATIONS {
        let whole = expected(build, operation);
        let (mut points, mut old, mut new) = (0, 0, 0);
        for point in 1.. {
            let (vfs, store) = build();
            let store = reopened(&vfs, store);
            let (path, events) = (store.path().to_path_buf(), store.frontier().unwrap().durable);
            let path = path.to_str().unwrap();
            vfs.fail_at(vfs.changes() + point, fault);
            let done = operation(&store);
            if done.is_ok() {
                // What is done stays so.
                for seed in 0..8 {
                    let vfs = vfs.after_crash(Loss::Power(seed));
                    assert_eq!(state(&vfs, COPY, name), Some(whole), "{name}, at the end");
                    // A power cut does not take from the store what its copy has.
                    let (kept, _) = state(&vfs, path, name).unwrap();
                    assert!(kept >= whole.0, "{name}, at the end: {kept} of {whole:?}");
                }
                break;
            }
            assert!(vfs.crashed());
            points += 1;
            let losses = (0..6).map(|seed| Loss::Power(point * 100 + seed));
            for loss in losses.chain([Loss::Process]) {
                let context = format!("{name}, point {point}, {loss:?}");
                let vfs = vfs.after_crash(loss);
                let found = state(&vfs, COPY, &context);
                assert!(found.is_none_or(|found| found == whole), "{context}: {found:?}");
                *(if found.is_some() { &mut new } else { &mut old }) += 1;
                let (kept, _) = state(&vfs, path, &context).unwrap();
                let events = found.map_or(events, |(copied, _)| events.max(copied));
                assert!(kept >= events, "{context}: {kept} of {events} events");
                if found.is_none() {
                    let store = open(&vfs, path, OpenMode::Existing).unwrap();
                    let again = operation(&store).unwrap();
                    let found = state(&vfs, COPY, &context);
                    assert_eq!(found, Some((again.events, again.root)), "{context}: again");
                    assert!(!vfs.paths().iter().any(|name| name.starts_with(UNFINISHED)));
                }
            }
        }
        println!("{name}: {points} points, {old} times nothing, {new} times all of it");
        assert!(points > 8 && old > points && new > 0, "{name}: {points} points, {old}, {new}");
    }
}

#[test]
fn a_crash_before_any_change() {
    crash_everywhere(build, Fault::Crash);
}

#[test]
fn a_crash_in_the_middle_of_any_change() {
    crash_everywhere(build, Fault::CrashMidway);
}

#[test]
fn a_crash_while_a_fork_is_copied() {
    crash_everywhere(build_fork, Fault::Crash);
}

/// What a killed writer left may never have been synced. A reader that copies it sees to that: whatever a
/// power cut takes then, and whatever is appended after it, the copy stays what it was, and a prefix.
#[test]
fn a_reader_copies_what_a_killed_writer_left() {
    let mut copies = 0;
    for point in 1.. {
        let vfs = SimVfs::default();
        let event = NewEvent::new("e", "s", EventKind::DATA, &[5; 900]);
        vfs.fail_at(point, Fault::Crash);
        let done = open(&vfs, STORE, OpenMode::Create).and_then(|store| {
            let durabilities = [Durability::Durable, Durability::Written];
            (0..12).try_for_each(|i| store.append(&event, Some(durabilities[i % 2])).map(drop))?;
            store.close()
        });
        if done.is_ok() {
            break;
        }
        let killed = vfs.after_crash(Loss::Process);
        let Ok(reader) = open(&killed, STORE, OpenMode::ReadOnly) else {
            // It was killed before there was a store.
            assert_eq!(
                open(&killed, STORE, OpenMode::ReadOnly).unwrap_err().kind(),
                ErrorKind::NotFound
            );
            continue;
        };
        let report = snapshot(&reader).unwrap();
        copies += 1;
        for seed in 0..40 {
            let context = format!("point {point}, seed {seed}");
            let cut = killed.after_crash(Loss::Power(seed));
            let store = open(&cut, STORE, OpenMode::Existing)
                .unwrap_or_else(|error| panic!("{context}: {error:?}"));
            for _ in 0..6 {
                store.append(&event, None).unwrap();
            }
            assert_eq!(state(&cut, COPY, &context), Some((report.events, report.root)));
            assert!(store.verify_snapshot(COPY).unwrap().is_prefix(), "{context}");
        }
    }
    println!("{copies} copies");
    assert!(copies > 30, "{copies} copies");
}

/// After a failure that is no crash, too, there is nothing or all of it; nothing is left beside it; and
/// the store goes on.
fn fail_everywhere(fault: Fault, kind: ErrorKind) {
    for (name, operation) in OPERATIONS {
        let whole = expected(build, operation);
        for point in 1.. {
            let (vfs, store) = build();
            vfs.fail_at(vfs.changes() + point, fault);
            let context = format!("{name}, point {point}");
            let failed = match operation(&store) {
                Ok(_) => break,
                Err(error) => error,
            };
            let found = state(&vfs, COPY, &context);
            assert!(found.is_none_or(|found| found == whole), "{context}: {found:?}");
            let left = vfs.paths().iter().any(|name| name.starts_with(UNFINISHED));
            assert!(!left, "{context}: {:?}", vfs.paths());
            if failed.kind() == ErrorKind::Indeterminate {
                // The sync of the store's own newest segment.
                let event = NewEvent::new("e", "s", EventKind::DATA, b"");
                assert_eq!(store.append(&event, None).unwrap_err().kind(), ErrorKind::Poisoned);
                continue;
            }
            assert_eq!(failed.kind(), kind, "{context}: {failed:?}");
            fill(&store, 1);
            if found.is_none() {
                let again = operation(&store).unwrap();
                let found = state(&vfs, COPY, &context);
                assert_eq!(found, Some((again.events, again.root)), "{context}: again");
            }
        }
    }
}

/// Recovery row 112.
#[test]
fn a_full_disk_at_any_change() {
    fail_everywhere(Fault::DiskFull, ErrorKind::DiskFull);
}

/// Recovery row 112.
#[test]
fn an_input_output_error_at_any_change() {
    fail_everywhere(Fault::Io, ErrorKind::Io);
}
