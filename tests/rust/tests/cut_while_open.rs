//! Segments that somebody cuts while the store is open: whatever is read of them gives an error with
//! its place, or what was in memory, and never ends the process with a signal.

use batpak_core::{
    Durability, ErrorKind, EventKind, Id, NewEvent, OpenMode, OpenOptions, Query, Region, Store,
};
use batpak_tests::scratch::Scratch;
use std::fs::OpenOptions as Files;

const EVENTS: u64 = 200;

/// Two sealed segments and more, and a newest one.
fn write(scratch: &Scratch, options: &OpenOptions) -> Vec<Id> {
    let store = Store::open(scratch.join("store"), options).unwrap();
    let payload = [7; 1000];
    let event = NewEvent::new("entity:1", "scope", EventKind::DATA, &payload);
    let append = |_| store.append(&event, Some(Durability::Written)).unwrap().id;
    let ids = (0..EVENTS).map(append).collect();
    store.close().unwrap();
    ids
}

fn cut(scratch: &Scratch, number: u64, to: u64) {
    let path = scratch.join("store").join(format!("{number:06}.fbat"));
    Files::new().write(true).open(path).unwrap().set_len(to).unwrap();
}

fn every_read_of_a_cut_segment(mode: OpenMode, cache_bytes: usize, to: u64) {
    let scratch = Scratch::new().unwrap();
    let options = OpenOptions { segment_bytes: 64 << 10, cache_bytes, ..Default::default() };
    let ids = write(&scratch, &options);
    let store = Store::open(scratch.join("store"), &OpenOptions { mode, ..options }).unwrap();
    let newest = store.stats().unwrap().segments;
    assert!(newest > 2);
    for number in [1, newest] {
        cut(&scratch, number, to);
    }

    for (sequence, id) in (0..).zip(ids) {
        for read in [store.at(sequence), store.get(id)] {
            match read {
                Ok(event) => assert_eq!(event.unwrap().payload(), [7; 1000]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    assert!([1, newest].contains(&error.segment().unwrap()), "{error}");
                }
            }
        }
    }
    // The first event and the last one lie behind the cuts.
    assert_eq!(store.at(0).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.at(EVENTS - 1).unwrap_err().segment(), Some(newest));
    for region in [Region::default(), Region::entity("entity:1")] {
        let failed = store.read(Query::new(region)).unwrap().find_map(Result::err).unwrap();
        assert_eq!((failed.kind(), failed.segment()), (ErrorKind::Corrupt, Some(1)));
    }
    assert!(store.verify().map_or(true, |report| !report.is_intact()));
}

/// Recovery row 52.
#[test]
fn without_a_cache() {
    for to in [0, 200, 1000] {
        every_read_of_a_cut_segment(OpenMode::ReadOnly, 0, to);
        every_read_of_a_cut_segment(OpenMode::Existing, 0, to);
    }
}

#[test]
fn with_a_cache() {
    for to in [0, 200, 1000] {
        every_read_of_a_cut_segment(OpenMode::ReadOnly, 64 << 20, to);
        every_read_of_a_cut_segment(OpenMode::Existing, 64 << 20, to);
    }
}
