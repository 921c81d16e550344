//! Salvage: what can still be read of a damaged store.
//!
//! Neither manifest nor footers are needed: every segment is searched for whole frames, which
//! carry their own sequence. What could not be read is named in the report; nothing is changed.

use super::close::TAIL_INDEX;
use super::follow::TRIES;
use super::open::{list, read_head, read_manifest};
use super::{Inner, Live, OpenReport};
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::{self, Footer, Summary};
use crate::format::frame;
use crate::format::head::{self, HeadFile};
use crate::format::manifest::{self, Entry, Manifest};
use crate::format::segment::{self, HEADER_BYTES, Header, HeaderError};
use crate::format::tree::Tree;
use crate::ids::{Hash, Id};
use crate::index::Part;
use crate::index::sealed::Sealed;
use crate::index::tail::Tail;
use crate::options::OpenOptions;
use crate::storage::files::Files;
use crate::storage::recovery::{Frames, MAX_SEGMENT_FILE_BYTES, Stored};
use crate::storage::{Access, VfsFile, read_full_at, read_past_errors};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a damaged store that its repaired copy lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// The segment.
    pub segment: u64,
    /// The offset of the first byte.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The sequence of the first event that stood there, as far as that can be told.
    pub first_sequence: u64,
    /// How many events stood there; 0 also if that cannot be told.
    pub events: u64,
    /// Why.
    pub why: String,
}

impl LeftOut {
    /// Where those events stand that the tail has of these sequences.
    pub(super) fn of(tail: &Tail, sequences: &Range<u64>) -> Option<Self> {
        let start = sequences.start.clamp(tail.first_sequence, tail.next_sequence());
        let end = sequences.end.clamp(start, tail.next_sequence());
        let start_of = |sequence: u64| tail.start_of((sequence - tail.first_sequence) as u32);
        let offset = start_of(start).filter(|_| start < end)?;
        Some(Self {
            segment: tail.number,
            offset,
            bytes: start_of(end).unwrap_or(tail.end) - offset,
            first_sequence: start,
            events: end - start,
            why: String::new(),
        })
    }
}

/// What can be read of a damaged store, and what not.
pub(super) struct Salvaged {
    pub(super) inner: Inner,
    /// So many events were in segments that are known to be sealed: every batch of those was whole.
    pub(super) sealed_events: u64,
    /// As long as there was no compaction, segments up to this number are known to be sealed, too.
    pub(super) sealed_number: Option<u64>,
    pub(super) left_out: Vec<LeftOut>,
    /// So many events are known to have been appended.
    pub(super) known_events: u64,
    /// A head says that so many were visible, if not that they were synced.
    pub(super) visible_events: u64,
    /// The roots that are recorded, by the number of events.
    pub(super) roots: BTreeMap<u64, Vec<Hash>>,
    /// There are frames of a later version.
    pub(super) is_newer: bool,
}

/// Opens what can be read, for reading.
pub(super) fn open(files: Arc<Files>, options: &OpenOptions) -> Result<Inner> {
    for _ in 1..TRIES {
        let generation = generation(&files);
        let found = read(files.clone(), options, false);
        // The compaction of a live writer takes files away meanwhile.
        if generation == self::generation(&files) {
            return Ok(found?.inner);
        }
    }
    Ok(read(files, options, false)?.inner)
}

fn generation(files: &Files) -> Option<u64> {
    Some(read_manifest(files).ok()??.generation)
}

/// Reads what can be read. With `altered`, also events whose hash is not that of their fields.
pub(super) fn read(files: Arc<Files>, options: &OpenOptions, altered: bool) -> Result<Salvaged> {
    let mut report = OpenReport { format: 2, ..OpenReport::default() };
    let manifest = match read_manifest(&files) {
        Ok(Some(manifest)) => Some(manifest),
        Ok(None) => {
            report.damage.push("the manifest is missing".to_owned());
            None
        }
        Err(error) if is_damage(&error) => {
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
    numbers.sort_unstable();
    if numbers.is_empty() && manifest.is_none() {
        return Err(super::open::no_store(&files));
    }
    for entry in manifest.iter().flat_map(|manifest| &manifest.segments) {
        if !numbers.contains(&entry.number) {
            report.damage.push(format!("segment {} is missing", entry.number));
        }
    }

    let retired = manifest.iter().flat_map(|manifest| &manifest.retired).copied().collect();
    let mut reading = Reading {
        files: &files,
        altered,
        manifest,
        retired,
        damage: report.damage,
        pieces: Vec::new(),
        lost: Vec::new(),
        left_out: Vec::new(),
        headers: BTreeMap::new(),
        ends: Vec::new(),
        has_footer: Vec::new(),
    };
    for number in &numbers {
        reading.read(*number)?;
    }
    let is_newer = reading.lost.iter().any(|lost| lost.whys.contains(&frame::NEWER));
    let (known_events, visible_events) = reading.known_events();
    let sealed_events = reading.sealed_events();
    reading.tell_lost(known_events);
    let (parts, roots) = (reading.join()?, reading.roots());
    let sealed_number = reading.sealed_number(&numbers);
    if reading.damage.is_empty() {
        reading.check_footers();
    }
    report.segments = numbers.iter().filter(|number| !reading.is_leftover(**number)).count() as u64;
    let generation = reading.generation(&parts);
    let Reading { manifest, damage, left_out, .. } = reading;
    let manifest = manifest.unwrap_or(Manifest::new(Id::NONE, Id::NONE, 0));
    report.damage = damage;

    // Where events were dropped, no fork begins before them, whatever became of the manifest.
    let dropped_to = parts.iter().filter_map(|part| part.indexed()?.last_hole());
    let horizon = dropped_to.map(|last| last + 1).fold(manifest.horizon, u64::max);
    let generation = generation.max(u64::from(horizon > 0));
    let live = Live { parts: Arc::new(parts), generation, horizon, ..Live::default() };
    report.events = live.parts.iter().map(|part| part.events()).sum();
    let visible = live.visible();
    if visible < known_events {
        report.damage.push(format!("the events {visible} to {} are missing", known_events - 1));
    }
    report.clean =
        report.damage.is_empty() && manifest.closed.is_some_and(|closed| closed.events == visible);
    let live = Live { written_events: visible, durable_events: visible, ..live };
    let inner = Inner::new(files, options, &manifest, live, report);
    Ok(Salvaged {
        inner,
        sealed_events,
        sealed_number,
        left_out,
        known_events,
        visible_events,
        roots,
        is_newer,
    })
}

/// Consecutive events in one segment.
struct Piece {
    number: u64,
    first: u64,
    /// The sequence behind the last.
    next: u64,
    start: u64,
    end: u64,
}

impl Piece {
    /// Those of the sequences that the tail has, without any that share a gap with others.
    fn of(tail: &Tail, sequences: Range<u64>) -> Option<Self> {
        let start_of = |sequence: u64| tail.start_of((sequence - tail.first_sequence) as u32);
        let is_within = |at: &u64| *at > tail.first_sequence && start_of(*at) == start_of(at - 1);
        let first = sequences.clone().find(|at| !is_within(at))?;
        let next = (first + 1..=sequences.end).rev().find(|at| !is_within(at))?;
        let (start, end) = (start_of(first)?, start_of(next).unwrap_or(tail.end));
        Some(Self { number: tail.number, first, next, start, end })
    }
}

/// Why there is nothing where the disk fails.
const UNREADABLE: &str = "the disk cannot read";

/// A run of bytes in a segment of which nothing can be read.
#[derive(Default)]
struct Lost {
    number: u64,
    from: u64,
    to: u64,
    /// The sequence that should follow the event before it, and that of the event behind it, where
    /// there are such in the segment.
    expected: Option<u64>,
    next: Option<u64>,
    whys: Vec<&'static str>,
    /// It may have been reserved.
    is_zeros: bool,
}

struct Reading<'a> {
    files: &'a Arc<Files>,
    altered: bool,
    /// Without one, what the headers say.
    manifest: Option<Manifest>,
    retired: HashSet<u64>,
    damage: Vec<String>,
    /// The runs of consecutive events in one segment.
    pieces: Vec<Tail>,
    lost: Vec<Lost>,
    left_out: Vec<LeftOut>,
    /// Those of this store that can be read.
    headers: BTreeMap<u64, Header>,
    /// What their footers say: the number of events in the log, and the root over them.
    ends: Vec<(u64, Hash)>,
    /// The segments that end as sealed ones do.
    has_footer: Vec<u64>,
}

impl Reading<'_> {
    /// Reads a segment, or says why not.
    fn read(&mut self, number: u64) -> Result<()> {
        let (mut length, known) = (0, self.damage.len());
        let is_listed = self.entries().any(|entry| entry.number == number);
        match self.read_segment(number, &mut length) {
            Ok(()) => {}
            // The compaction of a live writer has removed it meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound && !is_listed => {}
            Err(error) if error.kind() == ErrorKind::NotFound || is_damage(&error) => {
                self.damage.push(error.to_string());
                let (segment, bytes, why) = (number, length, error.message().to_owned());
                self.left_out.push(LeftOut { segment, bytes, why, ..LeftOut::default() });
            }
            // Another time the segment may be read.
            Err(error) => return Err(error),
        }
        if self.is_leftover(number) {
            // It may be half-written, or half-removed.
            self.damage.truncate(known);
        }
        Ok(())
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.manifest.iter().flat_map(|manifest| &manifest.segments)
    }

    /// Whether the manifest knows the segment as retired, or does not know of its compaction: other
    /// segments should hold its events.
    fn is_leftover(&self, number: u64) -> bool {
        let Some(known) = &self.manifest else { return false };
        let header = self.headers.get(&number).filter(|_| !known.segments.is_empty());
        self.retired.contains(&number)
            || header.is_some_and(|header| header.generation > known.generation)
    }

    /// Finds the pieces of a segment, and what is lost between them.
    fn read_segment(&mut self, number: u64, length: &mut u64) -> Result<()> {
        let path = &self.files.segment_path(number);
        let failed = |e: &std::io::Error| Error::io("cannot read the segment", path, e);
        let file = &*self.files.open(&segment::file_name(number), Access::Read)?;
        *length = file.size().map_err(|e| failed(&e))?;
        let size = *length;
        let length = size.min(MAX_SEGMENT_FILE_BYTES);
        let mut header = vec![0; HEADER_BYTES.min(length as usize)];
        let mut whys = Vec::new();
        read_past_errors(file, &mut header, 0, |_| whys.push(UNREADABLE))
            .map_err(|e| failed(&e))?;
        match Header::decode(&header) {
            Ok(header) => {
                if !self.accepts(&header) {
                    let why = "the segment belongs to another store";
                    return Err(Error::corrupt(why).at_path(path));
                }
                if header.number != number {
                    let why =
                        format!("segment {number}: it is segment {} by its header", header.number);
                    self.damage.push(why);
                }
                self.headers.insert(number, header);
            }
            Err(HeaderError::Version(version)) => {
                let why = format!("the segment is of FBAT version {version}; this is no damage");
                return Err(Error::new(ErrorKind::Unsupported, why).at_path(path));
            }
            Err(HeaderError::Damaged(why)) => {
                self.damage.push(format!("segment {number}: the header is damaged"));
                let (to, next) = (header.len() as u64, Some(0));
                whys.push(why);
                self.lost.push(Lost { number, to, next, whys, ..Lost::default() });
            }
        }
        if size > length {
            let why = "the segment is longer than any can be";
            self.damage.push(format!("segment {number}: {why}"));
            let (segment, offset, bytes, why) = (number, length, size - length, why.to_owned());
            self.left_out.push(LeftOut { segment, offset, bytes, why, ..LeftOut::default() });
        }

        // What looks like a footer may be the end of a payload.
        let ending = read_ending(file, length);
        self.has_footer.extend(ending.map(|_| number));
        let mut footer = ending.and_then(|(start, prefix)| Some((start, prefix?)));
        let mut ends_at_footer = false;
        let lineage = self.manifest.as_ref().map(|manifest| manifest.lineage);
        let before = self.pieces.len();
        let mut budget = length.saturating_mul(2);
        let mut in_step = true;
        let mut frames = Frames::new(file, path, number, HEADER_BYTES as u64, length).past_errors();
        let mut lost: Option<Lost> = None;
        while frames.at < length {
            let at = frames.at;
            let header = frames.header_at()?;
            if let Some((start, _)) = footer.filter(|(start, _)| in_step && *start >= at) {
                if start == at {
                    ends_at_footer = true;
                    break;
                }
                // Nothing but a frame has the place of one.
                footer = footer.filter(|_| header.is_none_or(|bytes| at + bytes <= start));
            }
            let piece = self.pieces[before..].last();
            let next = piece.filter(|piece| piece.end == at).map(Tail::next_sequence);
            let expected = piece.map(Tail::next_sequence);
            let begins = self.headers.get(&number).map(|h| (h.first_sequence, HEADER_BYTES as u64));
            let known = piece.map(|piece| (piece.next_sequence(), piece.end)).or(begins);
            // What lies between is at least the hashes of those that are missing.
            let highest = known.map_or(u64::MAX, |(next, end)| {
                next.saturating_add(at.saturating_sub(end) / size_of::<Hash>() as u64)
            });
            let why = match frames.next()? {
                None => break,
                Some(Ok(stored)) if stored.first_sequence() > highest => {
                    Some("so many events cannot be missing before it")
                }
                // Where something was lost, a payload may be taken for frames. An event of this log
                // has the right hash; without a lineage nothing can be told apart.
                Some(Ok(stored))
                    if lineage.is_none_or(|lineage| is_of(&stored, lineage, in_step))
                        || self.altered
                            && in_step
                            && next.is_none_or(|next| next == stored.first_sequence()) =>
                {
                    let first = stored.first_sequence();
                    if next != Some(first) {
                        let (lineage, tree) = (lineage.unwrap_or_default(), Tree::default());
                        let mut piece = Tail::new(lineage, number, first, tree, Hash::ZERO);
                        piece.end = at;
                        self.pieces.push(piece);
                    }
                    if let Some(piece) = self.pieces.last_mut() {
                        match &stored {
                            Stored::Event(frame) => drop(piece.push(frame, None)),
                            Stored::Gap(gap) => piece.push_gap(gap, |_| {}),
                        }
                    }
                    let next = Some(first);
                    self.lost.extend(lost.take().map(|lost| Lost { to: at, next, ..lost }));
                    None
                }
                Some(Ok(_)) => Some("an event's hash is not the hash of its fields"),
                // Elsewhere it may be the content of a payload.
                Some(Err(frame::NEWER)) if !in_step => Some("nothing that is a frame begins here"),
                Some(Err(why)) => Some(why),
            };
            if let Some(why) = why {
                let begins = || Lost { number, from: at, expected, ..Lost::default() };
                let lost = lost.get_or_insert_with(begins);
                if !lost.whys.contains(&why) {
                    lost.whys.push(why);
                }
            }
            budget = match budget.checked_sub(header.unwrap_or(8).min(length - at)) {
                Some(budget) => budget,
                None => {
                    self.damage.push(format!("segment {number}: given up at offset {at}"));
                    let from = if why.is_none() { at + header.unwrap_or(8) } else { at };
                    let whys = vec!["it looks like frames everywhere"];
                    lost.get_or_insert(Lost { number, from, whys, ..Lost::default() });
                    break;
                }
            };
            match header {
                Some(bytes) if why.is_none() || in_step => frames.at += bytes,
                _ => {
                    in_step = false;
                    frames.at += 8;
                    if !frames.seek_header()? {
                        break;
                    }
                }
            }
        }
        // Where damage kept from going from frame to frame, no event may stand behind its beginning.
        let found_to = self.pieces[before..].last().map_or(HEADER_BYTES as u64, |piece| piece.end);
        let header = self.headers.get(&number);
        let footer = footer.filter(|(start, summary)| {
            ends_at_footer
                || summary.is_some_and(|summary| {
                    header.is_none_or(|header| header.number == summary.number)
                        && summary.frames_end == *start
                        && found_to <= *start
                })
        });
        if let Some((_, summary)) = footer {
            let summary = summary.filter(|s| header.is_some_and(|h| h.number == s.number));
            self.ends.extend(summary.map(|s| (s.first_sequence + s.events, s.root)));
        }
        let unreadable = frames.unreadable().iter();
        self.damage.extend(unreadable.clone().map(|Range { start, end }| {
            format!("segment {number}: {UNREADABLE} what is there from offset {start} to {end}")
        }));
        if let Some(mut lost) = lost {
            lost.to = footer.map_or(length, |(start, _)| start);
            let mut rest = Frames::new(file, path, number, lost.from, length).past_errors();
            lost.is_zeros = rest.is_reserved()?;
            self.lost.push(lost);
        }
        let is_in = |lost: &&mut Lost| lost.number == number && lost.from > 0;
        for lost in self.lost.iter_mut().filter(is_in) {
            if unreadable.clone().any(|run| run.start < lost.to && lost.from < run.end) {
                lost.whys.insert(0, UNREADABLE);
            }
        }
        Ok(())
    }

    /// Whether a segment with this header may be of this store.
    fn accepts(&mut self, header: &Header) -> bool {
        let (store, lineage) = (header.store, header.lineage);
        let known = self.manifest.get_or_insert_with(|| Manifest::new(store, lineage, 0));
        match known.segments.iter().find(|entry| entry.number == header.number) {
            Some(entry) => known.accepts(store, entry),
            // Without a manifest the last readable header says which store this was: in a fork,
            // the first segments may be of its ancestors.
            None if known.segments.is_empty() && lineage == known.lineage => {
                known.store = store;
                known.generation = known.generation.max(header.generation);
                true
            }
            None => store == known.store,
        }
    }

    /// How many events the log is known to have had, and how many were visible by what a head says.
    fn known_events(&self) -> (u64, u64) {
        let manifest = self.manifest.as_ref();
        let closed = manifest.and_then(|manifest| manifest.closed).map(|closed| closed.events);
        // The head is advice; one that cannot be read says nothing.
        let head = read_head(self.files).ok().flatten();
        let head = head.filter(|head| manifest.is_some_and(|known| known.store == head.store));
        let noted = [closed, head.map(|head| head.durable_events)];
        let known = noted.into_iter().flatten().fold(self.sealed_events(), u64::max);
        // Behind an open end, whatever is whole is visible.
        let visible = |head: HeadFile| if head.open_ended { u64::MAX } else { head.visible_events };
        (known, head.map_or(0, visible))
    }

    /// How many compactions the log went through, by the manifest and by what was read.
    fn generation(&self, parts: &[Arc<Part>]) -> u64 {
        let known = self.manifest.as_ref().map(|manifest| manifest.generation);
        let headers = parts.iter().filter_map(|part| self.headers.get(&part.number()));
        headers.map(|header| header.generation).chain(known).max().unwrap_or_default()
    }

    /// Where a segment begins, the one before it is sealed.
    fn sealed_events(&self) -> u64 {
        let newest = self.manifest.as_ref().and_then(|manifest| manifest.segments.last());
        let begins = self.headers.values().map(|header| header.first_sequence);
        let ends = self.ends.iter().map(|(events, _)| *events);
        begins.chain(ends).chain(newest.map(|entry| entry.first_sequence)).max().unwrap_or_default()
    }

    /// Without a compaction, numbers rise along the log: only the last one may not be sealed.
    fn sealed_number(&self, numbers: &[u64]) -> Option<u64> {
        let of_headers = self.headers.values().map(|header| header.generation);
        let of_manifest = self.manifest.iter().map(|manifest| manifest.generation);
        if of_headers.chain(of_manifest).any(|generation| generation > 0) {
            return None;
        }
        let before_last = numbers.iter().rev().nth(1);
        before_last.into_iter().chain(&self.has_footer).max().copied()
    }

    /// Every event is there; what an index lacks keeps the store from being opened all the same.
    fn check_footers(&mut self) {
        let entries = self.manifest.iter().flat_map(|manifest| &manifest.segments);
        let sealed = entries.filter(|entry| entry.length > 0);
        let damage = sealed.filter_map(|entry| Sealed::open(self.files, *entry, None).err());
        self.damage.extend(damage.map(|error| error.to_string()).collect::<Vec<_>>());
    }

    /// The roots that are recorded, by the number of events.
    fn roots(&self) -> BTreeMap<u64, Vec<Hash>> {
        let manifest = self.manifest.iter();
        let noted = manifest.flat_map(|manifest| {
            let closed = manifest.closed.iter().map(|closed| (closed.events, closed.root));
            closed.chain(manifest.ancestors.iter().map(|common| (common.events, common.root)))
        });
        let before =
            self.headers.values().map(|header| (header.first_sequence, header.root_before));
        let mut roots: BTreeMap<u64, Vec<Hash>> = BTreeMap::new();
        for (events, root) in noted.chain(before).chain(self.ends.iter().copied()) {
            roots.entry(events).or_default().push(root);
        }
        roots
    }

    /// Says what is lost, and which events that were.
    fn tell_lost(&mut self, known_events: u64) {
        for lost in std::mem::take(&mut self.lost) {
            let Lost { number, from, to, .. } = lost;
            if from == to {
                continue;
            }
            let entry = self.entries().copied().find(|entry| entry.number == number);
            let earlier = self.pieces.iter().filter(|piece| piece.number < number);
            let first = lost
                .expected
                .or_else(|| self.headers.get(&number).map(|header| header.first_sequence))
                .or_else(|| entry.map(|entry| entry.first_sequence))
                .or_else(|| earlier.map(Tail::next_sequence).max())
                .unwrap_or_default();
            let later = self.pieces.iter().map(|piece| piece.first_sequence);
            let next = lost
                .next
                .or_else(|| entry.filter(|e| e.length > 0).map(|entry| entry.end_sequence()))
                .or_else(|| later.filter(|later| *later >= first).min())
                .unwrap_or(known_events);
            let events = next.saturating_sub(first);
            if lost.is_zeros && events == 0 {
                continue;
            }
            if from > 0 && !self.is_leftover(number) {
                let why =
                    format!("segment {number}: nothing can be read from offset {from} to {to}");
                self.damage.push(why);
            }
            self.left_out.push(LeftOut {
                segment: number,
                offset: from,
                bytes: to - from,
                first_sequence: first,
                events,
                why: lost.whys.join("; "),
            });
        }
    }

    /// Takes every event from one piece: first from segments that are no leftovers, whose header says
    /// that they are of this store, and of the latest compaction, so that what a retention has decided
    /// stands; and of two that begin alike, from the longer one.
    fn choose(&mut self) -> BTreeMap<u64, Piece> {
        let mut pieces = std::mem::take(&mut self.pieces);
        pieces.sort_by_key(|piece| {
            let generation = self.headers.get(&piece.number).map(|header| header.generation);
            // Nothing vouches for a gap: it never takes the place of events.
            let shown = piece.events() - piece.holes();
            let order = (piece.first_sequence, Reverse(shown), piece.number);
            (self.is_leftover(piece.number), Reverse(generation), shown == 0, order)
        });
        let mut chosen: BTreeMap<u64, Piece> = BTreeMap::new();
        for tail in pieces {
            let (first, end, number) = (tail.first_sequence, tail.next_sequence(), tail.number);
            let is_leftover = self.is_leftover(number);
            let before = chosen.range(..=first).next_back().map_or(first, |(first, _)| *first);
            let there: Vec<_> =
                chosen.range(before..end).map(|(first, piece)| *first..piece.next).collect();
            let mut free: Vec<Piece> = Vec::new();
            let mut next = first;
            for taken in there.into_iter().chain(std::iter::once(end..end)) {
                free.extend(Piece::of(&tail, next..taken.start));
                next = next.max(taken.end);
            }
            let is_whole =
                free.first().is_some_and(|piece| (piece.first, piece.next) == (first, end));
            if !is_whole && !is_leftover {
                let why = format!("segment {number}: events from {first} on are there twice");
                self.damage.push(why);
            }
            if !is_whole || is_leftover {
                self.damage.extend(free.iter().map(|piece| {
                    let (first, last) = (piece.first, piece.next - 1);
                    format!("the events {first} to {last} are taken from segment {number}")
                }));
            }
            let mut left = first;
            for kept in
                free.iter().map(|piece| piece.first..piece.next).chain(std::iter::once(end..end))
            {
                let why = "it holds events that are there twice".to_owned();
                let run = LeftOut::of(&tail, &(left..kept.start));
                self.left_out.extend(run.map(|run| LeftOut { why, ..run }));
                left = kept.end;
            }
            chosen.extend(free.into_iter().map(|piece| (piece.first, piece)));
        }
        chosen
    }

    /// Puts the pieces in order, and names what is missing.
    fn join(&mut self) -> Result<Vec<Arc<Part>>> {
        let lineage = self.manifest.as_ref().map(|manifest| manifest.lineage).unwrap_or_default();
        let mut parts = Vec::new();
        let mut next = 0;
        let mut before: (Tree, Hash) = Default::default();
        for (first, piece) in self.choose() {
            let number = piece.number;
            if first > next {
                self.damage.push(format!("the events {next} to {} are missing", first - 1));
                before = Default::default();
            }
            // Index again, now that the tree before the piece is known.
            let path = self.files.segment_path(number);
            let file = self.files.segment(number)?;
            let mut whole = Tail::new(lineage, number, first, before.0, before.1);
            whole.end = piece.start;
            let mut open_batch = false;
            whole.extend(&*file, &path, piece.end, |stored| {
                open_batch = stored.batch_continues();
            })?;
            if open_batch {
                let last = whole.next_sequence() - 1;
                self.damage.push(format!("the batch that event {last} belongs to is not whole"));
            }
            next = whole.next_sequence();
            before = (whole.tree.clone(), whole.last_hash);
            parts.push(Arc::new(Part::Indexed(whole, None)));
        }
        Ok(parts)
    }
}

/// Whether a file is at fault, by what it holds, what it is, or where the disk has it; and not this
/// process, by what it may or has room for.
fn is_damage(error: &Error) -> bool {
    let code = error.os_code();
    error.kind() == ErrorKind::Corrupt
        || error.kind() == ErrorKind::Io && code.is_none_or(|c| c == libc::EIO || c == libc::ELOOP)
}

/// Whether it was written to a log of this lineage. Nothing in a gap says so, which therefore counts
/// only where no damage has come before it.
fn is_of(stored: &Stored<'_>, lineage: Id, in_step: bool) -> bool {
    match stored {
        Stored::Event(frame) => frame.hash_is_right(lineage),
        Stored::Gap(_) => in_step,
    }
}

/// Where a footer would begin, if the file ends like one; if one begins there, what it says, as far as
/// that can be read.
fn read_ending(file: &dyn VfsFile, length: u64) -> Option<(u64, Option<Option<Summary>>)> {
    let trailer_at = length.checked_sub(footer::TRAILER_BYTES as u64)?;
    let mut trailer = [0; footer::TRAILER_BYTES];
    read_full_at(file, &mut trailer, trailer_at).ok()?;
    let (bytes, crc) = footer::decode_trailer(&trailer).ok()?;
    let start = length.checked_sub(bytes).filter(|start| *start >= HEADER_BYTES as u64)?;
    let mut prefix = vec![0; footer::MAX_PREFIX_BYTES.min(bytes as usize)];
    read_full_at(file, &mut prefix, start).ok()?;
    let summary = Footer::decode(&prefix, bytes, crc).ok().map(|footer| footer.summary);
    Some((start, footer::begins(&prefix).then_some(summary)))
}
