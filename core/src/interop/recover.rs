//! What a directory of the batpak crate 0.x holds: which events, in which order, under which
//! sequences, and what was passed over.
//!
//! Every frame is read and checked; the crate's caches are not needed. Where the crate itself would
//! lose events or refuse to open, after a crash that its own files can survive, they are given back:
//! a torn end of any segment is passed over, a batch does not reach over a reopening, a segment
//! without a header holds nothing, and an interrupted compaction has either happened or not.
//! docs/interop.md has the table.

use super::frame::{
    BEGINNING_AT, KIND_BATCH_BEGIN, LOOK_BYTES, OldEvent, PREFIX_BYTES, Prefix, beginning,
    looks_like_body, looks_like_frame, may_be_marker,
};
use super::message::{CUT_OFF, Reader};
use super::segment::{
    self, Entry, HeaderError, Index, LEAST_BYTES, MAX_HEADER_BYTES, TRAILER_BYTES, Trailer,
    TrailerError,
};
use super::sidecar::{self, Compaction};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::files::Files;
use crate::storage::{Access, VfsFile, read_full_at};
use std::path::PathBuf;
use std::sync::Arc;

/// How much is read at once.
const READ_BYTES: usize = 512 << 10;
/// A larger index is not used: the frames are found without it.
const MAX_INDEX_BYTES: u64 = 1 << 30;
/// A larger sidecar is none that a store has.
const MAX_SIDECAR_BYTES: u64 = 1 << 30;
/// A batch of more items is none.
const MAX_BATCH_ITEMS: u32 = 1_000_000;
/// How many bytes of a segment are searched for frames behind damage, at the most; less in a small
/// one, so that what looks like a frame everywhere takes no more than linear time.
const MAX_SEARCHED_BYTES: u64 = 256 << 20;
const LEAST_SEARCHED_BYTES: u64 = 64 << 20;
/// So many notes of each severity are kept word by word.
const MAX_NOTES: usize = 10_000;
/// No log has so many events: an index that says so lies.
const MAX_SEQUENCE: u64 = 1 << 62;

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
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
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

/// A segment being read.
struct Segment {
    source: u32,
    number: u64,
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    length: u64,
    index: Index,
    /// What the sequences of an unchecked index say of the one at offset 0.
    index_base: Option<i128>,
    /// How many events were found so far.
    events: u64,
    /// How many bytes were read in search of a frame.
    searched: u64,
    /// Bytes of the file, from `window_at` on.
    window: Vec<u8>,
    window_at: u64,
}

impl Segment {
    fn open(files: &Files, source: u32, from: &Source) -> Result<Self> {
        let path = files.path(&from.name);
        let file = files.open(&from.name, Access::Read)?;
        let length = file.size().map_err(|e| Error::io("cannot read the segment", &path, &e))?;
        Ok(Self {
            source,
            number: from.number,
            path,
            file,
            length,
            index: Index::default(),
            index_base: None,
            events: 0,
            searched: 0,
            window: Vec::new(),
            window_at: 0,
        })
    }

    /// These bytes of the file; fewer at its end.
    fn bytes(&mut self, offset: u64, count: usize) -> Result<&[u8]> {
        let count = (self.length.saturating_sub(offset)).min(count as u64) as usize;
        let window_end = self.window_at + self.window.len() as u64;
        if offset < self.window_at || offset + count as u64 > window_end {
            let left = self.length.saturating_sub(offset);
            let read = (count.max(READ_BYTES) as u64).min(left) as usize;
            self.window.clear();
            self.window.resize(read, 0);
            let got = read_full_at(&*self.file, &mut self.window, offset).map_err(|e| {
                Error::io("cannot read the segment", &self.path, &e).at(self.number, offset)
            })?;
            self.window.truncate(got);
            self.window_at = offset;
        }
        let start = (offset - self.window_at) as usize;
        let end = (start + count).min(self.window.len());
        Ok(&self.window[start.min(end)..end])
    }

    /// The length of the body of the frame here, if its checksum is right and it ends by `to`.
    fn frame(&mut self, at: u64, to: u64) -> Result<std::result::Result<u32, &'static str>> {
        let Some(prefix) = Prefix::parse(self.bytes(at, PREFIX_BYTES)?) else {
            return Ok(Err("it is cut off"));
        };
        let end = at + PREFIX_BYTES as u64 + u64::from(prefix.length);
        if !prefix.is_possible() {
            return Ok(Err("its length is impossible"));
        }
        if end > to {
            return Ok(Err("it is cut off"));
        }
        let body = self.bytes(at + PREFIX_BYTES as u64, prefix.length as usize)?;
        if body.len() == prefix.length as usize && prefix.is_of(body) {
            Ok(Ok(prefix.length))
        } else {
            Ok(Err("its checksum does not match"))
        }
    }

    fn entry_at(&self, offset: u64) -> Option<&Entry> {
        let at = self.index.entries.binary_search_by_key(&offset, |entry| entry.offset).ok()?;
        self.index.entries.get(at)
    }

    /// The first entry behind an offset.
    fn entries_behind(&self, offset: u64) -> &[Entry] {
        let first = self.index.entries.partition_point(|entry| entry.offset <= offset);
        &self.index.entries[first..]
    }

    fn listing(&self, offset: u64) -> Listing {
        let entry = self.entry_at(offset).copied();
        let is_checked = self.index.is_checked;
        let agrees = is_checked || entry.is_some_and(|entry| self.agrees(&entry));
        Listing { entry, agrees, is_checked }
    }

    /// Whether a sequence of an unchecked index is the one that the others lead to expect.
    fn agrees(&self, entry: &Entry) -> bool {
        let before = self.index.entries.partition_point(|other| other.offset < entry.offset);
        self.index_base == Some(i128::from(entry.sequence) - before as i128)
    }
}

/// What the index of a segment says of a place.
#[derive(Clone, Copy)]
struct Listing {
    entry: Option<Entry>,
    /// Whether the entry's sequence can be relied on.
    agrees: bool,
    /// Whether the index is sound, so that it names every event of the segment.
    is_checked: bool,
}

/// Whether an index speaks of this event.
fn is_of(entry: &Entry, place: Place, event: &OldEvent<'_>) -> bool {
    entry.id == event.id
        && entry.hash == event.chain.map(|(_, hash)| hash).unwrap_or_default()
        && (entry.clock, entry.lane) == (event.clock, event.lane)
        && u64::from(entry.length) == u64::from(place.length) + PREFIX_BYTES as u64
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
                Ok(compaction) => self.settle_compaction(&compaction, names, &mut sources),
                Err(why) => self.note(0, 0, Severity::Damage, why),
            }
        }
        self.found.sources = sources;
        Ok(())
    }

    /// An interrupted compaction. It writes the merged file and syncs it before it removes any
    /// source, and the moved first source goes after all others. So if every other source is there,
    /// nothing was removed, and the sources hold everything; if one is not, the merged file does.
    fn settle_compaction(
        &mut self,
        compaction: &Compaction,
        names: &[(String, bool)],
        sources: &mut Vec<Source>,
    ) {
        let merged = compaction.merged;
        let moved = format!("{merged:06}.fbat{}", sidecar::COMPACTED);
        let is_moved = names.iter().any(|(name, is_file)| *is_file && *name == moved);
        let others = compaction.sources.iter().filter(|number| **number != merged);
        let all_there =
            others.clone().all(|number| sources.iter().any(|source| source.number == *number));
        if all_there && is_moved {
            sources.retain(|source| source.number != merged);
            sources.push(Source { number: merged, name: moved });
            sources.sort_by_key(|source| source.number);
            let why = "a compaction was interrupted: its sources are used, not what it wrote";
            self.note(merged, 0, Severity::Leftover, why);
        } else if !all_there {
            let left: Vec<u64> = others.copied().collect();
            sources.retain(|source| !left.contains(&source.number));
            let why = "a compaction was interrupted at its end: what it wrote is used";
            self.note(merged, 0, Severity::Leftover, why);
        }
        if !sources.iter().any(|source| source.number == merged) {
            let why = "a compaction was interrupted, and the segment that it wrote is missing";
            self.note(merged, 0, Severity::Damage, why);
        }
    }

    fn read_ranges(&mut self) -> Result<()> {
        let Some(bytes) = self.files.read_small(sidecar::HIDDEN, MAX_SIDECAR_BYTES)? else {
            return Ok(());
        };
        match sidecar::hidden_ranges(&bytes) {
            Ok(ranges) => self.ranges = ranges,
            Err(why) => {
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
                match self.search(&mut segment, 0)? {
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
                || first_is_opening(&mut segment, start)? != Some(false))
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

    /// Reads the index, if there is one that is good for something; gives where the frames end at
    /// the latest.
    fn read_index(&mut self, segment: &mut Segment, start: u64) -> Result<u64> {
        let length = segment.length;
        let trailer_at = length.saturating_sub(TRAILER_BYTES as u64);
        let trailer = Trailer::parse(segment.bytes(trailer_at, TRAILER_BYTES)?, length);
        let trailer = match trailer {
            Ok(trailer) if trailer.index_at >= start => trailer,
            Err(TrailerError::Newer(digit)) => {
                let version = digit as char;
                let why = format!("the index of the segment is SDX{version}; upgrade to read it");
                return Err(Error::new(ErrorKind::Unsupported, why).at_path(&segment.path));
            }
            _ => return Ok(length),
        };
        let bytes = trailer_at - trailer.index_at;
        if bytes > MAX_INDEX_BYTES {
            return Ok(length);
        }
        let bytes = segment.bytes(trailer.index_at, bytes as usize)?.to_vec();
        segment.window = Vec::new();
        let Some(index) = segment::parse_index(&trailer, &bytes) else { return Ok(length) };
        if index.entries.iter().any(|entry| entry.sequence > MAX_SEQUENCE) {
            return Ok(length);
        }
        let is_checked = index.is_checked;
        if !is_checked {
            let rises = index.entries.windows(2).all(|pair| pair[0].sequence < pair[1].sequence);
            self.renumbered |= !rises;
            segment.index_base = base_of(&index.entries, self.next_sequence());
        }
        segment.index = index;
        // One without a checksum may lie about where it begins: the frames will tell.
        Ok(if is_checked { trailer.index_at } else { length })
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
            let next = self.next_frame(segment, at, end)?;
            // The length is not under the checksum: with another one the frame may be whole.
            let by_index = segment.entry_at(at).map(|entry| at + u64::from(entry.length));
            let ends = [by_index, next, segment.index.is_checked.then_some(end)];
            if let Some(length) = self.whole_by(segment, at, ends)? {
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

    /// With which of these ends the frame at `at` is whole: the length of its body.
    fn whole_by(
        &mut self,
        segment: &mut Segment,
        at: u64,
        ends: [Option<u64>; 3],
    ) -> Result<Option<u32>> {
        let Some(prefix) = Prefix::parse(segment.bytes(at, PREFIX_BYTES)?) else {
            return Ok(None);
        };
        for end in ends.into_iter().flatten() {
            let length = end.saturating_sub(at + PREFIX_BYTES as u64);
            let prefix = Prefix { length: u32::try_from(length).unwrap_or(0), ..prefix };
            if end > segment.length || !prefix.is_possible() {
                continue;
            }
            let body = segment.bytes(at + PREFIX_BYTES as u64, prefix.length as usize)?;
            if prefix.is_of(body) && OldEvent::decode(body).is_ok() {
                return Ok(Some(prefix.length));
            }
        }
        Ok(None)
    }

    /// Where the first whole frame behind `at` begins.
    fn next_frame(&mut self, segment: &mut Segment, at: u64, end: u64) -> Result<Option<u64>> {
        if !segment.index.is_checked {
            return match extent(segment, at, end)? {
                Extent::Next(next) => Ok(Some(next)),
                Extent::ToTheEnd => Ok(None),
                Extent::Unknown => self.search(segment, at + 1),
            };
        }
        let listed: Vec<(u64, u32)> = {
            let behind = segment.entries_behind(at).iter();
            behind.map(|entry| (entry.offset, entry.length)).collect()
        };
        for (offset, length) in listed {
            let Some(prefix) = Prefix::parse(segment.bytes(offset, PREFIX_BYTES)?) else { break };
            if u64::from(prefix.length) + PREFIX_BYTES as u64 != u64::from(length) {
                continue;
            }
            segment.searched += u64::from(length);
            if self.gives_up(segment, at) {
                break;
            }
            if segment.frame(offset, end)?.is_ok() {
                return Ok(Some(offset));
            }
        }
        Ok(None)
    }

    /// Whether enough was searched.
    fn gives_up(&mut self, segment: &Segment, at: u64) -> bool {
        let most = segment.length.saturating_mul(4).saturating_add(LEAST_SEARCHED_BYTES);
        let gives_up = segment.searched > most.min(MAX_SEARCHED_BYTES);
        if gives_up {
            let what = "the search for further events was given up";
            self.note(segment.number, at, Severity::Damage, what);
        }
        gives_up
    }

    /// Searches for a frame as the crate writes it, from an offset on.
    fn search(&mut self, segment: &mut Segment, from: u64) -> Result<Option<u64>> {
        const STEP: usize = 256 << 10;
        let mut at = from;
        while at + (LOOK_BYTES as u64) <= segment.length {
            if self.gives_up(segment, at) {
                return Ok(None);
            }
            let bytes = segment.bytes(at, STEP + LOOK_BYTES)?;
            let found = bytes.windows(LOOK_BYTES).position(|window| {
                window[BEGINNING_AT..].starts_with(beginning()) && looks_like_frame(window)
            });
            let Some(found) = found else {
                let passed = bytes.len().saturating_sub(LOOK_BYTES - 1) as u64;
                if passed == 0 {
                    // The file has become shorter.
                    return Ok(None);
                }
                segment.searched += passed;
                at += passed;
                continue;
            };
            at += found as u64;
            segment.searched += found as u64 + 1;
            let length = segment.length;
            // What looks like a frame is read whole to be checked.
            if let Some(prefix) = Prefix::parse(segment.bytes(at, PREFIX_BYTES)?) {
                segment.searched += u64::from(prefix.length).min(length - at);
            }
            if segment.frame(at, length)?.is_ok() {
                return Ok(Some(at));
            }
            at += 1;
        }
        Ok(None)
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
        let entry = listing.entry.filter(|entry| is_of(entry, place, event));
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
            if segment.frame(place.offset, body_at + u64::from(place.length))? != Ok(place.length) {
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
            let is_listed = listing.entry.is_some_and(|entry| is_of(&entry, *place, &event));
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

/// How far a frame goes whose checksum is wrong.
enum Extent {
    /// Up to another one.
    Next(u64),
    /// To the end, or beyond it.
    ToTheEnd,
    Unknown,
}

/// What is damaged is seldom where a frame ends: its length says so, and so does its body, which is one
/// value. A payload may hold whole frames, so nothing is searched for within one.
fn extent(segment: &mut Segment, at: u64, end: u64) -> Result<Extent> {
    /// The value of a longer body is not followed.
    const MAX_FOLLOWED_BYTES: usize = 64 << 20;
    let Some(prefix) = Prefix::parse(segment.bytes(at, PREFIX_BYTES)?) else {
        return Ok(Extent::ToTheEnd);
    };
    let body_at = at + PREFIX_BYTES as u64;
    let body = segment.bytes(body_at, MAX_FOLLOWED_BYTES)?;
    let is_body = looks_like_body(body);
    let by_value = match Reader(body).skip() {
        Ok(value) => Some(value.len() as u64),
        // The value goes on behind the file.
        Err(why) if why == CUT_OFF && body.len() < MAX_FOLLOWED_BYTES => Some(u64::MAX),
        Err(_) => None,
    };
    let by_length = prefix.is_possible().then_some(u64::from(prefix.length));
    let ends = [by_length, by_value].map(|length| Some(body_at.saturating_add(length?)));
    segment.searched += by_value.unwrap_or(0).min(MAX_FOLLOWED_BYTES as u64);
    for next in ends.into_iter().flatten() {
        if next < end && segment.frame(next, end)?.is_ok() {
            return Ok(Extent::Next(next));
        }
    }
    let is_last = is_body && ends.iter().all(|place| place.is_some_and(|place| place >= end));
    Ok(if is_last { Extent::ToTheEnd } else { Extent::Unknown })
}

/// Whether a segment begins with the event that a process writes first; `None` if it has no frame
/// that tells.
fn first_is_opening(segment: &mut Segment, start: u64) -> Result<Option<bool>> {
    let Ok(length) = segment.frame(start, segment.length)? else { return Ok(None) };
    let body = segment.bytes(start + PREFIX_BYTES as u64, length as usize)?;
    Ok(OldEvent::decode(body).ok().map(|event| event.is_opening()))
}

/// What most entries of an index, by rising offset, have as sequence minus place. Without a majority,
/// what continues the log, if any entry does.
fn base_of(entries: &[Entry], next: u64) -> Option<i128> {
    let mut bases: Vec<i128> = entries
        .iter()
        .enumerate()
        .map(|(at, entry)| i128::from(entry.sequence) - at as i128)
        .collect();
    bases.sort_unstable();
    let next = i128::from(next);
    let most = bases.chunk_by(|a, b| a == b).max_by_key(|run| run.len())?;
    let continues = 2 * most.len() <= bases.len() && bases.binary_search(&next).is_ok();
    if continues { Some(next) } else { most.first().copied() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_of_an_index() {
        let base = |sequences: &[u64], next: u64| {
            let entry = |sequence: &u64| Entry { sequence: *sequence, ..Entry::default() };
            base_of(&sequences.iter().map(entry).collect::<Vec<_>>(), next)
        };
        assert_eq!(base(&[], 3), None);
        assert_eq!(base(&[7, 8, 9], 3), Some(7));
        assert_eq!(base(&[7, 800, 9], 3), Some(7));
        assert_eq!(base(&[70, 8], 7), Some(7));
        assert_eq!(base(&[7, 80], 7), Some(7));
    }
}
