//! The rows of the table "The crate's recovery rows" in `docs/recovery.md` that no other test shows, for
//! stores of this format; and that the table and the tests name each other. Those for stores of the
//! batpak crate 0.x are in `recovery_rows_0x.rs`.

use batpak_core::{
    CompactOptions, CompactReport, Durability, ErrorKind, Event, EventKind, FenceOptions, Id,
    NewEvent, OpenMode, OpenOptions, Query, Receipt, Result, Retention, Store,
};
use batpak_tests::scratch::Scratch;
use batpak_tests::sim::{Fault, Loss, SimVfs};
use batpak_tests::watched::{Call, Fate, Watched};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/store";
const HEADER_BYTES: usize = 192;

fn options(mode: OpenMode) -> OpenOptions {
    OpenOptions {
        segment_bytes: 4096,
        seed: Some(1),
        buffer_ms: u32::MAX,
        mode,
        ..Default::default()
    }
}

fn open_at(vfs: &SimVfs, path: &str, mode: OpenMode) -> Result<Store> {
    Store::open_on(Arc::new(vfs.clone()), Path::new(path), &options(mode))
}

fn open(vfs: &SimVfs) -> Result<Store> {
    open_at(vfs, DIR, OpenMode::Create)
}

fn kind_of<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// What is done to a file, and what to a part of one.
type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
type Forgery<'a> = &'a dyn Fn(&mut [u8]);

fn file(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// Changes a file behind the store's back.
fn change(vfs: &SimVfs, name: &str, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = vfs.content(&file(name)).unwrap();
    how(&mut bytes);
    vfs.set_content(&file(name), bytes);
}

/// All files but one.
fn without(vfs: &SimVfs, name: &str) -> SimVfs {
    let rest = SimVfs::default();
    for path in vfs.paths().into_iter().filter(|path| *path != file(name)) {
        rest.set_content(&path, vfs.content(&path).unwrap());
    }
    rest
}

fn event(payload: &[u8]) -> NewEvent<'_> {
    NewEvent::new("e", "s", EventKind::DATA, payload)
}

fn append(store: &Store, durability: Durability, payloads: Range<u8>) {
    for payload in payloads {
        store.append(&event(&[payload; 100]), Some(durability)).unwrap();
    }
}

fn events(store: &Store) -> Result<Vec<Event>> {
    store.read(Query::default())?.collect()
}

/// The first bytes of all payloads.
fn firsts(store: &Store) -> Vec<u8> {
    events(store).unwrap().iter().map(|event| event.payload()[0]).collect()
}

fn assert_holds(store: &Store, payloads: Range<u8>, context: &str) {
    assert_eq!(firsts(store), Vec::from_iter(payloads), "{context}");
    assert_eq!(store.verify().unwrap().findings, [], "{context}");
}

/// A closed store of three segments, the last of them unsealed, with this many events.
const EVENTS: u8 = 45;

fn closed() -> SimVfs {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    append(&store, Durability::Written, 0..EVENTS);
    assert_eq!(store.stats().unwrap().segments, 3);
    store.close().unwrap();
    vfs
}

// ---------------------------------------------------------------- bytes, as docs/format.md has them

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn put_crc(bytes: &mut [u8], of: Range<usize>, at: usize) {
    let crc = crc32fast::hash(&bytes[of]);
    put(bytes, at, &crc.to_le_bytes());
}

fn frames(segment: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = HEADER_BYTES;
    while at + 16 < segment.len() && segment[at + 8] == 0xB7 {
        let end = at + u32_at(segment, at).next_multiple_of(8);
        ranges.push(at..end);
        at = end;
    }
    ranges
}

fn mend_frame(frame: &mut [u8]) {
    let check = crc32fast::hash(&[&frame[0..4], &frame[8..10], &frame[12..16]].concat()) as u16;
    put(frame, 10, &check.to_le_bytes());
    let crc = crc32fast::hash(&[&frame[0..4], &frame[8..]].concat());
    put(frame, 4, &crc.to_le_bytes());
}

const TRAILER_BYTES: usize = 32;
/// What the footer's own checksum covers.
const FOOTER_PREFIX_BYTES: usize = 128 + 10 * 24;

/// Where the footer of a sealed segment, or the one in the index of a close, begins.
fn footer_at(bytes: &[u8]) -> usize {
    bytes.len() - u32_at(bytes, bytes.len() - TRAILER_BYTES)
}

fn mend_footer(bytes: &mut [u8]) {
    let (start, trailer) = (footer_at(bytes), bytes.len() - TRAILER_BYTES);
    put_crc(bytes, start..start + FOOTER_PREFIX_BYTES, trailer + 16);
    put_crc(bytes, trailer..trailer + 24, trailer + 24);
}

// ---------------------------------------------------------------- opening

/// Recovery row 3. Whatever name of the store's is a link or a directory: nothing is read or written through
/// it, and it keeps a writer from opening, not from going on later.
#[test]
fn row_3_nothing_is_written_through_a_link() {
    use std::os::unix::fs::symlink;
    let listed = ["head", "tail.sidx", "manifest", "000001.fbat", "000002.fbat"];
    let written_later = ["manifest.tmp", "tail.sidx.tmp", "000002.fbat.tmp", "000003.fbat"];
    for name in listed.into_iter().chain(written_later).chain(["fence-1-1.tmp"]) {
        for is_link in [true, false] {
            let scratch = Scratch::new().unwrap();
            let path = scratch.join("store");
            let options = options(OpenMode::Create);
            let store = Store::open(&path, &options).unwrap();
            append(&store, Durability::Written, 0..30);
            store.close().unwrap();
            let target = scratch.join("target");
            std::fs::write(&target, b"mine").unwrap();
            let _ = std::fs::remove_file(path.join(name));
            match is_link {
                true => symlink(&target, path.join(name)).unwrap(),
                false => std::fs::create_dir(path.join(name)).unwrap(),
            }
            let files = || -> BTreeMap<_, _> {
                let names = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
                names.map(|path| (path.clone(), std::fs::read(path).ok())).collect()
            };
            let before = files();
            let context = format!("{name}, a link: {is_link}");
            for mode in [OpenMode::Existing, OpenMode::Create] {
                let refused = Store::open(&path, &OpenOptions { mode, ..options.clone() });
                let refused = refused.err().unwrap();
                assert_eq!(refused.kind(), ErrorKind::Io, "{context}: {refused}");
                assert!(refused.path().unwrap().ends_with(name), "{context}: {refused}");
            }
            // What is written later only is no affair of readers.
            for mode in [OpenMode::ReadOnly, OpenMode::Salvage] {
                let opened = Store::open(&path, &OpenOptions { mode, ..options.clone() });
                match opened {
                    Ok(store) if written_later.contains(&name) || name.starts_with("fence") => {
                        assert_holds(&store, 0..30, &context);
                    }
                    Ok(_) => assert_eq!(mode, OpenMode::Salvage, "{context}"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "{context}: {error}"),
                }
            }
            assert_eq!(std::fs::read(&target).unwrap(), b"mine", "{context}");
            assert_eq!(files(), before, "{context}");
        }
    }
}

// ---------------------------------------------------------------- head and the index of the last close

/// Recovery rows 14, 19. The index of the last close is used as far as it goes, and what was appended
/// behind it is found; without one, all of the segment is.
#[test]
fn rows_14_and_19_what_is_behind_the_index_is_found() {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    append(&store, Durability::Durable, 0..5);
    store.close().unwrap();
    drop(store);
    let store = open(&vfs).unwrap();
    append(&store, Durability::Durable, 5..9);
    let killed = vfs.after_crash(Loss::Process);
    for mode in [OpenMode::ReadOnly, OpenMode::Existing] {
        assert_holds(&open_at(&killed, DIR, mode).unwrap(), 0..9, "killed");
    }
    // Damage in what the index covers is not met by opening: that begins behind it.
    let second = frames(&killed.content(&file("000001.fbat")).unwrap())[1].start;
    let damaged = vfs.after_crash(Loss::Process);
    change(&damaged, "000001.fbat", |bytes| bytes[second + 110] ^= 1);
    let store = open_at(&damaged, DIR, OpenMode::ReadOnly).unwrap();
    assert_eq!(store.head().unwrap().events, 9);
    assert_eq!(kind_of(store.at(1)), ErrorKind::Corrupt);
    assert_eq!(store.at(8).unwrap().unwrap().payload(), [8; 100]);
    drop(store);
    assert_eq!(kind_of(open(&without(&damaged, "tail.sidx"))), ErrorKind::Corrupt);

    // A log that was empty when it was closed has no index, and is found from its first frame on.
    let vfs = SimVfs::default();
    open(&vfs).unwrap().close().unwrap();
    let store = open(&vfs).unwrap();
    append(&store, Durability::Durable, 0..3);
    let killed = vfs.after_crash(Loss::Process);
    assert_eq!(killed.content(&file("tail.sidx")), None);
    assert_holds(&open(&killed).unwrap(), 0..3, "never closed with events");
}

/// Recovery row 16. A head and an index of a later version are passed over, since the log says all that
/// they say.
#[test]
fn row_16_newer_advice_is_passed_over() {
    let newer_index = |bytes: &mut Vec<u8>| {
        bytes[4] = 3;
        mend_footer(bytes);
    };
    let newer_trailer = |bytes: &mut Vec<u8>| {
        let end = bytes.len();
        bytes[end - 1] = b'5';
    };
    let newer_head = |bytes: &mut Vec<u8>| {
        bytes[6] = b'3';
        put_crc(bytes, 0..92, 92);
    };
    let changes: [(&str, Change<'_>); 3] =
        [("tail.sidx", &newer_index), ("tail.sidx", &newer_trailer), ("head", &newer_head)];
    for (name, how) in changes {
        let vfs = closed();
        let before = vfs.content(&file(name)).unwrap();
        change(&vfs, name, how);
        assert_ne!(vfs.content(&file(name)).unwrap(), before);
        assert_holds(&open_at(&vfs, DIR, OpenMode::ReadOnly).unwrap(), 0..EVENTS, name);
        let store = open(&vfs).unwrap();
        assert!(store.open_report().clean, "{name}");
        assert_holds(&store, 0..EVENTS, name);
    }
}

/// Recovery rows 18, 24. An index of another close, of another segment, or of another store is not used.
#[test]
fn row_18_an_index_of_something_else_is_passed_over() {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    append(&store, Durability::Durable, 0..3);
    store.close().unwrap();
    let earlier = vfs.content(&file("tail.sidx")).unwrap();
    let store = open(&vfs).unwrap();
    append(&store, Durability::Durable, 3..6);
    store.close().unwrap();
    let later = closed().content(&file("tail.sidx")).unwrap();
    let other = SimVfs::default();
    let seed = OpenOptions { seed: Some(2), ..options(OpenMode::Create) };
    let store = Store::open_on(Arc::new(other.clone()), Path::new(DIR), &seed).unwrap();
    append(&store, Durability::Durable, 0..6);
    store.close().unwrap();
    let foreign = other.content(&file("tail.sidx")).unwrap();
    for (name, index) in [("earlier", earlier), ("later", later), ("foreign", foreign)] {
        assert_ne!(vfs.content(&file("tail.sidx")).unwrap(), index, "{name}");
        let vfs = vfs.after_crash(Loss::Process);
        vfs.set_content(&file("tail.sidx"), index);
        let store = open(&vfs).unwrap();
        assert_holds(&store, 0..6, name);
        append(&store, Durability::Durable, 6..7);
        assert_holds(&open(&vfs.after_crash(Loss::Process)).unwrap(), 0..7, name);
    }
}

/// Recovery row 26. A close that cannot write its index says so, and has lost nothing.
#[test]
fn row_26_a_close_without_its_index_loses_nothing() {
    let disk = SimVfs::default();
    let watched = Watched::new(Arc::new(disk.clone()));
    let options = options(OpenMode::Create);
    let store = Store::open_on(Arc::new(watched.clone()), Path::new(DIR), &options).unwrap();
    append(&store, Durability::Buffered, 0..3);
    watched.rule(|call| match call {
        Call::Write { file, .. } if file.starts_with("tail.sidx") => Fate::Fails(libc::ENOSPC),
        _ => Fate::Done,
    });
    assert_eq!(kind_of(store.close()), ErrorKind::DiskFull);
    assert_eq!(kind_of(store.head()), ErrorKind::Closed);
    for loss in [Loss::Process, Loss::Power(1), Loss::Power(2)] {
        assert_holds(&open(&disk.after_crash(loss)).unwrap(), 0..3, "closed");
    }
}

// ---------------------------------------------------------------- frames and footers

/// Recovery rows 30, 32. A frame whose length or whose fields cannot be, under right checksums: cut where
/// nothing was synced, refused where it was, and never given out.
#[test]
fn rows_30_and_32_frames_that_cannot_be() {
    let too_long = |frame: &mut [u8]| put(frame, 0, &67_371_009_u32.to_le_bytes());
    let endless = |frame: &mut [u8]| put(frame, 0, &u32::MAX.to_le_bytes());
    let too_short = |frame: &mut [u8]| put(frame, 0, &99_u32.to_le_bytes());
    let lengths = |frame: &mut [u8]| put(frame, 92, &2_u16.to_le_bytes());
    let names = |frame: &mut [u8]| {
        // The entity, the scope and the payload are the last 102 bytes.
        let length = u32_at(frame, 0);
        frame[length - 102] = 0xff;
    };
    let forgeries: [Forgery<'_>; 5] = [&too_long, &endless, &too_short, &lengths, &names];
    for (nth, forge) in forgeries.into_iter().enumerate() {
        let forge = |vfs: &SimVfs, segment: &str, frame: usize| {
            change(vfs, segment, |bytes| {
                let range = frames(bytes)[frame].clone();
                forge(&mut bytes[range.clone()]);
                mend_frame(&mut bytes[range]);
            });
        };
        // The last event, which was written and not synced.
        let vfs = SimVfs::default();
        let store = open(&vfs).unwrap();
        append(&store, Durability::Durable, 0..2);
        append(&store, Durability::Written, 2..3);
        let killed = vfs.after_crash(Loss::Process);
        forge(&killed, "000001.fbat", 2);
        assert_holds(&open_at(&killed, DIR, OpenMode::ReadOnly).unwrap(), 0..2, "reader");
        let store = open(&killed).unwrap();
        assert!(store.open_report().cut_bytes > 0, "forgery {nth}");
        assert_holds(&store, 0..2, "writer");
        // One that was synced, and one in a sealed segment.
        let killed = vfs.after_crash(Loss::Process);
        forge(&killed, "000001.fbat", 1);
        assert_eq!(kind_of(open(&killed)), ErrorKind::Corrupt, "forgery {nth}");
        let vfs = closed();
        forge(&vfs, "000001.fbat", 1);
        let store = open(&vfs).unwrap();
        assert_eq!(kind_of(store.at(1)), ErrorKind::Corrupt, "forgery {nth}");
        assert_eq!(kind_of(events(&store)), ErrorKind::Corrupt, "forgery {nth}");
        assert_ne!(store.verify().unwrap().findings, [], "forgery {nth}");
        assert_eq!(store.at(2).unwrap().unwrap().payload(), [2; 100]);
    }
}

/// Recovery rows 38, 39, 41. A footer of a later version is refused as such; one whose frames end elsewhere,
/// or that begins elsewhere, is refused, though its checksums are right.
#[test]
fn rows_38_39_and_41_footers_that_do_not_fit() {
    let forged = |forge: Forgery<'_>| {
        let vfs = closed();
        change(&vfs, "000001.fbat", |bytes| {
            forge(bytes);
            mend_footer(bytes);
        });
        let modes = [OpenMode::Existing, OpenMode::ReadOnly];
        let kinds = modes.map(|mode| kind_of(open_at(&vfs, DIR, mode)));
        assert_eq!(kinds[0], kinds[1]);
        kinds[0]
    };
    // Nothing changed, it opens: the checksums are mended rightly.
    let vfs = closed();
    change(&vfs, "000001.fbat", |bytes| mend_footer(bytes));
    assert_holds(&open(&vfs).unwrap(), 0..EVENTS, "mended");

    let at_footer = |bytes: &mut [u8], at: usize, value: u64| {
        let start = footer_at(bytes);
        put(bytes, start + at, &value.to_le_bytes());
    };
    let version = forged(&|bytes| {
        let start = footer_at(bytes);
        bytes[start + 4] = 3;
    });
    assert_eq!(version, ErrorKind::Unsupported);
    assert_eq!(forged(&|bytes| at_footer(bytes, 120, 11)), ErrorKind::Unsupported);
    let frames_end = footer_at(&closed().content(&file("000001.fbat")).unwrap()) as u64;
    for wrong in [0, 8, HEADER_BYTES as u64, frames_end - 8, frames_end + 8, u64::MAX] {
        assert_eq!(forged(&|bytes| at_footer(bytes, 32, wrong)), ErrorKind::Corrupt, "{wrong}");
    }
    // The trailer's word for how long the footer is.
    for wrong in [0, TRAILER_BYTES as u64, frames_end, 1 << 40, u64::MAX] {
        let vfs = closed();
        change(&vfs, "000001.fbat", |bytes| {
            let trailer = bytes.len() - TRAILER_BYTES;
            put(bytes, trailer, &wrong.to_le_bytes());
            put_crc(bytes, trailer..trailer + 24, trailer + 24);
        });
        assert_eq!(kind_of(open(&vfs)), ErrorKind::Corrupt, "{wrong}");
    }
}

/// Recovery rows 42, 43. A sealed segment has its footer, and a right one; without it the frames are all
/// found by a salvage.
#[test]
fn rows_42_and_43_a_footer_that_is_gone_or_wrong() {
    let gone = |bytes: &mut Vec<u8>| bytes.truncate(footer_at(bytes));
    let wrong = |bytes: &mut Vec<u8>| {
        let start = footer_at(bytes);
        bytes[start + 60] ^= 1;
    };
    let changes: [Change<'_>; 2] = [&gone, &wrong];
    for how in changes {
        for name in ["000001.fbat", "000002.fbat"] {
            let vfs = closed();
            change(&vfs, name, how);
            for mode in [OpenMode::Existing, OpenMode::ReadOnly] {
                assert_eq!(kind_of(open_at(&vfs, DIR, mode)), ErrorKind::Corrupt, "{name}");
            }
            let salvaged = open_at(&vfs, DIR, OpenMode::Salvage).unwrap();
            assert_eq!(firsts(&salvaged), Vec::from_iter(0..EVENTS), "{name}");
            let report = salvaged.open_report();
            assert!(!report.clean && report.damage.len() == 1, "{name}: {report:?}");
        }
    }
}

// ---------------------------------------------------------------- batches

/// Recovery rows 53, 54, 58, 62. Cut anywhere, there are the single events before it and either all of a
/// batch or nothing of it; with it goes a single one behind it.
#[test]
fn rows_53_54_58_and_62_a_batch_cut_anywhere() {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    append(&store, Durability::Written, 0..1);
    let payloads = [[1; 50], [2; 50], [3; 50]];
    let batch = payloads.each_ref().map(|payload| event(payload));
    store.append_batch(&batch, Some(Durability::Written)).unwrap();
    append(&store, Durability::Written, 4..5);
    let killed = vfs.after_crash(Loss::Process);
    assert_holds(&open(&killed).unwrap(), 0..5, "whole");
    let bytes = vfs.content(&file("000001.fbat")).unwrap();
    let ends: Vec<usize> = frames(&bytes).iter().map(|frame| frame.end).collect();
    assert_eq!(ends.len(), 5);
    for length in HEADER_BYTES..=ends[4] {
        // The head says how far the file went: it goes, as it would with a power cut.
        let cut = without(&vfs, "head");
        cut.set_content(&file("000001.fbat"), bytes[..length].to_vec());
        let whole = ends.iter().filter(|end| **end <= length).count() as u8;
        let expected = if (2..4).contains(&whole) { 1 } else { whole };
        let context = format!("{length} bytes");
        assert_holds(&open_at(&cut, DIR, OpenMode::ReadOnly).unwrap(), 0..expected, &context);
        assert_holds(&open(&cut).unwrap(), 0..expected, &context);
    }
}

/// Recovery row 61. Damage in any frame of a batch takes the whole batch where it was not synced, and is
/// refused where it was.
#[test]
fn row_61_damage_within_a_batch() {
    for durability in [Durability::Written, Durability::Durable] {
        let vfs = SimVfs::default();
        let store = open(&vfs).unwrap();
        append(&store, Durability::Durable, 0..1);
        let batch = [event(&[1; 50]), event(&[2; 50]), event(&[3; 50])];
        store.append_batch(&batch, Some(durability)).unwrap();
        for damaged in 1..4 {
            let vfs = vfs.after_crash(Loss::Process);
            change(&vfs, "000001.fbat", |bytes| {
                let frame = frames(bytes)[damaged].clone();
                bytes[frame.end - 9] ^= 1;
            });
            match durability {
                Durability::Durable => assert_eq!(kind_of(open(&vfs)), ErrorKind::Corrupt),
                _ => assert_holds(&open(&vfs).unwrap(), 0..1, "cut"),
            }
        }
    }
}

/// Recovery rows 64, 81. Keyed appends that are repeated after a crash at any change: there once, with the
/// receipts of the time before if they were there.
#[test]
fn rows_64_and_81_keyed_appends_repeated_after_any_crash() {
    let id = |number: u8| Some(Id([number; 16]));
    let payload = [7; 2000];
    let single = NewEvent { id: id(1), ..event(&payload) };
    let batch = [2, 3, 4].map(|number| NewEvent { id: id(number), ..event(&payload) });
    let work = |store: &Store| -> Result<[Vec<Receipt>; 2]> {
        Ok([vec![store.append(&single, None)?], store.append_batch(&batch, None)?])
    };
    let (mut anew, mut again) = (0, 0);
    for fault in [Fault::Crash, Fault::CrashMidway] {
        for point in 1.. {
            let vfs = SimVfs::default();
            vfs.fail_at(point, fault);
            let lived = open(&vfs).and_then(|store| work(&store).and_then(|_| store.close()));
            if lived.is_ok() {
                break;
            }
            for loss in [Loss::Process, Loss::Power(point), Loss::Power(!point)] {
                let context = format!("{fault:?} at {point}, {loss:?}");
                let vfs = vfs.after_crash(loss);
                let store = open(&vfs).unwrap();
                let found: BTreeMap<Id, (u64, _)> = events(&store)
                    .unwrap()
                    .iter()
                    .map(|event| (event.id(), (event.sequence(), event.hash())))
                    .collect();
                assert!([0, 1, 4].contains(&found.len()), "{context}: {}", found.len());
                let receipts = work(&store).unwrap();
                for receipt in receipts.iter().flatten() {
                    let before = found.get(&receipt.id).copied();
                    assert_eq!(receipt.duplicate, before.is_some(), "{context}");
                    assert!(
                        before.is_none_or(|b| b == (receipt.sequence, receipt.hash)),
                        "{context}"
                    );
                    *(if receipt.duplicate { &mut again } else { &mut anew }) += 1;
                }
                assert_eq!(store.head().unwrap().events, 4, "{context}");
                drop(store);
                let store = open(&vfs.after_crash(Loss::Power(point))).unwrap();
                for (first, second) in
                    receipts.iter().flatten().zip(work(&store).unwrap().iter().flatten())
                {
                    assert!(second.duplicate, "{context}");
                    assert_eq!((first.sequence, first.hash), (second.sequence, second.hash));
                }
                assert_eq!(store.head().unwrap().events, 4, "{context}");
            }
        }
    }
    assert!(anew > 50 && again > 50, "{anew} anew, {again} again");
}

// ---------------------------------------------------------------- fences, keys

/// Recovery row 71. A copy that is made while a fence is open has nothing of it, whether it is cancelled
/// or committed then.
#[test]
fn row_71_copies_beside_a_fence() {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    append(&store, Durability::Durable, 0..3);
    let fence = store.begin_fence(&FenceOptions { memory_bytes: 0 }).unwrap();
    fence.append(&[NewEvent { id: Some(Id([9; 16])), ..event(&[9; 500]) }]).unwrap();
    store.snapshot_to("/first", &Default::default()).unwrap();
    store.fork_to("/branch", &Default::default()).unwrap();
    fence.cancel().unwrap();
    store.snapshot_to("/second", &Default::default()).unwrap();
    for path in ["/first", "/branch", "/second"] {
        let copy = open_at(&vfs, path, OpenMode::Existing).unwrap();
        assert_holds(&copy, 0..3, path);
        // Its ids are free.
        let other = NewEvent { id: Some(Id([9; 16])), ..event(&[3; 10]) };
        assert!(!copy.append(&other, None).unwrap().duplicate, "{path}");
        let names = vfs.paths();
        assert!(!names.iter().any(|name| name.to_string_lossy().contains("fence")), "{names:?}");
    }
}

/// Recovery row 72. No file holds the keys alone: without head and index they are found all the same.
#[test]
fn row_72_keys_are_in_the_log() {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    let keyed = |number: u8| NewEvent { id: Some(Id([number; 16])), ..event(&[7; 100]) };
    for number in 1..=EVENTS {
        store.append(&keyed(number), None).unwrap();
    }
    store.close().unwrap();
    let bare = without(&without(&vfs, "head"), "tail.sidx");
    bare.set_content(&file("head"), vec![0xff; 96]);
    let store = open(&bare).unwrap();
    for number in 1..=EVENTS {
        let receipt = store.append(&keyed(number), None).unwrap();
        assert_eq!((receipt.sequence, receipt.duplicate), (u64::from(number) - 1, true));
    }
    assert_eq!(store.head().unwrap().events, u64::from(EVENTS));
}

/// Recovery row 73. Where the ids of a sealed segment cannot be read, a keyed append is refused rather
/// than done twice.
#[test]
fn row_73_damaged_keys_let_nothing_in_twice() {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    let keyed = NewEvent { id: Some(Id([1; 16])), ..event(&[0; 100]) };
    store.append(&keyed, None).unwrap();
    append(&store, Durability::Written, 1..EVENTS);
    store.close().unwrap();
    change(&vfs, "000001.fbat", |bytes| {
        // The second section of the footer: its record is behind the first one's, its offset in it.
        let start = footer_at(bytes);
        let ids = start + u32_at(bytes, start + 128 + 24 + 8);
        bytes[ids] ^= 1;
    });
    let store = open(&vfs).unwrap();
    assert_eq!(kind_of(store.append(&keyed, None)), ErrorKind::Corrupt);
    assert_eq!(kind_of(store.get(Id([1; 16]))), ErrorKind::Corrupt);
    assert_eq!(store.head().unwrap().events, u64::from(EVENTS));
    assert_ne!(store.verify().unwrap().findings, []);
}

// ---------------------------------------------------------------- compaction

fn compact(store: &Store) -> Result<CompactReport> {
    let retention = Some(Retention { before: Some(30), ..Default::default() });
    store.compact(CompactOptions { retention, ..Default::default() })
}

fn segments(vfs: &SimVfs) -> BTreeSet<String> {
    let names = vfs.paths().into_iter();
    let names = names.map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".fbat")).collect()
}

fn assert_refused(vfs: &SimVfs, context: &str) {
    for mode in [OpenMode::ReadOnly, OpenMode::Existing] {
        assert_eq!(kind_of(open_at(vfs, DIR, mode)), ErrorKind::Corrupt, "{context}, {mode:?}");
    }
}

/// Recovery rows 99, 100. Behind a compaction its segments must be there, what they replaced is a leftover
/// for as long as the manifest says so, and no number comes again.
#[test]
fn rows_99_and_100_segments_that_are_missing_or_twice_there() {
    let vfs = closed();
    let sources = segments(&vfs);
    let bytes: BTreeMap<_, _> =
        sources.iter().map(|name| (name, vfs.content(&file(name)).unwrap())).collect();
    // The files that are replaced stay where they cannot be removed.
    let watched = Watched::new(Arc::new(vfs.clone()));
    watched.rule(|call| match call {
        Call::Remove { .. } => Fate::Fails(libc::EIO),
        _ => Fate::Done,
    });
    let options = options(OpenMode::Existing);
    let store = Store::open_on(Arc::new(watched), Path::new(DIR), &options).unwrap();
    assert_eq!(compact(&store).unwrap().events_dropped, 30);
    append(&store, Durability::Durable, 45..46);
    let killed = vfs.after_crash(Loss::Process);

    let recovered = killed.after_crash(Loss::Process);
    assert_holds(&open_at(&recovered, DIR, OpenMode::ReadOnly).unwrap(), 30..46, "a reader");
    assert_eq!(segments(&recovered), segments(&killed));
    let store = open(&recovered).unwrap();
    let removed: BTreeSet<_> = store.open_report().removed.iter().cloned().collect();
    assert!(removed.len() > 1 && removed.is_subset(&sources), "{removed:?}");
    assert_holds(&store, 30..46, "a writer");
    let listed = segments(&recovered);
    assert_eq!(&listed | &removed, segments(&killed));
    for name in &listed {
        assert_refused(&without(&recovered, name), &format!("without {name}"));
    }
    // Nothing is left to be removed when this one is closed, and a file that comes back is foreign.
    store.close().unwrap();
    for name in &removed {
        let again = recovered.after_crash(Loss::Process);
        again.set_content(&file(name), bytes[name].clone());
        assert_refused(&again, &format!("{name} again"));
    }
    for name in &listed {
        let twice = recovered.after_crash(Loss::Process);
        twice.set_content(&file("000099.fbat"), recovered.content(&file(name)).unwrap());
        assert_refused(&twice, &format!("{name} twice"));
    }
    let store = open(&recovered).unwrap();
    append(&store, Durability::Written, 46..90);
    let new = &segments(&recovered) - &listed;
    assert!(new.len() > 1 && new.is_disjoint(&sources), "{new:?}");
    assert!(new.iter().all(|name| Some(name) > listed.last()), "{new:?} after {listed:?}");
}

/// Recovery row 101. Before a compaction is published its sources must be there, whatever else is.
#[test]
fn row_101_a_source_that_is_missing() {
    let mut tried = 0;
    for point in 1.. {
        let vfs = closed();
        let store = open(&vfs).unwrap();
        vfs.fail_at(vfs.changes() + point, Fault::Crash);
        if compact(&store).is_ok() && !vfs.crashed() {
            break;
        }
        let crashed = vfs.after_crash(Loss::Process);
        let store = open(&crashed.after_crash(Loss::Process)).unwrap();
        assert_eq!(store.head().unwrap().events, u64::from(EVENTS));
        let removed = &store.open_report().removed;
        if firsts(&store).len() < EVENTS.into() || !removed.iter().any(|n| n.ends_with(".fbat")) {
            continue;
        }
        for name in segments(&crashed).iter().filter(|name| !removed.contains(name)) {
            assert_refused(&without(&crashed, name), &format!("point {point}, without {name}"));
            tried += 1;
        }
    }
    assert!(tried > 10, "{tried}");
}

// ---------------------------------------------------------------- import

/// Recovery row 113. An import that a crash ended at any change is run again and completes: each event is
/// there once, at its own place.
#[test]
fn row_113_an_import_repeated_after_any_crash() {
    let sources = SimVfs::default();
    let store = open_at(&sources, "/source", OpenMode::Create).unwrap();
    for number in 0..12u8 {
        store.append_batch(&[event(&[number; 300]); 2], Some(Durability::Written)).unwrap();
    }
    store.export_to("/old", &Default::default(), &Default::default()).unwrap();
    store.close().unwrap();
    for source in ["/source", "/old"] {
        let (mut points, mut parts) = (0, 0);
        for point in 1.. {
            let vfs = sources.after_crash(Loss::Process);
            let import = |vfs: &SimVfs| {
                let store = open(vfs)?;
                let region = Default::default();
                let report = store.import_from(source, &region, &Default::default())?;
                Ok::<_, batpak_core::Error>((store, report))
            };
            vfs.fail_at(vfs.changes() + point, Fault::CrashMidway);
            if import(&vfs).is_ok() {
                break;
            }
            assert!(vfs.crashed());
            points += 1;
            for loss in [Loss::Process, Loss::Power(point)] {
                let context = format!("{source}, point {point}, {loss:?}");
                let (store, report) = import(&vfs.after_crash(loss)).unwrap();
                assert_eq!(report.imported + report.already_there, 24, "{context}");
                assert_eq!((report.dropped, report.sequences_kept), (0, true), "{context}");
                parts += u64::from(report.already_there > 0 && report.imported > 0);
                let expected: Vec<u8> = (0..24).map(|sequence| sequence / 2).collect();
                assert_eq!(firsts(&store), expected, "{context}");
                assert_eq!(store.verify().unwrap().findings, [], "{context}");
            }
        }
        println!("{source}: {points} points, {parts} times a part was there");
        assert!(points > 5, "{points}");
    }
}

// ---------------------------------------------------------------- the table

/// The rows that a comment such as `Recovery rows 3, 14 to 16.` names; others have none.
fn rows_of_comment(line: &str) -> Vec<String> {
    let line = line.trim_start().trim_start_matches(['/', '#']).trim_start();
    let Some(rest) = line.strip_prefix("Recovery row") else { return Vec::new() };
    let rest = rest.strip_prefix('s').unwrap_or(rest);
    let (list, _) = rest.split_once('.').unwrap();
    list.split(", ").flat_map(rows_of_range).collect()
}

fn rows_of_range(words: &str) -> Vec<String> {
    match words.split_once(" to ") {
        Some((first, last)) => {
            let [first, last] = [first, last].map(|row| row.trim().parse::<u32>().unwrap());
            (first..=last).map(|row| row.to_string()).collect()
        }
        None => vec![words.trim().to_owned()],
    }
}

/// Every test that says which rows it shows, with these rows.
fn rows_in_tests() -> BTreeSet<(String, String)> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut named = BTreeSet::new();
    for folder in ["rust/tests", "scripts"] {
        for entry in std::fs::read_dir(tests.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let is_rust = path.extension().is_some_and(|extension| extension == "rs");
            if !is_rust && path.extension().is_none_or(|extension| extension != "txt") {
                continue;
            }
            let mut rows = Vec::new();
            let mut before = String::new();
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                rows.extend(rows_of_comment(line));
                let before = std::mem::replace(&mut before, line.trim().to_owned());
                let test = match line.trim_start().strip_prefix("fn ") {
                    Some(rest) if is_rust => {
                        format!("{stem}::{}", rest.split_once('(').map_or(rest, |(name, _)| name))
                    }
                    None if !is_rust => format!("{stem}.txt"),
                    _ => continue,
                };
                assert!(!is_rust || rows.is_empty() || before == "#[test]", "{test} is no test");
                named.extend(rows.drain(..).map(|row| (row, test.clone())));
            }
            assert_eq!(rows, [""; 0], "{}: rows that no test follows", path.display());
        }
    }
    named
}

/// The table and the tests name each other, row by row; a row without a test says why.
#[test]
fn the_table_and_the_tests_agree() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recovery.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("\n## The crate's recovery rows\n").unwrap();
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let mut rows: Vec<String> = Vec::new();
    let mut named = BTreeSet::new();
    for line in section.lines().filter_map(|line| line.strip_prefix("| ")) {
        let cells: Vec<&str> = line.trim_end_matches('|').split(" | ").map(str::trim).collect();
        let row = cells[0];
        if !row.starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        assert_eq!(cells.len(), 4, "row {row}");
        rows.push(row.to_owned());
        let tests: Vec<&str> = cells[3].split('`').skip(1).step_by(2).collect();
        let says_why = cells[2].starts_with("Does not apply: ");
        assert_ne!(says_why, !tests.is_empty(), "row {row}: a test, or why there is none");
        named.extend(tests.into_iter().map(|test| (row.to_owned(), test.to_owned())));
    }
    let mut expected: Vec<String> = (1..=118).map(|row| row.to_string()).collect();
    expected.insert(85, "85b".to_owned());
    assert_eq!(rows, expected);
    let in_tests = rows_in_tests();
    let only = |a: &BTreeSet<(String, String)>, b| a.difference(b).cloned().collect::<Vec<_>>();
    assert_eq!(only(&named, &in_tests), [], "in the table, and not at the test");
    assert_eq!(only(&in_tests, &named), [], "at the test, and not in the table");
}
