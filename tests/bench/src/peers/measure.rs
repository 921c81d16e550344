//! The measurements. What is compared takes its turn within each workload, so that a disturbance
//! hits all alike.

use super::{STORES, UNSYNCED, open};
use crate::batpak::frame_bytes;
use crate::file::PlainFile;
use crate::log::{Log, Result, Safety};
use crate::opening::{self, Ending};
use crate::print;
use crate::workload::{self, PAYLOAD};
use std::fs;
use std::path::Path;

const FILES: &[&str] = &["file", "file, preallocated"];
const RESERVED_BYTES: u64 = 8 << 20;

const READ_EVENTS: usize = 100_000;
const READ_ROUNDS: usize = 5;
const READS: usize = 20_000;
const STREAMS: usize = 50;

enum Calls {
    Single { threads: usize, count: usize },
    Batches { count: usize },
}

struct Workload {
    measure: &'static str,
    safety: Safety,
    calls: Calls,
}

const fn single(measure: &'static str, safety: Safety, threads: usize, count: usize) -> Workload {
    Workload { measure, safety, calls: Calls::Single { threads, count } }
}

const fn batches(measure: &'static str, safety: Safety, count: usize) -> Workload {
    Workload { measure, safety, calls: Calls::Batches { count } }
}

const WORKLOADS: &[Workload] = &[
    single("durable append, 1 thread", Safety::Durable, 1, 150),
    single("durable append, 8 threads", Safety::Durable, 8, 400),
    single("durable append, 32 threads", Safety::Durable, 32, 800),
    batches("durable batches of 1,000", Safety::Durable, 10),
    single("written append, 1 thread", Safety::Written, 1, 10_000),
    single("written append, 8 threads", Safety::Written, 8, 10_000),
    batches("written batches of 1,000", Safety::Written, 10),
    single("buffered append, 1 thread", Safety::Buffered, 1, 10_000),
];

impl Workload {
    fn subjects(&self) -> impl Iterator<Item = &'static str> {
        let alone = !matches!(self.calls, Calls::Single { threads: 2.., .. });
        let unsynced = if self.safety == Safety::Durable { &[] } else { UNSYNCED };
        let files = if alone { FILES } else { &[] };
        STORES.iter().chain(unsynced).chain(files).copied()
    }

    fn run(&self, log: &dyn Log) -> Result<f64> {
        match self.calls {
            Calls::Single { threads, count } => workload::appends(log, self.safety, threads, count),
            Calls::Batches { count } => workload::batches(log, self.safety, count),
        }
    }
}

/// One round of every workload.
pub fn appends(directory: &Path) -> Result<()> {
    let frame_bytes = frame_bytes(&directory.join("sample"))?;
    let open = |subject, path: &Path, safety| -> Result<Box<dyn Log>> {
        Ok(match subject {
            "file" => Box::new(PlainFile::create(path, frame_bytes, 0)?),
            "file, preallocated" => Box::new(PlainFile::create(path, frame_bytes, RESERVED_BYTES)?),
            _ => open(subject, path, safety)?,
        })
    };
    let place = directory.join("round");
    for workload in WORKLOADS {
        for subject in workload.subjects() {
            fs::create_dir(&place)?;
            let log = open(subject, &place.join("log"), workload.safety)?;
            workload::begin_streams(&*log)?;
            print(subject, workload.measure, "events per second", workload.run(&*log)?);
            drop(log);
            fs::remove_dir_all(&place)?;
        }
    }
    Ok(())
}

/// All rounds of the reads, of stores that are filled, closed and opened again.
pub fn reads(directory: &Path) -> Result<()> {
    let mut stores = Vec::new();
    for subject in STORES {
        let path = directory.join(subject);
        opening::fill(subject, &path, READ_EVENTS, Ending::Closed)?;
        let store = open(subject, &path, Safety::Written)?;
        let ids = workload::ids(&*store)?;
        stores.push((subject, store, ids));
    }
    for _ in 0..READ_ROUNDS {
        let report = |subject, measure, value| print(subject, measure, "events per second", value);
        for (subject, store, ids) in &stores {
            report(subject, "read by id", workload::reads_by_id(&**store, ids, READS)?);
        }
        for (subject, store, _) in &stores {
            if store.has_sequences() {
                let rate = workload::reads_by_sequence(&**store, READ_EVENTS, READS)?;
                report(subject, "read by sequence", rate);
            }
        }
        for (subject, store, _) in &stores {
            report(subject, "scan", workload::scan(&**store, READ_EVENTS)?);
        }
        for (subject, store, _) in &stores {
            let rate = workload::streams(&**store, READ_EVENTS, STREAMS)?;
            report(subject, "one entity's 100 events", rate);
        }
    }
    stores.into_iter().try_for_each(|(_, store, _)| store.close())
}

/// Opening of closed stores, and what they take.
pub fn openings(directory: &Path) -> Result<()> {
    for (events, size, rounds) in [(100_000, "100 k", 5), (1_000_000, "1 M", 3)] {
        for subject in STORES {
            let path = directory.join(format!("{subject} {size}"));
            opening::fill(subject, &path, events, Ending::Closed)?;
            let bytes = opening::bytes_of(&path)? as f64 / events as f64;
            let measure = format!("disk beyond the payload, {size} events");
            print(subject, &measure, "bytes per event", bytes - PAYLOAD.len() as f64);
        }
        for _ in 0..rounds {
            for subject in STORES {
                let path = directory.join(format!("{subject} {size}"));
                let opening = opening::open(subject, &path, events, Ending::Closed)?;
                print(subject, &format!("open, {size} events"), "ms", opening.milliseconds);
                let measure = format!("memory after opening, {size} events");
                print(subject, &measure, "MiB", opening.resident_mib);
            }
        }
    }
    Ok(())
}
