//! What a directory of the batpak crate 0.x holds: which events, in which order, under which
//! sequences, and what was passed over.
//!
//! Every frame is read and checked; the crate's caches are not needed. Where the crate itself would
//! lose events or refuse to open, after a crash that its own files can survive, they are given back:
//! a torn end of any segment is passed over, a batch does not reach over a reopening, a segment
//! without a header holds nothing, and an interrupted compaction has either happened or not.
//! docs/interop.md has the table.

use super::frame::{KIND_BATCH_BEGIN, OldEvent, PREFIX_BYTES, may_be_marker};
use super::scan::{Listing, Segment, is_of};
use super::segment::{self, HeaderError, LEAST_BYTES, MAX_HEADER_BYTES};
use super::sidecar::{self, Compaction};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::files::Files;

/// A larger sidecar is none that a store has.
const MAX_SIDECAR_BYTES: u64 = 1 << 30;
/// A batch of more items is none.
const MAX_BATCH_ITEMS: u32 = 1_000_000;
/// So many notes of each severity are kept word by word.
const MAX_NOTES: usize = 10_000;

/// A segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) number: u64,
    /// Its name in the directory: not always the one that the number has.
    pub(crate) name: String,
}

/// Where an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The place of its segment among the sources.
    pub(crate) source: u32,
    pub(crate) offset: u64,
    /// The bytes of its body; they stand behind eight others.
    pub(crate) length: u32,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// A crash or a change by the crate explains it; nothing that was accepted is missing.
    Leftover,
    /// Events may be missing, or it cannot be told what holds.
    Damage,
}

/// Something that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) severity: Severity,
    /// How many events it is, if that is known; 0 for bytes that may have been some.
    pub(crate) events: u64,
    /// The sequence of the first of them, if it is known.
    pub(crate) sequence: Option<u64>,
    pub(crate) what: String,
}

/// Everything that was passed over. Of very many notes the first are kept.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    list: Vec<Note>,
    leftovers: usize,
    damages: usize,
    /// The events of all notes.
    pub(crate) events: u64,
}

impl Notes {
    /// Gives the note's place in the list, if it is kept.
    pub(crate) fn push(&mut self, note: Note) -> Option<usize> {
        self.events += note.events;
        let of_kind = match note.severity {
            Severity::Leftover => &mut self.leftovers,
            Severity::Damage => &mut self.damages,
        };
        *of_kind += 1;
        let is_kept = *of_kind <= MAX_NOTES;
        if is_kept {
            self.list.push(note);
        }
        is_kept.then(|| self.list.len() - 1)
    }

    pub(crate) fn list(&self) -> &[Note] {
        &self.list
    }

    /// The first damage.
    pub(crate) fn damage(&self) -> Option<&Note> {
        self.list.iter().find(|note| note.severity == Severity::Damage)
    }
}

/// Sequences that no event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) segment: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// It is behind what a compaction has written, which drops events.
    pub(crate) is_explained: bool,
}

/// Everything but the events.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) sources: Vec<Source>,
    pub(crate) notes: Notes,
    pub(crate) gaps: Vec<Gap>,
    /// The hidden sequences that are events.
    pub(crate) hidden: Vec<u64>,
    /// Files that are not the store's.
    pub(crate) ignored: Vec<String>,
    pub(crate) bytes: u64,
}

/// An event that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) place: Place,
    /// The number of its segment.
    pub(crate) segment: u64,
    pub(crate) sequence: u64,
    /// It is not to be shown, but what comes behind it may link to it.
    pub(crate) is_hidden: bool,
    pub(crate) batch_continues: bool,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It continues its stream.
    Follows,
    /// Clocks are missing before it in its stream.
    Skips,
    /// It is not another event, but one that was there before.
    Repeats(String),
    /// It cannot be shown.
    Unfit(&'static str),
}

/// Takes the events, in their order.
pub(crate) trait Sink {
    fn event(&mut self, found: Found, event: &OldEvent<'_>) -> Result<Taken>;
}

fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".fbat")?;
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
    number.filter(|number| (1..1 << 63).contains(number))
}

/// Reads everything and hands the events to `sink`; `notes` are those so far.
pub(crate) fn recover(
    files: &Files,
    names: &[(String, bool)],
    notes: Notes,
    sink: &mut dyn Sink,
) -> Result<Recovered> {
    let mut recovery = Recovery {
        files,
        sink,
        found: Recovered { notes, ..Recovered::default() },
        ranges: Vec::new(),
        last: None,
        renumbered: false,
        compacted: true,
        batch: None,
        unfinished: Vec::new(),
        unfinished_events: 0,
        has_skipped: false,
    };
    recovery.choose_sources(names)?;
    recovery.read_ranges()?;
    for source in 0..recovery.found.sources.len() {
        recovery.notice_missing(source);
        recovery.read_segment(source as u32)?;
    }
    recovery.end_batch(Ending::Broken, "the store ends within it", None)?;
    recovery.check_ranges();
    Ok(recovery.found)
}

/// A batch whose end has not come yet.
struct Batch {
    segment: u64,
    source: u32,
    offset: u64,
    /// How many events it says that it has.
    expected: u32,
    /// The segment that it begins in has an index.
    is_indexed: bool,
    /// What may be its events, in their order.
    staged: Vec<Place>,
}

/// How a batch ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Whole,
    Broken,
}

struct Recovery<'a> {
    files: &'a Files,
    sink: &'a mut dyn Sink,
    found: Recovered,
    /// What is hidden: ranges of sequences.
    ranges: Vec<(u64, u64)>,
    /// The sequence given last.
    last: Option<u64>,
    /// A recorded sequence was one that had been passed already, or may have been.
    renumbered: bool,
    /// Every event so far was in a segment without an index, as a compaction writes it.
    compacted: bool,
    batch: Option<Batch>,
    /// The notes of what segments lack at their end, and how many events those are.
    unfinished: Vec<Option<usize>>,
    unfinished_events: u64,
    /// Clocks were missing in a stream.
    has_skipped: bool,
}

impl Recovery<'_> {
    fn note(&mut self, segment: u64, offset: u64, severity: Severity, what: impl Into<String>) {
        let (events, sequence, what) = (0, None, what.into());
        self.found.notes.push(Note { segment, offset, severity, events, sequence, what });
    }

    /// Notes something that is unfinished at the end of a segment.
    fn note_unfinished(&mut self, segment: u64, offset: u64, events: u64, what: String) {
        let (severity, sequence) = (Severity::Leftover, None);
        let note = Note { segment, offset, severity, events, sequence, what };
        self.unfinished.push(self.found.notes.push(note));
        self.unfinished_events += events;
    }

    /// Which files are the segments, in their order: all of them, but for what an interrupted
    /// compaction has left.
    fn choose_sources(&mut self, names: &[(String, bool)]) -> Result<()> {
        if names.iter().any(|(name, _)| name == sidecar::LATER_COMPACTION) {
            let why = "a later version of the crate was compacting the store; open it there once";
            return Err(Error::new(ErrorKind::Unsupported, why).at_path(&self.files.dir));
        }
        let mut sources = Vec::new();
        for (name, is_file) in names {
            let own = sidecar::PASSED_OVER.contains(&name.as_str())
                || [sidecar::HIDDEN, sidecar::KEYS, sidecar::KEYSET, sidecar::COMPACTION]
                    .contains(&name.as_str())
                || name.ends_with(sidecar::COMPACTED)
                || name.starts_with(".tmp");
            match segment_number(name) {
                Some(number) if *is_file => sources.push(Source { number, name: name.clone() }),
                Some(number) => {
                    let why = format!("`{name}` is not a regular file");
                    self.note(number, 0, Severity::Damage, why);
                }
                _ if own => {}
                _ => self.found.ignored.push(name.clone()),
            }
        }
        sources.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
        if let Some(twice) = sources.windows(2).find(|pair| pair[0].number == pair[1].number) {
            let why = format!("the segment {} is there twice", twice[0].number);
            self.note(twice[0].number, 0, Severity::Damage, why);
        }
        if let Some(marker) = self.files.read_small(sidecar::COMPACTION, MAX_SIDECAR_BYTES)? {
            match Compaction::parse(&marker) {
                Ok(compaction) => self.settle_compaction(&compaction, names, &mut sources)?,
                Err(why) => self.note(0, 0, Severity::Damage, why),
            }
        }
        self.found.sources = sources;
        Ok(())
    }

    /// An interrupted compaction. It writes the merged file and syncs it before it removes any
    /// source, and the moved first source goes after all others. So if every other source is there,
    /// nothing was removed, and the sources hold everything; if one is not, the merged file does. If
    /// that is missing or damaged all the same, what is left of the sources may have events that are
    /// nowhere else.
    fn settle_compaction(
        &mut self,
        compaction: &Compaction,
        names: &[(String, bool)],
        sources: &mut Vec<Source>,
    ) -> Result<()> {
        let merged = compaction.merged;
        let moved = format!("{merged:06}.fbat{}", sidecar::COMPACTED);
        let moved = names.iter().any(|(name, is_file)| *is_file && *name == moved).then_some(moved);
        let others = compaction.sources.iter().filter(|number| **number != merged);
        let all_there =
            others.clone().all(|number| sources.iter().any(|source| source.number == *number));
        let written = sources.iter().find(|source| source.number == merged).cloned();
        let (severity, why) = match written {
            _ if all_there && moved.is_some() => {
                sources.retain(|source| source.number != merged);
                let why = "a compaction was interrupted: its sources are used, not what it wrote";
                (Severity::Leftover, why)
            }
            Some(_) if all_there => return Ok(()),
            Some(written) if self.is_whole(&written)? => {
                let left: Vec<u64> = others.copied().collect();
                sources.retain(|source| !left.contains(&source.number));
                let why = "a compaction was interrupted at its end: what it wrote is used";
                self.note(merged, 0, Severity::Leftover, why);
                return Ok(());
            }
            Some(_) => {
                let why = "a compaction was interrupted at its end, and what it wrote is damaged";
                (Severity::Damage, why)
            }
            None => {
                let why = "a compaction was interrupted, and the segment that it wrote is missing";
                (Severity::Damage, why)
            }
        };
        sources.extend(moved.map(|name| Source { number: merged, name }));
        sources.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
        self.note(merged, 0, severity, why);
        Ok(())
    }

    /// Whether every byte of a segment that a compaction wrote is in a frame that can be read.
    fn is_whole(&self, source: &Source) -> Result<bool> {
        let mut segment = Segment::open(self.files, 0, source)?;
        let Ok((start, _)) = segment::parse_header(segment.bytes(0, MAX_HEADER_BYTES)?) else {
            return Ok(false);
        };
        let mut at = start as u64;
        let end = segment.read_index(at, 0, true)?;
        while at < end {
            let Ok(length) = segment.frame(at, end)? else { return Ok(false) };
            let body = segment.bytes(at + PREFIX_BYTES as u64, length as usize)?;
            if OldEvent::decode(body).is_err() {
                return Ok(false);
            }
            at += PREFIX_BYTES as u64 + u64::from(length);
        }
        Ok(true)
    }

    fn read_ranges(&mut self) -> Result<()> {
        let Some(bytes) = self.files.read_small(sidecar::HIDDEN, MAX_SIDECAR_BYTES)? else {
            return Ok(());
        };
        match sidecar::hidden_ranges(&bytes) {
            Ok(ranges) => self.ranges = ranges,
            Err(error) => {
                let why = error.damage(&self.files.path(sidecar::HIDDEN))?;
                let why = format!(
                    "{} cannot be read, which says what cancelled fences hide: {why}",
                    sidecar::HIDDEN
                );
                self.note(0, 0, Severity::Damage, why);
            }
        }
        Ok(())
    }

    /// What is hidden is named by sequence; where a compaction has removed events, the crate numbers
    /// the rest anew, and the sequences may be of either numbering.
    fn check_ranges(&mut self) {
        let numbered_anew = self.renumbered || self.found.gaps.iter().any(|gap| gap.is_explained);
        if !self.ranges.is_empty() && numbered_anew {
            let why = "a compaction removed events after which the rest got other sequences, so it \
                       cannot be told which events the cancelled fences hide";
            self.note(0, 0, Severity::Damage, why);
        }
    }

    /// Segments are numbered from 1 on, and a compaction makes all there are the first one. So numbers
    /// are missing behind the first alone; elsewhere somebody has taken a segment away, which may
    /// have held nothing.
    fn notice_missing(&mut self, source: usize) {
        let number = |source: usize| self.found.sources[source].number;
        let before = source.checked_sub(1).map_or(0, number);
        let (missing, last) = (before + 1, number(source) - 1);
        if missing <= last && source != 1 {
            let what = format!("the segments {missing} to {last} are missing");
            self.note_unfinished(missing, 0, 0, what);
        }
    }

    fn read_segment(&mut self, source: u32) -> Result<()> {
        let from = self.found.sources[source as usize].clone();
        let mut segment = Segment::open(self.files, source, &from)?;
        self.found.bytes += segment.length;
        let number = segment.number;
        let start = match segment::parse_header(segment.bytes(0, MAX_HEADER_BYTES)?) {
            Ok((start, map_end)) => self.first_frame(&mut segment, start as u64, map_end as u64)?,
            Err(HeaderError::Version(version)) => {
                let why = format!("the segment is of FBAT version {version}; upgrade to read it");
                return Err(Error::new(ErrorKind::Unsupported, why).at_path(&segment.path));
            }
            Err(HeaderError::Damaged(_)) if segment.length < LEAST_BYTES => {
                let why = "a crash left the segment without a whole header; it holds no event";
                self.note_unfinished(number, 0, 0, why.to_owned());
                return Ok(());
            }
            Err(HeaderError::Damaged(why)) => {
                self.note(number, 0, Severity::Damage, why);
                match segment.search(0)? {
                    Some(first) => first,
                    None => return Ok(()),
                }
            }
        };
        let frames_end = self.read_index(&mut segment, start)?;
        // The batch goes on here only if the same process wrote both segments, and no index of
        // either says which events there are.
        if let Some(batch) = &self.batch
            && (batch.is_indexed
                || !segment.index.entries.is_empty()
                || segment.is_opening(start)? != Some(false))
        {
            self.end_batch(Ending::Broken, "its segment ends within it", None)?;
        }
        self.read_frames(&mut segment, start, frames_end)
    }

    /// What was unfinished at the end of a segment was whole once.
    fn unfinished_is_damage(&mut self) {
        for place in std::mem::take(&mut self.unfinished) {
            match place.and_then(|place| self.found.notes.list.get_mut(place)) {
                Some(note) => note.severity = Severity::Damage,
                None => self.note(0, 0, Severity::Damage, "accepted events are missing"),
            }
        }
        self.unfinished_events = 0;
    }

    /// After a crash, a stream goes on with the clock of the event that was lost, and the log with its
    /// sequence. Where they go on behind those, the events had been accepted, and what was unfinished
    /// is damage; unless clocks were missing before, as they are after a compaction.
    fn notice_skip(&mut self) {
        match self.unfinished.is_empty() {
            true => self.has_skipped = true,
            false if self.has_skipped => {}
            // What was damaged since explains it.
            false if self.found.notes.damage().is_some() => self.has_skipped = true,
            false => self.unfinished_is_damage(),
        }
    }

    /// Where the frames begin. The header's length is not under a checksum: if a whole frame stands
    /// where its map ends, that is the place.
    fn first_frame(&mut self, segment: &mut Segment, start: u64, map_end: u64) -> Result<u64> {
        if start == map_end || segment.frame(map_end, segment.length)?.is_err() {
            return Ok(start);
        }
        let what = "the length of the header is damaged; the first frame stands behind its map";
        self.note(segment.number, 4, Severity::Leftover, what);
        Ok(map_end)
    }

    /// Reads the segment's index; gives where the frames end at the latest.
    fn read_index(&mut self, segment: &mut Segment, start: u64) -> Result<u64> {
        let end = segment.read_index(start, self.next_sequence(), self.compacted)?;
        let entries = &segment.index.entries;
        let rises = entries.windows(2).all(|pair| pair[0].sequence < pair[1].sequence);
        self.renumbered |= !segment.index.is_checked && !rises;
        Ok(end)
    }

    fn read_frames(&mut self, segment: &mut Segment, start: u64, end: u64) -> Result<()> {
        let number = segment.number;
        let mut at = start;
        while at < end {
            let why = match segment.frame(at, end)? {
                Ok(length) => {
                    self.read_frame(segment, at, length)?;
                    at += PREFIX_BYTES as u64 + u64::from(length);
                    continue;
                }
                Err(why) => why,
            };
            let next = segment.next_frame(at, end)?;
            if std::mem::take(&mut segment.gave_up) {
                let what = "the search for further events was given up";
                self.note(number, at, Severity::Damage, what);
            }
            if let Some(length) = segment.frame_of_other_length(at, next, end)? {
                let what = "the length of a frame is damaged; the frame was found all the same";
                self.note(number, at, Severity::Leftover, what);
                self.read_frame(segment, at, length)?;
                at += PREFIX_BYTES as u64 + u64::from(length);
            } else if let Some(next) = next {
                self.note_lost(segment, at, next, why);
                at = next;
            } else {
                self.end_of_frames(segment, at, end, why);
                break;
            }
        }
        Ok(())
    }

    /// Notes that nothing can be read between two offsets, and which events the index names there.
    fn note_lost(&mut self, segment: &Segment, at: u64, to: u64, why: &str) {
        let lost = segment.index.entries.iter();
        let mut lost = lost.filter(|entry| (at..to).contains(&entry.offset));
        let sequence = lost.next().map(|entry| entry.sequence);
        let events = sequence.map_or(0, |_| 1 + lost.count() as u64);
        let what = format!("the bytes up to offset {to} cannot be read: {why}");
        let (number, severity) = (segment.number, Severity::Damage);
        let note = Note { segment: number, offset: at, severity, events, sequence, what };
        self.found.notes.push(note);
    }

    /// The frames have ended before the file or before its index.
    fn end_of_frames(&mut self, segment: &Segment, at: u64, end: u64, why: &str) {
        // An index without a checksum is a witness all the same, if it names more than was found.
        let names_more = segment.index.entries.len() as u64 > segment.events;
        if segment.index.is_checked || names_more {
            self.note_lost(segment, at, end, why);
        } else if segment.index.entries.is_empty() {
            let bytes = end - at;
            let what = format!("an unfinished end of {bytes} bytes was passed over: {why}");
            self.note_unfinished(segment.number, at, 0, what);
        }
    }

    fn read_frame(&mut self, segment: &mut Segment, at: u64, length: u32) -> Result<()> {
        let place = Place { source: segment.source, offset: at, length };
        let listing = segment.listing(at);
        let (number, in_batch) = (segment.number, self.batch.is_some());
        segment.events += 1;
        let body = segment.bytes(at + PREFIX_BYTES as u64, length as usize)?;
        // What is in a batch is looked at when its end has come.
        if !in_batch || may_be_marker(body) {
            let event = match OldEvent::decode(body) {
                Ok(event) => event,
                Err(why) => {
                    self.note_undecodable(number, at, listing, why);
                    return Ok(());
                }
            };
            if event.is_marker() {
                let (kind, items) = (event.kind, event.payload_size);
                segment.events -= 1;
                return self.mark(segment, at, kind, items);
            }
            if !in_batch {
                return self.deliver(number, place, listing, false, &event);
            }
        }
        if let Some(batch) = &mut self.batch {
            batch.staged.push(place);
            if batch.staged.len() > batch.expected as usize {
                self.end_batch(Ending::Broken, "it has more events than it said", Some(segment))?;
            }
        }
        Ok(())
    }

    fn note_undecodable(&mut self, number: u64, offset: u64, listing: Listing, why: &str) {
        let sequence = listing.entry.map(|entry| entry.sequence);
        let what = format!("an event cannot be read, though its checksum is right: {why}");
        let (severity, events) = (Severity::Damage, 1);
        let note = Note { segment: number, offset, severity, events, sequence, what };
        self.found.notes.push(note);
    }

    /// Hands an event over, unless a sound index does not name it.
    fn deliver(
        &mut self,
        number: u64,
        place: Place,
        listing: Listing,
        continues: bool,
        event: &OldEvent<'_>,
    ) -> Result<()> {
        let entry = listing.entry.filter(|entry| is_of(entry, place.length, event));
        let severity = Severity::Leftover;
        let (segment, offset) = (number, place.offset);
        if listing.is_checked && entry.is_none() {
            let what = "the index of its segment does not name it: it was never committed".into();
            let (events, sequence) = (1, None);
            self.found.notes.push(Note { segment, offset, severity, events, sequence, what });
            return Ok(());
        }
        let recorded = entry.filter(|_| listing.agrees).map(|entry| entry.sequence);
        let (last, gaps, hidden) = (self.last, self.found.gaps.len(), self.found.hidden.len());
        let found = self.number(place, number, recorded, continues);
        let (severity, what) = match self.sink.event(found, event)? {
            Taken::Follows => return Ok(()),
            Taken::Skips => {
                self.notice_skip();
                return Ok(());
            }
            Taken::Unfit(why) => (Severity::Damage, format!("the event cannot be shown: {why}")),
            Taken::Repeats(what) => {
                // It takes no sequence from those behind it.
                self.last = last;
                self.found.gaps.truncate(gaps);
                self.found.hidden.truncate(hidden);
                (severity, what)
            }
        };
        let (events, sequence) = (1, Some(found.sequence));
        self.found.notes.push(Note { segment, offset, severity, events, sequence, what });
        Ok(())
    }

    /// A frame around a batch.
    fn mark(&mut self, segment: &mut Segment, at: u64, kind: u16, items: u32) -> Result<()> {
        let number = segment.number;
        if kind == KIND_BATCH_BEGIN {
            self.end_batch(Ending::Broken, "another one begins within it", Some(segment))?;
            if items == 0 || items > MAX_BATCH_ITEMS {
                let what = format!("a batch says that it has {items} events");
                self.note(number, at, Severity::Damage, what);
                return Ok(());
            }
            self.batch = Some(Batch {
                segment: number,
                source: segment.source,
                offset: at,
                expected: items,
                is_indexed: !segment.index.entries.is_empty(),
                staged: Vec::new(),
            });
            return Ok(());
        }
        match &self.batch {
            None => {
                let what = "a batch ends here that did not begin";
                self.note(number, at, Severity::Leftover, what);
                Ok(())
            }
            Some(batch) if batch.staged.len() == batch.expected as usize => {
                self.end_batch(Ending::Whole, "", Some(segment))
            }
            Some(_) => self.end_batch(
                Ending::Broken,
                "it ends with fewer events than it said",
                Some(segment),
            ),
        }
    }

    /// Hands over the events of a batch. Of a broken one, what an index names is there all the same;
    /// and since the batch ended with its segment, so is what stands in the next one. `current` is
    /// the segment that is being read.
    fn end_batch(
        &mut self,
        ending: Ending,
        why: &str,
        mut current: Option<&mut Segment>,
    ) -> Result<()> {
        let Some(batch) = self.batch.take() else { return Ok(()) };
        let mut other: Option<Segment> = None;
        let mut lost = 0;
        for (index, place) in batch.staged.iter().enumerate() {
            let source = place.source;
            let segment = match &mut current {
                Some(current) if current.source == source => &mut **current,
                _ => {
                    let opened = match other.take().filter(|segment| segment.source == source) {
                        Some(segment) => segment,
                        None => self.open_again(source)?,
                    };
                    other.insert(opened)
                }
            };
            let (number, listing) = (segment.number, segment.listing(place.offset));
            let body_at = place.offset + PREFIX_BYTES as u64;
            if !segment.is_whole(place.offset, place.length)? {
                let why = "an event changed while it was read";
                return Err(Error::corrupt(why).at_path(&segment.path).at(number, place.offset));
            }
            let event = match OldEvent::decode(segment.bytes(body_at, place.length as usize)?) {
                Ok(event) => event,
                Err(why) => {
                    self.note_undecodable(number, place.offset, listing, why);
                    continue;
                }
            };
            let is_listed = listing.entry.is_some_and(|entry| is_of(&entry, place.length, &event));
            if ending == Ending::Broken && !is_listed && source == batch.source {
                lost += 1;
                continue;
            }
            let continues = ending == Ending::Whole && index + 1 < batch.staged.len();
            self.deliver(number, *place, listing, continues, &event)?;
        }
        if ending == Ending::Broken {
            let what = format!("a batch of {} events was never committed: {why}", batch.expected);
            self.note_unfinished(batch.segment, batch.offset, lost, what);
        }
        Ok(())
    }

    /// Opens a segment once more, with its index.
    fn open_again(&mut self, source: u32) -> Result<Segment> {
        let from = self.found.sources[source as usize].clone();
        let mut segment = Segment::open(self.files, source, &from)?;
        self.read_index(&mut segment, 0)?;
        Ok(segment)
    }

    fn next_sequence(&self) -> u64 {
        self.last.map_or(0, |last| last.saturating_add(1))
    }

    /// Gives the next event its sequence: the recorded one, as long as sequences rise; otherwise
    /// the one behind the last.
    fn number(
        &mut self,
        place: Place,
        segment: u64,
        recorded: Option<u64>,
        batch_continues: bool,
    ) -> Found {
        let next = self.next_sequence();
        let sequence = recorded.unwrap_or(next).max(next);
        self.renumbered |= recorded.is_some_and(|recorded| recorded < next);
        if sequence > next {
            if sequence - next > self.unfinished_events && !self.unfinished.is_empty() {
                self.notice_skip();
            }
            let is_explained = self.compacted;
            self.found.gaps.push(Gap { segment, from: next, to: sequence, is_explained });
        }
        self.last = Some(sequence);
        self.compacted &= recorded.is_none();
        let after = self.ranges.partition_point(|(start, _)| *start <= sequence);
        let is_hidden = after > 0 && sequence < self.ranges[after - 1].1;
        if is_hidden {
            self.found.hidden.push(sequence);
        }
        Found { place, segment, sequence, is_hidden, batch_continues }
    }
}
