//! Where does the valid log end? The rules are in `docs/format.md`, section 6.

use super::{VfsFile, read_full_at, read_past_errors};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{self, Frame, Gap};
use crate::format::segment::RESERVED_BYTES;
use crate::ids::{Hash, Id};
use std::ops::Range;
use std::path::Path;

/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// No segment gets this long; what is behind that is not read at all.
pub(crate) const MAX_SEGMENT_FILE_BYTES: u64 = 16 << 30;

/// Why no frame stands where space was reserved.
const ZEROS: &str = "zeros follow the last whole frame";

/// What a sealed segment consists of.
pub(crate) enum Stored<'a> {
    Event(Frame<'a>),
    /// Events that were dropped.
    Gap(Gap<'a>),
}

impl Stored<'_> {
    pub(crate) fn first_sequence(&self) -> u64 {
        match self {
            Self::Event(frame) => frame.sequence(),
            Self::Gap(gap) => gap.first_sequence(),
        }
    }

    /// How many events it stands for.
    pub(crate) fn events(&self) -> u64 {
        match self {
            Self::Event(_) => 1,
            Self::Gap(gap) => gap.events(),
        }
    }

    pub(crate) fn padded(&self) -> usize {
        match self {
            Self::Event(frame) => frame.layout().padded(),
            Self::Gap(gap) => gap.padded(),
        }
    }

    /// Whether the last of them is followed by others of its batch.
    pub(crate) fn batch_continues(&self) -> bool {
        match self {
            Self::Event(frame) => frame.batch_continues(),
            Self::Gap(gap) => gap.batch_continues(),
        }
    }

    /// Shows the hashes of those.
    pub(crate) fn hashes(&self, mut each: impl FnMut(Hash)) {
        match self {
            Self::Event(frame) => each(frame.hash()),
            Self::Gap(gap) => gap.hashes().for_each(each),
        }
    }
}

/// The frames of a segment, one after the other, through a buffer.
pub(crate) struct Frames<'a> {
    file: &'a dyn VfsFile,
    path: &'a Path,
    number: u64,
    /// Where the next frame is expected.
    pub(crate) at: u64,
    /// Nothing from here on is read.
    limit: u64,
    buffer: Vec<u8>,
    /// Where the buffer's first byte stands in the file.
    base: u64,
    /// What the disk could not read, if that is passed over.
    unreadable: Option<Vec<Range<u64>>>,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(
        file: &'a dyn VfsFile,
        path: &'a Path,
        number: u64,
        at: u64,
        limit: u64,
    ) -> Self {
        Self { file, path, number, at, limit, buffer: Vec::new(), base: at, unreadable: None }
    }

    /// Takes what the disk cannot read for damage.
    pub(crate) fn past_errors(self) -> Self {
        Self { unreadable: Some(Vec::new()), ..self }
    }

    /// What the disk could not read.
    pub(crate) fn unreadable(&self) -> &[Range<u64>] {
        self.unreadable.as_deref().unwrap_or_default()
    }

    /// The bytes from `self.at` on: `bytes` of them, or fewer where the limit or the file ends.
    fn window(&mut self, bytes: usize) -> Result<&[u8]> {
        let wanted = (bytes as u64).min(self.limit.saturating_sub(self.at)) as usize;
        let held = self.base + self.buffer.len() as u64;
        if self.at < self.base || self.at + wanted as u64 > held {
            let room = self.limit.saturating_sub(self.at).min(CHUNK_BYTES.max(wanted) as u64);
            self.buffer.resize(room as usize, 0);
            self.base = self.at;
            let read = match &mut self.unreadable {
                None => read_full_at(self.file, &mut self.buffer, self.at),
                Some(runs) => read_past_errors(self.file, &mut self.buffer, self.at, |run| {
                    // Some of it may have been read before.
                    match runs.last_mut() {
                        Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
                        _ => runs.push(run),
                    }
                }),
            };
            let read = read.map_err(|e| {
                Error::io("cannot read the segment", self.path, &e).at(self.number, self.at)
            })?;
            self.buffer.truncate(read);
        }
        let start = (self.at - self.base) as usize;
        let end = (start + wanted).min(self.buffer.len());
        Ok(&self.buffer[start..end])
    }

    /// If the header of a frame stands at `self.at`: the frame's padded length.
    pub(crate) fn header_at(&mut self) -> Result<Option<u64>> {
        let header = self.window(frame::HEADER_BYTES)?;
        Ok(frame::probe(header).map(|bytes| bytes as u64))
    }

    /// The frame of a shown event at `self.at`, or why there is none. `None` where the limit or the file
    /// ends. Only sealed segments may have others.
    pub(crate) fn peek(&mut self) -> Result<Option<std::result::Result<Frame<'_>, &'static str>>> {
        Ok(self.peek_any()?.map(|frame| frame.and_then(Frame::shown)))
    }

    fn peek_any(&mut self) -> Result<Option<std::result::Result<Frame<'_>, &'static str>>> {
        let header = self.window(frame::HEADER_BYTES)?;
        if header.is_empty() {
            return Ok(None);
        }
        let Some(bytes) = frame::probe(header) else {
            let why = if header.iter().all(|b| *b == 0) {
                ZEROS
            } else if header.starts_with(b"SIDX") {
                "the segment was being sealed"
            } else {
                "no frame header follows the last whole frame"
            };
            return Ok(Some(Err(why)));
        };
        let at = self.at;
        Ok(Some(Frame::parse(self.window(bytes)?).and_then(|frame| {
            (frame.synced_to() <= at).then_some(frame).ok_or("the frame claims a sync of itself")
        })))
    }

    /// What stands at `self.at`, a frame or a gap, or why there is neither. `None` where the limit
    /// or the file ends.
    pub(crate) fn next(&mut self) -> Result<Option<std::result::Result<Stored<'_>, &'static str>>> {
        let header = self.window(frame::HEADER_BYTES)?;
        if let Some(bytes) = frame::probe(header).filter(|_| frame::is_gap(header)) {
            let gap = Gap::parse(self.window(bytes)?);
            return Ok(gap.map(|gap| gap.map(Stored::Gap)));
        }
        Ok(self.peek_any()?.map(|frame| frame.map(Stored::Event)))
    }

    /// Shows what stands there up to the limit, and where: frames and gaps that follow each other from
    /// this sequence on, and nothing else.
    pub(crate) fn for_each(
        mut self,
        first_sequence: u64,
        mut each: impl FnMut(&Stored<'_>, u64) -> Result<()>,
    ) -> Result<()> {
        let (path, number, mut next) = (self.path, self.number, first_sequence);
        while self.at < self.limit {
            let at = self.at;
            let refuse = |why: &str| {
                Error::corrupt(format!("a frame cannot be read: {why}"))
                    .at_path(path)
                    .at(number, at)
            };
            let bytes = match self.next()? {
                None => return Err(refuse("the file is shorter than its log")),
                Some(Err(why)) => return Err(refuse(why)),
                Some(Ok(stored)) if stored.first_sequence() != next => {
                    return Err(refuse("it is not the next event"));
                }
                Some(Ok(stored)) => {
                    each(&stored, at)?;
                    next += stored.events();
                    stored.padded()
                }
            };
            self.advance(bytes);
        }
        Ok(())
    }

    /// Goes behind the frame that [`peek`](Self::peek) gave.
    pub(crate) fn advance(&mut self, frame_bytes: usize) {
        self.at += frame_bytes as u64;
    }

    /// Whether what follows is space that a writer reserved and did not use: zeros up to the
    /// file's end, which is near.
    pub(crate) fn is_reserved(&mut self) -> Result<bool> {
        if self.limit > self.at.next_multiple_of(RESERVED_BYTES) {
            return Ok(false);
        }
        loop {
            let bytes = self.window(CHUNK_BYTES)?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            match bytes.len() {
                0 => return Ok(true),
                read => self.at += read as u64,
            }
        }
    }

    /// Goes on to the next place, from `self.at` on, where a frame header can be.
    pub(crate) fn seek_header(&mut self) -> Result<bool> {
        loop {
            // What is in the buffer is looked through before more is read.
            if self.window(frame::HEADER_BYTES)?.len() < frame::HEADER_BYTES {
                return Ok(false);
            }
            let held = (self.base + self.buffer.len() as u64 - self.at) as usize;
            let window = self.window(held)?;
            let last = (window.len() - frame::HEADER_BYTES) / 8 * 8;
            // A file may have gigabytes of holes.
            let is_zeros = window[0] == 0 && window[1..] == window[..window.len() - 1];
            let places = (0..=if is_zeros { 0 } else { last }).step_by(8);
            match places.into_iter().find(|at| frame::probe(&window[*at..]).is_some()) {
                Some(found) => {
                    self.at += found as u64;
                    return Ok(true);
                }
                None => self.at += last as u64 + 8,
            }
        }
    }
}

/// The end of the valid log in the newest segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The first byte behind the last whole batch.
    pub(crate) offset: u64,
    /// How many events lie between the start of the search and the end.
    pub(crate) events: u64,
    /// Why the log ends here although the file goes on; `None` if the file ends here, or goes on
    /// with reserved space, which is zeros to the end.
    pub(crate) reason: Option<String>,
}

/// The newest segment of a log.
#[derive(Clone, Copy)]
pub(crate) struct Log<'a> {
    pub(crate) file: &'a dyn VfsFile,
    pub(crate) path: &'a Path,
    pub(crate) number: u64,
    pub(crate) lineage: Id,
}

/// Looks for the end of the log from `from` on, where the event `sequence` would stand.
pub(crate) fn find_end(log: &Log<'_>, from: u64, sequence: u64) -> Result<End> {
    let Log { file, path, number, .. } = *log;
    let length =
        file.size().map_err(|e| Error::io("cannot read the segment's length", path, &e))?;
    if length > MAX_SEGMENT_FILE_BYTES {
        return Err(Error::corrupt(format!(
            "the segment has {length} bytes; none gets longer than {MAX_SEGMENT_FILE_BYTES}"
        ))
        .at_path(path)
        .at(number, from));
    }
    let mut end = End { offset: from, events: 0, reason: None };
    let mut in_batch = 0;
    let mut frames = Frames::new(file, path, number, from, length);
    let reason = loop {
        let (bytes, continues) = match frames.peek()? {
            None => break None,
            Some(Err(frame::NEWER)) => {
                let why = "events were written by a newer version of batpak; upgrade to read them";
                return Err(Error::new(ErrorKind::Unsupported, why)
                    .at_path(path)
                    .at(number, end.offset));
            }
            Some(Err(why)) => break Some(why),
            Some(Ok(frame)) if frame.sequence() != sequence + end.events + in_batch => {
                break Some("the next frame is not the next event");
            }
            Some(Ok(frame)) => (frame.layout().padded(), frame.batch_continues()),
        };
        frames.advance(bytes);
        in_batch += 1;
        if !continues {
            end.events += in_batch;
            end.offset = frames.at;
            in_batch = 0;
        }
    };
    end.reason = match reason {
        Some(ZEROS) if in_batch == 0 && frames.is_reserved()? => None,
        _ if in_batch > 0 => Some("the last batch is not whole".to_owned()),
        Some(why) => Some(why.to_owned()),
        None if length > end.offset => Some("the last frame is cut off".to_owned()),
        None => None,
    };
    if end.reason.is_some() {
        let claimed = highest_claim(log, &end, sequence + end.events, length)?;
        require_end(&end, claimed, "a later frame", path, number)?;
    }
    Ok(end)
}

/// Refuses an end before an offset that was confirmed by a sync.
pub(crate) fn require_end(
    end: &End,
    confirmed: u64,
    by: &str,
    path: &Path,
    number: u64,
) -> Result<()> {
    if end.offset >= confirmed {
        return Ok(());
    }
    let why = end.reason.as_deref().unwrap_or("the file ends");
    Err(Error::corrupt(format!(
        "durable events are damaged: {why}, but {by} says that the segment was synced up to \
         {confirmed}; restore the file, or open it for salvage"
    ))
    .at_path(path)
    .at(number, end.offset))
}

/// The highest synced offset that an event behind `end` claims.
///
/// A frame whose header is whole is passed over as a whole, for as long as one follows the other:
/// what stands in a payload is data, also if it looks like frames. Only where a header is damaged
/// are frames looked for at every multiple of 8. That is one linear pass: what checksums read is
/// bounded by twice the file.
fn highest_claim(log: &Log<'_>, end: &End, sequence: u64, length: u64) -> Result<u64> {
    let Log { file, path, number, lineage } = *log;
    let mut budget = length.saturating_mul(2);
    let mut highest = 0;
    let mut in_step = true;
    let mut frames = Frames::new(file, path, number, end.offset, length);
    loop {
        if frames.header_at()?.is_none() {
            in_step = false;
            if !frames.seek_header()? {
                return Ok(highest);
            }
        }
        let at = frames.at;
        let Some(bytes) = frames.header_at()? else { return Ok(highest) };
        let checked = bytes.min(length - at);
        budget = budget.checked_sub(checked).ok_or_else(|| {
            Error::corrupt(
                "what follows the last whole frame looks like frames everywhere, so damage \
                 cannot be told from an unfinished write; open the store for salvage",
            )
            .at_path(path)
            .at(number, end.offset)
        })?;
        let whole = match frames.peek()? {
            Some(Ok(frame)) => {
                // An event of this log that stands where it was written.
                if frame.sequence() >= sequence && frame.hash_is_right(lineage) {
                    highest = highest.max(frame.synced_to());
                }
                true
            }
            _ => false,
        };
        frames.at += if whole || in_step { bytes } else { 8 };
    }
}
