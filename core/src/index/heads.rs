//! Where every stream ends: what an append must continue.

use crate::ids::Hash;
use std::collections::HashMap;
use std::sync::Arc;

/// The end of a stream. The hash and the time are read from the last event when they are first
/// needed, so that opening a store touches no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneHead {
    pub(crate) lane: u32,
    pub(crate) clock: u32,
    pub(crate) sequence: u64,
    pub(crate) known: Option<Known>,
}

/// What the last event of a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) hash: Hash,
    pub(crate) wall_us: i64,
}

/// The ends of all streams: memory grows with the number of streams, not of events.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// By rising lane.
    entities: HashMap<Arc<str>, Vec<LaneHead>>,
    streams: u64,
}

impl Heads {
    pub(crate) fn get(&self, entity: &str, lane: u32) -> Option<LaneHead> {
        let lanes = self.entities.get(entity)?;
        let at = lanes.binary_search_by_key(&lane, |head| head.lane).ok()?;
        Some(lanes[at])
    }

    pub(crate) fn set(&mut self, entity: &str, head: LaneHead) {
        if !self.entities.contains_key(entity) {
            self.entities.insert(entity.into(), Vec::with_capacity(1));
        }
        let Some(lanes) = self.entities.get_mut(entity) else { return };
        match lanes.binary_search_by_key(&head.lane, |known| known.lane) {
            Ok(at) => lanes[at] = head,
            Err(at) => {
                lanes.insert(at, head);
                self.streams += 1;
            }
        }
    }

    pub(crate) fn entities(&self) -> u64 {
        self.entities.len() as u64
    }

    pub(crate) fn streams(&self) -> u64 {
        self.streams
    }
}
