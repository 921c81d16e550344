//! A process that commits fences, one after the other, is killed at random moments: each fence is
//! there whole or not at all.

use batpak_core::{EventKind, FenceOptions, NewEvent, OpenMode, OpenOptions, Query, Store};
use batpak_tests::scratch::Scratch;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set for the process that commits: where its store is.
const STORE: &str = "BATPAK_FENCE_STORE";
/// More than one piece of what is written at once.
const EVENTS: u64 = 6000;

fn options() -> OpenOptions {
    OpenOptions { segment_bytes: 1 << 20, ..OpenOptions::default() }
}

fn commit_for_ever(path: &Path) -> ! {
    let store = Store::open(path, &options()).unwrap();
    let mut number = store.head().unwrap().events / EVENTS;
    loop {
        let payload = [number as u8; 300];
        let events = vec![NewEvent::new("e", "s", EventKind::DATA, &payload); 500];
        let fence = store.begin_fence(&FenceOptions { memory_bytes: 64 << 10 }).unwrap();
        for _ in 0..EVENTS / 500 {
            fence.append(&events).unwrap();
        }
        fence.commit(None).unwrap();
        number += 1;
    }
}

fn check(path: &Path) -> (u64, bool) {
    let store = Store::open(path, &options()).unwrap();
    let report = store.open_report();
    assert_eq!(report.ignored, [""; 0]);
    let events = store.head().unwrap().events;
    assert_eq!(events % EVENTS, 0, "half of a fence");
    for event in store.read(Query::default()).unwrap() {
        let event = event.unwrap();
        assert_eq!(event.payload(), [(event.sequence() / EVENTS) as u8; 300]);
        assert_eq!(event.batch_continues(), event.sequence() % EVENTS != EVENTS - 1);
    }
    assert!(store.verify().unwrap().is_intact());
    (events / EVENTS, report.cut_bytes > 0)
}

/// Recovery row 66.
#[test]
fn killed_while_fences_are_committed() {
    if let Some(path) = std::env::var_os(STORE) {
        commit_for_ever(Path::new(&path));
    }
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("store");
    drop(Store::open(&path, &options()).unwrap());
    let (mut fences, mut cut) = (0, 0);
    for round in 0..12u64 {
        let mut worker = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed_while_fences_are_committed"])
            .env(STORE, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Once the first fence is there, some moment of the ones behind it.
        let reader = Store::open(&path, &OpenOptions::mode(OpenMode::ReadOnly)).unwrap();
        let seen = reader.wait((fences + 1) * EVENTS, Duration::from_secs(60)).unwrap();
        assert!(seen > fences * EVENTS, "the process does not commit");
        assert_eq!(seen % EVENTS, 0, "half of a fence is visible");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(round * 7919 % 60_000) {
            assert_eq!(reader.refresh().unwrap() % EVENTS, 0, "half of a fence is visible");
        }
        worker.kill().unwrap();
        worker.wait().unwrap();
        let (found, was_cut) = check(&path);
        assert!(found > fences, "{found} fences, {fences} were there");
        fences = found;
        cut += u64::from(was_cut);
    }
    println!("{fences} fences, cut {cut} times");
}
