//! Walking back from an event along a link.

use super::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{Hash, Id};
use crate::region::{Query, Region};

/// Which link to follow from an event to the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Link {
    /// The event before it in its stream: the one whose hash it carries.
    #[default]
    Stream = 0,
    /// The event that caused it.
    Causation = 1,
}

/// Why a walk along a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Boundary {
    /// The last event has nothing before it.
    Genesis = 0,
    /// As many events as asked for were found.
    Limit = 1,
    /// The last event names one that is not in this store.
    Missing = 2,
    /// The last event names one that was already given.
    Cycle = 3,
}

/// The events from one back along a link, newest first, itself included.
#[derive(Clone, Debug)]
pub struct Ancestry {
    /// The events.
    pub events: Vec<Event>,
    /// Why there are no more.
    pub boundary: Boundary,
}

impl Store {
    /// Walks back from the event with this id, up to `limit` events in all. `NotFound` if there
    /// is no such event.
    pub fn ancestors(&self, id: Id, link: Link, limit: u64) -> Result<Ancestry> {
        self.0.across_compactions(|| self.walk(id, link, limit))
    }

    fn walk(&self, id: Id, link: Link, limit: u64) -> Result<Ancestry> {
        let start = self.0.find_shown(id)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no event {id} in the store"))
        })?;
        match link {
            Link::Stream => self.stream_ancestors(start, limit),
            Link::Causation => self.causes(start, limit),
        }
    }

    fn stream_ancestors(&self, start: Event, limit: u64) -> Result<Ancestry> {
        if let Some(old) = &self.0.old {
            return self.old_ancestors(start, limit, old.lanes_from);
        }
        let region = Region::entity(start.entity()).with_lane(start.lane());
        let query = Query::new(region).backward().from(start.sequence()).limit(limit);
        let mut events: Vec<Event> = Vec::new();
        for event in self.scan(query) {
            let event = event?;
            if events.last().is_some_and(|later| later.prev_hash() != event.hash()) {
                return Ok(Ancestry { events, boundary: Boundary::Missing });
            }
            events.push(event);
        }
        Ok(end_of_stream(events, limit))
    }

    /// In a store of the batpak crate 0.x.
    fn old_ancestors(&self, start: Event, limit: u64, lanes_from: u64) -> Result<Ancestry> {
        let mut events: Vec<Event> = Vec::new();
        let mut next = Some(start);
        while let Some(event) = next.filter(|_| (events.len() as u64) < limit) {
            next = self.old_predecessor(&event, lanes_from)?;
            events.push(event);
        }
        Ok(end_of_stream(events, limit))
    }

    /// The event that one of a 0.x store links to. Up to 0.8 the crate linked the events of all lanes
    /// of an entity; from 0.9 on, which is from the event `lanes_from` on, each lane, but for events
    /// of before that a compaction has written again. A hash covers the payload alone, so that an event
    /// is known by its clock, too.
    fn old_predecessor(&self, later: &Event, lanes_from: u64) -> Result<Option<Event>> {
        let Some(before) = later.sequence().checked_sub(1) else { return Ok(None) };
        if later.prev_hash() == Hash::ZERO {
            return Ok(None);
        }
        let entity = Region::entity(later.entity());
        let is_linked = |event: &Event| event.hash() == later.prev_hash();
        if later.sequence() >= lanes_from {
            let lane = Query::new(entity.clone().with_lane(later.lane())).backward();
            for event in self.scan(lane.from(before)) {
                let event = event?;
                if event.clock() < later.clock() {
                    if is_linked(&event) {
                        return Ok(Some(event));
                    }
                    break;
                }
            }
        }
        let mut nearest = None;
        for event in self.scan(Query::new(entity).backward().from(before)) {
            let event = event?;
            if is_linked(&event) && event.clock() < later.clock() {
                if event.clock() + 1 == later.clock() {
                    return Ok(Some(event));
                }
                nearest = nearest.or(Some(event));
            }
        }
        Ok(nearest)
    }

    fn causes(&self, start: Event, limit: u64) -> Result<Ancestry> {
        let mut events = Vec::new();
        let mut seen = std::collections::HashSet::new();
        let mut next = Some(start);
        while let Some(event) = next {
            if events.len() as u64 == limit {
                return Ok(Ancestry { events, boundary: Boundary::Limit });
            }
            let cause = event.causation();
            seen.insert(event.id());
            events.push(event);
            next = match cause {
                None => return Ok(Ancestry { events, boundary: Boundary::Genesis }),
                Some(id) if seen.contains(&id) => {
                    return Ok(Ancestry { events, boundary: Boundary::Cycle });
                }
                Some(id) => self.0.find_shown(id)?,
            };
        }
        Ok(Ancestry { events, boundary: Boundary::Missing })
    }
}

fn end_of_stream(events: Vec<Event>, limit: u64) -> Ancestry {
    let boundary = match events.last() {
        Some(last) if last.prev_hash() == Hash::ZERO => Boundary::Genesis,
        _ if events.len() as u64 == limit => Boundary::Limit,
        _ => Boundary::Missing,
    };
    Ancestry { events, boundary }
}
