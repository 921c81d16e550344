//! The writer of the follow test. README.md says what it does and what it says.

use batpak_core::{CompactOptions, Durability, Error, OpenOptions, Store};
use batpak_follow::{Batch, Place, segment_bytes};
use std::io::Write as _;
use std::time::Duration;

type Failure = Box<dyn std::error::Error>;

fn say(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn work() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, seed, until] = &arguments[..] else { return Err("see README.md".into()) };
    let (seed, until): (u32, u64) = (seed.parse()?, until.parse()?);

    say("opening")?;
    let segment_bytes = segment_bytes(seed, until);
    let options = OpenOptions { segment_bytes, ..OpenOptions::default() };
    let store = Store::open(directory, &options)?;
    let mut events = store.open_report().events;
    say(&format!("open {events}"))?;
    let mut number = 0;
    if events > 0 {
        let last = store.at(events - 1)?.and_then(|last| Place::of(&last));
        let last = last.filter(|last| last.is_last()).ok_or("the log ends inside a batch")?;
        number = last.batch + 1;
    }

    let compacted = store.clone();
    std::thread::spawn(move || {
        let failure = loop {
            match compacted.compact(CompactOptions::default()) {
                Ok(_) => std::thread::sleep(Duration::from_millis(5)),
                Err(failure) => break failure,
            }
        };
        eprintln!("{} {failure}", failure.kind().name());
        std::process::exit(1);
    });
    while events < until {
        let batch = Batch::plan(seed, number, until - events);
        let appended = batch.events();
        number += 1;
        events += appended.len() as u64;
        // The last one must survive the kill, however long that takes.
        let durability = if events == until { Durability::Written } else { batch.durability };
        store.append_batch(&appended, Some(durability))?;
        if durability != Durability::Buffered {
            say(&events.to_string())?;
        }
    }
    loop {
        std::thread::park();
    }
}

fn main() {
    if let Err(failure) = work() {
        match failure.downcast_ref::<Error>() {
            Some(error) => eprintln!("{} {error}", error.kind().name()),
            None => eprintln!("{failure}"),
        }
        std::process::exit(1);
    }
}
