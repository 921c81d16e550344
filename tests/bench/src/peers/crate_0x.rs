//! The published crate batpak 0.10, with its defaults but for the largest batch.

use crate::log::{Log, NewEvent, Result, Safety, Store, Visit};
use batpak_0x::coordinate::Coordinate;
use batpak_0x::event::EventKind;
use batpak_0x::id::EventId;
use batpak_0x::store::{
    AppendOptions, BatchAppendItem, CausationRef, IndexEntry, Open, Store as Crate, StoreConfig,
};
use std::path::Path;

pub struct Crate0x(Crate<Open>);

impl Crate0x {
    pub fn open(path: &Path) -> Result<Self> {
        let config = StoreConfig::new(path).with_batch_max_size(crate::workload::BATCH as u32);
        Ok(Self(Crate::open(config)?))
    }
}

/// A payload that is stored as MessagePack bytes, not as an array of integers.
struct Bytes<'a>(&'a [u8]);

impl serde::Serialize for Bytes<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

fn kind() -> EventKind {
    EventKind::custom(1, 0)
}

impl Log for Crate0x {
    fn append(&self, events: &[NewEvent<'_>], safety: Safety) -> Result<()> {
        if let [event] = events {
            let coordinate = Coordinate::new(event.entity, "bench")?;
            let _receipt = self.0.append(&coordinate, kind(), &Bytes(event.payload))?;
        } else {
            let item = |event: &NewEvent<'_>| -> Result<_> {
                let coordinate = Coordinate::new(event.entity, "bench")?;
                let options = AppendOptions::default();
                let payload = Bytes(event.payload);
                Ok(BatchAppendItem::new(coordinate, kind(), &payload, options, CausationRef::None)?)
            };
            self.0.append_batch(events.iter().map(item).collect::<Result<_>>()?)?;
        }
        if safety == Safety::Durable {
            self.0.sync()?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}

impl Crate0x {
    fn show(&self, id: EventId, visit: &mut Visit<'_>) -> Result<()> {
        let stored = self.0.read_raw(id)?;
        visit(&u128::from(id).to_be_bytes(), &stored.event.payload);
        Ok(())
    }

    fn show_all(&self, entries: &[IndexEntry], visit: &mut Visit<'_>) -> Result<()> {
        entries.iter().try_for_each(|entry| self.show(entry.event_id(), visit))
    }
}

impl Store for Crate0x {
    fn by_sequence(&self, _: u64, _: &mut Visit<'_>) -> Result<()> {
        Err("the crate finds no event by its sequence without looking at all".into())
    }

    fn has_sequences(&self) -> bool {
        false
    }

    fn by_id(&self, id: &[u8; 16], visit: &mut Visit<'_>) -> Result<()> {
        self.show(EventId::from(u128::from_be_bytes(*id)), visit)
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<()> {
        // There are also events of the crate's own, one of each opening and closing.
        self.show_all(&self.0.by_fact(kind()), visit)
    }

    fn stream(&self, entity: &str, visit: &mut Visit<'_>) -> Result<()> {
        self.show_all(&self.0.by_entity(entity), visit)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.0.close()?;
        Ok(())
    }
}
