//! How long single appends take while a compaction drops nine of ten of a million events, beside how
//! long they take before and after it in the same store; how long the compaction takes; and how long the
//! store takes to open before and after.

use crate::batpak::Batpak;
use crate::log::{Log, Result, Safety};
use crate::print;
use crate::samples::Samples;
use crate::selection::Selection;
use crate::workload::{self, PAYLOAD_BYTES};
use batpak_core::{CompactOptions, CompactReport, Event, Retention, Unwanted};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How many events there are when the compaction begins.
const EVENTS: usize = 1_000_000;
/// How many entities they are of.
const ENTITIES: usize = 10_000;
/// One of so many stays.
const KEPT: u64 = 10;
/// How long appends are measured without a compaction, before it and after it.
const ALONE_SECONDS: f64 = 2.0;

const ALONE: &str = "alone";
const BESIDE: &str = "beside a compaction";

/// So many rounds of everything.
pub fn measure(directory: &Path, rounds: usize, selection: &Selection) -> Result<()> {
    for round in 1..=rounds {
        eprintln!("bench: appends beside a compaction, round {round} of {rounds}");
        for safety in [Safety::Written, Safety::Durable] {
            let measure = format!("{} append", safety.word());
            if selection.has(BESIDE, &measure) {
                let path = directory.join("log");
                run(&path, safety, &measure)?;
                fs::remove_dir_all(path)?;
            }
        }
    }
    Ok(())
}

fn run(path: &Path, safety: Safety, measure: &str) -> Result<()> {
    let store = Batpak::open(path)?;
    workload::fill(&store, ENTITIES, EVENTS)?;
    store.0.close()?;
    print_opening(path, ALONE)?;

    let store = Batpak::open(path)?;
    let mut alone = Samples::default();
    let started = Instant::now();
    append(&store, safety, &mut alone, || started.elapsed().as_secs_f64() < ALONE_SECONDS)?;

    let over = AtomicBool::new(false);
    let (report, seconds, mut beside) = std::thread::scope(|scope| -> Result<_> {
        let compaction = scope.spawn(|| {
            let started = Instant::now();
            let report = compact(&store);
            over.store(true, Ordering::Relaxed);
            report.map(|report| (report, started.elapsed().as_secs_f64()))
        });
        let mut beside = Samples::default();
        append(&store, safety, &mut beside, || !over.load(Ordering::Relaxed))?;
        let (report, seconds) = compaction.join().map_err(|_| "the compaction panicked")??;
        Ok((report, seconds, beside))
    })?;
    let started = Instant::now();
    append(&store, safety, &mut alone, || started.elapsed().as_secs_f64() < ALONE_SECONDS)?;

    let percentiles = [50.0, 99.0, 99.9];
    alone.print(ALONE, measure, &percentiles);
    beside.print(BESIDE, measure, &percentiles);
    let beside_it = format!("beside {}s", measure);
    print(BESIDE, &format!("compaction {beside_it}"), "s", seconds);
    let left = report.bytes_after as f64 / report.bytes_before as f64;
    print(BESIDE, "bytes left of those before", "parts", left);
    store.0.close()?;
    print_opening(path, BESIDE)
}

/// Appends one event at a time for as long as it `goes_on`.
fn append(
    store: &Batpak,
    safety: Safety,
    samples: &mut Samples,
    goes_on: impl Fn() -> bool,
) -> Result<()> {
    let (entities, payload) = (workload::entities(ENTITIES), workload::payload(PAYLOAD_BYTES));
    let events = workload::cycle(&entities, &payload);
    for number in (0..events.len()).cycle() {
        if !goes_on() {
            break;
        }
        let started = Instant::now();
        store.append(&events[number..][..1], safety)?;
        samples.push(started.elapsed().as_nanos() as u64);
    }
    Ok(())
}

fn compact(store: &Batpak) -> Result<CompactReport> {
    let mut keep = |event: &Event| Ok(event.sequence().is_multiple_of(KEPT));
    let retention = Retention {
        before: Some(EVENTS as u64),
        keep: Some(&mut keep),
        unwanted: Unwanted::Drop,
        ..Retention::default()
    };
    let options = CompactOptions { retention: Some(retention), ..CompactOptions::default() };
    let report = store.0.compact(options)?;
    let expected = EVENTS as u64 / KEPT * (KEPT - 1);
    if report.events_dropped != expected {
        return Err(format!("{} of {expected} events were dropped", report.events_dropped).into());
    }
    Ok(report)
}

fn print_opening(path: &Path, subject: &str) -> Result<()> {
    let started = Instant::now();
    let store = Batpak::open(path)?;
    print(subject, "open after a clean close", "ms", started.elapsed().as_secs_f64() * 1e3);
    Ok(store.0.close()?)
}
