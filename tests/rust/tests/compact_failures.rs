//! Compaction and rotation on the real file system, where every call that changes anything fails, once or
//! from then on, and where the process dies before each of them.

mod states;

use batpak_core::storage::real::RealVfs;
use batpak_core::{
    CompactOptions, ErrorKind, Event, EventKind, ForkOptions, Keys, NewEvent, OpenMode,
    OpenOptions, Result, Retention, Store,
};
use batpak_tests::scratch::Scratch;
use batpak_tests::watched::{Fate, Watched};
use states::{Answer, EVENTS, Seen, answers, check_tidy, fill};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, abort};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An operation, and the size of segments with which it is done.
type Operation = (&'static str, u64, fn(&Store) -> Result<()>);

const SMALL: u64 = 4096;

const OPERATIONS: [Operation; 4] = [
    ("merge", 32 << 10, merge),
    ("drop", SMALL, drop_most),
    ("drop in a fork", SMALL, drop_most),
    ("rotation", SMALL, rotation),
];

fn merge(store: &Store) -> Result<()> {
    store.compact(CompactOptions::default()).map(drop)
}

/// Drops events of which some keys are kept, and the last ones of streams.
fn drop_most(store: &Store) -> Result<()> {
    let mut keep =
        |event: &Event| Ok(event.sequence().is_multiple_of(5) && event.entity() != "gone");
    let keys = Keys { window: 40, ..Keys::default() };
    let retention =
        Some(Retention { before: Some(48), keep: Some(&mut keep), keys, ..Default::default() });
    store.compact(CompactOptions { retention, ..Default::default() }).map(drop)
}

/// A batch that fills a segment, then an event that begins another one.
fn rotation(store: &Store) -> Result<()> {
    fill_segment(store)?;
    append(store, 1)
}

fn fill_segment(store: &Store) -> Result<()> {
    append(store, 5)
}

fn append(store: &Store, events: usize) -> Result<()> {
    let event = NewEvent::new("a", "s", EventKind::DATA, &[7; 1000]);
    store.append_batch(&vec![event; events], None).map(drop)
}

/// The directory of a store that an operation is done to, in a scratch directory.
fn place(scratch: &Path, (name, ..): Operation) -> PathBuf {
    scratch.join(if name == "drop in a fork" { "fork" } else { "store" })
}

fn open(vfs: &Watched, path: &Path, (_, segment_bytes, _): Operation) -> Result<Store> {
    // Ids and times are functions of the seed, so that the same is done each time.
    let mode = OpenMode::Create;
    let options = OpenOptions { segment_bytes, seed: Some(1), ..OpenOptions::mode(mode) };
    Store::open_on(Arc::new(vfs.clone()), path, &options)
}

fn real() -> Watched {
    Watched::new(Arc::new(RealVfs))
}

/// Makes a store, and a fork of it.
fn build(scratch: &Path) {
    let small = OPERATIONS[1];
    let store = open(&real(), &scratch.join("store"), small).unwrap();
    fill(&store, 0..50).unwrap();
    store.fork_to(scratch.join("fork"), &ForkOptions::default()).unwrap();
    let fork = open(&real(), &scratch.join("fork"), small).unwrap();
    for store in [store, fork] {
        fill(&store, 50..EVENTS).unwrap();
        store.close().unwrap();
    }
}

/// A copy of what was built, with its hard links.
fn copy(built: &Path, scratch: &Path) {
    for store in ["store", "fork"] {
        std::fs::create_dir(scratch.join(store)).unwrap();
        for name in std::fs::read_dir(built.join(store)).unwrap() {
            let name = name.unwrap().file_name();
            let (from, to) = (built.join(store).join(&name), scratch.join(store).join(&name));
            let shared = scratch.join("store").join(&name);
            let is_shared = store == "fork"
                && shared.exists()
                && name.to_string_lossy().ends_with(".fbat")
                && std::fs::read(&from).unwrap() == std::fs::read(&shared).unwrap();
            match is_shared {
                true => std::fs::hard_link(shared, to).unwrap(),
                false => drop(std::fs::copy(from, to).unwrap()),
            }
        }
    }
}

#[derive(PartialEq)]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Old,
    New,
}

/// An operation with what was built for it, and its store before and afterwards.
struct Trial {
    operation: Operation,
    built: Scratch,
    /// What is seen of the parent of the fork.
    parent: Seen,
    /// What may be found; of a rotation, also what is between its two appends.
    old: Vec<State>,
    new: State,
}

impl Trial {
    fn new(operation: Operation) -> Self {
        let built = Scratch::new().unwrap();
        build(built.path());
        let scratch = Scratch::new().unwrap();
        copy(built.path(), scratch.path());
        let parent = Seen::of(&open(&real(), &scratch.join("store"), operation).unwrap());
        let store = open(&real(), &place(scratch.path(), operation), operation).unwrap();
        let mut old = vec![State::of(&store)];
        if operation.0 == "rotation" {
            fill_segment(&store).unwrap();
            old.push(State::of(&store));
            append(&store, 1).unwrap();
        } else {
            operation.2(&store).unwrap();
        }
        let new = State::of(&store);
        assert!(old.iter().all(|old| *old != new), "{}: what comes is what was", operation.0);
        Self { operation, built, parent, old, new }
    }

    /// A copy of what was built, and its store.
    fn begin(&self, vfs: &Watched) -> (Scratch, PathBuf, Store) {
        let scratch = Scratch::new().unwrap();
        copy(self.built.path(), scratch.path());
        let path = place(scratch.path(), self.operation);
        let store = open(vfs, &path, self.operation).unwrap();
        (scratch, path, store)
    }

    /// Which of them it is. The newest segment may have been sealed already.
    fn which(&self, seen: &Seen, segments: u64, context: &str) -> Found {
        if *seen == self.new.seen && segments == self.new.segments {
            return Found::New;
        }
        let is_old = |old: &State| {
            *seen == old.seen && (old.segments..=old.segments + 1).contains(&segments)
        };
        assert!(self.old.iter().any(is_old), "{context}: neither the old nor the new store");
        Found::Old
    }

    /// What opens: for a reader, who changes nothing, then for writers, and the parent.
    fn check_found(&self, scratch: &Scratch, context: &str) -> Found {
        let path = place(scratch.path(), self.operation);
        let before = contents(&path);
        let reader = Store::open(&path, &OpenOptions::mode(OpenMode::ReadOnly)).unwrap();
        let by_reader = self.which(&Seen::of(&reader), reader.stats().unwrap().segments, context);
        drop(reader);
        assert!(contents(&path) == before, "{context}: a reader changed a file");
        for opening in ["once", "twice"] {
            let store = open(&real(), &path, self.operation)
                .unwrap_or_else(|error| panic!("{context}, opened {opening}: {error:?}"));
            let segments = store.stats().unwrap().segments;
            check_tidy(contents(&path).into_keys(), segments, context);
            let seen = Seen::of(&store);
            assert_eq!(self.which(&seen, segments, context), by_reader, "{context}: {opening}");
            let state = self.old.iter().find(|old| old.seen == seen).unwrap_or(&self.new);
            assert!(answers(&store) == state.answers, "{context}: keys, opened {opening}");
            store.close().unwrap();
        }
        if path.ends_with("fork") {
            let parent = open(&real(), &scratch.join("store"), self.operation).unwrap();
            assert!(Seen::of(&parent) == self.parent, "{context}: the parent");
        }
        by_reader
    }

    /// Appends and compacts again.
    fn check_goes_on(&self, path: &Path, context: &str) {
        let store = open(&real(), path, self.operation).unwrap();
        let end = store.head().unwrap().events;
        fill(&store, 1000..1020).unwrap();
        drop_most(&store).unwrap();
        store.close().unwrap();
        let store = open(&real(), path, self.operation).unwrap();
        assert_eq!(Seen::of(&store).end(), end + 20, "{context}");
        let segments = store.stats().unwrap().segments;
        check_tidy(contents(path).into_keys(), segments, context);
    }
}

fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    names
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Has the change with this number, from 1, meet this fate, and the later ones too if it `lasts`. Gives
/// the count of changes.
fn strike(
    vfs: &Watched,
    number: usize,
    lasts: bool,
    fate: impl Fn() -> Fate + Send + Sync + 'static,
) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    vfs.rule(move |call| {
        if !call.is_change() {
            return Fate::Done;
        }
        let now = counted.fetch_add(1, Ordering::SeqCst) + 1;
        if now == number || (lasts && now > number) { fate() } else { Fate::Done }
    });
    count
}

/// Fails calls; the store is then as it was and goes on, or it takes no appends until it is reopened.
fn fail_everywhere(lasts: bool) {
    for trial in OPERATIONS.map(Trial::new) {
        let (name, _, operation) = trial.operation;
        let (mut failures, mut poisoned) = (0, 0);
        for number in 1.. {
            let vfs = real();
            let (scratch, path, store) = trial.begin(&vfs);
            let code = if number % 2 == 0 { libc::EIO } else { libc::ENOSPC };
            let changes = strike(&vfs, number, lasts, move || Fate::Fails(code));
            let done = operation(&store);
            vfs.no_rule();
            let context = format!("{name}, call {number}");
            if changes.load(Ordering::SeqCst) < number {
                done.unwrap();
                break;
            }
            let Err(error) = done else {
                // The head is advice, and an old file that stays is removed later.
                assert!(Seen::of(&store) == trial.new.seen, "{context}");
                store.close().unwrap();
                assert_eq!(trial.check_found(&scratch, &context), Found::New, "{context}");
                trial.check_goes_on(&path, &context);
                continue;
            };
            failures += 1;
            let seen = Seen::of(&store);
            assert!(trial.old.iter().any(|old| seen == old.seen), "{context}: not the old store");
            // A key that is known tells whether the store takes appends.
            match fill(&store, 0..1) {
                Ok(()) if name == "rotation" => drop(store),
                Ok(()) => {
                    operation(&store).unwrap();
                    assert!(State::of(&store) == trial.new, "{context}: once more");
                    store.close().unwrap();
                    assert_eq!(trial.check_found(&scratch, &context), Found::New, "{context}");
                }
                Err(refused) => {
                    let because = format!("{context}: {refused:?} after {error:?}");
                    assert_eq!(refused.kind(), ErrorKind::Poisoned, "{because}");
                    poisoned += 1;
                    drop(store);
                }
            }
            trial.check_found(&scratch, &context);
            trial.check_goes_on(&path, &context);
        }
        println!("{name}: {failures} failures, {poisoned} of them stop appends");
        assert!(failures >= 10 && poisoned < failures, "{name}: {failures}, {poisoned}");
    }
}

/// Recovery row 105.
#[test]
fn every_call_fails_once() {
    fail_everywhere(false);
}

/// What is to be removed then cannot be removed either.
/// Recovery row 105.
#[test]
fn every_call_fails_from_one_on() {
    fail_everywhere(true);
}

/// The process dies, so this test runs itself again in one of its own, once for each call.
/// Recovery rows 90 to 98, 103, 107.
#[test]
fn killed_before_every_call() {
    const CHILD: &str = "BATPAK_TEST_COMPACT_KILLED";
    if let Ok(order) = std::env::var(CHILD) {
        let words: Vec<_> = order.splitn(3, ' ').collect();
        let operation = OPERATIONS[words[0].parse::<usize>().unwrap()];
        let vfs = real();
        let store = open(&vfs, &place(Path::new(words[2]), operation), operation).unwrap();
        strike(&vfs, words[1].parse().unwrap(), false, || abort());
        operation.2(&store).unwrap();
        vfs.no_rule();
        return;
    }
    for (index, trial) in OPERATIONS.map(Trial::new).iter().enumerate() {
        let name = trial.operation.0;
        let (mut old, mut new) = (0, 0);
        for number in 1.. {
            let scratch = Scratch::new().unwrap();
            copy(trial.built.path(), scratch.path());
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "killed_before_every_call", "--nocapture"]);
            child.env(CHILD, format!("{index} {number} {}", scratch.path().display()));
            let output = child.output().unwrap();
            let context = format!("{name}, call {number}");
            let found = trial.check_found(&scratch, &context);
            if output.status.success() {
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(text.contains("1 passed"), "{text}");
                assert_eq!(found, Found::New, "{context}");
                break;
            }
            *(if found == Found::Old { &mut old } else { &mut new }) += 1;
            trial.check_goes_on(&place(scratch.path(), trial.operation), &context);
        }
        println!(
            "{name}: {} points, {old} times the old store, {new} times the new one",
            old + new
        );
        assert!(old + new >= 15 && old > 5 && new > 1, "{name}: {old}, {new}");
    }
}
