//! batpak itself.

use crate::log::{Log, NewEvent, Result, SCOPE, Safety, Store, Visit, Way};
use crate::workload;
use batpak_core::{Direction, Durability, Event, EventKind, Id, OpenOptions, Query, Region};
use std::path::Path;

pub struct Batpak(pub batpak_core::Store);

impl Batpak {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self(batpak_core::Store::open(path, &OpenOptions::default())?))
    }

    pub fn open_with_cache(path: &Path, cache_bytes: usize) -> Result<Self> {
        let options = OpenOptions { cache_bytes, ..OpenOptions::default() };
        Ok(Self(batpak_core::Store::open(path, &options)?))
    }
}

/// The bytes that an event of the benchmark takes in a segment.
pub fn frame_bytes(path: &Path, payload_bytes: usize) -> Result<usize> {
    let (entity, payload) = (workload::entity(0), workload::payload(payload_bytes));
    let sample = Batpak::open(path)?;
    sample.append(&[NewEvent { entity: &entity, kind: 0, payload: &payload }], Safety::Written)?;
    Ok(sample.0.at(0)?.map_or(0, |event| event.stored_bytes()))
}

fn durability(safety: Safety) -> Durability {
    match safety {
        Safety::Buffered => Durability::Buffered,
        Safety::Written => Durability::Written,
        Safety::Durable => Durability::Durable,
    }
}

fn kind(number: u16) -> EventKind {
    EventKind(EventKind::DATA.0 + number)
}

fn new_event<'a>(event: &NewEvent<'a>) -> batpak_core::NewEvent<'a> {
    batpak_core::NewEvent::new(event.entity, SCOPE, kind(event.kind), event.payload)
}

impl Log for Batpak {
    fn append(&self, events: &[NewEvent<'_>], safety: Safety) -> Result<()> {
        if let [event] = events {
            self.0.append(&new_event(event), Some(durability(safety)))?;
        } else {
            let events: Vec<_> = events.iter().map(new_event).collect();
            self.0.append_batch(&events, Some(durability(safety)))?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(self.0.flush()?)
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<()> {
        self.read(Query::default(), visit)
    }
}

fn show(event: &Event, visit: &mut Visit<'_>) {
    visit(&event.id().0, event.payload());
}

impl Batpak {
    fn read(&self, query: Query, visit: &mut Visit<'_>) -> Result<()> {
        for event in self.0.read(query)? {
            show(&event?, visit);
        }
        Ok(())
    }
}

impl Store for Batpak {
    fn by_sequence(&self, sequence: u64, visit: &mut Visit<'_>) -> Result<()> {
        if let Some(event) = self.0.at(sequence)? {
            show(&event, visit);
        }
        Ok(())
    }

    fn by_id(&self, id: &[u8; 16], visit: &mut Visit<'_>) -> Result<()> {
        if let Some(event) = self.0.get(Id(*id))? {
            show(&event, visit);
        }
        Ok(())
    }

    fn stream(&self, entity: &str, visit: &mut Visit<'_>) -> Result<()> {
        self.read(Query::new(Region::entity(entity)), visit)
    }

    fn region(&self, prefix: &str, kind: u16, visit: &mut Visit<'_>) -> Result<()> {
        self.read(Query::new(Region::prefix(prefix).with_kind(self::kind(kind))), visit)
    }

    fn page(&self, from: u64, count: usize, way: Way, visit: &mut Visit<'_>) -> Result<()> {
        let direction = match way {
            Way::Forwards => Direction::Forward,
            Way::Backwards => Direction::Backward,
        };
        let query = Query { direction, from: Some(from), ..Query::default() };
        for event in self.0.read(query)?.next_page(count, usize::MAX)? {
            show(&event, visit);
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.0.close()?)
    }
}
