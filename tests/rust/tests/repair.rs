//! A repaired copy holds exactly the events that were not damaged, under their sequences, and the report
//! accounts for every byte of every segment.

use batpak_core::storage::{Access, Vfs, VfsFile};
use batpak_core::{
    CompactOptions, Durability, ErrorKind, Event, EventKind, ForkOptions, Keys, LostEvents,
    NewEvent, OpenMode, OpenOptions, Query, RepairOptions, RepairReport, Result, Retention, Store,
    Unwanted,
};
use batpak_tests::scratch::Scratch;
use batpak_tests::sim::{Fault, Loss, SimVfs};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const STORE: &str = "/store";
const COPY: &str = "/copies/new";
const HEADER: usize = 192;

/// The files of a directory.
type Files = BTreeMap<String, Vec<u8>>;

fn open(vfs: &SimVfs, path: &str, seed: u64, mode: OpenMode) -> Result<Store> {
    let options = OpenOptions {
        segment_bytes: 4096,
        seed: Some(seed),
        buffer_ms: 60_000,
        cache_bytes: 0,
        ..OpenOptions::mode(mode)
    };
    Store::open_on(Arc::new(vfs.clone()), Path::new(path), &options)
}

fn repair_with(vfs: &SimVfs, options: &RepairOptions) -> Result<RepairReport> {
    Store::repair_on(Arc::new(vfs.clone()), Path::new(STORE), Path::new(COPY), options)
}

fn repair(vfs: &SimVfs) -> Result<RepairReport> {
    let segment_bytes = 4096;
    repair_with(vfs, &RepairOptions { segment_bytes, seed: Some(7), ..Default::default() })
}

/// Single events and batches of three on two streams, over three segments.
fn fill(store: &Store) {
    for i in 0..18u8 {
        let payload = vec![i; 150 + usize::from(i)];
        let entity = format!("user:{}", i % 2);
        let event = NewEvent::new(&entity, "app", EventKind::DATA, &payload);
        let extended = NewEvent { extensions: &[("a.b", &[7])], lane: 3, ..event };
        match i % 3 {
            0 => drop(store.append_batch(&[event, extended, event], None).unwrap()),
            _ => drop(store.append(&event, None).unwrap()),
        }
    }
}

fn files_of(vfs: &SimVfs, directory: &str) -> Files {
    let paths = vfs.paths().into_iter().filter(|path| path.starts_with(directory));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.map(|path| (name(&path), vfs.content(&path).unwrap())).collect()
}

fn disk(files: &Files) -> SimVfs {
    let vfs = SimVfs::default();
    for (name, bytes) in files {
        vfs.set_content(&Path::new(STORE).join(name), bytes.clone());
    }
    vfs
}

/// A store as it was before the damage.
struct Intact {
    files: Files,
    events: Vec<Event>,
}

impl Intact {
    fn of(files: Files) -> Self {
        let store = open(&disk(&files), STORE, 1, OpenMode::ReadOnly).unwrap();
        let events = store.read(Query::default()).unwrap().collect::<Result<_>>().unwrap();
        Self { files, events }
    }

    fn closed() -> Self {
        let vfs = SimVfs::default();
        let store = open(&vfs, STORE, 1, OpenMode::Create).unwrap();
        fill(&store);
        assert_eq!(store.stats().unwrap().segments, 3);
        store.close().unwrap();
        Self::of(files_of(&vfs, STORE))
    }

    fn killed() -> Self {
        let vfs = SimVfs::default();
        let store = open(&vfs, STORE, 1, OpenMode::Create).unwrap();
        fill(&store);
        Self::of(files_of(&vfs, STORE))
    }

    fn segment(&self, number: u64) -> Vec<u8> {
        self.files[&name_of(number)].clone()
    }

    /// The bytes of an event, in whatever file they are.
    fn place(&self, event: &Event) -> (String, Range<usize>) {
        let start = event.offset() as usize;
        (name_of(event.segment()), start..start + event.stored_bytes())
    }

    /// Whether an event is where it was, and unchanged.
    fn is_untouched(&self, event: &Event, damaged: &Files) -> bool {
        let (name, range) = self.place(event);
        damaged.get(&name).and_then(|file| file.get(range.clone()))
            == Some(&self.files[&name][range])
    }
}

fn name_of(number: u64) -> String {
    format!("{number:06}.fbat")
}

/// All that an event says, but its place in its stream, its hash, and where it comes from.
fn said(event: &Event) -> String {
    let origin = |(key, _): &(&str, &[u8])| *key != "batpak.import";
    let extensions: Vec<_> = event.extensions().filter(origin).collect();
    let who = (event.id(), event.entity(), event.scope(), event.lane(), event.depth());
    let when = (event.timestamp_us(), event.wall_us());
    let what = (event.kind(), event.payload_version(), event.flags(), event.payload());
    format!(
        "{who:?} {when:?} {what:?} {:?} {extensions:?}",
        (event.correlation(), event.causation())
    )
}

fn is_place(event: &Event) -> bool {
    (event.entity(), event.scope(), event.kind().0) == ("batpak:repair", "batpak:lost", 0x0ffe)
        && event.payload().is_empty()
}

/// Repairs damaged files, and checks the copy and the report against what was there. Gives the report
/// and the events of the copy.
fn check(intact: &Intact, damaged: &Files, context: &str) -> (RepairReport, Vec<Event>) {
    let vfs = disk(damaged);
    let report = repair(&vfs).unwrap_or_else(|error| panic!("{context}: {error:?}"));
    assert_eq!(files_of(&vfs, STORE), *damaged, "{context}: the source has changed");
    let events = check_copy(&vfs, &report, context);

    let untouched: Vec<_> =
        intact.events.iter().filter(|event| intact.is_untouched(event, damaged)).collect();
    for event in &untouched {
        let found =
            events.get(event.sequence() as usize).filter(|found| said(found) == said(event));
        let found = found.unwrap_or_else(|| panic!("{context}: event {}", event.sequence()));
        if event.sequence() < report.kept {
            assert_eq!(chain(found), chain(event), "{context}");
        }
    }
    assert_eq!(report.kept + report.appended, untouched.len() as u64, "{context}");
    check_account(intact, &untouched, damaged, &report, context);
    (report, events)
}

/// The copy is intact, and every event that it does not say is lost is there.
fn check_copy(vfs: &SimVfs, report: &RepairReport, context: &str) -> Vec<Event> {
    assert!(report.verify.is_intact(), "{context}: {:?}", report.verify.findings);
    let copy = open(vfs, COPY, 1, OpenMode::Existing)
        .unwrap_or_else(|error| panic!("{context}: {error:?}"));
    assert!(copy.open_report().clean, "{context}");
    let verified = copy.verify().unwrap();
    assert_eq!(verified, report.verify, "{context}");
    let events: Vec<Event> = copy.read(Query::default()).unwrap().map(Result::unwrap).collect();
    assert_eq!(events.len() as u64, report.kept + report.appended + report.lost, "{context}");
    let places: Vec<u64> = events.iter().filter(|e| is_place(e)).map(Event::sequence).collect();
    let lost = report.lost_events.iter();
    let lost: Vec<u64> =
        lost.flat_map(|lost| lost.first_sequence..lost.first_sequence + lost.events).collect();
    assert_eq!(places, lost, "{context}");
    assert_eq!(lost.len() as u64, report.lost, "{context}");
    for event in &events[report.kept as usize..] {
        assert!(event.extensions().any(|(key, _)| key == "batpak.import"), "{context}");
    }
    let parent = copy.parent().filter(|_| report.kept > 0);
    let parent = parent.map(|parent| (parent.store_id, parent.events));
    assert_eq!(parent, (report.kept > 0).then_some((report.source, report.kept)), "{context}");
    copy.append(&NewEvent::new("user:0", "app", EventKind::DATA, b"on"), None).unwrap();
    assert!(copy.verify().unwrap().is_intact(), "{context}");
    events
}

/// Every byte of a segment is in an event that is carried over, in what was left out, or in a header, a
/// footer or reserved space, and in one of them only.
fn check_account(
    intact: &Intact,
    untouched: &[&Event],
    damaged: &Files,
    report: &RepairReport,
    context: &str,
) {
    let segments = damaged.iter().filter(|(name, _)| name.ends_with(".fbat"));
    for (name, file) in segments {
        let number: u64 = name[..6].parse().unwrap();
        let mut owned = vec![false; file.len()];
        let mut claim = |range: Range<usize>| {
            for at in range {
                assert!(!owned[at], "{context}: {name}, offset {at} belongs twice");
                owned[at] = true;
            }
        };
        for event in untouched.iter().filter(|event| event.segment() == number) {
            claim(intact.place(event).1);
        }
        for left in report.left_out.iter().filter(|left| left.segment == number) {
            assert!(!left.why.is_empty() && left.bytes > 0, "{context}");
            claim(left.offset as usize..(left.offset + left.bytes) as usize);
        }
        // The rest is the header, the footer, or reserved.
        let frames = intact.events.iter().filter(|event| event.segment() == number);
        let end = frames.map(|event| intact.place(event).1.end).max().unwrap_or(HEADER);
        let forgotten = (HEADER..file.len().min(end)).find(|at| !owned[*at]);
        assert_eq!(forgotten, None, "{context}: {name}: a byte is in no account");
    }
}

/// What only an event has that was kept as it was.
fn chain(event: &Event) -> String {
    let place = (event.sequence(), event.clock(), event.hash(), event.prev_hash());
    format!("{place:?} {} {:?}", event.batch_continues(), event.extension_bytes())
}

/// A byte that tells the version: with another one, the file is of another version.
fn is_version(name: &str, offset: usize) -> bool {
    match name {
        "manifest" => (6..8).contains(&offset),
        _ => name.ends_with(".fbat") && offset == 17,
    }
}

/// Runs every case on one of two threads.
fn each<T: Sync>(cases: &[T], run: impl Fn(&T) + Sync) {
    let (run, half) = (&run, cases.len() / 2);
    std::thread::scope(|scope| {
        for part in [&cases[..half], &cases[half..]] {
            scope.spawn(move || part.iter().for_each(run));
        }
    });
}

#[test]
fn without_damage_the_copy_is_the_same() {
    for intact in [Intact::closed(), Intact::killed()] {
        let (report, events) = check(&intact, &intact.files, "intact");
        assert_eq!((report.appended, report.lost), (0, 0));
        assert_eq!(report.left_out, []);
        assert_eq!(report.damage, [""; 0]);
        assert_eq!(events.len(), intact.events.len());
    }
}

#[test]
fn every_byte_flipped() {
    let intact = Intact::closed();
    let places: Vec<(&String, usize)> = intact
        .files
        .iter()
        .flat_map(|(name, file)| (0..file.len()).map(move |at| (name, at)))
        .collect();
    assert!(places.len() > 12_000, "{}", places.len());
    each(&places, |(name, at)| {
        let mut damaged = intact.files.clone();
        damaged.get_mut(*name).unwrap()[*at] ^= 1;
        let context = format!("{name}, offset {at}");
        if is_version(name, *at) {
            let refused = repair(&disk(&damaged)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unsupported, "{context}");
            return;
        }
        let (report, _) = check(&intact, &damaged, &context);
        let frames = intact.events.iter().map(|event| intact.place(event));
        let hit = frames.into_iter().any(|(file, range)| file == **name && range.contains(at));
        assert_eq!(report.lost, u64::from(hit), "{context}");
    });
}

#[test]
fn every_truncation() {
    let intact = Intact::closed();
    let places: Vec<(&String, usize)> = intact
        .files
        .iter()
        .flat_map(|(name, file)| (0..file.len()).map(move |at| (name, at)))
        .collect();
    each(&places, |(name, length)| {
        let mut damaged = intact.files.clone();
        damaged.get_mut(*name).unwrap().truncate(*length);
        let (report, events) = check(&intact, &damaged, &format!("{name}, cut at {length}"));
        // The places of all that was closed are held.
        assert_eq!(events.len(), intact.events.len());
        assert!(name.ends_with(".fbat") || report.lost == 0);
    });
}

/// Bytes overwritten, zeroed and cut in several files at once.
#[test]
fn random_damage() {
    for (kind, intact) in [("closed", Intact::closed()), ("killed", Intact::killed())] {
        let seeds: Vec<u64> = (0..1000).collect();
        each(&seeds, |seed| {
            let mut state = *seed;
            let mut below = |most: usize| {
                state =
                    state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
                (state >> 33) as usize % most
            };
            let mut damaged = intact.files.clone();
            for _ in 0..1 + below(5) {
                let name = damaged.keys().nth(below(damaged.len())).unwrap().clone();
                if damaged.len() > 2 && below(8) == 0 {
                    damaged.remove(&name);
                    continue;
                }
                let file = damaged.get_mut(&name).unwrap();
                let at = below(file.len().max(1));
                let end = file.len().min(at + 1 + below(700));
                match below(7) {
                    0 => file.truncate(at),
                    1..=3 => file[at..end].fill(0),
                    _ => file[at..end].iter_mut().for_each(|byte| *byte = below(256) as u8),
                }
            }
            let context = format!("{kind}, seed {seed}");
            let changed = |name: &str, at: usize| {
                let (now, then) = (damaged.get(name), &intact.files[name]);
                now.is_some_and(|now| now.get(at).is_some_and(|byte| *byte != then[at]))
            };
            let mut versions = intact.files.keys().flat_map(|n| [6, 7, 17].map(|at| (n, at)));
            if versions.any(|(name, at)| is_version(name, at) && changed(name, at)) {
                return;
            }
            if kind == "closed" {
                check(&intact, &damaged, &context);
                return;
            }
            // Nobody may know that the last batch was ever whole.
            let vfs = disk(&damaged);
            let Ok(report) = repair(&vfs) else { panic!("{context}") };
            assert_eq!(files_of(&vfs, STORE), damaged, "{context}");
            let events = check_copy(&vfs, &report, &context);
            let is_copied = |event: &&Event| {
                let copied = events.get(event.sequence() as usize);
                copied.is_some_and(|copied| said(copied) == said(event))
            };
            let copied: Vec<_> = intact.events.iter().filter(is_copied).collect();
            check_account(&intact, &copied, &damaged, &report, &context);
        });
    }
}

#[test]
fn a_missing_segment() {
    let intact = Intact::closed();
    for number in 1..=3 {
        for manifest in [true, false] {
            let mut damaged = intact.files.clone();
            damaged.remove(&name_of(number));
            if !manifest {
                damaged.remove("manifest");
                damaged.remove("head");
            }
            let context = format!("segment {number}, manifest {manifest}");
            let (report, events) = check(&intact, &damaged, &context);
            let lost = intact.events.iter().filter(|event| event.segment() == number).count();
            // Without the manifest and the last segment nothing tells how long the log was.
            let known = manifest || number < 3;
            assert_eq!(report.lost, if known { lost as u64 } else { 0 }, "{context}");
            assert_eq!(
                events.len(),
                intact.events.len() - if known { 0 } else { lost },
                "{context}"
            );
        }
    }
}

#[test]
fn swapped_segments() {
    let intact = Intact::closed();
    for manifest in [true, false] {
        for (one, other) in [(1, 2), (2, 3), (1, 3)] {
            let mut damaged = intact.files.clone();
            damaged.insert(name_of(one), intact.segment(other));
            damaged.insert(name_of(other), intact.segment(one));
            if !manifest {
                damaged.remove("manifest");
            }
            let vfs = disk(&damaged);
            let report = repair(&vfs).unwrap();
            let events = check_copy(&vfs, &report, "swapped");
            assert_eq!((report.kept, report.lost), (intact.events.len() as u64, 0));
            let same = events.iter().zip(&intact.events);
            assert!(same.into_iter().all(|(copy, event)| copy.hash() == event.hash()));
            assert_eq!(report.left_out, []);
        }
    }
}

#[test]
fn a_lost_manifest_and_damage() {
    let intact = Intact::closed();
    let mut damaged = intact.files.clone();
    damaged.remove("manifest");
    let (report, _) = check(&intact, &damaged, "lost");
    assert_eq!((report.appended, report.lost, report.left_out.len()), (0, 0, 0));
    // And the headers of two segments.
    for name in [name_of(1), name_of(2)] {
        damaged.get_mut(&name).unwrap()[100] ^= 1;
    }
    let (report, _) = check(&intact, &damaged, "two headers");
    assert_eq!((report.appended, report.lost, report.left_out.len()), (0, 0, 2));
    // With no header left, nothing tells whether the events are of this log.
    damaged.get_mut(&name_of(3)).unwrap()[100] ^= 1;
    let vfs = disk(&damaged);
    let report = repair(&vfs).unwrap();
    check_copy(&vfs, &report, "no header");
    assert_eq!((report.kept, report.appended), (0, 0));
    assert_eq!(report.lost, intact.events.len() as u64);
    let vfs = disk(&damaged);
    let options = RepairOptions { keep_altered: true, seed: Some(7), ..Default::default() };
    let report = repair_with(&vfs, &options).unwrap();
    assert_eq!((report.kept, report.appended), (0, intact.events.len() as u64));
    check_copy(&vfs, &report, "no header");
}

/// A segment of another store is left out whole; one of a relative, too.
#[test]
fn a_foreign_segment() {
    let intact = Intact::closed();
    let other = SimVfs::default();
    let store = open(&other, STORE, 2, OpenMode::Create).unwrap();
    fill(&store);
    store.close().unwrap();
    let foreign = other.content(&Path::new(STORE).join(name_of(2))).unwrap();
    let mut damaged = intact.files.clone();
    damaged.insert(name_of(2), foreign.clone());
    let (report, _) = check(&intact, &damaged, "another store");
    assert_eq!(report.left_out.len(), 1);
    let left = &report.left_out[0];
    assert_eq!((left.segment, left.offset, left.bytes), (2, 0, foreign.len() as u64));
    damaged = intact.files.clone();
    damaged.insert(name_of(9), foreign);
    let (report, _) = check(&intact, &damaged, "beside");
    assert_eq!((report.appended, report.lost, report.left_out.len()), (0, 0, 1));

    let vfs = disk(&intact.files);
    let store = open(&vfs, STORE, 1, OpenMode::Existing).unwrap();
    let second = intact.events.iter().position(|event| event.segment() == 2).unwrap() as u64;
    store.fork_to("/fork", &ForkOptions { at: Some(second), independent: true }).unwrap();
    let fork = open(&vfs, "/fork", 5, OpenMode::Existing).unwrap();
    fill(&fork);
    let relative = vfs.content(Path::new("/fork/000002.fbat")).unwrap();
    let mut damaged = intact.files.clone();
    damaged.insert(name_of(2), relative);
    let (report, _) = check(&intact, &damaged, "a relative");
    assert_eq!((report.kept, report.left_out.len()), (second, 1));
    assert!(report.appended > 0);
}

/// A repaired fork is a fork of it, and so of what that was a fork of.
#[test]
fn a_fork_of_a_fork() {
    let vfs = disk(&Intact::closed().files);
    let first = open(&vfs, STORE, 1, OpenMode::Existing).unwrap();
    first.fork_to("/child", &ForkOptions { at: Some(20), independent: true }).unwrap();
    let child = open(&vfs, "/child", 2, OpenMode::Existing).unwrap();
    fill(&child);
    let store_id = child.stats().unwrap().store_id;
    child.close().unwrap();
    let intact = Intact::of(files_of(&vfs, "/child"));
    let (report, _) = check(&intact, &intact.files, "intact");
    assert_eq!((report.lost, report.left_out.len()), (0, 0));
    for lost in [10, 30] {
        let (name, range) = intact.place(&intact.events[lost]);
        for manifest in [true, false] {
            let mut damaged = intact.files.clone();
            damaged.get_mut(&name).unwrap()[range.start + 130] ^= 1;
            if !manifest {
                damaged.remove("manifest");
            }
            let (report, _) = check(&intact, &damaged, &format!("{lost}, {manifest}"));
            assert_eq!((report.source, report.lost), (store_id, 1));
            assert!(report.kept as usize <= lost && report.kept as usize + 2 >= lost);
        }
    }
}

/// Where a retention has dropped events, a copy lacks them too; behind damage, their places are held.
#[test]
fn a_compacted_store() {
    let vfs = SimVfs::default();
    let store = open(&vfs, STORE, 1, OpenMode::Create).unwrap();
    fill(&store);
    fill(&store);
    let last = store.head().unwrap().events;
    let mut keep = |event: &Event| Ok(event.sequence() % 5 < 2);
    let keys = Keys { window: 0, ..Keys::default() };
    let retention = Retention { keep: Some(&mut keep), keys, ..Retention::default() };
    let options = CompactOptions { retention: Some(retention), ..Default::default() };
    assert!(store.compact(options).unwrap().events_dropped > 20);
    fill(&store);
    store.close().unwrap();
    let intact = Intact::of(files_of(&vfs, STORE));
    let total = last + 30;
    let mut seen = (0, 0, 0);
    let segments = intact.files.iter().filter(|(name, _)| name.ends_with(".fbat"));
    let places =
        segments.flat_map(|(name, file)| (0..file.len()).step_by(61).map(move |at| (name, at)));
    let nowhere = (intact.files.keys().next().unwrap(), usize::MAX);
    for (name, at) in places.chain([nowhere]) {
        let context = format!("{name}, offset {at}");
        let mut damaged = intact.files.clone();
        damaged.get_mut(name).unwrap().get_mut(at).into_iter().for_each(|byte| *byte ^= 1);
        let vfs = disk(&damaged);
        let report = repair(&vfs).unwrap_or_else(|error| panic!("{context}: {error:?}"));
        assert!(report.verify.is_intact(), "{context}: {:?}", report.verify.findings);
        let RepairReport { kept, appended, dropped, lost, .. } = report;
        assert_eq!(kept + appended + dropped + lost, total, "{context}");
        let copy = open(&vfs, COPY, 1, OpenMode::Existing).unwrap();
        assert!(copy.open_report().clean, "{context}");
        for event in intact.events.iter().filter(|event| intact.is_untouched(event, &damaged)) {
            let copied = copy.at(event.sequence()).unwrap();
            assert_eq!(copied.map(|copied| said(&copied)), Some(said(event)), "{context}");
        }
        let shown = copy.read(Query::default()).unwrap().map(Result::unwrap);
        let held = shown.filter(is_place).count() as u64;
        assert_eq!(held, dropped + lost, "{context}");
        copy.append(&NewEvent::new("user:0", "app", EventKind::DATA, b"on"), None).unwrap();
        copy.compact(CompactOptions::default()).unwrap();
        assert!(copy.verify().unwrap().is_intact(), "{context}");
        if at == usize::MAX {
            assert_eq!((kept, report.left_out.len()), (total, 0));
        }
        seen = (seen.0 + u64::from(kept == total), seen.1.max(dropped), seen.2.max(lost));
    }
    assert!(seen.0 > 3 && seen.1 > 20 && seen.2 > 1, "{seen:?}");
}

// ---------------------------------------------------------------- events that were altered

fn mend(frame: &mut [u8], lineage: Option<&[u8]>) {
    let length = u32::from_le_bytes(frame[..4].try_into().unwrap()) as usize;
    let payload = length - u32::from_le_bytes(frame[84..88].try_into().unwrap()) as usize;
    if let Some(lineage) = lineage {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"batpak.event.2\0").update(&[frame[9] & 1]).update(lineage);
        hasher.update(blake3::hash(&frame[payload..length]).as_bytes());
        hasher.update(&frame[48..payload]);
        frame[16..48].copy_from_slice(hasher.finalize().as_bytes());
    }
    let crc = crc32fast::hash(&[&frame[..4], &frame[8..]].concat());
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// An event whose time is another, with a right checksum, and maybe a right hash.
fn altered(intact: &Intact, event: &Event, with_hash: bool) -> Files {
    let (name, range) = intact.place(event);
    let mut damaged = intact.files.clone();
    let file = damaged.get_mut(&name).unwrap();
    let lineage = file[89..105].to_vec();
    file[range.start + 72] ^= 1;
    mend(&mut file[range], with_hash.then_some(&lineage));
    damaged
}

#[test]
fn an_altered_event_is_left_out_or_marked() {
    let intact = Intact::closed();
    for (event, with_hash) in intact.events.iter().flat_map(|e| [(e, false), (e, true)]) {
        let damaged = altered(&intact, event, with_hash);
        let context = format!("event {}, hash {with_hash}", event.sequence());
        let vfs = disk(&damaged);
        let report = repair(&vfs).unwrap();
        let events = check_copy(&vfs, &report, &context);
        let copied = &events[event.sequence() as usize];
        assert!(is_place(copied), "{context}");
        assert!(report.kept <= event.sequence(), "{context}");
        let left = report.left_out.iter().find(|left| {
            left.offset <= event.offset()
                && left.segment == event.segment()
                && left.offset + left.bytes >= event.offset() + event.stored_bytes() as u64
        });
        assert!(left.is_some(), "{context}: {:?}", report.left_out);
        // The root of the log says which one it was, unless nothing links to it.
        let later = &intact.events[event.sequence() as usize + 1..];
        let mut stream =
            later.iter().filter(|e| (e.entity(), e.lane()) == (event.entity(), event.lane()));
        if !with_hash || stream.any(|next| next.segment() == event.segment()) {
            check(&intact, &damaged, &context);
        }

        let options = RepairOptions { keep_altered: true, seed: Some(7), ..Default::default() };
        let vfs = disk(&damaged);
        let report = repair_with(&vfs, &options).unwrap();
        let events = check_copy(&vfs, &report, &context);
        assert_eq!(report.lost, 0, "{context}");
        let copied = &events[event.sequence() as usize];
        assert_ne!(copied.timestamp_us(), event.timestamp_us(), "{context}");
        let (_, origin) = copied.extensions().find(|(key, _)| *key == "batpak.import").unwrap();
        assert_eq!(origin[1], if with_hash { 8 } else { 1 }, "{context}");
        assert!(report.kept <= event.sequence(), "{context}");
    }
}

/// As many events as a forged sequence skips are not made up: none can be missing where no byte is.
#[test]
fn an_event_whose_sequence_leaps() {
    let intact = Intact::closed();
    for (event, leap) in intact.events.iter().flat_map(|e| [(e, 1 << 11), (e, 1 << 40)]) {
        let context = format!("event {}, leap {leap}", event.sequence());
        let (name, range) = intact.place(event);
        let mut damaged = intact.files.clone();
        let file = damaged.get_mut(&name).unwrap();
        let lineage = file[89..105].to_vec();
        let sequence = (event.sequence() + leap).to_le_bytes();
        file[range.clone()][48..56].copy_from_slice(&sequence);
        mend(&mut file[range], Some(&lineage));
        let vfs = disk(&damaged);
        let report = repair(&vfs).unwrap_or_else(|error| panic!("{context}: {error:?}"));
        let events = check_copy(&vfs, &report, &context);
        assert_eq!(events.len(), intact.events.len(), "{context}");
        assert!(is_place(&events[event.sequence() as usize]), "{context}");
        assert!(report.left_out.iter().any(|left| left.offset == event.offset()), "{context}");
    }
}

// ---------------------------------------------------------------- what misleads a repair

/// A store in one segment.
fn one_segment(events: u32, durability: Durability) -> SimVfs {
    let vfs = SimVfs::default();
    let options = OpenOptions { seed: Some(1), ..OpenOptions::mode(OpenMode::Create) };
    let store = Store::open_on(Arc::new(vfs.clone()), Path::new(STORE), &options).unwrap();
    for number in 0..events {
        let payload = number.to_le_bytes();
        let event = NewEvent::new("user:0", "app", EventKind::DATA, &payload);
        store.append(&event, Some(durability)).unwrap();
    }
    // A store that is dropped is synced, but not in this copy.
    disk(&files_of(&vfs, STORE))
}

/// The trailer of a footer of so many bytes.
fn trailer(bytes: u64, number: u64, prefix_crc: u32) -> Vec<u8> {
    let mut trailer = [bytes.to_le_bytes(), number.to_le_bytes()].concat();
    trailer.extend(prefix_crc.to_le_bytes());
    trailer.extend([0; 4]);
    trailer.extend(crc32fast::hash(&trailer).to_le_bytes());
    trailer.extend(b"SDX4");
    trailer
}

/// What callers write is never taken for a footer, wherever that is said to begin: with the prefix of
/// a footer in an earlier payload or without, and with damage between them or without.
#[test]
fn a_payload_that_imitates_a_footer() {
    let (mut masked, mut cases) = (0, 0);
    for prefix in [false, true] {
        let vfs = one_segment(10, Durability::Durable);
        let store = open(&vfs, STORE, 1, OpenMode::ReadOnly).unwrap();
        let events: Vec<Event> =
            store.read(Query::default()).unwrap().map(Result::unwrap).collect();
        drop(store);
        // The frame of an event with an entity and a scope of one byte, and a predecessor.
        let frame = |payload: usize| (134 + payload).next_multiple_of(8) as u64;
        let last = events.last().unwrap();
        let first = (last.offset() + last.stored_bytes() as u64).next_multiple_of(8);
        let claimed = first + frame(370) - 370 - 8;
        for begins in events.iter().map(Event::offset).chain([claimed]) {
            let vfs = disk(&files_of(&vfs, STORE));
            let options = OpenOptions { seed: Some(2), ..OpenOptions::mode(OpenMode::Existing) };
            let store = Store::open_on(Arc::new(vfs.clone()), Path::new(STORE), &options).unwrap();
            let event = NewEvent::new("e", "s", EventKind::DATA, b"");
            store.append(&event, None).unwrap();
            let place = store.at(10).unwrap().unwrap();
            let next = (place.offset() + place.stored_bytes() as u64).next_multiple_of(8);
            // The payload ends its frame, which ends the file.
            let payload_at = 134;
            let mut payload = vec![0; 402];
            let end = next + payload_at + payload.len() as u64;
            assert_eq!(end % 8, 0);
            let footer = if prefix && begins == claimed { next + payload_at + 2 } else { begins };
            let mut crc = 0;
            if prefix && begins == claimed {
                let mut image = b"SIDX\x02\0\0\0".to_vec();
                for number in [1, 0, 11, footer] {
                    image.extend(number.to_le_bytes());
                }
                image.resize(120, 0);
                image.extend([10, 0, 0, 0, 0, 0, 0, 0]);
                image.resize(368, 0);
                crc = crc32fast::hash(&image);
                payload[2..370].copy_from_slice(&image);
            }
            payload[370..].copy_from_slice(&trailer(end - footer, 1, crc));
            store.append(&NewEvent { payload: &payload, ..event }, None).unwrap();
            store.close().unwrap();
            let files = files_of(&vfs, STORE);
            assert_eq!(files["000001.fbat"].len() as u64, end);
            let intact = Intact::of(files);
            let (report, _) = check(&intact, &intact.files, "imitated");
            assert_eq!((report.kept, report.left_out.len()), (12, 0));
            // And with damage before, so that the frames' headers lead nowhere.
            for event in &intact.events {
                let mut damaged = intact.files.clone();
                damaged.get_mut("000001.fbat").unwrap()[event.offset() as usize] ^= 1;
                let (report, _) = check(&intact, &damaged, "imitated, with damage");
                assert_eq!((report.kept, report.lost), (event.sequence(), 1));
                masked += u64::from(event.offset() == begins);
            }
            cases += 1;
        }
    }
    assert!(masked > 10 && cases == 22, "{masked}, {cases}");
}

/// What was visible is carried over, also where a reader would find the end of the log before it.
#[test]
fn events_that_were_written_and_never_synced() {
    let vfs = one_segment(1000, Durability::Written);
    let intact = Intact::of(files_of(&vfs, STORE));
    let head = &intact.files["head"];
    assert_eq!(u64::from_le_bytes(head[56..64].try_into().unwrap()), 0, "nothing was synced");
    let mut damaged = intact.files.clone();
    damaged.get_mut("000001.fbat").unwrap()[intact.events[3].offset() as usize + 80] ^= 1;
    let (report, _) = check(&intact, &damaged, "written");
    assert_eq!((report.kept, report.appended, report.lost), (3, 996, 1));
    // The places of what nobody has promised are not held.
    let mut cut = damaged.clone();
    cut.get_mut("000001.fbat").unwrap().truncate(intact.events[900].offset() as usize + 50);
    let (report, _) = check(&intact, &cut, "written, and cut");
    assert_eq!((report.kept, report.appended, report.lost), (3, 896, 1));
}

/// A store of 90 events, before and after a compaction that drops some.
fn compacted() -> (Files, Files) {
    let vfs = SimVfs::default();
    let store = open(&vfs, STORE, 1, OpenMode::Create).unwrap();
    for _ in 0..3 {
        fill(&store);
    }
    store.close().unwrap();
    let before = files_of(&vfs, STORE);
    let store = open(&vfs, STORE, 1, OpenMode::Existing).unwrap();
    let mut keep = |event: &Event| Ok(event.sequence() % 5 < 2);
    let keys = Keys { window: 0, ..Keys::default() };
    let retention = Retention { keep: Some(&mut keep), keys, ..Retention::default() };
    let options = CompactOptions { retention: Some(retention), ..Default::default() };
    assert!(store.compact(options).unwrap().events_dropped > 20);
    store.close().unwrap();
    (before, files_of(&vfs, STORE))
}

/// What a retention has decided stands, whichever manifest there is; and forks of the copy open.
#[test]
fn a_manifest_and_segments_of_two_compactions() {
    let (before, after) = compacted();
    let intact = Intact::of(after.clone());
    let both: Files = before.clone().into_iter().chain(after.clone()).collect();
    let with = |files: &Files, manifest: Option<&Files>| {
        let mut files = files.clone();
        files.remove("manifest");
        files.extend(manifest.map(|from| ("manifest".to_owned(), from["manifest"].clone())));
        files
    };
    let cases = [
        ("the old manifest", with(&after, Some(&before)), 0),
        ("no manifest", with(&after, None), 0),
        ("retired segments", with(&both, Some(&after)), 3),
        ("retired segments and no manifest", with(&both, None), 3),
    ];
    for (context, files, least_left) in cases {
        let vfs = disk(&files);
        let report = repair(&vfs).unwrap();
        assert_eq!((report.kept, report.appended, report.lost), (90, 0, 0), "{context}");
        assert_eq!(report.verify.dropped, 90 - intact.events.len() as u64, "{context}");
        assert!(report.left_out.len() >= least_left, "{context}");
        let is_sound = context == "retired segments";
        assert_eq!(report.damage.is_empty(), is_sound, "{context}: {:?}", report.damage);
        let copy = open(&vfs, COPY, 1, OpenMode::Existing).unwrap();
        let events: Vec<Event> = copy.read(Query::default()).unwrap().map(Result::unwrap).collect();
        assert_eq!(events.len(), intact.events.len(), "{context}");
        assert!(events.iter().zip(&intact.events).all(|(copy, event)| chain(copy) == chain(event)));
        for at in (0..=90).step_by(7) {
            let fork = format!("/fork-{at}");
            let options = ForkOptions { at: Some(at), independent: true };
            match copy.fork_to(&fork, &options) {
                Ok(_) => drop(open(&vfs, &fork, 3, OpenMode::Existing).unwrap()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{context}"),
            }
        }
    }
    // With the manifest of before the compaction, its segments are the log.
    let report = repair(&disk(&with(&both, Some(&before)))).unwrap();
    assert_eq!((report.kept, report.verify.dropped), (90, 0));
    assert_eq!(report.damage, [""; 0]);
}

/// An event whose payload was erased is known as such, also where it is appended anew.
#[test]
fn an_erased_event_behind_the_damage() {
    let vfs = SimVfs::default();
    let store = open(&vfs, STORE, 1, OpenMode::Create).unwrap();
    fill(&store);
    let mut keep = |event: &Event| Ok(event.sequence() % 5 != 2);
    let retention =
        Retention { keep: Some(&mut keep), unwanted: Unwanted::Erase, ..Retention::default() };
    let options = CompactOptions { retention: Some(retention), ..Default::default() };
    assert!(store.compact(options).unwrap().tombstones > 3);
    store.close().unwrap();
    let intact = Intact::of(files_of(&vfs, STORE));
    let (name, range) = intact.place(&intact.events[1]);
    let mut damaged = intact.files.clone();
    damaged.get_mut(&name).unwrap()[range.start + 90] ^= 1;
    let (report, events) = check(&intact, &damaged, "erased");
    assert_eq!(report.lost, 1);
    let mut erased = 0;
    for (copy, event) in events.iter().zip(&intact.events).skip(report.kept as usize) {
        if copy.sequence() == 1 {
            continue;
        }
        let (_, origin) = copy.extensions().find(|(key, _)| *key == "batpak.import").unwrap();
        assert_eq!(origin[1], if event.is_erased() { 0x10 } else { 0 });
        erased += u64::from(event.is_erased());
    }
    assert!(erased > 3, "{erased}");
}

/// Whatever is in the manifest's place is as good as nothing.
#[test]
fn a_directory_in_place_of_the_manifest() {
    let scratch = Scratch::new().unwrap();
    let (store, copy) = (scratch.join("store"), scratch.join("copy"));
    std::fs::create_dir(&store).unwrap();
    for (name, bytes) in &Intact::closed().files {
        match name.as_str() {
            "manifest" => std::fs::create_dir(store.join(name)).unwrap(),
            _ => std::fs::write(store.join(name), bytes).unwrap(),
        }
    }
    let report = Store::repair(&store, &copy, &RepairOptions::default()).unwrap();
    assert_eq!((report.kept, report.lost, report.damage.len()), (30, 0, 1));
}

/// Of two damaged copies of a segment, one gives what the other lacks.
#[test]
fn two_damaged_copies_of_one_segment() {
    let intact = Intact::of(files_of(&one_segment(10, Durability::Durable), STORE));
    let flip = |file: &mut Vec<u8>, event: usize| {
        file[intact.events[event].offset() as usize + 90] ^= 1;
    };
    for (one, other) in (0..9).flat_map(|one| (0..9).map(move |other| (one, other))) {
        let mut damaged = intact.files.clone();
        let mut copy = intact.segment(1);
        flip(&mut copy, other);
        flip(damaged.get_mut(&name_of(1)).unwrap(), one);
        damaged.insert(name_of(9), copy);
        let vfs = disk(&damaged);
        let report = repair(&vfs).unwrap();
        let events = check_copy(&vfs, &report, "two copies");
        assert_eq!(report.lost, u64::from(one == other), "{one}, {other}");
        let same = events.iter().zip(&intact.events).filter(|(copy, e)| said(copy) == said(e));
        assert_eq!(same.count() as u64, 10 - report.lost);
        let frames_end = intact.events[9].offset() + intact.events[9].stored_bytes() as u64;
        let bytes: u64 = report.left_out.iter().map(|left| left.bytes).sum();
        let lost = if one == other { intact.events[one].stored_bytes() as u64 } else { 0 };
        assert_eq!(bytes, frames_end - HEADER as u64 + lost, "{one}, {other}");
    }
}

/// A copy's segments are numbered anew, however high the numbers were.
#[test]
fn a_segment_with_the_highest_number() {
    let intact = Intact::closed();
    for number in [(1 << 63) - 1, (1 << 63) - 2] {
        let mut damaged = intact.files.clone();
        let first = damaged.remove(&name_of(1)).unwrap();
        damaged.insert(name_of(number), first);
        let vfs = disk(&damaged);
        let report = repair(&vfs).unwrap();
        check_copy(&vfs, &report, "the highest number");
        assert_eq!((report.kept, report.left_out), (intact.events.len() as u64, vec![]));
        let names: Vec<String> = files_of(&vfs, COPY).into_keys().take(3).collect();
        assert_eq!(names, [name_of(1), name_of(2), name_of(3)]);
    }
}

// ---------------------------------------------------------------- disks that fail

/// A disk that cannot read some bytes of a file, or says that it is longer, or cannot open it.
struct FailingDisk {
    disk: SimVfs,
    name: String,
    range: Range<u64>,
    longer_by: u64,
    open_fails_with: Option<i32>,
}

impl FailingDisk {
    fn repair(self, options: &RepairOptions) -> Result<RepairReport> {
        Store::repair_on(Arc::new(self), Path::new(STORE), Path::new(COPY), options)
    }
}

impl Vfs for FailingDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>> {
        let file = self.disk.open(path, access)?;
        if path != Path::new(STORE).join(&self.name) {
            return Ok(file);
        }
        match self.open_fails_with {
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None => Ok(Arc::new(FailingFile {
                file,
                range: self.range.clone(),
                longer_by: self.longer_by,
            })),
        }
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        self.disk.list(path)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.link(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn lock_dir(&self, path: &Path) -> io::Result<Option<Arc<dyn VfsFile>>> {
        self.disk.lock_dir(path)
    }
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.disk.resolve(path)
    }
}

struct FailingFile {
    file: Arc<dyn VfsFile>,
    range: Range<u64>,
    longer_by: u64,
}

impl VfsFile for FailingFile {
    /// Reads up to the first byte that cannot be read, as Linux does.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.range.contains(&offset) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let most = self.range.start.checked_sub(offset).map_or(buffer.len(), |most| most as usize);
        let bytes = buffer.len().min(most);
        self.file.read_at(&mut buffer[..bytes], offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.size()? + self.longer_by)
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
    fn try_lock_shared(&self) -> io::Result<bool> {
        self.file.try_lock_shared()
    }
    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
    fn is_locked(&self) -> io::Result<bool> {
        self.file.is_locked()
    }
}

/// Only what stands in pages that cannot be read is lost.
#[test]
fn pages_that_cannot_be_read() {
    let vfs = one_segment(1000, Durability::Durable);
    let store = open(&vfs, STORE, 1, OpenMode::Existing).unwrap();
    store.close().unwrap();
    let intact = Intact::of(files_of(&vfs, STORE));
    let options = RepairOptions { seed: Some(7), ..Default::default() };
    let failing = |name: &str, range| FailingDisk {
        disk: disk(&intact.files),
        name: name.to_owned(),
        range,
        longer_by: 0,
        open_fails_with: None,
    };
    let length = intact.segment(1).len() as u64;
    for range in [0..4096, 4096..8192, 40_960..49_152, length / 4096 * 4096..length] {
        let report = failing("000001.fbat", range.clone()).repair(&options).unwrap();
        let hit = |e: &&Event| {
            e.offset() < range.end && range.start < e.offset() + e.stored_bytes() as u64
        };
        let lost: Vec<u64> = intact.events.iter().filter(hit).map(Event::sequence).collect();
        assert!(!lost.is_empty());
        let expected = LostEvents { first_sequence: lost[0], events: lost.len() as u64 };
        assert_eq!(report.lost_events, [expected], "{range:?}");
        assert_eq!(report.kept + report.appended, 1000 - report.lost);
        let told =
            format!("cannot read what is there from offset {} to {}", range.start, range.end);
        let is_told = |why: &String| why.contains(&told) || range.start == 0;
        assert!(report.damage.iter().any(is_told), "{:?}", report.damage);
        assert!(report.left_out.iter().any(|left| left.why.contains("the disk cannot read")));
    }
    for name in ["manifest", "head", "tail.sidx"] {
        let report = failing(name, 0..4096).repair(&options).unwrap();
        assert_eq!((report.kept, report.lost, report.left_out.len()), (1000, 0, 0), "{name}");
        assert_eq!(report.damage.len(), usize::from(name == "manifest"), "{:?}", report.damage);
    }
}

/// What is behind the end of any segment is not read, but told.
#[test]
fn a_file_longer_than_any_segment() {
    let vfs = one_segment(30, Durability::Durable);
    open(&vfs, STORE, 1, OpenMode::Existing).unwrap().close().unwrap();
    let intact = Intact::of(files_of(&vfs, STORE));
    let (end, most) = (intact.segment(1).len() as u64, 16 << 30);
    let failing = FailingDisk {
        disk: disk(&intact.files),
        name: name_of(1),
        range: u64::MAX..u64::MAX,
        longer_by: (1 << 40) - end,
        open_fails_with: None,
    };
    let report = failing.repair(&RepairOptions::default()).unwrap();
    assert_eq!((report.kept, report.appended, report.lost), (30, 0, 0));
    let left: Vec<_> = report.left_out.iter().map(|left| (left.offset, left.bytes)).collect();
    // This disk has no bytes between the log's end and there.
    assert_eq!(left, [(most, (1 << 40) - most)]);
}

/// What fails for want of rights, memory or file handles is no damage: nothing is left out for it.
#[test]
fn a_segment_that_cannot_be_opened() {
    let intact = Intact::closed();
    for code in [libc::EACCES, libc::EMFILE, libc::ENOMEM] {
        for name in [name_of(2), "manifest".to_owned()] {
            let (disk, range) = (disk(&intact.files), 0..0);
            let failing = FailingDisk {
                disk: disk.clone(),
                name,
                range,
                longer_by: 0,
                open_fails_with: Some(code),
            };
            let error = failing.repair(&RepairOptions::default()).unwrap_err();
            assert_eq!((error.kind(), error.os_code()), (ErrorKind::Io, Some(code)));
            assert!(files_of(&disk, "/copies").is_empty());
        }
    }
}

// ---------------------------------------------------------------- ends, crashes and failures

/// The end that a crash leaves is what opening finds.
#[test]
fn a_torn_end() {
    let vfs = SimVfs::default();
    let store = open(&vfs, STORE, 1, OpenMode::Create).unwrap();
    fill(&store);
    let event = NewEvent::new("user:0", "app", EventKind::DATA, &[1; 100]);
    let batch = [event, event, event];
    store.append_batch(&batch, Some(Durability::Buffered)).unwrap();
    store.flush().unwrap();
    let last = store.at(store.head().unwrap().events - 1).unwrap().unwrap();
    let whole = files_of(&vfs, STORE);
    let name = name_of(last.segment());
    let (from, end) = (last.offset() as usize - 300, last.offset() as usize + last.stored_bytes());
    for cut in from..end {
        let mut torn = whole.clone();
        torn.get_mut(&name).unwrap().truncate(cut);
        let context = format!("cut at {cut}");
        let opened = open(&disk(&torn), STORE, 1, OpenMode::Existing).unwrap();
        let expected = opened.verify().unwrap();
        let vfs = disk(&torn);
        let report = repair(&vfs).unwrap();
        check_copy(&vfs, &report, &context);
        assert_eq!((report.verify.events, report.verify.root), (expected.events, expected.root));
        assert_eq!((report.appended, report.lost), (0, 0), "{context}");
        let left: u64 = report.left_out.iter().map(|left| left.bytes).sum();
        assert_eq!(left, opened.open_report().cut_bytes, "{context}");
    }
}

/// After a crash at any change, a repaired copy has what opening finds. It has more only if that was
/// visible, and a power cut took what stood before it.
#[test]
fn a_store_after_a_crash_is_what_opening_finds() {
    let (mut copies, mut cut, mut more) = (0, 0, 0);
    for point in 1.. {
        let vfs = SimVfs::default();
        vfs.fail_at(point, Fault::CrashMidway);
        let event = NewEvent::new("e", "s", EventKind::DATA, &[5; 700]);
        let done = open(&vfs, STORE, 1, OpenMode::Create).and_then(|store| {
            for i in 0..9 {
                let durability = [Durability::Durable, Durability::Written, Durability::Buffered];
                store.append_batch(&[event; 3], Some(durability[i % 3]))?;
            }
            store.close()
        });
        for loss in (0..20).map(Loss::Power).chain([Loss::Process]) {
            let context = format!("point {point}, {loss:?}");
            let found = files_of(&vfs.after_crash(loss), STORE);
            let Ok(opened) = open(&disk(&found), STORE, 1, OpenMode::Existing) else {
                continue;
            };
            let expected = opened.verify().unwrap();
            let vfs = disk(&found);
            let report = repair(&vfs).unwrap();
            check_copy(&vfs, &report, &context);
            if report.appended > 0 {
                let head = &found["head"];
                let visible = u64::from_le_bytes(head[40..48].try_into().unwrap());
                assert!(visible > expected.events || head[72] == 1, "{context}");
                assert!(matches!(loss, Loss::Power(_)), "{context}");
                assert_eq!(report.kept, expected.events, "{context}");
                more += 1;
                continue;
            }
            let copy = (report.verify.events, report.verify.root);
            assert_eq!(copy, (expected.events, expected.root), "{context}");
            assert_eq!((report.appended, report.lost), (0, 0), "{context}");
            let left: u64 = report.left_out.iter().map(|left| left.bytes).sum();
            // Zeros behind what was torn are cut, but nothing that is left out.
            assert!(left <= opened.open_report().cut_bytes, "{context}");
            copies += 1;
            cut += u64::from(left > 0);
        }
        if done.is_ok() {
            break;
        }
    }
    println!("{copies} copies, {cut} of stores with an end that was cut, {more} with more");
    assert!(copies > 300 && cut > 50 && more > 0, "{copies}, {cut}, {more}");
}

/// What is appended anew goes to as many segments as it takes.
#[test]
fn many_events_behind_the_damage() {
    let vfs = SimVfs::default();
    let store = open(&vfs, STORE, 1, OpenMode::Create).unwrap();
    let event = NewEvent::new("user:0", "app", EventKind::DATA, &[3; 80]);
    for _ in 0..6000 {
        store.append(&event, Some(Durability::Written)).unwrap();
    }
    store.close().unwrap();
    let intact = Intact::of(files_of(&vfs, STORE));
    let mut damaged = intact.files.clone();
    for event in intact.events.iter().skip(150).step_by(700) {
        let (name, range) = intact.place(event);
        damaged.get_mut(&name).unwrap()[range.start + 90] ^= 1;
    }
    let (report, _) = check(&intact, &damaged, "many");
    assert_eq!((report.kept, report.appended, report.lost), (150, 5841, 9));
    let vfs = disk(&damaged);
    repair(&vfs).unwrap();
    let segments = files_of(&vfs, COPY).keys().filter(|name| name.ends_with(".fbat")).count();
    assert!(segments > 2, "{segments} segments");
}

/// A store with damage in its first and its second segment.
fn damaged() -> SimVfs {
    let intact = Intact::closed();
    let mut files = intact.files.clone();
    for number in [1, 2] {
        let event = intact.events.iter().filter(|event| event.segment() == number).nth(3).unwrap();
        files.get_mut(&name_of(number)).unwrap()[event.offset() as usize + 120] ^= 1;
    }
    files.get_mut("head").unwrap()[30] ^= 1;
    disk(&files)
}

#[test]
fn twice_gives_the_same() {
    let (one, other) = (damaged(), damaged());
    let reports = [&one, &other].map(|vfs| repair(vfs).unwrap());
    assert_eq!(reports[0], reports[1]);
    assert!(reports[0].kept > 0 && reports[0].appended > 0 && reports[0].lost > 0);
    assert_eq!(files_of(&one, COPY), files_of(&other, COPY));
    assert_eq!(files_of(&one, COPY).len(), 4);
}

/// A copy is repaired like any other store.
#[test]
fn a_repaired_copy_is_damaged_again() {
    let first = damaged();
    let report = repair(&first).unwrap();
    let intact = Intact::of(files_of(&first, COPY));
    let lost = report.lost;
    assert!(lost > 0);
    for event in intact.events.iter().step_by(3) {
        let (name, range) = intact.place(event);
        let mut damaged = intact.files.clone();
        damaged.get_mut(&name).unwrap()[range.start + 20] ^= 1;
        let vfs = disk(&damaged);
        let report = repair(&vfs).unwrap();
        assert!(report.verify.is_intact());
        // No batch is cut.
        let first = report.lost_events[0].first_sequence;
        assert!(report.lost == 1 && (first.saturating_sub(2)..=first).contains(&report.kept));
        assert_eq!(report.kept + report.appended + 1, intact.events.len() as u64);
    }
}

fn state(vfs: &SimVfs, context: &str) -> Option<Files> {
    match open(vfs, COPY, 1, OpenMode::ReadOnly) {
        Ok(copy) => {
            let report = copy.verify().unwrap();
            assert!(report.is_intact(), "{context}: {:?}", report.findings);
            let mut files = files_of(vfs, COPY);
            // The head is never synced, and a marker that was left behind means nothing here.
            files.retain(|name, _| name != "head" && name != "unfinished.tmp");
            Some(files)
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{context}: {error:?}");
            assert!(files_of(vfs, COPY).is_empty(), "{context}");
            None
        }
    }
}

#[test]
fn a_crash_at_any_change() {
    let vfs = damaged();
    repair(&vfs).unwrap();
    let whole = state(&vfs, "undisturbed").unwrap();
    for fault in [Fault::Crash, Fault::CrashMidway] {
        let (mut points, mut nothing, mut all) = (0, 0, 0);
        for point in 1.. {
            let vfs = damaged();
            let source = files_of(&vfs, STORE);
            vfs.fail_at(vfs.changes() + point, fault);
            let done = repair(&vfs);
            let losses = (0..6).map(|seed| Loss::Power(point * 100 + seed)).chain([Loss::Process]);
            for loss in losses {
                let context = format!("{fault:?}, point {point}, {loss:?}");
                let vfs = vfs.after_crash(loss);
                assert_eq!(files_of(&vfs, STORE), source, "{context}");
                let found = state(&vfs, &context);
                assert!(found.as_ref().is_none_or(|found| *found == whole), "{context}");
                assert!(found.is_some() || done.is_err(), "{context}");
                *(if found.is_some() { &mut all } else { &mut nothing }) += 1;
                if found.is_none() {
                    repair(&vfs).unwrap();
                    assert_eq!(state(&vfs, &context).as_ref(), Some(&whole), "{context}: again");
                    let unfinished = files_of(&vfs, "/copies/new.unfinished");
                    assert!(unfinished.is_empty(), "{context}");
                }
            }
            if done.is_ok() {
                break;
            }
            assert!(vfs.crashed());
            points += 1;
        }
        println!("{fault:?}: {points} points, {nothing} times nothing, {all} times all of it");
        assert!(points > 20 && nothing > points && all > 0, "{points}, {nothing}, {all}");
    }
}

#[test]
fn a_full_disk_or_an_error_at_any_change() {
    for (fault, kind) in [(Fault::DiskFull, ErrorKind::DiskFull), (Fault::Io, ErrorKind::Io)] {
        let mut failures = 0;
        for point in 1.. {
            let vfs = damaged();
            let source = files_of(&vfs, STORE);
            vfs.fail_at(vfs.changes() + point, fault);
            let context = format!("{fault:?}, point {point}");
            let done = repair(&vfs);
            assert_eq!(files_of(&vfs, STORE), source, "{context}");
            if vfs.changes() < point {
                break;
            }
            let Err(error) = done else {
                // What failed was the head of the copy, which is advice.
                assert!(state(&vfs, &context).is_some(), "{context}");
                continue;
            };
            failures += 1;
            let is_sync = fault == Fault::DiskFull && error.kind() == ErrorKind::Io;
            assert!(error.kind() == kind || is_sync, "{context}: {error:?}");
            assert!(files_of(&vfs, "/copies/new.unfinished").is_empty(), "{context}");
            if state(&vfs, &context).is_none() {
                let again = repair(&vfs).unwrap();
                assert!(again.verify.is_intact(), "{context}");
            }
        }
        assert!(failures > 20, "{failures}");
    }
}

#[test]
fn a_store_that_somebody_has_open_or_that_is_none() {
    let intact = Intact::closed();
    let vfs = disk(&intact.files);
    let writer = open(&vfs, STORE, 1, OpenMode::Existing).unwrap();
    assert_eq!(repair(&vfs).unwrap_err().kind(), ErrorKind::Locked);
    writer.close().unwrap();
    repair(&vfs).unwrap();
    assert_eq!(repair(&vfs).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(repair(&SimVfs::default()).unwrap_err().kind(), ErrorKind::NotFound);
}
