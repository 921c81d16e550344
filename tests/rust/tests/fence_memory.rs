//! A fence of a million events: staged and committed in memory that does not grow with them, but
//! for the index of the newest segment.

use batpak_core::{EventKind, FenceOptions, NewEvent, OpenMode, OpenOptions, Store};
use batpak_tests::scratch::Scratch;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The allocator of the system, which counts how many bytes are in use, and the most that were.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on as it is to the allocator of the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let in_use = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(in_use, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most bytes that `work` had in use at once, beyond those before it.
fn most_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = IN_USE.load(Ordering::SeqCst);
    MOST.store(before, Ordering::SeqCst);
    let result = work();
    (result, MOST.load(Ordering::SeqCst) - before)
}

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
