//! The small set of workloads that every language has: see languages/ for the others.

use crate::batpak::{self, Batpak};
use crate::file::{Frame, PlainFile, Space};
use crate::log::{Log, Result, Safety};
use crate::print;
use crate::selection::Selection;
use crate::workload::{Appends, PAYLOAD_BYTES};
use std::path::Path;

const fn appends(safety: Safety, batch: usize, events: usize) -> Appends {
    Appends { safety, threads: 1, batch, payload_bytes: PAYLOAD_BYTES, events }
}

const APPENDS: &[Appends] = &[
    appends(Safety::Durable, 1, 300),
    appends(Safety::Durable, 1_000, 30_000),
    appends(Safety::Written, 1, 30_000),
    appends(Safety::Written, 1_000, 100_000),
    appends(Safety::Buffered, 1, 60_000),
];

/// So many rounds.
pub fn measure(directory: &Path, rounds: usize, selection: &Selection) -> Result<()> {
    (1..=rounds).try_for_each(|round| measure_round(&directory.join(round.to_string()), selection))
}

fn measure_round(directory: &Path, selection: &Selection) -> Result<()> {
    std::fs::create_dir(directory)?;
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
            print(subject, &work.name(), "events per second", work.run(&*log)?);
        }
    }
    Ok(())
}
