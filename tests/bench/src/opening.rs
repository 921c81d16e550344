//! How long opening takes. Each opening happens in a process of its own, as it does for users, and
//! what it measured comes back as a line of text.

use crate::log::{Result, Store};
use crate::workload;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// How a process ends that has the store open.
#[derive(Clone, Copy)]
pub enum Ending {
    Closed,
    Killed,
}

impl Ending {
    pub fn parse(word: &str) -> Result<Self> {
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

/// Has another process fill a store; gives the events per second.
pub fn fill(subject: &str, directory: &Path, events: usize, ending: Ending) -> Result<f64> {
    Ok(child("fill", subject, directory, &events.to_string(), ending)?[0])
}

/// What an opening took.
pub struct Opening {
    pub milliseconds: f64,
    pub resident_mib: f64,
}

/// Has another process open a store that holds so many events, and end in the same way as the
/// process before, so that the next opening finds the same.
pub fn open(subject: &str, directory: &Path, events: usize, ending: Ending) -> Result<Opening> {
    let measured = child("open", subject, directory, &events.to_string(), ending)?;
    Ok(Opening { milliseconds: measured[0], resident_mib: measured[1] })
}

fn child(
    what: &str,
    subject: &str,
    directory: &Path,
    events: &str,
    ending: Ending,
) -> Result<Vec<f64>> {
    let output = Command::new(std::env::current_exe()?)
        .args([what, subject])
        .arg(directory)
        .args([events, ending.word()])
        .stderr(std::process::Stdio::inherit())
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

/// The process that fills a store.
pub fn fill_here(store: Box<dyn Store>, events: usize, ending: Ending) -> Result<()> {
    println!("{}", workload::fill(&*store, workload::ENTITIES, events)?);
    ending.of(store)
}

/// The process that opens a store, and reads its last event: some do nothing before.
pub fn open_here(
    open: impl FnOnce() -> Result<Box<dyn Store>>,
    events: usize,
    ending: Ending,
) -> Result<()> {
    let before = resident_mib()?;
    let started = Instant::now();
    let store = open()?;
    if store.has_sequences() {
        workload::reading(1, |visit| store.by_sequence(events as u64 - 1, visit))?;
    }
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    println!("{milliseconds} {}", resident_mib()? - before);
    ending.of(store)
}

fn resident_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// What the files in a directory take from the disk.
pub fn bytes_of(directory: &Path) -> Result<u64> {
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
