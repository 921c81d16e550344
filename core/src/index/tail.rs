//! The index of a segment in memory: of the unsealed one, and of what a salvage finds. It is
//! what a footer is made of, and it can be made from a footer.

use super::{between, clock_window, merge};
use crate::error::{Error, Result};
use crate::format::footer::{
    self, Contents, Footer, KindRecord, ScopeRecord, StreamColumn, StreamRecord, Summary, section,
};
use crate::format::frame::Frame;
use crate::format::tree::Tree;
use crate::format::{field, postings, segment};
use crate::ids::{Hash, Id};
use crate::region::{Direction, EntityFilter, KindFilter, Region, below};
use crate::storage::VfsFile;
use crate::storage::recovery::Frames;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

/// One lane's events in this segment.
#[derive(Clone, Debug)]
struct Lane {
    lane: u32,
    first_clock: u32,
    last_clock: u32,
    indexes: Vec<u32>,
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
    /// Index by tag; the indexes that share a tag with an earlier one are in `same_tag`.
    ids: HashMap<u32, u32>,
    same_tag: BTreeSet<(u32, u32)>,
    streams: BTreeMap<Arc<str>, Vec<Lane>>,
    scopes: BTreeMap<Box<str>, Vec<u32>>,
    kinds: BTreeMap<u16, Vec<u32>>,
    nodes: Vec<Hash>,
    lowest_timestamp_us: i64,
    highest_timestamp_us: i64,
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
            ids: HashMap::new(),
            same_tag: BTreeSet::new(),
            streams: BTreeMap::new(),
            scopes: BTreeMap::new(),
            kinds: BTreeMap::new(),
            nodes: Vec::new(),
            lowest_timestamp_us: i64::MAX,
            highest_timestamp_us: i64::MIN,
        }
    }

    pub(crate) fn events(&self) -> u64 {
        self.offsets.len() as u64
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.first_sequence + self.events()
    }

    /// Adds the frame that stands at `self.end`.
    pub(crate) fn push(&mut self, frame: &Frame<'_>) {
        let index = self.offsets.len() as u32;
        self.offsets.push((self.end / 8) as u32);
        self.end += frame.layout().padded() as u64;
        self.add_id(footer::id_tag(self.lineage, frame.id()), index);

        let entity = frame.entity();
        if !self.streams.contains_key(entity) {
            self.streams.insert(entity.into(), Vec::with_capacity(1));
        }
        if let Some(lanes) = self.streams.get_mut(entity) {
            let (lane, clock) = (frame.lane(), frame.clock());
            match lanes.binary_search_by_key(&lane, |known| known.lane) {
                Ok(at) => {
                    lanes[at].last_clock = clock;
                    lanes[at].indexes.push(index);
                }
                Err(at) => lanes.insert(
                    at,
                    Lane { lane, first_clock: clock, last_clock: clock, indexes: vec![index] },
                ),
            }
        }
        match self.scopes.get_mut(frame.scope()) {
            Some(indexes) => indexes.push(index),
            None => {
                self.scopes.insert(frame.scope().into(), vec![index]);
            }
        }
        self.kinds.entry(frame.kind()).or_default().push(index);

        self.last_hash = frame.hash();
        self.nodes.extend(self.tree.push(&self.last_hash));
        self.lowest_timestamp_us = self.lowest_timestamp_us.min(frame.timestamp_us());
        self.highest_timestamp_us = self.highest_timestamp_us.max(frame.timestamp_us());
    }

    fn add_id(&mut self, tag: u32, index: u32) {
        match self.ids.entry(tag) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(index);
            }
            std::collections::hash_map::Entry::Occupied(_) => {
                self.same_tag.insert((tag, index));
            }
        }
    }

    /// Adds the frames up to `to` from the segment's file, and shows each of them.
    pub(crate) fn extend(
        &mut self,
        file: &dyn VfsFile,
        path: &Path,
        to: u64,
        mut each: impl FnMut(&Frame<'_>),
    ) -> Result<()> {
        let mut frames = Frames::new(file, path, self.number, self.end, to);
        while frames.at < to {
            let at = frames.at;
            let refuse = |why: &str| {
                Error::corrupt(format!("a frame cannot be read: {why}"))
                    .at_path(path)
                    .at(self.number, at)
            };
            let bytes = match frames.peek()? {
                None => return Err(refuse("the file is shorter than its log")),
                Some(Err(why)) => return Err(refuse(why)),
                Some(Ok(frame)) if frame.sequence() != self.next_sequence() => {
                    return Err(refuse("it is not the next event"));
                }
                Some(Ok(frame)) => {
                    self.push(&frame);
                    each(&frame);
                    frame.layout().padded()
                }
            };
            frames.advance(bytes);
        }
        Ok(())
    }

    /// Where a frame starts and ends.
    pub(crate) fn span(&self, index: u32) -> Option<(u64, u64)> {
        let start = u64::from(*self.offsets.get(index as usize)?) * 8;
        let end =
            self.offsets.get(index as usize + 1).map_or(self.end, |next| u64::from(*next) * 8);
        (start < end).then_some((start, end))
    }

    /// Where the frames of these events start and end.
    pub(crate) fn spans(&self, indexes: &[u32]) -> Vec<(u64, u64)> {
        indexes.iter().filter_map(|index| self.span(*index)).collect()
    }

    /// The events that may have this id: those whose id has the same tag.
    pub(crate) fn candidates_for_id(&self, id: Id) -> Vec<u32> {
        let tag = footer::id_tag(self.lineage, id);
        let first = self.ids.get(&tag).copied();
        let others = self.same_tag.range((tag, 0)..=(tag, u32::MAX)).map(|(_, index)| *index);
        first.into_iter().chain(others).collect()
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
            let wanted = |lane: &&Lane| region.lane.is_none_or(|wanted| lane.lane == wanted);
            let list = |lane: &'_ Lane| {
                let clocks = (lane.first_clock, lane.last_clock);
                clock_window(clocks, lane.indexes.len() as u32, region.clocks)
            };
            return Some(
                lanes
                    .filter(wanted)
                    .filter_map(|lane| {
                        let window = list(lane)?;
                        lane.indexes.get(window.start as usize..window.end as usize)
                    })
                    .collect(),
            );
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
        let by_scope: Option<Vec<&[u32]>> = region
            .scope
            .as_ref()
            .map(|scope| self.scopes.get(scope.as_str()).map(|list| &**list).into_iter().collect());
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
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Vec<Lane>)> {
        let (start, prefix) = match &region.entity {
            EntityFilter::Any => ("", ""),
            EntityFilter::Exact(name) | EntityFilter::Prefix(name) => {
                (name.as_str(), name.as_str())
            }
        };
        let exact = matches!(region.entity, EntityFilter::Exact(_));
        self.streams
            .range::<str, _>((Bound::Included(start), Bound::Unbounded))
            .take_while(move |(name, _)| name.starts_with(prefix) && (!exact || &***name == prefix))
            .filter(move |(name, _)| exact || below(name, prefix))
    }

    /// Every stream with the clock and the index of its last event here.
    pub(crate) fn stream_ends(&self) -> impl Iterator<Item = (&str, u32, u32, u32)> {
        self.streams.iter().flat_map(|(name, lanes)| {
            let end = |lane: &Lane| lane.indexes.last().copied().unwrap_or_default();
            lanes.iter().map(move |lane| (&**name, lane.lane, lane.last_clock, end(lane)))
        })
    }

    /// The footer that seals the segment as it is.
    pub(crate) fn footer(&self) -> Vec<u8> {
        let mut ids: Vec<_> = self.ids.iter().map(|(tag, index)| (*tag, *index)).collect();
        ids.extend(&self.same_tag);
        ids.sort_unstable();
        let streams = self.streams.iter().flat_map(|(entity, lanes)| {
            lanes.iter().map(move |lane| StreamColumn {
                entity,
                lane: lane.lane,
                first_clock: lane.first_clock,
                last_clock: lane.last_clock,
                indexes: &lane.indexes,
            })
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
            ids,
            streams: streams.collect(),
            scopes: self.scopes.iter().map(|(name, indexes)| (&**name, &**indexes)).collect(),
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
        for pair in part(section::IDS)?.chunks_exact(8) {
            tail.add_id(field!(pair, 0, u32), field!(pair, 4, u32));
        }
        tail.nodes = part(section::TREE_NODES)?
            .chunks_exact(32)
            .map(|node| Hash(crate::format::array(node, 0)))
            .collect();

        let postings_of_streams = part(section::STREAM_POSTINGS)?;
        let (records, names) =
            dictionary(part(section::STREAMS)?, StreamRecord::BYTES).ok_or_else(contradiction)?;
        for record in records.chunks_exact(StreamRecord::BYTES).map(StreamRecord::decode) {
            let entity =
                name(names, record.name_offset, record.name_bytes).ok_or_else(contradiction)?;
            let indexes = postings_of_streams
                .get(
                    record.start as usize * 4..(record.start as usize + record.events as usize) * 4,
                )
                .ok_or_else(contradiction)?;
            let lane = Lane {
                lane: record.lane,
                first_clock: record.first_clock,
                last_clock: record.last_clock,
                indexes: indexes.chunks_exact(4).map(|b| field!(b, 0, u32)).collect(),
            };
            match tail.streams.get_mut(entity) {
                Some(lanes) => lanes.push(lane),
                None => {
                    tail.streams.insert(entity.into(), vec![lane]);
                }
            }
        }

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
            tail.scopes.insert(scope.into(), indexes);
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
        let lanes = || self.streams.values().flatten();
        let total = |lists: usize| lists == self.offsets.len();
        self.offsets.is_sorted_by(|a, b| a < b)
            && self.offsets.first().is_none_or(|offset| *offset == first)
            && self.offsets.last().is_none_or(|offset| *offset < end)
            && total(self.ids.len() + self.same_tag.len())
            && self.ids.values().all(|index| *index < count)
            && self.same_tag.iter().all(|(_, index)| *index < count)
            && lanes().all(|lane| rising(&lane.indexes))
            && total(lanes().map(|lane| lane.indexes.len()).sum())
            && self.scopes.values().chain(self.kinds.values()).all(|list| rising(list))
            && total(self.scopes.values().map(Vec::len).sum())
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
