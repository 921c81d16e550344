//! An append in steady state allocates nothing.
//!
//! Steady state: the names are known, and every buffer has had events of this size. What remains is
//! the growth of the newest segment's index and of the unwritten bytes, which double when they are
//! full, so that it is counted in tens while the appends are counted in tens of thousands.

use batpak_core::{Durability, EventKind, NewEvent, OpenOptions, Store};
use batpak_tests::scratch::Scratch;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard};

/// The allocator of the system, which counts. Memory that grows where it is counts, too.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed on as it is to the allocator of the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `realloc`.
        unsafe { System.realloc(memory, layout, bytes) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The count is the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// How many allocations there are while this runs.
fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    work();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// The flusher, whose waits allocate, sleeps through the test.
fn open(scratch: &Scratch) -> Store {
    let options = OpenOptions { buffer_ms: 600_000, ..OpenOptions::default() };
    Store::open(scratch.join("store"), &options).unwrap()
}

const PAYLOAD: [u8; 256] = [7; 256];
const ENTITIES: [&str; 4] = ["entity:0", "entity:1", "entity:2", "entity:3"];

fn append(store: &Store, count: usize, durability: Durability) {
    for number in 0..count {
        let event = NewEvent::new(ENTITIES[number % 4], "scope", EventKind::DATA, &PAYLOAD);
        store.append(&event, Some(durability)).unwrap();
    }
}

/// Appends by one thread, after as many for a warm-up: fewer than one allocation in a hundred.
fn one_thread(durability: Durability, appends: usize) {
    let _alone = alone();
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch);
    append(&store, appends, durability);
    let allocations = allocations_of(|| append(&store, appends, durability));
    println!("{durability:?}: {allocations} allocations in {appends} appends");
    assert!(allocations < appends as u64 / 100, "{allocations} in {appends} appends");
}

#[test]
fn a_written_append() {
    one_thread(Durability::Written, 20_000);
}

#[test]
fn a_buffered_append() {
    one_thread(Durability::Buffered, 20_000);
}

#[test]
fn a_durable_append() {
    one_thread(Durability::Durable, 2_000);
}

/// Appends by four threads at once, which lead and wait for each other.
fn four_threads(durability: Durability, appends: usize) {
    const THREADS: usize = 4;
    let _alone = alone();
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch);
    let (warm, done) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    let mut allocations = 0;
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                append(&store, appends, durability);
                warm.wait();
                append(&store, appends, durability);
                done.wait();
            });
        }
        warm.wait();
        allocations = allocations_of(|| {
            done.wait();
        });
    });
    let all = (THREADS * appends) as u64;
    println!("{durability:?}, {THREADS} threads: {allocations} allocations in {all} appends");
    assert!(allocations < all / 100, "{allocations} in {all} appends");
}

#[test]
fn written_appends_of_four_threads() {
    four_threads(Durability::Written, 10_000);
}

#[test]
fn durable_appends_of_four_threads() {
    four_threads(Durability::Durable, 1_000);
}

/// A batch of a hundred allocates its receipts, which go to the caller, and nothing per event.
#[test]
fn a_batch() {
    const BATCHES: usize = 200;
    let _alone = alone();
    let scratch = Scratch::new().unwrap();
    let store = open(&scratch);
    let event = |item: usize| NewEvent::new(ENTITIES[item % 4], "scope", EventKind::DATA, &PAYLOAD);
    let batch: Vec<_> = (0..100).map(event).collect();
    for durability in [Durability::Written, Durability::Buffered] {
        let append = || {
            for _ in 0..BATCHES {
                let receipts = store.append_batch(&batch, Some(durability)).unwrap();
                assert_eq!(receipts.len(), 100);
            }
        };
        append();
        let allocations = allocations_of(append);
        println!("{durability:?}: {allocations} allocations in {BATCHES} batches");
        assert!(allocations < 2 * BATCHES as u64, "{allocations} in {BATCHES} batches");
    }
}
