//! The largest payloads and batches that a store takes.

use batpak_core::{
    Durability, ErrorKind, EventKind, MAX_BATCH_EVENTS, MAX_PAYLOAD_BYTES, NewEvent, OpenOptions,
    Query, Region, Store,
};
use batpak_tests::scratch::Scratch;

const WRITTEN: Option<Durability> = Some(Durability::Written);

fn largest_payloads() -> OpenOptions {
    OpenOptions { max_payload_bytes: MAX_PAYLOAD_BYTES, ..OpenOptions::default() }
}

fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

fn event(payload: &[u8]) -> NewEvent<'_> {
    NewEvent::new("a", "s", EventKind::DATA, payload)
}

#[test]
fn a_payload_of_64_mib_and_no_byte_more() {
    let scratch = Scratch::new().unwrap();
    let store = Store::open(scratch.join("store"), &largest_payloads()).unwrap();
    let largest = payload(MAX_PAYLOAD_BYTES as usize);
    let one_more = payload(MAX_PAYLOAD_BYTES as usize + 1);
    assert_eq!(store.append(&event(&one_more), WRITTEN).unwrap_err().kind(), ErrorKind::TooLarge);
    let receipt = store.append(&event(&largest), WRITTEN).unwrap();
    assert_eq!(receipt.sequence, 0);
    store.append(&event(b"small"), WRITTEN).unwrap();
    assert!(store.get(receipt.id).unwrap().unwrap().payload() == largest);
    store.close().unwrap();

    let store = Store::open(scratch.join("store"), &OpenOptions::default()).unwrap();
    let read: Result<Vec<_>, _> = store.read(Query::new(Region::all())).unwrap().collect();
    let read = read.unwrap();
    assert_eq!(read.len(), 2);
    assert!(read[0].payload() == largest);
    assert_eq!(read[1].payload(), b"small");
    assert!(store.verify().unwrap().is_intact());
}

/// Recovery row 118.
#[test]
fn a_batch_of_256_mib_and_no_more() {
    let scratch = Scratch::new().unwrap();
    let store = Store::open(scratch.join("store"), &largest_payloads()).unwrap();
    let largest = payload(MAX_PAYLOAD_BYTES as usize);
    // Four such payloads alone take 256 MiB, which leaves no room for what surrounds them.
    let refused = store.append_batch(&[event(&largest); 4], WRITTEN).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    assert_eq!(store.head().unwrap().events, 0);
    let almost = &largest[..largest.len() - 1024];
    let receipts = store.append_batch(&[event(almost); 4], WRITTEN).unwrap();
    assert_eq!(receipts.iter().map(|r| r.sequence).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let page = store.read(Query::new(Region::all())).unwrap().next_page(10, 1).unwrap();
    assert_eq!(page.len(), 1, "a page holds at least one event, and no more than its bytes");
    assert!(page[0].payload() == almost);
}

#[test]
fn a_batch_of_65536_events_and_no_more() {
    let scratch = Scratch::new().unwrap();
    let store = Store::open(scratch.join("store"), &OpenOptions::default()).unwrap();
    let events = vec![event(b""); MAX_BATCH_EVENTS + 1];
    assert_eq!(store.append_batch(&events, WRITTEN).unwrap_err().kind(), ErrorKind::TooLarge);
    let receipts = store.append_batch(&events[1..], WRITTEN).unwrap();
    assert_eq!(receipts.len(), MAX_BATCH_EVENTS);
    assert!(receipts.iter().zip(0..).all(|(receipt, place)| receipt.sequence == place));
}
