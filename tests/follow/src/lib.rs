//! What the parent, the writer and the followers of the follow test agree on. See README.md.

use batpak_core::{Durability, Event, EventKind, NewEvent};
use batpak_kill::plan::Draws;

/// The segments of some lives are small, so that the store rotates many times; those of the others
/// large, so that the small ones are joined meanwhile.
pub fn segment_bytes(seed: u32, until: u64) -> u64 {
    const SMALL_BYTES: u64 = 256 << 10;
    SMALL_BYTES << (4 * Draws::of([seed, 4, until as u32]).below(2))
}

/// So many batches in a row have the same durability, so that buffered ones gather.
const RUN: u32 = 32;

/// One batch, a function of the seed and of its number.
pub struct Batch {
    /// How safe it must be before it is acknowledged.
    pub durability: Durability,
    items: Vec<Item>,
}

struct Item {
    entity: String,
    payload: Vec<u8>,
}

impl Batch {
    /// The batch with this number, of at most so many events.
    pub fn plan(seed: u32, number: u32, most: u64) -> Self {
        let durability = match Draws::of([seed, 1, number / RUN]).below(20) {
            0 => Durability::Durable,
            1..5 => Durability::Buffered,
            _ => Durability::Written,
        };
        let mut draws = Draws::of([seed, 2, number]);
        let size = match draws.below(20) {
            0..10 => 1,
            10..16 => 2 + draws.below(19),
            16..19 => 21 + draws.below(80),
            _ => 101 + draws.below(400),
        };
        let size = u64::from(size).min(most) as u32;
        let items = (0..size).map(|index| {
            let entity = format!("account:{}", draws.below(40));
            let mut payload = Place { batch: number, index, size }.encode().to_vec();
            payload.resize(payload.len() + draws.below(40) as usize, b'x');
            Item { entity, payload }
        });
        Self { durability, items: items.collect() }
    }

    /// The events to hand in.
    pub fn events(&self) -> Vec<NewEvent<'_>> {
        self.items.iter().map(Item::event).collect()
    }
}

impl Item {
    fn event(&self) -> NewEvent<'_> {
        NewEvent::new(&self.entity, "follow", EventKind::DATA, &self.payload)
    }
}

/// Where an event stands in its batch: the first 12 bytes of its payload, little-endian.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The number of the batch, from 0 in the whole log.
    pub batch: u32,
    /// From 0.
    pub index: u32,
    /// The number of events in the batch.
    pub size: u32,
}

impl Place {
    fn encode(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        for (place, number) in bytes.chunks_exact_mut(4).zip([self.batch, self.index, self.size]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Reads it from an event; `None` if the payload is too short.
    pub fn of(event: &Event) -> Option<Self> {
        let number = |at: usize| {
            let bytes = event.payload().get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(bytes))
        };
        Some(Self { batch: number(0)?, index: number(4)?, size: number(8)? })
    }

    /// Whether the batch ends here.
    pub fn is_last(self) -> bool {
        self.index + 1 == self.size
    }

    /// The only place that can come after this one, as far as it is known: the size of a new batch
    /// is not.
    pub fn follows(self, before: Option<Place>) -> bool {
        let expected = match before {
            None => Self { batch: 0, index: 0, ..self },
            Some(last) if last.is_last() => Self { batch: last.batch + 1, index: 0, ..self },
            Some(Place { batch, index, size }) => Self { batch, index: index + 1, size },
        };
        self == expected && self.index < self.size
    }
}
