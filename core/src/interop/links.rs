//! Whether events of the batpak crate 0.x follow each other: by entity up to 0.8, by entity and lane
//! from 0.9.

use super::frame::OldEvent;
use crate::ids::Hash;
use std::collections::HashMap;

/// How an event stands to what comes before it in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Follows,
    /// Its predecessor is not there: a compaction has removed it, say.
    Skips,
    /// Its predecessor is there, but its link names another event.
    Contradicts,
}

/// Where a stream stands, by what its next event may link to.
#[derive(Clone, Copy, Default)]
struct Links {
    clock: Option<u32>,
    any: Hash,
    visible: Hash,
}

impl Links {
    fn pass(&mut self, event: &OldEvent<'_>, is_hidden: bool) {
        self.clock = Some(event.clock);
        self.any = event.hash().unwrap_or_default();
        if !is_hidden {
            self.visible = self.any;
        }
    }

    /// How the event follows, if its predecessor is in this stream.
    fn before(&self, event: &OldEvent<'_>) -> Step {
        let next = self.clock.map_or(Some(0), |clock| clock.checked_add(1));
        if next.is_none_or(|next| next < event.clock) {
            return Step::Skips;
        }
        // What is hidden was passed by in versions up to 0.8, and linked to later.
        let is_linked = [self.any, self.visible].contains(&event.prev_hash());
        let is_next = next == Some(event.clock);
        if is_next && !is_linked && event.hash().is_some() {
            Step::Contradicts
        } else {
            Step::Follows
        }
    }
}

/// Where the streams stand.
#[derive(Default)]
pub(crate) struct Chain {
    /// The place of each entity in `whole`.
    entities: HashMap<Box<str>, u32>,
    whole: Vec<Links>,
    /// By the entity's place and the lane.
    lanes: HashMap<(u32, u32), Links>,
}

impl Chain {
    /// How the event follows; it is the last of its stream from now on.
    pub(crate) fn follow(&mut self, event: &OldEvent<'_>, is_hidden: bool) -> Step {
        let entity = match self.entities.get(event.entity) {
            Some(entity) => *entity,
            None => {
                let entity = self.whole.len() as u32;
                self.entities.insert(event.entity.into(), entity);
                self.whole.push(Links::default());
                entity
            }
        };
        let lane = self.lanes.entry((entity, event.lane)).or_default();
        let Some(whole) = self.whole.get_mut(entity as usize) else { return Step::Follows };
        let step = if event.links_lanes { lane.before(event) } else { whole.before(event) };
        whole.pass(event, is_hidden);
        lane.pass(event, is_hidden);
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(lane: u32, clock: u32, prev: u8, own: u8, links_lanes: bool) -> OldEvent<'static> {
        let chain = Some((Hash([prev; 32]), Hash([own; 32])));
        OldEvent { entity: "a", lane, clock, chain, links_lanes, ..OldEvent::default() }
    }

    #[test]
    fn by_lane_and_by_entity() {
        let mut chain = Chain::default();
        let mut step = |lane, clock, prev, own, links_lanes, is_hidden| {
            chain.follow(&event(lane, clock, prev, own, links_lanes), is_hidden)
        };
        // Up to 0.8: all lanes of an entity.
        assert_eq!(step(0, 0, 0, 1, false, false), Step::Follows);
        assert_eq!(step(7, 1, 1, 2, false, false), Step::Follows);
        assert_eq!(step(7, 2, 1, 3, false, true), Step::Contradicts);
        assert_eq!(step(0, 3, 2, 4, false, false), Step::Follows);
        assert_eq!(step(0, 5, 9, 5, false, false), Step::Skips);
        // From 0.9: each lane.
        assert_eq!(step(7, 3, 3, 6, true, false), Step::Follows);
        assert_eq!(step(0, 6, 5, 7, true, false), Step::Follows);
        assert_eq!(step(0, 7, 6, 8, true, false), Step::Contradicts);
        assert_eq!(step(9, 0, 0, 9, true, false), Step::Follows);
        assert_eq!(step(9, 2, 9, 10, true, false), Step::Skips);
    }
}
