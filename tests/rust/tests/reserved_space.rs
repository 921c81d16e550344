//! The space that durable appends reserve behind the log's end: zeros, which mean nothing to whoever
//! finds them, and which an append does not need.

use batpak_core::{
    Durability, Error, ErrorKind, EventKind, NewEvent, OpenMode, OpenOptions, Receipt, Store,
};
use batpak_tests::sim::{Loss, SimVfs};
use batpak_tests::watched::{Call, Fate, Watched};
use std::path::Path;
use std::sync::{Arc, Mutex};

const DIR: &str = "/store";

fn segment(disk: &SimVfs) -> Vec<u8> {
    disk.content(&Path::new(DIR).join("000001.fbat")).unwrap()
}

fn open(disk: &SimVfs, mode: OpenMode) -> Store {
    Store::open_on(Arc::new(disk.clone()), Path::new(DIR), &OpenOptions::mode(mode)).unwrap()
}

fn append(store: &Store, durability: Durability) -> Result<Receipt, Error> {
    store.append(&NewEvent::new("e", "s", EventKind::DATA, &[7; 100]), Some(durability))
}

/// Where a log of so many events ends, since all of them are of one size.
fn end_of(events: u64) -> usize {
    let disk = SimVfs::default();
    let store = open(&disk, OpenMode::Create);
    for _ in 0..events {
        append(&store, Durability::Written).unwrap();
    }
    segment(&disk).len()
}

fn assert_intact(store: &Store, events: u64) {
    assert_eq!((store.open_report().cut_bytes, &*store.open_report().cut_reason), (0, ""));
    assert_eq!(store.head().unwrap().events, events);
    assert_eq!(store.verify().unwrap().findings, []);
}

/// A kill, or a power cut, leaves the zeros behind; writers and readers open without a cut, and the next
/// event goes where the last one ended.
/// Recovery row 37.
#[test]
fn zeros_behind_the_end_are_no_damage() {
    let losses = std::iter::once(Loss::Process).chain((0..20).map(Loss::Power));
    for loss in losses {
        let disk = SimVfs::default();
        let store = open(&disk, OpenMode::Create);
        for _ in 0..3 {
            append(&store, Durability::Durable).unwrap();
        }
        let end = end_of(3);
        let disk = disk.after_crash(loss);
        let found = segment(&disk);
        assert!(found.len() > 100 * end, "{loss:?}: nothing is reserved");
        assert!(found[end - 8..end].iter().any(|byte| *byte != 0));
        assert!(found[end..].iter().all(|byte| *byte == 0));

        assert_intact(&open(&disk, OpenMode::ReadOnly), 3);
        assert_intact(&open(&disk, OpenMode::Salvage), 3);
        let store = open(&disk, OpenMode::Existing);
        assert_intact(&store, 3);
        assert_eq!(append(&store, Durability::Durable).unwrap().sequence, 3);
        assert_eq!(segment(&disk)[end..end_of(4)].len(), end - end_of(2));
        assert_intact(&open(&disk.after_crash(Loss::Power(1)), OpenMode::Existing), 4);
    }
}

/// A clean close gives the space back.
#[test]
fn closing_gives_the_space_back() {
    let disk = SimVfs::default();
    let store = open(&disk, OpenMode::Create);
    append(&store, Durability::Durable).unwrap();
    assert!(segment(&disk).len() > end_of(1));
    store.close().unwrap();
    assert_eq!(segment(&disk).len(), end_of(1));
    let reopened = open(&disk, OpenMode::Existing);
    assert!(reopened.open_report().clean);
    assert_intact(&reopened, 1);
}

/// A disk that takes the event and has no room for what is reserved behind it: the event is accepted.
/// With one byte less, it is rejected, and the log goes on.
#[test]
fn a_full_disk_takes_the_event_without_the_reserve() {
    let (first, second) = (end_of(1), end_of(2));
    let (event, zeros) = (second - first, 1000);
    for room in [event - 1, event, event + zeros] {
        let disk = SimVfs::default();
        let watched = Watched::new(Arc::new(disk.clone()));
        let options = OpenOptions::default();
        let store = Store::open_on(Arc::new(watched.clone()), Path::new(DIR), &options).unwrap();
        append(&store, Durability::Written).unwrap();
        let left = Mutex::new(Some(room));
        watched.rule(move |call| match call {
            Call::Write { bytes, .. } if call.writes_segment() => {
                assert!(bytes > event + zeros, "nothing is reserved");
                left.lock().unwrap().take().map_or(Fate::Fails(libc::ENOSPC), Fate::Short)
            }
            _ => Fate::Done,
        });
        let appended = append(&store, Durability::Durable);
        watched.no_rule();
        let events = match appended {
            Ok(receipt) => {
                assert!(room >= event);
                assert_eq!(segment(&disk).len(), first + room);
                receipt.sequence + 1
            }
            Err(error) => {
                assert_eq!((room, error.kind()), (event - 1, ErrorKind::DiskFull));
                assert_eq!(segment(&disk).len(), first);
                1
            }
        };
        assert_intact(&open(&disk.after_crash(Loss::Power(7)), OpenMode::Existing), events);
        assert_eq!(append(&store, Durability::Durable).unwrap().sequence, events);
        let found = disk.after_crash(Loss::Process);
        assert_intact(&open(&found, OpenMode::Existing), events + 1);
    }
}
