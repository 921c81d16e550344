//! Reading a segment file of the batpak crate 0.x, also a damaged one: its frames, what its index says
//! of them, and where the next whole frame is.

use super::frame::{
    BEGINNING_AT, LOOK_BYTES, OldEvent, PREFIX_BYTES, Prefix, beginning, looks_like_body,
    looks_like_frame,
};
use super::message::{CUT_OFF, Reader};
use super::recover::Source;
use super::segment::{Entry, Index, TRAILER_BYTES, Trailer, TrailerError, parse_index};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::files::{Files, read_exact};
use crate::storage::{Access, VfsFile, read_full_at};
use std::path::PathBuf;
use std::sync::Arc;

/// How much is read at once.
const READ_BYTES: usize = 512 << 10;
/// How many bytes of a segment are searched for frames behind damage, at the most; less in a small
/// one, so that what looks like a frame everywhere takes no more than linear time.
const MAX_SEARCHED_BYTES: u64 = 256 << 20;
const LEAST_SEARCHED_BYTES: u64 = 64 << 20;
/// A larger index is not used: the frames are found without it.
const MAX_INDEX_BYTES: u64 = 1 << 30;
/// No log has so many events: an index that says so lies.
const MAX_SEQUENCE: u64 = 1 << 62;
/// The body of a damaged frame is followed so far to find its end.
const MAX_FOLLOWED_BYTES: u64 = 64 << 20;

/// A segment being read.
pub(super) struct Segment {
    pub(super) source: u32,
    pub(super) number: u64,
    pub(super) path: PathBuf,
    file: Arc<dyn VfsFile>,
    pub(super) length: u64,
    pub(super) index: Index,
    /// What the sequences of an unchecked index say of the one at offset 0.
    index_base: Option<i128>,
    /// How many events were found so far.
    pub(super) events: u64,
    /// How many bytes were read in search of a frame.
    searched: u64,
    /// A search was given up.
    pub(super) gave_up: bool,
    /// Bytes of the file, from `window_at` on.
    window: Vec<u8>,
    window_at: u64,
}

impl Segment {
    pub(super) fn open(files: &Files, source: u32, from: &Source) -> Result<Self> {
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
            gave_up: false,
            window: Vec::new(),
            window_at: 0,
        })
    }

    /// These bytes of the file; fewer at its end.
    pub(super) fn bytes(&mut self, offset: u64, count: usize) -> Result<&[u8]> {
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

    /// Reads the index, if there is one that is good for something; gives where the frames end at the
    /// latest. `next` is the sequence of the segment's first event, unless the log may have a hole here.
    pub(super) fn read_index(&mut self, start: u64, next: u64, may_skip: bool) -> Result<u64> {
        let length = self.length;
        let trailer_at = length.saturating_sub(TRAILER_BYTES as u64);
        let trailer = match Trailer::parse(self.bytes(trailer_at, TRAILER_BYTES)?, length) {
            Ok(trailer) if trailer.index_at >= start => trailer,
            Err(TrailerError::Newer(digit)) => {
                let version = digit as char;
                let why = format!("the index of the segment is SDX{version}; upgrade to read it");
                return Err(Error::new(ErrorKind::Unsupported, why).at_path(&self.path));
            }
            _ => return Ok(length),
        };
        let bytes = trailer_at - trailer.index_at;
        if bytes > MAX_INDEX_BYTES {
            return Ok(length);
        }
        let bytes =
            read_exact(&*self.file, &self.path, self.number, trailer.index_at, bytes as usize)?;
        let Some(index) = parse_index(&trailer, &bytes) else { return Ok(length) };
        if index.entries.iter().any(|entry| entry.sequence > MAX_SEQUENCE) {
            return Ok(length);
        }
        let is_checked = index.is_checked;
        self.index_base = if is_checked { None } else { base_of(&index.entries, next, may_skip) };
        self.index = index;
        // One without a checksum may lie about where it begins: the frames will tell.
        Ok(if is_checked { trailer.index_at } else { length })
    }

    /// The length of the body of the frame here, if its checksum is right and it ends by `to`.
    pub(super) fn frame(
        &mut self,
        at: u64,
        to: u64,
    ) -> Result<std::result::Result<u32, &'static str>> {
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

    /// Whether a frame with a body of this length, which may not be the one that it says, is here.
    pub(super) fn is_whole(&mut self, at: u64, length: u32) -> Result<bool> {
        let Some(prefix) = Prefix::parse(self.bytes(at, PREFIX_BYTES)?) else { return Ok(false) };
        let body = self.bytes(at + PREFIX_BYTES as u64, length as usize)?;
        Ok(body.len() == length as usize && prefix.is_of(body))
    }

    fn entry_at(&self, offset: u64) -> Option<&Entry> {
        let at = self.index.entries.binary_search_by_key(&offset, |entry| entry.offset).ok()?;
        self.index.entries.get(at)
    }

    pub(super) fn listing(&self, offset: u64) -> Listing {
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

    /// The length of the body of the frame at `at`, if it is whole but for its length, which is not under
    /// the checksum: by the index, by where the next frame begins, or by where all frames end.
    pub(super) fn frame_of_other_length(
        &mut self,
        at: u64,
        next: Option<u64>,
        end: u64,
    ) -> Result<Option<u32>> {
        let Some(prefix) = Prefix::parse(self.bytes(at, PREFIX_BYTES)?) else {
            return Ok(None);
        };
        let by_index = self.entry_at(at).map(|entry| at + u64::from(entry.length));
        let last = self.index.is_checked.then_some(end);
        for end in [by_index, next, last].into_iter().flatten() {
            let length = end.saturating_sub(at + PREFIX_BYTES as u64);
            let prefix = Prefix { length: u32::try_from(length).unwrap_or(0), ..prefix };
            if end > self.length || !prefix.is_possible() {
                continue;
            }
            let body = self.bytes(at + PREFIX_BYTES as u64, prefix.length as usize)?;
            if prefix.is_of(body) && OldEvent::decode(body).is_ok() {
                return Ok(Some(prefix.length));
            }
        }
        Ok(None)
    }

    /// Where the first whole frame behind `at` begins, where none is.
    pub(super) fn next_frame(&mut self, at: u64, end: u64) -> Result<Option<u64>> {
        if !self.index.is_checked {
            return match self.extent(at, end)? {
                Extent::Next(next) => Ok(Some(next)),
                Extent::ToTheEnd => Ok(None),
                Extent::Unknown => self.search(at + 1),
            };
        }
        let behind = self.index.entries.partition_point(|entry| entry.offset <= at);
        for place in behind..self.index.entries.len() {
            let Entry { offset, length, .. } = self.index.entries[place];
            let Some(prefix) = Prefix::parse(self.bytes(offset, PREFIX_BYTES)?) else { break };
            if u64::from(prefix.length) + PREFIX_BYTES as u64 != u64::from(length) {
                continue;
            }
            self.searched += u64::from(length);
            if self.gives_up() {
                break;
            }
            if self.frame(offset, end)?.is_ok() {
                return Ok(Some(offset));
            }
        }
        Ok(None)
    }

    /// Whether enough was searched.
    fn gives_up(&mut self) -> bool {
        let most = self.length.saturating_mul(4).saturating_add(LEAST_SEARCHED_BYTES);
        self.gave_up |= self.searched > most.min(MAX_SEARCHED_BYTES);
        self.gave_up
    }

    /// Searches for a frame as the crate writes it, from an offset on.
    pub(super) fn search(&mut self, from: u64) -> Result<Option<u64>> {
        let mut at = from;
        while at + (LOOK_BYTES as u64) <= self.length && !self.gives_up() {
            let bytes = self.bytes(at, READ_BYTES / 2)?;
            let found = bytes.windows(LOOK_BYTES).position(|window| {
                window[BEGINNING_AT..].starts_with(beginning()) && looks_like_frame(window)
            });
            let Some(found) = found else {
                let passed = bytes.len().saturating_sub(LOOK_BYTES - 1) as u64;
                if passed == 0 {
                    // The file has become shorter.
                    return Ok(None);
                }
                self.searched += passed;
                at += passed;
                continue;
            };
            at += found as u64;
            self.searched += found as u64 + 1;
            // What looks like a frame is read whole to be checked.
            if let Some(prefix) = Prefix::parse(self.bytes(at, PREFIX_BYTES)?) {
                self.searched += u64::from(prefix.length).min(self.length - at);
            }
            if self.frame(at, self.length)?.is_ok() {
                return Ok(Some(at));
            }
            at += 1;
        }
        Ok(None)
    }

    /// What is damaged is seldom where a frame ends: its length says so, and so does its body, which is
    /// one value. A payload may hold whole frames, so nothing is searched for within one.
    fn extent(&mut self, at: u64, end: u64) -> Result<Extent> {
        let Some(prefix) = Prefix::parse(self.bytes(at, PREFIX_BYTES)?) else {
            return Ok(Extent::ToTheEnd);
        };
        let body_at = at + PREFIX_BYTES as u64;
        let by_length = prefix.is_possible().then_some(u64::from(prefix.length));
        let left = self.length.saturating_sub(body_at);
        let follow = by_length.unwrap_or(0).clamp(READ_BYTES as u64 / 2, MAX_FOLLOWED_BYTES);
        let body = self.bytes(body_at, follow as usize)?;
        let (is_body, read) = (looks_like_body(body), body.len() as u64);
        let by_value = match Reader(body).skip() {
            Ok(value) => Some(value.len() as u64),
            // The value goes on behind the file.
            Err(why) if why == CUT_OFF && read >= left => Some(u64::MAX),
            Err(_) => None,
        };
        self.searched += read.min(by_value.unwrap_or(read));
        let ends = [by_length, by_value].map(|length| Some(body_at.saturating_add(length?)));
        for next in ends.into_iter().flatten() {
            if next < end && self.frame(next, end)?.is_ok() {
                return Ok(Extent::Next(next));
            }
        }
        let is_last = is_body && ends.iter().all(|place| place.is_some_and(|place| place >= end));
        Ok(if is_last { Extent::ToTheEnd } else { Extent::Unknown })
    }

    /// Whether the frame at `start` is the event that a process writes first; `None` if there is no
    /// frame that tells.
    pub(super) fn is_opening(&mut self, start: u64) -> Result<Option<bool>> {
        let Ok(length) = self.frame(start, self.length)? else { return Ok(None) };
        let body = self.bytes(start + PREFIX_BYTES as u64, length as usize)?;
        Ok(OldEvent::decode(body).ok().map(|event| event.is_opening()))
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

/// What the index of a segment says of a place.
#[derive(Clone, Copy)]
pub(super) struct Listing {
    pub(super) entry: Option<Entry>,
    /// Whether the entry's sequence can be relied on.
    pub(super) agrees: bool,
    /// Whether the index is sound, so that it names every event of the segment.
    pub(super) is_checked: bool,
}

/// Whether an index speaks of this event.
pub(super) fn is_of(entry: &Entry, length: u32, event: &OldEvent<'_>) -> bool {
    entry.id == event.id
        && entry.hash == event.chain.map(|(_, hash)| hash).unwrap_or_default()
        && (entry.clock, entry.lane) == (event.clock, event.lane)
        && u64::from(entry.length) == u64::from(length) + PREFIX_BYTES as u64
}

/// What most entries of an index, by rising offset, have as sequence minus place. Without a majority,
/// what continues the log, if any entry does. One entry alone has no other to bear it out, and counts
/// only where the log may have a hole.
fn base_of(entries: &[Entry], next: u64, may_skip: bool) -> Option<i128> {
    let mut bases: Vec<i128> = entries
        .iter()
        .enumerate()
        .map(|(at, entry)| i128::from(entry.sequence) - at as i128)
        .collect();
    bases.sort_unstable();
    let next = i128::from(next);
    if entries.len() == 1 && !may_skip {
        return Some(next);
    }
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
            base_of(&sequences.iter().map(entry).collect::<Vec<_>>(), next, next == 7)
        };
        assert_eq!(base(&[], 3), None);
        assert_eq!(base(&[7, 8, 9], 3), Some(7));
        assert_eq!(base(&[7, 800, 9], 3), Some(7));
        assert_eq!(base(&[70, 8], 7), Some(7));
        assert_eq!(base(&[7, 80], 7), Some(7));
        assert_eq!((base(&[80], 7), base(&[80], 3)), (Some(80), Some(3)));
    }
}
