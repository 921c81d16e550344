//! How long it takes until somebody who sleeps has an event that is appended: from the call of
//! append until the payload is seen. The payload says when that was, by a clock that all processes
//! share.

use crate::batpak::Batpak;
use crate::log::{Failure, Log, NewEvent, Result, Safety};
use crate::peers::crate_0x::Crate0x;
use crate::samples::Samples;
use crate::selection::Selection;
use crate::workload::{self, PAYLOAD_BYTES};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

const APPENDS: usize = 1_000;
/// Long enough for everybody to fall asleep again.
const PAUSE: Duration = Duration::from_micros(500);
const PERCENTILES: &[f64] = &[50.0, 99.0];

/// The last word of a writer, which no time is.
const END: u64 = u64::MAX;

type Work = dyn Fn(&Path) -> Result<Samples>;

/// So many rounds of everything.
pub fn measure(directory: &Path, rounds: usize, selection: &Selection) -> Result<()> {
    let measures: &[(&str, &str, &Work)] = &[
        ("batpak", "buffered append seen by a sleeping thread", &|path| {
            of_batpak(path, Safety::Buffered)
        }),
        ("batpak", "written append seen by a sleeping thread", &|path| {
            of_batpak(path, Safety::Written)
        }),
        ("batpak 0.10", "written append seen by a sleeping thread", &of_crate),
        ("floor", "written append seen by a sleeping thread", &|_| of_condition()),
        ("batpak", "written append seen by a sleeping process", &of_process),
        ("floor", "written append seen by a sleeping process", &|_| of_pipe()),
    ];
    for round in 1..=rounds {
        eprintln!("bench: waking, round {round} of {rounds}");
        for (subject, measure, work) in measures {
            if selection.has(subject, measure) {
                let path = directory.join("log");
                let mut samples = work(&path)?;
                // A sleeper that wakes late sees two at once.
                if samples.len() < APPENDS * 9 / 10 {
                    return Err(format!("{subject}, {measure}: {} were seen", samples.len()).into());
                }
                samples.print(subject, measure, PERCENTILES);
                if path.exists() {
                    fs::remove_dir_all(path)?;
                }
            }
        }
    }
    Ok(())
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Hands over the time again and again, each time to somebody who sleeps; then `END`.
fn tell(mut hand_over: impl FnMut(u64) -> Result<()>) -> Result<()> {
    for _ in 0..APPENDS {
        std::thread::sleep(PAUSE);
        hand_over(now())?;
    }
    std::thread::sleep(PAUSE);
    hand_over(END)
}

/// Takes the age of each time that comes, until the last.
fn hear(mut next: impl FnMut() -> Result<u64>) -> Result<Samples> {
    let mut samples = Samples::default();
    loop {
        let told = next()?;
        let now = now();
        if told == END {
            return Ok(samples);
        }
        samples.push(now.saturating_sub(told));
    }
}

/// One thread hears, this one tells.
fn in_threads(
    hear: impl FnOnce() -> Result<Samples> + Send,
    tell: impl FnOnce() -> Result<()>,
) -> Result<Samples> {
    std::thread::scope(|scope| {
        let hearing = scope.spawn(hear);
        tell()?;
        hearing.join().map_err(|_| Failure::from("the sleeping thread panicked"))?
    })
}

/// An append of a time.
fn append(log: &dyn Log, time: u64, safety: Safety) -> Result<()> {
    let mut payload = workload::payload(PAYLOAD_BYTES);
    payload[..8].copy_from_slice(&time.to_le_bytes());
    log.append(&[NewEvent { entity: "entity:00:0", kind: 0, payload: &payload }], safety)
}

fn time_in(payload: &[u8]) -> Result<u64> {
    let bytes = payload.first_chunk().ok_or("a payload is too short")?;
    Ok(u64::from_le_bytes(*bytes))
}

/// Follows everything in a store, from its next event on.
fn follow(store: &batpak_core::Store) -> Result<Samples> {
    let mut follow = store.follow(batpak_core::Query::default())?;
    hear(|| {
        let page = follow.next_page(1, usize::MAX, Duration::from_secs(60))?;
        time_in(page.first().ok_or("nothing came for a minute")?.payload())
    })
}

fn of_batpak(path: &Path, safety: Safety) -> Result<Samples> {
    let log = Batpak::open(path)?;
    in_threads(|| follow(&log.0), || tell(|time| append(&log, time, safety)))
}

fn of_crate(path: &Path) -> Result<Samples> {
    let log = Crate0x::open(path)?;
    let heard = log.subscribe();
    in_threads(|| hear(|| time_in(&heard()?)), || tell(|time| append(&log, time, Safety::Written)))
}

/// What waking a thread costs without any log.
fn of_condition() -> Result<Samples> {
    let (slot, filled) = (Mutex::new(None), Condvar::new());
    let lock = || slot.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || loop {
        let mut slot = lock();
        while slot.is_none() {
            slot = filled.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(time) = slot.take() {
            return Ok(time);
        }
    };
    in_threads(
        || hear(next),
        || {
            tell(|time| {
                *lock() = Some(time);
                filled.notify_one();
                Ok(())
            })
        },
    )
}

/// Another process, which prints what it heard.
struct Hearer(Child);

impl Hearer {
    fn start(what: &str, path: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(what).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        // It says when it is ready.
        let mut ready = [0; 8];
        child.stdout.as_mut().ok_or("no output")?.read_exact(&mut ready)?;
        Ok(Self(child))
    }

    fn input(&mut self) -> Result<&mut ChildStdin> {
        Ok(self.0.stdin.as_mut().ok_or("no input")?)
    }

    fn samples(mut self) -> Result<Samples> {
        let mut bytes = Vec::new();
        self.0.stdout.as_mut().ok_or("no output")?.read_to_end(&mut bytes)?;
        if !self.0.wait()?.success() {
            return Err("the sleeping process failed".into());
        }
        let mut samples = Samples::default();
        bytes.chunks_exact(8).try_for_each(|time| {
            samples.push(time_in(time)?);
            Ok::<_, Failure>(())
        })?;
        Ok(samples)
    }
}

fn of_process(path: &Path) -> Result<Samples> {
    let log = Batpak::open(path)?;
    let hearer = Hearer::start("hear-store", path)?;
    tell(|time| append(&log, time, Safety::Written))?;
    hearer.samples()
}

/// What waking a process costs without any log.
fn of_pipe() -> Result<Samples> {
    let mut hearer = Hearer::start("hear-pipe", Path::new("-"))?;
    tell(|time| Ok(hearer.input()?.write_all(&time.to_le_bytes())?))?;
    hearer.samples()
}

/// The process that sleeps.
pub fn hear_here(what: &str, path: &Path) -> Result<()> {
    let mut output = std::io::stdout().lock();
    let mut ready = || -> Result<()> {
        output.write_all(&[0; 8])?;
        Ok(output.flush()?)
    };
    let samples = if what == "hear-store" {
        let options = batpak_core::OpenOptions {
            mode: batpak_core::OpenMode::ReadOnly,
            ..Default::default()
        };
        let store = batpak_core::Store::open(path, &options)?;
        ready()?;
        follow(&store)?
    } else {
        ready()?;
        hear(|| {
            let mut bytes = [0; 8];
            std::io::stdin().read_exact(&mut bytes)?;
            Ok(u64::from_le_bytes(bytes))
        })?
    };
    samples.all().iter().try_for_each(|time| output.write_all(&time.to_le_bytes()))?;
    Ok(())
}
