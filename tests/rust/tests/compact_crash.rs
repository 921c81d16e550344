//! Crashes and failures at every change of the file system while a store is compacted, in the simulated
//! one, with the recovery crashing too. There is then the old store or the new one, never a mixture.

mod states;

use batpak_core::{
    CompactOptions, CompactReport, ErrorKind, Event, EventKind, ForkOptions, Keys, NewEvent,
    OpenMode, OpenOptions, Query, Receipt, Result, Retention, Store, Unwanted,
};
use batpak_tests::sim::{Fault, Loss, SimVfs};
use states::{Answer, EVENTS, Seen, answers, check_tidy, fill};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const STORE: &str = "/store";
const FORK: &str = "/fork";
const SMALL: u64 = 4096;
/// Segments of [`SMALL`] bytes are worth joining here.
const LARGE: u64 = 32 << 10;

fn open_with(vfs: &SimVfs, path: &str, mode: OpenMode, segment_bytes: u64) -> Result<Store> {
    let options =
        OpenOptions { segment_bytes, seed: Some(1), buffer_ms: 60_000, ..OpenOptions::mode(mode) };
    Store::open_on(Arc::new(vfs.clone()), Path::new(path), &options)
}

// ---------------------------------------------------------------- what is compacted, and how

/// An operation, and the store that it is done to.
struct Case {
    name: &'static str,
    path: &'static str,
    segment_bytes: u64,
    build: fn() -> SimVfs,
    operation: fn(&Store) -> Result<CompactReport>,
}

const CASES: [Case; 7] = [
    Case { name: "merge", path: STORE, segment_bytes: LARGE, build: closed, operation: merge },
    Case { name: "drop", path: STORE, segment_bytes: SMALL, build: killed, operation: drop_most },
    Case {
        name: "tombstones",
        path: STORE,
        segment_bytes: SMALL,
        build: killed,
        operation: tombstones,
    },
    Case { name: "erase", path: STORE, segment_bytes: SMALL, build: closed, operation: erase },
    Case {
        name: "a second time",
        path: STORE,
        segment_bytes: SMALL,
        build: compacted,
        operation: drop_more,
    },
    Case { name: "fork", path: FORK, segment_bytes: SMALL, build: forked, operation: drop_most },
    Case { name: "parent", path: STORE, segment_bytes: SMALL, build: forked, operation: drop_most },
];

/// A store that was killed, all of whose events are durable.
fn killed() -> SimVfs {
    let vfs = SimVfs::default();
    let store = open_with(&vfs, STORE, OpenMode::Create, SMALL).unwrap();
    fill(&store, 0..EVENTS).unwrap();
    assert!(store.stats().unwrap().segments >= 4);
    vfs.after_crash(Loss::Process)
}

fn closed() -> SimVfs {
    let vfs = killed();
    open_with(&vfs, STORE, OpenMode::Existing, SMALL).unwrap().close().unwrap();
    vfs
}

/// One that was compacted before, and has grown since.
fn compacted() -> SimVfs {
    let vfs = SimVfs::default();
    let store = open_with(&vfs, STORE, OpenMode::Create, SMALL).unwrap();
    fill(&store, 0..50).unwrap();
    let mut keep = |event: &Event| Ok(event.sequence() % 3 != 1);
    let rule = Retention { keep: Some(&mut keep), ..Retention::default() };
    assert!(retain(&store, rule).unwrap().events_dropped > 10);
    fill(&store, 50..EVENTS).unwrap();
    store.close().unwrap();
    vfs
}

/// A fork beside its parent, which share sealed segments.
fn forked() -> SimVfs {
    let vfs = SimVfs::default();
    let parent = open_with(&vfs, STORE, OpenMode::Create, SMALL).unwrap();
    fill(&parent, 0..50).unwrap();
    parent.fork_to(FORK, &ForkOptions::default()).unwrap();
    let fork = open_with(&vfs, FORK, OpenMode::Existing, SMALL).unwrap();
    for store in [parent, fork] {
        fill(&store, 50..EVENTS).unwrap();
        store.close().unwrap();
    }
    vfs
}

fn merge(store: &Store) -> Result<CompactReport> {
    store.compact(CompactOptions::default())
}

fn retain(store: &Store, retention: Retention<'_>) -> Result<CompactReport> {
    store.compact(CompactOptions { retention: Some(retention), ..Default::default() })
}

/// Drops events of which some keys are kept, and the last ones of streams.
fn drop_most(store: &Store) -> Result<CompactReport> {
    let mut keep =
        |event: &Event| Ok(event.sequence().is_multiple_of(5) && event.entity() != "gone");
    let keys = Keys { window: 40, ..Keys::default() };
    retain(store, Retention { before: Some(48), keep: Some(&mut keep), keys, ..Default::default() })
}

fn drop_more(store: &Store) -> Result<CompactReport> {
    let keys = Keys { window: 20, ..Keys::default() };
    retain(store, Retention { newest_per_entity: Some(4), keys, ..Default::default() })
}

fn tombstones(store: &Store) -> Result<CompactReport> {
    let unwanted = Unwanted::Tombstone;
    retain(store, Retention { before: Some(40), unwanted, ..Default::default() })
}

fn erase(store: &Store) -> Result<CompactReport> {
    let unwanted = Unwanted::Erase;
    retain(store, Retention { before: Some(40), unwanted, ..Default::default() })
}

// ---------------------------------------------------------------- the old store or the new one

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Old,
    New,
}

/// All of a store at one moment.
struct State {
    seen: Seen,
    answers: Vec<Answer>,
    segments: u64,
}

impl State {
    fn of(store: &Store) -> Self {
        let segments = store.stats().unwrap().segments;
        Self { seen: Seen::of(store), answers: answers(store), segments }
    }
}

/// A case with its store, as it is before and afterwards.
struct Trial {
    case: Case,
    base: SimVfs,
    /// A parent or a fork, which shares segments with the store, and what is seen of it.
    relative: Option<(&'static str, Seen)>,
    old: State,
    new: State,
}

impl Trial {
    fn new(case: Case) -> Self {
        let base = (case.build)();
        let vfs = base.after_crash(Loss::Process);
        let relative = [STORE, FORK].into_iter().find(|path| {
            *path != case.path && vfs.paths().iter().any(|name| name.starts_with(path))
        });
        let relative = relative.map(|path| {
            (path, Seen::of(&open_with(&vfs, path, OpenMode::ReadOnly, SMALL).unwrap()))
        });
        let store = open_with(&vfs, case.path, OpenMode::Existing, case.segment_bytes).unwrap();
        let old = State::of(&store);
        assert_eq!(old.seen.end(), EVENTS);
        let report = (case.operation)(&store).unwrap();
        assert!(report.segments_written > 0, "{report:?}");
        let new = State::of(&store);
        let same = old.seen == new.seen && old.segments == new.segments;
        assert!(!same, "{}: what comes is what was", case.name);
        Self { case, base, relative, old, new }
    }

    fn open(&self, vfs: &SimVfs, mode: OpenMode) -> Result<Store> {
        open_with(vfs, self.case.path, mode, self.case.segment_bytes)
    }

    /// Which of the two it is. The newest segment of the old one may have been sealed already.
    fn which(&self, seen: &Seen, segments: u64, context: &str) -> Found {
        if *seen == self.new.seen && segments == self.new.segments {
            return Found::New;
        }
        let is_old = *seen == self.old.seen
            && (self.old.segments..=self.old.segments + 1).contains(&segments);
        assert!(is_old, "{context}: neither the old nor the new store");
        Found::Old
    }

    /// Which of the two is open, its keys included.
    fn found(&self, store: &Store, context: &str) -> Found {
        let state = State::of(store);
        let found = self.which(&state.seen, state.segments, context);
        let expected = if found == Found::Old { &self.old } else { &self.new };
        assert!(state.answers == expected.answers, "{context}: keys of another store");
        found
    }

    fn check_tidy(&self, vfs: &SimVfs, store: &Store, context: &str) {
        check_tidy(names(vfs, self.case.path), store.stats().unwrap().segments, context);
    }

    fn check_relative(&self, vfs: &SimVfs, context: &str) {
        let Some((path, expected)) = &self.relative else { return };
        for mode in [OpenMode::ReadOnly, OpenMode::Existing] {
            let relative = open_with(vfs, path, mode, SMALL).unwrap();
            assert!(Seen::of(&relative) == *expected, "{context}: {path}");
        }
    }

    /// What a reader sees, who changes nothing.
    fn found_by_reader(&self, vfs: &SimVfs, context: &str) -> Found {
        let before = contents(vfs);
        let reader = self.open(vfs, OpenMode::ReadOnly).unwrap();
        let found = self.which(&Seen::of(&reader), reader.stats().unwrap().segments, context);
        drop(reader);
        assert!(contents(vfs) == before, "{context}: a reader changed a file");
        found
    }

    /// Opens a store after a crash, for good: which one it is then stays so.
    fn check_recovered(&self, vfs: &SimVfs, context: &str) -> Found {
        let by_reader = self.found_by_reader(vfs, context);
        let store = self.open(vfs, OpenMode::Existing).unwrap();
        let found = self.found(&store, context);
        assert_eq!(found, by_reader, "{context}: the reader");
        self.check_tidy(vfs, &store, context);
        for seed in 0..2 {
            let cut = vfs.after_crash(Loss::Power(seed));
            assert_eq!(self.found_by_reader(&cut, context), found, "{context}: a power cut later");
        }
        store.close().unwrap();
        let store = self.open(vfs, OpenMode::Existing).unwrap();
        assert_eq!(self.found(&store, context), found, "{context}: opened twice");
        assert_eq!(store.open_report().removed, [""; 0], "{context}: opened twice");
        self.check_tidy(vfs, &store, context);
        self.check_relative(vfs, context);
        found
    }

    /// The operation again, appends behind it, and another compaction.
    fn check_goes_on(&self, vfs: &SimVfs, found: Found, context: &str) {
        let store = self.open(vfs, OpenMode::Existing).unwrap();
        if found == Found::Old {
            (self.case.operation)(&store).unwrap();
            let state = State::of(&store);
            assert!(state.seen == self.new.seen, "{context}: once more");
            assert!(state.answers == self.new.answers, "{context}: once more");
        }
        fill(&store, EVENTS..EVENTS + 20).unwrap();
        let rule = Retention { before: Some(EVENTS + 10), ..Default::default() };
        assert!(retain(&store, rule).unwrap().events_dropped >= 10);
        store.close().unwrap();
        let store = self.open(vfs, OpenMode::Existing).unwrap();
        let seen = Seen::of(&store);
        assert_eq!(seen.end(), EVENTS + 20, "{context}");
        let shown = seen.events.iter().map(|event| event.1);
        assert!(shown.eq(EVENTS + 10..EVENTS + 20), "{context}");
        self.check_tidy(vfs, &store, context);
        self.check_relative(vfs, context);
    }

    /// Crashes the recovery at every one of its changes.
    fn crash_recovery(&self, crashed: &SimVfs, context: &str) -> u64 {
        for point in 1.. {
            let vfs = crashed.after_crash(Loss::Process);
            vfs.fail_at(point, if point % 2 == 0 { Fault::Crash } else { Fault::CrashMidway });
            if self.open(&vfs, OpenMode::Existing).is_ok() && !vfs.crashed() {
                return point - 1;
            }
            assert!(vfs.crashed(), "{context}: a store opens after any crash");
            for loss in [Loss::Process, Loss::Power(point)] {
                let context = format!("{context}, then point {point}, {loss:?}");
                let vfs = vfs.after_crash(loss);
                let by_reader = self.found_by_reader(&vfs, &context);
                let store = self.open(&vfs, OpenMode::Existing).unwrap();
                assert_eq!(self.found(&store, &context), by_reader, "{context}");
                self.check_tidy(&vfs, &store, &context);
            }
        }
        0
    }
}

fn names(vfs: &SimVfs, path: &str) -> impl Iterator<Item = String> {
    let paths = vfs.paths().into_iter().filter(move |name| name.starts_with(path));
    paths.map(|name| name.file_name().unwrap().to_string_lossy().into_owned())
}

fn contents(vfs: &SimVfs) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    vfs.paths().into_iter().map(|path| (path.clone(), vfs.content(&path))).collect()
}

// ---------------------------------------------------------------- crashes

fn crash_everywhere(fault: Fault) {
    for trial in CASES.map(Trial::new) {
        let name = trial.case.name;
        let (mut points, mut old, mut new, mut second) = (0, 0, 0, 0);
        for point in 1.. {
            let vfs = trial.base.after_crash(Loss::Process);
            let store = trial.open(&vfs, OpenMode::Existing).unwrap();
            vfs.fail_at(vfs.changes() + point, fault);
            let done = (trial.case.operation)(&store);
            let context = format!("{name}, {fault:?} at {point}");
            let closed = store.close();
            if !vfs.crashed() {
                done.and(closed).unwrap();
                for seed in 0..8 {
                    let vfs = vfs.after_crash(Loss::Power(seed));
                    assert_eq!(trial.check_recovered(&vfs, &context), Found::New, "{context}");
                }
                break;
            }
            points += 1;
            let losses = (0..5).map(|seed| Loss::Power(point * 100 + seed));
            for (nth, loss) in [Loss::Process].into_iter().chain(losses).enumerate() {
                let context = format!("{context}, {loss:?}");
                let crashed = vfs.after_crash(loss);
                if nth < 2 {
                    second += trial.crash_recovery(&crashed, &context);
                }
                let found = trial.check_recovered(&crashed, &context);
                // What was answered is done.
                assert!(done.is_err() || found == Found::New, "{context}: it was done");
                *(if found == Found::Old { &mut old } else { &mut new }) += 1;
                if nth < 2 {
                    trial.check_goes_on(&crashed, found, &context);
                }
            }
        }
        println!(
            "{name}: {points} points, {old} times the old store, {new} times the new one; \
             {second} points of the recovery"
        );
        assert!(points > 15 && old > points && new > points && second > points, "{name}");
    }
}

/// Recovery rows 90 to 98, 103, 104, 107.
#[test]
fn a_crash_before_any_change() {
    crash_everywhere(Fault::Crash);
}

/// Recovery rows 92, 107.
#[test]
fn a_crash_in_the_middle_of_any_change() {
    crash_everywhere(Fault::CrashMidway);
}

// ---------------------------------------------------------------- appends beside it

/// Event `number` of those that are appended while the store is compacted.
fn append_beside(store: &Store, number: u64) -> Result<Receipt> {
    let payload = number.to_le_bytes().repeat(20);
    store.append(&NewEvent::new("beside", "s", EventKind::DATA, &payload), None)
}

/// Two compactions with appends before, in and behind them, enough for rotations, while a scan keeps the
/// first segments from being removed. Gives the receipts of the appends.
fn work_beside(store: &Store, receipts: &mut Vec<Receipt>) -> Result<()> {
    let append = |receipts: &mut Vec<Receipt>| {
        let receipt = append_beside(store, receipts.len() as u64)?;
        receipts.push(receipt);
        Ok(())
    };
    let mut scan = store.read(Query::default())?;
    assert!(!scan.next_page(1, 1)?.is_empty());
    for (times, divisor) in [(3, 3), (9, 2)] {
        for _ in 0..times {
            append(receipts)?;
        }
        let mut keep = |event: &Event| {
            if event.sequence().is_multiple_of(8) {
                append(receipts)?;
            }
            Ok(event.sequence().is_multiple_of(divisor))
        };
        retain(
            store,
            Retention { before: Some(EVENTS), keep: Some(&mut keep), ..Default::default() },
        )?;
    }
    drop(scan);
    for _ in 0..24 {
        append(receipts)?;
    }
    store.compact(CompactOptions::default())?;
    store.close()
}

/// The sequences of the first [`EVENTS`] that are shown when all but each `divisor`th are dropped.
fn version(divisor: u64) -> Vec<u64> {
    (0..EVENTS).filter(|sequence| sequence.is_multiple_of(divisor)).collect()
}

/// Opens a store thrice after a crash, the last time after a power cut: it is the same, has every event of
/// these receipts, and one of these versions of the first events. Gives which one.
fn check_beside(
    mut vfs: SimVfs,
    versions: &[Vec<u64>],
    receipts: &[Receipt],
    context: &str,
) -> usize {
    let mut found = Vec::new();
    for opening in 0..3 {
        let store = open_with(&vfs, STORE, OpenMode::Existing, SMALL)
            .unwrap_or_else(|error| panic!("{context}: {error:?}"));
        check_tidy(names(&vfs, STORE), store.stats().unwrap().segments, context);
        found.push(Seen::of(&store));
        drop(store);
        if opening == 1 {
            vfs = vfs.after_crash(Loss::Power(7));
        }
    }
    assert!(found[0] == found[1] && found[1] == found[2], "{context}: opened again");
    let (earlier, beside): (Vec<_>, Vec<_>) =
        found[0].events.iter().partition(|event| event.1 < EVENTS);
    // One more may be there: its receipt was never given.
    let more = beside.len().checked_sub(receipts.len());
    assert!(more.is_some_and(|more| more <= 1), "{context}: {more:?} more");
    for (event, receipt) in beside.iter().zip(receipts) {
        let expected = (receipt.id, receipt.sequence, receipt.hash);
        assert_eq!((event.0, event.1, event.2), expected, "{context}");
    }
    let earlier: Vec<u64> = earlier.iter().map(|event| event.1).collect();
    let version = versions.iter().position(|version| *version == earlier);
    version.unwrap_or_else(|| panic!("{context}: {earlier:?}"))
}

/// Events that were appended durably meanwhile are there, and of the earlier ones those of before a
/// compaction, or behind it.
/// Recovery row 107.
#[test]
fn a_crash_beside_appends() {
    let (base, versions) = (closed(), [1, 3, 6].map(version));
    for fault in [Fault::Crash, Fault::CrashMidway] {
        let (mut points, mut times) = (0, [0; 3]);
        for point in 1.. {
            let vfs = base.after_crash(Loss::Process);
            let store = open_with(&vfs, STORE, OpenMode::Existing, SMALL).unwrap();
            vfs.fail_at(vfs.changes() + point, fault);
            let mut receipts = Vec::new();
            let done = work_beside(&store, &mut receipts);
            drop(store);
            if !vfs.crashed() {
                done.unwrap();
                break;
            }
            points += 1;
            let losses = (0..5).map(|seed| Loss::Power(point * 100 + seed));
            for loss in losses.chain([Loss::Process]) {
                let context = format!("{fault:?} at {point}, {loss:?}");
                let crashed = vfs.after_crash(loss);
                times[check_beside(crashed, &versions, &receipts, &context)] += 1;
            }
        }
        println!("beside appends, {fault:?}: {points} points, {times:?} times each version");
        assert!(points > 100 && times.iter().all(|times| *times > 100), "{points}, {times:?}");
    }
}

/// The same with a thread that appends, so that appends fall into the commit of a compaction, too.
/// Recovery row 107.
#[test]
fn a_crash_beside_a_thread_that_appends() {
    const APPENDS: u64 = 60;
    let (base, versions) = (closed(), [1, 3].map(version));
    let (mut points, mut times) = (0, [0; 2]);
    for point in (1..).step_by(2) {
        let vfs = base.after_crash(Loss::Process);
        let store = open_with(&vfs, STORE, OpenMode::Existing, SMALL).unwrap();
        vfs.fail_at(vfs.changes() + point, Fault::Crash);
        let (receipts, done) = std::thread::scope(|scope| {
            let store = &store;
            let appender = scope.spawn(move || {
                let receipts = (0..APPENDS).map_while(|number| append_beside(store, number).ok());
                receipts.collect::<Vec<_>>()
            });
            let done = (0..3).try_for_each(|_| {
                let mut keep = |event: &Event| Ok(event.sequence().is_multiple_of(3));
                let keep = Some(&mut keep as batpak_core::Keep<'_>);
                retain(store, Retention { before: Some(EVENTS), keep, ..Default::default() })?;
                store.compact(CompactOptions::default()).map(drop)
            });
            (appender.join().unwrap(), done)
        });
        drop(store);
        if !vfs.crashed() {
            done.unwrap();
            assert_eq!(receipts.len() as u64, APPENDS);
            break;
        }
        points += 1;
        for loss in [Loss::Process, Loss::Power(point), Loss::Power(point + 1000)] {
            let context = format!("point {point}, {loss:?}, {} appended", receipts.len());
            let crashed = vfs.after_crash(loss);
            times[check_beside(crashed, &versions, &receipts, &context)] += 1;
        }
    }
    println!("beside a thread: {points} points, {times:?} times each version");
    assert!(points > 50 && times.iter().all(|times| *times > 0), "{points}, {times:?}");
}

// ---------------------------------------------------------------- failures that are no crash

/// The store is as it was, and goes on; or it takes no appends until it is reopened, as the old or the
/// new one.
fn fail_everywhere(fault: Fault, kind: ErrorKind) {
    for trial in CASES.map(Trial::new) {
        let name = trial.case.name;
        let (mut failures, mut poisoned, mut harmless) = (0, 0, 0);
        for point in 1.. {
            let vfs = trial.base.after_crash(Loss::Process);
            let store = trial.open(&vfs, OpenMode::Existing).unwrap();
            let first = vfs.changes();
            vfs.fail_at(first + point, fault);
            let context = format!("{name}, {fault:?} at {point}");
            let done = (trial.case.operation)(&store);
            if vfs.changes() < first + point {
                break;
            }
            match done {
                Ok(_) => {
                    // The head is advice, and an old file that stays is removed later.
                    harmless += 1;
                    assert_eq!(trial.found(&store, &context), Found::New, "{context}");
                    store.close().unwrap();
                    let found = trial.check_recovered(&vfs, &context);
                    assert_eq!(found, Found::New, "{context}");
                    trial.check_goes_on(&vfs, Found::New, &context);
                    continue;
                }
                Err(error) => {
                    let kinds = [kind, ErrorKind::Io, ErrorKind::Indeterminate];
                    assert!(kinds.contains(&error.kind()), "{context}: {error:?}");
                }
            }
            failures += 1;
            // Nobody sees the new store before it is there for good.
            assert!(Seen::of(&store) == trial.old.seen, "{context}: not the old store");
            // A key that is known tells whether the store takes appends.
            match fill(&store, 0..1) {
                Ok(()) => {
                    assert_eq!(trial.found(&store, &context), Found::Old, "{context}");
                    // The disk is back.
                    let crashed = vfs.after_crash(Loss::Power(point));
                    assert_eq!(trial.check_recovered(&crashed, &context), Found::Old, "{context}");
                    (trial.case.operation)(&store).unwrap();
                    assert_eq!(trial.found(&store, &context), Found::New, "{context}");
                    drop(store);
                    let found = trial.check_recovered(&vfs, &context);
                    assert_eq!(found, Found::New, "{context}");
                    trial.check_goes_on(&vfs, Found::New, &context);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Poisoned, "{context}: {error:?}");
                    poisoned += 1;
                    drop(store);
                    for loss in [Loss::Power(point), Loss::Power(point + 1000), Loss::Process] {
                        let vfs = vfs.after_crash(loss);
                        let found = trial.check_recovered(&vfs, &context);
                        trial.check_goes_on(&vfs, found, &context);
                    }
                }
            }
        }
        println!(
            "{name}: {failures} failures, {poisoned} of them stop appends; {harmless} harmless"
        );
        assert!(failures >= 10 && poisoned < failures && harmless > 0, "{name}");
    }
}

/// Recovery row 105.
#[test]
fn a_full_disk_at_any_change() {
    fail_everywhere(Fault::DiskFull, ErrorKind::DiskFull);
}

/// Recovery row 105.
#[test]
fn an_input_output_error_at_any_change() {
    fail_everywhere(Fault::Io, ErrorKind::Io);
}
