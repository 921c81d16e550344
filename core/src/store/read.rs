//! Reading: by id, by sequence, and by query, a page at a time.
//!
//! A read captures how many events are visible, finds candidates through the index, reads their
//! frames (neighbours with one read), checks each frame's checksum, and filters what the index
//! could not. The live lock is held for looking at the index only, never for reading a file.

use super::{Inner, Live, Newest, Store};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::format::footer;
use crate::format::frame::{Frame, Gap, MAX_FRAME_BYTES};
use crate::ids::Id;
use crate::index::tail::Tail;
use crate::index::{self, Part};
use crate::region::{Direction, Query, Region};
use crate::storage::files::Files;
use std::collections::VecDeque;
use std::sync::Arc;

/// The most bytes read at once for several events. More would cost more: allocators give larger
/// pieces back to the system, and every page of the next one is faulted in again.
const RUN_BYTES: u64 = 64 << 10;
/// Frames closer than this are read together: reading over the gap costs less than another call.
const GAP_BYTES: u64 = 2 << 10;
/// The events of an iterator's pages: few at first, for those who stop early.
const FIRST_PAGE: usize = 16;
const LARGEST_PAGE: usize = 1024;
/// The most bytes of an iterator's page.
const PAGE_BYTES: usize = 1 << 20;

/// Where events of one segment are to be read from.
enum Source {
    Part(Arc<Part>),
    /// The newest segment.
    Tail,
}

impl Source {
    /// Whether there is an event with this index which is shown.
    fn holds(&self, index: u32) -> Result<bool> {
        match self {
            Self::Part(part) => part.holds(index),
            Self::Tail => Ok(true),
        }
    }

    /// The first events of `low..high` that are shown, or the last ones, by rising index, at most
    /// so many; and whether there are no more of them.
    fn some_shown(
        &self,
        low: u32,
        high: u32,
        most: usize,
        direction: Direction,
    ) -> Result<(Vec<u32>, bool)> {
        match self {
            Self::Part(part) => part.some_shown(low, high, most, direction),
            Self::Tail => Ok(index::take(low, high, most, direction)),
        }
    }

    /// The number of its segment; of the newest one, whichever that is: 0.
    fn number(&self) -> u64 {
        match self {
            Self::Part(part) => part.number(),
            Self::Tail => 0,
        }
    }
}

/// Where the frames of one segment are.
enum Frames {
    Part(Arc<Part>),
    Newest(Newest),
}

impl Frames {
    fn number(&self) -> u64 {
        match self {
            Self::Part(part) => part.number(),
            Self::Newest(newest) => newest.number,
        }
    }

    /// Where in the file the frame of this event is.
    fn offset_in_file(&self, index: u32, offset: u64) -> u64 {
        match self {
            Self::Part(part) => part.offset_in_file(index, offset),
            Self::Newest(_) => offset,
        }
    }

    /// A copy of so many bytes of frames.
    fn copy(&self, files: &Files, start: u64, bytes: usize) -> Result<Arc<[u8]>> {
        match self {
            Self::Part(part) => part.copy_frames(files, start, bytes),
            Self::Newest(newest) => newest.blocks.copy(&newest.place(files), start, bytes),
        }
    }
}

fn gone() -> Error {
    Error::corrupt("the newest segment is gone")
}

impl Inner {
    /// The event at this sequence, if it is visible.
    pub(super) fn event_at(&self, sequence: u64) -> Result<Option<Event>> {
        match self.locate(sequence) {
            None => Ok(None),
            Some((source, first, _)) => {
                let index = (sequence - first) as u32;
                if !source.holds(index)? {
                    return Ok(None);
                }
                self.fetch_one(&source, first, index).map(Some)
            }
        }
    }

    /// The same, also if the event was dropped, as long as it has a frame.
    pub(super) fn stored_at(&self, sequence: u64) -> Result<Option<Event>> {
        if let Some((Source::Part(part), first, _)) = self.locate(sequence) {
            let index = (sequence - first) as u32;
            let Some((start, end)) = part.span_if_any(index)? else { return Ok(None) };
            let frames = Frames::Part(part);
            let chunk = self.read_chunk(&frames, start, end)?;
            if let Some(Ok(_)) = Gap::parse(&chunk) {
                return Ok(None);
            }
            let place = (frames.number(), frames.offset_in_file(index, start));
            return self.event_in(&chunk, 0, place, sequence).map(Some);
        }
        self.event_at(sequence)
    }

    /// The event with this id, if it is visible.
    pub(super) fn find_shown(&self, id: Id) -> Result<Option<Event>> {
        Ok(self.find(id)?.filter(|event| !event.frame().is_dropped()))
    }

    /// The event with this id, also if it was dropped and its key is kept.
    pub(super) fn find(&self, id: Id) -> Result<Option<Event>> {
        let (parts, in_tail) = {
            let live = self.live.read();
            let in_tail =
                live.tail.as_ref().map(|tail| (tail.first_sequence, tail.candidates_for_id(id)));
            (live.parts.clone(), in_tail)
        };
        if let Some((first, indexes)) = in_tail {
            for index in indexes {
                let event = self.fetch_one(&Source::Tail, first, index)?;
                if event.id() == id {
                    return Ok(Some(event));
                }
            }
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let tag = footer::id_tag(self.lineage, id);
        for part in parts.iter().rev() {
            for index in part.candidates_for_id(id, tag)? {
                let source = Source::Part(part.clone());
                let event = self.fetch_one(&source, part.first_sequence(), index)?;
                if event.id() == id {
                    return Ok(Some(event));
                }
            }
        }
        Ok(None)
    }

    /// The segment that holds this sequence, its first sequence and the sequence behind it.
    fn locate(&self, sequence: u64) -> Option<(Source, u64, u64)> {
        let live = self.live.read();
        if let Some(tail) = &live.tail
            && sequence >= tail.first_sequence
        {
            let end = tail.next_sequence();
            return (sequence < end).then_some((Source::Tail, tail.first_sequence, end));
        }
        let after = live.parts.partition_point(|part| part.first_sequence() <= sequence);
        let part = live.parts.get(after.checked_sub(1)?)?;
        let (first, end) = (part.first_sequence(), part.end_sequence());
        (sequence < end).then(|| (Source::Part(part.clone()), first, end))
    }

    /// The first sequence from this one on, in this direction, that a segment holds. Differs from
    /// `sequence` only where sequences are missing, as in a salvaged store.
    fn skip_gap(&self, sequence: u64, direction: Direction) -> Option<u64> {
        let live = self.live.read();
        let parts = &live.parts;
        let tail = live.tail.as_ref().filter(|tail| tail.events() > 0);
        match direction {
            Direction::Forward => {
                let at = parts.partition_point(|part| part.end_sequence() <= sequence);
                let first = parts.get(at).map(|part| part.first_sequence());
                let in_tail = tail.filter(|tail| tail.next_sequence() > sequence);
                let first = first.or(in_tail.map(|tail| tail.first_sequence))?;
                Some(first.max(sequence))
            }
            Direction::Backward => {
                let before = parts.partition_point(|part| part.first_sequence() <= sequence);
                let part = before.checked_sub(1).and_then(|at| parts.get(at));
                let in_tail = tail.filter(|tail| tail.first_sequence <= sequence);
                let end = in_tail.map(Tail::next_sequence);
                let end = end.or(part.map(|part| part.end_sequence()))?;
                Some((end - 1).min(sequence))
            }
        }
    }

    /// Looks at the newest segment, if it still is the one that begins with this sequence;
    /// otherwise it was sealed since it was located, and is found among the others.
    fn in_tail_or_part<T>(
        &self,
        first_sequence: u64,
        in_tail: impl FnOnce(&Live, &Tail) -> T,
        in_part: impl FnOnce(Arc<Part>) -> Result<T>,
    ) -> Result<T> {
        let live = self.live.read();
        if let Some(tail) = live.tail.as_ref().filter(|t| t.first_sequence == first_sequence) {
            return Ok(in_tail(&live, tail));
        }
        let part = live.parts.iter().rev().find(|p| p.first_sequence() == first_sequence).cloned();
        drop(live);
        in_part(part.ok_or_else(|| Error::corrupt("a segment is gone while it is read"))?)
    }

    /// The events in `low..high` that may be in the query's region, or some of them, nearest to
    /// where the query reads; and whether it is all of them. `None` means any of them may.
    fn candidates(
        &self,
        source: &Source,
        first_sequence: u64,
        query: &Query,
        (low, high): (u32, u32),
        about: usize,
    ) -> Result<(Option<Vec<u32>>, bool)> {
        let all = |part: &Part| Ok((part.candidates(&query.region, low, high)?, true));
        match source {
            Source::Part(part) => all(part),
            Source::Tail => self.in_tail_or_part(
                first_sequence,
                |_, tail| {
                    let (region, direction) = (&query.region, query.direction);
                    match tail.nearest_candidates(region, low, high, about, direction) {
                        Some((found, complete)) => (Some(found), complete),
                        None => (None, true),
                    }
                },
                |part| all(&part),
            ),
        }
    }

    fn spans(
        &self,
        source: &Source,
        first_sequence: u64,
        indexes: &[u32],
    ) -> Result<Vec<(u64, u64)>> {
        match source {
            Source::Part(part) => part.spans(indexes),
            Source::Tail => self.in_tail_or_part(
                first_sequence,
                |_, tail| tail.spans(indexes),
                |part| part.spans(indexes),
            ),
        }
    }

    /// Reads one event.
    fn fetch_one(&self, source: &Source, first_sequence: u64, index: u32) -> Result<Event> {
        let found = match source {
            Source::Part(part) => Err(part.clone()),
            Source::Tail => self.in_tail_or_part(
                first_sequence,
                |live, tail| {
                    let span = tail.span(index);
                    let memory = live.in_memory(span.as_slice());
                    Ok((span, memory, live.newest.clone()))
                },
                |part| Ok(Err(part)),
            )?,
        };
        let sequence = first_sequence + u64::from(index);
        let (span, frames) = match found {
            Err(part) => (part.span(index)?, Frames::Part(part)),
            Ok((span, in_memory, newest)) => {
                let (start, end) = span.ok_or_else(gone)?;
                if let Some((at, chunk)) = in_memory {
                    let number = newest.ok_or_else(gone)?.number;
                    let from = start.saturating_sub(at) as usize;
                    return self.event_in(&chunk, from, (number, start), sequence);
                }
                ((start, end), Frames::Newest(newest.ok_or_else(gone)?))
            }
        };
        let chunk = self.read_chunk(&frames, span.0, span.1)?;
        let place = (frames.number(), frames.offset_in_file(index, span.0));
        self.event_in(&chunk, 0, place, sequence)
    }

    /// Reads these events, given by rising index, until they have `max_bytes` of frames; at
    /// least one.
    fn fetch(
        &self,
        source: &Source,
        first_sequence: u64,
        indexes: &[u32],
        max_bytes: usize,
    ) -> Result<Vec<Event>> {
        let found = match source {
            Source::Part(part) => Err(part.clone()),
            Source::Tail => self.in_tail_or_part(
                first_sequence,
                |live, tail| {
                    let mut spans = tail.spans(indexes);
                    limit_bytes(&mut spans, max_bytes);
                    let memory = live.in_memory(&spans);
                    Ok((spans, memory, live.newest.clone()))
                },
                |part| Ok(Err(part)),
            )?,
        };
        let (spans, in_memory, frames) = match found {
            Err(part) => {
                let mut spans = part.spans(indexes)?;
                limit_bytes(&mut spans, max_bytes);
                (spans, None, Frames::Part(part))
            }
            Ok((spans, memory, newest)) => {
                (spans, memory, Frames::Newest(newest.ok_or_else(gone)?))
            }
        };
        if spans.len() > indexes.len() {
            return Err(Error::corrupt("the index names more frames than events"));
        }

        let number = frames.number();
        let memory_from = in_memory.as_ref().map_or(u64::MAX, |(start, _)| *start);
        let on_disk = spans.partition_point(|(start, _)| *start < memory_from);
        let mut events = Vec::with_capacity(spans.len());
        let mut at = 0;
        while at < on_disk {
            let run_start = spans[at].0;
            let mut to = at + 1;
            while to < on_disk
                && spans[to].1.saturating_sub(run_start) <= RUN_BYTES
                && spans[to].0.saturating_sub(spans[to - 1].1) <= GAP_BYTES
            {
                to += 1;
            }
            let chunk = self.read_chunk(&frames, run_start, spans[to - 1].1)?;
            for place in at..to {
                let (index, offset) = (indexes[place], spans[place].0);
                let sequence = first_sequence + u64::from(index);
                let at = (number, frames.offset_in_file(index, offset));
                let from = offset.saturating_sub(run_start) as usize;
                events.push(self.event_in(&chunk, from, at, sequence)?);
            }
            at = to;
        }
        if let Some((start, chunk)) = in_memory {
            for (place, span) in spans.iter().enumerate().skip(on_disk) {
                let sequence = first_sequence + u64::from(indexes[place]);
                let from = span.0.saturating_sub(start) as usize;
                events.push(self.event_in(&chunk, from, (number, span.0), sequence)?);
            }
        }
        Ok(events)
    }

    fn read_chunk(&self, frames: &Frames, start: u64, end: u64) -> Result<Arc<[u8]>> {
        let most = (RUN_BYTES as usize).max(MAX_FRAME_BYTES.next_multiple_of(8)) as u64;
        let Some(bytes) = end.checked_sub(start).filter(|bytes| *bytes <= most) else {
            let number = frames.number();
            let why = "the index names a frame of impossible size";
            let path = self.files.segment_path(number);
            return Err(Error::corrupt(why).at_path(&path).at(number, start));
        };
        frames.copy(&self.files, start, bytes as usize)
    }

    /// The event whose frame starts at `start` of the chunk; `place` is its segment and offset.
    fn event_in(
        &self,
        chunk: &Arc<[u8]>,
        start: usize,
        place: (u64, u64),
        sequence: u64,
    ) -> Result<Event> {
        let (number, offset) = place;
        let frame = Frame::parse(chunk.get(start..).unwrap_or_default()).and_then(|frame| {
            (frame.sequence() == sequence).then_some(frame).ok_or("another event stands there")
        });
        match frame {
            Ok(frame) => Ok(Event::new(chunk.clone(), start, frame.layout(), number, offset)),
            Err(why) => Err(Error::corrupt(format!("event {sequence} cannot be read: {why}"))
                .at_path(&self.files.segment_path(number))
                .at(number, offset)),
        }
    }
}

/// Keeps as many spans from the start as fit, at least one.
fn limit_bytes(spans: &mut Vec<(u64, u64)>, max_bytes: usize) {
    let mut bytes = 0u64;
    let fits = spans.iter().take_while(|(start, end)| {
        bytes += end.saturating_sub(*start);
        bytes <= max_bytes as u64
    });
    let count = fits.count().max(1);
    spans.truncate(count);
}

/// The candidates of the segment being read: its number and first sequence, what the index gave,
/// and whether that was all.
type Candidates = ((u64, u64), Option<Vec<u32>>, bool);

/// A query being read. It sees what was visible when it began, holds no lock between two pages,
/// and is an iterator over events.
pub struct Scan {
    /// Keeps the store open.
    store: Store,
    query: Query,
    /// The next sequence to look at; `None` at the end.
    next: Option<u64>,
    /// The number of events that were visible at the start.
    end: u64,
    left: u64,
    candidates: Option<Candidates>,
    buffer: VecDeque<Event>,
    page: usize,
}

impl Inner {
    /// Refuses a region that cannot hold anything, by the rules for names that hold for this store.
    pub(super) fn check_region(&self, region: &Region) -> Result<()> {
        if self.old.is_some() { region.check_ranges() } else { region.check() }
    }
}

impl Store {
    /// The event with this id.
    pub fn get(&self, id: Id) -> Result<Option<Event>> {
        self.0.across_compactions(|| self.0.find_shown(id))
    }

    /// The event at this sequence.
    pub fn at(&self, sequence: u64) -> Result<Option<Event>> {
        self.0.across_compactions(|| self.0.event_at(sequence))
    }

    /// Starts to read a query. Reading all of n events costs O(n), also in pages.
    pub fn read(&self, query: Query) -> Result<Scan> {
        self.0.check_usable()?;
        self.0.check_region(&query.region)?;
        Ok(self.scan(query))
    }

    /// Reads a query whose names may break today's rules.
    pub(super) fn scan(&self, query: Query) -> Scan {
        let end = self.0.live.read().visible();
        let next = match query.direction {
            Direction::Forward => Some(query.from.unwrap_or(0)).filter(|from| *from < end),
            Direction::Backward => {
                end.checked_sub(1).map(|last| query.from.unwrap_or(last).min(last))
            }
        };
        Scan {
            store: self.clone(),
            left: query.limit.unwrap_or(u64::MAX),
            query,
            next,
            end,
            candidates: None,
            buffer: VecDeque::new(),
            page: FIRST_PAGE,
        }
    }
}

impl Scan {
    /// The number of events that were visible when it began.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The next events: at most `max_events`, and about `max_bytes` of frames, but at least one
    /// event if any is left. Empty at the end.
    pub fn next_page(&mut self, max_events: usize, max_bytes: usize) -> Result<Vec<Event>> {
        let (inner, next, left) = (self.store.0.clone(), self.next, self.left);
        inner.across_compactions(|| {
            (self.next, self.left) = (next, left);
            self.read_page(max_events, max_bytes)
        })
    }

    fn read_page(&mut self, max_events: usize, max_bytes: usize) -> Result<Vec<Event>> {
        let mut page = Vec::new();
        let mut bytes = 0;
        while page.len() < max_events && (page.is_empty() || bytes < max_bytes) && self.left > 0 {
            let Some(next) = self.next else { break };
            let forward = self.query.direction == Direction::Forward;
            let inner = self.store.0.clone();
            let Some((source, first, behind)) = inner.locate(next) else {
                self.next = inner
                    .skip_gap(next, self.query.direction)
                    .filter(|found| *found != next && *found < self.end);
                continue;
            };
            let index = (next - first) as u32;
            let count = (behind.min(self.end) - first) as u32;
            let (low, high) = if forward { (index, count) } else { (0, index + 1) };

            // At most as many as are missing, so that nothing is read in vain.
            let room = (max_events - page.len()).clamp(1, LARGEST_PAGE);
            let room = room.min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let (batch, all_seen) = self.batch(&source, first, low, high, room)?;
            let budget = max_bytes.saturating_sub(bytes).max(1);
            let mut events = if batch.is_empty() {
                Vec::new()
            } else if forward {
                inner.fetch(&source, first, &batch, budget)?
            } else {
                inner.fetch_last(&source, first, &batch, budget)?
            };
            let cut_short = events.len() < batch.len();
            let last_seen = if forward { events.last() } else { events.first() };
            let last_seen = last_seen.map(Event::sequence);
            if !forward {
                events.reverse();
            }
            events.retain(|event| self.query.region.matches(event));
            bytes += events.iter().map(Event::stored_bytes).sum::<usize>();
            self.left = self.left.saturating_sub(events.len() as u64);
            if page.is_empty() {
                page = events;
            } else {
                page.append(&mut events);
            }
            self.next = match last_seen {
                Some(seen) if cut_short || !all_seen => {
                    if forward {
                        seen.checked_add(1)
                    } else {
                        seen.checked_sub(1)
                    }
                }
                _ if forward => Some(behind),
                _ => first.checked_sub(1),
            };
            self.next = self.next.filter(|next| *next < self.end);
        }
        Ok(page)
    }

    /// The next candidates in `low..high`, at most `room`, nearest to the cursor; and whether
    /// there are no more of them.
    fn batch(
        &mut self,
        source: &Source,
        first: u64,
        low: u32,
        high: u32,
        room: usize,
    ) -> Result<(Vec<u32>, bool)> {
        let forward = self.query.direction == Direction::Forward;
        // One that a compaction wrote may begin where another began.
        let segment = (source.number(), first);
        let used_up = match &self.candidates {
            Some((of, Some(indexes), complete)) => {
                *of != segment || !complete && index::between(indexes, low, high).is_empty()
            }
            Some((of, None, _)) => *of != segment,
            None => true,
        };
        if used_up {
            let (found, complete) =
                self.store.0.candidates(source, first, &self.query, (low, high), room)?;
            self.candidates = Some((segment, found, complete));
        }
        let Some((_, found, complete)) = &self.candidates else { return Ok((Vec::new(), true)) };
        Ok(match found {
            None => source.some_shown(low, high, room, self.query.direction)?,
            Some(indexes) => {
                let left = index::between(indexes, low, high);
                let take = room.min(left.len());
                let batch = if forward { &left[..take] } else { &left[left.len() - take..] };
                (batch.to_vec(), take == left.len() && *complete)
            }
        })
    }
}

impl Inner {
    /// Reads these events, given by rising index, from the last one down, until they have
    /// `max_bytes` of frames; at least one. Gives them by rising index.
    fn fetch_last(
        &self,
        source: &Source,
        first_sequence: u64,
        indexes: &[u32],
        max_bytes: usize,
    ) -> Result<Vec<Event>> {
        let spans = self.spans(source, first_sequence, indexes)?;
        let mut bytes = 0u64;
        let fits = spans.iter().rev().take_while(|(start, end)| {
            bytes += end.saturating_sub(*start);
            bytes <= max_bytes as u64
        });
        let count = fits.count().max(1).min(indexes.len());
        self.fetch(source, first_sequence, &indexes[indexes.len() - count..], usize::MAX)
    }
}

impl Iterator for Scan {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.buffer.is_empty() {
            match self.next_page(self.page, PAGE_BYTES) {
                Ok(events) => self.buffer = events.into(),
                Err(error) => {
                    self.next = None;
                    return Some(Err(error));
                }
            }
            self.page = (self.page * 4).min(LARGEST_PAGE);
        }
        self.buffer.pop_front().map(Ok)
    }
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("query", &self.query).field("next", &self.next).finish()
    }
}
