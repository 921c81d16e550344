//! Tampering: whoever changes a file and mends its checksums is found by `verify`.
//!
//! Frames are taken apart here by the offsets of `docs/format.md`, without the library.

use batpak_core::{ErrorKind, EventKind, FindingKind, NewEvent, OpenOptions, Store};
use batpak_tests::scratch::Scratch;
use std::path::{Path, PathBuf};

/// Six events over two streams, frames of the same size from each stream's second event on.
fn closed_store(scratch: &Scratch) -> PathBuf {
    let path = scratch.join("store");
    let store =
        Store::open(&path, &OpenOptions { seed: Some(1), ..OpenOptions::default() }).unwrap();
    for number in 0..6u8 {
        let entity = ["even", "oddx"][usize::from(number % 2)];
        store.append(&NewEvent::new(entity, "s", EventKind::DATA, &[number; 8]), None).unwrap();
    }
    store.close().unwrap();
    path
}

/// The frames of the first segment: where each begins, and its bytes, padding included.
fn frames(segment: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut at = 192;
    while at < segment.len() {
        let length = u32::from_le_bytes(segment[at..at + 4].try_into().unwrap()) as usize;
        let end = at + length.next_multiple_of(8);
        frames.push((at, segment[at..end].to_vec()));
        at = end;
    }
    frames
}

fn payload_at(frame: &[u8]) -> usize {
    let length = u32::from_le_bytes(frame[0..4].try_into().unwrap()) as usize;
    length - u32::from_le_bytes(frame[84..88].try_into().unwrap()) as usize
}

fn mend_checksum(frame: &mut [u8]) {
    let checked = [&frame[0..4], &frame[8..]].concat();
    frame[4..8].copy_from_slice(&crc32fast::hash(&checked).to_le_bytes());
}

/// Recomputes the event hash with the lineage from the manifest, as a tamperer could.
fn mend_hash(frame: &mut [u8], manifest: &[u8]) {
    let length = u32::from_le_bytes(frame[0..4].try_into().unwrap()) as usize;
    let payload_at = payload_at(frame);
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"batpak.event.2\0\0").update(&manifest[24..40]);
    hasher.update(blake3::hash(&frame[payload_at..length]).as_bytes());
    hasher.update(&frame[48..payload_at]);
    frame[16..48].copy_from_slice(hasher.finalize().as_bytes());
}

/// Changes the frames of a closed store and gives what `verify` finds, with the places.
fn findings(tamper: impl FnOnce(&mut [(usize, Vec<u8>)], &[u8])) -> Vec<(FindingKind, u64)> {
    let scratch = Scratch::new().unwrap();
    let path = closed_store(&scratch);
    let manifest = std::fs::read(path.join("manifest")).unwrap();
    rewrite(&path, |frames| tamper(frames, &manifest));
    let store = Store::open(&path, &OpenOptions::default()).unwrap();
    let report = store.verify().unwrap();
    report.findings.iter().map(|finding| (finding.kind, finding.offset)).collect()
}

fn rewrite(path: &Path, change: impl FnOnce(&mut [(usize, Vec<u8>)])) {
    let segment_path = path.join("000001.fbat");
    let mut segment = std::fs::read(&segment_path).unwrap();
    let mut frames = frames(&segment);
    assert_eq!(frames.len(), 6);
    change(&mut frames);
    segment.truncate(192);
    frames.iter().for_each(|(_, frame)| segment.extend_from_slice(frame));
    std::fs::write(&segment_path, segment).unwrap();
}

#[test]
fn the_untouched_store_is_intact() {
    assert_eq!(findings(|_, _| ()), []);
}

#[test]
fn a_changed_payload_with_a_mended_checksum() {
    let mut at = 0;
    let found = findings(|frames, _| {
        let (offset, frame) = &mut frames[2];
        at = *offset as u64;
        let payload = payload_at(frame);
        frame[payload] ^= 1;
        mend_checksum(frame);
    });
    assert_eq!(found, [(FindingKind::Hash, at)]);
}

/// Every byte under the hash, in an event's middle of nowhere special: kind, flags, timestamp.
#[test]
fn a_changed_field_with_a_mended_checksum() {
    for field in [72, 88, 90, 98] {
        let mut at = 0;
        let found = findings(|frames, _| {
            let (offset, frame) = &mut frames[2];
            at = *offset as u64;
            frame[field] ^= 2;
            mend_checksum(frame);
        });
        assert!(found.contains(&(FindingKind::Hash, at)), "offset {field}: {found:?}");
    }
}

#[test]
fn a_changed_payload_with_a_mended_hash_breaks_the_chain() {
    let mut next = 0;
    let found = findings(|frames, manifest| {
        next = frames[4].0 as u64;
        let frame = &mut frames[2].1;
        let payload = payload_at(frame);
        frame[payload] ^= 1;
        mend_hash(frame, manifest);
        mend_checksum(frame);
    });
    assert!(found.contains(&(FindingKind::Link, next)), "{found:?}");
    assert!(found.iter().any(|(kind, _)| *kind == FindingKind::Root), "{found:?}");
}

#[test]
fn a_rewritten_last_event_changes_the_root() {
    let found = findings(|frames, manifest| {
        let frame = &mut frames[5].1;
        let payload = payload_at(frame);
        frame[payload] ^= 1;
        mend_hash(frame, manifest);
        mend_checksum(frame);
    });
    assert!(!found.is_empty());
    assert!(found.iter().all(|(kind, _)| *kind == FindingKind::Root), "{found:?}");
}

#[test]
fn two_events_that_changed_places() {
    let found = findings(|frames, _| {
        assert_eq!(frames[2].1.len(), frames[3].1.len());
        let (third, fourth) = (frames[2].1.clone(), frames[3].1.clone());
        (frames[2].1, frames[3].1) = (fourth, third);
    });
    assert!(found.iter().any(|(kind, _)| *kind == FindingKind::Sequence), "{found:?}");
}

/// The sequences are mended too, as if the events had been appended in the other order.
#[test]
fn two_events_that_changed_places_with_all_mended() {
    let found = findings(|frames, manifest| {
        let (third, fourth) = (frames[2].1.clone(), frames[3].1.clone());
        (frames[2].1, frames[3].1) = (fourth, third);
        for (number, (_, frame)) in frames.iter_mut().enumerate().skip(2).take(2) {
            frame[48..56].copy_from_slice(&(number as u64).to_le_bytes());
            mend_hash(frame, manifest);
            mend_checksum(frame);
        }
    });
    assert!(found.iter().any(|(kind, _)| *kind == FindingKind::Root), "{found:?}");
}

#[test]
fn a_dropped_last_event() {
    let scratch = Scratch::new().unwrap();
    let path = closed_store(&scratch);
    let segment_path = path.join("000001.fbat");
    let mut segment = std::fs::read(&segment_path).unwrap();
    segment.truncate(frames(&segment)[5].0);
    std::fs::write(&segment_path, segment).unwrap();
    let error = Store::open(&path, &OpenOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.segment(), Some(1));
}

/// The frame's first 16 bytes and its CRC describe storage; no bit of them passes either.
#[test]
fn any_flipped_bit_of_a_frame_is_found() {
    for byte in 0..16 {
        let mut at = 0;
        let found = findings(|frames, _| {
            let (offset, frame) = &mut frames[2];
            at = *offset as u64;
            frame[byte] ^= 1 << (byte % 8);
        });
        assert!(!found.is_empty(), "byte {byte}");
        assert!(found.iter().all(|(_, offset)| *offset >= at), "byte {byte}: {found:?}");
    }
}
