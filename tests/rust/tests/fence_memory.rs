//! A fence of a million events: staged and committed in memory that does not grow with them, but
//! for the index of the newest segment.

use batpak_core::{EventKind, FenceOptions, NewEvent, OpenMode, OpenOptions, Store};
use batpak_tests::memory::{Counting, most_of};
use batpak_tests::scratch::Scratch;

#[global_allocator]
static COUNTING: Counting = Counting;

/// Recovery row 118.
#[test]
fn a_million_events_in_one_fence() {
    const EVENTS: usize = 1_000_000;
    const MIB: usize = 1 << 20;
    let scratch = Scratch::new().unwrap();
    let options = OpenOptions { cache_bytes: MIB, ..OpenOptions::default() };
    let store = Store::open(scratch.join("store"), &options).unwrap();
    store.append(&NewEvent::new("before", "s", EventKind::DATA, b"x"), None).unwrap();
    let reader = OpenOptions { mode: OpenMode::ReadOnly, ..options.clone() };
    let follower = Store::open(scratch.join("store"), &reader).unwrap();

    let payload = [7; 100];
    let names: Vec<String> = (0..100).map(|number| format!("entity:{number}")).collect();
    let events: Vec<_> = (0..1000)
        .map(|at| NewEvent::new(&names[at % 100], "scope", EventKind::DATA, &payload))
        .collect();
    let (fence, staging) = most_of(|| {
        let fence = store.begin_fence(&FenceOptions { memory_bytes: 2 * MIB }).unwrap();
        for _ in 0..EVENTS / 1000 {
            fence.append(&events).unwrap();
        }
        fence
    });
    assert_eq!(fence.events().unwrap(), EVENTS as u64);
    assert!(staging < 6 * MIB, "{staging} bytes while it was staged");

    let (committed, committing) = most_of(|| fence.commit(None).unwrap());
    assert_eq!((committed.first_sequence, committed.events), (1, EVENTS as u64));
    let (visible, following) = most_of(|| follower.refresh().unwrap());
    assert_eq!(visible, EVENTS as u64 + 1);
    let bytes = store.stats().unwrap().bytes as usize;
    println!("{bytes} bytes; staged in {staging}, committed in {committing}, read in {following}");
    // The index takes 32 bytes of an event, and as much again while its tables grow.
    for took in [committing, following] {
        assert!(took < 64 * EVENTS + 10 * MIB, "{took} bytes of memory for {bytes}");
    }
    assert!(bytes > 200 * EVENTS);
    assert_eq!(store.head().unwrap(), follower.head().unwrap());
    drop(follower);
    store.close().unwrap();

    let store = Store::open(scratch.join("store"), &options).unwrap();
    assert!(store.open_report().clean);
    assert_eq!(store.head().unwrap().events, EVENTS as u64 + 1);
    assert!(store.verify().unwrap().is_intact());
}
