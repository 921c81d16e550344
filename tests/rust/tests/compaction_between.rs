//! A whole compaction between any two reads of somebody else's operation, as by a writer in another
//! process: the answer is one from before it or from behind it, never a mixture, and no failure.

use batpak_core::storage::Vfs;
use batpak_core::{
    CompactOptions, Durability, Event, EventKind, ForkOptions, Keys, NewEvent, OpenMode,
    OpenOptions, Query, Region, Result, Retention, SnapshotOptions, Store,
};
use batpak_tests::sim::{Loss, SimVfs};
use batpak_tests::watched::{Call, Fate, Watched};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const STORE: &str = "/store";
const FORK: &str = "/fork";
/// How many events the store has, and how many of them the fork has in common with it.
const EVENTS: u64 = 60;
const COMMON: u64 = 45;
/// How many events of the store a retention here leaves.
const LEFT: u64 = COMMON.div_ceil(4) + EVENTS - COMMON;

fn open(vfs: Arc<dyn Vfs>, path: &str, mode: OpenMode) -> Result<Store> {
    let options = OpenOptions {
        segment_bytes: 4096,
        seed: Some(3),
        cache_bytes: 0,
        max_open_files: 1,
        ..OpenOptions::mode(mode)
    };
    Store::open_on(vfs, Path::new(path), &options)
}

fn fill(store: &Store, events: std::ops::Range<u64>) {
    for number in events {
        let entity = format!("e{}", number % 3);
        store.append(&NewEvent::new(&entity, "s", EventKind::DATA, &[7; 400]), None).unwrap();
    }
}

fn stays(sequence: u64) -> bool {
    sequence.is_multiple_of(4) || sequence >= COMMON
}

fn drop_most(store: &Store) {
    let mut keep = |event: &Event| Ok(stays(event.sequence()));
    let keys = Keys { window: 0, ..Keys::default() };
    let rule = Retention { keep: Some(&mut keep), keys, ..Retention::default() };
    store.compact(CompactOptions { retention: Some(rule), ..Default::default() }).unwrap();
}

/// A store with several segments, and a fork of it that has gone another way.
fn build() -> SimVfs {
    let disk = SimVfs::default();
    let store = open(Arc::new(disk.clone()), STORE, OpenMode::Create).unwrap();
    fill(&store, 0..COMMON);
    store.fork_to(FORK, &ForkOptions::default()).unwrap();
    fill(&store, COMMON..EVENTS);
    store.close().unwrap();
    let fork = open(Arc::new(disk.clone()), FORK, OpenMode::Existing).unwrap();
    fill(&fork, 100..110);
    fork.close().unwrap();
    disk
}

/// What is done by a read-only handle, whose file system may be asked, too.
type Operation = (&'static str, fn(&Store, &Watched));

const OPERATIONS: [Operation; 12] = [
    ("scan", |store, _| check_all(&scan(store, Query::default()))),
    ("scan backward", |store, _| {
        let mut found = scan(store, Query::default().backward());
        found.reverse();
        check_all(&found);
    }),
    ("pages", |store, _| {
        let mut scan = store.read(Query::default()).unwrap();
        let mut found = Vec::new();
        while let page @ [_, ..] = &scan.next_page(3, 1000).unwrap()[..] {
            found.extend(page.iter().map(Event::sequence));
        }
        check_all(&found);
    }),
    ("scan of an entity", |store, _| {
        let found = scan(store, Query::new(Region::entity("e1")));
        assert!(found.iter().all(|at| at % 3 == 1));
        check(&found, (0..EVENTS).filter(|at| at % 3 == 1));
    }),
    ("lookups", |store, _| {
        for at in 0..EVENTS {
            let found = store.at(at).unwrap().map(|event| event.sequence());
            assert!(found == Some(at) || found.is_none() && !stays(at), "{at}: {found:?}");
        }
    }),
    ("heads", |store, _| {
        let heads: Vec<_> = (0..EVENTS).map(|at| store.head_at(at).unwrap()).collect();
        assert!(heads.iter().map(|head| head.events).eq(0..EVENTS));
        assert!(heads.is_sorted_by(|a, b| a.root != b.root));
    }),
    ("verify", |store, _| {
        let report = store.verify().unwrap();
        assert_eq!((report.findings, report.events), (vec![], EVENTS));
        assert!([0, EVENTS - LEFT].contains(&report.dropped));
    }),
    ("diff", |store, _| {
        let diff = store.diff(FORK).unwrap();
        assert_eq!((diff.common, diff.ours, diff.theirs), (COMMON, EVENTS, COMMON + 10));
    }),
    ("snapshot", |store, _| {
        store.snapshot_to("/copy", &SnapshotOptions::default()).unwrap();
        assert!(store.verify_snapshot("/copy").unwrap().is_prefix());
    }),
    ("open", |_, vfs| {
        let store = open(Arc::new(vfs.clone()), STORE, OpenMode::ReadOnly).unwrap();
        check_all(&scan(&store, Query::default()));
    }),
    ("salvage", |_, vfs| {
        let store = open(Arc::new(vfs.clone()), STORE, OpenMode::Salvage).unwrap();
        assert_eq!(store.open_report().damage, [""; 0]);
        assert!([EVENTS, LEFT].contains(&store.open_report().events));
    }),
    ("inspect", |_, vfs| {
        let found = Store::inspect_on(Arc::new(vfs.clone()), Path::new(STORE)).unwrap();
        assert!(found.refusal.is_none(), "{:?}", found.refusal);
        assert_eq!(found.report.damage, [""; 0]);
    }),
];

fn scan(store: &Store, query: Query) -> Vec<u64> {
    store.read(query).unwrap().map(|event| event.unwrap().sequence()).collect()
}

/// One who reads meanwhile may see what goes, but misses nothing, and sees nothing twice.
fn check(found: &[u64], all: impl Iterator<Item = u64>) {
    assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
    let missed: Vec<u64> =
        all.filter(|at| stays(*at) && found.binary_search(at).is_err()).collect();
    assert!(missed.is_empty(), "{missed:?} are missed");
}

fn check_all(found: &[u64]) {
    check(found, 0..EVENTS);
    assert!(found.last() < Some(&EVENTS));
}

#[test]
fn a_compaction_between_any_two_reads() {
    let built = build();
    for (name, operation) in OPERATIONS {
        let mut points = 0;
        for number in 0.. {
            let disk = built.after_crash(Loss::Process);
            let writer = open(Arc::new(disk.clone()), STORE, OpenMode::Existing).unwrap();
            let vfs = Watched::new(Arc::new(disk));
            let reader = open(Arc::new(vfs.clone()), STORE, OpenMode::ReadOnly).unwrap();
            let reads = Arc::new(AtomicU64::new(0));
            let counted = reads.clone();
            vfs.rule(move |_| {
                if counted.fetch_add(1, Ordering::SeqCst) == number {
                    drop_most(&writer);
                }
                Fate::Done
            });
            println!("{name}, at read {number}");
            operation(&reader, &vfs);
            if reads.load(Ordering::SeqCst) <= number {
                points = number;
                break;
            }
        }
        assert!(points >= 4, "{name} has {points} points");
    }
}

/// A reader has read behind the end that the head says, and then meets the new manifest with the old
/// head: the new one is written behind it.
#[test]
fn a_reader_that_is_ahead_of_the_head() {
    let disk = build();
    let vfs = Watched::new(Arc::new(disk.clone()));
    let store = open(Arc::new(vfs.clone()), STORE, OpenMode::Existing).unwrap();
    let reader = open(Arc::new(disk), STORE, OpenMode::ReadOnly).unwrap();
    let (send, verified) = mpsc::channel();
    let is_over = AtomicBool::new(false);
    let verify_before_the_head = move |reader: &Store| {
        if is_over.swap(true, Ordering::SeqCst) {
            return;
        }
        let reader = reader.clone();
        let verifying = thread::spawn(move || reader.verify());
        // It may wait for the head.
        for _ in 0..100 {
            if !verifying.is_finished() {
                thread::sleep(Duration::from_millis(1));
            }
        }
        send.send(verifying).unwrap();
    };
    let mut watch = Some(verify_before_the_head);
    let mut keep = |_: &Event| {
        if let Some(verify_before_the_head) = watch.take() {
            let event = NewEvent::new("e", "s", EventKind::DATA, b"more");
            for _ in 0..3 {
                store.append(&event, Some(Durability::Written)).unwrap();
            }
            assert_eq!(reader.refresh().unwrap(), EVENTS + 3);
            let (reader, is_renamed) = (reader.clone(), AtomicBool::new(false));
            vfs.rule(move |call| {
                match call {
                    Call::Rename { file: "manifest" } => is_renamed.store(true, Ordering::SeqCst),
                    Call::Write { file: "head", .. } if is_renamed.load(Ordering::SeqCst) => {
                        verify_before_the_head(&reader);
                    }
                    _ => {}
                }
                Fate::Done
            });
        }
        Ok(false)
    };
    let rule = Retention { before: Some(30), keep: Some(&mut keep), ..Retention::default() };
    store.compact(CompactOptions { retention: Some(rule), ..Default::default() }).unwrap();
    let report = verified.recv().unwrap().join().unwrap().unwrap();
    assert_eq!((report.findings, report.events), (vec![], EVENTS + 3));
}
