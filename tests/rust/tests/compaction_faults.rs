//! Failures of the file system around compactions: whatever fails, and how often, the store always opens
//! again, with every event that was acknowledged and that nobody dropped.

use batpak_core::{
    CompactOptions, CompactProgress, CompactReport, Error, ErrorKind, Event, EventKind, Keys,
    NewEvent, OpenOptions, Query, Receipt, Result, Retention, Store,
};
use batpak_tests::sim::{Loss, SimVfs};
use batpak_tests::watched::{Call, Fate, Watched};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const STORE: &str = "/store";
const SMALL: u64 = 4096;
/// Segments of [`SMALL`] bytes are worth joining here.
const LARGE: u64 = 40 << 10;

fn open(vfs: &Watched, segment_bytes: u64) -> Result<Store> {
    let options = OpenOptions { segment_bytes, seed: Some(3), ..OpenOptions::default() };
    Store::open_on(Arc::new(vfs.clone()), Path::new(STORE), &options)
}

fn append(store: &Store) -> Result<Receipt> {
    store.append(&NewEvent::new("e", "s", EventKind::DATA, &[7; 500]), None)
}

fn fill(store: &Store, events: usize) {
    for _ in 0..events {
        append(store).unwrap();
    }
}

/// Whether an event stays that a retention here decides about.
fn stays(sequence: u64) -> bool {
    sequence.is_multiple_of(4)
}

fn keep(event: &Event) -> Result<bool> {
    Ok(stays(event.sequence()))
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Callback, "enough")
}

/// Drops what does not stay before a sequence, with a predicate of the caller's.
fn drop_before(
    store: &Store,
    before: u64,
    keep: &mut dyn FnMut(&Event) -> Result<bool>,
) -> Result<CompactReport> {
    let keys = Keys { window: 0, ..Keys::default() };
    let rule = Retention { before: Some(before), keep: Some(keep), keys, ..Retention::default() };
    store.compact(CompactOptions { retention: Some(rule), ..Default::default() })
}

/// Joins segments, until so many have been looked at: then the caller cancels it.
fn join(store: &Store, most: u64) -> Result<CompactReport> {
    let mut progress = |progress: &CompactProgress| match progress.segments_done > most {
        true => Err(cancelled()),
        false => Ok(()),
    };
    store.compact(CompactOptions { progress: Some(&mut progress), ..Default::default() })
}

fn shown(store: &Store) -> Vec<u64> {
    store.read(Query::default()).unwrap().map(|event| event.unwrap().sequence()).collect()
}

/// Opens the store, which shows these events and is intact, closes it, and opens it once more. Nothing
/// is left that is no part of it.
fn check_opens(disk: &SimVfs, expected: impl Iterator<Item = u64>) {
    let vfs = Watched::new(Arc::new(disk.clone()));
    let store = open(&vfs, SMALL).unwrap();
    assert!(shown(&store).into_iter().eq(expected));
    assert_eq!(store.verify().unwrap().findings, []);
    let segments = store.stats().unwrap().segments;
    store.close().unwrap();
    let names = disk.paths().into_iter().filter(|path| path.to_string_lossy().contains(".fbat"));
    assert_eq!(names.count() as u64, segments, "{:?}", disk.paths());
    open(&vfs, SMALL).unwrap();
}

fn no_space_for_the_manifest(call: Call<'_>) -> Fate {
    match call {
        Call::Create { file: "manifest.tmp" } => Fate::Fails(libc::ENOSPC),
        _ => Fate::Done,
    }
}

/// Appends until one is refused for want of space.
fn append_until_full(store: &Store) -> u64 {
    for events in 0.. {
        if let Err(refused) = append(store) {
            assert_eq!(refused.kind(), ErrorKind::DiskFull);
            return events;
        }
    }
    unreachable!()
}

/// The empty segment of a rotation that there was no space for is no part of the store, whatever takes
/// the numbers behind it.
#[test]
fn a_refused_rotation_and_a_cancelled_compaction() {
    let disk = SimVfs::default();
    let vfs = Watched::new(Arc::new(disk.clone()));
    let store = open(&vfs, SMALL).unwrap();
    fill(&store, 60);
    store.close().unwrap();
    let store = open(&vfs, LARGE).unwrap();
    vfs.rule(no_space_for_the_manifest);
    let events = 60 + append_until_full(&store);
    let ended = join(&store, 2).unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Callback);
    vfs.no_rule();
    fill(&store, 200);
    store.close().unwrap();
    check_opens(&disk, 0..events + 200);
}

/// The disk runs full while a compaction is under way, for the rotation of an append beside it, and for
/// the compaction itself when it begins its next segment.
#[test]
fn a_rotation_and_a_compaction_without_space() {
    let disk = SimVfs::default();
    let vfs = Watched::new(Arc::new(disk.clone()));
    let store = open(&vfs, SMALL).unwrap();
    fill(&store, 60);
    let mut appended = 0;
    let mut until_full = |event: &Event| {
        if event.sequence() == 30 {
            let names = disk.paths();
            let begun = names.iter().find(|path| path.to_string_lossy().ends_with(".fbat.tmp"));
            let begun = begun.unwrap().file_name().unwrap().to_string_lossy().into_owned();
            vfs.rule(no_space_for_the_manifest);
            appended = append_until_full(&store);
            vfs.rule(move |call| match call {
                Call::Write { file, .. } if file.ends_with(".fbat.tmp") && file != begun => {
                    Fate::Fails(libc::ENOSPC)
                }
                call => no_space_for_the_manifest(call),
            });
        }
        keep(event)
    };
    let refused = drop_before(&store, 60, &mut until_full).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DiskFull);
    vfs.no_rule();
    fill(&store, 100);
    store.close().unwrap();
    check_opens(&disk, 0..60 + appended + 100);
}

/// Files of a cancelled compaction that could not be removed are removed later, also when another
/// compaction has succeeded since.
#[test]
fn a_cancelled_compaction_whose_files_stay() {
    for reopened in [false, true] {
        let disk = SimVfs::default();
        let vfs = Watched::new(Arc::new(disk.clone()));
        let mut store = open(&vfs, SMALL).unwrap();
        fill(&store, 80);
        let names_before = disk.paths().len();
        vfs.rule(|call| match call {
            Call::Remove { .. } => Fate::Fails(libc::EIO),
            _ => Fate::Done,
        });
        let mut keep_some = |event: &Event| match event.sequence() {
            70 => Err(cancelled()),
            _ => keep(event),
        };
        let ended = drop_before(&store, 80, &mut keep_some).unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::Callback);
        vfs.no_rule();
        assert!(disk.paths().len() > names_before + 1, "nothing was left over");
        if reopened {
            store.close().unwrap();
            store = open(&vfs, SMALL).unwrap();
        }
        assert_eq!(drop_before(&store, 80, &mut keep).unwrap().events_dropped, 60);
        store.close().unwrap();
        check_opens(&disk, (0..80).filter(|at| stays(*at)));
    }
}

/// A panic while the manifest is being replaced: before its rename the old store is there, behind it the
/// new one. Which of them is not known, so that the handle takes no more appends.
#[test]
fn a_panic_while_the_manifest_is_replaced() {
    for behind_the_rename in [false, true] {
        let disk = SimVfs::default();
        let vfs = Watched::new(Arc::new(disk.clone()));
        let store = open(&vfs, SMALL).unwrap();
        fill(&store, 30);
        // The newest segment is sealed first: by a retention that drops nothing.
        drop_before(&store, 0, &mut keep).unwrap();
        let is_renamed = AtomicBool::new(false);
        vfs.rule(move |call| {
            match call {
                Call::Rename { file: "manifest" } if !behind_the_rename => panic!("a defect"),
                Call::Rename { file: "manifest" } => is_renamed.store(true, Ordering::SeqCst),
                Call::SyncDirectory if is_renamed.load(Ordering::SeqCst) => panic!("a defect"),
                _ => {}
            }
            Fate::Done
        });
        let compacting = std::panic::AssertUnwindSafe(|| drop_before(&store, 30, &mut keep));
        assert!(std::panic::catch_unwind(compacting).is_err());
        vfs.no_rule();
        assert_eq!(append(&store).unwrap_err().kind(), ErrorKind::Poisoned);
        assert!(shown(&store).into_iter().eq(0..30));
        // The process is killed now, or it closes what it has.
        let expected = || (0..30).filter(|at| !behind_the_rename || stays(*at));
        check_opens(&disk.after_crash(Loss::Process), expected());
        let _ = store.close();
        drop(store);
        check_opens(&disk, expected());
    }
}

/// A course of appends and compactions in which one in `rate` changes fails, again and again.
fn unlucky_course(seed: u64, rate: u64, code: i32) {
    let disk = SimVfs::default();
    let vfs = Watched::new(Arc::new(disk.clone()));
    let segment_bytes = |n: u64| if n.is_multiple_of(2) { SMALL } else { LARGE };
    let mut store = open(&vfs, segment_bytes(seed)).unwrap();
    let calls = Arc::new(AtomicU64::new(seed << 20));
    let mut acknowledged: Vec<u64> = Vec::new();
    let mut decided = 0;
    for step in 0..60 {
        let calls = calls.clone();
        match mix(seed * 1000 + step) % 3 {
            0 => vfs.no_rule(),
            _ => vfs.rule(move |call| {
                let number = calls.fetch_add(1, Ordering::SeqCst);
                let fails = call.is_change() && mix(number).is_multiple_of(rate);
                if fails { Fate::Fails(code) } else { Fate::Done }
            }),
        }
        match mix(seed * 2000 + step) % 6 {
            0..=2 => {
                let receipts = (0..8).filter_map(|_| append(&store).ok());
                acknowledged.extend(receipts.map(|receipt| receipt.sequence));
            }
            3 => drop(join(&store, mix(seed * 3000 + step) % 8)),
            4 => {
                let before = store.head().unwrap().events / 2;
                decided = decided.max(before);
                drop(drop_before(&store, before, &mut keep));
            }
            _ => {
                vfs.no_rule();
                let _ = store.close();
                drop(store);
                store = open(&vfs, segment_bytes(step)).unwrap_or_else(|error| {
                    panic!("seed {seed}, step {step}: {error:?} {:?}", disk.paths())
                });
                let found = shown(&store);
                let lost = acknowledged.iter().filter(|at| **at >= decided || stays(**at));
                let lost: Vec<_> = lost.filter(|at| found.binary_search(at).is_err()).collect();
                assert!(lost.is_empty(), "seed {seed}, step {step}: {lost:?} are lost");
                assert_eq!(store.verify().unwrap().findings, [], "seed {seed}, step {step}");
            }
        }
    }
}

/// A number that looks random, for another one.
fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[test]
fn failures_again_and_again() {
    for seed in 0..200 {
        let code = [libc::ENOSPC, libc::ENOSPC, libc::EIO, libc::EMFILE][seed as usize % 4];
        unlucky_course(seed, [7, 20, 60][seed as usize % 3], code);
    }
}
