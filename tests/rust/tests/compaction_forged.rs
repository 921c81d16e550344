//! Damage and forgery of compacted stores: what stands for dropped events is where it may be, says what
//! is true, and hides nothing. The forger knows docs/format.md, and mends checksums.

use batpak_core::{
    CompactOptions, ErrorKind, Event, EventKind, FindingKind, Head, Keys, NewEvent, OpenMode,
    OpenOptions, Query, Result, Retention, SnapshotOptions, Store, Unwanted,
};
use batpak_tests::scratch::Scratch;
use batpak_tests::sim::{Loss, SimVfs};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HEADER: usize = 192;
const GAP: u8 = 0xB8;
const DROPPED: u8 = 1 << 4 | 1 << 1;

fn options(mode: OpenMode) -> OpenOptions {
    OpenOptions { segment_bytes: 4096, seed: Some(3), ..OpenOptions::mode(mode) }
}

fn open(vfs: &SimVfs, mode: OpenMode) -> Result<Store> {
    Store::open_on(Arc::new(vfs.clone()), Path::new("/store"), &options(mode))
}

fn fill(store: &Store, events: Range<u64>) {
    for number in events {
        let (entity, payload) = (format!("e{}", number % 3), [number as u8; 100]);
        store.append(&NewEvent::new(&entity, "s", EventKind::DATA, &payload), None).unwrap();
    }
}

fn retain(store: &Store, unwanted: Unwanted, before: u64, stays: impl Fn(u64) -> bool) {
    let mut keep = |event: &Event| Ok(stays(event.sequence()));
    let keys = Keys { window: 0, ..Keys::default() };
    let before = Some(before);
    let rule = Retention { before, keep: Some(&mut keep), unwanted, keys, ..Retention::default() };
    store.compact(CompactOptions { retention: Some(rule), ..Default::default() }).unwrap();
}

fn shown(store: &Store) -> Vec<u64> {
    store.read(Query::default()).unwrap().map(|event| event.unwrap().sequence()).collect()
}

/// A closed store with dropped and erased events, in gaps and in frames of their own.
fn compacted() -> SimVfs {
    let vfs = SimVfs::default();
    let store = open(&vfs, OpenMode::Create).unwrap();
    fill(&store, 0..60);
    retain(&store, Unwanted::Drop, 40, |at| at % 3 == 0);
    retain(&store, Unwanted::Erase, 40, |at| at % 6 == 0);
    fill(&store, 60..66);
    store.close().unwrap();
    vfs
}

/// A store whose events are all in its newest segment, and whose writer was killed.
fn killed() -> SimVfs {
    let vfs = SimVfs::default();
    let store = open(&vfs, OpenMode::Create).unwrap();
    fill(&store, 0..6);
    vfs.after_crash(Loss::Process)
}

// ---------------------------------------------------------------- the forger's tools

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn u64_at(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

fn crc(runs: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    runs.iter().for_each(|run| hasher.update(run));
    hasher.finalize()
}

/// The frames and gaps of a segment.
fn frames(segment: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = HEADER;
    while at + 16 < segment.len() && [0xB7, GAP].contains(&segment[at + 8]) {
        let end = at + u32_at(segment, at).next_multiple_of(8);
        ranges.push(at..end);
        at = end;
    }
    ranges
}

fn mend_frame(frame: &mut [u8]) {
    let check = crc(&[&frame[0..4], &frame[8..10], &frame[12..16]]) as u16;
    frame[10..12].copy_from_slice(&check.to_le_bytes());
    let crc = crc(&[&frame[0..4], &frame[8..]]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Where the footer of a sealed segment begins.
fn footer_at(segment: &[u8]) -> usize {
    segment.len() - u64_at(segment, segment.len() - 32)
}

/// Mends the checksums of a footer, as far as its form is still one.
fn mend_footer(footer: &mut [u8]) {
    let trailer = footer.len() - 32;
    for entry in (0..10).map(|index| 128 + 24 * index) {
        let (from, length) = (u64_at(footer, entry + 8), u64_at(footer, entry + 16));
        if let Some(section) = from.checked_add(length).and_then(|end| footer.get(from..end)) {
            let crc = crc(&[section]).to_le_bytes();
            footer[entry + 4..entry + 8].copy_from_slice(&crc);
        }
    }
    let head = crc(&[&footer[..128 + 240]]).to_le_bytes();
    footer[trailer + 16..trailer + 20].copy_from_slice(&head);
    let crc = crc(&[&footer[trailer..trailer + 24]]).to_le_bytes();
    footer[trailer + 24..trailer + 28].copy_from_slice(&crc);
}

/// A frame that says of an event that it was dropped.
fn dropped(segment: &[u8], frame: Range<usize>) -> Vec<u8> {
    let mut bytes = segment[frame].to_vec();
    let length = u32_at(&bytes, 0);
    let payload = length - u32_at(&bytes, 84);
    let hash = *blake3::hash(&bytes[payload..length]).as_bytes();
    bytes.truncate(payload);
    bytes.extend_from_slice(&hash);
    bytes[9] |= DROPPED;
    let length = bytes.len() as u32;
    bytes[0..4].copy_from_slice(&length.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    mend_frame(&mut bytes);
    bytes
}

/// A gap from an event on, of as many as there are hashes.
fn gap(first_sequence: u64, hashes: &[u8]) -> Vec<u8> {
    let mut gap = vec![0; 24];
    gap[0..4].copy_from_slice(&(24 + hashes.len() as u32).to_le_bytes());
    (gap[8], gap[12]) = (GAP, 24);
    gap[16..24].copy_from_slice(&first_sequence.to_le_bytes());
    gap.extend_from_slice(hashes);
    mend_frame(&mut gap);
    gap
}

fn segment(number: u64) -> PathBuf {
    PathBuf::from(format!("/store/{number:06}.fbat"))
}

/// The first segment that has gaps, and where they are.
fn segment_with_gaps(vfs: &SimVfs) -> (PathBuf, Vec<u8>, Vec<Range<usize>>) {
    let found = vfs.paths().into_iter().find_map(|path| {
        let bytes = vfs.content(&path)?;
        let mut gaps = frames(&bytes);
        gaps.retain(|range| bytes[range.start + 8] == GAP);
        let is_segment = path.extension().is_some_and(|extension| extension == "fbat");
        (is_segment && !gaps.is_empty()).then_some((path, bytes, gaps))
    });
    found.unwrap()
}

// ---------------------------------------------------------------- what is noticed

#[derive(Debug, PartialEq)]
enum Verdict {
    Refused(ErrorKind),
    Found(Vec<FindingKind>),
    Unnoticed,
}

/// What becomes of a store one of whose files has this content. A salvage gives each event once.
fn judge(original: &SimVfs, path: &Path, bytes: Vec<u8>) -> Verdict {
    let vfs = original.after_crash(Loss::Process);
    vfs.set_content(path, bytes);
    if let Ok(salvaged) = open(&vfs, OpenMode::Salvage) {
        let whole = salvaged.read(Query::default()).unwrap().filter_map(Result::ok);
        assert!(whole.map(|event| event.sequence()).is_sorted_by(|a, b| a < b && *b < 66));
    }
    match open(&vfs, OpenMode::Existing) {
        Err(error) => Verdict::Refused(error.kind()),
        Ok(store) => match store.verify().unwrap().findings {
            none if none.is_empty() => Verdict::Unnoticed,
            findings => Verdict::Found(findings.iter().map(|finding| finding.kind).collect()),
        },
    }
}

/// Flips a bit of each of these bytes of a file, mends what is to be mended, and has it noticed.
fn flip(vfs: &SimVfs, path: &Path, places: Range<usize>, bit: u8, mend: impl Fn(&mut [u8])) {
    let bytes = vfs.content(path).unwrap();
    for at in places {
        let mut forged = bytes.clone();
        forged[at] ^= bit;
        mend(&mut forged);
        if forged != bytes {
            assert_ne!(judge(vfs, path, forged), Verdict::Unnoticed, "{path:?}, byte {at}");
        }
    }
}

#[test]
fn every_flipped_byte_is_noticed() {
    let vfs = compacted();
    // What the others say is advice.
    let vital =
        |path: &&PathBuf| path.ends_with("manifest") || path.extension() == Some("fbat".as_ref());
    for path in vfs.paths().iter().filter(vital) {
        let length = vfs.content(path).unwrap().len();
        flip(&vfs, path, 0..length, 0x10, |_| {});
    }
}

#[test]
fn every_flipped_byte_of_a_gap_with_a_mended_checksum() {
    let vfs = compacted();
    let (path, _, gaps) = segment_with_gaps(&vfs);
    for gap in &gaps[..3] {
        flip(&vfs, &path, gap.clone(), 0x10, |bytes| mend_frame(&mut bytes[gap.clone()]));
    }
}

/// The highest bit of an offset says that the event there was dropped.
#[test]
fn every_flipped_byte_of_a_footer_with_mended_checksums() {
    let vfs = compacted();
    let (path, bytes, _) = segment_with_gaps(&vfs);
    let footer = footer_at(&bytes);
    for bit in [1, 0x80] {
        flip(&vfs, &path, footer..bytes.len(), bit, |bytes| mend_footer(&mut bytes[footer..]));
    }
}

/// A gap that lies about which events it stands for, or about how many.
#[test]
fn a_gap_that_lies() {
    use FindingKind::{Frame, Sequence};
    let vfs = compacted();
    let (path, bytes, gaps) = segment_with_gaps(&vfs);
    for gap in &gaps[1..] {
        let next = u64_at(&bytes, gap.start + 16) as u64 + 1;
        for first in [0, next, (1 << 62) - 1, 1 << 62, u64::MAX - 1, u64::MAX] {
            let mut forged = bytes.clone();
            forged[gap.start + 16..gap.start + 24].copy_from_slice(&first.to_le_bytes());
            mend_frame(&mut forged[gap.clone()]);
            // Above 2^62 it is no gap at all.
            let found = if first < 1 << 62 { vec![Sequence, Sequence] } else { vec![Frame] };
            assert_eq!(judge(&vfs, &path, forged), Verdict::Found(found), "sequence {first}");
        }
        for length in [0, 24, gap.len() - 32, gap.len() + 32, u32::MAX as usize] {
            let mut forged = bytes.clone();
            forged[gap.start..gap.start + 4].copy_from_slice(&(length as u32).to_le_bytes());
            let end = (gap.start + length.max(24)).min(bytes.len());
            mend_frame(&mut forged[gap.start..end]);
            let found = Verdict::Found(vec![Frame]);
            assert_eq!(judge(&vfs, &path, forged), found, "length {length}");
        }
    }
}

/// Dropped events in the newest segment, where no compaction has been: they are damage there.
#[test]
fn dropped_events_in_the_newest_segment() {
    let vfs = killed();
    let path = segment(1);
    let bytes = vfs.content(&path).unwrap();
    for range in frames(&bytes) {
        let hash = bytes[range.start + 16..range.start + 48].to_vec();
        let sequence = u64_at(&bytes, range.start + 48) as u64;
        for instead in [dropped(&bytes, range.clone()), gap(sequence, &hash)] {
            let forged = [&bytes[..range.start], &instead, &bytes[range.end..]].concat();
            let verdict = judge(&vfs, &path, forged);
            assert_eq!(verdict, Verdict::Refused(ErrorKind::Corrupt), "event {sequence}");
        }
    }
}

/// A gap that claims the sequences of other segments' events takes nothing from a salvage.
#[test]
fn a_gap_that_claims_the_events_of_others() {
    let vfs = SimVfs::default();
    let store = open(&vfs, OpenMode::Create).unwrap();
    fill(&store, 0..60);
    let last = store.stats().unwrap().segments;
    store.close().unwrap();
    let bytes = vfs.content(&segment(last)).unwrap();
    let first = u64_at(&bytes, frames(&bytes)[0].start + 48) as u64;
    vfs.set_content(&segment(last), [&bytes[..HEADER], &gap(0, &[0; 32 * 60])].concat());
    assert_eq!(open(&vfs, OpenMode::Existing).unwrap_err().kind(), ErrorKind::Corrupt);
    let salvaged = open(&vfs, OpenMode::Salvage).unwrap();
    assert!(shown(&salvaged).into_iter().eq(0..first));
    let twice = format!("segment {last}: events from 0 on are there twice");
    assert_eq!(
        salvaged.open_report().damage,
        [twice, format!("the events {first} to 59 are missing")]
    );
}

fn heads(store: &Store) -> Vec<Head> {
    (0..=store.head().unwrap().events).map(|at| store.head_at(at).unwrap()).collect()
}

/// Whoever can write the files can drop events, as a retention does. No head tells; the counts do.
#[test]
fn what_was_dropped_is_counted() {
    let vfs = SimVfs::default();
    let store = open(&vfs, OpenMode::Create).unwrap();
    fill(&store, 0..60);
    let counts = |store: &Store| {
        let report = store.verify().unwrap();
        assert_eq!(report.findings, []);
        [report.events, report.dropped, report.tombstones, report.erased]
    };
    let noted = heads(&store);
    assert_eq!(counts(&store), [60, 0, 0, 0]);
    retain(&store, Unwanted::Drop, 60, |at| at != 42);
    assert_eq!(counts(&store), [60, 1, 0, 0]);
    retain(&store, Unwanted::Tombstone, 20, |at| at % 2 == 0);
    assert_eq!(counts(&store), [60, 1, 10, 0]);
    retain(&store, Unwanted::Erase, 10, |at| at % 5 != 0);
    assert_eq!(counts(&store), [60, 1, 11, 2]);
    retain(&store, Unwanted::Drop, 10, |at| at % 5 != 0);
    assert_eq!(counts(&store), [60, 3, 9, 0]);
    assert_eq!(heads(&store), noted);
    store.close().unwrap();
    let store = open(&vfs, OpenMode::ReadOnly).unwrap();
    assert_eq!((heads(&store), counts(&store)), (noted, [60, 3, 9, 0]));
}

/// Segments of a newer compaction beside an older manifest: those whose events the listed ones hold are
/// leftovers. One that may be the only one with its events is refused, and stays.
#[test]
fn a_segment_that_is_not_listed_may_be_the_only_one() {
    let scratch = Scratch::new().unwrap();
    let (path, old) = (scratch.join("store"), scratch.join("old"));
    let store = Store::open(&path, &options(OpenMode::Create)).unwrap();
    fill(&store, 0..60);
    store.snapshot_to(&old, &SnapshotOptions { independent: true, earlier: None }).unwrap();
    fill(&store, 60..66);
    retain(&store, Unwanted::Drop, 66, |at| at % 3 == 0);
    store.close().unwrap();
    let names = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name());
    let mut newer: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    newer.retain(|name| name.ends_with(".fbat") && !old.join(name).exists());
    newer.sort();
    let last = newer.pop().unwrap();
    assert!(!newer.is_empty());
    for name in &newer {
        std::fs::copy(path.join(name), old.join(name)).unwrap();
        let opened = Store::open(&old, &options(OpenMode::Existing)).unwrap();
        assert_eq!(opened.open_report().removed, [name.as_str()]);
        assert!(shown(&opened).into_iter().eq(0..60));
    }
    std::fs::copy(path.join(&last), old.join(&last)).unwrap();
    for mode in [OpenMode::Existing, OpenMode::ReadOnly] {
        let refused = Store::open(&old, &options(mode)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt);
    }
    let [kept, copied] = [&path, &old].map(|place| std::fs::read(place.join(&last)).unwrap());
    assert!(kept == copied);
}
