//! Appends to batpak, to files and to other stores. What is compared takes its turn within each
//! workload, so that a disturbance hits all alike.

use crate::file::{Frame, PlainFile, Space};
use crate::log::{Log, Result, Safety};
use crate::peers::grouped::Grouped;
use crate::peers::{self, commitlog::Commitlog, okaywal::OkayWal};
use crate::selection::Selection;
use crate::workload::{Appends, PAYLOAD_BYTES};
use crate::{batpak, pinned, print};
use std::fs;
use std::path::Path;

const fn appends(safety: Safety, threads: usize, batch: usize, events: usize) -> Appends {
    Appends { safety, threads, batch, payload_bytes: PAYLOAD_BYTES, events }
}

const fn sized(payload_bytes: usize, appends: Appends) -> Appends {
    Appends { payload_bytes, ..appends }
}

use Safety::{Buffered, Durable, Written};

const WORKLOADS: &[Appends] = &[
    appends(Durable, 1, 1, 200),
    appends(Durable, 2, 1, 300),
    appends(Durable, 8, 1, 800),
    appends(Durable, 32, 1, 1_600),
    appends(Durable, 1, 100, 4_000),
    appends(Durable, 1, 1_000, 20_000),
    appends(Written, 1, 1, 20_000),
    appends(Written, 2, 1, 20_000),
    appends(Written, 8, 1, 20_000),
    appends(Written, 1, 100, 40_000),
    appends(Written, 1, 1_000, 40_000),
    appends(Buffered, 1, 1, 20_000),
    appends(Buffered, 8, 1, 20_000),
    sized(64, appends(Durable, 1, 1, 200)),
    sized(1 << 10, appends(Durable, 1, 1, 200)),
    sized(16 << 10, appends(Durable, 1, 1, 200)),
    sized(64, appends(Written, 1, 1, 10_000)),
    sized(1 << 10, appends(Written, 1, 1, 10_000)),
    sized(16 << 10, appends(Written, 1, 1, 2_000)),
    sized(64, appends(Written, 1, 100, 10_000)),
    sized(1 << 10, appends(Written, 1, 100, 10_000)),
    sized(16 << 10, appends(Written, 1, 100, 2_000)),
];

/// The crate has a thread that writes, which costs most when it runs on another processor.
const PINNED: &str = "batpak 0.10, one CPU";

const GROUPED: &str = ", grouped";

/// What is measured, in the order of the tables.
fn subjects(work: &Appends) -> Vec<String> {
    let mut subjects: Vec<String> = peers::STORES.iter().map(|name| name.to_string()).collect();
    subjects.insert(2, PINNED.to_string());
    let mut add = |names: &[&str], suffix: &str| {
        subjects.extend(names.iter().map(|name| format!("{name}{suffix}")));
    };
    match work.safety {
        Durable => add(&["okaywal"], ""),
        Written | Buffered => add(&["SQLite, OFF", "LMDB, writemap", "commitlog"], ""),
    }
    if work.safety == Durable && work.threads > 1 {
        add(&["SQLite", "LMDB", "redb", "fjall"], GROUPED);
        add(&["file, preallocated", "file, preallocated and hashed"], GROUPED);
    } else {
        add(&["file", "file, preallocated", "file, hashed", "file, preallocated and hashed"], "");
    }
    if work.safety == Durable && work.threads == 1 {
        add(&["file, filled ahead"], "");
    }
    subjects
}

fn open(subject: &str, path: &Path, work: &Appends, frame_bytes: usize) -> Result<Box<dyn Log>> {
    if let Some(subject) = subject.strip_suffix(GROUPED) {
        return Ok(Box::new(Grouped::new(open(subject, path, work, frame_bytes)?)));
    }
    let file = |space, hashed| -> Result<Box<dyn Log>> {
        let frame = Frame { payload_bytes: work.payload_bytes, frame_bytes, hashed };
        Ok(Box::new(PlainFile::create(path, frame, space)?))
    };
    let room = (work.total() * frame_bytes) as u64;
    match subject {
        "file" => file(Space::Grows, false),
        "file, hashed" => file(Space::Grows, true),
        "file, preallocated" => file(Space::Allocated(room), false),
        "file, preallocated and hashed" => file(Space::Allocated(room), true),
        "file, filled ahead" => file(Space::Filled(room), false),
        "okaywal" => Ok(Box::new(OkayWal::open(path)?)),
        "commitlog" => Ok(Box::new(Commitlog::open(path)?)),
        PINNED => Ok(peers::open("batpak 0.10", path, work.safety)?),
        _ => Ok(peers::open(subject, path, work.safety)?),
    }
}

/// So many rounds of every workload.
pub fn measure(directory: &Path, rounds: usize, selection: &Selection) -> Result<()> {
    for round in 1..=rounds {
        eprintln!("bench: appends, round {round} of {rounds}");
        for work in WORKLOADS.iter().filter(|work| selection.has_measure(&work.name())) {
            let sample = directory.join("sample");
            let frame_bytes = batpak::frame_bytes(&sample, work.payload_bytes)?;
            fs::remove_dir_all(&sample)?;
            for subject in subjects(work) {
                if selection.has(&subject, &work.name()) {
                    let rate = run(&subject, &directory.join("round"), work, frame_bytes)
                        .map_err(|error| format!("{subject}, {}: {error}", work.name()))?;
                    print(&subject, &work.name(), "events per second", rate);
                }
            }
        }
    }
    Ok(())
}

fn run(subject: &str, place: &Path, work: &Appends, frame_bytes: usize) -> Result<f64> {
    fs::create_dir(place)?;
    let run =
        || -> Result<f64> { work.run(&*open(subject, &place.join("log"), work, frame_bytes)?) };
    let rate = if subject == PINNED { pinned::to_one_cpu(run)?? } else { run()? };
    fs::remove_dir_all(place)?;
    Ok(rate)
}
