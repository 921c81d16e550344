//! Snapshots and forks on the real file system, where every call that changes anything fails once, and
//! where the process dies before each of them.

use batpak_core::storage::real::RealVfs;
use batpak_core::{
    CopyReport, Durability, ErrorKind, EventKind, ForkOptions, Hash, NewEvent, OpenMode,
    OpenOptions, Result, SnapshotOptions, Store,
};
use batpak_tests::scratch::Scratch;
use batpak_tests::watched::{Fate, Watched};
use std::path::Path;
use std::process::{Command, abort};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Operation = fn(&Store, &Path) -> Result<CopyReport>;

fn snapshot(store: &Store, to: &Path) -> Result<CopyReport> {
    store.snapshot_to(to, &SnapshotOptions::default())
}

fn independent_snapshot(store: &Store, to: &Path) -> Result<CopyReport> {
    store.snapshot_to(to, &SnapshotOptions { earlier: None, independent: true })
}

fn fork(store: &Store, to: &Path) -> Result<CopyReport> {
    store.fork_to(to, &ForkOptions { at: Some(25), independent: false })
}

const OPERATIONS: [(&str, Operation); 3] =
    [("snapshot", snapshot), ("independent snapshot", independent_snapshot), ("fork", fork)];

fn open(vfs: &Watched, path: &Path) -> Store {
    let options = OpenOptions { segment_bytes: 4096, ..OpenOptions::default() };
    Store::open_on(Arc::new(vfs.clone()), path, &options).unwrap()
}

fn fill(store: &Store) {
    let event = NewEvent::new("e", "s", EventKind::DATA, &[7; 300]);
    for _ in 0..30 {
        store.append(&event, Some(Durability::Written)).unwrap();
    }
}

/// How many events there are, and the root over them; `None` if there is nothing of the name.
fn state(path: &Path) -> Option<(u64, Hash)> {
    if !path.exists() {
        return None;
    }
    let store = Store::open(path, &OpenOptions::mode(OpenMode::ReadOnly)).unwrap();
    let report = store.verify().unwrap();
    assert_eq!(report.findings, []);
    assert!(store.open_report().clean);
    Some((report.events, report.root))
}

/// Has the change with this number, from 1, meet this fate. Gives the count of changes.
fn strike(
    vfs: &Watched,
    number: usize,
    fate: impl Fn() -> Fate + Send + Sync + 'static,
) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    vfs.rule(move |call| match call.is_change() {
        true if counted.fetch_add(1, Ordering::SeqCst) + 1 == number => fate(),
        _ => Fate::Done,
    });
    count
}

/// Recovery row 112.
#[test]
fn every_call_fails_once() {
    for (name, operation) in OPERATIONS {
        let mut failures = 0;
        for number in 1.. {
            let scratch = Scratch::new().unwrap();
            let vfs = Watched::new(Arc::new(RealVfs));
            let store = open(&vfs, &scratch.join("store"));
            fill(&store);
            let copy = scratch.join("copy");
            let code = if number % 2 == 0 { libc::EIO } else { libc::ENOSPC };
            let changes = strike(&vfs, number, move || Fate::Fails(code));
            let outcome = operation(&store, &copy);
            vfs.no_rule();
            let found = state(&copy);
            let error = match outcome {
                Ok(report) => {
                    assert_eq!(found, Some((report.events, report.root)));
                    if changes.load(Ordering::SeqCst) < number {
                        break;
                    }
                    // The head is advice.
                    continue;
                }
                Err(error) => error,
            };
            failures += 1;
            if found.is_none() && error.kind() != ErrorKind::Indeterminate {
                operation(&store, &copy).unwrap();
                assert!(state(&copy).is_some());
                fill(&store);
            }
            let left = scratch.join("copy.unfinished");
            assert!(!left.exists(), "{name}, call {number}: {error}");
        }
        println!("{name}: {failures} calls");
        assert!(failures > 10, "{name}: {failures} calls");
    }
}

/// The process dies, so this test runs itself again in one of its own, once for each call.
#[test]
fn killed_before_every_call() {
    const CHILD: &str = "BATPAK_TEST_COPY_KILLED";
    if let Ok(order) = std::env::var(CHILD) {
        let words: Vec<_> = order.splitn(3, ' ').collect();
        let (operation, number) = (words[0].parse::<usize>().unwrap(), words[1].parse().unwrap());
        let directory = Path::new(words[2]);
        let vfs = Watched::new(Arc::new(RealVfs));
        let store = open(&vfs, &directory.join("store"));
        fill(&store);
        strike(&vfs, number, || abort());
        OPERATIONS[operation].1(&store, &directory.join("copy")).unwrap();
        vfs.no_rule();
        return;
    }
    for (index, (name, operation)) in OPERATIONS.iter().enumerate() {
        let (mut nothing, mut whole) = (0, 0);
        for number in 1.. {
            let scratch = Scratch::new().unwrap();
            let (path, copy) = (scratch.join("store"), scratch.join("copy"));
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "killed_before_every_call", "--nocapture"]);
            child.env(CHILD, format!("{index} {number} {}", scratch.path().display()));
            let output = child.output().unwrap();
            if output.status.success() {
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(text.contains("1 passed"), "{text}");
                assert!(state(&copy).is_some());
                break;
            }
            let store = open(&Watched::new(Arc::new(RealVfs)), &path);
            assert!(store.verify().unwrap().is_intact());
            assert_eq!(store.head().unwrap().events, 30);
            match state(&copy) {
                Some(_) => whole += 1,
                None => {
                    nothing += 1;
                    let report = operation(&store, &copy).unwrap();
                    assert_eq!(state(&copy), Some((report.events, report.root)));
                    assert!(!scratch.join("copy.unfinished").exists());
                }
            }
            assert!(store.diff(&copy).unwrap().common >= 25, "{name}, call {number}");
        }
        println!("{name}: {nothing} times nothing, {whole} times all of it");
        assert!(nothing > 10 && whole > 0, "{name}: {nothing}, {whole}");
    }
}
