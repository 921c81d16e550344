//! Salvage: what can still be read of a damaged store.
//!
//! Neither manifest nor footers are needed: every segment is searched for whole frames, which
//! carry their own sequence. What could not be read is named in the report; nothing is changed.

use super::close::TAIL_INDEX;
use super::open::{list, read_head, read_manifest};
use super::{Inner, Live, OpenReport};
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer;
use crate::format::head;
use crate::format::manifest::{self, Manifest};
use crate::format::segment::{self, HEADER_BYTES, Header, HeaderError};
use crate::format::tree::Tree;
use crate::ids::{Hash, Id};
use crate::index::Part;
use crate::index::tail::Tail;
use crate::options::OpenOptions;
use crate::storage::files::Files;
use crate::storage::recovery::{Frames, MAX_SEGMENT_FILE_BYTES, Stored};
use crate::storage::{Access, VfsFile, read_full_at};
use std::path::Path;
use std::sync::Arc;

/// Opens what can be read, for reading.
pub(super) fn open(files: Arc<Files>, options: &OpenOptions) -> Result<Inner> {
    let mut report = OpenReport { format: 2, ..OpenReport::default() };
    let mut manifest = match read_manifest(&files) {
        Ok(Some(manifest)) => Some(manifest),
        Ok(None) => {
            report.damage.push("the manifest is missing".to_owned());
            None
        }
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            report.damage.push(error.to_string());
            None
        }
        Err(error) => return Err(error),
    };

    let mut numbers = Vec::new();
    for (name, is_file) in list(&files)? {
        let own = [manifest::FILE_NAME, head::FILE_NAME, TAIL_INDEX];
        match segment::number_of(&name) {
            Some(number) if is_file => numbers.push(number),
            _ if own.contains(&name.as_str()) => {}
            _ => report.ignored.push(name),
        }
    }
    numbers.retain(|number| manifest.as_ref().is_none_or(|m| !m.retired.contains(number)));
    numbers.sort_unstable();
    if numbers.is_empty() && manifest.is_none() {
        return Err(super::open::no_store(&files));
    }
    for entry in manifest.iter().flat_map(|manifest| &manifest.segments) {
        if !numbers.contains(&entry.number) {
            report.damage.push(format!("segment {} is missing", entry.number));
        }
    }

    let mut pieces: Vec<Tail> = Vec::new();
    for number in &numbers {
        let path = files.segment_path(*number);
        let found = read_segment(&files, *number, &path, &mut manifest, &mut report.damage);
        match found {
            Ok(found) => pieces.extend(found),
            Err(error) if error.kind() == ErrorKind::Unsupported => return Err(error),
            Err(error) => report.damage.push(error.to_string()),
        }
    }
    // Of two that begin alike, the longer one first.
    pieces.sort_by_key(|piece| (piece.first_sequence, u64::MAX - piece.events(), piece.number));
    let lineage = manifest.as_ref().map(|manifest| manifest.lineage).unwrap_or_default();
    let parts = join(&files, lineage, pieces, &mut report.damage)?;
    let manifest = manifest.unwrap_or(Manifest::new(Id::NONE, Id::NONE, 0));

    let live = Live { parts: Arc::new(parts), ..Live::default() };
    report.events = live.parts.iter().map(|part| part.events()).sum();
    report.segments = numbers.len() as u64;
    let visible = live.visible();
    let closed = manifest.closed.map_or(0, |closed| closed.events);
    // The head is advice; one that cannot be read says nothing.
    let head = read_head(&files).ok().flatten().filter(|head| head.store == manifest.store);
    let durable = closed.max(head.map_or(0, |head| head.durable_events));
    if visible < durable {
        report.damage.push(format!("the events {visible} to {} are missing", durable - 1));
    }
    report.clean =
        report.damage.is_empty() && manifest.closed.is_some_and(|closed| closed.events == visible);
    let live = Live { written_events: visible, durable_events: visible, ..live };
    Ok(Inner::new(files, options, &manifest, live, report))
}

/// The runs of consecutive events in one segment.
fn read_segment(
    files: &Files,
    number: u64,
    path: &Path,
    manifest: &mut Option<Manifest>,
    damage: &mut Vec<String>,
) -> Result<Vec<Tail>> {
    let file = files.open(&segment::file_name(number), Access::Read)?;
    let length = file.size().map_err(|e| Error::io("cannot read the segment", path, &e))?;
    if length > MAX_SEGMENT_FILE_BYTES {
        return Err(Error::corrupt("the segment is longer than any can be").at_path(path));
    }
    let mut header = vec![0; HEADER_BYTES.min(length as usize)];
    read_full_at(&*file, &mut header, 0)
        .map_err(|e| Error::io("cannot read the segment", path, &e))?;
    match Header::decode(&header) {
        Ok(header) if header.number == number => {
            let (store, lineage) = (header.store, header.lineage);
            let known = manifest.get_or_insert_with(|| Manifest::new(store, lineage, 0));
            let accepted = match known.segments.iter().find(|entry| entry.number == number) {
                Some(entry) => known.accepts(store, entry),
                // Without a manifest the last readable header says which store this was: in a fork,
                // the first segments may be of its ancestors.
                None if known.segments.is_empty() && lineage == known.lineage => {
                    known.store = store;
                    true
                }
                None => store == known.store,
            };
            if !known.segments.is_empty() && header.generation > known.generation {
                // The leftover of a compaction: the ones that it was to replace are there.
                return Ok(Vec::new());
            }
            if !accepted {
                return Err(Error::corrupt("the segment belongs to another store").at_path(path));
            }
        }
        Err(HeaderError::Version(version)) => {
            let why = format!("the segment is of FBAT version {version}; this is no damage");
            return Err(Error::new(ErrorKind::Unsupported, why).at_path(path));
        }
        _ => damage.push(format!("segment {number}: the header is damaged")),
    }

    let to = footer_start(&*file, length).unwrap_or(length);
    let lineage = manifest.as_ref().map(|manifest| manifest.lineage);
    let mut pieces: Vec<Tail> = Vec::new();
    let mut budget = length.saturating_mul(2);
    let mut in_step = true;
    let mut frames = Frames::new(&*file, path, number, HEADER_BYTES as u64, to);
    let mut lost_from = None;
    while frames.at < to {
        let at = frames.at;
        let header = frames.header_at()?;
        let whole = match frames.next()? {
            None => break,
            // Where something was lost, a payload may be taken for frames. An event of this log
            // has the right hash; without a lineage nothing can be told apart.
            Some(Ok(stored)) if lineage.is_none_or(|lineage| is_of(&stored, lineage, in_step)) => {
                let first = stored.first_sequence();
                let follows = pieces
                    .last()
                    .is_some_and(|piece| piece.end == at && piece.next_sequence() == first);
                if !follows {
                    let mut piece = Tail::new(
                        lineage.unwrap_or_default(),
                        number,
                        first,
                        Tree::default(),
                        Hash::ZERO,
                    );
                    piece.end = at;
                    pieces.push(piece);
                }
                if let Some(piece) = pieces.last_mut() {
                    match &stored {
                        Stored::Event(frame) => drop(piece.push(frame, None)),
                        Stored::Gap(gap) => piece.push_gap(gap, |_| {}),
                    }
                }
                if let Some(from) = lost_from.take() {
                    damage.push(lost(number, from, at));
                }
                true
            }
            Some(_) => {
                lost_from.get_or_insert(at);
                false
            }
        };
        budget = match budget.checked_sub(header.unwrap_or(8).min(length - at)) {
            Some(budget) => budget,
            None => {
                damage.push(format!("segment {number}: given up at offset {at}"));
                break;
            }
        };
        match header {
            Some(bytes) if whole || in_step => frames.at += bytes,
            _ => {
                in_step = false;
                frames.at += 8;
                if !frames.seek_header()? {
                    break;
                }
            }
        }
    }
    if let Some(from) = lost_from
        && !Frames::new(&*file, path, number, from, length).is_reserved()?
    {
        damage.push(lost(number, from, to));
    }
    Ok(pieces)
}

/// Whether it was written to a log of this lineage. Nothing in a gap says so, which therefore counts
/// only where no damage has come before it.
fn is_of(stored: &Stored<'_>, lineage: Id, in_step: bool) -> bool {
    match stored {
        Stored::Event(frame) => frame.hash_is_right(lineage),
        Stored::Gap(_) => in_step,
    }
}

fn lost(number: u64, from: u64, to: u64) -> String {
    format!("segment {number}: nothing can be read from offset {from} to {to}")
}

/// Where the footer begins, if the file ends with one.
fn footer_start(file: &dyn VfsFile, length: u64) -> Option<u64> {
    let trailer_at = length.checked_sub(footer::TRAILER_BYTES as u64)?;
    let mut trailer = [0; footer::TRAILER_BYTES];
    read_full_at(file, &mut trailer, trailer_at).ok()?;
    let (bytes, _) = footer::decode_trailer(&trailer).ok()?;
    length.checked_sub(bytes)
}

/// Puts the pieces in order; names what is missing or there twice.
fn join(
    files: &Files,
    lineage: Id,
    pieces: Vec<Tail>,
    damage: &mut Vec<String>,
) -> Result<Vec<Arc<Part>>> {
    let mut parts = Vec::new();
    let mut next = 0;
    let mut before: (Tree, Hash) = Default::default();
    for piece in pieces {
        let (first, number) = (piece.first_sequence, piece.number);
        if first < next {
            damage.push(format!("segment {number}: events from {first} on are there twice"));
            continue;
        }
        if first > next {
            damage.push(format!("the events {next} to {} are missing", first - 1));
            before = Default::default();
        }
        // Index again, now that the tree before the piece is known.
        let path = files.segment_path(number);
        let file = files.segment(number)?;
        let mut whole = Tail::new(lineage, number, first, before.0, before.1);
        whole.end = piece.start();
        let mut open_batch = false;
        whole.extend(&*file, &path, piece.end, |stored| {
            open_batch = stored.batch_continues();
        })?;
        if open_batch {
            let last = whole.next_sequence() - 1;
            damage.push(format!("the batch that event {last} belongs to is not whole"));
        }
        next = whole.next_sequence();
        before = (whole.tree.clone(), whole.last_hash);
        parts.push(Arc::new(Part::Indexed(whole, None)));
    }
    Ok(parts)
}
