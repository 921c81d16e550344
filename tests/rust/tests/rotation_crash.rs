//! Crashes and failures at every change of the file system while the newest segment is sealed and the next
//! one begins, in the simulated one, with the recovery crashing too. What is appended with it is then
//! there or not, and nothing else has changed.

mod states;

use batpak_core::{
    CompactOptions, ErrorKind, EventKind, NewEvent, OpenMode, OpenOptions, Result, Retention, Store,
};
use batpak_tests::sim::{Fault, Loss, SimVfs};
use states::{Answer, EVENTS, Seen, answers, check_tidy, fill};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const STORE: &str = "/store";

fn open(vfs: &SimVfs, mode: OpenMode) -> Result<Store> {
    let options = OpenOptions {
        segment_bytes: 4096,
        seed: Some(1),
        buffer_ms: 60_000,
        ..OpenOptions::mode(mode)
    };
    Store::open_on(Arc::new(vfs.clone()), Path::new(STORE), &options)
}

// ---------------------------------------------------------------- what rotates

type Build = fn() -> SimVfs;
type Operation = fn(&Store) -> Result<()>;

const CASES: [(&str, Build, Operation); 6] = [
    ("the first event", empty, single),
    ("an event", killed, single),
    ("an event after a close", closed, single),
    ("a batch", killed, batch),
    ("a batch larger than a segment", killed, large_batch),
    ("a retention that drops nothing", killed, nothing_unwanted),
];

fn empty() -> SimVfs {
    let vfs = SimVfs::default();
    open(&vfs, OpenMode::Create).unwrap().close().unwrap();
    vfs
}

/// A store that was killed when its newest segment was full: the next event begins another one.
fn killed() -> SimVfs {
    let vfs = empty();
    let store = open(&vfs, OpenMode::Existing).unwrap();
    fill(&store, 0..EVENTS).unwrap();
    loop {
        let ahead = vfs.after_crash(Loss::Process);
        let next = open(&ahead, OpenMode::Existing).unwrap();
        let before = next.stats().unwrap().segments;
        single(&next).unwrap();
        if next.stats().unwrap().segments > before {
            return vfs.after_crash(Loss::Process);
        }
        single(&store).unwrap();
    }
}

fn closed() -> SimVfs {
    let vfs = killed();
    open(&vfs, OpenMode::Existing).unwrap().close().unwrap();
    vfs
}

fn append(store: &Store, events: usize, payload: &[u8]) -> Result<()> {
    let event = NewEvent::new("a", "s", EventKind::DATA, payload);
    store.append_batch(&vec![event; events], None).map(drop)
}

fn single(store: &Store) -> Result<()> {
    append(store, 1, &[7; 200])
}

fn batch(store: &Store) -> Result<()> {
    append(store, 4, &[8; 300])
}

fn large_batch(store: &Store) -> Result<()> {
    append(store, 9, &[9; 1000])
}

/// Seals the newest segment, and that is all.
fn nothing_unwanted(store: &Store) -> Result<()> {
    let retention = Some(Retention { before: Some(0), ..Default::default() });
    store.compact(CompactOptions { retention, ..Default::default() }).map(drop)
}

// ---------------------------------------------------------------- before it or behind it

struct State {
    seen: Seen,
    segments: u64,
}

impl State {
    fn of(store: &Store) -> Self {
        let segments = store.stats().unwrap().segments;
        Self { seen: Seen::of(store), segments }
    }
}

struct Trial {
    name: &'static str,
    base: SimVfs,
    operation: Operation,
    old: State,
    new: State,
    answers: Vec<Answer>,
}

impl Trial {
    fn new((name, build, operation): (&'static str, Build, Operation)) -> Self {
        let base = build();
        let store = open(&base.after_crash(Loss::Process), OpenMode::Existing).unwrap();
        let old = State::of(&store);
        operation(&store).unwrap();
        let new = State::of(&store);
        assert_eq!(new.segments, old.segments + 1, "{name}");
        Self { name, base, operation, old, new, answers: answers(&store) }
    }

    /// Whether it is the new one. A segment may have been begun, and nothing appended to it.
    fn is_new(&self, seen: &Seen, segments: u64, context: &str) -> bool {
        let grown = segments == self.new.segments;
        let is_old = *seen == self.old.seen && (grown || segments == self.old.segments);
        let is_new = *seen == self.new.seen && grown;
        assert!(is_old || is_new, "{context}: neither the old nor the new store");
        is_new
    }

    /// What a reader sees, who changes nothing.
    fn is_new_to_reader(&self, vfs: &SimVfs, context: &str) -> bool {
        let contents = || -> BTreeMap<_, _> {
            vfs.paths().into_iter().map(|path| (path.clone(), vfs.content(&path))).collect()
        };
        let before = contents();
        let reader = open(vfs, OpenMode::ReadOnly).unwrap();
        let segments = reader.stats().unwrap().segments;
        let is_new = self.is_new(&Seen::of(&reader), segments, context);
        drop(reader);
        assert!(contents() == before, "{context}: a reader changed a file");
        is_new
    }

    /// What opens for appending.
    fn is_new_to_writer(&self, vfs: &SimVfs, context: &str) -> bool {
        let store = open(vfs, OpenMode::Existing).unwrap();
        let state = State::of(&store);
        let is_new = self.is_new(&state.seen, state.segments, context);
        let names = vfs.paths().into_iter();
        let names = names.map(|name| name.file_name().unwrap().to_string_lossy().into_owned());
        check_tidy(names, state.segments, context);
        drop(store);
        // To ask for a key is to append, which may begin a segment.
        let asked = open(&vfs.after_crash(Loss::Process), OpenMode::Existing).unwrap();
        assert!(answers(&asked) == self.answers, "{context}: keys");
        is_new
    }

    /// Opens a store after a crash, for good, and goes on with it.
    fn check_recovered(&self, vfs: &SimVfs, context: &str) -> bool {
        let is_new = self.is_new_to_reader(vfs, context);
        for opening in ["once", "twice"] {
            let context = format!("{context}, opened {opening}");
            assert_eq!(self.is_new_to_writer(vfs, &context), is_new, "{context}");
            let cut = vfs.after_crash(Loss::Power(7));
            assert_eq!(self.is_new_to_reader(&cut, &context), is_new, "{context}, power cut");
        }
        let store = open(vfs, OpenMode::Existing).unwrap();
        if !is_new {
            (self.operation)(&store).unwrap();
            assert!(Seen::of(&store) == self.new.seen, "{context}: once more");
        }
        for _ in 0..40 {
            single(&store).unwrap();
        }
        store.close().unwrap();
        let store = open(vfs, OpenMode::Existing).unwrap();
        assert_eq!(Seen::of(&store).end(), self.new.seen.end() + 40, "{context}");
        assert!(store.stats().unwrap().segments > self.new.segments, "{context}");
        is_new
    }

    /// Crashes the recovery at every one of its changes.
    fn crash_recovery(&self, crashed: &SimVfs, context: &str) -> u64 {
        let mut points = 0;
        loop {
            let vfs = crashed.after_crash(Loss::Process);
            let fault = if points % 2 == 0 { Fault::Crash } else { Fault::CrashMidway };
            vfs.fail_at(points + 1, fault);
            let opened = open(&vfs, OpenMode::Existing).map(drop);
            if !vfs.crashed() {
                opened.unwrap();
                return points;
            }
            points += 1;
            for loss in [Loss::Process, Loss::Power(points)] {
                let context = format!("{context}, then {fault:?} at {points}, {loss:?}");
                let vfs = vfs.after_crash(loss);
                let by_reader = self.is_new_to_reader(&vfs, &context);
                assert_eq!(self.is_new_to_writer(&vfs, &context), by_reader, "{context}");
            }
        }
    }
}

fn crash_everywhere(fault: Fault) {
    for trial in CASES.map(Trial::new) {
        let name = trial.name;
        let (mut points, mut old, mut new, mut second) = (0, 0, 0, 0);
        for point in 1.. {
            let vfs = trial.base.after_crash(Loss::Process);
            let store = open(&vfs, OpenMode::Existing).unwrap();
            vfs.fail_at(vfs.changes() + point, fault);
            let done = (trial.operation)(&store);
            let closed = store.close();
            let context = format!("{name}, {fault:?} at {point}");
            if !vfs.crashed() {
                done.and(closed).unwrap();
                break;
            }
            points += 1;
            let losses = (0..6).map(|seed| Loss::Power(point * 100 + seed));
            for (nth, loss) in [Loss::Process].into_iter().chain(losses).enumerate() {
                let context = format!("{context}, {loss:?}");
                let crashed = vfs.after_crash(loss);
                if nth < 2 {
                    second += trial.crash_recovery(&crashed, &context);
                }
                let is_new = trial.check_recovered(&crashed, &context);
                // What was answered is done.
                assert!(done.is_err() || is_new, "{context}: it was done");
                *(if is_new { &mut new } else { &mut old }) += 1;
            }
        }
        println!(
            "{name}: {points} points, {old} times the old store, {new} times the new one; \
             {second} points of the recovery"
        );
        assert!(points > 10 && old > points && second > points, "{name}: {points} points");
        assert!(new > 0, "{name}: never the new store");
    }
}

#[test]
fn a_crash_before_any_change() {
    crash_everywhere(Fault::Crash);
}

#[test]
fn a_crash_in_the_middle_of_any_change() {
    crash_everywhere(Fault::CrashMidway);
}

/// After a failure that is no crash the store goes on as it was, or takes no appends until it is
/// reopened; then it is the old or the new one.
fn fail_everywhere(fault: Fault, kind: ErrorKind) {
    for trial in CASES.map(Trial::new) {
        let name = trial.name;
        let (mut failures, mut poisoned) = (0, 0);
        for point in 1.. {
            let vfs = trial.base.after_crash(Loss::Process);
            let store = open(&vfs, OpenMode::Existing).unwrap();
            let first = vfs.changes();
            vfs.fail_at(first + point, fault);
            let context = format!("{name}, {fault:?} at {point}");
            let done = (trial.operation)(&store);
            if vfs.changes() < first + point {
                break;
            }
            let Err(error) = done else {
                // The head is advice.
                assert!(Seen::of(&store) == trial.new.seen, "{context}");
                drop(store);
                assert!(trial.check_recovered(&vfs, &context), "{context}");
                continue;
            };
            let kinds = [kind, ErrorKind::Io, ErrorKind::Indeterminate];
            assert!(kinds.contains(&error.kind()), "{context}: {error:?}");
            failures += 1;
            assert!(Seen::of(&store) == trial.old.seen, "{context}: not the old store");
            match (trial.operation)(&store) {
                Ok(()) => {
                    assert_ne!(error.kind(), ErrorKind::Indeterminate, "{context}");
                    assert!(Seen::of(&store) == trial.new.seen, "{context}: once more");
                    drop(store);
                    assert!(trial.check_recovered(&vfs, &context), "{context}");
                }
                Err(refused) => {
                    assert_eq!(refused.kind(), ErrorKind::Poisoned, "{context}: {refused:?}");
                    poisoned += 1;
                    drop(store);
                    for loss in [Loss::Power(point), Loss::Power(point + 1000), Loss::Process] {
                        trial.check_recovered(&vfs.after_crash(loss), &context);
                    }
                }
            }
        }
        println!("{name}: {failures} failures, {poisoned} of them stop appends");
        assert!(failures > 5 && poisoned > 0, "{name}: {failures} failures");
        assert!(fault == Fault::Io || poisoned < failures, "{name}: every failure stops appends");
    }
}

#[test]
fn a_full_disk_at_any_change() {
    fail_everywhere(Fault::DiskFull, ErrorKind::DiskFull);
}

#[test]
fn an_input_output_error_at_any_change() {
    fail_everywhere(Fault::Io, ErrorKind::Io);
}
