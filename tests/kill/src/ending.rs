//! The end of a store: its newest segment gets an unfinished end by hand, and the store must cut
//! exactly that, say so, and go on.

use crate::Failure;
use crate::account::History;
use crate::inspect::{told, whole};
use batpak_core::{
    Durability, Event, EventKind, MAX_SEGMENT_BYTES, NewEvent, OpenMode, OpenOptions, Query, Store,
};
use batpak_kill::plan::Draws;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What stands behind the last whole batch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// What the kill left there.
    AsKilled,
    /// Bytes that mean nothing.
    Garbage,
    /// 32 MiB of zeros, as a file system that grew the file but lost the data shows them.
    Zeros,
    /// The first part of a frame.
    HalfFrame,
    /// A batch without its last frame, or with a part of it.
    OpenBatch,
    /// A batch whose first frame was not written, but the others were.
    Hole,
    /// A frame without its last byte, with a payload that looks like later events of this log.
    FramesInPayload,
}

impl Ending {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::AsKilled,
        Self::Garbage,
        Self::Zeros,
        Self::HalfFrame,
        Self::OpenBatch,
        Self::Hole,
        Self::FramesInPayload,
    ];
}

const HEADER_BYTES: u64 = 192;
const RESERVED_BYTES: u64 = 256 << 10;
const ZEROS_BYTES: usize = 32 << 20;
const BATCH: usize = 5;
const PAYLOAD: [u8; 700] = [b'e'; 700];

/// Makes the end, and opens the store.
pub(crate) fn check(ending: Ending, path: &Path, history: &History) -> Result<(), Failure> {
    let reader =
        Store::open(path, &OpenOptions::mode(OpenMode::ReadOnly)).map_err(told("reading"))?;
    let before = whole(&reader, usize::MAX)?;
    let segment = path.join(format!("{:06}.fbat", reader.open_report().segments));
    let (number, end) = log_end(&reader, &before);
    let as_killed = file_bytes(&segment)? - end;
    drop(reader);

    let tail = make_tail(ending, &segment, end, history.seed)?;
    let cut = tail.as_ref().map_or(as_killed, |tail| tail.len() as u64);
    if let Some(tail) = tail {
        let written = File::options().write(true).open(&segment).and_then(|file| {
            file.set_len(end)?;
            file.write_all_at(&tail, end)
        });
        written.map_err(|e| format!("cannot write the end: {e}"))?;
    }

    // Space that the writer had reserved is no end that anybody cuts.
    let length = file_bytes(&segment)?;
    let reserved = length <= end.next_multiple_of(RESERVED_BYTES)
        && bytes_from(&segment, end)?.iter().all(|byte| *byte == 0);
    let (cut, kept) = if reserved { (0, length) } else { (cut, end) };

    // A reader passes over it, a writer cuts it off, and both say the same.
    for mode in [OpenMode::ReadOnly, OpenMode::Existing] {
        let store = Store::open(path, &OpenOptions::mode(mode)).map_err(told("opening"))?;
        let report = store.open_report().clone();
        let found = (report.events, report.cut_bytes, report.cut_at);
        let expected = (before.len() as u64, cut, (cut > 0).then_some((number, end)));
        if found != expected || report.cut_reason.is_empty() == (cut > 0) {
            return Err(format!("the report should say {expected:?}, but is {report:?}"));
        }
        same(&whole(&store, 0)?, &before)?;
        if mode == OpenMode::Existing {
            if file_bytes(&segment)? != kept {
                return Err("the end was not cut off".to_owned());
            }
            append(&store, 1, &PAYLOAD, Durability::Durable)?;
            store.close().map_err(told("closing"))?;
        }
    }

    let store = Store::open(path, &OpenOptions::default()).map_err(told("opening again"))?;
    let report = store.open_report();
    if !report.clean || report.cut_bytes > 0 || !report.removed.is_empty() {
        return Err(format!("after a clean close the report is {report:?}"));
    }
    let after = whole(&store, before.len())?;
    if after.len() != before.len() + 1 {
        return Err(format!("{} events became {}", before.len(), after.len()));
    }
    same(&after[..before.len()], &before)
}

/// What a file holds from an offset on.
fn bytes_from(path: &Path, offset: u64) -> Result<Vec<u8>, Failure> {
    let bytes = std::fs::read(path).map_err(|e| format!("cannot read the segment: {e}"))?;
    Ok(bytes.get(offset as usize..).unwrap_or_default().to_vec())
}

/// The number of the newest segment, and where its last event ends.
fn log_end(store: &Store, events: &[Event]) -> (u64, u64) {
    let newest = store.open_report().segments;
    match events.last() {
        Some(last) if last.segment() == newest => {
            (newest, last.offset() + last.stored_bytes() as u64)
        }
        _ => (newest, HEADER_BYTES),
    }
}

/// The bytes behind the end; `None` leaves what is there.
fn make_tail(
    ending: Ending,
    segment: &Path,
    end: u64,
    seed: u32,
) -> Result<Option<Vec<u8>>, Failure> {
    let mut draws = Draws::of([seed, 0, 2]);
    let mut below = |bound: usize| draws.below(bound as u32) as usize;
    let one = |store: &Store| append(store, 1, &PAYLOAD, Durability::Durable);
    let batch = |store: &Store| append(store, BATCH, &PAYLOAD, Durability::Durable);
    Ok(Some(match ending {
        Ending::AsKilled => return Ok(None),
        Ending::Garbage => (0..1 + below(1 << 18)).map(|_| below(256) as u8).collect(),
        Ending::Zeros => vec![0; ZEROS_BYTES],
        Ending::HalfFrame => {
            let (mut bytes, _) = frames(segment, end, one)?;
            bytes.truncate(1 + below(bytes.len() - 1));
            bytes
        }
        Ending::OpenBatch => {
            let (mut bytes, starts) = frames(segment, end, batch)?;
            let last = starts[BATCH - 1];
            bytes.truncate(last + below(bytes.len() - last));
            bytes
        }
        Ending::Hole => {
            let (mut bytes, starts) = frames(segment, end, batch)?;
            bytes[..starts[1]].fill(0);
            bytes
        }
        Ending::FramesInPayload => {
            // The second of them says that the first one is durable. Frames begin at multiples of
            // 8: one of the eight copies does.
            let (inner, _) = frames(segment, end, |store| one(store).and_then(|()| one(store)))?;
            let payload = [&inner[..], b"x"].concat().repeat(8);
            let outer = |store: &Store| append(store, 1, &payload, Durability::Written);
            let (mut bytes, _) = frames(segment, end, outer)?;
            bytes.pop();
            bytes
        }
    }))
}

/// The frames that an append would add to the segment, and where in them each begins: they are
/// taken from a copy of the store, to which they are appended.
fn frames(
    segment: &Path,
    end: u64,
    append: impl Fn(&Store) -> Result<(), Failure>,
) -> Result<(Vec<u8>, Vec<usize>), Failure> {
    let (Some(store), Some(name)) = (segment.parent(), segment.file_name()) else {
        return Err("the segment is in no store".to_owned());
    };
    let copy = store.with_extension("copy");
    copy_files(store, &copy).map_err(|e| format!("cannot copy the store: {e}"))?;
    let options = OpenOptions { segment_bytes: MAX_SEGMENT_BYTES, ..OpenOptions::default() };
    let store = Store::open(&copy, &options).map_err(told("opening the copy"))?;
    let first = store.open_report().events;
    append(&store)?;
    let appended = store.read(Query::default().from(first));
    let appended = appended.and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let appended = appended.map_err(told("reading the copy"))?;
    let starts = appended.iter().map(|event| (event.offset() - end) as usize).collect();
    store.close().map_err(told("closing the copy"))?;
    let mut bytes =
        std::fs::read(copy.join(name)).map_err(|e| format!("cannot read the copy: {e}"))?;
    let _ = std::fs::remove_dir_all(&copy);
    bytes.drain(..end as usize);
    Ok((bytes, starts))
}

fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn append(
    store: &Store,
    count: usize,
    payload: &[u8],
    durability: Durability,
) -> Result<(), Failure> {
    let event = NewEvent::new("ending", "kill", EventKind::DATA, payload);
    let appended = store.append_batch(&vec![event; count], Some(durability));
    appended.map(drop).map_err(told("appending"))
}

fn file_bytes(path: &Path) -> Result<u64, Failure> {
    let metadata = std::fs::metadata(path);
    metadata.map(|data| data.len()).map_err(|e| format!("cannot look at the segment: {e}"))
}

/// The same events, by their hashes, which cover everything else.
fn same(found: &[Event], expected: &[Event]) -> Result<(), Failure> {
    if found.iter().map(Event::hash).eq(expected.iter().map(Event::hash)) {
        return Ok(());
    }
    Err(format!("{} events are there, not the {} from before", found.len(), expected.len()))
}
