//! Where the log, its streams and its guarantees stand.

use super::Store;
use crate::error::{Error, Result};
use crate::ids::{Hash, Id};

/// The end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of visible events, which is the sequence of the next one.
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
    /// Visible events.
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
                let root = crate::format::tree::Tree::default().root();
                Ok(Head { events: 0, last_hash: Hash::ZERO, root })
            }
            Some(crate::index::Part::Indexed(tail)) => Ok(Head {
                events: tail.next_sequence(),
                last_hash: tail.last_hash,
                root: tail.tree.root(),
            }),
            Some(crate::index::Part::Sealed(sealed)) => Ok(Head {
                events: sealed.end_sequence(),
                last_hash: sealed.footer.summary.last_hash,
                root: sealed.footer.summary.root,
            }),
        }
    }

    /// The end of the stream that is this lane of this entity; `None` when it has no event.
    pub fn stream_head(&self, entity: &str, lane: u32) -> Result<Option<StreamHead>> {
        self.0.check_usable()?;
        crate::coordinate::check_component("entity", entity)?;
        let Some(head) = self.0.live.read().heads.get(entity, lane) else { return Ok(None) };
        let hash = match head.known {
            Some(known) => known.hash,
            None => self.0.event_at(head.sequence)?.ok_or_else(lost_head)?.hash(),
        };
        Ok(Some(StreamHead { clock: head.clock, sequence: head.sequence, hash }))
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

    /// Sizes and identity.
    pub fn stats(&self) -> Result<Stats> {
        self.0.check_usable()?;
        let live = self.0.live.read();
        let sealed: u64 = live
            .parts
            .iter()
            .map(|part| match &**part {
                crate::index::Part::Sealed(sealed) => sealed.entry.length,
                crate::index::Part::Indexed(tail) => tail.end,
            })
            .sum();
        Ok(Stats {
            events: live.visible(),
            segments: live.parts.len() as u64 + u64::from(live.tail.is_some()),
            bytes: sealed + live.tail.as_ref().map_or(0, |tail| tail.end),
            entities: live.heads.entities(),
            streams: live.heads.streams(),
            store_id: self.0.store,
            lineage_id: self.0.lineage,
        })
    }
}

pub(super) fn lost_head() -> Error {
    Error::corrupt("the last event of a stream is not where the index says")
}
