//! The write path where it fails, or runs on an unusual thread: what was accepted stays readable and
//! safe, what was refused is seen by nobody, and what is called never nests.

use batpak_core::storage::{Access, Vfs, VfsFile};
use batpak_core::{
    Durability, Error, ErrorKind, EventKind, Expected, Id, NewEvent, OpenMode, OpenOptions, Query,
    Receipt, Store, Ticket,
};
use batpak_tests::scratch::Scratch;
use batpak_tests::sim::{Fault, Loss, SimVfs};
use batpak_tests::watched::{Call, Fate, Gate, Watched};
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

const DIR: &str = "/store";
/// Far longer than anything takes: what has not ended by then hangs.
const LONG: Duration = Duration::from_secs(120);

fn event<'a>(entity: &'a str, payload: &'a [u8]) -> NewEvent<'a> {
    NewEvent::new(entity, "test", EventKind::DATA, payload)
}

/// The flusher sleeps through every test.
fn options() -> OpenOptions {
    OpenOptions { buffer_ms: 600_000, ..OpenOptions::default() }
}

fn open(vfs: impl Vfs + 'static, mode: OpenMode) -> Result<Store, Error> {
    Store::open_on(Arc::new(vfs), Path::new(DIR), &OpenOptions { mode, ..options() })
}

/// A store on a simulated disk whose calls are watched.
fn watched_store() -> (SimVfs, Watched, Store) {
    let disk = SimVfs::default();
    let watched = Watched::new(Arc::new(disk.clone()));
    let store = open(watched.clone(), OpenMode::Create).unwrap();
    (disk, watched, store)
}

fn first_segment() -> PathBuf {
    Path::new(DIR).join("000001.fbat")
}

fn head_file() -> PathBuf {
    Path::new(DIR).join("head")
}

fn payloads(store: &Store) -> Vec<String> {
    let events = store.read(Query::default()).unwrap();
    events.map(|event| String::from_utf8_lossy(event.unwrap().payload()).into_owned()).collect()
}

fn assert_intact(store: &Store, events: u64) {
    assert_eq!(store.head().unwrap().events, events);
    assert_eq!(store.verify().unwrap().findings, []);
}

fn start(store: &Store, event: &NewEvent<'_>, durability: Durability) -> Ticket {
    store.append_ticket(std::slice::from_ref(event), Some(durability)).unwrap()
}

/// What became of a ticket, which must have ended in time.
fn ended(mut ticket: Ticket) -> Result<Receipt, Error> {
    assert!(ticket.wait_for(LONG), "a ticket hangs");
    ticket.wait().map(|mut receipts| receipts.remove(0))
}

/// A committer that is held in a function that it calls, while nobody leads: what is started
/// meanwhile becomes one group once it is let go, or somebody waits for an append.
struct HeldCommitter(Gate);

impl HeldCommitter {
    fn of(store: &Store) -> Self {
        let gate = Gate::default();
        let held = gate.clone();
        let then = Box::new(move |_| held.pass());
        store.append_then(&[event("held", b"held")], Some(Durability::Durable), then).unwrap();
        gate.reached();
        Self(gate)
    }
}

impl Drop for HeldCommitter {
    /// Lets it go, also when a test fails: closing waits for it.
    fn drop(&mut self) {
        self.0.open();
    }
}

/// How long the frame that begins here is in the file: its length stands first.
fn frame_bytes(frame: &[u8]) -> usize {
    (u32::from_le_bytes(frame[..4].try_into().unwrap()) as usize).next_multiple_of(8)
}

/// Where each frame begins, and where the last one ends.
fn frame_places(segment: &[u8]) -> Vec<usize> {
    const HEADER_BYTES: usize = 192;
    let mut places = vec![HEADER_BYTES];
    loop {
        let at = places[places.len() - 1];
        if at + 8 > segment.len() || segment[at..at + 4] == [0; 4] {
            return places;
        }
        places.push(at + frame_bytes(&segment[at..]));
    }
}

// --- Buffered events that could not be written.

/// The write of buffered events fails; the store stays open, and takes another event. Each is read
/// by its place and by its id, and both are written in the end.
#[test]
fn buffered_events_that_could_not_be_written_stay_readable() {
    let disk = SimVfs::default();
    let store = open(disk.clone(), OpenMode::Create).unwrap();
    let buffered = Some(Durability::Buffered);
    let first = store.append(&event("e", b"first"), buffered).unwrap();
    disk.fail_at(disk.changes() + 1, Fault::DiskFull);
    assert_eq!(store.close().unwrap_err().kind(), ErrorKind::DiskFull);
    let second_event = NewEvent { id: Some(Id([2; 16])), ..event("e", b"second") };
    let second = store.append(&second_event, buffered).unwrap();
    for (receipt, payload) in [(first, b"first" as &[u8]), (second, b"second")] {
        let at = store.at(receipt.sequence).unwrap().unwrap();
        let by_id = store.get(receipt.id).unwrap().unwrap();
        assert_eq!((at.payload(), at.hash()), (payload, receipt.hash));
        assert_eq!((by_id.payload(), by_id.sequence()), (payload, receipt.sequence));
    }
    let repeated = store.append(&second_event, buffered).unwrap();
    assert_eq!((repeated.sequence, repeated.duplicate), (1, true));
    assert_intact(&store, 2);
    store.close().unwrap();
    let reopened = open(disk, OpenMode::Existing).unwrap();
    assert!(reopened.open_report().clean);
    assert_eq!(payloads(&reopened), ["first", "second"]);
    assert_intact(&reopened, 2);
}

/// A failure that may pass does not stop the flusher: it tries again until the events are written.
#[test]
fn the_flusher_tries_again() {
    let disk = SimVfs::default();
    let watched = Watched::new(Arc::new(disk.clone()));
    let options = OpenOptions { buffer_ms: 1, ..OpenOptions::default() };
    let store = Store::open_on(Arc::new(watched.clone()), Path::new(DIR), &options).unwrap();
    store.append(&event("e", b"durable"), None).unwrap();
    let (failing, failed) = (Mutex::new(3), Arc::new(AtomicUsize::new(0)));
    let (written, is_written) = mpsc::channel();
    let count = failed.clone();
    watched.rule(move |call| {
        let mut left = failing.lock().unwrap();
        match call {
            Call::Write { .. } if call.writes_segment() && *left > 0 => {
                *left -= 1;
                count.fetch_add(1, Ordering::SeqCst);
                Fate::Fails(libc::EIO)
            }
            Call::Write { .. } if call.writes_segment() => {
                let _ = written.send(());
                Fate::Done
            }
            _ => Fate::Done,
        }
    });
    store.append(&event("e", b"buffered"), Some(Durability::Buffered)).unwrap();
    is_written.recv_timeout(LONG).expect("the flusher gave up");
    assert_eq!(failed.load(Ordering::SeqCst), 3);
    watched.no_rule();
    store.close().unwrap();
    assert_eq!(payloads(&open(disk, OpenMode::Existing).unwrap()), ["durable", "buffered"]);
}

// --- What is called with results.

/// Functions that start the next append and then append themselves, and wait: however many follow
/// each other, none is called before the last one has returned, and each is called once.
#[test]
fn what_is_called_never_nests() {
    const CALLS: usize = 300;

    struct Chain {
        store: Store,
        depth: AtomicUsize,
        deepest: AtomicUsize,
        calls: Mutex<Vec<u64>>,
        done: mpsc::Sender<()>,
    }

    fn next(chain: &Arc<Chain>) {
        let own = chain.clone();
        let then = move |result: Result<Vec<Receipt>, Error>| {
            let depth = own.depth.fetch_add(1, Ordering::SeqCst) + 1;
            own.deepest.fetch_max(depth, Ordering::SeqCst);
            let calls = {
                let mut calls = own.calls.lock().unwrap();
                calls.push(result.unwrap()[0].sequence);
                calls.len()
            };
            if calls < CALLS {
                next(&own);
            }
            let waited = own.store.append(&event("waited", b""), Some(Durability::Written));
            waited.unwrap();
            own.depth.fetch_sub(1, Ordering::SeqCst);
            if calls == CALLS {
                own.done.send(()).unwrap();
            }
        };
        let started = [event("started", b"")];
        chain.store.append_then(&started, Some(Durability::Buffered), Box::new(then)).unwrap();
    }

    let (_, _, store) = watched_store();
    let (done, is_done) = mpsc::channel();
    let chain = Chain {
        store: store.clone(),
        depth: AtomicUsize::new(0),
        deepest: AtomicUsize::new(0),
        calls: Mutex::new(Vec::new()),
        done,
    };
    let chain = Arc::new(chain);
    next(&chain);
    is_done.recv_timeout(LONG).unwrap();
    assert_eq!(chain.deepest.load(Ordering::SeqCst), 1);
    let calls = chain.calls.lock().unwrap();
    assert_eq!(calls.len(), CALLS);
    assert!(calls.windows(2).all(|two| two[0] < two[1]));
    assert_intact(&store, 2 * CALLS as u64);
}

// --- Threads that are ending.

/// What a destructor of a thread-local does with the store.
struct AtThreadEnd(Option<Box<dyn FnOnce()>>);

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

thread_local! {
    static AT_THREAD_END: RefCell<AtThreadEnd> = const { RefCell::new(AtThreadEnd(None)) };
}

/// Runs `first` on a thread, and then, when the thread's locals of the library are gone, what it
/// gives. Locals go in the opposite order of their first use.
fn at_thread_end<Work: FnOnce() + 'static>(first: impl FnOnce() -> Work + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            AT_THREAD_END.with(|_| ());
            let work = first();
            AT_THREAD_END.with(|end| end.borrow_mut().0 = Some(Box::new(work)));
        });
        // Joining, and not the scope's end, waits for the destructors.
        thread.join().unwrap();
    });
}

/// The store is closed, or its last handle dropped, by the destructor of a thread-local.
#[test]
fn closed_when_a_thread_ends() {
    for drops in [false, true] {
        let scratch = Scratch::new().unwrap();
        let path = scratch.join("store");
        let (results, result) = mpsc::channel();
        at_thread_end(|| {
            let store = Store::open(&path, &options()).unwrap();
            store.append(&event("e", b"durable"), Some(Durability::Durable)).unwrap();
            store.append(&event("e", b"buffered"), Some(Durability::Buffered)).unwrap();
            move || {
                if !drops {
                    results.send(store.close()).unwrap();
                }
                drop((store, results));
            }
        });
        if !drops {
            result.recv_timeout(LONG).unwrap().unwrap();
        }
        let reopened = Store::open(&path, &options()).unwrap();
        assert!(reopened.open_report().clean, "drops: {drops}");
        assert_eq!(payloads(&reopened), ["durable", "buffered"]);
    }
}

/// A destructor of a thread-local may append, and wait in line, and lead others' appends, and call
/// what is to be called with their results; also if the thread has done all that before.
#[test]
fn appended_when_a_thread_ends() {
    let (_, _, store) = watched_store();
    let held = HeldCommitter::of(&store);
    let (results, received) = mpsc::channel();
    // The committer is held, so that the thread finds an append in line, and nobody who leads.
    let append_both = move |store: &Store| {
        let of_started = results.clone();
        let then = Box::new(move |result| of_started.send(result).unwrap());
        store.append_then(&[event("started", b"")], None, then).unwrap();
        results.send(store.append_batch(&[event("waited", b"")], None)).unwrap();
    };
    at_thread_end(|| {
        append_both(&store);
        let store = store.clone();
        move || append_both(&store)
    });
    for sequence in 1..=4 {
        let receipts = received.recv_timeout(LONG).unwrap().unwrap();
        assert_eq!(receipts[0].sequence, sequence);
    }
    drop(held);
    store.close().unwrap();
}

// --- Repeats in a group that fails.

fn with_id(id: u8) -> NewEvent<'static> {
    NewEvent { id: Some(Id([id; 16])), ..event("known", b"known") }
}

/// A repeat of an event that is as safe as asked for succeeds, whatever becomes of its group. If it
/// is there, and less safe, it is not rejected either: the event stays. A repeat of an event of the
/// group shares its fate.
#[test]
fn a_repeat_succeeds_in_a_failing_group() {
    for syncs in [false, true] {
        let (disk, watched, store) = watched_store();
        let durable = store.append(&with_id(1), Some(Durability::Durable)).unwrap();
        let held = HeldCommitter::of(&store);
        let written = store.append(&with_id(2), Some(Durability::Written)).unwrap();
        watched.rule(move |call| match call {
            Call::Write { .. } if call.writes_segment() && !syncs => Fate::Fails(libc::ENOSPC),
            Call::Sync { .. } if call.syncs_segment() && syncs => Fate::Fails(libc::EIO),
            _ => Fate::Done,
        });
        let new = start(&store, &event("new", b"new"), Durability::Durable);
        let repeats =
            [(1, Durability::Durable), (2, Durability::Written), (2, Durability::Buffered)];
        let repeats = repeats.map(|(id, durability)| start(&store, &with_id(id), durability));
        let not_safe = start(&store, &with_id(2), Durability::Durable);
        let fresh = start(&store, &with_id(3), Durability::Written);
        let repeat_of_fresh = start(&store, &with_id(3), Durability::Written);
        let refused = NewEvent { expected: Expected::Exact(77), ..event("known", b"") };
        let refused = start(&store, &refused, Durability::Buffered);
        drop(held);

        let kind = if syncs { ErrorKind::Indeterminate } else { ErrorKind::DiskFull };
        for ticket in [new, fresh, repeat_of_fresh] {
            assert_eq!(ended(ticket).unwrap_err().kind(), kind);
        }
        assert_eq!(ended(refused).unwrap_err().kind(), ErrorKind::ClockConflict);
        for (ticket, first) in repeats.into_iter().zip([durable, written.clone(), written]) {
            let receipt = ended(ticket).unwrap();
            assert_eq!(receipt, Receipt { duplicate: true, ..first });
        }
        let error = ended(not_safe).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate);

        watched.no_rule();
        assert!(store.get(Id([3; 16])).unwrap().is_none());
        if !syncs {
            // The retry: now it is as safe as asked for.
            assert!(store.append(&with_id(2), Some(Durability::Durable)).unwrap().duplicate);
            assert!(!store.append(&with_id(3), Some(Durability::Durable)).unwrap().duplicate);
        }
        assert_intact(&store, if syncs { 3 } else { 4 });
        // After a failed sync, reopening decides: here the bytes are there.
        let survivor = open(disk.after_crash(Loss::Process), OpenMode::Existing).unwrap();
        assert_intact(&survivor, if syncs { 5 } else { 4 });
    }
}

// --- Readers in other processes.

/// Written events are accepted although the write of their group failed behind them: a reader in
/// another process sees them, too, also if the head was closed before the group.
#[test]
fn accepted_events_of_a_failed_group_are_seen_by_others() {
    let (disk, watched, store) = watched_store();
    let reader = {
        store.append(&event("e", b"durable"), Some(Durability::Durable)).unwrap();
        open(disk.clone(), OpenMode::ReadOnly).unwrap()
    };
    let held = HeldCommitter::of(&store);
    assert_eq!(reader.refresh().unwrap(), 2);
    let accepted = start(&store, &event("e", b"accepted"), Durability::Written);
    let rejected = start(&store, &event("e", b"rejected"), Durability::Written);
    let writes = AtomicUsize::new(0);
    watched.rule(move |call| match call {
        Call::Write { bytes, .. } if call.writes_segment() => {
            // Both frames are of one size.
            match writes.fetch_add(1, Ordering::SeqCst) {
                0 => Fate::Short(bytes / 2),
                _ => Fate::Fails(libc::ENOSPC),
            }
        }
        _ => Fate::Done,
    });
    drop(held);
    assert_eq!(ended(accepted).unwrap().sequence, 2);
    assert_eq!(ended(rejected).unwrap_err().kind(), ErrorKind::DiskFull);
    assert_eq!(store.head().unwrap().events, 3);
    assert_eq!(reader.refresh().unwrap(), 3);
    assert_eq!(payloads(&reader), ["durable", "held", "accepted"]);
    assert_eq!(payloads(&open(disk, OpenMode::ReadOnly).unwrap()), payloads(&reader));
}

/// Written and durable appends by turns, and a reader that looks when the bytes are in the file and
/// wait for their sync: it sees a durable event when the writer shows it, and not before. The last
/// sync fails.
#[test]
fn a_durable_event_is_seen_when_the_writer_shows_it() {
    const ROUNDS: u64 = 20;
    let (disk, watched, store) = watched_store();
    store.append(&event("e", b""), Some(Durability::Written)).unwrap();
    let reader = open(disk.clone(), OpenMode::ReadOnly).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (looking, looks, on) = (reader.clone(), seen.clone(), disk.clone());
    watched.rule(move |call| {
        if call.syncs_segment() {
            let fresh = open(on.clone(), OpenMode::ReadOnly).unwrap();
            let mut seen = looks.lock().unwrap();
            seen.push((looking.refresh().unwrap(), fresh.head().unwrap().events));
            if seen.len() as u64 == ROUNDS {
                return Fate::Fails(libc::EIO);
            }
        }
        Fate::Done
    });
    for round in 0..ROUNDS {
        let visible = 2 * round + 2;
        store.append(&event("e", b"written"), Some(Durability::Written)).unwrap();
        assert_eq!(reader.refresh().unwrap(), visible);
        let appended = store.append(&event("e", b"durable"), Some(Durability::Durable));
        assert_eq!(seen.lock().unwrap().last(), Some(&(visible, visible)));
        if round + 1 < ROUNDS {
            assert_eq!(appended.unwrap().sequence, visible);
            assert_eq!(reader.refresh().unwrap(), visible + 1);
        } else {
            assert_eq!(appended.unwrap_err().kind(), ErrorKind::Indeterminate);
            assert_eq!(reader.refresh().unwrap(), visible);
        }
    }
    assert_eq!(payloads(&reader), payloads(&store));
}

/// The head says that whole batches behind its end are visible, and cannot be overwritten: a durable
/// append is rejected, since readers would see it before its sync. The log goes on as it was.
#[test]
fn a_durable_append_needs_the_head() {
    let (disk, watched, store) = watched_store();
    store.append(&event("e", b"written"), Some(Durability::Written)).unwrap();
    let reader = open(disk.clone(), OpenMode::ReadOnly).unwrap();
    let before = disk.content(&first_segment()).unwrap();
    watched.rule(|call| match call {
        Call::Write { file: "head", .. } => Fate::Fails(libc::EIO),
        _ => Fate::Done,
    });
    for _ in 0..2 {
        let refused = store.append(&event("e", b"rejected"), Some(Durability::Durable));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Io);
        assert!(disk.content(&first_segment()).unwrap() == before);
        assert_eq!(reader.refresh().unwrap(), 1);
    }
    assert_eq!(payloads(&store), ["written"]);
    watched.no_rule();
    assert_eq!(store.append(&event("e", b"durable"), None).unwrap().sequence, 1);
    assert_eq!(reader.refresh().unwrap(), 2);
    assert_eq!(payloads(&reader), ["written", "durable"]);
    assert_intact(&store, 2);
}

/// A reader goes by an open-ended head, is held up, and then reads a whole frame of a durable group
/// whose write fails behind it: it takes nothing in, and reads right what comes to stand there
/// instead.
#[test]
fn a_slow_reader_sees_no_event_that_is_rejected() {
    let (disk, watched, store) = watched_store();
    let of_reader = Watched::new(Arc::new(disk.clone()));
    let reader = open(of_reader.clone(), OpenMode::ReadOnly).unwrap();
    let held = HeldCommitter::of(&store);
    for payload in [b"0", b"1"] {
        store.append(&event("e", payload), Some(Durability::Written)).unwrap();
    }
    assert_eq!(reader.refresh().unwrap(), 3);
    // The frames of later events of the stream are as long as this one.
    let places = frame_places(&disk.content(&first_segment()).unwrap());
    let frame_bytes = places[3] - places[2];

    let (read, half_written) = (Gate::default(), Gate::default());
    let (at_read, at_write, writes) = (read.clone(), half_written.clone(), AtomicUsize::new(0));
    of_reader.rule(move |call| {
        if call.reads_segment() {
            at_read.pass();
        }
        Fate::Done
    });
    watched.rule(move |call| match (call.writes_segment(), writes.load(Ordering::SeqCst)) {
        (true, 0) => {
            writes.store(1, Ordering::SeqCst);
            Fate::Short(frame_bytes)
        }
        (true, _) => {
            at_write.pass();
            Fate::Fails(libc::ENOSPC)
        }
        (false, _) => Fate::Done,
    });
    let visible = std::thread::scope(|scope| {
        let refreshed = scope.spawn(|| reader.refresh());
        read.reached();
        let tickets = [b"2", b"3"].map(|of| start(&store, &event("e", of), Durability::Durable));
        drop(held);
        half_written.reached();
        let written = disk.content(&first_segment()).unwrap();
        read.open();
        let visible = refreshed.join().unwrap();
        half_written.open();
        for ticket in tickets {
            assert_eq!(ended(ticket).unwrap_err().kind(), ErrorKind::DiskFull);
        }
        assert_eq!(frame_places(&written).len(), places.len() + 1, "no frame is whole");
        visible
    });
    assert_eq!(visible.unwrap(), 3);
    watched.no_rule();
    store.append(&event("e", b"another, and a longer one"), None).unwrap();
    assert_eq!(reader.refresh().unwrap(), 4);
    assert_eq!(payloads(&reader), ["held", "0", "1", "another, and a longer one"]);
    assert_eq!(reader.head().unwrap(), store.head().unwrap());
    assert_intact(&reader, 4);
}

// --- What is found and not believed.

/// A head with offsets and counts that no file has: an error of kind `Corrupt` for readers, in no
/// more memory than there is in the file.
#[test]
fn a_forged_head_is_not_believed() {
    const VISIBLE_OFFSET: usize = 32;
    const CRC: usize = 92;
    let disk = SimVfs::default();
    let store = open(disk.clone(), OpenMode::Create).unwrap();
    store.append(&event("e", b"durable"), None).unwrap();
    let reader = open(disk.clone(), OpenMode::ReadOnly).unwrap();
    let head = disk.content(&head_file()).unwrap();
    let end = u64::from_le_bytes(head[VISIBLE_OFFSET..VISIBLE_OFFSET + 8].try_into().unwrap());
    for offset in [end + 8, 1 << 30, 1 << 46, i64::MAX as u64, u64::MAX] {
        let mut forged = head.clone();
        forged[VISIBLE_OFFSET..VISIBLE_OFFSET + 8].copy_from_slice(&offset.to_le_bytes());
        let crc = crc32fast::hash(&forged[..CRC]);
        forged[CRC..].copy_from_slice(&crc.to_le_bytes());
        disk.set_content(&head_file(), forged);
        assert_eq!(reader.refresh().unwrap_err().kind(), ErrorKind::Corrupt, "{offset}");
        let opened = open(disk.clone(), OpenMode::ReadOnly);
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::Corrupt, "{offset}");
        assert_eq!(payloads(&reader), ["durable"]);
    }
    disk.set_content(&head_file(), head);
    assert_eq!(reader.refresh().unwrap(), 1);
}

/// Zeros up to the next multiple of 256 KiB behind the end may be reserved space. Beyond that no
/// writer reserves: they are written events that did not reach the disk, and the report says so.
#[test]
fn zeros_beyond_the_reserve_are_reported() {
    const RESERVE: usize = 256 << 10;
    for (payload_bytes, ends_in) in [(100, RESERVE), (300 << 10, 2 * RESERVE)] {
        let disk = SimVfs::default();
        let store = open(disk.clone(), OpenMode::Create).unwrap();
        store.append(&event("e", &vec![7; payload_bytes]), None).unwrap();
        let mut segment = disk.after_crash(Loss::Process).content(&first_segment()).unwrap();
        let end = frame_places(&segment)[1];
        assert!((ends_in - RESERVE..ends_in).contains(&end));
        for length in
            [end, end + 1, end + 8, ends_in - 8, ends_in, ends_in + 1, ends_in + 8, 5 * RESERVE]
        {
            segment.resize(end, 0);
            segment.resize(length, 0);
            for mode in [OpenMode::ReadOnly, OpenMode::Existing] {
                let disk = disk.after_crash(Loss::Process);
                disk.set_content(&first_segment(), segment.clone());
                let found = open(disk.clone(), mode).unwrap();
                let report = found.open_report();
                let cut = if length > ends_in { length - end } else { 0 };
                assert_eq!(report.cut_bytes, cut as u64, "{length} bytes, {mode:?}");
                assert_eq!(report.cut_at, (cut > 0).then_some((1, end as u64)));
                assert_eq!(report.cut_reason.is_empty(), cut == 0);
                assert_intact(&found, 1);
                if mode == OpenMode::Existing && cut > 0 {
                    assert_eq!(disk.content(&first_segment()).unwrap().len(), end);
                }
            }
        }
    }
}

/// Zeros within the reserve, where the head says that events were visible: a power cut took written
/// events, and the report says so. If it took a durable one, the store is refused.
#[test]
fn zeros_in_place_of_visible_events_are_reported() {
    let disk = SimVfs::default();
    let store = open(disk.clone(), OpenMode::Create).unwrap();
    for durability in [Durability::Durable, Durability::Written] {
        for _ in 0..2 {
            store.append(&event("e", b"payload"), Some(durability)).unwrap();
        }
    }
    // The head was left open-ended with the first of the written ones: it does not know the second.
    let segment = disk.content(&first_segment()).unwrap();
    let places = frame_places(&segment);
    assert_eq!(places.len(), 5);
    for kept in 0..=4 {
        let disk = disk.after_crash(Loss::Process);
        let mut found = segment.clone();
        found[places[kept]..].fill(0);
        disk.set_content(&first_segment(), found);
        let opened = open(disk, OpenMode::Existing);
        if kept < 2 {
            assert_eq!(opened.unwrap_err().kind(), ErrorKind::Corrupt);
            continue;
        }
        let opened = opened.unwrap();
        let report = opened.open_report();
        let cut = segment.len() - places[kept];
        let reported = (report.cut_bytes, report.cut_reason.is_empty());
        assert_eq!(reported, if kept < 3 { (cut as u64, false) } else { (0, true) }, "{kept}");
        assert_intact(&opened, kept as u64);
    }
}

// --- Rotation.

/// A simulated disk without descriptors left when the directory is synced behind a new manifest.
#[derive(Clone)]
struct NoDescriptors {
    inner: SimVfs,
    state: Arc<AtomicUsize>,
}

impl NoDescriptors {
    const IDLE: usize = 0;
    const ARMED: usize = 1;
    const RENAMED: usize = 2;
}

impl Vfs for NoDescriptors {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>> {
        self.inner.open(path, access)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        self.inner.list(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if to.ends_with("manifest") && self.state.load(Ordering::SeqCst) == Self::ARMED {
            self.state.store(Self::RENAMED, Ordering::SeqCst);
        }
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.state.load(Ordering::SeqCst) == Self::RENAMED {
            self.state.store(Self::IDLE, Ordering::SeqCst);
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        self.inner.sync_dir(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Arc<dyn VfsFile>>> {
        self.inner.lock_dir(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.resolve(path)
    }
}

/// Rotation has put the new manifest in place when there is no descriptor for the directory's sync:
/// which manifest a crash leaves is not known, so that the store takes nothing more, and a close
/// changes nothing, which could fit only one of the two.
#[test]
fn no_descriptor_behind_a_new_manifest_stops_all_appends() {
    let (payload, small) = ([7; 5000], OpenOptions { segment_bytes: 4096, ..options() });
    // An earlier life with larger segments reserved space, and was killed.
    let disk = SimVfs::default();
    let store = open(disk.clone(), OpenMode::Create).unwrap();
    store.append(&event("e", &payload), None).unwrap();
    let earlier = disk.after_crash(Loss::Process);
    for close_dies_at in 1..=8 {
        let disk = earlier.after_crash(Loss::Process);
        let state = Arc::new(AtomicUsize::new(NoDescriptors::IDLE));
        let failing = NoDescriptors { inner: disk.clone(), state: state.clone() };
        let store = Store::open_on(Arc::new(failing), Path::new(DIR), &small).unwrap();
        state.store(NoDescriptors::ARMED, Ordering::SeqCst);
        let failed = store.append(&event("e", &payload), None).unwrap_err();
        assert_eq!(failed.os_code(), Some(libc::EMFILE));
        assert_eq!(state.load(Ordering::SeqCst), NoDescriptors::IDLE);
        for durability in [Durability::Durable, Durability::Written, Durability::Buffered] {
            let refused = store.append(&event("e", b""), Some(durability)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Poisoned);
        }
        assert_eq!(payloads(&store).len(), 1);

        let before = disk.changes();
        disk.fail_at(before + close_dies_at, Fault::Crash);
        assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(disk.changes(), before);
        for loss in [Loss::Process, Loss::Power(close_dies_at)] {
            let found = disk.after_crash(loss);
            let reopened = Store::open_on(Arc::new(found), Path::new(DIR), &small).unwrap();
            assert_intact(&reopened, 1);
            assert_eq!(reopened.append(&event("e", &payload), None).unwrap().sequence, 1);
        }
    }
}
