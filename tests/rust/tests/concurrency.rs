//! Threads: appends commit in groups, readers see whole batches, closing waits for nobody.

use batpak_core::{
    Durability, ErrorKind, EventKind, Link, NewEvent, OpenMode, OpenOptions, Query, Receipt,
    Region, Store,
};
use batpak_tests::scratch::Scratch;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

const THREADS: usize = 8;
const APPENDS: usize = 200;

/// Small segments, so that the threads also meet rotation.
fn small_segments() -> OpenOptions {
    OpenOptions { segment_bytes: 64 << 10, ..OpenOptions::default() }
}

fn append_own_stream(store: &Store, thread: usize) -> Vec<Receipt> {
    let entity = format!("thread:{thread}");
    let append = |number: usize| {
        let payload = format!("{thread}/{number}");
        let event = NewEvent::new(&entity, "test", EventKind::DATA, payload.as_bytes());
        store.append(&event, Some(Durability::Durable)).unwrap()
    };
    (0..APPENDS).map(append).collect()
}

#[test]
fn group_commit_keeps_order_and_loses_nothing() {
    let scratch = Scratch::new().unwrap();
    let store = Store::open(scratch.join("store"), &small_segments()).unwrap();
    let barrier = Barrier::new(THREADS);
    let receipts: Vec<Vec<Receipt>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (store, barrier) = (&store, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    append_own_stream(store, thread)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    for own in &receipts {
        assert!(own.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
        assert!(own.iter().enumerate().all(|(clock, r)| r.clock as usize == clock));
    }
    let mut sequences: Vec<u64> = receipts.iter().flatten().map(|r| r.sequence).collect();
    sequences.sort_unstable();
    let all: Vec<u64> = (0..(THREADS * APPENDS) as u64).collect();
    assert_eq!(sequences, all);

    // What a power cut would leave of the files holds every acknowledged event; so does the store
    // itself after it was closed.
    let copy = scratch.join("copy");
    copy_directory(&scratch.join("store"), &copy);
    store.close().unwrap();
    for path in [copy, scratch.join("store")] {
        let store = Store::open(path, &small_segments()).unwrap();
        assert_eq!(store.open_report().cut_bytes, 0);
        assert_eq!(store.head().unwrap().events, all.len() as u64);
        for (thread, own) in receipts.iter().enumerate() {
            for (number, receipt) in own.iter().enumerate() {
                let event = store.get(receipt.id).unwrap().unwrap();
                assert_eq!(event.sequence(), receipt.sequence);
                assert_eq!(event.clock(), receipt.clock);
                assert_eq!(event.hash(), receipt.hash);
                assert_eq!(event.entity(), format!("thread:{thread}"));
                assert_eq!(event.payload(), format!("{thread}/{number}").as_bytes());
            }
        }
        assert!(store.verify().unwrap().is_intact());
    }
}

fn copy_directory(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Appends batches of ten, each event naming its batch, until told to stop or `batches` are done.
fn append_batches(store: &Store, writer: usize, batches: usize) {
    for batch in 0..batches {
        let entities: Vec<_> = (0..10).map(|item| format!("item:{item}")).collect();
        let payload = format!("{writer}/{batch}");
        let event = |entity| NewEvent::new(entity, "test", EventKind::DATA, payload.as_bytes());
        let events: Vec<_> = entities.iter().map(|entity| event(entity)).collect();
        store.append_batch(&events, Some(Durability::Written)).unwrap();
    }
}

/// Reads everything and checks that it consists of whole batches. Gives the number of events.
fn read_whole_batches(store: &Store) -> usize {
    let events: Vec<_> =
        store.read(Query::new(Region::all())).unwrap().collect::<Result<_, _>>().unwrap();
    for batch in events.chunks(10) {
        assert_eq!(batch.len(), 10, "a part of a batch is visible");
        assert!(batch.iter().all(|event| event.payload() == batch[0].payload()));
        assert!(batch[..9].iter().all(|event| event.batch_continues()));
        assert!(!batch[9].batch_continues());
    }
    events.len()
}

#[test]
fn readers_see_whole_batches_only() {
    const WRITERS: usize = 2;
    const BATCHES: usize = 100;
    let scratch = Scratch::new().unwrap();
    let store = Store::open(scratch.join("store"), &small_segments()).unwrap();
    append_batches(&store, WRITERS, 1);
    let follower =
        Store::open(scratch.join("store"), &OpenOptions::mode(OpenMode::ReadOnly)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (store, follower, done) = (&store, &follower, &done);
            scope.spawn(move || {
                let mut seen = 0;
                while !done.load(Ordering::Acquire) {
                    let now = if reader == 0 {
                        read_whole_batches(store)
                    } else {
                        follower.refresh().unwrap();
                        read_whole_batches(follower)
                    };
                    assert!(now >= seen, "visible events disappeared");
                    seen = now;
                }
            });
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || append_batches(store, writer, BATCHES))
            })
            .collect();
        let outcomes: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        done.store(true, Ordering::Release);
        assert!(outcomes.iter().all(Result::is_ok));
    });
    let all = (WRITERS * BATCHES + 1) * 10;
    assert_eq!(read_whole_batches(&store), all);
    assert_eq!(follower.refresh().unwrap(), all as u64);
    assert_eq!(read_whole_batches(&follower), all);
}

#[test]
fn closing_ends_reads_and_appends_with_one_error() {
    let scratch = Scratch::new().unwrap();
    let store = Store::open(scratch.join("store"), &small_segments()).unwrap();
    append_batches(&store, 0, 50);
    let started = Barrier::new(5);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                started.wait();
                loop {
                    let read = store.read(Query::new(Region::all()));
                    match read.and_then(|scan| scan.collect::<Result<Vec<_>, _>>()) {
                        Ok(events) => assert!(events.len() >= 500),
                        Err(error) => return assert_eq!(error.kind(), ErrorKind::Closed),
                    }
                }
            });
            scope.spawn(|| {
                let event = NewEvent::new("late", "test", EventKind::DATA, b"");
                started.wait();
                let append = || store.append(&event, Some(Durability::Written));
                let error = std::iter::repeat_with(append).find_map(Result::err).unwrap();
                assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            });
        }
        started.wait();
        store.close().unwrap();
    });
    let reopened = Store::open(scratch.join("store"), &small_segments()).unwrap();
    assert!(reopened.open_report().clean);
    assert!(reopened.verify().unwrap().is_intact());
}

#[test]
fn a_scan_and_its_events_after_closing() {
    let scratch = Scratch::new().unwrap();
    let store = Store::open(scratch.join("store"), &small_segments()).unwrap();
    append_batches(&store, 0, 10);
    let mut scan = store.read(Query::new(Region::all())).unwrap();
    let events = scan.next_page(10, usize::MAX).unwrap();
    store.close().unwrap();
    assert_eq!(scan.next_page(10, usize::MAX).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(events.len(), 10);
    assert!(events.iter().all(|event| event.payload() == b"0/0"));
}

#[test]
fn a_scan_sees_what_was_visible_when_it_began() {
    let scratch = Scratch::new().unwrap();
    let store = Store::open(scratch.join("store"), &small_segments()).unwrap();
    append_batches(&store, 0, 5);
    let scan = store.read(Query::new(Region::all())).unwrap();
    append_batches(&store, 0, 200);
    assert_eq!(scan.count(), 50);
}

#[test]
fn waiting_ends_when_another_thread_appends() {
    let scratch = Scratch::new().unwrap();
    let store = Store::open(scratch.join("store"), &small_segments()).unwrap();
    let minute = std::time::Duration::from_secs(60);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| store.wait(10, minute).unwrap());
        append_batches(&store, 0, 1);
        assert_eq!(waiter.join().unwrap(), 10);
    });
}

/// The waiting thread may come before or after the closing one; it ends with the same error.
#[test]
fn closing_ends_waiting() {
    let scratch = Scratch::new().unwrap();
    for mode in [OpenMode::Create, OpenMode::ReadOnly] {
        let store = Store::open(scratch.join("store"), &OpenOptions::mode(mode)).unwrap();
        let started = Barrier::new(2);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                started.wait();
                store.wait(1, std::time::Duration::from_secs(60))
            });
            started.wait();
            std::thread::sleep(std::time::Duration::from_millis(20));
            store.close().unwrap();
            assert_eq!(waiter.join().unwrap().unwrap_err().kind(), ErrorKind::Closed, "{mode:?}");
        });
    }
}

/// Queries, also those that are held up between two pages, see every event of their entity while
/// segments are sealed under them.
#[test]
fn queries_during_rotation_miss_nothing() {
    let scratch = Scratch::new().unwrap();
    let options = OpenOptions { segment_bytes: 4096, ..OpenOptions::default() };
    let store = Store::open(scratch.join("store"), &options).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..6000u32 {
                let entity = if number % 3 == 0 { "wanted" } else { "other" };
                let payload = number.to_le_bytes();
                let event = NewEvent::new(entity, "s", EventKind::DATA, &payload);
                store.append(&event, Some(Durability::Written)).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            for query in [
                Query::new(Region::entity("wanted")),
                Query::new(Region::entity("wanted")).backward(),
            ] {
                let visible = store.head().unwrap().events;
                let mut scan = store.read(query).unwrap();
                let mut found = Vec::new();
                loop {
                    let page = scan.next_page(7, 1 << 20).unwrap();
                    if page.is_empty() {
                        break;
                    }
                    found.extend(page.iter().map(|event| event.sequence()));
                }
                found.sort_unstable();
                assert!(found.len() as u64 >= visible.div_ceil(3));
                assert!(found.iter().enumerate().all(|(at, sequence)| *sequence == at as u64 * 3));
            }
        }
    });
}

/// Read-only handles open, refresh and verify beside a writer that does not pause.
#[test]
fn readers_open_beside_a_busy_writer() {
    let scratch = Scratch::new().unwrap();
    let options = OpenOptions { segment_bytes: 16 << 10, ..OpenOptions::default() };
    let store = Store::open(scratch.join("store"), &options).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..4000u32 {
                let payload = number.to_le_bytes();
                let event = NewEvent::new("e", "s", EventKind::DATA, &payload);
                store.append(&event, Some(Durability::Written)).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let read_only = OpenOptions::mode(OpenMode::ReadOnly);
            let reader = Store::open(store.path(), &read_only).unwrap();
            let before = reader.head().unwrap().events;
            assert!(reader.refresh().unwrap() >= before);
            assert_eq!(reader.verify().unwrap().findings, []);
        }
    });
}

/// A store that is dropped can be opened again at once, whatever its flusher is doing.
#[test]
fn dropping_gives_the_lock_back_at_once() {
    let scratch = Scratch::new().unwrap();
    let options = OpenOptions { buffer_ms: 0, ..OpenOptions::default() };
    for _ in 0..200 {
        let store = Store::open(scratch.join("store"), &options).unwrap();
        let event = NewEvent::new("e", "s", EventKind::DATA, b"");
        store.append(&event, Some(Durability::Buffered)).unwrap();
    }
    let store = Store::open(scratch.join("store"), &options).unwrap();
    assert_eq!(store.head().unwrap().events, 200);
}

/// Every kind of read, by several threads, of events whose segments are sealed meanwhile.
#[test]
fn reads_of_every_kind_beside_appends() {
    const EVENTS: u64 = 1500;
    let scratch = Scratch::new().unwrap();
    let options = OpenOptions { segment_bytes: 16 << 10, ..OpenOptions::default() };
    let store = Store::open(scratch.join("store"), &options).unwrap();
    let append = |number: u64| {
        let entity = format!("entity:{}", number % 3);
        let payload = number.to_le_bytes();
        let event = NewEvent::new(&entity, "s", EventKind::DATA, &payload);
        let durability = [Durability::Written, Durability::Buffered][number as usize % 2];
        store.append(&event, Some(durability)).unwrap();
    };
    append(0);
    let check = |reader: u64| {
        let mut number = reader;
        loop {
            let visible = store.wait(1, std::time::Duration::ZERO).unwrap();
            number = number * 1_103 % visible;
            let event = store.at(number).unwrap().unwrap();
            assert_eq!(event.payload(), number.to_le_bytes());
            assert_eq!(store.get(event.id()).unwrap().unwrap().sequence(), number);
            let stream = store.stream_head(event.entity(), 0).unwrap().unwrap();
            assert!(stream.sequence >= number);
            let ancestry = store.ancestors(event.id(), Link::Stream, 3).unwrap();
            assert!(ancestry.events.iter().all(|other| other.entity() == event.entity()));
            let frontier = store.frontier().unwrap();
            assert!(frontier.durable <= frontier.written && frontier.written <= frontier.visible);
            assert_eq!(store.head_at(number + 1).unwrap().last_hash, event.hash());
            let query = Query::new(Region::entity(event.entity())).from(number).limit(5);
            let found = store.read(query).unwrap().map(|found| found.unwrap().sequence());
            assert!(found.eq((number..visible).step_by(3).take(5)) || visible < number + 15);
            number += 1 + reader;
            if visible == EVENTS {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for reader in 1..4 {
            scope.spawn(move || check(reader));
        }
        (1..EVENTS).for_each(append);
    });
}
