//! The frozen vectors in tests/vectors: the library still writes these bytes and reads them back.
//!
//! With `BATPAK_BLESS=1` the vectors are written if they are missing; they are never overwritten.

use batpak_core::{
    Causation, CompactOptions, Durability, Event, EventKind, ForkOptions, Id, NewEvent, OpenMode,
    OpenOptions, Query, Region, Retention, Store, Unwanted,
};
use batpak_tests::scratch::Scratch;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

/// The appends that the store in the vectors came from.
fn write_store(path: &Path) {
    let options = OpenOptions { segment_bytes: 4096, seed: Some(1), ..Default::default() };
    let store = Store::open(path, &options).unwrap();
    let kind = |type_id| EventKind::new(1, type_id).unwrap();
    store.append(&NewEvent::new("order:1", "shop", kind(1), b"two apples"), None).unwrap();

    let mut full = NewEvent::new("order:1", "shop", EventKind(0xFABC), b"");
    full.id = Some(Id([0xA5; 16]));
    full.correlation = Some(Id([0x11; 16]));
    full.causation = Causation::Event(Id([0x22; 16]));
    full.lane = 7;
    full.depth = 2;
    full.flags = 0x81;
    full.payload_version = 3;
    full.timestamp_us = Some(-1);
    full.extensions = &[("audit.user", b"zo\xC3\xAB"), ("audit.at", b"")];
    store.append(&full, None).unwrap();

    let mut effect = NewEvent::new("Zoë:日本", "naïve scope", kind(2), b"\x00\xff\x80");
    effect.causation = Causation::Item(0);
    let cause = NewEvent::new("order:2", "shop", kind(1), b"cause");
    let last = NewEvent { lane: 1, ..NewEvent::new("order:2", "stock", kind(3), b"last") };
    store.append_batch(&[cause, effect, last], None).unwrap();

    for i in 0..60u8 {
        let entity = format!("account:{}", i % 4);
        let payload = vec![i; usize::from(i)];
        let mut event = NewEvent::new(&entity, "bank", kind(u16::from(i % 5)), &payload);
        event.payload_version = u16::from(i % 2);
        store.append(&event, Some(Durability::Durable)).unwrap();
    }
    store.close().unwrap();
}

/// The appends of the store that was never closed: a durable one, which reserves space; a written one,
/// after which the head is open-ended; and a batch behind the end that the head names.
fn write_killed(path: &Path, killed: &Path) {
    let options = OpenOptions { segment_bytes: 4096, seed: Some(1), ..Default::default() };
    let store = Store::open(path, &options).unwrap();
    let kind = EventKind::new(1, 1).unwrap();
    let append = |payloads: &[&[u8]], durability| {
        let event = |payload| NewEvent::new("order:1", "shop", kind, payload);
        let events: Vec<_> = payloads.iter().map(|payload| event(payload)).collect();
        store.append_batch(&events, Some(durability)).unwrap();
    };
    append(&[b"durable"], Durability::Durable);
    append(&[b"written"], Durability::Written);
    append(&[b"written, first of two", b"written, last of two"], Durability::Written);
    // What is in the files while the store is open is what a kill leaves there.
    std::fs::create_dir(killed).unwrap();
    for name in names(path) {
        std::fs::copy(path.join(&name), killed.join(&name)).unwrap();
    }
    store.close().unwrap();
}

/// A fork, at event 45, of a fork at event 30 of the store.
fn write_fork(store: &Path, branch: &Path, fork: &Path) {
    let options =
        |seed| OpenOptions { segment_bytes: 4096, seed: Some(seed), ..Default::default() };
    let (mut from, mut at) = (Store::open(store, &options(1)).unwrap(), 30);
    for (path, seed) in [(branch, 2), (fork, 3)] {
        from.fork_to(path, &ForkOptions { at: Some(at), ..Default::default() }).unwrap();
        from.close().unwrap();
        from = Store::open(path, &options(seed)).unwrap();
        for i in 0..20u8 {
            let payload = [i; 150];
            let event = NewEvent::new("branch", "bank", EventKind::DATA, &payload);
            from.append(&event, None).unwrap();
        }
        at += 15;
    }
    from.close().unwrap();
}

/// The store after three compactions: tombstones; events that were dropped, some keys and the last events
/// of streams kept; then fewer segments.
fn write_compacted(path: &Path) {
    write_store(path);
    let open = |segment_bytes| {
        let options = OpenOptions { segment_bytes, seed: Some(1), ..Default::default() };
        Store::open(path, &options).unwrap()
    };
    let store = open(4096);
    let kind = EventKind::new(1, 3).unwrap();
    let keyed = NewEvent { id: Some(Id([0xC3; 16])), ..NewEvent::new("keyed", "s", kind, b"key") };
    store.append_batch(&[keyed, NewEvent::new("gone", "s", kind, b"gone")], None).unwrap();
    let compact = |store: &Store, retention| {
        let options = CompactOptions { retention: Some(retention), ..Default::default() };
        store.compact(options).unwrap();
    };
    let region = Region::all().with_kind(kind);
    let before = Some(30);
    let tombstones = Retention { region, before, unwanted: Unwanted::Tombstone, ..<_>::default() };
    compact(&store, tombstones);
    let region = Region::all().with_kind(EventKind::TOMBSTONE);
    let erased =
        Retention { region, before: Some(12), unwanted: Unwanted::Erase, ..<_>::default() };
    compact(&store, erased);
    let mut keep = |event: &Event| Ok(event.sequence() % 9 < 4 && !event.entity().ends_with('e'));
    compact(&store, Retention { keep: Some(&mut keep), ..Default::default() });
    store.append(&NewEvent::new("gone", "s", kind, b"again"), None).unwrap();
    store.close().unwrap();
    let store = open(16 << 10);
    store.compact(CompactOptions::default()).unwrap();
    store.close().unwrap();
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(event: &Event, root: &str) -> String {
    let mut line = format!("sequence={} id={}", event.sequence(), event.id());
    let mut field = |name: &str, value: &dyn std::fmt::Display| {
        write!(line, " {name}={value}").unwrap();
    };
    field("timestamp_us", &event.timestamp_us());
    field("wall_us", &event.wall_us());
    field("clock", &event.clock());
    field("lane", &event.lane());
    field("depth", &event.depth());
    field("kind", &event.kind().0);
    field("payload_version", &event.payload_version());
    field("flags", &event.flags());
    field("correlation", &event.correlation());
    field("causation", &event.causation().unwrap_or(Id::NONE));
    field("prev_hash", &event.prev_hash());
    field("entity", &hex(event.entity().as_bytes()));
    field("scope", &hex(event.scope().as_bytes()));
    field("extensions", &hex(event.extension_bytes()));
    field("payload", &hex(event.payload()));
    field("batch_continues", &u8::from(event.batch_continues()));
    field("hash", &event.hash());
    field("segment", &event.segment());
    field("offset", &event.offset());
    field("root", &root);
    line
}

/// The root after each event that is shown.
fn roots(store: &Store) -> Vec<String> {
    if store.stats().unwrap().events < store.head().unwrap().events {
        let events = store.read(Query::default()).unwrap().map(|event| event.unwrap().sequence());
        return events.map(|at| store.head_at(at + 1).unwrap().root.to_string()).collect();
    }
    // The tree is over the event hashes alone, so RFC 6962 is enough to recompute it.
    let hashes: Vec<_> =
        store.read(Query::default()).unwrap().map(|event| event.unwrap().hash().0).collect();
    (1..=hashes.len()).map(|size| hex(&rfc6962(&hashes[..size]))).collect()
}

fn rfc6962(hashes: &[[u8; 32]]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    match hashes {
        [] => Sha256::digest([]).into(),
        [leaf] => Sha256::new().chain_update([0]).chain_update(leaf).finalize().into(),
        _ => {
            let (left, right) = hashes.split_at(1 << (hashes.len() - 1).ilog2());
            let node = Sha256::new().chain_update([1]).chain_update(rfc6962(left));
            node.chain_update(rfc6962(right)).finalize().into()
        }
    }
}

fn same(path: &Path, made: &[u8]) {
    if std::env::var_os("BATPAK_BLESS").is_some() && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, made).unwrap();
    }
    let frozen = std::fs::read(path).unwrap();
    assert!(frozen == made, "{} is not what the library makes", path.display());
}

/// Compares a directory with the frozen one of this name.
fn same_store(name: &str, made: &Path, files: &[&str]) {
    assert_eq!(names(made), files);
    for file in files {
        let frozen = vectors().join(name).join(file);
        let mut bytes = std::fs::read(made.join(file)).unwrap();
        if *file == "head"
            && let Ok(frozen) = std::fs::read(&frozen)
        {
            // How often it was overwritten is no part of the format; nor is the CRC then.
            bytes[64..72].copy_from_slice(&frozen[64..72]);
            bytes[92..].copy_from_slice(&frozen[92..]);
        }
        same(&frozen, &bytes);
    }
}

/// Compares what the library reads with the frozen lines.
fn same_events(name: &str, lines: &str, events: u64) {
    let options = OpenOptions::mode(OpenMode::ReadOnly);
    let store = Store::open(vectors().join(name), &options).unwrap();
    let roots = roots(&store);
    let mut text = String::new();
    for (event, root) in store.read(Query::default()).unwrap().zip(&roots) {
        writeln!(text, "{}", line(&event.unwrap(), root)).unwrap();
    }
    same(&vectors().join(lines), text.as_bytes());
    let opened = store.open_report();
    assert_eq!((opened.cut_bytes, &*opened.cut_reason), (0, ""));
    let report = store.verify().unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.events, events);
    assert_eq!(Some(&report.root.to_string()), roots.last());
    assert_eq!(store.head().unwrap().root, report.root);
}

#[test]
fn the_library_writes_the_frozen_bytes() {
    let scratch = Scratch::new().unwrap();
    let store = scratch.join("store");
    write_store(&store);
    let segments = ["000001.fbat", "000002.fbat", "000003.fbat"];
    same_store("store", &store, &[&segments[..], &["head", "manifest", "tail.sidx"]].concat());
}

#[test]
fn the_library_reads_the_frozen_store() {
    same_events("store", "events.txt", 65);
}

#[test]
fn the_library_leaves_the_frozen_bytes_when_it_is_killed() {
    let scratch = Scratch::new().unwrap();
    let killed = scratch.join("killed");
    write_killed(&scratch.join("store"), &killed);
    same_store("killed", &killed, &["000001.fbat", "head", "manifest"]);
}

#[test]
fn the_library_reads_the_frozen_store_of_a_killed_writer() {
    same_events("killed", "killed.txt", 4);
}

#[test]
fn the_library_writes_the_frozen_bytes_of_a_fork() {
    let scratch = Scratch::new().unwrap();
    let [store, branch, fork] = ["store", "branch", "fork"].map(|name| scratch.join(name));
    write_store(&store);
    write_fork(&store, &branch, &fork);
    let segments = ["000001.fbat", "000002.fbat", "000003.fbat", "000004.fbat"];
    same_store("fork", &fork, &[&segments[..], &["head", "manifest", "tail.sidx"]].concat());
    let first = |path: &Path| std::fs::read(path.join("000001.fbat")).unwrap();
    assert!(first(&fork) == first(&store));
}

#[test]
fn the_library_reads_the_frozen_fork() {
    same_events("fork", "fork.txt", 65);
    let options = OpenOptions::mode(OpenMode::ReadOnly);
    let fork = Store::open(vectors().join("fork"), &options).unwrap();
    assert_eq!(fork.diff(vectors().join("store")).unwrap().common, 30);
}

#[test]
fn the_library_writes_the_frozen_bytes_of_a_compacted_store() {
    let scratch = Scratch::new().unwrap();
    let store = scratch.join("store");
    write_compacted(&store);
    let files = names(&store);
    same_store("compacted", &store, &files.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_library_reads_the_frozen_compacted_store() {
    same_events("compacted", "compacted.txt", 68);
}

#[test]
fn the_tree_has_the_frozen_roots() {
    let leaves: Vec<[u8; 32]> =
        (0..70u32).map(|i| *blake3::hash(&i.to_le_bytes()).as_bytes()).collect();
    let mut text = String::new();
    for size in 0..=leaves.len() {
        writeln!(text, "{size} {}", hex(&rfc6962(&leaves[..size]))).unwrap();
    }
    same(&vectors().join("tree.txt"), text.as_bytes());
}
