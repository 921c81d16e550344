//! The memory that a compaction takes does not grow with the log, only with what a segment holds and
//! with the number of streams.

use batpak_core::{CompactOptions, EventKind, NewEvent, OpenOptions, Query, Retention, Store};
use batpak_tests::memory::{Counting, most_of};
use batpak_tests::scratch::Scratch;

#[global_allocator]
static COUNTING: Counting = Counting;

const MIB: usize = 1 << 20;

/// Drops nine of ten of so many events; gives the most bytes that were in use.
fn compact(events: usize) -> usize {
    let scratch = Scratch::new().unwrap();
    let options =
        OpenOptions { cache_bytes: MIB, segment_bytes: 4 * MIB as u64, ..OpenOptions::default() };
    let store = Store::open(scratch.join("store"), &options).unwrap();
    let payload = [7; 100];
    let names: Vec<String> = (0..100).map(|number| format!("entity:{number}")).collect();
    let batch: Vec<_> = (0..1000)
        .map(|at| NewEvent::new(&names[at % 100], "scope", EventKind::DATA, &payload))
        .collect();
    for _ in 0..events / batch.len() {
        store.append_batch(&batch, None).unwrap();
    }
    // One that all of it was read for, so that what is kept of the segments for reading is there.
    assert_eq!(store.read(Query::default()).unwrap().count(), events);
    let mut keep = |event: &batpak_core::Event| Ok(event.sequence().is_multiple_of(10));
    let retention = Retention { keep: Some(&mut keep), ..Retention::default() };
    let options = CompactOptions { retention: Some(retention), ..CompactOptions::default() };
    let (report, took) = most_of(|| store.compact(options).unwrap());
    assert_eq!(report.events_dropped as usize, events / 10 * 9);
    println!("{events} events, {} bytes: {took} bytes of memory", report.bytes_before);
    took
}

#[test]
fn four_times_the_events_take_hardly_more_memory() {
    let (small, large) = (compact(100_000), compact(400_000));
    // Per segment that is written again: its fates, and the index of the new one.
    assert!(large < small + 2 * MIB, "{small} bytes, then {large}");
    assert!(large < 24 * MIB, "{large} bytes");
}
