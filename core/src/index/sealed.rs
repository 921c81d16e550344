//! A sealed segment, found through its footer. The footer is read in place, section by section,
//! through the cache; nothing else of it is kept but its first page and a filter of ids. A
//! section's checksum is checked when the section is first used.

use super::filter::Filter;
use super::heads::LaneHead;
use super::{between, clock_window, merge, take};
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::{
    self, DICTIONARY_HEADER_BYTES, Footer, KindRecord, ScopeRecord, Section, StreamRecord, section,
};
use crate::format::segment::{HEADER_BYTES, Header, HeaderError};
use crate::format::tree::Tree;
use crate::format::{field, manifest, postings};
use crate::region::{Direction, EntityFilter, KindFilter, Region, below};
use crate::storage::VfsFile;
use crate::storage::blocks::{Blocks, Place};
use crate::storage::files::{Files, read_exact};
use crate::storage::recovery::{Frames, MAX_SEGMENT_FILE_BYTES, Stored};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// How many id entries one probe looks at.
const ID_WINDOW: u64 = 512;
/// How many bytes a checksum pass reads at once.
const CHECK_BYTES: usize = 256 << 10;

/// What the filter of entities knows of a name.
pub(crate) fn name_tag(entity: &str) -> u32 {
    let mut hasher = std::hash::DefaultHasher::new();
    std::hash::Hasher::write(&mut hasher, entity.as_bytes());
    std::hash::Hasher::finish(&hasher) as u32
}

pub(crate) struct Sealed {
    pub(crate) entry: manifest::Entry,
    pub(crate) header: Header,
    pub(crate) footer: Footer,
    files: Arc<Files>,
    blocks: Arc<Blocks>,
    /// Which ids are not here; `None` where there is no room for it.
    ids: OnceLock<Option<Filter>>,
    /// Which entities are not here.
    names: OnceLock<Option<Filter>>,
    /// Where the footer starts in the file.
    start: u64,
    /// Bit n: section n matched its checksum.
    checked: AtomicU64,
    /// It is no longer part of the store: its file goes with the last reader.
    retired: AtomicBool,
}

impl Drop for Sealed {
    fn drop(&mut self) {
        if *self.retired.get_mut() {
            self.files.remove_retired(self.entry.number);
        }
    }
}

impl Sealed {
    /// Opens the segment that the manifest lists, and checks that it is that segment. What was kept
    /// of it while it was the newest one is kept on.
    pub(crate) fn open(
        files: &Arc<Files>,
        entry: manifest::Entry,
        blocks: Option<Arc<Blocks>>,
    ) -> Result<Self> {
        let path = files.segment_path(entry.number);
        let refuse = |why: &str, offset: u64| not_as_listed(&path, entry.number, why, offset);
        let file = files.segment(entry.number).map_err(|e| match e.kind() {
            ErrorKind::Corrupt => refuse("the file is missing", 0),
            _ => e.at(entry.number, 0),
        })?;
        let length =
            file.size().map_err(|e| Error::io("cannot read the segment's length", &path, &e))?;
        if length != entry.length {
            return Err(refuse(
                &format!("it has {length} bytes instead of {}", entry.length),
                length,
            ));
        }
        let Ends { header, footer, start } = Ends::read(&*file, &path, entry.number, length)?;
        let summary = &footer.summary;
        if (summary.number, summary.first_sequence, summary.events, summary.frames_end)
            != (entry.number, entry.first_sequence, entry.events, start)
        {
            return Err(refuse("the footer is of another segment", start));
        }
        Ok(Self {
            entry,
            header,
            footer,
            files: files.clone(),
            blocks: blocks.unwrap_or_else(|| Blocks::new(&files.cache, length)),
            ids: OnceLock::new(),
            names: OnceLock::new(),
            start,
            checked: AtomicU64::new(0),
            retired: AtomicBool::new(false),
        })
    }

    /// Has the file removed when nobody reads it any more.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(crate) fn end_sequence(&self) -> u64 {
        self.entry.end_sequence()
    }

    fn section(&self, id: u32) -> Result<Section> {
        let section = self.footer.section(id).ok_or_else(|| self.damaged(id, "it is missing"))?;
        if self.checked.load(Ordering::Relaxed) & 1 << id == 0 {
            self.check(section, |_| {})?;
        }
        Ok(section)
    }

    /// Reads a whole section, shows its bytes piece by piece, and compares its checksum.
    fn check(&self, section: Section, mut each: impl FnMut(&[u8])) -> Result<()> {
        let mut hasher = crc32fast::Hasher::new();
        let mut buffer = vec![0; CHECK_BYTES.min(section.length as usize)];
        let mut done = 0;
        while done < section.length {
            let bytes = (section.length - done).min(CHECK_BYTES as u64) as usize;
            self.blocks.read(&self.place(), &mut buffer[..bytes], self.at(section, done))?;
            hasher.update(&buffer[..bytes]);
            each(&buffer[..bytes]);
            done += bytes as u64;
        }
        if hasher.finalize() != section.crc {
            return Err(self.damaged(section.id, "it does not match its checksum"));
        }
        self.checked.fetch_or(1 << section.id, Ordering::Relaxed);
        Ok(())
    }

    fn place(&self) -> Place<'_> {
        let (files, number) = (&*self.files, self.entry.number);
        Place { files, number, file: None, settled: self.entry.length, keep: true }
    }

    /// Where this part of the section is in the file.
    fn at(&self, section: Section, offset: u64) -> u64 {
        self.start + section.offset + offset
    }

    /// Shows a part of a section.
    fn view<T>(
        &self,
        section: Section,
        offset: u64,
        bytes: usize,
        show: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        if offset.checked_add(bytes as u64).is_none_or(|end| end > section.length) {
            return Err(self.damaged(section.id, "an entry points outside it"));
        }
        self.blocks.view(&self.place(), self.at(section, offset), bytes, show)
    }

    fn read(&self, section: Section, offset: u64, bytes: usize) -> Result<Vec<u8>> {
        self.view(section, offset, bytes, <[u8]>::to_vec)
    }

    /// A copy of frames.
    pub(crate) fn copy_frames(&self, start: u64, bytes: usize) -> Result<Arc<[u8]>> {
        self.blocks.copy(&Place { keep: false, ..self.place() }, start, bytes)
    }

    /// Shows the frames and gaps in order, and where they stand.
    pub(crate) fn for_each_stored(
        &self,
        each: impl FnMut(&Stored<'_>, u64) -> Result<()>,
    ) -> Result<()> {
        let (number, first) = (self.entry.number, self.entry.first_sequence);
        let (file, path) = (self.files.segment(number)?, self.files.segment_path(number));
        let frames = Frames::new(&*file, &path, number, HEADER_BYTES as u64, self.start);
        frames.for_each(first, each)
    }

    fn damaged(&self, section: u32, why: &str) -> Error {
        let offset = self.footer.section(section).map_or(0, |section| section.offset);
        Error::corrupt(format!("section {section} of the footer is damaged: {why}"))
            .at_path(&self.files.segment_path(self.entry.number))
            .at(self.entry.number, self.start + offset)
    }

    /// The tree as it stands after this segment.
    pub(crate) fn tree(&self) -> Result<Tree> {
        let section = self.section(section::TREE_PEAKS)?;
        let peaks = self.read(section, 0, section.length as usize)?;
        Tree::decode(&peaks)
            .filter(|tree| {
                tree.size() == self.end_sequence() && tree.root() == self.footer.summary.root
            })
            .ok_or_else(|| self.damaged(section.id, "the peaks do not make the root"))
    }

    /// How many of its events are shown.
    pub(crate) fn shown(&self) -> u64 {
        let postings = self.footer.section(section::STREAM_POSTINGS);
        postings.map_or(0, |section| section.length / 4)
    }

    /// Whether this event is shown.
    pub(crate) fn holds(&self, index: u32) -> Result<bool> {
        if self.shown() == self.entry.events {
            return Ok(true);
        }
        Ok(self.offsets(index, index + 1)?[0] & footer::DROPPED == 0)
    }

    /// The first events of `low..high` that are shown, or the last ones, by rising index, at most
    /// so many; and whether there are no more of them.
    pub(crate) fn some_shown(
        &self,
        low: u32,
        high: u32,
        most: usize,
        direction: Direction,
    ) -> Result<(Vec<u32>, bool)> {
        const AT_ONCE: u32 = 4096;
        if self.shown() == self.entry.events {
            return Ok(take(low, high, most, direction));
        }
        let (mut low, mut high) = (low, high);
        let mut found = Vec::new();
        while low < high && found.len() <= most {
            let few = AT_ONCE.min(high - low);
            let (from, to) = match direction {
                Direction::Forward => (low, low + few),
                Direction::Backward => (high - few, high),
            };
            let offsets = self.offsets(from, to)?;
            let is_shown = |index: &u32| offsets[(*index - from) as usize] & footer::DROPPED == 0;
            match direction {
                Direction::Forward => found.extend((from..to).filter(is_shown)),
                Direction::Backward => found.extend((from..to).rev().filter(is_shown)),
            }
            (low, high) = match direction {
                Direction::Forward => (to, high),
                Direction::Backward => (low, from),
            };
        }
        let all = found.len() <= most;
        found.truncate(most);
        found.sort_unstable();
        Ok((found, all))
    }

    /// What the index says of where the frames of the events `low..high` start.
    fn offsets(&self, low: u32, high: u32) -> Result<Vec<u32>> {
        if u64::from(high) > self.entry.events {
            return Err(self.damaged(section::OFFSETS, "an event beyond the last is named"));
        }
        let section = self.section(section::OFFSETS)?;
        let bytes = self.read(section, u64::from(low) * 4, (high - low) as usize * 4)?;
        Ok(bytes.chunks_exact(4).map(|b| field!(b, 0, u32)).collect())
    }

    /// Where the frame of this event starts and ends.
    pub(crate) fn span(&self, index: u32) -> Result<(u64, u64)> {
        let last = u64::from(index) + 1 >= self.entry.events;
        if u64::from(index) >= self.entry.events {
            return Err(self.damaged(section::OFFSETS, "an event beyond the last is named"));
        }
        let section = self.section(section::OFFSETS)?;
        let bytes = if last { 4 } else { 8 };
        let (start, end) = self.view(section, u64::from(index) * 4, bytes, |bytes| {
            let start = place(field!(bytes, 0, u32));
            (start, if last { self.start } else { place(field!(bytes, 4, u32)) })
        })?;
        self.check_span((start, end))
    }

    fn check_span(&self, (start, end): (u64, u64)) -> Result<(u64, u64)> {
        if start < HEADER_BYTES as u64 || start >= end || end > self.start {
            return Err(self.damaged(section::OFFSETS, "frames do not follow each other"));
        }
        Ok((start, end))
    }

    /// Where the frame of this event starts and ends, if it has one: a dropped one may have none.
    pub(crate) fn span_if_any(&self, index: u32) -> Result<Option<(u64, u64)>> {
        let to = index.saturating_add(2).min(self.entry.events.try_into().unwrap_or(u32::MAX));
        match self.offsets(index.min(to), to)?[..] {
            // The next event has the same place: both are in a gap.
            [this, next] if place(this) == place(next) => Ok(None),
            _ => self.span(index).map(Some),
        }
    }

    /// Where the frames of these rising events start and end. Neighbours share a read.
    pub(crate) fn spans(&self, indexes: &[u32]) -> Result<Vec<(u64, u64)>> {
        const NEAR: u32 = 256;
        let mut spans = Vec::with_capacity(indexes.len());
        for run in indexes.chunk_by(|a, b| b - a <= NEAR) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            if u64::from(*last) >= self.entry.events {
                return Err(self.damaged(section::OFFSETS, "an event beyond the last is named"));
            }
            let bounds = self.bounds(*first, last + 1)?;
            for index in run {
                let at = (index - first) as usize;
                spans.push(self.check_span((bounds[at], bounds[at + 1]))?);
            }
        }
        Ok(spans)
    }

    /// Where the frames of the events `low..high` start, and where the last one ends.
    fn bounds(&self, low: u32, high: u32) -> Result<Vec<u64>> {
        let last = u64::from(high) == self.entry.events;
        let offsets = self.offsets(low, high + u32::from(!last))?;
        let mut bounds: Vec<u64> = offsets.into_iter().map(place).collect();
        if last {
            bounds.push(self.start);
        }
        Ok(bounds)
    }

    /// The events that may have the id of this tag: those whose id has the same one.
    pub(crate) fn candidates_for_id(&self, tag: u32) -> Result<Vec<u32>> {
        if let Some(filter) = self.filter()?
            && !filter.may_hold(tag)
        {
            return Ok(Vec::new());
        }
        let section = self.section(section::IDS)?;
        // Tags are spread evenly, so a guess from the nearest known tag is near. Ids that somebody
        // chose may be spread otherwise: after two guesses, halve.
        let count = section.length / 8;
        let spread = |tags: i64| (i128::from(tags) * i128::from(count)) >> 32;
        let (mut low, mut high) = (0, count);
        let mut guess = spread(tag.into());
        let mut guesses = 0;
        let mut found = Vec::new();
        loop {
            let from = (guess - i128::from(ID_WINDOW / 2)).max(0) as u64;
            let from = from.clamp(low, high.saturating_sub(ID_WINDOW).max(low));
            let to = (from + ID_WINDOW).min(high);
            let window = self.id_window(section, from, to, tag, &mut found)?;
            let begins_below = from == low || window.first.is_some_and(|first| first < tag);
            let ends_above = to == high || window.last.is_some_and(|last| last >= tag);
            if begins_below && ends_above {
                // Equal tags may go on behind the window, also where `high` cut it off.
                let (mut at, mut last) = (to, window.last);
                while at < count && last.is_none_or(|last| last <= tag) {
                    let to = (at + ID_WINDOW).min(count);
                    last = self.id_window(section, at, to, tag, &mut found)?.last;
                    at = to;
                }
                break;
            }
            found.clear();
            if begins_below {
                low = to;
            } else {
                high = from;
            }
            guesses += 1;
            guess = match window.first {
                Some(known) if guesses < 2 => {
                    i128::from(from) + spread(i64::from(tag) - i64::from(known))
                }
                _ => i128::from(low + (high - low) / 2),
            };
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Looks through the id entries `from..to`: adds the events with this tag to `found`.
    fn id_window(
        &self,
        section: Section,
        from: u64,
        to: u64,
        tag: u32,
        found: &mut Vec<u32>,
    ) -> Result<IdWindow> {
        self.view(section, from * 8, (to - from) as usize * 8, |bytes| {
            let (entries, _) = bytes.as_chunks::<8>();
            let tag_of = |entry: &[u8; 8]| field!(entry, 0, u32);
            let first = entries.partition_point(|entry| tag_of(entry) < tag);
            let same = entries[first..].iter().take_while(|entry| tag_of(entry) == tag);
            found.extend(same.map(|entry| field!(entry, 4, u32)));
            IdWindow { first: entries.first().map(tag_of), last: entries.last().map(tag_of) }
        })
    }

    /// The filter of ids, made when it is first asked for.
    fn filter(&self) -> Result<Option<&Filter>> {
        if let Some(filter) = self.ids.get() {
            return Ok(filter.as_ref());
        }
        let section = self.footer.section(section::IDS);
        let section = section.ok_or_else(|| self.damaged(section::IDS, "it is missing"))?;
        self.keep_filter(&self.ids, section.length / 8, |filter| {
            self.check(section, |bytes| {
                let (entries, _) = bytes.as_chunks::<8>();
                entries.iter().for_each(|entry| filter.add(field!(entry, 0, u32)));
            })
        })
    }

    /// The events in `low..high` that may be in the region; `None` means any of them may.
    pub(crate) fn candidates(
        &self,
        region: &Region,
        low: u32,
        high: u32,
    ) -> Result<Option<Vec<u32>>> {
        if region.entity != EntityFilter::Any {
            return self.candidates_by_entity(region, low, high).map(Some);
        }
        let kinds = match region.kind {
            KindFilter::Any => None,
            _ => Some(self.kinds_in(region)?),
        };
        let scope = match &region.scope {
            None => None,
            Some(scope) => Some(self.scope(scope)?),
        };
        let list = |id: u32, offset: u32, events: u32| -> Result<Vec<u32>> {
            Ok(between(&self.posting_list(id, offset, events)?, low, high).to_vec())
        };
        let by_scope = |scope: Option<ScopeRecord>| match scope {
            None => Ok(Vec::new()),
            Some(scope) => list(section::SCOPE_POSTINGS, scope.list_offset, scope.events),
        };
        let by_kind = |kinds: Vec<KindRecord>| -> Result<Vec<u32>> {
            let lists: Result<_> = kinds
                .iter()
                .map(|kind| list(section::KIND_POSTINGS, kind.list_offset, kind.events))
                .collect();
            Ok(merge(lists?))
        };
        match (kinds, scope) {
            (None, None) => Ok(None),
            (Some(kinds), None) => by_kind(kinds).map(Some),
            (None, Some(scope)) => by_scope(scope).map(Some),
            (Some(kinds), Some(scope)) => {
                let of_kinds: u64 = kinds.iter().map(|kind| u64::from(kind.events)).sum();
                let of_scope = scope.map_or(0, |scope| u64::from(scope.events));
                if of_kinds < of_scope { by_kind(kinds) } else { by_scope(scope) }.map(Some)
            }
        }
    }

    fn candidates_by_entity(&self, region: &Region, low: u32, high: u32) -> Result<Vec<u32>> {
        let section = self.section(section::STREAM_POSTINGS)?;
        let mut lists = Vec::new();
        self.streams_in(region, |record| {
            if region.lane.is_some_and(|lane| lane != record.lane) {
                return Ok(());
            }
            let clocks = (record.first_clock, record.last_clock);
            let Some(window) = clock_window(clocks, record.events, region.clocks) else {
                return Ok(());
            };
            let start = u64::from(record.start) + u64::from(window.start);
            let bytes = self.read(section, start * 4, window.len() * 4)?;
            let indexes: Vec<u32> = bytes.chunks_exact(4).map(|b| field!(b, 0, u32)).collect();
            lists.push(between(&indexes, low, high).to_vec());
            Ok(())
        })?;
        Ok(merge(lists))
    }

    /// Every stream that has a frame here: entity, lane, how many of its events are shown, and the
    /// index of the last one that has a frame.
    pub(crate) fn for_each_stream(&self, mut each: impl FnMut(&str, u32, u32, u32)) -> Result<()> {
        self.each_stream(0, |name, record| {
            each(name, record.lane, record.events, record.last_index);
            Ok(true)
        })
    }

    /// Where a stream ends, if it has an event here. `tag` is the entity's [`name_tag`].
    pub(crate) fn stream_end(&self, entity: &str, lane: u32, tag: u32) -> Result<Option<LaneHead>> {
        if let Some(filter) = self.name_filter()?
            && !filter.may_hold(tag)
        {
            return Ok(None);
        }
        let dictionary = self.dictionary(section::STREAMS, StreamRecord::BYTES)?;
        let first = dictionary.lower_bound(entity)?;
        let mut end = None;
        self.each_stream(first, |name, record| {
            if name != entity || record.lane > lane {
                return Ok(false);
            }
            if record.lane == lane {
                let sequence = self.entry.first_sequence + u64::from(record.last_index);
                end = Some(LaneHead { lane, clock: record.last_clock, sequence, known: None });
            }
            Ok(end.is_none())
        })?;
        Ok(end)
    }

    /// The filter of entities, made when it is first asked for.
    fn name_filter(&self) -> Result<Option<&Filter>> {
        if let Some(filter) = self.names.get() {
            return Ok(filter.as_ref());
        }
        let dictionary = self.dictionary(section::STREAMS, StreamRecord::BYTES)?;
        self.keep_filter(&self.names, u64::from(dictionary.count), |filter| {
            self.for_each_stream(|entity, _, _, _| filter.add(name_tag(entity)))
        })
    }

    /// Makes a filter for so many tags, if there is room for it.
    fn keep_filter<'a>(
        &self,
        kept: &'a OnceLock<Option<Filter>>,
        tags: u64,
        fill: impl FnOnce(&mut Filter) -> Result<()>,
    ) -> Result<Option<&'a Filter>> {
        let (cache, bytes) = (self.blocks.cache(), Filter::bytes(tags));
        let mut filter = cache.take_filter_bytes(bytes).then(|| Filter::new(tags));
        if let Some(filter) = &mut filter {
            fill(filter).inspect_err(|_| cache.give_filter_bytes_back(bytes))?;
        }
        let made = filter.is_some();
        let mut filter = Some(filter);
        let result = kept.get_or_init(|| filter.take().flatten()).as_ref();
        // Another thread may have been faster.
        if made && filter.is_some() {
            cache.give_filter_bytes_back(bytes);
        }
        Ok(result)
    }

    fn streams_in(
        &self,
        region: &Region,
        mut each: impl FnMut(StreamRecord) -> Result<()>,
    ) -> Result<()> {
        let (wanted, exact) = match &region.entity {
            EntityFilter::Any => return Ok(()),
            EntityFilter::Exact(name) => (name, true),
            EntityFilter::Prefix(name) => (name, false),
        };
        let dictionary = self.dictionary(section::STREAMS, StreamRecord::BYTES)?;
        let first = dictionary.lower_bound(wanted)?;
        self.each_stream(first, |name, record| {
            if exact && name != wanted || !name.starts_with(wanted.as_str()) {
                return Ok(false);
            }
            if exact || below(name, wanted) {
                each(record)?;
            }
            Ok(true)
        })
    }

    /// Streams from the `first` on, until `each` says `false`.
    fn each_stream(
        &self,
        first: u32,
        mut each: impl FnMut(&str, StreamRecord) -> Result<bool>,
    ) -> Result<()> {
        const AT_ONCE: u32 = 256;
        let dictionary = self.dictionary(section::STREAMS, StreamRecord::BYTES)?;
        let mut at = first;
        let mut step = 2;
        while at < dictionary.count {
            let to = (at + step).min(dictionary.count);
            step = AT_ONCE;
            let bytes = dictionary.records(at, to)?;
            let records: Vec<_> =
                bytes.chunks_exact(StreamRecord::BYTES).map(StreamRecord::decode).collect();
            // Names are in the same order as the records, so one read holds them all.
            let Some((head, last)) = records.first().zip(records.last()) else { break };
            let names_end = u64::from(last.name_offset) + u64::from(last.name_bytes);
            let bytes = names_end
                .checked_sub(u64::from(head.name_offset))
                .ok_or_else(|| self.damaged(section::STREAMS, "its names are out of order"))?;
            let names = dictionary.names(head.name_offset, bytes as usize)?;
            for record in &records {
                let name = record
                    .name_offset
                    .checked_sub(head.name_offset)
                    .and_then(|from| names.get(from as usize..)?.get(..record.name_bytes.into()))
                    .and_then(|name| std::str::from_utf8(name).ok())
                    .ok_or_else(|| self.damaged(section::STREAMS, "a name is damaged"))?;
                if !each(name, *record)? {
                    return Ok(());
                }
            }
            at = to;
        }
        Ok(())
    }

    fn scope(&self, scope: &str) -> Result<Option<ScopeRecord>> {
        let dictionary = self.dictionary(section::SCOPES, ScopeRecord::BYTES)?;
        let at = dictionary.lower_bound(scope)?;
        if at == dictionary.count {
            return Ok(None);
        }
        let record = ScopeRecord::decode(&dictionary.records(at, at + 1)?);
        let name = dictionary.names(record.name_offset, record.name_bytes.into())?;
        Ok((name == scope.as_bytes()).then_some(record))
    }

    fn kinds_in(&self, region: &Region) -> Result<Vec<KindRecord>> {
        let section = self.section(section::KINDS)?;
        let bytes = self.read(section, 0, section.length as usize)?;
        let records = bytes.get(KindRecord::HEADER_BYTES..).unwrap_or_default();
        let records = records.chunks_exact(KindRecord::BYTES).map(KindRecord::decode);
        Ok(records.filter(|r| region.matches_kind(crate::EventKind(r.kind))).collect())
    }

    fn posting_list(&self, id: u32, offset: u32, events: u32) -> Result<Vec<u32>> {
        let section = self.section(id)?;
        let wrong = || self.damaged(id, "a list is damaged");
        if u64::from(events) > self.entry.events {
            return Err(wrong());
        }
        let entries = self.read(section, offset.into(), postings::entry_bytes(events))?;
        let bytes = postings::list_bytes(events, &entries).ok_or_else(wrong)?;
        let list = self.read(section, offset.into(), bytes)?;
        let mut indexes = Vec::with_capacity(events as usize);
        postings::decode(events, &list, &mut indexes).ok_or_else(wrong)?;
        Ok(indexes)
    }

    fn dictionary(&self, id: u32, record_bytes: usize) -> Result<Dictionary<'_>> {
        let section = self.section(id)?;
        let header = self.read(section, 0, DICTIONARY_HEADER_BYTES)?;
        let count = field!(header, 0, u32);
        let names_at = DICTIONARY_HEADER_BYTES as u64 + u64::from(count) * record_bytes as u64;
        if names_at > section.length {
            return Err(self.damaged(id, "it has more entries than bytes"));
        }
        Ok(Dictionary { sealed: self, section, record_bytes, count, names_at })
    }

    /// Whether these are the footer's bytes.
    pub(crate) fn footer_is(&self, rebuilt: &[u8]) -> Result<bool> {
        if self.entry.length - self.start != rebuilt.len() as u64 {
            return Ok(false);
        }
        let number = self.entry.number;
        let file = self.files.segment(number)?;
        let path = self.files.segment_path(number);
        let stored = read_exact(&*file, &path, number, self.start, rebuilt.len())?;
        Ok(stored == rebuilt)
    }
}

fn not_as_listed(path: &Path, number: u64, why: &str, offset: u64) -> Error {
    Error::corrupt(format!("a sealed segment is not what the manifest lists: {why}"))
        .at_path(path)
        .at(number, offset)
}

/// Both ends of a sealed segment.
pub(crate) struct Ends {
    header: Header,
    pub(crate) footer: Footer,
    /// Where the footer starts in the file.
    start: u64,
}

impl Ends {
    /// Reads them from the segment's file, which has this length.
    pub(crate) fn read(file: &dyn VfsFile, path: &Path, number: u64, length: u64) -> Result<Self> {
        let refuse = |why: &str, offset: u64| not_as_listed(path, number, why, offset);
        if length > MAX_SEGMENT_FILE_BYTES {
            return Err(refuse("it is longer than any can be", 0));
        }
        if length < (HEADER_BYTES + footer::TRAILER_BYTES) as u64 {
            return Err(refuse("it is too short", 0));
        }
        let header = read_exact(file, path, number, 0, HEADER_BYTES)?;
        let newer = |why: String| Error::new(ErrorKind::Unsupported, why).at_path(path);
        let header = Header::decode(&header).map_err(|e| match e {
            HeaderError::Version(version) => {
                newer(format!("the segment is of FBAT version {version}; upgrade to read it"))
            }
            HeaderError::Damaged(why) => refuse(why, 0),
        })?;
        let trailer_at = length - footer::TRAILER_BYTES as u64;
        let trailer = read_exact(file, path, number, trailer_at, footer::TRAILER_BYTES)?;
        let (footer_bytes, crc) =
            footer::decode_trailer(&trailer).map_err(|why| refuse(why, trailer_at))?;
        let start = length
            .checked_sub(footer_bytes)
            .filter(|start| *start >= HEADER_BYTES as u64 && start.is_multiple_of(8))
            .ok_or_else(|| refuse("the footer is longer than the file", trailer_at))?;
        let prefix_bytes = footer::MAX_PREFIX_BYTES.min(footer_bytes as usize);
        let prefix = read_exact(file, path, number, start, prefix_bytes)?;
        let footer = Footer::decode(&prefix, footer_bytes, crc).map_err(|why| match why {
            footer::NEWER => newer(format!("{why}; upgrade to read it")),
            _ => refuse(why, start),
        })?;
        Ok(Self { header, footer, start })
    }
}

/// Where in the file the frame is of which the index says this.
fn place(offset: u32) -> u64 {
    u64::from(offset & !footer::DROPPED) * 8
}

/// The tags at the ends of some id entries.
struct IdWindow {
    first: Option<u32>,
    last: Option<u32>,
}

/// Names in order, with a record each.
struct Dictionary<'a> {
    sealed: &'a Sealed,
    section: Section,
    record_bytes: usize,
    count: u32,
    names_at: u64,
}

impl Dictionary<'_> {
    fn records(&self, low: u32, high: u32) -> Result<Vec<u8>> {
        let at = DICTIONARY_HEADER_BYTES as u64 + u64::from(low) * self.record_bytes as u64;
        self.sealed.read(self.section, at, (high - low) as usize * self.record_bytes)
    }

    fn names(&self, offset: u32, bytes: usize) -> Result<Vec<u8>> {
        self.sealed.read(self.section, self.names_at + u64::from(offset), bytes)
    }

    /// The first record whose name is not below `wanted`. Both kinds of records begin with the
    /// name's place.
    fn lower_bound(&self, wanted: &str) -> Result<u32> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let at = DICTIONARY_HEADER_BYTES as u64 + u64::from(middle) * self.record_bytes as u64;
            let (name, bytes) =
                self.sealed.view(self.section, at, self.record_bytes, |record| {
                    (field!(record, 0, u32), field!(record, 4, u16))
                })?;
            let name_at = self.names_at + u64::from(name);
            let below = self
                .sealed
                .view(self.section, name_at, bytes.into(), |name| name < wanted.as_bytes())?;
            if below {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}
