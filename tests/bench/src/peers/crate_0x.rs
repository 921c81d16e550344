//! The published crate batpak 0.10, with its defaults but for the largest batch.

use crate::log::{Log, NewEvent, Result, SCOPE, Safety, Store, Visit, Way};
use batpak_0x::coordinate::{Coordinate, KindFilter, Region};
use batpak_0x::event::EventKind;
use batpak_0x::id::EventId;
use batpak_0x::store::{
    AppendOptions, BatchAppendItem, CausationRef, IndexEntry, Open, Store as Crate, StoreConfig,
};
use std::path::Path;

const MAX_BATCH_BYTES: u32 = 16 << 20;

pub struct Crate0x(Crate<Open>);

impl Crate0x {
    pub fn open(path: &Path) -> Result<Self> {
        let config = StoreConfig::new(path)
            .with_batch_max_size(crate::workload::BATCH as u32)
            .with_batch_max_bytes(MAX_BATCH_BYTES);
        Ok(Self(Crate::open(config)?))
    }
}

impl Crate0x {
    /// Gives the payload of the next event each time it is called.
    pub fn subscribe(&self) -> impl Fn() -> Result<Vec<u8>> + Send {
        let subscription = self.0.subscribe_lossy(&Region::scope(SCOPE));
        move || {
            let next = subscription.recv().ok_or("the subscription has ended")?;
            let mut payload = Vec::new();
            self.show(next.event_id, &mut |_, bytes| payload.extend_from_slice(bytes))?;
            Ok(payload)
        }
    }
}

/// A payload that is stored as MessagePack bytes, not as an array of integers.
struct Bytes<'a>(&'a [u8]);

impl serde::Serialize for Bytes<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

/// The bytes behind the MessagePack header of a byte string.
fn bytes_in(stored: &[u8]) -> &[u8] {
    match stored.first() {
        Some(0xC4) => &stored[2..],
        Some(0xC5) => &stored[3..],
        _ => &stored[5..],
    }
}

fn kind(number: u16) -> EventKind {
    EventKind::custom(1, number)
}

impl Log for Crate0x {
    fn append(&self, events: &[NewEvent<'_>], safety: Safety) -> Result<()> {
        if let [event] = events {
            let coordinate = Coordinate::new(event.entity, SCOPE)?;
            let _receipt = self.0.append(&coordinate, kind(event.kind), &Bytes(event.payload))?;
        } else {
            let item = |event: &NewEvent<'_>| -> Result<_> {
                let coordinate = Coordinate::new(event.entity, SCOPE)?;
                let options = AppendOptions::default();
                let payload = Bytes(event.payload);
                Ok(BatchAppendItem::new(
                    coordinate,
                    kind(event.kind),
                    &payload,
                    options,
                    CausationRef::None,
                )?)
            };
            self.0.append_batch(events.iter().map(item).collect::<Result<_>>()?)?;
        }
        if safety == Safety::Durable {
            self.0.sync()?;
        }
        Ok(())
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<()> {
        // There are also events of the crate's own, one of each opening and closing.
        self.show_all(&self.0.by_scope(SCOPE), visit)
    }
}

impl Crate0x {
    fn show(&self, id: EventId, visit: &mut Visit<'_>) -> Result<()> {
        let stored = self.0.read_raw(id)?;
        visit(&u128::from(id).to_be_bytes(), bytes_in(&stored.event.payload));
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

    fn stream(&self, entity: &str, visit: &mut Visit<'_>) -> Result<()> {
        self.show_all(&self.0.by_entity(entity), visit)
    }

    fn region(&self, prefix: &str, kind: u16, visit: &mut Visit<'_>) -> Result<()> {
        let kind = KindFilter::Exact(self::kind(kind));
        self.show_all(&self.0.query(&Region::entity(prefix).with_fact(kind)), visit)
    }

    /// The crate's own events have sequences too, so that this is about where the page begins.
    fn page(&self, from: u64, count: usize, way: Way, visit: &mut Visit<'_>) -> Result<()> {
        if way == Way::Backwards {
            return Err("the crate gives no pages backwards".into());
        }
        let region = Region::scope(SCOPE);
        self.show_all(&self.0.query_entries_after(&region, Some(from), count), visit)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.0.close()?;
        Ok(())
    }
}
