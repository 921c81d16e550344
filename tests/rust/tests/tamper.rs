//! Damage and forgery: whatever is changed in the files, with or without mended checksums, is
//! found by opening, by reading or by verifying. Nothing changed is ever given out as data.
//!
//! The forger here knows docs/format.md and nothing else: the code below is a second, independent
//! reading of that page.

use batpak_core::{
    ErrorKind, EventKind, FindingKind, ForkOptions, Hash, NewEvent, OpenMode, OpenOptions, Query,
    Store,
};
use batpak_tests::sim::{Loss, SimVfs};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HEADER: usize = 192;

fn options(seed: u64, mode: OpenMode) -> OpenOptions {
    OpenOptions { segment_bytes: 4096, seed: Some(seed), mode, ..Default::default() }
}

fn open(vfs: &SimVfs) -> batpak_core::Result<Store> {
    Store::open_on(Arc::new(vfs.clone()), Path::new("/store"), &options(1, OpenMode::Existing))
}

/// A store of several segments; its last one unsealed.
fn build(seed: u64, close: bool) -> SimVfs {
    let vfs = SimVfs::default();
    let options = options(seed, OpenMode::Create);
    let store = Store::open_on(Arc::new(vfs.clone()), Path::new("/store"), &options).unwrap();
    for i in 0..45u8 {
        let entity = format!("user:{}", i % 3);
        let payload = [i; 100];
        let mut event = NewEvent::new(&entity, "app", EventKind::new(1, 1).unwrap(), &payload);
        event.timestamp_us = Some(1000 + i64::from(i));
        store.append(&event, None).unwrap();
    }
    assert_eq!(store.stats().unwrap().segments, 3);
    if close {
        store.close().unwrap();
        return vfs;
    }
    let killed = vfs.after_crash(Loss::Process);
    drop(store);
    killed
}

fn segment(number: u64) -> PathBuf {
    PathBuf::from(format!("/store/{number:06}.fbat"))
}

/// All that a reader could be given, or the error that stopped it.
fn content(store: &Store) -> batpak_core::Result<Vec<(u64, Hash, Vec<u8>)>> {
    let event = |event: batpak_core::Result<batpak_core::Event>| {
        event.map(|event| (event.sequence(), event.hash(), event.payload().to_vec()))
    };
    store.read(Query::default())?.map(event).collect()
}

#[derive(Debug, PartialEq)]
enum Verdict {
    /// Opening refused it.
    Refused(ErrorKind),
    /// Reading or verifying found it.
    Found(Vec<FindingKind>),
    /// The same events came out.
    Harmless,
    /// Something else came out, and nobody said so.
    Silent,
}

fn judge(vfs: &SimVfs, original: &[(u64, Hash, Vec<u8>)]) -> Verdict {
    let store = match open(vfs) {
        Ok(store) => store,
        Err(error) => return Verdict::Refused(error.kind()),
    };
    let read = content(&store);
    let report = store.verify().expect("verify gives a report");
    if !report.is_intact() {
        return Verdict::Found(report.findings.iter().map(|finding| finding.kind).collect());
    }
    match read {
        Ok(read) if read == original => Verdict::Harmless,
        Err(error) => Verdict::Refused(error.kind()),
        Ok(_) => Verdict::Silent,
    }
}

// ---------------------------------------------------------------- the forger's tools

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The frames of a segment, as ranges without the footer.
fn frames(segment: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = HEADER;
    while at + 16 < segment.len() && segment[at + 8] == 0xB7 {
        let end = at + u32_at(segment, at).next_multiple_of(8);
        ranges.push(at..end);
        at = end;
    }
    ranges
}

fn crc(runs: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    runs.iter().for_each(|run| hasher.update(run));
    hasher.finalize()
}

fn mend_crc(frame: &mut [u8]) {
    let check = crc(&[&frame[0..4], &frame[8..10], &frame[12..16]]) as u16;
    frame[10..12].copy_from_slice(&check.to_le_bytes());
    let crc = crc(&[&frame[0..4], &frame[8..]]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

fn payload_at(frame: &[u8]) -> usize {
    let present = frame[99];
    let optional = [8, 8, 32, 16, 16];
    let optional: usize =
        (0..5).filter(|bit| present & 1 << bit != 0).map(|bit| optional[bit]).sum();
    let lengths = [92, 94, 96].map(|at| u16::from_le_bytes([frame[at], frame[at + 1]]) as usize);
    100 + optional + lengths.iter().sum::<usize>()
}

fn prev_hash_at(frame: &[u8]) -> Option<usize> {
    let before = [8, 8];
    (frame[99] & 4 != 0).then(|| {
        100 + (0..2).filter(|bit| frame[99] & 1 << bit != 0).map(|bit| before[bit]).sum::<usize>()
    })
}

/// Recomputes the event hash, then the checksum.
fn mend_hash(frame: &mut [u8], lineage: &[u8]) {
    let start = payload_at(frame);
    let length = u32_at(frame, 0);
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"batpak.event.2\0\0").update(lineage);
    hasher.update(blake3::hash(&frame[start..length]).as_bytes());
    hasher.update(&frame[48..start]);
    frame[16..48].copy_from_slice(hasher.finalize().as_bytes());
    mend_crc(frame);
}

fn lineage(segment: &[u8]) -> Vec<u8> {
    segment[89..105].to_vec()
}

/// Mends every hash and every link of a segment from its first frame on, as far as the streams
/// go within it.
fn mend_all(segment: &mut [u8]) {
    let lineage = lineage(segment);
    let mut last: HashMap<Vec<u8>, [u8; 32]> = HashMap::new();
    for range in frames(segment) {
        let frame = &mut segment[range];
        let name = frame[payload_at(frame) - 9..payload_at(frame) - 3].to_vec();
        if let (Some(at), Some(hash)) = (prev_hash_at(frame), last.get(&name)) {
            frame[at..at + 32].copy_from_slice(hash);
        }
        mend_hash(frame, &lineage);
        last.insert(name, <[u8; 32]>::try_from(&frame[16..48]).unwrap());
    }
}

/// A store with one segment rewritten by the forger; closed and killed, each verdict must be
/// that something was found.
fn forge(number: u64, forgery: impl Fn(&mut Vec<u8>)) -> Vec<Verdict> {
    [true, false]
        .map(|close| {
            let vfs = build(1, close);
            let original = content(&open(&vfs).unwrap()).unwrap();
            let vfs = build(1, close);
            let mut bytes = vfs.content(&segment(number)).unwrap();
            forgery(&mut bytes);
            vfs.set_content(&segment(number), bytes);
            // The index of the last close is advice; a forger would remove it.
            let bare = vfs.after_crash(Loss::Process);
            bare.set_content(Path::new("/store/tail.sidx"), Vec::new());
            for vfs in [&vfs, &bare] {
                let verdict = judge(&vfs.after_crash(Loss::Process), &original);
                let found = matches!(verdict, Verdict::Refused(_) | Verdict::Found(_));
                assert!(found, "segment {number}, closed {close}: {verdict:?}");
            }
            judge(&vfs, &original)
        })
        .into()
}

// ---------------------------------------------------------------- the forgeries

/// Recovery row 13.
#[test]
fn an_edited_field_with_a_mended_checksum() {
    for number in [1, 2, 3] {
        forge(number, |segment| {
            let range = frames(segment)[2].clone();
            let frame = &mut segment[range];
            frame[72] ^= 1;
            mend_crc(frame);
        });
    }
}

#[test]
fn an_edited_field_with_a_mended_hash() {
    for number in [1, 2, 3] {
        forge(number, |segment| {
            let lineage = lineage(segment);
            let range = frames(segment)[2].clone();
            let frame = &mut segment[range];
            frame[72] ^= 1;
            mend_hash(frame, &lineage);
        });
    }
}

#[test]
fn another_entity_with_a_mended_checksum() {
    forge(2, |segment| {
        let range = frames(segment)[3].clone();
        let frame = &mut segment[range];
        let at = payload_at(frame) - 4;
        frame[at] ^= 1;
        mend_crc(frame);
    });
}

#[test]
fn a_replaced_payload_with_every_later_hash_mended() {
    // In a sealed segment the root in the footer, in the next header and in the manifest say
    // otherwise; in the newest one the root of the last close does.
    for number in [1, 2] {
        forge(number, |segment| {
            let range = frames(segment)[1].clone();
            let at = range.start + payload_at(&segment[range]);
            segment[at] ^= 1;
            mend_all(segment);
        });
    }
    let vfs = build(1, true);
    let original = content(&open(&vfs).unwrap()).unwrap();
    let mut bytes = vfs.content(&segment(3)).unwrap();
    let at = frames(&bytes)[1].start + 150;
    bytes[at] ^= 1;
    mend_all(&mut bytes);
    vfs.set_content(&segment(3), bytes);
    assert_eq!(
        judge(&vfs.after_crash(Loss::Process), &original),
        Verdict::Found(vec![FindingKind::Root, FindingKind::Root, FindingKind::Footer])
    );
    vfs.set_content(&PathBuf::from("/store/tail.sidx"), Vec::new());
    assert_eq!(judge(&vfs, &original), Verdict::Refused(ErrorKind::Corrupt));
}

#[test]
fn two_events_swapped() {
    for number in [1, 3] {
        forge(number, |segment| {
            let all = frames(segment);
            let (first, second) = (all[3].clone(), all[4].clone());
            let (a, b) = (segment[first.clone()].to_vec(), segment[second.clone()].to_vec());
            let both = [b, a].concat();
            segment[first.start..second.end].copy_from_slice(&both);
        });
    }
}

#[test]
fn two_events_swapped_with_everything_mended() {
    forge(1, |segment| {
        let all = frames(segment);
        let (first, second) = (all[3].clone(), all[4].clone());
        let (mut a, mut b) = (segment[first.clone()].to_vec(), segment[second.clone()].to_vec());
        for at in 48..56 {
            std::mem::swap(&mut a[at], &mut b[at]);
        }
        let both = [b, a].concat();
        segment[first.start..second.end].copy_from_slice(&both);
        mend_all(segment);
    });
}

#[test]
fn an_event_dropped_and_the_rest_moved_up() {
    for number in [1, 3] {
        forge(number, |segment| {
            let range = frames(segment)[4].clone();
            let bytes = range.len();
            segment.drain(range);
            if number != 3 {
                // Keep the length that the manifest lists.
                segment.splice(HEADER..HEADER, std::iter::repeat_n(0, bytes));
            }
        });
    }
}

/// Recovery row 50.
#[test]
fn an_event_dropped_and_the_rest_renumbered() {
    forge(3, |segment| {
        let range = frames(segment)[4].clone();
        segment.drain(range);
        for (index, range) in frames(segment).into_iter().enumerate().skip(4) {
            let frame = &mut segment[range];
            let sequence = u64::from_le_bytes(frame[48..56].try_into().unwrap());
            assert!(index >= 4);
            frame[48..56].copy_from_slice(&(sequence - 1).to_le_bytes());
        }
        mend_all(segment);
    });
}

#[test]
fn a_replayed_event() {
    for number in [1, 3] {
        forge(number, |segment| {
            let all = frames(segment);
            let copy = segment[all[0].clone()].to_vec();
            let at = all[1].end;
            segment.splice(at..at, copy);
        });
    }
}

#[test]
fn the_last_events_cut_at_a_frame_boundary() {
    for cut in 1..5 {
        forge(3, |segment| {
            let all = frames(segment);
            let end = all[all.len() - cut].start;
            segment.truncate(end);
        });
    }
}

#[test]
fn a_segment_of_another_store() {
    let other = build(2, true);
    for number in [1, 2, 3] {
        let bytes = other.content(&segment(number)).unwrap();
        let verdicts = forge(number, |segment| *segment = bytes.clone());
        let refused = Verdict::Refused(ErrorKind::Corrupt);
        assert!(verdicts.iter().all(|verdict| *verdict == refused), "{verdicts:?}");
    }
    let vfs = build(1, true);
    vfs.set_content(&segment(4), other.content(&segment(1)).unwrap());
    assert_eq!(judge(&vfs, &[]), Verdict::Refused(ErrorKind::Corrupt));
}

#[test]
fn missing_swapped_duplicated_and_renamed_segments() {
    for close in [true, false] {
        let original = build(1, close);
        let bytes = |number| original.content(&segment(number)).unwrap();
        let cases: Vec<Vec<(u64, Option<Vec<u8>>)>> = vec![
            vec![(1, Some(bytes(2))), (2, Some(bytes(1)))],
            vec![(2, Some(bytes(1)))],
            vec![(2, Some(bytes(3))), (3, Some(bytes(2)))],
            vec![(4, Some(bytes(3)))],
            vec![(4, Some(bytes(1)))],
        ];
        for case in cases {
            let vfs = build(1, close);
            for (number, bytes) in case {
                vfs.set_content(&segment(number), bytes.unwrap());
            }
            assert_eq!(judge(&vfs, &[]), Verdict::Refused(ErrorKind::Corrupt));
        }
        for missing in 1..=3 {
            let vfs = SimVfs::default();
            for path in original.paths().into_iter().filter(|path| *path != segment(missing)) {
                vfs.set_content(&path, original.content(&path).unwrap());
            }
            assert_eq!(judge(&vfs, &[]), Verdict::Refused(ErrorKind::Corrupt), "{missing}");
        }
    }
}

/// Bytes of a frame that the event hash does not cover are checked by other means.
#[test]
fn bytes_outside_the_event_hash() {
    for number in [1, 3] {
        // The batch bit, set and with the checksums mended.
        forge(number, |segment| {
            let range = frames(segment)[4].clone();
            segment[range.start + 9] ^= 1;
            mend_crc(&mut segment[range]);
        });
        // A sync that nobody can have confirmed when the frame was written.
        forge(number, |segment| {
            let range = frames(segment)[4].clone();
            segment[range.start + 14] = 1;
            mend_crc(&mut segment[range]);
        });
        // The padding.
        forge(number, |segment| {
            let padded = |range: &Range<usize>| !u32_at(segment, range.start).is_multiple_of(8);
            let range = frames(segment).into_iter().find(padded).unwrap();
            segment[range.end - 1] = 1;
            mend_crc(&mut segment[range]);
        });
    }
}

/// A salvage does not take what stands in a payload for an event.
#[test]
fn a_salvage_is_not_deceived_by_payloads() {
    let other = build(2, true).content(&segment(1)).unwrap();
    let forged = other[frames(&other)[0].clone()].to_vec();
    for pad in 0..8 {
        let vfs = SimVfs::default();
        let create = options(1, OpenMode::Create);
        let store = Store::open_on(Arc::new(vfs.clone()), Path::new("/store"), &create).unwrap();
        let payload = [vec![0; pad], forged.repeat(3)].concat();
        store.append(&NewEvent::new("e", "s", EventKind::DATA, &payload), None).unwrap();
        store.append(&NewEvent::new("e", "s", EventKind::DATA, b"after"), None).unwrap();
        let damaged = vfs.after_crash(Loss::Process);
        for at in [0, 8, 60] {
            let mut bytes = vfs.content(&segment(1)).unwrap();
            bytes[HEADER + at] ^= 1;
            damaged.set_content(&segment(1), bytes);
            let salvage = options(1, OpenMode::Salvage);
            let store =
                Store::open_on(Arc::new(damaged.clone()), Path::new("/store"), &salvage).unwrap();
            let read = content(&store).unwrap();
            assert_eq!(read.len(), 1, "pad {pad}, damage at {at}");
            assert_eq!((read[0].0, &*read[0].2), (1, b"after".as_slice()));
        }
    }
}

#[test]
fn an_event_of_a_newer_format() {
    // A bit that is reserved in the state byte, and one for an optional field.
    for (at, bit) in [(9, 0x04), (9, 0x80), (99, 0x20)] {
        let vfs = build(1, false);
        let mut bytes = vfs.content(&segment(3)).unwrap();
        let last = frames(&bytes).pop().unwrap();
        bytes[last.start + at] |= bit;
        mend_crc(&mut bytes[last]);
        vfs.set_content(&segment(3), bytes);
        assert_eq!(judge(&vfs, &[]), Verdict::Refused(ErrorKind::Unsupported));
    }
}

/// What a kill leaves of a frame whose payload is itself a segment, frame headers and all.
#[test]
fn a_torn_event_that_holds_frames() {
    let other = build(2, true).content(&segment(1)).unwrap();
    for pad in 0..8 {
        let vfs = SimVfs::default();
        let create = options(1, OpenMode::Create);
        let store = Store::open_on(Arc::new(vfs.clone()), Path::new("/store"), &create).unwrap();
        let durable = NewEvent::new("e", "s", EventKind::DATA, b"durable");
        store.append(&durable, None).unwrap();
        let payload = [vec![0; pad], other.clone()].concat();
        let torn = NewEvent::new("e", "s", EventKind::DATA, &payload);
        store.append(&torn, Some(batpak_core::Durability::Written)).unwrap();
        let killed = vfs.after_crash(Loss::Process);
        let mut bytes = killed.content(&segment(1)).unwrap();
        bytes.truncate(bytes.len() - 8);
        killed.set_content(&segment(1), bytes);
        let store = open(&killed).unwrap();
        assert_eq!(store.head().unwrap().events, 1);
        assert_eq!(store.open_report().cut_reason, "the frame is cut off");
    }
}

#[test]
fn an_older_manifest_put_back() {
    let vfs = SimVfs::default();
    let create = options(1, OpenMode::Create);
    let store = Store::open_on(Arc::new(vfs.clone()), Path::new("/store"), &create).unwrap();
    let event = NewEvent::new("e", "s", EventKind::DATA, &[0; 1000]);
    store.append(&event, None).unwrap();
    let manifest = PathBuf::from("/store/manifest");
    let old = vfs.content(&manifest).unwrap();
    for _ in 0..10 {
        store.append(&event, None).unwrap();
    }
    store.close().unwrap();
    vfs.set_content(&manifest, old);
    assert_eq!(open(&vfs).unwrap_err().kind(), ErrorKind::Corrupt);
}

// ---------------------------------------------------------------- forks

/// A fork of a fork, which has a segment of each of the three, in the place of the store.
fn build_fork() -> SimVfs {
    let vfs = SimVfs::default();
    let path = |name: &str| PathBuf::from(format!("/{name}"));
    let open = |name: &str, seed| {
        let options = options(seed, OpenMode::Create);
        let store = Store::open_on(Arc::new(vfs.clone()), &path(name), &options).unwrap();
        let event = NewEvent::new("e", "s", EventKind::DATA, &[1; 300]);
        store.append_batch(&[event; 6], None).unwrap();
        (0..6).for_each(|_| assert!(store.append(&event, None).is_ok()));
        store
    };
    let fork = |store: &Store, name: &str, at| {
        let options = ForkOptions { at: Some(at), ..Default::default() };
        store.fork_to(path(name), &options).unwrap()
    };
    fork(&open("stem", 1), "branch", 10);
    fork(&open("branch", 2), "fork", 20);
    open("fork", 3).close().unwrap();
    let alone = SimVfs::default();
    for path in vfs.paths() {
        if let Ok(name) = path.strip_prefix("/fork") {
            alone.set_content(&Path::new("/store").join(name), vfs.content(&path).unwrap());
        }
    }
    let store = self::open(&alone.after_crash(Loss::Process)).unwrap();
    assert_eq!(store.stats().unwrap().segments, 4);
    assert_intact_fork(&store);
    alone
}

fn assert_intact_fork(store: &Store) {
    assert_eq!(store.verify().unwrap().findings, []);
    assert_eq!(store.head().unwrap().events, 32);
}

/// Where the ancestors begin in the manifest of the fork, which has four segments.
const ANCESTORS: usize = 136 + 4 * 32;
const ANCESTOR: usize = 56;

fn forge_manifest(forgery: impl Fn(&mut Vec<u8>)) -> Verdict {
    let vfs = build_fork();
    let original = content(&open(&vfs.after_crash(Loss::Process)).unwrap()).unwrap();
    let manifest = Path::new("/store/manifest");
    let mut bytes = vfs.content(manifest).unwrap();
    assert_eq!(bytes.len(), ANCESTORS + 2 * ANCESTOR + 4);
    bytes.truncate(bytes.len() - 4);
    forgery(&mut bytes);
    let crc = crc(&[&bytes]);
    bytes.extend_from_slice(&crc.to_le_bytes());
    vfs.set_content(manifest, bytes);
    judge(&vfs, &original)
}

#[test]
fn a_forged_parent() {
    let refused = Verdict::Refused(ErrorKind::Corrupt);
    let root = Verdict::Found(vec![FindingKind::Root]);
    for place in [0, 1].map(|nth| ANCESTORS + nth * ANCESTOR) {
        // Another store, whose segments these are not.
        assert_eq!(forge_manifest(|bytes| bytes[place] ^= 1), refused);
        // Another root over what is common.
        assert_eq!(forge_manifest(|bytes| bytes[place + 30] ^= 1), root);
    }
    let events = |nth: usize| ANCESTORS + nth * ANCESTOR + 16;
    // More events than are common, as many as the parent has, and more than there are.
    assert_eq!(forge_manifest(|bytes| bytes[events(0)] += 1), root);
    assert_eq!(forge_manifest(|bytes| bytes[events(1)] += 1), root);
    assert_eq!(forge_manifest(|bytes| bytes[events(1)] = 21), refused);
    assert_eq!(forge_manifest(|bytes| bytes[events(0)] = 33), refused);
    // Fewer: then a segment is of a store that did not have all of it.
    assert_eq!(forge_manifest(|bytes| bytes[events(0)] = 10), refused);
    assert_eq!(forge_manifest(|bytes| bytes[events(1)] = 1), refused);
    // No parent, or no grandparent.
    let cut = |bytes: &mut Vec<u8>, ancestors: usize| {
        bytes[132] = ancestors as u8;
        bytes.truncate(ANCESTORS + ancestors * ANCESTOR);
    };
    assert_eq!(forge_manifest(|bytes| cut(bytes, 0)), refused);
    assert_eq!(forge_manifest(|bytes| cut(bytes, 1)), refused);
    // The parent twice.
    let twice = |bytes: &mut Vec<u8>| {
        bytes.copy_within(ANCESTORS..ANCESTORS + 16, ANCESTORS + ANCESTOR);
    };
    assert_eq!(forge_manifest(twice), refused);
}

/// Segments of relatives, with the same lineage and the same first events.
#[test]
fn a_segment_of_a_relative() {
    let vfs = build_fork();
    let original = content(&open(&vfs.after_crash(Loss::Process)).unwrap()).unwrap();
    let refused = Verdict::Refused(ErrorKind::Corrupt);
    for number in 1..=4u64 {
        for other in 1..=4u64 {
            let damaged = vfs.after_crash(Loss::Process);
            damaged.set_content(&segment(number), vfs.content(&segment(other)).unwrap());
            let verdict = judge(&damaged, &[]);
            assert!(number == other || verdict == refused, "{other} as {number}: {verdict:?}");
        }
        // The header of each with the store id of another ancestor, or of none.
        let ids: Vec<_> =
            (1..=4).map(|n| vfs.content(&segment(n)).unwrap()[73..89].to_vec()).collect();
        for id in ids.iter().chain([&vec![9; 16]]) {
            let mut bytes = vfs.content(&segment(number)).unwrap();
            if bytes[73..89] == **id {
                continue;
            }
            bytes[73..89].copy_from_slice(id);
            let crc = crc(&[&bytes[..188]]);
            bytes[188..192].copy_from_slice(&crc.to_le_bytes());
            let damaged = vfs.after_crash(Loss::Process);
            damaged.set_content(&segment(number), bytes);
            // The fork may have written any of them again, and the parent those that it has.
            let verdict = judge(&damaged, &original);
            let may_be = *id == ids[3] || *id == ids[1] && number < 3;
            let expected = if may_be { &Verdict::Harmless } else { &refused };
            assert_eq!(verdict, *expected, "{number}");
        }
    }
}

// ---------------------------------------------------------------- damage of every byte

/// Changes every file of a store at every place and counts the verdicts.
fn sweep(vfs: &SimVfs, change: impl Fn(&[u8], usize) -> Option<Vec<u8>>) -> (u64, u64) {
    let original = content(&open(&vfs.after_crash(Loss::Process)).unwrap()).unwrap();
    let (mut noticed, mut harmless) = (0, 0);
    for path in vfs.paths() {
        let bytes = vfs.content(&path).unwrap();
        let advice = path.ends_with("head") || path.ends_with("tail.sidx");
        // Behind the frames of a store that was not closed lies reserved space.
        let frames_end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        let reserved = (frames_end + 1).next_multiple_of(8);
        for at in 0..bytes.len() {
            let Some(changed) = change(&bytes, at) else { continue };
            let damaged = vfs.after_crash(Loss::Process);
            damaged.set_content(&path, changed);
            match judge(&damaged, &original) {
                Verdict::Refused(ErrorKind::Corrupt | ErrorKind::Unsupported)
                | Verdict::Found(_) => noticed += 1,
                Verdict::Harmless if advice || at >= reserved => harmless += 1,
                verdict => panic!("{} at {at}: {verdict:?}", path.display()),
            }
        }
    }
    (noticed, harmless)
}

fn flip(mask: u8) -> impl Fn(&[u8], usize) -> Option<Vec<u8>> {
    move |bytes, at| {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= mask;
        Some(flipped)
    }
}

/// Recovery row 15.
#[test]
fn every_byte_flipped_in_a_closed_store() {
    for mask in [0x01, 0x80] {
        let (noticed, harmless) = sweep(&build(1, true), flip(mask));
        assert!(noticed > 12_000, "{noticed} noticed, {harmless} harmless");
    }
}

#[test]
fn every_byte_flipped_in_a_killed_store() {
    for mask in [0x01, 0xff] {
        let (noticed, harmless) = sweep(&build(1, false), flip(mask));
        assert!(noticed > 10_000, "{noticed} noticed, {harmless} harmless");
    }
}

/// Recovery rows 15, 117.
#[test]
fn every_truncation() {
    for close in [true, false] {
        let (noticed, _) = sweep(&build(1, close), |bytes, at| Some(bytes[..at].to_vec()));
        assert!(noticed > 10_000, "{noticed} noticed");
    }
}

#[test]
fn every_byte_flipped_in_a_fork() {
    let (noticed, harmless) = sweep(&build_fork(), flip(0x01));
    assert!(noticed > 8_000, "{noticed} noticed, {harmless} harmless");
}

/// Salvage gives what is left: every event but the damaged one.
#[test]
fn a_salvage_reads_everything_but_the_damaged_event() {
    let vfs = build(1, true);
    let original = content(&open(&vfs).unwrap()).unwrap();
    let vfs = build(1, true);
    let mut bytes = vfs.content(&segment(2)).unwrap();
    let broken = frames(&bytes)[3].clone();
    bytes[broken.start + 60] ^= 1;
    vfs.set_content(&segment(2), bytes);
    let salvage = options(1, OpenMode::Salvage);
    let store = Store::open_on(Arc::new(vfs), Path::new("/store"), &salvage).unwrap();
    let read = content(&store).unwrap();
    let lost: Vec<_> = original.iter().filter(|event| !read.contains(event)).collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(read.len() + 1, original.len());
    let lost = lost[0].0;
    assert_eq!(
        store.open_report().damage,
        [
            format!(
                "segment 2: nothing can be read from offset {} to {}",
                broken.start, broken.end
            ),
            format!("the events {lost} to {lost} are missing"),
        ]
    );
    assert!(store.at(lost).unwrap().is_none());
    assert_eq!(store.at(lost + 1).unwrap().unwrap().sequence(), lost + 1);
}
