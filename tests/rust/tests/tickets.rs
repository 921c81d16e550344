//! Appends that nobody waits for: their order, the writes and syncs they share, and how they end
//! when the store is closed, the process forks, or the disk fails in the middle of a group.

use batpak_core::{
    Durability, Error, ErrorKind, EventKind, Expected, NewEvent, OpenOptions, Query, Receipt,
    Store, Ticket,
};
use batpak_tests::scratch::Scratch;
use batpak_tests::sim::{Loss, SimVfs};
use batpak_tests::watched::{Call, Fate, Gate, Watched};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

const DIR: &str = "/store";
/// Far longer than anything takes: what has not ended by then hangs.
const LONG: Duration = Duration::from_secs(120);

fn event<'a>(entity: &'a str, payload: &'a [u8]) -> NewEvent<'a> {
    NewEvent::new(entity, "test", EventKind::DATA, payload)
}

/// A simulated disk and a store on it, with one event in it.
struct Bench {
    disk: SimVfs,
    watched: Watched,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let disk = SimVfs::default();
        let watched = Watched::new(Arc::new(disk.clone()));
        let options = OpenOptions { buffer_ms: 600_000, ..OpenOptions::default() };
        let store = Store::open_on(Arc::new(watched.clone()), Path::new(DIR), &options).unwrap();
        store.append(&event("first", b""), Some(Durability::Durable)).unwrap();
        Self { disk, watched, store }
    }

    /// Starts appends while one of another thread, written to the stream `holds`, is held up in its
    /// write: so they become one group, which meets the rule that `start` leaves behind.
    fn one_group<T>(&self, start: impl FnOnce() -> T) -> T {
        let gate = Gate::default();
        let at_gate = gate.clone();
        self.watched.rule(move |call| {
            if call.writes_segment() {
                at_gate.pass();
            }
            Fate::Done
        });
        std::thread::scope(|scope| {
            let held = scope.spawn(|| {
                self.store.append(&event("holds", b""), Some(Durability::Written)).unwrap();
            });
            gate.reached();
            self.watched.no_rule();
            let started = start();
            gate.open();
            held.join().unwrap();
            started
        })
    }

    /// The store as another process would find it after a kill.
    fn after_kill(&self) -> Store {
        let disk = self.disk.after_crash(Loss::Process);
        Store::open_on(Arc::new(disk), Path::new(DIR), &OpenOptions::default()).unwrap()
    }
}

fn ticket(store: &Store, entity: &str, payload: &[u8], durability: Durability) -> Ticket {
    store.append_ticket(&[event(entity, payload)], Some(durability)).unwrap()
}

/// What became of a ticket, which must have ended in time.
fn ended(mut ticket: Ticket) -> Result<Vec<Receipt>, Error> {
    assert!(ticket.wait_for(LONG), "a ticket hangs");
    ticket.wait()
}

fn payloads(store: &Store) -> Vec<Vec<u8>> {
    let events = store.read(Query::default()).unwrap();
    events.map(|event| event.unwrap().payload().to_vec()).collect()
}

fn assert_intact(store: &Store, events: u64) {
    assert_eq!(store.head().unwrap().events, events);
    assert_eq!(store.verify().unwrap().findings, []);
}

/// Tickets, waiting appends and batches of one thread are committed in the order of starting, however
/// safe each is to be.
#[test]
fn one_thread_sets_the_order() {
    let bench = Bench::new();
    let durabilities = [Durability::Buffered, Durability::Durable, Durability::Written];
    let mut tickets = Vec::new();
    let mut next = 1;
    for number in 0..600u64 {
        let durability = Some(durabilities[number as usize % 3]);
        let payload = number.to_le_bytes();
        let events = vec![event("one", &payload); 1 + number as usize % 4];
        if number % 5 == 0 {
            let receipts = bench.store.append_batch(&events, durability).unwrap();
            assert_eq!(receipts[0].sequence, next);
        } else {
            tickets.push((next, bench.store.append_ticket(&events, durability).unwrap()));
        }
        next += events.len() as u64;
    }
    for (first, ticket) in tickets {
        let receipts = ended(ticket).unwrap();
        assert!(receipts.iter().zip(first..).all(|(receipt, sequence)| {
            receipt.sequence == sequence && u64::from(receipt.clock) == sequence - 1
        }));
    }
    assert_intact(&bench.store, next);
}

/// Thousands under way from one thread take one write and one sync.
#[test]
fn thousands_share_a_write_and_a_sync() {
    const TICKETS: usize = 4000;
    let bench = Bench::new();
    let writes = Arc::new(AtomicUsize::new(0));
    let syncs = Arc::new(AtomicUsize::new(0));
    let tickets: Vec<_> = bench.one_group(|| {
        let (writes, syncs) = (writes.clone(), syncs.clone());
        bench.watched.rule(move |call| {
            writes.fetch_add(usize::from(call.writes_segment()), Ordering::Relaxed);
            syncs.fetch_add(usize::from(call.syncs_segment()), Ordering::Relaxed);
            Fate::Done
        });
        let start = |_| ticket(&bench.store, "many", b"payload", Durability::Durable);
        (0..TICKETS).map(start).collect()
    });
    for (clock, ticket) in tickets.into_iter().enumerate() {
        let receipts = ended(ticket).unwrap();
        assert_eq!((receipts.len(), receipts[0].clock as usize), (1, clock));
    }
    assert_eq!((writes.load(Ordering::Relaxed), syncs.load(Ordering::Relaxed)), (1, 1));
    assert_eq!(bench.store.frontier().unwrap().durable, TICKETS as u64 + 2);
    assert_intact(&bench.store, TICKETS as u64 + 2);
}

/// Threads that start tickets, wait for appends and append batches, over segments that are sealed
/// under them: nothing is lost, every batch is in one piece, every thread's order is kept.
#[test]
fn many_threads_in_every_way() {
    const THREADS: usize = 4;
    const STEPS: usize = 300;
    let scratch = Scratch::new().unwrap();
    let options = OpenOptions { segment_bytes: 32 << 10, buffer_ms: 1, ..OpenOptions::default() };
    let store = Store::open(scratch.join("store"), &options).unwrap();
    let start = Barrier::new(THREADS);
    let appended: Vec<Vec<Receipt>> = std::thread::scope(|scope| {
        let work = |thread: usize| {
            let entity = format!("thread:{thread}");
            start.wait();
            let mut own = Vec::new();
            for step in 0..STEPS {
                let durability = match (thread + step) % 16 {
                    0 => Durability::Durable,
                    odd if odd % 2 == 1 => Durability::Written,
                    _ => Durability::Buffered,
                };
                let payload = step.to_le_bytes();
                let events = vec![event(&entity, &payload); 1 + step % 3];
                own.push(if step % 4 == 0 {
                    Ok(store.append_batch(&events, Some(durability)).unwrap())
                } else {
                    Err(store.append_ticket(&events, Some(durability)).unwrap())
                });
            }
            let receipts = own.into_iter().map(|end| end.or_else(ended).unwrap());
            receipts
                .inspect(|batch| {
                    assert!(batch.windows(2).all(|two| two[0].sequence + 1 == two[1].sequence));
                })
                .flatten()
                .collect()
        };
        let threads: Vec<_> = (0..THREADS).map(|t| scope.spawn(move || work(t))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for own in &appended {
        assert!(own.windows(2).all(|two| two[0].sequence < two[1].sequence));
        assert!(own.iter().enumerate().all(|(clock, receipt)| receipt.clock as usize == clock));
    }
    let mut all: Vec<_> = appended.iter().flatten().collect();
    all.sort_unstable_by_key(|receipt| receipt.sequence);
    assert!(all.iter().enumerate().all(|(at, receipt)| receipt.sequence == at as u64));
    store.close().unwrap();
    let store = Store::open(scratch.join("store"), &options).unwrap();
    assert_intact(&store, all.len() as u64);
    for receipt in all {
        assert_eq!(store.at(receipt.sequence).unwrap().unwrap().hash(), receipt.hash);
    }
}

/// What was started before the close ends well, and is there afterwards.
#[test]
fn closing_commits_what_is_under_way() {
    let bench = Bench::new();
    let (store, closed) = (bench.store.clone(), Gate::default());
    let (tickets, closing) = bench.one_group(|| {
        let start = |number: u32| {
            let durability = [Durability::Durable, Durability::Written, Durability::Buffered];
            ticket(&store, "under way", b"", durability[number as usize % 3])
        };
        let tickets: Vec<_> = (0..500).map(start).collect();
        let (store, closed) = (store.clone(), closed.clone());
        let closing = std::thread::spawn(move || {
            store.close().unwrap();
            closed.open();
        });
        (tickets, closing)
    });
    closed.pass();
    closing.join().unwrap();
    for mut ticket in tickets {
        assert!(ticket.is_done(), "the store was closed before a ticket had ended");
        assert_eq!(ticket.wait().unwrap().len(), 1);
    }
    assert_eq!(store.append_ticket(&[], None).unwrap_err().kind(), ErrorKind::Closed);
    let reopened = bench.after_kill();
    assert!(reopened.open_report().clean);
    assert_intact(&reopened, 502);
}

/// Tickets that race with the close end well, and are there, or were never accepted.
#[test]
fn closing_loses_no_ticket() {
    const THREADS: usize = 3;
    for _ in 0..20 {
        let scratch = Scratch::new().unwrap();
        let store = Store::open(scratch.join("store"), &OpenOptions::default()).unwrap();
        let started = Barrier::new(THREADS + 1);
        let accepted: u64 = std::thread::scope(|scope| {
            let work = || {
                let accepted = |ticket| match ended(ticket) {
                    Ok(receipts) => receipts.len() as u64,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                        0
                    }
                };
                let (mut under_way, mut count) = (VecDeque::new(), 0);
                started.wait();
                loop {
                    match store.append_ticket(&[event("e", b"")], Some(Durability::Written)) {
                        Ok(ticket) => under_way.push_back(ticket),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Closed);
                            return count + under_way.into_iter().map(accepted).sum::<u64>();
                        }
                    }
                    if under_way.len() > 50 {
                        count += under_way.pop_front().map_or(0, accepted);
                    }
                }
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
            started.wait();
            store.append(&event("e", b""), Some(Durability::Durable)).unwrap();
            store.close().unwrap();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let reopened = Store::open(scratch.join("store"), &OpenOptions::default()).unwrap();
        assert!(reopened.open_report().clean);
        assert_intact(&reopened, accepted + 1);
    }
}

/// A function that gets the result may use the store: append, start appends, read.
#[test]
fn what_is_called_may_use_the_store() {
    let bench = Bench::new();
    let (results, received) = mpsc::channel();
    let store = bench.store.clone();
    bench.one_group(|| {
        for _ in 0..50 {
            let (results, store) = (results.clone(), store.clone());
            let then = move |result: Result<Vec<Receipt>, Error>| {
                let cause = result.unwrap().remove(0);
                assert_eq!(store.at(cause.sequence).unwrap().unwrap().id(), cause.id);
                let waited = store.append(&event("waited", b""), Some(Durability::Durable));
                let sender = results.clone();
                let last = move |result: Result<Vec<Receipt>, Error>| {
                    sender.send(result.unwrap()[0].sequence).unwrap();
                };
                let started = event("started", b"");
                store.append_then(&[started], Some(Durability::Written), Box::new(last)).unwrap();
                results.send(waited.unwrap().sequence).unwrap();
            };
            let durability = Some(Durability::Written);
            bench.store.append_then(&[event("e", b"")], durability, Box::new(then)).unwrap();
        }
    });
    let receive = |_| received.recv_timeout(LONG).unwrap();
    let mut sequences: Vec<u64> = (0..100).map(receive).collect();
    sequences.sort_unstable();
    assert!(sequences.windows(2).all(|two| two[0] < two[1]));
    assert_intact(&bench.store, 152);
}

/// The last handle may go in the function that gets the result, and the function may close the store.
#[test]
fn what_is_called_may_end_the_store() {
    for closes in [false, true] {
        let scratch = Scratch::new().unwrap();
        let store = Store::open(scratch.join("store"), &OpenOptions::default()).unwrap();
        let (ended, has_ended) = mpsc::channel();
        let handle = store.clone();
        let go = Gate::default();
        let wait = go.clone();
        let then = move |result: Result<Vec<Receipt>, Error>| {
            wait.pass();
            assert_eq!(result.unwrap().len(), 1);
            if closes {
                handle.close().unwrap();
            }
            drop(handle);
            ended.send(()).unwrap();
        };
        store.append_then(&[event("e", b"")], None, Box::new(then)).unwrap();
        if !closes {
            drop(store);
        }
        go.open();
        has_ended.recv_timeout(LONG).unwrap();
        let reopened = Store::open(scratch.join("store"), &OpenOptions::default()).unwrap();
        assert!(reopened.open_report().clean);
        assert_intact(&reopened, 1);
    }
}

/// A function that panics takes nothing from others: not their results, and no thread.
/// Recovery row 11.
#[test]
fn what_is_called_may_panic() {
    let bench = Bench::new();
    for round in 0..3 {
        let tickets: Vec<_> = bench.one_group(|| {
            let start = |number| {
                let panics = Box::new(move |_| panic!("{number} panics, as it is meant to"));
                bench.store.append_then(&[event("panics", b"")], None, panics).unwrap();
                ticket(&bench.store, "calm", b"", Durability::Durable)
            };
            (0..5).map(start).collect()
        });
        for ticket in tickets {
            assert_eq!(ended(ticket).unwrap().len(), 1, "round {round}");
        }
        bench.store.append(&event("waits", b""), None).unwrap();
    }
    assert_intact(&bench.store, 1 + 3 * 12);
    bench.store.close().unwrap();
}

/// Appends that are started while others are committed delay nobody else's for ever, and need no
/// more of the stack the more they are.
#[test]
fn a_waiting_append_serves_no_endless_line() {
    const TICKETS: usize = 20_000;
    let bench = Bench::new();
    let store = bench.store.clone();
    let started = Arc::new(Mutex::new(Vec::new()));
    let line = started.clone();
    bench.watched.rule(move |call| {
        let mut line = line.lock().unwrap();
        if call.writes_segment() && line.len() < TICKETS {
            line.push(ticket(&store, "line", b"", Durability::Written));
        }
        Fate::Done
    });
    std::thread::scope(|scope| {
        let append =
            || bench.store.append(&event("waits", b""), Some(Durability::Written)).unwrap();
        let thread = std::thread::Builder::new().stack_size(256 << 10);
        assert_eq!(thread.spawn_scoped(scope, append).unwrap().join().unwrap().sequence, 1);
    });
    let events = TICKETS as u64 + 2;
    assert_eq!(bench.store.wait(events, LONG).unwrap(), events);
    bench.watched.no_rule();
    for ticket in started.lock().unwrap().drain(..) {
        assert_eq!(ended(ticket).unwrap().len(), 1);
    }
    assert_intact(&bench.store, events);
}

/// Runs `check` in a forked child, which is killed if it takes a minute.
fn in_child(check: impl FnOnce() -> bool) {
    // SAFETY: the child calls only `check`, whose calls end before any lock that a thread of the
    // parent could hold, and ends with `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: `alarm` and `_exit` have no preconditions. The alarm ends a child that hangs.
        unsafe {
            libc::alarm(60);
            libc::_exit(if check() { 0 } else { 1 });
        }
    }
    let mut status = 0;
    // SAFETY: `child` is a child of this process, and `status` is a valid place for its status.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(waited, child);
    assert!(libc::WIFEXITED(status), "the child was killed: it hung or crashed");
    assert_eq!(libc::WEXITSTATUS(status), 0);
}

/// A forked child starts nothing, and what is under way in the parent ends there as if nothing was.
#[test]
fn a_forked_child_starts_nothing() {
    let bench = Bench::new();
    let tickets: Vec<_> = bench.one_group(|| {
        let tickets =
            (0..20).map(|_| ticket(&bench.store, "parent", b"", Durability::Durable)).collect();
        let forked = |kind: ErrorKind| kind == ErrorKind::Forked;
        in_child(|| {
            let then = Box::new(|_| std::process::abort());
            let of_child = [event("child", b"")];
            let refused = bench.store.append_then(&of_child, None, then);
            refused.is_err_and(|error| forked(error.kind()))
                && bench.store.append_ticket(&of_child, None).is_err_and(|e| forked(e.kind()))
        });
        tickets
    });
    for ticket in tickets {
        assert_eq!(ended(ticket).unwrap().len(), 1);
    }
    assert_intact(&bench.store, 22);
}

/// A ticket of the parent's ends at once in the child: no thread there will ever end it.
#[test]
fn a_forked_child_waits_for_no_ticket() {
    let bench = Bench::new();
    let pending = bench.one_group(|| {
        let mut pending = Some(ticket(&bench.store, "parent", b"", Durability::Durable));
        in_child(|| {
            let mut ticket = pending.take().unwrap();
            let done = ticket.wait_for(LONG);
            done && ticket.wait().is_err_and(|error| error.kind() == ErrorKind::Forked)
        });
        pending
    });
    assert_eq!(ended(pending.unwrap()).unwrap().len(), 1);
}

/// A write that fails after so many bytes, in a group of requests of one to three events that are
/// to be written: exactly those that are whole in the file are accepted.
#[test]
fn a_failed_write_accepts_what_is_whole_in_the_file() {
    // The frames that a whole group takes, as the place of each request's end in its write.
    let (_, ends) = failing_group(usize::MAX, Durability::Written);
    let all = *ends.last().unwrap();
    let mut accepted_counts = Vec::new();
    for fails_at in (0..all).step_by(56).chain(ends.iter().flat_map(|end| [end - 1, *end])) {
        let (accepted, _) = failing_group(fails_at, Durability::Written);
        let whole = ends.iter().filter(|end| **end <= fails_at).count();
        assert_eq!(accepted, whole, "the write failed after {fails_at} of {all} bytes");
        accepted_counts.push(accepted);
    }
    accepted_counts.sort_unstable();
    accepted_counts.dedup();
    let every: Vec<usize> = (0..=REQUESTS).collect();
    assert_eq!(accepted_counts, every);
}

/// The same with one request that is to be synced: nothing of the group is accepted.
#[test]
fn a_failed_write_before_a_sync_accepts_nothing() {
    let (_, ends) = failing_group(usize::MAX, Durability::Durable);
    let all = *ends.last().unwrap();
    for fails_at in (0..all).step_by(97).chain(ends.iter().map(|end| end - 1)) {
        let whole = fails_at >= all;
        let (accepted, _) = failing_group(fails_at, Durability::Durable);
        assert_eq!(accepted, if whole { REQUESTS } else { 0 }, "after {fails_at} of {all} bytes");
    }
}

const REQUESTS: usize = 6;

/// A group of requests whose write fails with a full disk after `fails_at` bytes; the last request
/// is of this durability. Checks the log and gives how many requests were accepted, and where each
/// would end in the write.
fn failing_group(fails_at: usize, last: Durability) -> (usize, Vec<usize>) {
    let bench = Bench::new();
    let (sizes, tickets) = bench.one_group(|| {
        let left = Mutex::new(fails_at);
        bench.watched.rule(move |call| {
            let Call::Write { bytes, .. } = call else { return Fate::Done };
            if !call.writes_segment() {
                return Fate::Done;
            }
            let mut left = left.lock().unwrap();
            let takes = *left;
            *left = takes.saturating_sub(bytes);
            match takes {
                0 => Fate::Fails(libc::ENOSPC),
                takes if takes < bytes => Fate::Short(takes),
                _ => Fate::Done,
            }
        });
        let start = |number: usize| {
            let payload = vec![number as u8; 40 * number];
            let events = vec![event("group", &payload); 1 + number % 3];
            let durability = if number + 1 == REQUESTS { last } else { Durability::Written };
            let ticket = bench.store.append_ticket(&events, Some(durability)).unwrap();
            (events.len(), ticket)
        };
        (0..REQUESTS).map(start).unzip::<_, _, Vec<usize>, Vec<Ticket>>()
    });
    let outcomes: Vec<_> = tickets.into_iter().map(ended).collect();
    let accepted = outcomes.iter().take_while(|outcome| outcome.is_ok()).count();
    for refused in &outcomes[accepted..] {
        assert_eq!(refused.as_ref().unwrap_err().kind(), ErrorKind::DiskFull);
    }
    let events: usize = sizes[..accepted].iter().sum();
    assert_intact(&bench.store, events as u64 + 2);
    // A kill finds exactly what was accepted, and space that returns is used.
    assert_intact(&bench.after_kill(), events as u64 + 2);
    bench.watched.no_rule();
    let last = bench.store.append(&event("after", b"after"), None).unwrap();
    assert_eq!(last.sequence, events as u64 + 2);
    let survivor = bench.after_kill();
    assert_intact(&survivor, last.sequence + 1);
    assert_eq!(payloads(&survivor), payloads(&bench.store));
    (accepted, if accepted == REQUESTS { request_ends(&bench, &sizes) } else { Vec::new() })
}

/// Where each request of the group ends, counted from the group's first byte: from the offsets at
/// which the frames stand in the file.
fn request_ends(bench: &Bench, sizes: &[usize]) -> Vec<usize> {
    let file = bench.disk.content(&Path::new(DIR).join("000001.fbat")).unwrap();
    let sequences: Vec<u64> = std::iter::once(&2)
        .chain(sizes)
        .scan(0, |end, size| {
            *end += *size as u64;
            Some(*end)
        })
        .collect();
    let start_of = |sequence: &u64| {
        let id = bench.store.at(*sequence).unwrap().unwrap().id();
        file.windows(16).position(|window| window == id.0).unwrap()
    };
    // The id stands at the same place of every frame.
    let starts: Vec<usize> = sequences.iter().map(start_of).collect();
    starts[1..].iter().map(|end| end - starts[0]).collect()
}

/// A failed sync leaves every append of the group undecided, and the store takes no more.
#[test]
fn a_failed_sync_leaves_the_group_undecided() {
    let bench = Bench::new();
    let tickets: Vec<_> = bench.one_group(|| {
        bench.watched.rule(|call| match call.syncs_segment() {
            true => Fate::Fails(libc::EIO),
            false => Fate::Done,
        });
        let start = |number: usize| {
            let durability = [Durability::Written, Durability::Durable, Durability::Buffered];
            ticket(&bench.store, "group", b"", durability[number % 3])
        };
        (0..30).map(start).collect()
    });
    for ticket in tickets {
        assert_eq!(ended(ticket).unwrap_err().kind(), ErrorKind::Indeterminate);
    }
    bench.watched.no_rule();
    assert_eq!(bench.store.head().unwrap().events, 2);
    let after = ticket(&bench.store, "after", b"", Durability::Durable);
    assert_eq!(ended(after).unwrap_err().kind(), ErrorKind::Poisoned);
    let refused = bench.store.append(&event("after", b""), None).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Poisoned);
    // Reopening decides: here the bytes are there.
    assert_intact(&bench.after_kill(), 32);
}

/// In a group, each request is checked against those before it; one that is refused leaves nothing.
#[test]
fn a_refused_request_leaves_the_group_alone() {
    let bench = Bench::new();
    let tickets: Vec<_> = bench.one_group(|| {
        let start = |number: u32| {
            let expected = match number % 3 {
                0 if number == 0 => Expected::NoStream,
                0 => Expected::Exact(number / 3 - 1),
                1 => Expected::NoStream,
                _ => Expected::Exact(1000),
            };
            let checked = NewEvent { expected, ..event("checked", b"") };
            // The first event of a refused pair must go, too.
            let events = [event("beside", b""), checked];
            let events = if number.is_multiple_of(3) { &events[1..] } else { &events[..] };
            bench.store.append_ticket(events, Some(Durability::Durable)).unwrap()
        };
        (0..30).map(start).collect()
    });
    for (number, ticket) in tickets.into_iter().enumerate() {
        match ended(ticket) {
            Ok(receipts) => assert_eq!(receipts[0].clock as usize * 3, number),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ClockConflict);
                assert_ne!(number % 3, 0);
            }
        }
    }
    assert_eq!(bench.store.stream_head("beside", 0).unwrap(), None);
    assert_intact(&bench.store, 12);
}
