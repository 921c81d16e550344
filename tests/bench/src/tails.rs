//! How long single appends take while two threads scan the log again and again.

use crate::log::{Result, Safety};
use crate::samples::Samples;
use crate::selection::Selection;
use crate::workload::{self, ENTITIES, PAYLOAD_BYTES};
use crate::{peers, print};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// How many events there are when the scans begin.
const EVENTS: usize = 50_000;
const READERS: usize = 2;

/// So many rounds of everything.
pub fn measure(directory: &Path, rounds: usize, selection: &Selection) -> Result<()> {
    for round in 1..=rounds {
        eprintln!("bench: appends beside scans, round {round} of {rounds}");
        for (safety, appends) in [(Safety::Written, 10_000), (Safety::Durable, 1_000)] {
            let measure = format!("{} append beside {READERS} scanning threads", safety.word());
            for subject in peers::STORES {
                if selection.has(subject, &measure) {
                    let path = directory.join("log");
                    run(subject, &path, safety, appends, &measure)
                        .map_err(|error| format!("{subject}, {measure}: {error}"))?;
                    fs::remove_dir_all(path)?;
                }
            }
        }
    }
    Ok(())
}

fn run(subject: &str, path: &Path, safety: Safety, appends: usize, measure: &str) -> Result<()> {
    let store = peers::open(subject, path, safety)?;
    workload::fill(&*store, ENTITIES, EVENTS)?;
    let (entities, payload) = (workload::entities(ENTITIES), workload::payload(PAYLOAD_BYTES));
    let events = workload::cycle(&entities, &payload);
    let over = AtomicBool::new(false);
    let scanned = AtomicUsize::new(0);

    let scan = || -> Result<()> {
        while !over.load(Ordering::Relaxed) {
            let mut seen = 0;
            store.scan(&mut |_, _| seen += 1)?;
            if seen < EVENTS {
                return Err(format!("a scan saw {seen} of {EVENTS} events").into());
            }
            scanned.fetch_add(seen, Ordering::Relaxed);
        }
        Ok(())
    };
    let append = || -> Result<Samples> {
        let mut samples = Samples::default();
        for number in 0..appends {
            let started = Instant::now();
            store.append(&events[number % events.len()..][..1], safety)?;
            samples.push(started.elapsed().as_nanos() as u64);
        }
        Ok(samples)
    };
    let started = Instant::now();
    let mut samples = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(scan)).collect();
        let samples = append();
        over.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().map_err(|_| "a reader panicked")??;
        }
        samples
    })?;
    let seconds = started.elapsed().as_secs_f64();
    samples.print(subject, measure, &[50.0, 99.0, 99.9]);
    let rate = scanned.load(Ordering::Relaxed) as f64 / seconds;
    let scans = format!("scans beside {} appends", safety.word());
    print(subject, &scans, "events per second", rate);
    store.close()
}
