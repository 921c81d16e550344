//! Reading a store without its worker: what is there, and does it hold together?

use crate::Failure;
use crate::account::{Account, History};
use batpak_core::{ErrorKind, Event, OpenMode, OpenOptions, Query, Region, Store, VerifyReport};
use std::collections::BTreeMap;
use std::path::Path;

/// Reads the store that a kill left behind, which changes nothing of it: the next life opens it
/// as it is. Also gives what the kill interrupted, as far as it shows.
pub(crate) fn after_kill(path: &Path, account: Account) -> Result<(History, Vec<String>), Failure> {
    let mut left_behind = leftovers(path);
    let opened = Store::open(path, &OpenOptions::mode(OpenMode::ReadOnly));
    let events = match opened {
        Ok(store) => {
            let reason = &store.open_report().cut_reason;
            left_behind.extend((!reason.is_empty()).then(|| reason.clone()));
            whole(&store, account.before)?
        }
        // The kill came before the store was there.
        Err(error) if error.kind() == ErrorKind::NotFound && !account.exists => Vec::new(),
        Err(error) => return Err(format!("it does not open for reading: {error:?}")),
    };
    Ok((account.settle_with(&events)?, left_behind))
}

/// The temporary files, by what they were to become.
fn leftovers(path: &Path) -> Vec<String> {
    let names = std::fs::read_dir(path).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let temporary = names.filter(|name| name.ends_with(".tmp"));
    temporary.map(|name| name.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned()).collect()
}

/// Every event of the store, after each way to read has given the same, and after a
/// verification. Those from `from` on are also looked up one by one.
pub(crate) fn whole(store: &Store, from: usize) -> Result<Vec<Event>, Failure> {
    let read = |query| store.read(query).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let events = read(Query::new(Region::all())).map_err(told("reading"))?;
    let count = events.len() as u64;
    if (0..).zip(&events).any(|(sequence, event)| event.sequence() != sequence) {
        return Err("the sequences have a hole".to_owned());
    }

    let report = store.verify().map_err(told("verifying"))?;
    let head = store.head().map_err(told("reading the head"))?;
    if !report.is_intact() {
        return Err(format!("damaged: {:?}", report.findings));
    }
    let VerifyReport { events: verified, last_hash, root, .. } = report;
    if (verified, head.events) != (count, count) || (last_hash, root) != (head.last_hash, head.root)
    {
        return Err(format!("read {count} events, verified {verified}, the head is {head:?}"));
    }

    let mut streams: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for event in &events {
        streams.entry((event.entity(), event.lane())).or_default().push(event.sequence());
    }
    for ((entity, lane), sequences) in streams {
        let region = Region::entity(entity).with_lane(lane);
        let stream = read(Query::new(region)).map_err(told("reading a stream"))?;
        let same = stream.iter().map(Event::sequence).eq(sequences);
        let dense = stream.iter().map(Event::clock).eq(0..stream.len() as u32);
        let ends = store.stream_head(entity, lane).map_err(told("reading a stream's head"))?;
        if !same || !dense || ends.map(|end| end.hash) != stream.last().map(Event::hash) {
            return Err(format!("the stream {entity}, lane {lane}, is not that of the log"));
        }
    }

    for event in events.iter().skip(from) {
        let found = store.get(event.id()).map_err(told("looking up an id"))?;
        if found.is_none_or(|found| found.sequence() != event.sequence()) {
            return Err(format!("event {} is not found by its id", event.sequence()));
        }
    }
    Ok(events)
}

/// An error of the store as a failure of what was being done.
pub(crate) fn told(doing: &str) -> impl Fn(batpak_core::Error) -> Failure {
    move |error| format!("{doing} failed: {error:?}")
}
