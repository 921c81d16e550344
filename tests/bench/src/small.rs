//! The small set of workloads that every language has: see languages/ for the others.

use crate::batpak::{self, Batpak};
use crate::file::{Frame, PlainFile, Space};
use crate::log::{Log, NewEvent, Result, Safety};
use crate::print;
use crate::selection::Selection;
use crate::workload::{self, Appends, BATCH, ENTITIES, PAYLOAD_BYTES};
use std::path::Path;
use std::time::Instant;

const fn appends(safety: Safety, batch: usize, events: usize) -> Appends {
    Appends { safety, threads: 1, batch, payload_bytes: PAYLOAD_BYTES, events }
}

const APPENDS: &[Appends] = &[
    appends(Safety::Durable, 1, 300),
    appends(Safety::Durable, 1_000, 30_000),
    appends(Safety::Written, 1, 30_000),
    appends(Safety::Written, 1_000, 100_000),
    appends(Safety::Buffered, 1, 60_000),
    appends(Safety::Buffered, 1_000, 100_000),
];
const READ_EVENTS: usize = 100_000;
const READS: usize = 20_000;
const STREAMS: usize = 50;
const BATCHES: usize = 100;

/// So many rounds.
pub fn measure(directory: &Path, rounds: usize, selection: &Selection) -> Result<()> {
    (1..=rounds).try_for_each(|round| {
        let directory = directory.join(round.to_string());
        std::fs::create_dir(&directory)?;
        measure_appends(&directory, selection)?;
        measure_one_entity(&directory.join("one entity"), selection)?;
        measure_reads(&directory.join("reads"), selection)
    })
}

fn show(subject: &str, measure: &str, rate: f64) {
    print(subject, measure, "events per second", rate);
    // Where the disk has no part in it, what counts is what a call or an event takes.
    if !measure.starts_with("durable") && !measure.starts_with("written") {
        print(subject, &format!("{measure}, each"), "ns", 1e9 / rate);
    }
}

fn measure_appends(directory: &Path, selection: &Selection) -> Result<()> {
    let frame_bytes = batpak::frame_bytes(&directory.join("sample"), PAYLOAD_BYTES)?;
    let frame = Frame { payload_bytes: PAYLOAD_BYTES, frame_bytes, hashed: false };
    for work in APPENDS {
        let room = Space::Allocated((work.total() * frame_bytes) as u64);
        for subject in ["Rust", "file", "file, preallocated"] {
            if !selection.has(subject, &work.name()) {
                continue;
            }
            let path = directory.join(format!("{subject}, {}", work.name()));
            let log: Box<dyn Log> = match subject {
                "Rust" => Box::new(Batpak::open(&path)?),
                "file" => Box::new(PlainFile::create(&path, frame, Space::Grows)?),
                _ => Box::new(PlainFile::create(&path, frame, room)?),
            };
            show(subject, &work.name(), work.run(&*log)?);
        }
    }
    Ok(())
}

/// What some languages have a call for that takes payloads alone.
fn measure_one_entity(path: &Path, selection: &Selection) -> Result<()> {
    let measure = "buffered batches of 1,000 payloads of one entity";
    if !selection.has("Rust", measure) {
        return Ok(());
    }
    let log = Batpak::open(path)?;
    let (entity, payload) = (workload::entity(0), workload::payload(PAYLOAD_BYTES));
    let batch = [NewEvent { entity: &entity, kind: 0, payload: &payload }; BATCH];
    let started = Instant::now();
    for _ in 0..BATCHES {
        log.append(&batch, Safety::Buffered)?;
    }
    log.flush()?;
    let seconds = started.elapsed().as_secs_f64();
    workload::check(&log, &payload, BATCHES * BATCH)?;
    show("Rust", measure, (BATCHES * BATCH) as f64 / seconds);
    Ok(())
}

fn measure_reads(path: &Path, selection: &Selection) -> Result<()> {
    let log = Batpak::open(path)?;
    workload::fill(&log, ENTITIES, READ_EVENTS)?;
    log.0.close()?;
    let log = Batpak::open(path)?;
    if selection.has("Rust", "read by id") {
        let ids = workload::ids(&log)?;
        show("Rust", "read by id", workload::reads_by_id(&log, &ids, READS)?);
    }
    if selection.has("Rust", "scan") {
        show("Rust", "scan", workload::scan(&log, READ_EVENTS)?);
    }
    let by_entity = format!("one entity's {} events", READ_EVENTS / ENTITIES);
    if selection.has("Rust", &by_entity) {
        show("Rust", &by_entity, workload::streams(&log, READ_EVENTS, STREAMS)?);
    }
    log.0.close()?;
    Ok(())
}
