//! The parent of the follow test. README.md says what it does.

mod process;
mod stage;

use batpak_core::{OpenMode, OpenOptions, Query, Region, Store};
use batpak_kill::plan::Draws;
use process::Program;
use stage::Stage;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// The sentence that says what went wrong.
type Failure = String;

/// Nothing here takes nearly as long: it ends a run that hangs, and decides nothing else.
const HANG: Duration = Duration::from_secs(120);

/// The writer is killed so often in the middle of appending, and some more times while it opens.
const KILLS: u64 = 10;

/// What the command line asks for.
struct Arguments {
    events: u64,
    seed: u32,
    writer: Program,
    followers: Vec<Program>,
}

impl Arguments {
    fn parse() -> Result<Self, Failure> {
        let mut arguments = std::env::args().skip(1);
        let events = arguments.next().and_then(|events| events.parse().ok());
        let events = events.filter(|events| *events >= 10_000);
        let events = events.ok_or("the number of events is at least 10000")?;
        let mut seed = UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_micros());
        let mut writer = None;
        let mut followers = Vec::new();
        for argument in arguments {
            let (name, value) = argument
                .split_once('=')
                .ok_or_else(|| format!("`{argument}` is not name=value"))?;
            match name {
                "seed" => seed = value.parse().map_err(|_| format!("`{value}` is not a number"))?,
                "writer" => writer = Some(Program::parse(name, value)),
                _ => followers.push(Program::parse(name, value)),
            }
        }
        let writer = writer.ok_or("no writer is given")?;
        if followers.is_empty() {
            return Err("no follower is given".to_owned());
        }
        Ok(Self { events, seed, writer, followers })
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("batpak-follow: {why}; see tests/follow/README.md");
            return ExitCode::from(2);
        }
    };
    println!("seed={}", arguments.seed);
    let start = Instant::now();
    let folder = std::env::temp_dir().join(format!("batpak-follow-{}", std::process::id()));
    let result = std::fs::create_dir_all(&folder)
        .map_err(|e| format!("cannot make {}: {e}", folder.display()))
        .and_then(|()| run(&arguments, &folder));
    match result {
        Ok(()) => {
            drop(std::fs::remove_dir_all(&folder));
            println!("passed in {:.1} s", start.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("FAIL {why}");
            println!("  kept: {}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, folder: &Path) -> Result<(), Failure> {
    let mut draws = Draws::of([arguments.seed, 3, 0]);
    let mut stage = Stage::new(arguments, folder);

    // The followers come one after the other, in any order: to an empty directory, to a store
    // without a segment, beside the first writer, and when that one has been killed.
    let mut order: Vec<_> = arguments.followers.iter().collect();
    for last in (1..order.len()).rev() {
        order.swap(last, draws.below(last as u32 + 1) as usize);
    }
    let mut coming = order.into_iter();
    if let Some(program) = coming.next() {
        stage.start_follower(program)?;
        stage.wait_until("a follower without a store", |stage| stage.followers[0].met_nothing)?;
    }
    let store = Store::open(stage.store(), &OpenOptions::default());
    store.and_then(|store| store.close()).map_err(|e| format!("cannot create the store: {e}"))?;
    if let Some(program) = coming.next() {
        stage.start_follower(program)?;
    }
    stage.wait_until("the followers to open", |stage| {
        stage.followers.iter().all(|follower| follower.open)
    })?;

    let share = arguments.events / (KILLS + 1);
    for kill in 1..=KILLS {
        let until = share * kill;
        stage.start_writer(until)?;
        if kill == 1
            && let Some(program) = coming.next()
        {
            stage.start_follower(program)?;
        }
        let moment = until - u64::from(draws.below(share as u32));
        stage.wait_until("the writer to append", |stage| stage.writer.kept >= moment)?;
        pause(draws.below(3000));
        stage.kill_writer()?;
        while draws.below(3) == 0 {
            stage.start_writer(until)?;
            stage.wait_until("the writer to open", |stage| stage.writer.opening)?;
            pause(draws.below(15_000));
            stage.kill_writer()?;
        }
        for program in coming.by_ref() {
            stage.start_follower(program)?;
        }
        // After every second kill the followers come to the end that recovery keeps while nobody
        // writes; after the others the next writer comes at once.
        if kill % 2 == 1 {
            settle(&mut stage)?;
        }
    }
    stage.start_writer(arguments.events)?;
    stage.wait_until("the writer to append all", |stage| stage.writer.kept == arguments.events)?;
    stage.kill_writer()?;
    settle(&mut stage)?;
    stage.dismiss_followers()?;
    compare(&stage, arguments.events)
}

fn pause(microseconds: u32) {
    std::thread::sleep(Duration::from_micros(microseconds.into()));
}

/// Nobody writes: every follower comes to see what there is.
fn settle(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let store = Store::open(stage.store(), &OpenOptions::mode(OpenMode::ReadOnly))
        .map_err(|e| format!("cannot look at the store: {e}"))?;
    let events = store.open_report().events;
    stage.wait_until(&format!("the followers to see {events} events"), |stage| {
        stage.followers.iter().all(|follower| follower.seen >= events)
    })?;
    match stage.followers.iter().find(|follower| follower.seen > events) {
        None => Ok(()),
        Some(ahead) => Err(format!("{} saw {} events of {events}", ahead.name, ahead.seen)),
    }
}

/// Opens the store as the next writer would, and compares what it holds with what was seen.
fn compare(stage: &Stage<'_>, events: u64) -> Result<(), Failure> {
    let failed = |e: batpak_core::Error| format!("the store cannot be read: {e}");
    let store = Store::open(stage.store(), &OpenOptions::default()).map_err(failed)?;
    let head = store.head().map_err(failed)?;
    if head.events != events {
        return Err(format!("{} events were kept, not {events}", head.events));
    }
    let report = store.verify().map_err(failed)?;
    if !report.is_intact() {
        return Err(format!("the store is damaged: {:?}", report.findings));
    }
    for follower in &stage.followers {
        let answer = follower.answer.as_deref().unwrap_or_default();
        if answer != format!("{} {}", head.events, head.root) {
            return Err(format!("{} answers `{answer}` without a writer", follower.name));
        }
        let file = File::open(stage.hashes(&follower.name));
        let mut hashes = BufReader::new(file.map_err(|e| format!("no hashes: {e}"))?);
        for event in store.read(Query::new(Region::all())).map_err(failed)? {
            let event = event.map_err(failed)?;
            let mut hash = [0; 32];
            hashes.read_exact(&mut hash).map_err(|e| format!("no hash: {e}"))?;
            if hash != event.hash().0 {
                let sequence = event.sequence();
                return Err(format!("{} saw another event {sequence}", follower.name));
            }
        }
    }
    let segments = store.stats().map_err(failed)?.segments;
    if segments < events / 40_000 {
        return Err(format!("there are only {segments} segments"));
    }
    println!("{events} events in {segments} segments, by a writer killed {} times", stage.lives);
    for follower in &stage.followers {
        println!("{} saw them all, and {} ends on the way", follower.name, follower.ends);
    }
    Ok(())
}
