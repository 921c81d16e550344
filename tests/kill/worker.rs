//! The worker of the kill test in Rust. README.md says what it does and what it writes.

use batpak_core::{Error, OpenOptions, Receipt, Store};
use batpak_kill::plan::{self, Append, Item, Operation};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

type Failure = Box<dyn std::error::Error>;

struct Worker {
    directory: PathBuf,
    options: OpenOptions,
    log: File,
}

impl Worker {
    fn open(&mut self, operation: u32) -> Result<Store, Failure> {
        let store = Store::open(&self.directory, &self.options)?;
        self.note(&format!("{operation} open {}", store.open_report().events))?;
        Ok(store)
    }

    fn append(&mut self, store: &Store, operation: u32, append: &Append) -> Result<(), Failure> {
        let events: Vec<_> = append.items.iter().map(Item::event).collect();
        let receipts = match &events[..] {
            [event] => vec![store.append(event, Some(append.durability))?],
            _ => store.append_batch(&events, Some(append.durability))?,
        };
        let mut line = format!("{operation} ack");
        for Receipt { sequence, id, hash, duplicate, .. } in receipts {
            write!(line, " {sequence} {id} {hash} {}", u8::from(duplicate))?;
        }
        self.note(&line)?;
        Ok(say(b"a")?)
    }

    /// Adds a line to the log. One call of the operating system: a kill leaves it whole or last.
    fn note(&mut self, line: &str) -> Result<(), Failure> {
        Ok(self.log.write_all(format!("{line}\n").as_bytes())?)
    }
}

fn say(word: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(word)?;
    out.flush()
}

fn work() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, log, numbers @ ..] = &arguments[..] else { return Err("see README.md".into()) };
    let numbers: Vec<u32> =
        numbers.iter().map(|number| number.parse()).collect::<Result<_, _>>()?;
    let &[seed, life, segment_bytes, buffer_ms, retry_life, retry] = &numbers[..] else {
        return Err("see README.md".into());
    };
    let mut worker = Worker {
        directory: directory.into(),
        options: OpenOptions {
            segment_bytes: segment_bytes.into(),
            buffer_ms,
            ..OpenOptions::default()
        },
        log: File::options().create(true).append(true).open(log)?,
    };
    say(b"o")?;
    let mut store = worker.open(0)?;
    if retry > 0
        && let Operation::Append(append) = plan::operation(seed, retry_life, retry)
    {
        worker.append(&store, 0, &append)?;
    }
    for operation in 1.. {
        match plan::operation(seed, life, operation) {
            Operation::Append(append) => worker.append(&store, operation, &append)?,
            Operation::Flush => {
                store.flush()?;
                worker.note(&format!("{operation} flushed"))?;
                std::thread::sleep(plan::REST);
            }
            Operation::Sync => {
                store.sync()?;
                worker.note(&format!("{operation} synced"))?;
            }
            Operation::Reopen => {
                store.close()?;
                worker.note(&format!("{operation} closed"))?;
                store = worker.open(operation)?;
            }
            Operation::Nothing => worker.note(&format!("{operation} nothing"))?,
        }
    }
    Ok(())
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
