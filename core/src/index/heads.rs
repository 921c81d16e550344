//! Where streams end: what an append must continue.

use crate::ids::Hash;
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// No slot.
const NONE: u32 = u32::MAX;

/// The end of a stream. The hash and the time are read from the last event when they are first
/// needed, so that finding it touches no frame.
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

/// The ends of the streams that were appended to since the store was opened: memory grows with
/// their number, not with that of events. Those of others are found in the segments. A stream is known
/// by its slot, so that its name is looked up once per append.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// The slot of each entity's first lane, in the order of coming.
    entities: HashTable<u32>,
    /// The slots of the entities' other lanes.
    other_lanes: HashTable<u32>,
    slots: Vec<Slot>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Slot {
    entity: Arc<str>,
    lane: u32,
    /// The stream's number in the index of the newest segment, if it still is that.
    in_tail: u32,
    /// `None` if it is not known, or there is none: an append under way may be about to begin the
    /// stream.
    head: Option<LaneHead>,
}

impl Heads {
    fn first_slot(&self, entity: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(entity);
        self.entities.find(hash, |slot| &*self.slots[*slot as usize].entity == entity).copied()
    }

    /// The slot of a stream.
    pub(crate) fn find(&self, entity: &str, lane: u32) -> Option<u32> {
        let first = self.first_slot(entity)?;
        if self.slots[first as usize].lane == lane {
            return Some(first);
        }
        let hash = self.hasher.hash_one((entity, lane));
        let is_it = |slot: &u32| {
            let slot = &self.slots[*slot as usize];
            slot.lane == lane && &*slot.entity == entity
        };
        self.other_lanes.find(hash, is_it).copied()
    }

    /// The slot of a stream, made if there is none.
    pub(crate) fn find_or_add(&mut self, entity: &str, lane: u32) -> u32 {
        if let Some(slot) = self.find(entity, lane) {
            return slot;
        }
        let slot = self.slots.len() as u32;
        let first = self.first_slot(entity);
        let name = match first {
            Some(first) => self.slots[first as usize].entity.clone(),
            None => entity.into(),
        };
        self.slots.push(Slot { entity: name, lane, in_tail: NONE, head: None });
        let (slots, hasher) = (&self.slots, &self.hasher);
        let of_entity = |slot: &u32| hasher.hash_one(&*slots[*slot as usize].entity);
        let of_lane = |slot: &u32| {
            let slot = &slots[*slot as usize];
            hasher.hash_one((&*slot.entity, slot.lane))
        };
        match first {
            None => self.entities.insert_unique(of_entity(&slot), slot, of_entity),
            Some(_) => self.other_lanes.insert_unique(of_lane(&slot), slot, of_lane),
        };
        slot
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Forgets the slots from `count` on.
    pub(crate) fn forget_from(&mut self, count: usize) {
        while self.slots.len() > count {
            let slot = (self.slots.len() - 1) as u32;
            let Some(gone) = self.slots.pop() else { return };
            let of_entity = self.hasher.hash_one(&*gone.entity);
            let of_lane = self.hasher.hash_one((&*gone.entity, gone.lane));
            for (table, hash) in [(&mut self.entities, of_entity), (&mut self.other_lanes, of_lane)]
            {
                if let Ok(entry) = table.find_entry(hash, |other| *other == slot) {
                    entry.remove();
                }
            }
        }
    }

    /// Forgets the last slots, as far as they have got no head.
    pub(crate) fn forget_unused(&mut self) {
        let used = self.slots.iter().rposition(|slot| slot.head.is_some());
        self.forget_from(used.map_or(0, |last| last + 1));
    }

    /// Where the stream of this slot ends.
    pub(crate) fn at(&self, slot: u32) -> Option<LaneHead> {
        self.slots[slot as usize].head
    }

    /// The stream of this slot ends with this.
    pub(crate) fn set_at(&mut self, slot: u32, head: LaneHead) {
        self.slots[slot as usize].head = Some(head);
    }

    /// The stream's number in the newest segment's index, as noted last; it may be of an older one.
    pub(crate) fn in_tail(&self, slot: u32) -> u32 {
        self.slots[slot as usize].in_tail
    }

    pub(crate) fn set_in_tail(&mut self, slot: u32, number: u32) {
        self.slots[slot as usize].in_tail = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(heads: &mut Heads, entity: &str, lane: u32, clock: u32) {
        let slot = heads.find_or_add(entity, lane);
        heads.set_at(slot, LaneHead { lane, clock, sequence: 0, known: None });
    }

    fn clock(heads: &Heads, entity: &str, lane: u32) -> Option<u32> {
        heads.at(heads.find(entity, lane)?).map(|head| head.clock)
    }

    #[test]
    fn lanes_of_an_entity_are_streams_of_their_own() {
        let mut heads = Heads::default();
        for (entity, lane) in [("a", 0), ("b", 7), ("a", 2), ("a", 1)] {
            set(&mut heads, entity, lane, lane + 10);
        }
        assert_eq!(clock(&heads, "a", 2), Some(12));
        assert_eq!(clock(&heads, "a", 1), Some(11));
        assert_eq!(clock(&heads, "b", 0), None);
        assert_eq!(heads.slots(), 4);
    }

    #[test]
    fn slots_that_were_announced_are_forgotten() {
        let mut heads = Heads::default();
        set(&mut heads, "a", 0, 1);
        let slots = heads.slots();
        heads.find_or_add("a", 1);
        heads.find_or_add("b", 0);
        heads.find_or_add("b", 1);
        assert_eq!(clock(&heads, "b", 1), None);
        heads.forget_from(slots);
        assert_eq!(
            (heads.find("a", 1), heads.find("b", 0), heads.find("b", 1)),
            (None, None, None)
        );
        assert_eq!(clock(&heads, "a", 0), Some(1));
        set(&mut heads, "b", 1, 3);
        assert_eq!(clock(&heads, "b", 1), Some(3));
    }
}
