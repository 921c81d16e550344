//! Looking at a directory tells what opening it does, and changes nothing.

use batpak_core::{
    ErrorKind, EventKind, ExportOptions, Inspection, NewEvent, OpenMode, OpenOptions, Opening,
    Region, Store,
};
use batpak_tests::scratch::Scratch;
use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

fn append(store: &Store, events: usize) {
    for number in 0..events {
        let payload = [number as u8; 100];
        store.append(&NewEvent::new("a", "s", EventKind::DATA, &payload), None).unwrap();
    }
}

fn open(path: &Path) -> Store {
    let options = OpenOptions { segment_bytes: 4096, ..OpenOptions::default() };
    Store::open(path, &options).unwrap()
}

/// Names, sizes, times and content of a directory's files.
fn state(directory: &Path) -> BTreeMap<String, (i64, i64, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let file = |entry: std::fs::DirEntry| {
        let metadata = entry.metadata().unwrap();
        let content = std::fs::read(entry.path()).unwrap();
        (
            entry.file_name().into_string().unwrap(),
            (metadata.mtime(), metadata.mtime_nsec(), content),
        )
    };
    entries.map(file).collect()
}

/// Looks at a directory, and makes sure that this changes nothing.
fn inspect(path: &Path) -> Inspection {
    let before = state(path);
    let inspection = Store::inspect(path).unwrap();
    assert_eq!(state(path), before);
    inspection
}

#[test]
fn no_store() {
    let scratch = Scratch::new().unwrap();
    let missing = Store::inspect(scratch.join("missing")).unwrap();
    assert_eq!((missing.opening, missing.report.format), (Opening::Creates, 0));
    assert!(!scratch.join("missing").exists());
    let empty = scratch.join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert_eq!(inspect(&empty).opening, Opening::Creates);
    std::fs::write(empty.join("notes.txt"), b"mine").unwrap();
    assert_eq!(inspect(&empty).opening, Opening::Creates);
    let file = Store::inspect(empty.join("notes.txt")).unwrap_err();
    assert_eq!(file.kind(), ErrorKind::Io);
}

#[test]
fn a_store_through_its_life() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    assert_eq!(inspect(&path).opening, Opening::Locked);
    append(&store, 60);
    let live = inspect(&path);
    assert_eq!((live.opening, live.report.events), (Opening::Locked, 60));
    let stats = store.stats().unwrap();
    assert_eq!((live.store_id, live.lineage_id), (stats.store_id, stats.lineage_id));
    append(&store, 1);

    // As a power cut now would leave it.
    let cut = scratch.join("cut");
    std::fs::create_dir(&cut).unwrap();
    for (name, (.., content)) in state(&path) {
        std::fs::write(cut.join(name), content).unwrap();
    }
    let newest = cut.join("000004.fbat");
    let end = std::fs::metadata(&newest).unwrap().len();
    std::fs::File::options().write(true).open(&newest).unwrap().write_all_at(b"torn", end).unwrap();
    let torn = inspect(&cut);
    assert_eq!((torn.opening, torn.report.events), (Opening::Recovers, 61));
    assert!(torn.report.cut_bytes >= 4);
    assert!(torn.refusal.is_none());
    let opened = open(&cut);
    assert_eq!(opened.open_report().cut_bytes, torn.report.cut_bytes);
    assert_eq!(opened.open_report().cut_reason, torn.report.cut_reason);
    opened.close().unwrap();
    let closed = inspect(&cut);
    assert_eq!((closed.opening, closed.report.events), (Opening::Opens, 61));
    assert_eq!((closed.report.format, closed.report.segments), (2, 4));
    assert_eq!(closed.bytes, Store::inspect(&path).unwrap().bytes);
    std::fs::write(cut.join("manifest.tmp"), b"left").unwrap();
    assert_eq!(inspect(&cut).opening, Opening::Recovers);
}

#[test]
fn what_is_refused() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    let store = open(&path);
    append(&store, 60);
    store.close().unwrap();
    let flip = |name: &str, at: u64| {
        let file = std::fs::File::options().read(true).write(true).open(path.join(name)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    };
    flip("000002.fbat", 8);
    let refused = inspect(&path);
    assert_eq!(refused.opening, Opening::Refuses);
    let refusal = refused.refusal.unwrap();
    let opened = Store::open(&path, &OpenOptions::default()).unwrap_err();
    assert_eq!((refusal.kind(), refusal.segment()), (opened.kind(), opened.segment()));
    let salvaged = Store::open(&path, &OpenOptions::mode(OpenMode::Salvage)).unwrap();
    assert_eq!(refused.report.events, salvaged.open_report().events);
    assert_eq!(refused.report.damage, salvaged.open_report().damage);
    assert!(!refused.report.damage.is_empty());
}

#[test]
fn a_store_of_the_crate() {
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch.join("store"));
    append(&store, 3);
    let old = scratch.join("old");
    store.export_to(&old, &Region::all(), &ExportOptions::default()).unwrap();
    let found = inspect(&old);
    assert_eq!((found.opening, found.report.format), (Opening::OnlyReads, 1));
    assert_eq!((found.report.events, found.refusal.is_none()), (3, true));
    // The crate has it open.
    std::fs::write(old.join(".batpak.lock"), b"").unwrap();
    let lock = std::fs::File::open(old.join(".batpak.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(inspect(&old).report.events, 3);
    let reader = Store::open(&old, &OpenOptions::mode(OpenMode::ReadOnly));
    assert_eq!(reader.unwrap_err().kind(), ErrorKind::Locked);

    std::fs::write(old.join("visibility_ranges.fbv"), b"junk").unwrap();
    let damaged = inspect(&old);
    assert_eq!(damaged.opening, Opening::OnlyReads);
    assert_eq!(damaged.refusal.unwrap().kind(), ErrorKind::Corrupt);
    assert_eq!(damaged.report.events, 3);
}
