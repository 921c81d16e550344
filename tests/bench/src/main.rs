//! Measures batpak beside plain files and other stores.
//!
//!     batpak-bench appends DIR ROUNDS     appends to everything
//!     batpak-bench small DIR              one round of the small set that every language has
//!     batpak-bench engine DIR
//!
//! The stores are made below DIR, which exists; the caller removes it. Every line of output is one
//! measurement: what was measured, the measure, its unit and the value, with tabs between them.
//! report.py makes tables of the medians. `selection` says what the environment leaves out.

mod appends;
mod batpak;
mod file;
mod log;
mod opening;
mod peers;
mod pinned;
mod selection;
mod small;
mod workload;

use crate::log::{Result, Safety, Store};
use crate::opening::Ending;
use crate::selection::Selection;
use std::fs;
use std::path::Path;

const REPETITIONS: usize = 5;
const READS: usize = 50_000;
const STREAMS: usize = 100;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let selection = Selection::from_environment();
    match words[..] {
        ["appends", directory, rounds] => {
            appends::measure(Path::new(directory), rounds.parse()?, &selection)
        }
        ["small", directory] => small::measure(Path::new(directory), &selection),
        ["engine", directory] => measure_engine(Path::new(directory)),
        ["fill", subject, directory, events, ending] => opening::fill_here(
            open(subject, Path::new(directory))?,
            events.parse()?,
            Ending::parse(ending)?,
        ),
        ["open", subject, directory, events, ending] => opening::open_here(
            || open(subject, Path::new(directory)),
            events.parse()?,
            Ending::parse(ending)?,
        ),
        _ => Err("see the head of src/main.rs for the arguments".into()),
    }
}

fn open(subject: &str, directory: &Path) -> Result<Box<dyn Store>> {
    peers::open(subject, directory, Safety::Written)
}

fn print(subject: &str, measure: &str, unit: &str, value: f64) {
    println!("{subject}\t{measure}\t{unit}\t{value}");
}

fn measure_engine(directory: &Path) -> Result<()> {
    for (events, subject) in [(100_000, "100 k events"), (1_000_000, "1 M events")] {
        let print = |measure, unit, value| print(subject, measure, unit, value);

        let path = directory.join(format!("{events} closed"));
        let rate = opening::fill("batpak", &path, events, Ending::Closed)?;
        print("written batches of 1,000, with rotation", "events per second", rate);
        let own = "entity:000".len() + "bench".len() + workload::PAYLOAD_BYTES;
        let stored = opening::bytes_of(&path)? as f64 / events as f64;
        print("disk beyond payload and names", "bytes per event", stored - own as f64);
        for _ in 0..REPETITIONS {
            let opening = opening::open("batpak", &path, events, Ending::Closed)?;
            print("open after a clean close", "ms", opening.milliseconds);
            print("memory after a clean open", "MiB", opening.resident_mib);
        }

        let store = open("batpak", &path)?;
        let ids = workload::ids(&*store)?;
        for _ in 0..REPETITIONS {
            let store = &*store;
            let rate = workload::reads_by_sequence(store, events, READS)?;
            print("read by sequence", "events per second", rate);
            print("read by id", "events per second", workload::reads_by_id(store, &ids, READS)?);
            print("scan", "events per second", workload::scan(store, events)?);
            let rate = workload::streams(store, events, STREAMS)?;
            print("one entity's events", "events per second", rate);
        }
        store.close()?;
        fs::remove_dir_all(&path)?;

        let path = directory.join(format!("{events} killed"));
        opening::fill("batpak", &path, events, Ending::Killed)?;
        for _ in 0..REPETITIONS {
            let opening = opening::open("batpak", &path, events, Ending::Killed)?;
            print("open after a kill", "ms", opening.milliseconds);
        }
        fs::remove_dir_all(&path)?;
    }
    Ok(())
}
