//! Where the log, its streams and its guarantees stand.

use super::{Inner, Live, Store};
use crate::error::{Error, Result};
use crate::format::tree::Tree;
use crate::ids::{Hash, Id};
use crate::index::Part;
use crate::index::tail::Tail;
use crate::region::Query;
use std::collections::HashSet;
use std::sync::Arc;

/// The end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of visible events, which is the sequence of the next one. Where sequences are
    /// missing, as in a 0.x store with cancelled fences, the sequence of the next one.
    pub events: u64,
    /// The hash of the last visible event; zeros when there is none.
    pub last_hash: Hash,
    /// The root of the Merkle tree (SHA-256, RFC 6962) over all visible event hashes.
    pub root: Hash,
}

/// The end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamHead {
    /// The clock of its last event.
    pub clock: u32,
    /// The sequence of its last event.
    pub sequence: u64,
    /// The hash of its last event.
    pub hash: Hash,
}

/// How far events have come, each as a number of events from the start of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frontier {
    /// Ordered, in memory.
    pub accepted: u64,
    /// Bytes in the file.
    pub written: u64,
    /// Confirmed by a sync.
    pub durable: u64,
    /// Shown to the readers of this handle.
    pub visible: u64,
}

/// Sizes and identity of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Visible events, without those that a retention has dropped.
    pub events: u64,
    /// Segments, the newest included.
    pub segments: u64,
    /// Bytes of all segments, footers included.
    pub bytes: u64,
    /// Entities.
    pub entities: u64,
    /// Streams: pairs of entity and lane.
    pub streams: u64,
    /// This directory's id.
    pub store_id: Id,
    /// The id under every event hash; forks share it.
    pub lineage_id: Id,
}

impl Inner {
    /// How many events are shown.
    pub(super) fn shown_events(&self) -> u64 {
        let live = self.live.read();
        let in_tail = live.tail.as_ref().map_or(0, |tail| tail.events() - tail.holes());
        live.parts.iter().map(|part| part.events()).sum::<u64>() + in_tail
    }

    /// Bytes of all segments.
    pub(super) fn bytes_of(&self, live: &Live) -> u64 {
        let of_part = |part: &Arc<Part>| match &**part {
            Part::Sealed(sealed) => sealed.entry.length,
            Part::Indexed(tail, _) => tail.end,
        };
        match &self.old {
            Some(old) => old.bytes,
            None => {
                let newest = live.tail.as_ref().map_or(0, |tail| tail.end);
                live.parts.iter().map(of_part).sum::<u64>() + newest
            }
        }
    }
}

impl Store {
    /// The end of the log: what an auditor notes down.
    pub fn head(&self) -> Result<Head> {
        self.0.check_usable()?;
        let live = self.0.live.read();
        if let Some(tail) = &live.tail {
            let events = tail.next_sequence();
            return Ok(Head { events, last_hash: tail.last_hash, root: tail.tree.root() });
        }
        match live.parts.last().map(|part| &**part) {
            None => {
                let root = Tree::default().root();
                Ok(Head { events: 0, last_hash: Hash::ZERO, root })
            }
            Some(Part::Indexed(tail, _)) => Ok(Head {
                events: tail.next_sequence(),
                last_hash: tail.last_hash,
                root: tail.tree.root(),
            }),
            Some(Part::Sealed(sealed)) => Ok(Head {
                events: sealed.end_sequence(),
                last_hash: sealed.footer.summary.last_hash,
                root: sealed.footer.summary.root,
            }),
        }
    }

    /// The end of the log as it was when it had so many events: to be compared with a head that was
    /// noted down then. Reads the hashes of at most one segment.
    pub fn head_at(&self, events: u64) -> Result<Head> {
        let now = self.head()?;
        if events > now.events {
            return Err(Error::invalid(format!(
                "the log has {} events; it has never had {events}",
                now.events
            )));
        }
        if events == now.events {
            return Ok(now);
        }
        let Some(last) = events.checked_sub(1) else {
            return Ok(Head { events, last_hash: Hash::ZERO, root: Tree::default().root() });
        };
        if let Some(head) = self.0.recorded_head(events) {
            return Ok(head);
        }
        self.0.across_compactions(|| {
            let (first, mut tree) = self.0.tree_before(last)?;
            let mut last_hash = Hash::ZERO;
            self.hashes(first, events, |_, hash| {
                last_hash = hash;
                tree.push(&hash);
            })?;
            if tree.size() != events && self.0.old.is_none() {
                return Err(Error::corrupt(format!("events before {events} are missing")));
            }
            Ok(Head { events, last_hash, root: tree.root() })
        })
    }

    /// Shows the sequence and the hash of every event from one sequence to before another, also of
    /// dropped ones.
    pub(super) fn hashes(&self, from: u64, to: u64, mut each: impl FnMut(u64, Hash)) -> Result<()> {
        let parts = self.0.live.read().parts.clone();
        let (mut next, mut expected) = (from, from);
        let is_whole = self.0.old.is_none();
        let mut each = |sequence: u64, hash| {
            // One that was dropped meanwhile is missed, and looked for again.
            if is_whole && sequence != expected {
                return Err(Error::corrupt(format!("event {expected} is missing")));
            }
            expected += 1;
            each(sequence, hash);
            Ok(())
        };
        for part in parts.iter().filter(|_| is_whole) {
            let (first, end) = (part.first_sequence(), part.end_sequence());
            if end <= next || first >= to {
                continue;
            }
            if part.events() < end - first {
                self.scan_hashes(next, first, &mut each)?;
                let mut failure = None;
                part.hashes(&self.0.files, |sequence, hash| {
                    if (from..to).contains(&sequence) && failure.is_none() {
                        failure = each(sequence, hash).err();
                    }
                })?;
                failure.map_or(Ok(()), Err)?;
                next = end;
            }
        }
        self.scan_hashes(next, to, &mut each)
    }

    /// The same where no event was dropped.
    fn scan_hashes(
        &self,
        from: u64,
        to: u64,
        each: &mut impl FnMut(u64, Hash) -> Result<()>,
    ) -> Result<()> {
        if from >= to {
            return Ok(());
        }
        for event in self.scan(Query::default().from(from).limit(to - from)) {
            let event = event?;
            if event.sequence() >= to {
                break;
            }
            each(event.sequence(), event.hash())?;
        }
        Ok(())
    }

    /// The end of the stream that is this lane of this entity; `None` when it has no event.
    pub fn stream_head(&self, entity: &str, lane: u32) -> Result<Option<StreamHead>> {
        self.0.check_usable()?;
        if self.0.old.is_none() {
            crate::coordinate::check_component("entity", entity)?;
        }
        self.0.across_compactions(|| {
            let Some(head) = self.0.stream_end(entity, lane)? else { return Ok(None) };
            let hash = match head.known {
                Some(known) => known.hash,
                None => self.0.stored_at(head.sequence)?.ok_or_else(lost_head)?.hash(),
            };
            Ok(Some(StreamHead { clock: head.clock, sequence: head.sequence, hash }))
        })
    }

    /// How far events have come.
    pub fn frontier(&self) -> Result<Frontier> {
        self.0.check_usable()?;
        let live = self.0.live.read();
        Ok(Frontier {
            accepted: live.visible(),
            written: live.written_events,
            durable: live.durable_events,
            visible: live.visible(),
        })
    }

    /// Sizes and identity. Entities and streams are counted by reading the names in the index of
    /// every segment, so this takes longer the more there are.
    pub fn stats(&self) -> Result<Stats> {
        self.0.across_compactions(|| self.count())
    }

    fn count(&self) -> Result<Stats> {
        let mut streams = HashSet::new();
        let mut note = |entity: &str, lane: u32| {
            streams.insert((Box::from(entity), lane));
        };
        let (parts, bytes, has_tail, mut events) = {
            let live = self.0.live.read();
            let tail = live.tail.as_ref();
            tail.iter().flat_map(|tail| tail.streams()).for_each(|(name, lane)| note(name, lane));
            let bytes = self.0.bytes_of(&live);
            (live.parts.clone(), bytes, tail.is_some(), tail.map_or(0, Tail::events))
        };
        for part in parts.iter() {
            part.for_each_stream(&mut note)?;
            events += part.events();
        }
        let entities: HashSet<_> =
            streams.iter().map(|(entity, _): &(Box<str>, _)| entity).collect();
        let mut segments = parts.len() as u64 + u64::from(has_tail);
        if self.0.old.is_some() {
            segments = self.0.report.segments;
        }
        Ok(Stats {
            events,
            segments,
            bytes,
            entities: entities.len() as u64,
            streams: streams.len() as u64,
            store_id: self.0.store,
            lineage_id: self.0.lineage,
        })
    }
}

impl Inner {
    /// The end of the log as it was when it had so many events, if a segment was sealed then.
    fn recorded_head(&self, events: u64) -> Option<Head> {
        let parts = self.live.read().parts.clone();
        let at = parts.binary_search_by_key(&events, |part| part.end_sequence()).ok()?;
        let summary = &parts[at].sealed()?.footer.summary;
        Some(Head { events, last_hash: summary.last_hash, root: summary.root })
    }

    /// The first sequence of the segment that holds this one, and the tree over all before it.
    pub(super) fn tree_before(&self, sequence: u64) -> Result<(u64, Tree)> {
        let live = self.live.read();
        let parts = live.parts.clone();
        let tail = live.tail.as_ref().map(|tail| tail.first_sequence);
        drop(live);
        let firsts = parts.iter().map(|part| part.first_sequence()).chain(tail);
        let first = firsts.filter(|first| *first <= sequence).max().unwrap_or(0);
        if first == 0 {
            return Ok((0, Tree::default()));
        }
        let is_before = |part: &&Arc<Part>| match self.old {
            None => part.end_sequence() == first,
            // Sequences that no event has lead to no damage.
            Some(_) => part.end_sequence() <= first,
        };
        let before = parts.iter().rev().find(is_before);
        match before.map(|part| &**part) {
            Some(Part::Sealed(sealed)) => Ok((first, sealed.tree()?)),
            Some(Part::Indexed(tail, _)) => Ok((first, tail.tree.clone())),
            None if self.old.is_some() => Ok((first, Tree::default())),
            None => Err(Error::corrupt(format!("the events before {first} are missing"))),
        }
    }
}

pub(super) fn lost_head() -> Error {
    Error::corrupt("the last event of a stream is not where the index says")
}
