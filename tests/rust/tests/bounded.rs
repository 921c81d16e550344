//! What a store holds in memory stays bounded while appends are refused.

use batpak_core::{Durability, ErrorKind, EventKind, NewEvent, OpenOptions, Store};
use batpak_tests::memory::{self, Counting};
use batpak_tests::sim::SimVfs;
use batpak_tests::watched::{Fate, Watched};
use std::path::Path;
use std::sync::Arc;

#[global_allocator]
static COUNTING: Counting = Counting;

/// Buffered events wait for space on a disk that stays full, and every further append, which would
/// write them first, is refused: what is buffered is held once, however many are refused.
/// Recovery row 118.
#[test]
fn refused_appends_leave_nothing_behind() {
    const PAYLOAD_BYTES: usize = 900 << 10;
    let disk = SimVfs::default();
    let watched = Watched::new(Arc::new(disk.clone()));
    // The flusher sleeps through the test.
    let options =
        OpenOptions { buffer_ms: 600_000, segment_bytes: 64 << 10, ..OpenOptions::default() };
    let store = Store::open_on(Arc::new(watched.clone()), Path::new("/store"), &options).unwrap();
    let buffered = Some(Durability::Buffered);
    let payload = vec![7; PAYLOAD_BYTES];
    store.append(&NewEvent::new("e", "s", EventKind::DATA, &payload), buffered).unwrap();
    watched.rule(|call| match call.writes_segment() {
        true => Fate::Fails(libc::ENOSPC),
        false => Fate::Done,
    });
    let in_use_after = |refusals: usize| {
        for _ in 0..refusals {
            let small = NewEvent::new("e", "s", EventKind::DATA, b"x");
            let error = store.append(&small, buffered).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DiskFull);
        }
        memory::in_use()
    };
    let first = in_use_after(10);
    let last = in_use_after(490);
    assert!(last < first + PAYLOAD_BYTES / 2, "{first} bytes, then {last}");

    watched.no_rule();
    store.flush().unwrap();
    let small = store.append(&NewEvent::new("e", "s", EventKind::DATA, b"x"), None).unwrap();
    assert_eq!(small.sequence, 1);
    assert_eq!(store.at(0).unwrap().unwrap().payload(), payload);
    assert_eq!(store.verify().unwrap().findings, []);
}
