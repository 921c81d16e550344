//! The index of a segment in memory: of the unsealed one, and of what a salvage finds. It is
//! what a footer is made of, and it can be made from a footer.

use super::heads::LaneHead;
use super::{between, clock_window, merge};
use crate::error::{Error, Result};
use crate::format::footer::{
    self, Contents, Footer, KindRecord, ScopeRecord, StreamColumn, StreamRecord, Summary, section,
};
use crate::format::frame::{Frame, Gap};
use crate::format::tree::Tree;
use crate::format::{field, postings, segment};
use crate::ids::{Hash, Id};
use crate::region::{Direction, EntityFilter, KindFilter, Region, below};
use crate::storage::VfsFile;
use crate::storage::recovery::{Frames, Stored};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

/// One stream's events in this segment.
#[derive(Clone, Debug)]
struct Stream {
    entity: Arc<str>,
    lane: u32,
    first_clock: u32,
    last_clock: u32,
    /// Each clock is the one behind the last. Not always so in a store of the batpak crate 0.x, nor
    /// where events were dropped.
    is_steady: bool,
    /// The events that are shown.
    indexes: Vec<u32>,
    /// The last event that has a frame.
    last_index: u32,
    /// Whether it has any.
    is_empty: bool,
}

/// The ids of the events that came after the segment was opened, by place. The map is made when
/// somebody asks for an id: most appends let the library make the ids, and nobody asks.
#[derive(Debug, Default)]
struct RecentIds {
    ids: Vec<Id>,
    /// The places of the first so many ids.
    map: Mutex<(HashMap<Id, u32>, usize)>,
}

impl Clone for RecentIds {
    /// The map is made again when it is needed.
    fn clone(&self) -> Self {
        Self { ids: self.ids.clone(), map: Mutex::default() }
    }
}

impl RecentIds {
    fn place_of(&self, id: Id) -> Option<u32> {
        if self.ids.is_empty() {
            return None;
        }
        let mut map = self.map.lock();
        let (places, mapped) = &mut *map;
        for place in *mapped..self.ids.len() {
            places.entry(self.ids[place]).or_insert(place as u32);
        }
        *mapped = self.ids.len();
        places.get(&id).copied()
    }
}

/// An event is named by its index in the segment: its sequence minus the first sequence.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    lineage: Id,
    pub(crate) number: u64,
    pub(crate) first_sequence: u64,
    /// Where the last indexed frame ends.
    pub(crate) end: u64,
    pub(crate) tree: Tree,
    pub(crate) last_hash: Hash,
    offsets: Vec<u32>,
    /// Tag and index of the first events, in order, as a footer held them.
    tags: Vec<(u32, u32)>,
    /// The ids of the events behind those.
    recent: RecentIds,
    streams: Vec<Stream>,
    /// The places in `streams` of each entity's lanes, by rising lane.
    entities: BTreeMap<Arc<str>, Vec<u32>>,
    scopes: Vec<(Arc<str>, Vec<u32>)>,
    /// The places in `scopes`.
    scope_names: BTreeMap<Arc<str>, u32>,
    last_scope: usize,
    kinds: BTreeMap<u16, Vec<u32>>,
    nodes: Vec<Hash>,
    lowest_timestamp_us: i64,
    highest_timestamp_us: i64,
    /// The indexes that no event has which is shown, rising: of dropped ones, and of what a store of
    /// the batpak crate 0.x does not have.
    holes: Vec<u32>,
}

impl Tail {
    /// An empty segment; `tree` and `last_hash` are those of the log before it.
    pub(crate) fn new(
        lineage: Id,
        number: u64,
        first_sequence: u64,
        tree: Tree,
        last_hash: Hash,
    ) -> Self {
        Self {
            lineage,
            number,
            first_sequence,
            end: segment::HEADER_BYTES as u64,
            tree,
            last_hash,
            offsets: Vec::new(),
            tags: Vec::new(),
            recent: RecentIds::default(),
            streams: Vec::new(),
            entities: BTreeMap::new(),
            scopes: Vec::new(),
            scope_names: BTreeMap::new(),
            last_scope: 0,
            kinds: BTreeMap::new(),
            nodes: Vec::new(),
            lowest_timestamp_us: i64::MAX,
            highest_timestamp_us: i64::MIN,
            holes: Vec::new(),
        }
    }

    /// The next sequence belongs to no event.
    pub(crate) fn push_hole(&mut self) {
        self.holes.push(self.offsets.len() as u32);
        self.offsets.push((self.end / 8) as u32);
        self.recent.ids.push(Id::NONE);
    }

    /// The next events were dropped; the gap that stands for them is at `self.end`. Shows the tree
    /// after each.
    pub(crate) fn push_gap(&mut self, gap: &Gap<'_>, mut each: impl FnMut(&Tree)) {
        for hash in gap.hashes() {
            self.push_hole();
            self.last_hash = hash;
            self.nodes.extend(self.tree.push(&hash));
            each(&self.tree);
        }
        self.end += gap.padded() as u64;
    }

    pub(crate) fn holes(&self) -> u64 {
        self.holes.len() as u64
    }

    /// The last sequence that no shown event has.
    pub(crate) fn last_hole(&self) -> Option<u64> {
        self.holes.last().map(|index| self.first_sequence + u64::from(*index))
    }

    /// Whether there is an event with this index which is shown.
    pub(crate) fn holds(&self, index: u32) -> bool {
        self.holes.is_empty() || self.holes.binary_search(&index).is_err()
    }

    pub(crate) fn events(&self) -> u64 {
        self.offsets.len() as u64
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.first_sequence + self.events()
    }

    /// Adds the frame that stands at `self.end`. `stream` is the number of its stream here, if the
    /// caller knows it; gives that number.
    pub(crate) fn push(&mut self, frame: &Frame<'_>, stream: Option<u32>) -> u32 {
        let index = self.offsets.len() as u32;
        self.offsets.push((self.end / 8) as u32);
        self.end += frame.layout().padded() as u64;
        self.recent.ids.push(frame.id());

        let (entity, lane) = (frame.entity(), frame.lane());
        let is_it = |stream: &Stream| stream.lane == lane && &*stream.entity == entity;
        let known = stream.filter(|number| self.streams.get(*number as usize).is_some_and(is_it));
        let number = known.unwrap_or_else(|| self.find_or_add_stream(entity, lane));
        let is_shown = !frame.is_dropped();
        if let Some(stream) = self.streams.get_mut(number as usize) {
            if stream.is_empty {
                (stream.first_clock, stream.is_empty) = (frame.clock(), false);
                stream.is_steady = is_shown;
            } else {
                let follows = stream.last_clock.checked_add(1) == Some(frame.clock());
                stream.is_steady &= is_shown && follows;
            }
            (stream.last_clock, stream.last_index) = (frame.clock(), index);
            if is_shown {
                stream.indexes.push(index);
            }
        }
        self.last_hash = frame.hash();
        self.nodes.extend(self.tree.push(&self.last_hash));
        if is_shown {
            let scope = self.scope_place(frame.scope());
            self.scopes[scope].1.push(index);
            self.kinds.entry(frame.kind()).or_default().push(index);
            self.lowest_timestamp_us = self.lowest_timestamp_us.min(frame.timestamp_us());
            self.highest_timestamp_us = self.highest_timestamp_us.max(frame.timestamp_us());
        } else {
            self.holes.push(index);
        }
        number
    }

    fn find_or_add_stream(&mut self, entity: &str, lane: u32) -> u32 {
        if !self.entities.contains_key(entity) {
            self.entities.insert(entity.into(), Vec::with_capacity(1));
        }
        let added = self.streams.len() as u32;
        let Some((name, lanes)) =
            self.entities.range_mut::<str, _>((Bound::Included(entity), Bound::Unbounded)).next()
        else {
            return added;
        };
        match lanes.binary_search_by_key(&lane, |at| self.streams[*at as usize].lane) {
            Ok(at) => lanes[at],
            Err(at) => {
                lanes.insert(at, added);
                let entity = name.clone();
                self.streams.push(Stream {
                    entity,
                    lane,
                    first_clock: 0,
                    last_clock: 0,
                    is_steady: true,
                    indexes: Vec::new(),
                    last_index: 0,
                    is_empty: true,
                });
                added
            }
        }
    }

    /// The place of a scope's list; made if there is none. Most events are of the scope of the one
    /// before.
    fn scope_place(&mut self, scope: &str) -> usize {
        if self.scopes.get(self.last_scope).is_none_or(|(name, _)| &**name != scope) {
            self.last_scope = match self.scope_names.get(scope) {
                Some(place) => *place as usize,
                None => {
                    let name: Arc<str> = scope.into();
                    self.scope_names.insert(name.clone(), self.scopes.len() as u32);
                    self.scopes.push((name, Vec::new()));
                    self.scopes.len() - 1
                }
            };
        }
        self.last_scope
    }

    /// Adds the frames up to `to` from the segment's file, and shows each of them.
    pub(crate) fn extend(
        &mut self,
        file: &dyn VfsFile,
        path: &Path,
        to: u64,
        mut each: impl FnMut(&Stored<'_>),
    ) -> Result<()> {
        let frames = Frames::new(file, path, self.number, self.end, to);
        frames.for_each(self.next_sequence(), |stored, _| {
            match stored {
                Stored::Event(frame) => drop(self.push(frame, None)),
                Stored::Gap(gap) => self.push_gap(gap, |_| {}),
            }
            each(stored);
            Ok(())
        })
    }

    /// Where the first frame starts.
    pub(crate) fn start(&self) -> u64 {
        self.offsets.first().map_or(self.end, |offset| u64::from(*offset) * 8)
    }

    /// Where the frame or the gap of an event starts.
    pub(crate) fn start_of(&self, index: u32) -> Option<u64> {
        self.offsets.get(index as usize).map(|offset| u64::from(*offset) * 8)
    }

    /// Where a frame starts and ends.
    pub(crate) fn span(&self, index: u32) -> Option<(u64, u64)> {
        let start = u64::from(*self.offsets.get(index as usize)?) * 8;
        let end =
            self.offsets.get(index as usize + 1).map_or(self.end, |next| u64::from(*next) * 8);
        (start < end).then_some((start, end))
    }

    /// The event whose frame starts here.
    pub(crate) fn index_at(&self, offset: u64) -> Option<u32> {
        let place = u32::try_from(offset / 8).ok().filter(|_| offset.is_multiple_of(8))?;
        // A hole before it has the same place.
        let index = self.offsets.partition_point(|start| *start <= place).checked_sub(1)?;
        (self.offsets[index] == place).then_some(index as u32)
    }

    /// The event whose frame ends here.
    pub(crate) fn index_at_end(&self, offset: u64) -> Option<u32> {
        let place = u32::try_from(offset / 8).ok().filter(|_| offset.is_multiple_of(8))?;
        let before = self.offsets.partition_point(|start| *start < place);
        before.checked_sub(1).map(|index| index as u32)
    }

    /// Where the frames of these events start and end.
    pub(crate) fn spans(&self, indexes: &[u32]) -> Vec<(u64, u64)> {
        indexes.iter().filter_map(|index| self.span(*index)).collect()
    }

    /// The events that may have this id: those whose id has the same tag.
    pub(crate) fn candidates_for_id(&self, id: Id) -> Vec<u32> {
        let mut found = Vec::new();
        if !self.tags.is_empty() {
            let tag = footer::id_tag(self.lineage, id);
            let same = self.tags[self.first_at_least(tag)..].iter();
            let same = same.take_while(|(known, _)| *known == tag);
            found.extend(same.map(|(_, index)| *index));
        }
        let recent = self.recent.place_of(id).map(|place| self.tags.len() as u32 + place);
        found.extend(recent.filter(|index| self.holds(*index)));
        found
    }

    /// The id of an event that was added since the index was made or read.
    pub(crate) fn recent_id(&self, sequence: u64) -> Option<Id> {
        let index = sequence.checked_sub(self.first_sequence)?;
        let place = usize::try_from(index).ok()?.checked_sub(self.tags.len())?;
        self.recent.ids.get(place).copied()
    }

    /// The place of the first tag that is not below this one. Tags are spread evenly, so it is near
    /// where its share of all tags would be, and nearer to where its distance from the tag found
    /// there leads; the search widens from that place.
    fn first_at_least(&self, tag: u32) -> usize {
        let count = self.tags.len();
        let places = |tags: i64| (tags * count as i64) >> 32;
        let guess = places(tag.into());
        let found = self.tags.get(guess as usize).map_or(tag, |(found, _)| *found);
        let guess = guess + places(i64::from(tag) - i64::from(found));
        let guess = guess.clamp(0, count as i64) as usize;
        let mut width = 16;
        loop {
            let (low, high) = (guess.saturating_sub(width), (guess + width).min(count));
            let begins_below = low == 0 || self.tags[low - 1].0 < tag;
            let ends_above = high == count || self.tags[high].0 >= tag;
            if begins_below && ends_above {
                return low + self.tags[low..high].partition_point(|(known, _)| *known < tag);
            }
            width *= 4;
        }
    }

    /// The events in `low..high` that may be in the region; `None` means any of them may.
    pub(crate) fn candidates(&self, region: &Region, low: u32, high: u32) -> Option<Vec<u32>> {
        let lists = self.lists(region)?;
        Some(merge(lists.iter().map(|list| between(list, low, high).to_vec()).collect()))
    }

    /// Some of those events, nearest to one end: all of them, or at least one and about as many as
    /// asked for; and whether it is all of them. Takes little time however many there are.
    pub(crate) fn nearest_candidates(
        &self,
        region: &Region,
        low: u32,
        high: u32,
        about: usize,
        direction: Direction,
    ) -> Option<(Vec<u32>, bool)> {
        const FEW: usize = 4096;
        let lists = self.lists(region)?;
        let all: Vec<_> = lists.iter().map(|list| between(list, low, high)).collect();
        let total: usize = all.iter().map(|list| list.len()).sum();
        let joined = |low: u32, high: u32| {
            merge(all.iter().map(|list| between(list, low, high).to_vec()).collect())
        };
        // Where events lie evenly, this many places hold twice as many as asked for.
        let places = u64::from(high.saturating_sub(low));
        let mut width = (2 * about as u64 * places / total.max(1) as u64).max(64);
        while total > FEW && width < places {
            let found = match direction {
                Direction::Forward => joined(low, low + width as u32),
                Direction::Backward => joined(high - width as u32, high),
            };
            if !found.is_empty() {
                return Some((found, false));
            }
            width *= 4;
        }
        Some((joined(low, high), true))
    }

    /// The shortest lists that together hold every event of the region; `None` when only the
    /// whole segment does.
    fn lists<'a>(&'a self, region: &'a Region) -> Option<Vec<&'a [u32]>> {
        if region.entity != EntityFilter::Any {
            let lanes = self.entities_in(region).flat_map(|(_, lanes)| lanes);
            let streams = lanes.map(|place| &self.streams[*place as usize]);
            let wanted = |stream: &&Stream| region.lane.is_none_or(|lane| stream.lane == lane);
            let list = |stream: &'a Stream| {
                let clocks = (stream.first_clock, stream.last_clock);
                let events = stream.indexes.len() as u32;
                let wanted = region.clocks.filter(|_| stream.is_steady);
                let window = clock_window(clocks, events, wanted)?;
                stream.indexes.get(window.start as usize..window.end as usize)
            };
            return Some(streams.filter(wanted).filter_map(list).collect());
        }
        let by_kind: Option<Vec<&[u32]>> = match region.kind {
            KindFilter::Any => None,
            KindFilter::Exact(kind) => Some(kind.0..=kind.0),
            KindFilter::Category(category) => {
                let first = u16::from(category) << 12;
                Some(first..=first | 0x0FFF)
            }
        }
        .map(|kinds| self.kinds.range(kinds).map(|(_, list)| &**list).collect());
        let by_scope: Option<Vec<&[u32]>> = region.scope.as_ref().map(|scope| {
            let place = self.scope_names.get(scope.as_str());
            place.map(|place| &*self.scopes[*place as usize].1).into_iter().collect()
        });
        let size = |lists: &Vec<&[u32]>| lists.iter().map(|list| list.len()).sum::<usize>();
        match (by_kind, by_scope) {
            (Some(kinds), Some(scopes)) if size(&kinds) < size(&scopes) => Some(kinds),
            (kinds, None) => kinds,
            (_, scopes) => scopes,
        }
    }

    fn entities_in<'a>(
        &'a self,
        region: &'a Region,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Vec<u32>)> {
        let (start, prefix) = match &region.entity {
            EntityFilter::Any => ("", ""),
            EntityFilter::Exact(name) | EntityFilter::Prefix(name) => {
                (name.as_str(), name.as_str())
            }
        };
        let exact = matches!(region.entity, EntityFilter::Exact(_));
        self.entities
            .range::<str, _>((Bound::Included(start), Bound::Unbounded))
            .take_while(move |(name, _)| name.starts_with(prefix) && (!exact || &***name == prefix))
            .filter(move |(name, _)| exact || below(name, prefix))
    }

    /// Where a stream ends, if it has an event here.
    pub(crate) fn stream_end(&self, entity: &str, lane: u32) -> Option<LaneHead> {
        let lanes = self.entities.get(entity)?;
        let at = lanes.binary_search_by_key(&lane, |at| self.streams[*at as usize].lane).ok()?;
        let stream = &self.streams[lanes[at] as usize];
        let sequence = self.first_sequence + u64::from(stream.last_index);
        Some(LaneHead { lane, clock: stream.last_clock, sequence, known: None })
    }

    /// Every stream that has an event here: entity and lane.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (&str, u32)> {
        self.streams.iter().map(|stream| (&*stream.entity, stream.lane))
    }

    /// How many events each stream has here, by its entity.
    pub(crate) fn stream_events(&self) -> Vec<(Arc<str>, u64)> {
        let of = |stream: &Stream| (stream.entity.clone(), stream.indexes.len() as u64);
        self.streams.iter().map(of).collect()
    }

    /// The footer that seals the segment as it is.
    pub(crate) fn footer(&self) -> Vec<u8> {
        let tagged = self.tags.len() as u32;
        let tag = |id: &Id| footer::id_tag(self.lineage, *id);
        // In this format an event without a frame, and only that, has no id here.
        let recent = self.recent.ids.iter().zip(tagged..).filter(|(id, _)| **id != Id::NONE);
        let recent = recent.map(|(id, index)| (tag(id), index));
        let mut ids: Vec<_> = self.tags.iter().copied().chain(recent).collect();
        ids.sort_unstable();
        let in_order = self.entities.values().flatten().map(|place| &self.streams[*place as usize]);
        let streams = in_order.map(|stream| StreamColumn {
            entity: &stream.entity,
            lane: stream.lane,
            first_clock: stream.first_clock,
            last_clock: stream.last_clock,
            indexes: &stream.indexes,
            last_index: stream.last_index,
        });
        let scopes = self.scope_names.iter().map(|(name, place)| {
            let (_, indexes) = &self.scopes[*place as usize];
            (&**name, &**indexes)
        });
        footer::encode(&Contents {
            summary: Summary {
                number: self.number,
                first_sequence: self.first_sequence,
                events: self.events(),
                frames_end: self.end,
                lowest_timestamp_us: self.lowest_timestamp_us,
                highest_timestamp_us: self.highest_timestamp_us,
                root: self.tree.root(),
                last_hash: self.last_hash,
            },
            offsets: &self.offsets,
            dropped: &self.holes,
            ids,
            streams: streams.collect(),
            scopes: scopes.collect(),
            kinds: self.kinds.iter().map(|(kind, indexes)| (*kind, &**indexes)).collect(),
            nodes: &self.nodes,
            tree: &self.tree,
        })
    }

    /// The index that this footer was made from. `bytes` is the whole footer.
    pub(crate) fn from_footer(lineage: Id, bytes: &[u8]) -> Result<Self> {
        let refuse = |why: &str| Error::corrupt(format!("the index cannot be used: {why}"));
        let trailer = bytes.len().checked_sub(footer::TRAILER_BYTES).map(|at| &bytes[at..]);
        let (length, crc) = footer::decode_trailer(trailer.unwrap_or_default()).map_err(refuse)?;
        if length != bytes.len() as u64 {
            return Err(refuse("its length is wrong"));
        }
        let footer = Footer::decode(bytes, length, crc).map_err(refuse)?;
        let part = |id: u32| -> Result<&[u8]> {
            let section = footer.section(id).ok_or_else(|| refuse("a section is missing"))?;
            let part = &bytes[section.offset as usize..][..section.length as usize];
            if crate::format::crc32(&[part]) != section.crc {
                return Err(refuse("a section does not match its checksum"));
            }
            Ok(part)
        };
        let contradiction = || refuse("its sections contradict each other");

        let summary = footer.summary;
        let tree = Tree::decode(part(section::TREE_PEAKS)?).ok_or_else(contradiction)?;
        let (number, first) = (summary.number, summary.first_sequence);
        let mut tail = Self::new(lineage, number, first, tree, summary.last_hash);
        tail.end = summary.frames_end;
        tail.lowest_timestamp_us = summary.lowest_timestamp_us;
        tail.highest_timestamp_us = summary.highest_timestamp_us;
        tail.offsets = part(section::OFFSETS)?.chunks_exact(4).map(|b| field!(b, 0, u32)).collect();
        let pairs = part(section::IDS)?.chunks_exact(8);
        tail.tags = pairs.map(|pair| (field!(pair, 0, u32), field!(pair, 4, u32))).collect();
        tail.nodes = part(section::TREE_NODES)?
            .chunks_exact(32)
            .map(|node| Hash(crate::format::array(node, 0)))
            .collect();

        let postings_of_streams = part(section::STREAM_POSTINGS)?;
        let (records, names) =
            dictionary(part(section::STREAMS)?, StreamRecord::BYTES).ok_or_else(contradiction)?;
        let mut entities: Vec<(Arc<str>, Vec<u32>)> = Vec::new();
        for record in records.chunks_exact(StreamRecord::BYTES).map(StreamRecord::decode) {
            let entity =
                name(names, record.name_offset, record.name_bytes).ok_or_else(contradiction)?;
            let indexes = postings_of_streams
                .get(
                    record.start as usize * 4..(record.start as usize + record.events as usize) * 4,
                )
                .ok_or_else(contradiction)?;
            if entities.last().is_none_or(|(last, _)| &**last != entity) {
                entities.push((entity.into(), Vec::with_capacity(1)));
            }
            let Some((entity, lanes)) = entities.last_mut() else { continue };
            lanes.push(tail.streams.len() as u32);
            tail.streams.push(Stream {
                entity: entity.clone(),
                lane: record.lane,
                first_clock: record.first_clock,
                last_clock: record.last_clock,
                is_steady: true,
                indexes: indexes.chunks_exact(4).map(|b| field!(b, 0, u32)).collect(),
                last_index: record.last_index,
                is_empty: false,
            });
        }
        let in_order = |a: &Stream, b: &Stream| (&a.entity, a.lane) < (&b.entity, b.lane);
        if !tail.streams.is_sorted_by(in_order) {
            return Err(contradiction());
        }
        tail.entities = entities.into_iter().collect();

        let list = |section: &[u8], offset: u32, events: u32| -> Option<Vec<u32>> {
            let mut indexes = Vec::new();
            postings::decode(events, section.get(offset as usize..)?, &mut indexes)?;
            Some(indexes)
        };
        let scope_postings = part(section::SCOPE_POSTINGS)?;
        let (records, names) =
            dictionary(part(section::SCOPES)?, ScopeRecord::BYTES).ok_or_else(contradiction)?;
        for record in records.chunks_exact(ScopeRecord::BYTES).map(ScopeRecord::decode) {
            let scope =
                name(names, record.name_offset, record.name_bytes).ok_or_else(contradiction)?;
            let indexes = list(scope_postings, record.list_offset, record.events)
                .ok_or_else(contradiction)?;
            let place = tail.scope_place(scope);
            tail.scopes[place].1 = indexes;
        }
        let kind_postings = part(section::KIND_POSTINGS)?;
        let kinds = part(section::KINDS)?.get(KindRecord::HEADER_BYTES..).unwrap_or_default();
        for record in kinds.chunks_exact(KindRecord::BYTES).map(KindRecord::decode) {
            let indexes =
                list(kind_postings, record.list_offset, record.events).ok_or_else(contradiction)?;
            tail.kinds.insert(record.kind, indexes);
        }
        if tail.tree.size() != tail.next_sequence() || !tail.is_consistent() {
            return Err(contradiction());
        }
        Ok(tail)
    }

    /// Whether every event is in every view once, and the frames follow each other.
    fn is_consistent(&self) -> bool {
        let count = self.offsets.len() as u32;
        let rising = |indexes: &[u32]| {
            indexes.is_sorted_by(|a, b| a < b) && indexes.last().is_none_or(|last| *last < count)
        };
        let end = u32::try_from(self.end / 8).unwrap_or(0);
        let first = segment::HEADER_BYTES as u32 / 8;
        // No two entries of rising lists are the same, so the counts say that all are there.
        let total = |lists: usize| lists == self.offsets.len();
        self.offsets.is_sorted_by(|a, b| a < b)
            && self.offsets.first().is_none_or(|offset| *offset == first)
            && self.offsets.last().is_none_or(|offset| *offset < end)
            && total(self.tags.len())
            && self.tags.is_sorted_by(|a, b| a < b)
            && self.tags.iter().all(|(_, index)| *index < count)
            && self.streams.iter().all(|stream| rising(&stream.indexes))
            && self.streams.iter().all(|s| s.indexes.last() == Some(&s.last_index))
            && total(self.streams.iter().map(|stream| stream.indexes.len()).sum())
            && self
                .scopes
                .iter()
                .map(|(_, list)| list)
                .chain(self.kinds.values())
                .all(|l| rising(l))
            && total(self.scopes.iter().map(|(_, list)| list.len()).sum())
            && total(self.kinds.values().map(Vec::len).sum())
    }
}

/// A dictionary's records and its names.
fn dictionary(section: &[u8], record_bytes: usize) -> Option<(&[u8], &[u8])> {
    let (header, rest) = section.split_at_checked(footer::DICTIONARY_HEADER_BYTES)?;
    rest.split_at_checked((field!(header, 0, u32) as usize).checked_mul(record_bytes)?)
}

fn name(names: &[u8], offset: u32, bytes: u16) -> Option<&str> {
    let start = offset as usize;
    std::str::from_utf8(names.get(start..start + usize::from(bytes))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_wherever_they_lie() {
        let spread = |n: u64| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32;
        let even: Vec<u32> = (0..5000).map(spread).collect();
        let low: Vec<u32> = (0..3000).collect();
        let high: Vec<u32> = (0..3000).map(|n| u32::MAX - n / 2).collect();
        for mut tags in [even, low, high, vec![7], vec![]] {
            tags.sort_unstable();
            let mut tail = Tail::new(Id::NONE, 1, 0, Tree::default(), Hash::ZERO);
            tail.tags = tags.iter().zip(0..).map(|(tag, index)| (*tag, index)).collect();
            let beside =
                tags.iter().flat_map(|tag| [tag.wrapping_sub(1), *tag, tag.wrapping_add(1)]);
            for tag in beside.chain([0, 1 << 31, u32::MAX]) {
                let right = tags.partition_point(|known| *known < tag);
                assert_eq!(tail.first_at_least(tag), right, "tag {tag}");
            }
        }
    }
}
