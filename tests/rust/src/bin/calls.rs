//! Appends and reads in every way, for somebody who counts its system calls: `tests/calls/run.sh`.
//!
//!     calls DIR
//!
//! Between two ways it prints a line `phase NAME COUNT`, which is a system call too, and tells the
//! counter what comes next and how often.

use batpak_core::{Durability, EventKind, NewEvent, OpenOptions, Query, Region, Result, Store};
use std::io::Write;
use std::path::Path;

const PAYLOAD: [u8; 256] = [7; 256];
const THREADS: usize = 8;

fn append(store: &Store, count: usize, durability: Durability) -> Result<()> {
    let event = NewEvent::new("entity", "scope", EventKind::DATA, &PAYLOAD);
    (0..count).try_for_each(|_| store.append(&event, Some(durability)).map(drop))
}

/// Announces what comes, with one call.
fn phase(name: &str, count: usize) {
    let line = format!("phase {name} {count}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap_or_default();
}

fn appends(dir: &Path) -> Result<()> {
    // The flusher, which writes what is buffered when its time is up, sleeps through it all.
    let options = OpenOptions { buffer_ms: 600_000, ..OpenOptions::default() };
    let store = Store::open(dir, &options)?;
    for durability in [Durability::Buffered, Durability::Written, Durability::Durable] {
        append(&store, 500, durability)?;
    }

    phase("durable", 200);
    append(&store, 200, Durability::Durable)?;

    phase("written-first", 1);
    append(&store, 1, Durability::Written)?;
    phase("written", 1000);
    append(&store, 1000, Durability::Written)?;

    phase("written-batches", 50);
    let event = NewEvent::new("entity", "scope", EventKind::DATA, &PAYLOAD);
    let batch = vec![event; 100];
    for _ in 0..50 {
        store.append_batch(&batch, Some(Durability::Written))?;
    }

    phase("durable-first", 1);
    append(&store, 1, Durability::Durable)?;
    phase("durable-batches", 50);
    for _ in 0..50 {
        store.append_batch(&batch, Some(Durability::Durable))?;
    }

    phase("buffered", 1000);
    append(&store, 1000, Durability::Buffered)?;
    phase("flush", 1);
    store.flush()?;

    phase("durable-first", 1);
    append(&store, 1, Durability::Durable)?;
    phase("durable-threads", THREADS * 50);
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| append(&store, 50, Durability::Durable))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    phase("end", 0);
    store.close()
}

/// Reads from sealed segments, of which there are several.
fn reads(dir: &Path) -> Result<()> {
    let options = OpenOptions { segment_bytes: 256 << 10, ..OpenOptions::default() };
    let store = Store::open(dir, &options)?;
    let mut ids = Vec::new();
    for run in 0..40 {
        let entity = format!("run:{run}");
        let event = NewEvent::new(&entity, "scope", EventKind::DATA, &PAYLOAD);
        let receipts = store.append_batch(&vec![event; 100], Some(Durability::Written))?;
        ids.extend(receipts.into_iter().map(|receipt| receipt.id));
    }
    store.close()?;

    let store = Store::open(dir, &options)?;
    // Not one after the other, so that neighbours are no help.
    let sequences = || (0..200u64).map(|number| number * 1_103 % 2000);
    let by_sequence = || sequences().try_for_each(|sequence| store.at(sequence).map(drop));
    let by_id = || sequences().try_for_each(|sequence| store.get(ids[sequence as usize]).map(drop));
    by_sequence()?;
    by_id()?;
    phase("read-by-sequence", 200);
    by_sequence()?;
    phase("read-by-id", 200);
    by_id()?;

    let runs = || {
        (0..20).try_for_each(|run| {
            let found = store.read(Query::new(Region::entity(format!("run:{run}"))))?;
            found.into_iter().try_for_each(|event| event.map(drop))
        })
    };
    runs()?;
    phase("read-neighbours", 20);
    runs()?;

    phase("read-all", 4000);
    store.read(Query::default())?.try_for_each(|event| event.map(drop))?;
    phase("end", 0);
    store.close()
}

fn main() -> std::process::ExitCode {
    let Some(dir) = std::env::args_os().nth(1) else {
        eprintln!("calls: which directory?");
        return std::process::ExitCode::from(2);
    };
    let dir = Path::new(&dir);
    match appends(&dir.join("appends")).and_then(|()| reads(&dir.join("reads"))) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("calls: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
