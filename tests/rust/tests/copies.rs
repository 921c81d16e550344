//! Snapshots, forks and diffs on the real file system: made while others append, sharing files,
//! outliving the store they were made of, and refusing what they must.

use batpak_core::{
    Diff, Durability, ErrorKind, EventKind, FindingKind, ForkOptions, NewEvent, OpenMode,
    OpenOptions, Query, SnapshotOptions, Store,
};
use batpak_tests::scratch::Scratch;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn open(path: impl AsRef<Path>, mode: OpenMode) -> Store {
    let options = OpenOptions { segment_bytes: 4096, ..OpenOptions::mode(mode) };
    Store::open(path, &options).unwrap()
}

fn fill(store: &Store, entity: &str, events: usize) {
    let payload = [7; 300];
    for _ in 0..events {
        let event = NewEvent::new(entity, "s", EventKind::DATA, &payload);
        store.append(&event, Some(Durability::Written)).unwrap();
    }
}

fn assert_intact(store: &Store, events: u64) {
    let report = store.verify().unwrap();
    assert_eq!((report.findings, report.events), (vec![], events));
    let read = store.read(Query::default()).unwrap().map(|event| event.unwrap());
    assert!(read.map(|event| event.sequence()).eq(0..events));
}

/// The inode of every segment, by name.
fn inodes(directory: &Path) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let names = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry));
    let segments = names.filter(|(name, _)| name.ends_with(".fbat"));
    segments.map(|(name, entry)| (name, entry.metadata().unwrap().ino())).collect()
}

fn shared(one: &Path, other: &Path) -> usize {
    let others = inodes(other);
    inodes(one).iter().filter(|(name, inode)| others.get(*name) == Some(inode)).count()
}

/// Snapshots and forks while two threads append as fast as they can. Each is a prefix, and whole.
#[test]
fn snapshots_and_forks_while_others_append() {
    let scratch = Scratch::new().unwrap();
    let options = OpenOptions { segment_bytes: 64 << 10, ..OpenOptions::default() };
    let store = Store::open(scratch.join("store"), &options).unwrap();
    let stop = AtomicBool::new(false);
    let mut copies = Vec::new();
    thread::scope(|scope| {
        for (entity, durability) in [("a", Durability::Written), ("b", Durability::Buffered)] {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let payload = [1; 200];
                let event = NewEvent::new(entity, "s", EventKind::DATA, &payload);
                while !stop.load(Ordering::Relaxed) {
                    store.append_batch(&[event, event], Some(durability)).unwrap();
                }
            });
        }
        let mut earlier = None;
        for number in 0..30 {
            let events = store.wait(number * 40 + 1, Duration::from_secs(60)).unwrap();
            let path = scratch.join(&format!("snapshot-{number}"));
            let snapshot =
                SnapshotOptions { earlier: earlier.take(), independent: number % 2 == 0 };
            let report = store.snapshot_to(&path, &snapshot).unwrap();
            assert!(report.events >= events);
            copies.push((path.clone(), report));
            earlier = Some(path);
            let path = scratch.join(&format!("fork-{number}"));
            let report = store.fork_to(&path, &ForkOptions::default()).unwrap();
            assert!(report.events >= events);
            copies.push((path, report));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(store.stats().unwrap().segments > 1);
    for (path, report) in &copies {
        let copy = open(path, OpenMode::ReadOnly);
        assert!(copy.open_report().clean);
        assert_eq!(copy.head().unwrap().root, report.root);
        assert_intact(&copy, report.events);
        let check = store.verify_snapshot(path).unwrap();
        assert!(check.is_prefix(), "{}: {check:?}", path.display());
    }
    store.close().unwrap();
}

#[test]
fn sealed_segments_are_shared() {
    let scratch = Scratch::new().unwrap();
    let [store_path, first, second, third, branch] =
        ["store", "first", "second", "third", "branch"].map(|name| scratch.join(name));
    let store = open(&store_path, OpenMode::Create);
    fill(&store, "e", 40);

    let report = store.snapshot_to(&first, &SnapshotOptions::default()).unwrap();
    assert_eq!((report.segments, report.linked, report.copied), (5, 4, 1));
    assert_eq!((shared(&store_path, &first), inodes(&first).len()), (4, 5));

    let apart = SnapshotOptions { earlier: None, independent: true };
    let report = store.snapshot_to(&second, &apart).unwrap();
    assert_eq!((report.linked, report.copied), (0, 5));
    assert_eq!((shared(&store_path, &second), shared(&first, &second)), (0, 0));

    // What the earlier one has is shared with that, the rest is copied.
    fill(&store, "e", 20);
    let incremental = SnapshotOptions { earlier: Some(second.clone()), independent: true };
    let report = store.snapshot_to(&third, &incremental).unwrap();
    assert_eq!((report.linked, report.copied), (4, 3));
    assert_eq!((shared(&second, &third), shared(&store_path, &third)), (4, 0));

    let report = store.fork_to(&branch, &ForkOptions::default()).unwrap();
    assert_eq!((report.linked, report.copied), (6, 1));
    assert_eq!((shared(&store_path, &branch), inodes(&branch).len()), (6, 7));
    assert_ne!(report.store_id, store.stats().unwrap().store_id);
    let branch = open(&branch, OpenMode::Existing);
    assert_eq!(branch.stats().unwrap().store_id, report.store_id);
    assert_eq!(branch.stats().unwrap().lineage_id, store.stats().unwrap().lineage_id);
    let parent = branch.parent().unwrap();
    assert_eq!((parent.events, parent.root), (60, report.root));
    assert_eq!(parent.store_id, store.stats().unwrap().store_id);
    assert_eq!(store.parent(), None);
}

/// A copy is there whatever becomes of the store that it was made of.
#[test]
fn copies_outlive_the_store() {
    let scratch = Scratch::new().unwrap();
    let [store_path, copy, branch] = ["store", "copy", "branch"].map(|name| scratch.join(name));
    let store = open(&store_path, OpenMode::Create);
    fill(&store, "e", 40);
    let receipt = store.append(&NewEvent::new("r", "s", EventKind::DATA, b"kept"), None).unwrap();
    store.snapshot_to(&copy, &SnapshotOptions::default()).unwrap();
    store.fork_to(&branch, &ForkOptions::default()).unwrap();
    let reader = open(&copy, OpenMode::ReadOnly);
    fill(&store, "e", 40);
    assert_intact(&reader, 41);
    store.close().unwrap();
    fs::remove_dir_all(&store_path).unwrap();

    assert_intact(&reader, 41);
    for path in [copy, branch] {
        let store = open(path, OpenMode::Existing);
        let kept = store.get(receipt.id).unwrap().unwrap();
        assert_eq!((kept.sequence(), kept.hash()), (receipt.sequence, receipt.hash));
        fill(&store, "e", 30);
        assert_intact(&store, 71);
    }
}

/// Two branches and their stem are appended to at once, and none of them sees the others' events.
#[test]
fn branches_grow_apart() {
    let scratch = Scratch::new().unwrap();
    let stem = open(scratch.join("stem"), OpenMode::Create);
    fill(&stem, "e", 30);
    let fork = |from: &Store, name: &str, at| {
        let path = scratch.join(name);
        from.fork_to(&path, &ForkOptions { at, independent: false }).unwrap();
        open(&path, OpenMode::Existing)
    };
    let left = fork(&stem, "left", Some(25));
    let right = fork(&stem, "right", None);
    let twig = fork(&left, "twig", Some(24));
    thread::scope(|scope| {
        for (store, events) in [(&stem, 40), (&left, 50), (&right, 60), (&twig, 70)] {
            scope.spawn(move || fill(store, "own", events));
        }
    });
    for (store, events) in [(&stem, 70), (&left, 75), (&right, 90), (&twig, 94)] {
        assert_intact(store, events);
    }
    let diff = |one: &Store, other: &Store| one.diff(other.path()).unwrap();
    assert_eq!(diff(&stem, &left), Diff { common: 25, ours: 70, theirs: 75 });
    assert_eq!(diff(&stem, &right), Diff { common: 30, ours: 70, theirs: 90 });
    assert_eq!(diff(&left, &right), Diff { common: 25, ours: 75, theirs: 90 });
    assert_eq!(diff(&twig, &stem), Diff { common: 24, ours: 94, theirs: 70 });
    assert_eq!(diff(&twig, &left), Diff { common: 24, ours: 94, theirs: 75 });
    assert_eq!(diff(&twig, &left).only_ours(), 24..94);
    assert_eq!(diff(&twig, &left).only_theirs(), 24..75);
    assert_eq!(diff(&twig, &twig), Diff { common: 94, ours: 94, theirs: 94 });
    let stranger = open(scratch.join("stranger"), OpenMode::Create);
    fill(&stranger, "e", 30);
    assert_eq!(diff(&stem, &stranger), Diff { common: 0, ours: 70, theirs: 30 });
}

/// Forks at every event, each with segments of another size behind it: the diff finds the place.
#[test]
fn the_diff_finds_every_place() {
    let scratch = Scratch::new().unwrap();
    let stem = open(scratch.join("stem"), OpenMode::Create);
    fill(&stem, "e", 60);
    for at in 0..=60 {
        let path = scratch.join(&format!("fork-{at}"));
        stem.fork_to(&path, &ForkOptions { at: Some(at), independent: false }).unwrap();
        let options = OpenOptions { segment_bytes: 4096 + 512 * at, ..OpenOptions::default() };
        let fork = Store::open(&path, &options).unwrap();
        fill(&fork, "own", 45);
        assert_intact(&fork, at + 45);
        assert_eq!(stem.diff(&path).unwrap(), Diff { common: at, ours: 60, theirs: at + 45 });
        let parent = fork.parent().unwrap();
        assert_eq!(parent.root, stem.head_at(at).unwrap().root);
        fork.close().unwrap();
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn a_batch_is_not_cut() {
    let scratch = Scratch::new().unwrap();
    let store = open(scratch.join("store"), OpenMode::Create);
    fill(&store, "e", 3);
    let event = NewEvent::new("e", "s", EventKind::DATA, &[1; 300]);
    for _ in 0..2 {
        store.append_batch(&vec![event; 40], None).unwrap();
    }
    for (at, lower, upper) in [(4, 3, 43), (23, 3, 43), (42, 3, 43), (44, 43, 83), (82, 43, 83)] {
        let options = ForkOptions { at: Some(at), independent: false };
        let refused = store.fork_to(scratch.join("fork"), &options).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        let nearest = format!("fork at {lower} or at {upper}");
        assert!(refused.message().ends_with(&nearest), "{refused}");
    }
    assert!(!scratch.join("fork").exists() && !scratch.join("fork.unfinished").exists());
}

/// Links are not followed, wherever they stand, and nothing is written into the store.
/// Recovery row 3.
#[test]
fn links_are_refused() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path, OpenMode::Create);
    fill(&store, "e", 40);
    let before = fs::read_dir(&path).unwrap().count();
    let elsewhere = scratch.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, scratch.join("to-a-directory")).unwrap();
    symlink(scratch.join("nowhere"), scratch.join("to-nowhere")).unwrap();
    symlink(&path, scratch.join("to-the-store")).unwrap();
    symlink(&elsewhere, scratch.join("planted.unfinished")).unwrap();
    let cases = [
        ("to-a-directory", ErrorKind::InvalidArgument),
        ("to-nowhere", ErrorKind::InvalidArgument),
        ("to-nowhere/below", ErrorKind::Io),
        ("to-the-store", ErrorKind::InvalidArgument),
        ("to-the-store/below", ErrorKind::InvalidArgument),
        ("planted", ErrorKind::InvalidArgument),
        ("elsewhere/../store/below", ErrorKind::InvalidArgument),
        ("elsewhere/..", ErrorKind::InvalidArgument),
    ];
    for (name, kind) in cases {
        let refused =
            store.snapshot_to(scratch.join(name), &SnapshotOptions::default()).unwrap_err();
        assert_eq!(refused.kind(), kind, "{name}: {refused}");
        let refused = store.fork_to(scratch.join(name), &ForkOptions::default()).unwrap_err();
        assert_eq!(refused.kind(), kind, "{name}: {refused}");
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), before);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert!(!scratch.join("nowhere").exists());
    // A parent that is a link to a directory is one.
    let through = scratch.join("to-a-directory").join("copy");
    store.snapshot_to(&through, &SnapshotOptions::default()).unwrap();
    assert_intact(&open(elsewhere.join("copy"), OpenMode::ReadOnly), 40);
    // A segment that is a link is none, in an earlier snapshot as anywhere.
    let earlier = elsewhere.join("copy");
    fs::remove_file(earlier.join("000001.fbat")).unwrap();
    symlink(path.join("000001.fbat"), earlier.join("000001.fbat")).unwrap();
    let options = SnapshotOptions { earlier: Some(earlier), independent: true };
    let report = store.snapshot_to(scratch.join("copy"), &options).unwrap();
    assert_eq!((report.linked, report.copied), (3, 2));
    assert_intact(&open(scratch.join("copy"), OpenMode::ReadOnly), 40);
}

/// Only one of several that write to the same place does so; what stands there is whole.
#[test]
fn several_to_the_same_place() {
    let scratch = Scratch::new().unwrap();
    let store = open(scratch.join("store"), OpenMode::Create);
    fill(&store, "e", 60);
    for round in 0..10 {
        let path = scratch.join(&format!("copy-{round}"));
        let outcomes: Vec<_> = thread::scope(|scope| {
            let copy = || store.snapshot_to(&path, &SnapshotOptions::default());
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(copy)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (made, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), 1, "{refused:?}");
        for outcome in refused {
            let kind = outcome.unwrap_err().kind();
            assert!([ErrorKind::Locked, ErrorKind::InvalidArgument].contains(&kind), "{kind:?}");
        }
        assert_intact(&open(&path, OpenMode::ReadOnly), 60);
        assert!(store.verify_snapshot(&path).unwrap().is_prefix());
    }
}

/// Damage to a shared segment is found from every side, and a reader of a copy never sees it as data.
#[test]
fn damage_to_a_shared_segment() {
    let scratch = Scratch::new().unwrap();
    let [store_path, copy, branch, apart] =
        ["store", "copy", "branch", "apart"].map(|name| scratch.join(name));
    let store = open(&store_path, OpenMode::Create);
    fill(&store, "e", 40);
    store.snapshot_to(&copy, &SnapshotOptions::default()).unwrap();
    store.fork_to(&branch, &ForkOptions::default()).unwrap();
    store.snapshot_to(&apart, &SnapshotOptions { earlier: None, independent: true }).unwrap();
    let mut bytes = fs::read(copy.join("000002.fbat")).unwrap();
    bytes[400] ^= 1;
    // In place, so that it is the same file.
    fs::write(copy.join("000002.fbat"), bytes).unwrap();
    for path in [&store_path, &copy, &branch] {
        let report = open(path, OpenMode::ReadOnly).verify().unwrap();
        let kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::Frame, FindingKind::Link], "{}", path.display());
    }
    assert!(!store.verify_snapshot(&copy).unwrap().is_prefix());
    assert_eq!(store.verify_snapshot(&copy).unwrap().diff, None);
    assert!(store.verify_snapshot(&apart).unwrap().is_prefix());
}

/// What is in the files of a directory.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| (name(&entry), fs::read(entry.path()).unwrap())).collect()
}

/// A reader beside a writer makes copies, too; after the writer was killed, as well. It writes nothing
/// to the store.
#[test]
fn copies_by_readers() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let writer = open(&path, OpenMode::Create);
    fill(&writer, "e", 25);
    let reader = open(&path, OpenMode::ReadOnly);
    fill(&writer, "e", 25);
    // What is in the files while the store is open is what a kill leaves there.
    let killed = scratch.join("killed");
    fs::create_dir(&killed).unwrap();
    contents(&path).iter().for_each(|(name, bytes)| fs::write(killed.join(name), bytes).unwrap());
    let after_a_kill = open(&killed, OpenMode::ReadOnly);

    for (number, (reader, path)) in [(&reader, &path), (&after_a_kill, &killed)].iter().enumerate()
    {
        let before = contents(path);
        let [snapshot, fork] =
            ["snapshot", "fork"].map(|name| scratch.join(&format!("{name}-{number}")));
        let report = reader.snapshot_to(&snapshot, &SnapshotOptions::default()).unwrap();
        assert_eq!(report.events, 50);
        assert_eq!(report.linked + 1, report.segments);
        assert!(writer.verify_snapshot(&snapshot).unwrap().is_prefix());
        let at = ForkOptions { at: Some(33), independent: false };
        reader.fork_to(&fork, &at).unwrap();
        let fork = open(&fork, OpenMode::Existing);
        fill(&fork, "own", 3);
        assert_intact(&fork, 36);
        assert_eq!(reader.diff(fork.path()).unwrap(), Diff { common: 33, ours: 50, theirs: 36 });
        assert!(contents(path) == before);
    }
}
