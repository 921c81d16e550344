//! The parent of the kill test. README.md says what it does.

mod account;
mod ending;
mod inspect;
mod life;
mod schedule;

use account::{Account, History};
use life::{Life, Worker};
use schedule::StorePlan;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, UNIX_EPOCH};

/// The sentence that says what went wrong.
type Failure = String;

/// Nothing here takes nearly as long: it ends a run that hangs, and decides nothing else.
const HANG: Duration = Duration::from_secs(60);

/// What the command line asks for.
struct Arguments {
    lives: u32,
    seed: u32,
    /// Only the store with this number.
    only: Option<u32>,
    workers: Vec<Worker>,
}

impl Arguments {
    fn parse() -> Result<Self, Failure> {
        let mut arguments = std::env::args().skip(1);
        let lives = arguments.next().and_then(|lives| lives.parse().ok());
        let mut parsed = Self {
            lives: lives.filter(|lives| *lives >= 4).ok_or("the number of lives is at least 4")?,
            seed: UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_micros()),
            only: None,
            workers: Vec::new(),
        };
        for argument in arguments {
            let (name, value) = argument
                .split_once('=')
                .ok_or_else(|| format!("`{argument}` is not name=value"))?;
            let number = || value.parse().map_err(|_| format!("`{value}` is not a number"));
            match name {
                "seed" => parsed.seed = number()?,
                "store" => parsed.only = Some(number()?),
                _ => parsed.workers.push(Worker::parse(name, value)?),
            }
        }
        if parsed.workers.is_empty() {
            return Err("no worker is given".to_owned());
        }
        Ok(parsed)
    }
}

/// What happened so far.
#[derive(Default)]
struct Tally {
    passed: u32,
    failed: u32,
    events: usize,
    lives: BTreeMap<&'static str, u32>,
    killed_during: BTreeMap<&'static str, u32>,
    left_behind: BTreeMap<String, u32>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("batpak-kill: {why}; see tests/kill/README.md");
            return ExitCode::from(2);
        }
    };
    println!("seed={}", arguments.seed);
    let base = std::env::temp_dir().join(format!("batpak-kill-{}", std::process::id()));
    let mut tally = Tally::default();
    let stores = schedule::plan(arguments.seed, arguments.lives, &arguments.workers);
    for (number, plan) in (0..).zip(&stores) {
        if arguments.only.is_some_and(|only| only != number) {
            continue;
        }
        let directory = base.join(format!("store-{number}"));
        match run_store(plan, &directory, &mut tally) {
            Ok(()) => drop(std::fs::remove_dir_all(&directory)),
            Err(why) => {
                tally.failed += 1;
                println!("FAIL store {number}, {why}");
                println!("  kept: {}", directory.display());
                println!("  the same choices again: seed={} store={number}", arguments.seed);
            }
        }
    }
    // Fails, as it should, when a store was kept.
    let _ = std::fs::remove_dir(&base);
    println!("lives: {}; {} events", list(&tally.lives), tally.events);
    println!("killed during: {}", list(&tally.killed_during));
    println!("left behind: {}", list(&tally.left_behind));
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn list<Name: std::fmt::Display>(counts: &BTreeMap<Name, u32>) -> String {
    let words: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    words.join(", ")
}

/// All lives of one store, and its end.
fn run_store(plan: &StorePlan<'_>, directory: &Path, tally: &mut Tally) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(|e| format!("no directory: {e}"))?;
    let store = directory.join("store");
    let mut history = History::new(plan.seed);
    for (number, life_plan) in (1..).zip(&plan.lives) {
        let language = life_plan.worker.language;
        let named = |why| format!("life {number} ({language}): {why}");
        let log = directory.join(format!("life-{number}.log"));
        let life = Life {
            plan: life_plan,
            seed: plan.seed,
            number,
            retry: history.retry,
            store: &store,
            log: &log,
        };
        life.run().map_err(named)?;
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let account = Account::of(history, number, &text).map_err(named)?;
        let during = account.during;
        let path = store.clone();
        let left_behind;
        (history, left_behind) =
            within_limit(move || inspect::after_kill(&path, account)).map_err(named)?;
        for what in left_behind {
            *tally.left_behind.entry(what).or_default() += 1;
        }
        *tally.lives.entry(language).or_default() += 1;
        *tally.killed_during.entry(during).or_default() += 1;
        tally.passed += 1;
    }
    tally.events += history.events.len();
    let (ending, path) = (plan.ending, store);
    within_limit(move || ending::check(ending, &path, &history))
        .map_err(|why| format!("ending {ending:?}: {why}"))
}

/// Does the work, and gives up when it hangs.
fn within_limit<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    match result.recv_timeout(HANG) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err("it hangs".to_owned()),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err("it panicked".to_owned()),
    }
}
