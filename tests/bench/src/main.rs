//! Measures batpak beside plain files and, with the feature `peers`, beside other stores.
//!
//!     batpak-bench appends DIR DURABLE WRITTEN BUFFERED BATCHES
//!     batpak-bench files DIR DURABLE WRITTEN BUFFERED BATCHES
//!     batpak-bench engine DIR
//!     batpak-bench peers-appends DIR
//!     batpak-bench peers-reads DIR
//!     batpak-bench peers-openings DIR
//!
//! The stores are made below DIR; the caller removes it. Every line of output is one measurement:
//! what was measured, the measure, its unit and the value, with tabs between them. run.sh repeats
//! the calls and report.py makes tables of the medians.

mod batpak;
mod file;
mod log;
mod opening;
#[cfg(feature = "peers")]
mod peers;
mod workload;

use crate::batpak::Batpak;
use crate::file::PlainFile;
use crate::log::{Log, Result, Safety, Store};
use crate::opening::Ending;
use std::fs;
use std::path::Path;

const REPETITIONS: usize = 5;
const READS: usize = 50_000;
const STREAMS: usize = 100;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["appends", directory, durable, written, buffered, batches] => {
            let work = Work::parse([durable, written, buffered, batches])?;
            measure_appends("Rust", Path::new(directory), &work, &|path| {
                Ok(Box::new(Batpak::open(path)?))
            })
        }
        ["files", directory, durable, written, buffered, batches] => {
            let work = Work::parse([durable, written, buffered, batches])?;
            measure_files(Path::new(directory), &work)
        }
        ["engine", directory] => measure_engine(Path::new(directory)),
        #[cfg(feature = "peers")]
        ["peers-appends", directory] => peers::appends(Path::new(directory)),
        #[cfg(feature = "peers")]
        ["peers-reads", directory] => peers::reads(Path::new(directory)),
        #[cfg(feature = "peers")]
        ["peers-openings", directory] => peers::openings(Path::new(directory)),
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
    match subject {
        "batpak" => Ok(Box::new(Batpak::open(directory)?)),
        #[cfg(feature = "peers")]
        _ => peers::open(subject, directory, Safety::Written),
        #[cfg(not(feature = "peers"))]
        _ => Err(format!("there is no store called `{subject}`").into()),
    }
}

fn print(subject: &str, measure: &str, unit: &str, value: f64) {
    println!("{subject}\t{measure}\t{unit}\t{value}");
}

/// How many calls of each sort.
struct Work {
    durable: usize,
    written: usize,
    buffered: usize,
    batches: usize,
}

impl Work {
    fn parse(words: [&str; 4]) -> Result<Self> {
        let [durable, written, buffered, batches] = words;
        Ok(Self {
            durable: durable.parse()?,
            written: written.parse()?,
            buffered: buffered.parse()?,
            batches: batches.parse()?,
        })
    }
}

/// Each workload in a log of its own, below the directory.
fn measure_appends(
    subject: &str,
    directory: &Path,
    work: &Work,
    open: &dyn Fn(&Path) -> Result<Box<dyn Log>>,
) -> Result<()> {
    let run = |measure: &str, work: &dyn Fn(&dyn Log) -> Result<f64>| -> Result<()> {
        let log = open(&directory.join(format!("{subject}, {measure}")))?;
        workload::begin_streams(&*log)?;
        print(subject, measure, "per second", work(&*log)?);
        Ok(())
    };
    let single = |safety, count| move |log: &dyn Log| workload::appends(log, safety, 1, count);
    run("durable append", &single(Safety::Durable, work.durable))?;
    run("written append", &single(Safety::Written, work.written))?;
    run("buffered append", &single(Safety::Buffered, work.buffered))?;
    run("durable batches of 1,000", &|log| workload::batches(log, Safety::Durable, work.batches))
}

fn measure_files(directory: &Path, work: &Work) -> Result<()> {
    let frame_bytes = batpak::frame_bytes(&directory.join("sample"))?;
    let most = work.written.max(work.buffered).max(work.batches * workload::BATCH);
    let reserved = (most * frame_bytes) as u64 * 11 / 10;
    for (subject, reserved) in [("file", 0), ("file, preallocated", reserved)] {
        measure_appends(subject, directory, work, &|path| {
            Ok(Box::new(PlainFile::create(path, frame_bytes, reserved)?))
        })?;
    }
    Ok(())
}

fn measure_engine(directory: &Path) -> Result<()> {
    for (events, subject) in [(100_000, "100 k events"), (1_000_000, "1 M events")] {
        let print = |measure, unit, value| print(subject, measure, unit, value);

        let path = directory.join(format!("{events} closed"));
        let rate = opening::fill("batpak", &path, events, Ending::Closed)?;
        print("written batches of 1,000, with rotation", "events per second", rate);
        let own = "entity:000".len() + "bench".len() + workload::PAYLOAD.len();
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
