//! How long opening takes, and what a store takes of memory and disk. Each opening happens in a
//! process of its own, as it does for users, and what it measured comes back as a line of text.

use crate::log::{Result, Safety, Store};
use crate::selection::Selection;
use crate::workload::{self, PAYLOAD_BYTES};
use crate::{peers, print};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// How much a store holds.
#[derive(Clone, Copy)]
pub struct Size {
    pub events: usize,
    pub entities: usize,
}

/// How a process ends that has the store open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Closed,
    Killed,
}

impl Ending {
    fn parse(word: &str) -> Result<Self> {
        match word {
            "closed" => Ok(Self::Closed),
            "killed" => Ok(Self::Killed),
            _ => Err(format!("`{word}` is not an ending").into()),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Killed => "killed",
        }
    }

    fn of(self, store: Box<dyn Store>) -> Result<()> {
        match self {
            Self::Closed => store.close(),
            Self::Killed => {
                let own = rustix::process::getpid();
                rustix::process::kill_process(own, rustix::process::Signal::KILL)?;
                unreachable!("the process was killed");
            }
        }
    }
}

const SIZES: &[(Size, &str)] = &[
    (Size { events: 100_000, entities: 10_000 }, "100 k events"),
    (Size { events: 1_000_000, entities: 10_000 }, "1 M events"),
    (Size { events: 1_000_000, entities: 1_000_000 }, "1 M events of 1 M entities"),
];
/// Takes minutes, so it is for batpak alone, and only with `BENCH_LARGE`.
const LARGE: (Size, &str) = (Size { events: 10_000_000, entities: 10_000 }, "10 M events");

/// Everything, so many rounds of each opening.
pub fn measure(directory: &Path, rounds: usize, selection: &Selection) -> Result<()> {
    let stores: Vec<&str> = peers::STORES.iter().copied().chain([peers::ALL_FIELDS]).collect();
    for (size, name) in SIZES {
        measure_size(directory, &stores, (*size, name), rounds, selection)?;
    }
    if std::env::var_os("BENCH_LARGE").is_some_and(|value| !value.is_empty()) {
        measure_size(directory, &["batpak"], LARGE, rounds, selection)?;
    }
    Ok(())
}

fn measure_size(
    directory: &Path,
    subjects: &[&str],
    (size, name): (Size, &str),
    rounds: usize,
    selection: &Selection,
) -> Result<()> {
    let disk = format!("disk beyond the payload, {name}");
    for ending in [Ending::Closed, Ending::Killed] {
        let (open, memory) = match ending {
            Ending::Closed => (format!("open, {name}"), format!("memory after opening, {name}")),
            Ending::Killed => (
                format!("open after a kill, {name}"),
                format!("memory after opening after a kill, {name}"),
            ),
        };
        let mut filled = Vec::new();
        for subject in subjects {
            let is_selected = |name| selection.has(subject, name);
            let of_disk = ending == Ending::Closed && is_selected(&disk);
            let finds_all = ending == Ending::Closed || peers::survives_kill(subject);
            let of_opening = finds_all && (is_selected(&open) || is_selected(&memory));
            if !of_disk && !of_opening {
                continue;
            }
            eprintln!("bench: filling {subject} with {name}, to be {}", ending.word());
            let path = directory.join(subject);
            fill(subject, &path, size, ending)?;
            if of_disk {
                let bytes = bytes_of(&path)? as f64 / size.events as f64;
                print(subject, &disk, "bytes per event", bytes - PAYLOAD_BYTES as f64);
            }
            filled.push((subject, path, of_opening));
        }
        for round in 1..=rounds {
            eprintln!("bench: opening {name}, {}, round {round} of {rounds}", ending.word());
            for (subject, path, _) in filled.iter().filter(|(_, _, of_opening)| *of_opening) {
                let opening = open_elsewhere(subject, path, size, ending)?;
                print(subject, &open, "ms", opening.milliseconds);
                print(subject, &memory, "MiB", opening.resident_mib);
            }
        }
        for (_, path, _) in filled {
            std::fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// Has another process fill a store; gives the events per second.
pub fn fill(subject: &str, path: &Path, size: Size, ending: Ending) -> Result<f64> {
    Ok(child("fill", subject, path, size, ending)?[0])
}

/// What an opening took.
struct Opening {
    milliseconds: f64,
    resident_mib: f64,
}

/// Has another process open a store, and end in the same way as the process before, so that the
/// next opening finds the same.
fn open_elsewhere(subject: &str, path: &Path, size: Size, ending: Ending) -> Result<Opening> {
    let measured = child("open", subject, path, size, ending)?;
    Ok(Opening { milliseconds: measured[0], resident_mib: measured[1] })
}

fn child(what: &str, subject: &str, path: &Path, size: Size, ending: Ending) -> Result<Vec<f64>> {
    let output = Command::new(std::env::current_exe()?)
        .args([what, subject])
        .arg(path)
        .args([&size.events.to_string(), &size.entities.to_string(), ending.word()])
        .stderr(Stdio::inherit())
        .output()?;
    let ended_as_told = match ending {
        Ending::Closed => output.status.success(),
        Ending::Killed => output.status.code().is_none(),
    };
    if !ended_as_told {
        return Err(format!("{what} {subject} ended with {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?)
}

/// The process that fills or opens a store.
pub fn run_here(what: &str, words: &[&str]) -> Result<()> {
    let [subject, path, events, entities, ending] = words else {
        return Err("a subject, a path, events, entities and an ending are needed".into());
    };
    let size = Size { events: events.parse()?, entities: entities.parse()? };
    let open = || peers::open(subject, Path::new(path), Safety::Written);
    let store = match what {
        "fill" => {
            let store = open()?;
            println!("{}", workload::fill(&*store, size.entities, size.events)?);
            store
        }
        _ => {
            // What the process takes without a store is no part of it.
            let before = resident_mib()?;
            let started = Instant::now();
            let store = open()?;
            // Some do nothing before the first read.
            if store.has_sequences() {
                let last = size.events as u64 - 1;
                workload::reading(1, |visit| store.by_sequence(last, visit))?;
            }
            let milliseconds = started.elapsed().as_secs_f64() * 1e3;
            println!("{milliseconds} {}", resident_mib()? - before);
            store
        }
    };
    Ending::parse(ending)?.of(store)
}

fn resident_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// What the files in a directory take from the disk.
fn bytes_of(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            bytes_of(&entry.path())?
        } else {
            entry.metadata()?.blocks() * 512
        };
    }
    Ok(bytes)
}
